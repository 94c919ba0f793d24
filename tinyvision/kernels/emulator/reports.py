"""What the emulated GPU saw, in words: which thread of which block, which number of which array, in which line."""

import bisect
import ctypes
import re
import subprocess
from pathlib import Path
from typing import Any

STATIC, ASKED = -1, -2  # shared memory that the text declares, and that the launch asks for; as in machine.h


class Failure(ctypes.Structure):
    """As in machine.h."""

    _fields_ = [("kind", ctypes.c_char * 16), ("words", ctypes.c_char * 256), ("number", ctypes.c_long),
                *((n, ctypes.c_int) for n in ("array", "bytes", "writes", "wrote", "later")),
                *((n, ctypes.c_uint) for n in ("thread", "other_thread")),
                *((n, ctypes.c_ulong) for n in ("block", "other_block")),
                *((n, ctypes.c_void_p) for n in ("pc", "other_pc"))]  # fmt: skip


def words(seen: Failure, library: Path, beginning: int, arrays: list, grid: Any, block: Any) -> tuple[str, int | None]:
    """(what happened, the line of the text or None). `arrays`: (name, array) in the order of the launch."""
    kind = seen.kind.decode()
    line = _line(library, beginning, seen.pc)
    who = _who(seen.thread, seen.block, grid, block)
    if kind in ("barriers", "refused"):
        return f"{who}: {seen.words.decode()}", line
    if kind == "endless":
        at = "" if line is None else f"; it is in line {line}"
        return f"{who} has taken 50,000 steps and not ended{at}. Is there a loop that never ends?", line
    if kind == "division":
        return f"{who} divides an integer by zero in line {seen.other_thread}.", seen.other_thread
    if kind == "declared":
        told = f"{who} uses number {seen.number} of an array that has fewer, in line {seen.other_thread}."
        return told, seen.other_thread
    what, limits = _number(seen, library, arrays)
    does = "writes" if seen.writes else "reads"
    if kind == "outside":
        return f"{who} {does} {what}{_in(line)}{limits}.", line
    if kind == "unwritten":
        return f"{who} reads {what}{_in(line)}, which nobody has written.", line
    if kind == "unaligned":
        return f"{who} {does} {seen.bytes} bytes at {what}{_in(line)}, at an address that is no multiple of that.", line
    other = _who(seen.other_thread, seen.other_block, grid, block)
    did = "writes only later" if seen.later else "wrote" if seen.wrote else "read"
    if seen.other_block == seen.block:
        why = "nothing says which comes first: between the two, __syncthreads() is missing"
    else:
        why = "blocks run in any order, so nothing says which comes first"
    then = _line(library, beginning, seen.other_pc)
    return f"{who} {does} {what}{_in(line)}, which {other} {did}{_in(then)}; {why}.", line


def _in(line):
    return "" if line is None else f" in line {line}"


def _who(thread, block, grid, size):
    return f"thread {_place(thread, size)} of block {_place(block, grid)}"


def _place(number, sizes):
    """7, or (3, 1) where there are rows as well: (x, y, z) as a kernel sees them."""
    x, y, z = number % sizes[0], number // sizes[0] % sizes[1], number // (sizes[0] * sizes[1])
    if sizes[2] > 1:
        return (x, y, z)
    return (x, y) if sizes[1] > 1 else x


def _number(seen, library, arrays):
    """("x[1030]", ", but x has 1000 numbers, 0 to 999")."""
    if seen.array >= 0:
        name, array = arrays[seen.array]
        return f"{name}[{seen.number}]", f"; {name} has {array.size} numbers, 0 to {array.size - 1}"
    if seen.array == STATIC:
        return _declared(library, seen), "; that is beyond the shared memory that the kernel declares"
    if seen.array == ASKED:
        return f"byte {seen.number} of the shared memory", ""
    if abs(seen.number) < 4096:
        return "through a null pointer", "; nothing lies there"
    return "at an address far from all arrays", "; is an index negative, or not yet computed?"


def _declared(library, seen):
    """The variable in shared memory that holds a byte, by the symbols of the library."""
    told = subprocess.run(["nm", "-C", "-n", str(library)], capture_output=True, text=True, check=False).stdout
    symbols = [(int(a, 16), n) for a, n in re.findall(r"^([0-9a-f]+) \w (.+)$", told, re.M)]
    begin = next((a for a, n in symbols if n == "__start_shared_memory"), None)
    inside = [(a - begin, n.rpartition("::")[2]) for a, n in symbols if begin is not None and "::" in n and a >= begin]
    at = bisect.bisect_right([offset for offset, _ in inside], seen.number) - 1
    if at < 0:
        return f"byte {seen.number} of the shared memory"
    offset, name = inside[at]
    return f"number {(seen.number - offset) // max(seen.bytes, 1)} of {name}"


def _line(library, beginning, pc):
    """The line of the text in which an address of the machine code lies."""
    if not pc:
        return None
    try:
        told = subprocess.run(["addr2line", "-i", "-e", str(library), hex(pc - 1 - beginning)],
                              capture_output=True, text=True, check=False).stdout  # fmt: skip
    except FileNotFoundError:
        return None
    found = re.search(r"(?:kernel\.cu|\.cpp):(\d+)", told)
    return int(found[1]) if found else None
