"""Correct versions of the known ops, written in as many ways as people write them: none may be called wrong.

`VARIANTS` holds (name, op, forward, backward, options of check.op). `disguised` wraps a pair so that it returns lists,
read-only or non-contiguous arrays, or another container, without changing a number.
"""

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

VARIANTS = []


def variant(op, name, **options):
    """Decorator for a function that makes (forward, backward)."""

    def register(make):
        VARIANTS.append((f"{op}: {name}", op, *make(), options))
        return make

    return register


def disguised(forward, backward, seed):
    """The same functions with differently packed results."""
    rng = np.random.default_rng(seed)

    def packed(array):
        array = np.asarray(array)
        kind = rng.integers(6)
        if kind == 0 and array.ndim:
            return array.tolist()
        if kind == 1:
            array = array.copy()
            array.setflags(write=False)
            return array
        if kind == 2 and array.ndim:
            return np.asfortranarray(array)
        if kind == 3 and array.ndim:
            wide = np.empty((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
            wide[..., ::2] = array
            return wide[..., ::2]
        return array

    if backward is None:
        return forward, None

    @functools.wraps(forward)
    def front(*arrays, **options):
        result = forward(*arrays, **options)
        return (packed(result[0]), result[1]) if isinstance(result, tuple) else result

    @functools.wraps(backward)
    def back(dy, cache):
        grads = backward(dy, cache)
        many = list(grads) if isinstance(grads, (tuple, list)) else [grads]
        many = [g if g is None else packed(g) for g in many]
        return tuple(many) if rng.integers(2) or len(many) == 1 else many

    return front, back


def in_float32(forward, backward):
    """The same functions working in float32: what they are given and what they return is rounded to it."""

    def rounded(value):
        array = np.asarray(value)
        return array.astype(np.float32) if array.dtype == np.float64 and not np.isscalar(value) else value

    @functools.wraps(forward)
    def front(*arrays, **options):
        result = forward(*[rounded(a) for a in arrays], **options)
        return (rounded(result[0]), result[1]) if isinstance(result, tuple) else rounded(result)

    if backward is None:
        return front, None

    @functools.wraps(backward)
    def back(dy, cache):
        grads = backward(rounded(dy), cache)
        if isinstance(grads, (tuple, list)):
            return tuple(g if g is None else rounded(g) for g in grads)
        return rounded(grads)

    return front, back


# --- convolution ---------------------------------------------------------------------------------------------------


def padded(x, padding, value=0.0):
    (ph, pw) = padding
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=value)


def unfolded(xp, kernel, stride):
    return sliding_window_view(xp, kernel, (2, 3))[:, :, :: stride[0], :: stride[1]]


def cut(dxp, shape, padding):
    (ph, pw), (h, w) = padding, shape[2:]
    return dxp[:, :, ph : ph + h, pw : pw + w]


def conv_columns(x, weight, bias, stride, padding):
    view = unfolded(padded(x, padding), weight.shape[2:], stride)
    n, _, oh, ow = view.shape[:4]
    columns = view.transpose(0, 2, 3, 1, 4, 5).reshape(n * oh * ow, -1)
    y = (columns @ weight.reshape(len(weight), -1).T + bias).reshape(n, oh, ow, -1).transpose(0, 3, 1, 2)
    return y, {"columns": columns, "weight": weight, "shape": x.shape, "stride": stride, "padding": padding}


def conv_columns_backward(dy, cache):
    weight, (sh, sw), (ph, pw) = cache["weight"], cache["stride"], cache["padding"]
    n, o, oh, ow = dy.shape
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, o)
    shares = (rows @ weight.reshape(o, -1)).reshape(n, oh, ow, *weight.shape[1:])
    h, w = cache["shape"][2:]
    dxp = np.zeros((n, weight.shape[1], h + 2 * ph, w + 2 * pw), shares.dtype)
    for k in range(weight.shape[2]):
        for m in range(weight.shape[3]):
            dxp[:, :, k : k + sh * oh : sh, m : m + sw * ow : sw] += shares[..., k, m].transpose(0, 3, 1, 2)
    return cut(dxp, cache["shape"], cache["padding"]), (rows.T @ cache["columns"]).reshape(weight.shape), rows.sum(0)


def conv_loops(x, weight, bias, stride, padding):
    (n_count, channels, _, _), (outputs, _, kh, kw), (sh, sw) = x.shape, weight.shape, stride
    xp = padded(x, padding)
    oh, ow = (xp.shape[2] - kh) // sh + 1, (xp.shape[3] - kw) // sw + 1
    y = np.zeros((n_count, outputs, oh, ow))
    for n in range(n_count):
        for o in range(outputs):
            for i in range(oh):
                for j in range(ow):
                    total = bias[o]
                    for c in range(channels):
                        for k in range(kh):
                            for m in range(kw):
                                total += xp[n, c, i * sh + k, j * sw + m] * weight[o, c, k, m]
                    y[n, o, i, j] = total
    return y, (x.shape, xp, weight, stride, padding)


