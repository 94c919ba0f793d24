"""Tables of a record: for a terminal, for a pipe, and for Markdown."""

from typing import NamedTuple

from . import goals, roofline, timing
from .suite import fastest, fastest_name


class Table(NamedTuple):
    """Rows of text under columns; `note` stands below."""

    title: str
    columns: tuple
    rows: list
    note: str = ""


def as_text(table):
    """Aligned plain text: the first column to the left, the others to the right."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join([table.title, *lines, *([table.note] if table.note else [])])


def as_markdown(table):
    """A Markdown table, under a bold title if it has one."""
    rule = "|".join([":--", *["--:"] * (len(table.columns) - 1)])
    rows = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [table.columns, *table.rows]]
    rows.insert(1, f"|{rule}|")
    title = [f"**{table.title}**", ""] if table.title else []
    return "\n".join([*title, *rows, *(["", table.note] if table.note else [])])


def show(table, console):
    """Print it: with lines and colours on a terminal, else as plain text."""
    if not console.is_terminal:
        print(as_text(table), end="\n\n", flush=True)
        return
    from rich.table import Table as RichTable

    drawn = RichTable(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
    for i, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if i == 0 else "right")
    for row in table.rows:
        drawn.add_row(*row, style=_style(row[-1]))
    console.print(drawn, markup=False)


def _style(verdict):
    if verdict.startswith(("missed", "wrong", "failed")):
        return "red"
    return "green" if verdict.startswith("aim met") else None


def amount(value, unit):
    """1.2 ms, 340 µs, 51 MiB, to three digits."""
    if value is None:
        return "–"
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or name == "µs":
            return f"{value * factor:.3g} {name}" if value * factor < 1000 else f"{value * factor:.0f} {name}"
    return ""


def times(value):
    """A ratio to two digits behind the point."""
    return "–" if value is None else f"{value:.2f}×"


def goals_table(record, only_what_ran=False, runs=()):
    """The goals with what was measured; those of benchmarks that did not run can be left out.

    runs: other records of the same machine, whose ratios show how far whole runs differ."""
    rows, ran = [], {case["benchmark"] for case in record["cases"]}
    others = [[times(o.ratio) for o in goals.outcomes(run["cases"])] for run in runs]
    fast, alone = goals.has_fast(record["cases"]), goals.outcomes(record["cases"], fast=False)
    for i, o in enumerate(goals.outcomes(record["cases"])):
        if only_what_ran and o.goal.benchmark not in ran:
            continue
        spread = f"{o.spread[0]:.2f} – {o.spread[1]:.2f}" if o.spread else "–"
        rows.append(
            (
                o.goal.work,
                o.goal.against,
                f"{o.goal.must:.2f}",
                f"{o.goal.aim:.2f}",
                *((amount(alone[i].ours, o.goal.unit), times(alone[i].ratio)) if fast else ()),
                amount(o.ours, o.goal.unit),
                amount(o.theirs, o.goal.unit),
                times(o.ratio),
                times(o.paired),
                spread,
                *([", ".join(ratios[i] for ratios in others)] if others else []),
                o.verdict,
            )
        )
    columns = (
        "work",
        "against",
        "must",
        "aim",
        *(("NumPy alone", "its ratio", "with fast") if fast else ("tinyvision",)),
        "the other",
        "ratio",
        "turn by turn",
        "quartiles",
        *(["other runs"] if others else []),
        "verdict",
    )
    note = (
        "ratio: of the medians; turn by turn: the median of the ratios of neighbouring turns. Lower is better. "
        "PyTorch is the faster of its two memory layouts in every case. Means over layers: amounts are sums. "
        "The goals are for the compiled loops of the extra `fast`."
    )
    return Table("Goals, as ratios to the other library in the same run", columns, rows, note)


def machines_table(records):
    """The goals on every machine, for a page that needs them short: the ratio with the compiled loops and our time,
    and the ratio of NumPy alone."""
    columns, rows = ["ratio to PyTorch's time, or who is named"], [[_work(goal)] for goal in goals.GOALS]
    for made in records:
        name = made["machine"]["cpu"].partition("(AVX")[0].replace("(R)", "").replace("Processor", "").strip()
        columns += [name, "NumPy alone"]
        alone = goals.outcomes(made["cases"], fast=False)
        for row, fast, plain in zip(rows, goals.outcomes(made["cases"]), alone, strict=True):
            row += [f"{fast.ratio:.2f} ({amount(fast.ours, fast.goal.unit)})" if fast.ratio else "", _short(plain)]
    return Table("", tuple(columns), [tuple(row) for row in rows if any(row[1:])])


def _work(goal):
    other = {"frozen": "PyTorch frozen", "ONNX Runtime": "ONNX Runtime"}.get(goal.against)
    return f"{goal.work} (to {other})" if other else goal.work


def _short(outcome):
    return f"{outcome.ratio:.2f}" if outcome.ratio else ""


def case_table(case):
    """One case: every contestant's median, spread and ratio to PyTorch, and how well it agrees."""
    reference = fastest(case, "PyTorch")
    rows = [_entry_row(name, entry, reference, case) for name, entry in case["entries"].items()]
    best = fastest_name(case, "PyTorch")
    columns = ("contestant", "turns", "median", "quartiles", "ratio", "turn by turn", "error / allowed")
    note = f"Ratios are to {best}." if best else "PyTorch is not here, so there are no ratios."
    return Table(f"{case['group']}: {case['case']}", columns, rows, "\n".join([note, *_reasons(case)]))


