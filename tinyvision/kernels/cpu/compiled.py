"""Compiling the loops of this room, keeping them on disk, and finding them there again."""

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from ... import threads
from ...errors import DeviceError
from ...folders import cache_dir, cache_dir_if_known

# The files that hold loops and drop-ins.
MODULES = (
    "crew",
    "activation",
    "activation_families",
    "prelu",
    "channels",
    "pool",
    "along",
    "norm",
    "group_norm",
    "layer_norm",
    "pointwise",
    "winograd",
    "depthwise",
    "grouped",
    "direct",
    "transposed",
    "columns",
    "linear",
    "loss",
    "loss_pointwise",
    "sgd",
    "adam",
)

_CONSTANTS = (
    "blocks.py",
    "kernels/ways.py",
    "ops/activation_smooth.py",
    "ops/convolution/planes.py",
    "ops/convolution/sliding.py",
    "ops/convolution/winograd.py",
    "ops/erf.py",
)
COMPLETE = "complete"  # this file says that all loops beside it are there, and for which processor
_NO_COLOURS = "NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING"

_Function = TypeVar("_Function", bound=Callable[..., Any])
_parts: set[Callable[..., Any]] = set()
_instructions: dict[Callable[..., Any], Callable[[], Any]] = {}


class Loop:
    """A plain Python function over arrays, and what it becomes once it is compiled: `run`, and `shared` if it has a
    `begin`, the form that `crew` has several threads do in pieces."""

    def __init__(self, function: Callable[..., None], signature: str, writes: str, apart: bool) -> None:
        self.function, self.signature, self.writes, self.apart = function, signature, writes.split(), apart
        self.run = function
        self.shared: Any = None
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> None:
        self.run(*arguments)


def part(function: _Function) -> _Function:
    """Mark a function to be compiled into the loops of its file that call it, as other loops are. Called from Python,
    it is what it is."""
    _parts.add(function)
    return function


def instructions(as_machine_code: Callable[[], Any]) -> Callable[[_Function], _Function]:
    """Mark a function whose compiled form is spelled out: as_machine_code() returns it as an intrinsic of numba's."""

    def mark(function: _Function) -> _Function:
        _instructions[function] = as_machine_code
        return function

    return mark


def loop(signature: str, writes: str, apart: bool = True) -> Callable[[Callable[..., None]], Loop]:
    """Mark a function to be compiled for arguments of these types, in numba's spelling: f4[:, ::1] is a C-ordered
    matrix of float32, u1 a byte, i8 an int64, f8 a double, b1 a bool. `writes` names the arrays that it changes; the
    others may be read-only. `apart`: nobody else looks at them meanwhile, and no two of them share memory."""
    return lambda function: Loop(function, signature, writes, apart)


_lock = threading.RLock()  # a thread that forks while it loads must not wait for itself
_ready: bool | None = None  # None: nobody has asked yet


if hasattr(os, "register_at_fork"):  # a child must not be born while another thread loads
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def ready() -> bool:
    """Whether all loops are compiled and loaded. The first answer looks for them on disk and stands for good."""
    global _ready
    if _ready is None:
        with _lock:
            if _ready is None:
                _ready = _load()
        threads.prepare()  # loops on one thread do not ask for it
    return _ready


def installed() -> bool:
    """Whether numba could be imported."""
    return importlib.util.find_spec("numba") is not None


def folder() -> Path:
    """Where the compiled loops of this version are kept: another one of tinyvision, Python or numba has its own."""
    seen = hashlib.sha256()
    for name in ("numba", "llvmlite", "numpy"):
        seen.update(f"{name} {importlib.metadata.version(name)} ".encode())
    seen.update(str(sys.implementation.cache_tag).encode())
    for path in sources():
        seen.update(f"{path} {path.stat().st_mtime_ns} ".encode())  # numba goes by these
        seen.update(path.read_bytes())
    return cache_dir() / "compiled" / seen.hexdigest()[:16]


