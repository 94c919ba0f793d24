"""From Keras's layers to ours: one table, class name -> a Module made of the layer's options and its arrays; the
functions of keras.ops stand in it as `ops.Name`.

Keras's pictures have their channels last, ours have them first: between the layers here a tensor with four axes is
(N, C, H, W), as everywhere in this package. The few layers whose meaning depends on the order of the axes (Flatten,
Reshape, Permute, Dense, Softmax, Concatenate) turn to Keras's order and back. https://keras.io/api/layers
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..nn import functional as F
from ..nn.fusing import Convolution, FrozenNorm, finished
from ..nn.layers.convolution import Conv2d, ConvTranspose2d
from ..nn.layers.linear import Linear
from ..nn.layers.normalization import BatchNorm2d
from ..nn.module import Buffer, Module, Parameter
from ..tensors.tensor import Tensor
from .chains import Role
from .keras_activations import activation_of
from .keras_options import Options
from .tables import entering

LAYERS: dict[str, Callable[..., Module]] = {}
layer = entering(LAYERS)  # what makes a Module, called with (options, arrays)


# ------------------------------------------------------------------------------------------ the order of axes


def to_keras(x: Any) -> Any:
    """(N, C, H, W) -> (N, H, W, C); with another number of axes the order is Keras's already."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def from_keras_order(x: Any) -> Any:
    """(N, H, W, C) -> (N, C, H, W)."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def axis_here(axis: int, ndim: int) -> int:
    """The axis that Keras numbers so."""
    return (0, 2, 3, 1)[axis % 4] if ndim == 4 else axis % ndim


def _same(size, kernel, stride, dilation=1):
    """(before, after): the zeros of padding="same", the odd one after; ceil(size / stride) windows result."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def same_borders(x: Any, kernel: Any, stride: Any, dilation: Any = (1, 1)) -> tuple[int, int, int, int]:
    """(top, left, bottom, right): the borders of padding="same" around x, in front of windows of this size."""
    (top, bottom), (left, right) = (
        _same(n, k, s, d) for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    )
    return top, left, bottom, right


def padded(
    x: Any,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    value: float = 0.0,
) -> Any:
    """x with the borders of padding="same"."""
    top, left, bottom, right = same_borders(x, kernel, stride, dilation)
    return F.pad(x, (left, right, top, bottom), value=value) if top + bottom + left + right else x


def _channels_alone(options, *more):
    """The option `axis`, which must mean the last axis, the channels; refused if it never does, or none of `more`."""
    axis = options.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, 1, 2, 3, *more) or isinstance(axis, bool):
        raise options.refuse(f"axis={axis!r:.40}; only the last one, the channels, is known here")
    return axis


def _check_axis(axis, x):
    """Whether `axis` of Keras's is the last one of x. Raises ShapeError: the file does not say how many there are."""
    if axis is not None and axis not in (-1, x.ndim - 1):
        raise ShapeError(
            f"a layer of Keras's with axis={axis} was given a tensor with {x.ndim} axes: only the last one, the "
            f"channels, is known here"
        )


def _set(parameter, array):
    parameter.array = array
    return parameter


# ---------------------------------------------------------------------------------------------- convolutions


