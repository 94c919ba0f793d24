"""What produced a tensor, as PyTorch shows it: `y.grad_fn`, and from there back to the leaves."""

from __future__ import annotations

from typing import Any

from ..errors import GraphError
from ..grad_mode import is_grad_enabled
from ..tape import Record, Variable
from ..types import Array

# Ops that are one op of PyTorch's under another name there
_THEIR_NAMES = {
    "avg_pool2d": "AvgPool2D", "adaptive_avg_pool2d": "AdaptiveAvgPool2D", "batchnorm_frozen": "NativeBatchNorm",
    "batchnorm_train": "NativeBatchNorm", "cast": "ToCopy", "concatenate": "Cat", "conv2d": "Convolution",
    "conv_transpose2d": "Convolution", "copy": "Clone", "cross_entropy": "NllLoss", "group_norm": "NativeGroupNorm",
    "layer_norm": "NativeLayerNorm", "linear": "Addmm", "log1p": "Log1P", "max_pool2d": "MaxPool2DWithIndices",
    "mse": "MseLoss", "power": "Pow", "reshape": "View", "unfold": "Im2Col",
}  # fmt: skip


def without_gradient(name: str, x: Any, array: Array) -> Any:
    """What a function has made of x, which has no gradient, so that a backward through it says so, as PyTorch's does,
    and does not go past it."""
    if not (is_grad_enabled() and x.requires_grad):
        return x.like(array)

    def refuse(dy, cache, needs):
        raise GraphError(f"backward(): {name} has no gradient; give it x.detach(), and nothing is asked of it")

    return x.like(array, requires_grad=True, record=Record(name, refuse, (), [x], tuple(array.shape)))


class GradFn:
    """The record of a call, to look at. It is called after the backward: `<MulBackward0>`."""

    __slots__ = ("record",)

    def __init__(self, record: Record) -> None:
        self.record = record

    def name(self) -> str:
        """PyTorch's: `MulBackward0` for a `mul`. Ops that are several of PyTorch's, or part of one, have their own."""
        name = self.record.name.strip("_")
        return (_THEIR_NAMES.get(name) or "".join(word.capitalize() for word in name.split("_"))) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For every input what produced it, and a 0: a GradFn, an AccumulateGrad for a leaf, None where no gradient is
        wanted. Empty once backward() has used up the graph."""
        return tuple((_seen(source), 0) for source in self.record.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GradFn) and self.record is other.record

    def __hash__(self) -> int:
        return id(self.record)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self.record):#x}>"


class AccumulateGrad:
    """The end of a way back: the leaf (`variable`) to whose `.grad` is added."""

    __slots__ = ("variable",)

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def name(self) -> str:
        """What PyTorch calls it."""
        return "torch::autograd::AccumulateGrad"

    next_functions: tuple[()] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self.variable):#x}>"


def _seen(source):
    if source is None:
        return None
    return GradFn(source) if isinstance(source, Record) else AccumulateGrad(source)
