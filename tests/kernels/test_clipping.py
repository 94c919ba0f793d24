"""Clipping by kernels against `nn.clip_grad_norm_` of NumPy's arrays."""

import counting_gpu
import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import GraphError
from tinyvision.kernels import clip, launch
from tinyvision.tensors.tensor import Tensor

from .test_planted_bugs import notices, plant

SHAPES = [(3, 5), (1,), (4000,), (2, 3, 3, 3), (2048,), (17,)]


def gradients(rng, count=6, scale=1.0):
    return [(scale * rng.standard_normal(shape)).astype(np.float32) for shape in (SHAPES * 20)[:count]]


def definition(arrays, most):
    """(the norm, what becomes of the arrays), in float64."""
    parameters = [nn.Parameter(np.zeros(a.shape)) for a in arrays]
    for p, a in zip(parameters, arrays, strict=True):
        p.grad = Tensor.of(a.astype(float))
    return nn.clip_grad_norm_(parameters, most).item(), [p.grad.array for p in parameters]


def check(emulation, arrays, most):
    norm, right = definition(arrays, most)
    own = [emulation.array(a) for a in arrays]
    assert np.allclose(clip.clipped(own, most), norm, rtol=1e-6)
    for a, b in zip(own, right, strict=True):
        assert np.allclose(a, b, rtol=1e-6, atol=0)


@pytest.mark.parametrize("count", [1, 6, 100])
@pytest.mark.parametrize("most", [0.3, 1e5])
def test_as_the_definition(emulation, rng, count, most):
    check(emulation, gradients(rng, count), most)
    pieces = 1 + (count > 96)
    assert emulation.launched == ["clip_squares"] * pieces + ["clip_joined"] + ["clip_scaled"] * pieces


@pytest.mark.parametrize(("scale", "most"), [(1e-30, 1e-8), (1e30, 1.0)])
def test_squares_that_floats_cannot_hold(emulation, rng, scale, most):
    check(emulation, gradients(rng, scale=scale), most)


@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_changes_nothing(emulation, rng, special):
    arrays = gradients(rng)
    arrays[2][7] = special
    own = [emulation.array(a) for a in arrays]
    assert not np.isfinite(clip.clipped(own, 1.0))
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(own, arrays, strict=True))


def test_the_simple_version_is_the_same(emulation, rng):
    array = gradients(rng, 3)[2]
    one, other, result = emulation.array(array), emulation.array(array), emulation.empty(array, (2,))
    launch.launch("clip", "clip_simple", (1, 1, 1), one, np.int32(one.size), np.float32(0.5), result, threads=1)
    assert np.allclose(clip.clipped([other], 0.5), result[0], rtol=1e-6)
    assert np.allclose(one, other, rtol=1e-6)


BUGS = {
    "dropped barrier": ("        __syncthreads();\n", ""),
    "half of a block's numbers": ("i < begin + PER_BLOCK && i < p.size[which]; i += THREADS)", "i < begin + THREADS && i < p.size[which]; i += THREADS)"),  # noqa: E501
    "beyond the end": ("i < begin + PER_BLOCK && i < p.size[which];", "i < begin + PER_BLOCK;"),
    "a part is not added": ("int i = threadIdx.x; i < parts;", "int i = threadIdx.x + 1; i < parts;"),
    "the next gradient's block": ("p.first_block[which + 1] <= (int)blockIdx.x", "p.first_block[which + 1] < (int)blockIdx.x"),  # noqa: E501
    "scaled although it is short": ("&& scale < 1. ?", "?"),
    "no test for nan": ("norm <= 1.7976931348623157e308 && scale < 1.", "!(scale >= 1.)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_mistakes_are_noticed(emulate, rng, name):
    change, planted = plant(BUGS[name])
    emulation, arrays = emulate(change=change), gradients(rng)

    def run():
        for most in (0.3, 1e5):
            check(emulation, arrays, most)
        test_a_norm_that_is_not_finite_changes_nothing(emulation, rng, np.nan)

    assert notices(run, planted)


@pytest.fixture
def everywhere(emulation, monkeypatch):
    """NumPy's arrays count as the GPU's."""
    monkeypatch.setattr(nn.clip, "on_cpu", lambda array: False)
    monkeypatch.setattr(clip, "on_gpu_in_float32", lambda arrays: all(a.dtype == np.float32 for a in arrays))
    return emulation


def test_the_function_leaves_the_norm_where_it_is(everywhere, rng):
    arrays = gradients(rng)
    parameters = [nn.Parameter(np.zeros(a.shape, np.float32)) for a in arrays]
    for p, a in zip(parameters, arrays, strict=True):
        p.grad = Tensor.of(everywhere.array(a))
    right, _ = definition(arrays, 1.0)
    assert nn.clip_grad_norm_(parameters, 1.0).item() == pytest.approx(right, rel=1e-6)
    assert nn.clip_grad_norm_(parameters, 1.0).item() == pytest.approx(1, rel=1e-5)
    parameters[0].grad.array[0, 0] = np.nan
    with pytest.raises(GraphError, match="norm of the gradients is nan"):
        nn.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_what_the_kernels_cannot_clip(everywhere):
    whole = np.zeros((4, 6), np.float32)
    assert clip.applies([whole, np.zeros(3, np.float32)])
    assert clip.applies([whole.T])
    assert not clip.applies([])
    assert not clip.applies([whole[:, ::2]])
    assert not clip.applies([whole.astype(float)])
    assert not clip.applies([whole, whole]), "one array twice would be scaled by two blocks at once"
    with tv.kernels.only():
        assert not clip.applies([whole])


def test_nothing_is_asked_of_a_gpu():
    with counting_gpu.counting() as counts:
        parameters = [nn.Parameter(np.zeros(shape, np.float32)).to("cuda") for shape in SHAPES]
        for p in parameters:
            p.grad = tv.tensor(np.ones(p.shape, np.float32)).to("cuda")
        counts.clear()
        norm = nn.clip_grad_norm_(parameters, 1.0)
    assert str(norm.device) == "cuda:0"
    assert counts["launches"] == 3
    assert not counts["device to host"] + counts["synchronisations"] + counts["copies"]
