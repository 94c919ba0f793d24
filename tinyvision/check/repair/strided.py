"""`as_strided` that stays within the array: a changed stride must not read or write what lies behind it."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

AS_STRIDED = np.lib.stride_tricks.as_strided


def _within(x: Any, shape: Any = None, strides: Any = None, subok: bool = False, *, writeable: bool = True) -> Any:
    """NumPy's own, of a view of the memory that x or its base has. Raises IndexError for any other."""
    view = AS_STRIDED(x, shape, strides, subok=subok, writeable=writeable)
    whole = np.asarray(x)
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    lowest = highest = np.asarray(x).__array_interface__["data"][0]
    for size, stride in zip(view.shape, view.strides, strict=True):
        lowest, highest = lowest + min(0, (size - 1) * stride), highest + max(0, (size - 1) * stride)
    begin, end = np.lib.array_utils.byte_bounds(whole)
    if view.size and not begin <= lowest <= highest + view.itemsize <= end:
        raise IndexError("as_strided: the view reaches beyond the array")
    return view


@contextlib.contextmanager
def bounded(modules: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Puts it in the place of NumPy's for the time of the block, wherever these modules or NumPy's own have that."""
    held = [(names, n) for names in (vars(np.lib.stride_tricks), *modules) for n, v in names.items() if v is AS_STRIDED]
    for names, name in held:
        names[name] = _within
    try:
        yield
    finally:
        for names, name in held:
            names[name] = AS_STRIDED
