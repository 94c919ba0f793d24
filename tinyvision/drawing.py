"""Pictures as tensors with something drawn on them: grids, boxes, masks, points. The pencil is Pillow's.

A picture is (C, H, W), uint8 or numbers from 0 to 1, and comes back as the kind it was.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from .device import device_of, to_device, to_numpy
from .errors import DtypeError, OptionError, ShapeError
from .ops.checks import is_integer
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Pictures side by side.   (N, C, H, W), (C, H, W), (H, W) or a list of (C, H, W)  ->  (C, H', W')

    nrow         pictures in a row;  padding, pad_value   pixels around each, and their value
    normalize    shift and scale to 0 to 1: from value_range, or from the smallest to the largest number
    scale_each   find those for every picture on its own

    One channel becomes three, and a single picture is returned as it is. Raises ShapeError, OptionError."""
    pictures = _batch("make_grid", tensor)
    if not is_integer(nrow) or nrow < 1 or not is_integer(padding) or padding < 0:
        raise OptionError(f"make_grid: nrow is from 1 and padding from 0, got {nrow!r} and {padding!r}")
    if value_range is not None and (not isinstance(value_range, tuple) or len(value_range) != 2):
        raise OptionError(f"make_grid: value_range is (smallest, largest), got {value_range!r}")
    if normalize:
        parts = [_normalized(p, value_range) for p in (pictures if scale_each else [pictures])]
        pictures = np.stack(parts) if scale_each else parts[0]
    if len(pictures) == 1:
        return Tensor.of(pictures[0].copy())
    N, C, H, W = pictures.shape
    columns = min(nrow, N)
    high, wide = H + padding, W + padding
    shape = (C, high * math.ceil(N / columns) + padding, wide * columns + padding)
    grid = np.full_like(pictures, pad_value, shape=shape, order="C", subok=False)
    for i, picture in enumerate(pictures):
        top, left = i // columns * high + padding, i % columns * wide + padding
        grid[:, top : top + H, left : left + W] = picture
    return Tensor.of(grid)


def _normalized(pictures, value_range):
    low, high = (float(pictures.min()), float(pictures.max())) if value_range is None else value_range
    return (np.clip(pictures, low, high) - low) / max(high - low, 1e-5)


def _batch(name, tensor):
    """The numbers of one or several pictures as (N, C, H, W) with one channel made three."""
    if isinstance(tensor, (list, tuple)):
        arrays = [tensor_input(name, "tensor", t).array for t in tensor]
        if not arrays or any(a.shape != arrays[0].shape for a in arrays):
            raise ShapeError(f"{name}: pictures of one size are needed, got {[tuple(a.shape) for a in arrays][:5]}")
        array = np.stack(arrays)
    else:
        array = tensor_input(name, "tensor", tensor).array
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 0 in array.shape:
        raise ShapeError(f"{name}: expected pictures (N, C, H, W), got {tuple(array.shape)}")
    return np.concatenate([array] * 3, axis=1) if array.shape[1] == 1 else array


