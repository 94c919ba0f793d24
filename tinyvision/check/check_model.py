"""`check.model`: the gradients of a whole network, three random directions per parameter.

A random direction tests a million numbers with two evaluations of the loss. A network full of ReLUs has a kink within
any fixed step of somewhere, which makes correct gradients look wrong; so the step is shrunk until the two one-sided
slopes agree, and a direction on which they never do is counted, not failed.
"""

import copy
import time
from typing import Any

import numpy as np

from ..device import device_of, to_numpy
from ..errors import DeviceError, OptionError
from . import runner
from .examine import Examination
from .findings import Finding, Where
from .place import Place, fetched, is_array
from .report import Report

DIRECTIONS = 3
STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
RELATIVE = 1e-4  # truncation and a far kink cost up to 1e-5; the factors and missing terms of real mistakes cost more
ELEMENTS = 24  # looked at one by one in a tensor that fails


def model(model: Any, batch: Any, loss: Any = None, *, seed: int = 0, time_limit: float = 60.0) -> Report:
    """Check every parameter's gradient of a `nn.Module` on a batch.

    `batch` is `(x, labels)`, or x alone. `loss(output, labels)`, by default cross-entropy with labels and a random
    signed weighting of the outputs without, makes one number of the output. The model itself is not touched: a copy
    in float64 is checked, in the mode (train or eval) it is in, with the same random numbers in every evaluation.
    It runs on the model's device. Frozen parameters are skipped. Returns a Report whose status has one entry per
    parameter. Raises OptionError if `model` is no Module, DeviceError if the batch is on another device."""
    from ..nn import Module

    if not isinstance(model, Module):
        raise OptionError(f"check.model: expected an nn.Module, got {type(model).__name__}")
    started, report = time.perf_counter(), Report(type(model).__name__)
    subject = _Subject(model, batch, loss, seed, time_limit)
    exam = Examination(report, model.forward, None, (), at=subject.at)
    report.probes = 1
    grads = _gradients(exam, subject)
    if grads is not None:
        rng = np.random.default_rng([41, seed])
        for name, parameter in subject.model.named_parameters():
            _parameter(exam, subject, name, parameter, grads.get(name), rng)
    report.calls, report.seconds = subject.calls, time.perf_counter() - started
    return report


class _Subject:
    """A float64 copy of the model with its batch: `loss()` evaluates, `backward()` gives the gradients."""

    def __init__(self, model, batch, loss, seed, seconds):
        self.model, self.calls, self.seconds, self.seed = copy.deepcopy(model).double(), 0, seconds, seed
        self.x, self.labels = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
        given = next((t.array for t in (*self.model.parameters(), *self.model.buffers())), None)
        self.at = Place(given)
        x = self.x.array if hasattr(self.x, "requires_grad") else self.x
        if given is not None and is_array(x) and device_of(x) != self.at.device:
            raise DeviceError(
                f"check.model: the model is on {self.at.device} but the batch is on {device_of(x)}; move one of them "
                f"with .to(...)"
            )
        self.x = np.asarray(fetched(x), dtype=np.float64)
        self.make_loss, self.weights = loss, None
        self.buffers = {name: to_numpy(b.array).copy() for name, b in self.model.named_buffers()}

    def evaluate(self):
        """The loss as a Tensor, from the same state and the same random numbers every time."""
        from .. import random
        from ..tensors.tensor import Tensor

        for name, b in self.model.named_buffers():
            b.array[...] = self.at.send(self.buffers[name])
        self.calls += 1
        with random.use(random.stream(self.seed, "check")):
            output = self.model(Tensor.of(self.at.send(self.x)))
            return self._loss(output)

    def _loss(self, output):
        from ..nn import functional
        from ..tensors.tensor import Tensor

        if self.make_loss is not None:
            return self.make_loss(output, self.labels) if self.labels is not None else self.make_loss(output)
        if self.labels is not None:
            return functional.cross_entropy(output, Tensor.of(self.at.send(_plain(self.labels))))
        if self.weights is None:
            self.weights = np.random.default_rng([43, self.seed]).standard_normal(output.shape)
        return (output * Tensor.of(self.at.send(self.weights))).sum()

    def number(self):
        """The loss as a float."""
        from ..grad_mode import no_grad

        with no_grad(), np.errstate(all="ignore"):
            return float(_plain(self.evaluate()))

    def backward(self):
        """All gradients by name, as arrays of their own."""
        self.model.zero_grad()
        loss = self.evaluate()
        loss.backward()
        return {
            name: None if p.grad is None else np.array(_plain(p.grad), dtype=np.float64)
            for name, p in self.model.named_parameters()
        }


