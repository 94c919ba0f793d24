"""affine_grid and grid_sample as PyTorch's, together, as spatial transformers use them."""

import numpy as np
import pytest

import tinyvision
from tinyvision import errors

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 3, 1, 1), (2, 3, 7, 1)])
@pytest.mark.filterwarnings("ignore:Since version 1.3.0")
def test_an_image_is_turned_as_in_pytorch(size, align_corners, rng):
    theta, image = rng.standard_normal((2, 2, 3)), rng.standard_normal((2, 3, 6, 5))
    dy = rng.standard_normal(size)
    found = []
    for engine in (torch, tinyvision):
        F = engine.nn.functional
        t, x = (engine.tensor(a, requires_grad=True) for a in (theta, image))
        y = F.grid_sample(x, F.affine_grid(t, size, align_corners=align_corners), align_corners=align_corners)
        y.backward(engine.tensor(dy))
        found.append([a.detach().numpy() for a in (y, t.grad, x.grad)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_what_is_not_said_is_false_with_a_warning():
    F = tinyvision.nn.functional
    theta = tinyvision.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    with pytest.warns(UserWarning, match="affine_grid: align_corners"):
        grid = F.affine_grid(theta, (1, 1, 2, 2))
    with pytest.warns(UserWarning, match="grid_sample: align_corners"):
        same = F.grid_sample(tinyvision.arange(4.0).reshape(1, 1, 2, 2), grid)
    np.testing.assert_allclose(same.numpy().ravel(), [0, 1, 2, 3], atol=1e-6)


def test_what_is_refused():
    F, theta = tinyvision.nn.functional, tinyvision.ones(2, 2, 3)
    with pytest.raises(errors.ShapeError, match="theta must be"):
        F.affine_grid(theta, (1, 1, 2, 2), align_corners=False)
    with pytest.raises(errors.OptionError, match="size is that of an image"):
        F.affine_grid(theta, (2, 1, 2, 2, 2), align_corners=False)
