"""Residual networks with torchvision's parameter names.

(He et al., "Deep residual learning for image recognition", 2016.) As in torchvision, the bottleneck of ResNet-50 has
its stride in the 3×3 convolution ("version 1.5").
"""

from collections.abc import Sequence
from os import PathLike

from .. import nn
from ..nn import init
from ..nn.fusing import conv_norm_act
from ..tensors.tensor import Tensor
from .pretrained import load_pretrained


def _conv3x3(in_planes, planes, stride=1):
    return nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)


def _conv1x1(in_planes, planes, stride=1):
    return nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a path that skips them: y = relu(x + bn2(conv2(relu(bn1(conv1(x))))))."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        self.conv1, self.bn1 = _conv3x3(inplanes, planes, stride), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = _conv3x3(planes, planes), nn.BatchNorm2d(planes)
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
    """1×1 to fewer channels, 3×3, 1×1 back to four times as many, beside the skip path."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        self.conv1, self.bn1 = _conv1x1(inplanes, planes), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = _conv3x3(planes, planes, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = _conv1x1(planes, planes * 4), nn.BatchNorm2d(planes * 4)
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
    """A stem, four stages of blocks, the mean over all pixels, one linear layer.   (N, 3, H, W) -> (N, num_classes)"""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], layers: Sequence[int], num_classes: int = 1000
    ) -> None:
        self.inplanes = 64
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._stage(block, 64, layers[0], stride=1)
        self.layer2 = self._stage(block, 128, layers[1], stride=2)
        self.layer3 = self._stage(block, 256, layers[2], stride=2)
        self.layer4 = self._stage(block, 512, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, block, planes, count, stride):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                _conv1x1(self.inplanes, planes * block.expansion, stride), nn.BatchNorm2d(planes * block.expansion)
            )
        blocks = [block(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes * block.expansion
        blocks += [block(self.inplanes, planes) for _ in range(1, count)]
        return nn.Sequential(*blocks)

    def features(self, x: Tensor) -> Tensor:
        """The 512 (ResNet-50: 2,048) numbers before the last layer.   (N, 3, H, W) -> (N, 512)"""
        x = self.maxpool(conv_norm_act(x, self.conv1, self.bn1, self.relu))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self.fc(self.features(x))

    def norm_pairs(self) -> list[tuple[str, str]]:
        """The stem's."""
        return [("conv1", "bn1")]


def resnet18(
    weights: str | PathLike[str] | None = None,
    num_classes: int | None = None,
    pretrained: bool | None = None,
    progress: bool = True,
) -> ResNet:
    """ResNet-18: 11.7 million parameters, 1.8 billion multiply-adds for an image of 224×224.

    `weights`: None for random ones; "IMAGENET1K_V1" (or "DEFAULT", or `pretrained=True`) for torchvision's, from the
    cache, a named file, or the network; or the path of a weight file. With `num_classes` other than the file's,
    everything but the last layer is loaded. Raises WeightsError, DownloadError, OptionError."""
    build = _builder(BasicBlock, [2, 2, 2, 2])
    return load_pretrained("resnet18", build, "fc", weights, num_classes, pretrained, progress)


def resnet34(
    weights: str | PathLike[str] | None = None,
    num_classes: int | None = None,
    pretrained: bool | None = None,
    progress: bool = True,
) -> ResNet:
    """ResNet-34: 21.8 million parameters. The arguments are those of `resnet18`."""
    build = _builder(BasicBlock, [3, 4, 6, 3])
    return load_pretrained("resnet34", build, "fc", weights, num_classes, pretrained, progress)


def resnet50(
    weights: str | PathLike[str] | None = None,
    num_classes: int | None = None,
    pretrained: bool | None = None,
    progress: bool = True,
) -> ResNet:
    """ResNet-50: 25.6 million parameters. The arguments are those of `resnet18`."""
    build = _builder(Bottleneck, [3, 4, 6, 3])
    return load_pretrained("resnet50", build, "fc", weights, num_classes, pretrained, progress)


def _builder(block, layers):
    return lambda num_classes: ResNet(block, layers, num_classes)
