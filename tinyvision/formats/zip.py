"""Records in zip files, read where they lie: nothing is extracted, nothing is trusted twice.

Zip is read by its central directory (PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.4) and every local header
must say the same. Records may not overlap, so reading them all costs no more memory than the file has bytes.
"""

import struct
import zlib
from typing import Any

from .refused import Refused, shown

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _DESCRIPTOR, _UTF8_NAME = 0x0001, 0x0008, 0x0800
_HARMLESS_FLAGS = _DESCRIPTOR | _UTF8_NAME | 0x0006  # 0x0006: how hard the compressor tried
STORED, DEFLATED = 0, 8
_CHUNK = 1 << 18


class Record:
    """One file in a zip archive: `length` bytes once unpacked, `packed` bytes in the archive from `start`."""

    __slots__ = ("crc", "header", "length", "method", "packed", "raw_name", "start")


class ZipArchive:
    """The records of a zip file by name: `records` is a dict of Record.

    file   a binary file, opened for reading;  size  its length in bytes
    methods  the compression methods that are accepted

    A record's CRC-32 is checked whenever it is read. PyTorch can be told to write no checksums
    (`torch.serialization.set_crc32_options(False)`) and then writes zeros: an archive in which *every* checksum is zero
    is read without checking them. Raises Refused for everything that is not exactly a zip archive."""

    def __init__(self, file: Any, size: int, methods: Any = (STORED,)) -> None:
        self.file, self.size, self.methods = file, size, methods
        self.records: dict[str, Any] = {}
        count, start, end = self._directory_extent()
        if count * _CENTRAL.size > end - start:
            raise Refused(f"a zip directory that cannot hold {count:,} records")
        file.seek(start)
        directory = memoryview(exactly(file, end - start))
        position = 0
        for _ in range(count):
            position = self._read_entry(directory, position)
        if position != len(directory):
            raise Refused("a zip directory with bytes that belong to no record")
        self._check_local_headers(start)
        self.has_checksums = any(record.crc for record in self.records.values())

    def _directory_extent(self):
        """(number of records, first byte, byte after the last) of the central directory."""
        if self.size < _END.size:
            raise Refused("a zip archive that was cut off")
        self.file.seek(self.size - _END.size)
        fields = _END.unpack(exactly(self.file, _END.size))
        if fields[0] != b"PK\x05\x06" or fields[7]:
            raise Refused("a zip archive that does not end with its directory: it was cut off, or something was added")
        _, disk, first_disk, here, count, length, start, _ = fields
        end = self.size - _END.size
        if end >= _LOCATOR64.size + _END64.size:
            self.file.seek(end - _LOCATOR64.size)
            locator = _LOCATOR64.unpack(exactly(self.file, _LOCATOR64.size))
            if locator[0] == b"PK\x06\x07":
                end -= _LOCATOR64.size + _END64.size
                wide = self._zip64_end(locator, end)
                narrow = (here, count, length, start)
                full = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
                if any(n not in (f, w) for n, f, w in zip(narrow, full, wide, strict=True)):
                    raise Refused("a zip archive with two directories that disagree")
                here, count, length, start = wide
        if disk or first_disk or here != count:
            raise Refused("a zip archive in several parts")
        if start + length != end:
            raise Refused("a zip directory that is not where the archive says")
        return count, start, end

    def _zip64_end(self, locator, position):
        self.file.seek(position)
        fields = _END64.unpack(exactly(self.file, _END64.size))
        signature, length, _, _, disk, first_disk, *wide = fields
        if signature != b"PK\x06\x06" or length != _END64.size - 12 or disk or first_disk:
            raise Refused("a damaged ZIP64 directory")
        if locator[1] or locator[2] != position or locator[3] not in (0, 1):
            raise Refused("a ZIP64 directory that is not where the archive says")
        return wide

    def _read_entry(self, directory, position):
        if position + _CENTRAL.size > len(directory):
            raise Refused("a zip directory that was cut off")
        fields = _CENTRAL.unpack_from(directory, position)
        signature, _, _, flags, method, _, _, crc, packed, length, *lengths, disk, _, _, header = fields
        if signature != b"PK\x01\x02":
            raise Refused("a damaged zip directory")
        position += _CENTRAL.size
        parts = []
        for size in lengths:
            parts.append(bytes(directory[position : position + size]))
            position += size
        if position > len(directory):
            raise Refused("a zip directory that was cut off")
        raw_name, extra, _ = parts
        name = _record_name(raw_name, flags)
        length, packed, header = _widen(extra, (length, packed, header))
        if flags & _ENCRYPTED:
            raise Refused(f"record {shown(name)} is encrypted")
        if flags & ~_HARMLESS_FLAGS or disk:
            raise Refused(f"record {shown(name)} has flags {flags:#06x} on disk {disk}")
        if method not in self.methods:
            raise Refused(f"record {shown(name)} is packed with method {method}")
        if method == STORED and packed != length:
            raise Refused(f"record {shown(name)} is stored, but its two lengths differ")
        if name in self.records:
            raise Refused(f"two records with the name {shown(name)}")
        record = self.records[name] = Record()
        record.crc, record.method, record.header = crc, method, header
        record.length, record.packed, record.raw_name = length, packed, raw_name
        return position

    def _check_local_headers(self, directory_start):
        """Find each record's first byte; refuse records that overlap or whose two headers differ."""
        previous_end, previous_name = 0, ""
        for name, record in sorted(self.records.items(), key=lambda item: item[1].header):
            if record.header < previous_end:
                raise Refused(f"records {shown(previous_name)} and {shown(name)} overlap")
            if record.header + _LOCAL.size > directory_start:
                raise Refused(f"record {shown(name)} lies outside of the archive")
            self.file.seek(record.header)
            fields = _LOCAL.unpack(exactly(self.file, _LOCAL.size))
            signature, _, flags, method, _, _, crc, packed, length, name_length, extra_length = fields
            local_name = self.file.read(name_length)
            extra = self.file.read(extra_length)
            if signature != b"PK\x03\x04" or local_name != record.raw_name or method != record.method:
                raise Refused(f"record {shown(name)} is described differently in its two headers")
            if flags & ~_HARMLESS_FLAGS:
                raise Refused(f"record {shown(name)} has flags {flags:#06x}")
            record.start = record.header + _LOCAL.size + name_length + extra_length
            previous_end, previous_name = record.start + record.packed, name
            if previous_end > directory_start:
                raise Refused(f"record {shown(name)} is longer than the archive")
            length, packed = _widen(extra, (length, packed))
            known = (record.length, record.packed, record.crc)
            # A writer that cannot seek leaves zeros here and repeats the figures in a descriptor behind the data.
            late = flags & _DESCRIPTOR and (length, packed, crc) == (0, 0, 0)
            if not late and (length, packed, crc) != known:
                raise Refused(f"record {shown(name)} is described differently in its two headers")
            if flags & _DESCRIPTOR:
                self.file.seek(previous_end)
                previous_end += _descriptor_length(self.file.read(24), known, name)
                if previous_end > directory_start:
                    raise Refused(f"record {shown(name)} is longer than the archive")

    def read(self, name: str, most: int) -> Any:
        """The bytes of one stored record, which may be `most` bytes long."""
        record = self.records[name]
        if record.length > most or record.method != STORED:
            raise Refused(f"record {shown(name)} has {record.length:,} bytes, or is packed")
        self.file.seek(record.start)
        data = exactly(self.file, record.length)
        self._compare(name, record, zlib.crc32(data))
        return data

    def read_into(self, name: str, *views: Any) -> None:
        """Fill `views` (writable memoryviews of bytes, together as long as the record) one after the other with it."""
        record = self.records[name]
        crc, position = 0, 0
        waiting = [view for view in views if len(view)]
        for piece in self.pieces(name):
            crc = zlib.crc32(piece, crc)
            while len(piece):
                count = min(len(piece), len(waiting[0]) - position)
                waiting[0][position : position + count] = piece[:count]
                position, piece = position + count, piece[count:]
                if position == len(waiting[0]):
                    waiting.pop(0)
                    position = 0
        if waiting:
            raise Refused(f"record {shown(name)} is shorter than it says")
        self._compare(name, record, crc)

    def fill(self, name: str, view: Any) -> Any:
        """Fill a writable memoryview of bytes with a stored record of that length, without another copy."""
        record = self.records[name]
        self.file.seek(record.start)
        if len(view) != record.length or record.method != STORED or self.file.readinto(view) != len(view):
            raise Refused(f"record {shown(name)} cannot be read whole")
        self._compare(name, record, zlib.crc32(view))

    def check(self, name: str) -> Any:
        """Read a record only to compare its checksum."""
        crc = 0
        for piece in self.pieces(name):
            crc = zlib.crc32(piece, crc)
        self._compare(name, self.records[name], crc)

    def _compare(self, name, record, crc):
        if self.has_checksums and crc != record.crc:
            raise Refused(f"record {shown(name)} is damaged: its checksum does not match")

    def pieces(self, name: str) -> Any:
        """The unpacked bytes of a record, in pieces of at most 256 kB; never more than its header promises."""
        record = self.records[name]
        self.file.seek(record.start)
        packed_pieces = self._packed_pieces(record.packed)
        if record.method == STORED:
            yield from packed_pieces
            return
        unpacker = zlib.decompressobj(-15)
        produced = 0
        packed = b""
        while not unpacker.eof:
            packed = packed or next(packed_pieces, b"")
            try:
                piece = unpacker.decompress(packed, _CHUNK)
            except zlib.error as reason:
                raise Refused(f"record {shown(name)} is damaged: {reason}") from None
            if not packed and not piece:
                raise Refused(f"record {shown(name)} is shorter than it says")
            packed = unpacker.unconsumed_tail
            produced += len(piece)
            if produced > record.length:
                raise Refused(f"record {shown(name)} is longer than it says")
            yield memoryview(piece)
        if unpacker.unused_data or next(packed_pieces, None) is not None:
            raise Refused(f"record {shown(name)} is longer than it says")

    def _packed_pieces(self, left):
        while left:
            piece = exactly(self.file, min(left, _CHUNK))
            left -= len(piece)
            yield memoryview(piece)