def _plain(value):
    """The numbers of a tensor, an array or a list as a NumPy array."""
    return np.asarray(fetched(value.array if hasattr(value, "requires_grad") else value))


def _gradients(exam, subject):
    """The model's own gradients, computed twice; None, and a finding, if that does not work."""
    place = runner.location(type(subject.model).forward)
    first = runner.call(subject.backward, (), seconds=subject.seconds, at=subject.at)
    exam.report.printed = first.printed
    if not first.ok:
        cut = "did not come back and was cut off"
        what = cut if first.cut_off else f"raised {type(first.error).__name__}: {first.error}"
        return _stop(exam, "endless_loop" if first.cut_off else "exception", f"The training step {what}", place)
    value = subject.number()
    if not np.isfinite(value):
        return _stop(exam, "not_finite", f"The loss is {value}: there is nothing to differentiate.", place)
    if value != subject.number():
        return _stop(
            exam,
            "differs_each_call",
            "Two equal evaluations gave different losses: something draws random numbers that do not come from "
            "tinyvision.random, or keeps state.",
            place,
        )
    exam.report.status["forward"] = "ok"
    second = subject.backward()
    for name, grad in first.value.items():
        if grad is not None and not np.allclose(grad, second[name], rtol=1e-9, atol=1e-12, equal_nan=True):
            message = f"A second training step on the same batch gave another gradient of {name}: state is kept."
            _stop(exam, "differs_each_call", message, place, name)
    return first.value


def _stop(exam, kind, message, place, argument="model"):
    exam.report.status["forward" if argument == "model" else argument] = "wrong"
    exam.report.findings.append(
        Finding(argument, message, kind, certainty="exact", file=place[0], line=place[1], kind=kind)
    )


def _parameter(exam, subject, name, parameter, grad, rng):
    if not parameter.requires_grad:
        exam.report.status[name] = "skipped"
        return
    if exam.report.status.get(name) == "wrong":
        return
    outcomes = [_direction(subject, parameter, grad, rng) for _ in range(DIRECTIONS)]
    if "wrong" in outcomes:
        exam.report.status[name] = "wrong"
        exam.report.findings.append(_explain(subject, name, parameter, grad, rng))
    elif "right" in outcomes:
        exam.report.status[name] = "ok"
    elif all(o == "nothing" for o in outcomes):
        exam.report.status[name] = "ok"
        exam.note(f"{name} does not influence the loss; its gradient is 0, as it must be.")
    else:
        exam.report.status[name] = "not judged"
        exam.find(
            "cannot_judge",
            name,
            f"{name} cannot be judged: its gradient is below the rounding noise of the loss, or "
            "every direction meets a kink. Try another batch.",
            certainty="unknown",
        )