def _entry_row(name, entry, reference, case):
    if entry["status"] != "timed":
        return (name, "–", "not timed", "–", "–", "–", entry["status"])
    unit = case["unit"]
    pair = timing.ratio(entry, reference) if reference else (None, None)
    spread = f"{amount(entry['q1'], unit)} – {amount(entry['q3'], unit)}"
    return (
        name,
        str(len(entry["values"])),
        amount(entry["median"], unit),
        spread,
        times(pair[0]),
        times(pair[1]),
        agreement_text(name, entry, case),
    )


def _reasons(case):
    """A line for everybody who was not timed."""
    what = {"wrong": "wrong result, not timed", "failed": "failed, not timed"}
    return [f"{n}: {what[e['status']]}: {e['reason']}" for n, e in case["entries"].items() if e["status"] != "timed"]


def agreement_text(name, entry, case):
    """By how much a result differed from the reference, next to what rounding explains."""
    if name == case["reference"]:
        return "reference"
    if "error" not in entry:
        return "–"
    if not entry["share_of_tolerance"]:
        return "equal"
    return f"{entry['error']:.0e} / {entry['error'] / entry['share_of_tolerance']:.0e}"


def layers_table(record, group):
    """ResNet-18's layers in one pass: times, ratio, and the share of the machine's ceilings."""
    ceiling = (record.get("ceilings") or {}).get(str(record["machine"]["threads"]))
    cases = [c for c in record["cases"] if c["benchmark"] == "conv" and c["group"] == group]
    rows, ratios, ratios_fast, missing = [], [], [], []
    for case in cases:
        ours, torch, jax = (fastest(case, family) for family in ("tinyvision", "PyTorch", "JAX"))
        fast = fastest(case, goals.FAST)
        ratio, ratio_fast = (timing.ratio(a, torch)[0] if a and torch else None for a in (ours, fast))
        ratios += [ratio] if ratio else []
        ratios_fast += [ratio_fast] if ratio_fast else []
        missing += [f"{case['case']}, {reason}" for reason in _reasons(case)]
        rows.append(
            (
                case["case"],
                _median(ours),
                _median(fast),
                _spread(fast or ours),
                _median(torch),
                _median(jax),
                times(ratio),
                times(ratio_fast),
                *_shares(case, fast or ours, ceiling),
            )
        )
    means = [times(timing.geometric_mean(some)) if some else "–" for some in (ratios, ratios_fast)]
    rows.append(("geometric mean", "", "", "", "", "", *means, "", "", ""))
    columns = ("layer", "NumPy alone", "with fast", "quartiles", "PyTorch", "JAX", "ratio", "with fast", "GFLOP/s")
    columns += ("of product", "of roofline")
    return Table(f"Convolutions, {group}, batch {cases[0]['batch']}", columns, rows, "\n".join(missing))


