"""A tile of sums that stays in the processor's vector registers while a loop adds products to it.

    sums = nothing()
    for k in ...:
        sums = outer(sums, a, p, q, step, b, at)         sums += a_k ⊗ b_k
    sums = scaled(sums, finish, at)
    put(sums, y, p, q, step)

A compiler keeps an array of sums in the cache: every product then waits for a load and a store, and a loop written
that way reaches a third of what BLAS does. Here `sums` is a value and no array, so all of it stays in registers, and
the loop is as quick as BLAS, for factors that need not lie side by side. In plain Python the functions are what they
say; compiled, each becomes the instructions that its `_..._as_machine_code` spells out in LLVM's own terms.

The ROWS of a tile are two runs: RUN rows that begin at p and lie `step` apart from each other, and RUN that begin at q.
"""

import ctypes
import functools
import importlib.util
import math
import platform
from typing import Any

import numpy as np

from ...blocks import CACHE_LINE
from ...types import Array, Shape
from .compiled import features, instructions, llvm


def _vectors() -> tuple[int, int]:
    """(numbers in a vector register, vector registers) of this processor."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        return 4, 32
    if importlib.util.find_spec("llvmlite") is None:  # nothing will be compiled either
        return 8, 16
    found = features()
    return (16, 32) if "+avx512f" in found else (8, 16) if "+avx2" in found else (4, 16)


LANES, REGISTERS = _vectors()
WIDTH = 2 * LANES  # the numbers of b that meet every number of a
RUN = 7 if REGISTERS == 32 else 3  # a tile's numbers of a come in two runs of so many: 28 registers of 32, or 12 of 16
ROWS = 2 * RUN
FOUR = 2 * ROWS // RUN  # so many rows meet RUN others in as many registers


def aligned(shape: Shape) -> Array:
    """An uninitialised array for vectors, which begins with a line of the cache: a vector that lies across two of them
    is read in two steps, and a product takes a tenth longer (measured)."""
    memory = np.empty(4 * math.prod(shape) + CACHE_LINE, np.uint8)
    begin = -ctypes.addressof(ctypes.c_char.from_buffer(memory.data)) % CACHE_LINE
    return memory[begin : begin + 4 * math.prod(shape)].view(np.float32).reshape(shape)


def _nothing_as_machine_code() -> Any:
    from numba.extending import intrinsic

    @intrinsic
    def nothing(typing):
        return _typed(_sums()[0], lambda builder: llvm().Constant(_sums()[1], None))

    return nothing


@instructions(_nothing_as_machine_code)
def nothing() -> Any:
    """Zeros (ROWS, WIDTH)."""
    return np.zeros((ROWS, WIDTH), np.float32)


def _outer_as_machine_code(vectors: int = 2) -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, a, first, second, apart, b, at):
        some = [_loaded(builder, builder.gep(b, [_plus(builder, at, v * LANES)])) for v in range(vectors)]
        for m in range(ROWS):
            place = _moved(builder, first, apart, m) if m < RUN else _moved(builder, second, apart, m - RUN)
            number = _spread(builder, builder.load(builder.gep(a, [place])))
            for v in range(vectors):
                product = builder.fmul(number, some[v], flags=("contract",))
                total = builder.fadd(product, builder.extract_value(sums, 2 * m + v), flags=("contract",))
                sums = builder.insert_value(sums, total, 2 * m + v)
        return sums

    @intrinsic
    def outer(typing, sums, a, p, q, step, b, at):
        return _typed(_sums()[0], lower, sums, a, p, q, step, b, at)

    return outer


@instructions(_outer_as_machine_code)
def outer(sums: Any, a: Array, p: int, q: int, step: int, b: Array, at: int) -> Any:
    """sums + (a[p], a[p + step], ... RUN of them, a[q], a[q + step], ...) ⊗ b[at : at + WIDTH]"""
    some = np.concatenate([a[p + step * np.arange(RUN)], a[q + step * np.arange(RUN)]])
    return sums + np.multiply.outer(some, b[at : at + WIDTH])


@instructions(functools.partial(_outer_as_machine_code, 1))
def half_outer(sums: Any, a: Array, p: int, q: int, step: int, b: Array, at: int) -> Any:
    """`outer` in the first LANES of every row alone, in half of the time."""
    return outer(sums, a, p, q, step, b, at) * (np.arange(WIDTH) < LANES)


def _each_as_machine_code(rows: int) -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, a, p, step, b, q, apart):
        for i in range(2 * rows):
            some, others = (
                _loaded(builder, builder.gep(array, [_plus(builder, _moved(builder, at, way, i // 2), i % 2 * LANES)]))
                for array, at, way in ((a, p, step), (b, q, apart))
            )
            product = builder.fmul(some, others, flags=("contract",))
            total = builder.fadd(product, builder.extract_value(sums, i), flags=("contract",))
            sums = builder.insert_value(sums, total, i)
        return sums

    @intrinsic
    def each(typing, sums, a, p, step, b, q, apart):
        return _typed(_sums()[0], lower, sums, a, p, step, b, q, apart)

    return each


@instructions(functools.partial(_each_as_machine_code, 3))
def three(sums: Any, a: Array, p: int, step: int, b: Array, q: int, apart: int) -> Any:
    """sums, to whose first three rows are added those of a, WIDTH numbers from p, p + step ... on, times those of b,
    from q, q + apart ... on"""
    return _each(3, sums, a, p, step, b, q, apart)


@instructions(functools.partial(_each_as_machine_code, 4))
def four(sums: Any, a: Array, p: int, step: int, b: Array, q: int, apart: int) -> Any:
    """The same for four rows."""
    return _each(4, sums, a, p, step, b, q, apart)


@instructions(functools.partial(_each_as_machine_code, 5))
def five(sums: Any, a: Array, p: int, step: int, b: Array, q: int, apart: int) -> Any:
    """The same for five rows."""
    return _each(5, sums, a, p, step, b, q, apart)


def _each(rows, sums, a, p, step, b, q, apart):
    some, others = (
        array[begin + distance * np.arange(rows)[:, None] + np.arange(WIDTH)]
        for array, begin, distance in ((a, p, step), (b, q, apart))
    )
    added = np.zeros_like(sums)
    added[:rows] = some * others
    return sums + added


def _along_as_machine_code() -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, a, p, step, b, q, apart):
        four = [_loaded(builder, builder.gep(b, [_moved(builder, q, apart, n)])) for n in range(FOUR)]
        for m in range(RUN):
            some = _loaded(builder, builder.gep(a, [_moved(builder, p, step, m)]))
            for n in range(FOUR):
                product, i = builder.fmul(some, four[n], flags=("contract",)), m * FOUR + n
                total = builder.fadd(product, builder.extract_value(sums, i), flags=("contract",))
                sums = builder.insert_value(sums, total, i)
        return sums

    @intrinsic
    def along(typing, sums, a, p, step, b, q, apart):
        return _typed(_sums()[0], lower, sums, a, p, step, b, q, apart)

    return along


@instructions(_along_as_machine_code)
def along(sums: Any, a: Array, p: int, step: int, b: Array, q: int, apart: int) -> Any:
    """sums + the products of LANES numbers of RUN rows of a, which begin at p and lie `step` apart, and as many of FOUR
    rows of b: each register adds up those of a pair of rows."""
    some, four = (
        array[begin + distance * np.arange(count)[:, None] + np.arange(LANES)]
        for array, begin, distance, count in ((a, p, step, RUN), (b, q, apart, FOUR))
    )
    return sums + (some[:, None] * four).reshape(sums.shape)


def _added_up_as_machine_code() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def lower(builder, sums, totals):
        ir = llvm()
        for i in range(2 * ROWS):
            vector, lanes = builder.extract_value(sums, i), LANES
            while lanes > 1:  # the halves meet each other
                lanes //= 2
                kind = ir.VectorType(ir.IntType(32), lanes)
                halves = [list(range(begin, begin + lanes)) for begin in (0, lanes)]
                low, high = (builder.shuffle_vector(vector, vector, ir.Constant(kind, half)) for half in halves)
                vector = builder.fadd(low, high)
            number = builder.extract_element(vector, ir.IntType(32)(0))
            builder.store(number, builder.gep(totals, [ir.IntType(64)(i)]))

    @intrinsic
    def added_up(typing, sums, totals):
        return _typed(types.void, lower, sums, totals)

    return added_up


@instructions(_added_up_as_machine_code)
def added_up(sums: Any, totals: Array) -> None:
    """totals (RUN·FOUR,) = what each register holds, added up."""
    totals[:] = sums.reshape(-1, LANES).sum(axis=1)


def _scaled_as_machine_code() -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, finish, at):
        for v in range(2):
            scale, shift = (
                _loaded(builder, builder.gep(finish, [_plus(builder, at, i * WIDTH + v * LANES)])) for i in (0, 1)
            )
            for i in range(v, 2 * ROWS, 2):
                product = builder.fmul(builder.extract_value(sums, i), scale, flags=("contract",))
                sums = builder.insert_value(sums, builder.fadd(product, shift, flags=("contract",)), i)
        return sums

    @intrinsic
    def scaled(typing, sums, finish, at):
        return _typed(_sums()[0], lower, sums, finish, at)

    return scaled


@instructions(_scaled_as_machine_code)
def scaled(sums: Any, finish: Array, at: int) -> Any:
    """sums · finish[at : at + WIDTH] + finish[at + WIDTH : ...]"""
    scale, shift = finish[at : at + 2 * WIDTH].reshape(2, WIDTH)
    return sums * scale + shift


def _clamped_as_machine_code() -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, finish, at):
        for v in range(2):
            low, high = (
                _loaded(builder, builder.gep(finish, [_plus(builder, at, i * WIDTH + v * LANES)])) for i in (2, 3)
            )
            for i in range(v, 2 * ROWS, 2):
                value = builder.extract_value(sums, i)
                value = builder.select(builder.fcmp_ordered("<=", value, low), low, value)  # NaN is in no order
                value = builder.select(builder.fcmp_ordered(">=", value, high), high, value)
                sums = builder.insert_value(sums, value, i)
        return sums

    @intrinsic
    def clamped(typing, sums, finish, at):
        return _typed(_sums()[0], lower, sums, finish, at)

    return clamped


@instructions(_clamped_as_machine_code)
def clamped(sums: Any, finish: Array, at: int) -> Any:
    """sums, at least finish[at + 2·WIDTH : ...] and at most finish[at + 3·WIDTH : ...]; NaN stays."""
    low, high = finish[at + 2 * WIDTH : at + 4 * WIDTH].reshape(2, WIDTH)
    return np.clip(sums, low, high)


def _plus_as_machine_code() -> Any:
    from numba.extending import intrinsic

    def lower(builder, sums, image, first, second, apart):
        for i, place in enumerate(_places(builder, image, first, second, apart)):
            sums = builder.insert_value(sums, builder.fadd(builder.extract_value(sums, i), _loaded(builder, place)), i)
        return sums

    @intrinsic
    def plus(typing, sums, image, p, q, step):
        return _typed(_sums()[0], lower, sums, image, p, q, step)

    return plus


@instructions(_plus_as_machine_code)
def plus(sums: Any, image: Array, p: int, q: int, step: int) -> Any:
    """sums + the rows of an image"""
    return sums + image[_rows(p, q, step)]


def _put_as_machine_code(vectors: int = 2, rows: int = ROWS) -> Any:
    from numba import types
    from numba.extending import intrinsic

    def lower(builder, sums, image, first, second, apart):
        for i, place in enumerate(_places(builder, image, first, second, apart)):
            if i % 2 >= vectors or i // 2 >= rows:
                continue
            stored = builder.store(builder.extract_value(sums, i), builder.bitcast(place, _vector().as_pointer()))
            stored.align = 4

    @intrinsic
    def put(typing, sums, image, p, q, step):
        return _typed(types.void, lower, sums, image, p, q, step)

    return put


@instructions(_put_as_machine_code)
def put(sums: Any, image: Array, p: int, q: int, step: int) -> None:
    """the rows of an image = sums"""
    image[_rows(p, q, step)] = sums


@instructions(functools.partial(_put_as_machine_code, 1))
def half_put(sums: Any, image: Array, p: int, q: int, step: int) -> None:
    """`put` of the first LANES of every row."""
    image[_rows(p, q, step)[:, :LANES]] = sums[:, :LANES]


@instructions(functools.partial(_put_as_machine_code, 2, 4))
def four_put(sums: Any, image: Array, p: int, q: int, step: int) -> None:
    """`put` of the first four rows."""
    image[_rows(p, q, step)[:4]] = sums[:4]


def _turned_as_machine_code() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def lower(builder, a, step, b, place, apart):
        ir = llvm()
        rows = [_loaded(builder, builder.gep(a, [builder.mul(step, step.type(i))])) for i in range(LANES)]
        distance = 1
        while distance < LANES:  # numbers at this distance beside each other change places with those below each other
            upper = [k if not k & distance else LANES + k - distance for k in range(LANES)]
            lower_half = [k + distance if not k & distance else LANES + k for k in range(LANES)]
            kind = ir.VectorType(ir.IntType(32), LANES)
            for i in range(LANES):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    rows[i] = builder.shuffle_vector(*pair, ir.Constant(kind, upper))
                    rows[i + distance] = builder.shuffle_vector(*pair, ir.Constant(kind, lower_half))
            distance *= 2
        for i, row in enumerate(rows):
            to = builder.gep(b, [_moved(builder, place, apart, i)])
            builder.store(row, builder.bitcast(to, _vector().as_pointer())).align = 4

    @intrinsic
    def turned(typing, a, step, b, q, apart):
        return _typed(types.void, lower, a, step, b, q, apart)

    return turned


@instructions(_turned_as_machine_code)
def turned(a: Array, step: int, b: Array, q: int, apart: int) -> None:
    """LANES rows of b, from q on and `apart`, = the columns of a (LANES, LANES), whose rows lie `step` apart and have
    their numbers side by side."""
    lanes = np.arange(LANES)
    b[q + apart * lanes[:, None] + lanes] = a.T


def _carried_as_machine_code() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def lower(builder, a, b, place):
        to = builder.bitcast(builder.gep(b, [place]), _vector().as_pointer())
        builder.store(_loaded(builder, a), to).align = 4

    @intrinsic
    def carried(typing, a, b, q):
        return _typed(types.void, lower, a, b, q)

    return carried


@instructions(_carried_as_machine_code)
def carried(a: Array, b: Array, q: int) -> None:
    """b[q : q + LANES] = a (LANES,), whose numbers lie side by side, though its type may not say so."""
    b[q : q + LANES] = a


def _rows(p, q, step):
    """Where the numbers of the rows are, (ROWS, WIDTH)."""
    begin = np.concatenate([p + step * np.arange(RUN), q + step * np.arange(RUN)])
    return begin[:, None] + np.arange(WIDTH)


def _vector():
    return llvm().VectorType(llvm().FloatType(), LANES)


@functools.cache
def _sums():
    """(numba's type, LLVM's type) of the sums: 2·ROWS vectors."""
    from numba import types
    from numba.extending import models, register_model

    class Vector(types.Type):
        """LANES numbers in a register."""

        def __init__(self):
            super().__init__(name=f"Vector{LANES}")

    @register_model(Vector)
    class VectorModel(models.PrimitiveModel):
        def __init__(self, manager, kind):
            super().__init__(manager, kind, _vector())

    return types.UniTuple(Vector(), 2 * ROWS), llvm().ArrayType(_vector(), 2 * ROWS)


def _typed(result, lower, *kinds):
    """What numba asks an intrinsic for: its signature, and who writes its instructions: lower(builder, ...), which is
    given the address of the numbers of an array."""
    from numba import types

    def code(context, builder, signature, arguments):
        given = [
            context.make_array(kind)(context, builder, a).data if isinstance(kind, types.Array) else a
            for kind, a in zip(signature.args, arguments, strict=True)
        ]
        value = lower(builder, *given)
        return context.get_dummy_value() if value is None else value

    return result(*kinds), code


def _plus(builder, place, number):
    return builder.add(place, place.type(number))


def _moved(builder, begin, apart, times):
    return builder.add(begin, builder.mul(apart, apart.type(times)))


def _places(builder, image, first, second, apart):
    """The addresses of all vectors of the rows."""
    for begin in (first, second):
        for m in range(RUN):
            for v in range(2):
                yield builder.gep(image, [_plus(builder, _moved(builder, begin, apart, m), v * LANES)])


def _loaded(builder, pointer):
    value = builder.load(builder.bitcast(pointer, _vector().as_pointer()))
    value.align = 4
    return value


def _spread(builder, number):
    """The same number in every lane."""
    ir = llvm()
    empty, lanes = ir.Constant(_vector(), ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
    first = builder.insert_element(empty, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, empty, ir.Constant(lanes, None))


DROP_INS = ()
