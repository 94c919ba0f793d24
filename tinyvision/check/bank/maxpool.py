"""Mistakes in max-pooling, and windows as pools cut them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference import maxpool2d_backward, pair
from ..windows import FOLD_FAULTS, GATHER_FAULTS, fold, unfold, winners_of_the_image
from .mistake import Bank

maximum = Bank("maxpool2d")
BANKS = [maximum]


def windows_of(inputs: Any, o: Any, fault: str | None = None, value: float = -np.inf) -> np.ndarray:
    """The windows of a pool (N, C, OH, OW, KH, KW), padded with `value`."""
    return unfold(inputs[0], o["kernel_size"], o["stride"], o["padding"], fault, value)


def largest(inputs: Any, o: Any, fault: str | None = None, value: float = -np.inf) -> np.ndarray:
    """The largest number of every window."""
    return windows_of(inputs, o, fault, value).max((4, 5))


def mean_of(inputs: Any, o: Any, fault: str | None = None) -> np.ndarray:
    """The mean of every window, padding zeros counted."""
    return windows_of(inputs, o, fault, 0.0).mean((4, 5))


def picked(view: np.ndarray, pick: Callable[..., Any]) -> np.ndarray:
    """1 at the chosen element of every window; `pick(flat windows) -> index`."""
    flat = view.reshape(*view.shape[:4], -1)
    share = np.zeros(flat.shape)
    np.put_along_axis(share, pick(flat)[..., None], 1.0, axis=-1)
    return share.reshape(view.shape)


def first_winner(flat: np.ndarray) -> np.ndarray:
    """The place of the largest in every flat window."""
    return flat.argmax(-1)


def shortened(view: np.ndarray, sides: tuple[bool, bool], value: float = 0.0) -> np.ndarray:
    """Windows whose last row, last column or both, as `sides` say, were forgotten: `value` stands there."""
    (down, across), out = sides, view.copy()
    if down and view.shape[4] > 1:
        out[..., -1, :] = value
    if across and view.shape[5] > 1:
        out[..., -1] = value
    return out


SHORT = {
    "window_short": ("The last row and the last column", (True, True)),
    "window_short_down": ("The last row", (True, False)),
    "window_short_across": ("The last column", (False, True)),
}


def dmax(
    inputs: Any,
    o: Any,
    d: np.ndarray,
    fault: str | None = None,
    pick: Callable[..., Any] = first_winner,
    shares: Any = None,
) -> np.ndarray:
    """dy at the places that `pick` chooses in the windows, or in the given shares, added up in the image."""
    if shares is None:
        shares = picked(windows_of(inputs, o), pick) * d[..., None, None]
    return fold(shares, inputs[0].shape, o["stride"], o["padding"], fault)


def _placed(inputs, o, d, place, corner=True):
    """dy at the place that `place(winner, KH, KW) -> (row, column)` takes the winner for; NumPy raises outside.

    Without the `corner` of each window, that is a place in the padded image itself."""
    view = windows_of(inputs, o)
    row, col = place(view.reshape(*view.shape[:4], -1).argmax(-1), *view.shape[4:])
    (sh, sw), (ph, pw) = pair(o["stride"]), pair(o["padding"])
    x = inputs[0]
    out = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    n, c, i, j = np.indices(row.shape)
    np.add.at(out, (n, c, corner * i * sh + row, corner * j * sw + col), d)
    return out[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


def _swapped_winner(inputs, o, d):
    """The winner's row used as a column and the other way round, in a window of its own: NumPy raises outside."""
    view = windows_of(inputs, o)
    row, col = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), view.shape[5])
    share = np.zeros(view.shape)
    n, c, i, j = np.indices(row.shape)
    share[n, c, i, j, col, row] = d
    return fold(share, inputs[0].shape, o["stride"], o["padding"])


def _overwritten(inputs, o, d, backwards=False):
    """dx[winner] = dy instead of +=, so that of several windows the last one visited pays."""
    view = windows_of(inputs, o)
    kw = view.shape[5]
    (sh, sw), (ph, pw) = pair(o["stride"]), pair(o["padding"])
    row, col = np.divmod(view.reshape(*view.shape[:4], -1).argmax(-1), kw)
    x = inputs[0]
    out = np.zeros((*x.shape[:2], x.shape[2] + 2 * ph, x.shape[3] + 2 * pw))
    n, c = np.ogrid[: x.shape[0], : x.shape[1]]
    places = list(np.ndindex(d.shape[2:]))
    for i, j in reversed(places) if backwards else places:
        out[n, c, i * sh + row[:, :, i, j], j * sw + col[:, :, i, j]] = d[:, :, i, j]
    return out[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]