def conv_loops_backward(dy, cache):
    shape, xp, weight, (sh, sw), padding = cache
    dxp, dweight, dbias = np.zeros_like(xp), np.zeros_like(weight), np.zeros(len(weight))
    for n, o, i, j in np.ndindex(dy.shape):
        here = (n, slice(None), slice(i * sh, i * sh + weight.shape[2]), slice(j * sw, j * sw + weight.shape[3]))
        dxp[here] += dy[n, o, i, j] * weight[o]
        dweight[o] += dy[n, o, i, j] * xp[here]
        dbias[o] += dy[n, o, i, j]
    return [cut(dxp, shape, padding), dweight, dbias]


def conv_fourier(x, weight, bias, stride, padding):
    xp, (kh, kw) = padded(x, padding), weight.shape[2:]
    size = (xp.shape[2] + kh - 1, xp.shape[3] + kw - 1)
    product = np.einsum("nchw,ochw->nohw", np.fft.rfft2(xp, size), np.fft.rfft2(weight[:, :, ::-1, ::-1], size))
    full = np.fft.irfft2(product, size)[:, :, kh - 1 : xp.shape[2], kw - 1 : xp.shape[3]]
    return full[:, :, :: stride[0], :: stride[1]] + bias[:, None, None], (x.shape, xp, weight, stride, padding)


def conv_spread_backward(dy, cache):
    """dx as a stride-1 correlation of the spread-out dy with the turned kernel."""
    shape, xp, weight, (sh, sw), padding = cache
    (kh, kw), (oh, ow) = weight.shape[2:], dy.shape[2:]
    spread = np.zeros((*dy.shape[:2], xp.shape[2] - kh + 1, xp.shape[3] - kw + 1))
    spread[:, :, : oh * sh : sh, : ow * sw : sw] = dy
    view = sliding_window_view(padded(spread, (kh - 1, kw - 1)), (kh, kw), (2, 3))
    dxp = np.einsum("nohwkl,ockl->nchw", view, weight[:, :, ::-1, ::-1])
    dweight = np.einsum("nohw,nchwkl->ockl", dy, unfolded(xp, (kh, kw), (sh, sw)))
    return cut(dxp, shape, padding), dweight, np.einsum("nohw->o", dy)


def single(function):
    """The function with every array cast to float32 first."""

    @functools.wraps(function)
    def cast(*arrays, **options):
        return function(
            *(a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a for a in arrays), **options
        )

    return cast


VARIANTS += [
    ("conv2d: seven loops", "conv2d", conv_loops, conv_loops_backward, {}),
    ("conv2d: columns", "conv2d", conv_columns, conv_columns_backward, {}),
    ("conv2d: Fourier", "conv2d", conv_fourier, conv_spread_backward, {}),
    ("conv2d: float32", "conv2d", single(conv_columns), single(conv_columns_backward), {}),
    (
        "conv2d: integers",
        "conv2d",
        lambda x, w, b, stride, padding: conv_columns(x, w, b, (stride,) * 2, (padding,) * 2),
        conv_columns_backward,
        {"pairs": False},
    ),
]


@variant("conv2d", "methods of an object")
def _():
    class Layer:
        def forward(self, x, weight, bias, stride=(1, 1), padding=(0, 0)):
            return conv_columns(x, weight, bias, stride, padding)

        def backward(self, dy, cache, needs=(True, True, True)):
            return conv_columns_backward(dy, cache)

    return Layer().forward, Layer().backward


# --- linear, elementwise -------------------------------------------------------------------------------------------


@variant("linear", "einsum")
def _():
    return (
        lambda x, weight, bias: (np.einsum("ni,oi->no", x, weight) + bias, (x, weight)),
        lambda dy, c: (np.einsum("no,oi->ni", dy, c[1]), np.einsum("no,ni->oi", dy, c[0]), np.einsum("no->o", dy)),
    )


@variant("linear", "ones @ dy, a function as cache")
def _():
    def forward(x, weight, bias):
        return (weight @ x.T + bias[:, None]).T, lambda: (x, weight)

    def backward(dy, cache):
        x, weight = cache()
        return dy @ weight, sum(np.outer(d, r) for d, r in zip(dy, x, strict=True)), np.ones(len(dy)) @ dy

    return forward, backward


@variant("relu", "slope 1 at 0")
def _():
    return lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x >= 0)


