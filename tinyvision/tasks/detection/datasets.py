"""Datasets of (picture, {"boxes", "labels"}): drawn shapes, digits on photographs, COCO, Pascal VOC and YOLO files.

A picture is uint8 (H, W, 3); boxes are float32 (M, 4) as (x1, y1, x2, y2) in pixels, labels int64 (M,) from 0, and
-2 - k for a crowd of class k, of which nothing is learned.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from ... import random
from ...data import Dataset, Digits, Shapes, Streets, read_image
from ...data.images import MAX_PIXELS, SUFFIXES
from ...errors import DataError
from ...folders import user_path
from ...formats.source import read_bytes, read_text
from ...printable import printable
from ..coco import CocoPictures, checked_box, other_size
from .class_names import class_names, key_points

CROWD = -2  # the label of a crowd of class 0; of class k it is CROWD - k
GET_PHOTOGRAPHS = "pip install scikit-image scikit-learn"

Item = tuple[np.ndarray, dict[str, np.ndarray]]


def labelled(k: int, crowd: bool) -> int:
    """The label of a thing of class k, or of a crowd of such things."""
    return CROWD - k if crowd else k


def target(boxes: Any, labels: Any) -> dict[str, np.ndarray]:
    """Boxes and labels as arrays."""
    return {"boxes": np.array(boxes, np.float32).reshape(-1, 4), "labels": np.array(labels, np.int64).reshape(-1)}


class ShapesBoxes(Dataset):
    """Drawn scenes with up to `objects` shapes (see `data.Shapes`), with their boxes."""

    def __init__(self, length: int = 1000, size: int = 96, train: bool = True, seed: int = 0, objects: int = 4) -> None:
        self.shapes = Shapes(length, size, seed, train, objects)
        self.classes = list(self.shapes.classes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> Item:
        scene = self.shapes.scene(self._index(index))
        return scene.image, target(scene.boxes, scene.labels)


class StreetBoxes(Dataset):
    """Drawn street scenes (see `data.Streets`) with boxes around what is in sight of cars, signs and people."""

    def __init__(self, length: int = 1000, size: int = 96, train: bool = True, seed: int = 0) -> None:
        self.streets = Streets(length, size, seed, train)
        self.classes = list(self.streets.classes)

    def __len__(self) -> int:
        return len(self.streets)

    def __getitem__(self, index: int) -> Item:
        scene = self.streets.scene(self._index(index))
        return scene.image, target(scene.boxes, scene.labels)


# Photographs that scikit-image and scikit-learn bring along. Those of the two parts share no scene.
_PHOTOGRAPHS = {
    True: {"skimage": ("astronaut.png", "coffee.png", "rocket.jpg", "grass.png", "ihc.png"), "sklearn": ("china.jpg",)},
    False: {
        "skimage": ("chelsea.png", "motorcycle_left.png", "gravel.png", "retina.jpg"),
        "sklearn": ("flower.jpg",),
    },
}
_FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


class DigitsOnPhotographs(Dataset):
    """`length` crops of real photographs, into each of which one to four real handwritten digits are pasted.

    Digits and photographs of the test part are in no picture of the training part. The digits (see `data.Digits`) are
    enlarged to 18 to 40 pixels, in a colour that stands out from where they lie, and do not overlap. The photographs
    come with scikit-image and scikit-learn: `pip install scikit-image scikit-learn`. Raises DataError."""

    def __init__(self, length: int = 1000, size: int = 96, train: bool = True, seed: int = 0) -> None:
        self.length, self.size, self.train, self.seed = length, size, train, seed
        self.photographs = [
            _photograph(package, name, size) for package, names in _PHOTOGRAPHS[bool(train)].items() for name in names
        ]
        self.digits = Digits(train=train)
        self.classes = list(self.digits.classes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Item:
        rng = random.stream(self.seed, "digits on photographs", "train" if self.train else "test", self._index(index))
        photograph = self.photographs[int(rng.integers(len(self.photographs)))]
        y, x = (int(rng.integers(0, side - self.size + 1)) for side in photograph.shape[:2])
        image = photograph[y : y + self.size, x : x + self.size].astype(np.float64)
        boxes: list[tuple[int, int, int, int]] = []
        labels = []
        for _ in range(int(rng.integers(1, 5))):
            number = int(rng.integers(len(self.digits)))
            side = int(rng.integers(18, 41))
            pixels, label = self.digits[number]
            ink = _enlarged(pixels[..., 0], side)
            rows, columns = np.flatnonzero((ink > 0.3).any(1)), np.flatnonzero((ink > 0.3).any(0))
            ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            place = _free_place(rng, ink.shape, self.size, boxes)
            if place is None:
                continue
            x1, y1, x2, y2 = place
            under = image[y1:y2, x1:x2]
            bright = under.mean() < 128
            colour = rng.uniform(170, 255, 3) if bright else rng.uniform(0, 85, 3)
            under += ink[..., None] * (colour - under)
            boxes.append(place)
            labels.append(label)
        return np.clip(image + 0.5, 0, 255).astype(np.uint8), target(boxes, labels)


def _photograph(package: str, name: str, size: int) -> np.ndarray:
    """A photograph of an installed package, found without importing it, at most 400 pixels long."""
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    file = Path(places[0]) / _FOLDERS[package] / name if places else None
    if file is None or not file.is_file():
        raise DataError(f"digits-on-photographs: {package} with its {name} is not installed; {GET_PHOTOGRAPHS}")
    pixels = read_image(file)
    factor = max(400 / max(pixels.shape[:2]), size / min(pixels.shape[:2]))
    if factor >= 1:
        return pixels
    from PIL import Image

    height, width = (max(round(side * factor), size) for side in pixels.shape[:2])
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """A digit's ink, 0 to 1, at `side` pixels."""
    from PIL import Image

    return np.array(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)) / 255.0


