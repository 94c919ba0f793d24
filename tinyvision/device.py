"""Where arrays live: the only file that imports CuPy.

Ops are written in plain NumPy and dispatched by the type of the array: CuPy implements NumPy's `__array_ufunc__`
and `__array_function__` protocols, so `np.maximum(x, 0)` runs on the GPU when `x` lives there. What is left for
this file is to say where an array lives, to move arrays, at once or ahead of time, to wait for a GPU, to speak of its
memory, to set its precision, and to say honestly whether one can be used.
"""

import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .arrays import check_is_array, in_its_order, is_array, is_type_of_cupys
from .device_names import CPU as CPU
from .device_names import Device as Device
from .device_names import DeviceName as DeviceName
from .device_names import current
from .device_names import device as device
from .errors import DeviceError, OptionError, OutOfMemoryError
from .types import Array

_GPUS = [Device("cuda", index) for index in range(64)]  # made once: every op asks where its arrays are


def device_of(array: Array) -> Device:
    """The Device on which an array lives. Raises DtypeError for what is no array of NumPy's or CuPy's."""
    if isinstance(array, (np.ndarray, np.generic)):
        return CPU
    if is_type_of_cupys(type(array)):
        return _GPUS[array.device.id]
    check_is_array("device_of", "array", array)
    return Device(type(array).__name__)


def to_numpy(array: Array) -> np.ndarray:
    """The array as a NumPy array, copied from its device if it lives elsewhere. A Tensor gives its data."""
    array = getattr(array, "data", array) if hasattr(array, "requires_grad") else array
    if isinstance(array, np.ndarray):
        return array
    if hasattr(array, "get"):  # CuPy's method for the way back, and that of its stand-in in the tests
        return array.get()
    return np.asarray(array)


def to_device(tree: Any, where: DeviceName) -> Any:
    """Move an array, or every array in a nest of dicts, lists and tuples, to a device. What is there already stays.

    The GPU that is moved to becomes the current one (see `use`). Raises DeviceError, with the remedy, if the device
    cannot be used or its memory does not suffice."""
    where = device(where)
    tree = each_array(
        tree, lambda array: array if is_array(array) and device_of(array) == where else _moved(array, where)
    )
    use(where)
    return tree