class _Convolution(Conv2d):
    """A convolution with Keras's padding and, after it, its activation."""

    def __init__(self, options: Options, weight: np.ndarray, bias: np.ndarray | None, groups: int) -> None:
        O, inner, *kernel = weight.shape
        if tuple(kernel) != options.pair("kernel_size") or O % groups:
            raise options.refuse(
                f"its kernel {weight.shape} does not fit kernel_size {options.get('kernel_size')!r:.40}"
            )
        stride, dilation = options.pair("strides", 1), options.pair("dilation_rate", 1)
        super().__init__(inner * groups, O, tuple(kernel), stride, 0, dilation, groups, bias is not None)
        _set(self.weight, weight)
        if bias is not None and self.bias is not None:
            _set(self.bias, _bias(options, bias, O))
        self.same = options.choice("padding", "valid", "same") == "same"
        self.after = activation_of(options)

    def forward(self, input: Any) -> Any:
        """(N, C, H, W) -> (N, O, OH, OW)."""
        if not self.same:
            return self.after(super().forward(input))
        windows = self.kernel_size, self.stride, self.dilation
        top, left, bottom, right = same_borders(input, *windows)
        even = (top, left) == (bottom, right)
        x, padding = (input, (top, left)) if even else (padded(input, *windows), (0, 0))
        return self.after(F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups))

    def convolution(self, x: Any) -> tuple[Any, Convolution]:
        """(x, what it is convolved with), without the activation."""
        top, left, bottom, right = 0, 0, 0, 0
        if self.same:
            top, left, bottom, right = same_borders(x, self.kernel_size, self.stride, self.dilation)
        beyond = bottom - top, right - left
        return x, Convolution(self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups, beyond)

    @property
    def role(self) -> Role | None:
        """What it is in a chain."""
        return self.after.behind("conv")


def _bias(options, bias, count):
    if bias.shape != (count,):
        raise options.refuse(f"its bias is {bias.shape}, not {(count,)}")
    return bias


def _convolution_arrays(options, given, *names):
    """The arrays of a layer with or without bias, which then is None."""
    if options.get("data_format", "channels_last") not in ("channels_last", None):
        raise options.refuse("data_format channels_first is not known here; save the model with channels_last")
    biased = bool(options.get("use_bias", True))
    arrays = options.arrays(given, **dict.fromkeys(names, 4), **({"bias": 1} if biased else {}))
    return arrays if biased else [*arrays, None]


@layer("Conv2D", "Convolution2D")
def _conv2d(options, given):
    kernel, bias = _convolution_arrays(options, given, "kernel")
    return _Convolution(options, np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), bias, options.integer("groups", 1))


def _each_channel(kernel):
    """(KH, KW, C, M) -> (C·M, 1, KH, KW): M filters for each channel."""
    KH, KW, C, M = kernel.shape
    return np.ascontiguousarray(kernel.transpose(2, 3, 0, 1)).reshape(C * M, 1, KH, KW)


@layer("DepthwiseConv2D")
def _depthwise(options, given):
    kernel, bias = _convolution_arrays(options, given, "depthwise_kernel")
    return _Convolution(options, _each_channel(kernel), bias, kernel.shape[2])


@layer("SeparableConv2D", "SeparableConvolution2D")
class _Separable(Module):
    """Every channel by itself, then every pixel by itself."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        depthwise, pointwise, bias = _convolution_arrays(options, given, "depthwise_kernel", "pointwise_kernel")
        plain = Options(options.kind, {**options.given, "activation": None}, options.version)
        self.depthwise = _Convolution(plain, _each_channel(depthwise), None, depthwise.shape[2])
        single = {"name": options.name, "kernel_size": 1, "activation": options.get("activation")}
        weight = np.ascontiguousarray(pointwise.transpose(3, 2, 0, 1))
        self.pointwise = _Convolution(Options(options.kind, single, options.version), weight, bias, 1)

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, O, OH, OW)."""
        return self.pointwise(self.depthwise(x))

    def convolution(self, x: Any) -> tuple[Any, Convolution]:
        """(x after the first of its convolutions, the second), without the activation."""
        x, conv = self.depthwise.convolution(x)
        y = finished(x, conv, None, None, None)
        return self.pointwise.convolution(self.depthwise(x) if y is None else y)

    @property
    def role(self) -> Role | None:
        """What it is in a chain: its second convolution."""
        return self.pointwise.role


