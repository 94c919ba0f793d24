"""PyTorch's place for what is in `tinyvision.data` and `tinyvision.hub`."""

from . import data, model_zoo

__all__ = ["data", "model_zoo"]
