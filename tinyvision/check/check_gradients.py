"""`check.gradients`: any (forward, backward) pair, judged by central differences on its own forward."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..device import device_of
from ..errors import DeviceError, OptionError
from ..tape import Variable
from . import numeric, runner
from .describe import described
from .diagnose import diagnose
from .evidence import Evidence
from .examine import Examination
from .foreign import pair_of
from .order import other_order
from .place import Place, fetched, is_array
from .probes import Probe, upstream
from .report import Report
from .verdict import ROUNDING, ROUNDING_FLOAT32, Comparison, holds_float32

BUDGET = 10.0  # seconds of forward calls; beyond it, a random part of the elements is judged, and the report says so
JACOBIAN_CELLS = 4_000_000


def gradients(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    inputs: Sequence[Any],
    options: dict[str, Any] | None = None,
    *,
    names: Sequence[str] | None = None,
    time_limit: float = runner.TIME_LIMIT,
    budget: float = BUDGET,
    seed: int = 0,
) -> Report:
    """Check `backward(dy, cache)` against central differences of `forward(*inputs, **options) -> (y, cache)`.

    `inputs` are arrays or tensors, and the functions get float64 copies of their arrays, on the same device; integer
    and boolean ones (labels, masks) have no gradient. Every element is judged, on the
    inputs given and on a second set nearby, with random signed upstream gradients; what is known about no particular op
    still names a factor, a transpose, an unused dy and the like. `names` are the arguments' names, by default those of
    forward's parameters. A `torch.autograd.Function` or a `jax.custom_vjp` given as `forward` brings its own backward;
    None stands for it. Where forward is slow, `budget` seconds are spent and a random part is judged.

    Returns a Report. Raises OptionError for inputs that are no arrays or functions that are none, DeviceError for
    inputs on several devices."""
    started = time.perf_counter()
    options = dict(options or {})
    forward, backward = pair_of(forward) or (forward, backward)
    arrays, at = _arrays(forward, backward, inputs)
    names = _names(forward, len(arrays), names)
    outputs = tuple("d" + n if a.dtype.kind == "f" else None for n, a in zip(names, arrays, strict=True))
    if not any(outputs):
        raise OptionError("check.gradients: none of the inputs holds floating-point numbers, so there is no gradient")
    report = Report(runner.name_of(backward))
    exam = Examination(report, forward, backward, outputs, time_limit, at=at)
    sets = [arrays, _nearby(arrays, seed)]
    seen = []
    for index, some in enumerate(sets):
        one = _one(exam, names, some, options, index, seed, budget / len(sets))
        if one is None and index == 0:
            break
        if one is not None:
            seen.append(one)
    report.probes = len(seen)
    report.status.setdefault("forward", "ok" if seen else "wrong")
    swapped = other_order(exam, [(s.grads, s.probe.truth) for s in seen if s.grads is not None])
    report.status.update(dict.fromkeys(swapped, "wrong"))
    for position, name in enumerate(outputs):
        if name is not None and name not in swapped:
            _judge(report, exam, seen, position, name)
    if seen and all(s in ("ok", "skipped") for s in report.status.values()):
        _linearity(report, exam, seen[0])
    report.seconds = time.perf_counter() - started
    return report


def _arrays(forward, backward, inputs):
    for label, function in (("forward", forward), ("backward", backward)):
        if not callable(function):
            raise OptionError(f"check.gradients: {label} must be a function, got {type(function).__name__}")
    inputs = (inputs,) if is_array(inputs) or isinstance(inputs, Variable) else inputs
    if not isinstance(inputs, (tuple, list)) or not inputs:
        raise OptionError("check.gradients: inputs must be a tuple of arrays, one for each argument of forward")
    inputs = [value.array if isinstance(value, Variable) else value for value in inputs]
    given = [value for value in inputs if is_array(value)]
    if len({device_of(a) for a in given}) > 1:
        shown = ", ".join(str(device_of(a)) for a in given)
        raise DeviceError(f"check.gradients: the inputs are on several devices ({shown}); move them with .to(...)")
    arrays = []
    for k, value in enumerate(inputs):
        array = np.array(fetched(value))
        if array.dtype.kind not in "fiub":
            raise OptionError(f"check.gradients: input {k} holds {array.dtype}, not numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise OptionError(f"check.gradients: input {k} holds NaN or infinity")
        arrays.append(array.astype(np.float64) if array.dtype.kind == "f" else array)
    return tuple(arrays), Place(given[0] if given else None)


def _names(forward, count, names):
    if names is not None:
        if len(names) != count:
            raise OptionError(f"check.gradients: {len(names)} names for {count} inputs")
        return tuple(names)
    asked = (runner.parameters(forward) or {}).values()
    found = [p.name for p in asked if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    found = found[1:] if found[:1] == ["self"] else found
    return tuple(found[k] if k < len(found) else f"input{k}" for k in range(count))


def _nearby(arrays, seed):
    """Other numbers of the same signs and about the same sizes: ranges in which a function is defined are kept."""
    rng = np.random.default_rng([99, seed])
    return tuple(a * rng.uniform(0.8, 1.25, a.shape) if a.dtype.kind == "f" else a for a in arrays)


class _Set:
    """One set of inputs: the probe, what backward gave, the differences per argument."""

    def __init__(self, probe, grads, tables, call, raw):
        self.probe, self.grads, self.tables, self.call, self.raw = probe, grads, tables, call, raw


def _one(exam, names, arrays, options, index, seed, budget):
    shell = Probe(
        ("given inputs", "nearby inputs")[index], arrays, options, np.zeros(0), None, np.zeros(0), names=names
    )
    result = exam.forward(shell, quiet=index > 0)
    if result is None:
        return None
    y, cache, inputs, raw = result
    if not np.isfinite(y).all():
        if index == 0:
            exam.find(
                "not_finite",
                "y",
                "forward returned NaN or infinity on the inputs given, so there is nothing to compare with.",
                exam.forward_function,
                mistake="not_finite",
                certainty="exact",
            )
            exam.report.status["forward"] = "wrong"
        return None
    if y.dtype.kind != "f":
        exam.find(
            "wrong_dtype",
            "y",
            f"y holds {y.dtype}: the fractions were cut off.",
            exam.forward_function,
            mistake="wrong_dtype",
            certainty="exact",
        )
        exam.report.status["forward"] = "wrong"
        return None
    again = exam.forward(shell, quiet=True)
    if again is not None and not np.array_equal(again[0], y):
        exam.behaviour("differs_each_call", "y", exam.forward_function, None, "forward", "y")
        exam.report.status["forward"] = "wrong"
        return None
    dy = upstream(y, 2 * seed + index)
    tables, gradient = _measure(exam, arrays, options, y, budget)
    probe = Probe(
        shell.name,
        arrays,
        options,
        y,
        gradient,
        dy,
        _lengths(names, arrays, y),
        tuple(t.noise * np.abs(dy).max(initial=0.0) if t else 0.0 for t in tables),
        names=names,
        axes=tuple("" for _ in arrays),
        index=index,
    )
    grads = exam.backward(probe, cache, inputs, raw)
    if grads is not None and index == 0:
        right = [t if t is not None else 0 for t in probe.truth]
        exam.again(probe, grads, cache, inputs, raw, right)
    return _Set(probe, grads, tables, (arrays, options), raw)


def _lengths(names, arrays, y):
    out = {}
    for name, a in (*zip(names, arrays, strict=True), ("y", y)):
        for axis, length in enumerate(np.shape(a)):
            if length > 1:
                out[f"{name}.shape[{axis}]"] = length
        if np.size(a) > 1:
            out[f"{name}.size"] = np.size(a)
    return {k: float(v) for k, v in out.items()}


def _flat(exam, arrays, options, position):
    """forward as a function of one argument, to a flat float64 array; a failing call gives NaN."""
    size = {}

    def f(value):
        call = exam.attempt([value if k == position else a for k, a in enumerate(arrays)], options)
        if call.cut_off or not call.ok:
            return np.full(size.get("y", 1), np.nan)
        out = np.asarray(fetched(call.value[0]), dtype=np.float64).ravel()
        size["y"] = out.size
        return out

    return f


def _measure(exam, arrays, options, y, budget):
    """Central differences for each floating argument, and the gradient function made of them."""
    rng = np.random.default_rng(5)
    floats = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    total = sum(arrays[k].size for k in floats)
    start = time.perf_counter()
    f = _flat(exam, arrays, options, floats[0])
    for _ in range(2):
        f(arrays[floats[0]])
    once = (time.perf_counter() - start) / 2
    affordable = int(budget / max(once, 1e-7) / 2)
    affordable = min(affordable, JACOBIAN_CELLS // max(y.size, 1))
    tables = []
    for k, a in enumerate(arrays):
        if k not in floats:
            tables.append(None)
            continue
        allowed = max(20, int(affordable * a.size / total))
        some = np.arange(a.size) if a.size <= allowed else np.sort(rng.choice(a.size, allowed, replace=False))
        tables.append(numeric.differences(_flat(exam, arrays, options, k), a, some, rng))

    def gradient(dy):
        return tuple(None if t is None else _spread(t, arrays[k], dy) for k, t in enumerate(tables))

    return tables, gradient


def _spread(table, array, dy):
    out = np.full(array.size, np.nan)
    out[table.elements] = table.jacobian @ np.asarray(dy, dtype=np.float64).ravel()
    return out.reshape(array.shape)


def _judge(report, exam, seen, position, name):
    evidences, notes, cannot = [], {"kink": 0, "left out": 0}, False
    for s in seen:
        if s.grads is None or s.grads[position] is None:
            continue
        right, yours, table = s.probe.truth[position], s.grads[position], s.tables[position]
        others = {n: s.probe.truth[k] for k, n in enumerate(exam.names) if n is not None and k != position}
        comparison = None
        if yours.shape == right.shape:
            if exam.not_finite(name, yours, np.nan_to_num(right), exam.backward_function, s.probe):
                report.status[name] = "wrong"
                return
            comparison, kinks, hopeless = _compare(exam, s, position, yours, right, table)
            notes["kink"] += kinks
            notes["left out"] += int(np.isnan(right).sum())
            cannot |= hopeless
        evidences.append(
            Evidence(s.probe, name, yours, right, comparison, "", s.probe.noise[position], (), others, position)
        )
    if not evidences:
        report.status[name] = (
            "wrong" if any(f.argument in (name, "backward") for f in report.findings) else "not judged"
        )
        return
    if name in exam.stateful:
        report.status[name] = "wrong"
        return
    _tell_counts(exam, name, evidences, notes)
    if any(e.failed for e in evidences):
        report.status[name] = "wrong"
        _add(report, exam, name, evidences)
    elif cannot:
        report.status[name] = "not judged"
        exam.find(
            "cannot_judge",
            name,
            f"{name} cannot be judged: it is smaller than the rounding noise of forward, or "
            "too many of its elements lie on kinks. Try other inputs.",
            exam.forward_function,
            certainty="unknown",
        )
    else:
        report.status[name] = "ok"


def _tell_counts(exam, name, evidences, notes):
    total = sum(e.right.size for e in evidences)
    if notes["kink"]:
        exam.note(
            f"{name}: {notes['kink']} of {total} elements lie on a kink of forward; any slope between the two "
            "one-sided ones is legal there."
        )
    if notes["left out"]:
        exam.note(
            f"{name}: {total - notes['left out']} of {total} elements were judged, chosen at random; forward is too "
            "slow for all of them."
        )


def _compare(exam, s, position, yours, right, table):
    """(Comparison, elements skipped as kinks, nothing could be judged)."""
    dy = np.asarray(s.probe.dy, dtype=np.float64).ravel()
    noise = table.noise * np.abs(dy).sum()
    judged = ~np.isnan(right)
    scale = float(np.abs(right[judged]).max(initial=0.0))
    limit = noise + (1e-12 if table.linear else 3e-7) * max(scale, 1e-300)
    if holds_float32(yours):
        limit += ROUNDING_FLOAT32 * scale
    else:
        limit += ROUNDING * scale
    error = np.where(judged, np.abs(yours.astype(np.float64) - np.nan_to_num(right)), 0.0)
    wrong, kinks = error > limit, 0
    if wrong.any() and not table.linear:
        kinks = _skip_kinks(exam, s, position, yours, wrong, dy)
    still = judged & ~wrong
    silent = scale <= noise and np.abs(yours).max(initial=0.0) <= limit and scale + np.abs(yours).max(initial=0.0) > 0
    hopeless = bool(not wrong.any() and (silent or kinks > 0.5 * judged.sum() or still.sum() == 0) and yours.size)
    level = "different" if wrong.any() else "same"
    return Comparison(level, wrong, float(error.max(initial=0.0))), kinks, hopeless


def _skip_kinks(exam, s, position, yours, wrong, dy):
    """Clear `wrong` where the learner's slope is a legal one at a kink; returns how many there were."""
    f, step = _flat(exam, *s.call, position), s.tables[position].step
    x, count = s.probe.inputs[position], 0
    candidates = np.flatnonzero(wrong)
    if candidates.size > 200:
        # A true mistake is wrong at hundreds of smooth places; a sample tells the two apart.
        sample = candidates[:: candidates.size // 50]
        if all(numeric.kinked(f, x, k, dy, float(yours.flat[k]), step) in ("smooth", "wrong") for k in sample):
            return 0
    for k in candidates[:2000]:
        verdict = numeric.kinked(f, x, k, dy, float(yours.flat[k]), step)
        if verdict in ("kink", "right"):
            wrong.flat[k] = False
            count += verdict == "kink"
    return count


def _add(report, exam, name, evidences):
    finding = described(name, diagnose(name, evidences), evidences, exam.backward_function, _where_signs)
    if finding.where is not None:
        finding = replace(finding, where=replace(finding.where, witness="numeric"))
    report.findings.append(finding)


def _where_signs(e):
    x = e.probe.inputs[e.position]
    out = [("where the input is negative", x < 0), ("where the input is positive", x > 0)]
    if np.shape(e.probe.dy) == x.shape:
        out += [("where dy < 0", e.probe.dy < 0), ("where dy > 0", e.probe.dy > 0)]
    return out


def _linearity(report, exam, s):
    """backward(-dy), backward(0) and backward of a sum, against the same Jacobian."""
    rng = np.random.default_rng(8)
    dy = s.probe.dy
    for words, other in (
        ("-dy", -dy),
        ("dy = 0", dy * 0.0),
        ("1000·dy", dy * 1000.0),
        ("dy + another", dy + rng.standard_normal(np.shape(dy))),
    ):
        result = exam.forward(s.probe, quiet=True)
        grads = result and exam.backward(s.probe, result[1], result[2], result[3], np.asarray(other)[()])
        if not grads:
            return
        truth = s.probe.gradient(other)
        for k, name in enumerate(exam.names):
            if name is None or grads[k] is None or grads[k].shape != truth[k].shape:
                continue
            scale = float(np.nanmax(np.abs(truth[k]), initial=0.0)) + float(
                np.nanmax(np.abs(s.probe.truth[k]), initial=0.0)
            )
            limit = s.tables[k].noise * np.abs(np.asarray(other)).sum() * 2 + 4e-6 * scale
            gap = np.abs(grads[k] - np.nan_to_num(truth[k], nan=0.0)) * ~np.isnan(truth[k])
            # Elements on kinks were let pass, and follow no Jacobian.
            first = s.tables[k].noise * np.abs(dy).sum() * 2 + 4e-6 * float(
                np.nanmax(np.abs(s.probe.truth[k]), initial=0.0)
            )
            smooth = np.abs(s.grads[k] - np.nan_to_num(s.probe.truth[k])) <= first
            if not np.isfinite(grads[k]).all() or (gap[smooth] > limit).any():
                report.status[name] = "wrong"
                exam.find(
                    "not_linear",
                    name,
                    f"{name} is not linear in dy: it is right for one dy and wrong for {words}. "
                    "A gradient must only ever be multiplied by dy and added up.",
                    exam.backward_function,
                    mistake="not_linear_in_dy",
                    certainty="exact",
                )
