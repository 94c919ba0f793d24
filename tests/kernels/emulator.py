"""Build CUDA texts with g++ and emulator.h, and run the package's drop-ins on NumPy arrays through them.

`Emulation` takes the place of `tinyvision.kernels.launch.launch` and `.empty`. Every array that it hands out lies
between
guard zones and is filled with NaN: a kernel that forgets to write a number leaves a NaN, one that writes beyond the
end damages a guard, and one that reads beyond the end of an input gets a NaN.
"""

import ctypes
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from tinyvision.kernels import launch

HERE = Path(__file__).parent
TYPES = {"float": np.float32, "int": np.int32, "long long": np.int64, "unsigned char": np.uint8}
STRIDED = ("correlate", "winograd_kernel", "arrange")  # these are told the strides of an output, or of their kernels
GUARD = 64  # numbers before and after each array; a multiple of 4, so that alignment is kept
COMPILER = shutil.which("g++")
FLAGS = ["-std=c++17", "-fPIC", "-shared", "-fno-strict-aliasing", "-Wno-unknown-pragmas", "-Wno-parentheses"]


def kernel_names(text):
    """The names of all kernels of a CUDA text, those that a macro defines included."""
    text = re.sub(r"\\\n\s*", " ", text)
    macros = re.findall(r"#define (\w+)\(name.*?\) .*?__global__", text)
    names = re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(", text)
    for macro in macros:
        names += re.findall(rf"^{macro}\((\w+)", text, re.M)
    return [name for name in names if name not in ("name", "__launch_bounds__")]


def signatures(text):
    """{kernel: the types of its parameters} of a CUDA text."""
    text = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(([^)]*)\)", text)
    by_macro = dict(re.findall(r"#define (\w+)\(name.*?\) .*?__global__.*?\bname\(([^)]*)\)", text))
    found += [(kernel, by_macro[m]) for m in by_macro for kernel in re.findall(rf"^{m}\((\w+)", text, re.M)]
    names = kernel_names(text)
    return {
        kernel: [p.replace("const ", "").strip().rpartition(" ")[0] for p in parameters.split(",")]
        for kernel, parameters in found
        if kernel in names
    }


class EmulatorError(AssertionError):
    """The kernel did something that no GPU would forgive."""


