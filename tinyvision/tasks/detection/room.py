"""Detection on the command line: its data by name, CentreDetector, and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data import Subset
from ...errors import OptionError
from ...folders import user_path
from ...models.centre_detector import CentreDetector
from ...nn.module import Module
from ...printable import printable
from ...train.preprocessing import Preprocessing
from ...train.recipes import Parts, published_preprocessing
from ...train.report import picture_tag
from ..endless import drawn_parts
from ..room import Opening, Options, Room, agreed, checked, counted, data_notes, each_part, table
from .average_precision import Boxes
from .datasets import GET_PHOTOGRAPHS, CocoBoxes, DigitsOnPhotographs, ShapesBoxes, StreetBoxes, VocBoxes, YoloBoxes
from .predict import Detector, boxes_drawn
from .samples import Samples
from .task import Detection

_SHOWN, _SIDE = 12, 400  # pictures in a report, and their longer side in pixels
_TESTED = 200  # drawn pictures
_SHARED = {"optimizer": "adamw", "lr": 0.004, "batch_size": 16}
# Data that are drawn on demand, and how many an epoch.
_DRAWN: dict[str, tuple[Callable[..., Any], int]] = {
    "shapes": (ShapesBoxes, 1400),
    "street": (StreetBoxes, 1400),
    "digits-on-photographs": (DigitsOnPhotographs, 1800),
}
_PARTS = "or parts train/, val/, test/ with these in each"


class DetectionRoom(Room):
    """Boxes around things."""

    name = "detection"
    data: ClassVar = {
        "shapes": "drawn scenes of circles, squares, stars and others, with their boxes; made on demand",
        "street": "drawn street scenes, no photographs, with boxes of cars, signs and people; made on demand",
        "digits-on-photographs": f"real digits pasted into real photographs; {GET_PHOTOGRAPHS}",
        "coco": f"your own: --root FOLDER with annotations.json and images/, {_PARTS}",
        "voc": f"your own: --root FOLDER with annotations/*.xml and images/, {_PARTS}",
        "yolo": f"your own: --root FOLDER with images/, labels/*.txt and classes.txt or data.yaml, {_PARTS}",
    }
    settings: ClassVar = {
        "shapes": {**_SHARED, "epochs": 8},
        "street": {**_SHARED, "epochs": 8},
        "digits-on-photographs": {**_SHARED, "epochs": 8},
        "coco": {**_SHARED, "epochs": 40, "batch_size": 8},
        "voc": {**_SHARED, "epochs": 40, "batch_size": 8},
        "yolo": {**_SHARED, "epochs": 40, "batch_size": 8},
    }
    network = "centre-detector"
    model, ready = CentreDetector, Detector
    own = ("coco", "voc", "yolo")
    refused = ("instances",)

    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """CentreDetector, of its own or on a pretrained backbone."""
        data = self.chosen(options)
        if options.augment is not None and data in _DRAWN:
            raise OptionError(f"--augment: {data} are drawn anew in every epoch, nothing is gained; leave it out")
        size = options.image_size or (256 if data in self.own else 96)
        if size % 16:
            raise OptionError(f"--image-size of {self.name} must be a multiple of 16, got {size}")
        shape: dict[str, Any] = {}
        mean, std = (0.5,) * 3, (0.25,) * 3
        settings = dict(self.settings[data])
        if options.backbone is not None:
            CentreDetector(backbone=options.backbone)  # is there such a backbone?
            known = published_preprocessing(options.backbone)
            mean, std = known.mean, known.std  # type: ignore[assignment]
            shape["backbone"] = options.backbone
            settings["lr"] = 0.001  # what the backbone knows is worth keeping
        notes = {
            "data": data_notes(data, options),
            "input": Preprocessing(3, (size, size), mean, std).as_dict(),
            "model": {"name": self.network, "options": shape},
        }
        return notes, settings

    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """The parts of the data; where there is no val, a share of the training pictures is held back."""
        notes, preprocessing = description["data"], Preprocessing.from_dict(description["input"])
        self.check_opening(opening)
        size = preprocessing.size[0]
        train, val, test = self._parts(notes, opening.root or notes["root"], size, opening.max_pixels)
        train, val, classes = agreed(train, val, test, notes["val"], opening.seed)
        checked((CocoBoxes, VocBoxes, YoloBoxes), train, val, test)
        for part in (train.dataset if isinstance(train, Subset) else train, val, test):
            if isinstance(part, VocBoxes) and (part.root / "ImageSets").is_dir():
                opening.console.line(
                    f"note: {printable(part.root / 'ImageSets')} is not read; for parts of your own, put what belongs "
                    f"to each into train/, val/ and test/"
                )
            if isinstance(part, VocBoxes) and part.left_out:
                some = printable(", ".join(part.left_out[:3]), 80)
                opening.console.line(
                    f"note: {part.images} has {counted(len(part.left_out), 'picture')} without .xml: {some}; left out"
                )
        # What is drawn is drawn anew in every epoch, so that nothing is gained by moving it; and a mirrored 3 is no 3.
        augment = notes["augment"] == "on" and notes["name"] not in _DRAWN
        plain = [None if part is None else Samples(part, preprocessing) for part in (val, test)]
        description["model"]["options"]["num_classes"] = len(classes)
        description["classes"] = classes
        made = Samples(train, preprocessing, augment, flips=True)
        return Parts(made, plain[0], plain[1], classes)

    def _parts(self, notes: dict[str, Any], root: str | None, size: int, max_pixels: int) -> tuple[Any, Any, Any]:
        name = notes["name"]
        if name in _DRAWN:
            kind, length = _DRAWN[name]
            return *drawn_parts(lambda n: kind(n, size), length, notes["val"]), kind(_TESTED, size, train=False)
        images = user_path(str(root)) / "images"
        if name == "yolo" and (images / "train").is_dir():
            return each_part(images, lambda folder, _: YoloBoxes(images.parent, max_pixels, folder.name))
        make: dict[str, Callable[[Path, Any], Any]] = {
            "coco": lambda folder, train: CocoBoxes(folder, max_pixels=max_pixels),
            "voc": lambda folder, train: VocBoxes(folder, train.classes if train else None, max_pixels),
            "yolo": lambda folder, train: YoloBoxes(folder, max_pixels),
        }
        return each_part(str(root), make[name])

    def task(self, description: dict[str, Any]) -> Detection:
        """Heat and boxes of the classes of the description."""
        return Detection(description["classes"])

    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """mAP of validation and test."""
        values: dict[str, Any] = {"val_map": row["val_map"], "test_map": None, "test_images": None}
        lines = []
        if parts.val is not None:
            lines.append(
                f"best epoch: {row['epoch']}, by its mAP of {row['val_map']:.4f} on {counted(len(parts.val))} held back"
            )
        if test is not None:
            found = test.precision
            values.update(test_map=test.score, test_images=len(test.true), test_ap50=found.ap50, test_ap75=found.ap75)
            values["test_map_by_area"] = {name: _known(v) for name, v in found.by_area.items()}
            values["test_map_by_class"] = {n: _known(v) for n, v in zip(parts.classes, found.by_class, strict=True)}
            lines.append(
                f"test mAP: {test.score:.4f} (AP50 {found.ap50:.4f}, AP75 {found.ap75:.4f}), as COCO counts it, on "
                f"{counted(len(test.true))} that nothing was learned or chosen on"
            )
        elif parts.val is None:
            lines.append("no images were held back, so nothing is known of others")
        return values, lines

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """mAP by class and size, and pictures: true boxes beside those that were found."""
        named = {"test": parts.test, "validation": parts.val, "training": parts.train}
        what, shown = next((name, part) for name, part in named.items() if part is not None)
        detector = Detector(model, Preprocessing.from_dict(description["input"]), parts.classes, "")
        sections = []
        if test is not None:
            counts = np.bincount(np.concatenate([t.labels for t in test.true]), minlength=len(parts.classes))
            rows = [
                (name, _shown(ap), f"{int(count):,}")
                for name, ap, count in zip(parts.classes, test.precision.by_class, counts, strict=True)
            ]
            rows += [(f"{name} things", _shown(ap), "") for name, ap in test.precision.by_area.items()]
            sections.append(
                f"<h2>On the test images</h2>\n<p>Small things have less than 32² pixels of the picture itself, large "
                f"ones more than 96².</p>\n{table(('class', 'mAP', 'things'), rows)}"
            )
        figures = []
        for index in range(min(_SHOWN, len(shown.dataset))):
            image, target = shown.dataset[index]
            own = target["labels"] >= 0
            true = Boxes(target["boxes"][own], target["labels"][own])
            names = [parts.classes[k] for k in true.labels]
            found = detector.predict(image)
            pictures = (boxes_drawn(image, true, names, _SIDE), boxes_drawn(image, found.boxes, found.texts(), _SIDE))
            figures.append(f"<figure>{''.join(picture_tag(one, _SIDE) for one in pictures)}</figure>")
        sections.append(
            f"<h2>Pictures</h2>\n<p>Of the {what} images: the true boxes, and those that were found with a score of at "
            f'least {detector.least}.</p>\n<div class="pairs">{"".join(figures)}</div>'
        )
        return sections, {}, []


def _shown(value: float) -> str:
    """For people: four digits, or a dash where there is nothing to find."""
    return "–" if np.isnan(value) else f"{value:.4f}"


def _known(value: float) -> float | None:
    """For JSON, which has no nan."""
    return None if np.isnan(value) else float(value)


ROOM = DetectionRoom()
