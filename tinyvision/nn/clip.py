"""Gradient clipping."""

import math
import warnings
from collections.abc import Iterable

import numpy as np

from .. import threads
from ..arrays import full_name
from ..blocks import on_cpu
from ..device import use
from ..errors import GraphError, OptionError
from ..tape import Variable
from ..tensors.tensor import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def clip_grad_norm_(
    parameters: Variable | Iterable[Variable],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together so that their norm is at most max_norm; returns the norm before, a tensor
    with one number, which stays on a GPU where nothing makes the host wait for it.

    (Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.) norm_type is 2
    (Euclidean), another positive number, or "inf". A norm that is not finite changes nothing and is returned, so that
    the caller can decide (PyTorch would spoil all gradients here), or raises GraphError with error_if_nonfinite.
    foreach, which would change speed alone, changes nothing. Raises OptionError."""
    try:
        order, most = float(norm_type), float(max_norm)
    except (TypeError, ValueError):
        raise OptionError(
            f"clip_grad_norm_: max_norm and norm_type must be numbers, got {max_norm!r} and {norm_type!r}"
        ) from None
    if not (most > 0 and order > 0):
        raise OptionError(
            f"clip_grad_norm_: max_norm and norm_type must be positive, got {max_norm!r} and {norm_type!r}"
        )
    gradients = _gradients("clip_grad_norm_", parameters)
    norm = _clipped_there(gradients, most) if order == 2 else None
    if norm is not None:
        if error_if_nonfinite and not math.isfinite(norm.item()):
            raise GraphError(f"clip_grad_norm_: the norm of the gradients is {norm.item()}")
        return norm
    total = _total(gradients, order)
    if math.isfinite(total):
        scale = most / (total + 1e-6)
        for g in _each_there(gradients if scale < 1 else []):
            g.array *= scale
    elif error_if_nonfinite:
        raise GraphError(f"clip_grad_norm_: the norm of the gradients is {total}")
    return _as_tensor(total, gradients)


def get_total_norm(
    tensors: Variable | Iterable[Variable],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all numbers of `tensors` together, such as gradients; norm_type and foreach are those of
    `clip_grad_norm_`. Raises OptionError, and with error_if_nonfinite GraphError."""
    several = [tensors] if isinstance(tensors, Variable) else list(tensors)
    if not all(isinstance(t, Tensor) for t in several):
        raise OptionError("get_total_norm: expected tensors")
    if not float(norm_type) > 0:
        raise OptionError(f"get_total_norm: norm_type must be positive, got {norm_type!r}")
    total = _total(several, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total):
        raise GraphError(f"get_total_norm: the norm is {total}")
    return _as_tensor(total, several)


def clip_grads_with_norm_(
    parameters: Variable | Iterable[Variable], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by max_norm / total_norm where that is below 1, as `clip_grad_norm_` does, by a norm that
    is known already (`get_total_norm`). foreach changes nothing. Raises OptionError."""
    scale = float(max_norm) / (float(total_norm) + 1e-6)
    for g in _each_there(_gradients("clip_grads_with_norm_", parameters) if not scale >= 1 else []):
        g.array *= scale


def clip_grad_norm(
    parameters: Variable | Iterable[Variable],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """`clip_grad_norm_` by its older name; it warns, as PyTorch's does."""
    text = "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`."
    warnings.warn(text, FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


def clip_grad_value_(parameters: Variable | Iterable[Variable], clip_value: float, foreach: bool | None = None) -> None:
    """Cut every gradient to ± clip_value, in place; foreach changes nothing. Raises OptionError."""
    if not clip_value > 0:
        raise OptionError(f"clip_grad_value_: clip_value must be positive, got {clip_value!r}")
    for g in _each_there(_gradients("clip_grad_value_", parameters)):
        g.array[...] = g.array.clip(-clip_value, clip_value)


def _gradients(what, parameters):
    several = [parameters] if isinstance(parameters, Variable) else list(parameters)
    for p in several:
        if not isinstance(p, Variable):
            raise OptionError(f"{what}: expected parameters, got {full_name(p)}")
    return [p.grad for p in several if p.grad is not None]


def _each_there(gradients):
    """One after the other, each while its own GPU is the current one."""
    for gradient in gradients:
        use(gradient.device)
        yield gradient


def _clipped_there(gradients, most):
    """The norm, after kernels have clipped the gradients where they are; None where they cannot."""
    from ..kernels import clip  # read after this file (see README)

    arrays = [g.array for g in gradients if g.array.size]
    if not arrays or on_cpu(arrays[0]) or not clip.applies(arrays):
        return None
    return Tensor.of(clip.clipped(arrays, most))


def _total(gradients, order):
    """The norm of all gradients together as a Python float."""
    total = _norm_at_once(gradients) if order == 2 else None
    if total is None:
        with threads.one_blas_thread():
            norms = [_norm(g.array.reshape(-1), order) for g in _each_there(gradients)]
        total = max(norms, default=0.0) if order == math.inf else sum(n**order for n in norms) ** (1 / order)
    return total


def _as_tensor(total, gradients):
    return Tensor.of(gradients[0].array.dtype.type(total) if gradients else np.float32(total))


def _norm_at_once(gradients):
    """The Euclidean norm of gradients on a GPU, which is waited for once; None on a CPU, and where squares overflow."""
    if not gradients or on_cpu(gradients[0].array) or len({g.device for g in gradients}) > 1:
        return None
    vectors = [g.array.reshape(-1) for g in gradients]
    squares = np.stack([vector @ vector for vector in vectors]).astype(np.float64)
    total = float(squares.sum().item())
    return math.sqrt(total) if 0 < total < math.inf else None


def _norm(vector, order):
    """The norm of one gradient as a Python float; where squares would overflow or vanish, it is scaled first."""
    if not vector.size:
        return 0.0
    if order == 2:
        with np.errstate(over="ignore"):
            squares = float((vector @ vector).item())
        if 0 < squares < math.inf:
            return math.sqrt(squares)
    largest = float(abs(vector).max().item())
    if order == math.inf or not 0 < largest < math.inf:
        return largest
    return largest * float((abs(vector / largest) ** order).sum().item()) ** (1 / order)
