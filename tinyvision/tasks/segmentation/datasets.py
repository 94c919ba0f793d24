"""Datasets of (picture, mask): folders, COCO's polygons, drawn shapes, and nuclei under a microscope.

A picture is uint8 (H, W, 3), its mask whole numbers (H, W): 0 is background, 255 says nothing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ...data import Dataset, Shapes, Streets
from ...data.images import MAX_PIXELS, SUFFIXES
from ...data.streets import AREAS
from ...errors import DataError
from ...folders import user_path
from ...formats.source import read_text
from ...printable import printable
from ..coco import CocoPictures, decoded
from ..masks import VOID, read_levels, read_mask

_WHITE_16 = 65535  # white, where a mask of black and white has 16 bits
_BLACK_AND_WHITE = {0, VOID, _WHITE_16}
_MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif")
GET_NUCLEI = "pip install stardist==0.9.2 --no-deps"


class MaskFolder(Dataset):
    """root/images/NAME.jpg and root/masks/NAME.png: a mask for each image, with the same name and size.

    The numbers of a mask are its classes, 0 being the background and 255 "not said". Names and colours come from
    root/classes.txt: a name a line, the background first, and behind it "#rrggbb" if masks are coloured: then the
    colours of a palette count, not its numbers, and the shades of a grey mask if each is a class's. Without that file,
    masks of black and white alone (0 and 255, of 16 bits 65535) show one thing, and others have the numbers 0, 1, 2,
    ..., each of them somewhere.

    instances   the numbers count things instead (cells, nuclei), which are all of one class
    Raises DataError for what does not fit, naming the file."""

    def __init__(self, root: str | os.PathLike[str], instances: bool = False, max_pixels: int = MAX_PIXELS) -> None:
        self.root, self.counts_things, self.max_pixels = user_path(root), instances, max_pixels
        where = printable(self.root)
        if not self.root.is_dir():
            raise DataError(f"{where}: no such folder")
        for part in ("images", "masks"):
            if not (self.root / part).is_dir():
                raise DataError(
                    f"{where}: has no folder {part!r}; put pictures into images/ and their masks into masks/"
                )
        images, masks = (
            _by_stem(self.root / part, kinds) for part, kinds in (("images", SUFFIXES), ("masks", _MASK_SUFFIXES))
        )
        if not images:
            raise DataError(f"{where}: there are no pictures in images/")
        for one, other, what in ((images, masks, "mask"), (masks, images, "image")):
            if lonely := sorted(one.keys() - other.keys()):
                some = printable(", ".join(one[name].name for name in lonely[:5]), 150)
                raise DataError(
                    f"{where}: there is no {what} of the same name beside {some}; add or remove them"
                    f"{_nearly(self.root / f'{what}s', lonely[0], one.keys())}"
                )
        self.pairs = [(images[name], masks[name]) for name in sorted(images)]
        self.colours: dict[tuple[int, ...], int] = {}
        self.classes = self._classes()
        if self.counts_things or (self.root / "classes.txt").exists():
            self._check_there_is_something()

    def __len__(self) -> int:
        return len(self.pairs)

    def known_as(self, index: int) -> str:
        """The names of picture and mask, by which a run knows them again."""
        return " ".join(path.name for path in self.pairs[index])

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.pairs[self._index(index)]
        pixels = read_levels(image, self.max_pixels)
        numbers = self._numbers(mask)
        if numbers.shape != pixels.shape[:2]:
            (H, W), (h, w) = numbers.shape, pixels.shape[:2]
            raise DataError(
                f"{printable(mask)}: the mask is {W} x {H} pixels and its image {w} x {h}; they must be equal"
            )
        return pixels, numbers

    def things(self, index: int) -> np.ndarray | None:
        """The numbers (H, W) of the things in a picture, if the masks count them."""
        return read_mask(self.pairs[self._index(index)][1], self.max_pixels) if self.counts_things else None

    def _classes(self) -> list[str]:
        file = self.root / "classes.txt"
        if self.counts_things:
            if file.exists():
                raise DataError(f"{printable(file)}: masks that count things have one class; remove the file")
            return ["background", "object"]
        if file.exists():
            return self._named(file)
        seen: set[int] = set()
        for _, mask in self.pairs:  # what the numbers mean depends on all of them
            raw = read_mask(mask, self.max_pixels)
            if raw.ndim == 3:
                raise DataError(
                    f"{printable(mask)}: is coloured, and nothing says what the colours mean; write classes.txt with a "
                    f"line for each class, such as: road #804080"
                )
            seen |= set(np.unique(raw).tolist())
            if (most := max(seen - {_WHITE_16}, default=0)) > VOID or (
                _WHITE_16 in seen and not seen <= _BLACK_AND_WHITE
            ):
                raise DataError(
                    f"{printable(mask)}: has the number {max(seen) if most <= VOID else most}; if masks count things, "
                    f"say so (--instances, in Python instances=True); classes go up to 254"
                )
        if not any(seen):  # first of all, for masks of zeros alone are black and white, too
            raise DataError(f"{printable(self.root)}: every mask is empty, so there is nothing to learn")
        self.binary = seen <= _BLACK_AND_WHITE
        if self.binary:
            return ["background", "object"]
        most = max(seen - {VOID})
        if absent := sorted(set(range(1, most + 1)) - seen):
            there = ", ".join(map(str, sorted(seen)[:8])) + (", ..." if len(seen) > 8 else "")
            raise DataError(
                f"{printable(self.root)}: the masks have the numbers {there}, and no pixel is {absent[0]}; write "
                f"classes.txt with a name for each class from 0 (the background) to {most}, or make the numbers 0, 1, "
                f"2, ... (masks of one thing are black and white alone, without shades at its edges)"
            )
        return ["background", *(f"class {k}" for k in range(1, most + 1))]

    def _named(self, file: Path) -> list[str]:
        self.binary = False
        names: list[str] = []
        for number, line in enumerate(read_text(file)[0].rstrip().splitlines(), 1):
            if not line.strip():
                raise DataError(f"{printable(file)}, line {number}: is empty, and the line of a name is its number")
            name, _, colour = line.strip().rpartition(" ")
            if not colour.startswith("#"):
                name, colour = line.strip(), ""
            if colour:
                try:
                    code = tuple(bytes.fromhex(colour[1:]))
                except ValueError:
                    code = ()
                if len(code) != 3 or code in self.colours:
                    what = "is taken already" if code in self.colours else "is not #rrggbb"
                    raise DataError(f"{printable(file)}, line {number}: the colour {printable(colour, 20)} {what}")
                self.colours[code] = len(names)
            names.append(name.strip())
        if not 2 <= len(names) < VOID or len(set(names)) < len(names):
            raise DataError(f"{printable(file)}: needs from 2 to 254 different names, the background's first")
        if self.colours and len(self.colours) < len(names):
            raise DataError(f"{printable(file)}: give every class a colour, or none")
        return names

    def _check_there_is_something(self) -> None:
        """Raise DataError if no mask has another class than the first; looks at no more of them than it must."""
        for _, mask in self.pairs:
            try:
                numbers = self._numbers(mask)
            except DataError:
                return  # it is named when all masks are read
            if ((numbers > 0) & (numbers != VOID)).any():
                return
        if self.counts_things:
            raise DataError(f"{printable(self.root)}: every mask is empty, so there is nothing to learn")
        raise DataError(
            f"{printable(self.root)}: no pixel of a mask has a class but {printable(self.classes[0], 40)}, the first "
            f"in classes.txt, so there is nothing to learn; 255 says nothing of a pixel where there is a classes.txt: "
            f"leave that file out if the masks are black and white alone"
        )

    def _numbers(self, file: Path) -> np.ndarray:
        raw = read_mask(file, self.max_pixels, bool(self.colours))
        if raw.ndim == 3:
            return self._by_colour(raw, file)
        if self.colours and (shades := self._by_shade(raw, file)) is not None:
            return shades
        if self.counts_things or self.binary:
            return (raw > 0).astype(np.int64)
        wrong = raw[(raw >= len(self.classes)) & (raw != VOID)]
        if wrong.size:
            raise DataError(
                f"{printable(file)}: has the number {int(wrong[0])}, but there are {len(self.classes)} classes, from 0 "
                f"(background) to {len(self.classes) - 1}; mend it, or add the class to classes.txt"
            )
        return raw

    def _by_shade(self, raw: np.ndarray, file: Path) -> np.ndarray | None:
        """The classes of a grey mask (H, W) if its shades are their colours; None if they are numbers."""
        greys = {r: k for (r, g, b), k in self.colours.items() if r == g == b}
        own = np.unique(raw).tolist()
        if not greys.keys() >= set(own):
            return None
        if all(n < len(self.classes) for n in own) and (other := [n for n in own if greys[n] != n]):
            one, two = (printable(repr(self.classes[k]), 40) for k in (other[0], greys[other[0]]))
            raise DataError(
                f"{printable(file)}: is grey, and {other[0]} could be the number of {one} or the shade of {two}; save "
                f"it as RGB, or take the colours out of classes.txt if the masks have numbers"
            )
        return np.array([greys.get(n, 0) for n in range(max(own) + 1)], np.int64)[raw]

    def _by_colour(self, raw: np.ndarray, file: Path) -> np.ndarray:
        if not self.colours:
            raise DataError(f"{printable(file)}: is coloured, but the other masks hold numbers; make them one kind")
        codes = (raw.astype(np.int64) * [65536, 256, 1]).sum(2)
        known = np.array([(r << 16) + (g << 8) + b for r, g, b in self.colours], np.int64)
        order = np.argsort(known)
        place = order[np.clip(np.searchsorted(known[order], codes), 0, len(known) - 1)]
        classes, unknown = np.array(list(self.colours.values()), np.int64)[place], known[place] != codes
        if unknown.any() and (numbers := read_mask(file, self.max_pixels)).ndim == 2:  # of a palette
            void = unknown & (numbers == VOID)
            classes[void], unknown = VOID, unknown & ~void
        wrong = np.argwhere(unknown)
        if len(wrong):
            y, x = wrong[0]
            raise DataError(
                f"{printable(file)}: the colour #{int(codes[y, x]):06x} at ({x}, {y}) is no class's in classes.txt; "
                f"add it there, or take the colours out if the masks have numbers"
            )
        return classes


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.lower().endswith(tuple(suffixes)):
            continue
        if path.stem in found:
            raise DataError(f"{printable(path)}: {found[path.stem].name!r} beside it has the same name; keep one")
        found[path.stem] = path
    return found


def _nearly(folder: Path, stem: str, stems: Collection[str]) -> str:
    """What to say of a file that has nearly the name that is looked for, and not one of the others."""
    near = sorted(
        path for path in folder.iterdir() if path.stem.startswith(stem) and path.stem not in {*stems} - {stem}
    )
    if not near:
        return ""
    name = printable(near[0].name, 60)
    if folder.name == "masks" and near[0].suffix.lower() in (".jpg", ".jpeg", ".webp"):
        return f" ({name} is none: JPEG and WebP change a mask's numbers; save it as PNG)"
    return "" if near[0].stem == stem else f" ({name} is another name; but for the suffix, the two are equal)"


class CocoMasks(CocoPictures):
    """The pictures of a COCO file, with masks of its polygons and run lengths; crowds are 255.

    What lies in front, and so covers the others, is the smaller thing. Raises DataError (see `tasks.coco.Coco`)."""

    def check(self) -> None:
        """Every thing has an outline, and a name that is not the background's. Raises DataError."""
        if len(self.classes) > VOID:
            raise DataError(
                f"{self.coco.name}: has {len(self.classes) - 1} categories, and a mask has up to {VOID - 1}, for "
                f"{VOID} says nothing of a pixel; leave those out that you do not look for"
            )
        for picture in self.coco.pictures:
            for thing in picture.things:
                if self.classes[thing.label] == self.classes[0]:
                    raise DataError(f"{thing.where}: its category {self.classes[0]!r} is the name of what is no thing; "
                                    f"rename the category, or remove it with what is of it")  # fmt: skip
                if thing.segmentation is None:
                    raise DataError(f'{thing.where}: has no "segmentation"; a box alone makes no mask')

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        picture, pixels = self.read(index, read_levels)
        mask = np.zeros(picture.size, np.int64)
        drawn = [(decoded(thing.segmentation, picture.size, thing.where), thing) for thing in picture.things]
        for covered, thing in sorted(drawn, key=lambda pair: -int(pair[0].sum())):
            mask[covered] = VOID if thing.crowd else thing.label
        return pixels, mask


