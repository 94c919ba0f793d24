"""The layers: each owns its parameters and calls one op."""

import math
from typing import Any

from ..device import Device
from ..errors import OptionError, ShapeError
from ..ops.checks import fraction, is_integer, pair
from ..parallel import on_cpu
from ..tape import no_grad
from ..tensors.creation import zeros
from ..tensors.tensor import Tensor
from ..types import DType, IntOrPair
from . import functional, init
from .inputs import tensor_input
from .module import Buffer, Module, Parameter


def _positive(layer, **sizes):
    for name, value in sizes.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{layer}: {name} must be a positive integer, got {value!r}")


class Conv2d(Module):
    """2-D convolution.   (N, in_channels, H, W) -> (N, out_channels, OH, OW)

    weight (out_channels, in_channels / groups, KH, KW), bias (out_channels,). padding is a number, a pair, "valid" or
    "same" (stride 1 and kernels that span an odd number of pixels only). Raises OptionError for values that mean
    nothing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        _positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if padding_mode != "zeros":
            raise OptionError(f'Conv2d: padding_mode {padding_mode!r} is not supported, only "zeros" is')
        if in_channels % groups or out_channels % groups:
            raise OptionError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding = self._padding(padding)
        # Channels-last in memory, as the convolution reads it: its matrix (O, KH·KW·C) is then a view of the weight.
        memory = zeros(out_channels, *self.kernel_size, in_channels // groups)
        self.weight = Parameter(memory.data.transpose(0, 3, 1, 2))
        self.bias = Parameter(zeros(out_channels)) if bias else None
        self.reset_parameters()
        self.to(device=device, dtype=dtype)

    def _padding(self, padding):
        if not isinstance(padding, str):
            return pair("Conv2d", "padding", padding, 0)
        if padding == "valid":
            return (0, 0)
        if padding != "same":
            raise OptionError(f'Conv2d: padding must be numbers, "valid" or "same", got {padding!r}')
        if self.stride != (1, 1) or any(d * (k - 1) % 2 for k, d in zip(self.kernel_size, self.dilation, strict=True)):
            raise OptionError('Conv2d: padding="same" needs stride 1 and kernels that span an odd number of pixels')
        return tuple(d * (k - 1) // 2 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    def reset_parameters(self) -> None:
        """Draw new parameters as PyTorch does: even between ± 1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform_(self.bias, -bound, bound)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy. One of a `fuse()`d layer keeps what it computes from its weight, which is read-only for that."""
        vars(self).update(state)
        weight = self.weight.data
        if state.get("kept", {}).get("of") is weight and on_cpu(weight):
            weight.flags.writeable, self.kept = False, {"of": weight}

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x."""
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, dilation=self.dilation, groups=self.groups
        )

    def extra_repr(self) -> str:
        """The options, defaults left out."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")


class Linear(Module):
    """y = x weightᵀ + bias.   (N, in_features) -> (N, out_features)"""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        _positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(zeros(out_features, in_features))
        self.bias = Parameter(zeros(out_features)) if bias else None
        self.reset_parameters()
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new parameters as PyTorch does: even between ± 1 / sqrt(in_features)."""
        bound = 1 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x weightᵀ + bias"""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class _BatchNorm(Module):
    optional_state = ("num_batches_tracked",)
    ranks: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        name = type(self).__name__
        _positive(name, num_features=num_features)
        if not eps >= 0:
            raise OptionError(f"{name}: eps must be 0 or more, got {eps!r}")
        if momentum is not None:
            momentum = fraction(name, "momentum (or None for a plain average)", momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        self.weight = Parameter(zeros(num_features) + 1) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.running_mean = Buffer(zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(zeros(num_features) + 1) if track_running_stats else None
        self.num_batches_tracked = Buffer(zeros(dtype="int64")) if track_running_stats else None
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0, running mean 0 and variance 1, as in a new layer."""
        with no_grad():
            for tensor, value in (
                (self.weight, 1),
                (self.bias, 0),
                (self.running_mean, 0),
                (self.running_var, 1),
                (self.num_batches_tracked, 0),
            ):
                if tensor is not None:
                    tensor.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        """x normalised: by the batch in training, or where no running statistics are kept; else by the running ones."""
        by_batch = self.training or not self.track_running_stats
        return self._counted(
            x,
            lambda mean, var, weight, bias, momentum: functional.batch_norm(
                x, mean, var, weight, bias, by_batch, momentum, self.eps
            ),
        )

    def forward_relu(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """relu(forward(x) + skip) in one walk through memory, where x is normalised by the batch."""
        return self._counted(
            x,
            lambda mean, var, weight, bias, momentum: functional.batch_norm_relu(
                x, skip, mean, var, weight, bias, momentum, self.eps
            ),
        )

    def _counted(self, x, normalise):
        x = tensor_input(type(self).__name__, "x", x)
        if x.ndim not in self.ranks:
            rank = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{type(self).__name__}: x must have {rank} axes, got {x.ndim} axes {tuple(x.shape)}")
        counter = self.num_batches_tracked if self.training and self.track_running_stats else None
        momentum = self.momentum
        if momentum is None:  # only here is the counter read, since a GPU has to be waited for
            momentum = 1 if counter is None else 1 / (int(counter.item()) + 1)
        y = normalise(self.running_mean, self.running_var, self.weight, self.bias, momentum)
        if counter is not None:
            counter.data += 1
            counter.version += 1
        return y

    def extra_repr(self) -> str:
        """The options."""
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return text + f", track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) (see `ops/norm.py`)."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) (see `ops/norm.py`)."""

    ranks = (4,)


class MaxPool2d(Module):
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        if dilation not in (1, (1, 1)) or return_indices or ceil_mode:
            raise OptionError("MaxPool2d: dilation, return_indices and ceil_mode are not supported")
        _pool_options("MaxPool2d", kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """The maxima."""
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """The options."""
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return text + ", dilation=1, ceil_mode=False"


class AvgPool2d(Module):
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        if ceil_mode or divisor_override is not None:
            raise OptionError("AvgPool2d: ceil_mode and divisor_override are not supported")
        _pool_options("AvgPool2d", kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        count = self.count_include_pad
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding, count_include_pad=count)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _pool_options(layer, kernel_size, stride, padding):
    kernel_size, padding = pair(layer, "kernel_size", kernel_size, 1), pair(layer, "padding", padding, 0)
    if stride is not None:
        pair(layer, "stride", stride, 1)
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise OptionError(f"{layer}: padding must be at most half of kernel_size, got {padding} and {kernel_size}")


class AdaptiveAvgPool2d(Module):
    """Means over windows as even as possible, for an output of given size.   (N, C, H, W) -> (N, C, *output_size)"""

    def __init__(self, output_size: IntOrPair) -> None:
        pair("AdaptiveAvgPool2d", "output_size", output_size, 1)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return functional.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """The output size."""
        return f"output_size={self.output_size}"


class _Activation(Module):
    """An elementwise function. `inplace` is accepted and changes nothing to be seen: the result is a new tensor."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The option, if given."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(x, 0). `inplace` is accepted and changes nothing that can be seen: the result is a new tensor."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)"""
        return functional.relu(x)


