"""PyTorch's questions about GPUs, `torch.cuda.is_available()` and the like, answered by `tinyvision.device`."""

import sys
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from . import amp
from .device import device, free_memory, is_available, pool_bytes, report, synchronize
from .kernels.graph import GraphedModel
from .missing import missing
from .random import manual_seed


def device_count() -> int:
    """How many GPUs the driver sees."""
    return len(report()["devices"])


def manual_seed_all(seed: int) -> Generator:
    """The same as `manual_seed`: all random numbers come from one generator, whatever device they go to."""
    return manual_seed(seed)


def current_device() -> int:
    """The number of the GPU in use. Raises DeviceError if there is none that can be used."""
    return device("cuda").index or 0


def empty_cache() -> None:
    """Give unused GPU memory back to the driver; without a GPU, nothing."""
    if is_available():
        free_memory()


def memory_allocated(device: Any = None) -> int:
    """How many bytes of a GPU's memory arrays hold, of the one in use if none is named; without a GPU, 0."""
    return pool_bytes(_named(device))[0] if is_available() else 0


def memory_reserved(device: Any = None) -> int:
    """How many bytes of a GPU's memory the pool holds, in use or kept for later; without a GPU, 0."""
    return pool_bytes(_named(device))[1] if is_available() else 0


def _named(place):
    return "cuda" if place is None else f"cuda:{place}" if isinstance(place, int) else place


def graphed(model: Any) -> GraphedModel:
    """`model`, in evaluation mode on a GPU, as a function that replays a CUDA graph for each shape of its inputs.

        fast = tinyvision.cuda.graphed(model.eval())
        y = fast(x)

    See `GraphedModel` for what counts as the same model. Calls raise OptionError, DeviceError."""
    return GraphedModel(model)


sys.modules[f"{__name__}.amp"] = amp  # for "from torch.cuda.amp import GradScaler"

__all__ = [
    "amp",
    "current_device",
    "device_count",
    "empty_cache",
    "graphed",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "memory_allocated",
    "memory_reserved",
    "synchronize",
]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.cuda", __all__)
