"""Normalisation as layers, which own the running statistics."""

import math
from typing import Any

from ...device import DeviceName
from ...errors import OptionError, ShapeError
from ...ops.checks import check_positive, fraction
from ...tensors.creation import zeros
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from ...types import DType
from .. import functional, init
from ..module import Buffer, Module, Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "RMSNorm"]


def _fill(tensors):
    """Every tensor, if it is there, with its number."""
    for number, tensor in tensors.items():
        if tensor is not None:
            init.constant_(tensor, number)


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
        device: DeviceName | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        name = type(self).__name__
        check_positive(name, num_features=num_features)
        if not eps >= 0:
            raise OptionError(f"{name}: eps must be 0 or more, got {eps!r}")
        if momentum is not None:
            momentum = fraction(name, "momentum (or None for a plain average)", momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        self.weight = Parameter(zeros(num_features) + 1) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine and bias else None
        self.running_mean = Buffer(zeros(num_features)) if track_running_stats else None
        self.running_var = Buffer(zeros(num_features) + 1) if track_running_stats else None
        self.num_batches_tracked = Buffer(zeros(dtype="int64")) if track_running_stats else None
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0, running mean 0 and variance 1, as in a new layer."""
        _fill({1: self.weight, 0: self.bias})
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Running mean 0 and variance 1, after no batch."""
        _fill({0: self.running_mean, 1: self.running_var})
        _fill({0: self.num_batches_tracked})

    def forward(self, input: Tensor) -> Tensor:
        """input normalised: by the batch in training, or without running statistics; else by these."""
        by_batch = self.training or self.running_mean is None
        return self._counted(
            input,
            lambda mean, var, weight, bias, momentum, counter: functional.batch_norm(
                input, mean, var, weight, bias, by_batch, momentum, self.eps, num_batches_tracked=counter
            ),
        )

    def forward_relu(self, x: Tensor, skip: Tensor | None = None, top: float = math.inf) -> Tensor:
        """relu(forward(x) + skip), at most top, in one walk through memory, where x is normalised by the batch."""
        return self._counted(
            x,
            lambda mean, var, weight, bias, momentum, counter: functional.batch_norm_relu(
                x, skip, mean, var, weight, bias, momentum, self.eps, num_batches_tracked=counter, top=top
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
        kept = self.track_running_stats or not self.training  # who ends the tracking has what was kept until then
        running = (self.running_mean, self.running_var) if kept else (None, None)
        return normalise(*running, self.weight, self.bias, momentum, counter)

    def extra_repr(self) -> str:
        """The options."""
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L) (see `ops/norm.py`)."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W) (see `ops/norm.py`)."""

    ranks = (4,)


class GroupNorm(Module):
    """Normalises groups of channels of each image on its own.   (N, C, ...)"""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: DeviceName | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        check_positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise OptionError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, bool(affine)
        self.weight = Parameter(zeros(num_channels) + 1) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine and bias else None
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0, as in a new layer."""
        _fill({1: self.weight, 0: self.bias})

    def forward(self, input: Tensor) -> Tensor:
        """input, normalised."""
        return functional.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        shown = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{shown}, bias={self.bias is not None}"


class LayerNorm(Module):
    """Normalises over the last axes, of normalized_shape.   (..., *normalized_shape)"""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        check_positive("LayerNorm", **{f"normalized_shape[{i}]": n for i, n in enumerate(shape)})
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, bool(elementwise_affine)
        self.weight = Parameter(zeros(*shape) + 1) if elementwise_affine else None
        self.bias = Parameter(zeros(*shape)) if elementwise_affine and bias else None
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight 1 and bias 0, as in a new layer."""
        _fill({1: self.weight, 0: self.bias})

    def forward(self, input: Tensor) -> Tensor:
        """input, normalised."""
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        shown = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{shown}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Divides by the root of the mean square over the last axes, of normalized_shape.   (..., *normalized_shape)"""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        shape = tuple(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        check_positive("RMSNorm", **{f"normalized_shape[{i}]": n for i, n in enumerate(shape)})
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, bool(elementwise_affine)
        self.weight = Parameter(zeros(*shape) + 1) if elementwise_affine else None
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight 1, as in a new layer."""
        _fill({1: self.weight})

    def forward(self, x: Tensor) -> Tensor:
        """x / sqrt(mean(x²) + eps), times the weight."""
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class _InstanceNorm(_BatchNorm):
    """Batch-norm's parts with other defaults; each image has statistics of its own."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: DeviceName | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """input, each channel of each image normalised."""
        input = tensor_input(type(self).__name__, "x", input)
        if input.ndim not in self.ranks and input.ndim + 1 not in self.ranks:
            rank = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{type(self).__name__}: x must have {rank} axes, got {tuple(input.shape)}")
        if input.ndim not in self.ranks:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        own = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        running = (self.running_mean, self.running_var)
        return functional.instance_norm(input, *running, self.weight, self.bias, own, momentum, self.eps)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each signal.   (N, C, L)"""

    ranks = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image.   (N, C, H, W)"""

    ranks = (4,)
