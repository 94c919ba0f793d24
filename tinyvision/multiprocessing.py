"""The import path of torch.multiprocessing, and nothing behind it: processes do not share the memory of tensors."""

from typing import TYPE_CHECKING

from .missing import missing

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = missing("torch.multiprocessing", __all__)
