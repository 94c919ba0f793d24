"""What moves numbers about: padding, resizing, shuffling, folding, looking up."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import check_is_array
from ...errors import DtypeError, OptionError, ShapeError
from ...ops.checks import is_integer
from ...tape import Variable
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from ...types import IntOrPair
from .convolution import batch_of

__all__ = [
    "channel_shuffle", "embedding", "flatten", "fold", "interpolate", "pad", "pixel_shuffle", "pixel_unshuffle",
    "unfold", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim merged into one. Raises ShapeError for an axis that is not there."""
    if not isinstance(input, Variable):
        check_is_array("flatten", "input", input)
    rank = input.ndim
    if not -rank <= start_dim < rank or not -rank <= end_dim < rank or start_dim % rank > end_dim % rank:
        raise ShapeError(f"flatten: there are no axes {start_dim} to {end_dim} in {tuple(input.shape)}")
    start, end = start_dim % rank, end_dim % rank
    if end == rank - 1:
        return F.flatten(input, start=start)
    shape = input.shape
    return F.reshape(input, shape=(*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :]))


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """A border around the last axes; pad is (left, right, top, bottom, ...), the last axis first
    (see `ops.pad_forward`).

    mode is "constant" (filled with `value`, 0 if left out), "reflect", "replicate" or "circular". A negative padding
    cuts off. Raises OptionError, ShapeError."""
    if not isinstance(pad, (tuple, list)) or not all(is_integer(n) for n in pad):
        raise OptionError(f"pad: expected (left, right), (left, right, top, bottom) or more, got {pad!r}")
    if value and mode != "constant":
        raise OptionError(f'pad: a value goes with mode "constant", got mode={mode!r}, value={value!r}')
    return F.pad(input, padding=tuple(map(int, pad)), mode=mode, value=0.0 if value is None else value)