class ShapesMasks(Dataset):
    """Drawn scenes with up to three shapes (see `data.Shapes`), with a mask of their classes."""

    def __init__(self, length: int = 400, size: int = 64, train: bool = True, seed: int = 0, objects: int = 3) -> None:
        self.shapes = Shapes(length, size, seed, train, objects)
        self.classes = ["background", *self.shapes.classes]

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        scene = self.shapes.scene(self._index(index))
        mask = np.zeros(scene.masks.shape[1:], np.int64)
        for covered, label in zip(scene.masks, scene.labels, strict=True):
            mask[covered] = label + 1
        return scene.image, mask

    def things(self, index: int) -> np.ndarray:
        """The numbers (H, W) of the shapes in a picture, from 1."""
        masks = self.shapes.scene(self._index(index)).masks
        return (masks * np.arange(1, len(masks) + 1)[:, None, None]).max(0)


class StreetMasks(Dataset):
    """Drawn street scenes (see `data.Streets`), with a mask of road, pavement, cars, signs and people."""

    def __init__(self, length: int = 400, size: int = 96, train: bool = True, seed: int = 0) -> None:
        self.streets = Streets(length, size, seed, train)
        self.classes = list(AREAS)

    def __len__(self) -> int:
        return len(self.streets)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        scene = self.streets.scene(self._index(index))
        return scene.image, scene.areas


