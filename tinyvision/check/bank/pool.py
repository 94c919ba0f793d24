"""Mistakes in max-pooling and average-pooling."""

import numpy as np

from ..reference import maxpool2d_backward, pair
from ..windows import FOLD_FAULTS, GATHER_FAULTS, fold, overlap_count, unfold, winners_of_the_image
from .mistake import Bank

maximum, average = Bank("maxpool2d"), Bank("avgpool2d")
BANKS = [maximum, average]


def _windows(inputs, o, fault=None, value=-np.inf):
    return unfold(inputs[0], o["kernel_size"], o["stride"], o["padding"], fault, value)


def _max(inputs, o, fault=None, value=-np.inf):
    return _windows(inputs, o, fault, value).max((4, 5))


def _mean(inputs, o, fault=None):
    return _windows(inputs, o, fault, 0.0).mean((4, 5))


def _picked(view, pick):
    """1 at the chosen element of every window; `pick(flat windows) -> index`."""
    flat = view.reshape(*view.shape[:4], -1)
    share = np.zeros(flat.shape)
    np.put_along_axis(share, pick(flat)[..., None], 1.0, axis=-1)
    return share.reshape(view.shape)


def _first_winner(flat):
    return flat.argmax(-1)


def _dmax(inputs, o, d, fault=None, pick=_first_winner, shares=None):
    if shares is None:
        shares = _picked(_windows(inputs, o), pick) * d[..., None, None]
    return fold(shares, inputs[0].shape, o["stride"], o["padding"], fault)


def _placed(inputs, o, d, place, corner=True):
    """dy at the place that `place(winner, KH, KW) -> (row, column)` takes the winner for; NumPy raises outside.

    Without the `corner` of each window, that is a place in the padded image itself."""
    view = _windows(inputs, o)
    row, col = place(view.reshape(*view.shape[:4], -1).argmax(-1), *view.shape[4:])
    (sh, sw), (ph, pw) = pair(o["stride"]), pair(o["padding"])
    x = inputs[0]
    out = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    n, c, i, j = np.indices(row.shape)
    np.add.at(out, (n, c, corner * i * sh + row, corner * j * sw + col), d)
    return out[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


def _swapped_winner(inputs, o, d):
    """The winner's row used as a column and the other way round, in a window of its own: NumPy raises outside."""
    view = _windows(inputs, o)
    row, col = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), view.shape[5])
    share = np.zeros(view.shape)
    n, c, i, j = np.indices(row.shape)
    share[n, c, i, j, col, row] = d
    return fold(share, inputs[0].shape, o["stride"], o["padding"])


