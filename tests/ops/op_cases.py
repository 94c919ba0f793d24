"""One table of cases for every op: no two axes of one size, options off their defaults, kinks kept away from.

`test_every_op.py` runs each of them through everything that holds for all ops: central differences, the stand-in for
GPU arrays, purity, a second call, float32, memory orders. Comparisons with PyTorch over generated shapes stand in the
files named after the ops.
"""

from dataclasses import dataclass, field

import numpy as np

from tinyvision import ops


@dataclass
class Case:
    """`make(rng)` gives the positional arguments in float64; `smooth` names those that central differences may move."""

    op: str
    make: object
    options: dict = field(default_factory=dict)
    smooth: tuple = (0,)
    note: str = ""

    @property
    def forward(self):
        return getattr(ops, self.op + "_forward")

    @property
    def backward(self):
        return getattr(ops, self.op + "_backward")

    def __str__(self):
        shown = ",".join(f"{k}={v}" for k, v in self.options.items() if not hasattr(v, "shape"))
        return f"{self.op}({self.note or shown})".replace(" ", "")


def places_in(shape, places):
    """An image and a grid of places, some outside, none near a pixel's centre or edge, where the slope changes."""

    def make(rng):
        N, _, H, W = shape
        eighths = [
            rng.integers(-3 * n, 3 * n, (N, *places[1:])) + 0.5 + rng.choice([-0.3, 0.2], (N, *places[1:])) / 2
            for n in (W, H)
        ]
        grid = np.stack([e / n for e, n in zip(eighths, (W, H), strict=True)], -1)
        return [rng.standard_normal(shape), grid]

    return make


