"""Which kernel was the fastest for a layer on this very card: what `cuda.autotune` measured, kept in the cache.

Unasked, a layer gets the kernel of tensor_cores.CHOICES or of conv's rule, the same one on all GPUs of a generation. A
file here takes precedence in later processes too, if it was made for this card, driver and CUDA, and for these kernels.
One that was not, or that is damaged, is told of and left alone. All candidates compute the same sums in orders of their
own: a file can make a layer slow, and never wrong.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..atomic import atomic_write
from ..device import device, is_available, report
from ..errors import FileError
from ..folders import cache_dir, cache_dir_if_known
from ..types import Shape
from . import launch as gpu

FORMAT = 1


class Layer(NamedTuple):
    """What a choice among kernels hangs on: the matrix of sums, rows × columns of `depth` products each, of each of
    `groups`, and the taps of the kernel."""

    precision: str  # "ieee", "tf32", "bf16", "fp16"
    primitive: str  # "correlate", "image_gradient", "weight_gradient"
    rows: int
    columns: int
    depth: int
    groups: int
    taps: tuple[int, int]


class Met(NamedTuple):
    """A layer as `cuda.autotune` met it: the kernels to choose from, of which the first is taken unasked; the shapes of
    both factors and of what is computed of them, channels last; and how the kernel slides over the image."""

    candidates: tuple[str, ...]
    left: Shape
    right: Shape
    result: Shape
    sliding: Any
    activation: str | None


met: dict[Layer, Met] | None = None  # what comes by while somebody looks, else None
_chosen: Mapping[Layer, str] | None = None  # None before the first layer asks


def kernel(layer: Layer, candidates: Sequence[str]) -> str | None:
    """The kernel that was measured to be the fastest of these for a layer, or None where none was."""
    global _chosen
    if _chosen is None:
        _chosen = {}  # nothing that is asked meanwhile reads it again
        _chosen, problem = kept()
        if problem:
            warnings.warn(f"{problem}; run tinyvision.cuda.autotune again, or delete the file", stacklevel=2)
    found = _chosen.get(layer)
    return found if found in candidates else None


def choose(chosen: Mapping[Layer, str]) -> None:
    """Put choices in force for this process, in place of all others."""
    global _chosen
    _chosen = dict(chosen)


def made_for() -> dict[str, Any]:
    """What a file is made for: the GPU in use, its driver and CUDA, and the texts of the kernels."""
    found = report()
    card = found["devices"][device("cuda").index]
    texts = "".join(map(gpu.text, ("tensor_cores", "conv")))
    return {
        "card": card["name"],
        "compute capability": card["compute_capability"],
        "driver": found["driver"],
        "CUDA": found["runtime"],
        "kernels": hashlib.sha256(texts.encode()).hexdigest()[:16],
    }


def file_of(card: str) -> Path:
    """Where the choices for a card are kept. Raises FileError where no home folder is known."""
    return cache_dir() / "tuned" / f"{re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-')}.json"


def kept() -> tuple[dict[Layer, str], str | None]:
    """(the choices in the file for the GPU in use, why it is not used or None); none without a file or a GPU."""
    home = cache_dir_if_known()
    if home is None or not any((home / "tuned").glob("*.json")) or not is_available():
        return {}, None  # nobody has ever asked for it here
    own = made_for()
    path = file_of(own["card"])
    if not path.exists():
        return {}, None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        other, choices = found["made for"], {_layer(row): str(row["kernel"]) for row in found["layers"]}
        if found["format"] != FORMAT:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, f"{path}: the tuned kernels are not used, for the file is damaged"
    differing = [name for name, value in own.items() if not isinstance(other, dict) or other.get(name) != value]
    if differing:
        theirs = {name: other.get(name) if isinstance(other, dict) else None for name in differing}
        told = ", ".join(f"{name} {theirs[name]} and not {own[name]}" for name in differing)
        return {}, f"{path}: the tuned kernels are not used, for they were made for {told}"
    return choices, None


def _layer(row):
    values = [row[name] for name in Layer._fields]
    *texts, rows, columns, depth, groups, taps = values
    if not all(isinstance(text, str) for text in texts) or len(taps) != 2:
        raise ValueError
    if not all(type(n) is int and n > 0 for n in (rows, columns, depth, groups, *taps)):
        raise ValueError
    return Layer(*values[:-1], (taps[0], taps[1]))


def keep(rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write choices, a row for each layer with its fields, its kernel, and what else is worth to know, to the file for
    the GPU in use; layers that it has besides stay in it. Raises FileError."""
    own = made_for()
    path = file_of(own["card"])
    earlier, problem = kept()
    new = [{**row, "taps": list(row["taps"])} for row in rows]
    named = {_layer(row) for row in new}
    others = [] if problem else [{**layer._asdict(), "kernel": k} for layer, k in earlier.items() if layer not in named]
    text = json.dumps({"format": FORMAT, "made for": own, "layers": [*others, *new]}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"autotune: cannot make the folder {path.parent}: {error.strerror}") from None
    with atomic_write(path, "w") as file:
        file.write(f"{text}\n")
    return path
