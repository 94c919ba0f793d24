"""Products of vectors and matrices: `matmul` and what can be said with it."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError, OptionError, ShapeError
from ..ops.checks import is_integer
from ..sharing import note_derived
from ..tape import Variable
from . import taped
from .arguments import axis_of, numbers_first
from .arranging import stack
from .operands import as_operand, factor, is_operand, promoted, result_type, together
from .writing import nobodys_view

if TYPE_CHECKING:
    from .tensor import Tensor


def matmul(x: Tensor, other: Any) -> Tensor:
    """x @ other: matrices, stacks of them that broadcast, and vectors, which stand as a row before and a column behind.

    Raises ShapeError."""
    if not isinstance(other, Variable):
        if not is_operand(other, "matmul"):
            raise DtypeError(f"matmul: expected a tensor or an array, got {type(other).__name__}")
        other = x.like(as_operand(other, x.array, "matmul"))
    x, other = promoted([x, other])
    if not x.ndim or not other.ndim:
        raise ShapeError(f"matmul: a single number has no matrix product, got {x.shape} and {other.shape}; use *")
    left = nobodys_view(x.unsqueeze(0)) if x.ndim == 1 else x
    right = nobodys_view(other.unsqueeze(1)) if other.ndim == 1 else other
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(f"matmul: the inner axes differ in {x.shape} @ {other.shape}")
    if x.dtype.kind == "f":
        y = taped.matmul(left, right)
        y = note_derived(y, x, other) if x.ndim > 2 or other.ndim > 2 else y
    else:
        y = x.like(left.array @ right.array)
    y = nobodys_view(y.squeeze(-1)) if other.ndim == 1 else y
    return nobodys_view(y.squeeze(-1 if other.ndim == 1 else -2)) if x.ndim == 1 else y


def reversed_matmul(x: Tensor, other: Any) -> Tensor:
    """other @ x"""
    return matmul(x.like(as_operand(other, x.array, "matmul")), x)


def _of_rank(what, **tensors):
    for name, (x, rank) in tensors.items():
        if not hasattr(x, "ndim"):
            raise DtypeError(f"{what}: {name} must be a tensor, got {type(x).__name__}")
        if x.ndim != rank:
            raise ShapeError(f"{what}: {name} must have {rank} axes, got {x.shape}; matmul takes more kinds")


def mm(x: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _of_rank("mm", x=(x, 2), mat2=(mat2, 2))
    return matmul(x, mat2)


def bmm(x: Tensor, mat2: Tensor) -> Tensor:
    """The products of two stacks of matrices, (B, I, J) @ (B, J, K)."""
    _of_rank("bmm", x=(x, 3), mat2=(mat2, 3))
    if x.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm: the stacks hold {x.shape[0]} and {mat2.shape[0]} matrices: {x.shape} and {mat2.shape}")
    return matmul(x, mat2)


def mv(x: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _of_rank("mv", x=(x, 2), vec=(vec, 1))
    return matmul(x, vec)


def dot(x: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors' numbers."""
    _of_rank("dot", x=(x, 1), other=(tensor, 1))
    if x.shape != tensor.shape:
        raise ShapeError(f"dot: the vectors have {x.shape[0]} and {tensor.shape[0]} numbers")
    return matmul(x, tensor)


def inner(x: Tensor, other: Tensor) -> Tensor:
    """The sums of products along the last axis of both."""
    if not hasattr(other, "ndim"):
        raise DtypeError(f"inner: other must be a tensor, got {type(other).__name__}")
    if not x.ndim or not other.ndim:
        return x * other
    return tensordot(x, other, ([-1], [-1]))


def outer(x: Tensor, vec2: Tensor) -> Tensor:
    """Every number of one vector times every number of another."""
    _of_rank("outer", x=(x, 1), vec2=(vec2, 1))
    return x.unsqueeze(1) * vec2


