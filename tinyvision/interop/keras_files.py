"""The three containers of a Keras model: `.keras` (a zip), `.h5`/`.hdf5`, and TensorFlow.js's `model.json` with shards.

Each holds a description of the layers (JSON) and their arrays. Only these two are read: no code, no optimizer.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import FileError, WeightsError
from ..folders import user_path
from ..formats.hdf5 import SIGNATURE, Hdf5
from ..formats.refused import Refused
from ..formats.source import read_bytes
from ..formats.zip import DEFLATED, STORED, ZipArchive

LARGEST = 4 << 30  # bytes of all arrays together
LARGEST_TEXT = 64 << 20  # bytes of a description
DEEPEST = 40  # groups of HDF5 inside of each other


class Arrays(Protocol):
    """The arrays of a model, by layer."""

    def of(self, layer: str, kind: str, turn: int) -> list[np.ndarray]:
        """Those of one layer in Keras's order; `turn` counts the layers of this kind from 0."""

    def inside(self, layer: str, kind: str, turn: int) -> Arrays:
        """Those of a model that is used as a layer."""


class Saved(NamedTuple):
    """What a file holds."""

    config: dict[str, Any]
    version: str
    arrays: Arrays


def read(path: str | os.PathLike[str]) -> Saved:
    """The description and the arrays in a file. Raises FileError, WeightsError."""
    path = user_path(path)
    if path.is_dir() and (path / "model.json").is_file():
        path = path / "model.json"
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"PK"):
            return _keras_zip(path)
        if start == SIGNATURE:
            return _hdf5(path)
        if path.suffix.lower() == ".json":
            return _tensorflow_js(path)
    except Refused as reason:
        raise WeightsError(f"{path.name}: {reason}") from None
    raise WeightsError(f"{path.name}: neither .keras, nor HDF5, nor the model.json of TensorFlow.js")


# ------------------------------------------------------------------------------------------ the containers


def _keras_zip(path):
    """Keras 3: config.json, metadata.json, and an HDF5 file whose groups follow the layers."""
    with path.open("rb") as file:
        archive = ZipArchive(file, path.stat().st_size, (STORED, DEFLATED))
        missing = [n for n in ("config.json", "metadata.json", "model.weights.h5") if n not in archive.records]
        if missing:
            raise Refused(f"a zip archive without {missing[0]}, so it is not Keras's")
        config = _json(bytes(archive.read("config.json", LARGEST_TEXT)))
        about = _json(bytes(archive.read("metadata.json", LARGEST_TEXT)))
        weights = bytes(archive.read("model.weights.h5", LARGEST))
    return Saved(config, str(about.get("keras_version", "3")), _Tree(Hdf5(weights, LARGEST)))


def _hdf5(path):
    """Keras 1 to 3: the description is an attribute, the arrays lie in one group for each layer."""
    data, _ = read_bytes(path, LARGEST)
    file = Hdf5(data, LARGEST)
    config, version = file.text("", "model_config"), file.text("", "keras_version") or b"2"
    if not isinstance(config, bytes) or not isinstance(version, bytes):
        raise Refused("HDF5 without a description of the layers (weights alone?); save the whole model")
    room = "model_weights" if file.has("model_weights") else ""
    return Saved(_json(config), version.decode("utf-8", "replace"), _Groups(file, room))


def _tensorflow_js(path):
    """`tensorflowjs_converter`'s layers format: arrays lie one after the other in shards beside the description."""
    model = _json(read_bytes(path, LARGEST_TEXT)[0])
    topology, manifest = model.get("modelTopology"), model.get("weightsManifest")
    if not isinstance(topology, dict) or not isinstance(manifest, list) or model.get("format") == "graph-model":
        raise Refused("not TensorFlow.js's layers format (a graph model has no layers)")
    config = topology.get("model_config", topology)
    arrays: dict[str, np.ndarray] = {}
    for group in manifest:
        arrays.update(_shards(group, path.parent))
    return Saved(config, str(topology.get("keras_version", "2")), _Named(arrays))


