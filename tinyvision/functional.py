"""The import path of torch.functional: functions of tensors, and `F`, which scripts import from here by oversight."""

from typing import TYPE_CHECKING

from .missing import missing
from .nn import functional as F
from .tensors.functions import (
    broadcast_tensors,
    cartesian_prod,
    cdist,
    einsum,
    meshgrid,
    norm,
    split,
    tensordot,
    unique,
)
from .tensors.tensor import Tensor

__all__ = [
    "F", "Tensor", "broadcast_tensors", "cartesian_prod", "cdist", "einsum", "meshgrid", "norm", "split",
    "tensordot", "unique",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = missing("torch.functional", __all__)