def sources() -> list[Path]:
    """The files that machine code is made of: all of this room, as loops take in parts of one another, and those
    elsewhere whose constants they hold. Numba itself looks at the file of a loop alone."""
    here = Path(__file__).parent
    package = here.parents[1]
    return [*sorted(here.glob("*.py")), *(package / name for name in _CONSTANTS)]


def is_complete() -> bool:
    """Whether a process that starts now would find all loops on disk, compiled for a processor like this."""
    return installed() and cache_dir_if_known() is not None and (folder() / COMPLETE).is_file()


def compile_all(tell: Callable[[str], None] = lambda text: None) -> Path:
    """Compile every loop that is not on disk yet, `tell` of each, and return their folder.

    Raises DeviceError without numba, OSError where nothing can be written."""
    if not installed():
        raise DeviceError('compiled loops need numba, which is not installed: pip install "tinyvision[fast]"')
    place = folder()
    with _lock:
        try:
            _compile_into(place, tell)
        except OSError:
            raise
        except Exception:  # a file of an earlier time that was cut off
            shutil.rmtree(place)
            _compile_into(place, tell)
    temporary = place / f"{COMPLETE}.{os.getpid()}"
    temporary.write_text(_processor(), encoding="utf-8")
    temporary.replace(place / COMPLETE)
    return place


