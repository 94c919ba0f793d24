"""A detector without anchors: where the centres of things are, and how far their box reaches from there."""

from __future__ import annotations

import math
from typing import Any

from .. import nn
from ..errors import OptionError, ShapeError
from ..nn import functional
from ..nn.fusing import conv_norm_act
from ..ops.checks import whole_number
from ..tensors.arranging import cat
from ..tensors.tensor import Tensor
from .blocks import Conv2dNormActivation

__all__ = ["CentreDetector"]

_BACKBONES = {"resnet18": (64, 128, 256), "resnet34": (64, 128, 256), "resnet50": (256, 512, 1024)}


class CentreDetector(nn.Module):
    """Heat and distances for every square of 4×4 pixels.   (N, 3, H, W) -> (N, num_classes + 4, ⌈H/4⌉, ⌈W/4⌉)

    The first num_classes channels are scores (before the sigmoid) of a thing of that class having its centre in the
    square; the last four are the distances from the square's middle to the left, top, right and bottom of its box, as
    logarithms, in units of 4 pixels (see `tasks.detection.decode`).

    width      channels at a quarter of the image's size, from 8; by default 44, which makes 0.36 million parameters
    backbone   None, or "resnet18", "resnet34", "resnet50": its first three stages replace the network's own
    weights    of the backbone, as its builder takes them

    Features at 1/4, 1/8 and 1/16 of the size are brought together from the smallest upwards. (Zhou, Wang, Krähenbühl,
    "Objects as points", 2019; the distances as in Tian et al., "FCOS", 2019.)"""

    stride = 4
    smallest = 16

    def __init__(self, num_classes: int = 1, width: int = 44, backbone: str | None = None, weights: Any = None) -> None:
        whole_number("CentreDetector: num_classes", num_classes)
        whole_number("CentreDetector: width", width, 8)
        if backbone is None:
            if weights is not None:
                raise OptionError("CentreDetector: weights are a backbone's; give one, such as backbone='resnet18'")
            self.body: nn.Module = _Stages(width)
        else:
            self.body = _ResNetStages(backbone, weights)
        at4, at8, at16 = self.body.channels  # type: ignore[attr-defined]
        half = width * 3 // 2
        self.up8, self.up4 = _Up(at16, at8, half), _Up(half, at4, width)
        self.shared = Conv2dNormActivation(width, width)
        self.head = nn.Conv2d(width, num_classes + 4, 1)
        self.num_classes = num_classes
        with_heat = self.head.bias.array  # type: ignore[union-attr]
        # A start at which nearly everything is background, as it is: otherwise the first steps only learn that.
        with_heat[:num_classes] = -math.log(99)
        with_heat[num_classes:] = math.log(2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes + 4, ⌈H/4⌉, ⌈W/4⌉)"""
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < self.smallest:
            raise ShapeError(
                f"CentreDetector: images must be (N, 3, H, W) of at least {self.smallest} pixels a side, "
                f"got {tuple(x.shape)}"
            )
        at4, at8, at16 = self.body(x)
        return self.head(self.shared(self.up4(self.up8(at16, at8), at4)))


class _Stages(nn.Module):
    """Features at 1/4, 1/8 and 1/16 of an image's size."""

    def __init__(self, width: int) -> None:
        self.channels = (width, width * 3 // 2, width * 2)
        first = width // 2
        self.stem = _pair(3, first)
        self.stages = nn.ModuleList(
            [_pair(before, after) for before, after in zip((first, *self.channels), self.channels, strict=False)]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> one for each scale"""
        x, found = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


def _pair(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2dNormActivation(in_channels, out_channels, stride=2), Conv2dNormActivation(out_channels, out_channels)
    )


class _ResNetStages(nn.Module):
    """The same of a ResNet, without its last stage."""

    def __init__(self, name: str, weights: Any) -> None:
        if name not in _BACKBONES:
            raise OptionError(f"CentreDetector: backbone must be {', '.join(_BACKBONES)} or None, got {name!r}")
        from . import resnet

        self.net = getattr(resnet, name)(weights=weights)
        self.net.layer4, self.net.fc = nn.Identity(), nn.Identity()
        self.channels = _BACKBONES[name]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> one for each scale"""
        net, found = self.net, []
        x = net.maxpool(conv_norm_act(x, net.conv1, net.bn1, net.relu))
        for stage in (net.layer1, net.layer2, net.layer3):
            x = stage(x)
            found.append(x)
        return found


class _Up(nn.Module):
    """What is at half the size, enlarged, beside what is at this size, and a convolution."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        self.below = Conv2dNormActivation(in_channels, out_channels, kernel_size=1)
        self.join = Conv2dNormActivation(out_channels + skip_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (N, C, H/2, W/2), skip (N, S, H, W)  ->  (N, O, H, W)"""
        x = functional.interpolate(self.below(x), size=tuple(skip.shape[2:]), mode="nearest")
        return self.join(cat([x, skip], dim=1))
