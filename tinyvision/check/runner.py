"""Calling other people's functions safely: time limit, captured output, exceptions, and what they changed.

A call may compute for so many seconds: what counts is the CPU time of its thread, so that a busy machine calls nothing
endless, and a limit of `PATIENCE` times as much on the clock ends what sleeps or waits for input.

It is cut off by `signal.setitimer` when the checker runs in the main thread, and otherwise by a watchdog thread
that raises inside the caller (`PyThreadState_SetAsyncExc`). Both interrupt Python code between two bytecodes: a loop
written in Python is always stopped, a single call into compiled code is stopped only when it returns.
"""

import contextlib
import ctypes
import functools
import inspect
import io
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..device import to_numpy
from .place import Place, is_array

TIME_LIMIT = 10.0  # seconds one call may compute; the probes are small enough for seven nested Python loops
PATIENCE = 4  # times that limit, on the clock, one call may take
_AGAIN = 0.05  # seconds after which a cut that was swallowed is made again
_PRINTED = 1 << 20  # characters that one call may print and have kept


class _CutOff(BaseException):
    """Raised inside a function that takes too long; not an Exception, so that `except Exception` lets it through."""


@dataclass
class Call:
    """What one call did: `value`, or the `error` it raised, with the place in the caller's file."""

    value: object = None
    error: BaseException | None = None
    cut_off: bool = False
    waited: bool = False  # it was cut off while it computed little: it slept, or waited for something
    file: str | None = None
    line: int | None = None
    printed: str = ""
    changed: tuple = ()  # names of the arguments it changed in place

    @property
    def ok(self) -> bool:
        """True when the function returned."""
        return self.error is None and not self.cut_off


class _Printed(io.StringIO):
    """What a call prints, up to a length: an endless loop that prints is no end to memory."""

    def write(self, text: str) -> int:
        """Keep what there is room for, and say that all was written."""
        super().write(text[: max(0, _PRINTED - self.tell())])
        return len(text)


class Spent:
    """What a thread has spent since this was made: seconds of CPU by `clock`, and seconds on the wall."""

    def __init__(self, seconds: float, clock: Any) -> None:
        self.seconds, self._clock = seconds, clock
        self._cpu, self._wall = clock(), time.monotonic()

    @property
    def left(self) -> float:
        """The least number of seconds after which a limit can be reached; 0 or less when one is."""
        wall = time.monotonic() - self._wall
        return min(self.seconds - (self._clock() - self._cpu), PATIENCE * self.seconds - wall)

    @property
    def little(self) -> bool:
        """True if hardly any of it was CPU."""
        return self._clock() - self._cpu < self.seconds / PATIENCE


def _cpu_clock():
    """A function for the CPU seconds of this thread that another may call; the clock on the wall where none can."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(threading.get_ident())
    return lambda: time.clock_gettime(clock)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[Spent]:
    """Raise inside the block after `seconds` of CPU or `PATIENCE` times as many on the clock, and again every 50 ms
    in case the first one was swallowed."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with _alarm(Spent(seconds, time.thread_time)) as spent:
            yield spent
    else:
        with _watchdog(Spent(seconds, _cpu_clock())) as spent:
            yield spent


@contextlib.contextmanager
def _alarm(spent):
    over = False

    def ring(signum, frame):
        if over:  # it rang just before the end, and is heard now: wound up again, it would ring for nobody and be fatal
            return
        signal.setitimer(signal.ITIMER_REAL, max(spent.left, _AGAIN))
        if spent.left <= 0:
            raise _CutOff

    previous = signal.signal(signal.SIGALRM, ring)
    left = signal.setitimer(signal.ITIMER_REAL, spent.seconds)
    try:
        yield spent
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if left[0]:
            signal.setitimer(signal.ITIMER_REAL, *left)


@contextlib.contextmanager
def _watchdog(spent):
    caller, done, gate = threading.get_ident(), threading.Event(), threading.Lock()

    def watch():
        pause = spent.seconds
        while not done.wait(pause):
            with gate:
                if done.is_set():  # the caller may have ended, and its clock with it
                    return
                if spent.left <= 0:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(caller), ctypes.py_object(_CutOff))
                pause = max(spent.left, _AGAIN)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield spent
    finally:
        # An exception that was sent but has not arrived must not escape into the checker. It is waited for, and not
        # taken back: taking back leaves CPython 3.11's evaluation loop looking for it, in every thread and for good,
        # and a function that is traced or profiled afterwards never begins.
        while True:
            try:
                with gate:
                    done.set()
                for _ in range(2):  # it arrives at a jump back
                    pass
                break
            except _CutOff:
                continue


