"""Looking at model and data before the first step, so that nothing fails, or silently goes wrong, an hour later."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Any

import numpy as np

from .. import nn
from ..data import DataLoader, Subset
from ..device import Device, to_device
from ..errors import CheckpointError, DataError, OptionError
from ..grad_mode import no_grad
from ..nn.module import Module
from ..tensors.tensor import Tensor
from .classification import Classification
from .evaluate import evaluation_mode
from .task import Task


def check_data(model: Module, task: Task, loader: DataLoader, device: Device, name: str) -> None:
    """Run the model over the first two items, and let the task compare what it gives with what is true.

    Raises DataError for items that are not pairs, or not fit for the task, ShapeError for outputs that are not."""
    batch = _first_batch(loader)
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[0], Tensor):
        raise DataError(f"{name}: every item must be a pair (image, label)")
    x, y = batch
    if x.dtype.kind != "f":
        raise DataError(
            f"{name}: images are {x.array.dtype} {tuple(x.shape)}; give the dataset transform=transforms.ToTensor(), "
            f"which makes numbers (N, C, H, W) from 0 to 1 of them"
        )
    with evaluation_mode(model), no_grad():
        outputs = task.outputs(model, x.to(device), to_device(y, device))
    task.check(outputs, x, y, loader.dataset, name)


def check_batches_of_one(model: Module, task: Task, loader: DataLoader, device: Device) -> None:
    """Raise DataError if a batch of one image would meet a batch-norm that gets one number per channel of an image.

    One number has no variance, so an epoch would end there. Images are not added to another batch: that would change
    what a step is; the remedy is a choice between two sizes, or leaving them out."""
    size, images = loader.batch_size, len(loader.dataset)
    if (
        size is None
        or 1 not in map(len, loader.batch_indices(0))
        or not (norms := _norms_of_single_numbers(model, task, loader, device))
    ):
        return
    better = [n for n in range(max(size - 8, 2), size + 9) if images % n != 1 and n <= images]
    nearest = min(better, key=lambda n: abs(n - size), default=None)
    remedy = "" if nearest is None else f"batch_size={nearest} leaves none alone, or "
    raise DataError(
        f"training data: of {images} images in batches of {size}, one batch holds a single image, and batch-norm "
        f"{norms[0]} gets one number per channel of it, which has no variance; {remedy}"
        f"DataLoader(..., batch_size={max(size, 2)}, drop_last=True) leaves out what remains"
    )


def _norms_of_single_numbers(model: Module, task: Task, loader: DataLoader, device: Device) -> list[str]:
    """The names of the batch-norms that get one number per channel of each image."""
    found: list[str] = []

    def look(name: str, inputs: Any) -> None:
        if inputs[0].ndim == 2 or inputs[0].numel() == inputs[0].size(0) * inputs[0].size(1):
            found.append(repr(name))

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: look(name, inputs))
        for name, module in model.named_modules()
        if type(module) in kinds
    ]
    try:
        with evaluation_mode(model), no_grad():
            x, y = _first_batch(loader)
            task.outputs(model, x.to(device), to_device(y, device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def check_loss_of_shares(model: Module, loader: DataLoader, device: Device, loss: Any) -> None:
    """Raise OptionError if a loss is not the mean over the images, as it must be where processes share a batch."""
    x, y = (part.to(device) for part in _first_batch(loader))
    with evaluation_mode(model), no_grad():
        scores = model(x)
        y = (
            y[:1] if len(y) < 2 else Tensor.of(np.array([0, scores.shape[1] - 1], y.dtype)).to(device)
        )  # two that differ
        whole, each = loss(scores, y).item(), [loss(scores[i : i + 1], y[i : i + 1]).item() for i in range(len(y))]
    if not np.isclose(whole, np.mean(each), rtol=1e-4, atol=1e-6):
        raise OptionError(
            f"fit: the loss of two images is {whole:.6g} and the mean of their losses {np.mean(each):.6g}; several "
            f"processes need a loss that is the mean over the images, which all count alike"
        )


def _first_batch(loader: DataLoader) -> Any:
    """The first two items of the data, or the only one."""
    few = type(loader)(loader.dataset, min(2, len(loader.dataset)), seed=0, collate_fn=loader.collate_fn)
    return next(few.iter_from(0))


def images_of(dataset: Any) -> tuple[int, int]:
    """(how many images a dataset has, how often each comes in an epoch): one that repeats its images, and is as long as
    all of them together, says in `times_an_epoch` how often."""
    times = getattr(dataset, "times_an_epoch", 1)
    return len(dataset) // times, times


def in_words(images: int, times: int, what: str) -> str:
    """ "1,294 images of digits, each 10 times an epoch"; of once, nothing is said."""
    return f"{images:,} {what}" + (f", each {times:,} times an epoch" if times != 1 else "")


def data_notes(loader: DataLoader) -> dict[str, Any]:
    """What has to be the same when a run is continued; "times" only where each image comes more than once an epoch."""
    images, times = images_of(loader.dataset)
    repeated = {} if times == 1 else {"times": times}
    return {
        "images": images,
        **repeated,
        "steps": len(loader),
        "shuffle": loader.shuffle,
        **items_notes(loader.dataset),
    }


def items_notes(dataset: Any) -> dict[str, str]:
    """{"items": SHA-256 of what is known of the items without a look at pixels, in order}; {} where nothing is.

    Files say it by `known_as(index)`: a name, without the folder, which may have moved, and a label or boxes. Other
    data say it by their `labels`, if there is one for each. A dataset that was computed from another one says from
    which in its `made_from`."""
    dataset = getattr(dataset, "made_from", dataset)
    chosen = np.arange(images_of(dataset)[0])
    while isinstance(dataset, Subset):
        dataset, chosen = dataset.dataset, np.asarray(dataset.indices)[chosen]
    digest, labels = hashlib.sha256(), getattr(dataset, "labels", None)
    if hasattr(dataset, "known_as"):
        for index in chosen:
            told = unicodedata.normalize("NFC", dataset.known_as(int(index)))
            digest.update(f"{told}\0".encode("utf-8", "surrogateescape"))
    elif isinstance(labels, np.ndarray) and labels.dtype.kind in "iu" and labels.shape == images_of(dataset)[:1]:
        digest.update(labels[chosen].astype("<i8").tobytes())
    else:
        return {}
    return {"items": digest.hexdigest()}


def how_computed(notes: dict[str, Any], beside: dict[str, Any]) -> str:
    """ "2 processes of 1 CPU thread": on what rounding depends. Compiled loops are spoken of where they make
    a difference to the notes `beside`."""
    count, threads = notes.get("processes", 1), notes["threads"]  # older checkpoints are of one process
    words = f"{threads} CPU thread" + "s" * (threads != 1)
    if "loops" in notes and notes["loops"] != beside.get("loops", notes["loops"]):
        words += " with compiled loops" if notes["loops"] else " without compiled loops"
    return words if count == 1 else f"{count} processes of {words}"


def task_notes(task: Task) -> dict[str, str]:
    """{"task": its name} for a checkpoint's description; {} of classification, which was once all there was."""
    return {} if task.name == Classification.name else {"task": task.name}


def check_same_data(saved: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raise CheckpointError if a run is to be continued with other data than it was begun with."""
    if "times" not in saved:  # older checkpoints count an image as often as it comes
        now = {**now, "images": now["images"] * now.get("times", 1)}
    for key, words in (("images", "training images"), ("steps", "steps an epoch"), ("shuffle", "shuffle")):
        if saved.get(key) != now[key]:
            raise CheckpointError(
                f"{where}: was begun with {saved.get(key)} {words}, now there are {now[key]}; "
                f"continue with the data of before, or start a new run"
                if key != "shuffle"
                else f"{where}: shuffle was {saved.get(key)} and is now {now[key]}"
            )
    if "items" in saved and "items" in now and saved["items"] != now["items"]:  # older checkpoints do not say
        raise CheckpointError(
            f"{where}: was begun with as many images, but their names or labels have changed since; "
            f"continue with the data of before, or start a new run"
        )
    if type(saved.get("threads")) is not int or type(saved.get("processes", 1)) is not int:
        raise CheckpointError(f"{where}: the notes in this checkpoint are damaged (threads, processes)")


def classes_of(dataset: Any) -> list[str]:
    """The names of a dataset's classes, or an empty list."""
    return [str(name) for name in getattr(dataset, "classes", ())]
