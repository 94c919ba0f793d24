"""Products, convolutions, normalisations, pools and what else has weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...errors import GraphError
from ...ops.adaptive_pool import adaptive_max_pool2d_indices
from ...ops.checks import pair
from ...ops.pool import max_pool2d_indices
from ...tape import differentiable
from .. import taped
from .calls import rule
from .linear import Map, mapped, sum_to


@rule(taped.matmul)
def _matmul(dy, call):
    return call.each(
        lambda: sum_to(dy @ call.input(1).transpose(-2, -1), call.shape(0)),
        lambda: sum_to(call.input(0).transpose(-2, -1) @ dy, call.shape(1)),
    )


@rule(taped.linear)
def _linear(dy, call):
    def rows(x):
        return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])

    return call.each(
        lambda: taped.linear(dy, call.input(1).t()),
        lambda: rows(dy).t() @ rows(call.input(0)),
        lambda: rows(dy).sum(0),
    )


# A convolution is linear in the image x and in the weight w, and <dy, x * w> is a number that depends on three things.
# Its gradient for each is a convolution of the other two: forwards for dy, transposed for x, and for w the one below.


def _correlation_forward(x, dy, shape, stride, padding, dilation, groups):
    """dweight of `conv2d`, from the image x (N, C, H, W) and dy (N, O, OH, OW); shape (O, C/groups, KH, KW)."""
    cache = x, np.empty_like(x, shape=shape), False, stride, padding, dilation, groups
    return ops.conv2d_backward(dy, cache, (False, True))[1], (x, dy, (stride, padding, dilation, groups))


def _correlation_backward(dweight, cache, needs=(True, True)):
    x, dy, sliding = cache
    dx = ops.conv2d_backward(dy, (x, dweight, False, *sliding), (True, False))[0] if needs[0] else None
    return dx, ops.conv2d_forward(x, dweight, None, *sliding)[0] if needs[1] else None


correlation = differentiable(_correlation_forward, _correlation_backward, reads=((1,), (0,)))


def _sliding(call):
    names = {"stride": 1, "padding": 0, "dilation": 1}
    pairs = {name: pair("conv2d", name, call.options.get(name, usual), 0) for name, usual in names.items()}
    return {**pairs, "groups": call.options.get("groups", 1)}


def _image_gradient(dy, weight, shape, stride, padding, dilation, groups):
    """dx of `conv2d`, of this shape: the transposed convolution, which has to be told how much the stride left over."""
    kernel = weight.shape[2:]
    rest = tuple((shape[2 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) % stride[a] for a in (0, 1))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return taped.conv_transpose2d(dy, weight, None, output_padding=rest, **options)


@rule(taped.conv2d)
def _conv2d(dy, call):
    sliding = _sliding(call)
    return call.each(
        lambda: _image_gradient(dy, call.input(1), call.shape(0), **sliding),
        lambda: correlation(call.input(0), dy, shape=call.shape(1), **sliding),
        lambda: dy.sum((0, 2, 3)),
    )


@rule(taped.conv_transpose2d)
def _conv_transpose2d(dy, call):
    sliding = _sliding(call)
    return call.each(
        lambda: taped.conv2d(dy, call.input(1), None, **sliding),
        lambda: correlation(dy, call.input(0), shape=call.shape(1), **sliding),
        lambda: dy.sum((0, 2, 3)),
    )


@rule(correlation)
def _correlation(dweight, call):
    sliding = {name: call.options[name] for name in ("stride", "padding", "dilation", "groups")}
    return call.each(
        lambda: _image_gradient(call.input(1), dweight, call.shape(0), **sliding),
        lambda: taped.conv2d(call.input(0), dweight, None, **sliding),
    )


# -- normalisation


def _standardised(x, eps, axes):
    centred = x - taped.mean(x, axis=axes, keepdims=True)
    inverse = (taped.mean(centred * centred, axis=axes, keepdims=True) + eps).rsqrt()
    return centred * inverse, inverse


def _through(dnormed, normed, inverse, axes):
    """dx of x̂: dx̂ loses what it gives by moving the mean and the variance."""
    share = taped.mean(dnormed * normed, axis=axes, keepdims=True)
    return (dnormed - taped.mean(dnormed, axis=axes, keepdims=True) - normed * share) * inverse


def _of_channels(v, x):
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def _normalised(dy, call, x, weight):
    """The gradients of x, weight and bias of a batch-norm with the batch's own statistics."""
    axes = (0, *range(2, x.ndim))
    normed, inverse = _standardised(x, call.options.get("eps", 1e-5), axes)
    return (
        lambda: _through(dy * _of_channels(weight, x), normed, inverse, axes),
        lambda: (dy * normed).sum(axes),
        lambda: dy.sum(axes),
    )