def _median(entry):
    return amount(entry and entry["median"], "s")


def _spread(entry):
    return f"{amount(entry['q1'], 's')} – {amount(entry['q3'], 's')}" if entry else "–"


def _shares(case, ours, ceiling):
    if not ours:
        return ("–",) * 3
    speed = case["flops"] / ours["median"]
    if not ceiling:
        return (f"{speed / 1e9:.0f}", "–", "–")
    bound = roofline.bound(case["flops"], case["least_bytes"], ceiling)
    return (
        f"{speed / 1e9:.0f}",
        f"{100 * speed / ceiling['product']:.0f} %",
        f"{100 * bound / ours['median']:.0f} %",
    )


def ceilings_table(record):
    """The machine's two measured ceilings."""
    rows = [
        (
            f"{threads} thread{'s' if threads != '1' else ''}",
            f"{c['product'] / 1e9:.0f} GFLOP/s",
            f"{c['copy'] / 1e9:.1f} GB/s",
        )
        for threads, c in record["ceilings"].items()
    ]
    note = (
        "Product: the best of a square float32 matrix product, 2048 on a side, by NumPy or PyTorch. Copy: the "
        "most bytes read and written in a second. A layer's arithmetic is counted by the definition of convolution; "
        "Winograd's way needs less of it, so it may exceed 100 %."
    )
    return Table("Ceilings of this machine", ("", "product", "copy"), rows, note)


def memory_table(case):
    """Growth and absolute peak of each process."""
    reference = fastest(case, "PyTorch")
    rows = []
    for name, entry in case["entries"].items():
        if entry["status"] != "timed":
            rows.append((name, "–", "–", "–", "–", entry["status"]))
            continue
        ratio = timing.ratio(entry, reference)[0] if reference else None
        whole = entry["peak"]["median"] / reference["peak"]["median"] if reference else None
        rows.append(
            (
                name,
                amount(entry["before"]["median"], "B"),
                amount(entry["peak"]["median"], "B"),
                times(whole),
                amount(entry["median"], "B"),
                times(ratio),
            )
        )
    columns = ("contestant", "before", "peak", "ratio of peaks", "growth", "ratio of growths")
    note = (
        f"Resident memory of a process of its own: before its first step, and at the peak of {case['steps']} steps. "
        "The goal is about the growth."
    )
    return Table(f"Memory of a training step: {case['case']}", columns, rows, "\n".join([note, *_reasons(case)]))


def scaling_table(cases):
    """One row for each value, tinyvision next to PyTorch's faster layout."""
    rows = []
    for case in cases:
        ours, fast, torch = (fastest(case, family) for family in ("tinyvision", goals.FAST, "PyTorch"))
        ratios = [times(timing.ratio(a, torch)[0] if a and torch else None) for a in (ours, fast)]
        rows.append((case["case"], _median(ours), _median(fast), _spread(fast or ours), _median(torch), *ratios))
    what = cases[0]["group"].rsplit(" ", 1)[-1]
    columns = (what, "NumPy alone", "with fast", "quartiles", "PyTorch", "ratio", "with fast")
    return Table(cases[0]["group"], columns, rows)


def breakdown_table(part):
    """Where the time goes: shares by kind of work, and the busiest places."""
    rows = [(kind, f"{100 * share:.0f} %") for kind, share in part["kinds"].items()]
    rows += [(f"  {place}", f"{100 * share:.1f} %") for place, share in part["places"].items()]
    note = f"{part['samples']} samples of one thread; {amount(part['seconds'], 's')} a call on that thread."
    return Table(f"Where the time goes: {part['work']}, {part['way']}", ("kind, then place", "share"), rows, note)


