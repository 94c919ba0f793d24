"""Reading photographs and drawings into arrays, and arrays back into pictures."""

from __future__ import annotations

import importlib.util
import io
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, OptionError
from ..formats.image_checks import kind_of, problem_in, without_needless_chunks
from ..formats.source import Source, read_bytes, refuse
from ..ops.checks import is_integer

if TYPE_CHECKING:
    from PIL import Image

# Pillow opens forty formats by content; one of them, EPS, starts another program. These are the ones meant
# here; the last two where this Pillow, or the package pillow-heif, can read them.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "HEIF")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif", ".hif"),
)
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of decompression bombs
MOST_PIXELS = 2**31 - 1  # that anyone may allow; 6.4 GB in three channels
WHITE = (255, 255, 255)
_MAX_SIDE = 1 << 20


@cache
def needs(suffix: str) -> str | None:
    """What to install so that files with this suffix can be read, such as "pip install pillow-heif"; or None."""
    from PIL import features

    if suffix in (".heic", ".heif", ".hif") and importlib.util.find_spec("pillow_heif") is None:
        return "pip install pillow-heif"
    if suffix == ".avif" and not features.check("avif"):
        return 'pip install "pillow>=11.3"'
    return None


def read_image(
    source: Source, max_pixels: int = MAX_PIXELS, background: tuple[int, int, int] | None = WHITE
) -> np.ndarray:
    """The picture in a file, as uint8 RGB (H, W, 3). `source` is a path, or the file's bytes.

    JPEG, PNG, GIF, BMP, WebP, TIFF and PPM/PGM/PBM, and where they are installed AVIF and HEIC, are recognised by
    content. The camera's orientation (EXIF) is applied. Grey becomes three equal channels; 16-bit grey is scaled (65535
    becomes 255), never clipped; palettes and CMYK are converted. What is transparent shows `background`, as on a white
    page, for a black drawing on nothing would be black on black; with None transparency is dropped and the stored
    colours come out, as in torchvision's image loader. Of animated or many-page files the first picture is read. Notes
    beside the pixels (profiles, texts) that are damaged or huge are no reason to refuse a picture.

    Raises DataError if the file is missing, cut short, damaged, of another kind, has more than `max_pixels`
    pixels (looked up before any pixel is decoded), or holds 32-bit pixels, whose range nothing tells, or L*a*b*;
    OptionError if `max_pixels` is not from 1 to 2,147,483,647."""
    if not is_integer(max_pixels) or not 1 <= max_pixels <= MOST_PIXELS:
        raise OptionError(f"read_image: max_pixels must be an integer from 1 to {MOST_PIXELS:,}, got {max_pixels}")
    data, name = read_bytes(source)
    try:
        return _decode(data, name, max_pixels, background)
    except DataError:
        raise
    except Exception as error:  # Pillow's plug-ins raise almost any type when a file is damaged
        refuse(name, f"cannot be decoded: {pillow_said(error)}", error)


def _decode(data: bytes, name: str, max_pixels: int, background: tuple[int, int, int] | None) -> np.ndarray:
    with open_picture(data, name, max_pixels) as image:
        kind = image.format
        image.load()
        # A copy, for Pillow's own memory is read-only.
        return np.array(upright(_rgb(image, kind, name, background), image), order="C")


@contextmanager
def open_picture(data: bytes, name: str, max_pixels: int, formats: Sequence[str] = FORMATS) -> Iterator[Image.Image]:
    """`with open_picture(...) as image:` — Pillow's image of a file that is whole as far as its structure tells, of one
    of these formats and of at most `max_pixels` pixels, none of which has been decoded yet.

    Raises DataError, whose message begins with `name`."""
    with _pillow_allows(max_pixels), _checked(data, name, max_pixels, formats) as image:
        yield image


