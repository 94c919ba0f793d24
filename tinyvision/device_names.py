"""What devices are called."""

from dataclasses import dataclass
from types import SimpleNamespace

from .errors import DeviceError
from .types import is_integer


@dataclass(frozen=True)
class Device:
    """A place for arrays: `type` is "cpu" or "cuda", `index` numbers the GPUs of a machine."""

    type: str
    index: int = 0

    def __str__(self) -> str:
        return self.type if self.type != "cuda" else f"cuda:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (f", index={self.index})" if self.type == "cuda" else ")")

    def __enter__(self) -> "Device":
        """`with device("cpu"):` changes nothing: that is where tensors are made if nothing is said. Raises DeviceError
        for a GPU: there is no other default."""
        if self.type != "cpu":
            raise DeviceError(f"with {self!r}: tensors are made where device= says, or moved there by .to(...)")
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing."""


DeviceName = str | int | Device  # whatever `device` understands

CPU = Device("cpu")
_KINDS = ("cpu", "cuda", "mps", "xpu", "xla", "hpu", "mtia", "ipu", "meta")  # of PyTorch's; all but two are refused
current = SimpleNamespace(index=0)  # the GPU that "cuda" means


def device(type: DeviceName, index: int | None = None) -> Device:
    """The Device that is meant: "cpu", "cuda", "cuda:1", ("cuda", 1), 1, or a Device. Raises DeviceError for others.

    "cuda" is the GPU that `set_device` has named, else the first; a number alone is that of a GPU. Naming one does not
    ask whether it is there; moving an array to it does."""
    if isinstance(type, Device) and index is None:
        return type
    told = type if index is None else f"{type}:{index}"
    kind, colon, number = ("cuda", ":", str(told)) if is_integer(told) else str(told).partition(":")
    if kind == "cpu" and number in ("", "0"):
        return CPU
    if kind == "cuda" and (number.isascii() and number.isdigit() if colon else True):
        return Device("cuda", int(number) if colon else current.index)
    raise DeviceError(f'device: expected "cpu", "cuda", "cuda:N" or the number of a GPU, got {told!r}')


def is_device(target: object) -> bool:
    """Whether a target of `to(...)` is meant as a device, rightly or not, and not as a dtype."""
    return isinstance(target, Device) or is_integer(target) or str(target).startswith(_KINDS)
