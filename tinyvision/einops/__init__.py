"""The library einops on tensors of tinyvision: an import line is changed, and patterns stay as they are.

    from tinyvision.einops import rearrange, reduce, repeat
    from tinyvision.einops.layers.torch import Rearrange, Reduce

(Rogozhnikov, "Einops: clear and reliable tensor manipulations with Einstein-like notation", ICLR 2022.) The functions
are the library's own, extra `einops`; here it is told what to call on a tensor, so that gradients flow back. From then
on `from einops import rearrange` takes tensors too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..missing import missing
from ..tensors import functions
from ..tensors.creation import arange, from_numpy
from ..tensors.tensor import Tensor

try:
    from einops import EinopsError, asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
    from einops._backends import AbstractBackend  # of which the library asks every subclass whether a tensor is its own
except ImportError as error:
    raise ImportError(
        f"tinyvision.einops needs the package einops, 0.8 or newer ({error}): pip install 'tinyvision[einops]'"
    ) from error

ALL_AT_ONCE = {
    "min": "amin",
    "max": "amax",
    "sum": "sum",
    "mean": "mean",
}  # over several axes; gradients of ties shared


class Backend(AbstractBackend):
    """What einops calls on a tensor, by the names that the library has for it."""

    framework_name = "tinyvision"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Whether it is one of our tensors."""
        return isinstance(tensor, Tensor)

    def is_float_type(self, x: Tensor) -> bool:
        """Whether a mean can be taken of it."""
        return x.is_floating_point()

    def from_numpy(self, x: np.ndarray) -> Tensor:
        """A tensor on the array's memory."""
        return from_numpy(x)

    def to_numpy(self, x: Tensor) -> np.ndarray:
        """The numbers, without their history."""
        return x.detach().cpu().numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        """The whole numbers from start up to stop."""
        return arange(start, stop)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """The axes in another order."""
        return x.permute(axes)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        """One more axis, of length 1."""
        return x.unsqueeze(new_position)

    def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
        """New axes of these lengths at these places, along which x is seen again and again without a copy."""
        lengths = [-1] * n_axes
        for place, length in pos2len.items():
            x, lengths[place] = x.unsqueeze(place), length
        return x.expand(lengths)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        """x that often along each axis."""
        return x.repeat(repeats)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        """min, max, sum and mean over all axes at once; prod, any and all over one after the other."""
        if operation in ALL_AT_ONCE:
            return getattr(x, ALL_AT_ONCE[operation])(dim=tuple(axes))
        for axis in sorted(axes, reverse=True):
            x = getattr(x, operation)(dim=axis)
        return x

    def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
        """A list of tensors as one."""
        return functions.stack(tensors)

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """One behind the other along an axis."""
        return functions.cat(tensors, dim=axis)

    def einsum(self, pattern: str, *tensors: Tensor) -> Tensor:
        """A sum of products."""
        return functions.einsum(pattern, *tensors)


__all__ = [
    "EinopsError",
    "asnumpy",
    "einsum",
    "pack",
    "parse_shape",
    "rearrange",
    "reduce",
    "repeat",
    "unpack",
]

if not TYPE_CHECKING:
    __getattr__ = missing("tinyvision.einops", __all__)
