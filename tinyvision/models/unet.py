"""U-Net: a class for every pixel, from a contracting and an expanding path with bridges between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .. import nn
from ..errors import OptionError, ShapeError
from ..nn import functional
from ..nn.fusing import conv_norm_act
from ..ops.checks import whole_number
from ..tensors.arranging import cat
from ..tensors.tensor import Tensor
from .blocks import Conv2dNormActivation

__all__ = ["UNet"]

_BACKBONES = ("resnet18", "resnet34", "resnet50")


class UNet(nn.Module):
    """Scores for every pixel.   (N, in_channels, H, W) -> (N, num_classes, H, W)

    width      channels at full size; they double with each halving of the image
    depth      how often the image is halved; its sides must be at least 2^depth pixels
    backbone   None, or "resnet18", "resnet34" or "resnet50": the contracting path is then that network without its last
               layer (3 channels, image halved five times), and width is that of the last expanding stage
    weights    of the backbone, as its builder takes them

    Each stage is two 3×3 convolutions with batch-norm; enlarging is by the nearest pixel, after a 1×1 convolution.
    (Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015, with padded
    convolutions, so that the scores have the image's size.)"""

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 2,
        width: int = 12,
        depth: int = 3,
        backbone: str | None = None,
        weights: Any = None,
    ) -> None:
        sizes = {"in_channels": in_channels, "num_classes": num_classes, "width": width, "depth": depth}
        for name, value in sizes.items():
            whole_number(f"UNet: {name}", value)
        if backbone is None:
            if weights is not None:
                raise OptionError("UNet: weights are a backbone's; give one, such as backbone='resnet18'")
            self.encoder: nn.Module = _Contracting([in_channels, *(width * 2**level for level in range(depth + 1))])
        else:
            self.encoder = _ResNetStages(backbone, weights, in_channels)
        channels = list(self.encoder.channels)  # type: ignore[attr-defined]
        self.smallest = 2 ** (len(channels) - 1 if backbone is None else len(channels))
        self.in_channels = in_channels
        stages, x = [], channels[-1]
        for skip in reversed(channels[:-1]):
            out = skip if backbone is None else max(width, min(skip, x // 2) // 2)
            stages.append(_Expanding(x, skip, out))
            x = out
        self.decoder = nn.ModuleList(stages)
        self.last_stage = None if backbone is None else _twice(x, width)
        self.head = nn.Conv2d(x if backbone is None else width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes, H, W) of images (N, in_channels, H, W)."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(f"UNet: images must be (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        if min(x.shape[2:]) < self.smallest:
            raise ShapeError(f"UNet: images must be at least {self.smallest} pixels wide and high, got {x.shape[2:]}")
        size = tuple(x.shape[2:])
        skips = self.encoder(x)
        x = skips.pop()
        for stage in self.decoder:
            x = stage(x, skips.pop())
        if self.last_stage is not None:
            x = self.last_stage(functional.interpolate(x, size=size, mode="nearest"))
        return self.head(x)


def _twice(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        Conv2dNormActivation(in_channels, out_channels), Conv2dNormActivation(out_channels, out_channels)
    )


class _Contracting(nn.Module):
    """Features at every scale, the largest first.   channels [in, full size, half, ...]"""

    def __init__(self, channels: list[int]) -> None:
        self.channels = channels[1:]
        self.stages = nn.ModuleList([_twice(before, after) for before, after in pairwise(channels)])
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, C, H, W) -> one for each scale"""
        found: list[Tensor] = []
        for stage in self.stages:
            x = stage(self.pool(x) if found else x)
            found.append(x)
        return found


class _ResNetStages(nn.Module):
    """The stages of a ResNet as features at 1/2, 1/4, ... 1/32 of the image's size."""

    def __init__(self, name: str, weights: Any, in_channels: int) -> None:
        if name not in _BACKBONES:
            raise OptionError(f"UNet: backbone must be {', '.join(_BACKBONES)} or None, got {name!r}")
        if in_channels != 3:
            raise OptionError(f"UNet: the backbone {name} takes 3 channels, got in_channels={in_channels}")
        from . import resnet

        self.body = getattr(resnet, name)(weights=weights)
        self.body.fc = nn.Identity()
        self.channels = [64, *([64, 128, 256, 512] if name != "resnet50" else [256, 512, 1024, 2048])]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> one for each scale"""
        body = self.body
        found = [conv_norm_act(x, body.conv1, body.bn1, body.relu)]
        x = body.maxpool(found[0])
        for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
            x = stage(x)
            found.append(x)
        return found


class _Expanding(nn.Module):
    """Twice as large, beside what the contracting path had at that size, then two convolutions."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        self.reduce = Conv2dNormActivation(in_channels, out_channels, kernel_size=1)
        self.join = _twice(out_channels + skip_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (N, C, H, W), skip (N, S, 2H or 2H + 1, 2W or 2W + 1)  ->  (N, O, as skip)"""
        x = functional.interpolate(x, size=tuple(skip.shape[2:]), mode="nearest")
        return self.join(cat([self.reduce(x), skip], dim=1))
