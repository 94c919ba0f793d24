"""`Rearrange` and `Reduce`: the pattern of a function as a layer, for a Sequential.

    nn.Sequential(Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4), nn.Linear(48, 64))

Both are the library's own, which checks a pattern once for every number of axes; a module of ours calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einops.layers import RearrangeMixin, ReduceMixin

from ...missing import missing
from ...nn.module import Module
from ...tensors.tensor import Tensor


class Rearrange(RearrangeMixin, Module):
    """rearrange(x, pattern, **axes_lengths) as a layer without parameters."""

    def forward(self, input: Tensor) -> Tensor:
        return self._apply_recipe(input)


class Reduce(ReduceMixin, Module):
    """reduce(x, pattern, reduction, **axes_lengths) as a layer without parameters; reduction is "min", "max", "sum",
    "mean" or "prod"."""

    def forward(self, input: Tensor) -> Tensor:
        return self._apply_recipe(input)


__all__ = ["Rearrange", "Reduce"]

if not TYPE_CHECKING:
    __getattr__ = missing(
        "tinyvision.einops.layers.torch", __all__, {"EinMix": "einsum and a Parameter say the same in two lines"}
    )
