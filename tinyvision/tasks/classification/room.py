"""Classification, for the command line: the data sets and networks of `train.recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ...errors import DataError
from ...nn.module import Module
from ...train import recipes
from ...train.checkpoint import Checkpoint
from ...train.classification import Classification, balanced
from ...train.image_folders import look_through
from ...train.preprocessing import Preprocessing
from ...train.recipes import Parts
from ..room import Opening, Options, Room, data_notes


class ClassificationRoom(Room):
    """One class for each picture."""

    name = "classification"
    data: ClassVar = {name: recipe.about for name, recipe in recipes.RECIPES.items()}
    settings: ClassVar = {name: recipe.settings for name, recipe in recipes.RECIPES.items()}
    known = tuple(recipes.RECIPES)  # each recipe looks at the root itself
    refused = ("backbone", "instances")

    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """A data set and a network by name."""
        recipes.find_recipe(options.data or "digits")
        data = self.chosen(options)
        network = recipes.network_name(options.model or "simple-cnn")
        preprocessing = recipes.preprocessing_for(recipes.RECIPES[data], network, options.image_size)
        recipes.network_description(network, preprocessing, 1)  # is there such a network?
        notes = {"data": data_notes(data, options), "input": preprocessing.as_dict(), "model": {"name": network}}
        return notes, self.settings[data]

    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """Open it; every broken image of a folder is named before training."""
        preprocessing, data = Preprocessing.from_dict(description["input"]), description["data"]
        try:
            parts = recipes.open_parts(
                data["name"],
                preprocessing,
                root=opening.root or data["root"],
                val=data["val"],
                augment=data["augment"] == "on",
                seed=opening.seed,
                download=opening.download,
                max_pixels=opening.max_pixels,
            )
        except DataError as error:
            hint = " (on the command line: --root FOLDER, --download)" if "download=True" in str(error) else ""
            raise DataError(f"{error}{hint}") from None
        if data["name"] == "folder":
            look_through([parts.train, parts.val, parts.test], opening.console)
        network = description["model"]["name"]
        description["model"] = recipes.network_description(network, preprocessing, len(parts.classes))
        return parts

    def build(self, description: dict[str, Any]) -> Module:
        """By `recipes.build_network`."""
        return recipes.build_network(description["model"])

    def task(self, description: dict[str, Any]) -> Classification:
        """Cross-entropy, accuracy."""
        return Classification()

    def load(self, checkpoint: Checkpoint, path: Path) -> Any:
        """By `recipes.load_network`."""
        return recipes.load_network(path)

    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """Accuracy of validation and test."""
        values = {
            "val_accuracy": row["val_accuracy"],
            "test_accuracy": None if test is None else test.accuracy,
            "test_balanced_accuracy": None if test is None else test.balanced_accuracy,
            "test_images": None if test is None else len(test.labels),
        }
        lines = []
        if parts.val is not None:
            lines.append(
                f"best epoch: {row['epoch']}, by its validation accuracy of {row['val_accuracy']:.2%} "
                f"({len(parts.val):,} images that were not trained on)"
            )
        if test is not None:
            lines.append(
                f"test accuracy: {test.accuracy:.2%} ({test.right:,} of {len(test.labels):,} images that nothing was "
                f"learned or chosen on)"
            )
            lines += [balanced(test)] if test.is_uneven else []
        elif parts.val is None:
            lines.append(
                f"training accuracy: {row['train_accuracy']:.2%}; no images were held back, so nothing is known of "
                f"others"
            )
        return values, lines

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """What it was made of, every class, what its confidence is worth, and the mistakes with their maps."""
        from .report import sections

        return sections(model, description, parts, test)


ROOM = ClassificationRoom()
