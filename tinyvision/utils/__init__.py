"""PyTorch's place for what is in `tinyvision.data` and `tinyvision.hub`."""

from typing import TYPE_CHECKING

from ..missing import missing
from . import data, model_zoo, tensorboard

__all__ = ["data", "model_zoo", "tensorboard"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils", __all__)
