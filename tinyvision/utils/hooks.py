"""PyTorch's place for the handle that takes a hook away again."""

from ..tensors.hooks import RemovableHook

RemovableHandle = RemovableHook

__all__ = ["RemovableHandle"]
