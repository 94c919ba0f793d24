"""Modules that hold modules."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from typing import Any, ClassVar, TypeVar

from ..errors import OptionError
from ..ops.checks import is_integer
from ..tensors.tensor import Tensor
from .fusing import ACTIVATIONS, conv_norm_act
from .layers import BatchNorm2d, Conv2d, MaxPool2d
from .module import Module, Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

Self = TypeVar("Self", bound="_Ordered")
List = TypeVar("List", bound="ParameterList")
_Named = Mapping[str, Any] | Iterable[tuple[str, Any]]


class _Ordered(Module):
    """What Sequential and ModuleList share: a module whose attributes are its items, in order."""

    _sliced: Callable[[list[tuple[str, Module]]], Module]  # a container of the same kind with these items

    def append(self: Self, module: Module) -> Self:
        """Add a module at the end; returns self."""
        taken = [int(name) for name, _ in self._items() if name.isdigit()]
        self.add_module(str(max([len(self) - 1, *taken]) + 1), _module(self, module))
        return self

    def extend(self: Self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def insert(self: Self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`; the modules are numbered anew. Returns self."""
        modules = list(self)
        modules.insert(index, _module(self, module))
        for name, _ in self._items():
            delattr(self, name)
        return self.extend(modules)

    def __add__(self: Self, modules: Iterable[Module]) -> Self:
        together: Any = self._sliced(self._items())
        return together.extend(_modules(self, modules))

    def __iadd__(self: Self, modules: Iterable[Module]) -> Self:
        return self.extend(list(_modules(self, modules)))

    def pop(self, key: int | slice = -1) -> Any:
        """Take the module at `key` out, and return it."""
        module = self[key]
        del self[key]
        return module

    def _items(self):
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def _name(self, index):
        if not is_integer(index) or not -len(self) <= index < len(self):
            raise OptionError(f"{type(self).__name__}: there is no module {index!r} among {len(self)}")
        return self._items()[index][0]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._items()])  # an item counts as often as it was put in

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._sliced(self._items()[index])
        return vars(self)[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), _module(self, module))

    def __delitem__(self, index: int | slice) -> None:
        names = [name for name, _ in self._items()[index]] if isinstance(index, slice) else [self._name(index)]
        rest = [value for name, value in self._items() if name not in names]
        for name, _ in self._items():  # as in PyTorch the others are numbered anew, and lose what other names they had
            delattr(self, name)
        self.extend(rest)


class Sequential(_Ordered):
    """Calls its modules one after the other. Takes modules, or one OrderedDict of names and modules."""

    def __init__(self, *modules: Module | dict[str, Module]) -> None:
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], dict) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), _module(self, module, f" at {name}"))

    def forward(self, input: Tensor) -> Tensor:
        """input through all modules in order; a convolution takes batch-norm, activation and pooling after it along."""
        modules = list(self)
        while modules:
            if type(modules[0]) is not Conv2d:
                input = modules.pop(0)(input)
                continue
            conv = modules.pop(0)
            norm = modules.pop(0) if modules and type(modules[0]) is BatchNorm2d else None
            act = modules.pop(0) if modules and type(modules[0]) in ACTIVATIONS else None
            pool = modules.pop(0) if modules and type(modules[0]) is MaxPool2d else None
            input = conv_norm_act(input, conv, norm, act, pool=pool)
        return input

    def extend(self: Self, sequential: Iterable[Module]) -> Self:
        """Add several modules at the end; returns self."""
        return super().extend(sequential)

    def __mul__(self, times: int) -> "Sequential":
        if not is_integer(times) or times < 1:
            raise OptionError(f"Sequential: it can be repeated a whole number of times from 1, got {times!r}")
        return Sequential(*list(self) * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> "Sequential":
        repeated: Sequential = self * times
        return self.extend(list(repeated)[len(self) :])

    def norm_pairs(self) -> list[tuple[str, str]]:
        """Every convolution that a batch-norm follows."""
        items = self._items()
        return [
            (name, after)
            for (name, conv), (after, norm) in pairwise(items)
            if type(conv) is Conv2d and type(norm) is BatchNorm2d
        ]

    def _sliced(self, items):
        return Sequential(OrderedDict(items))


class ModuleList(_Ordered):
    """A list of modules whose parameters count as the owner's (those in a plain Python list do not)."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    def insert(self, index: int, module: Module) -> None:  # type: ignore[override]  # a list's returns nothing
        """Put a module before the one at `index`; the modules are numbered anew."""
        super().insert(index, module)

    def _sliced(self, items):
        return ModuleList(value for _, value in items)

    def __repr__(self) -> str:
        """Neighbours that look alike are shown once: `(0-3): 4 x ReLU()`."""
        lines, first = [], 0
        for shown, alike in groupby(map(repr, self)):
            last = first + len(list(alike)) - 1
            name = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append("\n  " + name + shown.replace("\n", "\n  "))
            first = last + 1
        return f"{type(self).__name__}({''.join(lines)}{chr(10) if lines else ''})"


class _ByName(Module):
    """What ModuleDict and ParameterDict share: members of one `kind`, by name."""

    kind: ClassVar[type]

    def _put(self, members):
        for name, value in members.items() if isinstance(members, (Mapping, _ByName)) else members or ():
            self[name] = value

    def pop(self, key: str) -> Any:
        """Take the member of this name out, and return it."""
        member = self[key]
        del self[key]
        return member

    def clear(self) -> None:
        """Take all members out."""
        for name in self.keys():
            del self[name]

    def keys(self) -> list[str]:
        """The names, in the order in which they were added."""
        return [name for name, value in vars(self).items() if isinstance(value, self.kind)]

    def values(self) -> list[Any]:
        """The members, in that order."""
        return [vars(self)[name] for name in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """(name, member) pairs, in that order."""
        return list(zip(self.keys(), self.values(), strict=True))

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            own, kind, known = type(self).__name__, self.kind.__name__.lower(), ", ".join(self.keys()) or "none"
            raise OptionError(f"{own}: there is no {kind} {name!r}; there are {known}")
        return vars(self)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        raise OptionError(f"{type(self).__name__} does not define what may be put into it")

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)


class ModuleDict(_ByName):
    """Modules by name, whose parameters count as the owner's (those in a plain Python dict do not)."""

    kind = Module

    def __init__(self, modules: _Named | None = None) -> None:
        self._put(modules)

    def update(self, modules: _Named) -> None:
        """Add modules, or put them in the place of those of the same name."""
        self._put(modules)

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, _module(self, module))


