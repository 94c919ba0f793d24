"""Everything that takes floats, at the points where formulas break: zeros, infinities, nan, ties, the ends of a dtype.

A table of expressions and a table of inputs, which meet in every dtype; both engines run the same. What is compared are
values and gradients: where they are nan or infinite, the numbers, and the sign of zero. `EXCEPTIONS` names what is not
as in PyTorch, with the reason.

By hand, all of it: `python tests/special_points.py`; what one expression does: `python tests/special_points.py sqrt`.
"""

import sys
import warnings
from fnmatch import fnmatchcase

import numpy as np
import torch

import tinyvision
from tinyvision.errors import TinyVisionError

NAN, INF = float("nan"), float("inf")
DTYPES = ("float64", "float32", "float16")


def ends(dtype):
    """(the least number above 0, the least with full precision, half of the largest, the largest) of a dtype."""
    limits = np.finfo(dtype)
    return float(limits.smallest_subnormal), float(limits.tiny), float(limits.max) / 2, float(limits.max)


def rows(dtype):
    """The special inputs by name, as rows of numbers."""
    least, tiny, large, largest = ends(dtype)
    return {
        "zeros": [0.0, -0.0, 0.0, -0.0],
        "minus zeros": [-0.0, -0.0],
        "kinks": [-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0],
        "ties": [2.0, 1.0, 2.0, 2.0, -1.0, -1.0],
        "constant": [3.0, 3.0, 3.0],
        "constant that rounds": [0.1, 0.1, 0.1],
        "one zero": [2.0, 0.0, 3.0],
        "two zeros": [0.0, 2.0, -0.0, 3.0],
        "infinite": [INF, 1.0, -INF, 0.0],
        "both infinite": [INF, INF],
        "minus infinite": [-INF, -INF],
        "one infinite": [1.0, INF, 2.0],
        "one minus infinite": [1.0, -INF, 2.0],
        "nan": [1.0, NAN, 2.0],
        "nan first": [NAN, 5.0, 1.0],
        "nan and infinite": [NAN, INF, -INF, 0.0],
        "all nan": [NAN, NAN],
        "denormal": [least, -least, tiny / 2, 0.0],
        "large": [large, -large, large, 1.0],
        "largest": [largest, largest, -largest],
        "far apart": [least, largest, 1.0],
        "single": [0.0],
        "single nan": [NAN],
        "empty": [],
    }


