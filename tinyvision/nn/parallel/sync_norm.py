"""Batch-norm whose batch lies on several processes."""

from __future__ import annotations

import math
from typing import Any

from ...device import DeviceName
from ...distributed import group, shares
from ...errors import OptionError
from ...ops.norm import gathered_moments
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ...types import DType
from .. import functional
from ..functional.normalization import affine, update_running
from ..layers import BatchNorm1d, BatchNorm2d
from ..layers.normalization import _BatchNorm
from ..module import Module


class SyncBatchNorm(_BatchNorm):
    """Batch-norm with the mean and variance of all ranks' rows together; alone, it is BatchNorm1d or BatchNorm2d.

    x (N, C) or (N, C, ...). All ranks call it, also one without rows; that takes one exchange in the forward pass and
    one in the backward. Gradients are exact inside of DistributedDataParallel, which gives all ranks one loss."""

    ranks = (2, 3, 4)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: DeviceName | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        if process_group is not None:
            raise OptionError("SyncBatchNorm: process_group must be None, there is one group: all ranks")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """input normalised: by the batch of all ranks in training, else as BatchNorm2d does."""
        if not self.training or group.world_size() == 1:
            return super().forward(input)
        return self._counted(input, lambda *state: self._normalised(input, *state))

    def _normalised(self, x, running_mean, running_var, weight, bias, momentum, counter):
        def gather(array):
            return group.gather(array, "the exchange of a SyncBatchNorm")

        weight, bias = affine(x, weight, bias)
        counted = not shares.is_stand_in()
        moments = gathered_moments(x.array, gather, counted)
        y = F.sync_batchnorm(x, weight, bias, eps=self.eps, gather=gather, counted=counted, moments=moments)
        update_running(moments[0], moments[1:], running_mean, running_var, momentum)
        if counter is not None:
            counter.array += 1
            counter.version += 1
        return y

    def forward_relu(self, x: Tensor, skip: Tensor | None = None, top: float = math.inf) -> Tensor:
        """relu(forward(x) + skip), at most top."""
        y = self.forward(x)
        y = functional.relu(y if skip is None else y + skip)
        return y if top == math.inf else y.clamp(max=top)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The same tree with a SyncBatchNorm, which has its parameters and buffers, for every batch-norm in it.

        Convert a model before an optimizer or DistributedDataParallel gets it. Returns the module, or what
        took its place."""
        made: dict[int, Module] = {}
        for parent in list(module.modules()):
            for name, child in list(vars(parent).items()):
                if type(child) in (BatchNorm1d, BatchNorm2d):
                    setattr(parent, name, made.setdefault(id(child), _converted(cls, child)))
        return _converted(cls, module) if type(module) in (BatchNorm1d, BatchNorm2d) else module


def _converted(cls, norm):
    new = cls.__new__(cls)
    vars(new).update(vars(norm))
    return new