@variant("relu", "slope 1/2 at 0")
def _():
    return lambda x: ((x + np.abs(x)) / 2, np.sign(x)), lambda dy, s: dy * (s + 1) / 2


@variant("relu", "from the output, a list of one")
def _():
    return lambda x: (np.where(x > 0, x, 0.0),) * 2, lambda dy, y: [np.where(y > 0, dy, 0.0)]


@variant("relu", "float32")
def _():
    return single(lambda x: (np.maximum(x, 0), x)), single(lambda dy, x: dy * (x > 0))


@variant("add", "dy twice")
def _():
    return lambda a, b: (a + b, None), lambda dy, cache: (dy, dy)


@variant("add", "copies")
def _():
    return lambda a, b: (np.add(b, a), ()), lambda dy, cache: (dy.copy(), 1.0 * dy)


@variant("dropout", "where")
def _():
    return (
        lambda x, mask, p: (np.where(mask, x / (1 - p), 0.0), (mask, 1 / (1 - p))),
        lambda dy, c: (np.where(c[0], dy, 0.0) * c[1], None),
    )


@variant("dropout", "product, lone gradient")
def _():
    return (lambda x, mask, p: (x * (mask / (1 - p)), mask / (1 - p)), lambda dy, factor: dy * factor)


# --- pools ---------------------------------------------------------------------------------------------------------


def pool_windows(x, kernel_size, stride, padding):
    return unfolded(padded(x, padding, -np.inf), kernel_size, stride)


def max_pool(x, kernel_size, stride, padding):
    view = pool_windows(x, kernel_size, stride, padding)
    return view.max((4, 5)), (view, x.shape, stride, padding)


def max_pool_backward(share_of, dy, cache):
    view, shape, (sh, sw), padding = cache
    kh, kw = view.shape[4:]
    dxp = np.zeros((*shape[:2], shape[2] + 2 * padding[0], shape[3] + 2 * padding[1]))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            flat = view[:, :, i, j].reshape(*shape[:2], -1)
            share = share_of(flat == flat.max(-1, keepdims=True)).reshape(*shape[:2], kh, kw)
            dxp[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += share * dy[:, :, i, j, None, None]
    return cut(dxp, shape, padding)


def first_winner(tied):
    return tied & (np.cumsum(tied, -1) == 1)


VARIANTS += [
    (f"maxpool2d: {name}", "maxpool2d", max_pool, functools.partial(max_pool_backward, share), {})
    for name, share in (
        ("first winner", first_winner),
        ("last winner", lambda tied: first_winner(tied[..., ::-1])[..., ::-1]),
        ("ties share", lambda tied: tied / tied.sum(-1, keepdims=True)),
    )
]


@variant("maxpool2d", "remembered places")
def _():
    def forward(x, kernel_size, stride, padding):
        view = pool_windows(x, kernel_size, stride, padding)
        row, column = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), kernel_size[1])
        n, c, i, j = np.indices(row.shape)
        places = (n, c, i * stride[0] + row - padding[0], j * stride[1] + column - padding[1])
        return x[places], (places, x.shape)

    def backward(dy, cache):
        dx = np.zeros(cache[1])
        np.add.at(dx, cache[0], dy)
        return dx

    return forward, backward


@variant("avgpool2d", "running sums")
def _():
    def forward(x, kernel_size, stride, padding):
        xp, (kh, kw) = padded(x, padding), kernel_size
        sums = np.zeros((*xp.shape[:2], xp.shape[2] + 1, xp.shape[3] + 1))
        sums[:, :, 1:, 1:] = xp.cumsum(2).cumsum(3)
        top = np.arange(0, xp.shape[2] - kh + 1, stride[0])[:, None]
        left = np.arange(0, xp.shape[3] - kw + 1, stride[1])
        corners = sums[:, :, top + kh, left + kw] - sums[:, :, top, left + kw] - sums[:, :, top + kh, left]
        return (corners + sums[:, :, top, left]) / (kh * kw), (x.shape, kernel_size, stride, padding)

    def backward(dy, cache):
        shape, (kh, kw), (sh, sw), padding = cache
        dxp = padded(np.zeros(shape), padding)
        for i, j in np.ndindex(dy.shape[2:]):
            dxp[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += dy[:, :, i, j, None, None] / (kh * kw)
        return (cut(dxp, shape, padding),)

    return forward, backward


# --- batch normalisation, losses -----------------------------------------------------------------------------------


def norm_one_formula(x, weight, bias, eps):
    mean = x.mean((0, 2, 3), keepdims=True)
    rest = ((x**2).mean((0, 2, 3), keepdims=True) - mean**2 + eps) ** -0.5
    xhat = (x - mean) * rest
    return weight[:, None, None] * xhat + bias[:, None, None], (xhat, weight, rest)


def norm_one_formula_backward(dy, cache):
    xhat, weight, rest = cache
    count = dy.size // dy.shape[1]
    dweight, dbias = (dy * xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))
    inner = count * dy - dbias[:, None, None] - xhat * dweight[:, None, None]
    return weight[:, None, None] * rest / count * inner, dweight, dbias


