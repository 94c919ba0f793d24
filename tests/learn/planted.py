"""Somebody's own ops, in the checker's convention, with one mistake in each backward."""

import numpy as np

from tinyvision import ops


def linear_forward(x, weight, bias):
    return x @ weight.T + bias, (x, weight)


def linear_backward(dy, cache):
    x, weight = cache
    return dy @ weight, dy.T @ x, dy.mean(axis=0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dy, cache):
    return (np.where((cache > 0) & (dy > 0), dy, 0.0),)


def conv_forward(x, weight, bias, stride, padding):
    return ops.conv2d_forward(x, weight, bias, stride, padding)[0], (x, weight, stride, padding)


def conv_backward(dy, cache):
    x, weight, stride, (ph, pw) = cache
    n, c, h, w = x.shape
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))
    columns = ops.im2col_forward(x, weight.shape[2:], stride, (ph, pw))[0]
    dcolumns = rows @ weight.reshape(len(weight), -1)
    padded = ops.col2im(dcolumns, (n, c, h + 2 * ph, w + 2 * pw), weight.shape[2:], stride, 0)
    return padded[:, :, :h, :w], (rows.T @ columns).reshape(weight.shape), dy.sum(axis=(0, 2, 3))


def maxpool_forward(x, kernel_size, stride, padding):
    return ops.max_pool2d_forward(x, kernel_size, stride, padding)[0], (x, kernel_size, stride, padding)


def maxpool_backward(dy, cache):
    x, (kh, kw), (sh, sw), (ph, pw) = cache
    n, c, h, w = x.shape
    xp = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
    dx, (a, b) = np.zeros(xp.shape), np.ogrid[:n, :c]
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            best = xp[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw].reshape(n, c, -1).argmax(axis=2)
            dx[a, b, i * sh + best // kw, j * sw + best % kw] = dy[:, :, i, j]
    return (dx[:, :, ph : ph + h, pw : pw + w],)


def avgpool_forward(x, kernel_size, stride, padding):
    return ops.avg_pool2d_forward(x, kernel_size, stride, padding)[0], (x, kernel_size, stride, padding)


def avgpool_backward(dy, cache):
    x, (kh, kw), (sh, sw), (ph, pw) = cache
    n, c, h, w = x.shape
    dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += dy[:, :, i, j][:, :, None, None] / kh**2
    return (dx[:, :, ph : ph + h, pw : pw + w],)


def batchnorm_forward(x, weight, bias, eps):
    mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    xhat, scale = (x - mean) / np.sqrt(var + eps), weight.reshape(1, -1, 1, 1) / np.sqrt(var + eps)
    return xhat * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1), (xhat, scale)


def batchnorm_backward(dy, cache):
    xhat, scale = cache
    dx = scale * (dy - dy.mean(axis=(0, 2, 3), keepdims=True))
    return dx, (dy * xhat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))


def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True), e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y):
    return (dy * y * (1 - y),)


def cross_entropy_forward(logits, labels):
    p = softmax_forward(logits)[0]
    return -np.log(p[np.arange(len(p)), labels]).mean(), (p, labels)


def cross_entropy_backward(dy, cache):
    p, labels = cache
    return dy * (p - np.eye(p.shape[1])[labels]), None


def add_forward(a, b):
    return a + b, None


def add_backward(dy, cache):
    return dy.copy(), np.zeros_like(dy)


def dropout_forward(x, mask, p):
    return x * mask / (1 - p), (mask, p)


def dropout_backward(dy, cache):
    return dy * cache[0], None


def im2col_forward(x, kernel_size, stride, padding):
    return ops.im2col_forward(x, kernel_size, stride, padding)[0], (x.shape, kernel_size, stride, padding)


def im2col_backward(dy, cache):
    (n, c, h, w), (kh, kw), (sh, sw), (ph, pw) = cache
    oh, ow = (h + 2 * ph - kh) // sh + 1, (w + 2 * pw - kw) // sw + 1
    windows = dy.reshape(n, oh, ow, c, kh, kw)
    dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw))
    for i in range(oh):
        for j in range(ow):
            dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = windows[:, i, j]
    return (dx[:, :, ph : ph + h, pw : pw + w],)


def col2im_forward(columns, x_shape, kernel_size, stride, padding):
    return ops.col2im(columns, x_shape, kernel_size, stride, padding), (kernel_size, stride, padding)


def col2im_backward(dy, cache):
    return (-ops.im2col_forward(dy, *cache)[0],)


def sgd(weight, grad, velocity, lr, momentum, weight_decay):
    velocity = momentum * velocity + lr * (grad + weight_decay * weight)
    return weight - velocity, velocity
