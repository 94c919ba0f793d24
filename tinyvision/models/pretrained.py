"""Building a model with or without pretrained weights, the same way for every network."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TypeVar

from ..errors import OptionError, WeightsError
from ..nn.module import Module
from ..ops.checks import is_integer

Model = TypeVar("Model", bound=Module)


def load_pretrained(
    name: str,
    build: Callable[[int], Model],
    head: str,
    weights: str | PathLike[str] | None,
    num_classes: int | None,
    pretrained: bool | None,
    progress: bool,
    rename: Callable[[str], str] | None = None,
) -> Model:
    """The model `build(num_classes)` with the weights that `weights` or `pretrained` ask for, or with random ones.

    `head` names the last layer, whose size follows the number of classes: if that differs from the file's, all but the
    head is loaded. `rename` maps the file's names to the model's. Raises OptionError, WeightsError, DownloadError."""
    if num_classes is not None and (not is_integer(num_classes) or num_classes < 1):
        raise OptionError(f"{name}: num_classes must be a positive integer, got {num_classes!r}")
    if pretrained is not None:
        if not isinstance(pretrained, bool):
            raise OptionError(
                f"{name}: pretrained must be True or False, got {pretrained!r}; a file goes into weights="
            )
        if weights is not None:
            raise OptionError(f"{name}: give weights or pretrained, not both")
        weights = "DEFAULT" if pretrained else None
    if weights is None:
        return build(1000 if num_classes is None else num_classes)

    from ..weights import load_arrays
    from ..weights.hub import find_weights

    path = find_weights(name, weights, progress=progress)
    state = load_arrays(path)
    if rename is not None:
        state = {rename(key): value for key, value in state.items()}
    last = state.get(f"{head}.weight")
    if last is None or last.ndim != 2:
        raise WeightsError(f"{Path(path).name}: no {head}.weight in this file, so it does not hold a {name}")
    model = build(len(last) if num_classes is None else num_classes)
    if num_classes not in (None, len(last)):
        own = model.state_dict()
        state.update({f"{head}.{part}": own[f"{head}.{part}"] for part in ("weight", "bias")})
    try:
        model.load_state_dict(state)
    except WeightsError as error:
        raise WeightsError(f"{Path(path).name}: {error}") from None
    return model