def norm_steps_backward(dy, cache):
    xhat, weight, rest = cache
    axes, count = (0, 2, 3), dy.size // dy.shape[1]
    centred = xhat / rest
    dxhat = dy * weight.reshape(1, -1, 1, 1)
    dvar = (dxhat * centred).sum(axes, keepdims=True) * -0.5 * rest**3
    dcentred = dxhat * rest + dvar * 2 * centred / count
    return dcentred - dcentred.sum(axes, keepdims=True) / count, (dy * xhat).sum(axes), dy.sum(axes)


VARIANTS += [
    ("batchnorm_train: one formula", "batchnorm_train", norm_one_formula, norm_one_formula_backward, {}),
    ("batchnorm_train: in steps", "batchnorm_train", norm_one_formula, norm_steps_backward, {}),
    ("batchnorm_train: float32", "batchnorm_train", single(norm_one_formula), single(norm_steps_backward), {}),
]


def probabilities(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@variant("softmax", "by Jacobians")
def _():
    def backward(dy, y):
        return np.stack([(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(y, dy, strict=True)])

    return lambda x: (probabilities(x),) * 2, backward


@variant("softmax", "without the maximum")
def _():
    return (
        lambda x: (np.exp(x) / np.exp(x).sum(1, keepdims=True),) * 2,
        lambda dy, y: y * (dy - (dy * y).sum(1)[:, None]),
    )


@variant("cross_entropy", "one-hot product")
def _():
    def forward(logits, labels):
        p, hot = probabilities(logits), np.eye(logits.shape[1])[labels]
        return -(hot * np.log(p)).sum() / len(p), (p, hot)

    return forward, lambda dy, c: ((c[0] - c[1]) * dy / len(c[0]), None)


@variant("cross_entropy", "log-sum-exp, a Python float, lone gradient")
def _():
    def forward(logits, labels):
        rows, top = np.arange(len(labels)), logits.max(1)
        loss = np.mean(np.log(np.exp(logits - top[:, None]).sum(1)) + top - logits[rows, labels])
        return float(loss), (probabilities(logits), labels)

    def backward(dy, cache):
        d = cache[0].copy()
        d[np.arange(len(d)), cache[1]] -= 1
        return d * (dy / len(d))

    return forward, backward


@variant("cross_entropy", "an epsilon in the logarithm")
def _():
    def forward(logits, labels):
        p = probabilities(logits)
        return -np.log(p[np.arange(len(p)), labels] + 1e-12).mean(), (p, np.eye(p.shape[1])[labels])

    return forward, lambda dy, c: ((c[0] - c[1]) * dy / len(c[0]), None)


# --- im2col, col2im, SGD -------------------------------------------------------------------------------------------


def columns_of(x, kernel_size, stride, padding):
    view = unfolded(padded(x, padding), kernel_size, stride)
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(view.shape[0] * view.shape[2] * view.shape[3], -1)


def image_of(columns, x_shape, kernel_size, stride, padding):
    (n, c), (kh, kw), (sh, sw) = x_shape[:2], kernel_size, stride
    out = padded(np.zeros(x_shape), padding)
    oh, ow = (out.shape[2] - kh) // sh + 1, (out.shape[3] - kw) // sw + 1
    for row, (image, i, j) in zip(np.asarray(columns), np.ndindex(n, oh, ow), strict=True):
        out[image, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += row.reshape(c, kh, kw)
    return cut(out, x_shape, padding)


VARIANTS += [
    (
        "im2col: pair",
        "im2col",
        lambda x, **o: (columns_of(x, **o), (x.shape, o)),
        lambda d, c: image_of(d, c[0], **c[1]),
        {},
    ),
    ("im2col: columns alone", "im2col", columns_of, None, {}),
    ("col2im: image alone", "col2im", image_of, None, {}),
]


def _sgd(weight, grad, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + grad + weight_decay * weight
    return weight - lr * velocity, velocity


def _sgd_in_place(weight, grad, velocity, lr, momentum, weight_decay):
    velocity *= momentum
    velocity += grad + weight_decay * weight
    weight -= lr * velocity


def _sgd_downhill(weight, grad, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity - grad - weight_decay * weight
    return [weight + lr * velocity, velocity]


VARIANTS += [(f"sgd: {f.__name__.strip('_')}", "sgd", f, None, {}) for f in (_sgd, _sgd_in_place, _sgd_downhill)]
