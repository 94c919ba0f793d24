"""The known ops: their arguments, their probes, what is right for them, and ours where the learner brings none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from . import reference
from .bank.unfold import columns, windows
from .bank.windows import fold, unfold
from .probes import Probe, away_from_zero, upstream, well_separated

PAIRED = ("kernel_size", "stride", "padding")


@dataclass(frozen=True)
class Spec:
    """One known op. `make(pairs)` yields (name, inputs, options); `forward(*inputs, **options)` is the reference."""

    name: str
    arguments: tuple
    axes: tuple
    output_axes: str
    forward: Callable[..., Any]
    backward: Any  # a function; an update rule has none, and no probes
    make: Any
    symbols: Callable[..., Any] | None = None
    linear: bool = True
    lone_output: bool = False  # a forward may return y alone, without a cache

    @property
    def gradients(self) -> tuple[str | None, ...]:
        """The names of the gradients, in input order: "dx", ...; None for labels and masks."""
        return tuple(None if a in ("labels", "mask") else "d" + a for a in self.arguments)

    def probes(self, pairs: bool = True) -> Any:
        """The op's probes, with options as pairs or as plain integers."""
        return [self._probe(k, *parts) for k, parts in enumerate(self.make(pairs))]

    def _probe(self, index, name, inputs, options):
        y = self.forward(*inputs, **options)
        symbols = (self.symbols or _batch_symbols)(inputs, options, y)
        if np.shape(y) == ():
            symbols["dy"] = float(upstream(y, index))
        axes = tuple(a if len(a) == np.ndim(i) else "" for a, i in zip(self.axes, inputs, strict=True))
        return Probe(
            name,
            inputs,
            options,
            y,
            lambda dy: self.backward(inputs, options, dy),
            upstream(y, index),
            symbols=symbols,
            output=lambda i, o: self.forward(*i, **o),
            backward=self.backward,
            names=self.arguments,
            axes=axes,
            output_axes=self.output_axes if len(self.output_axes) == np.ndim(y) else "",
            index=index,
        )

    def functions(self, mistake: Any = None) -> Any:
        """The reference as a (forward, backward) pair, with one mistake from the bank built in, or none."""
        if self.name == "sgd":
            return (mistake.wrong() if mistake else self.forward), None
        wrong = mistake.wrong if mistake else None
        target = mistake.argument if mistake else None

        def forward(*inputs, **options):
            cache = (tuple(np.array(i) for i in inputs), options)
            if target == "y":
                return wrong(inputs, options), cache
            return self.forward(*inputs, **options), cache

        def backward(dy, cache):
            inputs, options = cache
            grads = list(self.backward(inputs, options, dy))
            if target is not None and target in self.gradients:
                grads[self.gradients.index(target)] = np.array(wrong(inputs, options, dy))
            return tuple(grads)

        return forward, backward

    def ours(self) -> Any:
        """tinyvision's own (forward, backward) for this op, imported when first needed."""
        from .. import ops

        if self.name in ("sgd",):
            return self.forward, None
        if self.name == "col2im":
            return _our_col2im, _our_col2im_backward
        name = _OURS.get(self.name, self.name)
        return getattr(ops, name + "_forward"), getattr(ops, name + "_backward")


_OURS = {"maxpool2d": "max_pool2d", "avgpool2d": "avg_pool2d"}


def _our_col2im(columns, x_shape, kernel_size, stride, padding):
    from ..ops.im2col import col2im

    return col2im(columns, x_shape, kernel_size, stride, padding), (kernel_size, stride, padding)


def _our_col2im_backward(dy, cache):
    from ..ops.im2col import im2col_forward

    return (im2col_forward(dy, *cache)[0],)


def _rng(*keys):
    return np.random.default_rng([2718, *keys])


def _batch_symbols(inputs, options, y):
    shape = np.shape(inputs[0])
    names = {"N": shape[0], "N·D": int(np.prod(shape)), "D": int(np.prod(shape[1:]))}
    if "p" in options:
        p = options["p"]
        names.update({"p": p, "1 - p": 1 - p, "(1 - p)²": (1 - p) ** 2, "p/(1 - p)": p / (1 - p)})
    return _distinct(names)


def _distinct(names):
    return {k: float(v) for k, v in names.items() if v}


