"""Building CUDA texts with g++, and launching their kernels on NumPy arrays.

A text is built once and kept in a folder. What all texts share (the machine) is built once as well.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TinyVisionError
from ...folders import cache_dir
from ...types import Array
from .reports import Failure, words
from .texts import parameters, signatures

HERE = Path(__file__).parent
TYPES = {"float": np.float32, "double": np.float64, "int": np.int32, "long long": np.int64, "unsigned char": np.uint8,
         "unsigned short": np.uint16}  # fmt: skip
STRIDED = ("correlate", "winograd_kernel", "arrange")  # these are told the strides of an output, or of their kernels
MOST_THREADS, MOST_SHARED = 1024, 48 << 10  # of a block: threads, and bytes of the shared memory that a text declares
COMPILER = shutil.which("g++")
FLAGS = [
    "-std=c++17",
    "-fPIC",
    "-fno-strict-aliasing",
    "-Wno-unknown-pragmas",
    "-Wno-parentheses",
    "-ffp-contract=off",
    "-fno-exceptions",
]
WATCHED = ["-O1", "-g1", "-fsanitize=thread", "-fsanitize=bounds,integer-divide-by-zero",
           "-fsanitize-coverage=trace-pc", "-ftrivial-auto-var-init=pattern", "-Wuninitialized",
           "-Werror=uninitialized", "-Werror=frame-larger-than=32768", "-fno-diagnostics-show-option",
           "-fdiagnostics-color=never"]  # fmt: skip
_TENSOR_CORES = ("mma_tf32", "copy16", "wgmma", "put16", "load16", "OF_KIND", "to_fp16")
# A jump to itself. g++ counts no steps where there is no code, so that this loop alone must be found before it runs.
_NOTHING_FOREVER = re.compile(r"^(\.L\w+):\n(?:\t\.(?:loc|cfi_\w+|p2align)\b.*\n|\.L\w+:\n)*\t(?:jmp|b)\t\1$", re.M)
_LARGEST_FILE, _BUILD_SECONDS = 64 << 20, 120  # of what g++ may write and take
_KEEP = 100  # texts of the user


class EmulatorError(TinyVisionError, AssertionError):
    """A kernel did something that no GPU would forgive. `line` of the text, where it is known; `kind` in one word:
    "text", "refused", "outside", "race", "unwritten", "barriers", "endless", "unaligned", "declared", "division"."""

    def __init__(self, message: str, kind: str = "refused", line: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.line = kind, line


@cache
def problem() -> str | None:
    """Why no kernel can be emulated here, or None."""
    if sys.platform != "linux":
        return "kernels are emulated on Linux only"
    if COMPILER is None:
        return "kernels are built for the CPU by g++, which is not installed here"
    return None


def _run(command: list[str], what: str) -> None:
    def bound():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CPU, (_BUILD_SECONDS, _BUILD_SECONDS))

    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_BUILD_SECONDS, preexec_fn=bound
        )
    except subprocess.TimeoutExpired:
        raise EmulatorError(f"g++ was stopped: {what} took it more than {_BUILD_SECONDS} seconds", "text") from None
    if done.returncode:
        line = next((int(part) for part in _lines_named(done.stderr)), None)
        raise EmulatorError(f"g++ does not accept {what}:\n{done.stderr[:2000]}", "text", line)


def _lines_named(told):
    for line in told.splitlines():
        parts = line.split(":")
        if parts[0] == "kernel.cu" and len(parts) > 3 and parts[1].isdigit() and "error" in parts[3]:
            yield parts[1]


def _kept(folder: Path, name: str, make: Any) -> Path:
    """The file `name` of the folder, made by `make(path)` if it is not there; two who make it at once do no harm."""
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=folder) as own:  # two threads, too, are two
            make(Path(own) / name)
            os.replace(Path(own) / name, path)
    return path


@cache
def _fingerprint():
    texts = sorted(HERE.glob("*.h")) + sorted(HERE.glob("*.cpp"))
    return hashlib.sha256(b"".join([*(p.read_bytes() for p in texts), *map(str.encode, FLAGS)])).hexdigest()[:12]


def _machine(folder, tensor_cores):
    """The library of fibers and watch, or with all that tensor cores need as well."""
    sources = ["machine", "watch", *(["tensor_cores"] if tensor_cores else [])]

    def make(path):
        files = [str(HERE / f"{name}.cpp") for name in sources]
        _run([str(COMPILER), *FLAGS, "-O1", "-shared", "-o", str(path), *files], "the emulator")

    return _kept(folder, f"{sources[-1]}-{_fingerprint()}.so", make)


def build(text: str, folder: str | Path | None = None, optimise: bool = True, watched: bool = False) -> "Kernels":
    """The kernels of a CUDA text, built once per text and folder (by default, one of the user's cache).

    `watched`: each access to memory is looked at, and threads that never end are stopped. Raises EmulatorError with
    g++'s words for a text that is none, DeviceError where kernels cannot be built."""
    of_the_user = folder is None
    folder = _users_folder() if folder is None else Path(folder)
    machine = _machine(folder, any(word in text for word in _TENSOR_CORES))
    source = _source(text)
    how = ["-S", *(WATCHED if watched else ["-O1" if optimise else "-O0"])]
    stem = hashlib.sha256("\n".join([source, _fingerprint(), machine.name, *how]).encode()).hexdigest()[:16]

    def make(path):
        cpp, assembly = path.with_suffix(".cpp"), path.with_suffix(".s")
        cpp.write_text(source, encoding="utf-8")
        _run([str(COMPILER), *FLAGS, *how, f"-I{HERE}", "-o", str(assembly), str(cpp)], "the text")
        if watched and _NOTHING_FOREVER.search(assembly.read_text(encoding="utf-8", errors="replace")):
            raise EmulatorError("the text: it has a loop with nothing in it that never ends", "endless")
        link = ["-shared", "-nostdlib", "-o", str(path), str(assembly), str(machine), "-lm"]
        _run([str(COMPILER), *link, f"-Wl,-rpath,{machine.parent}"], "the text")

    path = _kept(folder, f"{stem}.so", make)
    if of_the_user:
        _forget_old(folder)
    return _loaded(text, path, machine)


def prepare() -> None:
    """Build what all watched texts share, which takes a second, once for each user of a machine."""
    _machine(_users_folder(), tensor_cores=False)


@cache
def _users_folder():
    folder = cache_dir() / "emulator"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:  # a home that cannot be written: for this process alone, then
        return Path(tempfile.mkdtemp(prefix="tinyvision-emulator-"))
    return folder


def _forget_old(folder):
    """Keep the newest texts only: a learner builds one at every attempt."""
    found = sorted(folder.glob("[0-9a-f]*.so"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[_KEEP:]:
        path.unlink(missing_ok=True)


@lru_cache(256)
def _loaded(text, path, machine):
    try:
        return Kernels(text, path, machine)
    except OSError as error:  # something is declared, and nowhere defined
        why = str(error).rpartition("undefined symbol: ")[2]
        raise EmulatorError(f"the text cannot be loaded: nothing defines {why}", "text") from None


@lru_cache(256)
def _source(text):
    names = signatures(text)
    table = "".join(
        f'    if (!strcmp(name, "{n}"))\n'
        f"        return emulator::start({n}, grid, block, shared, arguments, order, __start_shared_memory,\n"
        "                               __stop_shared_memory);\n"
        for n in names
    )
    structures = {t for types in names.values() for t in types if t[0].isupper()}
    sizes = "".join(f'    if (!strcmp(name, "{s}")) return sizeof({s});\n' for s in sorted(structures))
    return (
        f'#include "cuda.h"\n#line 1 "kernel.cu"\n{text}\n#line 1 "launch"\n'
        "#define strcmp __builtin_strcmp\n"
        'extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));\n'
        'extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));\n'
        'extern "C" const char __ehdr_start __attribute__((visibility("hidden")));\n'
        'extern "C" const char* launch(const char* name, const unsigned* grid, const unsigned* block,\n'
        "                              unsigned shared, void** arguments, int order) {\n"
        f'{table}    return "there is no such kernel";\n}}\n'
        f'extern "C" long size_of(const char* name) {{\n{sizes}    return -1;\n}}\n'
        'extern "C" const void* beginning() { return &__ehdr_start; }\n'
        'extern "C" long declared_shared() { return __stop_shared_memory - __start_shared_memory; }\n'
    )


class Kernels:
    """The kernels of a text that was built."""

    def __init__(self, text: str, path: Path, machine: Path) -> None:
        self._parameters, self.path = parameters(text), path
        self._machine = ctypes.CDLL(str(machine))  # the one that the text was linked with: there are two
        self._machine.emulator_failure.restype = ctypes.POINTER(Failure)
        self._library = ctypes.CDLL(str(path))
        self._library.launch.restype = ctypes.c_char_p
        for name, kind in (("size_of", ctypes.c_long), ("declared_shared", ctypes.c_long)):
            getattr(self._library, name).restype = kind
        self._library.beginning.restype = ctypes.c_void_p

    def launch(
        self, kernel: str, grid: Any, threads: Any, *arguments: Any, shared: int = 0, order: int = 0,
        given: Any = None,
    ) -> None:  # fmt: skip
        """Run a kernel with `threads` (a number, or up to three) in each of `grid` blocks (x, y, z).

        Arguments are guarded arrays (None is a null pointer), np.int32, np.int64 and np.float32 numbers, and structures
        as 0-d arrays. `order` 0: threads run in their order, 1: backwards, 2: one warp runs far ahead. `given`: for
        each argument, whether it is an array that holds numbers (for the watch; by default all do).

        Raises EmulatorError."""
        block = (threads, 1, 1) if isinstance(threads, int) else (*threads, *(1,) * (3 - len(threads)))
        self._check_call(kernel, grid, block, arguments)
        values = [_value(a) for a in arguments]  # kept alive until the kernel has run
        array = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._tell_arrays(arguments, given)
        failed = self._library.launch(
            kernel.encode(), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared, array, order
        )
        if failed:
            told = self._machine.emulator_failure().contents
            if not told.kind:
                raise EmulatorError(f"{kernel}: {failed.decode()}")
            names = [(n, a) for (_, n), a in zip(self._parameters[kernel], arguments, strict=True) if _is_array(a)]
            message, line = words(told, self.path, self._library.beginning(), names, grid, block)
            raise EmulatorError(f"{kernel}: {message}", told.kind.decode(), line)

    def _tell_arrays(self, arguments, given):
        which = [i for i, a in enumerate(arguments) if _is_array(a)]
        arrays = [arguments[i] for i in which]
        edges = [edge for a in arrays for edge in np.lib.array_utils.byte_bounds(a)]  # strides may be negative
        held = [1 if given is None else int(given[i]) for i in which]
        items = [a.itemsize for a in arrays]
        whole, size = ctypes.c_int * len(arrays), len(arrays)
        self._machine.emulator_arrays(size, (ctypes.c_size_t * len(edges))(*edges), whole(*items), whole(*held))

    def _check_call(self, kernel, grid, block, arguments):
        """What a real launch would refuse, or worse, accept: CuPy and the driver hand over bytes and ask nothing."""
        types = [type_ for type_, _ in self._parameters[kernel]]
        if len(types) != len(arguments):
            raise EmulatorError(f"{kernel}: {len(types)} parameters, but {len(arguments)} arguments")
        if not (1 <= grid[0] < 2**31 and 1 <= grid[1] < 2**16 and 1 <= grid[2] < 2**16):
            raise EmulatorError(f"{kernel}: no GPU has a grid of {grid} blocks")
        if not 1 <= block[0] * block[1] * block[2] <= MOST_THREADS:
            raise EmulatorError(f"{kernel}: no GPU has blocks of {block} threads")
        for type_, argument in zip(types, arguments, strict=True):
            if type_.endswith("*"):
                fits = argument is None or (argument.ndim and argument.dtype == TYPES[type_[:-1]])
                whole = argument is None or argument.flags.c_contiguous
                fits = fits and (whole or kernel.startswith(STRIDED))
            elif type_ in TYPES:
                fits = type(argument) is TYPES[type_]
            else:
                size = self._library.size_of(type_.encode())
                fits = isinstance(argument, np.ndarray) and argument.shape == () and argument.itemsize == size
            if not fits:
                raise EmulatorError(f"{kernel}: a parameter {type_} was given {type(argument)} {argument!r:.60}")

    def declared_shared(self) -> int:
        """How many bytes of shared memory the text declares."""
        return self._library.declared_shared()

    def foreign(self) -> list[str]:
        """The functions that the text calls and that neither CUDA nor g++ has."""
        told = subprocess.run(["nm", "-D", "-u", "-C", str(self.path)], capture_output=True, text=True, check=False)
        names = [
            line.split(maxsplit=1)[1].partition("@")[0] for line in told.stdout.splitlines() if " " in line.strip()
        ]
        return [n for n in names if not _known_to_all(n)]


_OWN = ("emulator::", "__tsan_", "__ubsan_", "__sanitizer_", "threadIdx", "blockIdx", "blockDim", "gridDim", "atomic",
        "__cxa_finalize", "_ITM_", "__gmon", "__st", "strcmp", "to_tf32", "to_fp16", "mma_", "copy16",
        "copies_", "shared_", "load", "put16", "proxy_", "wgmma")  # fmt: skip
_MATHEMATICS = re.compile(
    r"mem(set|cpy|move|cmp)|(exp|exp2|expm1|log|log2|log10|log1p|pow|sqrt|cbrt|rsqrt|a?(sin|cos|tan)h?|atan2|floor|ceil|round|rint|trunc|fmod"
    r"|remainder|fabs|fmax|fmin|fma|fdim|hypot|erfc?|l?gamma|ldexp|frexp|copysign|sincos|l?lrint|l?lround|nearbyint)f?l?"
)


def _known_to_all(name):
    return name.startswith(_OWN) or bool(_MATHEMATICS.fullmatch(name))


def _is_array(argument) -> bool:
    return isinstance(argument, np.ndarray) and argument.ndim > 0


def _value(argument: Array | None) -> Any:
    """The bytes that a kernel receives: an address for an array (0 for None), else the number or structure itself."""
    if argument is None or _is_array(argument):
        return ctypes.c_void_p(None if argument is None else argument.ctypes.data)
    raw = np.asarray(argument).tobytes()
    return (ctypes.c_char * len(raw)).from_buffer_copy(raw)
