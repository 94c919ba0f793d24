"""`check.chain`: layers that are right only together, a loss that leaves the 1/N to them, a softmax that hands dy on.

Each layer alone may look off by a factor. What counts is what the optimiser gets: the gradient of every parameter must
be the slope of the loss, and that is measured, by central differences of the loss itself through all layers.
"""

import inspect
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OptionError
from . import runner
from .findings import Finding, Where
from .place import fetched
from .reading import Functions, Layer, is_layer
from .reading.calling import Offer, Unmet
from .reading.drawn import seeded
from .reading.returned import gradients_of
from .reading.slots import is_called, slots
from .report import Report
from .verdict import holds_float32

ELEMENTS = 10  # of each parameter are measured
PARAMETERS = ("weight", "bias")
INSIDE = ("x", *PARAMETERS)


def chain(layers: Sequence[Any], x: Any, labels: Any, *, time_limit: float = runner.TIME_LIMIT) -> Report:
    """Check layers and their loss together: `check.chain([Dense(4, 5), ReLU(), Dense(5, 3), Loss()], x, labels)`.

    `layers` are objects with forward and backward, as `check.layer` takes them, made and ready; the last one is the
    loss, an object or a function that returns (loss, gradient). `x` is a batch of at least two samples, `labels` are as
    the loss takes them. Weights are found in the layers by their usual names; nothing in the layers is changed.

    The report has a status for each parameter of each layer. Returns a Report. Raises OptionError."""
    started, report = time.perf_counter(), Report(f"chain of {len(layers)} layers")
    links = [_Link(k, layer, k == len(layers) - 1) for k, layer in enumerate(layers)]
    if len(links) < 2:
        raise OptionError("check.chain: a chain is at least one layer and a loss")
    x = np.asarray(x, dtype=np.float64)
    parameters = [dict(link.parameters) for link in links]
    told = runner.call(lambda: _backward(links, x, labels, parameters), (), seconds=time_limit)
    if told.ok:
        _compare(report, links, x, labels, parameters, told.value)
    else:
        words = f"raised {runner.described(told.error)}" if told.error else f"took more than {time_limit:g} s"
        report.findings.append(Finding("chain", f"One pass through the layers and back {words}.", kind="exception"))
        report.status["chain"] = "wrong"
    report.seconds = time.perf_counter() - started
    return report


