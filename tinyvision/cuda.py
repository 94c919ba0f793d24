"""PyTorch's questions about GPUs, `torch.cuda.is_available()` and the like, answered by `tinyvision.device`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numpy.random import Generator

from . import amp
from .device import (
    DeviceName,
    free_memory,
    is_available,
    pool_bytes,
    report,
    require_cuda,
)
from .device import device as _device
from .device import set_device as _set_device
from .device import synchronize as _synchronize
from .kernels.autotune import Tuned
from .kernels.autotune import autotune as _autotuned
from .kernels.graph import GraphedModel
from .missing import missing
from .places import hand_on, stand_for
from .random import get_rng_state as _rng_state
from .random import manual_seed
from .random import set_rng_state as _set_rng_state
from .tensors.float_tensor import Kind
from .tensors.kinds import NAMES
from .tensors.tensor import Tensor


def device_count() -> int:
    """How many GPUs the driver sees."""
    return len(report()["devices"])


def manual_seed_all(seed: int) -> Generator:
    """The same as `manual_seed`: all random numbers come from one generator, whatever device they go to."""
    return manual_seed(seed)


def get_rng_state(device: DeviceName = "cuda") -> Tensor:
    """The state of that one generator, which is `tinyvision.get_rng_state()`."""
    return _rng_state()


def set_rng_state(new_state: Any, device: DeviceName = "cuda") -> None:
    """Go on with the numbers that followed when `get_rng_state` was called. Raises OptionError."""
    _set_rng_state(new_state)


def get_rng_state_all() -> list[Tensor]:
    """The same state for each GPU; without one, an empty list."""
    return [_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Go on from states that `get_rng_state_all` gave; where it gave none, nothing changes. Raises OptionError."""
    for state in new_states:
        _set_rng_state(state)


def current_device() -> int:
    """The number of the GPU in use. Raises DeviceError if there is none that can be used."""
    require_cuda()
    return _device("cuda").index


def set_device(device: DeviceName) -> None:
    """Let "cuda" mean this GPU from now on, in all threads. Raises DeviceError if it cannot be used."""
    _set_device(device)


def synchronize(device: DeviceName | None = None) -> None:
    """Wait until a GPU, the current one if none is named, has finished all work handed to it. Raises DeviceError."""
    _synchronize("cuda" if device is None else device)


class device:
    """`with torch.cuda.device(1):` what is made inside for "cuda" is made on this GPU. Without a GPU, nothing.

    A negative number leaves the GPU in use as it is. Raises DeviceError for one that is not there."""

    def __init__(self, device: DeviceName) -> None:
        self._wanted = device
        self._before: int | None = None

    def __enter__(self) -> None:
        if is_available() and not (isinstance(self._wanted, int) and self._wanted < 0):
            self._before = current_device()
            set_device(self._wanted)

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            set_device(self._before)


def get_device_name(device: DeviceName | None = None) -> str:
    """What the driver calls a GPU, the current one if none is named. Raises DeviceError."""
    return str(_described(device)["name"])


def get_device_capability(device: DeviceName | None = None) -> tuple[int, int]:
    """(major, minor) of a GPU's compute capability, of the current one if none is named. Raises DeviceError."""
    major, minor = _described(device)["compute_capability"].split(".")
    return int(major), int(minor)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU in use has tensor cores for bf16, as all since Ampere have; False without a GPU.

    `precision("bf16")` computes the same numbers on every GPU, and on the CPU."""
    return is_available() and get_device_capability() >= (8, 0)


def _described(place):
    where = _device("cuda" if place is None else place)
    require_cuda(where)
    return report()["devices"][where.index]


def empty_cache() -> None:
    """Give unused GPU memory back to the driver; without a GPU, nothing."""
    if is_available():
        free_memory()


def memory_allocated(device: Any = None) -> int:
    """How many bytes of a GPU's memory arrays hold, of the one in use if none is named; without a GPU, 0."""
    return pool_bytes("cuda" if device is None else device)[0] if is_available() else 0


def memory_reserved(device: Any = None) -> int:
    """How many bytes of a GPU's memory the pool holds, in use or kept for later; without a GPU, 0."""
    return pool_bytes("cuda" if device is None else device)[1] if is_available() else 0


def graphed(model: Any) -> GraphedModel:
    """`model`, in evaluation mode on a GPU, as a function that replays a CUDA graph for each shape of its inputs.

        fast = tinyvision.cuda.graphed(model.eval())
        y = fast(x)

    See `GraphedModel` for what counts as the same model. Calls raise OptionError, DeviceError."""
    return GraphedModel(model)


def autotune(model: Any, *inputs: Any, save: bool = True) -> Tuned:
    """Measure which of the kernels for convolutions is the fastest for each layer that `model(*inputs)` meets on this
    GPU, and use it from now on; in training mode for their gradients as well.

        with tinyvision.precision("tf32"):
            print(tinyvision.cuda.autotune(model, x))

    Nothing does so by itself: unasked, a layer gets the same kernel in every run. The kernels differ in the order of
    their float32 sums, so results may change in their last digits, once; with save they are chosen in later processes
    too, by a file in the cache that counts for this card, driver, CUDA and version of the kernels alone. The model is
    left as it was. Returns what was measured, to print. Raises OptionError, DeviceError, FileError."""
    return _autotuned(model, inputs, save)


stand_for(__name__, "memory", "random")
hand_on(__name__, "tinyvision", "amp")

for _name in NAMES:  # isinstance(x, torch.cuda.FloatTensor)
    globals()[_name] = Kind(_name, "cuda")

__all__ = [
    "amp", "autotune", "current_device", "device", "device_count", "empty_cache", "get_device_capability",
    "get_device_name", "get_rng_state", "get_rng_state_all", "graphed", "is_available", "is_bf16_supported",
    "manual_seed", "manual_seed_all", "memory_allocated", "memory_reserved", "set_device", "set_rng_state",
    "set_rng_state_all", "synchronize",
]  # fmt: skip

__all__ += NAMES

if not TYPE_CHECKING:
    __getattr__ = missing("torch.cuda", __all__)
