"""The import path of torch.sparse, and nothing behind it: there are no sparse tensors."""

from typing import TYPE_CHECKING

from .missing import missing

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = missing("torch.sparse", __all__)
