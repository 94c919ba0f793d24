"""Sampling against PyTorch's grid_sample, over generated images, places and options."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

side = st.integers(1, 6)


@given(st.data())
def test_like_torch(data):
    N, C, H, W, OH, OW = (data.draw(side) for _ in range(6))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, grid = rng.standard_normal((N, C, H, W)), rng.standard_normal((N, OH, OW, 2))
    grid *= data.draw(st.sampled_from([0.5, 1, 3, 20]))
    if data.draw(st.booleans()):  # on the centres of pixels, on edges and on corners, where slopes change
        grid = np.round(grid * 4) / 4
    options = {
        "mode": data.draw(st.sampled_from(["bilinear", "nearest", "bicubic"])),
        "padding_mode": data.draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": data.draw(st.booleans()),
    }
    compare(
        "grid_sample",
        lambda x, grid: torch.nn.functional.grid_sample(x, grid, **options),
        [x, grid],
        options,
        layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))],
    )


def test_places_that_no_integer_can_name_lie_outside():
    x, grid = np.ones((1, 1, 3, 3)), np.zeros((1, 1, 4, 2))
    grid[0, 0, :, 0] = [np.nan, np.inf, -np.inf, 1e30]
    assert not ops.grid_sample_forward(x, grid)[0].any()


def test_what_is_refused():
    x, grid = np.ones((2, 3, 4, 5)), np.ones((2, 3, 4, 2))
    for arguments, kind in (
        ((x, grid[:1]), errors.ShapeError),
        ((x, grid[..., :1]), errors.ShapeError),
        ((x[0], grid[0]), errors.ShapeError),
        ((x[:, :, :0], grid), errors.ShapeError),
        ((x, grid.astype(np.float32)), errors.DtypeError),
        ((x, grid, "cubic"), errors.OptionError),
        ((x, grid, "bilinear", "zero"), errors.OptionError),
    ):
        with pytest.raises(kind, match="grid_sample"):
            ops.grid_sample_forward(*arguments)
