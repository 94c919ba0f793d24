"""Filling a parameter list by its names: which of the things at hand does each parameter want?"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..reference import pair
from . import words
from .standing_in import Keeper

# What a call or a constructor may ask for, most telling first: the order decides where one name can mean two things.
CALL = ("labels", "mask", "stride", "stride_height", "stride_width", "padding", "kernel_height", "kernel_width",
        "kernel_size", "eps", "p", "axis", "mode", "training", "learning_rate", "context",
        "input_shape")  # fmt: skip
BUILD = ("in_channels", "out_channels", "filter_shape", "input_shape", "kernel_height", "kernel_width", "kernel_size",
         "stride", "stride_height", "stride_width", "padding", "eps", "negative_slope", "alpha", "approximate", "p",
         "axis", "mode", "activation", "use_bias", "learning_rate", "momentum", "batch")  # fmt: skip
PAIRED = {"stride", "padding", "kernel_size"}


def options_of(op: str) -> tuple[str, ...]:
    """The options that a call of the op's functions may ask for, most telling first."""
    return (*([words.OF_ONE[op]] if op in words.OF_ONE else []), *CALL)


# What is said of code that has no way to be told something.
LACKS = {
    "square": "it takes one number for height and width",
    "window": "its windows, strides and padding are of one size",
    "nopad": "its padding is a word, which says less",
    "padding": "it does not pad as it was asked to",
    "stride": "it does not stride as it was asked to",
    "cache": "backward asks for a cache, and forward returns none",
    "forward": "no method of it goes forward",
    "backward": "no method of it goes backward",
    "weight": "where it keeps its weights was not found",
    "labels": "it takes labels, as a loss does: check it as cross_entropy",
}


class Unmet(Exception):
    """The code has no way to be told this: `demand` names what it lacks."""

    def __init__(self, demand: str) -> None:
        super().__init__(LACKS.get(demand, f"there was nothing to hand over as {demand}"))
        self.demand = demand


class UnmetKey(Unmet, KeyError):
    """A dictionary of options was asked for a key that is none of the usual ones."""

    __str__ = Exception.__str__


class Options(dict):
    """A dictionary of options that remembers which of them were asked for."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __missing__(self, key: str) -> Any:
        raise UnmetKey(f"the option {key!r}")

    def get(self, key: str, default: Any = None) -> Any:
        """As of any dictionary."""
        self.asked.add(key)
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of any dictionary."""
        self.asked.add(key)
        return super().setdefault(key, default)


