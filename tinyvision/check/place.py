"""Where the functions under test run. The checker itself computes on the CPU; every way there and back is explicit.

A GPU's arrays refuse to turn into NumPy arrays by themselves, so all that is done to them stands here: copies are sent,
results are fetched, and a call is over only when the GPU has finished it, so that its errors are that call's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..device import CPU, Device, DeviceName, device_of, synchronize, to_device, to_numpy, use
from ..device import device as as_device
from ..types import Array


class Place:
    """The device of `pattern`, an array that lives there; without one, the CPU."""

    def __init__(self, pattern: Array | None = None) -> None:
        self.pattern = None if isinstance(pattern, np.ndarray) else pattern
        self.device = CPU if self.pattern is None else device_of(self.pattern)

    @classmethod
    def named(cls, where: DeviceName) -> "Place":
        """The place of a device's name. Raises DeviceError, with the remedy, if it cannot be used."""
        return cls() if as_device(where) == CPU else cls(to_device(np.zeros(1), where))

    def send(self, array: Any) -> Array:
        """A fresh copy of a NumPy array, there."""
        if self.pattern is None:
            return np.array(array)
        use(self.device)
        return np.asarray(np.asarray(array), like=self.pattern)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a call that computes there: it is over when the device has done all of it."""
        use(self.device)
        yield
        if self.device.type == "cuda":
            synchronize(self.device)

    def strangers(self, value: Any) -> list[Device]:
        """Where those arrays of a result live that are not from here; single numbers are at home everywhere."""
        if isinstance(value, (list, tuple)):
            return [where for part in value for where in self.strangers(part)]
        if not is_array(value) or (isinstance(value, np.ndarray) and not value.ndim):
            return []
        return [device_of(value)] if device_of(value) != self.device else []


def is_array(value: Any) -> bool:
    """True for an array of NumPy's or of a device, and for no other object that looks a little like one."""
    if isinstance(value, np.ndarray):
        return True
    return hasattr(value, "__array_function__") and hasattr(value, "get") and hasattr(value, "dtype")


def fetched(value: Any) -> Any:
    """A result with every array in its lists and tuples as a NumPy array."""
    if isinstance(value, (list, tuple)):
        return [fetched(part) for part in value]
    return to_numpy(value) if is_array(value) else value
