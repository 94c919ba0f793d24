"""PyTorch's place for what is in `tinyvision.data` and `tinyvision.hub`."""

from typing import TYPE_CHECKING

from ..missing import missing
from . import checkpoint, data, hooks, model_zoo

__all__ = ["checkpoint", "data", "hooks", "model_zoo"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils", __all__)
