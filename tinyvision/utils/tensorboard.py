"""The import path of torch.utils.tensorboard."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..train.tensorboard import SummaryWriter

__all__ = ["SummaryWriter"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.tensorboard", __all__)
