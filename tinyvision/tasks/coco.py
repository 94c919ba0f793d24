"""COCO's annotation files: read, checked entry by entry, and turned into boxes and masks.

One JSON object with the lists "images", "annotations" and "categories" (https://cocodataset.org/#format-data). Every
complaint names the file and the entry, as annotations[17] (id 9042), and says what to do.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..data import Dataset
from ..data.images import MAX_PIXELS, SUFFIXES
from ..errors import DataError
from ..folders import user_path
from ..formats.source import read_bytes
from ..ops.checks import is_number
from ..printable import printable

# What the file is called below a folder: here, and by Roboflow, Label Studio and CVAT.
FILES = ("annotations.json", "_annotations.coco.json", "result.json", "annotations/instances_default.json")


@dataclass(frozen=True)
class Annotation:
    """One thing in a picture.

    label   class number from 1, in the order of the category ids;  box   (x1, y1, x2, y2) within the picture
    crowd   whether it marks a crowd, which is neither to be found nor wrong to find
    area    its pixels as the file says, those of its outline; else those of its box
    segmentation   polygons or RLE as in the file, or None;  where   what to call it in an error"""

    label: int
    box: tuple[float, float, float, float]
    crowd: bool
    area: float
    segmentation: Any
    where: str


@dataclass(frozen=True)
class Picture:
    """One picture: its file's path, its (height, width) as the annotations say, and the things in it."""

    path: Path
    size: tuple[int, int]
    things: list[Annotation]


class Coco:
    """The contents of an annotation file.

    classes    "background", and then the names of the categories, in the order of their ids
    pictures   in the order of the file

    file     the JSON, or a folder that has it under one of the names in FILES;  images   the folder that the file names
             are in; by default "images" beside the file, or beside its folder "annotations", or else the file's folder
    Raises DataError."""

    def __init__(self, file: str | os.PathLike[str], images: str | os.PathLike[str] | None = None) -> None:
        path = user_path(file)
        if path.is_dir():
            path = next((path / name for name in FILES if (path / name).is_file()), path / FILES[0])
        self.path = path
        data, self.name = read_bytes(path)
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.name}: is not JSON: {printable(error)}") from None
        if not isinstance(content, dict) or not all(
            isinstance(content.get(part), list) for part in ("images", "annotations", "categories")
        ):
            raise DataError(f'{self.name}: COCO\'s format has the lists "images", "annotations" and "categories"')
        self.folder = _folder(path, images)
        numbers = self._categories(content["categories"])
        found = self._images(content["images"])
        seen: set[Any] = set()
        for index, entry in enumerate(content["annotations"]):
            where = f"{self.name}: annotations[{index}]"
            if isinstance(entry, dict) and "id" in entry:
                where += f" (id {printable(entry['id'], 30)})"
                if _key(entry["id"]) in seen:
                    raise DataError(f"{where}: the id is taken by an annotation before; give each its own")
                seen.add(_key(entry["id"]))
            owner = self._field(entry, "image_id", where)
            if _key(owner) not in found:
                self._fail(where, f'image_id {printable(repr(owner), 30)} is no image\'s id; add it to "images"')
            picture = found[_key(owner)]
            picture.things.append(self._annotation(entry, picture, numbers, where))
        self.pictures = list(found.values())
        things = [thing for picture in self.pictures for thing in picture.things]
        if all(thing.crowd for thing in things):
            what = "marks crowds alone (iscrowd is 1)" if things else "is empty"
            raise DataError(f'{self.name}: "annotations" {what}, so there is nothing to learn')

    def _fail(self, where: str, what: str) -> NoReturn:
        raise DataError(f"{where}: {what}")

    def _field(self, entry: Any, name: str, where: str) -> Any:
        if not isinstance(entry, dict) or name not in entry:
            self._fail(where, f'has no "{name}"')
        return entry[name]

    def _categories(self, entries: list[Any]) -> dict[Any, int]:
        """Label by category id; COCO's ids have gaps and begin at 1, or, in files of others, at 0."""
        by_id: dict[Any, str] = {}
        for index, entry in enumerate(entries):
            where = f"{self.name}: categories[{index}]"
            number = self._field(entry, "id", where)
            if type(number) is not int:
                self._fail(where, f"id must be a whole number, got {printable(number, 30)}")
            if number in by_id:
                self._fail(where, f"id {number} is taken by {printable(by_id[number], 40)!r}; give each its own")
            name = self._field(entry, "name", where)
            if not isinstance(name, str) or not name.strip():
                self._fail(where, f"name must be a text that is not empty, got {printable(repr(name), 40)}")
            if name in by_id.values():
                self._fail(where, f"the name {printable(name, 40)!r} is taken by a category before; give each its own")
            by_id[number] = name
        if not by_id:
            raise DataError(f'{self.name}: "categories" is empty; it names the classes')
        ordered = sorted(by_id)
        self.classes = ["background", *(by_id[number] for number in ordered)]
        return {number: label for label, number in enumerate(ordered, 1)}

    def _images(self, entries: list[Any]) -> dict[Any, Picture]:
        found: dict[Any, Picture] = {}
        names: set[str] = set()
        for index, entry in enumerate(entries):
            where = f"{self.name}: images[{index}]"
            key, file = _key(self._field(entry, "id", where)), self._field(entry, "file_name", where)
            sides = (self._field(entry, "height", where), self._field(entry, "width", where))
            if not all(is_number(n) and 1 <= n < 2**31 and n == int(n) for n in sides):
                self._fail(where, f"height and width must be whole numbers from 1, got {printable(sides, 40)}")
            if isinstance(file, str):
                file = file.replace("\\", "/")  # as written on Windows
            if not isinstance(file, str) or Path(file).is_absolute() or ".." in Path(file).parts:
                self._fail(
                    where, f"file_name must lead to a file below the images' folder, got {printable(file, 80)!r}"
                )
            if not file.lower().endswith(SUFFIXES):
                self._fail(where, f"file_name {printable(file, 80)!r} has no suffix of a picture")
            if key in found:
                self._fail(where, f"id {printable(entry['id'], 30)} is taken by an image before; give each its own")
            if file in names:
                self._fail(where, f"{printable(file, 80)!r} is there twice; keep one entry for a file")
            names.add(file)
            place = self.folder / file
            if "/" in file and not place.is_file() and (beside := self.path.parent / file).is_file():
                place = beside  # seen from the annotations, not from their images
            found[key] = Picture(place, (int(sides[0]), int(sides[1])), [])
        if not found:
            raise DataError(f'{self.name}: "images" is empty')
        return found

    def _annotation(self, entry: Any, picture: Picture, numbers: dict[Any, int], where: str) -> Annotation:
        category = self._field(entry, "category_id", where)
        if _key(category) not in numbers or type(category) is not int:
            known = ", ".join(map(str, list(numbers)[:8])) + (", ..." if len(numbers) > 8 else "")
            self._fail(where, f"category_id {printable(repr(category), 30)} is no category's id (known: {known})")
        crowd = entry.get("iscrowd", 0)
        if crowd not in (0, 1):
            self._fail(where, f"iscrowd is 0 or 1, got {printable(repr(crowd), 30)}")
        segmentation = entry.get("segmentation") or None
        if "bbox" in entry or segmentation is None:
            x, y, w, h = self._numbers(self._field(entry, "bbox", where), where)
            box = checked_box(
                (x, y, x + w, y + h), picture.size, lambda what: self._fail(where, what), "bbox [x, y, width, height]"
            )
        else:
            box = _around(decoded(segmentation, picture.size, where))
        area = entry.get("area")
        if area is None:
            area = (box[2] - box[0]) * (box[3] - box[1])
        elif not is_number(area) or not _is_finite(area) or area < 0:
            self._fail(where, f"area is the thing's pixels, a number from 0, got {printable(repr(area), 30)}")
        return Annotation(numbers[category], box, bool(crowd), float(area), segmentation, where)

    def _numbers(self, values: Any, where: str) -> list[float]:
        if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
            self._fail(where, f"bbox is [x, y, width, height], got {printable(repr(values), 60)}")
        if not all(map(_is_finite, values)):
            self._fail(where, f"bbox holds a number that is not finite: {printable(values, 60)}")
        if values[2] <= 0 or values[3] <= 0:
            self._fail(where, f"bbox [x, y, width, height] = {printable(values, 60)} has no area; mend or remove it")
        return values


