"""Data sets and networks by name, with the settings that suit them: what the command line knows.

A network is described by {"name", "options"} in a checkpoint, and built again from that.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, models
from ..data import Subset, split, transforms
from ..device import to_numpy
from ..errors import CheckpointError, OptionError
from ..folders import user_path
from ..grad_mode import no_grad
from ..nn.module import Module
from ..ops import softmax_forward
from ..printable import printable
from ..tensors.tensor import Tensor
from ..weights.published import Published, default_name, published, published_file
from .checkpoint import Checkpoint, fill, load_checkpoint, task_of
from .classification import Classification
from .image_folders import folder_parts
from .preprocessing import LARGEST_SIDE, Preprocessing
from .runs import BODIES, best_of
from .settings import nearest


def _trained_for(row: Published) -> Preprocessing:
    size = (row.crop, row.crop)
    return Preprocessing(3, size, row.mean, row.std, shorter=row.resize, interpolation=row.interpolation)


def _networks() -> dict[str, tuple[Callable[..., Any], Preprocessing | None]]:
    found: dict[str, tuple[Callable[..., Any], Preprocessing | None]] = {"simple-cnn": (models.SimpleCNN, None)}
    for name in models.list_models():
        build: Any = models.get_model_builder(name)
        if build.auxiliary:  # training here knows one head
            build = update_wrapper(partial(build, aux_logits=False), build)
        found[name] = (build, _trained_for(published(name)[default_name(name)]))
    return found


# Networks by name: what builds them, and the input for which their published weights were made.
NETWORKS = _networks()


@dataclass(frozen=True)
class Recipe:
    """A data set that `tinyvision train --data NAME` knows.

    about      what it is, in a line
    channels, size, mean, std   of its pictures, mean and std of pixels scaled to 0 to 1
    flips      whether a mirrored picture is still one of its class
    shift      by how many pixels pictures are moved at random
    settings   that suit SimpleCNN on it
    source     the class in tinyvision.data; None for image folders"""

    about: str
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    shift: int
    settings: dict[str, Any] = field(default_factory=dict)
    source: Callable[..., Any] | None = None


_COLOUR = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))

RECIPES: dict[str, Recipe] = {
    "digits": Recipe(
        "1,797 handwritten digits, 8x8 grey; comes with tinyvision",
        1,
        8,
        (0.305,),
        (0.376,),
        False,
        1,
        {"epochs": 30, "batch_size": 64, "lr": 0.1, "label_smoothing": 0.1},
        data.Digits,
    ),
    "fashion-mnist": Recipe(
        "70,000 pictures of clothes, 28x28 grey",
        1,
        28,
        (0.286,),
        (0.353,),
        True,
        0,
        {"epochs": 5, "batch_size": 128, "lr": 0.1},
        data.FashionMNIST,
    ),
    "mnist": Recipe(
        "70,000 handwritten digits, 28x28 grey",
        1,
        28,
        (0.131,),
        (0.308,),
        False,
        2,
        {"epochs": 3, "batch_size": 128, "lr": 0.1},
        data.MNIST,
    ),
    "cifar10": Recipe(
        "60,000 photos of ten kinds of things, 32x32",
        3,
        32,
        *_COLOUR,
        True,
        4,
        {"epochs": 15, "batch_size": 128, "lr": 0.05},
        data.CIFAR10,
    ),
    "cifar100": Recipe(
        "60,000 photos of a hundred kinds of things, 32x32",
        3,
        32,
        *_COLOUR,
        True,
        4,
        {"epochs": 15, "batch_size": 128, "lr": 0.05},
        data.CIFAR100,
    ),
    "shapes": Recipe(
        "drawn circles, squares, stars and others in colour; made on demand",
        3,
        32,
        (0.5,) * 3,
        (0.25,) * 3,
        True,
        0,
        {"epochs": 10, "batch_size": 64, "lr": 0.05},
        data.Shapes,
    ),
    "folder": Recipe(
        "your own images: --root FOLDER with one folder for each class",
        3,
        64,
        transforms.IMAGENET_MEAN,
        transforms.IMAGENET_STD,
        True,
        0,
        {"epochs": 20, "batch_size": 32, "lr": 0.05},
    ),
}


@dataclass
class Parts:
    """Data for training, validation (or None) and a final test (or None), and the names of the classes."""

    train: Any
    val: Any
    test: Any
    classes: list[str]


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises OptionError with the nearest name if there is none."""
    if name not in RECIPES:
        raise OptionError(f"data {name!r} is unknown (known: {', '.join(RECIPES)}){nearest(name, RECIPES)}")
    return RECIPES[name]


