"""The import path of torch.profiler, and nothing behind it: nothing here writes PyTorch's traces."""

from typing import TYPE_CHECKING

from .missing import missing

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = missing("torch.profiler", __all__)