for _fault, _says in GATHER_FAULTS.items():
    maximum.add("y", _fault, _says, lambda i, o, f=_fault: largest(i, o, f))
maximum.add(
    "y",
    "padded_with_zero",
    "You padded with 0, which wins over negative numbers; pad with -inf.",
    lambda i, o: largest(i, o, value=0.0),
)
maximum.add("y", "mean", "You took the mean of each window; take the maximum.", lambda i, o: mean_of(i, o))
maximum.add(
    "y",
    "minimum",
    "You took the minimum of each window; take the maximum.",
    lambda i, o: windows_of(i, o, value=np.inf).min((4, 5)),
)
maximum.add(
    "y",
    "first_element",
    "You took the first element of each window; take the maximum.",
    lambda i, o: np.where(np.isfinite(windows_of(i, o)[..., 0, 0]), windows_of(i, o)[..., 0, 0], 0.0),
)
maximum.add(
    "y",
    "absolute",
    "You compared absolute values; -3 is smaller than 2.",
    lambda i, o: np.abs(windows_of(i, o, value=0.0)).max((4, 5)),
)
maximum.add(
    "y",
    "sum",
    "You took the sum of each window; take the maximum.",
    lambda i, o: windows_of(i, o, value=0.0).sum((4, 5)),
)
maximum.add(
    "y",
    "over_channels",
    "You took the maximum over the channels too.",
    lambda i, o: np.broadcast_to(largest(i, o).max(1, keepdims=True), largest(i, o).shape),
)
maximum.add(
    "y",
    "over_batch",
    "You took the maximum over the images too.",
    lambda i, o: np.broadcast_to(largest(i, o).max(0, keepdims=True), largest(i, o).shape),
)
maximum.add(
    "y",
    "over_everything",
    "window.max() without axes is one number for all images and channels; take it over the window's two axes only.",
    lambda i, o: np.broadcast_to(largest(i, o).max((0, 1), keepdims=True), largest(i, o).shape),
)
maximum.add(
    "y",
    "whole_channel",
    "You took the maximum of the whole channel at every position; take it over the window.",
    lambda i, o: np.broadcast_to(i[0].max((2, 3), keepdims=True), largest(i, o).shape),
)
for _name, (_part, _sides) in SHORT.items():
    _says = f"{_part} of each window are left out: a slice from k to k + KH has KH rows."
    _says = _says if "and" in _part else _says.replace(" are ", " is ")
    maximum.add("y", _name, _says, lambda i, o, s=_sides: shortened(windows_of(i, o), s, value=-np.inf).max((4, 5)))

for _fault, _says in FOLD_FAULTS.items():
    if _fault not in ("averaged", "first_window_only", "kernel_transposed", "assigned"):
        maximum.add("dx", _fault, _says, lambda i, o, d, f=_fault: dmax(i, o, d, f))
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
    lambda i, o, d: dmax(i, o, d, "assigned"),
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
for _name, _says, _move in (
    ("winner_one_late", "one place behind the winner", 1),
    ("winner_one_early", "one place before the winner", -1),
):
    maximum.add(
        "dx",
        _name,
        f"dy went {_says}: places in a window count from 0.",
        lambda i, o, d, m=_move: dmax(i, o, d, pick=lambda f: np.clip(f.argmax(-1) + m, 0, f.shape[-1] - 1)),
        also=(lambda i, o, d, m=_move: dmax(i, o, d, pick=lambda f: (f.argmax(-1) + m) % f.shape[-1]),),
    )
for _name, _what, _axis in (("row_winners", "row", 5), ("column_winners", "column", 4)):
    maximum.add(
        "dx",
        _name,
        f"The winner of every {_what} of a window got dy; one of the whole window does.",
        lambda i, o, d, a=_axis: dmax(i, o, d, shares=_winners(i, o, a) * d[..., None, None]),
        also=(
            lambda i, o, d, a=_axis: dmax(
                i, o, d, shares=_winners(i, o, a) * d[..., None, None] / _winners(i, o, a).sum((4, 5), keepdims=True)
            ),
        ),
    )


def _winners(inputs, o, axis):
    """1 at the largest of each row (axis 5) or each column (axis 4) of every window."""
    view = windows_of(inputs, o)
    return (view == view.max(axis, keepdims=True)) & np.isfinite(view)


