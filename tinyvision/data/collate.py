"""From a list of items to a batch, with PyTorch's rules: nothing is scaled, transposed or given another dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..device import to_numpy
from ..errors import DtypeError, ShapeError
from ..tensors.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch out of a list of items.

    Tensors and arrays are stacked along a new first axis as they are, integers and truth values become a tensor
    (int64, bool), floating-point numbers float64; text stays a
    list or tuple of text. Tuples and lists are collated part by part into a list,
    named tuples and dicts into their own kind. Raises ShapeError if the parts of one batch differ in shape or number,
    DtypeError for anything else."""
    first = batch[0]
    if _is_tensor(first):
        return Tensor(stacked([to_numpy(item) for item in batch]))
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(stacked([np.asarray(item) for item in batch]))
    if isinstance(first, (bool, int, float)):
        return Tensor(_numbers(batch, first))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        if any(not isinstance(item, Mapping) or item.keys() != first.keys() for item in batch):
            raise ShapeError("collate: the items of one batch have different keys")
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(not isinstance(item, (tuple, list)) or len(item) != len(first) for item in batch):
            raise ShapeError("collate: the items of one batch have different numbers of parts")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    raise DtypeError(_unknown(first))


def default_convert(item: Any) -> Any:
    """What a loader without batches hands out: arrays as tensors, in whatever they are nested; the rest as it is."""
    if _is_tensor(item) or isinstance(item, (str, bytes)):
        return item
    if isinstance(item, (np.ndarray, np.generic)) and item.dtype.kind in "biuf":
        return Tensor(np.asarray(item))
    if isinstance(item, Mapping):
        return {key: default_convert(value) for key, value in item.items()}
    if isinstance(item, (tuple, list)):
        parts = [default_convert(part) for part in item]
        return type(item)(*parts) if hasattr(item, "_fields") else parts
    return item


def stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays of one shape along a new first axis. Raises ShapeError, DtypeError."""
    if arrays[0].dtype.kind not in "biuf":
        raise DtypeError(f"collate: cannot make a batch of {arrays[0].dtype} values")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:4]))
        channels = {shape[0] for shape in shapes if len(shape) == 3} <= {1, 3, 4}
        if channels and len({shape[1:] for shape in shapes}) == 1:
            raise ShapeError(
                f"collate: one batch mixes pictures of different numbers of channels: {some}; "
                f"bring grey and colour pictures to one kind with transforms.Grayscale"
            )
        raise ShapeError(
            f"collate: arrays of one batch have different shapes: {some}; "
            f"bring images to one size with transforms.Resize((height, width)) or Resize and CenterCrop"
        )
    return np.stack(arrays)


def _numbers(batch, first):
    try:
        array = np.array(batch)
    except ValueError:
        array = np.array(None)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DtypeError(f"collate: a batch that begins with {first!r} holds something that is no number")
    return array.astype(np.float64 if isinstance(first, float) else array.dtype)


def _unknown(first):
    what = f"{type(first).__module__}.{type(first).__qualname__}".removeprefix("builtins.")
    hint = "; put transforms.ToTensor() into the dataset's transform" if what.startswith("PIL.") else ""
    return f"collate: a batch is made of tensors, arrays, numbers, text, tuples, lists or dicts, not of {what}{hint}"


def _is_tensor(item: Any) -> bool:
    return hasattr(item, "requires_grad")
