"""A parameter that is computed from others: after `register_parametrization(layer, "weight", f)`, `layer.weight` is
f(what is learned) whenever it is read.

A property can only belong to a class, so the layer gets one of its own: `ParametrizedConv2d`, a Conv2d in all else."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from ..errors import OptionError, ShapeError
from ..grad_mode import no_grad
from ..tape import Variable
from .containers import ModuleDict, ModuleList
from .module import Buffer, Module, Parameter

Self = TypeVar("Self", bound=Module)


class ParametrizationList(ModuleList):
    """The functions behind one name, and what the first of them is given: `original`, or `original0`, `original1`, ...
    where it takes several."""

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        value = self._undone(original)
        self.is_tensor = isinstance(value, Variable)
        if not self.is_tensor and not isinstance(value, (tuple, list)):
            raise OptionError(f"right_inverse() gives a tensor or several of them, not {type(value).__name__}")
        self.names = ["original"] if self.is_tensor else [f"original{i}" for i in range(len(value))]
        if self.is_tensor:
            if value is not original:
                original.data = value  # the optimizer keeps its parameter
            self.original = original
            return
        for name, part in zip(self.names, value, strict=True):  # which an optimizer does not know, as in PyTorch
            if isinstance(original, Parameter):
                setattr(self, name, Parameter(part.detach(), original.requires_grad))
            else:
                setattr(self, name, Buffer(part.detach(), original.persistent))

    def _undone(self, value):
        with no_grad():
            for function in reversed(list(self)):
                if hasattr(function, "right_inverse"):
                    value = function.right_inverse(value)
        return value

    def right_inverse(self, value: Variable) -> None:
        """Learn from now on from what gives this value: `layer.weight = value`. Raises ShapeError, OptionError."""
        for function in self:
            if not hasattr(function, "right_inverse"):
                raise OptionError(
                    f"{type(function).__name__} has no right_inverse, so what it computes cannot be set; set what that "
                    f"is computed from, parametrizations.weight.original"
                )
        undone = self._undone(value)
        if self.is_tensor != isinstance(undone, Variable):
            raise OptionError("right_inverse() gives several tensors for one, or one for several")
        given = [undone] if self.is_tensor else list(undone)
        for name, one in zip(self.names, given, strict=True):
            own = vars(self)[name]
            if own.shape != one.shape:
                raise ShapeError(f"a parametrized tensor of shape {own.shape} cannot be set from one of {one.shape}")
            own.data = one.detach()

    def forward(self) -> Any:
        """The parameter, computed."""
        functions = list(self)
        value = functions[0](*(vars(self)[name] for name in self.names))
        for function in functions[1:]:
            value = function(value)
        return value


def register_parametrization(module: Self, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> Self:
    """From now on `module.tensor_name` is parametrization(what it was), computed at every reading.   Returns the module

    parametrization  a module: `forward(x)`, and `right_inverse(y)`, if it has it, to find an x, or several, for a y
    unsafe           do not insist that the result has the shape and dtype of what it replaces

    The state dict has it as `parametrizations.weight.original`. A second one is put on top of the first, and changes
    the value. Raises OptionError, ShapeError."""
    if not isinstance(parametrization, Module):
        raise OptionError(f"register_parametrization: it must be a module, got {type(parametrization).__name__}")
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        own = _parametrized(module)[tensor_name]
        if not unsafe:
            with no_grad():
                before = own()
                _check_alike(tensor_name, before, parametrization(before))
        own.append(parametrization)
        return module
    original = vars(module).get(tensor_name)
    if not isinstance(original, (Parameter, Buffer)):
        raise OptionError(f"{type(module).__name__} has no parameter or buffer {tensor_name!r} to be computed")
    functions = ParametrizationList([parametrization], original, unsafe)
    if not unsafe:
        with no_grad():
            _check_alike(tensor_name, original, functions())
    if not is_parametrized(module):
        module.add_module("parametrizations", ModuleDict())
        _give_class(module)
    delattr(module, tensor_name)
    setattr(type(module), tensor_name, _property(tensor_name))
    _parametrized(module)[tensor_name] = functions
    return module


def _parametrized(module):
    """{name: its functions} of what is computed in a module, which has such a part only once there is something."""
    return vars(module)["parametrizations"]


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether anything of the module, or what has this name, is computed from parameters."""
    own = vars(module).get("parametrizations")
    return isinstance(own, ModuleDict) and (tensor_name is None or tensor_name in own)


def remove_parametrizations(module: Self, tensor_name: str, leave_parametrized: bool = True) -> Self:
    """Make it a plain parameter again, of the value that it has, or, with leave_parametrized=False, of the one that was
    learned.   Returns the module. Raises OptionError."""
    if not is_parametrized(module, tensor_name):
        raise OptionError(f"{type(module).__name__} has no parametrization of {tensor_name!r}")
    functions = _parametrized(module)[tensor_name]
    if not functions.is_tensor and not leave_parametrized:
        raise OptionError(f"{tensor_name!r} is computed from several tensors; none of them can take its place")
    first = vars(functions)[functions.names[0]]
    kept = first
    if leave_parametrized:
        value = functions()
        if functions.is_tensor:
            first.data = value.detach()  # the optimizer keeps its parameter
        else:
            kept = Parameter(value.detach()) if value.requires_grad else Buffer(value.detach())
    delattr(type(module), tensor_name)
    del _parametrized(module)[tensor_name]
    if not len(_parametrized(module)):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    setattr(module, tensor_name, kept)
    return module


def _check_alike(name, before, after):
    if before.shape != after.shape:
        raise ShapeError(f"the parametrization makes {name!r} of shape {before.shape} one of {after.shape}")
    if before.dtype != after.dtype:
        raise OptionError(f"the parametrization makes {name!r} of {before.dtype} one of {after.dtype}")


def _give_class(module):
    """A class of the module's own, on which properties can be put without other modules having them."""
    base = type(module)
    module.__class__ = type(
        f"Parametrized{base.__name__}",
        (base,),
        {"__module__": __name__, "__doc__": base.__doc__, "__deepcopy__": _copied, "__reduce_ex__": _refuse_pickle},
    )


def _property(name):
    def read(module):
        return module.parametrizations[name]()

    def write(module, value):
        module.parametrizations[name].right_inverse(value)

    return property(read, write)


def _copied(module, memo):
    """A deep copy, with a class of its own."""
    base = type(module).__bases__[0]
    again = memo[id(module)] = base.__new__(base)
    vars(again).update(copy.deepcopy(vars(module), memo))
    _give_class(again)
    for name in again.parametrizations:
        setattr(type(again), name, _property(name))
    return again


def _refuse_pickle(module, protocol):
    raise OptionError(
        f"{type(module).__name__}: a module with parametrizations is not pickled; save its state_dict(), or take "
        f"remove_parametrizations first"
    )
