"""The import path of torch.jit, and nothing behind it: models are not compiled, they run as they are written."""

from typing import TYPE_CHECKING

from .missing import missing

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = missing("torch.jit", __all__)
