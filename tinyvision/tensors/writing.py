"""Writing into memory that others look at: `x += y`, `x.relu_()`, `x[mask] = 0`, `x.copy_(y)`.

Ops are pure, so a write is put on the tape as the pure ops that it stands for. With B the tensor that owns the memory
and V a view of it, `V.relu_()` means

    B = write(B, place of V, relu(V))        V = B[place of V], and every other view likewise

The numbers are written where everybody sees them; then B takes over the record of the `write`, and every view that is
still alive is taken again from B, by the ops that once led to it. What was computed before keeps the records it has.
If what was written over is needed by their backward, the count of changes, which all who share the memory share, gives
it away.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..arrays import check_is_array, from_numbers, is_channels_last, looks_like_an_array
from ..device import device_of
from ..errors import DeviceError, DtypeError, GraphError, OptionError, ShapeError
from ..grad_mode import is_grad_enabled
from ..listening import announce
from ..ops.shape import read
from ..ops.write import whole, write_backward, write_cache, write_forward
from ..sharing import EVERYTHING, Reads
from ..tape import Record, Variable, differentiable
from .conversion import cast, fitted
from .indexing import own_index
from .operands import KINDS, fits
from .overlap import is_read_from

write = differentiable(write_forward, write_backward, linear=True)

# Of these, PyTorch's backward reckons from the result where they were in place, and from the input otherwise.
_BY_RESULT_IN_PLACE = ("elu", "leaky_relu")


def update(name: str, x: Any, function: Callable[..., Any], *others: Any, **options: Any) -> Any:
    """x = function(x, *others, **options), written into the memory of x. Returns x.

    Raises GraphError where PyTorch has no gradient for it either: for leaves that ask for one, and for their views."""
    recorded = is_recorded(x, *others)
    check_writable(name, x, recorded)
    for other in (*others, *options.values()) if options else others:
        if isinstance(other, Variable):
            is_read_from(name, x, other)
    before = x
    if recorded:  # a backward may need the numbers that are about to be written over
        before = x.like(x.array.copy(order="K"), requires_grad=x.requires_grad, record=x.record)
        _spare_maxima(x)
    y = function(before, *others, **options)
    if y is NotImplemented:
        return NotImplemented
    if y is before:  # dropout in evaluation, or with p = 0: nothing is written, which backwards need not be told
        return x
    y = y if isinstance(y, Variable) else x.like(y)
    if y.shape != x.shape:
        raise ShapeError(f"{name}: the result is {y.shape}, which does not fit into {x.shape}")
    if KINDS[y.array.dtype.kind] > KINDS[x.array.dtype.kind]:
        raise DtypeError(f"{name}: the result is {y.array.dtype}, which does not go into a tensor of {x.array.dtype}")
    if y.array.dtype != x.array.dtype:
        y = cast(y, x.array.dtype)
    x.array[...] = y.array
    x.version += 1
    announce("write", (before, y), {}, x)
    if recorded:
        _keep_in_place(y, x)
        if x.origin is None and y.record is not None:
            _take_over(x, y.record)
        else:
            _write(x, y, ...)
    else:
        _leave_views(x)
    return x


def overwrite(name: str, x: Any, value: Any, index: Any = ...) -> Any:
    """x[index] = value: a Tensor, or an array, that can be repeated to fill the place. Returns x.

    Raises ShapeError, DeviceError and what `update` raises."""
    recorded = is_recorded(x, value) and x.array.dtype.kind == "f"  # whole numbers have no gradient to hand on
    check_writable(name, x, recorded)
    size = tuple(read(x.array, index).shape)
    array = value.array if isinstance(value, Variable) else value
    if not fits(array.shape, size):
        raise ShapeError(f"{name}: the value is {tuple(array.shape)} but the place is {size}")
    if device_of(array) != device_of(x.array):
        raise DeviceError(f"{name}: the value is on {device_of(array)} but the place on {device_of(x.array)}")
    if isinstance(value, Variable) and is_read_from(name, x, value, index, anew=False):
        array = array.copy()
    if recorded:
        _spare_maxima(x)
    x.array[index] = array
    x.version += 1
    announce("overwrite", (value,), {"index": index}, x)
    if recorded:
        if isinstance(value, Variable) and array.dtype != x.array.dtype:
            value = cast(value, x.array.dtype)
        _write(x, value, own_index(index))
    else:
        _leave_views(x)
    return x


def instead_of_view(y: Any, x: Any) -> Any:
    """y, of which x could not be a view because its images lie channels last: then neither is written to.

    PyTorch would have them in reading order, and a view. As long as only one of the two is still in use, it may be."""
    if y.origin is None and is_channels_last(x.array):
        base = x.origin.base if x.origin else x
        y.copy_of = weakref.ref(base)
        if base.views is None:
            base.views = weakref.WeakValueDictionary()
        base.views[id(y)] = y
    return y


def nobodys_view(y: Any) -> Any:
    """y, cut out of a result that nobody else has: as in PyTorch, it is no view of anything."""
    y.origin = None
    return y


def views_of_several(views: Any) -> Any:
    """The views that one call gave, as a tuple: while recording, none of them is written to, as in PyTorch."""
    for view in views:
        if view.origin:
            view.origin = view.origin._replace(writable=False)
    return tuple(views)


def as_value(value: Any, like: Any, name: str) -> Any:
    """What is to be written into an array: a tensor as it is, numbers and lists of them in the dtype of the array."""
    if isinstance(value, Variable):
        return value
    if looks_like_an_array(value) and not isinstance(value, np.generic):
        check_is_array(name, "the value", value)
        return value
    return fitted(name, from_numbers(name, value, like), like.dtype)


def is_recorded(*values: Any) -> bool:
    """Whether a write with these values has to be put on the tape."""
    return is_grad_enabled() and any(isinstance(v, Variable) and v.requires_grad for v in values)


def check_writable(name: str, x: Any, recorded: bool) -> None:
    """x may be written to, and the tape, if it records, can say what that means. Raises GraphError, OptionError."""
    if not _may_write(x.array):
        if 0 in x.array.strides or (x.origin and _may_write(x.origin.base.array)):
            raise OptionError(
                f"{name}: several numbers of an expanded tensor or of windows are one in memory; write into a .clone()"
            )
        raise OptionError(
            f"{name}: these numbers are read-only, like the weights of a fused model; change the model and fuse() "
            f"it again, or work on a .clone()"
        )
    base = x.origin.base if x.origin else x
    if (x.copy_of and x.copy_of() is not None) or any(v.copy_of for v in (base.views or {}).values()):
        raise OptionError(
            f"{name}: these images lie in memory with their channels last, so that reshaping them made a copy, and "
            f"what is written to one would not be seen in the other; reshape a .clone()"
        )
    if not recorded:
        return
    for leaf, what in ((x, "a tensor that"), (base, "a view of a tensor that")):
        if leaf.requires_grad and leaf.record is None:
            raise GraphError(
                f"{name}: {what} requires a gradient cannot be changed in place while recording; "
                f"do it inside `with no_grad():`, or change a .clone()"
            )
    if x.origin and not x.origin.writable:
        raise GraphError(
            f"{name}: a view taken under no_grad(), or one of several views of unbind, split or chunk, cannot be "
            f"changed in place while recording; write into the tensor itself, x[i] = ..., or into a .clone()"
        )
    if x.origin and not np.may_share_memory(x.array, base.array) and x.array.size:
        raise GraphError(f"{name}: this is a view of memory that the tensor has given up; write into a .clone()")


def _may_write(array):
    return not isinstance(array, np.ndarray) or array.flags.writeable


def _look(steps, array):
    """The view of an array to which these ops lead."""
    for op, options in steps:
        array = op.forward(array, **options)[0]
    return array


def _write(x, value, index):
    """B = write(B, value, ...), whose numbers already stand in B's memory: only the record is missing."""
    base, look = (x.origin.base, partial(_look, x.origin.steps)) if x.origin else (x, whole)
    array, source = (value.array, value) if isinstance(value, Variable) else (value, None)
    cache = write_cache(base.array, array, look, index)
    record = Record("write", write_backward, cache, [base, source], base.shape, write, {})
    record.is_at(base)
    if not record.needs[0]:
        record.call[2][0] = None  # what is known of base is what has just been written over
    record.watched = EVERYTHING.watch([base, source], record.needs)
    _take_over(base, record)


