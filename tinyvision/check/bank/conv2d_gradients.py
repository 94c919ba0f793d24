"""Mistakes in the three gradients of a convolution, and in what its backward keeps."""

import numpy as np

from ..reference import conv2d, conv2d_backward
from ..windows import FOLD_FAULTS, GATHER_FAULTS, fold, unfold
from .conv2d import columns_khkwc
from .mistake import Bank

bank = Bank("conv2d")
BANKS = [bank]


# A gradient with these faults has windows that dy was not made for: NumPy raises before there is a number.
OTHER_OUTPUT_SIZE = (
    "kernel_swapped", "stride_is_kernel",
    "padding_ignored", "padding_swapped", "padding_height_for_both", "padding_width_for_both",
)  # fmt: skip


def _dx(inputs, options, dy, fault=None, weight=None):
    w = inputs[1] if weight is None else weight
    shares = np.einsum("nohw,ockl->nchwkl", dy, w)
    return fold(shares, inputs[0].shape, options["stride"], options["padding"], fault)


def _dw(inputs, options, dy, fault=None, x=None):
    x = inputs[0] if x is None else x
    view = unfold(x, inputs[1].shape[2:], options["stride"], options["padding"], fault)
    if fault in ("stride_swapped", "stride_height_for_both", "stride_width_for_both"):
        view = view[:, :, : dy.shape[2], : dy.shape[3]]
    return np.einsum("nohw,nchwkl->ockl", dy, view)


def _misread_dy(dy, order):
    """dy (N, O, OH, OW) read by reshape as if its axes were in another order, and put back."""
    return dy.reshape([dy.shape[a] for a in order]).transpose(np.argsort(order))


for _fault, _says in FOLD_FAULTS.items():
    if _fault not in ("flipped", "kernel_transposed", "averaged"):
        bank.add("dx", _fault, _says, lambda i, o, d, f=_fault: _dx(i, o, d, f))
