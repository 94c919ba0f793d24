"""A network in a file of another engine, ready for pictures: the file says how they become its input, or the user."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..data.transforms import IMAGENET_MEAN, IMAGENET_STD
from ..errors import CheckpointError, OptionError, TinyVisionError
from ..folders import user_path
from ..grad_mode import no_grad
from ..interop import READERS
from ..nn.module import Module
from ..tensors.tensor import Tensor
from .preprocessing import LARGEST_SIDE, Preprocessing
from .recipes import Network
from .settings import nearest

# What --pixels may say: (mean, std) of pixels that were scaled to 0 to 1.
PIXELS: dict[str, tuple[Any, Any]] = {
    "unit": (0.0, 1.0),  # 0 to 1
    "signed": (0.5, 0.5),  # -1 to 1
    "bytes": (0.0, 1 / 255),  # 0 to 255
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
}


def is_file_network(path: str | os.PathLike[str]) -> bool:
    """Whether a file, by its name, holds a whole network of another engine: .onnx, .keras, .h5, .tflite ..."""
    return Path(path).suffix.lower() in READERS and user_path(path).is_file()


def file_network(path: str | os.PathLike[str], pixels: str | None = None) -> Network:
    """The network in such a file, with the classes and the preprocessing that `tinyvision export` keeps in ONNX files.

    pixels   what a network sees of a pixel, for a file that does not say it: a key of `PIXELS`, and behind it the side
             of its pictures where the file leaves that open, "imagenet:224"; pictures are scaled to that size whatever
             their proportions

    A network that ends in probabilities gets their logarithms as its scores. Raises CheckpointError for a file that
    does not say how pictures become its input, OptionError for one that does say it, and for a network that gives no
    scores of classes, and what the readers raise."""
    model = READERS[Path(path).suffix.lower()](path).eval()
    notes = getattr(model, "metadata", {})
    if pixels is not None:
        if "preprocessing" in notes:
            raise OptionError(f"{path}: the file itself says how pictures become its input; leave --pixels out")
        prepared, classes = _preprocessing(model, str(path), pixels), _classes(notes, path)
        return Network(_scoring(model, prepared, str(path)), prepared, classes, str(path))
    try:
        prepared, classes = Preprocessing.from_dict(json.loads(notes["preprocessing"])), _classes(notes, path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    except KeyError:
        raise CheckpointError(
            f"{path}: the file does not say how pictures become its input; say it: --pixels with {', '.join(PIXELS)} "
            f'(in Python: train.file_networks.file_network(path, pixels="imagenet"))'
        ) from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: what it says of preprocessing and classes is damaged") from None
    return Network(_scoring(model, prepared, str(path)), prepared, classes, str(path))


def _classes(notes, path):
    """The names of the classes, as far as the file knows them."""
    try:
        classes = json.loads(notes.get("classes", "[]"))
    except (ValueError, RecursionError):
        classes = None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise CheckpointError(f"{path}: the names of the classes are damaged")
    return classes


def _preprocessing(model, path, pixels):
    """What --pixels and the file together say. Raises OptionError for what they leave open, or contradict."""
    if len(model.input_shapes) != 1:
        raise OptionError(f"{path}: a network with {len(model.input_shapes)} inputs; pictures are one")
    return picture_preprocessing(model.input_shapes[0] or (), path, pixels)


def picture_preprocessing(shape: tuple[Any, ...], path: str, pixels: str) -> Preprocessing:
    """What --pixels says of pictures that a file wants to be (channels, height, width), with None where any size will
    do. Raises OptionError for what is left open, or contradicts."""
    kind, _, side = pixels.partition(":")
    if kind not in PIXELS:
        raise OptionError(f"--pixels {pixels}: what is known is {', '.join(PIXELS)}{nearest(kind, PIXELS)}")
    if side and (not re.fullmatch(r"[1-9]\d{0,4}", side) or int(side) > LARGEST_SIDE):
        raise OptionError(f"--pixels {pixels}: behind the colon stands the side of the pictures, {kind}:224")
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise OptionError(f"{path}: its input {shape} is no picture (channels, height, width) of 1 or 3 channels")
    if any(n is not None and (type(n) is not int or not 0 < n <= LARGEST_SIDE) for n in shape[1:]):
        raise OptionError(f"{path}: its input {str(shape)[:60]} is no picture of at most {LARGEST_SIDE} pixels a side")
    asked = (int(side),) * 2 if side else None
    if None in shape[1:] and asked is None:
        raise OptionError(f"{path}: the file leaves the size of its pictures open; say it: --pixels {kind}:224")
    if asked is not None and any(n not in (None, m) for n, m in zip(shape[1:], asked, strict=True)):
        raise OptionError(f"{path}: the file says that its pictures are {shape[1]}x{shape[2]}; leave :{side} out")
    mean, std = (tuple(v) if isinstance(v, tuple) else (v,) * shape[0] for v in PIXELS[kind])
    if len(mean) != shape[0]:
        raise OptionError(f"--pixels {kind} is of pictures in colour, and {path} takes grey ones")
    return Preprocessing(shape[0], asked or (shape[1], shape[2]), mean, std)


class LogOf(Module):
    """A network that gives probabilities, as one that gives scores: their logarithms."""

    def __init__(self, network: Module) -> None:
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) -> scores (N, K), whose softmax is what the network says."""
        return self.network(x).clamp(min=float(np.finfo(np.float32).tiny)).log()


def _scoring(model, prepared, path):
    """The model itself, or `LogOf` it if what it gives for noise adds up to 1. Raises OptionError for other outputs."""
    noise = np.random.default_rng(0).standard_normal((2, prepared.channels, *prepared.size)).astype(np.float32)
    with no_grad():
        try:
            given = model(Tensor.of(noise))
        except TinyVisionError as error:
            raise OptionError(f"{path}: cannot be given pictures {noise.shape[1:]}: {error}") from None
    if not isinstance(given, Tensor) or given.ndim != 2 or given.shape[0] != 2:
        shapes = [tuple(g.shape) for g in given] if isinstance(given, tuple) else tuple(given.shape)
        raise OptionError(f"{path}: gives {shapes} for two pictures, and not scores of classes (2, K)")
    sums = given.array.sum(axis=1)
    ends_in_probabilities = given.shape[1] > 1 and (given.array >= 0).all() and np.allclose(sums, 1, atol=1e-3)
    return LogOf(model).eval() if ends_in_probabilities else model
