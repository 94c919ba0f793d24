"""The door of functions, layers and losses: whatever was given, as a Tensor."""

from typing import Any

import numpy as np

from ..arrays import check_is_array
from ..tape import Variable
from .tensor import Tensor


def tensor_input(what: str, name: str, x: Any) -> Any:
    """x itself if it is on the tape; a plain array or number as a Tensor on the same memory. `what` asks for `name`.

    Raises DtypeError for all else."""
    if isinstance(x, Variable):
        return x
    if not isinstance(x, (bool, int, float, np.ndarray)):
        check_is_array(what, name, x)
    return Tensor.of(np.asarray(x) if isinstance(x, (bool, int, float)) else x)