def compile_beside() -> bool:
    """Start a process of low priority that compiles what is missing, for the processes of later; False if nothing is.

    This one goes on without: its first answer to `ready` stands. The other ends by itself, in a minute or so, also if
    this one ends before. TINYVISION_COMPILE=off forbids it."""
    off = "off" in (os.environ.get("TINYVISION_KERNELS"), os.environ.get("TINYVISION_COMPILE"))
    if off or not installed() or is_complete():
        return False
    ready()
    code = f"import {__name__} as it; it.compile_quietly()"
    above = str(Path(__file__).parents[3])
    path = os.pathsep.join([above, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment, nowhere = {**os.environ, "PYTHONPATH": path}, subprocess.DEVNULL
    try:
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
    except OSError:  # the system allows no more processes
        return False
    return True


def compile_quietly() -> None:
    """`compile_all` behind whatever else the machine does, unless another process is at it already. What goes wrong,
    `tinyvision doctor --compile` will say."""
    if hasattr(os, "nice"):
        os.nice(10)
        if os.getsid(0) == os.getpid():
            with suppress(OSError):  # Linux weighs sessions against each other, and a process within its own alone
                Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    with suppress(OSError), _alone_in(folder()):
        compile_all()


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    """No other process is in such a block for this folder; the lock ends with its process. Raises BlockingIOError.

    Systems without `flock` go without: what two processes compile at once is right, and done twice."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def forgo() -> None:
    """Leave everything to NumPy in this process, if nothing has been computed yet."""
    global _ready
    with _lock:
        if _ready is None:
            _ready = False


def _compile_into(place, tell):
    place.mkdir(parents=True, exist_ok=True)
    with _kept_in(place):
        for name, one in _loops():
            tell(name)
            _shared(one, _machine(one))


def _load():
    if not is_complete():
        return False
    place = folder()
    try:
        if (place / COMPLETE).read_text(encoding="utf-8") != _processor():
            return False  # a home directory that several machines share
        with _kept_in(place):
            machines = [(one, machine, _shared(one, machine)) for one, machine in _machines()]
    except MemoryError:
        warnings.warn("there is no memory for the compiled loops; NumPy does all the work", stacklevel=2)
        return False
    except Exception as error:
        again = "NumPy does all the work until `tinyvision doctor --compile` has made them again"
        warnings.warn(f"the compiled loops in {place} cannot be loaded ({error!r}); {again}", stacklevel=2)
        return False
    for one, machine, shared in machines:
        one.run, one.shared = machine, shared
    return True


def _machines():
    return ((one, _machine(one)) for _, one in _loops())


def _loops():
    for module in MODULES:
        for name, value in vars(importlib.import_module(f"{__package__}.{module}")).items():
            if isinstance(value, Loop) and value.function.__module__ == f"{__package__}.{module}":
                yield f"{module}: {name}", value


def _machine(one):
    """The loop as machine code: from disk, or compiled now."""
    import numba
    from numba import types

    options = _options(one)
    return numba.njit(types.void(*_kinds(one)), cache=True, **options)(linked(one.function, options))


def _shared(one, machine):
    """The form in which several threads do a loop from `begin` to an end, in pieces; None for a loop without."""
    names = one.function.__code__.co_varnames[: one.function.__code__.co_argcount]
    if "begin" not in names:
        return None
    crew = importlib.import_module(f"{__package__}.crew")
    return crew.shared_form(one, machine, _kinds(one)[: names.index("begin")])


def _options(one):
    """A product and a sum may become one instruction; nothing is reordered, so NaN and infinities stay as they are."""
    return {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, **(_apart() if one.apart else {})}


def llvm() -> Any:
    """The instructions of LLVM, in which numba writes its programs: for those that are spelled out."""
    return importlib.import_module("llvmlite.ir")


def linked(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """The same function, which finds compiled ones under the names of parts, instructions and other loops."""
    import numba

    compiled, names, parts = numba.njit(**options), function.__globals__, {}
    for name in function.__code__.co_names:
        found = names.get(name)
        if isinstance(found, Loop):
            parts[name] = compiled(linked(found.function, options))
        elif callable(found) and found in _parts:
            parts[name] = compiled(linked(found, options))
        elif callable(found) and found in _instructions:
            parts[name] = _instructions[found]()
    if not parts:
        return function
    whole = FunctionType(function.__code__, {**names, **parts}, function.__name__, function.__defaults__)
    return functools.update_wrapper(whole, function)


def _kinds(one):
    """The types of the arguments: an array that is only read is declared so, and then any will do."""
    from numba import types
    from numba.core.sigutils import normalize_signature

    given, _ = normalize_signature(one.signature)
    names = one.function.__code__.co_varnames
    return [
        kind.copy(readonly=True) if isinstance(kind, types.Array) and name not in one.writes else kind
        for name, kind in zip(names, given, strict=False)
    ]


def _apart():
    """The option which says that no two arrays of a call share memory where one of them is written, as none of ours do.
    Without it, a loop that writes to several rows first looks whether any two of them overlap. numba has the option for
    parallel loops of its own, but no name by which it could be asked for."""
    from numba.core import compiler, cpu, options

    if not hasattr(compiler.Flags, "noalias"):  # another numba: its loops are right, and slower
        return {}
    if not hasattr(cpu.CPUTargetOptions, "noalias"):
        cpu.CPUTargetOptions.noalias = options.TargetOptions.Mapping("noalias")
    return {"noalias": True}


def features() -> list[str]:
    """What numba may use of the processor, as "+avx2": all that it has, if NUMBA_CPU_FEATURES says nothing else."""
    import llvmlite.binding

    told = os.environ.get("NUMBA_CPU_FEATURES")
    return (llvmlite.binding.get_host_cpu_features().flatten() if told is None else told).split(",")


def _processor():
    import llvmlite.binding

    name = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    return f"{name} {','.join(features())}"


def _numba() -> Any:
    """numba, imported without the colours of its messages: with them, where colorama is installed, it writes to every
    terminal at exit, also to one that understands no colours."""
    before = os.environ.get(_NO_COLOURS)
    os.environ[_NO_COLOURS] = "1"
    try:
        numba = importlib.import_module("numba")
    finally:
        if before is None:
            del os.environ[_NO_COLOURS]
        else:
            os.environ[_NO_COLOURS] = before
    numba.config.reload_config()  # or it would notice the change later, and forget where it is to keep what it compiles
    return numba


@contextmanager
def _kept_in(place: Path) -> Iterator[None]:
    """numba has one folder for all that it keeps; here it is ours for a moment."""
    config = _numba().config
    before, config.CACHE_DIR = config.CACHE_DIR, str(place)
    try:
        yield
    finally:
        config.CACHE_DIR = before