@layer("Conv2DTranspose", "Deconvolution2D")
class _Transpose(ConvTranspose2d):
    """A transposed convolution; padding="same" means stride times the size, cut out of the whole."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        kernel, bias = _convolution_arrays(options, given, "kernel")
        KH, KW, O, C = kernel.shape
        if options.pair("kernel_size") != (KH, KW):
            raise options.refuse(
                f"its kernel {kernel.shape} does not fit kernel_size {options.get('kernel_size')!r:.40}"
            )
        if options.get("output_padding") is not None or options.pair("dilation_rate", 1) != (1, 1):
            raise options.refuse("output_padding and dilation_rate are not known here")
        super().__init__(C, O, (KH, KW), options.pair("strides", 1), bias=bias is not None)
        _set(self.weight, np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        if bias is not None and self.bias is not None:
            _set(self.bias, _bias(options, bias, O))
        self.same = options.choice("padding", "valid", "same") == "same"
        self.after = activation_of(options)

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, C, H, W) -> (N, O, OH, OW)."""
        y = F.conv_transpose2d(input, self.weight, None, self.stride)
        borders = []
        for size, whole, kernel, stride in zip(input.shape[:1:-1], y.shape[:1:-1], self.kernel_size[::-1],
                                               self.stride[::-1], strict=True):  # fmt: skip
            before = max(kernel - stride, 0) // 2 if self.same else 0
            length = size * stride if self.same else (size - 1) * stride + max(kernel, stride)
            borders += [-before, length - (whole - before)]
        y = F.pad(y, borders) if any(borders) else y
        return self.after(y if self.bias is None else y + self.bias.reshape(1, -1, 1, 1))


@layer("Dense")
class _Dense(Linear):
    """A linear layer on the last of Keras's axes."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        biased = bool(options.get("use_bias", True))
        kernel, *bias = options.arrays(given, kernel=2, **({"bias": 1} if biased else {}))
        super().__init__(kernel.shape[0], kernel.shape[1], bias=biased)
        _set(self.weight, np.ascontiguousarray(kernel.T))
        if self.bias is not None:
            _set(self.bias, _bias(options, bias[0], kernel.shape[1]))
        self.after = activation_of(options)

    def forward(self, x: Any) -> Any:
        """(N, I) -> (N, O), or the channels of every pixel."""
        return self.after(from_keras_order(super().forward(to_keras(x))))


# -------------------------------------------------------------------------------------------- normalisation


@layer("BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization")
class _BatchNorm(BatchNorm2d):
    """Batch normalisation over the channels; the running variance of training is the unbiased one, as elsewhere."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        axis = _channels_alone(options)
        scaled, shifted = bool(options.get("scale", True)), bool(options.get("center", True))
        names = [*["gamma"] * scaled, *["beta"] * shifted, "moving_mean", "moving_variance"]
        arrays = dict(zip(names, options.arrays(given, **dict.fromkeys(names, 1)), strict=True))
        C = len(arrays["moving_mean"])
        if any(a.shape != (C,) for a in arrays.values()):
            raise options.refuse("its arrays differ in length")
        super().__init__(C, options.number("epsilon", 1e-3), 1 - options.number("momentum", 0.99))
        for parameter, name in ((self.weight, "gamma"), (self.bias, "beta")):
            if name in arrays:
                _set(parameter, arrays[name])
            elif parameter is not None:
                parameter.requires_grad_(False)
        _set(self.running_mean, arrays["moving_mean"])
        _set(self.running_var, arrays["moving_variance"])
        self.axis = axis

    @property
    def role(self) -> Role | None:
        """What it is in a chain of pictures."""
        return Role("norm") if self.axis in (-1, 3) else None

    def in_evaluation(self) -> FrozenNorm:
        """Its arrays."""
        arrays: Any = {"weight": self.weight, "bias": self.bias, "mean": self.running_mean, "var": self.running_var}
        return FrozenNorm(**arrays, eps=self.eps)

    def forward(self, x: Any) -> Any:
        """The shape stays: (N, C, H, W), or (N, ..., C). Raises ShapeError."""
        _check_axis(self.axis, x)
        if x.ndim == 4:
            return super().forward(x)
        return super().forward(x.reshape(-1, x.shape[-1], 1, 1)).reshape(x.shape)


