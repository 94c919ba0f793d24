"""ConvNeXt: a convolutional network with the manners of a transformer.

(Liu et al., "A ConvNet for the 2020s", 2022.)
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from .. import nn
from ..nn import init
from ..tensors.creation import ones
from ..tensors.tensor import Tensor
from .blocks import Conv2dNormActivation, Layer, Permute, StochasticDepth, draw_weights
from .pretrained import pretrainable

__all__ = ["ConvNeXt", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny"]


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of every pixel.   (N, C, H, W) -> (N, C, H, W)"""

    def forward(self, x: Tensor) -> Tensor:
        """x normalised."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """x + layer_scale · (depthwise 7×7, layer norm, to four times the channels, GELU, back).   (N, dim, H, W)"""

    def __init__(self, dim: int, layer_scale: float, drop: float, norm_layer: Layer) -> None:
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim),
            Permute([0, 2, 3, 1]),
            norm_layer(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(drop, "row")

    def forward(self, x: Tensor) -> Tensor:
        """x and what the block adds to it."""
        return self.stochastic_depth(self.layer_scale * self.block(x)) + x


class ConvNeXt(nn.Module):
    """A stem, four stages with 2×2 convolutions between, one linear layer.   (N, 3, H, W) -> (N, num_classes)

    stages  for each its channels and its blocks; H and W are at least 32"""

    def __init__(
        self,
        stages: Sequence[tuple[int, int]],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
    ) -> None:
        first, last = stages[0][0], stages[-1][0]
        stem = Conv2dNormActivation(
            3, first, 4, stride=4, padding=0, norm_layer=_norm2d, activation_layer=None, bias=True
        )
        layers: list[nn.Module] = [stem]
        total, done = sum(blocks for _, blocks in stages), 0
        for i, (dim, blocks) in enumerate(stages):
            drops = [stochastic_depth_prob * (done + j) / (total - 1.0) for j in range(blocks)]
            layers.append(nn.Sequential(*(CNBlock(dim, layer_scale, drop, _norm) for drop in drops)))
            done += blocks
            if i < len(stages) - 1:
                layers.append(nn.Sequential(_norm2d(dim), nn.Conv2d(dim, stages[i + 1][0], kernel_size=2, stride=2)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(_norm2d(last), nn.Flatten(1), nn.Linear(last, num_classes))
        draw_weights(self, conv=_narrow, linear=_narrow)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        return self.classifier(self.avgpool(self.features(x)))


_norm = partial(nn.LayerNorm, eps=1e-6)
_norm2d = partial(LayerNorm2d, eps=1e-6)


def _narrow(weight: Tensor) -> None:
    """Normal with standard deviation 0.02, cut off at ± 2."""
    init.trunc_normal_(weight, std=0.02)


@pretrainable(head="classifier.2", smallest=32)
def convnext_tiny(**options: Any) -> ConvNeXt:
    """ConvNeXt-Tiny: 28.6 million parameters."""
    return ConvNeXt([(96, 3), (192, 3), (384, 9), (768, 3)], **{"stochastic_depth_prob": 0.1, **options})


@pretrainable(head="classifier.2", smallest=32)
def convnext_small(**options: Any) -> ConvNeXt:
    """ConvNeXt-Small: 50.2 million parameters."""
    return ConvNeXt([(96, 3), (192, 3), (384, 27), (768, 3)], **{"stochastic_depth_prob": 0.4, **options})


@pretrainable(head="classifier.2", smallest=32)
def convnext_base(**options: Any) -> ConvNeXt:
    """ConvNeXt-Base: 88.6 million parameters."""
    return ConvNeXt([(128, 3), (256, 3), (512, 27), (1024, 3)], **{"stochastic_depth_prob": 0.5, **options})


@pretrainable(head="classifier.2", smallest=32)
def convnext_large(**options: Any) -> ConvNeXt:
    """ConvNeXt-Large: 197.8 million parameters."""
    return ConvNeXt([(192, 3), (384, 3), (768, 27), (1536, 3)], **{"stochastic_depth_prob": 0.5, **options})
