"""Layers that move numbers about, resize, and look up."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...grad_mode import no_grad
from ...ops.checks import check_positive, is_integer
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from .. import functional, init
from ..module import Module, Parameter
from .declared import Declared

__all__ = [
    "ChannelShuffle", "CosineSimilarity", "Embedding", "Flatten", "Fold", "Identity", "PairwiseDistance",
    "PixelShuffle", "PixelUnshuffle", "Unflatten", "Unfold", "Upsample", "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
]  # fmt: skip


class Flatten(Declared, function=functional.flatten):
    """(N, C, H, W) -> (N, C·H·W)"""

    start_dim: int = 1
    end_dim: int = -1

    def __post_init__(self) -> None:
        for name, value in self.options().items():
            if not is_integer(value):
                raise OptionError(f"Flatten: {name} must be an integer, got {value!r}")


class Unflatten(Module):
    """One axis as several: `Unflatten(1, (3, 8, 8))` makes (N, 192) to (N, 3, 8, 8)."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The same numbers, the axis as several."""
        axis = self.dim % input.ndim
        return input.reshape(*input.shape[:axis], *self.unflattened_size, *input.shape[axis + 1 :])

    def extra_repr(self) -> str:
        """The axis and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """Passes its input through, whatever arguments it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """input itself."""
        return input


class Upsample(Declared, function=functional.interpolate):
    """An image of another size: `size`, or `scale_factor` times as large (see `functional.interpolate`)."""

    size: Any = None
    scale_factor: Any = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.scale_factor, (tuple, list)):
            self.scale_factor = tuple(float(s) for s in self.scale_factor)
        elif self.scale_factor:
            self.scale_factor = float(self.scale_factor)

    def extra_repr(self) -> str:
        """The scale or the size, and the mode."""
        by = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{by}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` with mode "nearest"."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with mode "bilinear", the corners aligned."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


class PixelShuffle(Declared, function=functional.pixel_shuffle):
    """(N, C·r², H, W) -> (N, C, H·r, W·r)"""

    upscale_factor: int


class PixelUnshuffle(Declared, function=functional.pixel_unshuffle):
    """(N, C, H·r, W·r) -> (N, C·r², H, W)"""

    downscale_factor: int


class ChannelShuffle(Declared, function=functional.channel_shuffle):
    """Channels dealt out anew among the groups."""

    groups: int


class Unfold(Declared, function=functional.unfold):
    """Every window as a column.   (N, C, H, W) -> (N, C·KH·KW, OH·OW)"""

    kernel_size: Any
    dilation: Any = 1
    padding: Any = 0
    stride: Any = 1


class Fold(Declared, function=functional.fold):
    """Every column added into its window.   (N, C·KH·KW, OH·OW) -> (N, C, *output_size)"""

    output_size: Any
    kernel_size: Any
    dilation: Any = 1
    padding: Any = 0
    stride: Any = 1


class CosineSimilarity(Declared, function=functional.cosine_similarity):
    """The cosine of the angle between two vectors along dim."""

    dim: int = 1
    eps: float = 1e-8
    hidden = ("dim", "eps")


class PairwiseDistance(Declared, function=functional.pairwise_distance):
    """The p-norm of the difference of two vectors (N, D)."""

    p: float = 2.0
    eps: float = 1e-6
    keepdim: bool = False
    hidden = ("p", "eps", "keepdim")


class Embedding(Module):
    """A learned vector for each of num_embeddings numbers.   (...) integers -> (..., embedding_dim)"""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise OptionError("Embedding: max_norm, scale_grad_by_freq and sparse are not supported")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise OptionError(f"Embedding: padding_idx must be one of {num_embeddings} rows, got {padding_idx!r}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(zeros(num_embeddings, embedding_dim) if _weight is None else _weight)
        if _weight is None:
            self.reset_parameters()
        self.to(device=device, dtype=dtype)
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Embedding:
        """A layer of these vectors, one a row; frozen, they ask for no gradient. Raises ShapeError, OptionError."""
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding: the vectors must be (how many, how long), got {tuple(embeddings.shape)}")
        many, long = embeddings.shape
        layer = cls(many, long, padding_idx, _weight=embeddings, dtype=embeddings.dtype, **options)
        return layer.requires_grad_(not freeze)

    def reset_parameters(self) -> None:
        """Draw new vectors from the standard normal distribution; that of padding_idx is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight.array[self.padding_idx] = np.float32(0)

    def forward(self, input: Tensor) -> Tensor:
        """The vectors."""
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else text + f", padding_idx={self.padding_idx}"
