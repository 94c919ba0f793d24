"""A GPU's record as a page: Markdown, and four pictures drawn from the same numbers."""

import math
from pathlib import Path

from tinyvision.errors import DataError

from . import plots

SCHEMA = 1
REQUIRED = ("created", "device", "versions", "batch", "ceilings", "cases", "crossover")
NUMPY = "NumPy"
LAYOUTS = ("PyTorch NCHW", "PyTorch channels-last")
MODES = ("tf32", "ieee")
DIRECTIONS = ("forward", "image gradient", "weight gradient")
GROUPS = (*DIRECTIONS, "network")
GRAPH, FOLDED, TORCH_GRAPH = "CuPy: as a graph", "CuPy: folded, as a graph", "PyTorch: as a graph"
EAGER = "CuPy 2: implicit GEMM"  # what a user gets unasked, in TF32
NO_PICTURES = "Pictures: pip install matplotlib, then python -m benchmarks report."
COLOURS = {
    "tf32": "#0072b2", "ieee": "#d55e00",
    "forward": "#0072b2", "image gradient": "#d55e00", "weight gradient": "#009e73",
}  # fmt: skip
# What is measured, against PyTorch eager's faster layout, in TF32: (title, case, entry, must, aim).
GOALS = (
    ("SimpleCNN training step, eager", "SimpleCNN, training step", EAGER, 1.3, 1.0),
    ("SimpleCNN training step, as a graph", "SimpleCNN, training step", GRAPH, 0.3, 0.2),
    ("ResNet-18 inference, eager", "ResNet-18, inference", EAGER, 0.95, 0.8),
    ("ResNet-18 inference, folded, as a graph", "ResNet-18, inference", FOLDED, 0.8, 0.6),
    ("ResNet-18 training step, eager", "ResNet-18, training step", EAGER, 1.5, 1.1),
    ("ResNet-18 training step, as a graph", "ResNet-18, training step", GRAPH, 1.0, 0.85),
)
LAYER_GOALS = {"forward": (1.1, 0.9), "image gradient": (1.1, 0.9), "weight gradient": (1.2, 0.9)}
DEPTHWISE_GOAL = (1.2, 0.8)
NAMES = {"tf32": "TF32", "ieee": "full FP32"}


def check(record, path):
    """Raises DataError for a record of another version."""
    missing = [name for name in REQUIRED if name not in record]
    if record.get("schema") != SCHEMA or missing:
        missing = ", ".join(missing) or "nothing"
        raise DataError(f"{path}: a GPU's record of another version (missing: {missing}); measure again")


def ours(entries):
    """The fastest of tinyvision's stages on the GPU in milliseconds, or None."""
    return min((e["ms"] for n, e in entries.items() if n.startswith("CuPy") and e["status"] == "timed"), default=None)


def best_torch(entries):
    """Milliseconds of PyTorch's faster layout, or None."""
    times = (entries[name]["ms"] for name in LAYOUTS if entries.get(name, {}).get("status") == "timed")
    return min(times, default=None)


def ratio(case):
    """Our fastest stage's time divided by PyTorch's faster layout's, or None."""
    mine, theirs = ours(case["entries"]), best_torch(case["entries"])
    return mine / theirs if mine and theirs else None


def roofline_share(case, milliseconds, found):
    """The time that the ceilings allow, divided by the time that was needed; None without ceilings."""
    peak = found.get("tf32_tflops" if case["precision"] == "tf32" else "fp32_tflops")
    if not peak or not milliseconds or "flops" not in case:
        return None
    return max(case["flops"] / peak / 1e9, case["bytes"] / found["copy_gb_s"] / 1e6) / milliseconds