class CocoPictures(Dataset):
    """Base of the datasets of a COCO file's pictures; arguments as of Coco. Raises DataError."""

    first_class = 0  # or 1, where the background is no class

    def __init__(
        self,
        file: str | os.PathLike[str],
        images: str | os.PathLike[str] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.coco, self.max_pixels = Coco(file, images), max_pixels
        self.classes = self.coco.classes[self.first_class :]
        self.check()

    def check(self) -> None:
        """What is needed beyond what every such file has to say. Raises DataError."""

    def __len__(self) -> int:
        return len(self.coco.pictures)

    def read(self, index: int, read: Callable[[Path, int], np.ndarray]) -> tuple[Picture, np.ndarray]:
        """A picture and its pixels as `read(path, max_pixels)` gives them, of the size that the file says."""
        picture = self.coco.pictures[self._index(index)]
        pixels = read(picture.path, self.max_pixels)
        if pixels.shape[:2] != picture.size:
            raise DataError(other_size(picture.path, pixels, self.coco.name, picture.size))
        return picture, pixels

    def known_as(self, index: int) -> str:
        """What a picture is called, and the boxes in it: what tells it from others without a look at its pixels."""
        picture = self.coco.pictures[index]
        return f"{picture.path.name} {[(thing.label, thing.box, thing.crowd) for thing in picture.things]}"


def other_size(picture: Path, pixels: np.ndarray, notes: str, size: tuple[int, int]) -> str:
    """What to say of a picture that is not of the (height, width) that its annotations say."""
    (h, w), (H, W) = pixels.shape[:2], size
    turned = ""
    if (h, w) == (W, H):
        turned = "; if its EXIF data turn it, save it upright, or annotate it as it is seen"
    return f"{printable(picture)}: is {w} x {h} pixels; {notes} says {W} x {H}{turned}"


def _is_finite(value: Any) -> bool:
    """Whether a number is one as a float, too: JSON's whole numbers know no end."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _key(value: Any) -> Any:
    """An id as a key, whatever JSON made of it."""
    return value if isinstance(value, (int, str)) else repr(value)


def _folder(file: Path, images: str | os.PathLike[str] | None) -> Path:
    if images is not None:
        return user_path(images)
    beside = [file.parent / "images"]
    if file.parent.name == "annotations":
        beside.append(file.parent.parent / "images")
    return next((folder for folder in beside if folder.is_dir()), file.parent)


def checked_box(
    box: tuple[float, float, float, float], size: tuple[int, int], fail: Callable[[str], NoReturn], name: str
) -> tuple[float, float, float, float]:
    """A box (x1, y1, x2, y2) cut to a picture of (height, width): what sticks out by up to 2 pixels is rounding.

    Calls fail(what), which raises, for a box without area or further outside."""
    x1, y1, x2, y2 = box
    height, width = size
    if x2 <= x1 or y2 <= y1:
        fail(f"{name}: ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) has no area; mend or remove it")
    if min(x1, y1) < -2 or x2 > width + 2 or y2 > height + 2:
        fail(
            f"{name}: ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) reaches out of its picture of {width} x {height} pixels; "
            f"are the corners, or the numbers' unit, mixed up?"
        )
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        fail(f"{name}: ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) lies outside of its picture; mend or remove it")
    return inside


def decoded(segmentation: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Polygons [[x, y, x, y, ...], ...] or run lengths {"counts", "size"} of a picture of (height, width)  ->  bool
    (H, W). Raises DataError that begins with `where`."""
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size, where)
    if not isinstance(segmentation, list):
        raise DataError(
            f"{where}: segmentation is a list of polygons or run lengths, got {printable(segmentation, 40)}"
        )
    mask = np.zeros(size, bool)
    for number, polygon in enumerate(segmentation):
        good = isinstance(polygon, list) and all(map(is_number, polygon)) and all(map(_is_finite, polygon))
        if not good or len(polygon) < 6 or len(polygon) % 2:
            raise DataError(
                f"{where}: polygon {number} must have at least three corners, as [x, y, x, y, x, y, ...]; "
                f"got {printable(polygon, 60)}"
            )
        x, y, (height, width) = polygon[::2], polygon[1::2], size
        if min(*x, *y) < -2 or max(x) > width + 2 or max(y) > height + 2:  # up to 2 pixels are rounding
            raise DataError(
                f"{where}: polygon {number} reaches out of its picture of {width} x {height} pixels; are x and y, or "
                f"the numbers' unit, mixed up?"
            )
        mask |= _filled(np.array([x, y], float), size)
    return mask


