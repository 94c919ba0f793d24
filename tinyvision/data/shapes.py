"""Pictures of simple shapes, drawn on demand: for trying things out, and for tasks beyond classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import random
from ..errors import OptionError
from ..ops.checks import is_integer
from .dataset import Dataset, Transform

_CLASSES = ("circle", "square", "triangle", "star", "cross", "ring")


class Scene(NamedTuple):
    """One picture and everything that is known about it; K is the number of shapes in it.

    image   uint8 RGB (H, W, 3)
    labels  int64 (K,), the largest shape first
    boxes   float32 (K, 4): left, top, right, bottom in pixels, right and bottom exclusive
    masks   bool (K, H, W), the pixels that each shape covers"""

    image: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    masks: np.ndarray


class Shapes(Dataset):
    """`length` drawn pictures, uint8 RGB (H, W, 3), labelled with the class of the largest shape in them.

    length     how many pictures
    size       height and width in pixels, or (height, width); at least 16
    seed       the same seed draws the same pictures, each on its own: number 7 does not need numbers 0 to 6
    train      training and test pictures are drawn from different streams
    objects    shapes in a picture, at most; they never overlap, and a crowded picture may hold fewer

    `scene(i)` gives the picture with the labels, boxes and masks of all its shapes.
    Raises OptionError for settings without meaning."""

    def __init__(
        self,
        length: int = 1000,
        size: int | Sequence[int] = 64,
        seed: int = 0,
        train: bool = True,
        objects: int = 1,
        transform: Transform | None = None,
    ) -> None:
        sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        numbers = (length, objects, *sides)
        if len(sides) != 2 or not all(is_integer(n) for n in numbers):
            raise OptionError(f"Shapes: length, objects and size must be integers, got {length}, {objects}, {size}")
        if length < 1 or not 1 <= objects <= 100 or min(sides) < 16:
            raise OptionError("Shapes: length must be from 1, objects from 1 to 100, height and width from 16")
        self.length, self.size, self.seed, self.objects = length, sides, seed, objects
        self.train, self.transform, self.classes = bool(train), transform, list(_CLASSES)
        random.stream(seed)  # refuses what is no seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, int]:
        scene = self.scene(index)
        image = scene.image if self.transform is None else self.transform(scene.image)
        return image, int(scene.labels[0])

    @property
    def labels(self) -> np.ndarray:
        """Labels (N,) of all pictures, found without drawing them."""
        return np.array([_label(self._stream(index)) for index in range(self.length)], np.int64)

    def scene(self, index: int) -> Scene:
        """Picture number `index` with the labels, boxes and masks of its shapes, before any transform."""
        rng = self._stream(self._index(index))
        height, width = self.size
        first = _label(rng)
        image = _background(rng, height, width)
        placed: list[tuple[float, float, float]] = []  # x, y, radius
        labels, masks = [], []
        largest = min(height, width) * (0.42 if self.objects == 1 else 0.28)
        for number in range(self.objects):
            radius = largest * rng.uniform(0.6, 1) if number == 0 else placed[0][2] * rng.uniform(0.45, 0.95)
            label = first if number == 0 else int(rng.integers(len(_CLASSES)))
            place = _free_place(rng, height, width, max(radius, 3.0), placed)
            if place is None:
                continue
            placed.append(place)
            coverage = _coverage(_CLASSES[label], height, width, place, rng.uniform(0, 2 * np.pi))
            _paint(image, coverage, _colour_apart(rng, image))
            labels.append(label)
            masks.append(coverage >= 0.5)
        pixels = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        stacked = np.stack(masks)
        return Scene(pixels, np.array(labels, np.int64), _boxes(stacked), stacked)

    def _stream(self, index: int) -> np.random.Generator:
        return random.stream(self.seed, "shapes", "train" if self.train else "test", index)


def _label(rng: np.random.Generator) -> int:
    """The first thing drawn for a picture, so that labels can be known without the picture."""
    return int(rng.integers(len(_CLASSES)))


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A soft gradient between two colours, float64 (H, W, 3)."""
    start, end = rng.uniform(30, 225, 3), rng.uniform(-25, 25, 3)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width]
    slope = (x / width * np.cos(angle) + y / height * np.sin(angle))[..., None]
    return np.clip(start + slope * end, 0, 255)


def _free_place(
    rng: np.random.Generator, height: int, width: int, radius: float, placed: list[tuple[float, float, float]]
) -> tuple[float, float, float] | None:
    """(x, y, radius) inside the picture that touches no other shape, or None after 30 tries."""
    for _ in range(30):
        x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
        if all(np.hypot(x - a, y - b) > radius + r + 1 for a, b, r in placed):
            return x, y, radius
    return None


def _coverage(kind: str, height: int, width: int, place: tuple[float, float, float], angle: float) -> np.ndarray:
    """How much of each pixel a shape covers, 0 to 1, (H, W): its signed distance in pixels, cut at half a pixel."""
    centre_x, centre_y, radius = place
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = x - centre_x, y - centre_y
    u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    distance = np.hypot(u, v)
    if kind == "circle":
        outside = distance - radius
    elif kind == "ring":
        outside = np.abs(distance - 0.75 * radius) - 0.25 * radius
    elif kind == "square":
        outside = np.maximum(np.abs(u), np.abs(v)) - radius / np.sqrt(2)
    elif kind == "cross":
        arms = [np.maximum(np.abs(a) - 0.95 * radius, np.abs(b) - 0.3 * radius) for a, b in ((u, v), (v, u))]
        outside = np.minimum(*arms)
    elif kind == "triangle":
        outside = _polygon(u, v, 3, radius)
    else:  # a star is the union of two triangles, one upside down
        outside = np.minimum(_polygon(u, v, 3, radius), _polygon(-u, -v, 3, radius))
    return np.clip(0.5 - outside, 0, 1)


def _polygon(u: np.ndarray, v: np.ndarray, corners: int, radius: float) -> np.ndarray:
    """Signed distance to the edges of a regular polygon inscribed in a circle."""
    apothem = radius * np.cos(np.pi / corners)
    angles = (2 * np.arange(corners) + 1) * np.pi / corners
    return np.max([u * np.cos(a) + v * np.sin(a) - apothem for a in angles], axis=0)


def _colour_apart(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """A colour that stands out: at least 90 from the background's in one channel."""
    around = image.mean((0, 1))
    colour = rng.uniform(0, 255, 3)
    channel = int(rng.integers(3))
    if np.abs(colour - around).max() < 90:
        colour[channel] = around[channel] + (110 if around[channel] < 128 else -110)
    return colour


def _paint(image: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> None:
    image += coverage[..., None] * (colour - image)


def _boxes(masks: np.ndarray) -> np.ndarray:
    """The tight box of every mask: bool (K, H, W) -> float32 (K, 4), left, top, right, bottom."""
    boxes = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return np.array(boxes, np.float32)
