"""The tape: it remembers which op was called on what, and calls the backwards in reverse order.

It knows no op by name. `differentiable(forward, backward)` makes a recording function out of a pair from `ops`; a
`Variable` is an array that knows which record, if any, produced it.

Why the order is right: an op's inputs exist before the op is called, so walking the records from the newest to the
oldest meets every op before the ops that fed it. By the time a record is reached, everything that used its output has
already said what it wants; those wishes are added up. That is the whole of reverse-mode differentiation.

A record points to the records of its inputs, never to its output, so there are no reference cycles, and all memory
returns the moment the last result goes out of scope.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from .arrays import check_is_array, full_name, holds, is_array, is_only_here
from .device import device_of, is_out_of_memory
from .errors import DeviceError, DtypeError, GraphError, OptionError, OutOfMemoryError, ShapeError, TinyVisionError
from .grad_mode import is_anomaly_enabled, is_grad_enabled
from .kernels import choose, choose_on_cpu
from .listening import announce
from .sharing import Origin, Reads, Watch, note_view
from .types import Array, Shape, is_integer
from .walks import is_last, tell_ready, tell_the_rest, walk_from

_numbers = itertools.count()

SMALL = 1024  # numbers: a constant that is no larger is kept without a thought


class Record:
    """One call of an op: its backward, what forward left for it, and where its inputs came from."""

    __slots__ = ("backward", "cache", "call", "hooks", "inputs", "name", "needs", "number", "output_shape", "watched")

    call: tuple[Any, ...]  # how it came about, and where its result is
    backward: Callable[..., Any] | None  # None, like cache and inputs, once the graph has been used up
    inputs: Sequence[Record | Variable | None]

    def __init__(
        self,
        name: str,
        backward: Callable[..., Any],
        cache: Any,
        inputs: Sequence[Any],
        output_shape: Shape,
        op: Any = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """With the op and its options, the record knows how it came about, for who differentiates the backward itself
        (see `tensors.second_order`): `call` is (op, options, what is known of each input), followed by what `is_at`
        adds. Of an input that asks for a gradient the count of its changes is known, of all others the array: large
        ones of a linear op only for as long as somebody has them, as its backward needs none."""
        self.number = next(_numbers)
        self.name, self.backward, self.cache, self.output_shape = name, backward, cache, output_shape
        self.call = ()
        self.needs = tuple([isinstance(v, Variable) and v._requires_grad for v in inputs])
        # For every input whose gradient is wanted: the record that it came from, or the leaf itself.
        self.inputs = [(v.record or v) if need else None for v, need in zip(inputs, self.needs, strict=True)]
        self.watched: list[Watch] = []  # what its backward reckons with
        self.hooks: list[Callable[[Array], Any]] = []
        if op is None:
            return
        needs, known = self.needs, []
        if False not in needs:
            known = [v.changes[0] for v in inputs] if len(inputs) > 1 else [inputs[0].changes[0]]
        else:
            for v, need in zip(inputs, needs, strict=True):
                array = read(v) if isinstance(v, Variable) else v
                large = op.linear and not need and getattr(array, "size", 0) > SMALL
                known.append(v.changes[0] if need else weakref.ref(array) if large else array)
        self.call = op, {} if op.forgets else options, known

    def is_at(self, result: Variable) -> None:
        """Where the result is, for as long as somebody has it, and whether it has been changed since."""
        self.call = *self.call[:3], weakref.ref(read(result)), result.changes, result.changes[0]


class Variable:
    """An array on the tape. `grad` is its gradient once `backward()` has run, `record` the call that produced it.

    A view knows its `origin` and keeps it alive; the origin knows its `views` for as long as somebody else does."""

    __slots__ = (
        "__weakref__",
        "_grad",
        "_requires_grad",
        "array",
        "changes",
        "copy_of",
        "hooks",
        "kept",
        "origin",
        "ready",
        "record",
        "views",
    )

    def __init__(self, array: Array, requires_grad: bool = False, record: Record | None = None) -> None:
        self.array, self._requires_grad, self.record = array, requires_grad, record
        self._grad: Any = None
        self.changes = [0]  # how often the memory was changed in place: a list, so that all who share it can share this
        self.origin: Origin | None = None
        self.views: weakref.WeakValueDictionary[int, Variable] | None = None
        self.copy_of: weakref.ref[Variable] | None = None  # of what it could not be a view of (see tensors.writing)
        self.hooks: list[Callable[[Array], Any]] | None = None  # those of a leaf; a record has its own
        self.ready: list[Callable[[Any], Any]] | None = None  # who waits for a leaf's gradient (see `when_ready`)

    @property
    def version(self) -> int:
        """How often the array has been changed in place. Whoever changes it adds 1."""
        return self.changes[0]

    @version.setter
    def version(self, count: int) -> None:
        self.changes[0] = count

    @property
    def shape(self) -> Shape:
        """The sizes of all axes, as a tuple."""
        return tuple(self.array.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked for: of a leaf by its owner, of what an op made because an input's is."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wish: bool) -> None:
        self._requires_grad = wish

    @property
    def grad(self) -> Any:
        """The gradient once `backward()` has run, or None. What is assigned is kept as it is, and added to in place.

        Raises OptionError, ShapeError, DtypeError, DeviceError for what does not fit."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            self._check_fits(gradient)
        self._grad = gradient

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _check_fits(self, gradient):
        if not isinstance(gradient, Variable):
            raise OptionError(f"grad: expected a tensor or None, got {full_name(gradient)}")
        if gradient.shape != self.shape:
            raise ShapeError(
                f"grad: a gradient of shape {gradient.shape} was assigned to a value of shape {self.shape}"
            )
        (theirs, ours), what = (gradient.array, self.array), "was assigned to a value"
        if theirs.dtype != ours.dtype:
            raise DtypeError(f"grad: a gradient of {theirs.dtype} {what} of {ours.dtype}; convert it with .to(x.dtype)")
        if device_of(theirs) != device_of(ours):
            raise DeviceError(
                f"grad: a gradient on {device_of(theirs)} {what} on {device_of(ours)}; move it with .to(x.device)"
            )

    @property
    def is_leaf(self) -> bool:
        """True unless a recorded op produced it. Only leaves keep a `.grad`."""
        return self.record is None

    def like(self, array: Array, requires_grad: bool = False, record: Record | None = None) -> Variable:
        """A variable of the same kind for another array: what ops called on this one return."""
        return Variable(array, requires_grad, record)

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Fill `.grad` of every leaf that this value depends on; gradients add to what is already there.

        Starts from 1 for a scalar; otherwise from `gradient`, of this value's shape. Afterwards the graph is used up,
        unless `retain_graph`. Raises GraphError if there is nothing to go back through, ShapeError for a gradient that
        does not fit, DeviceError for one that lives elsewhere."""
        backward(self, gradient, retain_graph)


# The array without the look that a module's tensor takes for leave to write (see `nn.keeping`).
read: Callable[[Variable], Any] = vars(Variable)["array"].__get__


def backward(output: Variable, gradient: Any, retain_graph: bool, only: set[int] | None = None) -> None:
    """Walk the records behind `output`, newest first, and hand each its gradient (see `Variable.backward`).

    only   the ids of the records and leaves that are to hear of it, where not all are"""
    if not output.requires_grad:
        raise GraphError(
            "backward(): this value does not depend on anything that requires a gradient; "
            "was it computed under no_grad(), or are all parameters frozen?"
        )
    upstream = upstream_of(output, gradient)
    if output.record is None:
        _accumulate(_Wish(output, _after_hooks(output.hooks or (), upstream)))
        tell_ready(output)
        return
    with walk_from(output.record) as uses:
        _walk(output.record, upstream, retain_graph, uses, only)
        if only is None:
            tell_the_rest(uses)


def _walk(record, upstream, retain_graph, uses, only):
    waiting = {record.number: upstream}  # gradients in flight, by the number of the record they are for
    queue = [(-record.number, record)]
    hooked: dict[int, tuple[Variable, Array]] = {}  # the leaves whose hooks want to see the whole gradient, and it
    whole: list[Variable] = []  # the leaves that this record was the last to use
    while queue:
        _, record = heapq.heappop(queue)
        dy = _after_hooks(record.hooks, waiting.pop(record.number))
        for wish in _gradients(record, dy, waiting, only):
            source = wish.source
            if isinstance(source, Variable):
                if source.hooks:
                    _add_up(wish, hooked)
                else:
                    _accumulate(wish)
                if uses and is_last(uses, source):
                    whole.append(source)
            elif source.number not in waiting:
                waiting[source.number] = wish.gradient
                heapq.heappush(queue, (-source.number, source))
            else:
                waiting[source.number] = wish.gradient if wish.summed else waiting[source.number] + wish.gradient
        if not retain_graph and holds(record.cache):
            record.cache, record.inputs, record.backward, record.call = None, (), None, ()
        while whole:
            _end_with(whole.pop(0), hooked)
    for leaf, _ in list(hooked.values()):  # where a backward gave nothing back, and the last use was none
        uses.pop(id(leaf), None)
        _end_with(leaf, hooked)


def _add_up(wish, hooked):
    _, seen = hooked.get(id(wish.source), (None, None))
    hooked[id(wish.source)] = wish.source, wish.gradient if seen is None else seen + wish.gradient


def _end_with(leaf, hooked):
    """A leaf has been used for the last time: its hooks see what has been added up, and it is told."""
    if id(leaf) in hooked:
        _, gradient = hooked.pop(id(leaf))
        _accumulate(_Wish(leaf, _after_hooks(leaf.hooks, gradient)))
    tell_ready(leaf)


def _after_hooks(hooks, gradient):
    for hook in hooks:
        changed = hook(gradient)
        gradient = gradient if changed is None else changed
    return gradient


def upstream_of(output: Variable, gradient: Any) -> Array:
    """The gradient with which a backward starts: 1 for a single number. Raises GraphError, ShapeError, DeviceError."""
    gradient = gradient.array if isinstance(gradient, Variable) else gradient
    if gradient is None:
        if output.array.size != 1:
            raise GraphError(
                f"backward(): only a single number can start on its own, this value is {output.shape}; "
                f"call .sum() or .mean() first, or pass the gradient"
            )
        return np.ones_like(output.array)
    if tuple(np.shape(gradient)) != output.shape:
        raise ShapeError(f"backward(): the gradient is {tuple(np.shape(gradient))} but the value is {output.shape}")
    if hasattr(gradient, "dtype"):
        check_is_array("backward()", "gradient", gradient)
    if hasattr(gradient, "dtype") and device_of(gradient) != device_of(output.array):
        raise DeviceError(
            f"backward(): the gradient is on {device_of(gradient)} but the value on {device_of(output.array)}; "
            f"move it with .to(...)"
        )
    return np.asarray(gradient, dtype=output.array.dtype, like=output.array)


class _Wish:
    """How one call wants one of its inputs to change: the record or leaf that the input came from, and the gradient.

    Nothing else refers to the gradient while it is on its way, so `_accumulate` can see whether anybody else does."""

    __slots__ = ("gradient", "source", "summed")

    def __init__(self, source, gradient, summed=False):
        self.source, self.gradient = source, gradient
        self.summed = summed  # whether what waited for the record already is part of it


NOTHING = object()  # what a backward may give for an input that is to hear of nothing, not even of zeros


def _gradients(record, dy, waiting, only=None):
    """A wish for every input of one record that needs one, each gradient checked against its input's shape."""
    needs = record.needs
    if only is not None:
        # of a record that has been used there are no inputs any more, behind which nothing is asked for
        needs = tuple([need and id(source) in only for source, need in zip(record.inputs, needs, strict=False)])
        if not any(needs):
            return []
    if record.backward is None:
        raise used_up(record)
    cache = record.cache
    for one in record.watched:
        cache = one.check(record.name, record.cache, cache)
    if getattr(record.backward, "hands_on", False) and _may_hand_on(record, dy, needs):
        return [_Wish(source, dy) for source, need in zip(record.inputs, needs, strict=True) if need]
    waits = _to_be_added(record, waiting)
    gradients = record.backward(dy, cache, needs, *waits)
    if not isinstance(gradients, (tuple, list)):
        gradients = (gradients,)
    wishes, anomaly = [], is_anomaly_enabled()
    for i, (source, need) in enumerate(zip(record.inputs, needs, strict=True)):
        if need and (i >= len(gradients) or gradients[i] is not NOTHING):
            wish = _Wish(source, gradients[i] if i < len(gradients) else None, summed=i == 0 and waits != ())
            _check_gradient(record, i, wish, anomaly)
            wishes.append(wish)
    return wishes


