"""Segmentation on the command line: its data by name, U-Net, and the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ...data import Subset
from ...errors import OptionError
from ...models.unet import UNet
from ...nn.module import Module
from ...train.preprocessing import Preprocessing
from ...train.recipes import Parts, published_preprocessing
from ...train.report import picture_tag
from ..endless import drawn_parts
from ..lettering import key_of_page
from ..masks import regions, things_found
from ..pictures import scaled_down
from ..room import Opening, Options, Room, agreed, checked, counted, data_notes, each_part, table
from .datasets import GET_NUCLEI, CocoMasks, MaskFolder, Nuclei, ShapesMasks, StreetMasks
from .predict import Segmenter, overlay, present
from .samples import Samples
from .task import Segmentation

_SHOWN = 8  # pictures in a report

# Mean and spread of the pixels of nuclei.
_GREY = ((0.25,), (0.25,))
# Data that are drawn on demand, and how many an epoch.
_DRAWN: dict[str, tuple[Callable[..., Any], int]] = {"shapes": (ShapesMasks, 800), "street": (StreetMasks, 400)}
_SHARED = {"optimizer": "adamw", "lr": 0.005, "batch_size": 4}


class SegmentationRoom(Room):
    """A class for every pixel."""

    name = "segmentation"
    data: ClassVar = {
        "shapes": "drawn scenes of circles, squares, stars and others, with their masks; made on demand",
        "street": "drawn street scenes, no photographs: road, pavement, cars, signs and people; made on demand",
        "nuclei": f"one microscope image of 125 nuclei, half to train and half to test; {GET_NUCLEI}",
        "folder": "your own: --root FOLDER with images/ and masks/, or train/, val/, test/ with these in each",
        "coco": "your own: --root FOLDER with annotations.json (polygons, RLE) and images/, or parts with these",
    }
    settings: ClassVar = {
        "shapes": {**_SHARED, "lr": 0.003, "epochs": 12},  # six classes: with a larger rate, some seeds begin too late
        "street": {**_SHARED, "epochs": 8},
        "nuclei": {**_SHARED, "epochs": 12},
        "folder": {**_SHARED, "epochs": 20},
        "coco": {**_SHARED, "epochs": 20},
    }
    network = "unet"
    model, ready = UNet, Segmenter
    own = ("folder", "coco")
    known = ("nuclei",)

    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """U-Net of its own, or on a pretrained backbone."""
        data = self.chosen(options)
        if options.instances and data != "folder":
            raise OptionError(f"--instances is about the masks of --data folder; {data} says what its masks are")
        size = options.image_size or {"shapes": 64, "street": 96, "nuclei": 128}.get(data, 192)
        if options.backbone is None:
            grey = data == "nuclei"
            mean, std = _GREY if grey else ((0.5,) * 3, (0.25,) * 3)
            preprocessing = Preprocessing(1 if grey else 3, (size, size), mean, std)
        else:
            UNet(backbone=options.backbone)  # is there such a backbone?
            known = published_preprocessing(options.backbone)
            preprocessing = Preprocessing(3, (size, size), known.mean, known.std)
        shape: dict[str, Any] = {"in_channels": preprocessing.channels, "width": 12}
        if options.backbone is not None:
            shape["backbone"] = options.backbone
        notes = {
            "data": data_notes(data, options),
            "input": preprocessing.as_dict(),
            "model": {"name": self.network, "options": shape},
        }
        if options.instances:
            notes["data"]["instances"] = True
        settings = dict(self.settings[data])
        if options.backbone is not None:
            settings["lr"] = 0.001  # what the backbone knows is worth keeping
        return notes, settings

    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """The parts of the data; where there is no val, a share of the training pictures is held back."""
        notes, preprocessing = description["data"], Preprocessing.from_dict(description["input"])
        self.check_opening(opening)
        train, val, test = self._parts(notes, opening.root or notes["root"], preprocessing.size[0], opening.max_pixels)
        train, val, classes = agreed(train, val, test, notes["val"], opening.seed)
        checked((MaskFolder, CocoMasks), train, val, test)
        augment = notes["augment"] == "on"
        times = 64 if notes["name"] == "nuclei" else max(1, 64 // len(train))
        made = Samples(train, preprocessing, True, augment, turns=notes["name"] == "nuclei", times=times)
        plain = [None if part is None else Samples(part, preprocessing) for part in (val, test)]
        description["model"]["options"]["num_classes"] = len(classes)
        description["classes"] = classes
        return Parts(made, plain[0], plain[1], classes)

    def _parts(self, notes: dict[str, Any], root: str | None, size: int, max_pixels: int) -> tuple[Any, Any, Any]:
        name = notes["name"]
        if name in _DRAWN:
            kind, length = _DRAWN[name]
            return *drawn_parts(lambda n: kind(n, size), length, notes["val"]), kind(length // 4, size, train=False)
        if name == "nuclei":
            return Nuclei(True, root), None, Nuclei(False, root)
        if name == "folder":
            return each_part(str(root), lambda folder, _: MaskFolder(folder, bool(notes.get("instances")), max_pixels))
        return each_part(str(root), lambda folder, _: CocoMasks(folder, max_pixels=max_pixels))

    def task(self, description: dict[str, Any]) -> Segmentation:
        """Cross-entropy and Dice over the classes of the description."""
        return Segmentation(description["classes"])

    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """Dice of validation and test, by class."""
        values: dict[str, Any] = {"val_dice": row["val_dice"], "test_dice": None, "test_images": None}
        lines = []
        if parts.val is not None:
            lines.append(
                f"best epoch: {row['epoch']}, by its Dice of {row['val_dice']:.4f} on {counted(len(parts.val))} held "
                f"back"
            )
        if test is not None:
            each = {name: float(dice) for name, dice in zip(parts.classes[1:], test.dice[1:], strict=True)}
            values.update(test_dice=test.score, test_images=len(test.losses), test_dice_by_class=each)
            values["test_iou"] = float(test.iou[1:].mean())
            lines.append(
                f"test Dice: {test.score:.4f}, {test.accuracy:.2%} of the pixels right, on {counted(len(test.losses))} "
                f"that nothing was learned or chosen on"
            )
            if len(each) > 1:
                lines.append("    " + ", ".join(f"{name} {dice:.3f}" for name, dice in each.items()))
        elif parts.val is None:
            lines.append(
                f"training Dice: {row['train_dice']:.4f}; no images were held back, so nothing is known of others"
            )
        return values, lines

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """Dice by class, how many things were found where that is known, and pictures: true beside predicted."""
        named = {"test": parts.test, "validation": parts.val, "training": parts.train}
        what, shown = next((name, part) for name, part in named.items() if part is not None)
        segmenter = Segmenter(model, Preprocessing.from_dict(description["input"]), parts.classes, "")
        figures, found, there, said = [], 0, 0, 0
        labels: set[int] = set()  # that are seen on the pictures shown
        dataset = shown.dataset
        for index in range(len(dataset)):
            image, mask = dataset[index]
            things = things_of(dataset, index)
            if things is None and index >= _SHOWN:
                break
            predicted = segmenter.predict(image)
            if things is not None:
                numbers, _ = regions(predicted.mask, segmenter.smallest_region)
                f, t, p = things_found(numbers, things)
                found, there, said = found + f, there + t, said + p
            if index < _SHOWN:
                labels.update(predicted.shown(), present(mask, len(parts.classes)))
                figures.append(
                    _figure(
                        scaled_down(image),
                        scaled_down(mask, True),
                        scaled_down(predicted.mask, True),
                        len(parts.classes),
                    )
                )
        sections, values, lines = [], {}, []
        if test is not None:
            rows = [
                (name, f"{dice:.4f}", f"{iou:.4f}", f"{int(counts[2]):,}")
                for name, dice, iou, counts in zip(parts.classes, test.dice, test.iou, test.counts.sum(0), strict=True)
            ]
            sections.append(f"<h2>By class, on the test images</h2>\n{table(('class', 'Dice', 'IoU', 'pixels'), rows)}")
        if there:
            line = (
                f"things found: {found:,} of {there:,} with an IoU above 0.5 ({what} images), among {said:,} predicted "
                f"regions; things that touch are one region"
            )
            values, lines = {"things_found": found, "things": there, "regions": said}, [line]
        key = key_of_page(parts.classes, sorted(labels)) if len(parts.classes) > 2 else ""
        sections.append(
            f"<h2>Pictures</h2>\n<p>Of the {what} images: as they are, true, predicted.</p>\n{key}"
            f'<div class="triples">{"".join(figures)}</div>'
        )
        return sections, values, lines


def things_of(dataset: Any, index: int) -> np.ndarray | None:
    """The numbered things of an item, where a dataset, or the one that a Subset is of, counts them."""
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, int(dataset.indices[index])
    return dataset.things(index) if hasattr(dataset, "things") else None


def _figure(image: np.ndarray, true: np.ndarray, predicted: np.ndarray, classes: int) -> str:
    pictures = (image, overlay(image, true, classes), overlay(image, predicted, classes))
    return f"<figure>{''.join(picture_tag(one, 280) for one in pictures)}</figure>"


ROOM = SegmentationRoom()
