"""The goals, as ratios to PyTorch in the same run (lower is better), and whether a record meets them."""

from collections.abc import Callable
from typing import NamedTuple

from . import timing
from .conv import UNREAD
from .suite import fastest


class Goal(NamedTuple):
    """A ratio that must not be above `must`, and is hoped to be at most `aim`."""

    work: str
    against: str
    must: float
    aim: float
    pairs: Callable[
        [list], list
    ]  # of a record's cases: (our values, their values) for each that the goal averages over
    benchmark: str
    unit: str = "s"


def one(benchmark, group, name="", ours="tinyvision", theirs="PyTorch"):
    """The pairs of a goal that is about a single case, found by the beginning of its name."""

    def pairs(cases):
        found = [c for c in cases if (c["benchmark"], c["group"]) == (benchmark, group) and _matches(c["case"], name)]
        return [p for p in (pair(c, ours, theirs) for c in found[:1]) if p]

    return pairs


def _matches(case, name):
    return not name or case == name


def pair(case, ours, theirs):
    """(our values, theirs) of the quickest entry of each family, or None unless both were timed."""
    a, b = fastest(case, ours), fastest(case, theirs)
    return (a["values"], b["values"]) if a and b else None


def layers(*groups):
    """One pair for each convolution layer, the passes in `groups` added up; incomplete if any of them was not
    timed."""

    def pairs(cases):
        of_layer = {}
        for case in cases:
            unread = case["group"] == "image gradient" and case["case"] == UNREAD
            if case["benchmark"] == "conv" and case["group"] in groups and not unread:
                of_layer.setdefault(case["case"], []).append(pair(case, "tinyvision", "PyTorch"))
        if any(part is None for parts in of_layer.values() for part in parts):
            return []
        return [
            tuple([sum(turn) for turn in zip(*side, strict=True)] for side in zip(*parts, strict=True))
            for parts in of_layer.values()
        ]

    return pairs


GOALS = (
    Goal("SimpleCNN training step, batch 64", "eager", 1.0, 0.7, one("cnn", "training step"), "cnn"),
    Goal(
        "ResNet-18 inference, batch 8, as loaded",
        "eager",
        1.0,
        0.7,
        one("resnet18", "inference", "ResNet-18, batch 8"),
        "resnet18",
    ),
    Goal(
        "ResNet-18 inference, batch 8, folded",
        "frozen",
        1.3,
        1.0,
        one("resnet18", "inference", "ResNet-18, batch 8", "tinyvision folded", "PyTorch frozen"),
        "resnet18",
    ),
    Goal(
        "ResNet-18 inference, batch 1, folded",
        "frozen",
        1.4,
        1.0,
        one("resnet18", "inference", "ResNet-18, batch 1", "tinyvision folded", "PyTorch frozen"),
        "resnet18",
    ),
    Goal("ResNet-18 training step, batch 8", "eager", 1.15, 0.9, one("resnet18", "training step"), "resnet18"),
    Goal("convolution layers, forward (geometric mean)", "eager", 1.3, 1.0, layers("forward"), "conv"),
    Goal(
        "convolution layers, backward (geometric mean)",
        "eager",
        1.3,
        1.0,
        layers("image gradient", "weight gradient"),
        "conv",
    ),
    Goal(
        "peak memory of a ResNet-18 training step, batch 8",
        "eager",
        1.0,
        0.8,
        one("memory", "training step"),
        "memory",
        "B",
    ),
    Goal("import tinyvision / import torch", "import", 0.15, 0.1, one("import", "import"), "import"),
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


def outcome(goal, cases):
    """The ratio of the medians; the median of the ratios turn by turn and its quartiles; the medians of both
    sides."""
    pairs = goal.pairs(cases)
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


def outcomes(cases):
    """Every goal's outcome."""
    return [outcome(goal, cases) for goal in GOALS]
