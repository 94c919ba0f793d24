"""ShuffleNet v2: half of the channels pass by, and a shuffle lets the halves meet.

(Ma et al., "ShuffleNet V2", 2018.)
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import OptionError
from ..tensors.arranging import cat
from ..tensors.tensor import Tensor
from .pretrained import pretrainable

__all__ = [
    "ShuffleNetV2",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out anew, one from each group in turn: 0 1 2 3 4 5 -> 0 3 1 4 2 5 with two groups."""
    N, C, H, W = x.shape
    return x.view(N, groups, C // groups, H, W).transpose(1, 2).reshape(N, C, H, W)


def _depthwise(channels: int, stride: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


class InvertedResidual(nn.Module):
    """At stride 1, half of the channels goes through 1×1, depthwise 3×3, 1×1; at stride 2, both branches see all."""

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        half = oup // 2
        if stride not in (1, 2) or oup % 2 or (stride == 1 and inp != oup):
            raise OptionError(f"InvertedResidual: stride {stride} does not go from {inp} to {oup} channels")
        self.stride = stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                _depthwise(inp, stride),
                nn.BatchNorm2d(inp),
                nn.Conv2d(inp, half, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )
        self.branch2 = nn.Sequential(
            nn.Conv2d(inp if stride > 1 else half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            _depthwise(half, stride),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inp, H, W) -> (N, oup, H / stride, W / stride)"""
        if self.stride > 1:
            return channel_shuffle(cat([self.branch1(x), self.branch2(x)], 1), 2)
        half = x.shape[1] // 2
        return channel_shuffle(cat([x[:, :half], self.branch2(x[:, half:])], 1), 2)


class ShuffleNetV2(nn.Module):
    """A stem, three stages, a 1×1 convolution, one linear layer.   (N, 3, H, W) -> (N, num_classes)"""

    def __init__(
        self, stages_repeats: Sequence[int], stages_out_channels: Sequence[int], num_classes: int = 1000
    ) -> None:
        if len(stages_repeats) != 3 or len(stages_out_channels) != 5:
            raise OptionError("ShuffleNetV2: expected the blocks of 3 stages, and channels of stem, stages and head")
        channels, *widths, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for number, blocks, width in zip((2, 3, 4), stages_repeats, widths, strict=True):
            first = InvertedResidual(channels, width, 2)
            rest = [InvertedResidual(width, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"stage{number}", nn.Sequential(first, *rest))
            channels = width
        self.conv5 = nn.Sequential(
            nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU(inplace=True)
        )
        self.fc = nn.Linear(last, num_classes)

    stage2: nn.Module
    stage3: nn.Module
    stage4: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean((2, 3)))


@pretrainable(head="fc")
def shufflenet_v2_x0_5(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 with 0.5 times the channels: 1.4 million parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 1024], **options)


@pretrainable(head="fc")
def shufflenet_v2_x1_0(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 with 1.0 times the channels: 2.3 million parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 116, 232, 464, 1024], **options)


@pretrainable(head="fc")
def shufflenet_v2_x1_5(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 with 1.5 times the channels: 3.5 million parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 176, 352, 704, 1024], **options)


@pretrainable(head="fc")
def shufflenet_v2_x2_0(**options: Any) -> ShuffleNetV2:
    """ShuffleNet v2 with 2.0 times the channels: 7.4 million parameters."""
    return ShuffleNetV2([4, 8, 4], [24, 244, 488, 976, 2048], **options)
