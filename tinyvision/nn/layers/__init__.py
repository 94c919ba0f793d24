"""The layers, by kind: each owns its parameters, or only options, and calls one function."""

from typing import TYPE_CHECKING

from .activation import *
from .attention import *
from .convolution import *
from .dropout import *
from .linear import *
from .normalization import *
from .padding import *
from .pooling import *
from .shape import *

if not TYPE_CHECKING:  # type checkers, which do not compute a list, take every name from the lines above
    __all__ = [name for name, value in globals().items() if isinstance(value, type)]