# Of one row x, and of w, the same row turned round.
OF_ROWS = """
x.abs() ; -x ; x.square() ; x.sign() ; x.floor() ; x.ceil() ; x.trunc() ; x.round() ; x.round(decimals=1) ; x.frac()
x.sin() ; x.cos() ; x.tan() ; x.asin() ; x.acos() ; x.atan() ; x.sinh() ; x.cosh() ; x.tanh() ; x.asinh() ; x.acosh()
x.atanh() ; x.exp() ; x.exp2() ; x.expm1() ; x.log() ; x.log1p() ; x.log2() ; x.log10() ; x.erf() ; x.sqrt()
x.rsqrt() ; x.reciprocal() ; x.sigmoid() ; x.logit() ; x.logit(eps=0.1) ; x.logit(0.0) ; x.deg2rad() ; x.rad2deg()
x.erfinv()
x.nan_to_num() ; x.nan_to_num(1.0, 2.0, 3.0) ; x ** 2 ; x ** 3 ; x ** 0.5 ; x ** -0.5 ; x ** -1 ; x ** -2 ; x ** 0
x ** 1 ; x ** 1.5 ; x ** 4 ; 2.0 ** x ; 0.0 ** x ; 1.0 ** x ; 1 / x ; 2 - x ; x / 2 ; x / 0 ; x * 0 ; x + 1 ; x % 2
x % -2 ; x % 0.5 ; x // 2 ; x // -2 ; x + w ; x - w ; x * w ; x / w ; x ** w ; x % w ; x // w ; x.fmod(2) ; x.fmod(w)
2.0 % x ; 2.0 // x ; x.atan2(w) ; x.maximum(w) ; x.minimum(w) ; x.hypot(w) ; x.logaddexp(w) ; x.lerp(w, 0.3)
x.lerp(w, w) ; t.maximum(x, t.zeros_like(x)) ; t.minimum(x, t.ones_like(x)) ; x.addcmul(w, w) ; x.addcdiv(w, w)
x.div(w, rounding_mode="floor") ; x.div(w, rounding_mode="trunc") ; x.clamp(0, 1) ; x.clamp(min=0) ; x.clamp(max=1)
x.clamp(-1, 1) ; x.clamp(w, w) ; x.clamp(min=w) ; x.clamp(max=w) ; t.where(x > 0, x, w) ; x.masked_fill(x > 0, 1.0)
x.gt(w) ; x.le(w) ; x == w ; x != x ; x.isclose(w) ; x.isfinite() ; x.isinf() ; x.isnan() ; x.bool() ; x.logical_not()
x.float() ; x.half() ; x.double() ; x.sum() ; x.mean() ; x.prod() ; x.std() ; x.var() ; x.std(unbiased=False)
x.var(unbiased=False) ; x.std(0, keepdim=True) ; x.var(0) ; x.max() ; x.min() ; x.max(0) ; x.min(0) ; x.amax()
x.amin() ; x.amax(0) ; x.amin(0) ; x.aminmax() ; x.argmax() ; x.argmin() ; x.argmax(0) ; x.argmin(0) ; x.any()
x.all() ; x.cumsum(0) ; x.cumprod(0) ; x.logsumexp(0) ; x.softmax(0) ; x.log_softmax(0) ; x.norm() ; x.norm(1)
x.norm(2) ; x.norm(3) ; x.norm(0.5) ; x.norm(1.5) ; x.norm(0) ; x.norm(float("inf")) ; x.norm(-float("inf"))
x.norm(2, 0) ; x.norm(1, 0, True) ; t.linalg.norm(x) ; t.linalg.vector_norm(x) ; t.linalg.vector_norm(x, 3)
x.dist(w) ; x.median() ; x.median(0) ; x.quantile(0.5) ; x.quantile(0.3) ; x.nansum() ; x.nanmean()
x.count_nonzero() ; x.sort() ; x.sort(descending=True) ; x.sort(stable=True).indices ; x.argsort(stable=True)
x.msort() ; x.topk(1) ; x.topk(1, largest=False) ; x.kthvalue(1) ; x.unique() ; t.var_mean(x) ; t.std_mean(x)
x.unique(return_inverse=True, return_counts=True)
x.dot(w) ; x.outer(w) ; x @ w ; x.relu() ; x.flip(0) ; x.roll(1) ; x.repeat(2) ; x.clone() ; t.cat([x, w])
t.stack([x, w]) ; x.unsqueeze(0).expand(2, -1) ; x[x > 0] ; x[:1] ; x.index_select(0, t.tensor([], dtype=t.int64))
F.relu6(x) ; F.leaky_relu(x) ; F.leaky_relu(x, -0.5) ; F.elu(x) ; F.elu(x, 2.0) ; F.selu(x) ; F.celu(x)
F.celu(x, 2.0) ; F.gelu(x) ; F.gelu(x, approximate="tanh") ; F.silu(x) ; F.mish(x) ; F.softplus(x)
F.softplus(x, 2, 5) ; F.hardtanh(x) ; F.hardsigmoid(x) ; F.hardswish(x) ; F.threshold(x, 0.5, 9.0) ; F.softsign(x)
F.tanhshrink(x) ; F.softshrink(x) ; F.hardshrink(x) ; F.logsigmoid(x) ; F.softmin(x, 0) ; F.normalize(x, dim=0)
F.normalize(x, p=1, dim=0) ; F.glu(t.cat([x, w]), 0) ; F.relu(x) ; F.dropout(x, 0.0) ; F.dropout(x, 1.0)
F.mse_loss(x, w) ; F.l1_loss(x, w) ; F.smooth_l1_loss(x, w) ; F.huber_loss(x, w)
F.huber_loss(x, w, delta=0.5, reduction="none") ; F.smooth_l1_loss(x, w, reduction="none")
F.smooth_l1_loss(x, w, beta=0) ; F.mse_loss(x, w, reduction="none") ; F.mse_loss(x, w, reduction="sum")
F.l1_loss(x, w, reduction="none") ; F.binary_cross_entropy_with_logits(x, t.ones_like(x))
F.binary_cross_entropy_with_logits(x, t.zeros_like(x))
F.binary_cross_entropy_with_logits(x, t.full_like(x, 0.3), reduction="none") ; F.soft_margin_loss(x, t.ones_like(x))
F.binary_cross_entropy_with_logits(x, t.ones_like(x), pos_weight=t.full_like(x, 2.0), reduction="none")
F.kl_div(x, w, reduction="sum") ; F.kl_div(x, w.abs(), reduction="none")
F.kl_div(x, x, reduction="none", log_target=True) ; F.margin_ranking_loss(x, w, t.ones_like(x))
F.hinge_embedding_loss(x, t.ones_like(x)) ; F.hinge_embedding_loss(x, -t.ones_like(x))
F.poisson_nll_loss(x, t.ones_like(x)) ; F.poisson_nll_loss(x, w, log_input=False)
F.gaussian_nll_loss(x, w, t.ones_like(x)) ; F.binary_cross_entropy(x.sigmoid(), t.ones_like(x), reduction="none")
F.binary_cross_entropy(x.clamp(0, 1), t.zeros_like(x), reduction="none")
F.binary_cross_entropy(x.clamp(0, 1), t.full_like(x, 0.25)) ; F.prelu(x, t.full((1,), 0.25, dtype=x.dtype))
F.cosine_similarity(x, w, dim=0) ; F.cosine_similarity(x, x * 0, dim=0)
"""

