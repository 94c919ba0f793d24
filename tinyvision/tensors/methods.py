"""PyTorch's other spellings of what a Tensor can do: every method here is put together from those of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tape
from ..errors import DtypeError
from . import (
    alike,
    arranging,
    choosing,
    conversion,
    copying,
    elementwise,
    facts,
    hooks,
    kinds,
    products,
    reductions,
    resizing,
    sampling,
    taped,
)
from .arguments import shape_of, whose_methods_take_numpys_names
from .elementwise import operators
from .in_place import both, both_flat, both_unrecorded, in_place, rearranged
from .size import Size

if TYPE_CHECKING:
    from .tensor import Tensor


def _shape_of_a_tensor(method: str, other: Any) -> Any:
    if not hasattr(other, "shape"):
        raise DtypeError(f"{method}: other must be a tensor, got {type(other).__name__}")
    return other.shape


class Conversions:
    """Methods that Tensor inherits. They stand apart because beside them `int` is no longer the type in a hint."""

    __slots__ = ()

    def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
        """The tensor on the CPU."""
        return self.to("cpu", memory_format=memory_format)

    def cuda(self: Tensor, device: Any = None, non_blocking: Any = False, memory_format: Any = None) -> Tensor:
        """The tensor on a GPU, on the current one if none is named; non_blocking changes nothing."""
        return self.to("cuda" if device is None else device, memory_format=memory_format)

    def float(self: Tensor, memory_format: Any = None) -> Tensor:
        """As float32."""
        return self.to(np.float32, memory_format=memory_format)

    def double(self: Tensor, memory_format: Any = None) -> Tensor:
        """As float64."""
        return self.to(np.float64, memory_format=memory_format)

    def long(self: Tensor, memory_format: Any = None) -> Tensor:
        """As int64."""
        return self.to(np.int64, memory_format=memory_format)

    def int(self: Tensor, memory_format: Any = None) -> Tensor:
        """As int32."""
        return self.to(np.int32, memory_format=memory_format)

    def bool(self: Tensor, memory_format: Any = None) -> Tensor:
        """As truth values."""
        return self.to(np.bool_, memory_format=memory_format)


@whose_methods_take_numpys_names
class Methods(Conversions):
    """Methods that Tensor inherits; `self` is always a Tensor."""

    __slots__ = ()

    @property
    def T(self: Tensor) -> Tensor:
        """All axes reversed."""
        return self.transpose(*reversed(range(self.ndim)))

    @property
    def mT(self: Tensor) -> Tensor:
        """The last two axes swapped; a single number is itself."""
        return self.transpose(-2, -1) if self.ndim else self

    @property
    def shape(self: Tensor) -> Size:  # type: ignore[override]
        """The sizes of all axes."""
        return Size(self.array.shape)

    @property
    def itemsize(self: Tensor) -> Any:
        """How many bytes one number takes."""
        return self.array.itemsize

    @property
    def nbytes(self: Tensor) -> Any:
        """How many bytes all numbers take."""
        return self.array.nbytes

    @property
    def layout(self: Tensor) -> str:
        """ "strided", the only one there is here."""
        return "strided"

    # of kinds and devices that there are not here
    is_sparse = is_quantized = is_nested = is_meta = is_mps = is_xpu = False

    @property
    def is_cuda(self: Tensor) -> bool:
        """True if it lives on a GPU."""
        return self.device.type == "cuda"

    # The table: a row for every name, `name_` being the form in place. Functions stand in the files they name.

    # elementwise
    abs, abs_ = both(elementwise.magnitude)
    absolute, absolute_ = both(elementwise.magnitude)
    neg, neg_ = both(elementwise.neg)
    negative, negative_ = both(elementwise.neg)
    square, square_ = both(elementwise.square)
    sign, sign_ = both(elementwise.sign)
    sgn, sgn_ = both(elementwise.sign)
    floor, floor_ = both(elementwise.floor)
    ceil, ceil_ = both(elementwise.ceil)
    trunc, trunc_ = both(elementwise.trunc)
    fix, fix_ = both(elementwise.trunc)
    round, round_ = both(elementwise.round)
    frac, frac_ = both(elementwise.frac)
    sin, sin_ = both(elementwise.sin)
    cos, cos_ = both(elementwise.cos)
    tan, tan_ = both(elementwise.tan)
    asin, asin_ = both(elementwise.asin)
    arcsin, arcsin_ = both(elementwise.asin)
    acos, acos_ = both(elementwise.acos)
    arccos, arccos_ = both(elementwise.acos)
    atan, atan_ = both(elementwise.atan)
    arctan, arctan_ = both(elementwise.atan)
    sinh, sinh_ = both(elementwise.sinh)
    cosh, cosh_ = both(elementwise.cosh)
    tanh, tanh_ = both(elementwise.tanh)
    asinh, asinh_ = both(elementwise.asinh)
    arcsinh, arcsinh_ = both(elementwise.asinh)
    acosh, acosh_ = both(elementwise.acosh)
    arccosh, arccosh_ = both(elementwise.acosh)
    atanh, atanh_ = both(elementwise.atanh)
    arctanh, arctanh_ = both(elementwise.atanh)
    exp, exp_ = both(elementwise.exp)
    exp2, exp2_ = both(elementwise.exp2)
    expm1, expm1_ = both(elementwise.expm1)
    log, log_ = both(elementwise.log)
    log1p, log1p_ = both(elementwise.log1p)
    log2, log2_ = both(elementwise.log2)
    log10, log10_ = both(elementwise.log10)
    logit, logit_ = both(elementwise.logit)
    erf, erf_ = both(elementwise.erf)
    erfinv, erfinv_ = both(elementwise.erfinv)
    sqrt, sqrt_ = both(elementwise.sqrt)
    rsqrt, rsqrt_ = both(elementwise.rsqrt)
    reciprocal, reciprocal_ = both(elementwise.reciprocal)
    sigmoid, sigmoid_ = both(elementwise.sigmoid)
    deg2rad, deg2rad_ = both(elementwise.deg2rad)
    rad2deg, rad2deg_ = both(elementwise.rad2deg)
    nan_to_num, nan_to_num_ = both(elementwise.nan_to_num)
    add, add_ = both(elementwise.add)
    sub, sub_ = both(elementwise.sub)
    subtract, subtract_ = both(elementwise.sub)
    mul, mul_ = both(elementwise.mul)
    multiply, multiply_ = both(elementwise.mul)
    div, div_ = both(elementwise.div)
    divide, divide_ = both(elementwise.div)
    true_divide, true_divide_ = both(elementwise.div)
    floor_divide, floor_divide_ = both(elementwise.floor_divide)
    remainder, remainder_ = both(elementwise.remainder)
    fmod, fmod_ = both(elementwise.fmod)
    pow, pow_ = both(elementwise.power)
    atan2, atan2_ = both(elementwise.atan2)
    arctan2, arctan2_ = both(elementwise.atan2)
    hypot, hypot_ = both(elementwise.hypot)
    lerp, lerp_ = both(elementwise.lerp)
    addcmul, addcmul_ = both(elementwise.addcmul)
    addcdiv, addcdiv_ = both(elementwise.addcdiv)
    clamp, clamp_ = both(elementwise.clamp)
    clip, clip_ = both(elementwise.clamp)
    clamp_min, clamp_min_ = both(elementwise.clamp_min)
    clamp_max, clamp_max_ = both(elementwise.clamp_max)
    logical_and, logical_and_ = both_unrecorded(elementwise.logical_and)
    logical_or, logical_or_ = both_unrecorded(elementwise.logical_or)
    logical_xor, logical_xor_ = both_unrecorded(elementwise.logical_xor)
    logical_not, logical_not_ = both_unrecorded(elementwise.logical_not)
    bitwise_and, bitwise_and_ = both(elementwise.bitwise_and)
    bitwise_or, bitwise_or_ = both(elementwise.bitwise_or)
    bitwise_xor, bitwise_xor_ = both(elementwise.bitwise_xor)
    bitwise_not, bitwise_not_ = both(elementwise.bitwise_not)
    bitwise_left_shift, bitwise_left_shift_ = both(elementwise.bitwise_left_shift)
    bitwise_right_shift, bitwise_right_shift_ = both(elementwise.bitwise_right_shift)
    eq, eq_ = both_flat(elementwise.eq)
    ne, ne_ = both_flat(elementwise.ne)
    lt, lt_ = both_flat(elementwise.lt)
    le, le_ = both_flat(elementwise.le)
    gt, gt_ = both_flat(elementwise.gt)
    ge, ge_ = both_flat(elementwise.ge)
    not_equal, not_equal_ = ne, ne_
    less, less_ = lt, lt_
    less_equal, less_equal_ = le, le_
    greater, greater_ = gt, gt_
    greater_equal, greater_equal_ = ge, ge_
    positive = elementwise.positive
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    logaddexp = elementwise.logaddexp
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite
    isposinf = elementwise.isposinf
    isneginf = elementwise.isneginf
    signbit = elementwise.signbit

    __abs__, __pos__ = elementwise.magnitude, elementwise.positive
    __pow__, __rpow__ = operators(elementwise.power, elementwise.reversed_power)
    __ipow__ = pow_
    __mod__, __rmod__ = operators(elementwise.remainder)
    __imod__ = remainder_
    __floordiv__, __rfloordiv__ = operators(elementwise.floor_divide)
    __ifloordiv__ = floor_divide_
    __xor__, __rxor__ = operators(elementwise.bitwise_xor, elementwise.bitwise_xor)
    __lshift__, __rlshift__ = operators(elementwise.bitwise_left_shift)
    __rshift__, __rrshift__ = operators(elementwise.bitwise_right_shift)
    __ilshift__, __irshift__ = bitwise_left_shift_, bitwise_right_shift_
    __rand__, __ror__ = operators(elementwise.bitwise_and, elementwise.bitwise_or)
    __ixor__, __iand__, __ior__ = bitwise_xor_, bitwise_and_, bitwise_or_

    # copying
    __getstate__ = copying.state_of
    __setstate__ = copying.take_state
    __copy__ = copying.shallow_copy
    __deepcopy__ = copying.deep_copy

    register_post_accumulate_grad_hook = hooks.hook_after

    # facts
    stride = facts.stride
    isclose = facts.isclose
    allclose = facts.allclose
    element_size = facts.element_size
    storage_offset = facts.storage_offset
    data_ptr = facts.data_ptr
    get_device = facts.get_device
    nelement = facts.numel
    ndimension = facts.ndimension
    is_floating_point = facts.is_floating_point
    is_complex = facts.is_complex
    is_signed = facts.is_signed
    is_same_size = facts.is_same_size
    pin_memory = facts.itself
    share_memory_ = facts.itself
    conj = facts.itself
    __contains__ = facts.contains
    equal = facts.equal

    # kinds
    type = kinds.type
    type_as = kinds.type_as
    half = kinds.half
    short = kinds.short
    byte = kinds.byte
    char = kinds.char
    bfloat16 = kinds.bfloat16

    # alike
    new = alike.new
    new_zeros = alike.new_zeros
    new_empty = alike.new_zeros
    new_ones = alike.new_ones
    new_full = alike.new_full
    new_tensor = alike.new_tensor
    fill_diagonal_ = in_place(alike.fill_diagonal)

    # sampling
    normal_ = in_place(sampling.drawn_normal)
    uniform_ = in_place(sampling.drawn_uniform)
    bernoulli_ = in_place(sampling.drawn_bernoulli)
    exponential_ = in_place(sampling.drawn_exponential)
    random_ = in_place(sampling.drawn_whole)
    bernoulli = sampling.bernoulli
    multinomial = sampling.multinomial

    # reductions
    sum = reductions.sum
    mean = reductions.mean
    max = reductions.max
    min = reductions.min
    argmax = reductions.argmax
    argmin = reductions.argmin
    var = reductions.var
    std = reductions.std
    softmax = reductions.softmax
    log_softmax = reductions.log_softmax
    cumsum, cumsum_ = both(reductions.cumsum)
    cumprod, cumprod_ = both(reductions.cumprod)
    cov, corrcoef = reductions.cov, reductions.corrcoef
    cummax, cummin, mode = choosing.cummax, choosing.cummin, choosing.mode
    diff = reductions.diff
    prod = reductions.prod
    logsumexp = reductions.logsumexp
    amax = reductions.amax
    amin = reductions.amin
    aminmax = reductions.aminmax
    any = reductions.any
    all = reductions.all
    count_nonzero = reductions.count_nonzero
    nansum = reductions.nansum
    nanmean = reductions.nanmean
    median = reductions.median
    quantile = reductions.quantile
    norm = reductions.norm
    dist = reductions.dist
    renorm, renorm_ = both(reductions.renorm)
    trace = reductions.trace

    # choosing
    scatter, scatter_ = both(choosing.scatter)
    scatter_add, scatter_add_ = both(choosing.scatter_add)
    index_add, index_add_ = both(choosing.index_add)
    index_copy, index_copy_ = both(choosing.index_copy)
    index_fill, index_fill_ = both(choosing.index_fill)
    index_put, index_put_ = both(choosing.index_put)
    masked_fill, masked_fill_ = both(choosing.masked_fill)
    masked_scatter, masked_scatter_ = both(choosing.masked_scatter)
    gather = choosing.gather
    take_along_dim = choosing.take_along_dim
    index_select = choosing.index_select
    masked_select = choosing.masked_select
    take = choosing.take
    nonzero = choosing.nonzero
    argwhere = choosing.argwhere
    argsort = choosing.argsort
    sort = choosing.sort
    msort = choosing.msort
    topk = choosing.topk
    kthvalue = choosing.kthvalue
    unique = choosing.unique
    unique_consecutive = choosing.unique_consecutive
    bincount = choosing.bincount
    histc = choosing.histc
    isin = choosing.isin

    # arranging
    triu, triu_ = both(arranging.triu)
    tril, tril_ = both(arranging.tril)
    narrow = arranging.narrow
    select = arranging.select
    split = arranging.split
    chunk = arranging.chunk
    tensor_split = arranging.tensor_split
    hsplit, vsplit, dsplit = arranging.hsplit, arranging.vsplit, arranging.dsplit
    unbind = arranging.unbind
    diagonal = arranging.diagonal
    diag = arranging.diag
    diag_embed = arranging.diag_embed
    movedim = arranging.movedim
    moveaxis = arranging.movedim
    swapaxes = arranging.swapaxes
    swapdims = arranging.swapaxes
    adjoint = arranging.adjoint
    unflatten = arranging.unflatten
    unfold = arranging.unfold
    ravel = arranging.ravel
    flip = arranging.flip
    fliplr = arranging.fliplr
    flipud = arranging.flipud
    roll = arranging.roll
    rot90 = arranging.rot90
    repeat = arranging.repeat
    tile = arranging.tile
    repeat_interleave = arranging.repeat_interleave
    broadcast_to = arranging.broadcast_to

    squeeze_ = rearranged("squeeze_", lambda x, dim=None: x.squeeze(dim))
    unsqueeze_ = rearranged("unsqueeze_", lambda x, dim: x.unsqueeze(dim))
    transpose_ = rearranged("transpose_", lambda x, dim0, dim1: x.transpose(dim0, dim1))
    swapaxes_ = rearranged("swapaxes_", lambda x, axis0, axis1: x.transpose(axis0, axis1))
    swapdims_ = rearranged("swapdims_", lambda x, dim0, dim1: x.transpose(dim0, dim1))
    t_ = rearranged("t_", lambda x: x.t())
    resize_ = resizing.resize_

    # products
    addmm, addmm_ = both(products.addmm)
    baddbmm, baddbmm_ = both(products.baddbmm)
    addmv, addmv_ = both(products.addmv)
    addr, addr_ = both(products.addr)
    matmul = products.matmul
    __matmul__, __rmatmul__ = operators(products.matmul, products.reversed_matmul)
    mm = products.mm
    bmm = products.bmm
    mv = products.mv
    dot = products.dot
    inner = products.inner
    outer = products.outer
    ger = products.outer
    cross = products.cross
    kron = products.kron

    def backward(
        self: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: Any = False, inputs: Any = None
    ) -> None:
        """Fill `.grad` of every leaf that this tensor depends on; gradients add to what is already there.

        Starts from 1 for a scalar; otherwise from `gradient`, of this tensor's shape. Afterwards the graph is used up,
        unless `retain_graph`, or `create_graph`, with which every gradient has a history of its own and can be gone
        back through. With `inputs`, a tensor or several, only theirs is filled, whether they are leaves or not. Raises
        GraphError if there is nothing to go back through, ShapeError, DeviceError."""
        if create_graph or inputs is not None:
            from . import gradients  # it needs the whole tensor

            gradients.backward(self, gradient, retain_graph, bool(create_graph), inputs=inputs)
            return
        tape.backward(self, gradient, bool(retain_graph))

    def clone(self: Tensor, memory_format: Any = None) -> Tensor:
        """A copy, laid out in memory as this one is or in a format; gradients flow through it."""
        copy = conversion.copied(self)
        return copy if memory_format in (None, "preserve_format") else conversion.laid_out(copy, memory_format)

    def relu(self: Tensor) -> Tensor:
        """max(x, 0)."""
        return taped.relu(self) if self.dtype.kind in "fb" else self.clamp(min=0)

    relu_ = in_place(relu)

    def reshape_as(self: Tensor, other: Any) -> Tensor:
        """The same numbers in the shape of `other`."""
        return self.reshape(*_shape_of_a_tensor("reshape_as", other))

    def resize_as_(self: Tensor, other: Any) -> Tensor:
        """The tensor itself in the shape of `other`, as by `resize_`."""
        return resizing.resize_(self, *_shape_of_a_tensor("resize_as_", other))

    def view_as(self: Tensor, other: Any) -> Tensor:
        """The same numbers in the shape of `other`."""
        return self.reshape(*_shape_of_a_tensor("view_as", other))

    def expand(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
        """Axes of size 1 repeated to these sizes (-1 keeps one), new ones in front. Raises ShapeError.

        A view, whose numbers cannot be changed: several of them are one in memory."""
        return taped.expand(self, shape=shape_of(sizes if size is None else size))

    def expand_as(self: Tensor, other: Any) -> Tensor:
        """Repeated to the shape of `other`."""
        return self.expand(*_shape_of_a_tensor("expand_as", other))