def save_image(
    tensor: Any, fp: str | os.PathLike[str] | IO[bytes], format: str | None = None, **grid_options: Any
) -> None:
    """Write the grid of pictures with numbers from 0 to 1 into a file, rounded to the nearest of 256 levels.

    fp      a file's name, whose suffix says the format, or an open file together with `format`
    grid_options   as in `make_grid`

    Raises OptionError, ShapeError, FileError."""
    from PIL import Image

    grid = make_grid(tensor, **grid_options).array
    levels = np.clip(to_numpy(grid).astype(np.promote_types(grid.dtype, np.float32)) * 255 + 0.5, 0, 255)
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(levels.astype(np.uint8), 0, -1)))
    if not isinstance(fp, (str, os.PathLike)):
        image.save(fp, format=format)
        return
    from .atomic import atomic_write

    kind = format or Image.registered_extensions().get(os.path.splitext(os.fspath(fp))[1].lower())
    if kind is None:
        raise OptionError(f"save_image: {os.fspath(fp)!r} has no suffix of a picture; name it .png, or give format")
    with atomic_write(fp) as file:
        image.save(file, format=kind)


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: Sequence[str] | None = None,
    colors: Any = None,
    fill: bool = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Tensor:
    """A picture with boxes drawn on it.   image (1 or 3, H, W), boxes (N, 4) as (x1, y1, x2, y2)  ->  (3, H, W)

    labels        a text for each box, in its top left corner; label_colors are those of the texts
    colors        one colour or one for each box: a name, "#rrggbb" or (r, g, b); by default all differ
    fill          whether the boxes are filled, half transparent;  width  of the lines
    font, font_size   a TrueType file, and points
    fill_labels   whether the texts stand on label_background_colors

    Raises ShapeError, DtypeError, OptionError."""
    from PIL import ImageDraw, ImageFont

    pixels, kind = _picture("draw_bounding_boxes", image, (1, 3))
    corners = to_numpy(tensor_input("draw_bounding_boxes", "boxes", boxes).array)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ShapeError(f"draw_bounding_boxes: boxes must be (N, 4), got {corners.shape}; turned boxes are not drawn")
    if (corners[:, :2] > corners[:, 2:]).any():
        raise OptionError("draw_bounding_boxes: boxes are (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2; see box_convert")
    if not len(corners):
        warnings.warn("draw_bounding_boxes: there is no box, so nothing was drawn", UserWarning, stacklevel=2)
        return image
    count = len(corners)
    if labels is not None and len(labels) != count:
        raise OptionError(f"draw_bounding_boxes: {count} boxes but {len(labels)} labels")
    lines = _colours("draw_bounding_boxes", colors, count)
    texts = lines
    if label_colors or fill_labels:
        texts = _colours("draw_bounding_boxes", label_colors or "black", count)
    grounds = lines
    if fill_labels and label_background_colors:
        grounds = _colours("draw_bounding_boxes", label_background_colors, count)
    letters: Any = ImageFont.load_default() if font is None else ImageFont.truetype(font, font_size or 10)
    canvas = _canvas(np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels)
    draw = ImageDraw.Draw(canvas, "RGBA" if fill else None)
    for i, box in enumerate(corners.astype(np.int64).tolist()):
        draw.rectangle(box, width=width, outline=lines[i], fill=(*lines[i], 100) if fill else None)
        if labels is not None and labels[i] is not None:
            place = (box[0] + width + 1, box[1] + width + 1)
            if fill_labels:
                left, top, right, bottom = draw.textbbox(place, labels[i], font=letters)
                draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=grounds[i])
            draw.text(place, labels[i], fill=texts[i], font=letters)
    return _returned(canvas, kind, image)


def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Tensor:
    """A picture with masks laid over it.   image (3, H, W), masks bool (N, H, W) or (H, W)  ->  (3, H, W)

    alpha says how much of the masks' colours is seen; what several masks cover becomes dark. Raises ShapeError,
    DtypeError, OptionError."""
    name = "draw_segmentation_masks"
    picture = tensor_input(name, "image", image).array
    _check_picture(name, picture, (3,))
    covered = tensor_input(name, "masks", masks).array
    covered = covered[None] if covered.ndim == 2 else covered
    if covered.ndim != 3 or tuple(covered.shape[1:]) != tuple(picture.shape[1:]):
        raise ShapeError(f"{name}: masks {tuple(covered.shape)} do not fit the image {tuple(picture.shape)}")
    if covered.dtype != np.bool_:
        raise DtypeError(f"{name}: masks must be truth values, got {covered.dtype}; write masks > 0.5")
    if not len(covered):
        warnings.warn(f"{name}: there is no mask, so nothing was drawn", UserWarning, stacklevel=2)
        return image
    painted = picture.copy()
    for mask, colour in zip(covered, _colours(name, colors, len(covered)), strict=True):
        for channel in range(3):
            level = colour[channel] if picture.dtype == np.uint8 else colour[channel] / 255
            painted[channel][mask] = level
    painted[:, covered.sum(0) > 1] = 0
    # Products in float32 as in PyTorch, and cut off, not rounded, on the way back to uint8.
    wide = np.float32 if picture.dtype == np.uint8 else picture.dtype
    mixed = picture.astype(wide) * (1 - alpha) + painted.astype(wide) * alpha
    return Tensor.of(mixed.astype(picture.dtype))


