"""What only several calls show: numbers kept by shape, caches that share a buffer, results changed by later calls."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import to_numpy
from ..types import Array
from . import runner
from .conditions import shuffled
from .examine import Examination
from .ops import Spec
from .place import is_array
from .probes import Probe
from .reading import Layer, Reading
from .report import Report
from .verdict import compare, where


def interleaved(report: Report, exam: Examination, known: Spec, probe: Probe) -> None:
    """Two forwards with different numbers of one shape, then both backwards, the last one first.

    This is what a network does that uses a layer twice; every call must answer for its own numbers."""
    inputs = shuffled(probe.inputs, np.random.default_rng(505))
    other = known._probe(505, f"{probe.name}, other numbers", inputs, probe.options)
    calls = [exam.forward(p, quiet=True) for p in (probe, other)]
    if any(c is None for c in calls):
        return
    if exam.judge_forward:
        _output(report, exam, probe, other, calls)
    if not exam.judge_backward or not report.passed:
        return
    returned = []
    for p, (_, cache, arrays, raw) in reversed(list(zip((probe, other), calls, strict=True))):
        grads = exam.backward(p, cache, arrays, raw, quiet=True, note_changes=False)
        if grads is None:
            return
        returned.append((grads, _arrays(exam.returned)))
    (grads, kept), (earlier, _) = returned
    for position, name in enumerate(exam.names):
        if name is None or grads[position] is None or not report.passed:
            continue
        stale = known.backward(probe.inputs, probe.options, other.dy)[position]
        _second(report, exam, name, other, grads[position], other.truth[position], stale, exam.backward_function)
        if report.passed and not _close(earlier[position], probe.truth[position]):
            exam.outside_cache()
            report.status[name] = report.status[name] if report.passed else "wrong"
    now = [(to_numpy(array), then) for array, then in kept]
    if report.passed and any(not np.array_equal(*k, equal_nan=k[1].dtype.kind == "f") for k in now):
        _overwritten(report, exam, "backward", "A gradient", exam.backward_function)


def _output(report, exam, probe, other, calls):
    (y, _, _, raw), (second, _, _, _) = calls
    _second(report, exam, "y", other, second, other.y, probe.y, exam.forward_function)
    if report.passed and is_array(raw) and not np.array_equal(to_numpy(raw), y, equal_nan=True):
        _overwritten(report, exam, "y", "The y", exam.forward_function)
    if not report.passed:
        report.status["forward"] = "wrong"


def _arrays(value: Any) -> Sequence[tuple[Array, np.ndarray]]:
    """(the array itself, a NumPy copy) for every array that was returned."""
    parts = value if isinstance(value, (tuple, list)) else [value]
    return [(p, to_numpy(p).copy()) for p in parts if is_array(p)]


def _close(yours, right):
    right = np.asarray(right, dtype=np.float64)
    return np.shape(yours) == right.shape and compare(yours, right).level != "different"


def _second(report, exam, name, probe, yours, right, stale, function):
    """The answer for other numbers of the same shape, after the first ones."""
    if _close(yours, right):
        return
    if runner.is_object(function):
        exam.note(f"{name} is wrong after a call with other numbers of the same shape: use one object for each layer.")
        return
    right = np.asarray(right, dtype=np.float64)
    if _close(yours, stale):
        told = f"With other numbers of the same shape, {name} is still that of an earlier call: something that forward "
        told += "found out is kept between calls, by shape. Compute it anew in each call."
        more = {"mistake": "kept_between_calls", "certainty": "exact"}
    else:
        told = f"With other numbers of the same shape, {name} is wrong; for the first ones it was right."
        more = {"certainty": "unknown"}
    place = None
    if np.shape(yours) == right.shape:
        place = where(compare(yours, right), yours, right, "", (), probe.name)[0]
    exam.find("kept_between_calls", name, told, function, where=place, **more)
    report.status["forward" if name == "y" else name] = "wrong"


def used_again(report: Report, exam: Examination, known: Spec, reading: Reading, probe: Probe) -> None:
    """One layer for two batches, as in training: each must get its own gradients, or, summed up, those of both.

    A gradient that also has a share of the batch before holds a momentum, or numbers kept from an earlier forward."""
    driver = reading.driver
    if not isinstance(driver, Layer) or reading.single or exam.stateful:
        return
    inputs = (*shuffled(probe.inputs[:1], np.random.default_rng(505)), *probe.inputs[1:])
    other = known._probe(505, f"{probe.name}, the second batch of one layer", inputs, probe.options)
    with driver.kept():
        first = _both(exam, probe)
        calls = driver.queued()
        second = _both(exam, other)
        if first is None or second is None or driver.queued() > calls:
            return  # it answers for all calls since its gradients were last cleared, in a way of its own
    for position, name in enumerate(exam.names):
        yours, right, before = second[position], other.truth[position], probe.truth[position]
        settled = report.status.get(name) == "ok" or any(
            f.argument == name and (f.signature or "").startswith("factor:") for f in report.findings
        )
        stepped = driver.found.get(name or "", "").startswith("the step")  # by a rule that may remember
        if name is None or yours is None or not settled or stepped:
            continue
        if np.shape(yours) == np.shape(right) and not _alike_or_both(yours, right, before):
            _of_two_batches(report, exam, name, other, yours, right, before, first[position])


def _both(exam, probe):
    result = exam.forward(probe, quiet=True)
    if result is None or not _close(result[0], probe.y):
        return None
    grads = exam.backward(probe, *result[1:], quiet=True, note_changes=False)
    return None if grads is None else [None if g is None else np.array(g) for g in grads]


def _alike_or_both(yours, right, before):
    return _close(yours, right) or _close(yours, np.asarray(right) + np.asarray(before))


def _of_two_batches(report, exam, name, probe, yours, right, before, first):
    """What a second batch got that is not its own: shares of both batches, or something that was kept."""
    columns = np.stack([np.ravel(right), np.ravel(before)], axis=1)
    own, old = np.linalg.lstsq(columns, np.ravel(yours), rcond=None)[0]
    shares = np.reshape(columns @ np.array([own, old]), np.shape(yours))
    mixed = np.size(right) > 2 and _close(yours, shares)
    if report.status.get(name) != "ok" and (not mixed or min(abs(old), abs(own - old)) < 1e-6 * max(1.0, abs(own))):
        return  # the same factor as for the first batch, alone or added to what it got
    if mixed:
        told = f"The first batch of a layer gets {np.vdot(first, before) / np.vdot(before, before):.3g} times its "
        told += f"{name}; the second one gets {own:.3g} times its own plus {old:.3g} times that of the first. A "
        told += "momentum belongs in the optimiser, which needs the gradient of this batch alone."
        name_of_it = "momentum_in_gradient"
    else:
        told = f"A second batch of the same shape gets a wrong {name} from the same layer, which was right for the "
        told += "first: something of an earlier call is still in use. Compute it anew in each call."
        name_of_it = "kept_between_calls"
    report.findings[:] = [f for f in report.findings if f.argument != name]
    report.status[name] = "wrong"
    place = where(compare(yours, right), yours, np.asarray(right), "", (), probe.name)[0]
    exam.find(name_of_it, name, told, exam.backward_function, where=place, mistake=name_of_it, certainty="exact")


def _overwritten(report, exam, argument, what, function):
    told = f"{what} returned by one call was changed by the next: both are one buffer that is kept between calls. "
    told += "Return a new array, or a copy."
    if runner.is_object(function):
        exam.note(told)
        return
    exam.find("overwritten", argument, told, function, mistake="overwritten", certainty="exact")
