"""A trained detector in use: boxes on pictures of any size, drawn, and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data import read_image
from ...grad_mode import no_grad
from ...tensors.tensor import Tensor
from ..colours import COLOURS
from ..lettering import letters
from ..pictures import as_input, resized
from ..room import Prediction, Predictor
from .average_precision import Boxes
from .samples import letterboxed
from .task import cut, decode

_READABLE = 480  # pixels of the longer side


@dataclass
class Found(Prediction):
    """What was found in a picture: Boxes in its pixels, best first, and the names of the classes."""

    boxes: Boxes
    classes: list[str]

    def line(self) -> str:
        """How many of each class, and the surest one's score; the surest class first."""
        if not len(self.boxes):
            return "nothing found"
        parts: dict[str, list[float]] = {}
        for label, score in zip(self.boxes.labels, self.boxes.scores, strict=True):
            parts.setdefault(self.classes[label], []).append(score)
        return ", ".join(f"{name} ×{len(s)} ({max(s):.0%})" for name, s in parts.items())

    def as_json(self) -> dict[str, Any]:
        """Every box."""
        return {"boxes": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each box: class, score, corners in pixels."""
        return [
            {
                "class": self.classes[label],
                "score": round(float(score), 4),
                **{name: round(float(v), 1) for name, v in zip(("x1", "y1", "x2", "y2"), box, strict=True)},
            }
            for box, label, score in zip(self.boxes.boxes, self.boxes.labels, self.boxes.scores, strict=True)
        ]

    def drawn(self, image: np.ndarray) -> np.ndarray:
        """The boxes on the picture, each with its class and score (see `boxes_drawn`)."""
        return boxes_drawn(image, self.boxes, self.texts())

    def texts(self) -> list[str]:
        """Class and score of each box."""
        return [f"{self.classes[k]} {score:.0%}" for k, score in zip(self.boxes.labels, self.boxes.scores, strict=True)]


class Detector(Predictor):
    """`detector.predict(detector.read("street.jpg", max_pixels)).drawn(image)`"""

    columns = ("class", "score", "x1", "y1", "x2", "y2")
    least = 0.3  # heat of what is shown

    def read(self, path: Path, max_pixels: int) -> np.ndarray:
        """By `data.read_image`."""
        return read_image(path, max_pixels)

    def predict(self, image: np.ndarray) -> Found:
        """The boxes in a picture uint8 (H, W, 3)."""
        size = self.preprocessing.size
        square, scale, shift = letterboxed(image, size)
        x = Tensor.of(as_input(square, self.preprocessing)[None]).to(next(iter(self.model.parameters())).device)
        with no_grad():
            found = decode(self.model(x), size, self.least)[0]
        height, width = image.shape[:2]
        moved = Boxes((found.boxes - np.tile(shift, 2)) / scale, found.labels, found.scores)
        return Found(cut(moved, width, height), self.classes)  # what lies in the grey beside the picture is no thing


def boxes_drawn(
    image: np.ndarray, boxes: Boxes, labels: list[str] | None = None, side: int | None = None
) -> np.ndarray:
    """Boxes in their class's colour on a picture uint8 (H, W, 3), the label of each above it, or where there is no room
    within its top.

    side  of the result, the longer one; by default the picture's own, but small ones are made larger by a whole
    number, for a label that can be read would hide what it names"""
    from PIL import Image, ImageDraw

    H, W = image.shape[:2]
    factor = max(1, _READABLE // max(H, W)) if side is None else side / max(H, W)
    height, width = max(round(H * factor), 1), max(round(W * factor), 1)
    canvas = Image.fromarray(resized(image, (height, width)))
    draw, font = ImageDraw.Draw(canvas), letters(max(height, width))
    thick = max(2, round(max(height, width) / 300))
    corners = np.clip(boxes.boxes * np.tile([width / W, height / H], 2), 0, [width - 1, height - 1] * 2)
    for number in reversed(range(len(boxes))):  # the surest come last, on top of the others
        colour = COLOURS[int(boxes.labels[number]) % len(COLOURS)]
        x, y = (float(v) for v in corners[number, :2])
        draw.rectangle(corners[number].tolist(), outline=colour, width=thick)
        if labels is None:
            continue
        left, top, right, bottom = draw.textbbox((0, 0), labels[number], font=font)
        wide, high = right - left + 4, bottom - top + 4
        x, y = max(min(x, width - wide), 0), y - high if y >= high else y + thick
        draw.rectangle((x, y, x + wide, y + high), fill=colour)
        dark = np.dot(colour, (0.3, 0.59, 0.11)) < 128
        draw.text((x + 2 - left, y + 2 - top), labels[number], fill="white" if dark else "black", font=font)
    return np.array(canvas)
