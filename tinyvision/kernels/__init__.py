"""Drop-ins: kernels that stand in for an op's readable body, and never for its meaning.

CUDA kernels on a GPU, and compiled loops (`cpu`) on NumPy's arrays, where the extra `fast` is installed. A drop-in has
the op's own signature, a condition under which it applies, and a name by which it can be switched off.
The tape asks `choose` or `choose_on_cpu` once per call. What is not recorded on the tape asks itself: batch-norm's
statistics and the fused inference through `dispatched`, SGD, Adam and the clipping of gradients for few launches over
all parameters. No op knows of kernels.

    TINYVISION_KERNELS=off                  the readable ops alone: im2col, (cu)BLAS products, elementwise passes
    TINYVISION_KERNELS=batchnorm,pooling    only these
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import is_type_of_cupys
from ..device import CPU, HALVES, device_of, precision_of, several_gpus, to_device, use
from ..errors import OptionError
from ..types import Array
from . import launch

# The modules that hold drop-ins, each a `DROP_INS`; loaded when the first array that is not NumPy's comes along, or
# when somebody asks which are switched on. The compiled loops go by the names of the kernels that do the same; there
# is no kernel that does as `direct` does.
CONVOLUTIONS = ("conv_halves", "winograd", "pointwise", "conv", "depthwise")  # in the order in which they are asked
MODULES = (*CONVOLUTIONS, "linear", "norm", "pool", "loss", "activation", "dropout")


@dataclass(frozen=True)
class DropIn:
    """`forward` and `backward` stand in for the pair `op` where `applies(*arrays, **options)`; all arrays are float32
    then, but for those that `integers` names.

    Without a backward of its own, a drop-in leaves the same cache as the op, whose backward then follows. `op` is the
    pair of functions itself, so a pair with another backward (a student's, say) is never replaced; (function, None) if
    it has none."""

    name: str
    op: tuple
    forward: Callable
    backward: Callable | None = None
    applies: Callable = lambda *arrays, **options: True
    integers: tuple[int, ...] = ()  # which arrays are not floats: labels, masks


def stand_ins(name: str, ops: Any, own: Any, conditions: dict[str, Callable[..., bool]]) -> tuple[DropIn, ...]:
    """Drop-ins by the functions that a module `own` has under the names that they have in a module of ops.

    conditions   when they apply: by the name of a function, or of a pair without _forward and _backward"""

    def drop_in(function: str, applies: Callable[..., bool]) -> DropIn:
        if hasattr(ops, function):
            return DropIn(name, (getattr(ops, function), None), getattr(own, function), applies=applies)
        pair = f"{function}_forward", f"{function}_backward"
        op = tuple(getattr(ops, part) for part in pair)
        return DropIn(name, op, getattr(own, pair[0]), getattr(own, pair[1], None), applies)

    return tuple(drop_in(function, applies) for function, applies in conditions.items())


_drop_ins: dict[Any, list[DropIn]] = {}
_on_cpu: dict[Any, list[DropIn]] | None = None  # the compiled loops', None before the first op asks
_loaded = False  # the kernels' own files are imported when the first op asks for one
_wanted = None  # None stands for all


def register(drop_in: DropIn) -> None:
    """Offer a drop-in; the one registered last is asked first."""
    _drop_ins.setdefault(drop_in.op, []).insert(0, drop_in)


def choose(
    forward: Callable[..., Any], backward: Callable[..., Any], arrays: Sequence[Array], options: dict[str, Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The pair that shall compute this call: a drop-in's, or the op's own (forward, backward).

    A drop-in is chosen if it is switched on, every array lives on a GPU, all but labels are float32, and its condition
    holds. Where there are several GPUs, that of the arrays becomes the current one, now and again in the backward."""
    op, offered = forward, (_drop_ins if _loaded else _offered()).get((forward, backward))
    several = several_gpus()
    if offered:
        state = len(offered), precision_of.cuda, launch.without_cublas(), several and _on_one_gpu(arrays)
        forward, backward = _remembered(offered, on_gpu_in_float32, state, forward, backward, arrays, options)
    if (mode := precision_of.cuda) in HALVES:
        forward, backward = _rounding(op, forward, backward, mode)
    return (forward, backward) if not several else (forward, _on_their_gpu(arrays, backward))


def choose_on_cpu(
    forward: Callable[..., Any], backward: Callable[..., Any], arrays: Sequence[Any], options: dict[str, Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`choose` for NumPy's arrays, among the compiled loops: all arrays but labels are of float32 then."""
    op, offered = forward, (_offered_on_cpu() if _on_cpu is None else _on_cpu).get((forward, backward))
    if offered and (_wanted is None or _wanted):  # else none is switched on
        forward, backward = _remembered(offered, _in_float32, (), forward, backward, arrays, options)
    mode = precision_of.cpu
    return (forward, backward) if mode == "ieee" else _rounding(op, forward, backward, mode)


def _rounding(op, forward, backward, mode):
    from .halves import rounding  # it needs the ops, which come after this file

    return rounding(op, forward, backward, mode)


_choices: dict[Any, tuple[Callable[..., Any], Any]] = {}  # the latest, by everything that a condition may look at


def _remembered(offered, fits, state, forward, backward, arrays, options):
    """The pair of the first drop-in that applies, else the op's own. The conditions look at shapes and options, and at
    the `state` of the engine, never at numbers, so a call like one before is answered from memory: a network asks the
    same in every step."""
    try:
        key = (forward, backward, _wanted, *state, *options, _seen((*arrays, *options.values())))
        chosen = _choices.get(key)
    except TypeError:  # an option that is a list, for instance, cannot be looked up
        return _first(offered, fits, forward, backward, arrays, options)
    if chosen is None:
        if len(_choices) >= 4096:  # images of all sizes came by
            _choices.clear()
        chosen = _choices[key] = _first(offered, fits, forward, backward, arrays, options)
    return chosen


FLOAT32 = np.dtype(np.float32)
PLAIN = (int, int), (float, float)  # tuples that are looked up as they are


def _seen(values):
    """What a condition may see of each argument; True is not the same option as 1."""
    seen = []
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            seen.append((value.shape, value.strides, value.dtype))
        elif kind is int:
            seen.append((kind, value))
        elif kind is dict:  # what is kept of a weight: that there is a place for it
            seen.append(kind)
        elif isinstance(value, tuple):
            kinds = tuple(map(type, value))
            seen.append((kinds, value if kinds in PLAIN else _seen(value)))
        elif is_type_of_cupys(kind) or hasattr(value, "strides"):
            seen.append((kind, value.shape, value.strides, value.dtype))
        else:
            seen.append((kind, value))
    return tuple(seen)


def _first(offered, fits, forward, backward, arrays, options):
    for drop_in in offered:
        if is_on(drop_in.name) and fits(arrays, drop_in.integers) and drop_in.applies(*arrays, **options):
            return drop_in.forward, drop_in.backward or backward
    return forward, backward


def _in_float32(arrays, integers=()):
    return all(
        isinstance(a, np.ndarray) and (a.dtype.kind in "biu" if i in integers else a.dtype == np.float32)
        for i, a in enumerate(arrays)
        if hasattr(a, "dtype")
    )


def _offered_on_cpu():
    global _on_cpu
    if _on_cpu is None:
        from .cpu import compiled

        found: dict[Any, list[DropIn]] = {}
        if os.environ.get("TINYVISION_KERNELS") != "off" and compiled.ready():
            for module in compiled.MODULES:
                for drop_in in importlib.import_module(f"{compiled.__package__}.{module}").DROP_INS:
                    found.setdefault(drop_in.op, []).append(drop_in)
        _on_cpu = found
    return _on_cpu


def _on_their_gpu(arrays, backward):
    where = next((device_of(a) for a in arrays if hasattr(a, "dtype")), CPU)
    use(where)
    if where.type != "cuda" or backward is None:
        return backward

    def fetched(gradient):
        return to_device(gradient, where) if device_of(gradient).type == "cuda" else gradient

    @functools.wraps(backward)
    def there(dy, cache, *rest):  # needs, and a gradient to be added where the backward `adds`
        use(where)  # other GPUs may have been at work since the forward, and a gradient begun on one of them
        return backward(fetched(dy), cache, *rest[:1], *map(fetched, rest[1:]))

    vars(there).pop("hands_on", None)  # what comes from another GPU is no gradient of this one's inputs yet
    return there


def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which has no backward, with its drop-ins: a call goes to the one that is chosen for its arrays."""

    @functools.wraps(function)
    def call(*arrays, **options):
        find = choose_on_cpu if isinstance(arrays[0], np.ndarray) else choose
        return find(function, None, arrays, options)[0](*arrays, **options)

    return call


def is_on(name: str) -> bool:
    """Whether the drop-ins of this name are switched on."""
    _offered()
    return _wanted is None or name in _wanted


@contextmanager
def only(*names: str) -> Iterator[None]:
    """Inside this block, no drop-in but those of these names stands in: `with kernels.only():` uses none at all.

    Raises OptionError for a name that no drop-in has."""
    global _wanted
    _offered()  # the first look reads the environment, which must not happen inside of the block
    previous, _wanted = _wanted, _checked(names)
    try:
        yield
    finally:
        _wanted = previous


def names() -> list[str]:
    """The names of all drop-ins, the compiled loops' among them, whether or not they can be used here."""
    from .cpu import compiled

    loops = (importlib.import_module(f"{compiled.__package__}.{module}").DROP_INS for module in compiled.MODULES)
    return sorted(
        {drop_in.name for several in (*_offered().values(), *loops) for drop_in in several} | {"sgd", "adam", "clip"}
    )


def on_gpu_in_float32(arrays: Sequence[Array], integers: Sequence[int] = ()) -> bool:
    """Whether every array (None is skipped) lives on one GPU, and is of float32 or, if among `integers`, whole."""
    any_given = False
    for i, a in enumerate(arrays):
        if not is_type_of_cupys(type(a)):
            if not hasattr(a, "dtype"):
                continue
            if device_of(a).type != "cuda":
                return False
        dtype = a.dtype
        if not (dtype.kind in "biu" if i in integers else dtype == FLOAT32):
            return False
        any_given = True
    return any_given and (not several_gpus() or _on_one_gpu(arrays))


def _on_one_gpu(arrays):
    """Whether no two arrays live on different GPUs: a kernel that is handed such would end the process."""
    return len({device_of(a) for a in arrays if hasattr(a, "dtype")}) < 2


def _offered():
    global _wanted, _loaded
    if not _loaded:
        _loaded = True
        for module in MODULES:
            for drop_in in importlib.import_module(f"{__name__}.{module}").DROP_INS:
                _drop_ins.setdefault(drop_in.op, []).append(drop_in)
        _wanted = _from_environment(os.environ.get("TINYVISION_KERNELS", ""))
    return _drop_ins


def _from_environment(text):
    if text in ("", "on"):
        return None
    return _checked(() if text == "off" else tuple(part.strip() for part in text.split(",")))


def _checked(wanted):
    unknown = [name for name in wanted if name not in names()]
    if unknown:
        raise OptionError(f"kernels: there is no drop-in {unknown[0]!r}; there are {', '.join(names())} (or: off)")
    return frozenset(wanted)
