"""Networks, with torchvision's names for models and parameters."""

from .cnn import SimpleCNN

__all__ = ["SimpleCNN"]