def _window_symbols(inputs, options, y):
    if np.ndim(inputs[0]) == 4:
        n, c, h, w = np.shape(inputs[0])
    else:
        n, c, h, w = options["x_shape"]
    kernel = np.shape(inputs[1])[2:] if len(inputs) > 1 else reference.pair(options["kernel_size"])
    kh, kw = kernel
    sh, sw = reference.pair(options["stride"])
    oh, ow = reference.out_size((h, w), kernel, options["stride"], options["padding"])
    names = {
        "N": n,
        "C": c,
        "H·W": h * w,
        "KH": kh,
        "KW": kw,
        "KH·KW": kh * kw,
        "OH·OW": oh * ow,
        "N·OH·OW": n * oh * ow,
        "C·KH·KW": c * kh * kw,
        "KH²": kh * kh,
        "KW²": kw * kw,
        "(KH·KW)²": (kh * kw) ** 2,
        "SH·SW": sh * sw,
        "SH": sh,
        "SW": sw,
        "N·C": n * c,
        "N·H·W": n * h * w,
        "OH": oh,
        "OW": ow,
        "KH/KW": kh / kw,
        "OH·OW/(KH·KW)": oh * ow / (kh * kw),
        "SH·SW/(KH·KW)": sh * sw / (kh * kw),
    }
    if len(inputs) > 1:
        names["O"] = np.shape(inputs[1])[0]
    return _distinct(names)


def _linear_symbols(inputs, options, y):
    n, o = np.shape(y)
    i = inputs[0].shape[1]
    return _distinct({"N": n, "O": o, "I": i, "N·O": n * o, "N·I": n * i, "√I": i**0.5, "√N": n**0.5})


def _channel_symbols(inputs, options, y):
    n, c, h, w = inputs[0].shape
    return _distinct(
        {
            "N": n,
            "C": c,
            "H·W": h * w,
            "N·H·W": n * h * w,
            "(N·H·W - 1)": n * h * w - 1,
            "(N·H·W - 1)/(N·H·W)": (n * h * w - 1) / (n * h * w),
            "N·C": n * c,
            "N·C·H·W": n * c * h * w,
            "C·H·W": c * h * w,
            "H": h,
            "W": w,
        }
    )


def _class_symbols(inputs, options, y):
    n, k = inputs[0].shape
    return _distinct(
        {
            "N": n,
            "K": k,
            "N·K": n * k,
            "N²": n * n,
            "ln 2": np.log(2),
            "ln 10": np.log(10),
            "K - 1": k - 1,
            "N/K": n / k,
        }
    )


def _make_linear(pairs):
    for k, (name, n, i, o) in enumerate(
        [
            ("asymmetric", 3, 4, 5),
            ("square", 4, 4, 4),
            ("single", 1, 6, 3),
            ("wide", 5, 7, 2),
            ("small square", 2, 2, 2),
        ]
    ):
        r = _rng(1, k)
        yield (
            name,
            (r.standard_normal((n, i)) * (1 + 4 * (k == 3)), r.standard_normal((o, i)), r.standard_normal(o)),
            {},
        )


def _make_relu(pairs):
    for k, (name, shape) in enumerate(
        [
            ("asymmetric", (3, 8)),
            ("square", (5, 5)),
            ("large numbers", (4, 9)),
            ("single", (1, 11)),
            ("image", (2, 3, 4, 5)),
        ]
    ):
        yield name, (away_from_zero(_rng(2, k), shape, high=20.0 if k == 2 else 2.5),), {}


def _make_add(pairs):
    for k, (name, shape) in enumerate(
        [("asymmetric", (3, 8)), ("square", (5, 5)), ("single", (1, 11)), ("image", (2, 3, 4, 5))]
    ):
        r = _rng(3, k)
        yield name, (away_from_zero(r, shape), away_from_zero(r, shape, high=3.0)), {}


def _make_dropout(pairs):
    for k, (name, shape, p) in enumerate(
        [("asymmetric", (4, 8), 0.3), ("square", (6, 6), 0.6), ("single", (1, 15), 0.25), ("image", (2, 3, 4, 5), 0.4)]
    ):
        r = _rng(4, k)
        mask = r.permutation(np.arange(np.prod(shape)) >= p * np.prod(shape)).reshape(shape)
        zeros = np.arange(mask.size).reshape(shape) % 4 == 0  # kept or not, they are 0 in y: a mask is not read off y
        yield name, (np.where(zeros & (k >= 2), 0.0, away_from_zero(r, shape)), mask), {"p": p}