def goals(record, mode="tf32"):
    """(what, ratio or None, must, aim) for each goal: whole networks, then geometric means over layers."""
    rows = []
    networks = {case["case"]: case["entries"] for case in _cases(record, mode, "network")}
    for title, case, name, must, aim in GOALS:
        found, theirs = networks.get(case, {}).get(name, {}), best_torch(networks.get(case, {}))
        rows.append((title, found["ms"] / theirs if "ms" in found and theirs else None, must, aim))
    for group, (must, aim) in LAYER_GOALS.items():
        cases = [c for c in _cases(record, mode, group) if not c["case"].startswith("depthwise")]
        rows.append((f"convolutions, {group}, geometric mean of {len(cases)} layers", _mean(cases), must, aim))
    cases = [c for c in _cases(record, mode, *DIRECTIONS) if c["case"].startswith("depthwise")]
    return [*rows, ("depthwise convolutions, all directions", _mean(cases), *DEPTHWISE_GOAL)]


def _mean(cases):
    ratios = [r for r in map(ratio, cases) if r]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None


def goals_table(record, mode="tf32", against="PyTorch eager's faster layout, TF32"):
    """Markdown lines: every goal with its ratio and whether it is met."""
    lines = ["", f"**Against {against}** (times divided; less is better)", "",
             "| | ratio | must | aim | |", "|---|---|---|---|---|"]  # fmt: skip
    for title, found, must, aim in goals(record, mode):
        known = [(aim, "aim met"), (must, "met"), (math.inf, "missed")]
        verdict = next((word for limit, word in known if found is not None and found <= limit), "not measured")
        lines.append(f"| {title} | {'—' if found is None else f'{found:.2f}'} | {must} | {aim} | {verdict} |")
    return lines


def _small_things(small):
    """Launches and copies in lines."""
    if not small:
        return []
    cost = ", ".join(f"{who} {us:.1f} µs" for who, us in small["launch_us"].items())
    lines = ["", f"An addition of four numbers, eager: {cost}.", "", "| copied | to the GPU | back |", "|---|---|---|"]
    for row in small["copies"]:
        rates = [f"{row[way]:.3g} ms ({row['bytes'] / row[way] / 1e6:.3g} GB/s)" for way in ("to_ms", "back_ms")]
        size = f"{row['bytes'] >> 20} MiB" if row["bytes"] >> 20 else f"{row['bytes'] >> 10} KiB"
        lines.append(f"| {size} | {rates[0]} | {rates[1]} |")
    return lines


def section(record, path, pictures=None):
    """A GPU record as Markdown: ceilings, then a table for each precision and group, with the ratio to PyTorch eager.

    pictures: {name: Markdown}, which are put where they belong."""
    device, found, pictures = record["device"], record["ceilings"], pictures or {}
    lines = [f"### {device['name']}", "", f"Record: `{Path(path).name}`, {record['created']}, batch {record['batch']}."]
    lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + ".")
    if found:
        lines.append(
            f"Ceilings measured: copy {found['copy_gb_s']:.0f} GB/s, products "
            f"{found['fp32_tflops']:.1f} TFLOP/s in FP32, {found['tf32_tflops']:.0f} TFLOP/s in TF32."
        )
    lines += goals_table(record)
    lines += [line for name in ("layers", "roofline", "networks") if name in pictures for line in ("", pictures[name])]
    for mode in MODES:
        for group in GROUPS:
            cases = _cases(record, mode, group)
            if cases:
                lines += ["", f"**{group}, {mode}** (milliseconds)", "", *_table(cases, found), *_reasons(cases)]
    lines += ["", "**Where the GPU overtakes the CPU**", ""]
    lines += [pictures["crossover"], ""] if "crossover" in pictures else []
    for name, cross in record["crossover"].items():
        place = f"from batch {cross['from']} on" if cross["from"] else "at no batch size that was tried"
        tried = ", ".join(map(str, cross["batches"]))
        lines.append(f"* {name}: faster on the GPU than on the CPU {place} (tried: {tried}).")
    return "\n".join([*lines, *_small_things(record.get("small"))])


def _cases(record, mode, *groups):
    return [c for c in record["cases"] if c["precision"] == mode and c["group"] in groups]