def addmm(x: Tensor, mat1: Any, mat2: Any, *older: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · (mat1 @ mat2); in older scripts addmm(beta, alpha, mat1, mat2)"""
    if older:
        beta, alpha, mat1, mat2 = numbers_first("addmm", 2, 2, (mat1, mat2, *older))
    return _plus("addmm", x, mm(mat1, mat2), beta, alpha)


def baddbmm(x: Tensor, batch1: Any, batch2: Any, *older: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · (batch1 @ batch2), of stacks; in older scripts baddbmm(beta, alpha, batch1, batch2)"""
    if older:
        beta, alpha, batch1, batch2 = numbers_first("baddbmm", 2, 2, (batch1, batch2, *older))
    return _plus("baddbmm", x, bmm(batch1, batch2), beta, alpha)


def addmv(x: Tensor, mat: Any, vec: Any, *older: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · (mat @ vec); in older scripts addmv(beta, alpha, mat, vec)"""
    if older:
        beta, alpha, mat, vec = numbers_first("addmv", 2, 2, (mat, vec, *older))
    return _plus("addmv", x, mv(mat, vec), beta, alpha)


def addr(x: Tensor, vec1: Any, vec2: Any, *older: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta · x + alpha · outer(vec1, vec2); in older scripts addr(beta, alpha, vec1, vec2)"""
    if older:
        beta, alpha, vec1, vec2 = numbers_first("addr", 2, 2, (vec1, vec2, *older))
    x = x if x.ndim else x.unsqueeze(0)  # a single number stands for a matrix, and its dtype counts for as much
    x, vec1, vec2 = together(x, vec1, vec2)
    return _plus("addr", x, outer(vec1, vec2), beta, alpha)


def _plus(name, x, product, beta, alpha):
    kind = result_type(x, product)
    beta, alpha = factor(f"{name}: beta", beta, kind), factor(f"{name}: alpha", alpha, kind)
    product = product if alpha == 1 else product * alpha
    if not beta:  # x may hold anything then, nan as well, and if it asks for a gradient, that is 0
        if not x.requires_grad:
            return product
        x = x.masked_fill(x.like(np.ones_like(x.array, bool)), 0)
    return (x if beta == 1 else x * beta) + product


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sums of products over some axes of both: the last `dims` of a with the first of other, or two lists."""
    if is_integer(dims):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: {dims} axes are to be summed over, of {a.shape} and {b.shape}")
        ours, theirs = list(range(a.ndim - int(dims), a.ndim)), list(range(dims))
    else:
        ours, theirs = ([int(d) for d in (part if not is_integer(part) else [part])] for part in dims)
    ours, theirs = ([axis_of("tensordot", d, t.ndim) for d in part] for part, t in ((ours, a), (theirs, b)))
    if [a.shape[d] for d in ours] != [b.shape[d] for d in theirs]:
        raise ShapeError(f"tensordot: axes {ours} of {a.shape} and {theirs} of {b.shape} differ in size")
    left = [d for d in range(a.ndim) if d not in ours]
    right = [d for d in range(b.ndim) if d not in theirs]
    count = int(np.prod([a.shape[d] for d in ours]))
    rows = a.permute(left + ours).reshape(int(np.prod([a.shape[d] for d in left])), count)
    columns = b.permute(theirs + right).reshape(count, int(np.prod([b.shape[d] for d in right])))
    return matmul(rows, columns).reshape([a.shape[d] for d in left] + [b.shape[d] for d in right])


def kron(x: Tensor, other: Tensor) -> Tensor:
    """Every number of x times the whole of `other`, as blocks; the one with fewer axes gets some in front."""
    axes = max(x.ndim, other.ndim)
    sizes = [(1,) * (axes - t.ndim) + tuple(t.shape) for t in (x, other)]
    outer = x.reshape([n for size in sizes[0] for n in (size, 1)]) * other.reshape(
        [n for size in sizes[1] for n in (1, size)]
    )
    return nobodys_view(outer.reshape([a * b for a, b in zip(*sizes, strict=True)]))


def cross(x: Tensor, other: Tensor, dim: int = -1) -> Tensor:
    """The vector that stands upright on two others, along an axis of three."""
    if not x.ndim or not other.ndim or x.shape[dim] != 3 or other.shape[dim] != 3:
        raise ShapeError(f"cross: axis {dim} must hold three numbers, got {x.shape} and {other.shape}")
    a, b = x.unbind(dim), other.unbind(dim)
    turned = [a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3] for i in range(3)]
    return note_derived(stack(turned, dim), x, other)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The distance of every row of x1 to every row of x2: (..., P, M), (..., R, M)  ->  (..., P, R). compute_mode
    chooses among ways to compute it, of which there is one here."""
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    if p == 0:  # how many are not zero, which is flat: PyTorch hands zeros on, which it does not for norm(0)
        return difference.sign().abs().sum(-1)
    return note_derived(difference.norm(p, -1), x1, x2)


# -- einsum


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products as Einstein wrote them: "ij,jk->ik" multiplies two matrices, "bhqd,bhkd->bhqk" scores attention.

    Or with numbers for letters, each operand before its own: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    The operands are multiplied two by two, from the left, each pair as one matrix product. Raises OptionError for an
    equation that cannot be read, ShapeError for operands that do not fit it."""
    if isinstance(equation, Variable):
        equation, operands = _in_letters((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = _read(equation, operands)
    sizes: dict[str, int] = {}
    for letters, x in zip(inputs, operands, strict=True):
        for letter, n in zip(letters, x.shape, strict=True):
            if sizes.setdefault(letter, n) not in (n, 1) and n != 1:
                raise ShapeError(f"einsum: in {equation!r}, {letter!r} is {sizes[letter]} once and {n} once")
            sizes[letter] = max(sizes[letter], n) if n != 0 else 0
    parts = [_without_doubles(x, letters) for letters, x in zip(inputs, promoted(list(operands)), strict=True)]
    y, letters = parts[0]
    for i, (other, others) in enumerate(parts[1:], start=2):
        later = set(output).union(*(_longer_axes(*part) for part in parts[i:]))
        y, letters = _product(y, letters, other, others, later)
    gone = [i for i, letter in enumerate(letters) if letter not in output]
    y = y.sum(gone) if gone else y
    letters = [letter for letter in letters if letter in output]
    if not letters:
        return y
    arranged = y.permute([letters.index(letter) for letter in output])
    is_outer = len(inputs) > 1 and not set.intersection(*map(set, inputs))
    return nobodys_view(arranged) if gone or is_outer else arranged


def _in_letters(given):
    """(operand, [numbers], operand, [numbers], ..., [numbers of the result])  ->  equation, operands"""

    def term(numbers):
        if not all(n is ... or (is_integer(n) and 0 <= n < 52) for n in numbers):
            raise OptionError(f"einsum: axes are numbered from 0 to 51, or are ..., got {list(numbers)!r:.60}")
        return "".join("..." if n is ... else string.ascii_letters[n] for n in numbers)

    operands, terms = given[: len(given) // 2 * 2 : 2], given[1::2]
    if not all(isinstance(numbers, (list, tuple)) for numbers in (*terms, *given[len(operands) * 2 :])):
        raise OptionError("einsum: each operand is followed by a list of its axes' numbers")
    result = f"->{term(given[-1])}" if len(given) % 2 else ""
    return ",".join(map(term, terms)) + result, operands


def _read(equation, operands):
    """The letters of every operand and of the result; an ellipsis becomes capital letters that nobody wrote."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        raise OptionError(f"einsum: {equation!r} names {len(inputs)} operands, but {len(operands)} are given")
    if not set(text.replace("->", "").replace("...", "")) <= {*string.ascii_letters, ","}:
        raise OptionError(f"einsum: {equation!r} may hold letters, commas, '...' and one '->'")
    free = [chr(0x100 + i) for i in range(max((x.ndim for x in operands), default=0))]
    read = []
    longest = 0
    for term, x in zip(inputs, operands, strict=True):
        rest = x.ndim - len(term.replace("...", ""))
        if rest < 0 or (rest and "..." not in term):
            raise ShapeError(f"einsum: {term!r} in {equation!r} does not name the {x.ndim} axes of {x.shape}")
        longest = max(longest, rest if "..." in term else 0)
        read.append((term, rest))
    dots = free[:longest]
    terms = [list(_spread(term, dots[longest - rest :] if rest else [])) for term, rest in read]
    if not arrow:
        once = [c for c in sorted(set(left) - set(".,")) if left.count(c) == 1]
        return terms, dots + once
    output = _spread(right, dots)
    unknown = [c for c in output if not any(c in t for t in terms)]
    if unknown or len(set(output)) != len(output):
        raise OptionError(f"einsum: the result of {equation!r} must name axes of the operands, each once")
    return terms, output


def _spread(term, dots):
    before, ellipsis, after = term.partition("...")
    return [*before, *(dots if ellipsis else []), *after]


def _without_doubles(x, letters):
    """An operand that names an axis twice, such as "ii", read along its diagonal."""
    while len(set(letters)) != len(letters):
        twice = next(c for c in letters if letters.count(c) > 1)
        first, second = [i for i, c in enumerate(letters) if c == twice][:2]
        x = x.diagonal(0, first, second)
        letters = [c for i, c in enumerate(letters) if i not in (first, second)] + [twice]
    return x, letters


def _longer_axes(x, letters):
    return {letter for letter, n in zip(letters, x.shape, strict=True) if n != 1}


def _without(letter, x, letters):
    """x summed along the axis of a letter, if it has one. A single number there needs no sum, and whole numbers are not
    made wider by one, as in PyTorch."""
    if letter not in letters:
        return x, letters
    axis = letters.index(letter)
    return x.select(axis, 0) if x.shape[axis] == 1 else x.sum(axis), [c for c in letters if c != letter]


def _product(x, ours, other, theirs, later):
    """Two operands as one batch of matrix products, (kept, ours, summed) @ (kept, summed, theirs), and its letters."""
    sizes, their_sizes = (dict(zip(c, t.shape, strict=True)) for c, t in ((ours, x), (theirs, other)))
    for letter in dict.fromkeys(c for c in [*ours, *theirs] if c not in later):
        if (sizes.get(letter, 1) == 1) != (their_sizes.get(letter, 1) == 1) or (letter in ours) != (letter in theirs):
            x, ours = _without(letter, x, ours)
            other, theirs = _without(letter, other, theirs)
    x, other = promoted([x, other])
    shared = [c for c in ours if c in theirs]
    batch, summed = [c for c in shared if c in later], [c for c in shared if c not in later]
    left, right = [c for c in ours if c not in theirs], [c for c in theirs if c not in ours]
    named = [*zip(ours, x.shape, strict=True), *zip(theirs, other.shape, strict=True)]
    size = {c: n for c, n in named if n != 1}

    def n(letters):
        return [size.get(c, 1) for c in letters]

    def laid(t, letters, order):
        t = t.permute([letters.index(c) for c in order])
        return t.expand(n(order)) if list(t.shape) != n(order) else t

    total = [int(np.prod(n(group))) for group in (left, summed, right)]
    rows = laid(x, ours, batch + left + summed).reshape(*n(batch), total[0], total[1])
    columns = laid(other, theirs, batch + summed + right).reshape(*n(batch), total[1], total[2])
    return matmul(rows, columns).reshape(n(batch + left + right)), batch + left + right
