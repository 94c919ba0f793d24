"""PyTorch's functions on tensors: `torch.max(x, 1)` beside `x.max(1)`. They take arrays and numbers too.

The second table: a row for every method that is a function as well, and the functions of several tensors. All names
without an underscore are offered as `tinyvision.<name>`.
"""

from __future__ import annotations

import builtins as _builtins
import functools as _functools
from collections.abc import Callable as _Callable
from typing import Any as _Any
from typing import Concatenate as _Concatenate
from typing import ParamSpec as _ParamSpec
from typing import TypeVar as _TypeVar

from ..dtypes import dtype as _dtype
from ..errors import DtypeError as _DtypeError
from ..errors import GraphError as _GraphError
from ..errors import OptionError as _OptionError
from ..errors import ShapeError as _ShapeError
from . import alike as _alike
from . import arranging as _arranging
from . import choosing as _choosing
from . import elementwise as _elementwise
from . import facts as _facts
from . import products as _products
from . import reductions as _reductions
from . import sampling as _sampling
from .arguments import NAMES_OF_THE_FIRST as _NAMES_OF_THE_FIRST
from .arguments import takes_numpys_names as _takes_numpys_names
from .inputs import tensor_input as _tensor_input
from .operands import result_type as _result_type
from .overlap import is_read_from as _is_read_from
from .tensor import Tensor as _Tensor

_P = _ParamSpec("_P")
_R = _TypeVar("_R")