def _free_place(rng, shape, size, boxes):
    h, w = shape
    for _ in range(20):
        x, y = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
        place = (x, y, x + w, y + h)
        if all(x >= b[2] or b[0] >= place[2] or y >= b[3] or b[1] >= place[3] for b in boxes):
            return place
    return None


class CocoBoxes(CocoPictures):
    """The pictures of a COCO file with their boxes, and the "areas" of the things; crowds of class k have the label
    -2 - k.

    Raises DataError (see `tasks.coco`)."""

    first_class = 1

    def __getitem__(self, index: int) -> Item:
        picture, pixels = self.read(index, read_image)
        labels = [labelled(thing.label - 1, thing.crowd) for thing in picture.things]
        areas = np.array([thing.area for thing in picture.things], np.float64)
        return pixels, {**target([thing.box for thing in picture.things], labels), "areas": areas}


class VocBoxes(Dataset):
    """Pascal VOC: root/annotations/NAME.xml (or Annotations/), each for root/images/NAME.jpg (or JPEGImages/), or all
    of them in root itself.

    Classes are the names in the files, sorted, unless they are given. Corners count pixels from 1, as in VOC, and both
    are inside the box. Objects of class k marked "difficult" have the label -2 - k. Of a picture without a file nothing
    is known, so it is not among the items; `left_out` has the names. Raises DataError naming file and object."""

    def __init__(
        self, root: str | os.PathLike[str], classes: list[str] | None = None, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.root, self.max_pixels = user_path(root), max_pixels
        together = any(_notes(self.root, ".xml"))
        notes = self.root if together else _folder_in(self.root, ("annotations", "Annotations"))
        self.images = self.root if together else _folder_in(self.root, ("images", "JPEGImages"))
        files = _notes(notes, ".xml")
        if not files:
            raise DataError(f"{printable(notes)}: there are no .xml files")
        self.pictures = [self._picture(file) for file in files]
        notes_of: dict[Path, Path] = {}
        for file, (image, _, _) in zip(files, self.pictures, strict=True):
            if (other := notes_of.setdefault(image, file)) != file:
                raise DataError(
                    f"{printable(file)}: is about {image.name}, as {other.name} is; mend its <filename>, or remove it"
                )
        self.left_out = sorted(p.name for p in self.images.iterdir() if _is_picture(p) and p not in notes_of)
        found = sorted({name for _, _, things in self.pictures for name, _, _ in things})
        if all(hard for _, _, things in self.pictures for _, _, hard in things):
            what = "all objects are difficult" if found else "no file has an object"
            raise DataError(f"{printable(notes)}: {what}, so there is nothing to learn")
        self.classes = found if classes is None else classes
        if unknown := sorted(set(found) - set(self.classes)):
            raise DataError(f"{printable(notes)}: the classes {printable(unknown)} are not in the training part")

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Item:
        path, size, things = self.pictures[self._index(index)]
        pixels = read_image(path, self.max_pixels)
        if pixels.shape[:2] != size:
            raise DataError(other_size(path, pixels, "its .xml", size))
        labels = [labelled(self.classes.index(name), hard) for name, _, hard in things]
        return pixels, target([box for _, box, _ in things], labels)

    def known_as(self, index: int) -> str:
        """The picture's name and boxes, by which a run knows it again."""
        path, _, things = self.pictures[index]
        return f"{path.name} {things}"

    def _picture(self, file: Path) -> tuple[Path, tuple[int, int], list[tuple[str, Any, bool]]]:
        data, name = read_bytes(file, 1 << 24)
        tree = _plain_xml(data, name)
        text = tree.findtext("filename") or f"{file.stem}.jpg"
        image = self.images / Path(text).name
        if not image.is_file():
            image = next((p for p in (self.images / f"{file.stem}{s}" for s in SUFFIXES) if p.is_file()), image)
        if not image.is_file():
            raise DataError(f"{name}: its picture {printable(image)} is missing")
        width, height = (_number(_part(tree, "size", name), key, f"{name}: size") for key in ("width", "height"))
        if not all(side.is_integer() and 1 <= side < 2**31 for side in (width, height)):
            raise DataError(
                f"{name}: size: width and height must be whole numbers from 1, got {width:g} and {height:g}"
            )
        size, things = (int(height), int(width)), []
        for number, entry in enumerate(tree.iter("object"), 1):
            where = f"{name}: object {number}"
            label = (entry.findtext("name") or "").strip()
            if not label:
                raise DataError(f"{where}: has no name")
            corners = _part(entry, "bndbox", where)
            x1, y1, x2, y2 = (_number(corners, key, where) for key in ("xmin", "ymin", "xmax", "ymax"))
            box = checked_box((x1 - 1, y1 - 1, x2, y2), size, _failing(where), "bndbox")
            difficult = (entry.findtext("difficult") or "0").strip()
            if difficult not in ("0", "1"):
                raise DataError(f"{where}: difficult is 0 or 1, got {printable(difficult, 30)!r}")
            things.append((label, box, difficult == "1"))
        return image, size, things


def _plain_xml(data: bytes, name: str) -> ElementTree.Element:
    """The root of XML without a document type: entities can unfold without end, whatever the file's encoding."""

    def refuse_it(*parts: Any) -> NoReturn:
        raise DataError(f"{name}: has a document type or entities, which annotations do not need; remove them")

    looking = expat.ParserCreate()
    looking.StartDoctypeDeclHandler = refuse_it
    try:
        looking.Parse(data, True)
        return ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: is not XML: {printable(error)}") from None


def _part(node: ElementTree.Element, key: str, where: str) -> ElementTree.Element:
    part = node.find(key)
    if part is None:
        raise DataError(f"{where}: has no <{key}>")
    return part


def _number(node: ElementTree.Element, key: str, where: str) -> float:
    text = (_part(node, key, where).text or "").strip()
    value = _as_number(text)
    if not math.isfinite(value):
        raise DataError(f"{where}: {key} must be a number with a decimal point, got {printable(text, 30)!r}")
    return value


def _as_number(text: str) -> float:
    """The number that a file has as text, nan for what is none: of what Python takes for one, "1_0" is none."""
    return float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text, re.ASCII) else math.nan


