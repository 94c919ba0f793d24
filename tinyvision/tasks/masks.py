"""Masks: a number for every pixel. Reading them from files, and finding the connected regions in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.images import MAX_PIXELS, open_picture, pillow_said, read_image, upright
from ..errors import DataError, ShapeError
from ..formats.source import Source, read_bytes, refuse

VOID = 255  # pixels of a mask that nothing is said about, as in Pascal VOC
_FORMATS = ("PNG", "TIFF", "BMP", "GIF", "JPEG", "PPM", "WEBP")  # two of them to be refused by name


def read_mask(source: Source, max_pixels: int = MAX_PIXELS, colours: bool = False) -> np.ndarray:
    """The numbers in a mask's file: integers (H, W), or the colours (H, W, 3) of a colour picture.

    PNG and TIFF of 1, 8 or 16 bits, or with a palette, whose indices are the numbers, turned as their EXIF data say, as
    a picture is; JPEG is refused, because it changes them. Raises DataError.

    colours   give those of a palette, too, and of 1 bit, black and white: the program that wrote the file chose the
              numbers as it liked"""
    data, name = read_bytes(source)
    try:
        with open_picture(data, name, max_pixels, _FORMATS) as image:
            if image.format in ("JPEG", "WEBP"):
                refuse(name, f"a mask must not be {image.format}, which changes its numbers; save it as PNG")
            if (pages := getattr(image, "n_frames", 1)) > 1:
                refuse(name, f"holds {pages} pictures, and a mask is one; save the one that belongs to the image")
            mode = image.mode
            if mode in ("RGB", "RGBA") or (colours and mode in ("P", "1")):
                return np.ascontiguousarray(upright(np.array(image.convert("RGB")), image))
            if mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "LA"):
                refuse(name, f"holds pixels of mode {mode}; a mask has whole numbers, as 8 or 16 bits, or colours")
            pixels = upright(np.array(image.convert("L") if mode == "LA" else image), image)
            if mode == "P" and not pixels.all() and _is_upside_down(image.getpalette() or []):
                refuse(
                    name,
                    "its palette is black and white, and 0, the number of the background, is white in it: what the "
                    "picture shows and what its numbers say differ; save it as grey, without a palette",
                )
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise almost any type when a file is damaged
        refuse(name, f"cannot be decoded: {pillow_said(error)}", error)
    numbers = pixels.astype(np.int64)
    if numbers.min() < 0:
        refuse(name, f"has the number {numbers.min()}; the numbers of a mask are from 0")
    return numbers


def _is_upside_down(palette: list[int]) -> bool:
    """Whether a palette (red, green, blue, red, ...) has black and white alone, and white is number 0."""
    return set(palette) <= {0, 255} and palette[:3] == [255] * 3 and palette[::3] == palette[1::3] == palette[2::3]


def read_levels(source: Source, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture as uint8 (H, W, 3), like `data.read_image`, but 16-bit grey is stretched to its own range.

    A camera on a microscope fills a small part of 65,536 levels: here the darkest hundredth of the pixels becomes 0 and
    the brightest five-hundredth 255. Raises DataError."""
    data, name = read_bytes(source)
    if not _is_16_bit(data, name, max_pixels):
        return read_image(source, max_pixels)
    levels = read_mask(source, max_pixels).astype(np.float64)
    low, high = np.percentile(levels, [1, 99.8])
    grey = np.clip((levels - low) * (255 / max(high - low, 1)) + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _is_16_bit(data: bytes, name: str, max_pixels: int) -> bool:
    try:
        with open_picture(data, name, max_pixels, ("PNG", "TIFF")) as image:
            return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    except Exception:  # whatever it is, read_image knows what to say of it
        return False


@dataclass(frozen=True)
class Region:
    """A connected region of one class.

    label   its class;  area   its pixels;  box   (x1, y1, x2, y2), x2 and y2 exclusive;  centre   (x, y)"""

    label: int
    area: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]


def regions(mask: np.ndarray, smallest: int = 1) -> tuple[np.ndarray, list[Region]]:
    """The connected regions of a mask of classes (H, W), 0 being background  ->  numbers (H, W) from 1, the regions.

    Pixels of one class that share an edge belong together; regions of fewer than `smallest` pixels are left out. In
    order of their first pixel. What touches is one region, so touching cells count as one. Raises ShapeError.

    Runs of equal pixels in a row are the nodes of a forest; a run is joined to those of its class that it meets in the
    row above (Rosenfeld and Pfaltz, 1966)."""
    if mask.ndim != 2:
        raise ShapeError(f"regions: a mask is (H, W), got {mask.shape}")
    rows, starts, ends, labels = _runs(mask)
    parents = np.arange(len(rows))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    first_of_row = np.searchsorted(rows, np.arange(mask.shape[0] + 1))
    for row in range(1, mask.shape[0]):
        above, above_end = first_of_row[row - 1], first_of_row[row]
        here, here_end = above_end, first_of_row[row + 1]
        while above < above_end and here < here_end:
            if starts[above] < ends[here] and starts[here] < ends[above] and labels[above] == labels[here]:
                one, other = root(above), root(here)
                parents[max(one, other)] = min(one, other)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1
    roots = np.array([root(node) for node in range(len(rows))], np.int64)
    return _described(mask.shape, (rows, starts, ends, labels), roots, smallest)


def _runs(mask):
    """(row, first column, column after the last, class) of every run of equal pixels that are not 0, in order."""
    H, W = mask.shape
    changes = np.ones((H, W + 1), bool)
    changes[:, 1:W] = mask[:, 1:] != mask[:, :-1]
    rows, edges = np.nonzero(changes)
    inside = edges < W
    starts = np.flatnonzero(inside)
    begin, end, row = edges[starts], edges[starts + 1], rows[starts]
    label = mask[row, begin]
    kept = label != 0
    return row[kept], begin[kept], end[kept], label[kept]


def _described(shape, runs, roots, smallest):
    rows, starts, ends, labels = runs
    numbers = np.zeros(shape, np.int64)
    found: list[Region] = []
    for root in np.unique(roots):
        own = np.flatnonzero(roots == root)
        y, a, b = rows[own], starts[own], ends[own]
        lengths = b - a
        area = int(lengths.sum())
        if area < smallest:
            continue
        for row, start, end in zip(y, a, b, strict=True):
            numbers[row, start:end] = len(found) + 1
        centre = (float((lengths * (a + b - 1)).sum() / 2 / area), float((lengths * y).sum() / area))
        box = (int(a.min()), int(y.min()), int(b.max()), int(y.max()) + 1)
        found.append(Region(int(labels[own[0]]), area, box, centre))
    return numbers, found


def things_found(predicted: np.ndarray, true: np.ndarray, overlap: float = 0.5) -> tuple[int, int, int]:
    """Two numberings of things (H, W), 0 being background  ->  (how many true things were found, how many there are,
    how many were predicted). A thing is found if a predicted one has with it an IoU above `overlap`, which is at least
    0.5, so that there can be no second."""
    if predicted.shape != true.shape:
        raise ShapeError(f"things_found: {predicted.shape} and {true.shape} are no masks of one picture")
    true_names, t = np.unique(true, return_inverse=True)
    predicted_names, p = np.unique(predicted, return_inverse=True)
    shared = np.zeros((len(true_names), len(predicted_names)), np.int64)
    np.add.at(shared, (t.ravel(), p.ravel()), 1)
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    iou = (shared / union)[np.ix_(true_names != 0, predicted_names != 0)]
    found = int((iou > max(overlap, 0.5)).any(1).sum()) if iou.size else 0
    return found, iou.shape[0], iou.shape[1]
