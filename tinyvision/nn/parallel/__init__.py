"""Modules that know of other processes: a model's copy on each of them, and batch-norm over all of their rows."""

from typing import TYPE_CHECKING

from ...missing import missing
from ...places import stand_for
from ..data_parallel import DataParallel
from .distributed import DistributedDataParallel
from .sync_norm import SyncBatchNorm

__all__ = ["DataParallel", "DistributedDataParallel", "SyncBatchNorm"]

stand_for(__name__, "data_parallel")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.parallel", __all__)
