"""PyTorch's older constructors: `torch.FloatTensor([1, 2])`, `isinstance(x, torch.LongTensor)`."""

from typing import Any

from ..device import DeviceName
from .creation import placed
from .kinds import described, numbers
from .tensor import Tensor


class Kind:
    """One of `torch.FloatTensor` and its like: makes tensors of its dtype, and knows them by `isinstance`."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.name = name
        self.of_dtype, _ = described(name)
        self.of_device: str | None = None if device == "cpu" else device

    def __call__(self, *arguments: Any, device: DeviceName | None = None) -> Tensor:
        """A tensor of these sizes (zeros; PyTorch's holds anything), or of these numbers. Raises OptionError."""
        return placed(numbers(arguments, self.of_dtype, self.name), device or self.of_device)

    def __instancecheck__(self, value: Any) -> bool:
        place = getattr(getattr(value, "device", None), "type", None)
        return hasattr(value, "array") and value.dtype == self.of_dtype and place == (self.of_device or "cpu")

    def __repr__(self) -> str:
        return f"<class 'tinyvision.{'cuda.' if self.of_device else ''}{self.name}'>"


FloatTensor, DoubleTensor, HalfTensor = Kind("FloatTensor"), Kind("DoubleTensor"), Kind("HalfTensor")
ByteTensor, CharTensor, ShortTensor = Kind("ByteTensor"), Kind("CharTensor"), Kind("ShortTensor")
IntTensor, LongTensor, BoolTensor = Kind("IntTensor"), Kind("LongTensor"), Kind("BoolTensor")