def call(
    function: Any,
    arrays: Any,
    options: dict[str, Any] | None = None,
    watch: Any = None,
    seconds: float = TIME_LIMIT,
    at: Place | None = None,
) -> Call:
    """Call `function(*arrays, **options)` and report everything that happened.

    `arrays` are handed over as they are; `watch` (name -> array or nested structure of arrays) is compared before and
    after; `at` is where it computes. KeyboardInterrupt passes through."""
    before = {name: snapshot(value) for name, value in (watch or {}).items()}
    out, result = _Printed(), Call()
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
            warnings.catch_warnings(),
            np.errstate(all="ignore"),
        ):
            warnings.simplefilter("ignore")
            with time_limit(seconds) as spent, at.running() if at else contextlib.nullcontext():
                result.value = function(*arrays, **(options or {}))
    except KeyboardInterrupt:
        raise
    except _CutOff as cut:
        result.cut_off, result.waited = True, spent.little
        result.file, result.line = innermost(cut, function)
    except BaseException as error:  # a learner's exit() or RecursionError is a finding, not our end
        result.error = error
        result.file, result.line = innermost(error, function)
    result.printed = "" if out.closed else out.getvalue()
    result.changed = tuple(name for name, old in before.items() if changed(old, (watch or {})[name]))
    return result


def unwrap(function: Any) -> Any:
    """The plain Python function behind partials, methods, decorators and callable objects."""
    for _ in range(20):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not hasattr(function, "__code__") and "__call__" in vars(type(function)):
            function = vars(type(function))["__call__"]
        else:
            break
    return function


def location(function: Any) -> Any:
    """(file, first line) of a function, or (None, None) when it was not written in Python."""
    code = getattr(unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else (None, None)


def name_of(function: Any) -> str:
    """The function's name as its author wrote it."""
    return getattr(unwrap(function), "__name__", type(function).__name__)


def is_object(function: Any) -> bool:
    """True for a bound method or a callable object, whose state is its own."""
    return inspect.ismethod(function) or not inspect.isroutine(function)


def words_of(error: BaseException) -> str:
    """What an exception says; nothing if its own str, which may be anybody's, fails."""
    try:
        return str(error)
    except Exception:
        return ""


def named(error: BaseException) -> str:
    """The error's type and the beginning of its words, as they are: who shows them makes them printable."""
    return f"{type(error).__name__}: {words_of(error)[:300]}".removesuffix(": ")


def described(error: BaseException) -> str:
    """The error's type and words in at most 300 printable characters on four lines, even if its own str fails."""
    lines = words_of(error).strip().splitlines()
    lines = lines if len(lines) <= 4 else [*lines[:3], "..."]
    text = "\n  ".join("".join(c if c.isprintable() else " " for c in line) for line in lines)
    name = "SystemExit (it calls exit)" if isinstance(error, SystemExit) else type(error).__name__
    text = name if text in ("", "None") else f"{name}: {text}"
    return text if len(text) <= 300 else text[:297] + "..."


def innermost(error: BaseException, function: Any) -> Any:
    """(file, line) of the deepest frame in the file the function was written in; else of the function itself."""
    file, line = location(function)
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = number
    return file, line


def snapshot(value: Any, depth: int = 0) -> Any:
    """A copy of every array inside nested tuples, lists, dicts and plain objects, to compare with later."""
    if is_array(value):
        return value, to_numpy(value).copy()
    if depth > 6:
        return None
    if isinstance(value, dict):
        return [snapshot(v, depth + 1) for v in value.values()]
    if isinstance(value, (tuple, list)):
        return [snapshot(v, depth + 1) for v in value]
    if hasattr(value, "__dict__") and not callable(value) and not inspect.ismodule(value):
        return [snapshot(v, depth + 1) for v in vars(value).values()]
    return None


def changed(old: Any, new: Any = None) -> Any:
    """True if any array remembered in a snapshot no longer holds the numbers it held."""
    if isinstance(old, tuple):
        array, copy = to_numpy(old[0]), old[1]
        return array.shape != copy.shape or not np.array_equal(array, copy, equal_nan=array.dtype.kind in "fc")
    if isinstance(old, list):
        return any(changed(part) for part in old)
    return False


@dataclass
class Signature:
    """What a function's parameter list accepts."""

    missing: list = field(default_factory=list)  # options it has no parameter for
    parameters: list = field(default_factory=list)
    too_few: bool = False


def parameters(function: Any) -> dict[str, inspect.Parameter] | None:
    """A function's parameters by name, without self; None where it does not tell."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None


def accepts(function: Any, count: int, options: dict[str, Any]) -> Signature | None:
    """Compare `function(*count arrays, **options)` with its parameter list; None when it fits or cannot be known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*[None] * count, **options)
        return None
    except TypeError:
        names = list(signature.parameters)
        extra = [o for o in options if o not in signature.parameters]
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        return Signature([] if takes_any else extra, names, True)
