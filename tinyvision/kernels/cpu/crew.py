"""Threads that take pieces of a loop from a board, without the interpreter between them.

Python's threads hand work over through the interpreter: some 50 µs pass until another one has begun, and while it does
its share of Python, the first one waits for the interpreter in turn. Here the threads that help meet at a board, in
machine code: whoever has work writes it there, all take pieces of it by counting up one number, and the last piece
ends it. That takes less than a microsecond, so that loops of a few microseconds are worth sharing.

    the one with work                            those who serve
    busy += 1; goes elsewhere if it was          turn has changed: inside += 1, if the job is open
    writes job, pieces; turn += 1                take pieces: k = taken++, until all are
    takes pieces: k = taken++, until all are     finished += 1 for each; inside -= 1
    waits for finished == pieces
    closes the job, waits for inside == 0, busy -= 1

Nobody has to come: who has the work takes all pieces that nobody else does. Those who serve look at the board for a
fraction of a millisecond after the last job; then they go back to where `threads` calls them from, at once if it does.
"""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from ... import threads
from ...errors import DeviceError
from ...types import Array
from .compiled import Loop, instructions, linked, llvm, loop, part

# Where a number stands on the board; each has a line of the cache for itself.
TURN, OPEN, TAKEN, FINISHED, FAILED, INSIDE, JOB, ARGUMENTS, PIECES, LEAVE, BUSY = range(0, 11 * 8, 8)
PLACES = 11 * 8

_NOT_COMPILED = "only loops that are compiled are written on the board"

PATIENCE = 1 << 20  # looks at the board, of about half a nanosecond each


def _seen_as_machine_code() -> Any:
    return _atomic(1, lambda builder, place: builder.load_atomic(place, "seq_cst", 8))


@instructions(_seen_as_machine_code)
def seen(board: Array, at: int) -> int:
    """board[at], as it is now for all threads."""
    return int(board[at])


def _written_as_machine_code() -> Any:
    def lower(builder, place, number):
        builder.store_atomic(number, place, "seq_cst", 8)
        return number

    return _atomic(2, lower)


@instructions(_written_as_machine_code)
def written(board: Array, at: int, number: int) -> int:
    """board[at] = number, for all threads from now on."""
    board[at] = number
    return number


def _counted_as_machine_code() -> Any:
    return _atomic(2, lambda builder, place, number: builder.atomic_rmw("add", place, number, "seq_cst"))


@instructions(_counted_as_machine_code)
def counted(board: Array, at: int, number: int) -> int:
    """board[at] += number in one step that no other thread can come between  ->  what stood there before."""
    before = int(board[at])
    board[at] += number
    return before


def _do_as_machine_code() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def lower(context, builder, signature, values):
        number = llvm().IntType(64)
        function = llvm().FunctionType(number, [number, number]).as_pointer()
        return builder.call(builder.inttoptr(values[0], function), values[1:])

    @intrinsic
    def do(typing, job, arguments, piece):
        return types.int64(types.int64, types.int64, types.int64), lower

    return do


@instructions(_do_as_machine_code)
def do(job: int, arguments: int, piece: int) -> int:
    """Call the function at address `job`, which is machine code, for a piece  ->  1 if it had no memory, else 0."""
    raise DeviceError(_NOT_COMPILED)


@part
def take_pieces(board: Array) -> None:
    """Take pieces of the job on the board until none is left."""
    job, arguments, pieces = seen(board, JOB), seen(board, ARGUMENTS), seen(board, PIECES)
    piece = counted(board, TAKEN, 1)
    while piece < pieces:
        counted(board, FAILED, do(job, arguments, piece))
        counted(board, FINISHED, 1)
        piece = counted(board, TAKEN, 1)


@part
def have_done(board: Array, job: int, arguments: int, pieces: int) -> int:
    """Write a job on the board, and come back when all its pieces are finished and nobody works on it any more.

    Returns how many pieces had no memory; -1 if another job stands on the board, and nothing has been done."""
    if counted(board, BUSY, 1) > 0:
        counted(board, BUSY, -1)
        return -1
    written(board, JOB, job)
    written(board, ARGUMENTS, arguments)
    written(board, PIECES, pieces)
    written(board, TAKEN, 0)
    written(board, FINISHED, 0)
    written(board, FAILED, 0)
    written(board, OPEN, 1)
    counted(board, TURN, 1)
    take_pieces(board)
    while seen(board, FINISHED) < pieces:
        pass
    written(board, OPEN, 0)
    while seen(board, INSIDE) > 0:  # somebody who has come too late may still be looking
        pass
    failed = seen(board, FAILED)
    counted(board, BUSY, -1)
    return failed