def _shards(group, folder):
    """name -> array of one entry of a weights manifest."""
    try:
        paths, weights = list(group["paths"]), list(group["weights"])
        specs = [(str(w["name"]), [int(n) for n in w["shape"]], w["dtype"], w.get("quantization")) for w in weights]
    except (KeyError, TypeError, ValueError):
        raise Refused("a weights manifest that is not as it should be") from None
    pieces = []
    for name in paths:
        place = (folder / str(name)).resolve()
        if not place.is_relative_to(folder.resolve()) or not place.is_file():
            raise Refused(f"its arrays are said to lie in {str(name)[:80]!r}, which is no file beside it")
        pieces.append(read_bytes(place, LARGEST)[0])
    data, position, arrays = b"".join(pieces), 0, {}
    for name, shape, kind, quantization in specs:
        stored = (quantization or {}).get("dtype", kind)
        if kind not in ("float32", "float16", "int32") or stored not in (
            "float32",
            "float16",
            "int32",
            "uint8",
            "uint16",
        ):
            raise Refused(f"the array {name[:60]!r} has the unknown dtype {stored!r:.40}")
        if any(n < 0 for n in shape):
            raise Refused(f"the array {name[:60]!r} has an axis of negative size")
        count, width = math.prod(shape), np.dtype(stored).itemsize
        if position + count * width > len(data):
            raise Refused(f"the array {name[:60]!r} reaches beyond the end of its shards")
        array = np.frombuffer(data, np.dtype(stored).newbyteorder("<"), count, position).reshape(shape)
        position += count * width
        if quantization and stored.startswith("uint"):
            array = array * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        arrays[name] = array.astype(np.float32 if kind.startswith("float") else np.int32)
    return arrays


def _json(data):
    try:
        value = json.loads(data)
        if isinstance(value, str):  # some versions wrote the text as a text
            value = json.loads(value)
    except (ValueError, RecursionError):
        raise Refused("a description of layers that is no JSON") from None
    if not isinstance(value, dict):
        raise Refused("a description of layers that describes none")
    return value


# ------------------------------------------------------------------------------------------------- arrays


class _Tree:
    """`.keras`: layers/conv2d_1/vars/0; the names count the layers of one class."""

    def __init__(self, file: Hdf5, path: str = "", depth: int = 0) -> None:
        self.file, self.path, self.depth = file, path, depth

    def _place(self, kind, turn):
        name = _snake_case(kind)
        return f"{self.path}layers/{name}_{turn}" if turn else f"{self.path}layers/{name}"

    def of(self, layer: str, kind: str, turn: int) -> list[np.ndarray]:
        """See Arrays."""
        place = f"{self._place(kind, turn)}/vars"
        return [self.file.array(f"{place}/{n}") for n in sorted(filter(str.isdecimal, self.file.names(place)), key=int)]

    def inside(self, layer: str, kind: str, turn: int) -> Arrays:
        """See Arrays."""
        if self.depth > DEEPEST:
            raise Refused("models inside of models without end")
        return _Tree(self.file, self._place(kind, turn) + "/", self.depth + 1)


class _Groups:
    """HDF5 as Keras 1 to 3 wrote it: a group for each layer, whose attribute `weight_names` gives the order."""

    def __init__(self, file: Hdf5, room: str) -> None:
        self.file, self.room = file, room

    def _names(self, layer) -> Iterator[str]:
        place = f"{self.room}/{layer}"
        if not self.file.has(place):
            return
        names, part = self.file.text(place, "weight_names"), 0
        while names is None or part:  # a list that was too long was cut into weight_names0, weight_names1, ...
            more = self.file.text(place, f"weight_names{part}")
            if more is None:
                break
            names, part = [*(names or []), *more], part + 1
        if not isinstance(names, list):
            raise Refused(f"the layer {layer!r:.60} does not say in which order its arrays are")
        for name in names:
            yield name.decode("utf-8", "replace")

    def of(self, layer: str, kind: str, turn: int) -> list[np.ndarray]:
        """See Arrays."""
        return [self.file.array(f"{self.room}/{layer}/{name}") for name in self._names(layer)]

    def inside(self, layer: str, kind: str, turn: int) -> Arrays:
        """See Arrays."""
        return _Named({name: self.file.array(f"{self.room}/{layer}/{name}") for name in self._names(layer)})


class _Named:
    """Arrays whose names end in layer/array, in the order in which each layer lists its own."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays

    def of(self, layer: str, kind: str, turn: int) -> list[np.ndarray]:
        """See Arrays."""
        return [array for name, array in self.arrays.items() if name.split("/")[-2:-1] == [layer]]

    def inside(self, layer: str, kind: str, turn: int) -> Arrays:
        """See Arrays."""
        return self


def _snake_case(kind):
    """Conv2D -> conv2d, MaxPooling2D -> max_pooling2d, ReLU -> re_lu: how Keras names what has no name of its own."""
    return re.sub("(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", kind).lower()
