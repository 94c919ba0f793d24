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
# In a JPEG's coded data 0xFF is followed by 0x00, a restart marker or another 0xFF; anything else ends the
# scan.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def problem_in(data: bytes) -> str | None:
    """What is missing from or broken in an image file, or None; formats without a check here give None
    too."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _gif(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "is cut short" if int.from_bytes(data[4:8], "little") + 8 > len(data) else None
    if data[:2] == b"BM":
        return "is cut short" if int.from_bytes(data[2:6], "little") > len(data) else None
    return None


def _png(data: bytes) -> str | None:
    """Chunks whole, critical ones with a true checksum, and exactly the pixel bytes that the header
    announces.

    PNG specification, https://www.w3.org/TR/png-3/ (sections 5 "Datastream structure" and 8.1
    "Interlace")."""
    position, header, first, view = 8, None, None, memoryview(data)
    pixels = _PixelStream()
    while True:
        if position + 12 > len(data):
            return "is cut short: it has no end"
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            return "is cut short inside a chunk"
        body, end = view[position + 8 : position + 8 + length], position + 12 + length
        stated = int.from_bytes(view[end - 4 : end], "big")
        if not kind[0] & 0x20 and zlib.crc32(view[position + 4 : end - 4]) != stated:
            return f"is damaged: the checksum of a chunk {kind!r} is wrong"
        if first is None:
            first = kind
            if kind != b"IHDR" or length != 13:
                return "is damaged: it has no header chunk"
            header = struct.unpack(">IIBBBBB", body)
            if header[3] not in _PNG_CHANNELS:
                return f"is damaged: colour type {header[3]}"
            pixels.expected = _png_size(header)
        elif kind == b"IDAT" and (problem := pixels.feed(body)):
            return problem
        if kind == b"IEND":
            return pixels.finish()
        position = end


class _PixelStream:
    """Unpacks a PNG's pixel data piece by piece, counts it, and keeps nothing."""

    def __init__(self) -> None:
        self.expected, self.seen, self.unpacker = 0, 0, zlib.decompressobj()

    def feed(self, body: memoryview) -> str | None:
        for start in range(0, len(body), _SLICE):
            pending = bytes(body[start : start + _SLICE])
            while pending and not self.unpacker.eof:
                try:
                    self.seen += len(self.unpacker.decompress(pending, _PIECE))
                except zlib.error as error:
                    return f"is damaged: its pixel data cannot be unpacked ({error})"
                if self.seen > self.expected:
                    return "is damaged: it holds more pixel data than its size allows"
                pending = self.unpacker.unconsumed_tail
        return None

    def finish(self) -> str | None:
        try:
            while not self.unpacker.eof and (piece := self.unpacker.decompress(b"", _PIECE)):
                self.seen += len(piece)
        except zlib.error as error:
            return f"is damaged: its pixel data cannot be unpacked ({error})"
        if self.seen < self.expected or not self.unpacker.eof:
            return f"is cut short: {self.seen:,} of {self.expected:,} bytes of pixel data"
        return None


def _png_size(header: tuple[int, ...]) -> int:
    """Bytes of unpacked pixel data: a filter byte before every row, for each of Adam7's passes if
    interlaced."""
    width, height, depth, colour, _, _, interlace = header
    bits = depth * _PNG_CHANNELS[colour]
    if not interlace:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for x, y, step_x, step_y in _ADAM7:
        columns, rows = (width - x + step_x - 1) // step_x, (height - y + step_y - 1) // step_y
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _jpeg(data: bytes) -> str | None:
    """Segments whole, and an end-of-image marker after the last scan (ITU-T T.81, annex B)."""
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        marker, position = data[match.start() + 1], match.end()
        if marker == 0xD9:
            return None
        if marker == 0x01:  # the one other marker that stands alone
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if position + max(length, 2) > len(data):
            return "is cut short inside a segment"
        position += max(length, 2)
    return "is cut short: it has no end marker"


def _gif(data: bytes) -> str | None:
    """Blocks whole, from the header to the trailer (GIF89a specification, section 12 onwards)."""
    if len(data) < 13:
        return "is cut short: its header is not whole"
    position = 13 + _palette_bytes(data[10])
    while position < len(data):
        kind = data[position]
        if kind == 0x3B:
            return None
        if kind == 0x21:
            position += 2
        elif kind == 0x2C and position + 10 <= len(data):
            position += 11 + _palette_bytes(data[position + 9])
        else:
            return f"is damaged or cut short at byte {position:,}"
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return "is cut short: it has no end"


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