def build(text, folder, optimise):
    """A shared library of the kernels of `text`, built once per text and folder."""
    table = "".join(
        f'    if (!strcmp(name, "{n}"))\n'
        f"        return emulator::run(emulator::launcher({n}), grid, threads, shared, arguments, order);\n"
        for n in kernel_names(text)
    )
    structures = {t for types in signatures(text).values() for t in types if t[0].isupper()}
    sizes = "".join(f'    if (!strcmp(name, "{s}")) return sizeof({s});\n' for s in sorted(structures))
    source = (
        f'#include "{HERE / "emulator.h"}"\n#line 1 "kernel.cu"\n{text}\n'
        'extern "C" const char* launch(const char* name, const unsigned* grid, unsigned threads,\n'
        "                              unsigned shared, void** arguments, int order) {\n"
        f'{table}    return "there is no such kernel";\n}}\n'
        f'extern "C" long size_of(const char* name) {{\n{sizes}    return -1;\n}}\n'
        'extern "C" void arrays(int count, const uintptr_t* ranges) {\n    emulator::arrays.clear();\n'
        "    for (int i = 0; i < count; i++) emulator::arrays.push_back({ranges[2 * i], ranges[2 * i + 1]});\n}\n"
    )
    stem = folder / hashlib.sha256(source.encode()).hexdigest()[:16]
    library = stem.with_suffix(".so")
    if not library.exists():
        stem.with_suffix(".cpp").write_text(source)
        command = [COMPILER, *FLAGS, "-O1" if optimise else "-O0", "-o", str(library), str(stem.with_suffix(".cpp"))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise EmulatorError(f"g++ does not accept the text:\n{done.stderr[:2000]}")
    loaded = ctypes.CDLL(str(library))
    loaded.launch.restype = ctypes.c_char_p
    loaded.size_of.restype = ctypes.c_long
    return loaded


class Emulation:
    """Stands in for the GPU while `monkeypatch` lasts. `change(text)` may plant a bug into every text before it is
    built. `generation` is that of the GPU, as in `launch.generation`."""

    def __init__(self, monkeypatch, folder, change=None, order=0, generation=None):
        self.folder, self.change, self.order = folder, change or (lambda text: text), order
        self.optimise = change is None  # a text that is used once is not worth the compiler's time
        self.guarded, self.launched = [], []
        monkeypatch.setattr(launch, "launch", self.launch)
        monkeypatch.setattr(launch, "launch_on", lambda index, *a, **options: self.launch(*a, **options))
        monkeypatch.setattr(launch, "generation", lambda array: generation)
        monkeypatch.setattr(launch, "empty", self.empty)
        monkeypatch.setattr(launch, "aligned", lambda array, own=launch.aligned: self._guarded_if_copied(array, own))

    def launch(self, source, kernel, grid, *arguments, threads=launch.THREADS, shared=0):
        """Run a kernel, then look at the guards."""
        library = build(self.change(launch.text(source)), self.folder, self.optimise)
        self._check_call(library, kernel, signatures(launch.text(source))[kernel], grid, arguments)
        values = [self._value(a) for a in arguments]  # kept alive until the kernel has run
        array = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        given = [a for a in arguments if isinstance(a, np.ndarray) and a.ndim]
        ranges = [edge for a in given for edge in (a.ctypes.data, a.ctypes.data + a.nbytes)]
        library.arrays(len(given), (ctypes.c_size_t * len(ranges))(*ranges))
        failure = library.launch(kernel.encode(), (ctypes.c_uint * 3)(*grid), threads, shared, array, self.order)
        self.launched.append(kernel)
        if failure:
            raise EmulatorError(f"{kernel}: {failure.decode()}")
        self.check_guards(kernel)

    @staticmethod
    def _check_call(library, kernel, types, grid, arguments):
        """What a real launch would refuse, or worse, accept: CuPy and the driver hand over bytes and ask nothing."""
        if len(types) != len(arguments):
            raise EmulatorError(f"{kernel}: {len(types)} parameters, but {len(arguments)} arguments")
        if not (1 <= grid[0] < 2**31 and 1 <= grid[1] < 2**16 and 1 <= grid[2] < 2**16):
            raise EmulatorError(f"{kernel}: no GPU has a grid of {grid} blocks")
        for type_, argument in zip(types, arguments, strict=True):
            if type_.endswith("*"):
                fits = argument is None or (argument.ndim and argument.dtype == TYPES[type_[:-1]])
                whole = argument is None or argument.flags.c_contiguous
                fits = fits and (whole or kernel.startswith(STRIDED))
            elif type_ in TYPES:
                fits = type(argument) is TYPES[type_]
            else:
                size = library.size_of(type_.encode())
                fits = isinstance(argument, np.ndarray) and argument.shape == () and argument.itemsize == size
            if not fits:
                raise EmulatorError(f"{kernel}: a parameter {type_} was given {type(argument)} {argument!r:.60}")

    @staticmethod
    def _value(argument):
        """The bytes that a kernel receives: an address for an array (0 for None), else the number or structure
        itself."""
        if argument is None or (isinstance(argument, np.ndarray) and argument.ndim):
            return ctypes.c_void_p(None if argument is None else argument.ctypes.data)
        raw = np.asarray(argument).tobytes()
        return (ctypes.c_char * len(raw)).from_buffer_copy(raw)

    def empty(self, like, shape, dtype=np.float32):
        """An array of NaN (or of a large odd integer) between guard zones."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64))
        raw = np.empty((size + 2 * GUARD) * dtype.itemsize + 16, np.uint8)
        raw[:] = 0xFF
        skip = -raw.ctypes.data % 16
        block = raw[skip : skip + (size + 2 * GUARD) * dtype.itemsize].view(dtype)
        self.guarded.append((block.view(np.uint8), size * dtype.itemsize, dtype.itemsize))
        return block[GUARD : GUARD + size].reshape(shape)

    def _guarded_if_copied(self, array, aligned):
        ready = aligned(array)
        return ready if ready is array else self.array(ready)

    def array(self, values):
        """A guarded copy of an input."""
        values = np.asarray(values)
        out = self.empty(values, values.shape, values.dtype)
        out[...] = values
        return out

    def check_guards(self, kernel):
        """Raise unless every guard zone is as it was."""
        for block, size, item in self.guarded:
            if not (block[: GUARD * item] == 0xFF).all() or not (block[GUARD * item + size :] == 0xFF).all():
                raise EmulatorError(f"{kernel}: wrote outside of an array of {size // item} numbers")
