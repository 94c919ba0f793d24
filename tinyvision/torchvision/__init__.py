"""torchvision's import paths: `from tinyvision import torchvision`, `from tinyvision.torchvision import transforms`.

What is behind them lives in `tinyvision.models`, `data`, `boxes`, `drawing`; here the names are handed on."""

from typing import TYPE_CHECKING

from .. import __version__ as __version__
from ..missing import missing
from . import datasets, io, models, ops, transforms, utils

__all__ = ["datasets", "io", "models", "ops", "transforms", "utils"]

if not TYPE_CHECKING:
    __getattr__ = missing("torchvision", __all__)