@layer("LayerNormalization")
class _LayerNorm(Module):
    """Every place normalised over its channels, or every picture over its last axes."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        axes, self.count = options.get("axis", -1), 1
        if isinstance(axes, list) and len(axes) > 1 and axes == list(range(-len(axes), 0)):
            self.axis, self.count = -1, len(axes)
        else:
            self.axis = _channels_alone(options)
        scaled, shifted = bool(options.get("scale", True)), bool(options.get("center", True))
        ranks = {**({"gamma": self.count} if scaled else {}), **({"beta": self.count} if shifted else {})}
        arrays = options.arrays(given, **ranks)
        self.weight = Parameter(Tensor.of(arrays[0])) if scaled else None
        self.bias = Parameter(Tensor.of(arrays[-1])) if shifted else None
        self.eps = options.number("epsilon", 1e-3)

    def forward(self, x: Any) -> Any:
        """The shape stays. Raises ShapeError."""
        _check_axis(self.axis, x)
        x = to_keras(x)
        return from_keras_order(F.layer_norm(x, tuple(x.shape[-self.count :]), self.weight, self.bias, self.eps))


@layer("GroupNormalization")
class _GroupNorm(Module):
    """Every image normalised over groups of channels."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        scaled, shifted = bool(options.get("scale", True)), bool(options.get("center", True))
        arrays = options.arrays(given, **({"gamma": 1} if scaled else {}), **({"beta": 1} if shifted else {}))
        self.axis = _channels_alone(options)
        self.weight = Parameter(Tensor.of(arrays[0])) if scaled else None
        self.bias = Parameter(Tensor.of(arrays[-1])) if shifted else None
        self.groups, self.eps = options.get("groups", 32), options.number("epsilon", 1e-3)

    def forward(self, x: Any) -> Any:
        """The shape stays. Raises ShapeError."""
        _check_axis(self.axis, x)
        first = x if x.ndim == 4 else x.movedim(-1, 1)
        y = F.group_norm(first, first.shape[1] if self.groups == -1 else self.groups, self.weight, self.bias, self.eps)
        return y if x.ndim == 4 else y.movedim(1, -1)


@layer("Normalization")
class _Normalization(Module):
    """(x - mean) / sqrt(variance), of numbers that were found before training."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        mean, variance = (options.get("mean"), options.get("variance")) if len(given) < 2 else given[:2]
        if mean is None or variance is None or options.get("invert"):
            raise options.refuse("no mean and variance are kept with it")
        self.axis = _channels_alone(options, None)
        channels = [np.asarray(a, np.float32).reshape(-1) for a in (mean, variance)]
        self.mean, self.deviation = (
            Buffer(Tensor.of(a)) for a in (channels[0], np.maximum(np.sqrt(channels[1]), 1e-7))
        )

    def forward(self, x: Any) -> Any:
        """The shape stays. Raises ShapeError."""
        _check_axis(self.axis, x)
        return from_keras_order((to_keras(x) - self.mean) / self.deviation)


@layer("Rescaling")
class _Rescaling(Module):
    """x · scale + offset."""

    def __init__(self, options: Options, given: list[np.ndarray]) -> None:
        super().__init__()
        options.arrays(given)
        try:
            scale, offset = (np.asarray(options.get(k, d), np.float32) for k, d in (("scale", 1.0), ("offset", 0.0)))
        except (TypeError, ValueError):
            raise options.refuse("scale and offset must be numbers") from None
        self.scale, self.offset = Buffer(Tensor.of(scale)), Buffer(Tensor.of(offset))

    def forward(self, x: Any) -> Any:
        """The shape stays."""
        return from_keras_order(to_keras(x) * self.scale + self.offset)
