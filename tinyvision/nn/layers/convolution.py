"""Convolution as layers."""

import math
from typing import Any

from ...blocks import on_cpu
from ...device import DeviceName
from ...errors import OptionError
from ...ops.checks import check_positive, pair
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from ...types import DType, IntOrPair
from .. import functional, init
from ..functional.convolution import padding_around
from ..module import Module, Parameter

__all__ = ["Conv1d", "Conv2d", "ConvTranspose2d"]

# How the function `pad` calls what padding_mode says.
_BORDERS = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _ConvNd(Module):
    """What convolutions share: their sizes, how parameters are drawn, and how they are shown."""

    kernel_size: tuple[Any, ...]
    stride: tuple[Any, ...]
    padding: Any
    dilation: tuple[Any, ...]
    padding_mode: str

    def _set_sizes(self, in_channels, out_channels, groups, **more):
        name = type(self).__name__
        check_positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups, **more)
        if in_channels % groups or out_channels % groups:
            raise OptionError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups

    def _set_parameters(self, weight, bias, device, dtype):
        self.weight = Parameter(weight)
        self.bias = Parameter(zeros(self.out_channels)) if bias else None
        self.reset_parameters()
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new parameters as PyTorch does: even between ± 1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform_(self.bias, -bound, bound)

    def _given_padding(self):
        return self.padding

    def extra_repr(self) -> str:
        """The options, defaults left out."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, ones = (tuple(number for _ in self.kernel_size) for number in (0, 1))
        padding, more = self._given_padding(), getattr(self, "output_padding", none)
        text += f", padding={padding}" if padding != none else ""
        text += f", dilation={self.dilation}" if self.dilation != ones else ""
        text += f", output_padding={more}" if more != none else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class Conv2d(_ConvNd):
    """2-D convolution.   (N, in_channels, H, W) -> (N, out_channels, OH, OW)

    weight (out_channels, in_channels / groups, KH, KW), bias (out_channels,). padding is a number, a pair, "valid" or
    "same" (at stride 1); padding_mode says what it holds: "zeros", "reflect", "replicate" or "circular". Raises
    OptionError for values that mean nothing."""

    name_of_padding: str | None = None  # "same" or "valid", where that was asked for
    border: tuple[int, int, int, int] | None = None  # what is padded before the convolution, which has no padding then

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
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        self._set_sizes(in_channels, out_channels, groups)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding_mode, self.padding = padding_mode, padding
        # Channels-last in memory, as the convolution reads it: its matrix (O, KH·KW·C) is then a view of the weight.
        memory = zeros(out_channels, *self.kernel_size, in_channels // groups)
        self._set_parameters(memory.array.transpose(0, 3, 1, 2), bias, device, dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        """Options may be changed later: each is brought into the form in which `forward` takes it."""
        if name in ("kernel_size", "stride", "dilation"):
            value = pair("Conv2d", name, value, 1)
        elif name == "padding":
            value, vars(self)["border"] = self._padding(value)
        elif name == "padding_mode":
            if value not in _BORDERS:
                raise OptionError(f"Conv2d: padding_mode must be one of {', '.join(_BORDERS)}, got {value!r}")
            given = self._given_padding() if "padding" in vars(self) else 0
            vars(self)[name] = value
            name, (value, vars(self)["border"]) = "padding", self._padding(given)
        super().__setattr__(name, value)

    def _padding(self, padding):
        """(padding of the convolution, what has to be padded before it or None)"""
        if isinstance(padding, str):
            self.name_of_padding = padding
            sides = padding_around("Conv2d", padding, self.kernel_size, self.stride, self.dilation)
        else:
            high, wide = pair("Conv2d", "padding", padding, 0)
            sides = (wide, wide, high, high)
        left, right, top, bottom = sides
        even = left == right and top == bottom
        return ((top, left), None) if even and self.padding_mode == "zeros" else ((0, 0), sides)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy. One of a `fuse()`d layer keeps what it computes from its weight, which is read-only for that."""
        vars(self).update(state)
        weight = self.weight.array
        if state.get("kept", {}).get("of") is weight and on_cpu(weight):
            weight.flags.writeable, self.kept = False, {"of": weight}

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of input."""
        return self._conv_forward(input, self.weight, self.bias)

    def _conv_forward(self, x: Tensor, weight: Any, bias: Any) -> Tensor:
        """The same with another weight and bias: what classes below, with a forward of their own, call in PyTorch."""
        if self.border is not None:
            x = functional.pad(x, self.border, _BORDERS[self.padding_mode])
        return functional.conv2d(x, weight, bias, self.stride, self.padding, dilation=self.dilation, groups=self.groups)

    def _given_padding(self):
        return self.name_of_padding or (self.border[2::-2] if self.border else self.padding)


class Conv1d(_ConvNd):
    """1-D convolution: the 2-D one of signals of height 1.   (N, in_channels, L) -> (N, out_channels, OL)"""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        options = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
        one = {name: v[0] if isinstance(v, (tuple, list)) and len(v) == 1 else v for name, v in options.items()}
        self._set_sizes(in_channels, out_channels, groups, **one)
        if padding_mode != "zeros":
            raise OptionError(f'Conv1d: padding_mode {padding_mode!r} is not supported, only "zeros" is')
        self.padding_mode = padding_mode
        self.kernel_size, self.stride, self.dilation = ((v,) for v in one.values())
        self.padding = padding if isinstance(padding, (str, tuple)) else (padding,)
        self._set_parameters(zeros(out_channels, in_channels // groups, *self.kernel_size), bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of input."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return functional.conv1d(input, self.weight, self.bias, *options)


class ConvTranspose2d(_ConvNd):
    """Transposed convolution, which makes images larger.   (N, in_channels, H, W) -> (N, out_channels, OH, OW)

    weight (in_channels, out_channels / groups, KH, KW), bias (out_channels,). OH = (H - 1)·SH - 2·PH + DH·(KH - 1) +
    output_padding + 1. Raises OptionError for values that mean nothing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        output_padding: IntOrPair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrPair = 1,
        padding_mode: str = "zeros",
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        name = "ConvTranspose2d"
        self._set_sizes(in_channels, out_channels, groups)
        if padding_mode != "zeros":
            raise OptionError(f'{name}: padding_mode {padding_mode!r} means nothing here, only "zeros" does')
        self.padding_mode = padding_mode
        self.kernel_size, self.stride = pair(name, "kernel_size", kernel_size, 1), pair(name, "stride", stride, 1)
        self.padding, self.dilation = pair(name, "padding", padding, 0), pair(name, "dilation", dilation, 1)
        self.output_padding = pair(name, "output_padding", output_padding, 0)
        # Channels-last in memory, as the convolution reads it.
        memory = zeros(in_channels, *self.kernel_size, out_channels // groups)
        self._set_parameters(memory.array.transpose(0, 3, 1, 2), bias, device, dtype)

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """The transposed convolution of input; output_size (OH, OW) chooses the output_padding that leads to it."""
        more = self.output_padding if output_size is None else self._output_padding(input, tuple(output_size)[-2:])
        options = (self.stride, self.padding, more, self.groups, self.dilation)
        return functional.conv_transpose2d(input, self.weight, self.bias, *options)

    def _output_padding(self, x, size):
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        more = tuple(n - m for n, m in zip(size, least, strict=True))
        if any(not 0 <= m < s for m, s in zip(more, self.stride, strict=True)):
            most = tuple(m + s - 1 for m, s in zip(least, self.stride, strict=True))
            raise OptionError(f"ConvTranspose2d: output_size must be from {tuple(least)} to {most}, got {size}")
        return more