bank.add(
    "dx",
    "kernel_rotated",
    "You turned the kernel by 180° once too often: scattering dy·weight needs the kernel as "
    "it is, correlating dy with it needs it turned.",
    lambda i, o, d: _dx(i, o, d, weight=i[1][:, :, ::-1, ::-1]),
)
bank.add(
    "dx",
    "kernel_mirrored_lr",
    "You flipped the kernel only left to right.",
    lambda i, o, d: _dx(i, o, d, weight=i[1][..., ::-1]),
)
bank.add(
    "dx",
    "kernel_mirrored_ud",
    "You flipped the kernel only upside down.",
    lambda i, o, d: _dx(i, o, d, weight=i[1][:, :, ::-1]),
)
bank.add(
    "dx",
    "weight_channels_swapped",
    "You used weight with its first two axes exchanged: dx needs Σ over the output channels of weight[o, c].",
    lambda i, o, d: _dx(i, o, d, weight=i[1].swapaxes(0, 1)),
)
bank.add(
    "dx",
    "weight_khkw_swapped",
    "You exchanged rows and columns of the kernel.",
    lambda i, o, d: _dx(i, o, d, weight=i[1].swapaxes(2, 3)),
)
bank.add(
    "dx",
    "columns_channels_last",
    "You read the columns as (KH, KW, C); weight.reshape(O, -1) gives (C, KH, KW).",
    lambda i, o, d: _dx(i, o, d, weight=columns_khkwc(i[1].reshape(i[1].shape[0], -1), i[1].shape[1], i[1].shape[2:])),
)
bank.add(
    "dx",
    "first_output_channel_only",
    "You used only the first output channel; sum over all of them.",
    lambda i, o, d: _dx((i[0], i[1][:1], i[2]), o, d[:, :1]),
)
bank.add(
    "dx",
    "first_filter_for_all",
    "You used the first filter for every output channel; channel o needs weight[o].",
    lambda i, o, d: _dx(i, o, d, weight=i[1][:1].repeat(len(i[1]), 0)),
)
bank.add(
    "dx",
    "last_output_channel_only",
    "Only the last output channel is left: dx is assigned for each output channel where it must be added to.",
    lambda i, o, d: _dx((i[0], i[1][-1:], i[2]), o, d[:, -1:]),
)
bank.add(
    "dx",
    "last_output_channel_assigned",
    "You wrote = for each window and each output channel: a pixel keeps what came last, of the last channel alone. "
    "Use +=.",
    lambda i, o, d: _dx((i[0], i[1][-1:], i[2]), o, d[:, -1:], "assigned"),
)
bank.add(
    "dx",
    "dy_misread_channels",
    "You used dy.reshape(O, -1) without the transpose; dy is (N, O, OH, OW), so it "
    "must be transposed to (O, N, OH, OW) first.",
    lambda i, o, d: _dx(i, o, _misread_dy(d, (1, 0, 2, 3))),
)
bank.add(
    "dx",
    "dy_misread_rows",
    "You used dy.reshape(-1, O) without the transpose; dy is (N, O, OH, OW), so it must be "
    "transposed to (N, OH, OW, O) first.",
    lambda i, o, d: _dx(i, o, _misread_dy(d, (0, 2, 3, 1))),
)
bank.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -_dx(i, o, d))
bank.add(
    "dx",
    "divided_by_batch",
    "You divided by N; dy already carries the mean over the batch.",
    lambda i, o, d: _dx(i, o, d) / len(d),
)
bank.add("dx", "dy_ignored", "You never used dy.", lambda i, o, d: _dx(i, o, np.ones_like(d)))
bank.add("dx", "bias_added", "You added the bias to a gradient.", lambda i, o, d: _dx(i, o, d + i[2][:, None, None]))
bank.add(
    "dx",
    "weight_averaged",
    "You averaged over the output channels; sum over them.",
    lambda i, o, d: _dx(i, o, d) / d.shape[1],
)
bank.add(
    "dx",
    "first_sample_for_all",
    "Every image got the gradient of the first one.",
    lambda i, o, d: np.repeat(_dx(i, o, d)[:1], len(d), 0),
)
bank.add(
    "dx",
    "last_sample_only",
    "Only the last image has a gradient.",
    lambda i, o, d: _dx(i, o, np.concatenate([0 * d[:-1], d[-1:]])),
)

for _fault, _says in GATHER_FAULTS.items():
    if _fault not in OTHER_OUTPUT_SIZE:
        bank.add("dweight", _fault, _says, lambda i, o, d, f=_fault: _dw(i, o, d, f))