def _direction(subject, parameter, grad, rng):
    """Compare <grad, v> with slopes of the loss along v: "right", "wrong", "nothing" (no influence) or "unclear"."""
    v = rng.standard_normal(parameter.shape)
    claimed = 0.0 if grad is None else float(np.sum(grad * v))
    size = 0.0 if grad is None else float(np.sqrt(np.sum(grad * grad)))
    verdicts = []
    for h in STEPS:
        slope, gap, noise = _slope(subject, parameter, v, h)
        if not np.isfinite(slope):
            continue
        tolerance = RELATIVE * max(abs(slope), size) + noise
        if max(abs(slope), abs(claimed), size) <= 20 * noise:
            verdicts.append("small")
        elif abs(slope - claimed) <= tolerance:
            return "right"
        else:
            verdicts.append("kink" if gap > 0.1 * abs(slope - claimed) else "wrong")
    if "wrong" in verdicts:
        return "wrong"
    if verdicts and set(verdicts) == {"small"}:
        slope, gap, noise = _slope(subject, parameter, v, 0.05)
        return "nothing" if abs(slope) <= 20 * noise and gap <= 40 * noise and size <= 1e-6 else "unclear"
    return "unclear"


def _slope(subject, parameter, v, h):
    """(central slope, distance of the two one-sided slopes, noise) of the loss along v."""
    start = to_numpy(parameter.array).copy()
    here = subject.number()
    parameter.array[...] = subject.at.send(start + h * v)
    up = subject.number()
    parameter.array[...] = subject.at.send(start - h * v)
    down = subject.number()
    parameter.array[...] = subject.at.send(start)
    noise = 1e-14 * max(abs(here), abs(up), abs(down), 1e-3) / h
    return (up - down) / (2 * h), abs((up - here) / h - (here - down) / h), noise


def _explain(subject, name, parameter, grad, rng):
    """Element by element, on a few elements: where, and whether a constant factor explains all."""
    file, line = runner.location(type(subject.model).forward)
    shape = parameter.shape
    claimed = np.zeros(shape) if grad is None else grad
    picked = rng.choice(claimed.size, min(ELEMENTS, claimed.size), replace=False)
    slopes = np.array([_element(subject, parameter, int(k)) for k in picked])
    yours = claimed.ravel()[picked]
    scale = float(np.abs(slopes).max(initial=0.0))
    wrong = np.abs(yours - slopes) > 1e-4 * scale + 1e-9
    first = int(picked[wrong].min()) if wrong.any() else int(picked[0])
    at = int(np.flatnonzero(picked == first)[0])
    index = tuple(int(i) for i in np.unravel_index(first, shape))
    place = Where(
        index,
        float(yours[at]),
        float(slopes[at]),
        "all" if wrong.all() else "some",
        int(wrong.sum()),
        len(picked),
        "elements chosen at random",
        witness="numeric",
        noise=1e-9,
    )
    message, certainty, signature = _words(name, grad, yours, slopes, subject)
    return Finding(name, message, None, signature, certainty, place, file, line)


def _element(subject, parameter, k):
    v = np.zeros(parameter.shape)
    v.flat[k] = 1.0
    return _slope(subject, parameter, v, 1e-5)[0]


def _words(name, grad, yours, slopes, subject):
    if grad is None:
        return (
            f"No gradient reached {name}, though the loss depends on it: something on the way was detached.",
            "likely",
            "no_gradient",
        )
    if not yours.any():
        return f"The gradient of {name} is zero, though the loss depends on it.", "likely", "zero"
    usable = np.abs(slopes) > 1e-3 * np.abs(slopes).max()
    if usable.sum() > 1:
        ratios = yours[usable] / slopes[usable]
        middle = float(np.median(ratios))
        if np.abs(ratios - middle).max() <= 1e-3 * abs(middle):
            batch = len(subject.x) if subject.x.ndim else 1
            named = {
                -1.0: "-1",
                2.0: "2",
                0.5: "half",
                float(batch): f"{batch} (the batch size)",
                1 / batch: f"1/{batch} (one over the batch size)",
            }
            words = next((w for value, w in named.items() if abs(middle - value) <= 2e-3 * abs(value)), f"{middle:.4g}")
            return (
                f"This looks like a factor: the gradient of {name} is {words} times the slope of the loss.",
                "likely",
                f"factor:{words.split()[0]}",
            )
    return f"The gradient of {name} is not the slope of the loss; here is where it differs.", "unknown", None