# Of a matrix X of two rows, x and x turned round, and of an image I (1, 1, 2, length) of the same numbers.
OF_MATRICES = """
X.max(1) ; X.min(1) ; X.max(0) ; X.min(0) ; X.amax(1) ; X.amin((0, 1)) ; X.std(1) ; X.var(0) ; X.norm() ; X.norm(2, 1)
X.norm(1, 0) ; X.softmax(1) ; X.log_softmax(0) ; X.logsumexp((0, 1)) ; X.prod(1) ; X.prod() ; X.cumprod(1)
X.cumsum(0) ; X.mean(0) ; X.median(1) ; X.sort(1) ; X.topk(1, 1) ; X.topk(1, 0, largest=False) ; X.argmax(1) ; X.T @ X
X.mm(X.T) ; X.sum(1) ; X.norm(float("inf"), 1) ; X.norm(float("inf"))
t.linalg.matrix_norm(X) ; X.quantile(0.5, 1)
F.cross_entropy(X, t.zeros(2, dtype=t.int64)) ; F.cross_entropy(X, t.zeros(2, dtype=t.int64), reduction="none")
F.cross_entropy(X, t.zeros(2, dtype=t.int64), label_smoothing=0.1) ; F.cross_entropy(X, X.detach() * 0 + 0.5)
F.cross_entropy(X, t.tensor([0, -100]))
F.cross_entropy(X, t.tensor([0, 0]), weight=t.ones(X.shape[1], dtype=X.dtype))
F.nll_loss(X, t.zeros(2, dtype=t.int64)) ; F.nll_loss(X.log_softmax(1), t.tensor([0, -100]))
F.multi_margin_loss(X, t.zeros(2, dtype=t.int64)) ; F.normalize(X) ; F.normalize(X, p=1) ; F.normalize(X, dim=0)
F.pairwise_distance(X, X) ; F.pairwise_distance(X, X * 2) ; F.cosine_similarity(X, X)
F.cosine_embedding_loss(X, X, t.ones(2)) ; F.cosine_embedding_loss(X, X, -t.ones(2))
F.triplet_margin_loss(X, X, X * 2) ; F.multilabel_soft_margin_loss(X, X.detach() * 0 + 1) ; t.cdist(X, X)
t.cdist(X, X, p=1) ; F.layer_norm(X, X.shape[1:]) ; F.rms_norm(X, X.shape[1:])
F.batch_norm(X, None, None, training=True) ; nn_batch_norm(t, X)
F.batch_norm(X, t.zeros(X.shape[1], dtype=X.dtype), t.ones(X.shape[1], dtype=X.dtype))
F.batch_norm(X, t.zeros(X.shape[1], dtype=X.dtype), X.detach()[0]) ; F.linear(X, X)
F.linear(X, X, t.full((2,), float("inf"), dtype=X.dtype)) ; F.group_norm(I, 1) ; F.instance_norm(I)
F.local_response_norm(I, 2) ; F.batch_norm(I, None, None, training=True) ; F.max_pool2d(I, (2, 1))
F.max_pool2d(I, 2) if I.shape[3] > 1 else I ; F.max_pool2d(I, (1, 2), 1, (0, 1)) ; F.max_pool2d(I, (2, 2), 1, 1)
F.max_pool2d(I, (2, 1), return_indices=True) ; F.max_pool2d(I, (1, 2), 1, (0, 1), return_indices=True)
F.max_pool1d(I[0], 2, 1, 1) ; F.avg_pool2d(I, (2, 1)) ; F.avg_pool2d(I, (1, 2), 1, (0, 1))
F.avg_pool2d(I, (1, 2), 1, (0, 1), count_include_pad=False) ; F.lp_pool2d(I, 2, (2, 1)) ; F.adaptive_max_pool2d(I, 1)
F.adaptive_max_pool2d(I, (2, 2)) ; F.adaptive_max_pool2d(I, 1, return_indices=True) ; F.adaptive_avg_pool2d(I, 1)
F.adaptive_avg_pool2d(I, (1, 2)) ; F.conv2d(I, t.ones(1, 1, 2, 1, dtype=I.dtype))
F.conv2d(I, t.zeros(1, 1, 1, 1, dtype=I.dtype)) ; F.conv2d(I, I)
F.conv2d(I, t.ones(2, 1, 1, 3, dtype=I.dtype), padding=(0, 1))
F.conv2d(I, t.ones(1, 1, 3, 3, dtype=I.dtype), padding=1) ; F.conv_transpose2d(I, t.ones(1, 1, 2, 2, dtype=I.dtype))
F.pad(I, (1, 1), value=1.0) ; F.pad(I, (1, 0, 0, 0), mode="replicate") ; F.interpolate(I, scale_factor=2)
F.interpolate(I, scale_factor=2, mode="bilinear")
F.interpolate(I, scale_factor=2, mode="bilinear", align_corners=True)
F.interpolate(I, scale_factor=2, mode="bicubic") ; F.interpolate(I, size=(1, 1), mode="area") ; F.unfold(I, (2, 1))
F.fold(F.unfold(I, (2, 1)), I.shape[2:], (2, 1)) ; F.pixel_shuffle(I.reshape(1, 2, 1, -1).repeat(1, 2, 1, 1), 2)
F.grid_sample(I, t.zeros(1, 1, 2, 2, dtype=I.dtype), align_corners=False)
F.grid_sample(I, t.ones(1, 1, 2, 2, dtype=I.dtype), align_corners=True, padding_mode="border")
F.relu(F.batch_norm(I, None, None, training=True)) ; F.max_pool2d(F.relu(I), (2, 1)) ; F.dropout2d(I, 0.0)
F.embedding(t.tensor([0, 0]), X) ; X.gather(1, t.zeros(2, 1, dtype=t.int64))
X.scatter(1, t.zeros(2, 1, dtype=t.int64), 1.0) ; X.scatter_add(1, t.zeros(2, 1, dtype=t.int64), X.detach())
X.diagonal() ; X.tril() ; X.triu() ; X.masked_select(X > 0) ; t.einsum("ij,kj->ik", X, X) ; X.flatten()
X.unfold(1, 1, 1)
"""