# PyTorch's names for modes of `ops.resize_forward`, and how many axes the image has then.
_RESIZING = {"linear": ("linear", 3), "bilinear": ("linear", 4), "trilinear": ("linear", 5), "bicubic": ("cubic", 4)}


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """An image (N, C, H, W), signal (N, C, L) or volume (N, C, D, H, W) of another size (see `ops.resize_forward`).

    Give size or scale_factor, one number or one per axis. mode is "nearest", "nearest-exact", "area", "linear" (of a
    signal), "bilinear", "bicubic" (of an image) or "trilinear" (of a volume). A scale_factor says where pixels come
    from, even where the size had to be rounded; with recompute_scale_factor the rounded size says it.
    Raises ShapeError, OptionError."""
    input = tensor_input("interpolate", "input", input)
    axes = input.ndim - 2
    if axes not in (1, 2, 3):
        raise ShapeError(f"interpolate: input must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), got {input.shape}")
    if mode not in ("nearest", "nearest-exact", "area", *_RESIZING):
        known = ", ".join(["nearest", "nearest-exact", "area", *_RESIZING])
        raise OptionError(f"interpolate: mode must be one of {known}, got {mode!r}")
    kind, rank = _RESIZING.get(mode, (mode, input.ndim))
    if rank != input.ndim:
        raise ShapeError(f"interpolate: mode {mode!r} takes {rank} axes, got {input.ndim} axes {tuple(input.shape)}")
    if align_corners is not None and mode not in _RESIZING:
        raise OptionError(f"interpolate: align_corners goes with {', '.join(_RESIZING)}, not with {mode!r}")
    if (size is None) == (scale_factor is None):
        raise OptionError("interpolate: give either size or scale_factor")
    if size is not None and recompute_scale_factor:
        raise OptionError("interpolate: recompute_scale_factor goes with scale_factor, not with size")
    scales = None
    if size is None:
        scales = tuple(float(s) for s in _one_per_axis("scale_factor", scale_factor, axes))
        if not all(s > 0 and math.isfinite(s) for s in scales):
            raise OptionError(f"interpolate: scale_factor must be positive, got {scale_factor!r}")
        size = tuple(math.floor(n * s) for n, s in zip(input.shape[2:], scales, strict=True))
        scales = None if recompute_scale_factor or kind == "area" else scales
    size = _one_per_axis("size", size, axes)
    options = {"align_corners": bool(align_corners), "scales": scales, "antialias": bool(antialias)}
    return F.resize(input, size=size, mode=kind, **options)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """The old name of `interpolate`; it warns, as PyTorch's does."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def _older(name: str, kind: str, **options: Any) -> Callable[..., Tensor]:
    def function(input: Any, size: Any = None, scale_factor: Any = None) -> Tensor:
        warnings.warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
        return interpolate(input, size, scale_factor, mode=kind, **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`interpolate` with mode {kind!r}, by an older name; it warns, as PyTorch's does."
    return function


upsample_nearest = _older("upsample_nearest", "nearest")
upsample_bilinear = _older("upsample_bilinear", "bilinear", align_corners=True)


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """Channels become pixels: (..., C·r², H, W) -> (..., C, H·r, W·r) (Shi et al., 2016). Raises ShapeError."""
    input, r = _shuffled("pixel_shuffle", input, upscale_factor)
    *front, C, H, W = input.shape
    if C % (r * r):
        raise ShapeError(f"pixel_shuffle: the {C} channels must be a multiple of {r}², got {tuple(input.shape)}")
    n = len(front)
    x = F.reshape(input, shape=(*front, C // (r * r), r, r, H, W))
    x = F.transpose(x, axes=(*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return F.reshape(x, shape=(*front, C // (r * r), H * r, W * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """Pixels become channels: (..., C, H·r, W·r) -> (..., C·r², H, W). Raises ShapeError."""
    input, r = _shuffled("pixel_unshuffle", input, downscale_factor)
    *front, C, H, W = input.shape
    if H % r or W % r:
        raise ShapeError(f"pixel_unshuffle: height and width must be multiples of {r}, got {tuple(input.shape)}")
    n = len(front)
    x = F.reshape(input, shape=(*front, C, H // r, r, W // r, r))
    x = F.transpose(x, axes=(*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return F.reshape(x, shape=(*front, C * r * r, H // r, W // r))


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels dealt out anew: the first of every group, then the second of every group ... (N, C, ...)"""
    input = tensor_input("channel_shuffle", "input", input)
    if input.ndim < 3 or not is_integer(groups) or groups < 1 or input.shape[1] % groups:
        raise OptionError(f"channel_shuffle: groups={groups!r} must divide the channels of {tuple(input.shape)}")
    (N, C, *rest), groups = input.shape, int(groups)
    x = F.reshape(input, shape=(N, groups, C // groups, *rest))
    x = F.transpose(x, axes=(0, 2, 1, *range(3, x.ndim)))
    return F.reshape(x, shape=input.shape)


def unfold(
    input: Any, kernel_size: IntOrPair, dilation: IntOrPair = 1, padding: IntOrPair = 0, stride: IntOrPair = 1
) -> Tensor:
    """Every window as a column.   (N, C, H, W) -> (N, C·KH·KW, OH·OW)"""
    input, batched = batch_of("unfold", input, 4)
    return batched(F.unfold(input, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride))


def fold(
    input: Any,
    output_size: IntOrPair,
    kernel_size: IntOrPair,
    dilation: IntOrPair = 1,
    padding: IntOrPair = 0,
    stride: IntOrPair = 1,
) -> Tensor:
    """Every column added into its window.   (N, C·KH·KW, OH·OW) -> (N, C, *output_size)"""
    options = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    input, batched = batch_of("fold", input, 3)
    return batched(F.fold(input, output_size=output_size, **options))


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Row input[...] of the table weight (K, D).   (...) integers -> (..., D)

    The row padding_idx gets no gradient. Raises DtypeError, OptionError for a number without a row."""
    if max_norm is not None or scale_grad_by_freq or sparse:
        raise OptionError("embedding: max_norm, scale_grad_by_freq and sparse are not supported")
    input, weight = tensor_input("embedding", "input", input), tensor_input("embedding", "weight", weight)
    rows = input.array
    if rows.dtype.kind not in "iu":
        raise DtypeError(f"embedding: input must hold integers, the numbers of rows, got {rows.dtype}")
    K = weight.shape[0]
    if rows.size and bool(((rows < 0) | (rows >= K)).any()):
        raise OptionError(f"embedding: the rows are 0 to {K - 1}, but there are others in the input")
    found = F.index(weight, index=rows)
    if padding_idx is None:
        return found
    learned = np.expand_dims(rows != (padding_idx + K if padding_idx < 0 else padding_idx), -1)
    return F.where(found, found.array, condition=learned)


def _one_per_axis(name, value, axes):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes:
        raise OptionError(f"interpolate: {name} must be one number, or one for each of {axes} axes, got {value!r}")
    return values


def _shuffled(name, input, factor):
    input = tensor_input(name, "input", input)
    if input.ndim < 3:
        raise ShapeError(f"{name}: input must be (..., C, H, W), got {tuple(input.shape)}")
    if not is_integer(factor) or factor < 1:
        raise OptionError(f"{name}: the factor must be a positive integer, got {factor!r}")
    return input, int(factor)