def preprocessing_for(recipe: Recipe, network: str, image_size: int | None = None) -> Preprocessing:
    """How a network is fed with a data set's pictures: networks made for colour get three channels.

    Raises OptionError for an image size that makes no sense."""
    size = image_size or recipe.size
    if size > LARGEST_SIDE:
        raise OptionError(f"image size {size}: pictures are scaled to at most {LARGEST_SIDE} pixels a side")
    smallest = getattr(NETWORKS[network][0], "smallest", 1) if network in NETWORKS else 1
    if size < smallest:
        raise OptionError(f"{network} takes pictures from {smallest} pixels a side, not {size}; set the image size")
    if network == "simple-cnn":
        return Preprocessing(recipe.channels, (size, size), recipe.mean, recipe.std)
    mean, std = (v if len(v) == 3 else v * 3 for v in (recipe.mean, recipe.std))
    return Preprocessing(3, (size, size), mean, std)


def open_parts(
    name: str,
    preprocessing: Preprocessing,
    *,
    root: str | None = None,
    val: float = 0.1,
    augment: bool = True,
    seed: int = 0,
    download: bool = False,
    max_pixels: int | None = None,
) -> Parts:
    """Open a data set by name.

    val      the share of the training images that is held back for validation; 0 uses all of them for
             training
    augment  whether training images are moved and mirrored at random, as far as the recipe has it
    max_pixels  the most that an image of a folder may have

    Test images are never used for validation. An image folder may bring its own parts: train/, val/ and
    test/. Raises OptionError, DataError, DownloadError."""
    recipe = find_recipe(name)
    if not 0 <= val < 1:
        raise OptionError(f"val must be a share from 0 to below 1, got {val!r}")
    if name == "folder":
        if root is None:
            raise OptionError("data 'folder' needs root: the folder that holds one folder of images for each class")
        train, validation, test = folder_parts(user_path(root), max_pixels or data.images.MAX_PIXELS)
    else:
        options: dict[str, Any] = {"size": preprocessing.size[0]} if name == "shapes" else {}
        if name in ("digits", "shapes") and (root or download):
            raise OptionError(f"data {name!r} comes with tinyvision and takes no root and no download")
        if name not in ("digits", "shapes"):
            options = {"root": root, "download": download}
        train, test = (_open(recipe.source, part, options) for part in (True, False))
        validation = None
    classes = list(train.classes)
    if validation is None and val > 0:
        train, validation = split(train, val, seed=seed)
    augmentation = _augmentation(name, recipe, preprocessing) if augment else []
    resize = not (augment and name == "folder")  # there, the random crop brings pictures to their size
    plain = preprocessing.transform()
    return Parts(
        _with(train, preprocessing.transform(augmentation, resize)),
        _with(validation, plain),
        _with(test, plain),
        classes,
    )


def _open(source: Any, train: bool, options: dict[str, Any]) -> Any:
    if source is data.Shapes:
        return source(length=6000 if train else 1000, train=train, **options)
    return source(train=train, **options)


def _with(dataset: Any, transform: Any) -> Any:
    return None if dataset is None else Subset(dataset, range(len(dataset)), transform)