def nn_batch_norm(t, X):
    """What a batch-norm layer keeps of one batch: its running averages."""
    layer = t.nn.BatchNorm1d(X.shape[1], dtype=X.dtype)
    layer(X)
    return layer.running_mean, layer.running_var


def expressions(text):
    return [part.strip() for part in text.replace("\n", " ; ").split(" ; ") if part.strip()]


# Where the two engines differ and are meant to: the reason; how the difference is told; the rows, dtypes and
# expressions that it is for ("" for all).
ENDS = "denormal, large, largest, far apart"
INFINITE = "infinite, both infinite, minus infinite, one infinite, one minus infinite, nan and infinite"
EXCEPTIONS = (
    ("of nothing there is no mean, largest or norm: refused, where PyTorch says nan", "refused", "empty", "", ""),
    (
        "of two equal zeros, which is found (or if a sum begins with 0) is left to chance",
        "different: sign of zero",
        "",
        "",
        """x.max* ; x.min* ; x.am* ; X.am* ; x.median* ; X.median* ; x.quantile* ; X.quantile* ; x.kthvalue*
        t.maximum* ; x.cumsum* ; X.cumsum* ; F.max_pool* ; F.layer_norm* ; F.instance_norm* ; F.cross_entropy*
        F.interpolate* ; F.grid_sample* ; X.scatter_add* ; F.softshrink* ; X.T @ X""",
    ),
    (
        "at the ends of a dtype, one order of a formula's factors leaves its range and another does not",
        "different",
        ENDS,
        "",
        """x.atan2* ; x.hypot* ; x.addc* ; x.std* ; x.var* ; X.std* ; X.var* ; t.var_mean* ; t.std_mean* ; x.norm(3)
        t.linalg.vector_norm(x, 3) ; x.dot(w) ; x @ w ; X.T @ X ; X.mm* ; F.linear* ; F.gelu* ; F.glu*
        F.gaussian_nll_loss* ; F.cross_entropy* ; F.cosine* ; F.rms_norm* ; F.*batch_norm(* ; nn_batch_norm*
        F.group_norm* ; F.instance_norm* ; F.layer_norm* ; F.local_response_norm* ; F.lp_pool2d* ; F.interpolate*
        F.soft_margin_loss* ; t.cdist* ; t.einsum*""",
    ),
    (
        "float16 is computed in float16; PyTorch goes to float32 and back",
        "different",
        "",
        "float16",
        """x ** 0.5 ; x ** -0.5 ; x ** 1.5 ; x.round* ; x.lerp* ; x.softmax* ; X.softmax* ; x.log_softmax* ; F.softmin*
        F.hardswish* ; F.huber_loss* ; F.normalize* ; F.kl_div* ; F.avg_pool2d* ; F.pairwise* ; F.triplet* ; F.cross*
        F.*batch_norm* ; F.*norm* ; x.quantile* ; F.cosine* ; x.std* ; x.var* ; t.std_mean* ; t.var_mean* ; F.lp_pool2d*
        F.binary* ; F.interpolate* ; F.adaptive* ; F.conv2d* ; F.linear* ; nn_batch_norm* ; X.std* ; X.var* ; F.glu*""",
    ),
    (
        "the spread of equal numbers is rounding alone, and what is divided by it is noise",
        "different",
        "constant, constant that rounds, nan first",  # beside nan, its other columns are constant
        "",
        "x.std* ; x.var* ; X.std* ; X.var* ; t.std_mean* ; t.var_mean* ; F.*norm* ; x.addcdiv* ; F.cosine*",
    ),
    ("which one of equal numbers is the k-th is not said", "different", "", "", "x.topk* ; X.topk* ; x.kthvalue*"),
    (
        "var_mean of infinities is that of var and mean; PyTorch's own updates a running mean, which becomes nan",
        "different",
        INFINITE + ", single nan",
        "",
        "t.var_mean* ; t.std_mean*",
    ),
    ("PyTorch's formula has exp(-y x), infinite where its share of the slope is 1", "different", "", "",
     "F.soft_margin*"),
    ("PyTorch's vectors have nan for gelu(inf) in float32, its single numbers inf, as in float64", "different", "", "",
     "F.gelu(x)"),
    ("PyTorch multiplies by 1/6 as rounded to float32", "different", "", "", "F.hardsigmoid(x)"),
    ("of nothing but nan, the mean says nothing about any number", "different", "", "", "x.nanmean()"),
    ("between two limits that are equal, PyTorch loses the gradient", "different", "", "", "x.clamp(w, w)"),
    ("zeros of padding are multiplied by weights, infinite, nan or not", "different", "", "", "F.conv2d(I, I)"),
    ("a product, or a spread, of one nan: PyTorch has this case apart", "different", "single nan", "",
     "x.cumprod* ; X.cumprod* ; x.var* ; x.std* ; X.prod*"),
    ("beside two zeros, the product of all others is 0, times infinity nan", "different", INFINITE, "", "X.prod*"),
    ("0 is no part of an infinite norm, and has no slope", "different", INFINITE, "", "x.norm(0.5)"),
    ("|nan| has the slope 0, in the p = 1 distance too, as in norm(1)", "different", "", "", "t.cdist(X, X, p=1)"),
    ("in float16 sums over a batch overflow: refused", "refused", "", "float16", "F.*batch_norm* ; nn_batch_norm*"),
)  # fmt: skip