bank.add(
    "dweight",
    "divided_by_batch",
    "You divided by N; dy already carries the mean over the batch.",
    lambda i, o, d: _dw(i, o, d) / len(d),
)
bank.add(
    "dweight",
    "first_filter_for_all",
    "Every filter got the gradient of the first one; filter o needs dy[:, o].",
    lambda i, o, d: _dw(i, o, d)[:1].repeat(len(i[1]), 0),
)
bank.add("dweight", "times_batch", "You multiplied by N.", lambda i, o, d: _dw(i, o, d) * len(d))
bank.add(
    "dweight",
    "averaged_over_positions",
    "You averaged over the positions; sum over them.",
    lambda i, o, d: _dw(i, o, d) / d[0, 0].size,
)
bank.add(
    "dweight",
    "averaged_over_rows",
    "You averaged over images and positions (N·OH·OW rows); sum over them.",
    lambda i, o, d: _dw(i, o, d) / (len(d) * d[0, 0].size),
)
bank.add(
    "dweight",
    "last_sample_only",
    "Only the last image counts: dweight is assigned for each image where it must be added to.",
    lambda i, o, d: _dw((i[0][-1:], *i[1:]), o, d[-1:]),
)
bank.add(
    "dweight", "first_sample_only", "Only the first image counts.", lambda i, o, d: _dw((i[0][:1], *i[1:]), o, d[:1])
)
bank.add(
    "dweight",
    "last_position_only",
    "Only the last output position counts: dweight is assigned for each position where it must be added to.",
    lambda i, o, d: _dw(i, o, _last_position(d)),
)
bank.add(
    "dweight",
    "last_position_of_last_sample",
    "You wrote = in the loops: dweight keeps the last position of the last image alone. Use +=.",
    lambda i, o, d: _dw((i[0][-1:], *i[1:]), o, _last_position(d)[-1:]),
)
bank.add("dweight", "rotated", "Yours is turned by 180°.", lambda i, o, d: _dw(i, o, d)[:, :, ::-1, ::-1])
bank.add("dweight", "mirrored_lr", "Yours is flipped left to right.", lambda i, o, d: _dw(i, o, d)[..., ::-1])
bank.add("dweight", "mirrored_ud", "Yours is flipped upside down.", lambda i, o, d: _dw(i, o, d)[:, :, ::-1])
bank.add(
    "dweight",
    "khkw_swapped",
    "Rows and columns of the kernel are exchanged.",
    lambda i, o, d: _dw(i, o, d).swapaxes(2, 3),
)
bank.add(
    "dweight",
    "channels_swapped",
    "Yours is (C, O, KH, KW); it must be (O, C, KH, KW).",
    lambda i, o, d: _dw(i, o, d).swapaxes(0, 1),
)
bank.add(
    "dweight",
    "dy_misread_channels",
    "You used dy.reshape(O, -1) without the transpose; dy is (N, O, OH, OW), so it "
    "must be transposed to (O, N, OH, OW) first. It passes when N = 1.",
    lambda i, o, d: _dw(i, o, _misread_dy(d, (1, 0, 2, 3))),
)
bank.add(
    "dweight",
    "dy_misread_rows",
    "You used dy.reshape(-1, O) without the transpose; dy is (N, O, OH, OW), so it must "
    "be transposed to (N, OH, OW, O) first.",
    lambda i, o, d: _dw(i, o, _misread_dy(d, (0, 2, 3, 1))),
)
bank.add(
    "dweight",
    "columns_channels_last",
    "Your columns are ordered (KH, KW, C), but dweight is (O, C, KH, KW): reshape to (O, KH, KW, C) and transpose.",
    lambda i, o, d: _dw(i, o, d).transpose(0, 2, 3, 1).reshape(i[1].shape),
)
bank.add(
    "dweight",
    "transposed_columns",
    "You gave columns.T @ dy, which is (C·KH·KW, O), the shape of weight by reshape alone; transpose it first.",
    lambda i, o, d: _dw(i, o, d).reshape(len(i[1]), -1).T.reshape(i[1].shape),
)
bank.add("dweight", "sign", "The sign is wrong.", lambda i, o, d: -_dw(i, o, d))
bank.add("dweight", "dy_ignored", "You never used dy.", lambda i, o, d: _dw(i, o, np.ones_like(d)))
bank.add("dweight", "doubled", "Yours is twice the right one.", lambda i, o, d: 2 * _dw(i, o, d))
bank.add("dweight", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[1]))
bank.add(
    "dweight",
    "same_for_all_outputs",
    "You summed dy over the output channels; each kernel needs its own channel of dy.",
    lambda i, o, d: np.broadcast_to(_dw(i, o, d).sum(0), i[1].shape),
)
bank.add(
    "dweight",
    "same_for_all_inputs",
    "You summed x over the input channels; each slice of a kernel needs its own channel of x.",
    lambda i, o, d: np.broadcast_to(_dw(i, o, d).sum(1, keepdims=True), i[1].shape),
)
bank.add(
    "dweight",
    "weight_added",
    "You added weight to its own gradient (weight decay belongs to the optimiser).",
    lambda i, o, d: _dw(i, o, d) + i[1],
)

