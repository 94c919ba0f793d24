"""The GPU is asked which kernel is the fastest for every convolution that a model meets: `cuda.autotune(model, x)`.

A candidate computes the layer once, and what differs from the others' results is out. Then a graph of some launches is
replayed, so that it is the GPU's time and not Python's, between two events of the GPU's own clock. One that is faster
by less than the noise does not take the place of the one that is used unasked.
"""

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..capturing import capture
from ..device import Device, device_of, require_cuda, to_device, to_numpy
from ..errors import DeviceError, OptionError
from ..grad_mode import set_grad_enabled
from ..ops.rounding import rounded
from . import conv, tuning
from . import launch as gpu

LAUNCHES, REPLAYS = 10, 7  # in a graph; of it, besides one to warm up
NOISE = 0.03  # of a time
TOLERANCE = 2e-3  # of the largest result, between two kernels: both have rounded, to TF32 at the coarsest


class Tuned(NamedTuple):
    """What `cuda.autotune` found: a row for every layer, and the file that keeps it (None if it was not to)."""

    rows: list[dict[str, Any]]
    file: Any

    def __str__(self) -> str:
        lines = [_told(row) for row in self.rows]
        gained = sum(row["ms"][row["unasked"]] - row["ms"][row["kernel"]] for row in self.rows)
        changed = sum(row["kernel"] != row["unasked"] for row in self.rows)
        lines.append(f"{len(self.rows)} layers, {changed} of them with another kernel, {gained:.3f} ms less together")
        return "\n".join([*lines, *([] if self.file is None else [f"kept in {self.file}"])])


def _told(row):
    what = f"{row['precision']} {row['primitive']} {row['rows']}×{row['columns']}×{row['depth']}"
    times = ", ".join(f"{name} {ms:.4f}" for name, ms in sorted(row["ms"].items(), key=lambda item: item[1]))
    wrong = "".join(f"; {name} differs and is left out" for name in row["wrong"])
    return f"{what}, {row['taps'][0]}×{row['taps'][1]}: {row['kernel']} ({times} ms{wrong})"


def autotune(model: Any, inputs: tuple[Any, ...], save: bool) -> Tuned:
    """See `cuda.autotune`."""
    if not inputs:
        raise OptionError("autotune: expected the inputs of the model, to see which layers it meets")
    where = next((device_of(x.array) for x in inputs if hasattr(x, "array")), None)
    if where is None or where.type != "cuda":
        raise DeviceError(f"autotune: kernels are chosen for a GPU, but the inputs are on {where}; move them with .to")
    layers = _met(model, inputs)
    rows, chosen = [], {}
    for layer, met in layers.items():
        times, wrong = _times(layer, met, where)
        unasked, best = met.candidates[0], min(times, key=lambda name: times[name])
        kernel = best if times[best] < (1 - NOISE) * times[unasked] else unasked
        chosen[layer] = kernel
        rows.append({**layer._asdict(), "kernel": kernel, "unasked": unasked, "ms": times, "wrong": wrong})
    tuning.choose({**tuning.kept()[0], **chosen})
    conv.forget()
    return Tuned(rows, tuning.keep(rows) if save else None)


def _met(model, inputs):
    """Every layer with more than one kernel that a step of the model comes by. The model is left as it was."""
    kept = [(v, v.array.copy(order="K"), v.version) for v in model.buffers()]
    gradients = [(p, p.grad) for p in model.parameters()]
    conv.forget()
    tuning.choose({})
    tuning.met = {}
    try:
        with random.fork_rng(), gpu.rehearsal(), set_grad_enabled(model.training):
            y = model(*inputs)
            if model.training:
                _backward(y)
        return {layer: met for layer, met in tuning.met.items() if len(met.candidates) > 1}
    finally:
        tuning.met = None
        for value, array, version in kept:
            value.array[...] = array
            value.version = version
        for parameter, gradient in gradients:
            parameter.grad = gradient


def _backward(output):
    """Go back from every tensor in a model's output, from 1 everywhere."""
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, (list, tuple)):
        for part in output:
            _backward(part)
    elif getattr(output, "requires_grad", False):
        output.backward(np.ones_like(output.array), retain_graph=True)  # outputs may have come by the same layers


def _times(layer, met, where):
    """({kernel: milliseconds}, the kernels whose results differ from those of the one that is used unasked)."""
    arrays, times, wrong = [_numbers(shape, layer.precision, where) for shape in (met.left, met.right)], {}, []
    expected = None
    for name in met.candidates:
        work, result = _work(layer, met, name, *arrays)
        work()
        got = to_numpy(result)
        expected = got if expected is None else expected
        if np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max():
            times[name] = milliseconds(work, where)
        else:
            wrong.append(name)
    return times, wrong


def _numbers(shape, precision, where):
    """Random numbers as a product takes them."""
    host = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    if precision == "bf16":
        host = (rounded(host, precision).view(np.uint32) >> 16).astype(np.uint16)
    elif precision == "fp16":
        host = host.astype(np.float16).view(np.uint16)
    return to_device(host, where)


def _work(layer, met, name, left, right):
    """(a function that launches one candidate, the array that it fills)"""
    mode = "tf32" if layer.precision == "ieee" else layer.precision  # conv plans both alike
    result = gpu.empty(left, met.result)
    shapes = met.left, met.right, met.result
    if layer.primitive == "weight_gradient":
        planned = conv.weight_sums(met.left, met.right, right.strides, met.result, met.sliding, name, None, mode)
        parts, sums, total = planned
        partial = gpu.empty(left, parts)

        def work():
            gpu.run(sums, left, right, partial)
            gpu.run(total, partial, result)

        return work, result
    if layer.primitive == "correlate":
        plan = conv.correlation(*shapes, result.strides, met.sliding, met.activation, name, mode)
    else:
        plan = conv.all_phases(*shapes, result.strides, met.sliding, name, mode)
    return lambda: conv.launched(plan, False, left, right, None, None, None, result), result


def milliseconds(work: Callable[[], Any], where: Device) -> float:
    """The GPU's own time for one call of `work`, the median of several replays of a graph."""
    cupy = require_cuda(where)
    _, replay = capture(lambda: [work() for _ in range(LAUNCHES)], where)
    times = []
    with cupy.cuda.Device(where.index):
        for _ in range(1 + REPLAYS):
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            begin.record()
            replay()
            end.record()
            end.synchronize()
            times.append(cupy.cuda.get_elapsed_time(begin, end) / LAUNCHES)
    return statistics.median(times[1:])
