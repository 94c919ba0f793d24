"""PyTorch's place for what is in `tinyvision.data`."""

from . import data

__all__ = ["data"]
