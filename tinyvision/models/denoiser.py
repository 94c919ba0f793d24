"""What noise is in this picture? The network of diffusion models: a U-Net that is told the time and the class."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .. import nn
from ..device import to_device
from ..errors import OptionError, ShapeError
from ..nn import functional
from ..ops.checks import whole_number
from ..tensors.arranging import cat
from ..tensors.tensor import Tensor

__all__ = ["Denoiser"]

_GROUPS = 8


class Denoiser(nn.Module):
    """The noise in noisy pictures.   x (N, C, H, W), time (N,), labels (N,)  ->  (N, C, H, W)

    in_channels, num_classes   of the pictures; the label num_classes says no class
    width   channels at full size, a multiple of 8; three times as many below, where pixels are few
    depth   how often the picture is halved; its sides must be multiples of 2^depth

    Each stage is a residual block: group-norm → SiLU → conv 3×3, twice, with the time and the class added to every
    channel in between. Enlarging is by the nearest pixel. At first the network says that there is no noise.
    (Ho, Jain, Abbeel, "Denoising diffusion probabilistic models", 2020, without its attention.)

    Raises OptionError for sizes that make no sense, ShapeError for pictures that do not fit."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, width: int = 32, depth: int = 1) -> None:
        sizes = {"in_channels": in_channels, "num_classes": num_classes, "width": width, "depth": depth}
        for name, value in sizes.items():
            whole_number(f"Denoiser: {name}", value)
        if width % _GROUPS:
            raise OptionError(f"Denoiser: width must be a multiple of {_GROUPS}, for group-norm, got {width}")
        self.in_channels, self.num_classes, self.width, self.multiple = in_channels, num_classes, width, 2**depth
        told = 3 * width
        self.time = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))
        self.classes = nn.Embedding(num_classes + 1, told)
        channels = [width, *[3 * width] * depth]
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down = nn.ModuleList([_Block(a, b, told) for a, b in pairwise([width, *channels])])
        self.pool = nn.AvgPool2d(2)
        self.middle = _Block(channels[-1], channels[-1], told)
        ups = list(pairwise(channels[::-1]))
        self.reduce = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in ups])
        self.up = nn.ModuleList([_Block(2 * b, b, told) for _, b in ups])
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.last = nn.Conv2d(width, in_channels, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        """The noise in x at the times, which are from 0 to 1."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or any(side % self.multiple for side in x.shape[2:]):
            raise ShapeError(
                f"Denoiser: pictures must be (N, {self.in_channels}, H, W), their sides multiples of {self.multiple}, "
                f"got {tuple(x.shape)}"
            )
        if tuple(time.shape) != (len(x),) or tuple(labels.shape) != (len(x),):
            raise ShapeError(
                f"Denoiser: {len(x)} pictures need as many times and labels, got {tuple(time.shape)} and "
                f"{tuple(labels.shape)}"
            )
        told = functional.silu(self.time(waves(time, self.width)) + self.classes(labels))
        x = self.first(x)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(self.pool(x) if skips else x, told)
            skips.append(x)
        x = self.middle(skips.pop(), told)
        for reduce, block in zip(self.reduce, self.up, strict=True):
            x = functional.interpolate(reduce(x), scale_factor=2, mode="nearest")
            x = block(cat([x, skips.pop()], dim=1), told)
        return self.last(functional.silu(self.norm(x)))


class _Block(nn.Module):
    """(N, C, H, W), told (N, T)  ->  (N, O, H, W)"""

    def __init__(self, channels: int, out_channels: int, told: int) -> None:
        self.norm1 = nn.GroupNorm(_GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.told = nn.Linear(told, out_channels)
        self.norm2 = nn.GroupNorm(_GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x, changed by what is told."""
        y = self.conv1(functional.silu(self.norm1(x))) + self.told(told).unsqueeze(2).unsqueeze(3)
        return self.skip(x) + self.conv2(functional.silu(self.norm2(y)))


def waves(time: Tensor, width: int) -> Tensor:
    """Times (N,) from 0 to 1 as cosines and sines of many frequencies, (N, width), so that a linear layer can tell
    near ones apart: with one number alone it could only draw a line over time."""
    # From one radian to a thousand over the whole time, evenly spaced in their logarithm.
    rates = np.exp(np.linspace(0, math.log(1000), width // 2)).astype(time.dtype)
    angles = time.unsqueeze(1) * Tensor.of(to_device(rates, time.device))
    return cat([angles.cos(), angles.sin()], dim=1)
