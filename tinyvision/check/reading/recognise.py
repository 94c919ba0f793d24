"""Trying the readings of a piece of code until one of them makes a right forward on plain probes.

A reading says how the code is called: which layouts its arrays have, which options are integers and which pairs, what
it has fixed for itself. Right numbers on probes whose axes all have sizes of their own are no accident; if no reading
makes them, the most usual one that runs is taken, and the forward is judged as wrong.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import reference, runner, supports
from ..ops import Spec
from ..place import fetched
from ..verdict import compare
from . import layouts as lay
from .calling import Offer, Unmet
from .choices import LABELS, layout_choices
from .drawn import observed, seeded
from .functions import Functions
from .layers import Layer
from .returned import gradients_of

SECONDS = 3.0  # of CPU for the search; code that is right is found in the first tries
PAIRS: tuple[frozenset, ...] = (frozenset(), frozenset({"kernel_size"}), frozenset({"kernel_size", "stride"}),
         frozenset({"kernel_size", "stride", "padding"}))  # fmt: skip
MODES = {"maxpool2d": ("max", "MAX"), "avgpool2d": ("average", "avg", "mean", "AVG")}
OWN = {"stride": (1, "kernel", 2), "padding": (0, "same", 1, 2), "kernel_size": (2, 3)}


@dataclass
class Reading:
    """One way to call the code, as a pair of functions in this library's form."""

    spec: Spec
    driver: Any
    layouts: dict = field(default_factory=dict)
    pairs: frozenset = frozenset()
    fixed: dict = field(default_factory=dict)
    mode: Any = None
    takes: str = "logits"  # what a loss wants: logits, or the probabilities of a softmax before it
    labels: str = "integers"
    seeds: bool = False  # dropout that draws its own mask
    keeps: bool = False  # and whose p is the share that is kept
    says: list = field(default_factory=list)
    reordered: bool = False
    without: tuple = ()  # parameters that the code does not have

    def layout(self, role: str) -> lay.Layout:
        """The layout of an argument, or of "y"."""
        return self.layouts.get(role, lay.USUAL)

    @property
    def names(self) -> list[str]:
        """The arguments that have a gradient."""
        return [a for a in self.spec.arguments if a not in ("labels", "mask")]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """(y, cache) in this library's form. Raises Unmet for what the code cannot be told."""
        self._expressible(options, inputs)
        shape = np.shape(inputs[0])
        first = self.layout(self.spec.arguments[0])
        if not first.single:
            y, state = self._one(inputs, options)
            return y, _Kept(inputs, options, [state], np.shape(y))
        outcomes = []
        for n in range(shape[0]):
            part = [a[n : n + 1] if axes[:1] == "N" else a for a, axes in zip(inputs, self.spec.axes, strict=True)]
            outcomes.append(self._one(part, options))
        ys = [y for y, _ in outcomes]
        y = np.concatenate(ys) if np.ndim(ys[0]) else np.mean(ys)
        return y, _Kept(inputs, options, [state for _, state in outcomes], np.shape(y))

    def _expressible(self, options, inputs):
        kernel = options.get("kernel_size", np.shape(inputs[1])[2:] if len(inputs) > 1 else None)
        for option, demand in (("padding", "padding"), ("stride", "stride"), ("kernel_size", "window")):
            if option in options and option in self.fixed:
                rule = supports._of_kernel(self.fixed[option], reference.pair(kernel))
                if tuple(rule) != reference.pair(options[option]):
                    raise Unmet(demand)

    def _one(self, inputs, options):
        """One call: arrays are handed over in their layout, and what it changes in them is carried back."""
        handed, arrays = [], {}
        if self.takes == "probabilities":
            inputs = (reference.softmax(inputs[0]), *inputs[1:])
        for role, array in zip(self.spec.arguments, inputs, strict=True):
            if role in self.without:
                continue
            if role == "labels" and self.labels != "integers":
                arrays[role] = LABELS[self.labels](np.asarray(array), np.shape(inputs[0])[1])
                continue
            layout = self.layout(role)
            mine = array if layout is lay.USUAL else np.array(layout.there(np.asarray(array)), order="C")
            arrays[role] = mine
            if layout is not lay.USUAL:
                handed.append((array, mine, mine.copy(), layout))
        offer = Offer(arrays, self._options(inputs, options, arrays), self.pairs, self.mode)
        expected = self._shape(inputs, options)
        with seeded(inputs[0]) if self.seeds else nullcontext():
            y, state = self.driver.forward(offer, self._there(expected))
        if "padding" in options and any(reference.pair(options["padding"])) and offer.unread("padding"):
            raise Unmet("padding")
        if "bias" in getattr(self.driver, "unset", ()) and "bias" not in self.without:
            self.without = (*self.without, "bias")
        for array, mine, before, layout in handed:
            if mine.shape == before.shape and not np.array_equal(mine, before):
                array[...] = layout.back(mine, np.shape(array))
        y = self._back(self.layout("y"), y, expected)
        if "bias" in self.without:
            bias = inputs[2]
            y = y + (bias[:, None, None] if np.ndim(y) == 4 else bias)
        return y, (inputs, state)

    def _shape(self, inputs, options):
        if self.spec.name == "cross_entropy":
            return ()
        if self.spec.name == "linear":
            return (len(inputs[0]), len(inputs[1]))
        if self.spec.name not in ("conv2d", "maxpool2d", "avgpool2d"):
            return np.shape(inputs[0])
        g = supports.geometry(inputs, options)
        channels = g.o if self.spec.name == "conv2d" else g.c
        return (g.n, channels, *reference.out_size(g.size, g.kernel, g.stride, g.padding))

    def _there(self, shape):
        return np.shape(self.layout("y").there(np.zeros(shape))) if shape else shape

    def _back(self, layout, array, shape):
        if layout is lay.USUAL:
            return array
        theirs = np.asarray(fetched(array))
        if theirs.ndim != np.ndim(layout.there(np.zeros(shape))):
            return theirs
        return layout.back(theirs, shape)

    def _options(self, inputs, options, arrays):
        out = dict(options)
        if self.keeps:
            out["p"] = 1 - out["p"]
        x = np.shape(inputs[0])
        theirs = np.shape(next(iter(arrays.values())))
        if self.spec.name in ("conv2d", "maxpool2d", "avgpool2d"):
            g = supports.geometry(inputs, options)
            out["kernel_size"] = g.kernel
            out["kernel_height"], out["kernel_width"] = g.kernel
            out["stride_height"], out["stride_width"] = g.stride
            out["in_channels"], out["out_channels"] = g.c, g.o
            out["filter_shape"] = np.shape(arrays["weight"]) if "weight" in arrays else g.kernel
            if hasattr(self.driver, "plan") and self.driver.plan.uses("out_channels"):
                out["filter_shape"] = g.kernel
        elif self.spec.name == "linear":
            out["in_channels"], out["out_channels"] = x[1], len(inputs[1])
        elif len(x) > 1:
            out["in_channels"] = out["out_channels"] = x[1]
        single = self.layout(self.spec.arguments[0]).single
        out.setdefault("input_shape", theirs if single else theirs[1:])
        out["batch"] = x[0]
        out.setdefault("momentum", 0.9)
        out.setdefault("axis", 1)
        out.setdefault("activation", None)
        out.setdefault("use_bias", True)
        out["learning_rate"] = 1.0
        return out

    def backward(self, dy: Any, cache: Any) -> Any:
        """The gradients of this library's form, one for each argument."""
        if len(cache.states) == 1:
            return self._gradients(dy, cache.states[0], cache.options)
        loss = np.ndim(dy) == 0
        parts = []
        for n, state in enumerate(cache.states):
            part = dy / len(cache.states) if loss else dy[n : n + 1]
            parts.append(self._gradients(part, state, cache.options))
        out: list[Any] = []
        for k, axes in enumerate(self.spec.axes):
            grads = [p[k] for p in parts]
            if any(g is None for g in grads):
                out.append(None)
            else:
                out.append(np.concatenate(grads) if axes[:1] == "N" else sum(grads))
        return tuple(out)

    def _gradients(self, dy, state, options):
        inputs, inner = state
        layout = self.layout("y")
        mine = dy if layout is lay.USUAL else np.array(layout.there(np.asarray(dy)), order="C")
        before = np.array(mine)
        value, inside = self.driver.backward(mine, inner)
        if layout is not lay.USUAL and not np.array_equal(mine, before):
            dy[...] = layout.back(mine, np.shape(dy))
        names = [n for n in self.names if n not in self.without]
        shaped = dict(zip(self.spec.arguments, inputs, strict=True))
        shapes = {n: self.layout(n).there(np.asarray(shaped[n])).shape for n in names}
        listed = names if not inside or isinstance(value, (tuple, list, dict)) else names[:1]
        found, reordered = gradients_of(value, listed, shapes)
        self.reordered |= reordered
        found = {**found, **inside}
        out = [self._ours(role, found.get(role), shaped[role]) for role in self.spec.arguments]
        if "bias" in self.without:
            out[2] = np.asarray(dy).sum(axis=tuple(a for a in range(np.ndim(dy)) if a != 1))
        if self.takes == "probabilities" and out[0] is not None:
            scores = shaped[self.spec.arguments[0]]
            out[0] = scores * (out[0] - (out[0] * scores).sum(1, keepdims=True))
        return tuple(out)

    def _ours(self, role, array, given):
        if array is None or role in ("labels", "mask"):
            return None
        layout, array = self.layout(role), fetched(array)
        theirs = layout.there(np.asarray(given))
        if np.shape(array) == np.shape(theirs):
            return layout.back(np.asarray(array), np.shape(given)) if layout is not lay.USUAL else array
        return array

    def pair(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """forward and backward as functions that point to the code they call."""

        def forward(*inputs, **options):
            return self.forward(*inputs, **options)

        def backward(dy, cache):
            return self.backward(dy, cache)

        front, rear = self.driver.written
        forward.__wrapped__, backward.__wrapped__ = front, rear  # type: ignore[attr-defined]
        return forward, backward

    def said(self) -> list[str]:
        """What was found out about the code, in words, for the report."""
        out = [layout.says for role, layout in self.layouts.items() if layout.says and role != "y"]
        if self.labels != "integers":
            out.append(f"labels {self.labels}")
        if self.takes == "probabilities":
            out.append("a loss that takes probabilities, checked behind a right softmax")
        for option, rule in self.fixed.items():
            if option == "eps":
                out.append(f"an eps of its own, {rule:g}")
            elif option != "weight":
                words = {"kernel": "the window's size", "same": "what keeps the size"}
                out.append(f"{option} always {words.get(rule, rule)}")
        if "bias" in self.without:
            out.append("no bias")
        if self.reordered:
            out.append("the data's gradient returned last")
        out += self.says
        found = getattr(self.driver, "found", {})
        out += [f"{role} in {path}" for role, path in found.items()]
        return out


class _Kept:
    """What forward leaves for backward. No __dict__: what other people's objects do to themselves is their affair."""

    __slots__ = ("inputs", "options", "shape", "states")

    def __init__(self, inputs, options, states, shape):
        self.inputs, self.options, self.states, self.shape = inputs, options, states, shape


def recognise(known: Spec, driver: Any, seconds: float = SECONDS) -> tuple[Reading, bool]:
    """(the reading that makes a right forward, True), or (the likeliest that runs, False)."""
    end = time.process_time() + seconds
    if known.name == "dropout" and not any("mask" in (*p.roles.values(), *p.spread) for p in driver.asks):
        return _drawn(known, driver)
    best: Any = None
    right: Any = None
    usual: Any = None
    error = np.inf
    for candidate in _candidates(known, driver):
        usual = usual or candidate
        found = _error(candidate)
        if found == 0.0 and _backward_runs(candidate):
            return _settled(candidate), True
        if found == 0.0:
            right = right or candidate
        elif found is not None and found < error:
            best, error = candidate, found
        if time.process_time() > end:
            break
    return (_settled(right), True) if right else (best or usual, False)


def _drawn(known, driver):
    """Dropout that draws its mask."""
    reading = Reading(known, driver, {}, mode="train", without=("mask",), seeds=True)

    def forward(x, p):
        return reading.forward(x, np.ones(x.shape, bool), p=p)[0]

    call = runner.call(lambda: observed(known, forward), ())
    if not call.ok or call.value is None:
        return reading, False
    reading.spec, keeps, reading.says = call.value
    reading.keeps = keeps
    return reading, True


def _backward_runs(reading):
    """Does backward return without an exception, the data's gradient in the right shape?"""
    probe = _plain(reading).probes(False)[0]
    call = runner.call(reading.forward, [np.array(i) for i in probe.inputs], probe.options, seconds=2.0)
    back = runner.call(reading.backward, (np.array(probe.dy)[()], call.value[1]), seconds=2.0) if call.ok else call
    return back.ok and np.shape(back.value[0]) == np.shape(probe.inputs[0])


def _plain(reading):
    """The op with plain probes, of one channel where the layout has no place for more."""
    missing = set(supports.DEMANDS) - {"batch", "channels"}
    if any("channels" in layout.needs for layout in reading.layouts.values()):
        missing.add("channels")
    return supports.tamed(reading.spec, missing, reading.fixed)


def _error(reading):
    """How far the forward is from right on plain probes: 0 for right, None if it raises or has another shape."""
    worst = 0.0
    for probe in _plain(reading).probes(False)[:2]:
        call = runner.call(reading.forward, [np.array(i) for i in probe.inputs], probe.options, seconds=2.0)
        if not call.ok:
            return None
        y = fetched(call.value[0])
        right = _right(reading, probe, y)
        if np.ndim(right) == 0 and np.size(y) == 1 and compare_loss(reading, probe, y):
            continue
        if np.shape(y) != np.shape(right) or np.asarray(y).dtype.kind not in "fiu":
            return None
        if compare(y, np.asarray(right)).level == "different":
            size = np.abs(right).max() or 1.0
            with np.errstate(all="ignore"):
                worst = max(worst, float(np.nan_to_num(np.abs(y - right).max() / size, nan=1e9)))
    return worst


def compare_loss(reading: Reading, probe: Any, y: Any) -> bool:
    """True if a loss is right but for a constant below 1e-5 beside the probability, which `guarded` finds."""
    worst = np.max(1 / reference.softmax(probe.inputs[0])) if len(probe.inputs) == 2 else 1.0
    return bool(abs(float(np.asarray(y).ravel()[0]) - float(probe.y)) <= 1.01e-5 * worst * max(1, len(probe.inputs[0])))


def _right(reading, probe, y):
    """What is right for this reading: batch-norm that takes no eps has its own, which its output tells."""
    if reading.spec.name != "batchnorm_train" or any(plan.uses("eps") for plan in reading.driver.asks):
        return probe.y
    if "eps" not in reading.fixed:
        reading.fixed["eps"] = _own_eps(probe, y)
    return reading.spec.forward(*probe.inputs, eps=reading.fixed["eps"])


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
    probe = _plain(reading).probes(False)[0]
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
    for fixed in _fixed_choices(known, driver):
        for chosen in layout_choices(known):
            forms = PAIRS if known.name in ("conv2d", "maxpool2d", "avgpool2d") else PAIRS[:1]
            for pairs in forms:
                for mode in MODES.get(known.name, ("train",)):
                    more = {k: chosen[k] for k in ("takes", "labels") if k in chosen}
                    spec = _summed(known) if chosen.get("summed") else known
                    arrays = {k: v for k, v in chosen.items() if isinstance(v, lay.Layout)}
                    absent = _absent(known, driver)
                    settled = {**fixed, **_own_sizes(driver, arrays)}
                    yield Reading(spec, driver, arrays, pairs, settled, mode, without=absent, **more)


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
    free = [o for o in named if not any(_asked(plan, o) for plan in asks)]
    for values in itertools.product(*(OWN[o] for o in free)):
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
