"""The import path of torch.utils.tensorboard, and nothing behind it: there are no event files here."""

from typing import TYPE_CHECKING

from ..missing import missing

__all__ = ()

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.tensorboard", __all__)
