"""The linear layer for captures, against `ops.linear` in float64."""

import numpy as np
import pytest

from tinyvision.kernels import conv, launch, linear, pointwise

from .compare import run_both

(DROP_IN,) = linear.DROP_INS
TOLERANCE = 3e-6  # as for convolutions


@pytest.mark.parametrize("shape", [(5, 7, 3), (130, 20, 70), (1, 4, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_rows(emulation, rng, monkeypatch, shape, bias):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    N, I, O = shape
    arrays = [rng.standard_normal(s) for s in ((N, I), (O, I), (O,))]
    arrays[2] = arrays[2] if bias else None
    run_both(emulation, DROP_IN, arrays, {}, rng, TOLERANCE)


def test_more_axes_in_front(emulation, rng, monkeypatch):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    run_both(emulation, DROP_IN, [rng.standard_normal((2, 3, 8)), rng.standard_normal((5, 8))], {}, rng, TOLERANCE)


def test_outside_of_a_capture_cublas_stays_in_charge(monkeypatch):
    arrays = np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32)
    plain = np.zeros((1, 4, 5, 5), np.float32), np.zeros((4, 4, 1, 1), np.float32)
    assert not DROP_IN.applies(*arrays)
    assert pointwise.DROP_INS[0].applies(*plain)  # which is asked before conv, and has cuBLAS multiply
    monkeypatch.setattr(launch, "capturing", lambda: True)
    assert DROP_IN.applies(*arrays)
    assert not pointwise.DROP_INS[0].applies(*plain)
    assert conv.DROP_INS[0].applies(*plain)
    assert not DROP_IN.applies(arrays[0], np.zeros((4, 2), np.float32))