def _keep_in_place(y, x):
    """If the record of y keeps y itself (as relu's does), let it keep x instead, where the same numbers now stand."""
    record = y.record
    if record is None:
        return
    if isinstance(record.cache, tuple):
        record.cache = tuple(x.array if part is y.array else part for part in record.cache)
    elif record.cache is y.array:
        record.cache = x.array
    if record.call:
        record.is_at(x)
    derives = record.name in _BY_RESULT_IN_PLACE or any(w.derives and w.changes is y.changes for w in record.watched)
    record.watched += Reads((), derives).watch((), (), record.cache, x)


def _spare_maxima(x):
    """The backward of a maximum looks for it in the result, where PyTorch's remembers the places: there the result may
    be changed, as `nn.MaxPool2d(2), nn.ReLU(True)` does, so the record is left with a copy."""
    base = x.origin.base if x.origin else x
    record = base.record
    if record is not None and record.name == "max_pool2d" and isinstance(record.cache, tuple):
        record.cache = tuple(part.copy(order="K") if part is base.array else part for part in record.cache)


def _take_over(base, record):
    """From now on, `record` has produced base; its views are taken again."""
    _follow(base.record, record)
    base.record, base._requires_grad = record, True
    for view in list((base.views or {}).values()):
        if view.origin is None:
            continue
        if not view.origin.writable or (view.requires_grad and view.record is None):
            view.record, view._requires_grad = Record("view", _lost, (), [base], view.shape), True
            continue
        again = base
        for op, options in view.origin.steps:
            again = op(again, **options)
        _follow(view.record, again.record)
        view.record, view._requires_grad = again.record, True


