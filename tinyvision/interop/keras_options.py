"""The options of a Keras layer, as the file has them: checked when they are read, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import WeightsError
from ..ops.checks import is_integer, is_number


class Options(Mapping[str, Any]):
    """The options of one layer, `config` in the file. What is missing or makes no sense is a WeightsError."""

    def __init__(self, kind: str, values: dict[str, Any], version: int) -> None:
        self.kind, self.given, self.version = kind, values, version
        self.name = str(values.get("name", kind))

    def __getitem__(self, key: str) -> Any:
        return self.given[key]

    def __iter__(self) -> Any:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)

    def refuse(self, reason: str) -> WeightsError:
        """The error about this layer."""
        return WeightsError(f"the layer {self.name[:60]!r} ({self.kind}): {reason}")

    def integer(self, key: str, default: Any = None) -> int:
        """A positive integer."""
        value = self.get(key, default)
        if not is_integer(value) or not 0 < value < 1 << 31:
            raise self.refuse(f"{key} must be a positive integer, not {value!r:.40}")
        return value

    def number(self, key: str, default: Any = None) -> float:
        """A number; where Keras kept it as an array of one, that one."""
        value = self.get(key, default)
        value = value.get("config", value).get("value") if isinstance(value, dict) else value
        if not is_number(value):
            raise self.refuse(f"{key} must be a number, not {value!r:.40}")
        return float(value)

    def pair(self, key: str, default: Any = None) -> tuple[int, int]:
        """Two positive integers, of height and width."""
        value = self.get(key, default)
        pair: Any = [value, value] if isinstance(value, int) else value
        if (
            not isinstance(pair, (list, tuple))
            or len(pair) != 2
            or not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 16 for n in pair)
        ):
            raise self.refuse(f"{key} must be two positive integers, not {value!r:.40}")
        return pair[0], pair[1]

    def borders(self, key: str) -> tuple[int, int, int, int]:
        """(top, bottom, left, right), each 0 or more."""
        value = self.get(key)
        rows: Any = [value, value] if isinstance(value, int) else value
        try:
            flat = [n for row in rows for n in ((row, row) if isinstance(row, int) else row)]
            top, bottom, left, right = (int(n) for n in flat)
        except (TypeError, ValueError):
            raise self.refuse(f"{key} must be numbers of rows and columns, not {value!r:.40}") from None
        if min(top, bottom, left, right) < 0:
            raise self.refuse(f"{key} must be 0 or more, not {value!r:.40}")
        return top, bottom, left, right

    def choice(self, key: str, *allowed: Any) -> Any:
        """One of the words that are known here; the first where it is missing."""
        value = self.get(key, allowed[0])
        if value not in allowed:
            raise self.refuse(f"{key}={value!r:.40} is not known here; known: {', '.join(map(repr, allowed))}")
        return value

    def arrays(self, given: list[np.ndarray], **ranks: int) -> list[np.ndarray]:
        """The layer's arrays, checked in number and rank."""
        if len(given) != len(ranks):
            raise self.refuse(f"{len(given)} arrays, where {', '.join(ranks) or 'none'} are expected")
        for array, (name, rank) in zip(given, ranks.items(), strict=True):
            if array.ndim != rank or array.dtype.kind != "f":
                raise self.refuse(f"its {name} is {array.dtype} {array.shape}, not floats with {rank} axes")
        return [np.ascontiguousarray(array, np.float64 if array.dtype == np.float64 else np.float32) for array in given]
