"""PyTorch's other spellings of what a Tensor can do: every method here is put together from those of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import OptionError, ShapeError
from ..ops.checks import is_integer, one_axis
from ..types import Axes
from . import taped

if TYPE_CHECKING:
    from .tensor import Tensor


class Extremes(NamedTuple):
    """The largest or smallest numbers along an axis, and where they are."""

    values: Tensor
    indices: Tensor


class Conversions:
    """Methods that Tensor inherits. They stand apart because beside them `int` is no longer the type in a hint."""

    __slots__ = ()

    def cpu(self: Tensor) -> Tensor:
        """The tensor on the CPU."""
        return self.to("cpu")

    def cuda(self: Tensor) -> Tensor:
        """The tensor on the first GPU."""
        return self.to("cuda")

    def float(self: Tensor) -> Tensor:
        """As float32."""
        return self.to(np.float32)

    def double(self: Tensor) -> Tensor:
        """As float64."""
        return self.to(np.float64)

    def long(self: Tensor) -> Tensor:
        """As int64."""
        return self.to(np.int64)

    def int(self: Tensor) -> Tensor:
        """As int32."""
        return self.to(np.int32)

    def bool(self: Tensor) -> Tensor:
        """As truth values."""
        return self.to(np.bool_)


class Methods(Conversions):
    """Methods that Tensor inherits; `self` is always a Tensor."""

    __slots__ = ()

    @property
    def T(self: Tensor) -> Tensor:
        """All axes reversed."""
        return self.transpose(*reversed(range(self.ndim)))

    @property
    def is_cuda(self: Tensor) -> bool:
        """True if it lives on a GPU."""
        return self.device.type == "cuda"

    def add(self: Tensor, other: Any) -> Tensor:
        """self + other"""
        return self + other

    def sub(self: Tensor, other: Any) -> Tensor:
        """self - other"""
        return self - other

    def mul(self: Tensor, other: Any) -> Tensor:
        """self · other"""
        return self * other

    def div(self: Tensor, other: Any) -> Tensor:
        """self / other"""
        return self / other

    def pow(self: Tensor, exponent: float) -> Tensor:
        """self ** exponent"""
        return self**exponent

    def matmul(self: Tensor, other: Any) -> Tensor:
        """The matrix product self @ other."""
        return self @ other

    def mm(self: Tensor, other: Any) -> Tensor:
        """The matrix product self @ other."""
        return self @ other

    def _changed_in_place(self, name, result):
        if result is not self:
            raise OptionError(
                f"{name}: a value that an op computed is not changed in place; write x = x.{name[:-1]}(...)"
            )
        return self

    def add_(self: Tensor, other: Any) -> Tensor:
        """self += other, in place."""
        return self._changed_in_place("add_", self.__iadd__(other))

    def sub_(self: Tensor, other: Any) -> Tensor:
        """self -= other, in place."""
        return self._changed_in_place("sub_", self.__isub__(other))

    def mul_(self: Tensor, other: Any) -> Tensor:
        """self *= other, in place."""
        return self._changed_in_place("mul_", self.__imul__(other))

    def div_(self: Tensor, other: Any) -> Tensor:
        """self /= other, in place."""
        return self._changed_in_place("div_", self.__itruediv__(other))

    def eq(self: Tensor, other: Any) -> Tensor:
        """self == other, number by number."""
        return self == other

    def ne(self: Tensor, other: Any) -> Tensor:
        """self != other, number by number."""
        return self != other

    def lt(self: Tensor, other: Any) -> Tensor:
        """self < other, number by number."""
        return self < other

    def le(self: Tensor, other: Any) -> Tensor:
        """self <= other, number by number."""
        return self <= other

    def gt(self: Tensor, other: Any) -> Tensor:
        """self > other, number by number."""
        return self > other

    def ge(self: Tensor, other: Any) -> Tensor:
        """self >= other, number by number."""
        return self >= other

    def isnan(self: Tensor) -> Tensor:
        """Where a number is nan."""
        return self != self

    def view_as(self: Tensor, other: Any) -> Tensor:
        """The same numbers in the shape of `other`."""
        return self.reshape(*other.shape)

    def expand(self: Tensor, *sizes: Any) -> Tensor:
        """Axes of size 1 repeated to these sizes (-1 keeps one), new ones in front. A copy. Raises ShapeError."""
        sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
        own = (1,) * (len(sizes) - self.ndim) + self.shape
        sizes = tuple(n if size == -1 else size for size, n in zip(sizes, own, strict=False))
        if len(own) != len(sizes) or any(n not in (1, size) for size, n in zip(sizes, own, strict=True)):
            raise ShapeError(f"expand: {self.shape} cannot be repeated to {sizes}")
        if self.dtype.kind == "f":
            return taped.add(self, np.zeros_like(self.array, shape=sizes))
        return self.like(np.broadcast_to(self.array, sizes).copy())

    def expand_as(self: Tensor, other: Any) -> Tensor:
        """Repeated to the shape of `other`."""
        return self.expand(*other.shape)

    def min(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest number; with `dim`, (values, indices) along that axis."""
        if dim is None:
            return -((-self).max())
        largest = (-self).max(dim, keepdim)
        return Extremes(-largest[0], largest[1])

    def argmin(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) smallest number is, over all axes flattened or along `dim`."""
        return (-self).argmax(dim, keepdim)

    def topk(self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extremes:
        """The k largest (or smallest) numbers along `dim`, the best first: (values, indices). Among equals, the first
        is best."""
        axis = one_axis("topk", self, dim)
        if not is_integer(k) or not 0 <= k <= self.shape[axis]:
            raise OptionError(f"topk: k must be from 0 to {self.shape[axis]}, the size of axis {dim}, got {k!r}")
        order = np.argsort(-self.array if largest else self.array, axis=axis, kind="stable")
        order = order[(slice(None),) * axis + (slice(0, int(k)),)]
        index = tuple(
            order if a == axis else np.arange(n, like=order).reshape([-1 if b == a else 1 for b in range(self.ndim)])
            for a, n in enumerate(self.shape)
        )
        return Extremes(self[index], self.like(np.asarray(order, dtype=np.int64, like=order)))

    def abs(self: Tensor) -> Tensor:
        """|x|; the slope at 0 is 0."""
        return taped.relu(self) + taped.relu(-self) if self.dtype.kind == "f" else self.like(abs(self.array))

    __abs__ = abs

    def clamp(self: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
        """Every number moved to the nearest from min to max; gradients pass where nothing was moved."""
        if min is None and max is None:
            raise OptionError("clamp: give min, max or both")
        low, high = -np.inf if min is None else min, np.inf if max is None else max
        clipped = self.like(self.array.clip(min, max).astype(self.dtype))
        if self.dtype.kind != "f":
            return clipped
        return taped.where(self, clipped, condition=(self.array >= low) & (self.array <= high))

    def var(self: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
        """The variance over all axes or over `dim`: of a sample, divided by n - 1, or with unbiased=False by n."""
        centred = self - self.mean(dim, keepdim=True)
        count = self.numel() // max(self.mean(dim).numel(), 1)
        squares = (centred * centred).sum(dim, keepdim)
        if count - bool(unbiased) < 1:
            raise ShapeError(f"var: {count} number has no variance; use unbiased=False")
        return squares / (count - bool(unbiased))

    def std(self: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
        """The square root of `var`."""
        return self.var(dim, unbiased, keepdim).sqrt()

    def norm(self: Tensor, dim: Axes = None, keepdim: bool = False) -> Tensor:
        """The Euclidean norm over all axes or over `dim`."""
        return (self * self).sum(dim, keepdim).sqrt()

    def exp(self: Tensor) -> Tensor:
        """e to the power of each number."""
        return taped.exp(self)

    def log(self: Tensor) -> Tensor:
        """The natural logarithm of each number."""
        return taped.log(self)

    def sqrt(self: Tensor) -> Tensor:
        """The square root of each number."""
        return taped.power(self, exponent=0.5)

    def relu(self: Tensor) -> Tensor:
        """max(x, 0)."""
        return taped.relu(self)

    def sigmoid(self: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""
        return taped.sigmoid(self)

    def tanh(self: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return taped.tanh(self)

    def softmax(self: Tensor, dim: int) -> Tensor:
        """exp(x) / Σ exp(x) along `dim`."""
        return taped.softmax(self, axis=dim)

    def log_softmax(self: Tensor, dim: int) -> Tensor:
        """x - log Σ exp(x) along `dim`."""
        return taped.log_softmax(self, axis=dim)