def correctness_table(record):
    """How far tinyvision's results are from the reference, next to what rounding explains."""
    groups = {}
    for case in record["cases"]:
        if case["benchmark"] != "import":
            groups.setdefault((case["benchmark"], case["group"]), []).append(case)
    rows = []
    for (benchmark, group), cases in groups.items():
        ours = [e for c in cases for e in c["entries"].values() if e["family"].startswith("tinyvision")]
        right = [e for e in ours if e["status"] == "timed"]
        worst = max(right, key=lambda e: e["share_of_tolerance"], default=None)
        others = sum(e["status"] == "wrong" for c in cases for e in c["entries"].values()) - sum(
            e["status"] == "wrong" for e in ours
        )
        rows.append(
            (
                f"{benchmark}: {group}",
                cases[0]["reference"] or "–",
                str(len(right)),
                str(len(ours) - len(right)),
                str(others),
                f"{worst['error']:.0e}" if worst else "–",
                f"{100 * worst['share_of_tolerance']:.0f} %" if worst else "–",
            )
        )
    columns = (
        "results",
        "compared with",
        "right",
        "wrong or failed",
        "wrong elsewhere",
        "worst error",
        "of what is allowed",
    )
    reasons = {t["why"].partition(":")[0]: t for c in record["cases"] for t in c["tolerance"].values()}
    note = (
        "Errors are shares of the reference. Allowed: "
        + "; ".join(f"{t['share']:.0e} ({t['why']})" for t in reasons.values() if "eps" not in t["why"])
        + "; for sums of n products 2·eps·√n, as errors add like a random walk and Winograd's are a few times larger."
    )
    return Table("Correctness: everything of tinyvision's that is timed", columns, rows, note)


def tables_of(record, benchmark):
    """The tables of one benchmark."""
    if benchmark == "profile":
        return [breakdown_table(part) for part in record.get("breakdown", [])]
    groups, made = {}, []
    for case in record["cases"]:
        if case["benchmark"] == benchmark:
            groups.setdefault(case["group"], []).append(case)
    if benchmark == "conv" and groups and record.get("ceilings"):
        made.append(ceilings_table(record))
    for group, cases in groups.items():
        if benchmark == "conv":
            made.append(layers_table(record, group))
        elif benchmark == "scaling":
            made.append(scaling_table(cases))
        else:
            made += [memory_table(case) if benchmark == "memory" else case_table(case) for case in cases]
    return made


def summary_tables(record):
    """What stands under all others: is everything right, and are the goals met?"""
    made = []
    if any(case["benchmark"] != "import" for case in record["cases"]):
        made.append(correctness_table(record))
    if any(outcome.ratio is not None for outcome in goals.outcomes(record["cases"])):
        made.append(goals_table(record, only_what_ran=True))
    return made


def machine_text(record):
    """One line on the machine, one on the libraries, one on the run."""
    m, load = record["machine"], record["load_average"]
    blas = ", ".join(f"{b['library']} {b['version']} ({b['kernel']}, {b['threads']} threads)" for b in m["blas"])
    memory = f", {m['memory_bytes'] / 2**30:.0f} GiB" if m["memory_bytes"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    everybody = f"Python {m['python']}, {m['threads']} threads for everybody"
    capability = f"; PyTorch uses {m['pytorch_cpu_capability']}" if m["pytorch_cpu_capability"] else ""
    commit = f", commit {m['commit']}" if m["commit"] else ""
    loads = f"load average {load['start']} before and {load['end']} after"
    return "\n".join(
        [
            f"{m['cpu']}, {m['cores']} cores{memory}, {m['system']}, {everybody}",
            f"{versions}; BLAS: {blas}{capability}",
            f"{record['created']}, {record['command']}, {record['seconds']:.0f} s, {loads}{commit}",
        ]
    )
