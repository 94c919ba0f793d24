"""EfficientNet B0 to B7 and version 2: depth, width and resolution scaled together.

(Tan and Le, "EfficientNet", 2019; "EfficientNetV2", 2021.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import nn
from ..nn import init
from ..tensors.tensor import Tensor
from .blocks import (
    Conv2dNormActivation,
    Layer,
    SqueezeExcitation,
    StochasticDepth,
    _make_divisible,
    draw_weights,
    he_normal_leaky,
)
from .pretrained import pretrainable

__all__ = [
    "EfficientNet", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
    "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m",
    "efficientnet_v2_s",
]  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind; the stride is the first block's. `fused` blocks have one convolution for two."""

    expand_ratio: int
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    fused: bool = False


class MBConv(nn.Module):
    """1×1 to `expand_ratio` times the channels, depthwise, squeeze and excitation, 1×1 back; with a skip path."""

    def __init__(self, stage: Stage, drop: float, norm_layer: Layer) -> None:
        expanded = _make_divisible(stage.input_channels * stage.expand_ratio)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        layers: list[nn.Module] = []
        if expanded != stage.input_channels:
            layers.append(conv(stage.input_channels, expanded, 1, activation_layer=nn.SiLU))
        layers += [
            conv(expanded, expanded, stage.kernel, stage.stride, groups=expanded, activation_layer=nn.SiLU),
            SqueezeExcitation(expanded, max(1, stage.input_channels // 4), activation=partial(nn.SiLU, inplace=True)),
            conv(expanded, stage.out_channels, 1, activation_layer=None),
        ]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop, "row")
        self.use_res_connect = stage.stride == 1 and stage.input_channels == stage.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, out_channels, H / stride, W / stride)"""
        return self.stochastic_depth(self.block(x)) + x if self.use_res_connect else self.block(x)


class FusedMBConv(nn.Module):
    """A full convolution to `expand_ratio` times the channels, 1×1 back; with a skip path."""

    def __init__(self, stage: Stage, drop: float, norm_layer: Layer) -> None:
        expanded = _make_divisible(stage.input_channels * stage.expand_ratio)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        first = partial(conv, stage.input_channels, kernel_size=stage.kernel, stride=stage.stride)
        if expanded != stage.input_channels:
            layers = [
                first(out_channels=expanded, activation_layer=nn.SiLU),
                conv(expanded, stage.out_channels, 1, activation_layer=None),
            ]
        else:
            layers = [first(out_channels=stage.out_channels, activation_layer=nn.SiLU)]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop, "row")
        self.use_res_connect = stage.stride == 1 and stage.input_channels == stage.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, input_channels, H, W) -> (N, out_channels, H / stride, W / stride)"""
        return self.stochastic_depth(self.block(x)) + x if self.use_res_connect else self.block(x)


