"""Layers of PyTorch's that are not built, as classes: no module is one of them, and making one says why.

Functions that look at the layers of any network name them, `isinstance(m, (nn.Conv2d, nn.Conv3d))`, and are answered
by no; so are imports of names that a script never uses."""

from functools import cache

from ..missing import MissingName
from .module import Module

NAMES = {
    *("Conv3d", "ConvTranspose1d", "ConvTranspose3d", "BatchNorm3d", "InstanceNorm3d"),
    *("LSTM", "LSTMCell", "GRU", "GRUCell", "RNN", "RNNCell", "RNNBase"),
}


class Absent(Module):
    """Base of these classes."""


def is_absent(value: object) -> bool:
    """Whether a value is one of these classes."""
    return isinstance(value, type) and issubclass(value, Absent)


@cache
def absent(name: str) -> type[Absent]:
    """The class of a name. Making one raises MissingName, an AttributeError with the reason."""

    def __new__(cls: type, *args: object, **options: object) -> Absent:
        raise MissingName("torch.nn", name, ())

    return type(name, (Absent,), {"__new__": __new__, "__module__": __name__, "__doc__": "A layer that is not built."})
