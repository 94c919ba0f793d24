"""CUDA C texts compiled for a GPU that is there: by CuPy, and for what only Hopper has, by NVRTC itself."""

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ..device import Device, require_cuda
from ..errors import DeviceError

HOPPER = "__CUDA_ARCH_FEAT_SM90_ALL"  # what the compiler defines where a text may use what only Hopper has


def compiled(text: str, index: int = 0) -> Any:
    """The kernels of a CUDA C text, compiled for GPU number `index`: an object with `get_function(name)`.

    Raises DeviceError."""
    cupy = require_cuda(Device("cuda", index))
    with cupy.cuda.Device(index):
        if HOPPER in text and generation(index) == "hopper":
            return cupy.RawModule(path=str(_for_hopper(cupy, text, index)))
        module = cupy.RawModule(code=text, options=("-std=c++17",))
        try:
            module.compile()
        except cupy.cuda.compiler.CompileException as error:
            raise _refused(index, error) from error
    return module


@cache
def generation(index: int) -> str | None:
    """The tensor cores of GPU number `index`: "turing", "ampere" for all since then but "hopper"; None for older."""
    cupy = require_cuda(Device("cuda", index))
    capability = int(cupy.cuda.Device(index).compute_capability)
    if capability == 90:
        return "hopper"
    return "ampere" if capability >= 80 else "turing" if capability >= 75 else None


def _for_hopper(cupy, text, index):
    """The file with the machine code for sm_90a, which CuPy cannot be asked for; kept where CuPy keeps its own."""
    nvrtc, options = cupy.cuda.nvrtc, ("-arch=sm_90a", "-std=c++17")
    key = hashlib.sha256(repr((nvrtc.getVersion(), options, text)).encode()).hexdigest()
    folder = Path(os.environ.get("CUPY_CACHE_DIR", Path.home() / ".cupy" / "kernel_cache"))
    file = folder / f"tinyvision_{key[:32]}.cubin"
    if not file.exists():
        program = nvrtc.createProgram(text, "kernel.cu", (), ())
        try:
            nvrtc.compileProgram(program, options)
            code = nvrtc.getCUBIN(program)
        except nvrtc.NVRTCError as error:
            raise _refused(index, nvrtc.getProgramLog(program)) from error
        finally:
            nvrtc.destroyProgram(program)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f"{file.name}.{os.getpid()}")
            unfinished.write_bytes(code)
            unfinished.replace(file)  # whole at once, whoever else compiles the same
        except OSError:  # a home that cannot be written: for this process alone, then
            file = Path(tempfile.mkdtemp(prefix="tinyvision_")) / file.name
            file.write_bytes(code)
    return file


def _refused(index, why):
    shown = " ".join(str(why).split())[:500]
    return DeviceError(f"cuda:{index}: a kernel does not compile; please report this: {shown}")
