"""The import path of torch.fft, and nothing behind it: there are no complex numbers."""

from typing import TYPE_CHECKING

from .missing import missing

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = missing("torch.fft", __all__)
