"""Generation on the command line: its data by name, the judge, and what the pictures are worth."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from ... import random
from ...data import Digits
from ...errors import DataError, OptionError
from ...folders import user_path
from ...nn.module import Module
from ...train import Classification, fit, image_folders
from ...train.preprocessing import Preprocessing
from ...train.recipes import Parts
from ..room import Opening, Options, Room, agreed, data_notes
from .generator import Generator
from .network import Diffusion, Judge, kept
from .report import sections
from .samples import Samples
from .task import Generation

LARGEST = 64  # pixels a side: what is larger needs another network, and days

_EPOCH = 13_000  # pictures: validation makes some, which takes as long as learning from 20 times as many
_JUDGE: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 64,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.05,
    "schedule": "cosine",
}


class GenerationRoom(Room):
    """Pictures that nobody has drawn."""

    name = "generation"
    data: ClassVar = {
        "digits": "the handwritten digits, 8x8 grey; comes with tinyvision",
        "folder": "your own: --root FOLDER with train/NAME/*.png and test/NAME/*.png, or NAME/*.png; small pictures",
    }
    settings: ClassVar = {
        "digits": {"epochs": 7, "batch_size": 64, "optimizer": "adamw", "lr": 0.002, "schedule": "cosine"},
        "folder": {"epochs": 40, "batch_size": 64, "optimizer": "adamw", "lr": 0.002, "schedule": "cosine"},
    }
    network = "diffusion"
    model, ready = Diffusion, Generator
    own = ("folder",)
    refused = ("backbone", "instances", "augment")
    use = "tinyvision generate --model"

    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """The one network, for pictures of a size."""
        data = self.chosen(options)
        size = options.image_size or (8 if data == "digits" else 16)
        depth = 1 if size < 16 else 2
        if size > LARGEST or size % 2**depth:
            raise OptionError(f"image size {size}: pictures are made up to {LARGEST} pixels, multiples of {2**depth}")
        channels = 1 if data == "digits" else 3
        shape = {"in_channels": channels, "image_size": size, "depth": depth}
        notes = {
            "data": {**data_notes(data, options), "augment": None},
            "input": Preprocessing(channels, (size, size), (0.5,) * channels, (0.5,) * channels).as_dict(),
            "model": {"name": self.network, "options": shape},
        }
        return notes, dict(self.settings[data])

    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """The parts of the data; where there is no val, a share of the training pictures is held back."""
        notes, preprocessing = description["data"], Preprocessing.from_dict(description["input"])
        self.check_opening(opening)
        train, val, test = _parts(notes["name"], opening.root or notes["root"], opening.max_pixels)
        if notes["name"] == "folder":
            image_folders.look_through([train, val, test], opening.console)
        train, val, classes = agreed(train, val, test, notes["val"], opening.seed)
        for part, name in ((train, "training"), (val, "validation"), (test, "test")):
            if part is not None and len(part) < 2:
                raise DataError(
                    f"generation: one {name} picture alone; a distance between clouds needs two on each side, "
                    f"so add some, or set --val, the share that is held back"
                )
        times = max(1, _EPOCH // len(train))
        description["model"]["options"]["num_classes"] = len(classes)
        description["classes"] = classes
        made = [None if part is None else Samples(part, preprocessing, noise=True) for part in (val, test)]
        return Parts(Samples(train, preprocessing, times), made[0], made[1], classes)

    def begin(self, description: dict[str, Any], parts: Parts) -> Module:
        """The network, with a judge that has learned the classes from the training pictures, and so has an opinion. It
        has seen none of those that judge an epoch, whether they are held back or a folder of their own."""
        model = Diffusion(**description["model"]["options"])
        # Every run's judge begins with these weights and learns in this order, whatever the run's seed. But the seed
        # says which pictures are held back: only of data with a val/, or with --val 0, do runs of different seeds have
        # the same judge (with the same threads and loops: others round the last bits differently).
        with random.use(random.stream(0, "judge")):
            judge = Judge(model.shape[0], len(description["classes"]))
        fit(judge, parts.train.once(), task=Classification(), log=None, **_JUDGE)
        model.judge = kept(judge)
        return model

    def task(self, description: dict[str, Any]) -> Generation:
        """The error of the noise, and an average of the weights."""
        return Generation()

    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """The Fréchet distance of validation and test."""
        values: dict[str, Any] = {"val_frechet_distance": row["val_frechet_distance"], "test_frechet_distance": None}
        values["test_images"] = None if test is None else len(test.labels)
        lines = []
        if parts.val is not None:
            lines.append(
                f"best epoch: {row['epoch']}, by its Fréchet distance of {row['val_frechet_distance']:.2f} from "
                f"{len(parts.val):,} images held back (of few images it comes out larger)"
            )
        if test is not None:
            values["test_frechet_distance"] = test.score
            lines.append(
                f"test Fréchet distance: {test.score:.2f}, between {len(test.labels):,} images that were made and as "
                f"many real ones that nothing was learned or chosen on"
            )
        return values, lines

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """What the distance means, pictures of each class, memorised or not."""
        return sections(cast(Diffusion, model), parts, test)


def _parts(name: str, root: str | None, max_pixels: int) -> tuple[Any, Any, Any]:
    """(training, validation or None, test or None) of data by name, as pictures uint8 (H, W, C)."""
    if name == "digits":
        return Digits(train=True), None, Digits(train=False)
    return image_folders.folder_parts(user_path(str(root)), max_pixels)


ROOM = GenerationRoom()
