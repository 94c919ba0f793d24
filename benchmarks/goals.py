"""The goals, as ratios to PyTorch in the same run (lower is better), and whether a record meets them."""

from collections.abc import Callable
from typing import NamedTuple

from . import timing
from .conv import UNREAD
from .suite import fastest

FAST = "tinyvision fast"  # the family of contestants with the compiled loops


class Goal(NamedTuple):
    """A ratio that must not be above `must`, and is hoped to be at most `aim`, with the compiled loops of `fast`."""

    work: str
    against: str
    must: float
    aim: float
    # of a record's cases, with `fast` or without: (our values, their values) for each that the goal averages over
    pairs: Callable[[list, bool], list]
    benchmark: str
    unit: str = "s"


def one(benchmark, group, name="", ours="tinyvision", theirs="PyTorch"):
    """The pairs of a goal that is about a single case, found by its name."""

    def pairs(cases, fast):
        found = [
            c for c in cases if (c["benchmark"], c["group"]) == (benchmark, group) and (not name or c["case"] == name)
        ]
        return [p for p in (pair(c, ours, theirs, fast) for c in found[:1]) if p]

    return pairs


def pair(case, ours, theirs, fast=False):
    """(our values, theirs) of the quickest entry of each family, or None unless both were timed."""
    a, b = fastest(case, ours.replace("tinyvision", FAST, 1) if fast else ours), fastest(case, theirs)
    return (a["values"], b["values"]) if a and b else None


def layers(*groups):
    """One pair for each convolution layer, the passes in `groups` added up; incomplete if any of them was not
    timed."""

    def pairs(cases, fast):
        of_layer = {}
        for case in cases:
            unread = case["group"] == "image gradient" and case["case"] == UNREAD
            if case["benchmark"] == "conv" and case["group"] in groups and not unread:
                of_layer.setdefault(case["case"], []).append(pair(case, "tinyvision", "PyTorch", fast))
        if any(part is None for parts in of_layer.values() for part in parts):
            return []
        return [
            tuple([sum(turn) for turn in zip(*side, strict=True)] for side in zip(*parts, strict=True))
            for parts in of_layer.values()
        ]

    return pairs


def _cnn(batch):
    return one("cnn", "training step", f"SimpleCNN, batch {batch}, 3×24×24")


def _resnet(batch, *families):
    return one("resnet18", "inference", f"ResNet-18, batch {batch}", *families)


FOLDED = ("tinyvision folded", "PyTorch frozen")
ORT = ("tinyvision folded", "ONNX Runtime")
_backward = layers("image gradient", "weight gradient")

# work, against, must, aim, pairs, benchmark, unit
GOALS = tuple(
    Goal(*row)
    for row in (
        ("SimpleCNN training step, batch 64", "eager", 1.0, 0.75, _cnn(64), "cnn"),
        ("SimpleCNN training step, batch 8", "eager", 1.3, 1.0, _cnn(8), "cnn"),
        ("SimpleCNN training step, batch 1", "eager", 1.5, 1.0, _cnn(1), "cnn"),
        ("ResNet-18 inference, batch 8, as loaded", "eager", 0.9, 0.7, _resnet(8), "resnet18"),
        ("ResNet-18 inference, batch 8, folded", "frozen", 0.95, 0.75, _resnet(8, *FOLDED), "resnet18"),
        ("ResNet-18 inference, batch 8, folded", "ONNX Runtime", 1.3, 1.0, _resnet(8, *ORT), "resnet18"),
        ("ResNet-18 inference, batch 1, as loaded", "eager", 1.1, 0.8, _resnet(1), "resnet18"),
        ("ResNet-18 inference, batch 1, folded", "frozen", 1.0, 0.8, _resnet(1, *FOLDED), "resnet18"),
        ("ResNet-18 inference, batch 1, folded", "ONNX Runtime", 2.0, 1.5, _resnet(1, *ORT), "resnet18"),
        ("ResNet-18 training step, batch 8", "eager", 1.0, 0.8, one("resnet18", "training step"), "resnet18"),
        ("convolution layers, forward (geometric mean)", "eager", 0.95, 0.75, layers("forward"), "conv"),
        ("convolution layers, backward (geometric mean)", "eager", 1.0, 0.75, _backward, "conv"),
        ("EfficientNet-Lite0 inference, batch 8", "eager", 1.0, 0.8, one("networks", "inference"), "networks"),
        (
            "EfficientNet-Lite0 training step, batch 8",
            "eager",
            1.1,
            0.8,
            one("networks", "training step", "EfficientNet-Lite0, batch 8"),
            "networks",
        ),
        (
            "U-Net training step, batch 12",
            "eager",
            1.0,
            0.8,
            one("networks", "training step", "U-Net, batch 12"),
            "networks",
        ),
        (
            "peak memory of a ResNet-18 training step, batch 8",
            "eager",
            0.8,
            0.7,
            one("memory", "training step"),
            "memory",
            "B",
        ),
        ("import tinyvision / import torch", "import", 0.15, 0.1, one("import", "import"), "import"),
    )
)


class Outcome(NamedTuple):
    """A goal and what a record says about it; `ratio` is None where it was not measured."""

    goal: Goal
    ratio: float | None = None
    paired: float | None = None
    spread: tuple = ()
    ours: float | None = None
    theirs: float | None = None

    @property
    def verdict(self):
        """ "aim met", "must met", "missed" (with by how much) or "not measured"."""
        if self.ratio is None:
            return "not measured"
        if self.ratio <= self.goal.aim:
            return "aim met"
        if self.ratio <= self.goal.must:
            return "must met"
        return f"missed by {100 * (self.ratio / self.goal.must - 1):.0f} %"

    @property
    def missed(self):
        """True if it was measured and is above `must`."""
        return self.ratio is not None and self.ratio > self.goal.must


def outcome(goal, cases, fast=None):
    """The ratio of the medians; the median of the ratios turn by turn and its quartiles; the medians of both
    sides. With the compiled loops or with NumPy alone; if that is not said, with the loops where they took part."""
    pairs = goal.pairs(cases, True) if fast is not False else []
    if not pairs and not fast:
        pairs = goal.pairs(cases, False)
    if not pairs:
        return Outcome(goal)
    medians = [(timing.quartiles(a)[1], timing.quartiles(b)[1]) for a, b in pairs]
    ratio = timing.geometric_mean([a / b for a, b in medians])
    paired, spread = None, ()
    if all(len(a) == len(b) for a, b in pairs):
        turns = [timing.quartiles([x / y for x, y in zip(a, b, strict=True)]) for a, b in pairs]
        low, paired, high = (timing.geometric_mean(column) for column in zip(*turns, strict=True))
        spread = (low, high)
    ours, theirs = (sum(column) for column in zip(*medians, strict=True))
    return Outcome(goal, ratio, paired, spread, ours, theirs)


def outcomes(cases, fast=None):
    """Every goal's outcome."""
    return [outcome(goal, cases, fast) for goal in GOALS]


def has_fast(cases):
    """Whether the compiled loops took part."""
    return any(e["family"].startswith(FAST) for c in cases for e in c["entries"].values())
