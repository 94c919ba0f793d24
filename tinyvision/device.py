"""Where arrays live: the only file that knows CuPy.

Ops are written in plain NumPy and dispatched by the type of the array: CuPy implements NumPy's `__array_ufunc__` and
`__array_function__` protocols, so `np.maximum(x, 0)` runs on the GPU when `x` lives there. What is left for this file
is to name devices, to move arrays, to wait for a GPU, to set its precision, and to say honestly whether one can be used.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .errors import DeviceError, OptionError


@dataclass(frozen=True)
class Device:
    """A place for arrays: `type` is "cpu" or "cuda", `index` numbers the GPUs of a machine."""

    type: str
    index: int = 0

    def __str__(self):
        return self.type if self.type != "cuda" else f"cuda:{self.index}"

    def __repr__(self):
        return f"device({str(self)!r})"


CPU = Device("cpu")


def device(name):
    """The Device that `name` means: "cpu", "cuda", "cuda:1", or a Device. Raises DeviceError for any other name.

    Naming a GPU does not ask whether it is there; moving an array to it does."""
    if isinstance(name, Device):
        return name
    if name == "cpu":
        return CPU
    if isinstance(name, str):
        kind, _, index = name.partition(":")
        if kind == "cuda" and (index.isdigit() or name == "cuda"):
            return Device("cuda", int(index or 0))
    raise DeviceError(f'device: expected "cpu", "cuda" or "cuda:N", got {name!r}')


def device_of(array):
    """The Device on which an array lives."""
    if isinstance(array, np.ndarray):
        return CPU
    if type(array).__module__.partition(".")[0] == "cupy":
        return Device("cuda", array.device.id)
    return Device(type(array).__name__)


def to_numpy(array):
    """The array as a NumPy array, copied from its device if it lives elsewhere. A Tensor gives its data."""
    array = getattr(array, "data", array) if hasattr(array, "requires_grad") else array
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # CuPy's method for the way back, and that of its stand-in in the tests
        return array.get()
    return np.asarray(array)


def to_device(tree, where):
    """Move an array, or every array in a nest of dicts, lists and tuples, to a device. What is there already stays.

    Raises DeviceError, with the remedy, if the device cannot be used."""
    where = device(where)
    if isinstance(tree, dict):
        return {key: to_device(value, where) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(to_device(value, where) for value in tree)
    if tree is None or not hasattr(tree, "dtype") or device_of(tree) == where:
        return tree
    if where.type == "cpu":
        return to_numpy(tree)
    cupy = require_cuda(where)
    with cupy.cuda.Device(where.index), _memory_errors_explained(where):
        return cupy.asarray(tree)


def synchronize(where="cuda"):
    """Wait until the GPU has finished all work handed to it; on the CPU there is nothing to wait for."""
    where = device(where)
    if where.type == "cuda":
        cupy = require_cuda(where)
        with cupy.cuda.Device(where.index):
            cupy.cuda.get_current_stream().synchronize()


@contextmanager
def _memory_errors_explained(where):
    cupy = sys.modules["cupy"]
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise DeviceError(
            f"{where}: not enough GPU memory ({error}); use a smaller batch or smaller images, "
            f"or free tensors that are still referenced"
        ) from None


def require_cuda(where=Device("cuda")):
    """The cupy module, after a small kernel and a small matrix product have really run on the GPU `where`.

    Raises DeviceError with the remedy if that fails."""
    problem = cuda_problem(where.index)
    if problem:
        raise DeviceError(f"{where} cannot be used: {problem}")
    return sys.modules["cupy"]


_checked = {}


def cuda_problem(index=0):
    """None if GPU number `index` works, else one sentence that says what is missing and how to get it.

    Importing CuPy proves nothing (it succeeds without a driver), so this runs a kernel and a matrix product. A success
    is remembered."""
    if _checked.get(index):
        return None
    try:
        import cupy
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return (
                'CuPy is not installed; install it with pip install "tinyvision[cuda13]" (CUDA 13 driver, 580 or newer) '
                'or "tinyvision[cuda12]" (driver 525 or newer)'
            )
        return f"CuPy is installed but cannot be imported ({error})"
    except Exception as error:
        return f"CuPy is installed but cannot be imported ({type(error).__name__}: {error})"
    wheels = _cupy_wheels()
    if len(wheels) > 1:
        return f"several CuPy packages are installed and disturb each other: {', '.join(wheels)}; uninstall all but one"
    problem = _driver_problem(cupy, index) or _trial_problem(cupy, index)
    _checked[index] = problem is None
    return problem


def _cupy_wheels():
    from importlib.metadata import distributions

    names = {(d.metadata["Name"] or "").lower() for d in distributions()}
    return sorted(n for n in names if n == "cupy" or n.startswith(("cupy-cuda", "cupy-rocm")))


def _driver_problem(cupy, index):
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
    except Exception:
        driver = 0
    if driver == 0:
        return "there is no NVIDIA driver on this machine; install one from nvidia.com or your distribution"
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        if "insufficient" in str(error).lower():
            needed = runtime.runtimeGetVersion() // 1000
            return (
                f"the NVIDIA driver supports CUDA {driver // 1000}.{driver % 1000 // 10} only, but this CuPy needs CUDA "
                f"{needed}; update the driver, or install tinyvision[cuda12] in place of tinyvision[cuda13]"
            )
        return f"the NVIDIA driver finds no GPU ({error}); is CUDA_VISIBLE_DEVICES set to nothing?"
    if count <= index:
        return f"there is no GPU number {index}; the driver sees {count}"
    return None


def _trial_problem(cupy, index):
    try:
        with cupy.cuda.Device(index):
            x = cupy.arange(16, dtype=np.float32).reshape(4, 4)
            if float((x @ x + 1).sum()) != float((np.arange(16.0).reshape(4, 4) @ np.arange(16.0).reshape(4, 4) + 1).sum()):
                return "a small matrix product on the GPU gave a wrong result"
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        low = text.lower()
        if "outofmemory" in low:
            return "no GPU memory is left for even a small array; close other programs that use the GPU"
        for part in ("cublas", "nvrtc", "headers", "cuda_fp16"):
            if part in low:
                return f"a CUDA library is missing ({text}); reinstall CuPy with its [ctk] extra, as tinyvision's extras do"
        return f"a small trial computation failed ({text})"
    return None


def is_available():
    """True if a GPU can really be used, as `torch.cuda.is_available()` promises."""
    return cuda_problem() is None


_precision = "ieee"


def get_precision():
    """"ieee" or "tf32": how float32 matrix products are computed on a GPU."""
    return _precision


@contextmanager
def precision(mode):
    """Compute float32 matrix products on a GPU in full ("ieee") or on tensor cores with 10-bit mantissas ("tf32").

    A context manager; on the CPU it changes nothing, since there is only one way there. Raises OptionError."""
    global _precision
    if mode not in ("ieee", "tf32"):
        raise OptionError(f'precision: expected "ieee" or "tf32", got {mode!r}')
    previous, _precision = _precision, mode
    _apply_precision(mode)
    try:
        yield
    finally:
        _precision = previous
        _apply_precision(previous)


def _apply_precision(mode):
    # CuPy offers this switch only as a private function besides an environment variable that is read once.
    cupy = sys.modules.get("cupy")
    if cupy is not None and _checked.get(0):
        kinds = {"ieee": cupy._core._routines_linalg.COMPUTE_TYPE_DEFAULT, "tf32": cupy._core._routines_linalg.COMPUTE_TYPE_TF32}
        cupy._core.set_compute_type(np.float32, kinds[mode])
