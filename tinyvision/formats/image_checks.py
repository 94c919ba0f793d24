"""Is an image file whole? Checks that run before decoding, on the file's structure alone.

Pillow loads a PNG whose last rows are missing without a word, and learns that a JPEG is cut short only
after it has made room for all of its pixels. These checks cost little memory whatever the header promises.
Each takes the bytes and returns what is wrong, or None."""

from __future__ import annotations

import re
import struct
import zlib

_SLICE = 1 << 13  # compressed bytes handed to zlib at a time
_PIECE = 1 << 20
# In a JPEG's coded data 0xFF is followed by 0x00, a restart marker or another 0xFF; anything else ends the scan.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def problem_in(data: bytes, max_pixels: int) -> str | None:
    """What is missing from or broken in an image file, or None; formats without a check here give None too.

    A PNG of more than `max_pixels` is left to whoever looks at its size."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data, max_pixels)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _gif(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "is cut short" if int.from_bytes(data[4:8], "little") + 8 > len(data) else None
    return _bmp(data) if data[:2] == b"BM" else None


_KINDS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"version https://git-lfs", "a Git LFS pointer, fetch the file itself with `git lfs pull`"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),  # with a preview in front
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"qoif", "QOI"),
    (b"DDS ", "a DDS texture"),
    (b"\0\0\x01\0", "an icon (ICO)"),
)
# The brand in the first box of a file of ISO's base media format.
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"mp42": "a video", b"isom": "a video", b"qt  ": "a video"}
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC")


def kind_of(data: bytes) -> str | None:
    """What a file is by its first bytes, whatever its name says: "HEIC", "a web page" ...; or None."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    text = data[:512].lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, the download went wrong"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "an SVG drawing"
    return next((kind for beginning, kind in _KINDS if data.startswith(beginning)), None)


def _bmp(data: bytes) -> str | None:
    """Rows whole, by the two headers; the file's size, which the first header also states, is often wrong."""
    if len(data) < 30:
        return "is cut short: its header is not whole"
    start, header = struct.unpack_from("<2L", data, 10)
    if header < 40:  # the oldest kind: 16-bit sizes
        width, height, _, bits = struct.unpack_from("<4H", data, 18)
        packed = 0
    elif len(data) < 34:
        return "is cut short: its header is not whole"
    else:
        width, height, _, bits, packed = struct.unpack_from("<2l2HL", data, 18)
    if packed in (1, 2):  # run lengths: nothing but the header tells where they end
        return "is cut short" if int.from_bytes(data[2:6], "little") > len(data) else None
    needed = start + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    return f"is cut short: {len(data):,} of {needed:,} bytes" if needed > len(data) else None


_NOTES = (b"iCCP", b"iTXt", b"zTXt", b"tEXt")  # chunks that may unpack to any size and change no pixel here
_EXIF_AS_TEXT = b"Raw profile type"  # older writers keep the camera's orientation in such a text
_LARGE_NOTE = 1 << 16


def without_needless_chunks(data: bytes) -> bytes:
    """A PNG without the notes that a reader might stumble over: texts and profiles, and whatever is damaged beside the
    pixels. As the PNG specification has it (section 13.2), an error in an ancillary chunk is no error of the picture.

    Files of other kinds, and those without notes, are returned as they are."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    view, kept, position, dropped = memoryview(data), [data[:8]], 8, False
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        exif = data.startswith(_EXIF_AS_TEXT, position + 8) and length <= _LARGE_NOTE
        stated = int.from_bytes(view[end - 4 : end], "big")
        damaged = kind[0] & 0x20 and zlib.crc32(view[position + 4 : end - 4]) != stated
        if damaged or (kind in _NOTES and not exif):
            dropped = True
        else:
            kept.append(bytes(view[position:end]))
        position = end
        if kind == b"IEND":
            break
    return b"".join(kept) if dropped else data


def _png(data: bytes, max_pixels: int) -> str | None:
    """Chunks whole, critical ones with a true checksum, and exactly the pixel rows that the header announces.

    PNG specification, https://www.w3.org/TR/png-3/ (5 "Datastream structure", 8.1 "Interlace", 9 "Filtering")."""
    position, view, pixels = 8, memoryview(data), None
    for _ in range(_most_parts(data, 1024)):
        if position + 12 > len(data):
            return "is cut short: it has no end"
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            return "is cut short inside a chunk"
        body, end = view[position + 8 : position + 8 + length], position + 12 + length
        stated = int.from_bytes(view[end - 4 : end], "big")
        if not kind[0] & 0x20 and zlib.crc32(view[position + 4 : end - 4]) != stated:
            return f"is damaged: the checksum of a chunk {kind!r} is wrong"
        if pixels is None:
            if kind != b"IHDR" or length != 13:
                return "is damaged: it has no header chunk"
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if width * height > max_pixels:
                return None
            pixels = _PixelRows(_png_passes(width, height, depth * _PNG_CHANNELS.get(colour, 1), interlace))
        elif kind == b"IDAT" and (problem := pixels.feed(body)):
            return problem
        if kind == b"IEND":
            return pixels.problem_at_end()
        position = end
    return "is damaged: it consists of far too many chunks"


