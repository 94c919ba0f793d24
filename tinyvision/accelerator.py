"""torch.accelerator: the GPU, under the name that newer scripts use for any fast device."""

from .cuda import device_count, is_available, synchronize
from .device import Device


def current_accelerator(check_available: bool = False) -> Device | None:
    """The first GPU, or None where there is none that can be used; `check_available` changes nothing."""
    return Device("cuda", 0) if is_available() else None


__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]
