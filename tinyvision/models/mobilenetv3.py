"""MobileNet v3: version 2 with squeeze and excitation, and with an activation that is cheap on a phone.

(Howard et al., "Searching for MobileNetV3", 2019.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import nn
from ..tensors.tensor import Tensor
from .blocks import (
    Conv2dNormActivation,
    Layer,
    SqueezeExcitation,
    _make_divisible,
    draw_weights,
    he_normal_leaky,
    small_normal,
)
from .pretrained import pretrainable

__all__ = ["MobileNetV3", "mobilenet_v3_large", "mobilenet_v3_small"]


@dataclass(frozen=True)
class Block:
    """A block: input, expanded and output channels, kernel size, stride, dilation, and what it has."""

    inputs: int
    kernel: int
    expanded: int
    outputs: int
    squeeze: bool
    hardswish: bool
    stride: int
    dilation: int = 1


class InvertedResidual(nn.Module):
    """1×1 to `expanded` channels, depthwise, squeeze and excitation, 1×1 back; a skip path where the shape stays."""

    def __init__(self, block: Block, norm_layer: Layer) -> None:
        act: Layer = nn.Hardswish if block.hardswish else nn.ReLU
        self.use_res_connect = block.stride == 1 and block.inputs == block.outputs
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        layers: list[nn.Module] = []
        if block.expanded != block.inputs:
            layers.append(conv(block.inputs, block.expanded, 1, activation_layer=act))
        layers.append(
            conv(
                block.expanded,
                block.expanded,
                block.kernel,
                stride=1 if block.dilation > 1 else block.stride,
                dilation=block.dilation,
                groups=block.expanded,
                activation_layer=act,
            )
        )
        if block.squeeze:
            squeezed = _make_divisible(block.expanded // 4, 8)
            layers.append(SqueezeExcitation(block.expanded, squeezed, scale_activation=nn.Hardsigmoid))
        layers.append(conv(block.expanded, block.outputs, 1, activation_layer=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)"""
        return self.block(x) + x if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """A stem, inverted residuals, a 1×1 convolution, two linear layers.   (N, 3, H, W) -> (N, num_classes)"""

    def __init__(
        self,
        blocks: Sequence[Block],
        last_channel: int,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.Hardswish)
        layers: list[nn.Module] = [conv(3, blocks[0].inputs, 3, stride=2)]
        layers += [InvertedResidual(block, norm_layer) for block in blocks]
        width = 6 * blocks[-1].outputs
        layers.append(conv(blocks[-1].outputs, width, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(width, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        draw_weights(self, conv=he_normal_leaky, linear=small_normal)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# Per block: input channels, kernel size, expanded channels, output channels, squeeze, Hardswish, stride.
_LARGE = [
    (16, 3, 16, 16, False, False, 1),
    (16, 3, 64, 24, False, False, 2),
    (24, 3, 72, 24, False, False, 1),
    (24, 5, 72, 40, True, False, 2),
    (40, 5, 120, 40, True, False, 1),
    (40, 5, 120, 40, True, False, 1),
    (40, 3, 240, 80, False, True, 2),
    (80, 3, 200, 80, False, True, 1),
    (80, 3, 184, 80, False, True, 1),
    (80, 3, 184, 80, False, True, 1),
    (80, 3, 480, 112, True, True, 1),
    (112, 3, 672, 112, True, True, 1),
    (112, 5, 672, 160, True, True, 2),
    (160, 5, 960, 160, True, True, 1),
    (160, 5, 960, 160, True, True, 1),
]
_SMALL = [
    (16, 3, 16, 16, True, False, 2),
    (16, 3, 72, 24, False, False, 2),
    (24, 3, 88, 24, False, False, 1),
    (24, 5, 96, 40, True, True, 2),
    (40, 5, 240, 40, True, True, 1),
    (40, 5, 240, 40, True, True, 1),
    (40, 5, 120, 48, True, True, 1),
    (48, 5, 144, 48, True, True, 1),
    (48, 5, 288, 96, True, True, 2),
    (96, 5, 576, 96, True, True, 1),
    (96, 5, 576, 96, True, True, 1),
]


def _scaled(
    rows: Any,
    last_channel: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **options: Any,
) -> MobileNetV3:
    """The network with all channels scaled by width_mult, its last stage half as wide, or dilated and not strided."""
    divisor, dilation = 2 if reduced_tail else 1, 2 if dilated else 1
    blocks = []
    for i, (inputs, kernel, expanded, outputs, squeeze, hardswish, stride) in enumerate(rows):
        tail = len(rows) - i  # the last stage begins with the third block from the end
        inputs, expanded = inputs // (divisor if tail < 3 else 1), expanded // (divisor if tail < 3 else 1)
        outputs = outputs // (divisor if tail <= 3 else 1)
        channels = (_make_divisible(n * width_mult) for n in (inputs, expanded, outputs))
        inputs, expanded, outputs = channels
        spread = dilation if tail <= 3 else 1
        blocks.append(Block(inputs, kernel, expanded, outputs, squeeze, hardswish, stride, spread))
    return MobileNetV3(blocks, _make_divisible(last_channel // divisor * width_mult), **options)


@pretrainable(head="classifier.3")
def mobilenet_v3_large(**options: Any) -> MobileNetV3:
    """MobileNet v3 large: 5.5 million parameters, 0.22 billion multiply-adds for an image of 224×224."""
    return _scaled(_LARGE, 1280, **options)


@pretrainable(head="classifier.3")
def mobilenet_v3_small(**options: Any) -> MobileNetV3:
    """MobileNet v3 small: 2.5 million parameters, 0.06 billion multiply-adds for an image of 224×224."""
    return _scaled(_SMALL, 1024, **options)
