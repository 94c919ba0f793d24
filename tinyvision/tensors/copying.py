"""What `copy.copy`, `copy.deepcopy` and pickling make of a tensor: a leaf, without the records that led to it.

As in PyTorch, `copy` gives another tensor on the same memory, `deepcopy` new memory, which those share that shared the
old and are copied together, and pickling stores the numbers that each sees.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..arrays import address_of, memory_of
from ..errors import GraphError
from ..tape import Variable

if TYPE_CHECKING:
    from .tensor import Tensor


Kind = TypeVar("Kind", bound="Tensor")


def state_of(x: Tensor) -> dict[str, Any]:
    """Its array, whether it asks for a gradient, and the attributes that a subclass has added."""
    slots = {name for kind in type(x).__mro__ for name in vars(kind).get("__slots__", ())}
    added = {name: getattr(x, name) for name in slots.difference(Variable.__slots__) if hasattr(x, name)}
    return {"array": x.array, "requires_grad": x.requires_grad, "added": {**added, **getattr(x, "__dict__", {})}}


def take_state(x: Tensor, state: dict[str, Any]) -> None:
    """Make x what `state_of` has described."""
    Variable.__init__(x, state["array"], state["requires_grad"])
    for name, value in state["added"].items():
        setattr(x, name, value)


def shallow_copy(x: Tensor) -> Tensor:
    """Another leaf on the same memory."""
    twin = type(x).__new__(type(x))
    take_state(twin, state_of(x))
    twin.changes = x.changes  # a change through either is a change of both
    return twin


def deep_copy(x: Kind, memo: dict[int, Any], with_gradient: bool = True) -> Kind:
    """A leaf with memory, and with a gradient, of its own. Without the gradient the memory is shared with nothing that
    is copied beside it: both are as PyTorch copies parameters. Raises GraphError for what an op has produced."""
    if x.record is not None:
        raise GraphError("deepcopy: only leaves can be copied with all that belongs to them; copy x.detach()")
    twin = type(x).__new__(type(x))
    memo[id(x)] = twin
    state = state_of(x)
    array = _copied_with_memory(x.array, memo) if with_gradient else _copied_alone(x.array)
    take_state(twin, {**copy.deepcopy({**state, "array": None}, memo), "array": array})
    if with_gradient:
        twin.grad = copy.deepcopy(x.grad, memo)
    return twin


def _copied_alone(array):
    copied = array.copy(order="K")
    if isinstance(array, np.ndarray) and not array.flags.writeable:  # of a fused model
        copied.flags.writeable = False
    return copied


def _copied_with_memory(array, memo):
    """A copy of the array, or of NumPy's views, of all the memory, once for all views of it, seen in the same way."""
    memory = memory_of(array)
    if memory is array or not (isinstance(array, np.ndarray) and isinstance(memory, np.ndarray) and array.size):
        return copy.deepcopy(array, memo)
    start = address_of(array) - address_of(memory)
    flat = copy.deepcopy(memory, memo).ravel(order="K").view(np.uint8)[start:]
    first = flat[: array.itemsize].view(array.dtype)
    return np.lib.stride_tricks.as_strided(first, array.shape, array.strides, writeable=array.flags.writeable)
