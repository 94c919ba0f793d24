"""PyTorch's questions about GPUs, `torch.cuda.is_available()` and the like, answered by `tinyvision.device`."""

from typing import TYPE_CHECKING

from numpy.random import Generator

from . import amp
from .device import device, free_memory, is_available, report, synchronize
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


__all__ = [
    "amp",
    "current_device",
    "device_count",
    "empty_cache",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.cuda", __all__)
