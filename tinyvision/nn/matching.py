"""Matching a checkpoint to a model: where in it the state dict is, and what wrappers have put before its names."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import WeightsError
from ..tape import Variable

# Under these keys training scripts put a model's state dict, next to epochs, optimisers and schedules.
USUAL_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
# What wrappers put before a name: DataParallel, torch.compile, and classes that hold the network as an attribute.
WRAPPERS = ("module", "_orig_mod", "model", "net")
_MAX_NAMES = 200_000
_MAX_VISITS = 500_000
_MAX_CHARACTERS = 1 << 25  # of all names together: a long key above many tensors is part of each name


class LoadResult(NamedTuple):
    """What `load_state_dict` returns: the names that the state dict lacked, and those that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def as_array(value: Any, of_one: bool = False) -> Any:
    """An entry of a state dict, a foreign tensor too, as an array of numbers; None if it is none.

    of_one   what has its place is a single number, which files of PyTorch 0.3 hold as a list of one"""
    array = _as_array(value)
    return array[0, ...] if of_one and np.shape(array) == (1,) else array


def _as_array(value):
    if isinstance(value, Variable):
        return value.array
    if not hasattr(value, "dtype") or not hasattr(value, "__array_function__"):
        try:
            value = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        except (TypeError, ValueError):
            return None
    return value if value.dtype.kind in "biuf" else None


# Methods by which PyTorch's modules take part in their state dict, and which nobody calls here.
_OWN_WAYS = ("get_extra_state", "set_extra_state", "_save_to_state_dict", "_load_from_state_dict")


def refuse_own_ways(module: Any) -> None:
    """Raise WeightsError for a module whose own way of being stored would be passed over, and its state be lost."""
    for name in _OWN_WAYS:
        if hasattr(module, name):
            raise WeightsError(
                f"{type(module).__name__}.{name} is not called here, so what it keeps would be lost; keep it in a "
                f"buffer, self.register_buffer(...), or override state_dict and load_state_dict of the whole model"
            )


def matched(state: Mapping[str, Any], own: Iterable[str]) -> tuple[Any, list[str]]:
    """(state dict for a model whose names are `own`, what was done to `state` to get it, in words).

    A state dict of which at least one name fits is left as it is. Else it may be an entry of the checkpoint
    ('state_dict', 'model', ...), and its names may have a prefix made of 'module.', '_orig_mod.', 'model.' and
    'net.'; of these prefixes the one is removed with which most names fit."""
    own = set(own)
    done = []
    if not own & state.keys():
        key = _entry(state, _has_shape)
        if key is not None:
            done.append(_alike(state, key) or f"took its entry {key!r}")
            state = state[key]
    if own and not own & state.keys():
        names = [name for name in state if isinstance(name, str)]
        prefixes = sorted({prefix for name in names for prefix in _prefixes(name)}, key=len)
        fits = {p: sum(n.removeprefix(p) in own for n in names if n.startswith(p)) for p in prefixes}
        best = max(prefixes, key=fits.__getitem__, default="")
        if best and fits[best]:
            state = {name.removeprefix(best) if isinstance(name, str) else name: v for name, v in state.items()}
            done.append(f"removed the prefix {best!r} from {fits[best]} names")
    return state, done


def _has_shape(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _prefixes(name: str) -> Iterator[str]:
    """Every beginning of a name that consists of wrappers: 'module.model.conv' has 'module.' and 'module.model.'."""
    prefix = ""
    for part in name.split(".")[:-1]:
        if part not in WRAPPERS:
            return
        prefix += f"{part}."
        yield prefix


def _entry(state: Mapping[Any, Any], is_tensor: Callable[[Any], bool]) -> Any:
    """The key under which a checkpoint keeps the model's state dict, or None if the checkpoint is one itself."""
    if any(map(is_tensor, state.values())):
        return None
    inner = {key: value for key, value in state.items() if isinstance(value, Mapping)}
    for key in USUAL_KEYS:
        if key in inner and (not inner[key] or any(map(is_tensor, inner[key].values()))):
            return key
    holding = [key for key, value in inner.items() if any(map(is_tensor, value.values()))]
    return holding[0] if len(holding) == 1 else None


def _alike(state: Mapping[Any, Any], key: Any) -> str:
    """What to say of other entries with the same names as the one taken (averaged weights), "" if there are none."""
    names = state[key].keys() if isinstance(state[key], Mapping) else ()
    others = [k for k, v in state.items() if k != key and names and isinstance(v, Mapping) and v.keys() == names]
    return f"took its entry {key!r}, and not {', '.join(map(repr, others))} with the same names" if others else ""


def misfit(model: str, missing: list[str], unexpected: list[str], wrong: list[str], hint: str) -> str:
    """What a state dict lacks, has too much, and has in another shape, in words, with a hint if there is one."""
    lines = [f"the state dict does not fit {model}:"]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("not fitting", wrong)):
        if names:
            lines.append(f"  {title} ({len(names)}):")
            lines += [f"    {name}" for name in names]
    return "\n".join([*lines, hint] if hint else lines)


