"""Spectral norm (Miyato et al., 2018): a weight divided by its largest singular value, so that the layer is no steeper
than 1. GANs put it on the discriminator.

The largest singular value of a matrix W (rows O, columns I) is |W v| for the best v of length 1. Power iteration finds
it: v ← Wᵀu / |Wᵀu|, u ← W v / |W v|, and σ ≈ uᵀ W v. As the weight moves little at a time, one step for every call is
enough. u and v are buffers, and no gradient flows into them: for the best u and v, σ has none with respect to them."""

from typing import Any, TypeVar

from ..errors import OptionError
from ..grad_mode import no_grad
from ..ops.checks import check_positive
from ..tensors.creation import randn
from ..tensors.tensor import Tensor
from .functional import normalize
from .layers.convolution import ConvTranspose2d
from .module import Buffer, Module, Parameter
from .parametrize import register_parametrization
from .weight_norm import parameter_of, take_hook

Self = TypeVar("Self", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with the axis of the outputs first and all others as one."""
    others = [axis for axis in range(weight.ndim) if axis != dim]
    return weight.permute(dim, *others).reshape(weight.shape[dim], -1)


def rows_of(what: str, module: Module, name: str, dim: int | None) -> tuple[Parameter, int]:
    """(the weight, the axis of its outputs). Raises OptionError."""
    weight = parameter_of(what, module, name)
    if dim is None:
        dim = 1 if isinstance(module, ConvTranspose2d) else 0
    if not -weight.ndim <= dim < weight.ndim:
        raise OptionError(f"{what}: axis {dim} does not exist in {name!r} of shape {tuple(weight.shape)}")
    return weight, dim % weight.ndim


def _drawn(length, like, eps):
    return normalize(randn(length).to(like.device).to(like.dtype), dim=0, eps=eps)


class Spectral(Module):
    """w -> w / σ, following σ by power iteration while it is in training mode."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        check_positive("spectral_norm", n_power_iterations=n_power_iterations)
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), dim)
            self._u, self._v = (Buffer(_drawn(n, matrix, eps)) for n in matrix.shape)
            self._iterate(matrix, 15)

    def _iterate(self, matrix, times):
        with no_grad():
            for _ in range(times):
                self._u.copy_(normalize(matrix.mv(self._v), dim=0, eps=self.eps))
                self._v.copy_(normalize(matrix.t().mv(self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight divided by its largest singular value; a vector by its length."""
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        return weight / self._u.clone().dot(matrix.mv(self._v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself, which is a weight as good as any."""
        return value


class SpectralNorm:
    """The hook that computes a layer's weight before every call."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Module, iterations: int) -> Tensor:
        """The weight over σ, after so many steps for u and v."""
        weight, u, v = (vars(module)[f"{self.name}_{part}"] for part in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        with no_grad():
            for _ in range(iterations):
                v.copy_(normalize(matrix.t().mv(u), dim=0, eps=self.eps))
                u.copy_(normalize(matrix.mv(v), dim=0, eps=self.eps))
        return weight / u.clone().dot(matrix.mv(v.clone()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, self.n_power_iterations if module.training else 0))

    @classmethod
    def apply(cls, module: Module, name: str, n_power_iterations: int, dim: int | None, eps: float) -> "SpectralNorm":
        """Put it on a module, as `spectral_norm` says; returns the hook. Raises OptionError."""
        check_positive("spectral_norm", n_power_iterations=n_power_iterations)
        weight, dim = rows_of("spectral_norm", module, name, dim)
        matrix = as_matrix(weight.detach(), dim)
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        setattr(module, name, weight.detach())
        for part, length in zip("uv", matrix.shape, strict=True):
            module.register_buffer(f"{name}_{part}", _drawn(length, matrix, eps))
        hook = cls(name, n_power_iterations, dim, eps)
        module.register_forward_pre_hook(hook)
        return hook


def spectral_norm(
    module: Self, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Self:
    """weight = weight_orig / σ, computed before every call of the module.   Returns the module

    n_power_iterations   steps of the power iteration before every call in training mode
    dim                  the axis of the outputs: 1 for transposed convolutions, else 0

    The buffers weight_u and weight_v are part of the state dict. Raises OptionError."""
    SpectralNorm.apply(module, name, n_power_iterations, dim, eps)
    return module


def remove_spectral_norm(module: Self, name: str = "weight") -> Self:
    """Make the weight a plain parameter again, with the value that it has.   Returns the module. Raises OptionError."""
    hook = take_hook("spectral_norm", module, name, SpectralNorm)
    weight = hook.compute_weight(module, 0).detach()
    for own in (name, *(f"{name}_{part}" for part in ("orig", "u", "v"))):
        delattr(module, own)
    setattr(module, name, Parameter(weight))
    return module


def spectral_norm_property(
    module: Self, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Self:
    """`nn.utils.parametrizations.spectral_norm`: the same, computed whenever the weight is read, after 15 steps of the
    power iteration at once.   Returns the module

    In the state dict the weight is `parametrizations.weight.original`, and
    `nn.utils.parametrize.remove_parametrizations` takes it off again. Raises OptionError."""
    weight, dim = rows_of("spectral_norm", module, name, dim)
    return register_parametrization(module, name, Spectral(weight, n_power_iterations, dim, eps))
