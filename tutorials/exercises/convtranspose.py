"""A transposed convolution: every pixel pastes a whole kernel into a larger image, weighed by its value. Both ways.

    y[n, o, i·SH + k, j·SW + l] += x[n, c, i, j] · weight[c, o, k, l]
x (N, C, H, W), weight (C, O, KH, KW), bias (O,); stride a pair  ->  y (N, O, (H - 1)·SH + KH, (W - 1)·SW + KW)
"""

import numpy as np


def convtranspose_forward(x, weight, bias, stride):
    """One tap (k, l) at a time: all pixels paste theirs at once, at a distance of the stride."""
    (SH, SW), (N, _, H, W), (_, O, KH, KW) = stride, x.shape, weight.shape
    y = np.zeros((N, O, (H - 1) * SH + KH, (W - 1) * SW + KW))
    for k in range(KH):
        for l in range(KW):
            # solution:
            pasted = np.einsum("nchw,co->nohw", x, weight[:, :, k, l])
            y[:, :, k : k + H * SH : SH, l : l + W * SW : SW] += pasted
            # skeleton:
            # pasted = ...  # (N, O, H, W): what every pixel says at this tap
            # y[:] = ...  # at the places of this tap
            # end
    return y + bias[:, None, None]


def convtranspose_backward(dy, cache):
    """dx, dweight, dbias. The same slice of dy is what the pixels of tap (k, l) have written: read there."""
    x, weight, stride = cache
    (SH, SW), (H, W), (KH, KW) = stride, x.shape[2:], weight.shape[2:]
    dx, dweight = np.zeros(x.shape), np.zeros(weight.shape)
    for k in range(KH):
        for l in range(KW):
            # solution:
            heard = dy[:, :, k : k + H * SH : SH, l : l + W * SW : SW]
            dx += np.einsum("nohw,co->nchw", heard, weight[:, :, k, l])
            dweight[:, :, k, l] = np.einsum("nchw,nohw->co", x, heard)
            # skeleton:
            # heard = ...  # (N, O, H, W)
            # dx += ...
            # dweight[:, :, k, l] = ...  # (C, O)
            # end
    return dx, dweight, dy.sum((0, 2, 3))


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "the way up"
LEVEL, MINUTES, PAGE = 4, 30, "31"
NEEDS = ("convtranspose_forward", "convtranspose_backward")
MISSING = "what is pasted at each tap, and what is read back there"
HINTS = (
    "A convolution's backward pastes dy·weight into dx. What is this layer's forward, compared with that?",
    "At tap (k, l) pixel (i, j) writes to row i·SH + k: rows k, k + SH, ...; H of them. Backwards the same slice of dy "
    "is read; dx sums over o, dweight over n, i and j.",
    "y[:, :, k : k + H * SH : SH, l : l + W * SW : SW] += np.einsum('nchw,co->nohw', x, weight[:, :, k, l])",
)
PREDICT = "Kernel 3, stride 2: how often is each pixel of y written to, along one axis?"
ANSWER = "Once, twice, once, twice ...: the chequerboard that generated pictures show. Kernel 4 or 2 has none."


def right(x, weight, bias, stride, fault=None):
    (SH, SW), (N, _, H, W), (_, O, KH, KW) = stride, x.shape, weight.shape
    y = np.zeros((N, O, (H - 1) * SH + KH, (W - 1) * SW + KW))
    for i in range(H):
        for j in range(W):
            here = np.einsum("nc,cokl->nokl", x[:, :, i, j], weight)
            place = (slice(None), slice(None), slice(i * SH, i * SH + KH), slice(j * SW, j * SW + KW))
            y[place] = here if fault == "assigned" else y[place] + here
    return y + (0 if fault == "no bias" else bias[:, None, None])


def by_taps(x, weight, bias, stride):
    """The mistake of = for +=, tap by tap: the last tap that reaches a pixel stays."""
    (SH, SW), (N, _, H, W), (_, O, KH, KW) = stride, x.shape, weight.shape
    y = np.zeros((N, O, (H - 1) * SH + KH, (W - 1) * SW + KW))
    for k in range(KH):
        for l in range(KW):
            pasted = np.einsum("nchw,co->nohw", x, weight[:, :, k, l])
            y[:, :, k : k + H * SH : SH, l : l + W * SW : SW] = pasted
    return y + bias[:, None, None]


def check(your):
    rng = np.random.default_rng(41)
    cases = [
        (rng.standard_normal((2, 3, 3, 4)), rng.standard_normal((3, 2, 3, 2)), rng.standard_normal(2), (2, 1)),
        (rng.standard_normal((1, 2, 2, 3)), rng.standard_normal((2, 2, 2, 3)), rng.standard_normal(2), (3, 2)),
    ]
    known = [
        (by_taps, "You wrote = where kernels overlap: only the last tap is left. Use +=."),
        (lambda *c: right(*c, fault="assigned"), "You wrote = where kernels overlap: only the last is left. Use +=."),
        (
            lambda x, w, b, s: right(x, w[:, :, ::-1, ::-1], b, s),
            "The kernel is turned by 180°; it is pasted as it is.",
        ),
        (lambda *c: right(*c, fault="no bias"), "The bias is missing."),
    ]
    x, weight, bias, stride = cases[0]

    def read(dy, x, at, fold):
        (H, W), (SH, SW), (KH, KW) = x.shape[2:], stride, weight.shape[2:]
        out = np.zeros(at)
        for k in range(KH):
            for l in range(KW):
                fold(out, dy[:, :, k : k + H * SH : SH, l : l + W * SW : SW], k, l)
        return out

    def last_tap(dy, x, weight, bias):
        def fold(out, heard, k, l):
            out[:] = np.einsum("nohw,co->nchw", heard, weight[:, :, k, l])

        return read(dy, x, x.shape, fold)

    def turned(dy, x, weight, bias):
        def fold(out, heard, k, l):
            out += np.einsum("nohw,co->nchw", heard, weight[:, :, -1 - k, -1 - l])

        return read(dy, x, x.shape, fold)

    def averaged(dy, x, weight, bias):
        def fold(out, heard, k, l):
            out[:, :, k, l] = np.einsum("nchw,nohw->co", x, heard) / len(x)

        return read(dy, x, weight.shape, fold)

    gradients = [
        ("dx", last_tap, "Only the last tap is left in dx: add the taps up, dx += ..."),
        ("dx", turned, "You turned the kernel by 180°; read with it as it was pasted."),
        ("dweight", averaged, "You divided dweight by N; dy carries the mean over the batch already."),
    ]

    def pass_on(x, weight, bias):
        return right(x, weight, bias, stride), (x, weight, stride)

    return lab.together(
        lambda: lab.beside(your.convtranspose_forward, right, cases, "y", known),
        lambda: lab.pair(pass_on, your.convtranspose_backward, (x, weight, bias), gradients),
    )
