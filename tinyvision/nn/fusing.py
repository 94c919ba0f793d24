"""A convolution, its batch-norm, a skip path, the activation and a pooling in fewer walks through memory.

`conv_norm_act(x, conv, norm, act, skip, pool)` means `pool(act(norm(conv(x)) + skip))` and computes exactly that. What
it saves is memory traffic: without recording, the convolution finishes every block of its output while that is still in
the cache; in training, batch-norm, addition and ReLU share one walk, and without a batch-norm ReLU meets what the
pooling leaves. Where somebody watches the single layers through hooks, or a layer is none of ours, the layers are
simply called one after the other.
"""

import copy
import math
from collections import Counter
from typing import Any, NamedTuple, TypeVar

from ..blocks import on_cpu
from ..device import precision_of
from ..errors import OptionError
from ..grad_mode import is_grad_enabled
from ..kernels import dispatched
from ..kernels.launch import computed
from ..kernels.moments import measured
from ..ops.conv_inference import conv2d_inference, reaching
from ..ops.norm import folded
from ..tape import read
from ..tensors import taped as F
from ..tensors.inputs import tensor_input
from ..tensors.tensor import Tensor
from ..types import Pair
from .keeping import kept_of
from .layers import BatchNorm2d, Conv2d, Hardsigmoid, Hardswish, Identity, MaxPool2d, ReLU, ReLU6, Sigmoid, SiLU
from .module import Module, Parameter

_conv2d_inference, _folded = dispatched(conv2d_inference), dispatched(folded)
Model = TypeVar("Model", bound=Module)
# Layers that a convolution can be finished with, as `conv2d_inference` calls them.
ACTIVATIONS: dict[type, str | None] = {
    ReLU: "relu", ReLU6: "relu6", Hardswish: "hardswish", SiLU: "silu", Hardsigmoid: "hardsigmoid", Sigmoid: "sigmoid",
    Identity: None,
}  # fmt: skip


class Convolution(NamedTuple):
    """A convolution by its arrays and numbers. padding: zeros above and to the left; beyond: how many more of them
    there are below and to the right; kept: what `conv2d_inference` leaves there for the next call."""

    weight: Tensor
    bias: Tensor | None
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    beyond: Pair = (0, 0)
    kept: dict[Any, Any] | None = None


class FrozenNorm(NamedTuple):
    """A batch-norm in evaluation mode by its arrays, one number for each channel."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    var: Tensor
    eps: float


def conv_norm_act(
    x: Tensor,
    conv: Module,
    norm: Module | None = None,
    act: Module | None = None,
    skip: Tensor | None = None,
    pool: Module | None = None,
) -> Tensor:
    """pool(act(norm(conv(x)) + skip)).   x (N, C, H, W), skip like the sum; norm, act, pool modules, or None"""
    x = tensor_input("conv2d", "x", x)
    alone = type(conv) is Conv2d and norm is None and skip is None
    if pool is not None and alone and _trade_places(act, pool) and _recording(x, *_weights(conv)):
        return (F.relu if type(act) is ReLU else F.relu6)(pool(conv(x)))
    x = _conv_norm_act(x, conv, norm, act, skip)
    return x if pool is None else pool(x)


def _trade_places(act, pool):
    """Whether act(pool(x)) is pool(act(x)), gradients included, with fewer numbers to go through: ReLU does not change
    which number is the largest, and where it makes several of them equal, their gradient is 0."""
    ours = type(act) in (ReLU, ReLU6) and type(pool) is MaxPool2d and not pool.return_indices
    return ours and not act.has_hooks() and not pool.has_hooks()


def _conv_norm_act(x, conv, norm, act, skip):
    modules = [m for m in (conv, norm, act) if m is not None]
    ours = (
        type(conv) is Conv2d
        and conv.border is None
        and type(norm) in (BatchNorm2d, Identity, type(None))
        and (act is None or type(act) in ACTIVATIONS)
    )
    if not ours or [m for m in modules if m.has_hooks()]:
        return _one_by_one(x, conv, norm, act, skip)
    batch_norm = norm if type(norm) is BatchNorm2d else None
    if batch_norm is not None and not _is_whole(batch_norm):
        return _one_by_one(x, conv, norm, act, skip)
    frozen = None if batch_norm is None else _arrays(batch_norm)
    if batch_norm is not None and batch_norm.training:
        with measured():
            if type(act) in (ReLU, ReLU6) and _agree(conv, frozen, skip):
                return batch_norm.forward_relu(conv(x), skip, math.inf if type(act) is ReLU else 6)
            x = norm(conv(x))
        return _added(x, skip, act)
    y = finished(x, _of_layer(conv), frozen, None if act is None else ACTIVATIONS[type(act)], skip)
    return _one_by_one(x, conv, norm, act, skip) if y is None else y


def finished(
    x: Tensor, conv: Convolution, norm: FrozenNorm | None, activation: str | None, skip: Tensor | None
) -> Tensor | None:
    """activation(norm(conv(x)) + skip) in one walk; None where it has to be computed layer by layer, because that is
    recorded for a gradient, or because the arrays do not fit together, of which the single layers say why."""
    recorded = _recording(x, skip, *conv[:2], *(() if norm is None else norm[:2]))
    return None if recorded or not _agree(conv, norm, skip) else _inference(x, conv, norm, activation, skip)


def _is_whole(norm):
    """Whether a batch-norm has all of its arrays and uses them, whatever it was told when it was made."""
    arrays = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return norm.track_running_stats and not any(array is None for array in arrays)


def _recording(*values):
    return is_grad_enabled() and any(v is not None and v.requires_grad for v in values)


def _weights(conv):
    return conv.weight, conv.bias


def _of_layer(conv):
    options = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return Convolution(conv.weight, conv.bias, *options, kept=_kept(conv) if on_cpu(read(conv.weight)) else None)


def _arrays(norm):
    return FrozenNorm(norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps)


def _agree(conv, norm, skip):
    """True if all have one precision and the channels' vectors fit."""
    weight, vectors = read(conv.weight), [conv.bias, *(() if norm is None else norm[:4])]
    channels, dtype = weight.shape[:1], weight.dtype
    for v in vectors:
        if v is not None and ((array := read(v)).shape != channels or array.dtype != dtype):
            return False
    return skip is None or skip.array.dtype == dtype