def _overwritten(inputs, o, d):
    """dx[winner] = dy instead of +=."""
    view = _windows(inputs, o)
    kw = view.shape[5]
    (sh, sw), (ph, pw) = pair(o["stride"]), pair(o["padding"])
    row, col = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), kw)
    x = inputs[0]
    out = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    for i in range(d.shape[2]):
        for j in range(d.shape[3]):
            out[n, c, i * sh + row[:, :, i, j], j * sw + col[:, :, i, j]] = d[:, :, i, j]
    return out[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


for _fault, _says in GATHER_FAULTS.items():
    maximum.add("y", _fault, _says, lambda i, o, f=_fault: _max(i, o, f))
    average.add("y", _fault, _says, lambda i, o, f=_fault: _mean(i, o, f))
maximum.add(
    "y",
    "padded_with_zero",
    "You padded with 0, which wins over negative numbers; pad with -inf.",
    lambda i, o: _max(i, o, value=0.0),
)
maximum.add("y", "mean", "You took the mean of each window; take the maximum.", lambda i, o: _mean(i, o))
maximum.add(
    "y",
    "minimum",
    "You took the minimum of each window; take the maximum.",
    lambda i, o: _windows(i, o, value=np.inf).min((4, 5)),
)
maximum.add(
    "y",
    "first_element",
    "You took the first element of each window; take the maximum.",
    lambda i, o: np.where(np.isfinite(_windows(i, o)[..., 0, 0]), _windows(i, o)[..., 0, 0], 0.0),
)
maximum.add(
    "y",
    "absolute",
    "You compared absolute values; -3 is smaller than 2.",
    lambda i, o: np.abs(_windows(i, o, value=0.0)).max((4, 5)),
)
maximum.add(
    "y", "sum", "You took the sum of each window; take the maximum.", lambda i, o: _windows(i, o, value=0.0).sum((4, 5))
)
maximum.add(
    "y",
    "over_channels",
    "You took the maximum over the channels too.",
    lambda i, o: np.broadcast_to(_max(i, o).max(1, keepdims=True), _max(i, o).shape),
)
maximum.add(
    "y",
    "over_batch",
    "You took the maximum over the images too.",
    lambda i, o: np.broadcast_to(_max(i, o).max(0, keepdims=True), _max(i, o).shape),
)
maximum.add(
    "y",
    "over_everything",
    "window.max() without axes is one number for all images and channels; take it over the window's two axes only.",
    lambda i, o: np.broadcast_to(_max(i, o).max((0, 1), keepdims=True), _max(i, o).shape),
)
maximum.add(
    "y",
    "whole_channel",
    "You took the maximum of the whole channel at every position; take it over the window.",
    lambda i, o: np.broadcast_to(i[0].max((2, 3), keepdims=True), _max(i, o).shape),
)
average.add(
    "y",
    "over_everything",
    "window.mean() without axes is one number for all images and channels; take it over the window's two axes only.",
    lambda i, o: np.broadcast_to(_mean(i, o).mean((0, 1), keepdims=True), _mean(i, o).shape),
)
average.add(
    "y",
    "whole_channel",
    "You took the mean of the whole channel at every position; take it over the window.",
    lambda i, o: np.broadcast_to(i[0].mean((2, 3), keepdims=True), _mean(i, o).shape),
)

for _fault, _says in FOLD_FAULTS.items():
    if _fault not in ("averaged", "first_window_only", "kernel_transposed", "assigned"):
        maximum.add("dx", _fault, _says, lambda i, o, d, f=_fault: _dmax(i, o, d, f))
maximum.add(
    "dx",
    "assigned",
    "You wrote = for a winner: a pixel that wins several windows keeps only the last one's dy. Use +=.",
    _overwritten,
)
maximum.add(
    "dx",
    "window_assigned",
    "You wrote a whole window at once with =, zeros included: it erases what earlier windows put there. Use +=.",
    lambda i, o, d: _dmax(i, o, d, "assigned"),
)
maximum.add(
    "dx",
    "winner_swapped",
    "You used the winner's row as its column and its column as its row.",
    lambda i, o, d: _placed(i, o, d, lambda winner, kh, kw: (winner % kw, winner // kw)),
    also=(_swapped_winner,),
)
maximum.add(
    "dx",
    "winner_row_by_height",
    "You took winner // KH for the row; a row of the window has KW elements: winner // KW, with winner % KW beside it.",
    lambda i, o, d: _placed(i, o, d, lambda winner, kh, kw: (winner // kh, winner % kw)),
)
maximum.add(
    "dx",
    "window_corner_missing",
    "The winner's place in its window is used as a place in the image; the window begins at (i·SH, j·SW).",
    lambda i, o, d: _placed(i, o, d, lambda winner, kh, kw: (winner // kw, winner % kw), corner=False),
)
maximum.add(
    "dx",
    "winner_split_by_height",
    "You split the winner's place in the flat window by KH; a row has KW elements: divmod(place, KW).",
    lambda i, o, d: _placed(i, o, d, lambda winner, kh, kw: (winner // kh, winner % kh)),
)
maximum.add(
    "dx",
    "whole_channel",
    "Only the largest pixel of the whole channel got dy; each window pays its own winner.",
    lambda i, o, d: _dmax(i, o, d) * (i[0] == i[0].max((2, 3), keepdims=True)),
)
maximum.add(
    "dx",
    "spread_over_window",
    "You spread dy evenly over the window; all of it goes to the winner.",
    lambda i, o, d: _dmax(
        i, o, d, shares=np.ones_like(_windows(i, o)) * d[..., None, None] / np.prod(pair(o["kernel_size"]))
    ),
)
maximum.add(
    "dx",
    "everyone_paid",
    "Every pixel of the window got the whole dy; only the winner does.",
    lambda i, o, d: _dmax(i, o, d, shares=np.ones_like(_windows(i, o)) * d[..., None, None]),
)
maximum.add(
    "dx",
    "first_element",
    "The first pixel of each window got dy; the winner does.",
    lambda i, o, d: _dmax(i, o, d, pick=lambda f: np.zeros(f.shape[:-1], int)),
)
maximum.add(
    "dx",
    "last_element",
    "The last pixel of each window got dy; the winner does.",
    lambda i, o, d: _dmax(i, o, d, pick=lambda f: np.full(f.shape[:-1], f.shape[-1] - 1)),
)
maximum.add(
    "dx",
    "loser_paid",
    "The smallest pixel of each window got dy; the largest does.",
    lambda i, o, d: _dmax(i, o, d, pick=lambda f: np.where(np.isinf(f), np.inf, f).argmin(-1)),
)
maximum.add(
    "dx",
    "padding_wins",
    "You looked for the winner with a padding of 0, so padding wins over negative numbers.",
    lambda i, o, d: _dmax(i, o, d, shares=_picked(_windows(i, o, value=0.0), _first_winner) * d[..., None, None]),
)
maximum.add(
    "dx",
    "multiplied_by_x",
    "You multiplied by x (or y); the winner gets dy as it is.",
    lambda i, o, d: _dmax(i, o, d) * i[0],
)
maximum.add("dx", "dy_ignored", "You never used dy: the winners got 1.", lambda i, o, d: _dmax(i, o, np.ones_like(d)))
maximum.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -_dmax(i, o, d))
maximum.add(
    "dx",
    "averaged",
    "You divided by KH·KW; that belongs to average pooling.",
    lambda i, o, d: _dmax(i, o, d) / np.prod(pair(o["kernel_size"])),
)
maximum.add("dx", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[0]))
maximum.add(
    "dx",
    "first_channel_winner",
    "You took the first channel's winners for every channel.",
    lambda i, o, d: _dmax(
        i,
        o,
        d,
        shares=np.broadcast_to(_picked(_windows(i, o), _first_winner)[:, :1], _windows(i, o).shape)
        * d[..., None, None],
    ),
)
maximum.add(
    "dx",
    "first_sample_winner",
    "You took the first image's winners for every image.",
    lambda i, o, d: _dmax(
        i,
        o,
        d,
        shares=np.broadcast_to(_picked(_windows(i, o), _first_winner)[:1], _windows(i, o).shape) * d[..., None, None],
    ),
)
for _last, _name, _says in (
    (True, "mask_overwritten", "You keep one mask for the whole image, and where windows overlap the later one writes "
     "over what the earlier one said: keep each window's winner."),
    (False, "one_mask_for_all", "You keep one mask for the whole image: where windows overlap, the winner of one is "
     "paid by the other too. Keep each window's winner."),
):  # fmt: skip
    maximum.add("dx", _name, _says, lambda i, o, d, last=_last: _dmax(
        i, o, d, shares=winners_of_the_image(i[0], o, last=last) * d[..., None, None]))  # fmt: skip
maximum.add(
    "dx",
    "paid_once_per_pixel",
    "You gave dy to the pixels that win any window, once each, and dropped what the other windows owe them.",
    lambda i, o, d: _overwritten_first(i, o, d),
)


def _overwritten_first(inputs, o, d):
    view = _windows(inputs, o)
    kw = view.shape[5]
    (sh, sw), (ph, pw) = pair(o["stride"]), pair(o["padding"])
    row, col = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), kw)
    x = inputs[0]
    out = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    for i in reversed(range(d.shape[2])):
        for j in reversed(range(d.shape[3])):
            out[n, c, i * sh + row[:, :, i, j], j * sw + col[:, :, i, j]] = d[:, :, i, j]
    return out[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


def _ties_paid_twice():
    """A max-pool whose backward pays every pixel that equals the maximum in full."""

    def forward(x, kernel_size, stride, padding):
        o = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        return _max((x,), o), (x, o)

    def backward(dy, cache):
        x, o = cache
        view = _windows((x,), o)
        return (_dmax((x,), o, dy, shares=(view == view.max((4, 5), keepdims=True)) * dy[..., None, None]),)

    return forward, backward


def _changes_dy():
    """A max-pool that scales dy in place before using it."""

    def forward(x, kernel_size, stride, padding):
        o = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        return _max((x,), o), (x, o)

    def backward(dy, cache):
        dx = maxpool2d_backward((cache[0],), cache[1], dy)
        dy[...] = 0
        return dx

    return forward, backward


maximum.add(
    "dx",
    "ties_paid_twice",
    "Pixels that tie for the maximum each got the whole dy. Pay one of them, or share.",
    pair=_ties_paid_twice,
    shows="ties_paid_twice",
)
maximum.add("dx", "dy_changed", "dy was changed in place.", pair=_changes_dy, shows="dy_changed")


def _davg(inputs, o, d, fault=None, scale=1.0):
    kernel = pair(o["kernel_size"])
    shares = np.broadcast_to((d / (kernel[0] * kernel[1]))[..., None, None], (*d.shape, *kernel))
    return fold(shares, inputs[0].shape, o["stride"], o["padding"], fault) * scale


def _real_pixels(inputs, o):
    """How many pixels of each window are image, not padding: (1, 1, OH, OW)."""
    return unfold(np.ones((1, 1, *inputs[0].shape[2:])), o["kernel_size"], o["stride"], o["padding"]).sum((4, 5))


def _area(o):
    return np.prod(pair(o["kernel_size"]))


average.add("y", "not_divided", "You summed each window; divide by KH·KW.", lambda i, o: _mean(i, o) * _area(o))
average.add(
    "y",
    "divided_by_height",
    "You divided by KH; divide by KH·KW.",
    lambda i, o: _mean(i, o) * pair(o["kernel_size"])[1],
)
average.add(
    "y",
    "divided_by_height_squared",
    "You divided by KH²; divide by KH·KW.",
    lambda i, o: _mean(i, o) * _area(o) / pair(o["kernel_size"])[0] ** 2,
)
average.add(
    "y",
    "padding_not_counted",
    "You divided border windows by the number of real pixels; the padding's zeros "
    "count too (PyTorch's count_include_pad=True).",
    lambda i, o: _mean(i, o) * _area(o) / _real_pixels(i, o),
)
average.add("y", "maximum", "You took the maximum of each window; take the mean.", lambda i, o: _max(i, o, value=0.0))
average.add(
    "y",
    "divided_by_stride",
    "You divided by the strides' product; divide by KH·KW.",
    lambda i, o: _mean(i, o) * _area(o) / np.prod(pair(o["stride"])),
)
for _fault, _says in FOLD_FAULTS.items():
    if _fault not in ("flipped", "kernel_transposed", "averaged"):
        average.add("dx", _fault, _says, lambda i, o, d, f=_fault: _davg(i, o, d, f))
average.add("dx", "not_divided", "You did not divide by KH·KW.", lambda i, o, d: _davg(i, o, d) * _area(o))
average.add(
    "dx",
    "divided_by_height",
    "You divided by KH; divide by KH·KW.",
    lambda i, o, d: _davg(i, o, d) * pair(o["kernel_size"])[1],
)
average.add(
    "dx",
    "divided_by_height_squared",
    "You divided by KH²; divide by KH·KW. It passes on square windows.",
    lambda i, o, d: _davg(i, o, d) * _area(o) / pair(o["kernel_size"])[0] ** 2,
)
average.add("dx", "divided_twice", "You divided by KH·KW twice.", lambda i, o, d: _davg(i, o, d) / _area(o))
average.add(
    "dx",
    "divided_by_positions",
    "You divided by OH·OW; divide by KH·KW.",
    lambda i, o, d: _davg(i, o, d) * _area(o) / d[0, 0].size,
)
average.add(
    "dx",
    "padding_not_counted",
    "You divided by the number of real pixels in border windows; forward divides by KH·KW.",
    lambda i, o, d: _davg(i, o, d * _area(o) / _real_pixels(i, o)),
)
average.add(
    "dx",
    "overlaps_averaged",
    "You divided each pixel by the number of windows it lies in; the shares must be added up.",
    lambda i, o, d: (
        _davg(i, o, d) / np.maximum(overlap_count(i[0].shape, o["kernel_size"], o["stride"], o["padding"]), 1)
    ),
)
average.add(
    "dx",
    "first_pixel_only",
    "Only the first pixel of each window got a share; all of them do.",
    lambda i, o, d: fold(_first_pixel(i, o, d), i[0].shape, o["stride"], o["padding"]),
)
average.add(
    "dx",
    "winner_only",
    "The largest pixel got all of dy; that is max-pooling.",
    lambda i, o, d: _dmax(i, o, d, shares=_picked(_windows(i, o), _first_winner) * d[..., None, None]),
)
average.add("dx", "dy_ignored", "You never used dy.", lambda i, o, d: _davg(i, o, np.ones_like(d)))
average.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -_davg(i, o, d))
average.add(
    "dx",
    "multiplied_by_x",
    "You multiplied by x; the slope of a mean does not depend on x.",
    lambda i, o, d: _davg(i, o, d) * i[0],
)


def _first_pixel(inputs, o, d):
    shares = np.zeros((*d.shape, *pair(o["kernel_size"])))
    shares[..., 0, 0] = d / _area(o)
    return shares