CASES = [(e, "rows") for e in expressions(OF_ROWS)] + [(e, "matrices") for e in expressions(OF_MATRICES)]


def outcome(t, expression, kind, row, dtype):
    """Everything to be seen of one expression in one engine: (values, gradients), as arrays. Where the way back is
    refused, as for x // 2, the values are those of a row that asks for no gradient, and the error is the gradients."""
    try:
        return values_and_gradients(t, expression, kind, row, dtype)
    except Exception as error:
        values, _ = values_and_gradients(t, expression, kind, row, dtype, learnt=False)
        return values, error


def values_and_gradients(t, expression, kind, row, dtype, learnt=True):
    numbers, dtype = np.array(row, dtype), getattr(t, dtype)
    x, w = (t.tensor(n.tolist(), dtype=dtype) for n in (numbers, numbers[::-1]))
    leaves = {"x": x, "w": w} if kind == "rows" else {"X": t.stack([x, w])}
    for leaf in leaves.values():
        leaf.requires_grad_(learnt)
    seen = {"t": t, "F": t.nn.functional, "nn_batch_norm": nn_batch_norm, **leaves}
    if kind == "matrices":
        seen["I"] = leaves["X"].reshape(1, 1, 2, len(row))
    y = eval(expression, seen)
    results = list(y) if isinstance(y, tuple) else [y]
    recorded = [v for v in results if v.requires_grad]
    for i, v in enumerate(recorded):
        upstream = np.linspace(1, -2, v.numel()).reshape(tuple(v.shape))
        v.backward(t.tensor(upstream.tolist(), dtype=v.dtype).reshape(v.shape), retain_graph=i + 1 < len(recorded))
    gradients = [None if leaf.grad is None else plain(leaf.grad) for leaf in leaves.values()]
    return [plain(v.detach()) for v in results], gradients


