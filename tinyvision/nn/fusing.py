"""A convolution, its batch-norm, a skip path, the activation and a pooling in fewer walks through memory.

`conv_norm_act(x, conv, norm, act, skip, pool)` means `pool(act(norm(conv(x)) + skip))` and computes exactly that. What
it saves is memory traffic: without recording, the convolution finishes every block of its output while that is still in
the cache; in training, batch-norm, addition and ReLU share one walk, and without a batch-norm ReLU meets what the
pooling leaves. Where somebody watches the single layers through hooks, or a layer is none of ours, the layers are
simply called one after the other.
"""

import copy
from collections import Counter
from typing import TypeVar

from ..blocks import on_cpu
from ..device import precision_of
from ..errors import OptionError
from ..grad_mode import is_grad_enabled
from ..kernels import dispatched
from ..ops.conv_inference import conv2d_inference
from ..ops.norm import folded
from ..tensors import taped as F
from ..tensors.inputs import tensor_input
from ..tensors.tensor import Tensor
from .layers import BatchNorm2d, Conv2d, Identity, MaxPool2d, ReLU, ReLU6
from .module import Module, Parameter

_conv2d_inference, _folded = dispatched(conv2d_inference), dispatched(folded)
Model = TypeVar("Model", bound=Module)
_ACTIVATIONS: dict[type, str | None] = {ReLU: "relu", ReLU6: "relu6", Identity: None, type(None): None}


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
    if pool is not None and alone and _trade_places(act, pool) and _recording(x, None, conv, None):
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
        and type(act) in _ACTIVATIONS
    )
    if ours and not any(m.has_hooks() for m in modules) and _agree(conv, norm, skip):
        batch_norm = norm if type(norm) is BatchNorm2d else None
        if batch_norm is not None and not (batch_norm.affine and batch_norm.track_running_stats):
            return _one_by_one(x, conv, norm, act, skip)
        if not _recording(x, skip, conv, norm) and not (batch_norm is not None and batch_norm.training):
            return _inference(x, conv, batch_norm, _ACTIVATIONS[type(act)], skip)
        if batch_norm is not None and batch_norm.training and type(act) is ReLU:
            return batch_norm.forward_relu(conv(x), skip)
    return _one_by_one(x, conv, norm, act, skip)


def _agree(conv, norm, skip):
    """True if all have one precision and the channels' vectors fit. Where they do not, the single layers say why."""
    weight, vectors = conv.weight.array, [conv.bias]
    if type(norm) is BatchNorm2d:
        vectors += norm.weight, norm.bias, norm.running_mean, norm.running_var
    for v in vectors:
        if v is not None and (v.array.shape != weight.shape[:1] or v.array.dtype != weight.dtype):
            return False
    return skip is None or skip.dtype == weight.dtype


def _one_by_one(x, conv, norm, act, skip):
    x = conv(x)
    x = x if norm is None else norm(x)
    x = x if skip is None else F.add(x, skip)
    return x if act is None else act(x)


def _recording(x, skip, conv, norm):
    if not is_grad_enabled():
        return False
    values = [x, skip, conv.weight, conv.bias, getattr(norm, "weight", None), getattr(norm, "bias", None)]
    return any(v is not None and v.requires_grad for v in values)


def _inference(x, conv, norm, activation, skip):
    """The whole chain on plain arrays, a frozen batch-norm as one scale and one shift for every channel."""
    scale, shift = None, None if conv.bias is None else conv.bias.array
    if norm is not None:
        vectors = (norm.weight.array, norm.bias.array, norm.running_mean.array, norm.running_var.array)
        scale, shift = _folded(*vectors, shift, eps=norm.eps)
    skip = None if skip is None else skip.array
    arguments = (x.array, conv.weight.array, scale, shift, skip, activation)
    options = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return x.like(_conv2d_inference(*arguments, *options, _kept(conv)))


def _kept(conv):
    """What the op keeps between calls of a folded convolution; None where its weight may change, or is on a GPU, or is
    rounded before the product."""
    weight = conv.weight.array
    if not on_cpu(weight) or weight.flags.writeable or not hasattr(conv, "kept") or precision_of["cpu"] != "ieee":
        return None
    kept = conv.kept
    if kept.get("of") is not weight:  # another weight since then
        kept = conv.kept = {"of": weight}
    return kept


def fuse(model: Model) -> Model:
    """A copy of `model` for inference only, with every batch-norm folded into the convolution before it.

    weight' = weight · γ/σ and bias' = β - mean · γ/σ: the same function with fewer numbers. The pairs are those that
    the modules name in `norm_pairs`, but for a convolution that stands in several places, whose other callers would
    get the batch-norm as well, and a batch-norm that has hooks. The folded weights are read-only, so that what is
    computed from them can be kept; `load_state_dict` replaces them. Raises OptionError unless the model is in
    evaluation mode."""
    if any(m.training and isinstance(m, BatchNorm2d) for m in model.modules()):
        raise OptionError("fuse: batch-norm can be folded only with its running statistics; call model.eval() first")
    fused = copy.deepcopy(model)
    places = Counter(id(child) for module in fused.modules() for child in vars(module).values())
    for module in fused.modules():
        for conv_name, norm_name in module.norm_pairs():
            conv, norm = getattr(module, conv_name), getattr(module, norm_name)
            if type(conv) is Conv2d and type(norm) is BatchNorm2d and _foldable(conv, norm) and places[id(conv)] == 1:
                _fold(conv, norm)
                setattr(module, norm_name, Identity())
    return fused.requires_grad_(False)


def _foldable(conv, norm):
    """True if the norm is a scale and a shift in evaluation mode that nobody watches, and the weight is a parameter,
    not computed before every call."""
    plain = isinstance(conv.weight, Parameter) and norm.affine and norm.track_running_stats
    return plain and not norm.has_hooks() and _agree(conv, norm, None)


def _fold(conv, norm):
    scale = norm.weight.array / (norm.running_var.array + norm.eps) ** 0.5
    shift = norm.bias.array - norm.running_mean.array * scale
    conv.weight = Parameter(conv.weight.array * scale[:, None, None, None])
    if on_cpu(conv.weight.array):
        conv.weight.array.flags.writeable, conv.kept = False, {"of": conv.weight.array}
    conv.bias = Parameter(shift if conv.bias is None else shift + conv.bias.array * scale)