def _table(cases, found):
    names = list(dict.fromkeys(name for case in cases for name in case["entries"]))
    rows = ["| | " + " | ".join(names) + " | ratio to PyTorch | roofline |", "|---" * (len(names) + 3) + "|"]
    for case in cases:
        cells = [_cell(case["entries"].get(name)) for name in names]
        times, share = ratio(case), roofline_share(case, ours(case["entries"]), found)
        cells += ["—" if times is None else f"{times:.2f}", "—" if share is None else f"{share:.0%}"]
        rows.append(f"| {case['case']} | {' | '.join(cells)} |")
    return rows


def _reasons(cases):
    """Why some were not timed, each reason once."""
    found = {}
    for case in cases:
        for name, entry in case["entries"].items():
            if entry["status"] == "failed":
                found.setdefault(f"{name} failed: {entry['why']}", []).append(case["case"])
            elif entry["status"] == "wrong":
                why = f"{name} was off by more than {entry['tolerance']:.0e} of the largest result"
                found.setdefault(why, []).append(f"{case['case']}: {entry['difference']:.1e}")
    return ["", *(f"* {why} ({'; '.join(where)})" for why, where in found.items())] if found else []


def _cell(found):
    if found is None:
        return "—"
    return _short(found["ms"]) if found["status"] == "timed" else found["status"]


def _short(number):
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"


# -- pictures


def draw(record, path):
    """Write the pictures that this record has numbers for beside it; returns {name: (file name, what it shows)}."""
    return plots.draw(record, path, PICTURES)


def layers_picture(record):
    """The ratio to PyTorch for every layer and direction, a panel for each precision."""
    return _layer_bars(record, lambda case: {"": ratio(case)}, "tinyvision / PyTorch, lower is better", 1.0)


def roofline_picture(record):
    """The share of the roofline for every layer and direction: bars are ours, rings PyTorch's."""

    def shares(case):
        times = {"": ours(case["entries"]), "PyTorch": best_torch(case["entries"])}
        return {who: roofline_share(case, ms, record["ceilings"]) for who, ms in times.items()}

    return _layer_bars(record, shares, "share of the roofline, higher is better", 1.0, marked="PyTorch")


def _layer_bars(record, numbers, what, line, marked=None):
    modes = [mode for mode in MODES if _cases(record, mode, *DIRECTIONS)]
    cases = {mode: _cases(record, mode, *DIRECTIONS) for mode in modes}
    if not any(numbers(case)[""] for some in cases.values() for case in some):
        return None
    names = list(dict.fromkeys(case["case"] for some in cases.values() for case in some))
    figure, panels = plots.canvas(4.6 * len(modes) + 1, 0.42 * len(names) + 1, len(modes), squeeze=False, sharey=True)
    for axes, mode in zip(panels[0], modes, strict=True):
        for group, offset in zip(DIRECTIONS, (-0.27, 0.0, 0.27), strict=True):
            some = [(names.index(c["case"]) + offset, numbers(c)) for c in cases[mode] if c["group"] == group]
            bars = [(y, found[""]) for y, found in some if found[""]]
            rings = [(found[marked], y) for y, found in some if found.get(marked)] if marked else []
            if bars:
                axes.barh(*zip(*bars, strict=True), 0.25, color=COLOURS[group], label=group)
            if rings:
                label = marked if group == "forward" else None
                axes.scatter(*zip(*rings, strict=True), s=20, facecolor="none", edgecolor=plots.INK, label=label)
        axes.axvline(line, color=plots.INK, lw=1)
        axes.set_xlim(left=0)
        axes.set_title(NAMES[mode], fontsize=9)
        axes.set_xlabel(what)
    panels[0][0].set_yticks(range(len(names)), names)
    panels[0][0].invert_yaxis()
    panels[0][0].legend(loc="best", fontsize=8)
    return figure