def plain(v):
    return np.array(v.numpy())


TOLERANCE = {"float64": 1e-9, "float32": 2e-5, "float16": 4e-3}


def difference(ours, theirs, dtype, row):
    """The first difference in words, or None."""
    size = max([abs(n) for n in row if abs(n) < INF], default=0)
    seen = [("value", ours[0], theirs[0]), ("gradient", ours[1], theirs[1])]
    for what, some, others in seen[:1] if isinstance(theirs[1], Exception) else seen:
        if len(some) != len(others):
            return f"{len(some)} {what}s, not {len(others)}"
        for one, other in zip(some, others, strict=True):
            if (one is None) != (other is None):
                return f"{what} {one}, not {other}"
            if one is None:
                continue
            if one.dtype != other.dtype or one.shape != other.shape:
                return f"{what} {one.dtype} {one.shape}, not {other.dtype} {other.shape}"
            if one.dtype.kind != "f":
                if (one != other).any():
                    return f"{what} {one.tolist()}, not {other.tolist()}"
                continue
            coarser = max(TOLERANCE[dtype], TOLERANCE[str(one.dtype)])
            least = float(np.finfo(min(np.dtype(dtype), one.dtype, key=lambda d: d.itemsize)).smallest_subnormal)
            a, b = one.astype(np.float64), other.astype(np.float64)
            scale = float(np.abs(b[np.isfinite(b)]).max(initial=0))
            scale = max(scale if scale < 100 else 0, size if size < 100 else 0)
            eps = max(float(np.finfo(d).eps) for d in (dtype, one.dtype))
            if not np.allclose(a, b, rtol=coarser, atol=2 * least + 4 * eps * scale, equal_nan=True):
                return f"{what} {one.tolist()}, not {other.tolist()}"
            zero = (a == 0) & (b == 0)
            if what == "value" and (np.signbit(a) != np.signbit(b))[zero].any():
                return f"sign of zero: {what} {one.tolist()}, not {other.tolist()}"
    return None


