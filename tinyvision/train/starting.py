"""What a transfer starts from: a network by its name, a file with timm's names, or a network of another engine.

Of the last the body stays as it is, and its head, which is looked for, gives way to a new one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, DataError, FileError, OptionError
from ..folders import user_path
from ..formats.download import sha256_of
from ..formats.source import read_bytes
from ..grad_mode import no_grad
from ..interop.heads import Head, without_head
from ..nn.module import Module
from ..printable import printable
from ..tensors.tensor import Tensor
from .bodies import Regrown, kept_name, pooled
from .file_networks import LogOf, file_network, picture_preprocessing
from .preprocessing import Preprocessing
from .recipes import NETWORKS, published_preprocessing
from .runs import BEST, BODIES

_TIMM = ".safetensors"
_MAX_CONFIG = 1 << 20  # bytes of timm's config.json


@dataclass
class Start:
    """Where a transfer starts.

    model, top     the network with a new last layer, and the dotted name of what comes behind its features
    preprocessing  how pictures become its input
    notes          with which `build_network` builds it again
    body           the file that it is built from, if it is built from one;  told   what is to be said of it, or "" """

    model: Module
    top: str
    preprocessing: Preprocessing
    notes: dict[str, Any]
    body: Path | None = None
    told: str = ""

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the file in which the body is; what it computes is not said by its weights alone."""
        return self.notes.get("sha256")


def is_file(model: str) -> bool:
    """Whether a transfer's model is a file, by its name: no network is called so."""
    return Path(model).suffix.lower() in (*(Path(name).suffix for name in BODIES), _TIMM)


def named(model: str) -> str:
    """A transfer's model as its run remembers it: a file by its whole path."""
    return str(user_path(model).absolute()) if is_file(model) else model


def check(model: str, weights: str | None, pixels: str | None, freeze: str) -> None:
    """Raise OptionError for settings that do not go with a model; nothing is read."""
    if not is_file(model):
        if Path(model).suffix == ".json":
            raise OptionError(f"{model}: TensorFlow.js keeps arrays in files beside it; save the network as .keras")
        if pixels is not None:
            raise OptionError("--pixels is for networks in files: .onnx, .keras, .h5, .tflite, .safetensors")
        if model not in NETWORKS and (folder := user_path(model)).is_dir():
            raise OptionError(
                f"model {printable(model)} is a folder, and a transfer begins with a network that has a name, or a "
                f"file; to begin with what a run has learned, name the run's network and its weights: --model resnet18 "
                f"--weights {printable(folder / BEST)}"
            )
        published_preprocessing(model)
        return
    if weights is not None:
        raise OptionError(f"weights go with the name of a network, and {model} is a file that has its own")
    if freeze == "stem" and Path(model).suffix.lower() != _TIMM:
        raise OptionError(f"{model}: nothing says which layers of a file are its first; freeze all or none of them")


def start(model: str, weights: str | None, pixels: str | None, classes: int, kept: Path | None = None) -> Start:
    """The network with a new head for so many classes.

    kept  the folder of a run that goes on, which has the file itself

    The new head is drawn from the generator in use. Raises OptionError, CheckpointError, FileError, WeightsError."""
    if not is_file(model):
        return _by_name(model, weights, published_preprocessing(model, weights), classes)
    path = user_path(model)
    if path.suffix.lower() == _TIMM:
        _require(path)
        name, prepared = _of_timm(path, pixels)
        return _by_name(name, str(path), prepared, classes)
    if kept is not None and (kept / kept_name(path)).is_file():
        path = kept / kept_name(path)
    _require(path)
    return _of_another_engine(path, pixels, classes)


def _require(path: Path) -> None:
    if not path.is_file():
        raise FileError(f"{printable(path)}: there is no such file")


def _by_name(name: str, weights: str | None, prepared: Preprocessing, classes: int) -> Start:
    build = NETWORKS[name][0]
    model = build(weights=weights or "DEFAULT", num_classes=classes)
    return Start(model, getattr(build, "top", "fc"), prepared, {"name": name, "options": {"num_classes": classes}})


