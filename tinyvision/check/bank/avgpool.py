"""Mistakes in average-pooling."""

import numpy as np

from ..reference import pair
from ..windows import FOLD_FAULTS, GATHER_FAULTS, fold, overlap_count, unfold
from .maxpool import SHORT, dmax, first_winner, largest, mean_of, picked, shortened, windows_of
from .mistake import Bank

average = Bank("avgpool2d")
BANKS = [average]


def _davg(inputs, o, d, fault=None, sides=(False, False), of=(False, False)):
    """dy in equal shares; without the last row or column of a window, or divided as if it were not `of` it."""
    kernel = pair(o["kernel_size"])
    shares = np.broadcast_to(d[..., None, None], (*d.shape, *kernel))
    count = shortened(np.ones((1, 1, 1, 1, *kernel)), of).sum()
    return fold(shortened(shares / count, sides), inputs[0].shape, o["stride"], o["padding"], fault)


def _real_pixels(inputs, o):
    """How many pixels of each window are image, not padding: (1, 1, OH, OW)."""
    return unfold(np.ones((1, 1, *inputs[0].shape[2:])), o["kernel_size"], o["stride"], o["padding"]).sum((4, 5))


def _area(o):
    return np.prod(pair(o["kernel_size"]))


for _fault, _says in GATHER_FAULTS.items():
    average.add("y", _fault, _says, lambda i, o, f=_fault: mean_of(i, o, f))
for _name, (_part, _sides) in SHORT.items():
    _says = f"{_part} of each window are left out: a slice from k to k + KH has KH rows."
    _says = _says if "and" in _part else _says.replace(" are ", " is ")
    average.add(
        "y",
        _name,
        _says,
        lambda i, o, s=_sides: shortened(windows_of(i, o, value=0.0), s).mean((4, 5)),
        also=(lambda i, o, s=_sides: np.nanmean(shortened(windows_of(i, o, value=0.0), s, value=np.nan), (4, 5)),),
    )
    average.add(
        "dx",
        _name,
        f"{_says[:-1]}: its pixels get no share.",
        lambda i, o, d, s=_sides: _davg(i, o, d, sides=s),
        also=(lambda i, o, d, s=_sides: _davg(i, o, d, sides=s, of=s),),
    )
average.add(
    "y",
    "over_everything",
    "window.mean() without axes is one number for all images and channels; take it over the window's two axes only.",
    lambda i, o: np.broadcast_to(mean_of(i, o).mean((0, 1), keepdims=True), mean_of(i, o).shape),
)
average.add(
    "y",
    "whole_channel",
    "You took the mean of the whole channel at every position; take it over the window.",
    lambda i, o: np.broadcast_to(i[0].mean((2, 3), keepdims=True), mean_of(i, o).shape),
)

average.add("y", "not_divided", "You summed each window; divide by KH·KW.", lambda i, o: mean_of(i, o) * _area(o))
average.add(
    "y",
    "divided_by_height",
    "You divided by KH; divide by KH·KW.",
    lambda i, o: mean_of(i, o) * pair(o["kernel_size"])[1],
)
average.add(
    "y",
    "divided_by_height_squared",
    "You divided by KH²; divide by KH·KW.",
    lambda i, o: mean_of(i, o) * _area(o) / pair(o["kernel_size"])[0] ** 2,
)
average.add(
    "y",
    "padding_not_counted",
    "You divided border windows by the number of real pixels; the padding's zeros "
    "count too (PyTorch's count_include_pad=True).",
    lambda i, o: mean_of(i, o) * _area(o) / _real_pixels(i, o),
)
average.add(
    "y", "maximum", "You took the maximum of each window; take the mean.", lambda i, o: largest(i, o, value=0.0)
)
average.add(
    "y",
    "divided_by_stride",
    "You divided by the strides' product; divide by KH·KW.",
    lambda i, o: mean_of(i, o) * _area(o) / np.prod(pair(o["stride"])),
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
    lambda i, o, d: dmax(i, o, d, shares=picked(windows_of(i, o), first_winner) * d[..., None, None]),
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