def networks_picture(record):
    """Stage by stage, a panel for each network; NumPy's time stands in the title, for its bar would hide the rest."""
    names = list(dict.fromkeys(case["case"] for case in record["cases"] if case["group"] == "network"))
    if not names:
        return None
    figure, panels = plots.canvas(4 * len(names) + 1, 3.2, len(names), squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        cases = [c for c in record["cases"] if c["group"] == "network" and c["case"] == name]
        rows = list(dict.fromkeys(who for case in cases for who in case["entries"] if who != NUMPY))
        for j, case in enumerate(cases):
            times = [(rows.index(who), e["ms"]) for who, e in case["entries"].items()
                     if who != NUMPY and e["status"] == "timed"]  # fmt: skip
            at = [i + 0.36 * (j - (len(cases) - 1) / 2) for i, _ in times]
            mode = case["precision"]
            axes.barh(at, [ms for _, ms in times], 0.34, color=COLOURS[mode], label=NAMES[mode])
            for y, (_, ms) in zip(at, times, strict=True):
                axes.text(ms, y, f" {_short(ms)}", va="center", fontsize=7)
        numpy = next((c["entries"][NUMPY]["ms"] for c in cases if "ms" in c["entries"].get(NUMPY, {})), None)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.margins(x=0.15)
        axes.set_title(name + ("" if numpy is None else f" (NumPy: {_short(numpy)} ms)"), fontsize=9)
        axes.set_xlabel(f"milliseconds, batch {record['batch']}")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(MODES), fontsize=8)
    return figure


def crossover_picture(record):
    """Time on the CPU and on the GPU over batch sizes; a ring where the lines cross."""
    found = record["crossover"]
    if not found:
        return None
    figure, panels = plots.canvas(4.5 * len(found), 3.2, len(found), squeeze=False)
    for axes, (name, cross) in zip(panels[0], found.items(), strict=True):
        axes.plot(cross["batches"], cross["cpu_ms"], "s--", color=plots.COLOURS["NumPy"], ms=4, label="CPU")
        axes.plot(cross["batches"], cross["gpu_ms"], "o-", color=plots.COLOURS["tinyvision"], ms=4, label="GPU")
        crossing, text = crossing_point(cross), "the CPU is as fast at every batch size tried"
        if crossing:
            axes.plot(*crossing, "o", ms=12, mfc="none", mec=plots.INK, label="they cross")
        if cross["from"]:
            axes.axvline(cross["from"], color=plots.INK, lw=1, ls=":")
            text = f"the GPU is faster from batch {cross['from']} on"
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(cross["batches"], map(str, cross["batches"]))
        axes.minorticks_off()
        axes.set_title(f"{name}\n{text}", fontsize=9)
        axes.set_xlabel("batch")
        axes.set_ylabel("milliseconds")
    panels[0][0].legend(loc="best", fontsize=8)
    return figure


def crossing_point(cross):
    """(batch, milliseconds) where the two lines of the picture last cross, between two batch sizes; None if nowhere."""
    batches, cpu, gpu = cross["batches"], cross["cpu_ms"], cross["gpu_ms"]
    gaps = [math.log(g / c) for c, g in zip(cpu, gpu, strict=True)]
    for i in range(len(batches) - 1, 0, -1):
        if gaps[i] < 0 <= gaps[i - 1]:
            share = gaps[i - 1] / (gaps[i - 1] - gaps[i])  # lines are straight on logarithmic axes
            return tuple(math.exp((1 - share) * math.log(v[i - 1]) + share * math.log(v[i])) for v in (batches, gpu))
    return None


PICTURES = {
    "layers": (layers_picture, "The ratio to PyTorch of every layer, in its three directions"),
    "roofline": (roofline_picture, "The share of the roofline that every layer reaches"),
    "networks": (networks_picture, "Whole networks, stage by stage"),
    "crossover": (crossover_picture, "The batch size from which on the GPU is faster than the CPU"),
}
