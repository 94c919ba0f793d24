"""Slow, independent versions of every known op: the yardstick the checker measures other people's code with.

They share no line with `tinyvision.ops`, on purpose: the checker guards those ops as well. Everything is float64,
written position by position, with the inputs at hand instead of a cache. `backward(inputs, options, dy)` returns one
gradient per input, None for labels and masks. Conventions are PyTorch's.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def pair(value: Any) -> Any:
    """(value, value) for an int, the pair itself otherwise."""
    return (int(value), int(value)) if np.ndim(value) == 0 else (int(value[0]), int(value[1]))


def out_size(shape: Sequence[int], kernel_size: Any, stride: Any, padding: Any) -> Any:
    """(OH, OW) of a window op on `shape` (..., H, W), with floor division."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel_size), pair(stride), pair(padding)
    return (shape[-2] + 2 * ph - kh) // sh + 1, (shape[-1] + 2 * pw - kw) // sw + 1


def padded(x: np.ndarray, padding: Any, value: Any = 0.0) -> np.ndarray:
    """x (N, C, H, W) with `padding` (ph, pw) rows and columns of `value` on each side."""
    ph, pw = pair(padding)
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=value)


def windows(shape: Sequence[int], kernel_size: Any, stride: Any, padding: Any, positions: Any = None) -> Any:
    """Yields (i, j, rows, columns): output position and the slices of the padded image it looks at."""
    (kh, kw), (sh, sw) = pair(kernel_size), pair(stride)
    oh, ow = out_size(shape, kernel_size, stride, padding) if positions is None else positions
    for i in range(oh):
        for j in range(ow):
            yield i, j, slice(i * sh, i * sh + kh), slice(j * sw, j * sw + kw)


def unpadded(xp: Any, shape: Sequence[int], padding: Any) -> Any:
    """The image inside a padded one."""
    ph, pw = pair(padding)
    return xp[:, :, ph : ph + shape[2], pw : pw + shape[3]]


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> Any:
    """y[n, o] = Σ_i x[n, i] weight[o, i] + bias[o]."""
    return np.einsum("ni,oi->no", x, weight) + bias


def linear_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx (N, I), dweight (O, I), dbias (O,)."""
    x, weight, _ = inputs
    return np.einsum("no,oi->ni", dy, weight), np.einsum("no,ni->oi", dy, x), np.einsum("no->o", dy)


def relu(x: np.ndarray) -> np.ndarray:
    """y = x where x > 0, else 0."""
    return np.where(x > 0, x, 0.0)


def relu_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy where x > 0."""
    return (np.where(inputs[0] > 0, dy, 0.0),)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """y = 1 / (1 + exp(-x)), by the half of the formula that cannot overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy y (1 - y)."""
    y = sigmoid(inputs[0])
    return (dy * y * (1.0 - y),)


def tanh(x: np.ndarray) -> np.ndarray:
    """y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))."""
    return 2.0 * sigmoid(2.0 * np.asarray(x)) - 1.0


def tanh_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy (1 - y²)."""
    y = tanh(inputs[0])
    return (dy * (1.0 - y * y),)


def softplus(x: np.ndarray) -> np.ndarray:
    """y = log(1 + exp(x)), with the large part taken out of the logarithm."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def softplus_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy / (1 + exp(-x))."""
    return (dy * sigmoid(inputs[0]),)


