"""Layers, losses and containers with PyTorch's names: `import tinyvision.nn as nn`."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..places import stand_for
from . import absent, clip, containers, layers, losses
from . import functional as functional
from . import init as init
from . import modules as modules
from . import utils as utils
from .clip import *
from .containers import *
from .data_parallel import DataParallel as DataParallel
from .layers import *
from .losses import *
from .module import Buffer as Buffer
from .module import Module as Module
from .module import Parameter as Parameter
from .parallel import SyncBatchNorm as SyncBatchNorm
from .summary import summary as summary

stand_for(__name__, "parameter")

if not TYPE_CHECKING:  # type checkers, which do not compute a list, take every name from the lines above
    __all__ = [*layers.__all__, *losses.__all__, *containers.__all__, *clip.__all__, "Buffer", "DataParallel", "Module",
               "Parameter", "SyncBatchNorm", "functional", "init", "modules", "summary", "utils"]  # fmt: skip
    _ask = missing("torch.nn", __all__)

    def __getattr__(name):
        return absent.absent(name) if name in absent.NAMES else _ask(name)
