"""ImageLoader: the DataLoader that training and evaluation make of a dataset of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import DataLoader, transforms
from ..tensors.tensor import Tensor

_to_tensor = transforms.ToTensor()


class ImageLoader(DataLoader):
    """A DataLoader that hands out numbers: pictures uint8 (H, W, C) as by `transforms.ToTensor`, other arrays float32.

    What a dataset or its transform has made a Tensor of is left as it is."""

    def _item(self, index: Any, epoch: int, dataset: Any) -> Any:
        return _with_numbers(super()._item(index, epoch, dataset))

    def _whole(self, chunk: np.ndarray, dataset: Any) -> Any:
        return _with_numbers(super()._whole(chunk, dataset))


def _with_numbers(item: Any) -> Any:
    if not isinstance(item, (tuple, list)) or not item or not isinstance(item[0], np.ndarray):
        return item
    picture, *rest = item
    if picture.dtype == np.uint8:
        return (_to_tensor(picture), *rest)
    return (Tensor.of(np.ascontiguousarray(picture, np.float32)), *rest) if picture.dtype.kind == "f" else item