@rule(taped.batchnorm_train)
def _batchnorm_train(dy, call):
    return call.each(*_normalised(dy, call, call.input(0), call.input(1)))


@rule(taped.batchnorm_relu)
def _batchnorm_relu(dy, call):
    y = call.output.array
    passes = (y != 0) & (y != call.options.get("top", math.inf))
    dy = dy * dy.like(passes.astype(y.dtype))
    return call.each(*_normalised(dy, call, call.input(0), call.input(1)), lambda: dy)


@rule(taped.batchnorm_frozen)
def _batchnorm_frozen(dy, call):
    x, weight, _, mean, var = call.inputs
    axes = (0, *range(2, x.ndim))
    inverse = _of_channels((var + call.options.get("eps", 1e-5)).rsqrt(), x)
    return call.each(
        lambda: dy * (_of_channels(weight, x) * inverse),
        lambda: (dy * ((x - _of_channels(mean, x)) * inverse)).sum(axes),
        lambda: dy.sum(axes),
    )


@rule(taped.group_norm)
def _group_norm(dy, call):
    x, weight, _ = (*call.inputs, None, None)[:3]
    rows = (x.shape[0] * call.options.get("groups", 1), -1)
    normed, inverse = _standardised(x.reshape(rows), call.options.get("eps", 1e-5), (1,))
    others = (0, *range(2, x.ndim))

    def of_x():
        through = dy if weight is None else dy * _of_channels(weight, x)
        return _through(through.reshape(rows), normed, inverse, (1,)).reshape(x.shape)

    return call.each(of_x, lambda: (dy * normed.reshape(x.shape)).sum(others), lambda: dy.sum(others))


@rule(taped.layer_norm)
def _layer_norm(dy, call):
    x, weight, _ = (*call.inputs, None, None)[:3]
    shape = call.options.get("shape") or x.shape[-1:]
    axes, others = tuple(range(x.ndim - len(shape), x.ndim)), tuple(range(x.ndim - len(shape)))
    normed, inverse = _standardised(x, call.options.get("eps", 1e-5), axes)

    def over(y):
        return taped.sum(y, axis=others).reshape(tuple(shape)) if others else y

    return call.each(
        lambda: _through(dy if weight is None else dy * weight, normed, inverse, axes),
        lambda: over(dy * normed),
        lambda: over(dy),
    )


# -- pools and samples


@rule(taped.max_pool2d, taped.adaptive_max_pool2d)
def _max_pool2d(dy, call):
    """All of dy goes to the winners, whose places are constants."""
    find: Any = max_pool2d_indices if call.op is taped.max_pool2d else adaptive_max_pool2d_indices
    N, C, H, W = call.shape(0)
    winners = find(call.input(0).array, **call.options).reshape(N, C, -1)
    dx = dy.like(np.zeros_like(dy.array, shape=(N, C, H * W)))
    return [taped.scatter_add(dx, dy.reshape(N, C, -1), dy.like(winners), axis=2).reshape(N, C, H, W)]


@rule(taped.grid_sample)
def _grid_sample(dy, call):
    if call.needs[1]:
        raise GraphError(
            "create_graph=True: the gradient of grid_sample's grid has no gradient here; use grid.detach()"
        )
    grid, options = call.input(1).array, call.options
    return [mapped(dy, by=Map(call.back(0), lambda g: taped.grid_sample(g, grid, **options))), None]