class ReLU6(_Activation):
    """min(max(x, 0), 6). `inplace` changes nothing that can be seen."""

    def forward(self, x: Tensor) -> Tensor:
        """min(max(x, 0), 6)"""
        return functional.relu6(x)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope · x. `inplace` changes nothing that can be seen."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """x where x > 0, else negative_slope · x"""
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x))"""
        return functional.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)"""
        return functional.tanh(x)


class Softmax(Module):
    """exp(x) / Σ exp(x) along `dim`."""

    def __init__(self, dim: int) -> None:
        if not is_integer(dim):
            name = type(self).__name__
            raise OptionError(f"{name}: dim must say along which axis, for instance 1 for classes; got {dim!r}")
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities."""
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x - log Σ exp(x) along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of probabilities."""
        return functional.log_softmax(x, self.dim)


class Dropout(Module):
    """Drops each number with probability p in training and scales the rest by 1 / (1 - p); in evaluation, nothing."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p, self.inplace = fraction(type(self).__name__, "p", p), inplace

    def forward(self, x: Tensor) -> Tensor:
        """x, thinned out in training."""
        return functional.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout2d(Dropout):
    """Drops each channel of an image with probability p in training: (N, C, H, W), whole planes at a time."""

    def forward(self, x: Tensor) -> Tensor:
        """x, some of its channels 0 in training."""
        return functional.dropout2d(x, self.p, self.training)


class Flatten(Module):
    """(N, C, H, W) -> (N, C·H·W)"""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        for name, value in (("start_dim", start_dim), ("end_dim", end_dim)):
            if not is_integer(value):
                raise OptionError(f"Flatten: {name} must be an integer, got {value!r}")
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """The axes from start_dim to end_dim merged into one."""
        return functional.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Passes its input through, whatever arguments it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


__all__ = [
    name
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Module) and not name.startswith("_") and value is not Module
]
