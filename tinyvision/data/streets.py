"""Street scenes drawn on demand: a road with cars, signs and people made of simple shapes, and where they are.

They are drawings. A network that has learned them knows nothing of photographs of streets."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..errors import OptionError
from ..ops.checks import is_integer
from .dataset import Dataset

THINGS = ("car", "sign", "person")
AREAS = ("background", "road", "pavement", *THINGS)

_LEAST_SEEN = 0.4  # of a thing must be in sight for it to count as there
_LEAST_PIXELS = 12


class StreetScene(NamedTuple):
    """One picture and everything that is known about it; K is the number of things in it.

    image   uint8 RGB (H, W, 3)
    labels  int64 (K,), numbers of THINGS, what is far away first
    boxes   float32 (K, 4): left, top, right, bottom of what is in sight, in pixels, right and bottom exclusive
    masks   bool (K, H, W), the pixels of each thing that are in sight
    areas   int64 (H, W), what every pixel shows: numbers of AREAS, also where a thing is too far away, or too much
            hidden, to be among the K"""

    image: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray
    areas: np.ndarray


class Streets(Dataset):
    """`length` drawn street scenes as (uint8 RGB (size, size, 3), StreetScene).

    length   how many scenes
    size     height and width in pixels, from 48
    seed     the same seed draws the same scenes, each on its own: number 7 does not need numbers 0 to 6
    train    training and test scenes are drawn from different streams

    Raises OptionError for settings without meaning."""

    def __init__(self, length: int = 1000, size: int = 96, seed: int = 0, train: bool = True) -> None:
        if not all(is_integer(n) for n in (length, size)) or length < 1 or size < 48:
            raise OptionError(f"Streets: length is a whole number from 1, size from 48, got {length!r} and {size!r}")
        self.length, self.size, self.seed, self.train = length, size, seed, bool(train)
        self.classes = list(THINGS)
        random.stream(seed)  # refuses what is no seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, StreetScene]:
        scene = self.scene(index)
        return scene.image, scene

    def scene(self, index: int) -> StreetScene:
        """The picture of that number, with the boxes and masks of the things in it."""
        rng = random.stream(self.seed, "streets", "train" if self.train else "test", self._index(index))
        view, canvas = _View(self.size, rng), _Canvas(self.size)
        _draw_background(canvas, view, rng)
        things = [_placed(view, rng) for _ in range(int(rng.integers(2, 8)))]
        things.sort(key=lambda thing: thing[1])  # what is near is drawn last, over what is far
        labels, masks = [], []
        for label, depth, side in things:
            canvas.begin()
            _DRAWN[label](canvas, view, depth, side, rng)
            labels.append(label)
            masks.append(canvas.end(THINGS[label]))
        image = canvas.pixels * rng.uniform(0.75, 1.1) + rng.normal(0, 5, canvas.pixels.shape)
        return StreetScene(np.clip(image, 0, 255).astype(np.uint8), *_in_sight(labels, masks), canvas.areas)


class _View:
    """From where a street is seen. Depth is 0 at the horizon and 1 at the lower edge; whatever stands there is as large
    in the picture as its depth says, for so it is in perspective with a camera that looks straight ahead."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.horizon = size * rng.uniform(0.3, 0.42)
        self.vanishing = size * rng.uniform(0.4, 0.6)
        self.road = (size * rng.uniform(-0.15, 0.12), size * rng.uniform(0.88, 1.15))  # its edges at the lower border
        self.kerb = size * rng.uniform(0.18, 0.3)  # the width of a pavement there

    def at(self, x: float, depth: float) -> tuple[float, float]:
        """Where what is seen at x on the lower border is at another depth."""
        return self.vanishing + (x - self.vanishing) * depth, self.horizon + (self.size - self.horizon) * depth

    def strip(self, left: float, right: float) -> list[tuple[float, float]]:
        """What lies between two x of the lower border, as far as the horizon."""
        return [self.at(left, 0.02), self.at(right, 0.02), self.at(right, 1.02), self.at(left, 1.02)]


