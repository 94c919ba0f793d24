"""Convolution by kernels: the op's pair and its inference, written once for every way to compute them.

On a GPU the ways are `conv` (an implicit product), `winograd` and `depthwise`; on a CPU, `cpu.columns`, `cpu.winograd`
and `cpu.depthwise`. Signatures and caches are those of `ops.conv`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..device import precision_of
from ..errors import OptionError
from ..ops import conv as ops_conv
from ..ops.channels import column_sums
from ..ops.checks import is_integer, output_size, pair
from ..ops.conv_inference import activate
from ..ops.conv_inference import conv2d_inference as ops_conv_inference
from ..ops.convolution.sliding import Sliding
from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from . import DropIn
from . import launch as gpu

# As in the .cu files, which know the first three.
ACTIVATIONS = {None: 0, "relu": 1, "relu6": 2, "hardswish": 3, "silu": 4, "hardsigmoid": 5, "sigmoid": 6}


@dataclass(frozen=True)
class Way:
    """How a convolution and its gradients are computed. Images are channels-last here, (N, H, W, C), and weights as the
    op has them, (O, C/groups, KH, KW).

    applies(x, weight, output, sliding, finished)   whether it can, and pays, for arguments without a mistake in them:
                                                    output (OH, OW); finished: with a scale, a skip, an activation
    correlate(x, weight, y, sliding, **finish)      fills y; finish: scale, shift, skip, activation
    image_gradient(dy, weight, dx, sliding)         fills dx
    adds                                            whether image_gradient takes as well what it adds, laid out as dx
    weight_gradient(x, dy, shape, sliding)          ->  dweight of that shape
    arranged(weight, groups)                        ->  what correlate takes in place of the weight, of it alone
    keeps                                           whether correlate also takes `kept`, as `conv2d_inference` does,
                                                    and applies is told whether there is one
    in_loops                                        whether correlate knows all ACTIVATIONS, not only the first three,
                                                    and images with more zeros below and to the right
    any_order                                       whether x may lie in memory in any order of its axes
    taken(images)                                   ->  what the products take of x and of dy, if that is another array:
                                                    made once, and kept for the backward in place of x
    rounds                                          the precisions in which it rounds the factors itself
    column_sums(rows)                               ->  Σ over the rows of (M, O), for dbias"""

    applies: Callable[..., bool]
    correlate: Callable[..., None]
    image_gradient: Callable[..., None]
    weight_gradient: Callable[..., Array]
    arranged: Callable[[Array, int], Array] | None = None
    adds: bool = False
    keeps: bool = False
    in_loops: bool = False
    any_order: bool = False
    taken: Callable[[Array], Array] | None = None
    rounds: tuple[str, ...] = ()
    column_sums: Callable[[Array], Array] = column_sums


def drop_ins(way: Way, name: str, inference_name: str) -> tuple[DropIn, DropIn]:
    """`ops.conv2d_forward` with its backward, and `ops.conv_inference.conv2d_inference`, computed in this way."""

    def conv2d_forward(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        """As `ops.conv2d_forward`."""
        # `applies` has looked at them: what is a tuple is a pair.
        pairs = [v if type(v) is tuple else pair("conv2d", "an option", v, 0) for v in (stride, padding, dilation)]
        sliding = Sliding(*pairs, groups)
        images = _images(way, x)
        y = _forward(way, images, x.shape, weight, _arranged(way, weight, groups), sliding, shift=bias)
        return y, (x if way.taken is None else (images, x.shape), weight, bias is not None, *sliding)

    def conv2d_backward(
        dy: Array, cache: Any, needs: Needs = (True, True, True), onto: Array | None = None
    ) -> Gradients:
        """As `ops.conv2d_backward`. onto, like x: another gradient of x, whose sum with this one is the result."""
        return _backward(way, dy, cache, needs, onto)

    vars(conv2d_backward)["adds"] = way.adds  # the tape asks for it
    vars(conv2d_forward)["rounds"] = way.rounds  # and `choose` for this

    def conv2d_inference(
        x, weight, scale, shift, skip, activation, stride, padding, dilation, groups, kept=None, beyond=(0, 0)
    ):
        """As the op `conv_inference`: the sums are finished in registers, before they are first written."""
        skip = None if skip is None else gpu.channels_last(skip)
        finish = {"scale": scale, "shift": shift, "skip": skip}
        within = way.in_loops or ACTIVATIONS[activation] <= ACTIVATIONS["relu6"]
        finish["activation"] = activation if within else None
        if way.keeps:
            finish["kept"] = kept
        sliding = Sliding(stride, padding, dilation, groups)
        if way.arranged is None:
            kernels = weight
        else:  # of every precision another, and of every way
            key = conv2d_inference, precision_of.cuda, groups
            kernels = gpu.computed(kept, key, lambda: _arranged(way, weight, groups))
        y = _forward(way, _images(way, x), _reach(x, beyond), weight, kernels, sliding, **finish)
        activate(y, None if within else activation)
        return y

    vars(conv2d_inference)["rounds"] = way.rounds

    def applies(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        return _fits(x, weight, (bias,)) and _accepts(way, x, weight, (stride, padding, dilation, groups))

    def applies_to_inference(
        x, weight, scale, shift, skip, activation, stride, padding, dilation, groups, kept=None, beyond=(0, 0)
    ):
        options = (stride, padding, dilation, groups)
        if not _fits(x, weight, (scale, shift)) or activation not in ACTIVATIONS or (any(beyond) and not way.in_loops):
            return False
        if skip is not None:
            size = output_shape(_reach(x, beyond), weight.shape, Sliding(*options))
            if tuple(skip.shape) != (len(x), len(weight), *size):
                return False
        return _accepts(way, x, weight, options, True, kept is not None, beyond)

    pair_of_the_op = (ops_conv.conv2d_forward, ops_conv.conv2d_backward)
    return (
        DropIn(name, pair_of_the_op, conv2d_forward, conv2d_backward, applies),
        DropIn(inference_name, (ops_conv_inference, None), conv2d_inference, applies=applies_to_inference),
    )


@lru_cache(4096)
def output_shape(x: Shape, weight: Shape, sliding: Sliding) -> Pair:
    """(OH, OW) for the shapes of x (N, C, H, W) and weight (O, C/groups, KH, KW)."""
    OH, OW = (
        output_size(x[2 + i], weight[2 + i], sliding.stride[i], sliding.padding[i], sliding.dilation[i]) for i in (0, 1)
    )
    return OH, OW


def _reach(x, beyond):
    """The shape of x with what lies below and to the right."""
    N, C, H, W = x.shape
    return N, C, H + beyond[0], W + beyond[1]


def _arranged(way, weight, groups):
    return weight if way.arranged is None else way.arranged(weight, groups)


def _forward(way, images, shape, weight, kernels, sliding, **finish):
    y = gpu.empty(images, (shape[0], *output_shape(shape, weight.shape, sliding), weight.shape[0]))
    way.correlate(images, kernels, y, sliding, **finish)
    return gpu.channels_first(y)


def _images(way, x):
    """What a way takes of x (N, C, H, W), as (N, H, W, C)."""
    images = x.transpose(0, 2, 3, 1) if way.any_order else gpu.channels_last(x)
    return images if way.taken is None else way.taken(images)


def _backward(way, dy, cache, needs, onto=None):
    x, weight, has_bias, *options = cache
    images, (N, C, H, W) = (None, x.shape) if way.taken is None else x
    sliding, rows, dx, dweight, dbias = Sliding(*options), gpu.channels_last(dy), None, None, None
    factors = rows if way.taken is None or not (needs[0] or needs[1]) else way.taken(rows)
    if needs[0]:
        dx = gpu.empty(dy, (N, H, W, C))
        way.image_gradient(factors, weight, dx, sliding, *(() if onto is None else (gpu.channels_last(onto),)))
        dx = gpu.channels_first(dx)
    if needs[1]:
        images = _images(way, x) if images is None else images
        dweight = way.weight_gradient(images, factors, weight.shape, sliding)
    if has_bias and needs[2]:
        dbias = way.column_sums(rows.reshape(-1, rows.shape[3]))
    return (dx, dweight, dbias) if has_bias else (dx, dweight)


def _sliding(stride: IntOrPair, padding: IntOrPair, dilation: IntOrPair, groups: int) -> Sliding:
    """The options as the op understands them. Raises OptionError."""
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    return Sliding(stride, padding, pair("conv2d", "dilation", dilation, 1), groups)


def _fits(x, weight, vectors):
    """Whether x, weight and what meets every output channel have the shapes of a convolution with something in it."""
    if x is None or weight is None:  # the op says what is missing
        return False
    if x.ndim != 4 or weight.ndim != 4 or 0 in (*x.shape, *weight.shape):
        return False
    return all(v is None or tuple(v.shape) == weight.shape[:1] for v in vectors)


def _accepts(way, x, weight, options, finished=False, kept=False, beyond=(0, 0)):
    """Whether the op would accept these options, and the way these arguments."""
    (O, CG), groups = weight.shape[:2], options[3]
    if not is_integer(groups) or groups < 1 or CG * groups != x.shape[1] or O % groups:
        return False
    try:
        sliding = _sliding(*options)
    except OptionError:  # the op says it
        return False
    output = output_shape(_reach(x, beyond), weight.shape, sliding)
    about = (finished, kept) if way.keeps else (finished,)
    return min(output) >= 1 and way.applies(x, weight, output, sliding, *about)


def lengths(x: Array, output: Pair, sliding: Sliding) -> tuple[int, ...]:
    """Everything about a convolution that must fit the 32-bit fields of a kernel's structure."""
    return (*x.shape[2:], *output, *sliding.stride, *sliding.padding, *sliding.dilation)


def outputs(x: Array, output: Pair) -> int:
    """How many pixels there are in the results of a batch."""
    return x.shape[0] * math.prod(output)
