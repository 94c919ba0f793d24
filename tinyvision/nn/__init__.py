"""Layers, losses and containers with PyTorch's names: `import tinyvision.nn as nn`."""

from types import SimpleNamespace

from . import functional, init
from .clip import clip_grad_norm_, clip_grad_value_
from .containers import ModuleList, Sequential
from .layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    Softmax,
    Tanh,
)
from .losses import CrossEntropyLoss, MSELoss
from .module import Buffer, Module, Parameter
from .summary import summary

utils = SimpleNamespace(clip_grad_norm_=clip_grad_norm_, clip_grad_value_=clip_grad_value_)  # PyTorch's place for them

__all__ = [name for name in globals() if not name.startswith("_") and name not in ("SimpleNamespace", "module", "layers")]
