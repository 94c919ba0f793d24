"""Densely connected networks: every layer sees what all layers before it in its block put out.

(Huang et al., "Densely connected convolutional networks", 2017.)
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..nn.fusing import conv_norm_act
from ..tensors.arranging import cat
from ..tensors.creation import zeros
from ..tensors.tensor import Tensor
from .blocks import draw_weights
from .pretrained import pretrainable

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]


class _DenseLayer(nn.Module):
    """Batch-norm, ReLU, 1×1 to bn_size · growth_rate channels; batch-norm, ReLU, 3×3 to growth_rate channels."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        self.norm1, self.relu1 = nn.BatchNorm2d(num_input_features), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(bn_size * growth_rate), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_input_features, H, W) -> (N, growth_rate, H, W)"""
        x = conv_norm_act(self.relu1(self.norm1(x)), self.conv1, self.norm2, self.relu2)
        x = self.conv2(x)
        return F.dropout(x, self.drop_rate, self.training) if self.drop_rate > 0 else x

    def norm_pairs(self) -> list[tuple[str, str]]:
        """The only batch-norm that follows on a convolution."""
        return [("conv1", "norm2")]


class _DenseBlock(nn.ModuleDict):
    """Layers that each add growth_rate channels.   (N, C, H, W) -> (N, C + growth_rate · layers, H, W)"""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__(
            (f"denselayer{i + 1}", _DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate))
            for i in range(num_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input and what all layers have put out, one behind the other."""
        found = [x]
        for layer in self.values():
            found.append(layer(cat(found, 1)))
        return cat(found, 1)


class _Transition(nn.Sequential):
    """Batch-norm, ReLU, 1×1.   (N, num_input_features, H, W) -> (N, num_output_features, H/2, W/2)"""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(num_input_features),
                relu=nn.ReLU(inplace=True),
                conv=nn.Conv2d(num_input_features, num_output_features, kernel_size=1, bias=False),
                pool=nn.AvgPool2d(kernel_size=2, stride=2),
            )
        )


class DenseNet(nn.Module):
    """A stem, four dense blocks with transitions between.   (N, 3, H, W) -> (N, num_classes), H and W at least 29

    memory_efficient is taken and changes no number; here nothing is computed twice to save memory."""

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False),
                norm0=nn.BatchNorm2d(num_init_features),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        channels = num_init_features
        for i, layers in enumerate(block_config, 1):
            block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate)
            self.features.add_module(f"denseblock{i}", block)
            channels += layers * growth_rate
            if i < len(block_config):
                self.features.add_module(f"transition{i}", _Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        self.classifier.bias = nn.Parameter(zeros(num_classes))
        draw_weights(self, conv=init.kaiming_normal_)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def _without_inner_dots(name: str) -> str:
    """ "denselayer1.norm.1.weight" -> "denselayer1.norm1.weight": the published files have an older spelling."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name)


@pretrainable(head="classifier", smallest=29, rename=_without_inner_dots)
def densenet121(**options: Any) -> DenseNet:
    """DenseNet-121: 8.0 million parameters, 2.8 billion multiply-adds for an image of 224×224."""
    return DenseNet(32, (6, 12, 24, 16), 64, **options)


@pretrainable(head="classifier", smallest=29, rename=_without_inner_dots)
def densenet161(**options: Any) -> DenseNet:
    """DenseNet-161: 28.7 million parameters."""
    return DenseNet(48, (6, 12, 36, 24), 96, **options)


@pretrainable(head="classifier", smallest=29, rename=_without_inner_dots)
def densenet169(**options: Any) -> DenseNet:
    """DenseNet-169: 14.1 million parameters."""
    return DenseNet(32, (6, 12, 32, 32), 64, **options)


@pretrainable(head="classifier", smallest=29, rename=_without_inner_dots)
def densenet201(**options: Any) -> DenseNet:
    """DenseNet-201: 20.0 million parameters."""
    return DenseNet(32, (6, 12, 48, 32), 64, **options)
