"""Trying the readings of a piece of code until one of them makes a right forward on plain probes.

A reading says how the code is called: which layouts its arrays have, which options are integers and which pairs, what
it has fixed for itself. Right numbers on probes whose axes all have sizes of their own are no accident; if no reading
makes them, the most usual one that runs is taken, and the forward is judged as wrong.
"""

import functools
import itertools
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np

from .. import reference, runner, supports
from ..ops import Spec
from ..place import fetched
from ..verdict import compare
from . import layouts as lay
from .calling import Unmet, UnmetKey
from .choices import layout_choices
from .drawn import observed
from .form import Reading
from .functions import Functions
from .layers import Layer

TRIES = 2000  # of readings that raise, at most; code that is right is found among the first
RAN = 5  # one that runs counts as so many
LINES = 40  # lines of the code that run, as one more
LONG = 2000  # one that is cut off, or calls itself without end, as so many
PAIRS: tuple[frozenset, ...] = (frozenset(), frozenset({"kernel_size"}), frozenset({"kernel_size", "stride"}),
         frozenset({"kernel_size", "stride", "padding"}))  # fmt: skip
WHOLE: tuple[frozenset, ...] = (frozenset({"whole"}), frozenset({"whole", "stride"}))  # "kernel" is the weight's shape
FILTER: tuple[frozenset, ...] = (frozenset({"filter"}), frozenset({"filter", "stride"}))  # or that of one filter
AFTER = 700  # tries in which, after a right forward, a reading is looked for whose backward is right too
MODES = {"maxpool2d": ("max", "MAX"), "avgpool2d": ("average", "avg", "mean", "AVG")}
OWN = {"stride": (1, "kernel", 2), "padding": (0, "same", "half", 1, 2), "kernel_size": ("stride", 2, 3, 5)}
OWN_KERNEL = (3, 5, 2, 1)
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep
_PYTHONS = sysconfig.get_path("stdlib") + os.sep


