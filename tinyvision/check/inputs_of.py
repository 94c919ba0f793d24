"""What every known op is asked with: (name of the probe, inputs, options), from fixed seeds.

All axes have sizes of their own on the first probe; the others are square, single, overlapping, with gaps ..., so that
no two sizes, strides or paddings can stand in for each other unnoticed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import reference
from .probes import away_from_zero, well_separated

PAIRED = ("kernel_size", "stride", "padding")


def _rng(*keys):
    return np.random.default_rng([2718, *keys])


def linear(pairs: bool) -> Iterator[Any]:
    """The probes of linear."""
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


def relu(pairs: bool) -> Iterator[Any]:
    """The probes of relu."""
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


def smooth(pairs: bool) -> Iterator[Any]:
    """The probes of activations without a kink: sigmoid, tanh, softplus."""
    plans = [
        ("asymmetric", (3, 8)), ("square", (5, 5)), ("large numbers", (4, 9)), ("single", (1, 11)),
        ("image", (2, 3, 4, 5)),
    ]  # fmt: skip
    for k, (name, shape) in enumerate(plans):
        yield name, (away_from_zero(_rng(13, k), shape, low=0.1, high=5.0 if k == 2 else 2.0),), {}


def _kinked(option: str, values: tuple) -> Callable[[bool], Iterator[Any]]:
    """The probes of ReLU, each with another value of an option."""

    def probes(pairs: bool) -> Iterator[Any]:
        for (name, inputs, _), value in zip(relu(pairs), values, strict=True):
            yield name, tuple(np.clip(i, -2.5, None) for i in inputs), {option: value}  # exp(-20) shows no slope

    return probes


# No 0.01 and no 1.0, which code has of its own, and no number for two of the options.
leaky_relu = _kinked("negative_slope", (0.2, 0.05, 0.3, 0.1, 0.15))
elu = _kinked("alpha", (0.7, 1.6, 0.4, 1.3, 0.8))


def gelu(pairs: bool) -> Iterator[Any]:
    """The probes of gelu, by erf and by tanh."""
    for k, (name, inputs, _) in enumerate(smooth(pairs)):
        yield name, inputs, {"approximate": "none" if k % 2 == 0 else "tanh"}


def add(pairs: bool) -> Iterator[Any]:
    """The probes of add."""
    for k, (name, shape) in enumerate(
        [("asymmetric", (3, 8)), ("square", (5, 5)), ("single", (1, 11)), ("image", (2, 3, 4, 5))]
    ):
        r = _rng(3, k)
        yield name, (away_from_zero(r, shape), away_from_zero(r, shape, high=3.0)), {}


def dropout(pairs: bool) -> Iterator[Any]:
    """The probes of dropout."""
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


def conv2d(pairs: bool) -> Iterator[Any]:
    """The probes of conv2d."""
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


def maxpool(pairs: bool) -> Iterator[Any]:
    """The probes of maxpool."""
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_POOLS):
        x = well_separated(_rng(6, k), (n, c, *size))
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def avgpool(pairs: bool) -> Iterator[Any]:
    """The probes of avgpool."""
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_POOLS):
        x = _rng(7, k).standard_normal((n, c, *size)) + 0.5
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def batchnorm(pairs: bool) -> Iterator[Any]:
    """The probes of batchnorm."""
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


def softmax(pairs: bool) -> Iterator[Any]:
    """The probes of softmax."""
    for k, (name, shape) in enumerate(
        [("asymmetric", (3, 5)), ("square", (4, 4)), ("single", (1, 6)), ("tall", (6, 3)), ("large scores", (5, 4))]
    ):
        yield name, (_rng(9, k).standard_normal(shape) * (3.0 if k == 4 else 1.0) + 0.2,), {}


def cross_entropy(pairs: bool) -> Iterator[Any]:
    """The probes of cross_entropy."""
    plans = [
        ("asymmetric", (5, 4), [2, 0, 2, 3, 2]),
        ("square", (4, 4), [1, 3, 1, 0]),
        ("single", (1, 5), [3]),
        ("two classes", (3, 2), [1, 1, 0]),
        ("many classes", (4, 7), [5, 0, 5, 2]),
    ]
    for k, (name, shape, labels) in enumerate(plans):
        yield name, (_rng(10, k).standard_normal(shape) * (2.0 if k == 4 else 1.0), np.array(labels)), {}


def im2col(pairs: bool) -> Iterator[Any]:
    """The probes of im2col."""
    for k, (name, n, c, size, kernel, stride, padding) in enumerate(_UNFOLDS):
        x = _rng(11, k).standard_normal((n, c, *size))
        yield name, (x,), _options(pairs, kernel_size=kernel, stride=stride, padding=padding)


def col2im(pairs: bool) -> Iterator[Any]:
    """The probes of col2im."""
    for k, (_, (x,), options) in enumerate(im2col(pairs)):
        kernel = reference.pair(options["kernel_size"])
        oh, ow = reference.out_size(x.shape, kernel, options["stride"], options["padding"])
        rows, columns = len(x) * oh * ow, x.shape[1] * kernel[0] * kernel[1]
        cols = _rng(12, k).standard_normal((rows, columns))
        yield _UNFOLDS[k][0], (cols,), {"x_shape": x.shape, **options}


_UNFOLDS = [
    ("asymmetric", 3, 2, (8, 11), (3, 2), (2, 3), (1, 2)),
    ("square", 3, 3, (4, 4), (3, 3), (1, 1), (1, 1)),
    ("single", 1, 2, (6, 5), (2, 3), (1, 2), (1, 0)),
    ("gaps", 2, 3, (8, 9), (2, 2), (3, 3), (0, 0)),
    ("tall", 4, 2, (7, 5), (3, 1), (1, 1), (2, 0)),
]