def each_array(tree: Any, move: Callable[[Any], Any]) -> Any:
    """The nest of dicts, lists and tuples with `move(array)` in place of every array; anything else stays.

    Values on the tape come out as values without a record."""
    if isinstance(tree, dict):
        return {key: each_array(value, move) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [each_array(value, move) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if hasattr(tree, "requires_grad") and hasattr(tree, "like"):  # a value on the tape
        return tree.like(each_array(tree.array, move))
    return move(tree) if hasattr(tree, "dtype") and hasattr(tree, "shape") else tree


def _moved(array, where):
    if where.type == "cpu":
        return to_numpy(array)
    if is_capturing():  # the graph would copy from memory that somebody else has by then
        raise DeviceError("an array comes from the host, and a CUDA graph would repeat the numbers of this time")
    cupy = require_cuda(where)
    with cupy.cuda.Device(where.index), memory_errors_explained(where):
        if is_array(array) and device_of(array).type == "cuda":  # from another GPU: asarray would leave it there
            return in_its_order(array, lambda array: array.copy())
        return in_its_order(array, cupy.asarray)


def use(where: Device) -> None:
    """Make a GPU the current one of this thread: CuPy computes there, and makes its new arrays there.

    Where there are several, every move, every op and its backward, and every optimizer do this for the GPU of the
    arrays that they are given: `model.to("cuda:1")` is all it takes. It stays the current one, for your own lines of
    CuPy as well (`with cupy.cuda.Device(0):` changes that). With one GPU, and for the CPU, nothing is done."""
    if where.type == "cuda" and _gpus > 1:
        sys.modules["cupy"].cuda.Device(where.index).use()


def several_gpus() -> bool:
    """Whether the engine uses a GPU on a machine that has more than one."""
    return _gpus > 1


def set_device(where: DeviceName) -> None:
    """Let "cuda" mean this GPU from now on, in all threads. Raises DeviceError if it cannot be used."""
    where = device(where)
    if where.type == "cpu":
        raise DeviceError("set_device: expected a GPU; the CPU is what is used wherever none is named")
    require_cuda(where)
    current.index = where.index


def synchronize(where: DeviceName = "cuda") -> None:
    """Wait until the GPU has finished all work handed to it; on the CPU there is nothing to wait for."""
    where = device(where)
    if where.type == "cuda":
        require_cuda(where).cuda.Device(where.index).synchronize()


@contextmanager
def memory_errors_explained(where: DeviceName = "cuda") -> Iterator[None]:
    """Inside this block, a lack of memory raises an OutOfMemoryError that says how much and what to reduce."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise OutOfMemoryError.on(str(device(where)), error) from None


_TOO_LARGE = ("array is too big", "iterator is too large", "Maximum allowed")  # NumPy, of what it cannot even count


def is_out_of_memory(error: BaseException) -> bool:
    """True for the exceptions with which allocators say that they have not so much."""
    said = str(error)
    return isinstance(error, MemoryError) or "cudaErrorMemoryAllocation" in said or said.startswith(_TOO_LARGE)


def free_memory(where: DeviceName = "cuda") -> None:
    """Give the memory that CuPy keeps for later arrays back to the driver; arrays in use are not touched."""
    where = device(where)
    if where.type == "cuda":
        cupy = require_cuda(where)
        with cupy.cuda.Device(where.index):
            cupy.get_default_memory_pool().free_all_blocks()
            cupy.get_default_pinned_memory_pool().free_all_blocks()


def pool_bytes(where: DeviceName = "cuda") -> tuple[int, int]:
    """(bytes that arrays hold, bytes of CuPy's pool altogether), of one GPU."""
    where = device(where)
    cupy = require_cuda(where)
    with cupy.cuda.Device(where.index):
        pool = cupy.get_default_memory_pool()
        return pool.used_bytes(), pool.total_bytes()


def prefetch(batches: Iterable[Any], where: DeviceName) -> Iterator[Any]:
    """Yield every batch (arrays or tensors in dicts, lists, tuples) on the device, the next one already on its way.

    The copy runs from page-locked memory on a stream of its own, so it overlaps with the work on the batch before. On
    the CPU, batches pass through. Raises DeviceError if the device cannot be used."""
    where = device(where)
    if where.type == "cpu":
        yield from batches
        return
    cupy = require_cuda(where)
    with cupy.cuda.Device(where.index):
        copying = cupy.cuda.Stream(non_blocking=True)
    waiting = None
    for batch in batches:
        coming = _send(cupy, batch, where, copying)
        if waiting is not None:
            yield _receive(cupy, waiting, where)
            waiting[1].synchronize()  # its page-locked memory may be used again only now; long since true
        waiting = coming
    if waiting is not None:
        yield _receive(cupy, waiting, where)
        waiting[1].synchronize()


def _send(cupy, batch, where, copying):
    """Start the copy of a batch; (batch on the GPU, the event of its arrival, the page-locked memory it comes from)."""
    staged = []

    def send(array):
        if not isinstance(array, np.ndarray):
            return to_device(array, where)
        array = np.asarray(array, order="C")
        memory = cupy.cuda.alloc_pinned_memory(max(array.nbytes, 1))
        pinned = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        pinned[...] = array
        staged.append(memory)
        target = cupy.empty(array.shape, array.dtype)
        # The allocator may hand out memory that work queued so far still reads: the copy starts after that work.
        copying.wait_event(cupy.cuda.get_current_stream().record())
        target.set(pinned, stream=copying)
        return target

    with cupy.cuda.Device(where.index), memory_errors_explained(where):
        moved = each_array(batch, send)
        return moved, copying.record(), staged


def _receive(cupy, sent, where):
    with cupy.cuda.Device(where.index):
        cupy.cuda.get_current_stream().wait_event(sent[1])
    return sent[0]


def require_cuda(where: Device | None = None) -> Any:
    """The cupy module, after a small kernel and a small matrix product have really run on the GPU `where`, or on the
    current one.

    Raises DeviceError with the remedy if that fails."""
    where = device("cuda") if where is None else where
    problem = cuda_problem(where.index)
    if problem:
        raise DeviceError(f"{where} cannot be used: {problem}")
    return sys.modules["cupy"]


def nccl_module() -> Any:
    """The module cupy.cuda.nccl, where CuPy is in use and has NCCL; else None."""
    try:
        found = importlib.import_module("cupy.cuda.nccl") if "cupy" in sys.modules else None
    except ImportError:
        return None
    return found if getattr(found, "available", False) else None


_checked: dict[int, bool] = {}
_gpus = 0  # how many there are, known once one of them is in use


def cuda_problem(index: int = 0) -> str | None:
    """None if GPU number `index` works, else one sentence that says what is missing and how to get it.

    Importing CuPy proves nothing (it succeeds without a driver), so this runs a kernel and a matrix product. A success
    is remembered."""
    global _gpus
    if _checked.get(index):
        return None
    cupy, problem = _import_cupy()
    problem = problem or _driver_problem(cupy, index) or _trial_problem(cupy, index)
    _checked[index] = problem is None
    if problem is None:
        _gpus = cupy.cuda.runtime.getDeviceCount()
        _apply_precision(precision_of.cuda)
    return problem


def _import_cupy():
    """(cupy, None), or (None, what is wrong with the installation)."""
    # Scripts ask for every batch whether there is a GPU, and to read what all packages say of themselves takes 90 ms.
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        return None, f"CuPy is not installed; {_INSTALL}"
    wheels = _cupy_wheels()
    if len(wheels) > 1:
        return None, (
            f"several CuPy packages are installed and disturb each other: {', '.join(wheels)}; "
            f"pip uninstall all of them, then install one: {_INSTALL}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what CuPy warns about at import, the checks below say with the remedy
            import cupy
    except Exception as error:
        if isinstance(error, ImportError) and error.name == "cupy":
            return None, f"CuPy is not installed; {_INSTALL}"
        return None, f"CuPy is installed but cannot be imported ({_one_line(error)}); reinstall it: {_INSTALL}"
    if not hasattr(cupy, "cuda"):  # a folder of that name, somewhere on the way that modules are looked for
        where = next(iter(getattr(cupy, "__path__", [])), "")
        return None, f"CuPy is not installed, and a folder named cupy ({where}) is in its place; {_INSTALL}"
    return cupy, None


_INSTALL = (
    'pip install "tinyvision[cuda13]" (for an NVIDIA driver 580 or newer) '
    'or pip install "tinyvision[cuda12]" (for a driver 525 or newer)'
)


def _one_line(error):
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _cupy_wheels():
    """The names of all installed packages that contain CuPy."""
    from importlib.metadata import distributions

    names = {(d.metadata["Name"] or "").lower().replace("_", "-") for d in distributions()}
    return sorted(n for n in names if n == "cupy" or n.startswith(("cupy-cuda", "cupy-rocm")))


def _driver_problem(cupy, index):
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
    except Exception:
        driver = 0
    if driver == 0:  # CUDA reports "insufficient" here as well as for an old driver; only the version tells them apart
        return "there is no NVIDIA driver on this machine; install one from nvidia.com or your distribution"
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        if "insufficient" in str(error).lower():
            needed = runtime.runtimeGetVersion() // 1000
            older = needed > 12 <= driver // 1000
            other = " or install tinyvision[cuda12] in place of tinyvision[cuda13]" if older else ""
            return (
                f"the NVIDIA driver supports CUDA {_version(driver)} only, but this CuPy needs CUDA {needed}; "
                f"update the driver{other}"
            )
        return _no_device(_one_line(error))
    if count == 0:
        return _no_device("0 devices")
    if count <= index:
        return f"there is no GPU number {index}; the driver sees {count}, numbered from 0"
    return None


def _no_device(found):
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    advice = "; `nvidia-smi` must list one (in a container: start it with --gpus all)"
    if visible is not None:
        advice = f" and CUDA_VISIBLE_DEVICES is {visible!r}, which may hide them; unset it"
    return f"the NVIDIA driver finds no GPU ({found}){advice}"


def _version(number):
    """CUDA's 12040 as "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


# What the error of a missing CUDA library mentions, and what that library is.
_LIBRARIES = (
    ("cublas", "cuBLAS (matrix products)"),
    ("nvrtc", "NVRTC (the compiler)"),
    ("header", "the CUDA headers"),
    ("cuda_fp16", "the CUDA headers"),
    ("cannot open source file", "the CUDA headers"),
    ("cuda root", "the CUDA headers"),
    ("cudart", "the CUDA runtime"),
)


def _trial_problem(cupy, index):
    """Run a small kernel (needs NVRTC and headers), then a small matrix product (needs cuBLAS)."""
    step = "kernel"
    try:
        with cupy.cuda.Device(index):
            x = cupy.arange(16, dtype=np.float32).reshape(4, 4) + 1
            step = "matrix product"
            result = float((x @ x).sum())
    except Exception as error:
        if is_out_of_memory(error):
            told = f"no GPU memory is left for even a small array ({_one_line(error)})"
            return f"{told}; close other programs that use the GPU"
        text = f"{type(error).__name__}: {error}".lower()
        part = next((name for word, name in _LIBRARIES if word in text), None)
        if part:
            wheel = next(iter(_cupy_wheels()), "cupy-cuda13x")
            return f'{part} is missing ({_one_line(error)}); pip install "{wheel}[ctk]" brings the CUDA libraries along'
        return f"a small trial {step} failed ({_one_line(error)})"
    expected = np.arange(1.0, 17).reshape(4, 4)
    if result != float((expected @ expected).sum()):
        return f"a small trial matrix product gave {result}, which is wrong; is the GPU healthy?"
    return None


replays = [0]  # how often graphs were replayed, which change arrays that no Python touches
recording = threading.local()  # `now` is True in a thread whose work `capturing` records


def is_capturing() -> bool:
    """True while `capturing.capture` records the work of this thread into a CUDA graph instead of having it done."""
    return getattr(recording, "now", False)


def current_stream(index: int) -> int:
    """The address of the stream on which this thread's work for GPU number `index` is done."""
    return int(sys.modules["cupy"].cuda.get_current_stream(index).ptr)


def is_available() -> bool:
    """True if a GPU can really be used, as `torch.cuda.is_available()` promises."""
    return cuda_problem() is None


def report() -> dict[str, Any]:
    """What `tinyvision doctor` shows: CuPy's version and packages, driver and runtime versions, the GPUs, the problem.

    {"cupy", "packages", "driver", "runtime", "devices": [{"index", "name", "compute_capability", "memory_gib",
    "free_gib"}], "problem"}; what is not there is None or empty. Never raises."""
    problem = cuda_problem()
    found: dict[str, Any] = dict.fromkeys(("cupy", "packages", "driver", "runtime", "devices"))
    found.update(packages=_cupy_wheels(), devices=[], problem=problem)
    cupy = sys.modules.get("cupy")
    if cupy is None or not hasattr(cupy, "cuda"):  # a folder of that name has not
        return found
    found["cupy"] = getattr(cupy, "__version__", None)
    runtime = cupy.cuda.runtime
    for key, ask in (("driver", "driverGetVersion"), ("runtime", "runtimeGetVersion")):
        try:
            number = getattr(runtime, ask)()
        except Exception:
            number = 0
        found[key] = _version(number) if number else None
    try:
        for index in range(runtime.getDeviceCount()):
            found["devices"].append(_describe_gpu(cupy, index))
    except Exception as error:
        found["problem"] = problem or _one_line(error)
    return found


def _describe_gpu(cupy, index):
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    with cupy.cuda.Device(index) as gpu:
        free, total = gpu.mem_info
    name = properties["name"]
    return {
        "index": index,
        "name": name.decode() if isinstance(name, bytes) else name,
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "memory_gib": round(total / 2**30, 1),
        "free_gib": round(free / 2**30, 1),
    }


PRECISIONS = ("ieee", "tf32", "bf16", "fp16")
HALVES = ("bf16", "fp16")  # whose factors have 16 bits


# What is in force in a thread, by type of device; `precision` alone writes here.
precision_of = type("Precisions", (threading.local,), {"cpu": "ieee", "cuda": "ieee"})()


def get_precision(where: DeviceName = "cuda") -> str:
    """ "ieee", "tf32", "bf16" or "fp16": how float32 matrix products and convolutions are computed on a device."""
    return str(getattr(precision_of, device(where).type))


@contextmanager
def precision(mode: str, where: DeviceName | None = None) -> Iterator[None]:
    """Inside this block, round the factors of float32 products: of convolutions, linear layers, matrix products.

    "ieee" rounds nothing. "tf32" keeps 10 bits behind the point, on a GPU; on the CPU it changes nothing. "bf16" keeps
    7 bits, "fp16" 10 bits and no number beyond 65504, on both: the image and the kernels, and the gradient that comes
    back to them, are rounded to nearest. Products are added up in float32; parameters, results, biases, gradients and
    all else (normalisation, losses, optimizers) stay in float32, and so do tensors of other dtypes what they are. A
    backward rounds as its forward did, wherever it runs.

    where   "cpu" or "cuda": the precision of these alone; None: of both

    It holds for the thread that enters the block; another begins with "ieee". (cuBLAS has one setting for all threads:
    what one computes with it while another is in "tf32" may be rounded too.)
    Raises OptionError for another mode, DeviceError for "tf32" on a GPU in use that has no such tensor cores (before
    compute capability 8.0)."""
    if mode not in PRECISIONS:
        raise OptionError(f'precision: expected "ieee", "tf32", "bf16" or "fp16", got {mode!r}')
    types = ("cpu", "cuda") if where is None else (device(where).type,)
    previous = {kind: getattr(precision_of, kind) for kind in types}
    if "cuda" in types:
        _apply_precision(mode)
    vars(precision_of).update({kind: "ieee" if (kind, mode) == ("cpu", "tf32") else mode for kind in types})
    try:
        yield
    finally:
        vars(precision_of).update(previous)
        if "cuda" in types:
            _apply_precision(previous["cuda"])


def _apply_precision(mode):
    # CuPy offers this switch only as a private function besides CUPY_TF32, an environment variable that it reads once.
    # Without a working GPU it raises, so the mode in force is handed over when the first GPU has passed its test.
    cupy = sys.modules.get("cupy")
    index = next((index for index, works in _checked.items() if works), None)
    if cupy is None or index is None:
        return
    capability = int(cupy.cuda.Device(index).compute_capability)
    if mode == "tf32" and capability < 80:
        raise DeviceError(
            f"precision: this GPU has compute capability {capability / 10}, "
            f'but "tf32" needs 8.0 (Ampere) or newer; use "ieee"'
        )
    from cupy._core import _routines_linalg as linalg

    # What has been rounded to 16 bits is a TF32 number already: nothing is lost, and the tensor cores do it.
    kind = linalg.COMPUTE_TYPE_DEFAULT if mode == "ieee" or capability < 80 else linalg.COMPUTE_TYPE_TF32
    linalg.set_compute_type(np.dtype(np.float32), kind)