class Nuclei(Dataset):
    """One fluorescence image, 512 x 512 pixels, with 125 outlined nuclei: its left half to train on, its right to test.

    The image is of the 2018 Data Science Bowl (Caicedo et al., Nature Methods 16, 2019) and comes with the package
    stardist (BSD-3), which is not needed otherwise: `pip install stardist==0.9.2 --no-deps`, or name with `root` the
    folder that has img2d.tif and mask2d.tif. Raises DataError."""

    def __init__(self, train: bool = True, root: str | os.PathLike[str] | None = None) -> None:
        folder = nuclei_folder() if root is None else user_path(root)
        if folder is None:
            raise DataError(f"nuclei: the package stardist is not installed; get it: {GET_NUCLEI}")
        for name in ("img2d.tif", "mask2d.tif"):
            if not (folder / name).is_file():
                raise DataError(f"{printable(folder / name)}: no such file; get it: {GET_NUCLEI}")
        self.classes = ["background", "nucleus"]
        image, numbers = read_levels(folder / "img2d.tif"), read_mask(folder / "mask2d.tif")
        if image.shape[:2] != (512, 512) or numbers.shape != (512, 512):
            raise DataError(f"{printable(folder)}: img2d.tif and mask2d.tif are not those of 512 x 512 pixels")
        half = np.s_[:, :256] if train else np.s_[:, 256:]
        self.image, self.numbers = image[half], numbers[half]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self._index(index)
        return self.image, (self.numbers > 0).astype(np.int64)

    def things(self, index: int) -> np.ndarray:
        """The numbers (H, W) of the nuclei."""
        self._index(index)
        return self.numbers


def nuclei_folder() -> Path | None:
    """Where the package stardist keeps its pictures, found without importing it; None if it is not installed."""
    spec = importlib.util.find_spec("stardist")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "images"


__all__ = ["GET_NUCLEI", "CocoMasks", "MaskFolder", "Nuclei", "ShapesMasks", "StreetMasks", "nuclei_folder"]