class _Canvas:
    """pixels float64 (S, S, 3), and areas int64 (S, S), what they show.

    The shapes are painted with soft edges: how much of a pixel a shape covers is its distance from the edge, in pixels,
    cut at half a pixel. Only the part of the canvas around a shape is looked at."""

    def __init__(self, size: int) -> None:
        self.pixels = np.zeros((size, size, 3))
        self.areas = np.zeros((size, size), np.int64)
        self.y, self.x = np.mgrid[:size, :size] + 0.5
        self.begin()

    def begin(self) -> None:
        """From here on what is painted is one thing."""
        self._covered = np.zeros(self.x.shape)

    def end(self, name: str) -> np.ndarray:
        """That thing was one of AREAS  ->  its pixels, bool (S, S)."""
        mask = self._covered >= 0.5
        self.areas[mask] = AREAS.index(name)
        return mask

    def polygon(self, colour: np.ndarray, *corners: tuple[float, float]) -> None:
        """A convex polygon, its corners clockwise."""
        xs, ys = zip(*corners, strict=True)
        x, y, window = self.around(min(xs), min(ys), max(xs), max(ys))
        inside = np.full(x.shape, np.inf)
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            length = max(math.hypot(bx - ax, by - ay), 1e-9)
            np.minimum(inside, ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length, out=inside)
        self.paint(colour, inside, window)

    def box(self, colour: np.ndarray, left: float, top: float, right: float, bottom: float) -> None:
        """An upright rectangle."""
        x, y, window = self.around(left, top, right, bottom)
        inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - top, bottom - y))
        self.paint(colour, inside, window)

    def disc(self, colour: np.ndarray, x: float, y: float, radius: float) -> None:
        """A disc."""
        xs, ys, window = self.around(x - radius, y - radius, x + radius, y + radius)
        self.paint(colour, radius - np.hypot(xs - x, ys - y), window)

    def paint(self, colour: np.ndarray, inside: np.ndarray, window: Any = np.s_[:]) -> None:
        """Lay a colour over what is inside by `inside` pixels, in a part of the canvas."""
        coverage = np.clip(inside + 0.5, 0, 1)
        part, covered = self.pixels[window], self._covered[window]
        part += coverage[..., None] * (colour - part)
        np.maximum(covered, coverage, out=covered)

    def around(self, left: float, top: float, right: float, bottom: float) -> tuple[np.ndarray, np.ndarray, Any]:
        """(x, y, the slices) of the pixels that a shape within these bounds can touch; none, if it is elsewhere."""
        a, b, c, d = (max(int(v), 0) for v in (top - 1, bottom + 2, left - 1, right + 2))
        window = np.s_[a:b, c:d]
        return self.x[window], self.y[window], window


def _draw_background(canvas: _Canvas, view: _View, rng: np.random.Generator) -> None:
    """Sky, houses with windows, meadows, pavements, and a road with a broken line."""
    size = view.size
    sky = rng.uniform([120, 150, 180], [200, 215, 250])
    canvas.pixels[:] = sky + (canvas.y / size)[..., None] * rng.uniform(-30, 60)
    x = -rng.uniform(0, 0.2) * size
    while x < size:
        width, top = size * rng.uniform(0.12, 0.3), view.horizon - size * rng.uniform(0.04, 0.28)
        _draw_house(canvas, (x, top, x + width, view.horizon), rng)
        x += width + (size * rng.uniform(0, 0.08) if rng.random() < 0.4 else 0)
    canvas.box(rng.uniform([60, 90, 40], [120, 150, 90]), -1, view.horizon, size + 1, size + 1)
    left, right = view.road
    canvas.begin()
    canvas.polygon(_greyish(130, 190, rng), *view.strip(left - view.kerb, right + view.kerb))
    canvas.end("pavement")
    canvas.begin()
    canvas.polygon(_greyish(55, 105, rng), *view.strip(left, right))
    canvas.end("road")
    middle, half = (left + right) / 2, size * 0.012
    for near in np.cumprod(np.full(9, 0.75)) * rng.uniform(1.0, 1.3):
        corners = ((-1, 0.86), (1, 0.86), (1, 1), (-1, 1))
        canvas.polygon(np.full(3, 225.0), *(view.at(middle + s * half, share * near) for s, share in corners))


def _draw_house(canvas: _Canvas, place: tuple[float, float, float, float], rng: np.random.Generator) -> None:
    """A wall with rows of windows."""
    left, top, right, bottom = place
    wall = _greyish(60, 210, rng, 25)
    canvas.box(wall, left, top, right, bottom + 1)
    step = canvas.x.shape[0] * 0.055
    x, y, window = canvas.around(left, top, right, bottom)
    panes = ((x - left) % step > 0.45 * step) & ((y - top) % step > 0.5 * step)
    panes &= (x > left + 1) & (x < right - 1) & (y > top + 1) & (y < bottom - 1)
    canvas.paint(wall * rng.uniform(0.3, 0.7), panes * 0.6 - 0.5, window)


def _greyish(low: float, high: float, rng: np.random.Generator, tint: float = 10) -> np.ndarray:
    return rng.uniform(low, high) + rng.uniform(-tint, tint, 3)


def _placed(view: _View, rng: np.random.Generator) -> tuple[int, float, float]:
    """(what it is, at what depth, where it would stand on the lower border): cars in a lane, signs at the kerb, people
    on the pavements, and now and then on the road."""
    label = int(rng.choice(len(THINGS), p=(0.45, 0.25, 0.3)))
    depth = float(rng.uniform(0.28, 0.9))
    left, right = view.road
    if THINGS[label] == "car":
        lane = rng.choice((0.27, 0.73)) + rng.uniform(-0.06, 0.06)
        return label, depth, left + lane * (right - left)
    far_side = rng.random() < 0.5
    edge, outwards = (right, 1) if far_side else (left, -1)
    if THINGS[label] == "sign":
        return label, depth, edge + outwards * 0.15 * view.kerb
    if rng.random() < 0.2:
        return label, depth, rng.uniform(left, right)
    return label, depth, edge + outwards * rng.uniform(0.35, 0.9) * view.kerb