maximum.add(
    "dx",
    "whole_channel",
    "Only the largest pixel of the whole channel got dy; each window pays its own winner.",
    lambda i, o, d: dmax(i, o, d) * (i[0] == i[0].max((2, 3), keepdims=True)),
)
maximum.add(
    "dx",
    "spread_over_window",
    "You spread dy evenly over the window; all of it goes to the winner.",
    lambda i, o, d: dmax(
        i, o, d, shares=np.ones_like(windows_of(i, o)) * d[..., None, None] / np.prod(pair(o["kernel_size"]))
    ),
)
maximum.add(
    "dx",
    "everyone_paid",
    "Every pixel of the window got the whole dy; only the winner does.",
    lambda i, o, d: dmax(i, o, d, shares=np.ones_like(windows_of(i, o)) * d[..., None, None]),
)
maximum.add(
    "dx",
    "first_element",
    "The first pixel of each window got dy; the winner does.",
    lambda i, o, d: dmax(i, o, d, pick=lambda f: np.zeros(f.shape[:-1], int)),
)
maximum.add(
    "dx",
    "last_element",
    "The last pixel of each window got dy; the winner does.",
    lambda i, o, d: dmax(i, o, d, pick=lambda f: np.full(f.shape[:-1], f.shape[-1] - 1)),
)
maximum.add(
    "dx",
    "loser_paid",
    "The smallest pixel of each window got dy; the largest does.",
    lambda i, o, d: dmax(i, o, d, pick=lambda f: np.where(np.isinf(f), np.inf, f).argmin(-1)),
)
maximum.add(
    "dx",
    "padding_wins",
    "You looked for the winner with a padding of 0, so padding wins over negative numbers.",
    lambda i, o, d: dmax(i, o, d, shares=picked(windows_of(i, o, value=0.0), first_winner) * d[..., None, None]),
)
maximum.add(
    "dx",
    "multiplied_by_x",
    "You multiplied by x (or y); the winner gets dy as it is.",
    lambda i, o, d: dmax(i, o, d) * i[0],
)
maximum.add("dx", "dy_ignored", "You never used dy: the winners got 1.", lambda i, o, d: dmax(i, o, np.ones_like(d)))
maximum.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -dmax(i, o, d))
maximum.add(
    "dx",
    "averaged",
    "You divided by KH·KW; that belongs to average pooling.",
    lambda i, o, d: dmax(i, o, d) / np.prod(pair(o["kernel_size"])),
)
maximum.add("dx", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(i[0]))
maximum.add(
    "dx",
    "first_channel_winner",
    "You took the first channel's winners for every channel.",
    lambda i, o, d: dmax(
        i,
        o,
        d,
        shares=np.broadcast_to(picked(windows_of(i, o), first_winner)[:, :1], windows_of(i, o).shape)
        * d[..., None, None],
    ),
)
maximum.add(
    "dx",
    "first_sample_winner",
    "You took the first image's winners for every image.",
    lambda i, o, d: dmax(
        i,
        o,
        d,
        shares=np.broadcast_to(picked(windows_of(i, o), first_winner)[:1], windows_of(i, o).shape) * d[..., None, None],
    ),
)
for _last, _name, _says in (
    (True, "mask_overwritten", "You keep one mask for the whole image, and where windows overlap the later one writes "
     "over what the earlier one said: keep each window's winner."),
    (False, "one_mask_for_all", "You keep one mask for the whole image: where windows overlap, the winner of one is "
     "paid by the other too. Keep each window's winner."),
):  # fmt: skip
    maximum.add("dx", _name, _says, lambda i, o, d, last=_last: dmax(
        i, o, d, shares=winners_of_the_image(i[0], o, last=last) * d[..., None, None]))  # fmt: skip
maximum.add(
    "dx",
    "paid_once_per_pixel",
    "You gave dy to the pixels that win any window, once each, and dropped what the other windows owe them.",
    lambda i, o, d: _overwritten(i, o, d, backwards=True),
)


def _ties_paid_twice():
    """A max-pool whose backward pays every pixel that equals the maximum in full."""

    def forward(x, kernel_size, stride, padding):
        o = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        return largest((x,), o), (x, o)

    def backward(dy, cache):
        x, o = cache
        view = windows_of((x,), o)
        return (dmax((x,), o, dy, shares=(view == view.max((4, 5), keepdims=True)) * dy[..., None, None]),)

    return forward, backward


def _changes_dy():
    """A max-pool that scales dy in place before using it."""

    def forward(x, kernel_size, stride, padding):
        o = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        return largest((x,), o), (x, o)

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
