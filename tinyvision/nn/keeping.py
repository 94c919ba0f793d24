"""What inference computes from a layer's tensors before it can use them, kept until somebody may have changed them.

A weight is brought into the order in which a kernel reads it, a batch-norm is folded into a scale and a shift: the same
numbers at every call of a network that does not learn. But anybody may write to a weight: optimizers do, and so does
`p.array -= lr * p.grad.array`. Nobody is asked to say so. Every look at `.array` forgets what was kept, since who has
the array may write to it, and nothing is kept of a tensor whose memory somebody else has already. The engine's own
inference, which only reads, looks by `tape.read`, and that forgets nothing.

What nobody here can see is a write by who has kept no array, only the number of its address: a graph that was captured
with CuPy's own calls, a program in C. After such a write, look at `.array`.
"""

import sys
from typing import TYPE_CHECKING, Any

from ..blocks import on_cpu
from ..device import current_stream, replays
from ..kernels.launch import without_cublas
from ..sharing import forget_replaced
from ..tape import Variable, read
from ..tensors.tensor import Tensor
from ..types import Array

_ARRAY: Any = vars(Variable)["array"]  # the slot behind the property


class Lasting(Tensor):
    """A tensor of a module's. `kept` is what has been computed from it since the last look at its array, or None."""

    __slots__ = ()

    if not TYPE_CHECKING:  # for type checkers, it is the attribute of all variables

        @property
        def array(self) -> Array:
            """The numbers; who asks may change them."""
            self.kept = None
            return read(self)

        @array.setter
        def array(self, array: Array) -> None:
            self.kept = None
            _ARRAY.__set__(self, array)


def kept_of(*tensors: Tensor | None) -> dict[Any, Any] | None:
    """Where to look for what was computed from these tensors together (of None: from nothing), and to leave it for the
    next call; None where it cannot be kept: for a graph, and where somebody else may write to one of them.

    On a GPU it belongs to the stream on which it was computed, and to the time before the next replay of a graph."""
    given = [t for t in tensors if t is not None]
    if on_cpu(read(given[0])):
        now = None
    elif without_cublas():
        return None
    else:
        now = replays[0], current_stream(read(given[0]).device.id)
    own = [(t, getattr(t, "kept", None)) for t in given]
    first, *others = [kept if kept is not None and kept["at"] == now else _begun(t, now) for t, kept in own]
    if first is None or None in others:
        return None
    if not others:
        return first
    marks, found = first.get("with", ((), None))
    if len(marks) != len(others) or any(a is not b for a, b in zip(marks, others, strict=True)):
        found = {}
        first["with"] = tuple(others), found
    return found


def _begun(tensor, now):
    """A tensor's own, another dict after every look at it; None where nothing can be kept."""
    if not isinstance(tensor, Lasting):
        return None
    tensor.kept = None  # it may hold a view of the tensor's memory
    forget_replaced(tensor)
    tensor.kept = {"at": now} if _is_alone(tensor) else None
    return tensor.kept


def _is_alone(tensor):
    """Whether nobody else has the array, what it is a view of, or a look at its memory: by counts, as in
    `arrays.is_only_here`, and as there without a variable, which would count. Memory that comes from another library is
    never ours alone."""
    if not hasattr(read(tensor), "base") or sys.getrefcount(read(tensor)) > 2:
        return False
    is_view = read(tensor).base is not None
    if is_view and getattr(read(tensor).base, "base", 0) is not None:  # of a view, or of a file, a buffer
        return False
    if is_view and sys.getrefcount(read(tensor).base) > 2:
        return False
    if on_cpu(read(tensor)):
        return bool((read(tensor).base if is_view else read(tensor)).flags.owndata)
    if type(getattr(read(tensor).data, "mem", None)).__name__ == "UnownedMemory":
        return False
    owners = 2 if is_view and read(tensor).base.data is read(tensor).data else 1
    return sys.getrefcount(read(tensor).data) <= owners + 1
