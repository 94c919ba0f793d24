"""Run a drop-in and the op that it stands in for on the same numbers, the op in float64."""

import numpy as np


def close(got, expected, tolerance, what="result"):
    """Compare relative to the largest number expected; a NaN that the kernel left behind differs from everything."""
    if expected is None:
        assert got is None, what
        return
    assert got is not None, what
    assert tuple(got.shape) == tuple(expected.shape), what
    assert got.dtype == np.float32, what
    largest = max(float(np.abs(expected).max()), 1e-30)
    error = float(np.abs(got.astype(np.float64) - expected).max()) / largest
    assert error <= tolerance, f"{what}: relative error {error:.2e}, allowed are {tolerance:.0e}"  # also for NaN


def run_both(emulation, drop_in, arrays, options, rng, tolerance, needs=None):
    """Forward and backward of a DropIn and of its op, on guarded copies of `arrays` (float64, integers or None)."""
    single = [
        None if a is None else emulation.array(a.astype(np.float32) if a.dtype.kind == "f" else a) for a in arrays
    ]
    before = [None if a is None else a.copy() for a in single]
    double = [None if a is None else a.astype(np.float64) if a.dtype.kind == "f" else a for a in single]
    assert drop_in.applies(*single, **options)
    y, cache = drop_in.forward(*single, **options)
    expected, op_cache = drop_in.op[0](*double, **options)
    close(y, expected, tolerance, "y")
    dy = emulation.array(rng.standard_normal(expected.shape).astype(np.float32))
    needs = needs or tuple(a is not None and a.dtype.kind == "f" for a in arrays)
    backward = drop_in.backward or drop_in.op[1]
    gradients, again = backward(dy, cache, needs), backward(dy, cache, needs)
    wanted = drop_in.op[1](dy.astype(np.float64), op_cache, needs)
    assert len(gradients) == len(wanted)
    for i, (got, second, right) in enumerate(zip(gradients, again, wanted, strict=True)):
        if i < len(needs) and needs[i]:
            close(got, right, tolerance, f"gradient {i}")
            assert np.array_equal(got, second), f"gradient {i} differs in a second call"
    for a, kept in zip(single, before, strict=True):
        assert a is None or np.array_equal(a, kept, equal_nan=True), "an input was changed"
