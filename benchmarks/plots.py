"""The pictures of a record, as SVG. Dark ink on a light panel of its own, so that they read the same on light and
dark pages."""

from pathlib import Path

from . import goals, tables, timing
from .suite import fastest

INK, PALE, PANEL = "#333333", "#bbbbbb", "#fbfaf7"
# Okabe and Ito's palette: told apart by every kind of eye.
COLOURS = {
    "tinyvision": "#0072b2",
    "PyTorch": "#d55e00",
    "JAX": "#009e73",
    "DeZero": "#cc79a7",
    "MyGrad": "#7a5c00",
    "NumPy": "#56b4e9",
}
PASSES = {"forward": "#0072b2", "image gradient": "#d55e00", "weight gradient": "#009e73"}
KINDS = ("#0072b2", "#56b4e9", "#cc79a7", "#e69f00", "#bbbbbb")

# benchmark -> the pictures that belong to it
OF = {
    "cnn": ("cnn",),
    "conv": ("layers", "roofline"),
    "resnet18": ("resnet18",),
    "scaling": ("scaling",),
    "profile": ("profile",),
}


def draw(record, path, pictures=None):
    """Write the pictures that this record has numbers for beside it; returns {name: (file name, what it shows)}."""
    import matplotlib

    with matplotlib.rc_context(
        {
            "svg.hashsalt": "tinyvision",
            "svg.fonttype": "path",
            "font.size": 9,
            "figure.facecolor": PANEL,
            "axes.facecolor": PANEL,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": PALE,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "font.family": "DejaVu Sans",
        }
    ):
        drawn = {}
        for name, (function, text) in (PICTURES if pictures is None else pictures).items():
            figure = function(record)
            if figure is not None:
                file = Path(path).with_name(f"{Path(path).stem}-{name}.svg")
                figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
                drawn[name] = (file.name, text)
    return drawn