def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    """y = x where x > 0, else negative_slope x."""
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy where x > 0, else negative_slope dy."""
    return (np.where(inputs[0] > 0, dy, options["negative_slope"] * dy),)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """y = x where x > 0, else alpha (exp(x) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def elu_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy where x > 0, else dy alpha exp(x)."""
    x = inputs[0]
    return (np.where(x > 0, dy, dy * options["alpha"] * np.exp(np.minimum(x, 0.0))),)


def silu(x: np.ndarray) -> np.ndarray:
    """y = x / (1 + exp(-x))."""
    return x * sigmoid(x)


def silu_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy (s + x s (1 - s)), s the sigmoid of x."""
    s = sigmoid(inputs[0])
    return (dy * (s + inputs[0] * s * (1.0 - s)),)


def gelu_share(x: np.ndarray, approximate: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The share s of GELU's y = x s(x), s = (1 + g(u)) / 2: (g(u), g'(u), u, u'(x)).

    g is erf, or tanh for "tanh" and "sigmoid", which is tanh(0.851 x)."""
    if approximate == "none":
        u = x / np.sqrt(2.0)
        return np.vectorize(math.erf, [float])(u), 2.0 / np.sqrt(np.pi) * np.exp(-u * u), u, 0.0 * x + np.sqrt(0.5)
    cubed, front = (0.0, 0.851) if approximate == "sigmoid" else (0.044715, np.sqrt(2.0 / np.pi))
    u = front * (x + cubed * x**3)
    t = tanh(u)
    return t, 1.0 - t * t, u, front * (1.0 + 3.0 * cubed * x * x)


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """y = x P(Z < x) for a normal Z; "tanh" and "sigmoid" are the two approximations of Hendrycks and Gimpel (2016)."""
    return x * (1.0 + gelu_share(x, approximate)[0]) / 2.0


def gelu_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = dy (s + x s'), by the product rule."""
    g, slope, _, inner = gelu_share(inputs[0], options["approximate"])
    return (dy * ((1.0 + g) / 2.0 + inputs[0] * slope * inner / 2.0),)


def conv2d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: Any = 1, padding: Any = 0) -> np.ndarray:
    """Cross-correlation, one output position at a time."""
    kernel = weight.shape[2:]
    xp = padded(x, padding)
    y = np.zeros((x.shape[0], weight.shape[0], *out_size(x.shape, kernel, stride, padding)))
    for i, j, rows, cols in windows(x.shape, kernel, stride, padding):
        y[:, :, i, j] = np.einsum("nchw,ochw->no", xp[:, :, rows, cols], weight) + bias
    return y


def conv2d_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx, dweight, dbias: every window hands its share back to the place it was read from."""
    x, weight, _ = inputs
    stride, padding = options.get("stride", 1), options.get("padding", 0)
    xp = padded(x, padding)
    dxp, dweight = np.zeros_like(xp), np.zeros_like(weight)
    for i, j, rows, cols in windows(x.shape, weight.shape[2:], stride, padding, dy.shape[2:]):
        dxp[:, :, rows, cols] += np.einsum("no,ochw->nchw", dy[:, :, i, j], weight)
        dweight += np.einsum("no,nchw->ochw", dy[:, :, i, j], xp[:, :, rows, cols])
    return unpadded(dxp, x.shape, padding), dweight, dy.sum(axis=(0, 2, 3))


def maxpool2d(x: np.ndarray, kernel_size: Any, stride: Any, padding: Any) -> Any:
    """The largest value of every window; padding is -inf."""
    xp = padded(x, padding, -np.inf)
    y = np.zeros((*x.shape[:2], *out_size(x.shape, kernel_size, stride, padding)))
    for i, j, rows, cols in windows(x.shape, kernel_size, stride, padding):
        y[:, :, i, j] = xp[:, :, rows, cols].max(axis=(2, 3))
    return y


def maxpool2d_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dy goes to the first winner of its window."""
    x, (kh, kw) = inputs[0], pair(options["kernel_size"])
    xp = padded(x, options["padding"], -np.inf)
    dxp = np.zeros(xp.shape)
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    for i, j, rows, cols in windows(x.shape, (kh, kw), options["stride"], options["padding"], dy.shape[2:]):
        winner = xp[:, :, rows, cols].reshape(*x.shape[:2], kh * kw).argmax(axis=2)
        dxp[n, c, rows.start + winner // kw, cols.start + winner % kw] += dy[:, :, i, j]
    return (unpadded(dxp, x.shape, options["padding"]),)


def avgpool2d(x: np.ndarray, kernel_size: Any, stride: Any, padding: Any) -> Any:
    """The mean of every window, padding zeros counted."""
    kh, kw = pair(kernel_size)
    xp = padded(x, padding)
    y = np.zeros((*x.shape[:2], *out_size(x.shape, kernel_size, stride, padding)))
    for i, j, rows, cols in windows(x.shape, kernel_size, stride, padding):
        y[:, :, i, j] = xp[:, :, rows, cols].sum(axis=(2, 3)) / (kh * kw)
    return y


def avgpool2d_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dy / (KH KW) goes to every pixel of its window."""
    x, (kh, kw) = inputs[0], pair(options["kernel_size"])
    dxp = np.zeros(padded(x, options["padding"]).shape)
    for i, j, rows, cols in windows(x.shape, (kh, kw), options["stride"], options["padding"], dy.shape[2:]):
        dxp[:, :, rows, cols] += dy[:, :, i, j][:, :, None, None] / (kh * kw)
    return (unpadded(dxp, x.shape, options["padding"]),)


def batchnorm_train(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> Any:
    """Per channel: (x - mean) / sqrt(var + eps) * weight + bias, with the biased variance."""
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        y[:, c] = (values - values.mean()) / np.sqrt(values.var() + eps) * weight[c] + bias[c]
    return y


def batchnorm_train_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """Per channel: dx = weight/σ (dy - mean(dy) - x̂ mean(dy x̂)), dweight = Σ dy x̂, dbias = Σ dy."""
    x, weight, _ = inputs
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros_like(weight)
    for c in range(x.shape[1]):
        sigma = np.sqrt(x[:, c].var() + options["eps"])
        xhat, d = (x[:, c] - x[:, c].mean()) / sigma, dy[:, c]
        dx[:, c] = weight[c] / sigma * (d - d.mean() - xhat * (d * xhat).mean())
        dweight[c], dbias[c] = (d * xhat).sum(), d.sum()
    return dx, dweight, dbias


def softmax(x: np.ndarray, axis: int = 1) -> Any:
    """exp(x) / Σ exp(x) along one axis."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dx = y (dy - Σ dy y)."""
    axis = options.get("axis", 1)
    y = softmax(inputs[0], axis)
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> Any:
    """Mean over the batch of -log softmax(logits)[n, labels[n]]."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.float64(-np.mean([logp[n, label] for n, label in enumerate(labels)]))


def cross_entropy_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dlogits = (softmax - one-hot) dy / N, and None for the labels."""
    logits, labels = inputs
    d = softmax(logits)
    for n, label in enumerate(labels):
        d[n, label] -= 1
    return d * (float(dy) / len(labels)), None


def add(a: Any, b: Any) -> Any:
    """a + b."""
    return a + b


def add_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dy for both."""
    return dy.copy(), dy.copy()


def dropout(x: np.ndarray, mask: np.ndarray, p: float) -> Any:
    """x mask / (1 - p), mask true where a unit is kept."""
    return np.where(mask, x, 0.0) / (1 - p)


def dropout_backward(inputs: Sequence[Any], options: dict[str, Any], dy: Any) -> Any:
    """dy mask / (1 - p), and None for the mask."""
    return np.where(inputs[1], dy, 0.0) / (1 - options["p"]), None