_db = lambda d: d.sum((0, 2, 3))  # noqa: E731
bank.add(
    "dbias", "one_sample", "You took one image (the first); sum dy over N, OH and OW.", lambda i, o, d: d[0].sum((1, 2))
)
bank.add(
    "dbias",
    "last_sample",
    "You took one image (the last); sum dy over N, OH and OW.",
    lambda i, o, d: d[-1].sum((1, 2)),
)
bank.add(
    "dbias",
    "averaged_over_batch",
    "You averaged over the batch; sum dy over N, OH and OW.",
    lambda i, o, d: _db(d) / len(d),
)
bank.add(
    "dbias",
    "averaged_over_everything",
    "You took the mean of dy; take the sum over N, OH and OW.",
    lambda i, o, d: d.mean((0, 2, 3)),
)
bank.add(
    "dbias",
    "averaged_over_positions",
    "You averaged over OH and OW; sum over them.",
    lambda i, o, d: d.mean((2, 3)).sum(0),
)
bank.add(
    "dbias",
    "summed_over_everything",
    "You summed over the channels too: every entry is the same. Sum over N, OH and OW only.",
    lambda i, o, d: np.full(len(i[2]), d.sum()),
)
bank.add(
    "dbias",
    "summed_to_one_number",
    "You summed over the channels too and returned one number. Sum over N, OH and OW only.",
    lambda i, o, d: d.sum(),
)
bank.add(
    "dbias", "not_summed_over_batch", "You did not sum over the batch: it must be (O,).", lambda i, o, d: d.sum((2, 3))
)
bank.add(
    "dbias", "not_summed_over_positions", "You did not sum over OH and OW: it must be (O,).", lambda i, o, d: d.sum(0)
)
bank.add(
    "dbias",
    "axes_kept",
    "You kept the summed axes (keepdims); it must be (O,).",
    lambda i, o, d: d.sum((0, 2, 3), keepdims=True),
)
bank.add("dbias", "sign", "The sign is wrong.", lambda i, o, d: -_db(d))
bank.add(
    "dbias",
    "dy_ignored",
    "You never used dy: yours counts the positions.",
    lambda i, o, d: np.full(len(i[2]), float(d[:, 0].size)),
)
bank.add("dbias", "multiplied_by_bias", "You multiplied by the bias.", lambda i, o, d: _db(d) * i[2])
bank.add("dbias", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[2]))
bank.add(
    "dbias",
    "dy_misread",
    "You used dy.reshape(O, -1).sum(1) without the transpose; dy is (N, O, OH, OW).",
    lambda i, o, d: _db(_misread_dy(d, (1, 0, 2, 3))),
)
bank.add(
    "dbias",
    "last_position_of_last_sample",
    "You wrote = in the loops: dbias keeps the last position of the last image alone. Use +=.",
    lambda i, o, d: d[-1, :, -1, -1],
)
bank.add(
    "dbias",
    "last_position_only",
    "Only the last output position counts: sum dy over N, OH and OW.",
    lambda i, o, d: d[:, :, -1, -1].sum(0),
)


def _last_position(dy):
    out = np.zeros_like(dy)
    out[:, :, -1, -1] = dy[:, :, -1, -1]
    return out


def _accumulating():
    """A pair whose gradient buffer is made once and never cleared."""
    buffers = {}

    def forward(x, weight, bias, stride, padding):
        return conv2d(x, weight, bias, stride, padding), ((x, weight, bias), stride, padding)

    def backward(dy, cache):
        inputs, stride, padding = cache
        dx, dweight, dbias = conv2d_backward(inputs, {"stride": stride, "padding": padding}, dy)
        total = buffers.setdefault(dweight.shape, np.zeros_like(dweight))
        total += dweight
        return dx, total.copy(), dbias

    return forward, backward


def _forgetful():
    """A pair that keeps the input of the last forward outside of the cache."""
    kept = {}

    def forward(x, weight, bias, stride, padding):
        kept["inputs"] = x, weight, bias
        return conv2d(x, weight, bias, stride, padding), (stride, padding)

    def backward(dy, cache):
        return conv2d_backward(kept["inputs"], {"stride": cache[0], "padding": cache[1]}, dy)

    return forward, backward


bank.add(
    "dweight",
    "never_cleared",
    "The gradient buffer is never cleared: each call adds to the last one.",
    pair=_accumulating,
    shows="accumulates",
)
bank.add(
    "backward",
    "kept_outside_cache",
    "Backward uses what the last forward left outside of the cache.",
    pair=_forgetful,
    shows="kept_outside_cache",
)
