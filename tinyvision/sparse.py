"""The import path of torch.sparse, and nothing behind it: there are no sparse tensors.

That PyTorch's file imports torch has become a spelling of its own for one-hot labels, `torch.sparse.torch.eye(10)`."""

from typing import TYPE_CHECKING

import tinyvision as torch

from .missing import missing

__all__ = ["torch"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.sparse", __all__)