class ParameterList(Module):
    """A list of parameters that count as the owner's (those in a plain list do not); tensors become parameters."""

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values)

    def append(self: List, value: Any) -> List:
        """Add a parameter at the end; returns self."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self: List, values: Iterable[Any]) -> List:
        """Add several parameters at the end; returns self."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """Every parameter by its kind of numbers and its size."""
        return "\n".join(f"  ({number}): {_described(value, str(value.dtype))}" for number, value in enumerate(self))

    def __len__(self) -> int:
        return sum(isinstance(value, Parameter) for value in vars(self).values())

    def __iter__(self) -> Iterator[Parameter]:
        return iter([value for value in vars(self).values() if isinstance(value, Parameter)])

    def __getitem__(self, index: int) -> Parameter:
        if not is_integer(index) or not -len(self) <= index < len(self):
            raise OptionError(f"ParameterList: there is no parameter {index!r} among {len(self)}")
        return list(self)[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self[index]
        setattr(self, str(index % len(self)), value if isinstance(value, Parameter) else Parameter(value))


class ParameterDict(_ByName):
    """Parameters by name that count as the owner's (those in a plain dict do not); tensors become parameters."""

    kind = Parameter

    def __init__(self, parameters: _Named | None = None) -> None:
        self._put(parameters)

    def update(self, parameters: _Named) -> None:
        """Add parameters, or put them in the place of those of the same name."""
        self._put(parameters)

    def extra_repr(self) -> str:
        """Every parameter by its kind of numbers and its size."""
        return "\n".join(f"  ({name}): {_described(value, value.type())}" for name, value in self.items())

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or `default`."""
        return vars(self)[key] if key in self else default

    def __setitem__(self, name: str, value: Any) -> None:
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))


def _described(parameter, kind):
    """A parameter as PyTorch's lists and dicts of them show it."""
    place = f" ({parameter.device})" if parameter.is_cuda else ""
    size = "x".join(map(str, parameter.shape))
    return f"Parameter containing: [{kind} of size {size}{place}]"


def _modules(container, modules):
    """What can be added to a container: to a Sequential another one, to a list whatever lists modules."""
    if not isinstance(modules, Sequential if isinstance(container, Sequential) else Iterable):
        what = "another Sequential" if isinstance(container, Sequential) else "modules"
        raise OptionError(f"{type(container).__name__}: {what} can be added, got {type(modules).__name__}")
    return modules


def _module(container, module, where=""):
    if not isinstance(module, Module):
        remedy = "; nn.Identity() stands where there is nothing to do" if module is None else ""
        raise OptionError(f"{type(container).__name__}: expected modules, got {type(module).__name__}{where}{remedy}")
    return module