@dataclass
class Offer:
    """What there is to hand over: arrays by role, in their layout, and options by role; `pairs` names those options
    that are given as (height, width)."""

    arrays: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    pairs: frozenset = frozenset()
    mode: Any = None  # what a parameter called mode wants: "train", "max", ...
    given: list = field(default_factory=list)  # the dictionaries of options that were handed over
    everywhere: Any = None  # the bias as an array of the output's shape, for layers that keep one for each place
    ledger: dict = field(default_factory=dict)  # where backward(x, dy, gradients) writes what it finds
    context: Keeper = field(default_factory=Keeper)  # what forward(ctx, x) leaves for backward(ctx, dy)

    def value(self, role: str, parameter: inspect.Parameter | None = None) -> Any:
        """The value for a role, in the form that the parameter's default shows. Raises Unmet, KeyError."""
        default = inspect.Parameter.empty if parameter is None else parameter.default
        if role in self.arrays:
            return self.arrays[role]
        if role in PAIRED:
            return self._paired(role, default)
        if role == "training":
            return "train" if isinstance(default, str) else True
        if role == "mode":
            return self.mode
        if role == "init":
            return initial
        if role == "name":
            return "layer"
        if role in ("before", "unused"):  # a parameter called _ is there because other layers have one
            return None
        if role == "ledger":
            return self.ledger
        if role == "seed":
            return 5
        if role == "off":  # how strongly weights are pulled to 0: not at all
            return 0.0
        if role == "context":
            return self.context
        if role == "scale":  # of the first weights
            return 0.1
        if role not in self.options:
            if default is inspect.Parameter.empty:
                raise Unmet(role.replace("_", " "))
            return default
        return self.options[role]

    def _paired(self, role, default):
        if role not in self.options:
            if default is inspect.Parameter.empty:
                raise Unmet(role.replace("_", " "))
            return default
        if role == "kernel_size" and self.pairs & {"whole", "filter"}:
            return self.options["filter_shape"]
        height, width = pair(self.options[role])
        if isinstance(default, str) and role == "padding":
            return self._padding_word(height, width, default)
        if isinstance(default, (tuple, list)) or role in self.pairs:
            return (height, width)
        if height != width:
            raise Unmet("square")
        return height

    def _padding_word(self, height, width, default):
        kernel = pair(self.options["kernel_size"])
        if (height, width) == (0, 0):
            return "VALID" if default.isupper() else "valid"
        if (2 * height + 1, 2 * width + 1) == kernel and pair(self.options["stride"]) == (1, 1):
            return "SAME" if default.isupper() else "same"
        raise Unmet("nopad")

    def dictionary(self) -> dict[str, Any]:
        """All options under all the keys that code looks for."""
        out: dict[str, Any] = {}
        options = dict(self.options)
        for role in ("stride", "padding", "kernel_size", "kernel_height", "kernel_width", "eps", "momentum", "p"):
            if role not in options:
                continue
            for key in words.KEYS[role]:
                out.setdefault(key, self._paired(role, None) if role in PAIRED else options[role])
        if "padding" in options and "p" in out and "p" not in options and "kernel_size" not in options:
            out["p"] = out["pad"]
        out["mode"] = self.mode or "train"
        out.update(dict.fromkeys(words.TRAINING, True), **dict.fromkeys(words.TESTING, False))
        self.given.append(Options(out))
        return self.given[-1]

    def unread(self, role: str) -> bool:
        """True if options were asked for in a dictionary, but never this one."""
        asked = {key for options in self.given for key in options.asked}
        return bool(asked) and not asked & set(words.KEYS[role])


@dataclass(frozen=True)
class Plan:
    """For each parameter of a function: the role that fills it, "{}" for a dictionary of options, None to leave out."""

    roles: dict
    spread: tuple = ()  # roles handed over by position, to *args
    unknown: tuple = ()  # required parameters that nothing fits
    loose: bool = False  # it takes **options, which get the names of this library

    def takes(self, role: str) -> bool:
        """True if the role is handed over as an argument of its own."""
        return role in self.roles.values() or role in self.spread

    def uses(self, role: str) -> bool:
        """True if the role is handed over, alone or in a dictionary."""
        return role in self.roles.values() or role in self.spread or "{}" in self.roles.values() or self.loose

    def arguments(self, parameters: dict[str, Any], offer: Offer) -> tuple[list, dict]:
        """(args, kwargs) for one call. Raises Unmet where an option cannot be expressed, or a parameter met."""
        if self.unknown:
            raise Unmet(self.unknown[0])
        args, kwargs, left_out = [], {}, False
        for name, role in self.roles.items():
            if role is None:
                left_out = True
                continue
            value = offer.dictionary() if role == "{}" else offer.value(role, parameters[name])
            # By position while nothing is left out: a decorated function may have other names than it shows.
            if left_out or parameters[name].kind is inspect.Parameter.KEYWORD_ONLY:
                kwargs[name] = value
            else:
                args.append(value)
        return args + [offer.value(role) for role in self.spread], kwargs


