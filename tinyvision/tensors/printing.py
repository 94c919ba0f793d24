"""How tensors are printed, and `set_printoptions`, which changes it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..dtypes import default_dtype
from ..errors import OptionError


@dataclass(frozen=True)
class PrintOptions:
    """Digits after the point, how many numbers are printed in full, how many at either end otherwise, and how wide."""

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None  # None: where numbers are of many sizes


PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=2**31),
}
_options = PROFILES["default"]


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed from here on; a profile is "default", "short" or "full". Raises OptionError."""
    global _options
    if profile is not None and profile not in PROFILES:
        raise OptionError(f"set_printoptions: profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": None if threshold is None else int(min(threshold, 2**31)),  # inf is written by some
        "edgeitems": edgeitems,
        "linewidth": linewidth,
        "sci_mode": sci_mode,
    }
    base = _options if profile is None else PROFILES[profile]
    _options = replace(base, **{name: value for name, value in given.items() if value is not None})


def tensor_as_text(array: np.ndarray, device: str | None = None, history: str | None = None) -> str:
    """`tensor([...], device='cuda:0', dtype=torch.float64, requires_grad=True)`, as PyTorch writes it.

    array    on the CPU
    device   what is said of the device, and `history` of the gradient, if anything is"""
    start, o = "tensor(", _options
    said = [device] if device else []
    if array.size == 0:
        text = "[]"
        said += [f"size={array.shape}"] if array.ndim != 1 else []
        usual: tuple[Any, ...] = (default_dtype(),)
    else:
        shown = _ends(array, o.edgeitems) if array.size > o.threshold else array
        written, width = _writer(shown, o)
        text = _rows(array, written, width, len(start), shown is not array)
        usual = (default_dtype(), np.int64, np.bool_)
    said += [f"dtype=torch.{array.dtype.name}"] if array.dtype not in usual else []
    said += [history] if history else []
    text = start + text
    column = len(text) - text.rfind("\n") + 1  # as PyTorch counts: 2 too many
    for extra in said:
        if column + len(extra) + 2 > o.linewidth:
            text, column = f"{text},\n{' ' * len(start)}{extra}", len(start) + len(extra)
        else:
            text, column = f"{text}, {extra}", column + len(extra) + 2
    return text + ")"


def _ends(array, edge):
    """The part of an array that is printed if only the first and last `edge` along every axis are."""
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis)
    return array


def _writer(shown, o):
    """How one number is written, and how wide. All numbers get one form, found from those that are shown:
    whole floats as `2.`, floats with `precision` digits, and with an exponent where they are of many sizes."""
    if shown.dtype.kind != "f":
        width = max(len(str(v)) for v in shown.ravel().tolist())
        return lambda v: str(v).rjust(width), width
    values = shown.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    whole, wild, tiny = True, False, False
    if values.size:
        largest, least = np.abs(values).max(), np.abs(values).min()
        whole = bool(np.all(values == np.ceil(values)))
        with np.errstate(over="ignore"):
            wild, tiny = bool(largest / least > 1000 or largest > 1e8), bool(least < 1e-4)
    exponent = (wild or (tiny and not whole)) if o.sci_mode is None else o.sci_mode
    if exponent:
        form = f".{o.precision}e"
    else:
        form = ".0f" if whole else f".{o.precision}f"

    def written(v):
        point = "." if whole and not exponent and np.isfinite(v) else ""
        return format(v, form) + point

    width = max((len(written(v)) for v in values.tolist()), default=1)
    return lambda v: written(v).rjust(width), width


def _rows(array, written, width, indent, shortened):
    """An array in brackets: a row as many numbers wide as fit the line, blank lines between matrices."""
    if array.ndim == 0:
        return written(array.item())
    o, n = _options, array.shape[0]
    cut = shortened and n > 2 * o.edgeitems
    places = [*range(o.edgeitems), *range(n - o.edgeitems, n)] if cut else range(n)
    if array.ndim > 1:
        parts = [_rows(array[i], written, width, indent + 1, shortened) for i in places]
        if cut:
            parts.insert(o.edgeitems, "...")
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    numbers = [written(array[i].item()) for i in places]
    if cut:
        numbers.insert(o.edgeitems, " ...")
    each = max(1, (o.linewidth - indent) // (width + 2))
    lines = [", ".join(numbers[i : i + each]) for i in range(0, len(numbers), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
