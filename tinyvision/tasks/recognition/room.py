"""Recognition on the command line: learned from some classes, verified on others."""

from __future__ import annotations

from typing import Any, ClassVar

from ...data import ImageFolder, Subset, transforms
from ...errors import DataError
from ...folders import user_path
from ...nn.module import Module
from ...printable import printable
from ...train.image_folders import look_through
from ...train.preprocessing import Preprocessing
from ...train.recipes import Parts
from ..room import Opening, Options, Room, data_notes
from .features import Features
from .network import Embedder
from .report import sections
from .samples import Turned, digits
from .task import Recognition

_FALSE_ACCEPTS = 0.01


class RecognitionRoom(Room):
    """Is it the same on both pictures?"""

    name = "recognition"
    data: ClassVar = {
        "digits": "the handwritten digits 0 to 5 to learn from, 6 to 9 to verify; comes with tinyvision",
        "folder": "your own: --root FOLDER with train/NAME/*.jpg and, of other names, test/NAME/*.jpg",
    }
    settings: ClassVar = {
        "digits": {"epochs": 6, "batch_size": 64, "optimizer": "adamw", "lr": 0.002, "schedule": "cosine"},
        "folder": {"epochs": 20, "batch_size": 64, "optimizer": "adamw", "lr": 0.002, "schedule": "cosine"},
    }
    network = "embedder"
    model, ready = Embedder, Features.of_embedder
    own = ("folder",)
    refused = ("backbone", "instances", "val")
    use = "tinyvision compare A B --model"

    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """The one network, for pictures of a size."""
        data = self.chosen(options)
        size = options.image_size or (8 if data == "digits" else 32)
        channels = 1 if data == "digits" else 3
        mean, std = ((0.305,), (0.376,)) if data == "digits" else ((0.5,) * 3, (0.25,) * 3)
        notes = {
            "data": {**data_notes(data, options), "val": 0},
            "input": Preprocessing(channels, (size, size), mean, std).as_dict(),
            "model": {"name": self.network, "options": {"in_channels": channels, "image_size": size}},
        }
        return notes, dict(self.settings[data])

    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """What is learned from, each picture in four turns, and what is verified."""
        notes, preprocessing = description["data"], Preprocessing.from_dict(description["input"])
        self.check_opening(opening)
        known: Any
        unseen: Any
        if notes["name"] == "digits":
            known, unseen = digits(True), digits(False)
        else:
            root = user_path(opening.root or notes["root"])
            if root.is_dir() and not (root / "train").is_dir():
                raise DataError(
                    f"{printable(root)}: has no folder train; recognition learns from train/NAME/*.jpg, and is judged "
                    f"by test/NAME/*.jpg of other names, if there is such a folder"
                )
            known = ImageFolder(root / "train", max_pixels=opening.max_pixels)
            there = (root / "test").is_dir()
            unseen = ImageFolder(root / "test", max_pixels=opening.max_pixels) if there else None
            if len(known.classes) < 2:
                raise DataError(f"{known.root}: there is only one class; at least two are needed to tell apart")
            look_through([known, unseen], opening.console)
        turned = Turned(known)
        augment = _moved(preprocessing) if notes["augment"] == "on" else []
        description["model"]["options"]["classes"] = len(turned.classes)
        description["classes"] = turned.classes
        train = Subset(turned, range(len(turned)), preprocessing.transform(augment))
        test = None if unseen is None else Subset(unseen, range(len(unseen)), preprocessing.transform())
        return Parts(train, None, test, list(turned.classes))

    def task(self, description: dict[str, Any]) -> Recognition:
        """ArcFace."""
        return Recognition()

    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """How well unseen classes are verified."""
        if test is None:
            return {"test_auc": None}, ["no test/ folder: nothing is known of pictures of other classes"]
        accepted, cosine = test.accepted(_FALSE_ACCEPTS)
        values = {"test_auc": test.score, "test_images": len(test.labels), "test_tar_at_1_percent_far": accepted}
        values["cosine_at_1_percent_far"] = cosine
        return values, [
            f"of pairs of {len(test.labels):,} pictures of {len(parts.test.classes)} classes never seen: AUC "
            f"{test.score:.4f}; accepting 1% of the wrong pairs (cosine from {cosine:.2f}), {accepted:.1%} of the "
            f"right ones are accepted",
        ]

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """How alike pairs of the same and of different things are, and the pairs that mislead."""
        return ([] if test is None else sections(test, parts.test.dataset)), {}, []


def _moved(preprocessing: Preprocessing) -> list[Any]:
    """Small turns, moves, scales and shears: writing and cameras differ by these."""
    return [transforms.RandomAffine(17, translate=(0.12, 0.12), scale=(0.85, 1.2), shear=15, interpolation="bilinear")]


ROOM = RecognitionRoom()
