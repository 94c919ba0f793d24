"""PyTorch's questions about GPUs, `torch.cuda.is_available()` and the like, answered by `tinyvision.device`."""

from numpy.random import Generator

from .device import free_memory, is_available, report, synchronize
from .random import manual_seed


def device_count() -> int:
    """How many GPUs the driver sees."""
    return len(report()["devices"])


def manual_seed_all(seed: int) -> Generator:
    """The same as `manual_seed`: all random numbers come from one generator, whatever device they go to."""
    return manual_seed(seed)


empty_cache = free_memory

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all", "synchronize"]