class _Link:
    """One layer of the chain, and its parameters by role."""

    def __init__(self, number: int, layer: Any, last: bool) -> None:
        self.layer, self.last = layer, last
        self.single = False  # it computes in float32
        self.name = f"layer {number} ({runner.name_of(layer) if inspect.isroutine(layer) else type(layer).__name__})"
        self.arrays = ("logits", "labels") if last else INSIDE
        if last and inspect.isroutine(layer):
            self.driver: Any = Functions(layer, None, self.arrays)
        elif is_layer(layer) and not inspect.isclass(layer):
            self.driver = Layer(layer, self.arrays)
        else:
            raise OptionError(f"check.chain: {self.name} must be an object with forward and backward")
        self.parameters = {} if last else self._found()

    def _found(self):
        named = {role: [s for s in slots(self.layer) if is_called(s.path, role)] for role in PARAMETERS}
        return {role: np.array(found[0].array, dtype=np.float64) for role, found in named.items() if found}

    def forward(self, x: Any, labels: Any, parameters: dict[str, Any]) -> tuple[Any, Any]:
        """(output, what backward needs) of one call on copies."""
        arrays = {"logits": x, "labels": labels} if self.last else {"x": x, **parameters}
        offer = Offer(arrays, {"batch_shape": np.shape(x)}, mode="train")
        y, state = self.driver.forward(offer, ())
        self.single |= holds_float32(np.asarray(fetched(y)))
        return (np.asarray(fetched(y), dtype=np.float64).sum() if self.last else np.asarray(fetched(y))), state

    def backward(self, dy: Any, state: Any, x: Any, parameters: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """(gradient for the layer before, gradients of the parameters by role)."""
        value, inside = self.driver.backward(np.array(dy)[()], state)
        names = ["logits"] if self.last else ["x", *parameters]
        shapes = {"x": np.shape(x), **{k: np.shape(v) for k, v in parameters.items()}}
        listed = names if not inside or isinstance(value, (tuple, list, dict)) else names[:1]
        found = {**gradients_of(value, listed, shapes)[0], **inside}
        return found.get(names[0]), {k: found.get(k) for k in parameters}


def _forward(links, x, labels, parameters):
    states = []
    for link, own in zip(links, parameters, strict=True):
        before = x
        with seeded(np.array([len(states)])):  # a dropout draws the same mask each time
            x, state = link.forward(x, labels, own)
        states.append((before, state))
    return float(x), states


def _backward(links, x, labels, parameters):
    """For each layer, the gradients of its parameters."""
    _, states = _forward(links, x, labels, parameters)
    dy, out = np.float64(1.0), []
    for link, (before, state), own in reversed(list(zip(links, states, parameters, strict=True))):
        dy, grads = link.backward(dy, state, before, own)
        out.append(grads)
        if dy is None and link is not links[0]:
            raise Unmet("gradient")
    return out[::-1]


def _compare(report, links, x, labels, parameters, gradients):
    """Every parameter against slopes of the loss, the layer next to the loss first; one finding for each factor."""
    rng, factors = np.random.default_rng(808), set()
    for k in reversed(range(len(links))):
        for role, array in parameters[k].items():
            what, given = f"{links[k].name} d{role}", gradients[k].get(role)
            report.probes += 1
            if given is None or np.size(given) != array.size:
                words = "was not found" if given is None else f"has the shape {np.shape(given)}, not {array.shape}"
                report.status[what] = "wrong"
                report.findings.append(Finding(what, f"The gradient {words}.", kind="missing", certainty="exact"))
                continue
            given = np.reshape(np.asarray(fetched(given), dtype=np.float64), array.shape)
            picked = rng.choice(array.size, min(ELEMENTS, array.size), replace=False)
            right = _slopes(links, x, labels, parameters, k, role, picked)
            kept = np.isfinite(right)
            picked, right = picked[kept], right[kept]
            yours, size = given.ravel()[picked], max(np.abs(right).max(initial=0.0), 1e-8)
            off = np.abs(yours - right) > (2e-2 if any(link.single for link in links) else 1e-6) * size
            report.status[what] = "wrong" if off.any() else "ok"
            if off.any():
                _found(report, factors, what, array, picked, yours, right, off, len(x))


def _slopes(links, x, labels, parameters, k, role, picked):
    """Central differences of the loss in some elements of one parameter; NaN on a kink."""
    base, out = _forward(links, x, labels, parameters)[0], np.empty(len(picked))
    for n, element in enumerate(picked):
        ends = []
        step = 5e-3 if any(link.single for link in links) else 1e-5  # float32 moves nothing in smaller steps
        step *= max(1.0, abs(float(parameters[k][role].flat[element])))
        for sign in (1, -1):
            moved = [dict(p) for p in parameters]
            moved[k][role] = parameters[k][role].copy()
            moved[k][role].flat[element] += sign * step
            ends.append(_forward(links, x, labels, moved)[0])
        up, down = (ends[0] - base) / step, (base - ends[1]) / step
        out[n] = (up + down) / 2 if abs(up - down) <= 1e-3 * max(abs(up), abs(down), 1e-4) + 1e-4 else np.nan
    return out


# What is off by the size of the batch, and why.
FACTORS = (
    (lambda n: 1 / n, "divided_twice", "is 1/N of the slope of the loss, with N = {n} samples: the mean over the batch "
     "is taken twice, in this layer and in the gradient of the loss. One of them has to go."),
    (lambda n: float(n), "never_divided", "is N times the slope of the loss, with N = {n} samples: the loss is a mean, "
     "and nobody divides its gradient by N, neither the loss nor this layer."),
    (lambda n: -1.0, "sign", "is the slope of the loss with the other sign."),
)  # fmt: skip


def _found(report, factors, what, array, picked, yours, right, off, samples):
    first = int(np.argmax(off))
    index = tuple(int(i) for i in np.unravel_index(picked[first], array.shape))
    place = Where(index, float(yours[first]), float(right[first]), "some", int(off.sum()), len(picked), "your batch")
    for factor, mistake, words in FACTORS:
        c = factor(samples)
        if np.allclose(yours, c * right, rtol=1e-4, atol=1e-7 * np.abs(right).max()):
            if mistake not in factors:
                message = f"It {words.format(n=samples)}"
                report.findings.append(Finding(what, message, mistake, None, "exact", place, kind="chain"))
            factors.add(mistake)
            return
    if factors != {"unknown"}:
        message = "It is not the slope of the loss. Of the layers that are wrong this is the one nearest to the loss: "
        message += "look at it, and at the backward of the layers after it."
        report.findings.append(Finding(what, message, None, None, "unknown", place, kind="chain"))
    factors.add("unknown")
