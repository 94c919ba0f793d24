"""PyTorch's files of layers, as scripts name them: `nn.modules.conv.Conv2d`, `nn.modules.batchnorm._BatchNorm`."""

from collections.abc import Iterable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from ..missing import missing
from ..places import stand_for
from .containers import *
from .layers import *
from .layers.convolution import _ConvNd as _ConvNd
from .layers.normalization import _BatchNorm as _BatchNorm
from .layers.normalization import _InstanceNorm as _InstanceNorm
from .losses import *
from .losses import _Loss as _Loss
from .module import Module as Module
from .module import Parameter as Parameter


def _times(count):
    def several(value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, Iterable) else tuple(repeat(value, count))

    return several


_single, _pair, _triple, _quadruple = map(_times, (1, 2, 3, 4))  # a number for every axis, as layers of one's own need

stand_for(
    __name__, "activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance", "dropout",
    "flatten", "fold", "instancenorm", "lazy", "linear", "loss", "module", "normalization", "padding", "pixelshuffle",
    "pooling", "rnn", "sparse", "transformer", "upsampling", "utils",
)  # fmt: skip

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.modules", globals())