def draw_keypoints(
    image: Any,
    keypoints: Any,
    connectivity: Sequence[tuple[int, int]] | None = None,
    colors: Any = None,
    radius: int = 2,
    width: int = 3,
    visibility: Any = None,
) -> Tensor:
    """A picture with points, and lines between them.   image (3, H, W), keypoints (N, K, 2) as (x, y)  ->  (3, H, W)

    connectivity   pairs of points that a line joins;  width  of the lines;  colors, radius  of the points
    visibility     (N, K): points that are False are left out, and their lines too

    Raises ShapeError, DtypeError."""
    from PIL import ImageDraw

    name = "draw_keypoints"
    pixels, kind = _picture(name, image, (3,))
    points = to_numpy(tensor_input(name, "keypoints", keypoints).array)
    if points.ndim != 3 or points.shape[2] != 2:
        raise ShapeError(f"{name}: keypoints must be (N, K, 2), got {points.shape}")
    seen = np.ones(points.shape[:2], np.bool_)
    if visibility is not None:
        seen = to_numpy(tensor_input(name, "visibility", visibility).array).astype(np.bool_)
        seen = seen[..., 0] if seen.ndim == 3 else seen
        if seen.shape != points.shape[:2]:
            raise ShapeError(f"{name}: visibility {seen.shape} does not fit the keypoints {points.shape}")
    canvas = _canvas(pixels)
    draw = ImageDraw.Draw(canvas)
    for places, shown in zip(points.astype(np.int64).tolist(), seen.tolist(), strict=True):
        for (x, y), is_shown in zip(places, shown, strict=True):
            if is_shown:
                draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colors, outline=None, width=0)
        for start, end in connectivity or ():
            if shown[start] and shown[end]:
                draw.line((tuple(places[start]), tuple(places[end])), width=width)
    return _returned(canvas, kind, image)


def _check_picture(name, array, channels):
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DtypeError(f"{name}: the image must be uint8 or numbers from 0 to 1, got {array.dtype}")
    if array.ndim != 3 or array.shape[0] not in channels:
        wanted = " or ".join(map(str, channels))
        raise ShapeError(f"{name}: the image must be ({wanted}, H, W), one at a time, got {tuple(array.shape)}")


def _picture(name, image, channels):
    """(pixels uint8 (C, H, W) on the CPU, the dtype that the result shall have)"""
    array = tensor_input(name, "image", image).array
    _check_picture(name, array, channels)
    pixels = to_numpy(array)
    if array.dtype.kind == "f":
        pixels = (pixels * 255.999).astype(np.uint8)  # as torchvision: 256 levels of nearly the same width
    return pixels, array.dtype


def _canvas(pixels):
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))


def _returned(canvas, kind, image):
    pixels = np.ascontiguousarray(np.moveaxis(np.array(canvas), -1, 0))
    pixels = pixels if kind == np.uint8 else pixels.astype(kind) / kind.type(255)
    return Tensor.of(to_device(pixels, device_of(tensor_input("drawing", "image", image).array)))


def _colours(name: str, colors: Any, count: int) -> list[tuple[int, ...]]:
    """(r, g, b) for each of `count` things."""
    from PIL import ImageColor

    if colors is None:  # strides that are large odd numbers: neighbours differ
        return [tuple(i * step % 255 for step in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for i in range(count)]
    if isinstance(colors, list) and len(colors) < count:
        raise OptionError(f"{name}: {len(colors)} colours are too few for {count}")
    if not isinstance(colors, (list, tuple, str)) or (isinstance(colors, tuple) and len(colors) != 3):
        raise OptionError(f"{name}: a colour is a name, '#rrggbb' or (r, g, b), or give a list of them; got {colors!r}")
    several = colors if isinstance(colors, list) else [colors] * count
    return [ImageColor.getrgb(c) if isinstance(c, str) else tuple(c) for c in several[:count]]