def _checked(data: bytes, name: str, max_pixels: int, formats: Sequence[str]) -> Image.Image:
    from PIL import Image

    if problem := problem_in(data, max_pixels):
        refuse(name, problem)
    what = kind_of(data)
    if what == "HEIC" and needs(".heic") is None:
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    try:
        image = _opened(without_needless_chunks(data), formats)
    except Image.DecompressionBombError as error:
        refuse(name, f"has too many pixels; the most that is allowed is max_pixels={max_pixels:,}", error)
    if image is None:
        remedy = needs(f".{what.lower()}") if what else None
        if what in _PICTURES and ("HEIF" if what == "HEIC" else what.upper()) in formats:
            refuse(name, f"is {what}, but cannot be opened: it is damaged{f', or {remedy}' if remedy else ''}")
        known = f"it is {what}; " if what else ""
        refuse(name, f"is not an image of a known kind: {known}{', '.join(formats)} are read")
    width, height = image.size
    if max(width, height) > _MAX_SIDE:
        refuse(name, f"has {width} x {height} pixels; a side may have {_MAX_SIDE:,}")
    if width * height > max_pixels:
        refuse(name, f"has {width} x {height} pixels; the most that is allowed is max_pixels={max_pixels:,}")
    if width * height <= 0:
        refuse(name, f"has no pixels: its size is {width} x {height}")
    return image


def _opened(data: bytes, formats: Sequence[str]) -> Image.Image | None:
    """As PIL.Image.open does it, but without its look at the size, which warns of what is refused here in a moment."""
    from PIL import Image

    for kind in formats:
        if kind not in Image.OPEN:
            continue
        begin, accepts = Image.OPEN[kind]
        verdict = True if accepts is None else accepts(data[:16])
        if not verdict or isinstance(verdict, str):  # a str is why this Pillow cannot read what it recognises
            continue
        try:
            return begin(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # what its plug-ins raise for another's file
            continue
    return None


_limit_lock = threading.Lock()
_limits: list[int | None] = []  # Pillow's own limit, once for each picture that is being read beyond it


@contextmanager
def _pillow_allows(max_pixels: int) -> Iterator[None]:
    """While a picture is read that may have more pixels than Pillow allows, Pillow has no limit.

    It refuses above twice PIL.Image.MAX_IMAGE_PIXELS, which is one for the process; some formats ask for it only while
    they are decoded."""
    from PIL import Image

    with _limit_lock:
        limit = _limits[0] if _limits else Image.MAX_IMAGE_PIXELS
        beyond = limit is not None and max_pixels > limit
        if beyond:
            _limits.append(limit)
            Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        if beyond:
            with _limit_lock:
                limit = _limits.pop()
                if not _limits:
                    Image.MAX_IMAGE_PIXELS = limit


_PICTURES = ("HEIC", "AVIF", "JPEG", "PNG", "GIF", "BMP", "WebP", "TIFF")


def _rgb(image: Image.Image, kind: str | None, name: str, background: tuple[int, int, int] | None) -> np.ndarray:
    """Pixels of any mode as uint8 (H, W, 3)."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and kind in ("PNG", "PPM")):
        # Pillow's own conversion clips at 255. 65535 / 257 = 255 exactly.
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        if kind == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # type: ignore[attr-defined]
            wide = 65535 - wide  # Pillow turns it round for 1 and 8 bits only
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode == "LAB":
        refuse(name, "holds colours as L*a*b*; save the picture as RGB")
    if mode in ("I", "F"):
        refuse(name, f"holds pixels of mode {mode}, whose range is unknown; save the picture with 8 or 16 bits")
    if background is not None and (mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info):
        return _on_background(np.asarray(image.convert("RGBA")), background)
    image.info.pop("transparency", None)  # or Pillow warns that it is about to be dropped
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a TIFF's tag, and what it may say


def _on_background(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """rgb alpha + background (1 - alpha), rounded to the nearest."""
    alpha = rgba[:, :, 3:].astype(np.uint32)
    if (alpha == 255).all():
        return rgba[:, :, :3]
    mixed = rgba[:, :, :3] * alpha + np.array(background, np.uint32) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def upright(pixels: np.ndarray, image: Image.Image) -> np.ndarray:
    """(H, W, ...) without the camera's rotation (EXIF tag 0x0112, 1 to 8). Unreadable EXIF data count as absent."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # the picture itself is whole; a broken note about it is no reason to refuse it
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def pillow_said(error: Exception) -> str:
    """Pillow's words without the address of the buffer we handed it."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for its pixels"
    return type(error).__name__ if "<_io" in str(error) or not str(error) else str(error)
