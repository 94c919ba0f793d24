"""What comes back: the output among the things that forward returns, and each gradient among those of backward."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..place import is_array
from . import words


def output_of(value: Any, shape: tuple) -> tuple[Any, Any]:
    """(y, all the rest) of what a forward returned: a tuple begins with y, or holds one array of its shape."""
    if not isinstance(value, tuple):
        return value, None
    if not value:
        return None, None
    place = 0
    if np.shape(_array(value[0])) != shape:
        place = next((k for k, v in enumerate(value) if np.shape(_array(v)) == shape), 0)
    rest = value[:place] + value[place + 1 :]
    return value[place], rest[0] if len(rest) == 1 else rest


def _array(value):
    """A number, an array or one written out in lists as an array; for anything else one of a shape no output has."""
    if is_array(value):
        return value
    written = isinstance(value, (int, float, np.generic)) or (isinstance(value, list) and _shaped(value) is not None)
    return np.asarray(value) if written else np.empty((0, 0, 0))


def gradients_of(value: Any, names: Sequence[str], shapes: dict[str, tuple]) -> tuple[dict[str, Any], bool]:
    """({argument: gradient}, in another order than the arguments?) of what a backward returned.

    A dictionary is read by its keys, a tuple by its order; where the shapes of a tuple fit only with the data's
    gradient at another place, that is its order."""
    if isinstance(value, dict):
        return _by_key(value, names), False
    if len(names) == 1 and isinstance(value, list) and _shaped(value) == tuple(shapes[names[0]]):
        return {names[0]: np.array(value)}, False  # a list with an array for each channel
    parts = _flat(value) if isinstance(value, (tuple, list)) else [value]
    parts = [p for p in parts if p is None or is_array(p) or np.isscalar(p)] if len(parts) > len(names) else parts
    if len(parts) == 1 or len(names) == 1:
        return ({names[0]: parts[0]} if parts and parts[0] is not None else {}), False
    orders = [list(names)]
    if len(names) > 2:
        orders.append([*names[1:], names[0]])
    fits = [order for order in orders if _fit(parts, order, shapes)]
    order = (fits or orders)[0]
    return {n: p for n, p in zip(order, parts, strict=False) if p is not None}, bool(fits) and order != list(names)


def _shaped(value):
    """The shape of a list of arrays that are one written out, None for any other."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def _flat(value):
    """The parts of what was returned; of (dx, [dW, db]), all three."""
    if not any(is_array(v) for v in value):
        return list(value)
    out: list[Any] = []
    for part in value:
        inner = isinstance(part, (tuple, list)) and all(is_array(p) for p in part)
        out += part if inner else [part]
    return out


def _fit(parts, order, shapes):
    return all(np.size(p) == np.prod(shapes[n], dtype=int) for n, p in zip(order, parts, strict=False) if n in shapes)


def _by_key(value, names):
    out = {}
    for name in names:
        for key, array in value.items():
            if words.gradient_of((str(key),), name) or words.is_role(str(key), name):
                out.setdefault(name, array)
    if names and names[0] not in out:
        rest = [v for k, v in value.items() if not any(v is taken for taken in out.values())]
        if len(rest) == 1:
            out[names[0]] = rest[0]
    return out