def _options(pairs, **options):
    """Options as (height, width) pairs, or the heights alone as integers."""
    return options if pairs else {k: v if k not in PAIRED else v[0] for k, v in options.items()}


def _make_conv2d(pairs):
    plans = [
        ("asymmetric", 3, 2, 5, (8, 11), (3, 2), (2, 3), (1, 2)),
        ("square", 3, 3, 3, (4, 4), (3, 3), (1, 1), (1, 1)),
        ("single", 1, 2, 3, (6, 5), (2, 3), (1, 2), (1, 0)),
        ("gaps", 2, 3, 2, (8, 9), (2, 2), (3, 3), (0, 0)),
        ("tall", 4, 2, 3, (7, 5), (3, 1), (1, 1), (2, 0)),
        ("square batch", 2, 2, 2, (7, 6), (2, 2), (2, 1), (1, 1)),
    ]
    for k, (name, n, c, o, size, kernel, stride, padding) in enumerate(plans):
        r = _rng(5, k)
        inputs = (r.standard_normal((n, c, *size)) + 0.3, r.standard_normal((o, c, *kernel)), r.standard_normal(o))
        yield name, inputs, _options(pairs, stride=stride, padding=padding)


_POOLS = [
    ("asymmetric", 3, 2, (8, 9), (3, 2), (2, 1), (1, 1)),
    ("overlaps", 2, 3, (5, 5), (3, 3), (1, 1), (1, 1)),
    ("single", 1, 3, (7, 8), (2, 3), (2, 3), (1, 0)),
    ("gaps", 4, 2, (8, 9), (2, 2), (3, 3), (0, 0)),
    ("left-over", 2, 2, (8, 5), (3, 4), (2, 3), (0, 1)),
    ("overlapping pairs", 3, 3, (6, 6), (2, 2), (1, 1), (0, 0)),
]


def _make_maxpool(pairs):
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_POOLS):
        x = well_separated(_rng(6, k), (n, c, *size))
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def _make_avgpool(pairs):
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_POOLS):
        x = _rng(7, k).standard_normal((n, c, *size)) + 0.5
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def _make_batchnorm(pairs):
    plans = [
        ("asymmetric", (3, 2, 4, 5), 0.3),
        ("square", (3, 3, 3, 3), 0.1),
        ("single", (1, 4, 3, 5), 0.5),
        ("many channels", (2, 5, 3, 2), 0.2),
    ]
    for k, (name, shape, eps) in enumerate(plans):
        r = _rng(8, k)
        c = shape[1]
        spread, centre = r.uniform(0.6, 3.0, (c, 1, 1)), r.uniform(-2.0, 2.0, (c, 1, 1))
        x = r.standard_normal(shape) * spread + centre
        yield name, (x, away_from_zero(r, c, 0.4), away_from_zero(r, c, 0.4)), {"eps": eps}


def _make_softmax(pairs):
    for k, (name, shape) in enumerate(
        [("asymmetric", (3, 5)), ("square", (4, 4)), ("single", (1, 6)), ("tall", (6, 3)), ("large scores", (5, 4))]
    ):
        yield name, (_rng(9, k).standard_normal(shape) * (3.0 if k == 4 else 1.0) + 0.2,), {}


def _make_cross_entropy(pairs):
    plans = [
        ("asymmetric", (5, 4), [2, 0, 2, 3, 2]),
        ("square", (4, 4), [1, 3, 1, 0]),
        ("single", (1, 5), [3]),
        ("two classes", (3, 2), [1, 1, 0]),
        ("many classes", (4, 7), [5, 0, 5, 2]),
    ]
    for k, (name, shape, labels) in enumerate(plans):
        yield name, (_rng(10, k).standard_normal(shape) * (2.0 if k == 4 else 1.0), np.array(labels)), {}


def _make_im2col(pairs):
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_UNFOLDS):
        x = _rng(11, k).standard_normal((n, c, *size))
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def _make_col2im(pairs):
    for k, (_, (x,), options) in enumerate(_make_im2col(pairs)):
        cols = _rng(12, k).standard_normal(_im2col(x, **options).shape)
        yield _UNFOLDS[k][0], (cols,), {"x_shape": x.shape, **options}