def recognise(known: Spec, driver: Any) -> tuple[Reading, bool]:
    """(the reading that makes a right forward, True), or (the likeliest that runs, False)."""
    if known.name == "dropout" and not any("mask" in (*p.roles.values(), *p.spread) for p in driver.asks):
        return _drawn(known, driver)
    found, right = _tried(known, driver, supports.PLAIN[0], TRIES)
    if found.raised is not None and not right and not found.waited and known.name == "conv2d":
        moved, right = _tried(known, driver, supports.PLAIN[1], TRIES // 2)
        found = moved if right else found
    return found, right


def _tried(known, driver, plain, most):
    """The same, by plain probes that do not ask for what is in `plain`."""
    tries, end = 0.0, float(most)
    lines: dict[Any, int] = {}  # of the code that run in a call, by how it ends
    best: Any = None
    right: Any = None
    usual: Any = None
    error, level, told, misshapen, other = np.inf, -1, -1, False, None
    for candidate in _candidates(known, driver):
        candidate.plain = plain
        usual = usual or candidate
        alone = candidate.single and right is not None and not right.single
        column = candidate.layout(known.arguments[0]).name == "column"
        grown = alone and column and getattr(driver, "grew", False)  # its step made a bias of each sample's gradient
        if level >= RUNS and alone and not grown:
            continue  # code that takes batches both ways is judged on batches: a mean over one sample hides what it is
        if right is not None and candidate.flat and not right.flat:
            continue  # so is code that takes images: on images of one pixel any order of the axes is right
        if level >= RUNS and not grown and not _may_be(candidate, right):
            continue  # its data cannot lie in two ways, as every axis has a size of its own
        if misshapen and candidate.layout(known.arguments[0]) is lay.ALONE:
            continue  # of images it makes others: that is wrong, and would be right of one pixel
        found = _error(candidate)
        endless = candidate.cut_off or isinstance(candidate.raised, RecursionError)
        if not endless and candidate.end not in lines:
            lines[candidate.end] = _lines(candidate)
        tries += LONG if endless else (1 if candidate.raised else RAN) + lines[candidate.end] / LINES
        misshapen |= found is None and candidate.raised is None and candidate.layout(known.arguments[0]) is lay.USUAL
        if found == 0.0:
            reached = _backward_level(candidate)
            if reached == RIGHT:
                if candidate.single and best is not None and not best.single:
                    candidate.says.append("a batch gives other numbers")
                if other is not None and _but_for_labels(candidate) == _but_for_labels(other):
                    candidate.says.append("with labels as integers its loss is right, and its gradient is not")
                return _settled(candidate), True
            if candidate.summed and _backward_level(averaged := replace(candidate, spec=known, summed=False)) == RIGHT:
                return averaged, False  # the sum as a loss, with the gradient of the mean
            if known.name == "cross_entropy" and candidate.labels == "integers" and reached in (RUNS, OPPOSED):
                other = other or candidate
            if reached > level or (grown and reached == level):
                right, level = candidate, reached
                end = min(end, tries + AFTER)
        elif found is not None and found < error:
            best, error = candidate, found
        elif found is None and _telling(candidate) > told:
            usual, told = candidate, _telling(candidate)
        if candidate.waited or tries > end:
            break
    if right is not None and right.single and best is not None and not best.single:
        right.says.append("a batch gives other numbers")
    return (_settled(right), True) if right else (best or usual, False)


def _may_be(other, right):
    """False for a reading with other data than one whose forward is right, unless that one hands over less at a time,
    or sums over all of its data as a loss does."""
    known, role = right.spec.name, right.spec.arguments[0]
    return right.single or right.flat or known == "cross_entropy" or other.layout(role) is right.layout(role)


def _but_for_labels(reading):
    return reading.layouts, reading.takes, reading.summed


# What is raised by code that is called with other shapes than it was written for.
MISREAD = ("broadcast", "unpack", "reshape", "aligned", "mismatch", "tuple", "bounds", "indices", "subscriptable",
           "axes", "dimension", "scalar", "squeeze", "len()", "iterable", "must be an integer")  # fmt: skip


def _telling(reading):
    """How much an exception tells of the code itself, and not of how it was called; or that nothing came back."""
    error = reading.raised
    if isinstance(error, UnmetKey) or reading.empty:
        return 3
    if error is None or isinstance(error, Unmet):
        return 0
    return 1 if any(word in runner.words_of(error) for word in MISREAD) else 2


def _drawn(known, driver):
    """Dropout that draws its mask."""
    reading = Reading(known, driver, {}, mode="train", without=("mask",), seeds=True)

    def forward(x, p):
        return reading.forward(x, np.ones(x.shape, bool), p=p)[0]

    call = runner.call(lambda: observed(known, forward), ())
    if driver.shown and (not call.ok or call.value is None):  # it is shown the shape of the whole batch
        reading.pairs = frozenset({"batch_shape"})
        call = runner.call(lambda: observed(known, forward), ())
    if not call.ok or call.value is None:
        return reading, False
    reading.spec, keeps, reading.says = call.value
    reading.keeps = keeps
    return reading, True


RAISES, RUNS, OPPOSED, RIGHT = 0, 1, 2, 3


def level(reading: Reading) -> int:
    """How well a reading fits on a plain probe: `RIGHT` if forward and backward are right, `OPPOSED` if the gradients
    are but for their sign, or a loss's for the size of the batch, -1 for a wrong forward."""
    return _backward_level(reading) if _error(reading) == 0.0 else -1


def _backward_level(reading):
    """Does backward return the data's gradient in the right shape, and are all its gradients right?

    A column of numbers and a row of them look alike to a forward; where the backward is right in one of the readings,
    that is the one in which the code was written."""
    probe = _plain(reading)[0]
    call = runner.call(reading.forward, [np.array(i) for i in probe.inputs], probe.options, seconds=2.0)
    back = runner.call(reading.backward, (np.array(probe.dy)[()], call.value[1]), seconds=2.0) if call.ok else call
    if not back.ok or np.shape(back.value[0]) != np.shape(probe.inputs[0]):
        return RAISES
    truth = reading.spec.backward(probe.inputs, {**probe.options, **_own(reading)}, probe.dy)
    pairs = [(g, t) for g, t in zip(back.value, truth, strict=True) if t is not None]
    if any(g is None or np.size(g) != np.size(t) for g, t in pairs):
        return RUNS
    factors: tuple = (1.0, -1.0)
    if "labels" in reading.spec.arguments:  # a mean over the batch that was left out, or taken twice
        factors += (1.0 / len(probe.inputs[0]), float(len(probe.inputs[0])))
    for factor in factors:
        if all(_close(factor * np.asarray(fetched(g)), t) for g, t in pairs):
            return RIGHT if factor == 1.0 else OPPOSED
    return RUNS


def _own(reading):
    """The number of its own that the code has for its op's one option."""
    option = OWN_NUMBERS[reading.spec.name][0] if reading.spec.name in OWN_NUMBERS else None
    return {option: reading.fixed[option]} if option in reading.fixed else {}


def _close(yours, right):
    return compare(np.reshape(np.asarray(fetched(yours)), np.shape(right)), np.asarray(right)).level != "different"


def _plain(reading):
    """Plain probes, of one channel where the layout has no place for more; made once for all readings alike."""
    key = (reading.spec, repr(sorted(reading.fixed.items())), _narrow(reading), reading.plain)
    if key not in _made:
        _made[key] = _plainly(reading).probes(False)
    return _made[key]


_made: dict[Any, list] = {}


def _narrow(reading):
    return any("channels" in layout.needs for layout in reading.layouts.values())


def _plainly(reading):
    missing = set(reading.plain)
    if _narrow(reading):
        missing.add("channels")
    return supports.tamed(reading.spec, missing, reading.fixed)


def _error(reading):
    """How far the forward is from right on plain probes: 0 for right, None if it raises or has another shape."""
    worst = 0.0
    probes = _plain(reading)
    for probe in probes[:2] + probes[3:4] * (reading.fixed.get("padding") in ("same", "half")):  # one has a 2x2 window
        call = runner.call(reading.forward, [np.array(i) for i in probe.inputs], probe.options, seconds=2.0)
        reading.end = (type(call.error), call.line)
        reading.raised, reading.cut_off, reading.waited = call.error, call.cut_off, call.waited
        if not call.ok:
            return None
        y = fetched(call.value[0])
        right = _right(reading, probe, y)
        if np.ndim(right) == 0 and np.size(y) == 1 and y is not None and compare_loss(reading, probe, y):
            continue
        if np.shape(y) != np.shape(right) or np.asarray(y).dtype.kind not in "fiu":
            return None
        if compare(y, np.asarray(right)).level == "different":
            size = np.abs(right).max() or 1.0
            with np.errstate(all="ignore"):
                worst = max(worst, float(np.nan_to_num(np.abs(y - right).max() / size, nan=1e9)))
    return worst


class _Lines:
    """A trace function that counts the lines which run outside of this library and of what is installed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            self.count += 1
        elif event == "call" and not _is_theirs(frame.f_code.co_filename):
            return None
        return self


@functools.cache
def _is_theirs(file):
    return not (file.startswith(("<", _OURS)) or "site-packages" in file or file.startswith(_PYTHONS))


def _lines(reading):
    """How many lines a call runs: how long it takes, on every machine alike."""
    lines, previous, probe = _Lines(), sys.gettrace(), _plain(reading)[0]
    inputs = [np.array(i) for i in probe.inputs]
    sys.settrace(lines)
    try:
        runner.call(reading.forward, inputs, probe.options, seconds=2.0)
    finally:
        sys.settrace(previous)
    return lines.count


def compare_loss(reading: Reading, probe: Any, y: Any) -> bool:
    """True if a loss is right but for a constant below 1e-5 beside the probability, which `guarded` finds."""
    worst = np.max(1 / reference.softmax(probe.inputs[0])) if len(probe.inputs) == 2 else 1.0
    return bool(abs(float(np.asarray(y).ravel()[0]) - float(probe.y)) <= 1.01e-5 * worst * max(1, len(probe.inputs[0])))


def _right(reading, probe, y):
    """What is right for this reading: batch-norm that takes no eps has its own, which its output tells."""
    option, read = OWN_NUMBERS.get(reading.spec.name, (None, None))
    if option is None or any(plan.uses(option) for plan in reading.driver.asks):
        return probe.y
    if option not in reading.fixed:
        reading.fixed[option] = read(probe, y)
    return reading.spec.forward(*probe.inputs, **{option: reading.fixed[option]})


def _own_eps(probe, y):
    """eps from σ² + eps = (weight σ / σ of y)², rounded to the two digits that people write."""
    x, weight, _ = probe.inputs
    if np.shape(y) != x.shape:
        return 1e-5
    with np.errstate(all="ignore"):
        spread = np.var(np.asarray(y, dtype=np.float64), axis=(0, 2, 3))
        variance = x.var(axis=(0, 2, 3))
        found = float(np.median(weight**2 * variance / spread - variance))
    if not np.isfinite(found) or not 1e-13 < found < 0.1:
        return 0.0 if abs(found) < 1e-13 else 1e-5
    return float(f"{found:.1e}")


def _own_slope(probe, y):
    """What stands before the part of a leaky ReLU or an ELU that is not x, to three digits; the usual if it is none."""
    x, unit, most = probe.inputs[0], reference.elu if "alpha" in probe.options else reference.leaky_relu, 10.0
    if unit is reference.leaky_relu:
        most = 0.99
    below = x < 0
    with np.errstate(all="ignore"):
        shares = np.asarray(y)[below] / unit(x[below], 1.0) if np.shape(y) == x.shape else np.array([np.nan])
        found = float(np.median(shares))
    usual = 1.0 if unit is reference.elu else 0.01
    return float(f"{found:.3g}") if 1e-4 < found <= most else usual


def _own_form(probe, y):
    """By which of the formulas a GELU goes."""
    forms = ("none", "tanh", "sigmoid")
    if np.shape(y) != np.shape(probe.y):
        return "none"
    return min(forms, key=lambda form: float(np.abs(reference.gelu(probe.inputs[0], form) - y).max()))


# The one option of these ops that code may have settled for itself, and how its output tells the number.
OWN_NUMBERS: dict[str, tuple[str, Any]] = {
    "batchnorm_train": ("eps", _own_eps),
    "leaky_relu": ("negative_slope", _own_slope),
    "elu": ("alpha", _own_slope),
    "gelu": ("approximate", _own_form),
}


def _settled(reading):
    """The bias may have lain otherwise: backward's own gradient of it tells."""
    for layout in (v for v in lay.VECTORS if "bias" in reading.layouts or "bias" in reading.spec.arguments):
        if _gradient_shapes_fit(reading):
            return reading
        other = replace(reading, layouts={**reading.layouts, "bias": layout})
        if reading.spec.name == "batchnorm_train":
            other.layouts["weight"] = layout
        if _error(other) == 0.0 and _gradient_shapes_fit(other):
            return other
    return reading


def _gradient_shapes_fit(reading):
    probe = _plain(reading)[0]
    call = runner.call(reading.forward, [np.array(i) for i in probe.inputs], probe.options, seconds=2.0)
    if not call.ok:
        return True
    back = runner.call(reading.backward, (np.array(probe.dy)[()], call.value[1]), seconds=2.0)
    if not back.ok or "bias" not in reading.spec.arguments:
        return True
    grad = back.value[reading.spec.arguments.index("bias")]
    return grad is None or np.shape(grad) == np.shape(probe.inputs[2])


def _candidates(known: Spec, driver: Any) -> Iterator[Reading]:
    """Readings, the likeliest first."""
    inside = isinstance(driver, Layer) and not driver.told("bias")
    vectors = lay.VECTORS[:1] if inside else lay.VECTORS  # a layer shows in which shape it keeps its bias
    choices = [(fixed, chosen) for fixed in _fixed_choices(known, driver) for chosen in layout_choices(known, vectors)]
    # What code has settled for itself is asked in the usual layouts first, before any layout that few people have.
    for fixed, chosen in sorted(choices, key=lambda c: _rarity(c[1])):
        for pairs in _forms(known, driver):
            for mode in MODES.get(known.name, ("train",)):
                more = {k: chosen[k] for k in ("takes", "labels", "summed", "joined") if k in chosen}
                spec = _summed(known) if chosen.get("summed") else known
                arrays = {k: v for k, v in chosen.items() if isinstance(v, lay.Layout)}
                absent = _absent(known, driver)
                settled = {**fixed, **_own_sizes(driver, arrays)}
                yield Reading(spec, driver, arrays, pairs, settled, mode, without=absent, **more)


def _rarity(chosen):
    """0 for images in one of the three orders that most people have, with kernels that go with it and a bias (O,), or
    (1, 1, 1, O) beside the images of a course; 1 for these with another bias, 2 for all else."""
    kernels = {"usual": "usual", "CHW": "usual", "NHWC": "HWCO"}
    x, weight, bias = (chosen[a].name if a in chosen else None for a in ("x", "weight", "bias"))
    if weight is not None and kernels.get(x) != weight:
        return 2
    return 0 if bias in (None, "usual") or (x, bias) == ("NHWC", "111O") else 1


def _forms(known, driver):
    """Which options are pairs, and which shapes are whole."""
    asked = [o for o in ("kernel_size", "stride", "padding") if any(_asked(plan, o) for plan in driver.asks)]
    forms = tuple(dict.fromkeys(frozenset(form & set(asked)) for form in PAIRS))
    if known.name == "conv2d" and driver.plan.uses("kernel_size"):
        forms = (*forms, *WHOLE)
    if known.name == "conv2d" and driver.plan.uses("filter_shape") and driver.plan.uses("out_channels"):
        forms = (*forms, *FILTER)
    if driver.shown and known.name == "linear":
        forms = (*forms, *(f | {"number"} for f in forms))  # the shape of a sample, (I,), as the number I
    if driver.shown:
        forms = (*forms, *(f | {"batch_shape"} for f in forms))
    return forms


def _own_sizes(driver, layouts):
    """The weight's shape in this library's order, where the layer comes with its sizes settled."""
    theirs = driver.own_shape() if isinstance(driver, Layer) and "weight" in driver.inner else None
    layout = layouts.get("weight", lay.USUAL)
    if theirs is None:
        return {}
    try:
        return {"weight": layout.back(np.zeros(theirs), theirs).shape}
    except ValueError:
        return {}


def _absent(known, driver):
    """("bias",) where the code has no place for one."""
    if "bias" not in known.arguments or not isinstance(driver, Functions):
        return driver.lacks if isinstance(driver, Layer) and hasattr(driver, "lacks") else ()
    return () if driver.plan.uses("bias") else ("bias",)


def _fixed_choices(known, driver):
    """What the code has settled for itself: options that no parameter asks for."""
    named = [o for o in ("kernel_size", "stride", "padding") if o in _options_of(known)]
    asks = driver.asks
    if known.name == "conv2d" and isinstance(driver, Layer) and driver.parameters and not driver.told("weight"):
        named.append("kernel_size")  # a window whose size stands in the code
    free = [o for o in named if not any(_asked(plan, o) for plan in asks)]
    choices = {**OWN, "kernel_size": OWN_KERNEL} if known.name == "conv2d" else OWN
    for values in itertools.product(*(choices[o] for o in free)):
        if "stride" in values and "stride" in free:  # a window as large as a stride that nobody hands over
            continue
        yield dict(zip(free, values, strict=True))


def _asked(plan, option):
    parts = {"kernel_size": ("kernel_size", "kernel_height", "filter_shape"), "stride": ("stride", "stride_height")}
    return any(plan.uses(role) for role in parts.get(option, (option,)))


def _options_of(known):
    return next(iter(known.make(False)))[2]


def _summed(known):
    """The loss as the sum over the batch where the usual one is the mean."""
    return replace(
        known,
        forward=lambda logits, labels: known.forward(logits, labels) * len(labels),
        backward=lambda i, o, dy: tuple(None if g is None else g * len(i[1]) for g in known.backward(i, o, dy)),
    )
