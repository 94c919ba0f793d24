"""The import path of torch.utils.tensorboard, and nothing behind it: event files are written by `train.tensorboard`."""

from typing import TYPE_CHECKING

from ..missing import missing

__all__ = ()

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.tensorboard", __all__)
