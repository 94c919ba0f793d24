"""The import path of torch.utils.tensorboard."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..places import stand_for
from ..train.tensorboard import SummaryWriter

__all__ = ["SummaryWriter"]

stand_for(__name__, "writer")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.tensorboard", __all__)