def used_up(record: Record) -> GraphError:
    """What is to be said of a graph that a backward has been through."""
    return GraphError(
        f"backward(): the graph behind {record.name} has already been used and freed; "
        f"run the forward pass again, or call backward(retain_graph=True) the first time"
    )


def _may_hand_on(record, dy, needs):
    """Whether the gradient of every input is dy itself, of which the backward of an addition would give each a copy.

    On its way nobody writes to it, but hooks may; and a leaf's `.grad` is memory of its own (see `_accumulate`)."""
    for source, need in zip(record.inputs, needs, strict=True):
        if need:
            shape = read(source).shape if isinstance(source, Variable) else source.output_shape
            if source.hooks or shape != dy.shape:
                return False
    return not is_anomaly_enabled()


def _to_be_added(record, waiting):
    """(the gradient,) that waits for what the first input came from, if the backward `adds` it to its own before that
    goes to memory, as a kernel may that takes the place of an op's: where paths join, as in a residual block, one walk
    through memory less. Otherwise ()."""
    source = record.inputs[0]
    if not isinstance(source, Record) or source.number not in waiting or is_anomaly_enabled():
        return ()
    return (waiting[source.number],) if getattr(record.backward, "adds", False) else ()


def _check_gradient(record, i, wish, anomaly):
    dx, source = wish.gradient, wish.source
    shape = read(source).shape if isinstance(source, Variable) else source.output_shape
    if getattr(dx, "shape", None) != shape:
        got = "None" if dx is None else f"shape {dx.shape}" if hasattr(dx, "shape") else f"a {type(dx).__name__}"
        raise ShapeError(f"the backward of {record.name} returned {got} for input {i}, whose shape is {shape}")
    if anomaly and bool((dx != dx).any()):
        raise GraphError(f"the backward of {record.name} gave nan for input {i}, whose shape is {shape}")