def _filled(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres lie inside of a polygon, (2, corners) of x and y: from there to the left, an odd number
    of its edges is crossed (https://en.wikipedia.org/wiki/Even-odd_rule)."""
    mask = np.zeros(size, bool)
    left, top = np.maximum(np.floor(corners.min(1)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(1)), size[::-1]).astype(int)
    if right <= left or bottom <= top:
        return mask
    crossed = np.zeros((bottom - top, right - left + 1), np.int32)  # edges that lie between two centres
    middle = np.arange(top, bottom) + 0.5
    for (x1, y1), (x2, y2) in zip(corners.T, np.roll(corners, -1, axis=1).T, strict=True):
        rows = np.flatnonzero((y1 <= middle) != (y2 <= middle))
        if len(rows):
            x = x1 + (middle[rows] - y1) * ((x2 - x1) / (y2 - y1))
            crossed[rows, np.clip(np.ceil(x - 0.5) - left, 0, right - left).astype(int)] += 1
    mask[top:bottom, left:right] = np.cumsum(crossed[:, :-1], axis=1) % 2 == 1
    return mask


def _from_runs(segmentation: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """Runs of pixels without and with the thing in turn, down the columns."""
    counts, own = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(own, list) or tuple(own) != tuple(size):
        raise DataError(f"{where}: the RLE's size {printable(own, 40)} is not its image's {list(size)}")
    if isinstance(counts, str):
        counts = _unpacked(counts, where)
    if not isinstance(counts, list) or any(type(n) is not int or n < 0 for n in counts):
        raise DataError(f"{where}: the RLE's counts must be whole numbers from 0, or COCO's text of them")
    if sum(counts) != size[0] * size[1]:
        raise DataError(
            f"{where}: the RLE's counts add up to {sum(counts)}, but the image has {size[0] * size[1]} pixels"
        )
    flags = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flags.reshape(size[1], size[0]).T)


def _unpacked(text: str, where: str) -> list[int]:
    """COCO's text of run lengths: five bits a letter, the lowest first, the sixth says that more follow; from the third
    number on, the difference to the number two places before."""
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise DataError(f"{where}: {printable(letter, 10)!r} does not belong into an RLE's counts")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError(f"{where}: the RLE's counts end in the middle of a number")
    return numbers


def _around(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0.0, 0.0, 1.0, 1.0)  # a polygon thinner than a pixel
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