def _leave_views(x):
    """x was written to by what has no gradient. If its base was told to ask for none, PyTorch takes a recorded view of
    it again as soon as that is used, from the base as it is by then: with a gradient or without."""
    base = x.origin.base if x.origin else x
    if base.views and not base.requires_grad:
        for view in list(base.views.values()):
            if view.origin and view.record is not None:
                _leave(view)


def tell_views(x: Any) -> None:
    """x was asked for a gradient, or no longer: views are the same memory, so they are too, as leaves of their own.

    In PyTorch one whose memory was changed since it was taken depends on x for good, if anybody has looked at it."""
    for view in (x.views or {}).values():
        if view.origin and view.record is None:
            if view.requires_grad and not x.requires_grad and view.origin.version != x.version:
                _leave(view)
            else:
                view._requires_grad = x.requires_grad


def _leave(view):
    """Nobody knows any more what it depends on: it goes on asking for a gradient, and a backward through it says so."""
    view.record = Record("view", _left, (), [view], view.shape)


def _left(dy, cache, needs):
    raise GraphError(
        "backward(): the tensor that this is a view of was told requires_grad_(False) and changed in place, so it is "
        "not known whether the view still depends on it; take it afterwards, or use a .clone()"
    )


def _follow(old, new):
    """`retain_grad()` is about the value and follows it to its new record; hooks stay with what they were asked for."""
    if old is not None and old is not new:
        new.hooks += [hook for hook in old.hooks if hasattr(hook, "of_value")]
        old.hooks[:] = [hook for hook in old.hooks if not hasattr(hook, "of_value")]


def _lost(dy, cache, needs):
    raise GraphError(
        "backward(): a view was taken under no_grad(), or as one of several, before its memory was changed in place "
        "while recording, so it is not known what it depends on; take it afterwards, or use a .clone()"
    )
