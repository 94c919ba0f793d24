"""NVRTC from its pip package (nvidia-cuda-nvrtc), through ctypes: compiles for GPUs that are not there."""

import ctypes
import re
from importlib.metadata import PackageNotFoundError, files


def library():
    """The loaded library, or None if no such package is installed."""
    for package in ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"):
        try:
            found = [f for f in files(package) or () if re.search(r"libnvrtc\.so\.\d+$|nvrtc64_\d+_0\.dll$", str(f))]
            return ctypes.CDLL(str(found[0].locate()))
        except (PackageNotFoundError, IndexError, OSError):
            continue
    return None


def compile_text(nvrtc, text, architecture):
    """(machine code, log) of a CUDA text. Raises AssertionError with the log where it does not compile."""
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None) == 0
    options = [f"-arch={architecture}".encode(), b"-std=c++17", b"--ptxas-options=-v"]
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    log = _read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode(errors="replace")
    assert status == 0, f"{architecture}: {log[:2000]}"
    code = _read(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code, log


def _read(size_of, read, program):
    size = ctypes.c_size_t()
    assert size_of(program, ctypes.byref(size)) == 0
    buffer = ctypes.create_string_buffer(size.value)
    assert read(program, buffer) == 0
    return buffer.raw


def resources(log):
    """{kernel: (registers, bytes of spills)} from what ptxas -v says."""
    found = {}
    for entry in log.split("Compiling entry function")[1:]:
        name = re.search(r"'(\w+)'", entry).group(1)
        spills = [int(n) for n in re.findall(r"(\d+) bytes spill", entry)]
        found[name] = int(re.search(r"Used (\d+) registers", entry).group(1)), sum(spills)
    return found
