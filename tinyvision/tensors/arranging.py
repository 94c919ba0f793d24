"""Tensors put together, taken apart, turned and repeated. What is taken apart shares memory with the whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..ops.checks import is_integer, one_axis
from . import taped
from .arguments import axis_of, shape_of
from .conversion import copied
from .operands import promoted, result_type, shape_together
from .writing import nobodys_view, views_of_several

if TYPE_CHECKING:
    from .tensor import Tensor


def _several(what, tensors):
    tensors = list(tensors) if isinstance(tensors, (list, tuple)) else tensors
    if not isinstance(tensors, list) or not tensors:
        raise OptionError(f"{what}: expected a list of one or more tensors, got {type(tensors).__name__}")
    return tensors


# -- together


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; of an empty one without axes of its own, shape (0,), the
    dtype counts alone."""
    tensors = promoted(_several("cat", tensors))
    whole = [t for t in tensors if t.shape != (0,)]
    if not whole or len(whole) == len(tensors):
        return taped.concatenate(*tensors, axis=dim)
    size = [0 if axis == axis_of("cat", dim, whole[0].ndim) else n for axis, n in enumerate(whole[0].shape)]
    return taped.concatenate(*(t if t.shape != (0,) else t.reshape(size) for t in tensors), axis=dim)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors along a new axis `dim`."""
    tensors = _several("stack", tensors)
    shapes = {tuple(t.shape) for t in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"stack: all tensors must have one shape, got {', '.join(map(str, sorted(shapes)))}")
    dim = axis_of("stack", dim, tensors[0].ndim + 1)
    return taped.concatenate(*promoted([t.unsqueeze(dim) for t in tensors]), axis=dim)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along axis 1, rows of numbers along axis 0."""
    tensors = [t if t.ndim else t.reshape(1) for t in _several("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, rows of numbers as the columns of a matrix."""
    return cat([t if t.ndim > 1 else t.reshape(-1, 1) for t in _several("column_stack", tensors)], 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One below the other: along axis 0, rows of numbers as the rows of a matrix."""
    return cat([t if t.ndim > 1 else t.reshape(1, -1) for t in _several("vstack", tensors)])


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """One behind the other, along axis 2."""
    deep = [t if t.ndim > 1 else t.reshape(1, -1) for t in _several("dstack", tensors)]
    return cat([t if t.ndim > 2 else t.unsqueeze(2) for t in deep], 2)


def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of a larger one, with zeros elsewhere; a row of numbers is a matrix, too."""
    kind = result_type(*_several("block_diag", tensors))  # a single number has less to say than a row
    blocks = [(t if t.ndim > 1 else t.reshape(1, -1)).to(kind) for t in tensors]
    for block in blocks:
        if block.ndim > 2:
            raise ShapeError(f"block_diag: expected matrices or rows of numbers, got {block.shape}")
    width, rows, left = sum(b.shape[1] for b in blocks), [], 0
    for block in blocks:
        height, right = block.shape[0], width - left - block.shape[1]
        rows.append(cat([block.new_zeros(height, left), block, block.new_zeros(height, right)], 1))
        left += block.shape[1]
    return cat(rows)


def atleast_1d(*tensors: Any) -> Any:
    """A single number as a row of one; several tensors, or a list, give a tuple."""
    return _each(tensors, lambda t: t if t.ndim else t.reshape(1))


def atleast_2d(*tensors: Any) -> Any:
    """A row of numbers, or a single number, as a matrix of one row; several tensors, or a list, give a tuple."""
    return _each(tensors, lambda t: t if t.ndim > 1 else t.reshape(1, -1))


def _each(tensors, change):
    several = len(tensors) != 1 or isinstance(tensors[0], (list, tuple))
    changed = tuple(map(change, tensors[0] if len(tensors) == 1 and several else tensors))
    return changed if several else changed[0]


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Rows of numbers as the coordinates of a grid, one tensor for each; indexing="xy" has the first along axis 1."""
    rows = list(tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)
    if indexing not in ("ij", "xy"):
        raise OptionError(f'meshgrid: indexing must be "ij" or "xy", got {indexing!r}')
    shape = [row.numel() for row in rows]
    grids = [row.reshape([-1 if a == i else 1 for a in range(len(rows))]).expand(shape) for i, row in enumerate(rows)]
    return tuple(g.transpose(0, 1) if indexing == "xy" and len(rows) > 1 else g for g in grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every combination of one number from each row."""
    grids = [g.reshape(-1) for g in meshgrid(*tensors)]
    return grids[0] if len(grids) == 1 else stack(grids, 1)


# -- apart


def narrow(x: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The `length` slices of x along `dim` that begin at `start`."""
    axis, start = one_axis("narrow", x, dim), int(start)
    n = x.shape[axis]
    start = start + n if start < 0 else start
    if not (0 <= start <= n and 0 <= length <= n - start):
        raise ShapeError(f"narrow: there are no {length} slices from {start} on along axis {axis} of {x.shape}")
    return x[(slice(None),) * axis + (slice(start, start + length),)]


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """One slice of x along `dim`, without that axis."""
    return x[(slice(None),) * one_axis("select", x, dim) + (int(index),)]


def split(x: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """x in pieces along `dim`: of one size, the last maybe smaller, or of the sizes in a list. Views of x."""
    axis = one_axis("split", x, dim)
    n = x.shape[axis]
    if isinstance(split_size, (list, tuple)):
        sizes = [int(s) for s in split_size]
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise ShapeError(f"split: the sizes {sizes} do not add up to {n}, axis {axis} of {x.shape}")
    else:
        if not is_integer(split_size) or split_size < (n > 0):
            raise OptionError(f"split: the size of a piece must be a positive integer, got {split_size!r}")
        size = int(split_size)
        sizes = [min(size, n - start) for start in range(0, n, size or 1)] or [0]
    ends = np.cumsum([0, *sizes])
    return views_of_several([narrow(x, axis, start, size) for start, size in zip(ends, sizes, strict=False)])


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x in at most `chunks` pieces of one size along `dim`, the last maybe smaller. Views of x."""
    if not is_integer(chunks) or chunks < 1:
        raise OptionError(f"chunk: chunks must be a positive integer, got {chunks!r}")
    n, chunks = x.shape[one_axis("chunk", x, dim)], int(chunks)
    return split(x, max(math.ceil(n / chunks), 1), dim) if n else split(x, [0] * chunks, dim)


def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """x in that many pieces along `dim`, none more than one longer than another; or cut at the places in a list."""
    n = x.shape[one_axis("tensor_split", x, dim)]
    if hasattr(indices_or_sections, "tolist"):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (list, tuple)):
        cuts = [0, *(min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections), n]
        return tuple(narrow(x, dim, a, max(b - a, 0)) for a, b in itertools.pairwise(cuts))
    size, longer = divmod(n, indices_or_sections)
    return split(x, [size + (i < longer) for i in range(indices_or_sections)], dim)


def _split_along(name: str, axis: int, does: str) -> Callable[..., tuple[Tensor, ...]]:
    def function(
        x: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> tuple[Tensor, ...]:
        pieces = next((given for given in (indices_or_sections, indices, sections) if given is not None), None)
        dim = 0 if name == "hsplit" and x.ndim == 1 else axis
        if x.ndim <= dim:
            raise ShapeError(f"{name}: x has {x.ndim} axes, and is to be cut along axis {dim}")
        if pieces is None or (is_integer(pieces) and (pieces < 1 or x.shape[dim] % pieces)):
            raise ShapeError(f"{name}: axis {dim} of {x.shape} does not make {pieces} equal pieces")
        return tensor_split(x, pieces, dim)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"x in so many equal pieces {does}, or cut at the places in a list. Raises ShapeError."
    return function


hsplit = _split_along("hsplit", 1, "side by side, along axis 1, or 0 of a row")
vsplit = _split_along("vsplit", 0, "one below the other, along axis 0")
dsplit = _split_along("dsplit", 2, "one behind the other, along axis 2")


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along `dim`, without that axis. Views of x."""
    axis = one_axis("unbind", x, dim)
    return views_of_several([select(x, axis, i) for i in range(x.shape[axis])])


def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` numbers along an axis, `step` apart, as a last axis. A view."""
    if not x.ndim:
        return unfold(x.reshape(1), dimension, size, step)[0]
    return taped.slide(x, axis=dimension, size=size, step=step)


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The numbers at equal places along two axes (`offset` to the right, or below), as a last axis. A view."""
    one, two = one_axis("diagonal", x, dim1), one_axis("diagonal", x, dim2)
    if one == two:
        raise OptionError(f"diagonal: dim1 and dim2 must be two axes, got {dim1} and {dim2}")
    return taped.diagonal(x, offset=offset, axes=(one, two))


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """A copy of the diagonal of a matrix, or a matrix with this diagonal and zeros elsewhere."""
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag: expected a row of numbers or a matrix, got {x.shape}")
    return copied(x.diagonal(diagonal)) if x.ndim == 2 else diag_embed(x, diagonal)


def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis as the diagonal of a matrix (`offset` to the right, or below), with zeros elsewhere; its rows are
    axis dim1 of the result, its columns dim2. Raises ShapeError."""
    rows, columns = (axis_of("diag_embed", axis, x.ndim + 1) for axis in (dim1, dim2))
    if rows == columns:
        raise ShapeError(f"diag_embed: dim1 and dim2 must be two axes, got {dim1} and {dim2}")
    size = x.shape[-1] + abs(offset)
    row, column = (x.like(np.arange(size, like=x.array).reshape(shape)) for shape in ((-1, 1), (1, -1)))
    # Where the number of row i stands: i itself, or `offset` less where the diagonal lies below.
    source = (row + min(offset, 0)).clamp(0, max(x.shape[-1] - 1, 0)).expand(size, size)
    return nobodys_view(movedim(x[..., source].masked_fill(column - row != offset, 0), (-2, -1), (rows, columns)))


# -- turned


def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """Some axes moved to other places, the rest in their order."""
    sources = [source] if is_integer(source) else list(source)
    places = [destination] if is_integer(destination) else list(destination)
    sources = [axis_of("movedim", a, x.ndim or 1) for a in sources]
    places = [axis_of("movedim", a, x.ndim or 1) for a in places]
    if len(set(sources)) != len(set(places)) or len(sources) != len(places):
        raise OptionError(f"movedim: {source} and {destination} do not name the same number of axes, each once")
    order = [a for a in range(x.ndim) if a not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return x.permute(order) if x.ndim else x[...]


def swapaxes(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two axes swapped."""
    return x.transpose(axis0, axis1)


def adjoint(x: Tensor) -> Tensor:
    """The last two axes swapped."""
    return x.transpose(-2, -1)


def unflatten(x: Tensor, dim: int, sizes: Any) -> Tensor:
    """One axis as several of these sizes; one of them may be -1."""
    axis = one_axis("unflatten", x, dim)
    return x.reshape(*x.shape[:axis], *shape_of((sizes,)), *x.shape[axis + 1 :])


def ravel(x: Tensor) -> Tensor:
    """All numbers in one row: a view if they lie in memory in reading order, else a copy."""
    return x.contiguous().reshape(-1)


def flip(x: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """x read backwards along some axes. A copy."""
    axes = shape_of(axes if dims is None else (dims,))
    if not x.ndim:
        for axis in axes:
            axis_of("flip", axis, 1)
        return x.clone()
    return taped.flip(x, axis=axes)


def fliplr(x: Tensor) -> Tensor:
    """x read backwards along axis 1."""
    return flip(x, 1)


def flipud(x: Tensor) -> Tensor:
    """x read backwards along axis 0."""
    return flip(x, 0)


def roll(x: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """x moved on along some axes, what leaves at one end entering at the other; without dims, read as one row."""
    if dims is None:
        return nobodys_view(roll(x.reshape(-1), shifts, 0).reshape(x.shape))
    shifts = (shifts,) if is_integer(shifts) else tuple(shifts)
    return taped.roll(
        x,
        shifts=tuple(int(n) if is_integer(n) else n for n in shifts),
        axis=(dims,) if is_integer(dims) else tuple(dims),
    )


def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """x turned k times by a quarter, from the first of two axes towards the second."""
    one, two = (axis_of("rot90", a, x.ndim) for a in dims)
    if one == two:
        raise OptionError(f"rot90: dims must name two axes, got {tuple(dims)}")
    turns = k % 4
    if turns == 2:
        return flip(x, one, two)
    if turns == 1:
        return nobodys_view(flip(x, two).transpose(one, two))
    return flip(x.transpose(one, two), two) if turns else x.clone()


# -- repeated


def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """x laid side by side, so many times along each axis; more numbers than axes add axes in front."""
    return taped.repeat(x, repeats=shape_of(repeats))


def tile(x: Tensor, *repeats: Any, dims: Any = None) -> Tensor:
    """`repeat`, where axes that are not named stay as they are."""
    times = shape_of(repeats if dims is None else (dims,))
    return taped.repeat(x, repeats=(1,) * (x.ndim - len(times)) + times)


def repeat_interleave(
    x: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every slice along `dim` repeated, so many times or as a tensor says for each; without dim, of x in one row. Given
    the repeats alone, as x, the index of each slice so often.

    output_size, by which PyTorch is spared looking, must be what results. Raises ShapeError."""
    if repeats is None:
        return repeat_interleave(x.like(np.arange(x.numel(), like=x.array)), x, output_size=output_size)
    if dim is None:
        return repeat_interleave(x.reshape(-1), repeats, 0, output_size=output_size)
    axis = one_axis("repeat_interleave", x, dim)
    times = repeats.array if hasattr(repeats, "array") else np.asarray(repeats, like=x.array)
    if times.ndim > 1 or times.size not in (1, x.shape[axis]):
        raise ShapeError(f"repeat_interleave: {tuple(times.shape)} repeats do not fit axis {axis} of {x.shape}")
    each = times if times.size > 1 else int(times.reshape(()))
    order = np.repeat(np.arange(x.shape[axis], like=x.array), each)
    if output_size is not None and len(order) != output_size:
        raise ShapeError(f"repeat_interleave: {len(order)} slices result, where output_size={output_size}")
    return x.index_select(axis, x.like(order))


def broadcast_to(x: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """Axes of size 1 repeated to these sizes."""
    return x.expand(*sizes, size=size)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the shape that they make together; one that has it already is handed back. Raises ShapeError."""
    shape = shape_together("broadcast_tensors", *tensors)
    return tuple(t if t.shape == shape else t.expand(shape) for t in tensors)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """x with zeros below the diagonal (of the last two axes), or below one that lies `diagonal` further right."""
    return _masked(x, "triu", lambda i, j: j - i >= diagonal)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """x with zeros above the diagonal (of the last two axes), or above one that lies `diagonal` further right."""
    return _masked(x, "tril", lambda i, j: j - i <= diagonal)


def _masked(x, what, kept):
    if x.ndim < 2:
        raise ShapeError(f"{what}: expected a matrix or more axes, got {x.shape}")
    i, j = (np.arange(n, like=x.array) for n in x.shape[-2:])
    return x.masked_fill(x.like(~kept(i[:, None], j[None])), 0)