def canvas(width, height, columns=1, **options):
    """A figure with some panels beside one another."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def goals_picture(record):
    """Bars of ratios with marks at must and aim."""
    outcomes = [o for o in goals.outcomes(record["cases"]) if o.ratio is not None]
    if not outcomes:
        return None
    figure, axes = canvas(8, 0.42 * len(outcomes) + 0.9)
    for i, o in enumerate(outcomes):
        axes.barh(i, o.ratio, 0.55, color="#d55e00" if o.missed else "#0072b2")
        axes.plot([o.goal.must] * 2, [i - 0.4, i + 0.4], color=INK, lw=2, label="must" if i == 0 else None)
        axes.plot([o.goal.aim] * 2, [i - 0.4, i + 0.4], color=INK, lw=1, ls=":", label="aim" if i == 0 else None)
        axes.text(max(o.ratio, o.goal.must), i, f"  {o.ratio:.2f}", va="center", ha="left", fontsize=8)
    axes.set_yticks(range(len(outcomes)), [f"{o.goal.work} ({o.goal.against})" for o in outcomes])
    axes.invert_yaxis()
    axes.axvline(1, color=PALE, lw=1, zorder=0)
    axes.set_xlabel("tinyvision / PyTorch, lower is better")
    axes.legend(loc="lower right")
    return figure


def contestants(record, benchmark, group):
    """Horizontal bars, one panel for each case of a group."""
    cases = [c for c in record["cases"] if (c["benchmark"], c["group"]) == (benchmark, group)]
    cases = [c for c in cases if any(e["status"] == "timed" for e in c["entries"].values())]
    if not cases:
        return None
    timed = [{n: e for n, e in c["entries"].items() if e["status"] == "timed"} for c in cases]
    figure, panels = canvas(
        8 if len(cases) == 1 else 4 * len(cases), 0.3 * max(map(len, timed)) + 0.9, len(cases), squeeze=False
    )
    for axes, case, entries in zip(panels[0], cases, timed, strict=True):
        names = list(entries)
        middle = [entries[n]["median"] * 1e3 for n in names]
        error = [
            [(entries[n]["median"] - entries[n]["q1"]) * 1e3 for n in names],
            [(entries[n]["q3"] - entries[n]["median"]) * 1e3 for n in names],
        ]
        colours = [COLOURS.get(n.split()[0], PALE) for n in names]
        axes.barh(names, middle, 0.6, xerr=error, color=colours, error_kw={"ecolor": INK, "elinewidth": 1})
        for i, value in enumerate(middle):
            axes.text(value + error[1][i], i, f" {tables.amount(value / 1e3, 's')}", va="center", fontsize=8)
        axes.set_title(case["case"], fontsize=9)
        axes.set_xlim(0, max(m + e for m, e in zip(middle, error[1], strict=True)) * 1.25)
        axes.set_xlabel("milliseconds")
        axes.invert_yaxis()
    return figure


def layers_picture(record):
    """The ratio of every layer and pass."""
    cases = [c for c in record["cases"] if c["benchmark"] == "conv" and goals.pair(c, "tinyvision", "PyTorch")]
    if not cases:
        return None
    names = list(dict.fromkeys(c["case"] for c in cases))
    figure, axes = canvas(8, 0.5 * len(names) + 1)
    for j, (group, colour) in enumerate(PASSES.items()):
        some = {
            c["case"]: timing.ratio(fastest(c, "tinyvision"), fastest(c, "PyTorch"))[0]
            for c in cases
            if c["group"] == group
        }
        axes.barh([names.index(n) + 0.27 * (j - 1) for n in some], list(some.values()), 0.25, color=colour, label=group)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(1, color=INK, lw=1)
    axes.set_xlabel("tinyvision / PyTorch, lower is better")
    axes.legend(loc="best")
    return figure


def roofline_picture(record):
    """Forward passes under the machine's two ceilings."""
    ceiling = (record.get("ceilings") or {}).get(str(record["machine"]["threads"]))
    cases = [c for c in record["cases"] if c["benchmark"] == "conv" and c["group"] == "forward"]
    if not cases or not ceiling:
        return None
    figure, axes = canvas(8, 4)
    lean = [c["flops"] / c["least_bytes"] for c in cases]
    span = [min(lean) / 1.5, max(lean) * 1.5]
    knee = ceiling["product"] / ceiling["copy"]
    corners = sorted({*span, min(max(knee, span[0]), span[1])})
    axes.plot(
        corners, [min(ceiling["product"], i * ceiling["copy"]) / 1e9 for i in corners], color=INK, label="ceilings"
    )
    for family, mark in (("tinyvision", "o"), ("PyTorch", "s"), ("JAX", "^")):
        points = [
            (i, c["flops"] / fastest(c, family)["median"] / 1e9)
            for i, c in zip(lean, cases, strict=True)
            if fastest(c, family)
        ]
        if points:
            axes.scatter(*zip(*points, strict=True), color=COLOURS[family], marker=mark, s=28, label=family, zorder=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("FLOP of the definition for each byte that must move")
    axes.set_ylabel("GFLOP/s")
    axes.legend(loc="lower right")
    return figure


def scaling_picture(record):
    """Lines over batch, size and threads."""
    groups = {}
    for case in record["cases"]:
        if case["benchmark"] == "scaling" and goals.pair(case, "tinyvision", "PyTorch"):
            groups.setdefault(case["group"], []).append(case)
    if not groups:
        return None
    figure, panels = canvas(3.2 * len(groups), 3, len(groups), squeeze=False)
    for axes, (group, cases) in zip(panels[0], groups.items(), strict=True):
        for family, mark in (("tinyvision", "o-"), ("PyTorch", "s--")):
            axes.plot(
                [c["value"] for c in cases],
                [fastest(c, family)["median"] * 1e3 for c in cases],
                mark,
                color=COLOURS[family],
                ms=4,
                label=family,
            )
        if len(cases) > 3:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(bottom=0)
        values = [c["value"] for c in cases]
        axes.set_xticks(values, map(str, values))
        axes.minorticks_off()
        axes.set_title(group, fontsize=9)
        axes.set_ylabel("milliseconds")
    panels[0][0].legend(loc="best")
    return figure


def profile_picture(record):
    """Stacked bars of the kinds of work."""
    parts = record.get("breakdown")
    if not parts:
        return None
    figure, axes = canvas(8, 0.4 * len(parts) + 0.9)
    left = [0.0] * len(parts)
    for name, colour in zip(parts[0]["kinds"], KINDS, strict=True):
        widths = [100 * part["kinds"][name] for part in parts]
        axes.barh(
            [f"{part['work']}, {part['way']}" for part in parts], widths, 0.6, left=left, color=colour, label=name
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("% of the time, on one thread")
    axes.legend(loc="lower center", bbox_to_anchor=(0.3, 1), ncols=5, fontsize=8)
    return figure


PICTURES = {
    "goals": (goals_picture, "The goals: ratios to PyTorch, with marks at must and aim"),
    "cnn": (lambda record: contestants(record, "cnn", "training step"), "SimpleCNN's training step by library"),
    "layers": (layers_picture, "The ratio to PyTorch of every convolution of ResNet-18 and pass"),
    "roofline": (roofline_picture, "The forward passes under the machine's ceilings"),
    "resnet18": (
        lambda record: contestants(record, "resnet18", "inference"),
        "ResNet-18 inference by library and batch",
    ),
    "scaling": (scaling_picture, "Time over batch size, image size and threads"),
    "profile": (profile_picture, "Where tinyvision's time goes"),
}
