"""MobileNet v2: narrow blocks that widen inside, where a depthwise convolution does the work.

(Sandler et al., "MobileNetV2", 2018.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..tensors.tensor import Tensor
from .blocks import (
    Conv2dNormActivation,
    Layer,
    _make_divisible,
    draw_weights,
    he_normal_leaky,
    small_normal,
)
from .pretrained import pretrainable

__all__ = ["MobileNetV2", "mobilenet_v2"]

# Per stage: expansion, channels, blocks, stride of the first block.
_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


class InvertedResidual(nn.Module):
    """1×1 to `expand_ratio` times the channels, depthwise 3×3, 1×1 back; with a skip path where the shape stays."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Layer = nn.BatchNorm2d) -> None:
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, 1, norm_layer=norm_layer, activation_layer=nn.ReLU6))
        layers += [
            Conv2dNormActivation(
                hidden, hidden, 3, stride, groups=hidden, norm_layer=norm_layer, activation_layer=nn.ReLU6
            ),
            nn.Conv2d(hidden, oup, 1, bias=False),
            norm_layer(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inp, H, W) -> (N, oup, H / stride, W / stride)"""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """A stem, seventeen inverted residuals, a 1×1 convolution, one linear layer.   (N, 3, H, W) -> (N, num_classes)

    width_mult                 scales all numbers of channels, rounded to multiples of round_nearest
    inverted_residual_setting  per stage (expansion, channels, blocks, stride of the first block)"""

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        norm_layer: Layer = nn.BatchNorm2d,
        dropout: float = 0.2,
    ) -> None:
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, channels, stride=2, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        ]
        for expansion, width, blocks, stride in inverted_residual_setting or _STAGES:
            wide = _make_divisible(width * width_mult, round_nearest)
            for i in range(blocks):
                layers.append(InvertedResidual(channels, wide, stride if i == 0 else 1, expansion, norm_layer))
                channels = wide
        layers.append(
            Conv2dNormActivation(channels, self.last_channel, 1, norm_layer=norm_layer, activation_layer=nn.ReLU6)
        )
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        draw_weights(self, conv=he_normal_leaky, linear=small_normal)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1))


@pretrainable(head="classifier.1")
def mobilenet_v2(**options: Any) -> MobileNetV2:
    """MobileNet v2: 3.5 million parameters, 0.3 billion multiply-adds for an image of 224×224."""
    return MobileNetV2(**options)
