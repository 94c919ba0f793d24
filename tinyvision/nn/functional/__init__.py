"""Functions with the names and arguments of `torch.nn.functional`, over the ops on the tape, by kind."""

from typing import TYPE_CHECKING

from ...missing import missing
from .activation import *
from .attention import *
from .convolution import *
from .distance import *
from .dropout import *
from .embedding_loss import *
from .loss import *
from .normalization import *
from .pooling import *
from .sampling import *
from .shape import *

if not TYPE_CHECKING:  # type checkers, which do not compute a list, take every name from the lines above
    __all__ = [name for name, value in globals().items() if callable(value) and value is not missing]
    __getattr__ = missing("torch.nn.functional", __all__)
