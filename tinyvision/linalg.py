"""PyTorch's `torch.linalg`, as far as vectors go: norms, and products under their other names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import OptionError
from .missing import missing
from .tensors.functions import diagonal as diagonal
from .tensors.functions import matmul as matmul
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor
from .types import Axes, DType

__all__ = ["diagonal", "matmul", "matrix_norm", "norm", "vector_norm"]


def vector_norm(
    x: Any, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """(Σ |x|ᵒʳᵈ)^(1/ord) over all axes or over `dim`."""
    return tensor_input("vector_norm", "x", x).norm(ord, dim, keepdim, dtype=dtype)


def matrix_norm(
    x: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The root of the sum of squares over two axes ("fro"), or the largest sum of absolute values of a row (inf) or
    of a column (1). Raises OptionError for norms that need singular values."""
    x = tensor_input("matrix_norm", "x", x)
    x = x if dtype is None else x.to(dtype)
    if ord == "fro":
        return x.norm(2, dim, keepdim)
    if ord not in (1, float("inf")):
        raise OptionError(f"matrix_norm: ord={ord!r} is not supported; 'fro', 1 and inf are")
    rows, columns = (d % x.ndim for d in dim)
    summed, largest = (rows, columns) if ord == 1 else (columns, rows)
    y = x.abs().sum(summed, keepdim=True).amax(largest, keepdim=True)
    return y if keepdim else y.squeeze(max(rows, columns)).squeeze(min(rows, columns))


def norm(x: Any, ord: Any = None, dim: Axes = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """The Euclidean norm of all numbers or over `dim`; with an `ord`, of vectors (one axis) or of matrices (two)."""
    x = tensor_input("norm", "x", x)
    axes = (dim,) if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(x, 2, dim, keepdim, dtype=dtype)
    of_matrices = len(axes) == 2 if axes is not None else x.ndim == 2
    if of_matrices:
        return matrix_norm(x, ord, (-2, -1) if axes is None else axes, keepdim, dtype=dtype)
    return vector_norm(x, ord, dim, keepdim, dtype=dtype)


if not TYPE_CHECKING:
    __getattr__ = missing("torch.linalg", __all__)