def compare(expression, kind, row, dtype):
    """(what came of it, in words): "equal", "refused", "lenient", "neither" or "different"."""
    found = []
    for t in (tinyvision, torch):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                found.append(outcome(t, expression, kind, row, dtype))
            except Exception as error:
                found.append(error)
    ours, theirs = found
    if isinstance(ours, Exception):
        if isinstance(theirs, Exception):
            return "neither", ""
        kind = "refused" if isinstance(ours, TinyVisionError) else "different"
        return kind, f"{type(ours).__name__}: {ours}"
    if isinstance(theirs, Exception):
        return "lenient", str(theirs)[:100]
    if isinstance(ours[1], Exception) and not isinstance(theirs[1], Exception):
        kind = "refused" if isinstance(ours[1], TinyVisionError) else "different"
        return kind, f"gradient: {type(ours[1]).__name__}: {ours[1]}"
    words = difference(ours, theirs, dtype, row)
    return ("different", words) if words else ("equal", "")


def reason(expression, name, dtype, told):
    """The reason why this difference is meant, or ""."""
    for why, begins, names, dtypes, meant in EXCEPTIONS:
        here = told.startswith(begins) and name in (names.split(", ") if names else [name])
        if here and dtype in (dtypes or dtype) and any(fnmatchcase(expression, e) for e in expressions(meant or "*")):
            return why
    return ""


def differences(only="", dtypes=DTYPES):
    """Yields (expression, dtype, name of the row, what came of it, in words) for all that is different, or refused,
    and not meant to be. An answer where PyTorch has none is no difference."""
    for expression, kind in CASES:
        for dtype in dtypes if only in expression else ():
            for name, row in rows(dtype).items():
                what, words = compare(expression, kind, row, dtype)
                told = f"{what}: {words}"
                if what in ("different", "refused") and not reason(expression, name, dtype, told):
                    yield expression, dtype, name, told


def main(only=""):
    """Print all differences of the expressions that contain `only`."""
    for found in differences(only):
        print(*found, sep=" | ", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
