"""What comes in twos: numbers and where they were, the smallest and the largest. They print as PyTorch's do."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .writing import nobodys_view

if TYPE_CHECKING:
    from .tensor import Tensor


class Extremes(NamedTuple):
    """The largest or smallest numbers along an axis, or all of them in order, and where they are."""

    values: Tensor
    indices: Tensor

    def squeezed(self, axis: int) -> Extremes:
        """Without an axis of one number."""
        return type(self)(nobodys_view(self.values.squeeze(axis)), nobodys_view(self.indices.squeeze(axis)))

    def __repr__(self) -> str:
        return f"torch.return_types.{type(self).__name__}(\nvalues={self.values!r},\nindices={self.indices!r})"

    def __reduce__(self) -> Any:
        return extremes, (type(self).__name__, *self)


class Range(NamedTuple):
    """The smallest and the largest number."""

    min: Tensor
    max: Tensor

    def __repr__(self) -> str:
        return f"torch.return_types.aminmax(\nmin={self.min!r},\nmax={self.max!r})"


def extremes(what: str, values: Tensor, indices: Tensor) -> Extremes:
    """What the function of this name found: a pair that bears its name, as PyTorch's does."""
    return _of(what)(values, indices)


@cache
def _of(what: str) -> type[Extremes]:
    return type(what, (Extremes,), {"__slots__": (), "__module__": __name__})
