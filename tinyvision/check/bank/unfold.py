"""Mistakes in im2col and col2im."""

import numpy as np

from ..windows import FOLD_FAULTS, GATHER_FAULTS, columns, fold, overlap_count, unfold, windows
from .mistake import Bank

im2col, col2im = Bank("im2col"), Bank("col2im")
BANKS = [im2col, col2im]


def _view(x, o, fault=None, value=0.0):
    return unfold(x, o["kernel_size"], o["stride"], o["padding"], fault, value)


def _fold(cols, shape, o, fault=None):
    return fold(windows(cols, shape, o), shape, o["stride"], o["padding"], fault)


def _order(view, order):
    """The numbers of the columns in another order of (N, OH, OW | C, KH, KW), in the right shape."""
    return view.transpose(order).reshape(columns(view).shape)


def _in_order(cols, shape, o, order):
    """Columns that are taken to be in another order of (N, C, OH, OW, KH, KW), as windows."""
    right = windows(cols, shape, o)
    return cols.reshape([right.shape[a] for a in order]).transpose(np.argsort(order))


ORDERS = {
    "positions_first": ((2, 3, 0, 1, 4, 5), "Your rows run over (OH, OW, N); they must run over (N, OH, OW)."),
    "columns_before_rows": ((0, 3, 2, 1, 4, 5), "Your rows run over (N, OW, OH); they must run over (N, OH, OW)."),
    "channels_last": ((0, 2, 3, 4, 5, 1), "Within a row yours are ordered (KH, KW, C); the order is (C, KH, KW)."),
    "kernel_transposed": ((0, 2, 3, 1, 5, 4), "Within a row yours are ordered (C, KW, KH); the order is (C, KH, KW)."),
    "not_transposed": (
        (0, 1, 2, 3, 4, 5),
        "You reshaped (N, C, OH, OW, KH, KW) without the transpose to (N, OH, OW, C, KH, KW).",
    ),
    "transposed": ((1, 4, 5, 0, 2, 3), "You reshaped (C·KH·KW, N·OH·OW) where a transpose was needed."),
    "offsets_first": (
        (0, 1, 4, 5, 2, 3),
        "You reshaped (N, C, KH, KW, OH, OW) without the transpose to (N, OH, OW, C, KH, KW).",
    ),
}

for _fault, _says in GATHER_FAULTS.items():
    im2col.add("y", _fault, _says, lambda i, o, f=_fault: columns(_view(i[0], o, f)))
    if _fault in ("stride_ignored", "padding_after", "padding_before", "from_the_end"):
        col2im.add("dcolumns", _fault, _says, lambda i, o, d, f=_fault: columns(_view(d, o, f)))
for _name, (_permutation, _says) in ORDERS.items():
    im2col.add("y", _name, _says, lambda i, o, a=_permutation: _order(_view(i[0], o), a))
    im2col.add(
        "dx",
        _name,
        _says.replace("Yours", "You read columns that")
        .replace("Your rows run", "You read the rows as running")
        .replace("yours are ordered", "you read the numbers as ordered"),
        lambda i, o, d, a=_permutation: fold(_in_order(d, i[0].shape, o, a), i[0].shape, o["stride"], o["padding"]),
    )
    col2im.add(
        "y",
        _name,
        _says.replace("Your rows run", "You read the rows as running").replace(
            "yours are ordered", "you read the numbers as ordered"
        ),
        lambda i, o, a=_permutation: fold(_in_order(i[0], o["x_shape"], o, a), o["x_shape"], o["stride"], o["padding"]),
    )
    col2im.add("dcolumns", _name, _says, lambda i, o, d, a=_permutation: _order(_view(d, o), a))
im2col.add(
    "y",
    "transposed_shape",
    "You returned (C·KH·KW, N·OH·OW); it must be (N·OH·OW, C·KH·KW).",
    lambda i, o: columns(_view(i[0], o)).T,
)
im2col.add(
    "y", "padded_with_one", "You padded with ones; pad with zeros.", lambda i, o: columns(_view(i[0], o, value=1.0))
)
im2col.add(
    "y", "kernel_flipped", "Each window is turned by 180°.", lambda i, o: columns(_view(i[0], o)[..., ::-1, ::-1])
)
for _fault, _says in FOLD_FAULTS.items():
    if _fault != "kernel_transposed":
        im2col.add("dx", "fold_" + _fault, _says, lambda i, o, d, f=_fault: _fold(d, i[0].shape, o, f))
        col2im.add("y", "fold_" + _fault, _says, lambda i, o, f=_fault: _fold(i[0], o["x_shape"], o, f))
im2col.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -_fold(d, i[0].shape, o))
im2col.add(
    "dx",
    "dy_ignored",
    "You never used dy: yours counts the windows over each pixel.",
    lambda i, o, d: np.broadcast_to(overlap_count(i[0].shape, o["kernel_size"], o["stride"], o["padding"]), i[0].shape),
)
im2col.add(
    "dx",
    "x_returned",
    "You returned x times the overlap count, col2im(im2col(x)): dy belongs there.",
    lambda i, o, d: _fold(columns(_view(i[0], o)), i[0].shape, o),
)
col2im.add(
    "dcolumns",
    "divided_by_overlaps",
    "You divided by the number of windows over each pixel; im2col copies.",
    lambda i, o, d: columns(
        _view(d / np.maximum(overlap_count(o["x_shape"], o["kernel_size"], o["stride"], o["padding"]), 1), o)
    ),
)
col2im.add("dcolumns", "sign", "The sign is wrong.", lambda i, o, d: -columns(_view(d, o)))
col2im.add("dcolumns", "dy_ignored", "You never used dy.", lambda i, o, d: columns(_view(np.ones_like(d), o)))