def exactly(file: Any, count: int) -> bytes:
    """The next `count` bytes of a binary file. Raises Refused if there are fewer."""
    data = file.read(count)
    if len(data) != count:
        raise Refused("the file ends in the middle")
    return data


def _record_name(raw, flags):
    try:
        name = raw.decode("utf-8" if flags & _UTF8_NAME else "ascii")
    except UnicodeDecodeError:
        raise Refused(f"a zip record whose name is not text: {shown(raw)}") from None
    parts = name.split("/")
    has_drive = len(parts[0]) == 2 and parts[0][1] == ":"
    if not name or name[0] == "/" or has_drive or ".." in parts or "\\" in name or "\0" in name:
        raise Refused(f"a zip record with the name {shown(name)}")
    return name


def _widen(extra, values):
    """Replace each value of 0xFFFFFFFF by the next 64-bit value of the ZIP64 extra field."""
    if 0xFFFFFFFF not in values:
        return values
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if kind == 1:
            wanted = sum(value == 0xFFFFFFFF for value in values)
            if len(field) < 8 * wanted:
                break
            wide = iter(struct.unpack_from(f"<{wanted}Q", field))
            return tuple(next(wide) if value == 0xFFFFFFFF else value for value in values)
        position += 4 + length
    raise Refused("a zip record without the lengths that it promises")


def _descriptor_length(data, known, name):
    """How long the data descriptor is that `data` begins with: with or without signature, 32 or 64 bits."""
    length, packed, crc = known
    for form, start in (("<4s3L", (b"PK\x07\x08",)), ("<4sL2Q", (b"PK\x07\x08",)), ("<3L", ()), ("<L2Q", ())):
        size = struct.calcsize(form)
        if len(data) >= size and struct.unpack_from(form, data) == (*start, crc, packed, length):
            return size
    raise Refused(f"record {shown(name)} has a descriptor that does not match")
