"""1×1 convolutions in full FP32 as plain products: against the op, and counted."""

import counting_gpu
import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.device import precision_of
from tinyvision.kernels import launch, pointwise

from .compare import close, run_both

(DROP_IN,) = pointwise.DROP_INS
SINGLE = 3e-6


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 5, 9, 8), (1, 3, 1, 1), (3, 1, 4, 2)])
def test_as_the_op(emulation, rng, bias, shape):
    arrays = [rng.standard_normal(s) for s in (shape, (7, shape[1], 1, 1), (7,))]
    run_both(emulation, DROP_IN, arrays if bias else [*arrays[:2], None], {}, rng, SINGLE)
    assert emulation.launched == []


def test_another_gradient_of_the_image_is_added(emulation, rng):
    x, w, dy, onto = (
        rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 3, 4), (6, 5, 1, 1), (2, 6, 3, 4), (2, 5, 3, 4))
    )
    _, cache = DROP_IN.forward(x, w)
    right = np.einsum("nohw,oc->nchw", dy.astype(float), w[:, :, 0, 0].astype(float)) + onto
    before = onto.copy()
    close(DROP_IN.backward(dy, cache, (True, False), onto)[0], right, SINGLE)
    assert np.array_equal(onto, before)


@pytest.mark.parametrize(
    ("weight", "options"),
    [
        ((6, 4, 1, 1), {"stride": 2}),
        ((6, 4, 1, 1), {"padding": 1}),
        ((6, 4, 3, 3), {}),
        ((6, 2, 1, 1), {"groups": 2}),
        ((6, 5, 1, 1), {}),  # a mistake, whose message the op has
    ],
)
def test_what_is_left_to_others(weight, options):
    x, weight = np.zeros((2, 4, 5, 5), np.float32), np.zeros(weight, np.float32)
    assert not DROP_IN.applies(x, weight, **options)
    assert DROP_IN.applies(x, np.zeros((6, 4, 1, 1), np.float32), padding=0)


def test_captures_and_tensor_cores_are_left_to_others(monkeypatch):
    x, weight = np.zeros((2, 4, 5, 5), np.float32), np.zeros((6, 4, 1, 1), np.float32)
    assert not DROP_IN.applies(np.zeros((0, 4, 5, 5), np.float32), weight)
    monkeypatch.setattr(precision_of, "cuda", "tf32")
    assert not DROP_IN.applies(x, weight)
    monkeypatch.setattr(precision_of, "cuda", "ieee")
    assert DROP_IN.applies(x, weight)
    monkeypatch.setattr(launch, "capturing", lambda: True)
    assert not DROP_IN.applies(x, weight)


def test_a_launch_for_each_direction():
    """The readable op, which goes block by block, has thirteen launches, and copies the images."""
    with counting_gpu.counting() as counts:
        layer = nn.Conv2d(16, 24, 1, bias=False).to("cuda")
        x = tv.zeros(4, 16, 9, 9).to("cuda").to(memory_format=tv.channels_last).requires_grad_()
        counts.clear()
        y = layer(x)
        assert counts["launches"] == 1
        y.backward(np.empty_like(y.array))
        assert counts["copies"] <= 1  # the gradient that is handed in comes in C order
        assert counts["launches"] == 1 + 2 + counts["copies"]
