"""Words on pictures: letters of a size, and the key that says which colour is which class."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from .colours import COLOURS

_GAP = 6  # pixels between entries of a key
_SMALLEST = 12  # pixels: smaller letters cannot be read


def letters(longest: int) -> Any:
    """Letters that suit a picture whose longer side is `longest`, or where Pillow was built without FreeType the small
    ones that it draws itself."""
    from PIL import ImageFont

    size = max(_SMALLEST, longest // 30)
    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):
        return ImageFont.load_default()


def colour_of(label: int) -> tuple[int, int, int]:
    """The colour of a mask's class; class 0 is the background and has none."""
    return COLOURS[(label - 1) % len(COLOURS)]


def with_key(image: np.ndarray, classes: Sequence[str], labels: Sequence[int]) -> np.ndarray:
    """A picture uint8 (H, W, 3) and below it the names of `labels`, each beside its colour  ->  (H', W', 3)

    The picture itself keeps every pixel. One that is narrower than a name gets white beside it."""
    from PIL import Image, ImageDraw

    if not labels:
        return image
    H, W = image.shape[:2]
    font = letters(max(H, W))
    boxes = [font.getbbox(classes[label]) for label in labels]
    high = round(max(box[3] for box in boxes)) + _GAP
    wide = [round(box[2]) + high + 2 * _GAP for box in boxes]
    width = max(W, *wide)
    places, x, y = [], 0, H
    for entry in wide:
        if x + entry > width:
            x, y = 0, y + high
        places.append((x, y))
        x += entry
    canvas = Image.new("RGB", (width, y + high), "white")
    canvas.paste(Image.fromarray(image), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for label, (x, y) in zip(labels, places, strict=True):
        draw.rectangle((x + _GAP, y + 3, x + high - 3, y + high - 4), fill=colour_of(label))
        draw.text((x + high + _GAP / 2, y + _GAP / 2), classes[label], fill="black", font=font)
    return np.array(canvas)


def key_of_page(classes: Sequence[str], labels: Sequence[int]) -> str:
    """The same key as a line of HTML."""
    entries = (
        f'<span><i style="background:rgb{colour_of(label)}"></i>{escape(classes[label])}</span>' for label in labels
    )
    return f'<p class="key">{" ".join(entries)}</p>'
