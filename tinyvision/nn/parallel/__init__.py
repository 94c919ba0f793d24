"""Modules that know of other processes: a model's copy on each of them, and batch-norm over all of their rows."""

from ..data_parallel import DataParallel
from .distributed import DistributedDataParallel
from .sync_norm import SyncBatchNorm

__all__ = ["DataParallel", "DistributedDataParallel", "SyncBatchNorm"]
