"""Mistakes in the output of a convolution."""

from typing import Any

import numpy as np

from ..windows import GATHER_FAULTS, unfold
from .mistake import Bank

bank = Bank("conv2d")
BANKS = [bank]


def _y(inputs, options, fault=None, weight=None, value=0.0):
    x, w, b = inputs
    w = w if weight is None else weight
    view = unfold(x, w.shape[2:], options["stride"], options["padding"], fault, value)
    return np.einsum("nchwkl,ockl->nohw", view, w) + b[:, None, None]


def columns_khkwc(array: Any, channels: int, kernel: Any) -> Any:
    """Numbers laid out (..., C, KH, KW) in memory, read as (..., KH, KW, C)."""
    kh, kw = kernel
    flat = array.reshape(array.shape[0], kh, kw, channels)
    return flat.transpose(0, 3, 1, 2)


def _corner(weight):
    """The last channel's last element of each kernel, zeros elsewhere: (O, 1, KH, KW)."""
    out = np.zeros_like(weight[:, -1:])
    out[..., -1, -1] = weight[:, -1:, -1, -1]
    return out


for _fault, _says in GATHER_FAULTS.items():
    if _fault != "kernel_swapped":
        bank.add("y", _fault, _says, lambda i, o, f=_fault: _y(i, o, f))
bank.add("y", "bias_missing", "You did not add the bias.", lambda i, o: _y(i, o) - i[2][:, None, None])
bank.add("y", "bias_subtracted", "You subtracted the bias.", lambda i, o: _y(i, o) - 2 * i[2][:, None, None])
bank.add(
    "y",
    "kernel_rotated",
    "You turned the kernel by 180° (a mathematician's convolution). Deep learning's "
    "convolution is a cross-correlation: it does not.",
    lambda i, o: _y(i, o, weight=i[1][:, :, ::-1, ::-1]),
)
bank.add(
    "y", "kernel_mirrored_lr", "You flipped the kernel left to right.", lambda i, o: _y(i, o, weight=i[1][..., ::-1])
)
bank.add(
    "y", "kernel_mirrored_ud", "You flipped the kernel upside down.", lambda i, o: _y(i, o, weight=i[1][:, :, ::-1])
)
bank.add(
    "y",
    "weight_channels_swapped",
    "You used weight as (C, O, KH, KW); its axes are (O, C, KH, KW).",
    lambda i, o: _y(i, o, weight=i[1].swapaxes(0, 1)) if i[1].shape[0] == i[1].shape[1] else 1 / 0,
)
bank.add(
    "y",
    "weight_khkw_swapped",
    "You exchanged rows and columns of the kernel.",
    lambda i, o: _y(i, o, weight=i[1].swapaxes(2, 3)),
)
bank.add(
    "y",
    "columns_channels_last",
    "Your columns are ordered (KH, KW, C), but weight.reshape(O, -1) is ordered (C, KH, KW).",
    lambda i, o: _y(i, o, weight=columns_khkwc(i[1].reshape(i[1].shape[0], -1), i[1].shape[1], i[1].shape[2:])),
)
bank.add(
    "y",
    "first_channel_only",
    "You used only the first input channel; sum over all of them.",
    lambda i, o: _y((i[0][:, :1], i[1][:, :1], i[2]), o),
)
bank.add(
    "y",
    "last_channel_only",
    "Only the last input channel is left: y is assigned for each channel where it must be added to.",
    lambda i, o: _y((i[0][:, -1:], i[1][:, -1:], i[2]), o),
)
bank.add(
    "y",
    "last_product_only",
    "Only the last product is left: the total is assigned in the innermost loop where it must be added to.",
    lambda i, o: _y((i[0][:, -1:], _corner(i[1]), 0 * i[2]), o),
    also=(lambda i, o: _y((i[0][:, -1:], _corner(i[1]), i[2]), o),),
)
bank.add(
    "y",
    "averaged_over_channels",
    "You averaged over the input channels; sum over them.",
    lambda i, o: (_y(i, o) - i[2][:, None, None]) / i[0].shape[1] + i[2][:, None, None],
)
bank.add(
    "y",
    "averaged_over_window",
    "You averaged over the window; a convolution sums.",
    lambda i, o: _y((i[0], i[1] / i[1][0, 0].size, i[2]), o),
)
bank.add(
    "y",
    "bias_per_tap",
    "You added the bias once for each input channel; add it once for each output.",
    lambda i, o: _y((i[0], i[1], i[2] * i[0].shape[1]), o),
)
bank.add(
    "y",
    "bias_per_element",
    "You added the bias inside the loops over the window, KH·KW times; add it once for each output.",
    lambda i, o: _y((i[0], i[1], i[2] * i[1][0, 0].size), o),
)
bank.add(
    "y",
    "bias_per_product",
    "You added the bias inside the innermost loop, C·KH·KW times; add it once for each output.",
    lambda i, o: _y((i[0], i[1], i[2] * i[1][0].size), o),
)
bank.add(
    "y",
    "one_bias_for_all",
    "You added bias[0] to every output channel.",
    lambda i, o: _y((i[0], i[1], i[2][:1].repeat(len(i[2]))), o),
)
bank.add(
    "y",
    "first_filter_for_all",
    "Every output channel used the first filter; channel o needs weight[o].",
    lambda i, o: _y(i, o, weight=i[1][:1].repeat(len(i[1]), 0)),
)
bank.add(
    "y",
    "padded_with_edge",
    "You padded with copies of the border; pad with zeros.",
    lambda i, o: _y(
        (np.pad(i[0], ((0, 0), (0, 0), (o["padding"][0],) * 2, (o["padding"][1],) * 2), mode="edge"), *i[1:]),
        {**o, "padding": (0, 0)},
    ),
)
bank.add("y", "padded_with_one", "You padded with ones; pad with zeros.", lambda i, o: _y(i, o, value=1.0))
bank.add(
    "y",
    "rows_misread",
    "You gave the product (N·OH·OW, O) the shape (N, O, OH, OW) by reshape alone; reshape to "
    "(N, OH, OW, O) and transpose.",
    lambda i, o: _y(i, o).transpose(0, 2, 3, 1).reshape(_y(i, o).shape),
)
bank.add(
    "y",
    "columns_misread",
    "You gave the product (O, N·OH·OW) the shape (N, O, OH, OW) by reshape alone; reshape "
    "to (O, N, OH, OW) and transpose.",
    lambda i, o: _y(i, o).transpose(1, 0, 2, 3).reshape(_y(i, o).shape),
)
