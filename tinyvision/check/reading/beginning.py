"""What a network does to its layers before the first forward: shapes are told, weights are made, training is begun."""

import inspect
import re
from contextlib import suppress
from typing import Any

import numpy as np

from ..runner import parameters
from . import words
from .stepping import OPTIMISERS, Steps, for_a_step

# Methods that a network calls on its layers, with the shape of what they will see.
BEGINNINGS = re.compile(
    r"_*(init(ial\w*)?(_(weights?|params?|parameters?|layer))?|build|compile|setup|prepare(_\w+)?"
    r"|set_input_\w+)"
)


def begin(layer: Any, shape: tuple | int) -> None:
    """Do to a new layer what its network would: it gets an optimiser for its gradients and the shape of its images,
    each method that begins it is called, and it is in training."""
    for name, value in list(vars(layer).items()):
        if value is None and words.plain(name).removesuffix("instance") in OPTIMISERS:
            setattr(layer, name, Steps())
        elif value is None and words.is_role(name.lstrip("_"), "input_shape"):
            setattr(layer, name, shape)
    begins = [n for n in dir(type(layer)) if BEGINNINGS.fullmatch(n)]
    for name in sorted(begins, key=lambda n: not n.startswith("set_")):  # the shape is set before it is used
        method: Any = getattr(layer, name, None)
        wanted = parameters(method) if inspect.ismethod(method) else None
        if wanted is None:
            continue
        given = {n: _given(n, shape) for n, p in wanted.items() if p.default in (p.empty, None)}
        given = {n: value for n, value in given.items() if value is not None}
        if all(n in given or p.default is not p.empty for n, p in wanted.items()):
            with suppress(Exception):
                method(**given)
    for name, value in list(vars(layer).items()):
        if isinstance(value, bool) and words.is_role(name.lstrip("_"), "training"):
            setattr(layer, name, True)


def asks_for_shape(kind: Any) -> bool:
    """True if a method that begins a layer of this class is shown what shape the images have."""
    begins = [getattr(kind, n) for n in dir(kind) if BEGINNINGS.fullmatch(n)]
    wanted = [n for b in begins if inspect.isroutine(b) for n in list(parameters(b) or ())[1:]]
    return any(_whole_shape(n) or words.is_role(n, "in_channels") for n in wanted)


def _given(name, shape):
    """What a method gets that begins a layer: the images' shape, a step to read gradients from, numbers, a rate."""
    if name in OPTIMISERS:
        return Steps()
    if _whole_shape(name) or (isinstance(shape, int) and words.is_role(name, "in_channels")):
        return shape
    if words.plain(name) in words.RANDOM:
        return np.random.RandomState(0)
    return (for_a_step({name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)}, lone=False) or {}).get(name)


def _whole_shape(name):
    return words.is_role(name, "input_shape") or words.plain(name) in ("inputsize", "inputdim", "insize", "indim")