def _draw_car(canvas: _Canvas, view: _View, depth: float, side: float, rng: np.random.Generator) -> None:
    """From behind or from the front: wheels, body, roof with a window, lamps."""
    x, y = view.at(side, depth)
    w = view.size * 0.32 * depth * rng.uniform(0.85, 1.1)
    h = w * rng.uniform(0.72, 0.9)
    colour, waist = rng.uniform(20, 240, 3), y - 0.55 * h
    for wheel in (-0.36, 0.36):
        canvas.box(np.full(3, 26.0), x + (wheel - 0.1) * w, y - 0.2 * h, x + (wheel + 0.1) * w, y)
    for top, bottom, up, paint in ((0.3, 0.42, 1, colour), (0.24, 0.33, 0.93, np.array([60.0, 75, 90]))):
        roof, end = y - up * h, waist + up
        corners = (x - top * w, roof), (x + top * w, roof), (x + bottom * w, end), (x - bottom * w, end)
        canvas.polygon(paint, *corners)
    canvas.box(colour, x - w / 2, waist, x + w / 2, y - 0.1 * h)
    lamp = np.array([220.0, 40, 30]) if rng.random() < 0.5 else np.array([250.0, 245, 200])
    for end in (-0.4, 0.4):
        canvas.box(lamp, x + (end - 0.07) * w, y - 0.45 * h, x + (end + 0.07) * w, y - 0.32 * h)


def _draw_sign(canvas: _Canvas, view: _View, depth: float, side: float, rng: np.random.Generator) -> None:
    """A post with a disc, a triangle or a square on it."""
    x, y = view.at(side, depth)
    r = view.size * 0.065 * depth * rng.uniform(0.9, 1.2)
    top, post = y - r * rng.uniform(5, 6.5), max(0.14 * r, 0.5)
    canvas.box(np.full(3, 120.0), x - post, top, x + post, y)
    red, white, blue = np.array([205.0, 25, 30]), np.full(3, 240.0), np.array([25.0, 70, 185])
    kind = int(rng.integers(3))
    if kind == 2:
        canvas.box(blue, x - 0.9 * r, top - 0.9 * r, x + 0.9 * r, top + 0.9 * r)
        canvas.box(white, x - 0.25 * r, top - 0.6 * r, x + 0.25 * r, top + 0.6 * r)
        return
    for share, colour in ((1.0, red), (0.6, white)):
        if kind == 0:
            canvas.disc(colour, x, top, share * r)
        else:
            a = 1.15 * share * r
            canvas.polygon(colour, (x, top - a), (x + 0.87 * a, top + a / 2), (x - 0.87 * a, top + a / 2))


def _draw_person(canvas: _Canvas, view: _View, depth: float, side: float, rng: np.random.Generator) -> None:
    """Legs, a coat and a head."""
    x, y = view.at(side, depth)
    h = view.size * 0.34 * depth * rng.uniform(0.85, 1.1)
    skin = np.array([235.0, 195, 165]) * rng.uniform(0.35, 1)
    trousers, coat = rng.uniform(15, 110, 3), rng.uniform(20, 240, 3)
    stride, hips, half = rng.uniform(0.03, 0.1) * h, y - 0.5 * h, 0.04 * h
    for step in (-1, 1):
        hip, foot = x + step * 0.045 * h, x + step * stride
        canvas.polygon(trousers, (hip - half, hips), (hip + half, hips), (foot + half, y), (foot - half, y))
    canvas.box(coat, x - 0.11 * h, y - 0.84 * h, x + 0.11 * h, y - 0.42 * h)
    canvas.disc(skin, x, y - 0.91 * h, 0.085 * h)


_DRAWN = (_draw_car, _draw_sign, _draw_person)


def _in_sight(labels: list[int], masks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, boxes, masks) of what later things have not hidden too much of, and what is not too far away to be
    made out."""
    kept, boxes, seen = [], [], []
    hidden = np.zeros_like(masks[0])
    for label, mask in zip(reversed(labels), reversed(masks), strict=True):  # from near to far
        visible = mask & ~hidden
        hidden |= mask
        if visible.sum() < max(_LEAST_PIXELS, _LEAST_SEEN * mask.sum()):
            continue
        rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
        kept.append(label)
        seen.append(visible)
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    count = len(kept)
    return (
        np.array(kept[::-1], np.int64),
        np.array(boxes[::-1], np.float32).reshape(count, 4),
        np.array(seen[::-1], bool).reshape(count, *masks[0].shape),
    )
