"""torch.accelerator: the GPU, under the name that newer scripts use for any fast device."""

from typing import TYPE_CHECKING

from .cuda import current_device, device_count, is_available, synchronize
from .cuda import set_device as set_device_index
from .device import Device, device
from .missing import missing


def current_accelerator(check_available: bool = False) -> Device | None:
    """The current GPU, or None where there is none that can be used; `check_available` changes nothing."""
    return device("cuda") if is_available() else None


current_device_index = current_device

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "is_available", "set_device_index",
    "synchronize",
]  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = missing("torch.accelerator", __all__)