def _one_by_one(x, conv, norm, act, skip):
    x = conv(x)
    return _added(x if norm is None else norm(x), skip, act)


def _added(x, skip, act):
    x = x if skip is None else F.add(x, skip)
    return x if act is None else act(x)


def _inference(x, conv, norm, activation, skip):
    """The whole chain on plain arrays, a frozen batch-norm as one scale and one shift for every channel."""
    if norm is None:
        scale, shift = None, None if conv.bias is None else read(conv.bias)
    else:
        kept = kept_of(*norm[:4], conv.bias)
        scale, shift = computed(kept, norm.eps, lambda: _fold_of(norm, conv.bias))
    image, beyond = x.array, conv.beyond
    if any(beyond) and not on_cpu(image):  # kernels know images with as much around them on all sides
        image, beyond = reaching(image, beyond), (0, 0)
    if on_cpu(image) and precision_of.cpu != "ieee":
        kept = None  # the weight is rounded before it is used
    else:
        kept = kept_of(conv.weight) if conv.kept is None else conv.kept  # asked before anybody here has its array
    arguments = (image, read(conv.weight), scale, shift, None if skip is None else skip.array, activation)
    options = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return x.like(_conv2d_inference(*arguments, *options, kept, beyond))


def _fold_of(norm, bias):
    return _folded(*map(read, norm[:4]), None if bias is None else read(bias), eps=norm.eps)


def _kept(conv):
    """What the op keeps between calls of a folded convolution on the CPU; None where its weight may change."""
    weight = read(conv.weight)
    if weight.flags.writeable or not hasattr(conv, "kept"):
        return None
    kept = conv.kept
    if kept.get("of") is not weight:  # another weight since then
        kept = conv.kept = {"of": weight}
    return kept


def fuse(model: Model) -> Model:
    """A copy of `model` for inference only, with every batch-norm folded into the convolution before it.

    weight' = weight · γ/σ and bias' = β - mean · γ/σ: the same function with fewer numbers. The pairs are those that
    the modules name in `norm_pairs`, but for a convolution that stands in several places, whose other callers would
    get the batch-norm as well, and those of which one has hooks. A Sequential names its neighbours: who calls its items
    one by one and uses what lies between a convolution and its batch-norm finds the batch-norm in it already. The
    folded weights are read-only, so that what is computed from them can be kept; `load_state_dict` replaces them.
    Raises OptionError unless the model is in evaluation mode."""
    if any(m.training and isinstance(m, BatchNorm2d) for m in model.modules()):
        raise OptionError("fuse: batch-norm can be folded only with its running statistics; call model.eval() first")
    fused = copy.deepcopy(model)
    places = Counter(id(child) for module in fused.modules() for child in vars(module).values())
    for module in fused.modules():
        for conv_name, norm_name in _pairs(module):
            conv, norm = getattr(module, conv_name), getattr(module, norm_name)
            if type(conv) is Conv2d and type(norm) is BatchNorm2d and _foldable(conv, norm) and places[id(conv)] == 1:
                _fold(conv, norm)
                setattr(module, norm_name, Identity())
    return fused.requires_grad_(False)


def _pairs(module):
    """What a module says of its own forward: a class below, or an owner, that has put another forward in its place
    calls the parts in another way."""
    kinds = type(module).__mro__
    said, called = (next(i for i, kind in enumerate(kinds) if name in vars(kind)) for name in ("norm_pairs", "forward"))
    return module.norm_pairs() if said <= called and "forward" not in vars(module) else []


def _foldable(conv, norm):
    """True if the norm is a scale and a shift in evaluation mode, nobody watches the two, and the weight is a
    parameter, not computed before every call."""
    plain = isinstance(conv.weight, Parameter) and _is_whole(norm)
    return plain and not (conv.has_hooks() or norm.has_hooks()) and _agree(conv, _arrays(norm), None)


def _fold(conv, norm):
    scale = norm.weight.array / (norm.running_var.array + norm.eps) ** 0.5
    shift = norm.bias.array - norm.running_mean.array * scale
    conv.weight = Parameter(conv.weight.array * scale[:, None, None, None])
    if on_cpu(conv.weight.array):
        conv.weight.array.flags.writeable, conv.kept = False, {"of": conv.weight.array}
    conv.bias = Parameter(shift if conv.bias is None else shift + conv.bias.array * scale)