def plan(parameters: dict[str, inspect.Parameter], arrays: Sequence[str], roles: Sequence[str]) -> Plan:
    """Which role fills which parameter. `arrays` are taken by name, and then in their order by what is left over."""
    empty = inspect.Parameter.empty
    ordinary = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    found: dict[str, Any] = dict.fromkeys(ordinary)
    taken: set[str] = set()
    dictionaries = [n for n in ordinary if words.DICTIONARIES.fullmatch(n)]
    known = (*arrays, *(r for r in roles if r != "mask"))
    possible = {n: [r for r in known if words.is_role(n, r)] for n in ordinary if n not in dictionaries}
    if "mask" in arrays:  # dropout's own argument, and elsewhere what forward has kept
        possible.update({n: ["mask"] for n in possible if words.plain(n) == "mask"})
    for name in dictionaries:
        found[name] = "{}"
    first = next((n for n in ordinary if not words.is_role(n, "context")), None)
    if first is not None and arrays[:1] == ("x",) and not any("x" in choices for choices in possible.values()):
        possible[first] = ["x"]  # data come first, whatever they are called
    for name, choices in sorted(possible.items(), key=lambda kv: (kv[0] != first, len(kv[1]))):
        default = ordinary[name].default
        for role in choices:
            if role in taken or not _fits(role, default, arrays):
                continue
            found[name] = role
            taken.add(role)
            if role == "input_shape":
                taken.add("in_channels")
            break
    rest = [r for r in arrays if r not in taken]
    for name, role in found.items():
        if (
            role == "dy" and ordinary[name].default is not empty and "labels" in arrays
        ):  # a loss is the end: it has no upstream but 1
            found[name] = None
    for name, parameter in ordinary.items():
        if found[name] is None and parameter.default is empty and "init" in name.lower():
            found[name] = "init"
        elif found[name] is None and parameter.default is empty and words.plain(name).endswith(words.SCALES):
            found[name] = "scale"
        elif found[name] is None and parameter.default is None and words.plain(name) in words.SEEDS:
            found[name] = "seed"
        elif found[name] is None and name.lower().replace("_", "") in words.PENALTIES and _is_number(parameter):
            found[name] = "off"
        elif found[name] is None and parameter.default is empty and words.plain(name) in words.LABELS:
            found[name] = "name"
        elif found[name] is None and parameter.default is empty and words.plain(name) in words.BEFORE:
            found[name] = "before"
        elif found[name] is None and parameter.default is empty and not name.strip("_"):
            found[name] = "unused"
    for name, parameter in ordinary.items():
        if found[name] is None and parameter.default is empty and name in words.LEDGERS and "dy" in taken:
            found[name] = "ledger"
        if found[name] is None and parameter.default is empty and rest:
            found[name] = rest.pop(0)
    unknown = tuple(n for n, p in ordinary.items() if found[n] is None and p.default is empty)
    spread = tuple(rest) if any(p.kind is p.VAR_POSITIONAL for p in parameters.values()) else ()
    loose = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return Plan(found, spread, unknown, loose)


def _is_number(parameter):
    """True for a parameter that may be a number: one without a default, or with one that is."""
    default = parameter.default
    return default is parameter.empty or (isinstance(default, (int, float)) and not isinstance(default, bool))


def with_upstream(asked: Plan) -> Plan:
    """A backward's plan in which dy has its place: the first parameter, where no name tells, as in backward(out, x)."""
    first = next(iter(asked.roles), None)
    holder = next((name for name, role in asked.roles.items() if role == "dy"), None)
    told = holder is not None and (holder == first or words.is_role(holder, "dy"))
    if first is None or told or asked.roles[first] != "y":  # gradient(x) of an activation takes its x, and no dy
        return asked
    swapped = {**asked.roles, **({} if holder is None else {holder: asked.roles[first]}), first: "dy"}
    return replace(asked, roles=swapped, unknown=tuple(n for n in asked.unknown if n != first))


def initial(*shape: Any) -> np.ndarray:
    """Small numbers of a shape: what a layer gets that asks for a function to make its first weights."""
    size = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    return np.random.default_rng(len(size)).standard_normal(size) * 0.1


def _fits(role, default, arrays):
    """A default that is True, a number or a word says what a parameter is not."""
    if default is inspect.Parameter.empty or default is None:
        return True
    if (role, default) in (("weight", 1), ("bias", 0)) and not isinstance(default, bool):
        return True  # gamma=1.0, beta=0.0: numbers that scale and shift all channels alike, until they are learned
    if role in arrays or role in ("weight", "bias"):
        return not isinstance(default, (bool, str, int, float, tuple)) or role in ("dy", "cache")
    if role == "training":
        return isinstance(default, (bool, str, int))
    if isinstance(default, bool):
        return False
    if role == "mode":
        return isinstance(default, str)
    return not isinstance(default, str) or role in ("padding", "activation")
