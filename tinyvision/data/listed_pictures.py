"""Pascal VOC, CelebA, the Oxford pets, Caltech 101, EuroSAT and GTSRB under torchvision's names: folders of pictures
with files that say what is on them."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from ..errors import DataError, OptionError
from ..folders import user_path
from ..printable import printable
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .archives import list_dir, verify_str_arg
from .published import Published, must_be_there, read_mat
from .vision_dataset import ImageFolder, VisionDataset, make_dataset, open_picture

Place = str | os.PathLike[str]


class _VOC(VisionDataset):
    """Base of the two kinds of Pascal VOC's targets."""

    archives: ClassVar[dict[str, Published]] = {
        "2012": Published(
            (
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "http://pjreddie.com/media/files/VOCtrainval_11-May-2012.tar",
            ),
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
            1999639040,
        ),
        "2007": Published(
            (
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
                "http://pjreddie.com/media/files/VOCtrainval_06-Nov-2007.tar",
            ),
            "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
            460032000,
        ),
        "2007-test": Published(
            (
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
                "http://pjreddie.com/media/files/VOCtest_06-Nov-2007.tar",
            ),
            "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
            451020800,
        ),
        "2011": Published(("http://host.robots.ox.ac.uk/pascal/VOC/voc2011/VOCtrainval_25-May-2011.tar",)),
        "2010": Published(("http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",)),
        "2009": Published(("http://host.robots.ox.ac.uk/pascal/VOC/voc2009/VOCtrainval_11-May-2009.tar",)),
        "2008": Published(("http://host.robots.ox.ac.uk/pascal/VOC/voc2008/VOCtrainval_14-Jul-2008.tar",)),
    }
    _lists: ClassVar[str]
    _folder: ClassVar[str]
    _suffix: ClassVar[str]

    def __init__(
        self,
        root: Place,
        year: str = "2012",
        image_set: str = "train",
        download: bool = False,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        transforms: Callable | None = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self.year = verify_str_arg(year, "year", [str(year) for year in range(2007, 2013)])
        sets = ("train", "trainval", "val", "test") if year == "2007" else ("train", "trainval", "val")
        self.image_set = verify_str_arg(image_set, "image_set", sets)
        base = user_path(root) / ("TrainVal/VOCdevkit/VOC2011" if year == "2011" else f"VOCdevkit/VOC{year}")
        listed = base / "ImageSets" / self._lists / f"{image_set}.txt"
        if download and not listed.exists():
            self.archives["2007-test" if image_set == "test" else year].unpack(root)
        lines = must_be_there(listed, self).read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines]
        self.images = [str(base / "JPEGImages" / f"{name}.jpg") for name in names]
        self.targets = [str(base / self._folder / f"{name}{self._suffix}") for name in names]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        image, target = open_picture(self.images[index], "RGB"), self._target(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def _target(self, path: str) -> Any:
        raise NotImplementedError


class VOCSegmentation(_VOC):
    """Photographs and which class each pixel is of (Everingham et al.): (Pillow image of mode RGB, one of mode P).

    A pixel of the mask is 0 for the background, 1 to 20 for a class, 255 on a border.

    year       "2007" to "2012"
    image_set  "train", "val" or "trainval", and "test" of 2007

    The files are in `root/VOCdevkit/VOC2012` and so on, where `download=True` unpacks those of 2007 and 2012, checked
    against their SHA-256. images and masks list the paths. Raises OptionError, DataError, DownloadError."""

    _lists, _folder, _suffix = "Segmentation", "SegmentationClass", ".png"

    @property
    def masks(self) -> list[str]:
        """The paths of the masks."""
        return self.targets

    def _target(self, path: str) -> Any:
        return open_picture(path)


class VOCDetection(_VOC):
    """Photographs and what is where on them: (Pillow image of mode RGB, the XML file as nested dicts).

    `target["annotation"]["object"]` lists the things, each with "name" and "bndbox", whose numbers are text. Arguments
    and errors as for VOCSegmentation; annotations lists the paths."""

    _lists, _folder, _suffix = "Main", "Annotations", ".xml"

    @property
    def annotations(self) -> list[str]:
        """The paths of the XML files."""
        return self.targets

    def _target(self, path: str) -> Any:
        try:
            return self.parse_voc_xml(ElementTree.parse(path).getroot())
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise DataError(f"{printable(path)}: cannot be read as XML: {printable(error)}") from error

    @staticmethod
    def parse_voc_xml(node: ElementTree.Element) -> dict[str, Any]:
        """{tag: text}, or {tag: {...}} of what is below; what is there several times is a list, and objects always."""
        text = (node.text or "").strip()
        if not len(node):
            return {node.tag: text} if node.text else {}
        below: dict[str, list[Any]] = {}
        for child in node:
            for tag, value in VOCDetection.parse_voc_xml(child).items():
                below.setdefault(tag, []).append(value)
        one = {tag: values[0] if len(values) == 1 else values for tag, values in below.items()}
        if node.tag == "annotation":
            one["object"] = below.get("object", [])
        return {node.tag: one}


class CelebA(VisionDataset):
    """Faces of the famous (Liu et al., 2015): (Pillow image of mode RGB and 178 x 218, int64 Tensor).

    split        "train", "valid", "test" or "all"
    target_type  "attr" (40 numbers, 0 or 1), "identity" (a number), "bbox" (x, y, width, height) or "landmarks" (ten
                 numbers), or a list of them for a tuple; of an empty list the target is None

    The files are in `root/celeba`: the folder img_align_celeba and five lists. They are not downloaded: they are at
    Google Drive, and no SHA-256 of them is known here. Raises OptionError, DataError, DownloadError."""

    base_folder = "celeba"
    _columns: ClassVar[dict[str, str]] = {
        "attr": "list_attr_celeba.txt",
        "identity": "identity_CelebA.txt",
        "bbox": "list_bbox_celeba.txt",
        "landmarks": "list_landmarks_align_celeba.txt",
    }
    _parts: ClassVar[dict[str, int]] = {"train": 0, "valid": 1, "test": 2}

    def __init__(
        self,
        root: Place,
        split: str = "train",
        target_type: Sequence[str] | str = "attr",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = split
        self.target_type = [target_type] if isinstance(target_type, str) else list(target_type)
        for kind in self.target_type:
            verify_str_arg(kind, "target_type", self._columns)
        if not self.target_type and target_transform is not None:
            raise OptionError("CelebA: target_transform is given, but target_type is empty")
        part = self._parts.get(verify_str_arg(split.lower(), "split", (*self._parts, "all")))
        self._folder = user_path(root) / self.base_folder
        if download and not self._folder.is_dir():
            Published(("https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",)).fetch(self._folder)
        must_be_there(self._folder / "img_align_celeba", self, "from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html")
        _, names, parts = self._list("list_eval_partition.txt")
        chosen = [i for i, (found,) in enumerate(parts) if part is None or found == part]
        self.filename = [names[i] for i in chosen]
        lists = {kind: self._list(name, int(kind != "identity") * 2) for kind, name in self._columns.items()}
        for kind, (_, its, _) in lists.items():
            if its != names:
                raise DataError(f"{printable(self._folder / self._columns[kind])}: its lines are not those of "
                                "list_eval_partition.txt")  # fmt: skip
        rows = {kind: tensor([lists[kind][2][i] for i in chosen]) for kind in lists}
        self.identity, self.bbox, self.landmarks_align = rows["identity"], rows["bbox"], rows["landmarks"]
        self.attr = (rows["attr"] + 1) // 2  # the file has -1 and 1
        self.attr_names = lists["attr"][0]

    def _list(self, name: str, above: int = 0) -> tuple[list[str], list[str], list[list[int]]]:
        """(names of the columns, names of the pictures, their numbers); `above` lines stand over the pictures'."""
        path = must_be_there(self._folder / name, self, "from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html")
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file, delimiter=" ", skipinitialspace=True))
        try:
            numbers = [[int(word) for word in line[1:]] for line in lines[above:]]
            if len({len(row) for row in numbers}) > 1 or not all(lines[above:]):
                raise ValueError("lines of different lengths")
        except ValueError as error:
            raise DataError(f"{printable(path)}: {printable(error)}") from error
        return lines[above - 1] if above else [], [line[0] for line in lines[above:]], numbers

    def __len__(self) -> int:
        return len(self.attr)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        image = open_picture(self._folder / "img_align_celeba" / self.filename[index])
        found: dict[str, Callable[[], Tensor]] = {
            "attr": lambda: self.attr[index],
            "identity": lambda: self.identity[index, 0],
            "bbox": lambda: self.bbox[index],
            "landmarks": lambda: self.landmarks_align[index],
        }
        targets = _one_or_all(found[kind]() for kind in self.target_type)
        return self._transformed(image, targets)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}\nSplit: {self.split}"


