"""How tensors are printed, and `set_printoptions`, which changes it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import OptionError


@dataclass(frozen=True)
class PrintOptions:
    """Digits after the point, how many numbers are printed in full, how many at either end otherwise, and how wide."""

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 75
    sci_mode: bool = False


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


def numbers_as_text(array: np.ndarray, prefix: str) -> str:
    """The numbers in brackets, lines after the first moved in as far as `prefix` is long."""
    o = _options
    digits = {"float_kind": lambda v: f"{v:.{o.precision}e}"} if o.sci_mode and array.dtype.kind == "f" else None
    return np.array2string(
        array,
        separator=", ",
        precision=o.precision,
        suppress_small=True,
        threshold=o.threshold,
        edgeitems=o.edgeitems,
        max_line_width=o.linewidth,
        prefix=prefix,
        formatter=digits,  # type: ignore[arg-type]  # NumPy's own hints know each kind apart
    )
