"""tinyvision: a vision engine to read in a weekend and use on Monday.

Ops compute, the tape remembers, layers own. Every derivative is written by hand in `ops/`, on plain arrays; the tape
calls the backwards in reverse order; layers own the parameters. The face is PyTorch's, so an ordinary training script
runs with only its import lines changed.
"""

import importlib

import numpy as _np

from .creation import (
    arange,
    argmax,
    cat,
    flatten,
    from_dlpack,
    from_numpy,
    ones,
    rand,
    randn,
    softmax,
    stack,
    tensor,
    zeros,
)
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
from .parallel import get_num_threads, set_num_threads
from .random import manual_seed
from .tape import enable_grad, is_grad_enabled, no_grad
from .tensor import Tensor

__version__ = "0.1.0"

float32, float64, int64, int32, uint8 = (_np.dtype(n) for n in ("float32", "float64", "int64", "int32", "uint8"))
long, float, double = int64, float32, float64  # PyTorch's names for dtypes

# Loaded when first used, so that `import tinyvision` stays as quick as importing NumPy.
_ROOMS = ("check", "data", "explain", "learn", "models", "nn", "ops", "optim", "random", "train", "weights")


def max(x, dim=None, keepdim=False):
    """The largest number of a tensor, or (largest, where) along `dim` (see `Tensor.max`)."""
    return (x if isinstance(x, Tensor) else Tensor(x)).max(dim, keepdim)


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in ("load", "save"):
        return getattr(importlib.import_module(f"{__name__}.weights"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS, "load", "save"])