@loop("void(i8[::1], i8)", "board", apart=False)
def serve(board: Array, patience: int) -> None:
    """Take part in every job that comes, until the board has been looked at so often in vain, or says to leave."""
    turn, looks = -1, 0  # a job that is there already is not too late
    while looks < patience and not seen(board, LEAVE):
        now = seen(board, TURN)
        looks += 1
        if now != turn:
            turn, looks = now, 0
            counted(board, INSIDE, 1)
            if seen(board, OPEN):
                take_pieces(board)
            counted(board, INSIDE, -1)


class _Crew:
    """The board of this process, and how many threads serve at it or have been called."""

    def __init__(self):
        self.board, self.serving = np.zeros(PLACES, np.int64), 0
        self.counting = threading.Lock()

    def call(self, wanted):
        """See to it that so many threads serve, or are on their way."""
        self.board[LEAVE] = 0
        with self.counting:
            missing = wanted - max(0, self.serving)  # below 0 after a Ctrl-C between the calling and the counting
            if missing > 0:
                self.serving += threads.call_helpers(partial(self._serve, serve.run), missing)

    def _serve(self, serve_compiled):
        try:
            serve_compiled(self.board, PATIENCE)
        finally:
            with self.counting:
                self.serving -= 1

    def leave(self):
        """Those who serve are to go back to where they were called from."""
        self.board[LEAVE] = 1


_crew = _Crew()


def _after_fork():
    global _crew
    _crew = _Crew()  # a child has none of the threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
threads.before_a_call(lambda: _crew.leave())


def run(work: Loop, pieces: Sequence[tuple[int, ...]], *arguments: Any) -> None:
    """work(*arguments, *piece) for every piece, on several threads. The pieces write to different memory."""
    count = min(threads.get_num_threads(), len(pieces))
    if count <= 1:
        for piece in pieces:
            work(*arguments, *piece)
        return
    in_machine_code = work.shared is not None and serve.run is not serve.function  # plain Python counts in two steps
    if in_machine_code and not threads.inside_region():
        _crew.call(count - 1)
        answer = np.empty(1, np.int64)
        work.shared(_crew.board, answer, np.array(pieces, np.int64), *arguments)
        if answer[0] > 0:
            name = work.function.__name__
            raise MemoryError(f"there was no memory for {answer[0]} of {len(pieces)} pieces of {name}")
        if answer[0] == 0:
            return
    threads.run(lambda piece: work(*arguments, *piece), pieces, products=False)


# -- in LLVM's terms


def _atomic(numbers, lower):
    """An intrinsic of (board, at), or of (board, at, number): lower(builder, place, ...) writes its instructions."""
    from numba import types
    from numba.extending import intrinsic

    def code(context, builder, signature, values):
        board = context.make_array(signature.args[0])(context, builder, values[0])
        return lower(builder, builder.gep(board.data, [values[1]]), *values[2:])

    @intrinsic
    def look(typing, board, at):
        return types.int64(board, types.int64), code

    @intrinsic
    def change(typing, board, at, number):
        return types.int64(board, types.int64, types.int64), code

    return look if numbers == 1 else change


def _address_of_values() -> Any:
    """An intrinsic: where in memory a tuple lies, for as long as the function that asks goes on."""
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    def code(context, builder, signature, values):
        return builder.ptrtoint(cgutils.alloca_once_value(builder, values[0]), llvm().IntType(64))

    @intrinsic
    def address(typing, kept):
        return types.int64(kept), code

    return address