def _augmentation(name: str, recipe: Recipe, preprocessing: Preprocessing) -> list[Any]:
    steps: list[Any] = []
    if name == "folder":
        steps.append(transforms.RandomResizedCrop(preprocessing.size, scale=(0.5, 1.0)))
    if recipe.shift:
        steps.append(
            transforms.RandomCrop(preprocessing.size, padding=recipe.shift * preprocessing.size[0] // recipe.size)
        )
    return [*steps, transforms.RandomHorizontalFlip()] if recipe.flips else steps


def network_name(text: str) -> str:
    """The known name that `text` spells with other hyphens or capitals, or `text` itself."""
    spellings = (text, text.lower(), text.lower().replace("-", "_"), text.lower().replace("_", "-"))
    return next((name for name in spellings if name in NETWORKS), text)


def by_familiarity() -> list[str]:
    """The names of all networks, first the one of each family to which a family's name alone should lead."""
    first = ("efficientnet_lite0", "resnet18", "mobilenet_v2", "vgg16", "densenet121", "convnext_tiny")
    return [*first, *(name for name in NETWORKS if name not in first)]


def network_description(name: str, preprocessing: Preprocessing, classes: int) -> dict[str, Any]:
    """{"name", "options"} of a network for pictures fed like that. Raises OptionError for an unknown name."""
    if name not in NETWORKS:
        raise OptionError(f"model {name!r} is unknown (known: {', '.join(NETWORKS)}){nearest(name, by_familiarity())}")
    options: dict[str, Any] = {"num_classes": classes}
    if name == "simple-cnn":
        options.update(in_channels=preprocessing.channels, image_size=list(preprocessing.size))
    return {"name": name, "options": options}


def build_network(description: Any, folder: Path | None = None) -> Module:
    """The network that a description stands for, with random weights; one that came in a file is built from its copy in
    the checkpoint's folder. Raises CheckpointError if the description makes no sense, or the copy is missing."""
    if isinstance(description, dict) and description.get("name") in BODIES:
        from .bodies import regrown

        return regrown(description, folder)
    name = description.get("name") if isinstance(description, dict) else None
    if not isinstance(name, str) or name not in NETWORKS:
        raise CheckpointError(f"the notes on the network are damaged (name {printable(repr(name), 60)})")
    return built(NETWORKS[name][0], description.get("options"))


def built(build: Callable[..., Module], options: Any) -> Module:
    """build(**options) for options out of a checkpoint: words, and sizes that a network may have. Raises
    CheckpointError if they make no sense."""
    try:
        unknown = options.keys() - inspect.signature(build).parameters.keys() | {"weights"} & options.keys()
        values = [n for value in options.values() for n in (value if isinstance(value, list) else [value])]
        sizes = [n for n in values if n is not None and not isinstance(n, str)]
        if unknown or any(type(n) is not int or not 0 < n <= 100_000 for n in sizes):
            raise ValueError(f"options {sorted(options)}")
        return build(**options)
    except (KeyError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise CheckpointError(
            f"the notes on the network are damaged ({type(error).__name__}: {str(error)[:100]})"
        ) from None


def where_of(name: str) -> list[str]:
    """Where a data set is looked for when no root is given, in words or as folders."""
    source = RECIPES[name].source
    if name in ("digits", "shapes"):
        return ["inside tinyvision"]
    if source is None:
        return ["--root FOLDER"]
    from ..folders import cache_dir

    return [
        os.fspath(cache_dir() / getattr(source, "folder", source.__name__)),
        *getattr(source, "system_folders", ()),
    ]


@dataclass
class Network:
    """A trained network ready for use: `scores = network(read_image("photo.jpg"))`.

    model    in evaluation mode
    preprocessing  how pictures become its input
    classes  the names of its classes
    origin   where its weights come from, in words"""

    model: Module
    preprocessing: Preprocessing
    classes: list[str]
    origin: str

    def probabilities(self, images: list[Any]) -> Any:
        """Pictures uint8 (H, W, C) of any sizes  ->  float64 (N, K), every row adding up to 1."""
        prepare = self.preprocessing.transform()
        x = Tensor.of(np.stack([prepare(image) for image in images]))
        for parameter in self.model.parameters():  # there may be none, in a file of another engine
            x = x.to(parameter.device)
            break
        with no_grad():
            scores = to_numpy(self.model(x)).astype(np.float64)
        return softmax_forward(scores, axis=1)[0]

    def class_name(self, index: int) -> str:
        """The name of a class, or its number where it has none."""
        return self.classes[index] if index < len(self.classes) else str(index)


def rebuilt(
    checkpoint: Checkpoint, path: Path, build: Callable[[dict[str, Any]], Module]
) -> tuple[Module, Preprocessing, list[str], str]:
    """(the network in evaluation mode, its input, its classes, where it is from) of a checkpoint that lies at `path`;
    `build` makes the network of the checkpoint's notes. Raises CheckpointError."""
    notes = checkpoint.description
    if "model" not in notes or "input" not in notes:
        raise CheckpointError(
            f"{path}: does not say how to build its network (fit(..., description=...) would have kept it); "
            f"build the model yourself and call train.load_weights(model, path)"
        )
    try:
        model, preprocessing = build(notes), Preprocessing.from_dict(notes["input"])
        fill(model, checkpoint)
        names = notes.get("classes", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CheckpointError("the names of the classes are damaged")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return model.eval(), preprocessing, names, str(path)


def load_network(path: str | os.PathLike[str]) -> Network:
    """The network in a checkpoint file, or in a run's folder (its best one).

    Raises CheckpointError if the file is no checkpoint, or does not say how to build its network."""
    path = best_of(user_path(path))
    checkpoint = load_checkpoint(path)
    if task_of(checkpoint) != Classification.name:
        raise CheckpointError(
            f"{path}: is a network for {task_of(checkpoint)} and not for classification; the report.html of its run "
            f"says what it is worth, tinyvision.tasks.load(path) opens it"
        )
    return Network(*rebuilt(checkpoint, path, lambda notes: build_network(notes["model"], path.parent)))


def published_preprocessing(name: str, weights: str | None = None) -> Preprocessing:
    """How a network is fed for which weights are published; `weights` may be one of the published files.

    Raises OptionError if there are none."""
    known = [network for network, (_, preprocessing) in NETWORKS.items() if preprocessing is not None]
    preprocessing = NETWORKS[name][1] if name in known else None
    if preprocessing is None:
        hint = "; train it, and name its run's folder" if name in NETWORKS else nearest(name, by_familiarity())
        raise OptionError(f"model {name!r} has no published weights (known: {', '.join(known)}){hint}")
    row = None if weights is None else published_file(name, Path(weights).name)
    return preprocessing if row is None else _trained_for(row)


def pretrained_network(name: str, weights: str | None = None) -> Network:
    """A network with published weights, or with those in a file. Raises OptionError, WeightsError, DownloadError."""
    preprocessing = published_preprocessing(name, weights)
    model = NETWORKS[name][0](weights=weights or "DEFAULT")
    count = model.get_submodule(models.get_model_builder(name).head).weight.shape[0]
    classes = list(models.imagenet_classes()) if count == 1000 else []
    return Network(model.eval(), preprocessing, classes, f"{name}, {weights or 'trained on ImageNet'}")