def _accumulate(wish):
    """Add to `.grad`: in place, so that who holds it, or the buffer that it is a view of, has the sum. The first one is
    memory of its own: p + q must not make p.grad and q.grad one array."""
    leaf = wish.source
    if not leaf._requires_grad:  # it did, when the op was called
        return
    if leaf.origin is not None and leaf.origin.base.requires_grad:
        raise lost_view(leaf)
    kept = leaf._grad
    if kept is not None:
        if not getattr(kept.array.flags, "writeable", True):
            raise GraphError(
                f"backward(): the .grad {leaf.shape} that there is cannot be added to: it is read-only, or expanded; "
                f"set it to None, or to a .clone()"
            )
        try:
            kept.array += wish.gradient
        except ValueError:
            raise ShapeError(
                f"backward(): a gradient {wish.gradient.shape} cannot be added to the .grad {kept.shape} that there "
                f"is, from before .data was given another shape; set it to None"
            ) from None
        kept.changes[0] += 1
    elif is_only_here(wish, "gradient", read(leaf)):
        leaf._grad = leaf.like(wish.gradient)
    else:  # a copy; its memory order follows the leaf, as optimizers walk both side by side
        own = np.empty_like(leaf.array)
        own[...] = wish.gradient
        leaf._grad = leaf.like(own)