def _method(method: _Callable[_Concatenate[_Tensor, _P], _R]) -> _Callable[_Concatenate[_Any, _P], _R]:
    """The function that calls a method on its first argument, by whichever of PyTorch's names it comes."""
    name = method.__name__

    def function(*arguments: _Any, **options: _Any) -> _R:
        if not arguments:
            first = next((n for n in _NAMES_OF_THE_FIRST if n in options), None)
            if first is not None:
                arguments = (options.pop(first),)
        if not arguments:
            raise TypeError(f"{name}() needs a tensor as its first argument")
        if "out" in options:
            return _into(name, options.pop("out"), lambda: function(*arguments, **options), arguments)
        x = _tensor_input(name, "x", arguments[0])
        if isinstance(arguments[0], (int, float)) and len(arguments) > 1 and isinstance(arguments[1], _Tensor):
            x = x.to(_result_type(arguments[0], arguments[1]))  # a number has no precision of its own
        return method(x, *arguments[1:], **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{method.__doc__} (`Tensor.{name}`)"
    return function


def _of_tensors(function: _Callable[_P, _R]) -> _Callable[_P, _R]:
    """A function of several tensors, or of a list of them, which may be arrays."""

    def as_tensors(value: _Any) -> _Any:
        if isinstance(value, (list, tuple)):
            return [as_tensors(v) for v in value]
        return _tensor_input(function.__name__, "x", value)

    def as_operand(value: _Any) -> _Any:
        is_option = value is None or isinstance(value, (bool, int, float, str, list, tuple))
        return value if is_option else _tensor_input(function.__name__, "x", value)

    @_functools.wraps(function)
    def called(*arguments: _P.args, **options: _P.kwargs) -> _R:
        if "out" in options:
            out = options.pop("out")
            return _into(function.__name__, out, lambda: called(*arguments, **options), arguments)
        first = [as_tensors(v) for v in arguments[:1] if v is not None] or arguments[:1]
        rest = [as_operand(v) for v in arguments[1:]]
        return function(*first, *rest, **options)

    return _takes_numpys_names(called) if "dim" in function.__code__.co_varnames else called


def _into(name: str, out: _Any, compute: _Callable[[], _Any], read: _Any) -> _Any:
    """`out=`: the results are written into tensors that are there. Nothing is recorded then, as in PyTorch."""
    if out is None:
        return compute()
    results = compute()
    several = isinstance(results, tuple)
    places, found = (out, results) if several else ((out,), (results,))
    if not isinstance(places, (tuple, list)) or len(places) != len(found):
        raise _OptionError(f"{name}: out must be {len(found)} tensors, got {out!r}")
    for place, y in zip(places, found, strict=True):
        if not isinstance(place, _Tensor):
            raise _OptionError(f"{name}: out must be a tensor, got {type(place).__name__}")
        if place.requires_grad or y.requires_grad:
            raise _GraphError(f"{name}: what is written into out is not recorded; leave out= away, or use no_grad()")
        if place.shape != y.shape:
            raise _ShapeError(f"{name}: out is {tuple(place.shape)} but the result is {tuple(y.shape)}")
        for value in read:
            if isinstance(value, _Tensor):
                _is_read_from(f"{name} along an axis" if several else name, place, value)
        place.copy_(y)
    return out


abs = _method(_Tensor.abs)
abs_ = _method(_Tensor.abs_)
absolute = _method(_Tensor.absolute)
acos = _method(_Tensor.acos)
acos_ = _method(_Tensor.acos_)
acosh = _method(_Tensor.acosh)
acosh_ = _method(_Tensor.acosh_)
add = _method(_Tensor.add)
addcdiv = _method(_Tensor.addcdiv)
addcmul = _method(_Tensor.addcmul)
addmm = _method(_Tensor.addmm)
addmv = _method(_Tensor.addmv)
addmv_ = _method(_Tensor.addmv_)
addr = _method(_Tensor.addr)
adjoint = _method(_Tensor.adjoint)
all = _method(_Tensor.all)
amax = _method(_Tensor.amax)
amin = _method(_Tensor.amin)
aminmax = _method(_Tensor.aminmax)
any = _method(_Tensor.any)
arccos = _method(_Tensor.arccos)
arccos_ = _method(_Tensor.arccos_)
arccosh = _method(_Tensor.arccosh)
arccosh_ = _method(_Tensor.arccosh_)
arcsin = _method(_Tensor.arcsin)
arcsin_ = _method(_Tensor.arcsin_)
arcsinh = _method(_Tensor.arcsinh)
arcsinh_ = _method(_Tensor.arcsinh_)
arctan = _method(_Tensor.arctan)
arctan2 = _method(_Tensor.arctan2)
arctan_ = _method(_Tensor.arctan_)
arctanh = _method(_Tensor.arctanh)
arctanh_ = _method(_Tensor.arctanh_)
argmax = _method(_Tensor.argmax)
argmin = _method(_Tensor.argmin)
argsort = _method(_Tensor.argsort)
argwhere = _method(_Tensor.argwhere)
asin = _method(_Tensor.asin)
asin_ = _method(_Tensor.asin_)
asinh = _method(_Tensor.asinh)
asinh_ = _method(_Tensor.asinh_)
atan = _method(_Tensor.atan)
atan2 = _method(_Tensor.atan2)
atan_ = _method(_Tensor.atan_)
atanh = _method(_Tensor.atanh)
atanh_ = _method(_Tensor.atanh_)
baddbmm = _method(_Tensor.baddbmm)
bincount = _method(_Tensor.bincount)
bitwise_and = _method(_Tensor.bitwise_and)
bitwise_left_shift = _method(_Tensor.bitwise_left_shift)
bitwise_not = _method(_Tensor.bitwise_not)
bitwise_or = _method(_Tensor.bitwise_or)
bitwise_right_shift = _method(_Tensor.bitwise_right_shift)
bitwise_xor = _method(_Tensor.bitwise_xor)
bmm = _method(_Tensor.bmm)
broadcast_to = _method(_Tensor.broadcast_to)
ceil = _method(_Tensor.ceil)
ceil_ = _method(_Tensor.ceil_)
chunk = _method(_Tensor.chunk)
clamp = _method(_Tensor.clamp)
clamp_ = _method(_Tensor.clamp_)
clamp_max = _method(_Tensor.clamp_max)
clamp_max_ = _method(_Tensor.clamp_max_)
clamp_min = _method(_Tensor.clamp_min)
clamp_min_ = _method(_Tensor.clamp_min_)
clip = _method(_Tensor.clip)
clip_ = _method(_Tensor.clip_)
cos = _method(_Tensor.cos)
cos_ = _method(_Tensor.cos_)
cosh = _method(_Tensor.cosh)
cosh_ = _method(_Tensor.cosh_)
count_nonzero = _method(_Tensor.count_nonzero)
cross = _method(_Tensor.cross)
corrcoef = _method(_Tensor.corrcoef)
cov = _method(_Tensor.cov)
cummax = _method(_Tensor.cummax)
cummin = _method(_Tensor.cummin)
cumprod = _method(_Tensor.cumprod)
cumsum = _method(_Tensor.cumsum)
deg2rad = _method(_Tensor.deg2rad)
deg2rad_ = _method(_Tensor.deg2rad_)
diag = _method(_Tensor.diag)
diag_embed = _method(_Tensor.diag_embed)
diagonal = _method(_Tensor.diagonal)
diff = _method(_Tensor.diff)
dist = _method(_Tensor.dist)
div = _method(_Tensor.div)
divide = _method(_Tensor.divide)
dot = _method(_Tensor.dot)
dsplit = _method(_Tensor.dsplit)
eq = _method(_Tensor.eq)
erf = _method(_Tensor.erf)
erf_ = _method(_Tensor.erf_)
erfinv = _method(_Tensor.erfinv)
exp = _method(_Tensor.exp)
exp2 = _method(_Tensor.exp2)
exp2_ = _method(_Tensor.exp2_)
exp_ = _method(_Tensor.exp_)
expm1 = _method(_Tensor.expm1)
expm1_ = _method(_Tensor.expm1_)
fix = _method(_Tensor.fix)
fix_ = _method(_Tensor.fix_)
flatten = _method(_Tensor.flatten)
flip = _method(_Tensor.flip)
fliplr = _method(_Tensor.fliplr)
flipud = _method(_Tensor.flipud)
floor = _method(_Tensor.floor)
floor_ = _method(_Tensor.floor_)
floor_divide = _method(_Tensor.floor_divide)
fmod = _method(_Tensor.fmod)
frac = _method(_Tensor.frac)
frac_ = _method(_Tensor.frac_)
gather = _method(_Tensor.gather)
ge = _method(_Tensor.ge)
ger = _method(_Tensor.ger)
greater = _method(_Tensor.greater)
greater_equal = _method(_Tensor.greater_equal)
gt = _method(_Tensor.gt)
histc = _method(_Tensor.histc)
hsplit = _method(_Tensor.hsplit)
hypot = _method(_Tensor.hypot)
index_add = _method(_Tensor.index_add)
index_copy = _method(_Tensor.index_copy)
index_fill = _method(_Tensor.index_fill)
index_put = _method(_Tensor.index_put)
index_put_ = _method(_Tensor.index_put_)
index_select = _method(_Tensor.index_select)
inner = _method(_Tensor.inner)
isclose = _method(_Tensor.isclose)
isfinite = _method(_Tensor.isfinite)
isin = _method(_Tensor.isin)
isinf = _method(_Tensor.isinf)
isnan = _method(_Tensor.isnan)
isneginf = _method(_Tensor.isneginf)
isposinf = _method(_Tensor.isposinf)
kron = _method(_Tensor.kron)
kthvalue = _method(_Tensor.kthvalue)
le = _method(_Tensor.le)
lerp = _method(_Tensor.lerp)
less = _method(_Tensor.less)
less_equal = _method(_Tensor.less_equal)
log = _method(_Tensor.log)
log10 = _method(_Tensor.log10)
log10_ = _method(_Tensor.log10_)
log1p = _method(_Tensor.log1p)
log1p_ = _method(_Tensor.log1p_)
log2 = _method(_Tensor.log2)
log2_ = _method(_Tensor.log2_)
log_ = _method(_Tensor.log_)
log_softmax = _method(_Tensor.log_softmax)
logaddexp = _method(_Tensor.logaddexp)
logical_and = _method(_Tensor.logical_and)
logical_not = _method(_Tensor.logical_not)
logical_or = _method(_Tensor.logical_or)
logical_xor = _method(_Tensor.logical_xor)
logit = _method(_Tensor.logit)
logit_ = _method(_Tensor.logit_)
logsumexp = _method(_Tensor.logsumexp)
lt = _method(_Tensor.lt)
masked_fill = _method(_Tensor.masked_fill)
masked_scatter = _method(_Tensor.masked_scatter)
masked_select = _method(_Tensor.masked_select)
matmul = _method(_Tensor.matmul)
max = _method(_Tensor.max)
maximum = _method(_Tensor.maximum)
mean = _method(_Tensor.mean)
median = _method(_Tensor.median)
min = _method(_Tensor.min)
minimum = _method(_Tensor.minimum)
mm = _method(_Tensor.mm)
moveaxis = _method(_Tensor.moveaxis)
movedim = _method(_Tensor.movedim)
msort = _method(_Tensor.msort)
mode = _method(_Tensor.mode)
mul = _method(_Tensor.mul)
multiply = _method(_Tensor.multiply)
mv = _method(_Tensor.mv)
nan_to_num = _method(_Tensor.nan_to_num)
nan_to_num_ = _method(_Tensor.nan_to_num_)
nanmean = _method(_Tensor.nanmean)
nansum = _method(_Tensor.nansum)
narrow = _method(_Tensor.narrow)
ne = _method(_Tensor.ne)
neg = _method(_Tensor.neg)
neg_ = _method(_Tensor.neg_)
negative = _method(_Tensor.negative)
negative_ = _method(_Tensor.negative_)
nonzero = _method(_Tensor.nonzero)
norm = _method(_Tensor.norm)
not_equal = _method(_Tensor.not_equal)
numel = _method(_Tensor.numel)
outer = _method(_Tensor.outer)
permute = _method(_Tensor.permute)
positive = _method(_Tensor.positive)
pow = _method(_Tensor.pow)
prod = _method(_Tensor.prod)
quantile = _method(_Tensor.quantile)
rad2deg = _method(_Tensor.rad2deg)
rad2deg_ = _method(_Tensor.rad2deg_)
ravel = _method(_Tensor.ravel)
reciprocal = _method(_Tensor.reciprocal)
reciprocal_ = _method(_Tensor.reciprocal_)
relu = _method(_Tensor.relu)
remainder = _method(_Tensor.remainder)
renorm = _method(_Tensor.renorm)
repeat_interleave = _method(_Tensor.repeat_interleave)
reshape = _method(_Tensor.reshape)
roll = _method(_Tensor.roll)
rot90 = _method(_Tensor.rot90)
round = _method(_Tensor.round)
round_ = _method(_Tensor.round_)
rsqrt = _method(_Tensor.rsqrt)
rsqrt_ = _method(_Tensor.rsqrt_)
scatter = _method(_Tensor.scatter)
scatter_add = _method(_Tensor.scatter_add)
select = _method(_Tensor.select)
sigmoid = _method(_Tensor.sigmoid)
sigmoid_ = _method(_Tensor.sigmoid_)
sgn = _method(_Tensor.sgn)
sign = _method(_Tensor.sign)
signbit = _method(_Tensor.signbit)
sin = _method(_Tensor.sin)
sin_ = _method(_Tensor.sin_)
sinh = _method(_Tensor.sinh)
sinh_ = _method(_Tensor.sinh_)
softmax = _method(_Tensor.softmax)
sort = _method(_Tensor.sort)
split = _method(_Tensor.split)
sqrt = _method(_Tensor.sqrt)
sqrt_ = _method(_Tensor.sqrt_)
square = _method(_Tensor.square)
square_ = _method(_Tensor.square_)
squeeze = _method(_Tensor.squeeze)
std = _method(_Tensor.std)
sub = _method(_Tensor.sub)
subtract = _method(_Tensor.subtract)
sum = _method(_Tensor.sum)
swapaxes = _method(_Tensor.swapaxes)
swapdims = _method(_Tensor.swapdims)
t = _method(_Tensor.t)
take = _method(_Tensor.take)
take_along_dim = _method(_Tensor.take_along_dim)
tan = _method(_Tensor.tan)
tan_ = _method(_Tensor.tan_)
tanh = _method(_Tensor.tanh)
tanh_ = _method(_Tensor.tanh_)
tensor_split = _method(_Tensor.tensor_split)
tile = _method(_Tensor.tile)
topk = _method(_Tensor.topk)
trace = _method(_Tensor.trace)
transpose = _method(_Tensor.transpose)
tril = _method(_Tensor.tril)
triu = _method(_Tensor.triu)
true_divide = _method(_Tensor.true_divide)
trunc = _method(_Tensor.trunc)
trunc_ = _method(_Tensor.trunc_)
unbind = _method(_Tensor.unbind)
unflatten = _method(_Tensor.unflatten)
unique = _method(_Tensor.unique)
unique_consecutive = _method(_Tensor.unique_consecutive)
unsqueeze = _method(_Tensor.unsqueeze)
var = _method(_Tensor.var)

clone = _method(_Tensor.clone)
relu_ = _method(_Tensor.relu_)
vsplit = _method(_Tensor.vsplit)
is_complex = _method(_facts.is_complex)
cat = _of_tensors(_arranging.cat)
concat = concatenate = cat
stack = _of_tensors(_arranging.stack)
hstack = _of_tensors(_arranging.hstack)
column_stack = _of_tensors(_arranging.column_stack)
vstack = _of_tensors(_arranging.vstack)
row_stack = vstack
dstack = _of_tensors(_arranging.dstack)
block_diag = _of_tensors(_arranging.block_diag)
atleast_1d = _of_tensors(_arranging.atleast_1d)
atleast_2d = _of_tensors(_arranging.atleast_2d)
meshgrid = _of_tensors(_arranging.meshgrid)
cartesian_prod = _of_tensors(_arranging.cartesian_prod)
broadcast_tensors = _of_tensors(_arranging.broadcast_tensors)
positive = _method(_elementwise.positive)
maximum = _method(_elementwise.maximum)
logaddexp = _method(_elementwise.logaddexp)
rsub = _method(_elementwise.rsub)
var_mean = _method(_reductions.var_mean)
std_mean = _method(_reductions.std_mean)
where = _of_tensors(_choosing.where)
searchsorted = _of_tensors(_choosing.searchsorted)
bucketize = _of_tensors(_choosing.bucketize)
tensordot = _of_tensors(_products.tensordot)
cdist = _of_tensors(_products.cdist)
einsum = _products.einsum
zeros_like = _method(_alike.zeros_like)
ones_like = _method(_alike.ones_like)
empty_like = _method(_alike.empty_like)
full_like = _method(_alike.full_like)
rand_like = _method(_sampling.rand_like)
randn_like = _method(_sampling.randn_like)
randint_like = _method(_sampling.randint_like)
bernoulli = _method(_sampling.bernoulli)
multinomial = _method(_sampling.multinomial)
poisson = _method(_sampling.poisson)


def equal(input: _Any, other: _Any) -> bool:
    """True if two tensors have one shape and the same numbers."""
    return _facts.equal(_tensor_input("equal", "input", input), _tensor_input("equal", "other", other))


def allclose(input: _Any, other: _Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """True if |input - other| <= atol + rtol · |other| everywhere."""
    input, other = _tensor_input("allclose", "input", input), _tensor_input("allclose", "other", other)
    return _facts.allclose(input, other, rtol, atol, equal_nan)


def is_tensor(obj: _Any) -> bool:
    """True for a Tensor."""
    return isinstance(obj, _Tensor)


def is_nonzero(x: _Any) -> bool:
    """True if the only number of x is not zero."""
    return _builtins.bool(_tensor_input("is_nonzero", "x", x))


def result_type(a: _Any, b: _Any) -> _dtype:
    """The dtype in which two tensors, or a tensor and a number, meet. Raises DtypeError for anything else."""
    kinds = (_Tensor, _builtins.bool, _builtins.int, _builtins.float)
    if not (isinstance(a, kinds) and isinstance(b, kinds)):
        raise _DtypeError(f"result_type: expected tensors and numbers, got {type(a).__name__} and {type(b).__name__}")
    return _dtype(_result_type(a, b))
