"""Tensor: a Variable with the face that PyTorch users know.

Everything differentiable is one call of an op from `taped`. Slices and reshapes share memory, as PyTorch's do.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import handed_over, is_channels_last, is_type_of_cupys
from ..device import Device, device_of, to_device, to_numpy
from ..device import device as as_device
from ..device_names import is_device
from ..dtypes import KINDS, as_dtype, default_dtype
from ..dtypes import dtype as Kind
from ..errors import DtypeError, GraphError, OptionError, ShapeError
from ..missing import MissingName
from ..ops.shape import read
from ..sharing import note_derived, note_replaced, uncounted
from ..tape import Record, Variable
from ..types import Axes, DType, is_integer
from . import taped
from .arguments import axis_of, shape_of
from .conversion import as_it_lies, cast, copied, laid_out, move, require_float, seen_as
from .history import GradFn
from .hooks import RemovableHook, hook_on, keep_gradient
from .indexing import own_index, steps_of, without_ones
from .kinds import numbers
from .methods import Methods
from .operands import OPERATORS, binary, by_numpy, compare
from .printing import tensor_as_text
from .writing import as_value, instead_of_view, is_recorded, overwrite, tell_views, update


class Tensor(Methods, Variable):
    """An array on the tape, with PyTorch's spelling: `x.view(x.size(0), -1)`, `loss.backward()`, `x.to("cuda")`.

    `Tensor(2, 3)` is zeros of this shape; `Tensor([1, 2])` and `Tensor(array)` have the default dtype: they are a copy
    of an array of another dtype, and share the memory of one that has it, as PyTorch's do. `tensor(...)` is a copy that
    keeps the dtype, `Tensor.of(array)` the array itself, of any dtype."""

    __slots__ = ()
    __module__ = "tinyvision"  # its public name, in errors and for pickle

    def __init__(self, *given: Any, data: Any = None, device: Any = None, requires_grad: bool = False) -> None:
        array = _array_of(given if data is None else (*given, data))
        super().__init__(array if device is None else to_device(array, device), requires_grad)
        if requires_grad:
            require_float(self.array.dtype)

    @classmethod
    def of(cls, array: Any, requires_grad: bool = False, record: Record | None = None) -> Tensor:
        """A tensor that holds this very array, of NumPy's or CuPy's and of any dtype, or what another tensor holds."""
        tensor = cls.__new__(cls)
        Variable.__init__(tensor, as_it_lies(array), requires_grad, record)
        if requires_grad:
            require_float(tensor.array.dtype)
        return tensor

    @property
    def data(self) -> Tensor:
        """The same memory as a tensor that is not recorded, and whose changes nobody counts: `p.data -= lr * p.grad`.

        What is assigned to it, a tensor or an array, is what this tensor holds from then on."""
        result = Tensor.of(self.array)
        result.changes = uncounted(self)
        return result

    @data.setter
    def data(self, value: Any) -> None:
        array = as_it_lies(value)
        if self.requires_grad:
            require_float(array.dtype)
        note_replaced(self, array)
        self.array = array

    if not TYPE_CHECKING:  # a type checker is to find misspelt names

        def __getattr__(self, name):
            # Python comes here only for what it did not find. That this method exists costs every attribute some
            # 15 ns, because CPython looks up names of such classes in a slower way: 1 to 2 in 100 of an op's time, with
            # the smallest tensors.
            if name.startswith("_"):  # NumPy and copy ask for such names, and read no sentence
                raise AttributeError(f"'Tensor' object has no attribute {name!r}")
            if hasattr(type(self), name):  # a property of ours went wrong: what it says counts
                return object.__getattribute__(self, name)
            raise MissingName("Tensor", name, type(self))

    def like(self, array: Any, requires_grad: bool = False, record: Record | None = None) -> Tensor:
        """A Tensor for another array: what ops called on this one return."""
        of_an_op = type(array) is np.ndarray or is_type_of_cupys(type(array))
        if not of_an_op or (requires_grad and record is None):
            return Tensor.of(array, requires_grad=requires_grad, record=record)
        result = Tensor.__new__(Tensor)  # what an op made needs none of the questions that a user's array is asked
        Variable.__init__(result, array, requires_grad, record)
        return result

    # -- what it is

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return self.array.ndim

    @property
    def dtype(self) -> Kind:
        """The kind of its numbers: `torch.float32`, which is equal to NumPy's dtype of that name."""
        return KINDS[self.array.dtype]

    @property
    def device(self) -> Device:
        """The device on which it lives."""
        return device_of(self.array)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one axis."""
        if dim is None:
            return self.shape
        if not -self.ndim <= dim < self.ndim:
            raise ShapeError(f"size: axis {dim} does not exist in {self.shape}")
        return self.shape[dim]

    def dim(self) -> int:
        """How many axes it has."""
        return self.array.ndim

    def numel(self) -> int:
        """How many numbers it holds."""
        return self.array.size

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len(): a single number has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise ShapeError("iter(): a single number cannot be walked through")
        return iter(self.unbind(0))

    def __repr__(self) -> str:
        device = f"device={str(self.device)!r}" if self.device.type != "cpu" else None
        history = "requires_grad=True" if self.requires_grad else None
        if self.record is not None:
            history = f"grad_fn=<{GradFn(self.record).name()}>"
        return tensor_as_text(to_numpy(self.array), device, history)

    def __format__(self, spec: str) -> str:
        if not self.array.ndim or (spec and self.array.size == 1):  # as PyTorch has it for single numbers
            return format(self.item(), spec)
        return format(repr(self), spec)

    # -- out of the tape

    def item(self) -> Any:
        """Its only number, as a Python number. Raises ShapeError if there are several."""
        if self.array.size != 1:
            raise ShapeError(f"item(): only a tensor with a single number has one, this one is {self.shape}")
        return to_numpy(self.array).item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise ShapeError(f"bool(): the truth of {self.array.size} numbers is ambiguous; use .any() or .all()")
        return bool(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"only an integer can be an index, this is {self.dtype}")
        return self.item()

    def tolist(self) -> Any:
        """Its numbers as nested Python lists."""
        return to_numpy(self.array).tolist()

    def numpy(self, force: bool = False) -> np.ndarray:
        """Its NumPy array, sharing memory. Raises GraphError if gradients are recorded through it, unless `force`.

        Nobody counts what is written there. A backward through earlier calls reckons with what they kept, the input or
        the result: 1 / x keeps x where PyTorch keeps 1 / x, so write after backward(), or into a copy."""
        if self.requires_grad and not force:
            raise GraphError("numpy(): this tensor requires a gradient, which NumPy would lose; call .detach().numpy()")
        return to_numpy(self.array)

    def __array__(self, dtype: DType | None = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def detach(self) -> Tensor:
        """The same memory as a tensor that is not recorded."""
        result = Tensor.of(self.array)
        result.changes = self.changes  # a change through either is a change of both
        return result

    def detach_(self) -> Tensor:
        """From here on a leaf: what it was computed from gets no gradient through it. Raises GraphError for views."""
        if self.origin is not None:
            raise GraphError("detach_(): a view cannot be cut off alone; cut off what it looks at, or use detach()")
        self.record, self._requires_grad = None, False
        tell_views(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for a gradient (or no longer), in place. Only for leaves."""
        if not isinstance(requires_grad, (bool, np.bool_)):
            raise OptionError(f"requires_grad is True or False, got {requires_grad!r}")
        if self.record is not None and not requires_grad:
            raise GraphError("requires_grad: only a leaf can be changed; detach() gives a twin that is not recorded")
        if requires_grad:
            require_float(self.dtype)
        self._requires_grad = bool(requires_grad) or (self.origin is not None and self.origin.base.requires_grad)
        tell_views(self)
        return self

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked for. What is assigned means `requires_grad_`."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wish: bool) -> None:
        self.requires_grad_(wish)

    @property
    def grad_fn(self) -> GradFn | None:
        """The call that produced it, as PyTorch shows it: None for leaves."""
        return GradFn(self.record) if self.record is not None else None

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHook:
        """Call `hook(gradient)` once the gradient of this value is known; what it returns replaces it.

        `remove()` of what is returned takes the hook away again. Raises GraphError; the backward raises ShapeError."""
        return hook_on(self, hook, Tensor.of)

    def retain_grad(self) -> None:
        """Keep `.grad` on this value although it is no leaf. Raises GraphError."""
        keep_gradient(self)

    # -- moving and converting

    def to(
        self,
        *targets: Any,
        dtype: DType | None = None,
        device: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        """The tensor on another device, with another dtype, or in another order: `x.to("cuda")`, `x.to(np.float64)`.

        With `copy`, never itself. non_blocking is a permission, not an order; `device.prefetch` copies ahead."""
        for target in targets:
            if isinstance(target, Variable):
                dtype, device = target.array.dtype, device_of(target.array)
            elif is_device(target):
                device = target
            elif not isinstance(target, bool):
                dtype = target
        copy = copy or [t for t in targets if isinstance(t, bool)][1:] == [True]  # behind non_blocking
        result = self
        if dtype is not None and as_dtype(dtype) != self.dtype:
            result = cast(result, as_dtype(dtype))
        if device is not None and device_of(result.array) != as_device(device):
            result = move(result, as_device(device))
        result = copied(result) if copy and result is self else result
        return result if memory_format is None else laid_out(result, memory_format)

    def contiguous(self, memory_format: Any = None) -> Tensor:
        """Itself if its numbers lie in memory in reading order, or in this format, else a copy in which they do."""
        if memory_format not in (None, "contiguous_format"):
            return laid_out(self, memory_format)
        return self if self.array.flags.c_contiguous else instead_of_view(copied(self, order="C"), self)

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether its numbers lie in memory in reading order; channels last, as layers leave images, counts as such.

        With memory_format=channels_last, only that does."""
        if memory_format == "channels_last":
            return is_channels_last(self.array)
        return self.array.flags.c_contiguous or is_channels_last(self.array)

    def __dlpack__(self, **options: Any) -> Any:
        """This memory for another library. Raises GraphError, SharingError."""
        if self.requires_grad:
            raise GraphError("__dlpack__(): this tensor requires a gradient, which would be lost; hand over .detach()")
        return handed_over(self.array, options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    # -- shapes

    def reshape(self, *sizes: Any, shape: Any = None) -> Tensor:
        """The same numbers in another shape; one size may be -1. A view where the order in memory allows it."""
        shape = sizes if shape is None else shape
        return instead_of_view(taped.reshape(self, shape=shape_of(shape)), self)

    def view(self, *shape: Any) -> Tensor:
        """The same memory in another shape, where one size may be -1, or its bytes as numbers of another dtype, off
        the tape. Raises ShapeError where its order does not allow it, DtypeError.

        Images that the layers left channels last are copied."""
        if len(shape) == 1 and isinstance(shape[0], (Kind, np.dtype)):
            return seen_as(self, as_dtype(shape[0]))
        y = self.reshape(*shape)
        if y.origin is None and y.array.size and not is_channels_last(self.array):
            raise ShapeError(
                f"view: {self.shape} does not lie in memory so that it could be seen as {y.shape}; "
                f"use .reshape(...), which copies"
            )
        return y

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from start_dim to end_dim merged into one. A view where the order in memory allows it."""
        start, end = (axis_of("flatten", a, self.ndim or 1) for a in (start_dim, end_dim))
        if start > end:
            raise ShapeError(f"flatten: there are no axes {start_dim} to {end_dim} in {self.shape}")
        if self.ndim and start == end:
            return self
        if self.ndim and end == self.ndim - 1:
            return instead_of_view(taped.flatten(self, start=start), self)
        return self.reshape(*self.shape[:start], math.prod(self.shape[start : end + 1]), *self.shape[end + 1 :])

    def transpose(self, *axes: Any, dim0: int | None = None, dim1: int | None = None) -> Tensor:
        """Two axes swapped, as in PyTorch; with all axes named, their new order, as in NumPy."""
        axes = (*axes, *(d for d in (dim0, dim1) if d is not None))
        if len(axes) == 1 and not is_integer(axes[0]):
            return taped.transpose(self, axes=axes[0])  # np.transpose(x, (1, 2, 0)) and np.transpose(x) ask so
        if len(axes) != 2:
            return taped.transpose(self, axes=axes or None)
        one, two = (axis_of("transpose", a, self.ndim or 1) for a in axes)
        if not self.ndim:
            return taped.transpose(self)
        order = list(range(self.ndim))
        order[one], order[two] = two, one
        return taped.transpose(self, axes=order)

    def t(self) -> Tensor:
        """A matrix transposed."""
        return self.T

    def permute(self, *axes: Any, dims: Any = None) -> Tensor:
        """The axes in another order."""
        return taped.transpose(self, axes=shape_of(axes if dims is None else (dims,)))

    def squeeze(self, dim: Axes = None, *, axis: Axes = None) -> Tensor:
        """Without the axes of size 1, or without those of them that `dim` names."""
        dim = axis if dim is None else dim
        named: Any = range(self.ndim) if dim is None else [dim] if is_integer(dim) else dim
        only = [axis_of("squeeze", a, self.ndim or 1) for a in named if self.ndim]
        drop = [i for i in only if self.shape[i] == 1]
        return self.reshape([n for i, n in enumerate(self.shape) if i not in drop])

    def unsqueeze(self, dim: int | None = None, *, axis: int | None = None) -> Tensor:
        """With a new axis of size 1 at `dim`."""
        shape = list(self.shape)
        shape.insert(axis_of("unsqueeze", axis if dim is None else dim, self.ndim + 1), 1)
        return self.reshape(shape)

    def __getitem__(self, index: Any) -> Tensor:
        looks, chooses = steps_of(index, self.ndim)
        seen = self if looks is None else taped.index(self, index=looks)
        return seen if chooses is None else taped.index(seen, index=own_index(chooses))

    def __setitem__(self, index: Any, value: Any) -> None:
        if index is False:  # nothing is chosen, and as in PyTorch nobody asks what would have been written
            return
        if self.dtype.kind != "f" and is_recorded(value):
            raise GraphError(
                f"assignment: the value requires a gradient, which whole numbers cannot hand on ({self.dtype}); "
                f"assign value.detach()"
            )
        looks, chooses = steps_of(index, self.ndim)
        place = self if looks is None else taped.index(self, index=looks)
        chooses = ... if chooses is None else chooses
        value = without_ones(as_value(value, self.array, "assignment"), read(place.array, chooses).ndim)
        overwrite("assignment", place, value, chooses)

    # -- arithmetic

    def __add__(self, other: Any) -> Tensor:
        return binary(taped.add, np.add, self, other)

    def __sub__(self, other: Any) -> Tensor:
        return binary(taped.sub, np.subtract, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary(taped.sub, np.subtract, other, self)

    def __mul__(self, other: Any) -> Tensor:
        return binary(taped.mul, np.multiply, self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return binary(taped.div, np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return note_derived(binary(taped.div, np.true_divide, other, self), self)

    def __neg__(self) -> Tensor:
        if self.dtype.kind == "b":
            raise DtypeError("-: truth values have no negative; ~x turns them round")
        return self * -1 if self.dtype.kind == "f" else Tensor.of(np.asarray(-self.array, like=self.array))

    __radd__, __rmul__ = __add__, __mul__

    def __iadd__(self, other: Any) -> Tensor:
        return update("+=", self, operator.add, other)

    def __isub__(self, other: Any) -> Tensor:
        return update("-=", self, operator.sub, other)

    def __imul__(self, other: Any) -> Tensor:
        return update("*=", self, operator.mul, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return update("/=", self, operator.truediv, other)

    def zero_(self) -> Tensor:
        """Set all its numbers to 0, in place."""
        return self.fill_(0)

    def fill_(self, value: Any) -> Tensor:
        """Set all its numbers to `value`, in place."""
        value = as_value(value, self.array, "fill_")
        if value.ndim:
            raise ShapeError(f"fill_: the value must be a single number, got {tuple(value.shape)}")
        return overwrite("fill_", self, value)

    def copy_(self, source: Any, non_blocking: bool = False) -> Tensor:
        """Take over the numbers of `source`, repeated to this shape, from any device, in place."""
        source = source if isinstance(source, Variable) else Tensor.of(source)
        return overwrite("copy_", self, source.to(self.device))

    # -- comparisons give truth values, which are not recorded

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]  # number by number, not one truth value
        return compare(np.equal, self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return compare(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Tensor:
        return compare(np.less, self, other)

    def __le__(self, other: Any) -> Tensor:
        return compare(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return compare(np.greater, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return compare(np.greater_equal, self, other)

    def __hash__(self) -> int:
        return id(self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        """`array * tensor` is a tensor, as np.exp(tensor) is, off the tape; `array -= tensor` changes the array."""
        if method == "__call__" and ufunc in OPERATORS and not (out or options):
            left, right = (v.item() if isinstance(v, np.generic) else v for v in inputs)
            return OPERATORS[ufunc](Tensor.of(left) if isinstance(left, np.ndarray) else left, right)
        y = by_numpy(getattr(ufunc, method), inputs, out, options)
        if out or not isinstance(y, (np.ndarray, np.generic, tuple)):
            return y
        return tuple(map(self.__array_wrap__, y)) if isinstance(y, tuple) else self.__array_wrap__(y)

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
        """What a function of NumPy's has made of this tensor, as one; truth values are uint8, as PyTorch has them."""
        return Tensor.of(np.asarray(array, dtype=np.uint8 if array.dtype == np.bool_ else None))

    def __invert__(self) -> Tensor:
        if self.dtype.kind not in "biu":
            raise DtypeError(f"~: only truth values and integers can be inverted, this is {self.dtype}")
        return Tensor.of(~self.array)

    def __and__(self, other: Any) -> Tensor:
        return compare(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return compare(np.bitwise_or, self, other)

    # -- reductions and functions


def _array_of(data):
    """What `Tensor(*data)` holds: another tensor's array; or numbers in the default dtype; or zeros of it."""
    alone = len(data) == 1 and isinstance(data[0], Variable)
    if alone and data[0].requires_grad:
        raise OptionError("Tensor: this tensor requires a gradient, and has it only as it is; write x, or x.detach()")
    return data[0].array if alone else numbers(data, default_dtype(), "Tensor")
