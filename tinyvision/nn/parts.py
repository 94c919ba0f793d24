"""A module's parts as the dicts in which PyTorch keeps them: `model._modules["fc"]`, `layer._parameters.items()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ..errors import OptionError
from ..missing import MissingName

# What PyTorch's modules have besides, and ours have not, by kind: why not, or what there is instead.
_UNBUILT = {
    "a state dict is made and taken in one place; override state_dict and load_state_dict of the whole model": """
        _register_state_dict_hook _register_load_state_dict_pre_hook register_state_dict_pre_hook
        register_state_dict_post_hook register_load_state_dict_pre_hook register_load_state_dict_post_hook
        _save_to_state_dict _load_from_state_dict get_extra_state set_extra_state""",
    "to(...) moves and converts all parameters and buffers": "_apply to_empty xpu ipu mtia",
    "tensors are not shared between processes": "share_memory",
    "models are not compiled; torch.compile(model) is the model": "compile",
    "register_full_backward_hook is called when both gradients are known": "register_full_backward_pre_hook",
    "assign the new module to the attribute of its parent": "set_submodule",
}
_REASONS = {name: why for why, names in _UNBUILT.items() for name in names.split()}


def no_attribute(module: Any, name: str) -> AttributeError:
    """What is raised for an attribute that a module does not have: of PyTorch's names it is said why."""
    if name in _REASONS:
        return MissingName(type(module).__name__, name, type(module), _REASONS)
    return AttributeError(f"{type(module).__name__!r} object has no attribute {name!r}", name=name, obj=module)


class Parts(MutableMapping[str, Any]):
    """The attributes of one module that are of one kind, by name; what is put in becomes an attribute."""

    def __init__(self, module: Any, kind: type) -> None:
        self._module, self._kind = module, kind

    def __getitem__(self, name: str) -> Any:
        value = vars(self._module).get(name)
        if not isinstance(value, self._kind):
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, value in vars(self._module).items() if isinstance(value, self._kind)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class PartsOf:
    """The attribute of a class of modules that gives `Parts`; the kind is asked for later, as it may be that class."""

    def __init__(self, kind: Callable[[], type]) -> None:
        self._kind = kind

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else Parts(module, self._kind())

    def __set__(self, module: Any, value: Any) -> None:
        parts, value = Parts(module, self._kind()), dict(value)
        for name in [name for name in parts if name not in value]:
            del parts[name]
        parts.update(value)


def empty_buffers(module: Any) -> dict[str, bool]:
    """The names of buffers that are None so far, and whether each will be part of the state dict."""
    return vars(module).setdefault("_empty_buffers", {})


def as_registered(module: Any, name: str, value: Any, parameter: type, buffer: Any) -> Any:
    """What an attribute becomes that is assigned None or a tensor: a buffer where one was, or is to be.

    As a plain tensor it would drop its name from training and from the state dict without a word. Raises OptionError
    for one in the place of a parameter."""
    own = vars(module).get(name)
    if value is None:
        if isinstance(own, buffer):
            empty_buffers(module)[name] = own.persistent
        return None
    if isinstance(value, (parameter, buffer)):
        return value
    if isinstance(own, parameter):
        raise OptionError(
            f"{type(module).__name__}.{name} is a Parameter and cannot become a plain tensor; "
            f"assign nn.Parameter(...), or change its numbers in place with {name}.copy_(...) "
            f"inside `with no_grad():`"
        )
    if isinstance(own, buffer):
        return buffer(value, own.persistent)
    if own is None and name in vars(module).get("_empty_buffers", ()):
        return buffer(value, empty_buffers(module)[name])
    return value
