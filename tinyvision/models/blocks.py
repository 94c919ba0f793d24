"""Blocks that several networks are built from, with torchvision's names and arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn, random
from ..device import device_of, to_device
from ..errors import OptionError
from ..nn import init
from ..nn.fusing import conv_norm_act
from ..ops.checks import fraction
from ..tensors.arranging import cat
from ..tensors.creation import zeros
from ..tensors.tensor import Tensor
from ..types import IntOrPair
from ..weights.published import IMAGENET_MEAN, IMAGENET_STD

Layer = Callable[..., nn.Module]  # what makes a layer: a class, or a partial of one


def _make_divisible(v: float, divisor: int = 8, min_value: int | None = None) -> int:
    """A number of channels: v rounded to a multiple of `divisor`, but not down by more than a tenth."""
    rounded = max(divisor if min_value is None else min_value, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps the image's size (at stride 1), its normalisation, and the activation.

    Its bias is left out where a normalisation follows; norm_layer and activation_layer may be None."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair = 3,
        stride: IntOrPair = 1,
        padding: IntOrPair | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: IntOrPair = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            sizes, steps = ((v, v) if isinstance(v, int) else tuple(v) for v in (kernel_size, dilation))
            padding = tuple((k - 1) // 2 * d for k, d in zip(sizes, steps, strict=True))  # type: ignore[assignment]
        bias = norm_layer is None if bias is None else bias
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)  # type: ignore[arg-type]
        layers: list[nn.Module] = [conv]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


_RELU = nn.ReLU(inplace=True)


class BasicConv2d(nn.Module):
    """relu(batch-norm(convolution)), as both Inception networks have it; options are the convolution's."""

    def __init__(self, in_channels: int, out_channels: int, **options: Any) -> None:
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, OH, OW)"""
        return conv_norm_act(x, self.conv, self.bn, _RELU)

    def norm_pairs(self) -> list[tuple[str, str]]:
        """The only pair."""
        return [("conv", "bn")]


def as_tensorflow_scales(x: Tensor) -> Tensor:
    """Pictures normalised with ImageNet's mean and standard deviation, as if both had been 0.5: the scale on which
    weights from TensorFlow were trained.   (N, 3, H, W) -> (N, 3, H, W)"""
    channels = zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)
    return cat([x[:, i : i + 1] * (std / 0.5) + (mean - 0.5) / 0.5 for i, (mean, std) in enumerate(channels)], 1)


class SqueezeExcitation(nn.Module):
    """x · scale(relu(mean of x)): each channel weighed by what all of them say.   (N, C, H, W) -> (N, C, H, W)

    (Hu et al., "Squeeze-and-excitation networks", 2018.)"""

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        """The channels weighed."""
        scale = conv_norm_act(self.avgpool(input), self.fc1, act=self.activation)
        return conv_norm_act(scale, self.fc2, act=self.scale_activation) * input


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """Drop with probability p, in training, the whole batch (mode "batch") or single samples of it ("row").

    What is left is scaled by 1 / (1 - p). Raises OptionError. (Huang et al., "Deep networks with stochastic
    depth", 2016.)"""
    p = fraction("stochastic_depth", "p", p)
    if mode not in ("batch", "row"):
        raise OptionError(f'stochastic_depth: mode must be "batch" or "row", got {mode!r}')
    if not training or p == 0:
        return input
    shape = (input.shape[0], *[1] * (input.ndim - 1)) if mode == "row" else (1,)  # one number, not one for a row
    kept = (random.generator().random(shape) >= p).astype(input.dtype) / (1 - p if p < 1 else 1)
    return input * Tensor.of(to_device(kept.astype(input.dtype), device_of(input.array)))


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a layer."""

    def __init__(self, p: float, mode: str) -> None:
        self.p, self.mode = fraction("StochasticDepth", "p", p), mode
        if mode not in ("batch", "row"):
            raise OptionError(f'StochasticDepth: mode must be "batch" or "row", got {mode!r}')

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out in training."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, mode={self.mode}"


class Permute(nn.Module):
    """The axes in another order."""

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        """x with its axes in that order."""
        return x.permute(*self.dims)


class MLP(nn.Sequential):
    """Linear layers with an activation and a dropout after each, and a dropout at the end.   (N, I) -> (N, O)"""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        for i, size in enumerate(hidden_channels):
            layers.append(nn.Linear(in_channels, size, bias=bias))
            if i < len(hidden_channels) - 1:
                layers += [] if norm_layer is None else [norm_layer(size)]
                layers += [] if activation_layer is None else [activation_layer(**options)]
            layers.append(nn.Dropout(dropout, **options))
            in_channels = size
        super().__init__(*layers)


class FrozenBatchNorm2d(nn.Module):
    """Batch-norm whose statistics, scale and shift are fixed: four buffers, nothing that is learned."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        self.eps = eps
        self.weight, self.bias = nn.Buffer(zeros(num_features) + 1), nn.Buffer(zeros(num_features))
        self.running_mean = nn.Buffer(zeros(num_features))
        self.running_var = nn.Buffer(zeros(num_features) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / sqrt(var + eps) · weight + bias"""
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


def draw_weights(
    model: nn.Module, conv: Callable[[Tensor], Any], linear: Callable[[Tensor], Any] | None = None
) -> None:
    """Draw all convolutions' weights with `conv` and, if given, linear layers' with `linear`; their biases are 0."""
    for module in model.modules():
        draw = conv if isinstance(module, nn.Conv2d) else linear
        if draw is not None and isinstance(module, (nn.Conv2d, nn.Linear)):
            draw(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


def he_normal(weight: Tensor) -> None:
    """He's rule for ReLUs by the numbers that an input feeds."""
    init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def he_normal_leaky(weight: Tensor) -> None:
    """He's rule by the numbers that an input feeds, with PyTorch's default of a leaky ReLU of slope 0."""
    init.kaiming_normal_(weight, mode="fan_out")


def small_normal(weight: Tensor) -> None:
    """Normal with standard deviation 0.01."""
    init.normal_(weight, std=0.01)
