"""From a list of items to a batch, with PyTorch's rules: nothing is scaled, transposed or given another dtype."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import looks_like_an_array, plain
from ..device import to_numpy
from ..dtypes import common_dtype, default_dtype
from ..errors import DtypeError, ShapeError
from ..tensors.arranging import stack
from ..tensors.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch out of a list of items.

    Tensors and arrays are stacked along a new first axis as they are, integers and truth values become a tensor (int64,
    bool), floating-point numbers float64, of the default dtype where a whole number comes first; text stays a list or
    tuple of text. Tuples and lists are collated part by part into a list, named tuples and dicts into their own kind.
    Raises ShapeError if the parts of one batch differ in shape or number, DtypeError for anything else."""
    first = batch[0]
    if _is_tensor(first):
        _check_alike(batch, looks_like_an_array, "tensors")
        if all(isinstance(item, Tensor) for item in batch) and any(item.requires_grad for item in batch):
            return stack(list(batch))
        return Tensor.of(stacked([to_numpy(item) for item in batch]))
    if isinstance(first, (np.ndarray, np.generic)):
        _check_alike(batch, looks_like_an_array, "arrays")
        return Tensor.of(stacked([np.asarray(_plain(item)) for item in batch]))
    if isinstance(first, (bool, int, float)):
        return Tensor.of(_numbers(batch, first))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        _check_alike(batch, lambda item: isinstance(item, Mapping), "dicts")
        if any(item.keys() != first.keys() for item in batch):
            raise ShapeError("collate: the items of one batch have different keys")
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        _check_alike(batch, lambda item: isinstance(item, (tuple, list)), "tuples")
        if any(len(item) != len(first) for item in batch):
            raise ShapeError("collate: the items of one batch have different numbers of parts")
        parts = [default_collate(part) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    if first is None:
        _check_alike(batch, lambda item: item is not None, "values")  # says that they are missing
    raise DtypeError(_unknown(first))


def _check_alike(batch, is_alike, kind):
    """Raise DtypeError unless all items of a batch, which has begun with one of these, are of this kind."""
    others = [(i, item) for i, item in enumerate(batch) if not is_alike(item)]
    if not others:
        return
    where = ", ".join(str(i) for i, _ in others[:5]) + (", ..." if len(others) > 5 else "")
    if any(item is None for _, item in others):
        missing = sum(item is None for item in batch)
        raise DtypeError(
            f"collate: {missing} of the {len(batch)} values in one batch are None (at {where} of the batch): "
            f"the dataset has returned nothing for them, or its transform has no return; "
            f"leave them out of the dataset, or drop them in a collate_fn of your own"
        )
    raise DtypeError(
        f"collate: one batch mixes {kind} with {_name(others[0][1])} (at {where} of the batch); "
        f"every item of a dataset must be of one kind"
    )


def _plain(item):
    return plain("collate", "an item", item) if isinstance(item, np.ndarray) else item


def default_convert(data: Any) -> Any:
    """What a loader without batches hands out: arrays as tensors, in whatever they are nested; the rest as it is."""
    if _is_tensor(data) or isinstance(data, (str, bytes)):
        return data
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "biuf":
        return Tensor.of(np.asarray(_plain(data)))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        parts = [default_convert(part) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    return data


def stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays of one shape along a new first axis. Raises ShapeError, DtypeError."""
    if arrays[0].dtype.kind not in "biuf":
        raise DtypeError(f"collate: cannot make a batch of {arrays[0].dtype} values")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:4]))
        channels = all(len(shape) == 3 and shape[0] in (1, 3, 4) for shape in shapes)
        if channels and len({shape[1:] for shape in shapes}) == 1:
            raise ShapeError(
                f"collate: one batch mixes pictures of different numbers of channels: {some}; "
                f"bring grey and colour pictures to one kind with transforms.Grayscale"
            )
        remedy = "bring images to one size with transforms.Resize((height, width)) or Resize and CenterCrop"
        if all(len(shape) < 2 for shape in shapes):
            remedy = "give the loader a collate_fn that says what becomes of rows of different lengths"
        raise ShapeError(f"collate: arrays of one batch have different shapes: {some}; {remedy}")
    return np.stack(arrays, dtype=functools.reduce(common_dtype, (array.dtype for array in arrays)))


def _numbers(batch, first):
    _check_alike(batch, lambda item: item is not None, "numbers")
    try:
        array = np.array(batch)
    except ValueError:
        array = np.array(None)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DtypeError(f"collate: a batch that begins with {first!r} holds something that is no number")
    if isinstance(first, float):
        return array.astype(np.float64)
    return array.astype(default_dtype()) if array.dtype.kind == "f" else array


def _unknown(first):
    what = _name(first)
    hint = "; put transforms.ToTensor() into the dataset's transform" if what.startswith("PIL.") else ""
    return f"collate: a batch is made of tensors, arrays, numbers, text, tuples, lists or dicts, not of {what}{hint}"


def _name(item):
    return f"{type(item).__module__}.{type(item).__qualname__}".removeprefix("builtins.")


def _is_tensor(item: Any) -> bool:
    return hasattr(item, "requires_grad")