def lost_view(leaf: Variable) -> GraphError:
    """What is to be said of a gradient that comes to a view of which nobody knows how it depends on its base."""
    return GraphError(
        f"backward(): a view of shape {leaf.shape} was taken under no_grad(), and what it depends on is not "
        f"known; take it outside, or use .detach()"
    )


class Op(Protocol):
    """What `differentiable` makes: a function that still knows its pair."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    linear: bool
    forgets: bool
    __name__: str

    def __call__(self, *arguments: Any, **options: Any) -> Any: ...


def differentiable(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    reads: Sequence[Sequence[int]] | None = None,
    views: bool = False,
    derives: bool = False,
    through_views: Sequence[int] = (),
    linear: bool = False,
    forgets: bool = False,
) -> Op:
    """Make a function of Variables from `forward(*arrays, **options) -> (y, cache)` and `backward(dy, cache, needs)`.

    Positional arguments are arrays or Variables (or None), keyword arguments are options. If no Variable that requires
    a gradient is among the arguments, or under `no_grad()`, nothing is recorded; plain arrays give a plain array. The
    pair stays reachable as `op.forward` and `op.backward`, and another backward may be put in its place.

    `reads`, `derives` and `through_views` say what the backward reckons with (see `sharing.Reads`), and `views` that y
    may be a look at the memory of the first input. `linear` says that y, but for a constant, is a sum of the Variables'
    numbers times given factors: then the backward is linear too, and its own backward is the forward. With `forgets`,
    no record keeps the options, among which are large arrays: the cache has what is needed."""
    reckons = Reads(reads, derives, through_views)

    def op(*arguments, **options):
        arrays = [a.array if isinstance(a, Variable) else a for a in arguments]
        for name, option in options.items():
            if isinstance(option, Variable) and is_integer(option.array):  # as in `axis=x.argmax()`
                options[name] = int(option.array)
        forward, backward = op.forward, op.backward
        if arrays and isinstance(arrays[0], np.ndarray):  # a kernel may stand in
            forward, backward = choose_on_cpu(forward, backward, arrays, options)
        elif arrays and is_array(arrays[0]):
            forward, backward = choose(forward, backward, arrays, options)
        try:
            y, cache = forward(*arrays, **options)
        except (MemoryError, ValueError) as error:
            if isinstance(error, TinyVisionError) or not is_out_of_memory(error):
                raise
            raise OutOfMemoryError.on(str(device_of(arrays[0])), error) from None
        variables = [a for a in arguments if isinstance(a, Variable)]
        if not variables:
            return y
        recording = is_grad_enabled()
        if recording and [v for v in variables if v._requires_grad]:
            record = Record(op.__name__, backward, cache, arguments, y.shape, op, options)
            result = variables[0].like(y, requires_grad=True, record=record)
            record.watched = reckons.watch(arguments, record.needs, cache, result)
        else:
            result = variables[0].like(y)
        if views:
            note_view(result, variables[0], (op, options), writable=recording)
        if (record := result.record) is not None:  # `is_at`, for every call of every op
            try:
                record.call += weakref.ref(y), result.changes, result.changes[0]
            except TypeError:  # a number of NumPy's
                record.call += partial(np.asarray, y), result.changes, result.changes[0]
        announce(op.__name__, arguments, options, result)
        return result

    vars(op).update(forward=forward, backward=backward, __wrapped__=forward, linear=linear, forgets=forgets)
    op.__name__ = op.__qualname__ = forward.__name__.removesuffix("_forward")
    op.__doc__ = forward.__doc__
    return cast(Op, op)