class EfficientNet(nn.Module):
    """A stem, stages of blocks, a 1×1 convolution, one linear layer.   (N, 3, H, W) -> (N, num_classes)

    stochastic_depth_prob  how often the last block is dropped in training; the first never is, and between them the
                           share grows evenly"""

    def __init__(
        self,
        stages: Sequence[Stage],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Layer = nn.BatchNorm2d,
        last_channel: int | None = None,
    ) -> None:
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU)
        layers: list[nn.Module] = [conv(3, stages[0].input_channels, 3, stride=2)]
        total, done = sum(stage.num_layers for stage in stages), 0
        for stage in stages:
            blocks: list[nn.Module] = []
            for i in range(stage.num_layers):
                own = stage if i == 0 else replace(stage, input_channels=stage.out_channels, stride=1)
                kind = FusedMBConv if stage.fused else MBConv
                blocks.append(kind(own, stochastic_depth_prob * done / total, norm_layer))
                done += 1
            layers.append(nn.Sequential(*blocks))
        width = stages[-1].out_channels
        last_channel = 4 * width if last_channel is None else last_channel
        layers.append(conv(width, last_channel, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(last_channel, num_classes))
        draw_weights(self, conv=he_normal_leaky, linear=_even)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _even(weight: Tensor) -> None:
    """Even between ± 1 / sqrt(numbers that come out)."""
    bound = 1 / math.sqrt(weight.shape[0])
    init.uniform_(weight, -bound, bound)


# Per stage: expansion, kernel size, stride, input and output channels, blocks, and whether they are fused.
_B0 = [
    Stage(1, 3, 1, 32, 16, 1),
    Stage(6, 3, 2, 16, 24, 2),
    Stage(6, 5, 2, 24, 40, 2),
    Stage(6, 3, 2, 40, 80, 3),
    Stage(6, 5, 1, 80, 112, 3),
    Stage(6, 5, 2, 112, 192, 4),
    Stage(6, 3, 1, 192, 320, 1),
]
_V2_S = [
    Stage(1, 3, 1, 24, 24, 2, fused=True),
    Stage(4, 3, 2, 24, 48, 4, fused=True),
    Stage(4, 3, 2, 48, 64, 4, fused=True),
    Stage(4, 3, 2, 64, 128, 6),
    Stage(6, 3, 1, 128, 160, 9),
    Stage(6, 3, 2, 160, 256, 15),
]
_V2_M = [
    Stage(1, 3, 1, 24, 24, 3, fused=True),
    Stage(4, 3, 2, 24, 48, 5, fused=True),
    Stage(4, 3, 2, 48, 80, 5, fused=True),
    Stage(4, 3, 2, 80, 160, 7),
    Stage(6, 3, 1, 160, 176, 14),
    Stage(6, 3, 2, 176, 304, 18),
    Stage(6, 3, 1, 304, 512, 5),
]
_V2_L = [
    Stage(1, 3, 1, 32, 32, 4, fused=True),
    Stage(4, 3, 2, 32, 64, 7, fused=True),
    Stage(4, 3, 2, 64, 96, 7, fused=True),
    Stage(4, 3, 2, 96, 192, 10),
    Stage(6, 3, 1, 192, 224, 19),
    Stage(6, 3, 2, 224, 384, 25),
    Stage(6, 3, 1, 384, 640, 7),
]
_KERAS_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
_V2_NORM = partial(nn.BatchNorm2d, eps=0.001)


def _scaled(width: float, depth: float) -> list[Stage]:
    """B0's stages with `width` times the channels and `depth` times the blocks."""
    return [
        replace(
            stage,
            input_channels=_make_divisible(stage.input_channels * width),
            out_channels=_make_divisible(stage.out_channels * width),
            num_layers=math.ceil(stage.num_layers * depth),
        )
        for stage in _B0
    ]


@pretrainable(head="classifier.1")
def efficientnet_b0(**options: Any) -> EfficientNet:
    """EfficientNet-B0: 5.3 million parameters; made for images of 224×224."""
    return EfficientNet(_scaled(1.0, 1.0), **{"dropout": 0.2, **options})


@pretrainable(head="classifier.1")
def efficientnet_b1(**options: Any) -> EfficientNet:
    """EfficientNet-B1: 7.8 million parameters; made for images of 240×240."""
    return EfficientNet(_scaled(1.0, 1.1), **{"dropout": 0.2, **options})


@pretrainable(head="classifier.1")
def efficientnet_b2(**options: Any) -> EfficientNet:
    """EfficientNet-B2: 9.1 million parameters; made for images of 288×288."""
    return EfficientNet(_scaled(1.1, 1.2), **{"dropout": 0.3, **options})


@pretrainable(head="classifier.1")
def efficientnet_b3(**options: Any) -> EfficientNet:
    """EfficientNet-B3: 12.2 million parameters; made for images of 300×300."""
    return EfficientNet(_scaled(1.2, 1.4), **{"dropout": 0.3, **options})


@pretrainable(head="classifier.1")
def efficientnet_b4(**options: Any) -> EfficientNet:
    """EfficientNet-B4: 19.3 million parameters; made for images of 380×380."""
    return EfficientNet(_scaled(1.4, 1.8), **{"dropout": 0.4, **options})


@pretrainable(head="classifier.1")
def efficientnet_b5(**options: Any) -> EfficientNet:
    """EfficientNet-B5: 30.4 million parameters; made for images of 456×456."""
    return EfficientNet(_scaled(1.6, 2.2), **{"dropout": 0.4, "norm_layer": _KERAS_NORM, **options})


@pretrainable(head="classifier.1")
def efficientnet_b6(**options: Any) -> EfficientNet:
    """EfficientNet-B6: 43.0 million parameters; made for images of 528×528."""
    return EfficientNet(_scaled(1.8, 2.6), **{"dropout": 0.5, "norm_layer": _KERAS_NORM, **options})


@pretrainable(head="classifier.1")
def efficientnet_b7(**options: Any) -> EfficientNet:
    """EfficientNet-B7: 66.3 million parameters; made for images of 600×600."""
    return EfficientNet(_scaled(2.0, 3.1), **{"dropout": 0.5, "norm_layer": _KERAS_NORM, **options})


@pretrainable(head="classifier.1", smallest=33)
def efficientnet_v2_s(**options: Any) -> EfficientNet:
    """EfficientNetV2-S: 21.5 million parameters; made for images of 384×384."""
    return EfficientNet(_V2_S, **{"dropout": 0.2, "norm_layer": _V2_NORM, "last_channel": 1280, **options})


@pretrainable(head="classifier.1", smallest=33)
def efficientnet_v2_m(**options: Any) -> EfficientNet:
    """EfficientNetV2-M: 54.1 million parameters; made for images of 480×480."""
    return EfficientNet(_V2_M, **{"dropout": 0.3, "norm_layer": _V2_NORM, "last_channel": 1280, **options})


@pretrainable(head="classifier.1", smallest=33)
def efficientnet_v2_l(**options: Any) -> EfficientNet:
    """EfficientNetV2-L: 118.5 million parameters; made for images of 480×480."""
    return EfficientNet(_V2_L, **{"dropout": 0.4, "norm_layer": _V2_NORM, "last_channel": 1280, **options})