def other_head(own: dict[str, tuple[int, ...]], given: Mapping[str, Any]) -> str:
    """What to do if the last layer alone gives another number of outputs, in all that it has; "" of anything else.

    own     {name: shape} of a model, in order;  given   {name: array} of a state dict"""
    last = next(reversed(own), "").rpartition(".")[0]
    wrong = {name for name, shape in own.items() if name in given and np.shape(given[name]) != shape}
    shapes = [(own[name], np.shape(given[name])) for name in sorted(wrong)]
    outputs = {shape[:1] for _, shape in shapes}
    if wrong != {name for name in own if name.rpartition(".")[0] == last} or len(outputs) != 1:
        return ""
    if any(len(theirs) != len(ours) or theirs[1:] != ours[1:] for ours, theirs in shapes):
        return ""
    return (
        f"  another number of classes? The last layer, {last or 'the model itself'}, gives {shapes[0][0][0]} here and "
        f"{shapes[0][1][0]} in the state dict. Build the model with the number that the state dict has and replace its "
        f"last layer afterwards, or let a builder in tinyvision.models, given weights=... and num_classes=..., leave "
        f"that layer out"
    )


def named_tensors(root: Any, is_tensor: Callable[[Any], bool]) -> dict[str, Any]:
    """{name: tensor} of the state dict in what a file holds.

    If there is an entry with a state dict, that one is taken and the rest (optimiser, epoch, ...) is left out, with a
    warning where another entry has the same names (averaged weights beside the last ones).
    Otherwise all tensors count, and those in inner dicts and lists get dotted names ('generator.conv.weight'). A
    prefix 'module.' that all names share is removed. Raises WeightsError if there are no tensors."""
    if not isinstance(root, Mapping):
        raise WeightsError(f"no dict of tensors, but a {'tensor' if is_tensor(root) else type(root).__name__}")
    key = _entry(root, is_tensor)
    if key is not None and (said := _alike(root, key)):
        warnings.warn(f"the checkpoint: {said}; for those, save that entry alone", UserWarning, stacklevel=2)
    walk = _Walk(is_tensor)
    names = walk.collect(root if key is None else root[key])
    if not names and root and key is None:
        raise WeightsError("a dict without tensors")
    if names and all(name.startswith("module.") and len(name) > 7 for name in names):
        names = {name[7:]: value for name, value in names.items()}
    return names


class _Walk:
    """Collects tensors; the depth of what was read from a file is bounded, but sharing could multiply visits."""

    def __init__(self, is_tensor):
        self.is_tensor = is_tensor
        self.visits = _MAX_VISITS
        self.characters = 0

    def collect(self, root):
        names = {}
        self._walk(root, "", names)
        return names

    def _walk(self, node, prefix, names):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            self.visits -= 1
            if self.visits < 0:
                raise WeightsError("containers that are shared so often that they unfold without end")
            if self.is_tensor(value):
                name = f"{prefix}{key}"
                if name in names:
                    raise WeightsError(f"two tensors with the name {name[:60]!r}")
                self.characters += len(name)
                if len(names) >= _MAX_NAMES or self.characters > _MAX_CHARACTERS:
                    raise WeightsError(f"more than {_MAX_NAMES:,} tensors, or names of {self.characters:,} characters")
                names[name] = value
            elif isinstance(value, (Mapping, list, tuple)):
                self._walk(value, f"{prefix}{key}.", names)