def apart(rng, *shape, gap=0.1):
    """Distinct numbers at least `gap` apart and `gap`/2 away from 0: no kink within a small step, no tie."""
    size = int(np.prod(shape))
    return gap * (rng.permutation(size) - size // 2 + 0.5).reshape(shape)


def normal(*shapes):
    """A maker of standard normal arrays of these shapes."""
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def kinked(*shape):
    """A maker of one array whose numbers stay away from 0 and from one another."""
    return lambda rng: [apart(rng, *shape)]


def conv(N, C, H, W, O, KH, KW, groups=1, bias=True):
    """A maker of x, weight and bias."""
    shapes = [(N, C, H, W), (O, C // groups, KH, KW)] + [(O,)] * bias
    return normal(*shapes)


def _labels(rng):
    return [rng.standard_normal((4, 5)), np.array([3, 0, -100, 4])]


def _dense_labels(rng):
    return [rng.standard_normal((2, 5, 3, 4)), rng.integers(0, 5, (2, 3, 4))]


def _probabilities(rng):
    p = rng.random((4, 5))
    return [rng.standard_normal((4, 5)), p / p.sum(1, keepdims=True)]


def _norm(*shape, frozen=False):
    def make(rng):
        C = shape[1]
        vectors = [rng.standard_normal(C) for _ in range(3 if frozen else 2)]
        return [rng.standard_normal(shape), *vectors] + [rng.random(C) + 0.5] * frozen

    return make


def _norm_and_skip(rng):
    return [*_norm(4, 3, 2, 5)(rng), rng.standard_normal((4, 3, 2, 5))]


def _positive(rng):
    return [rng.random((3, 4)) + 0.5]


def _dropout(rng):
    return [rng.standard_normal((3, 4)), (rng.random((3, 4)) > 0.3).astype(np.uint8)]


def _divisor(rng):
    return [rng.standard_normal((2, 3, 4)), rng.random((3, 1)) + 0.5]


def _inside(rng):
    return [rng.random((3, 4)) * 1.8 - 0.9]


def _between(rng):
    return [rng.integers(-3, 3, (3, 4)) + rng.random((3, 4)) * 0.4 + 0.05]  # no step, and no half, within reach


def _unequal(rng):
    a = rng.standard_normal((2, 3, 4))
    return [a, (a[:, :, :1] + 1).mean(axis=0)]


def _bases(rng):
    return [rng.random((2, 3, 4)) + 0.5, rng.standard_normal((3, 1))]


def _divided(rng):
    b = rng.choice([-1, 1], (3, 4)) * (rng.random((3, 4)) + 1)
    return [b * (rng.integers(-3, 3, (2, 3, 4)) + 0.2 + 0.6 * rng.random((2, 3, 4))), b]


def _with_zeros(rng):
    x = rng.standard_normal((2, 3, 4))
    x[0, 0, 1] = x[1, 1, 0] = x[1, 1, 2] = 0
    return [x]


def _affine(*shape, over):
    """A maker of x and of weight and bias shaped like the axes `over` of it."""
    return normal(shape, tuple(shape[a] for a in over), tuple(shape[a] for a in over))


def _scores(rng):
    return [rng.standard_normal((3, 4)), rng.random((3, 4))]


def _cosines(rng):
    return [rng.uniform(-0.95, 0.95, (5, 4)), np.array([3, 0, 0, 1, 2])]


def _embedded(rng):
    return [rng.standard_normal((6, 3)), np.array([2, 0, 2, 1, 0, 2])]


def _two_probabilities(rng):
    return [0.1 + 0.8 * rng.random((3, 4)), 0.1 + 0.8 * rng.random((3, 4))]


def _differing(rng):
    """Pairs whose differences stay away from 0 and from one another."""
    target = rng.standard_normal((3, 4))
    return [target + apart(rng, 3, 4, gap=0.3), target]


def _boxes(rng):
    a = rng.random((5, 4)) * 4
    a[:, 2:] += a[:, :2] + 0.5
    b = a + rng.standard_normal((5, 4)) * 0.2
    b[0] += 20  # these two do not meet
    return [a, b]


INDEX = np.array([[3, 0, 3, 1], [1, 1, 0, 2]])
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.25, 3.0])
BOTH = (0, 1)

CASES = [
    Case("conv2d", conv(2, 3, 6, 7, 4, 3, 2), {"padding": 1}, (0, 1, 2)),
    Case("conv2d", conv(2, 3, 7, 8, 4, 3, 2, bias=False), {"stride": (2, 3), "padding": (1, 0)}, BOTH),
    Case("conv2d", conv(1, 4, 8, 7, 6, 2, 3, groups=2), {"dilation": (2, 1), "padding": 2, "groups": 2}, (0, 1, 2)),
    Case("conv2d", conv(2, 3, 6, 5, 3, 3, 3, groups=3), {"padding": 1, "groups": 3}, (0, 1, 2), "depthwise"),
    Case("conv2d", conv(2, 3, 6, 5, 6, 3, 2, groups=3), {"stride": 2, "groups": 3}, (0, 1, 2), "multiplier"),
    Case("conv2d", conv(2, 3, 5, 4, 4, 1, 1), {}, (0, 1, 2), "1x1"),
    Case("conv2d", conv(2, 3, 7, 6, 4, 1, 1), {"stride": 3}, (0, 1, 2), "1x1,stride"),
    Case("conv2d", conv(2, 2, 7, 8, 3, 2, 2), {"stride": 3, "dilation": 2}, (0, 1, 2)),
    Case("max_pool2d", kinked(2, 3, 6, 7), {"kernel_size": 2}),
    Case("max_pool2d", kinked(2, 3, 6, 7), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    Case("max_pool2d", kinked(2, 3, 7, 8), {"kernel_size": 2, "stride": 3}),
    Case("avg_pool2d", normal((2, 3, 6, 7)), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    Case("avg_pool2d", normal((2, 3, 6, 7)), {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    Case("max_pool2d", kinked(2, 3, 7, 6), {"kernel_size": (2, 3), "stride": 2, "dilation": (3, 1), "padding": 1}),
    Case("max_pool2d", kinked(2, 3, 6, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    Case("avg_pool2d", normal((2, 3, 6, 8)), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    Case("avg_pool2d", normal((2, 3, 6, 7)), {"kernel_size": 2, "divisor_override": 3}),
    Case("adaptive_max_pool2d", kinked(2, 3, 7, 5), {"output_size": (3, 2)}),
    Case("adaptive_max_pool2d", kinked(2, 3, 4, 3), {"output_size": (2, 5)}),
    Case("conv_transpose2d", normal((2, 3, 4, 5), (3, 4, 3, 2), (4,)), {"stride": (2, 3), "padding": 1}, (0, 1, 2)),
    Case(
        "conv_transpose2d",
        normal((2, 4, 3, 5), (4, 3, 2, 3)),
        {"stride": (2, 1), "output_padding": (1, 1), "dilation": (1, 2), "groups": 2},
        BOTH,
    ),
    Case("unfold", normal((2, 3, 6, 7)), {"kernel_size": (2, 3), "stride": (2, 1), "padding": 1, "dilation": (1, 2)}),
    Case("fold", normal((2, 12, 9)), {"output_size": (5, 6), "kernel_size": (3, 2), "stride": 2, "padding": (1, 0)}),
    Case("adaptive_avg_pool2d", normal((2, 3, 7, 5)), {"output_size": (3, 2)}),
    Case("adaptive_avg_pool2d", normal((2, 3, 4, 5)), {"output_size": 1}),
    Case("im2col", normal((2, 3, 6, 7)), {"kernel_size": (2, 3), "stride": (2, 1), "padding": 1, "dilation": (1, 2)}),
    Case("linear", normal((3, 4), (5, 4), (5,)), {}, (0, 1, 2)),
    Case("linear", normal((2, 3, 4), (5, 4)), {}, BOTH, "more-axes"),
    Case("matmul", normal((2, 3, 4), (4, 5)), {}, BOTH),
    Case("relu", kinked(2, 3, 4)),
    Case("relu6", lambda rng: [apart(rng, 5, 3, 8)]),
    Case("sigmoid", normal((3, 4))),
    Case("tanh", normal((3, 4))),
    Case("softmax", normal((2, 3, 4)), {"axis": 1}),
    Case("log_softmax", normal((2, 3, 4)), {"axis": -1}),
    Case("batchnorm_train", _norm(4, 3, 2, 5), {"eps": 1e-3}, (0, 1, 2)),
    Case("batchnorm_train", _norm(6, 4), {}, (0, 1, 2), "1d"),
    Case("batchnorm_relu", _norm(4, 3, 2, 5), {"eps": 1e-3}, (0, 1, 2)),
    Case("sync_batchnorm", _norm(4, 3, 2, 5), {"eps": 1e-3}, (0, 1, 2)),
    Case("sync_batchnorm", _norm(5, 3), {}, (0, 1, 2), "two_axes"),
    Case("batchnorm_relu", _norm_and_skip, {}, (0, 1, 2, 3), "skip"),
    Case("batchnorm_relu", _norm_and_skip, {"top": 0.7}, (0, 1, 2, 3), "skip, top"),
    Case("batchnorm_frozen", _norm(4, 3, 2, 5, frozen=True), {"eps": 1e-3}, (0, 1, 2)),
    Case("dropout", _dropout, {"p": 0.3}),
    Case("cross_entropy", _labels),
    Case("cross_entropy", _labels, {"label_smoothing": 0.2, "weight": WEIGHTS}, note="smoothing,weight"),
    Case("cross_entropy", _labels, {"reduction": "none", "label_smoothing": 0.1}),
    Case("cross_entropy", _dense_labels, {"weight": WEIGHTS, "ignore_index": 2}, note="dense"),
    Case("cross_entropy", _probabilities, {"label_smoothing": 0.1, "weight": WEIGHTS}, note="probabilities"),
    Case("cross_entropy", _labels, {"reduction": "sum"}),
    Case("nll_loss", _labels, {"weight": WEIGHTS}),
    Case("nll_loss", _dense_labels, {"reduction": "none", "ignore_index": 2}, note="dense"),
    Case("mse", normal((3, 4), (3, 4)), {}, BOTH),
    Case("mse", normal((3, 4), (3, 4)), {"reduction": "none"}, BOTH),
    Case("add", normal((2, 3, 4), (3, 1)), {}, BOTH),
    Case("add", normal((3, 4), (3, 4)), {}, BOTH, "same"),
    Case("sub", normal((4,), (2, 3, 1)), {}, BOTH),
    Case("mul", normal((2, 3, 4), (3, 1)), {}, BOTH),
    Case("mul", normal((), ()), {}, BOTH, "numbers"),
    Case("div", _divisor, {}, BOTH),
    Case("pow", _positive, {"exponent": -1.5}),
    Case("pow", normal((3, 4)), {"exponent": 3}),
    Case("exp", normal((3, 4))),
    Case("exp", normal(()), note="number"),
    Case("log", _positive),
    Case("sum", normal((2, 3, 4))),
    Case("sum", normal((2, 3, 4)), {"axis": (0, -1), "keepdims": True}),
    Case("mean", normal((2, 3, 4)), {"axis": 1}),
    Case("max", kinked(2, 3, 4), {"axis": (0, 2)}),
    Case("max", kinked(2, 3, 4), {"nan_wins": False}),
    Case("reshape", normal((2, 3, 4)), {"shape": (4, -1)}),
    Case("flatten", normal((2, 3, 4)), {"start": 1}),
    Case("transpose", normal((2, 3, 4)), {"axes": (2, 0, 1)}),
    Case("expand", normal((2, 1, 4)), {"shape": (3, -1, 5, 4)}),
    Case("diagonal", normal((2, 3, 4)), {"offset": 1, "axes": (0, 2)}),
    Case("diagonal", normal((4, 3)), {"offset": -2}),
    Case("slide", normal((3, 8, 2)), {"axis": 1, "size": 4, "step": 2}),
    Case("slide", normal((7, 2)), {"axis": 0, "size": 2, "step": 3}, note="apart"),
    Case("write", normal((3, 4), (2, 1)), {"look": lambda x: x.T[1:3], "index": (slice(None), slice(1, None))}, BOTH),
    Case("write", normal((3, 4), (2,)), {"index": (np.array([2, 0]), np.array([1, 3]))}, BOTH, "places"),
    Case("concatenate", normal((2, 3, 4), (2, 1, 4), (2, 2, 4)), {"axis": 1}, (0, 1, 2)),
    Case("index", normal((4, 3, 5)), {"index": (slice(1, None, 2), 0)}, note="slices"),
    Case("index", normal((4, 3)), {"index": np.array([0, 3, 0, -1])}, note="twice"),
    Case("index", normal((2, 3)), {"index": np.array([[True, False, True], [False, True, True]])}, note="mask"),
    Case("index", normal((4, 3)), {"index": (np.array([[0], [2]]), np.array([1, 2]))}, note="grid"),
    Case("pad", normal((2, 3, 4, 5)), {"padding": (1, 2, 0, 3)}),
    Case("pad", normal((2, 3, 4)), {"padding": (1, -2, 0, 3, -1, 2), "value": 0.5}),
    Case("pad", normal((2, 3, 4, 5)), {"padding": (3, 2, 2, -1), "mode": "reflect"}),
    Case("pad", normal((2, 3, 4, 5)), {"padding": (3, 2, 7, 0), "mode": "replicate"}),
    Case("pad", normal((2, 3, 4, 5)), {"padding": (3, 2, 2, -1), "mode": "circular"}),
    Case("resize", normal((2, 3, 4, 5)), {"size": (7, 3)}),
    Case("resize", normal((2, 3, 4, 5)), {"size": (8, 10), "mode": "nearest-exact"}),
    Case("resize", normal((2, 3, 4, 5)), {"size": (8, 12), "mode": "linear", "scales": (2.1, 2.4)}),
    Case("resize", normal((2, 3, 4, 5)), {"size": (3, 9), "mode": "linear", "align_corners": True}),
    Case("resize", normal((1, 2, 6, 5)), {"size": (4, 7), "mode": "cubic"}),
    Case("resize", normal((1, 2, 7, 6)), {"size": (3, 4), "mode": "cubic", "antialias": True}),
    Case("resize", normal((1, 2, 7)), {"size": (3,), "mode": "linear", "antialias": True}),
    Case("resize", normal((1, 2, 3, 4, 5)), {"size": (2, 5, 3), "mode": "area"}),
    *(
        Case(
            "grid_sample", places_in((2, 3, 4, 5), (2, 3, 6)), {"mode": m, "padding_mode": p, "align_corners": c}, BOTH
        )
        for m in ("bilinear", "nearest", "bicubic")
        for p, c in (("zeros", False), ("border", True), ("reflection", False), ("reflection", True))
    ),
    Case("leaky_relu", kinked(2, 3, 4), {"negative_slope": 0.2}),
    Case("prelu", lambda rng: [apart(rng, 2, 3, 4), rng.standard_normal(3)], {}, BOTH),
    Case("prelu", lambda rng: [apart(rng, 2, 3, 4), rng.standard_normal(1)], {}, BOTH, "one"),
    Case("elu", kinked(2, 3, 4), {"alpha": 1.7, "scale": 1.2, "input_scale": 0.8}),
    Case("softplus", normal((3, 4)), {"beta": 2.0, "threshold": 3.0}),
    Case("silu", normal((3, 4))),
    Case("mish", normal((3, 4))),
    Case("gelu", normal((3, 4))),
    Case("gelu", normal((3, 4)), {"approximate": "tanh"}),
    Case("clamp", lambda rng: [apart(rng, 5, 8)], {"low": -0.5, "high": 1.2}),
    Case("hardtanh", lambda rng: [apart(rng, 5, 8)], {"min_val": -0.5, "max_val": 1.2}),
    Case("hardsigmoid", lambda rng: [apart(rng, 5, 24)]),
    Case("hardswish", lambda rng: [apart(rng, 5, 24)]),
    Case("threshold", kinked(3, 4), {"threshold": 0.0, "value": 2.5}),
    Case("group_norm", _affine(2, 6, 3, 4, over=(1,)), {"groups": 3, "eps": 1e-3}, (0, 1, 2)),
    Case("group_norm", normal((3, 4, 5)), {"groups": 4}, (0,), "instance"),
    Case("layer_norm", _affine(2, 3, 4, 5, over=(2, 3)), {"shape": (4, 5)}, (0, 1, 2)),
    Case("layer_norm", normal((2, 3, 4)), {"shape": (4,), "eps": 1e-3}, (0,), "plain"),
    Case("l1", _differing, {}, BOTH),
    Case("smooth_l1", _differing, {"beta": 0.5}, BOTH),
    Case("huber", _differing, {"delta": 0.5}, BOTH),
    Case("bce", _two_probabilities, {}, BOTH),
    Case("bce_with_logits", _scores, {}, BOTH),
    Case("bce_with_logits", lambda rng: [*_scores(rng), rng.random(4) + 0.5], {}, BOTH, "pos_weight"),
    Case("kl_div", _two_probabilities, {}, BOTH),
    Case("kl_div", _two_probabilities, {"log_target": True}, BOTH),
    Case("focal", _scores, {"gamma": 2.0, "alpha": 0.25}),
    Case("focal", _scores, {"gamma": 0.5}),
    Case("arcface", _cosines, {"margin": 0.4, "scale": 7.0}),
    Case("arcface", _cosines, {"margin": 1.5, "scale": 2.0}),
    Case("triplet", _embedded, {"margin": 0.7}),
    Case("triplet", _embedded, {"margin": 5.0}),
    Case("box_agreement", _boxes, {}, BOTH),
    Case("box_agreement", _boxes, {"generalized": False}, BOTH),
    *(
        Case(name, normal((3, 4)))
        for name in ("abs", "sin", "cos", "tan", "atan", "sinh", "cosh", "asinh", "expm1", "erf")
    ),
    *(Case(name, _inside) for name in ("asin", "acos", "atanh", "log1p", "erfinv")),
    *(Case(name, _positive) for name in ("log2", "log10", "rsqrt")),
    Case("logit", lambda rng: [rng.random((3, 4)) * 0.8 + 0.1]),
    Case("logit", lambda rng: [rng.integers(0, 2, (3, 4)) + rng.random((3, 4)) * 0.5 + 0.15], {"eps": 0.1}),
    Case("acosh", lambda rng: [rng.random((3, 4)) + 1.5]),
    *(Case("steps", _between, {"kind": kind}) for kind in ("floor", "ceil", "trunc", "round", "sign")),
    *(Case(name, _unequal, {}, BOTH) for name in ("maximum", "minimum", "atan2", "hypot", "logaddexp")),
    Case("power", _bases, {}, BOTH),
    *(Case(name, _divided, {}, BOTH) for name in ("remainder", "fmod")),
    Case("cumsum", normal((2, 3, 4)), {"axis": 1}),
    Case("cumprod", normal((2, 5, 3)), {"axis": 1}),
    Case("cumprod", _with_zeros, {"axis": -1}, note="zeros"),
    Case("prod", _with_zeros, {"axis": (0, 2)}),
    Case("prod", normal((2, 3, 2)), {"axis": 1, "keepdims": True}),
    Case("prod", normal((2, 3))),
    Case("logsumexp", normal((2, 3, 4)), {"axis": (0, 2), "keepdims": True}),
    Case("logsumexp", normal((2, 3, 4)), {"axis": 1}),
    *(Case(name, normal((2, 3, 4)), {"axis": (0, 2)}) for name in ("var", "std")),
    *(Case(name, normal((2, 3, 4)), {"correction": 0, "keepdims": True}) for name in ("var", "std")),
    *(Case("norm", kinked(2, 3, 4), {"p": p, "axis": (0, 2)}) for p in (1, 2, 3, 1.5)),
    Case("norm", normal((2, 3, 4)), {"keepdims": True}),
    Case("gather", normal((3, 4)), {"index": INDEX, "axis": 1}),
    Case("scatter", normal((3, 4), (2, 4)), {"index": np.array([[3, 0, 2], [1, 2, 0]]), "axis": 1}, BOTH),
    Case("scatter_add", normal((3, 4), (3, 5)), {"index": INDEX, "axis": 1}, BOTH),
    Case("flip", normal((2, 3, 4)), {"axis": (0, -1)}),
    Case("roll", normal((2, 3, 4)), {"shifts": (1, -2), "axis": (0, 2)}),
    Case("repeat", normal((3, 4)), {"repeats": (2, 1, 3)}),
    Case("where", normal((2, 3, 4), (3, 1)), {"condition": np.arange(12).reshape(3, 4) % 3 == 0}, BOTH, "mask"),
]