class _PixelRows:
    """Unpacks a PNG's pixel data piece by piece, looks at the byte before each row, and keeps nothing."""

    def __init__(self, passes: list[tuple[int, int]]) -> None:
        self.passes = passes  # (rows, bytes in a row) still to come
        self.unpacker = zlib.decompressobj()
        self.offset = 0  # within the first of them
        self.expected, self.seen = sum(rows * row_bytes for rows, row_bytes in passes), 0

    def feed(self, body: memoryview) -> str | None:
        for start in range(0, len(body), _SLICE):
            pending = bytes(body[start : start + _SLICE])
            while pending and not self.unpacker.eof:
                try:
                    problem = self._look_at(self.unpacker.decompress(pending, _PIECE))
                except zlib.error as error:
                    problem = f"is damaged: its pixel data cannot be unpacked ({error})"
                if problem:
                    return problem
                pending = self.unpacker.unconsumed_tail
        return None

    def _look_at(self, piece: bytes) -> str | None:
        self.seen += len(piece)
        while piece:
            if not self.passes:
                return "is damaged: it holds more pixel data than its size allows"
            rows, row_bytes = self.passes[0]
            part, piece = piece[: rows * row_bytes - self.offset], piece[rows * row_bytes - self.offset :]
            if part[-self.offset % row_bytes :: row_bytes].strip(b"\0\1\2\3\4"):
                return "is damaged: a row is filtered in an unknown way"
            self.offset += len(part)
            if self.offset == rows * row_bytes:
                self.passes, self.offset = self.passes[1:], 0
        return None

    def problem_at_end(self) -> str | None:
        if self.passes or not self.unpacker.eof:
            return f"is cut short: {self.seen:,} of {self.expected:,} bytes of pixel data"
        return None


def _png_passes(width: int, height: int, bits: int, interlace: int) -> list[tuple[int, int]]:
    """(rows, bytes in a row) of each pass over the picture; a row begins with a byte that names its filter."""
    passes = []
    for x, y, step_x, step_y in _ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = (width - x + step_x - 1) // step_x, (height - y + step_y - 1) // step_y
        if columns > 0 and rows > 0:
            passes.append((rows, 1 + (columns * bits + 7) // 8))
    return passes


def _most_parts(data: bytes, typical: int) -> int:
    """How many parts of a `typical` size a file may have. Millions of tiny ones only cost time."""
    return 1000 + len(data) // typical


def _jpeg(data: bytes) -> str | None:
    """Segments whole, and an end-of-image marker after the last scan (ITU-T T.81, annex B)."""
    position = 2
    for _ in range(_most_parts(data, 1024)):
        match = _JPEG_MARKER.search(data, position)
        if match is None:
            return "is cut short: it has no end marker"
        marker, position = data[match.start() + 1], match.end()
        if marker == 0xD9:
            return None
        if marker == 0x01:  # the one other marker that stands alone
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if position + max(length, 2) > len(data):
            return "is cut short inside a segment"
        position += max(length, 2)
    return "is damaged: it consists of far too many segments"


def _gif(data: bytes) -> str | None:
    """Blocks whole, from the header to the trailer (GIF89a specification, section 12 onwards)."""
    if len(data) < 13:
        return "is cut short: its header is not whole"
    position, parts = 13 + _palette_bytes(data[10]), _most_parts(data, 16)
    while position < len(data) and parts > 0:
        kind = data[position]
        if kind == 0x3B:
            return None
        if kind == 0x21:
            position += 2
        elif kind == 0x2C and position + 10 <= len(data):
            position += 11 + _palette_bytes(data[position + 9])
        else:
            return f"is damaged or cut short at byte {position:,}"
        while position < len(data) and data[position] and parts > 0:
            position, parts = position + 1 + data[position], parts - 1
        position, parts = position + 1, parts - 1
    return "is cut short: it has no end" if parts > 0 else "is damaged: it consists of far too many blocks"


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
