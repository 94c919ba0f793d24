"""tinyvision: a vision engine to read in a weekend and use on Monday.

Ops compute, the tape remembers, layers own. Every derivative is written by hand in `ops/`, on plain arrays; the tape
calls the backwards in reverse order; layers own the parameters. The face is PyTorch's, so an ordinary training script
runs with only its import lines changed.
"""

import importlib
from typing import TYPE_CHECKING

import numpy as _np

from .device import device, get_precision, precision, synchronize
from .errors import (
    CheckpointError,
    DataError,
    DeviceError,
    DownloadError,
    DtypeError,
    GraphError,
    OptionError,
    ShapeError,
    TinyVisionError,
    TrainingError,
    WeightsError,
)
from .grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .random import manual_seed
from .tensors import functions as _functions
from .tensors.creation import (
    arange,
    from_dlpack,
    from_numpy,
    full,
    ones,
    ones_like,
    rand,
    randint,
    randn,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .tensors.functions import *  # every row of that table
from .tensors.tensor import Tensor
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

float32, float64, int64, int32, uint8 = (_np.dtype(n) for n in ("float32", "float64", "int64", "int32", "uint8"))
bool = _np.dtype(bool)
long, float, double = int64, float32, float64  # PyTorch's names for dtypes

inference_mode = no_grad  # PyTorch's newer name; here both do the same

# Loaded when first used, so that `import tinyvision` stays as quick as importing NumPy.
_ROOMS = (
    "check",
    "cuda",
    "data",
    "explain",
    "learn",
    "models",
    "nn",
    "ops",
    "optim",
    "random",
    "train",
    "utils",
    "weights",
)

if TYPE_CHECKING:  # what a type checker and an editor see of them
    from . import check as check
    from . import cuda as cuda
    from . import data as data
    from . import explain as explain
    from . import learn as learn
    from . import models as models
    from . import nn as nn
    from . import ops as ops
    from . import optim as optim
    from . import random as random
    from . import train as train
    from . import utils as utils
    from . import weights as weights
    from .weights import load as load
    from .weights import save as save

else:  # hidden from type checkers, for which a module's __getattr__ would make every misspelt name right

    def __getattr__(name):
        if name in _ROOMS:
            return importlib.import_module(f"{__name__}.{name}")
        if name in ("load", "save"):
            return getattr(importlib.import_module(f"{__name__}.weights"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "load", "save"])


__all__ = [
    "CheckpointError",
    "DataError",
    "DeviceError",
    "DownloadError",
    "DtypeError",
    "GraphError",
    "OptionError",
    "ShapeError",
    "Tensor",
    "TinyVisionError",
    "TrainingError",
    "WeightsError",
    "__version__",
    "arange",
    "bool",
    "device",
    "double",
    "enable_grad",
    "float",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "full",
    "get_num_threads",
    "get_precision",
    "inference_mode",
    "int32",
    "int64",
    "is_grad_enabled",
    "long",
    "manual_seed",
    "no_grad",
    "ones",
    "ones_like",
    "precision",
    "rand",
    "randint",
    "randn",
    "randperm",
    "set_grad_enabled",
    "set_num_threads",
    "synchronize",
    "tensor",
    "uint8",
    "zeros",
    "zeros_like",
]
__all__ += [name for name in vars(_functions) if not name.startswith("_") and name != "annotations"]
