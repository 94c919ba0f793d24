"""Weight norm (Salimans and Kingma, 2016): a weight as its size times its direction, which are learned apart."""

from typing import Any, TypeVar

from ..errors import OptionError
from ..tensors.tensor import Tensor
from .module import Module, Parameter
from .parametrize import is_parametrized, register_parametrization

Self = TypeVar("Self", bound=Module)


def lengths(v: Tensor, dim: int | None) -> Tensor:
    """The length of every slice of v along `dim`, shaped to be multiplied with v; of the whole for None and -1."""
    if dim is None or dim == -1:
        return v.norm(2)
    if not -v.ndim <= dim < v.ndim:
        raise OptionError(f"weight_norm: axis {dim} does not exist in a weight of {v.ndim} axes")
    others = tuple(axis for axis in range(v.ndim) if axis != dim % v.ndim)
    return v.norm(2, others, keepdim=True) if others else v.abs()


class SizeAndDirection(Module):
    """g, v -> g · v / |v|, and from a weight its g and v."""

    def __init__(self, dim: int | None = 0) -> None:
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        """The weight."""
        return v * (g / lengths(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g, the lengths, and v, the weight itself."""
        return lengths(weight, self.dim), weight


class WeightNorm:
    """The hook that computes a layer's weight before every call."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.weight_of = name, SizeAndDirection(dim)

    def compute_weight(self, module: Module) -> Tensor:
        """The weight that belongs to the module's g and v."""
        return self.weight_of(vars(module)[f"{self.name}_g"], vars(module)[f"{self.name}_v"])

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))

    @classmethod
    def apply(cls, module: Module, name: str, dim: int | None) -> "WeightNorm":
        """Put it on a module, as `weight_norm` says; returns the hook. Raises OptionError."""
        weight = parameter_of("weight_norm", module, name)
        hook = cls(name, dim)
        g, v = hook.weight_of.right_inverse(weight.detach())
        delattr(module, name)
        module.register_parameter(f"{name}_g", Parameter(g))
        module.register_parameter(f"{name}_v", Parameter(v))
        hook(module, ())
        module.register_forward_pre_hook(hook)
        return hook


def weight_norm(module: Self, name: str = "weight", dim: int | None = 0) -> Self:
    """weight = weight_g · weight_v / |weight_v|, computed before every call of the module.   Returns the module

    dim   the axis along which every slice has a size of its own; None or -1 for one size of the whole

    Raises OptionError."""
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Self, name: str = "weight") -> Self:
    """Make the weight a plain parameter again, with the value that it has.   Returns the module. Raises OptionError."""
    hook = take_hook("weight_norm", module, name, WeightNorm)
    weight = hook.compute_weight(module).detach()
    for own in (name, f"{name}_g", f"{name}_v"):
        delattr(module, own)
    setattr(module, name, Parameter(weight))
    return module


def weight_norm_property(module: Self, name: str = "weight", dim: int | None = 0) -> Self:
    """`nn.utils.parametrizations.weight_norm`: the same, computed whenever the weight is read.   Returns the module

    In the state dict g is `parametrizations.weight.original0`, v is `...original1`, and
    `nn.utils.parametrize.remove_parametrizations` takes it off again. Raises OptionError."""
    if is_parametrized(module, name):
        raise OptionError(f"weight_norm: {name!r} is computed already, of one tensor; take that off first")
    return register_parametrization(module, name, SizeAndDirection(dim), unsafe=True)


def parameter_of(what: str, module: Module, name: str) -> Parameter:
    """The module's own parameter of this name. Raises OptionError where there is none, or it is computed already."""
    own = vars(module).get(name)
    if not isinstance(own, Parameter):
        state = "is computed already" if isinstance(own, Tensor) or hasattr(type(module), name) else "is not there"
        raise OptionError(f"{what}: the parameter {name!r} of {type(module).__name__} {state}")
    return own


def take_hook(what: str, module: Module, name: str, kind: type) -> Any:
    """Take the hook of this kind for this name off the module. Raises OptionError if it has none."""
    hooks: dict[Any, Any] = vars(module).get("_hook_lists", {}).get("before", {})
    for key, hook in list(hooks.items()):
        if isinstance(hook, kind) and vars(hook)["name"] == name:
            return hooks.pop(key)
    raise OptionError(f"{what} of {name!r} is not on {type(module).__name__}, so it cannot be taken off")
