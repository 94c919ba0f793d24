"""What the checks of kernel exercises are made of: a learner's CUDA C, built and run by the emulated GPU.

The exercise's file holds the kernel as a string named KERNEL. Lines that are told are lines of that file. Where there
is a GPU, a kernel that passed runs there as well: the numbers must be the same.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..check import Finding, Report
from ..device import is_available, synchronize, to_device
from ..errors import DeviceError
from ..kernels import emulator, machine_code
from ..kernels.emulator.building import MOST_SHARED
from ..kernels.emulator.memory import never_written
from . import lab

TOLERANCE = 1e-5  # of the largest number: float32, and sums in another order


@dataclass(frozen=True)
class Out:
    """An array that the kernel has to write."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One launch: `threads` in each of `grid` blocks, `arguments` by the kernel's parameters (arrays, `Out`, integers),
    and the numbers that are `right` for each `Out`."""

    grid: tuple[int, int, int]
    threads: tuple[int, ...]
    arguments: dict[str, Any]
    right: dict[str, Any]


def kernel(your: Any, name: str, cases: Sequence[Case], missing: str) -> Report:
    """Judge `your.KERNEL`, which defines the kernel `name`, on all cases, with threads in their order and backwards.

    What is found is a `lab.Wrong`. Without a compiler, the report says why nothing was judged, and has not passed."""
    text, at = _placed(your)
    _complete(text, missing, at)
    problem = emulator.problem()
    if problem is not None:
        told = f"Not judged: {problem}."
        return Report("", [Finding("KERNEL", told, kind="skipped", certainty="exact")], status={"KERNEL": "not judged"})
    _in_form(text, name, cases[0], at)
    try:
        built = emulator.build(text, watched=True)
        lab.expect(
            built.declared_shared() <= MOST_SHARED,
            f"It declares {built.declared_shared():,} bytes of shared memory; a block has {MOST_SHARED:,}.",
            "KERNEL",
        )
        if foreign := built.foreign():
            raise _wrong(f"It calls {', '.join(foreign)}, which no GPU has.", at)
        for case in cases:
            for order in (0, 1):
                _compare(_emulated(built, name, case, order), case, at)
    except emulator.EmulatorError as error:
        raise _wrong(_told(error), at, error.line, error.kind) from None
    _lift_the_limit_on_memory()
    if is_available():
        for case in cases:
            _compare(_on_the_gpu(text, name, case, at), case, at, " That is on the GPU; emulated, it was right.")
    return lab.done("KERNEL")


def _lift_the_limit_on_memory():
    """A driver reserves more addresses than a learner's code may take, which by now has done its work."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


@dataclass(frozen=True)
class _At:
    """The file that the text is in, or None."""

    file: str | None


def _placed(your):
    """The text, with as many empty lines before it as there are in its file, and where it is."""
    text = your.KERNEL
    if not isinstance(text, str):
        raise lab.Wrong(f"KERNEL must be a string with CUDA C in it, and is a {type(text).__name__}.", "KERNEL")
    file = getattr(your, "__file__", None)
    if file is None:
        return text, _At(None)
    if not text:  # it is nowhere in particular
        return text, _At(str(file))
    before, found, _ = Path(file).read_text(encoding="utf-8").partition(text)
    return "\n" * before.count("\n") * bool(found) + text, _At(str(file))


def _wrong(message, at, line=None, seen=None):
    wrong = lab.Wrong(message, "KERNEL", line=line)
    wrong.finding = replace(wrong.finding, signature=seen, file=at.file if line else None)
    return wrong


def _complete(text, missing, at):
    bare = emulator.without_comments(text).split("\n")
    holes = [number for number, line in enumerate(bare, 1) if "..." in line]
    if holes:
        lines = f"line {holes[0]}" if len(holes) == 1 else f"lines {', '.join(map(str, holes[:-1]))} and {holes[-1]}"
        wrong = _wrong(f"Still missing: {missing}. Replace the ... on {lines}.", at, holes[0])
        wrong.finding = replace(wrong.finding, kind="missing")
        raise wrong


def _in_form(text, name, case, at):
    if (why := emulator.refused(text)) is not None:
        raise _wrong(f"{why}.", at)
    found = emulator.parameters(text).get(name)
    if found is None:
        raise _wrong(f'It defines no kernel {name}: extern "C" __global__ void {name}(...).', at)
    wanted = [(_type(value), key) for key, value in case.arguments.items()]
    if [kind for kind, _ in found] != [kind for kind, _ in wanted]:
        shown = ", ".join(f"{kind} {key}" for kind, key in wanted)
        raise _wrong(f"{name} must keep its parameters: {shown}.", at)


def _type(value):
    if isinstance(value, np.ndarray):
        return "int*" if value.dtype.kind == "i" else "float*"
    return "float*" if isinstance(value, Out) else "int"


def _told(error):
    if error.kind == "text":
        lines = str(error).split("\n")[1:] or [str(error)]
        errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
        return f"g++ cannot build it: {errors[0] if errors else ' '.join(lines)[:300]}."
    message = str(error).partition(": ")[2]
    return message[:1].upper() + message[1:]


def _emulated(built, name, case, order):
    memory = emulator.Memory()
    values = [_value(a, memory.array, memory.empty) for a in case.arguments.values()]
    given = [not isinstance(a, Out) for a in case.arguments.values()]
    built.launch(name, case.grid, case.threads, *values, order=order, given=given)
    return {key: v for (key, a), v in zip(case.arguments.items(), values, strict=True) if isinstance(a, Out)}


def _on_the_gpu(text, name, case, at):
    """The same launch on GPU 0. A kernel that the emulated GPU refuses never comes here."""
    try:
        function = machine_code.compiled(text, 0).get_function(name)
    except DeviceError as error:
        raise _wrong(f"CUDA's own compiler does not accept it: {error}", at) from None
    fresh = emulator.Memory()
    values = [_value(a, lambda x: to_device(x, "cuda:0"), lambda s: to_device(np.array(fresh.empty(s)), "cuda:0"))
              for a in case.arguments.values()]  # fmt: skip
    function(case.grid, (*case.threads, 1, 1)[:3], tuple(values))
    synchronize("cuda:0")
    return {
        k: to_device(v, "cpu") for (k, a), v in zip(case.arguments.items(), values, strict=True) if isinstance(a, Out)
    }


def _value(argument, array, empty):
    if isinstance(argument, Out):
        return empty(argument.shape)
    if isinstance(argument, np.ndarray):
        return array(argument.astype(np.int32 if argument.dtype.kind == "i" else np.float32))
    return np.int32(argument)


def _compare(results, case, at, after=""):
    for key, result in results.items():
        left = never_written(result)
        if left.any():
            index = [int(i) for i in np.argwhere(left)[0]]
            count = f"{int(left.sum())} of {left.size} numbers are as they were"
            raise _wrong(f"No thread has written {key}{index}: {count}.{after}", at, None, "unwritten")
        try:
            lab.equal(result, case.right[key], key, None, _launched(case) + after, TOLERANCE)
        except lab.Wrong as wrong:
            found = wrong.finding
            wrong.finding = replace(found, file=None, line=None)  # no line is more to blame than another
            raise wrong from None


def _launched(case):
    numbers = ", ".join(f"{k} = {v}" for k, v in case.arguments.items() if not isinstance(v, (np.ndarray, Out)))
    blocks, threads = (" × ".join(str(n) for n in s if n > 1) or "1" for s in (case.grid, case.threads))
    return f"Launched: {blocks} block{'s' * (blocks != '1')} of {threads} threads, {numbers}."
