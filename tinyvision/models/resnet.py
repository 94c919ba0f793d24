"""Residual networks, and their relatives with groups or with wider bottlenecks.

(He et al., "Deep residual learning for image recognition", 2016; Xie et al., "Aggregated residual transformations",
2017; Zagoruyko and Komodakis, "Wide residual networks", 2016.) As in torchvision, the bottleneck has its stride in the
3×3 convolution ("version 1.5").
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import OptionError
from ..nn import init
from ..nn.fusing import conv_norm_act
from ..tensors.tensor import Tensor
from .blocks import Layer, draw_weights, he_normal
from .pretrained import pretrainable

__all__ = [
    "BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
]  # fmt: skip


def conv3x3(in_planes: int, planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3×3 convolution without bias, padded so that with stride 1 the size stays."""
    return nn.Conv2d(in_planes, planes, 3, stride, padding=dilation, dilation=dilation, groups=groups, bias=False)


def conv1x1(in_planes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1×1 convolution without bias."""
    return nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a path that skips them: y = relu(x + bn2(conv2(relu(bn1(conv1(x))))))."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Layer = nn.BatchNorm2d,
    ) -> None:
        if (groups, base_width, dilation) != (1, 64, 1):
            raise OptionError("BasicBlock: groups, width_per_group and dilation are for networks of Bottlenecks")
        self.conv1, self.bn1 = conv3x3(inplanes, planes, stride), norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv3x3(planes, planes), norm_layer(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, planes, H / stride, W / stride)"""
        identity = x if self.downsample is None else self.downsample(x)
        x = conv_norm_act(x, self.conv1, self.bn1, self.relu)
        return conv_norm_act(x, self.conv2, self.bn2, self.relu, skip=identity)

    def norm_pairs(self) -> list[tuple[str, str]]:
        """Each batch-norm follows on the convolution of its number."""
        return [("conv1", "bn1"), ("conv2", "bn2")]


class Bottleneck(nn.Module):
    """1×1 to fewer channels, 3×3, 1×1 back to four times `planes`, beside the skip path.

    The 3×3 convolution has planes · base_width / 64 channels in each of its groups."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Layer = nn.BatchNorm2d,
    ) -> None:
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1, self.bn1 = conv1x1(inplanes, width), norm_layer(width)
        self.conv2, self.bn2 = conv3x3(width, width, stride, groups, dilation), norm_layer(width)
        self.conv3, self.bn3 = conv1x1(width, planes * 4), norm_layer(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, 4·planes, H / stride, W / stride)"""
        identity = x if self.downsample is None else self.downsample(x)
        x = conv_norm_act(x, self.conv1, self.bn1, self.relu)
        x = conv_norm_act(x, self.conv2, self.bn2, self.relu)
        return conv_norm_act(x, self.conv3, self.bn3, self.relu, skip=identity)

    def norm_pairs(self) -> list[tuple[str, str]]:
        """Each batch-norm follows on the convolution of its number."""
        return [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")]


class ResNet(nn.Module):
    """A stem, four stages of blocks, the mean over all pixels, one linear layer.   (N, 3, H, W) -> (N, num_classes)

    zero_init_residual              begin with blocks that do nothing: their last batch-norm's weights are 0
    groups, width_per_group         of the bottlenecks' 3×3 convolutions
    replace_stride_with_dilation    for the last three stages: keep the image's size and dilate the kernels instead
    norm_layer                      in place of BatchNorm2d"""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Layer | None = None,
    ) -> None:
        dilate = [False] * 3 if replace_stride_with_dilation is None else list(replace_stride_with_dilation)
        if len(dilate) != 3:
            raise OptionError(f"ResNet: replace_stride_with_dilation needs 3 truth values, got {dilate!r}")
        self.inplanes, self.dilation, self.groups, self.base_width = 64, 1, groups, width_per_group
        self._norm_layer: Layer = nn.BatchNorm2d if norm_layer is None else norm_layer
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        draw_weights(self, conv=he_normal)
        for module in self.modules() if zero_init_residual else ():
            if isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                init.zeros_(last.weight)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        before, width = self.dilation, planes * block.expansion
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        downsample = None
        if stride != 1 or self.inplanes != width:
            downsample = nn.Sequential(conv1x1(self.inplanes, width, stride), self._norm_layer(width))
        shape = {"groups": self.groups, "base_width": self.base_width, "norm_layer": self._norm_layer}
        first = block(self.inplanes, planes, stride, downsample, dilation=before, **shape)
        self.inplanes = width
        return nn.Sequential(first, *[block(width, planes, dilation=self.dilation, **shape) for _ in range(1, blocks)])

    def features(self, x: Tensor) -> Tensor:
        """The 512 (with Bottlenecks 2,048) numbers before the last layer.   (N, 3, H, W) -> (N, 512)"""
        x = self.maxpool(conv_norm_act(x, self.conv1, self.bn1, self.relu))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)

    def _forward_impl(self, x: Tensor) -> Tensor:  # as torchvision calls what a subclass overrides
        return self.fc(self.features(x))

    def norm_pairs(self) -> list[tuple[str, str]]:
        """The stem's."""
        return [("conv1", "bn1")]


@pretrainable(head="fc")
def resnet18(**options: Any) -> ResNet:
    """ResNet-18: 11.7 million parameters, 1.8 billion multiply-adds for an image of 224×224."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **options)


@pretrainable(head="fc")
def resnet34(**options: Any) -> ResNet:
    """ResNet-34: 21.8 million parameters, 3.7 billion multiply-adds."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **options)


@pretrainable(head="fc")
def resnet50(**options: Any) -> ResNet:
    """ResNet-50: 25.6 million parameters, 4.1 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **options)


@pretrainable(head="fc")
def resnet101(**options: Any) -> ResNet:
    """ResNet-101: 44.5 million parameters, 7.8 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **options)


@pretrainable(head="fc")
def resnet152(**options: Any) -> ResNet:
    """ResNet-152: 60.2 million parameters, 11.5 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **options)


@pretrainable(head="fc")
def resnext50_32x4d(**options: Any) -> ResNet:
    """ResNeXt-50 with 32 groups of 4 channels: 25.0 million parameters, 4.2 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"groups": 32, "width_per_group": 4, **options})


@pretrainable(head="fc")
def resnext101_32x8d(**options: Any) -> ResNet:
    """ResNeXt-101 with 32 groups of 8 channels: 88.8 million parameters, 16.4 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"groups": 32, "width_per_group": 8, **options})


@pretrainable(head="fc")
def resnext101_64x4d(**options: Any) -> ResNet:
    """ResNeXt-101 with 64 groups of 4 channels: 83.5 million parameters, 15.5 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"groups": 64, "width_per_group": 4, **options})


@pretrainable(head="fc")
def wide_resnet50_2(**options: Any) -> ResNet:
    """ResNet-50 with 3×3 convolutions twice as wide: 68.9 million parameters, 11.4 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"width_per_group": 128, **options})


@pretrainable(head="fc")
def wide_resnet101_2(**options: Any) -> ResNet:
    """ResNet-101 with 3×3 convolutions twice as wide: 126.9 million parameters, 22.8 billion multiply-adds."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **{"width_per_group": 128, **options})
