"""Transfer learning: a pretrained network, a new head, your own folders of images.

1. Everything but the last layer stays as it is, so what it computes of an image (the *features*) is computed
   once, for the image itself and for a few views of it (cropped, mirrored), and kept in the cache folder.
2. The new last layer (the *head*) learns on these features: seconds instead of hours.
3. Unless everything is to stay frozen, the whole network then goes on learning, with a learning rate that is
   ten times smaller below the head, so that what it knows is adjusted and not forgotten.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import random
from ..atomic import atomic_write
from ..data import ArrayDataset, Subset, split, transforms
from ..data.images import MAX_PIXELS
from ..device import DeviceName
from ..distributed import world_size
from ..errors import CheckpointError, OptionError, TinyVisionError
from ..folders import cache_dir, keep_newest, typed, user_path
from ..nn.module import Module, numpy_state
from ..weights import load_arrays, save
from . import starting
from .bodies import keep
from .checkpoint import Checkpoint, load_checkpoint, load_weights, weights_digest
from .console import reporter
from .evaluate import Evaluation, evaluate
from .history import History
from .image_folders import folder_parts, look_through
from .image_loader import ImageLoader
from .loop import fit
from .preprocessing import Preprocessing
from .runs import BEST, CSV, LAST, PLOT, TRANSFER, check_is_free, clear_run, made_folder, taken_folder
from .settings import Settings, nearest

FREEZE = ("all", "stem", "none")
_KEPT = 8  # feature files that stay in the cache


@dataclass(frozen=True)
class TransferSettings:
    """What decides the result of `fine_tune`.

    model        a network with published weights: any in `tinyvision.models.list_models()`; or a file with a network
                 of another engine (.onnx, .keras, .h5, .tflite), whose head is replaced; or a .safetensors with timm's
                 names
    freeze       "all": only the head learns; "stem": the first layers stay as they are; "none": everything
                 learns
    head_epochs  epochs of the head on the features
    epochs       epochs of the whole network afterwards; 0 with freeze="all"
    lr           learning rate of the head in the second stage; a tenth of it below the head
    views        augmented views of each training image that the head learns from, besides the image itself
    val          share of the images that is held back, unless the folder brings val/ itself
    batch_size, seed   as in `Settings`
    weights      a weight file in place of the published one
    pixels       what a network in a file sees of a pixel, where the file does not say it: "unit", "signed", "bytes" or
                 "imagenet", and behind it the side of its pictures, where that is open too: "imagenet:224"

    Raises OptionError for values without meaning."""

    model: str = "efficientnet_lite0"
    freeze: str = "all"
    head_epochs: int = 40
    epochs: int = 0
    lr: float = 0.01
    views: int = 3
    val: float = 0.2
    batch_size: int = 32
    seed: int = 0
    weights: str | None = None
    pixels: str | None = None

    def __post_init__(self) -> None:
        starting.check(self.model, self.weights, self.pixels, self.freeze)
        if self.freeze not in FREEZE:
            raise OptionError(
                f"freeze {self.freeze!r} is unknown (known: {', '.join(FREEZE)}){nearest(self.freeze, FREEZE)}"
            )
        if (self.freeze == "all") != (self.epochs == 0):
            raise OptionError(
                f"freeze={self.freeze!r} and epochs={self.epochs} contradict each other: "
                f"with everything frozen there is nothing to do in these epochs, otherwise there is"
            )
        if not 0 < self.val < 1:
            raise OptionError(f"val must lie between 0 and 1, got {self.val!r}")
        if not 0 <= self.views <= 100 or self.head_epochs < 1:
            raise OptionError(f"views must be 0 to 100 and head_epochs from 1, got {self.views} and {self.head_epochs}")
        # What `fit` would refuse, after an hour perhaps, is refused here.
        Settings(epochs=self.head_epochs, lr=self.lr, batch_size=self.batch_size, seed=self.seed)
        Settings(epochs=self.epochs or 1)


@dataclass
class TransferResult:
    """What `fine_tune` returns.

    model       with its best weights, in evaluation mode;  checkpoint   the file that holds it
    histories   {"head": History, "whole network": History}, the second only if there was such a stage
    evaluation  of `judged` images, "validation" or "test";  dataset     those images, without transforms
    classes     the class names"""

    model: Module
    checkpoint: Path
    histories: dict[str, History]
    evaluation: Evaluation
    judged: str
    dataset: Any
    classes: list[str]


def fine_tune(
    folder: str | os.PathLike[str],
    run: str | os.PathLike[str],
    settings: TransferSettings = TransferSettings(),
    *,
    resume: bool = False,
    overwrite: bool = False,
    device: DeviceName = "cpu",
    workers: int = 0,
    log: Any = "auto",
    max_pixels: int = MAX_PIXELS,
) -> TransferResult:
    """Fine-tune a pretrained network on the images in `folder`/class, or in `folder`/train/class and val, test.

    What comes of it is kept in the folder `run`, from which a stopped transfer can be resumed with the same
    settings; `overwrite` replaces the run that is there once steps are done and kept. `max_pixels` is the most that an
    image may have. Nothing is written there before the weights and all images have been read. Raises DataError (naming
    every image that cannot be read), WeightsError, OptionError, CheckpointError, TrainingError."""
    if world_size() > 1:
        raise OptionError("fine_tune: a transfer runs in one process; several train with fit")
    root, run = user_path(folder), user_path(run)
    parts = _Parts(root, settings, run, max_pixels)
    chosen = {"folder": str(root.absolute()), **asdict(settings)}
    chosen["model"] = starting.named(settings.model)
    _check_run(run, chosen, resume, overwrite)
    with random.use(random.stream(settings.seed, "head")):
        kept = run if resume else None
        begun = starting.start(settings.model, settings.weights, settings.pixels, len(parts.classes), kept)
    model, top, preprocessing = begun.model, begun.top, begun.preprocessing
    model.to(device).eval()
    description = {
        "model": begun.notes,
        "input": preprocessing.as_dict(),
        "classes": parts.classes,
        "data": {"name": "transfer", "root": str(root.absolute())},
    }
    console = reporter(log)
    if begun.told:
        console.line(begun.told)
    features = _Features(model, top, preprocessing, settings, workers, console, begun.digest)
    look_through([parts.train, parts.val, parts.test], console, features.has)
    train_set, val_set = features.of_training(parts.train), features.of(parts.val)
    options: dict[str, Any] = {"log": console, "resume": "auto" if resume else False}
    last = model.get_submodule(top)
    begin = partial(_begin, run, chosen, begun.body, resume, overwrite)
    with taken_folder(run):
        if not overwrite:  # else with the first checkpoint: until then the old run is whole
            begin()
        head = _head(last, train_set, val_set, settings, run, {**options, "overwrite": overwrite and begin})
        load_weights(last, run / "head" / BEST)
        if settings.freeze == "all":
            _keep_frozen(model, run, load_checkpoint(run / "head" / BEST), head, description, len(parts.train))
    histories = {"head": head}
    if settings.freeze != "all":
        options["workers"] = workers
        histories["whole network"] = _whole_network(
            model, last, parts, preprocessing, settings, run, description, options
        )
    load_weights(model, run / BEST)
    judged = "validation" if parts.test is None else "test"
    part = parts.val if parts.test is None else parts.test
    with_transform = Subset(part, range(len(part)), preprocessing.transform())
    evaluation = evaluate(model, with_transform, batch_size=settings.batch_size, workers=workers)
    return TransferResult(model.eval(), run / BEST, histories, evaluation, judged, part, parts.classes)


class _Parts:
    """Training, validation and test images without transforms."""

    def __init__(self, root: Path, settings: TransferSettings, run: Path, max_pixels: int) -> None:
        train, val, self.test = folder_parts(root, max_pixels, ignore=[run])
        self.classes = list(train.classes)
        if val is None:
            train, val = split(train, settings.val, seed=settings.seed)
        self.train, self.val = train, val


def _check_run(run: Path, chosen: dict[str, Any], resume: bool, overwrite: bool) -> None:
    """Raise CheckpointError unless `run` is free for a new transfer, or was begun with the same settings if it
    is resumed."""
    if not resume:
        # Settings alone are no run: nothing was learned with them.
        check_is_free(run, [f"{part}{name}" for part in ("", "head/") for name in (LAST, BEST)], overwrite)
        return
    saved = saved_settings(run)
    differing = [f"{k} was {saved.get(k)!r} and is now {v!r}" for k, v in chosen.items() if saved.get(k) != v]
    if differing:
        raise CheckpointError(f"{run} cannot be continued with other settings: {'; '.join(differing)}")


def _begin(run: Path, chosen: dict[str, Any], body: Path | None, resume: bool, overwrite: bool) -> None:
    """Write down what is begun, and from which file, in place of the run that was there if that is wished."""
    if overwrite:
        own = body is not None and body.absolute().parent == run.absolute()
        clear_run(run, but=body.name if body is not None and own else "")
    if not resume:
        with atomic_write(run / TRANSFER, "w") as file:
            json.dump(chosen, file, indent=2)
    if body is not None:
        keep(body, run)


def saved_settings(run: Path) -> dict[str, Any]:
    """The folder and the settings of a transfer that was begun in `run`. Raises CheckpointError if there is none."""
    path = run / TRANSFER
    try:
        saved = json.loads(path.read_text("utf-8"))
        TransferSettings(**{name: value for name, value in saved.items() if name != "folder"})
        Path(saved["folder"])
        return saved
    except FileNotFoundError:
        if (run / LAST).is_file():
            raise CheckpointError(
                f"{run}: was not made by `tinyvision transfer`; go on with: tinyvision train --resume {typed(run)}"
            ) from None
        raise CheckpointError(f"nothing to resume: there is no {path}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: is damaged ({str(error)[:100]})") from None


def _augmented(preprocessing: Preprocessing) -> transforms.Compose:
    """What a picture becomes in training: cropped and mirrored at random."""
    crop = transforms.RandomResizedCrop(preprocessing.size, scale=(0.5, 1.0))
    return preprocessing.transform([crop, transforms.RandomHorizontalFlip()], resize=False)


class _Features:
    """The numbers before the last layer, computed once for each image and view, and kept in the cache folder."""

    def __init__(
        self,
        model: Any,
        top: str,
        preprocessing: Any,
        settings: TransferSettings,
        workers: int,
        console: Any,
        digest: str | None,
    ) -> None:
        self.model, self.top, self.preprocessing, self.settings = model, top, preprocessing, settings
        self.workers, self.console = workers, console
        self.weights_digest = digest or weights_digest(model, without=top)
        self.contents: dict[Path, bytes] = {}

    def of(self, dataset: Any) -> ArrayDataset:
        """A dataset of (features, label) of the images as they are."""
        features = self._computed(dataset, self.preprocessing.transform(), 0)
        return ArrayDataset(features, dataset.labels, dataset.classes)

    def of_training(self, dataset: Any) -> ArrayDataset:
        """The same of the images and of their augmented views."""
        views = [self._computed(dataset, self.preprocessing.transform(), 0)]
        for number in range(1, self.settings.views + 1):
            views.append(self._computed(dataset, _augmented(self.preprocessing), number))
        made = ArrayDataset(np.concatenate(views), np.tile(dataset.labels, len(views)), dataset.classes)
        vars(made)["made_from"] = dataset  # which a run that goes on is asked for
        return made

    def has(self, dataset: Any) -> bool:
        """Whether the features of the images as they are have been kept: then every one of them was read."""
        try:
            return self._path(dataset, self.preprocessing.transform(), 0).is_file()
        except OSError:  # a file that is gone, or a link that leads nowhere
            return False

    def _computed(self, dataset: Any, transform: Any, view: int) -> np.ndarray:
        path = self._path(dataset, transform, view)
        try:
            features = load_arrays(path)["features"]
            if features.shape[0] == len(dataset) and features.ndim >= 2 and np.isfinite(features).all():
                return features
        except (TinyVisionError, KeyError):
            pass  # not computed before, or no longer readable: then it is computed
        images = Subset(dataset, range(len(dataset)), transform)
        seed = (self.settings.seed + view) % 2**64
        loader = ImageLoader(images, self.settings.batch_size, seed=seed, num_workers=self.workers)
        what = "features of the images" if view == 0 else f"features of view {view}"
        counter = self.console.counter(what, len(dataset))
        try:
            features = evaluate(
                self.model,
                loader,
                forward=self._forward,
                each_batch=lambda: counter(self.settings.batch_size),
            ).scores
        finally:
            self.console.end()
        self._keep(path, features)
        return features

    def _forward(self, x: Any) -> Any:
        """What the part of the model that is called `top` gets, whatever the model does before and after it."""
        seen: list[Any] = []
        hook = self.model.get_submodule(self.top).register_forward_pre_hook(
            lambda module, inputs: seen.append(inputs[0])
        )
        try:
            self.model(x)
        finally:
            hook.remove()
        return seen[0]

    def _path(self, dataset: Any, transform: Any, view: int) -> Path:
        return cache_dir() / "features" / f"{self._key(dataset, transform, view)}.safetensors"

    def _key(self, dataset: Any, transform: Any, view: int) -> str:
        """Changes with the weights, the preprocessing, the view, and with what is in every file, in order.

        Names, sizes and times of files would be quicker to look at, but folders are swapped and copied."""
        seed = self.settings.seed if view else 0
        digest = hashlib.sha256(f"{self.weights_digest} {transform!r} {seed} {view}".encode())
        for index in range(len(dataset)):
            path = path_of(dataset, index)
            if path not in self.contents:
                self.contents[path] = hashlib.sha256(path.read_bytes()).digest()
            digest.update(self.contents[path])
        return digest.hexdigest()[:40]

    def _keep(self, path: Path, features: np.ndarray) -> None:
        try:
            with made_folder(path.parent):
                save({"features": features}, path)
            keep_newest(path, _KEPT * (self.settings.views + 2))
        except (TinyVisionError, OSError) as error:
            self.console.line(f"note: the features could not be kept for next time: {error}")


def path_of(dataset: Any, index: int) -> Path:
    """The file of an item of an ImageFolder, or of a Subset of one."""
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, int(dataset.indices[index])
    return Path(dataset.samples[index][0])


def _head(last: Module, train_set: Any, val_set: Any, settings: TransferSettings, run: Path, options: Any) -> History:
    """The stage in which the last layer learns from features alone."""
    return fit(
        last,
        train_set,
        val_set,
        run=run / "head",
        epochs=settings.head_epochs,
        optimizer="adamw",
        lr=0.003,
        weight_decay=0.01,
        batch_size=settings.batch_size,
        seed=settings.seed,
        save_every=60,
        **options,
    )


def _keep_frozen(
    model: Any, run: Path, head: Checkpoint, history: History, description: dict[str, Any], images: int
) -> None:
    """best.safetensors of a run in which only the head has learned: the whole network, ready for use."""
    progress = replace(head.progress, rows=history.rows[: head.progress.epoch])
    notes = {**head.notes, "images": images}  # the head has counted its views
    Checkpoint(numpy_state(model), head.settings, progress, description, notes).save(run / BEST)
    history.to_csv(run / CSV)
    with suppress(OptionError):  # no matplotlib: said once already, when the head's own plot was drawn
        history.plot(run / PLOT)


def _whole_network(
    model: Any,
    last: Module,
    parts: _Parts,
    preprocessing: Any,
    settings: TransferSettings,
    run: Path,
    description: dict[str, Any],
    options: dict[str, Any],
) -> History:
    """The stage in which the network below the head learns too."""
    if settings.freeze == "stem":
        for part in _stem(model):
            part.freeze()
    train_set = Subset(parts.train, range(len(parts.train)), _augmented(preprocessing))
    val_set = Subset(parts.val, range(len(parts.val)), preprocessing.transform())
    head = {id(p) for p in last.parameters()}
    below = [p for p in model.parameters() if p.requires_grad and id(p) not in head]
    groups = [
        {"params": below, "lr": settings.lr / 10},
        {"params": list(last.parameters()), "lr": settings.lr},
    ]
    return fit(
        model,
        train_set,
        val_set,
        run=run,
        parameters=groups,
        epochs=settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=settings.seed,
        clip_norm=5.0,
        description=description,
        **options,
    )


def _stem(model: Any) -> list[Module]:
    """The first layers: edges and colours, which hardly differ from one kind of picture to the next."""
    if hasattr(model, "layer1"):
        return [model.conv1, model.bn1, model.layer1]
    if hasattr(model, "conv_stem"):
        return [model.conv_stem, model.bn0, *list(model.blocks)[:3]]
    body = list((model.features if isinstance(getattr(model, "features", None), Module) else model).children())
    return body[: math.ceil(len(body) / 4)]