class YoloBoxes(Dataset):
    """YOLO: root/images/NAME.jpg and root/labels/NAME.txt with a line "class x y width height" for each thing.

    x and y are the box's centre; all four are shares of the picture's sides, from 0 to 1. A line may have the corners
    of a polygon instead, "class x y x y x y ...": the box is the one around it; or, where data.yaml says `kpt_shape`,
    key points behind the box, which are not learned. Classes count from 0 and have their
    names in root/classes.txt, one a line, or under `names` in root/data.yaml (or in the folder above). No file, or an
    empty one, means that there is nothing in the picture.

    part   with it, the folders are root/images/part and root/labels/part
    Raises DataError naming file and line."""

    def __init__(self, root: str | os.PathLike[str], max_pixels: int = MAX_PIXELS, part: str = "") -> None:
        self.root, self.max_pixels = user_path(root), max_pixels
        images, self.labels_folder = (_folder_in(self.root, (str(Path(n, part)),)) for n in ("images", "labels"))
        self.paths = sorted(filter(_is_picture, images.iterdir()))
        if not self.paths:
            raise DataError(f"{printable(images)}: there are no pictures")
        stems = {path.stem for path in self.paths}
        files = _notes(self.labels_folder, ".txt")
        if lonely := [file.name for file in files if file.stem not in stems and file.name != "classes.txt"]:
            some = printable(", ".join(lonely[:5]), 120)
            raise DataError(f"{printable(self.labels_folder)}: no picture has the name of {some}; add or remove them")
        self.classes, self._named_in = class_names(self.root, self.root.parent, self.labels_folder)
        self.key_points = key_points(self.root, self.root.parent, self.labels_folder)
        self.things = [self._things(path) for path in self.paths]
        if not any(labels for _, labels in self.things):
            raise DataError(f"{printable(self.labels_folder)}: no file has a box, so there is nothing to learn")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Item:
        index = self._index(index)
        pixels = read_image(self.paths[index], self.max_pixels)
        shares, labels = self.things[index]
        height, width = pixels.shape[:2]
        return pixels, target(np.reshape(shares, (-1, 4)) * [width, height, width, height], labels)

    def known_as(self, index: int) -> str:
        """The picture's name and boxes, by which a run knows it again."""
        boxes, labels = self.things[index]
        return f"{self.paths[index].name} {labels} {[box.tolist() for box in boxes]}"

    def _things(self, path: Path) -> tuple[list[Any], list[int]]:
        file = self.labels_folder / f"{path.stem}.txt"
        boxes, labels = [], []
        lines = read_text(file)[0].splitlines() if file.is_file() and file.stat().st_size else []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where, parts = f"{printable(file)}, line {number}", line.split()
            number_of_class, *shares = map(_as_number, parts)
            if self.key_points and len(shares) == 4 + self.key_points:
                shares = shares[:4]
            polygon = len(shares) >= 6 and len(shares) % 2 == 0 and not self.key_points
            known = polygon or len(shares) == 4
            if not known or not number_of_class.is_integer() or not all(map(math.isfinite, shares)):
                raise DataError(
                    f'{where}: expected "class x y width height", a whole number and four with a decimal point, '
                    + (f"and {self.key_points} more, as kpt_shape says, " if self.key_points else "")
                    + f"got {printable(line.strip(), 60)!r}"
                )
            label = int(number_of_class)
            if not 0 <= label < len(self.classes):
                raise DataError(f"{where}: class {label}; {self._named_in} names {len(self.classes)}, from 0")
            corners = _around(shares) if polygon else _about_centre(shares)
            w, h = corners[2:] - corners[:2]
            if w <= 0 or h <= 0:
                raise DataError(f"{where}: width and height must be above 0, got {w:g} and {h:g}")
            if corners.min() < -0.01 or corners.max() > 1.01:
                raise DataError(
                    f"{where}: the box reaches out of its picture; x, y, width and height are shares of its sides, "
                    f"from 0 to 1"
                )
            boxes.append(np.clip(corners, 0, 1))
            labels.append(label)
        return boxes, labels


def _about_centre(shares: list[float]) -> np.ndarray:
    x, y, w, h = shares
    return np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def _around(shares: list[float]) -> np.ndarray:
    """The box around a polygon's corners x, y, x, y, ..."""
    corners = np.reshape(shares, (-1, 2))
    return np.concatenate([corners.min(0), corners.max(0)])


def _notes(folder: Path, suffix: str) -> list[Path]:
    """The files of annotations in a folder; those that begin with a dot are what a Mac keeps beside files."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def _folder_in(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(f"{printable(root)}: has no folder {' or '.join(map(repr, names))}")


def _failing(where: str):
    def fail(what: str) -> NoReturn:
        raise DataError(f"{where}: {what}")

    return fail