def _of_another_engine(path: Path, pixels: str | None, classes: int) -> Start:
    network = file_network(path, pixels)
    whole = network.model.network if isinstance(network.model, LogOf) else network.model
    if getattr(whole, "arrays_outside", False):
        raise OptionError(f"{printable(path)}: its arrays lie in other files; save it as one file (onnx.save does)")
    try:
        body, head = without_head(whole)
    except OptionError as error:
        raise OptionError(f"{printable(path)}: {error}") from None
    features = _features(body.eval(), head, network.preprocessing, path)
    options = {"features": features, "num_classes": classes}
    notes = {"name": kept_name(path), "options": options, "sha256": sha256_of(path)}
    told = (
        f"head of {printable(path.name)}: {printable(head.name)} ({head.kind}), in whose place comes a new one, "
        f"{features} features -> {classes} classes"
    )
    return Start(Regrown(body, **options), "fc", network.preprocessing, notes, path, told)


def _features(body: Module, head: Head, prepared: Preprocessing, path: Path) -> int:
    """How many features a body makes of a picture. Raises OptionError if they are none of whole pictures."""
    noise = np.random.default_rng(0).standard_normal((2, prepared.channels, *prepared.size)).astype(np.float32)
    with no_grad():
        made = body(Tensor.of(noise))
    places = made.shape[2:]
    if made.ndim not in (2, 4) or made.shape[0] != 2 or (math.prod(places) > 1 and not head.pooled):
        raise OptionError(
            f"{printable(path)}: no head is found that a new one could replace: the last layer {head.name[:60]} sees "
            f"{tuple(made.shape)} of two pictures, and not features (2, F)"
        )
    return int(pooled(made).shape[1])


def _of_timm(path: Path, pixels: str | None) -> tuple[str, Preprocessing]:
    """(the network's name here, its preprocessing) by the config.json beside a file of timm's, or by the file's name
    and --pixels. Raises OptionError, CheckpointError."""
    said = _config(path.parent / "config.json")
    called = said.get("architecture", path.name.partition(".")[0])
    name = str(called).removeprefix("tf_").replace("efficientnetv2", "efficientnet_v2")
    name = name.replace("mobilenetv", "mobilenet_v").removesuffix("_100")
    if NETWORKS.get(name, (None, None))[1] is None:
        raise OptionError(
            f"{printable(path)}: nothing says which network this is, or there is none called {printable(str(called))} "
            f"here; put timm's config.json beside it, or name one: --model resnet18 --weights FILE"
        )
    notes = said.get("pretrained_cfg")
    if notes is None:
        if pixels is None:
            raise CheckpointError(
                f"{printable(path)}: no config.json of timm's beside it says how pictures become its input; say it: "
                f"--pixels imagenet:224"
            )
        return name, picture_preprocessing((3, None, None), str(path), pixels)
    if pixels is not None:
        raise OptionError(f"{printable(path)}: config.json says how pictures become its input; leave --pixels out")
    try:
        channels, *size = notes["input_size"]
        shorter = math.floor(min(size) / notes["crop_pct"])
        given = {"channels": channels, "size": size, "shorter": shorter, "interpolation": notes["interpolation"]}
        return name, Preprocessing.from_dict({**given, "mean": notes["mean"], "std": notes["std"]})
    except (CheckpointError, KeyError, TypeError, ValueError, ArithmeticError):
        raise CheckpointError(f"{printable(path)}: what config.json says of its input makes no sense here") from None


def _config(path: Path) -> dict[str, Any]:
    """What timm's config.json says, or nothing."""
    if not path.is_file():
        return {}
    try:
        said = json.loads(read_bytes(path, _MAX_CONFIG)[0])
    except (ValueError, RecursionError, DataError):
        said = None
    if not isinstance(said, dict):
        raise CheckpointError(f"{printable(path)}: is damaged")
    return said if isinstance(said.get("architecture"), str) else {}
