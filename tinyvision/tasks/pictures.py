"""Pictures and masks at other sizes, and as what a network gets."""

from __future__ import annotations

import numpy as np

from ..device import to_numpy
from ..train.preprocessing import Preprocessing

LONGEST = 1024  # pixels; larger pictures are scaled down, for every scale of the network's features is kept in memory


def as_input(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """uint8 (H, W, 3)  ->  float32 (C, H, W) with the mean and spread that the network is used to."""
    return to_numpy(preprocessing.transform(resize=False)(image))


def scaled_down(pixels: np.ndarray, nearest: bool = False) -> np.ndarray:
    """A picture or a mask whose longer side is at most LONGEST; smaller ones stay as they are."""
    factor = LONGEST / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    height, width = (max(round(side * factor), 1) for side in pixels.shape[:2])
    return resized(pixels, (height, width), nearest)


def resized(pixels: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """A picture at (height, width); a mask by the nearest of its pixels, as its numbers have no mean."""
    if pixels.shape[:2] == size:
        return pixels
    if nearest:
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.int64)
            for new, old in zip(size, pixels.shape[:2], strict=True)
        )
        return pixels[rows[:, None], columns]
    from PIL import Image

    return np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))
