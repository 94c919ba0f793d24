"""Images read at places that a network chooses: `affine_grid` names the places, `grid_sample` reads there."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import device_of, to_device
from ...errors import OptionError, ShapeError
from ...ops.checks import is_integer
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The image (N, C, H, W) read at the places (N, OH, OW, 2), each (across, down) from -1 to 1.

    See `ops.grid_sample_forward`. Raises ShapeError, OptionError, DtypeError."""
    input, grid = tensor_input("grid_sample", "input", input), tensor_input("grid_sample", "grid", grid)
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": _aligned("grid_sample", align_corners)}
    return F.grid_sample(input, grid, **options)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places at which an image is read when it is turned, moved and scaled by theta (N, 2, 3): theta · (x, y, 1).

    size (N, C, OH, OW), of the image that is to come  ->  (N, OH, OW, 2). Raises ShapeError, OptionError."""
    theta = tensor_input("affine_grid", "theta", theta)
    if len(size) != 4 or not all(is_integer(n) and n > 0 for n in size):
        raise OptionError(f"affine_grid: size is that of an image (N, C, H, W), got {tuple(size)}")
    N, _, H, W = map(int, size)
    if tuple(theta.shape) != (N, 2, 3):
        raise ShapeError(f"affine_grid: theta must be (N, 2, 3), here ({N}, 2, 3), got {tuple(theta.shape)}")
    aligned = _aligned("affine_grid", align_corners)
    down, across = (_places(n, aligned, theta.array.dtype) for n in (H, W))
    regular = np.ones((H * W, 3))
    regular[:, 0], regular[:, 1] = np.tile(across, H), np.repeat(down, W)
    regular = to_device(regular.astype(theta.dtype), device_of(theta.array))
    places = F.matmul(regular[None], F.transpose(theta, axes=(0, 2, 1)))  # (N, OH·OW, 2)
    return F.reshape(places, shape=(N, H, W, 2))


def _places(n, aligned, dtype):
    """Where the centres of n pixels are, from -1 to 1; of a single pixel that is 0. Rounded as PyTorch's linspace, from
    both ends to the middle: `grid_sample` may have a kink at these very places."""
    if n == 1:
        return np.zeros(1, dtype)
    step, i = np.longdouble(dtype.type(2) / dtype.type(n - 1)), np.arange(n)
    line = np.where(i < n // 2, i * step - 1, 1 - (n - 1 - i) * step).astype(dtype)  # rounded once
    return line if aligned else line * dtype.type(n - 1) / dtype.type(n)


def _aligned(name, align_corners):
    if align_corners is None:
        warnings.warn(
            f"{name}: align_corners is False by default, so -1 and 1 are the outer edges of the image; say which is "
            f"meant",
            stacklevel=3,
        )
    return bool(align_corners)