def _caller(machine: Any) -> Any:
    """An intrinsic: the address of a function (arguments, piece) that calls the compiled loop, for a tuple `kept` at
    the address `arguments`: the table of all pieces, and the loop's other arguments."""
    from numba import types
    from numba.extending import intrinsic

    def code(context, builder, signature, values):
        ir, compiled = llvm(), next(iter(machine.overloads.values()))
        (kept,), number = signature.args, llvm().IntType(64)
        kind = ir.FunctionType(number, [number, number])
        function = ir.Function(builder.module, kind, builder.module.get_unique_name("call_for_a_piece"))
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        place = inner.inttoptr(function.args[0], context.get_value_type(kept).as_pointer())
        parts = [inner.extract_value(inner.load(place), i) for i in range(len(kept))]
        table = context.make_array(kept[0])(context, inner, parts[0])
        columns = len(compiled.signature.args) - len(parts) + 1
        first = inner.mul(function.args[1], number(columns))
        piece = [inner.load(inner.gep(table.data, [inner.add(first, number(i))])) for i in range(columns)]
        context.active_code_library.add_linking_library(compiled.library)
        callee = context.declare_function(builder.module, compiled.fndesc)
        arguments = [*parts[1:], *piece]
        status, _ = context.call_conv.call_function(inner, callee, types.none, compiled.signature.args, arguments)
        inner.ret(inner.zext(status.is_error, number))  # the loops raise nothing but that memory is missing
        return builder.ptrtoint(function, number)

    @intrinsic
    def caller(typing, kept):
        return types.int64(kept), code

    return caller


# None of `_apart` (see `compiled`): others write on the board meanwhile. The loop itself has its own.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


@functools.cache
def _have_done_compiled() -> Any:
    import numba

    return numba.njit(**_OPTIONS)(linked(have_done, _OPTIONS))


def _done(board: Any, answer: Any, kept: Any) -> None:
    """Stands for what `shared_form` makes for one loop: has the job `kept` done, and writes what came of it."""
    raise DeviceError(_NOT_COMPILED)


# numba compiles functions of so and so many arguments: these have a loop of so many done in pieces.
_TAKING: tuple[Callable[..., None], ...] = (
    lambda board, answer, pieces, a: _done(board, answer, (pieces, a)),
    lambda board, answer, pieces, a, b: _done(board, answer, (pieces, a, b)),
    lambda board, answer, pieces, a, b, c: _done(board, answer, (pieces, a, b, c)),
    lambda board, answer, pieces, a, b, c, d: _done(board, answer, (pieces, a, b, c, d)),
    lambda board, answer, pieces, a, b, c, d, e: _done(board, answer, (pieces, a, b, c, d, e)),
    lambda board, answer, pieces, a, b, c, d, e, f: _done(board, answer, (pieces, a, b, c, d, e, f)),
    lambda board, answer, pieces, a, b, c, d, e, f, g: _done(board, answer, (pieces, a, b, c, d, e, f, g)),
    lambda board, answer, pieces, a, b, c, d, e, f, g, h: _done(board, answer, (pieces, a, b, c, d, e, f, g, h)),
    lambda board, answer, pieces, a, b, c, d, e, f, g, h, i: _done(board, answer, (pieces, a, b, c, d, e, f, g, h, i)),
    lambda board, answer, pieces, a, b, c, d, e, f, g, h, i, j: _done(
        board, answer, (pieces, a, b, c, d, e, f, g, h, i, j)
    ),
    lambda board, answer, pieces, a, b, c, d, e, f, g, h, i, j, k: _done(
        board, answer, (pieces, a, b, c, d, e, f, g, h, i, j, k)
    ),
)


def shared_form(one: Loop, machine: Any, kinds: Sequence[Any]) -> Any:
    """The function (board, answer, pieces, *arguments) that has a compiled loop done in pieces, and writes into answer
    what `have_done` returns. pieces (count, numbers) are what the last of its arguments, from `begin` on, are in each;
    `kinds` are the types of the others."""
    import numba
    from numba import types

    have_done, caller, address = _have_done_compiled(), _caller(machine), _address_of_values()

    @numba.njit(**_OPTIONS)
    def done(board, answer, kept):
        answer[0] = have_done(board, caller(kept), address(kept), len(kept[0]))

    name = f"shared_{one.function.__module__.rpartition('.')[2]}_{one.function.__name__}"  # by which it is kept
    function = FunctionType(_TAKING[len(kinds) - 1].__code__, {"_done": done}, name)
    function.__module__, function.__qualname__ = one.function.__module__, name
    board, pieces = types.Array(types.int64, 1, "C"), types.Array(types.int64, 2, "C", readonly=True)
    return numba.njit(types.void(board, board, pieces, *kinds), cache=True, **_OPTIONS)(function)


DROP_INS = ()