_UNFOLDS = [
    ("asymmetric", 3, 2, (8, 11), (3, 2), (2, 3), (1, 2)),
    ("square", 3, 3, (4, 4), (3, 3), (1, 1), (1, 1)),
    ("single", 1, 2, (6, 5), (2, 3), (1, 2), (1, 0)),
    ("gaps", 2, 3, (8, 9), (2, 2), (3, 3), (0, 0)),
    ("tall", 4, 2, (7, 5), (3, 1), (1, 1), (2, 0)),
]


def _im2col(x, kernel_size, stride, padding):
    return columns(unfold(x, kernel_size, stride, padding))


def _im2col_backward(inputs, options, dy):
    shape = inputs[0].shape
    return (fold(windows(dy, shape, options), shape, options["stride"], options["padding"]),)


def _col2im(cols, x_shape, **options):
    return fold(windows(cols, x_shape, options), x_shape, options["stride"], options["padding"])


def _col2im_backward(inputs, options, dy):
    return (_im2col(dy, **{k: options[k] for k in PAIRED}),)


def _sgd(weight, grad, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + grad + weight_decay * weight
    return weight - lr * velocity, velocity


SPECS = {
    s.name: s
    for s in (
        Spec(
            "linear",
            ("x", "weight", "bias"),
            ("NI", "OI", "O"),
            "NO",
            reference.linear,
            reference.linear_backward,
            _make_linear,
            _linear_symbols,
        ),
        Spec("relu", ("x",), ("NI",), "NI", reference.relu, reference.relu_backward, _make_relu, linear=False),
        Spec(
            "conv2d",
            ("x", "weight", "bias"),
            ("NCHW", "OCHW", "O"),
            "NOHW",
            reference.conv2d,
            reference.conv2d_backward,
            _make_conv2d,
            _window_symbols,
        ),
        Spec(
            "maxpool2d",
            ("x",),
            ("NCHW",),
            "NCHW",
            reference.maxpool2d,
            reference.maxpool2d_backward,
            _make_maxpool,
            _window_symbols,
            linear=False,
        ),
        Spec(
            "avgpool2d",
            ("x",),
            ("NCHW",),
            "NCHW",
            reference.avgpool2d,
            reference.avgpool2d_backward,
            _make_avgpool,
            _window_symbols,
        ),
        Spec(
            "batchnorm_train",
            ("x", "weight", "bias"),
            ("NCHW", "C", "C"),
            "NCHW",
            reference.batchnorm_train,
            reference.batchnorm_train_backward,
            _make_batchnorm,
            _channel_symbols,
            linear=False,
        ),
        Spec(
            "cross_entropy",
            ("logits", "labels"),
            ("NK", "N"),
            "",
            reference.cross_entropy,
            reference.cross_entropy_backward,
            _make_cross_entropy,
            _class_symbols,
            linear=False,
        ),
        Spec(
            "softmax",
            ("x",),
            ("NK",),
            "NK",
            reference.softmax,
            reference.softmax_backward,
            _make_softmax,
            _class_symbols,
            linear=False,
        ),
        Spec("add", ("a", "b"), ("NI", "NI"), "NI", reference.add, reference.add_backward, _make_add),
        Spec(
            "dropout", ("x", "mask"), ("NI", "NI"), "NI", reference.dropout, reference.dropout_backward, _make_dropout
        ),
        Spec(
            "im2col",
            ("x",),
            ("NCHW",),
            "RQ",
            _im2col,
            _im2col_backward,
            _make_im2col,
            _window_symbols,
            lone_output=True,
        ),
        Spec(
            "col2im",
            ("columns",),
            ("RQ",),
            "NCHW",
            _col2im,
            _col2im_backward,
            _make_col2im,
            _window_symbols,
            lone_output=True,
        ),
        Spec("sgd", ("weight", "grad", "velocity"), ("", "", ""), "", _sgd, None, None),
    )
}


def spec(name: str) -> Spec:
    """The known op of that name. Raises OptionError with the list of names."""
    key = {
        "max_pool2d": "maxpool2d",
        "avg_pool2d": "avgpool2d",
        "batchnorm": "batchnorm_train",
        "batch_norm": "batchnorm_train",
        "residual": "add",
    }.get(name, name)
    if not isinstance(key, str) or key not in SPECS:
        raise OptionError(
            f"check.op: no op is called {name!r}; known are {', '.join(SPECS)}. For any other pair of "
            "functions there is check.gradients(forward, backward, inputs)"
        )
    return SPECS[key]
