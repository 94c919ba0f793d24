"""HDF5, as far as networks are kept in it: groups, arrays of numbers, and attributes that are texts.

The HDF Group's "HDF5 File Format Specification" describes it. Its library runs into endless loops in damaged files,
which nothing in Python can end; what networks need of the format is little, so it is written out here, where every walk
is bounded by the size of the file. Nothing is followed that leads out of it. Whatever else a file can hold is refused
by name, and is no obstacle where it is not asked for.
"""

from __future__ import annotations

import math

import numpy as np

from . import hdf5_objects as objects
from .hdf5_trees import UNDEFINED, Cursor, FractalHeap, Parts, global_heap, local_heap, records, tree_leaves
from .refused import Refused, shown

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LARGEST_TEXT = 64 << 20  # bytes of all texts together
_NAMES, _ATTRIBUTES = 5, 8  # types of records
_LINKED = 2  # a member of a group that leads elsewhere


class Hdf5:
    """The groups, arrays and texts in the bytes of a file; `most` bytes of arrays are handed out.

    Every method raises Refused for what is damaged, or of a kind that is not read."""

    def __init__(self, data: bytes, most: int) -> None:
        self._parts = Parts(data)
        self._left, self._texts_left = min(most, 100 * len(data)), _LARGEST_TEXT  # what is packed unfolds, with an end
        self._objects: dict[int, list[tuple[int, bytes]] | Refused] = {}
        self._members: dict[int, dict[str, int | None] | Refused] = {}
        self._attributes: dict[int, dict[str, bytes] | Refused] = {}
        self._heaps: dict[int, dict[int, bytes] | Refused] = {}
        self._arrays: dict[int, np.ndarray | Refused] = {}
        self._root = self._start(Cursor(data))

    @staticmethod
    def _start(cursor):
        """The address of the outermost group."""
        if cursor.take(8) != SIGNATURE or (version := cursor.number(1)) > 3:
            raise Refused("damaged HDF5: it does not begin as it should")
        cursor.take(4 if version < 2 else 0)
        if cursor.numbers(2, 1) != [8, 8]:
            raise Refused("HDF5 with addresses of other than 8 bytes, which is not read")
        if version > 1:
            cursor.take(1)
            base, _, end, root = cursor.numbers(4)
            cursor.checked(0)
        else:
            cursor.take(9 if version == 0 else 13)
            base, _, end, _, _, root = cursor.numbers(6)
        if base:
            raise Refused("HDF5 that does not begin at the beginning of its file, which is not read")
        if end > len(cursor.data):
            raise Refused(f"damaged HDF5: {len(cursor.data):,} bytes of {shown(end)}; it was cut short")
        return root

    # ------------------------------------------------------------------------------------------ members

    def has(self, path: str) -> bool:
        """Whether there is such a group or array."""
        return self._find(path) is not None

    def names(self, path: str) -> list[str]:
        """What a group holds; nothing if it is none."""
        found = self._find(path)
        return [] if found is None else list(self._group(found))

    def _find(self, path):
        here = self._root
        for name in filter(None, path.split("/")):
            members = self._group(here)
            if name not in members:
                return None
            if members[name] is None:
                raise Refused(f"{shown(path, 80)} is a link; it is not followed")
            here = members[name]
        return here

    @staticmethod
    def _once(known, address, read):
        """What `read` finds at an address, or why it refuses it, from then on: it cannot look at the parts again."""
        if address not in known:
            try:
                known[address] = read(address)
            except Refused as reason:
                known[address] = reason
        if isinstance(known[address], Refused):
            raise Refused(str(known[address]))
        return known[address]

    def _object(self, address):
        return self._once(self._objects, address, lambda place: objects.messages(self._parts, place))

    def _group(self, address):
        """name -> address of the members of a group, None for one that leads elsewhere."""
        return self._once(self._members, address, self._members_of)

    def _members_of(self, address):
        members: dict[str, int | None] = {}
        for kind, content in self._object(address):
            if kind == objects.SYMBOL_TABLE:
                members.update(self._older_members(*Cursor(content).numbers(2)))
            elif kind == objects.LINK:
                members.update([objects.link(content)])
            elif kind == objects.LINK_INFO:
                members.update(map(objects.link, self._in_heap(content, 8, _NAMES, 4)))
        return members

    def _older_members(self, tree, heap):
        start, end = local_heap(self._parts, heap)
        for _, address in tree_leaves(self._parts, tree, 0, 8):
            node = self._parts.open(address, 8)
            node.signed_by(b"SNOD", (1,))
            node.take(1)
            count = node.number(2)
            self._parts.longer(node, 40 * count)
            for _ in range(count):
                name, place, kind = node.number(8), node.number(8), node.number(4)
                node.take(20)
                stop = self._parts.data.find(b"\0", start + name, end)
                if start + name >= end or stop < 0:
                    raise Refused("damaged HDF5: a name that is none")
                self._parts.spend(stop - start - name)
                yield objects.text_of(self._parts.data[start + name : stop]), None if kind == _LINKED else place

    def _in_heap(self, content, width, kind, at):
        """What a fractal heap holds, by a message that says where it is, and where the tree that lists it.

        width  bytes of the counter that may stand before
        kind   of the tree's records, in which the place in the heap begins at byte `at`"""
        cursor = Cursor(content)
        cursor.take(1)
        cursor.take(width if cursor.number(1) & 1 else 0)
        heap, tree = cursor.numbers(2)
        if heap == UNDEFINED:
            return
        inside = FractalHeap(self._parts, heap)
        for record in records(self._parts, tree, kind):
            yield inside.part(record[at : at + inside.id_size])

    # ------------------------------------------------------------------------------------------- texts

    def text(self, path: str, name: str) -> bytes | list[bytes] | None:
        """An attribute of a group: a text, or a list of them; None if it has no such attribute."""
        found = self._find(path)
        if found is None:
            return None
        content = self._once(self._attributes, found, self._attributes_of).get(name)
        return None if content is None else self._texts(name, *objects.attribute(content)[1:])

    def _attributes_of(self, address):
        contents = [content for kind, content in self._object(address) if kind == objects.ATTRIBUTE]
        for kind, content in self._object(address):
            if kind == objects.ATTRIBUTE_INFO:
                contents += self._in_heap(content, 2, _ATTRIBUTES, 0)
        return {objects.attribute(content)[0]: content for content in contents}

    def _texts(self, name, shape, described, data):
        count, kind = math.prod(shape or ()), objects.type_of(described)
        if shape is None or count == 0:
            return []
        if kind.kind not in ("text", "text elsewhere"):
            raise Refused(f"the attribute {shown(name)} holds {kind.kind}, where a text should be")
        if len(shape) > 1 or not kind.size or count * kind.size > len(data):
            raise Refused(f"damaged HDF5: the attribute {shown(name)} is shorter than it says")
        pieces = [data[at : at + kind.size] for at in range(0, count * kind.size, kind.size)]
        texts = []
        for piece in pieces:  # many can lead to one long text, so each is counted before the next is made
            texts.append(self._elsewhere(piece) if kind.kind == "text elsewhere" else piece.split(b"\0")[0])
            self._texts_left -= len(texts[-1])
            if self._texts_left < 0:
                raise Refused(f"HDF5 with more than {_LARGEST_TEXT >> 20} MiB of texts")
        return texts if shape else texts[0]

    def _elsewhere(self, piece):
        """A text in a global heap."""
        cursor = Cursor(piece)
        length, heap, number = cursor.number(4), cursor.number(8), cursor.number(4)
        if length == 0:
            return b""
        text = self._once(self._heaps, heap, lambda place: global_heap(self._parts, place)).get(number, b"")
        if len(text) < length:
            raise Refused("damaged HDF5: a text that is not where it should be")
        return text[:length]

    # ------------------------------------------------------------------------------------------- arrays

    def array(self, path: str) -> np.ndarray:
        """An array of numbers in the machine's byte order and memory of its own."""
        found = self._find(path)
        described = [] if found is None else self._object(found)
        if not {objects.DATATYPE, objects.DATASPACE, objects.LAYOUT} <= {kind for kind, _ in described}:
            raise Refused(f"there is no array {shown(path, 80)}")
        try:
            array = objects.Array(described)
            if array.nbytes > self._left:
                raise Refused(f"it asks for {shown(array.nbytes)} bytes, more than such a file can hold")
            self._left -= array.nbytes
            y = self._once(self._arrays, found, lambda _: array.elements(self._parts))
        except Refused as reason:
            raise Refused(f"the array {shown(path, 80)}: {reason}") from None
        return y.astype(y.dtype.newbyteorder("="))
