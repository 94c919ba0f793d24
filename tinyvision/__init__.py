"""tinyvision: a vision engine to read in a weekend and use on Monday.

Ops compute, the tape remembers, layers own. Every derivative is written by hand in `ops/`, on plain arrays; the tape
calls the backwards in reverse order; layers own the parameters. The face is PyTorch's, so an ordinary training script
runs with only its import lines changed.
"""

import importlib
import math as _math
from typing import TYPE_CHECKING

from .device import device, get_precision, precision, synchronize
from .dtypes import (
    bfloat16,
    boolean,
    can_cast,
    double,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    float_,
    get_default_dtype,
    half,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    int_,
    is_floating_point,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .errors import (
    CheckpointError,
    DataError,
    DeviceError,
    DistributedError,
    DownloadError,
    DtypeError,
    GraphError,
    OptionError,
    ShapeError,
    SharingError,
    TinyVisionError,
    TrainingError,
    WeightsError,
)
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .places import explain_imports as _explain_imports
from .random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .tensors import functions as _functions
from .tensors.creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    eye,
    from_dlpack,
    from_numpy,
    full,
    linspace,
    logspace,
    normal,
    ones,
    rand,
    randint,
    randn,
    randperm,
    scalar_tensor,
    tensor,
    tril_indices,
    triu_indices,
    zeros,
)
from .tensors.float_tensor import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from .tensors.functions import *  # every row of that table
from .tensors.printing import set_printoptions
from .tensors.size import Size
from .tensors.tensor import Tensor
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

_explain_imports()  # from here on, an import of what PyTorch has and this has not says why

bool = boolean
float, int = float_, int_  # PyTorch's names for dtypes; Python's own are builtins.float and builtins.int

e, pi, inf, nan = _math.e, _math.pi, _math.inf, _math.nan
strided = "strided"  # the only layout of numbers in memory here, and the names of orders that are accepted as hints
contiguous_format, channels_last, preserve_format = "contiguous_format", "channels_last", "preserve_format"

# Loaded when first used, so that `import tinyvision` stays as quick as importing NumPy.
_ROOMS = (
    "accelerator",
    "amp",
    "autograd",
    "backends",
    "check",
    "cuda",
    "data",
    "distributed",
    "distributions",
    "explain",
    "fft",
    "functional",
    "hub",
    "interop",
    "jit",
    "learn",
    "linalg",
    "models",
    "multiprocessing",
    "nn",
    "onnx",
    "ops",
    "optim",
    "profiler",
    "random",
    "sparse",
    "testing",
    "torchvision",
    "train",
    "utils",
    "version",
    "weights",
)

_FROM_ROOMS = {
    "GradScaler": "amp",
    "autocast": "amp",
    "compile": "speed",
    "export": "interop",
    "get_autocast_dtype": "amp",
    "is_autocast_enabled": "amp",
    "load": "weights",
    "save": "weights",
    "set_default_device": "speed",
    "set_float32_matmul_precision": "speed",
    "use_deterministic_algorithms": "speed",
}  # single names, loaded likewise

if TYPE_CHECKING:  # what a type checker and an editor see of them
    from . import accelerator as accelerator
    from . import amp as amp
    from . import autograd as autograd
    from . import backends as backends
    from . import check as check
    from . import cuda as cuda
    from . import data as data
    from . import distributed as distributed
    from . import distributions as distributions
    from . import explain as explain
    from . import hub as hub
    from . import interop as interop
    from . import learn as learn
    from . import linalg as linalg
    from . import models as models
    from . import multiprocessing as multiprocessing
    from . import nn as nn
    from . import ops as ops
    from . import optim as optim
    from . import random as random
    from . import testing as testing
    from . import torchvision as torchvision
    from . import train as train
    from . import utils as utils
    from . import weights as weights
    from .amp import GradScaler as GradScaler
    from .amp import autocast as autocast
    from .amp import get_autocast_dtype as get_autocast_dtype
    from .amp import is_autocast_enabled as is_autocast_enabled
    from .interop import export as export
    from .speed import compile as compile
    from .speed import set_default_device as set_default_device
    from .speed import set_float32_matmul_precision as set_float32_matmul_precision
    from .speed import use_deterministic_algorithms as use_deterministic_algorithms
    from .weights import load as load
    from .weights import save as save

else:  # hidden from type checkers, for which a module's __getattr__ would make every misspelt name right

    def __getattr__(name):
        if name in _ROOMS:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _FROM_ROOMS:
            return getattr(importlib.import_module(f"{__name__}.{_FROM_ROOMS[name]}"), name)
        from .missing import missing

        return missing("torch", __dir__())(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, *_FROM_ROOMS])


__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "CheckpointError", "DataError", "DeviceError", "DistributedError",
    "DoubleTensor", "DownloadError", "DtypeError", "FloatTensor", "Generator", "GraphError", "HalfTensor",
    "IntTensor", "LongTensor", "OptionError", "ShapeError", "SharingError", "ShortTensor", "Size", "Tensor",
    "TinyVisionError", "TrainingError", "WeightsError", "__version__", "arange", "as_tensor", "asarray", "bfloat16",
    "bool", "can_cast", "channels_last", "contiguous_format", "device", "double", "dtype", "e", "empty",
    "enable_grad", "eye", "finfo", "float", "float16", "float32", "float64", "from_dlpack", "from_numpy", "full",
    "get_default_dtype", "get_num_threads", "get_precision", "get_rng_state", "half", "iinfo", "inf",
    "inference_mode", "initial_seed", "int", "int8", "int16", "int32", "int64", "is_floating_point",
    "is_grad_enabled", "linspace", "logspace", "long", "manual_seed", "nan", "no_grad", "normal", "ones", "pi",
    "precision", "preserve_format", "promote_types", "rand", "randint", "randn", "randperm", "scalar_tensor",
    "seed", "set_default_dtype", "set_grad_enabled", "set_num_threads", "set_printoptions", "set_rng_state",
    "short", "strided", "synchronize", "tensor", "tril_indices", "triu_indices", "uint8", "uint16", "uint32",
    "uint64", "zeros",
]  # fmt: skip
__all__ += [name for name in vars(_functions) if not name.startswith("_") and name != "annotations"]