class OxfordIIITPet(VisionDataset):
    """Cats and dogs of 37 breeds (Parkhi et al., 2012): (Pillow image of mode RGB, target).

    split         "trainval" or "test"
    target_types  "category" (0 to 36), "binary-category" (0 cat, 1 dog) or "segmentation" (a Pillow image of 1 animal,
                  2 background, 3 border), or a list of them for a tuple; of an empty list the target is None

    The files are in `root/oxford-iiit-pet`, where `download=True` unpacks both archives, checked against their SHA-256.
    Raises OptionError, DataError, DownloadError."""

    archives: ClassVar[tuple[Published, ...]] = (
        Published(
            ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",),
            "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            791918971,
        ),
        Published(
            ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",),
            "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            19173078,
        ),
    )
    _kinds = ("category", "binary-category", "segmentation")

    def __init__(
        self,
        root: Place,
        split: str = "trainval",
        target_types: Sequence[str] | str = "category",
        transforms: Callable | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self._split = verify_str_arg(split, "split", ("trainval", "test"))
        kinds = [target_types] if isinstance(target_types, str) else target_types
        self._target_types = [verify_str_arg(kind, "target_types", self._kinds) for kind in kinds]
        folder = user_path(root) / "oxford-iiit-pet"
        for archive in self.archives if download else ():
            if not (folder / archive.name.partition(".")[0]).is_dir():
                archive.unpack(folder)
        listed = must_be_there(folder / "annotations" / f"{split}.txt", self)
        rows = [line.split() for line in listed.read_text(encoding="utf-8").splitlines()]
        try:
            names = [name for name, *_ in rows]
            self._labels = [int(label) - 1 for _, label, _, _ in rows]
            self._bin_labels = [int(species) - 1 for _, _, species, _ in rows]
        except ValueError as error:
            raise DataError(f"{printable(listed)}: each line must be a name and three numbers") from error
        breeds = {(label, name.rpartition("_")[0]) for name, label in zip(names, self._labels, strict=True)}
        self.classes = [" ".join(word.title() for word in breed.split("_")) for _, breed in sorted(breeds)]
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        self.bin_classes = ["Cat", "Dog"]
        self.bin_class_to_idx = {name: label for label, name in enumerate(self.bin_classes)}
        self._images = [folder / "images" / f"{name}.jpg" for name in names]
        self._segs = [folder / "annotations" / "trimaps" / f"{name}.png" for name in names]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        found: dict[str, Callable[[], Any]] = {
            "category": lambda: self._labels[index],
            "binary-category": lambda: self._bin_labels[index],
            "segmentation": lambda: open_picture(self._segs[index]),
        }
        image = open_picture(self._images[index], "RGB")
        target = _one_or_all(found[kind]() for kind in self._target_types)
        return (image, target) if self.transforms is None else self.transforms(image, target)


class Caltech101(VisionDataset):
    """Photographs of 101 kinds of things (Li, Fergus and Perona, 2004): (Pillow image, target).

    target_type  "category" (the label) or "annotation" (the outline, float (2, N), of a file of MATLAB's that the
                 package scipy reads), or a list of them for a tuple

    The files are in `root/caltech101`: the folders 101_ObjectCategories and Annotations. They are not downloaded: no
    SHA-256 of them is known here. Raises OptionError, DataError, DownloadError."""

    _outlines: ClassVar[dict[str, str]] = {
        "Faces": "Faces_2",
        "Faces_easy": "Faces_3",
        "Motorbikes": "Motorbikes_16",
        "airplanes": "Airplanes_Side_2",
    }

    def __init__(
        self,
        root: Place,
        target_type: Sequence[str] | str = "category",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(os.path.join(root, "caltech101"), transform=transform, target_transform=target_transform)
        kinds = [target_type] if isinstance(target_type, str) else target_type
        self.target_type = [verify_str_arg(kind, "target_type", ("category", "annotation")) for kind in kinds]
        self._folder = user_path(root) / "caltech101"
        pictures = self._folder / "101_ObjectCategories"
        if download and not pictures.exists():
            Published(("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",)).fetch(self._folder)
        must_be_there(pictures, self, "from https://data.caltech.edu/records/mzrjq-6wc02")
        self.categories = sorted(set(list_dir(pictures)) - {"BACKGROUND_Google"})
        self.annotation_categories = [self._outlines.get(name, name) for name in self.categories]
        counts = [len(os.listdir(pictures / name)) for name in self.categories]
        self.index = [i for count in counts for i in range(1, count + 1)]
        self.y = [label for label, count in enumerate(counts) for _ in range(count)]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        label, number = self.y[index], self.index[index]
        name = f"image_{number:04d}.jpg"
        image = open_picture(self._folder / "101_ObjectCategories" / self.categories[label] / name)
        target = _one_or_all(label if kind == "category" else self._outline(label, number) for kind in self.target_type)
        return self._transformed(image, target)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}"

    def _outline(self, label: int, number: int) -> Any:
        folder = self._folder / "Annotations" / self.annotation_categories[label]
        return read_mat(folder / f"annotation_{number:04d}.mat", "obj_contour")[0]


class EuroSAT(ImageFolder):
    """Land from above, of ten classes (Helber et al., 2019): (Pillow image of mode RGB and 64 x 64, label).

    The class folders are in `root/eurosat/2750`, where `download=True` unpacks the archive, checked against its
    SHA-256. All else as for ImageFolder. Raises DataError, DownloadError."""

    archive: ClassVar[Published] = Published(
        (
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
            "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
            "https://madm.dfki.de/files/sentinel/EuroSAT.zip",
        ),
        "8ebea626349354c5328b142b96d0430e647051f26efc2dc974c843f25ecf70bd",
        94280567,
    )

    def __init__(
        self,
        root: Place,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
        loader: Callable[[str], Any] | None = None,
    ) -> None:
        folder = user_path(root) / "eurosat"
        if download and not (folder / "2750").is_dir():
            self.archive.unpack(folder)
        super().__init__(str(must_be_there(folder / "2750", self)), transform, target_transform, loader)
        self.root = os.path.expanduser(root)


class GTSRB(VisionDataset):
    """German traffic signs of 43 classes (Stallkamp et al., 2011): (Pillow image of mode RGB, label).

    split  "train", in `root/gtsrb/GTSRB/Training`, or "test", in `root/gtsrb/GTSRB/Final_Test/Images` with the list
           `root/gtsrb/GT-final_test.csv`

    The files are not downloaded: no SHA-256 of them is known here. Raises OptionError, DataError, DownloadError."""

    url = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"

    def __init__(
        self,
        root: Place,
        split: str = "train",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", ("train", "test"))
        base = user_path(root) / "gtsrb"
        folder = base / "GTSRB" / ("Training" if split == "train" else "Final_Test/Images")
        archive = "GTSRB-Training_fixed.zip" if split == "train" else "GTSRB_Final_Test_Images.zip"
        if download and not folder.is_dir():
            Published((f"{self.url}{archive}",)).fetch(base)
        must_be_there(folder, self, f"from {self.url}")
        if split == "train":
            self._samples = make_dataset(str(folder), extensions=(".ppm",))
        else:
            self._samples = list(
                self._listed(must_be_there(base / "GT-final_test.csv", self, f"from {self.url}"), folder)
            )

    @staticmethod
    def _listed(path: Path, folder: Path) -> Iterable[tuple[str, int]]:
        with open(path, encoding="utf-8", newline="") as file:
            try:
                for row in csv.DictReader(file, delimiter=";", skipinitialspace=True):
                    yield str(folder / row["Filename"]), int(row["ClassId"])
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(f"{printable(path)}: columns Filename and ClassId are needed") from error

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self._samples[self._index(index)]
        return self._transformed(open_picture(path, "RGB"), label)


def _one_or_all(targets: Iterable[Any]) -> Any:
    """None, the only one, or a tuple."""
    found = tuple(targets)
    return found if len(found) > 1 else next(iter(found), None)
