"""Figures for the pages of the tutorials: small SVG pictures without words, made of the page's own arrays.

    draw.images("02-edges", picture, edges)           side by side; signed=True: orange +, blue -
    draw.curves("08-nudge", h, [error], log=True)     lines over one axis
    draw.bars("07-softmax", probabilities)            bars
    draw.walks("17-bowl", heights, box, paths)        walks over a valley, seen from above
    draw.moving("05-im2col", [draw.images(None, ...), ...])   figures in turn

Each returns a Figure, which notebooks display; a plain Python session finds it as runs/figures/NAME.svg.
A figure of name None is a frame for `moving`, and is kept nowhere. NaN is not drawn.
Every figure has a light panel of its own, so it reads the same on light and dark pages. Lines differ in
colour, dash and mark.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..tape import Variable

INK, PALE, PANEL = "#444444", "#bbbbbb", "#fbfaf7"
# Okabe and Ito's palette, in the order in which neighbours differ most in lightness too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a5c00", "#56b4e9")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
LEVELS = 24  # shades: steps too small to see would only make the files larger

_collected: dict[str, Figure] | None = None


@dataclass
class Figure:
    """A picture: its name, its SVG text, the numbers it shows, and the elements and the size it is made of."""

    name: str | None
    svg: str
    numbers: dict[str, Any]
    path: Path | None = None
    parts: Sequence[str] = field(default=(), repr=False)
    size: tuple[int, int] = (0, 0)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Figure({self.path or self.name})"


@contextlib.contextmanager
def collect() -> Iterator[dict[str, Figure]]:
    """Gather the figures drawn inside a `with` block in a dict, instead of writing them to files."""
    global _collected
    previous, _collected = _collected, {}
    try:
        yield _collected
    finally:
        _collected = previous


def images(
    name: str | None,
    *arrays: Any,
    signed: bool = False,
    columns: int | None = None,
    digits: int | None = None,
    frames: Sequence[tuple[int, ...]] | None = None,
    cell: int | None = None,
    limit: float | None = None,
    tolerance: float = 0.01,
) -> Figure:
    """Arrays (H, W), or colour pictures (3, H, W) from 0 to 1, side by side.

    signed   0 is white, + orange, - blue, as strong as the largest number of all (or `limit`);
             otherwise black to white from the smallest to the largest number of each array (or 0 to `limit`)
    digits   write the number into each pixel, with so many decimals
    frames   [(which array, row, column, height, width), ...] to outline; a sixth item numbers the colour"""
    arrays = tuple(np.asarray(a.array if isinstance(a, Variable) else a, dtype=float) for a in arrays)
    columns = columns or min(len(arrays), 8)
    wide = max(a.shape[-1] for a in arrays)
    cell = cell or (34 if digits is not None else max(3, min(16, 640 // (columns * wide), 320 // wide)))
    strongest = limit or max(max(_largest(np.abs(a)) for a in arrays), 1e-12)
    parts, gap = [], 12
    widths = [max(a.shape[-1] for a in arrays[i::columns]) * cell + gap for i in range(columns)]
    heights = [max(a.shape[-2] for a in arrays[i : i + columns]) * cell + gap for i in range(0, len(arrays), columns)]
    for number, a in enumerate(arrays):
        x, y = gap + sum(widths[: number % columns]), gap + sum(heights[: number // columns])
        inner = _pixels(a, signed, strongest, limit)
        if digits is not None:
            inner += _digits(a, digits, signed, strongest, limit)
        for which, row, column, h, w, *colour in frames or []:
            if which == number:
                stroke = COLOURS[colour[0] if colour else 2]
                inner += _outline(column, row, w, h, stroke, 0.14)
        outline = _outline(0, 0, a.shape[-1], a.shape[-2], PALE, 1 / cell)
        parts.append(f'<g transform="translate({x} {y}) scale({cell})">{inner}{outline}</g>')
    return _finish(name, (gap + sum(widths), gap + sum(heights)), parts, arrays, tolerance)


def curves(
    name: str | None,
    x: Any,
    ys: Sequence[Any],
    log: bool = False,
    log_y: bool = False,
    marks: bool | None = None,
    tolerance: float = 0.02,
) -> Figure:
    """Lines y over one shared x. `log` makes both axes logarithmic, `log_y` the one; few points get marks as well."""
    log_y = log or log_y
    x, ys = np.asarray(x, float), [np.asarray(y, float) for y in ys]
    u, vs = (np.log10(x) if log else x), [np.log10(np.maximum(y, 1e-300)) if log_y else y for y in ys]
    width, height, left, bottom, top = 560, 280, 58, 30, 14
    finite = np.concatenate(vs)
    finite = finite[np.isfinite(finite)]
    (u0, u1), (v0, v1) = _span(u, log), _span(finite, log_y)

    def px(value):
        return left + (value - u0) / (u1 - u0) * (width - left - 16)

    def py(value):
        return height - bottom - (value - v0) / (v1 - v0) * (height - bottom - top)

    parts = [_axes(px, py, (u0, u1, log), (v0, v1, log_y), width, height, left, bottom, top)]
    marks = len(x) <= 24 if marks is None else marks
    for number, v in enumerate(vs):
        colour, dash = COLOURS[number % 6], DASHES[number % 6]
        points = [(px(a), py(b)) for a, b in zip(u, v, strict=True) if np.isfinite(b)]
        line = " ".join(f"{_short(a)},{_short(b)}" for a, b in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        if marks:
            parts += [_mark(number, a, b, colour) for a, b in points]
    return _finish(name, (width, height), parts, [x, *ys], tolerance)


def bars(name: str | None, *groups: Any, tolerance: float = 0.02) -> Figure:
    """Bars from 0, one panel for each array of numbers (K,), all to one scale."""
    groups = tuple(np.asarray(g, float) for g in groups)
    high, low = max(0.0, *(g.max() for g in groups)), min(0.0, *(g.min() for g in groups))
    span, height, wide, gap = max(high - low, 1e-12), 130, 16, 18
    parts, x = [], gap
    base = 14 + high / span * height
    for number, g in enumerate(groups):
        for value in g:
            length = abs(value) / span * height
            y = base - length if value > 0 else base
            place = f'x="{x}" y="{_short(y)}" width="{wide - 3}" height="{_short(length)}"'
            parts.append(f'<rect {place} fill="{COLOURS[number % 6]}"/>')
            x += wide
        left = x - wide * len(g)
        parts.append(f'<path d="M{left - 3} {_short(base)}H{x}" stroke="{INK}"/>')
        x += gap
    return _finish(name, (x, height + 28), parts, groups, tolerance)


def walks(
    name: str | None,
    heights: Any,
    box: tuple[float, float, float, float],
    paths: Sequence[Any],
    tolerance: float = 0.02,
) -> Figure:
    """Walks over a valley seen from above, low places dark, with a ball where each walk ends.

    heights (H, W) over box (left, right, bottom, top), row 0 at the bottom; each path (T, 2): places (across, up)"""
    heights, paths = np.asarray(heights, float), [np.asarray(path, float) for path in paths]
    (rows, columns), (left, right, bottom, top), gap = heights.shape, box, 12
    cell = max(3, 560 // columns)
    place = f'transform="translate({gap} {gap}) scale({cell})" shape-rendering="crispEdges"'
    ground = f"<g {place}>{_pixels(heights[::-1], False, 1, None)}</g>"
    parts = [ground]
    for number, path in enumerate(paths):
        across = gap + (path[:, 0] - left) / (right - left) * columns * cell
        down = gap + (top - path[:, 1]) / (top - bottom) * rows * cell
        line = " ".join(f"{_short(a)},{_short(b)}" for a, b in zip(across, down, strict=True))
        halo, look = 'fill="none" stroke="#fff" stroke-width="5"', f'fill="none" stroke="{COLOURS[number % 6]}"'
        dashed = f' stroke-dasharray="{DASHES[number % 6]}"' if number else ""
        parts.append(f'<polyline points="{line}" {halo}/><polyline points="{line}" {look} stroke-width="3"{dashed}/>')
        ball = f'cx="{_short(across[-1])}" cy="{_short(down[-1])}" r="8" fill="{COLOURS[number % 6]}"'
        parts.append(f'<circle {ball} stroke="#fff" stroke-width="2"/>')
    size = (2 * gap + columns * cell, 2 * gap + rows * cell)
    return _finish(name, size, parts, [heights, *paths], tolerance)


def moving(name: str, frames: Sequence[Figure], seconds: float = 0.6, still: int = -1) -> Figure:
    """Figures of one size, each shown for so many `seconds` (the last for three times that), again and again.

    Where nothing may move, in print or for a reader whose system asks for less motion, frame number `still` stands
    alone. What is alike in all frames is drawn once. Raises OptionError for frames of several sizes, or of none."""
    sizes = {frame.size for frame in frames}
    if len(sizes) != 1:
        raise OptionError(f"moving: frames must be figures of one size, got {sorted(sizes) or 'none'}")
    (size,), last = sizes, len(frames) - 1
    alike = [len(set(parts)) == 1 for parts in zip(*(frame.parts for frame in frames), strict=False)]
    steps = len(frames) + 2
    css = f"figure-{name}"  # of its own, since a notebook's figures share one page
    turns = f".{css}{{animation:{css} {_short(steps * seconds)}s step-end infinite}}"
    longer = f".{css}-last{{animation-name:{css}-last}}"
    style = f"<style>@media screen and (prefers-reduced-motion:no-preference){{{turns}{longer}}}"
    for rule, turn in ((css, 100), (f"{css}-last", 300)):
        style += f"@keyframes {rule}{{0%{{visibility:visible}}{turn / steps:.4f}%{{visibility:hidden}}}}"
    style += "</style>"
    parts = [style, *(part for part, shared in zip(frames[0].parts, alike, strict=False) if shared)]
    for number, frame in enumerate(frames):
        own = [part for i, part in enumerate(frame.parts) if i >= len(alike) or not alike[i]]
        classes = f"{css} {css}-last" if number == last else css
        # A negative delay, so that every frame is somewhere in its turn from the very beginning.
        begins = f'style="animation-delay:{(number - steps) * seconds:.4g}s"'
        seen = "visible" if number == still % len(frames) else "hidden"
        parts.append(f'<g class="{classes}" {begins} visibility="{seen}">{"".join(own)}</g>')
    arrays = []
    for one in zip(*(frame.numbers["arrays"] for frame in frames), strict=True):
        arrays += [np.asarray(a) for a in (one[:1] if all(a == one[0] for a in one) else one)]
    return _finish(name, size, parts, arrays, max(frame.numbers["tolerance"] for frame in frames))


def same_numbers(kept: dict[str, Any], drawn: dict[str, Any]) -> bool:
    """Whether two figures' numbers agree, to the figure's tolerance of the largest number of each array."""

    def agree(a, b):
        a, b = np.asarray(a, float), np.asarray(b, float)
        room = kept["tolerance"] * _largest(np.abs(a))
        return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=room, equal_nan=True)

    if len(kept["arrays"]) != len(drawn["arrays"]):
        return False
    return all(agree(a, b) for a, b in zip(kept["arrays"], drawn["arrays"], strict=True))


def _largest(a):
    """The largest number of an array, NaN left out; 0 if nothing is left."""
    return float(np.max(a, initial=0.0, where=~np.isnan(a)))


def _pixels(a, signed, strongest, limit):
    """Strokes as wide as a pixel, those of one colour in one path, neighbours in a row merged."""
    if a.ndim == 3:
        steps = np.rint(np.clip(a, 0, 1) * 15).astype(int) * 17
        keys = (steps[0] << 16) + (steps[1] << 8) + steps[2]
        colours = {k: f"#{k:06x}" for k in np.unique(keys)}
    elif signed:
        keys = np.rint(np.clip(np.nan_to_num(a) / strongest, -1, 1) * LEVELS).astype(int)
        colours = {k: _signed_colour(k / LEVELS) for k in np.unique(keys)}
    else:
        low, high = _range(a, limit)
        keys = np.rint(np.clip((np.nan_to_num(a) - low) / max(high - low, 1e-12), 0, 1) * LEVELS).astype(int)
        colours = {k: "#" + f"{round(255 * k / LEVELS):02x}" * 3 for k in np.unique(keys)}
    if a.ndim == 2 and np.isnan(a).any():
        keys[np.isnan(a)] = 2 * LEVELS  # a level that no number has
        colours[2 * LEVELS] = PANEL
    paths = {k: [] for k in colours}
    for row, line in enumerate(keys):
        edges = [0, *(np.flatnonzero(np.diff(line)) + 1), len(line)]
        for start, end in itertools.pairwise(edges):
            paths[line[start]].append(f"M{start} {row}h{end - start}")
    rows = "".join(f'<path stroke="{colours[k]}" d="{"".join(p)}"/>' for k, p in paths.items())
    return f'<g transform="translate(0 .5)" fill="none">{rows}</g>'


def _range(a, limit):
    """The numbers that are black and white."""
    seen = a[~np.isnan(a)]
    return (0, limit) if limit else (seen.min(), seen.max()) if seen.size else (0, 1)


def _outline(x, y, width, height, colour, thickness):
    place = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return f'<rect {place} fill="none" stroke="{colour}" stroke-width="{_short(thickness)}"/>'


def _signed_colour(value):
    """White at 0, towards orange for +, towards blue for -: apart for all common colour blindness."""
    end = (179, 88, 6) if value > 0 else (33, 102, 172)
    return "#" + "".join(f"{round(255 + (c - 255) * abs(value)):02x}" for c in end)


def _digits(a, decimals, signed, strongest, limit):
    parts = []
    low, high = _range(a, limit)
    for (row, column), value in np.ndenumerate(a):
        if np.isnan(value):
            continue
        dark = abs(value) / strongest > 0.6 if signed else (value - low) / max(high - low, 1e-12) < 0.5
        text = f"{value:.{decimals}f}".replace("-", "−")
        text = text.removeprefix("−") if float(text.replace("−", "-")) == 0 else text
        size = min(0.4, 1.4 / max(len(text), 1))
        look = f'font-size="{_short(size)}" fill="{"#fff" if dark else "#222"}"'
        parts.append(f'<text x="{column + 0.5}" y="{row + 0.5}" {look}>{text}</text>')
    style = 'font-family="sans-serif" text-anchor="middle" dominant-baseline="central"'
    return f"<g {style}>{''.join(parts)}</g>"


def _span(values, log):
    low, high = float(values.min()), float(values.max())
    if log:
        return math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    low = 0.0 if 0 <= low < 0.4 * high else low
    room = (high - low or 1.0) * 0.04
    return (low if low == 0 else low - room), high + room


def _axes(px, py, across, up, width, height, left, bottom, top):
    parts = [f'<path d="M{left} {top}V{height - bottom}H{width - 16}" fill="none" stroke="{INK}"/>']
    for tick, text in _ticks(*across):
        parts.append(f'<text x="{_short(px(tick))}" y="{height - 10}" text-anchor="middle">{text}</text>')
    for tick, text in _ticks(*up):
        y = _short(py(tick))
        parts.append(f'<path d="M{left} {y}H{width - 16}" stroke="{PALE}" stroke-width=".5"/>')
        parts.append(f'<text x="{left - 6}" y="{y}" text-anchor="end" dominant-baseline="central">{text}</text>')
    return f'<g font-family="sans-serif" font-size="12" fill="{INK}">{"".join(parts)}</g>'


def _ticks(low, high, log):
    if log:
        step = max(1, math.ceil((high - low) / 6))
        raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
        return [(e, "10" + str(e).translate(raised)) for e in range(int(low), int(high) + 1, step)]
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(i * step, 10) for i in range(first, last + 1)]
    return [(v, f"{v:g}".replace("-", "−")) for v in values]


def _mark(number, x, y, colour):
    x, y = float(_short(x)), float(_short(y))
    shape = number % 3
    if shape == 0:
        return f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
    if shape == 1:
        return f'<rect x="{x - 3:g}" y="{y - 3:g}" width="6" height="6" fill="{colour}"/>'
    return f'<path d="M{x} {y - 4:g}l4 7h-8z" fill="{colour}"/>'


def _short(value):
    return f"{float(value):.4g}" if abs(value) < 1 else f"{float(value):.1f}".removesuffix(".0")


def _rounded(a):
    """An array as nested lists of numbers of 3 significant digits, which is more than anybody sees."""
    return np.vectorize(lambda v: float(f"{v:.3g}"), otypes=[float])(a).tolist()


def _finish(name, size, parts, arrays, tolerance):
    width, height = (round(s) for s in size)
    size = f'width="{width}" height="{height}"'
    panel = f'<rect {size} rx="6" fill="{PANEL}"/>'
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">'
    svg = opening + panel + "\n".join(parts) + "</svg>\n"
    numbers = {"arrays": [_rounded(a) for a in arrays], "tolerance": tolerance}
    figure = Figure(name, svg, numbers, parts=parts, size=(width, height))
    if name is None:
        return figure
    if _collected is not None:
        _collected[name] = figure
        return figure
    figure.path = Path("runs") / "figures" / f"{name}.svg"
    figure.path.parent.mkdir(parents=True, exist_ok=True)
    figure.path.write_text(svg)
    return figure
