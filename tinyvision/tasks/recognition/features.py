"""What a network sees in pictures, as directions that can be compared; and the index of a folder of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data import read_image
from ...data.images import MAX_PIXELS
from ...data.picture_files import PictureFiles
from ...device import to_numpy
from ...errors import DataError, OptionError, TinyVisionError
from ...folders import cache_dir, keep_newest, user_path
from ...grad_mode import no_grad
from ...nn import Conv2d, Linear
from ...nn.module import Module
from ...printable import printable
from ...tensors.tensor import Tensor
from ...train.checkpoint import weights_digest
from ...train.preprocessing import Preprocessing
from ...train.recipes import Network
from ...train.runs import make_folder
from ...weights import load_with_metadata, save

_BATCH = 16
_KEPT = 32  # indices that stay in the cache
_LENGTH = 1e-12


@dataclass
class Features:
    """Directions (N, D) of pictures: `cosine = features(a) @ features(b).T`.

    model    in evaluation mode;  compared  what is compared of it, called with pictures (N, C, H, W)
    preprocessing  how pictures become its input;  classes  of training;  origin  of the weights, in words"""

    model: Module
    preprocessing: Preprocessing
    classes: list[str]
    origin: str
    compared: Callable[[Any], Any]

    @classmethod
    def of_embedder(cls, model: Module, preprocessing: Preprocessing, classes: list[str], origin: str) -> Features:
        """The embeddings of a recogniser."""
        return cls(model, preprocessing, classes, origin, model)

    @classmethod
    def of_classifier(cls, network: Network) -> Features:
        """What the last layer of a classifier gets: the numbers by which it tells the classes apart."""
        model = network.model
        linear: list[Module] = [module for module in model.modules() if isinstance(module, Linear)]
        layers = linear or [module for module in model.modules() if isinstance(module, Conv2d)]
        if not layers:
            raise OptionError(f"{network.origin}: has neither a linear layer nor a convolution to look before")
        return cls(model, network.preprocessing, network.classes, network.origin, partial(_before, model, layers[-1]))

    def __call__(self, images: Sequence[Any]) -> np.ndarray:
        """Pictures uint8 (H, W, C) of any sizes  ->  float32 (N, D), every row of length 1."""
        prepare, rows = self.preprocessing.transform(), []
        device = next(iter(self.model.parameters())).device
        with no_grad():
            for start in range(0, len(images), _BATCH):
                x = np.stack([prepare(image) for image in images[start : start + _BATCH]])
                rows.append(to_numpy(self.compared(Tensor.of(x).to(device))).reshape(len(x), -1).astype(np.float32))
        found = np.concatenate(rows)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _LENGTH)

    def key(self) -> str:
        """Changes with whatever changes the features of a picture."""
        text = f"{weights_digest(self.model)} {self.preprocessing!r}"
        return hashlib.sha256(text.encode()).hexdigest()


def _before(model: Module, last: Module, x: Any) -> Any:
    """What the layer `last` gets for x, (N, D); planes are averaged."""
    seen: list[Any] = []
    hook = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        model(x)
    finally:
        hook.remove()
    return seen[-1].mean((2, 3)) if seen[-1].ndim == 4 else seen[-1]


class Index:
    """The features of all pictures below a folder, kept in the cache folder.

    paths     of the pictures that could be read;  features  (N, D)
    errors    why others could not;  others  how many files are no pictures, by suffix
    computed  how many were not in the cache: a picture counts as the same while its file does, see `_state`

    Raises DataError for a folder without pictures that can be read."""

    def __init__(
        self,
        folder: str | Path,
        features: Features,
        max_pixels: int = MAX_PIXELS,
        counted: Callable[[str, int], Callable[[int], None]] | None = None,
    ) -> None:
        self.folder = user_path(folder)
        if not self.folder.is_dir():
            raise DataError(f"{printable(self.folder)}: no such folder")
        files = PictureFiles(self.folder)
        paths, self.others = files.paths, files.others
        key = hashlib.sha256(f"{self.folder.resolve()}\0{features.key()}".encode("utf-8", "surrogateescape"))
        self.file = cache_dir() / "search" / f"{key.hexdigest()[:40]}.safetensors"
        self.errors: list[str] = []
        kept = self._kept()
        states = {path: _state(path) for path in paths}
        rows = {path: kept[name] for path in paths if (name := self._name(path, states[path])) in kept}
        missing = [path for path in paths if path not in rows]
        told = counted("looking at pictures", len(missing)) if counted and missing else lambda more: None
        try:
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                rows |= self._computed(batch, features, max_pixels)
                told(len(batch))
        finally:  # after Ctrl-C, too
            self.computed = len(rows.keys() & set(missing))
            if self.computed or len(rows) != len(kept):
                self._keep({self._name(path, states[path]): row for path, row in rows.items()})
        self.paths = [path for path in paths if path in rows]
        if not self.paths:
            first = f": {self.errors[0]}" if self.errors else ""
            raise DataError(f"{printable(self.folder)}: holds no pictures that can be read{first}")
        self.features = np.stack([rows[path] for path in self.paths])

    def nearest(self, query: np.ndarray, count: int) -> list[tuple[Path, float]]:
        """The pictures closest to a direction (D,), with their cosines, the closest first."""
        cosines = (self.features @ query).clip(-1, 1)  # rounding may leave the range by a little
        return [(self.paths[i], float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:count]]

    def _name(self, path: Path, state: str) -> str:
        return f"{path.relative_to(self.folder).as_posix()}\0{state}"

    def _computed(self, paths: list[Path], features: Features, max_pixels: int) -> dict[Path, np.ndarray]:
        images, read = [], []
        for path in paths:
            try:
                images.append(read_image(path, max_pixels))
                read.append(path)
            except DataError as error:
                self.errors.append(str(error))
        return dict(zip(read, features(images), strict=True)) if images else {}

    def _kept(self) -> dict[str, np.ndarray]:
        """Rows of an earlier call; a file that is damaged is as good as none."""
        try:
            arrays, metadata = load_with_metadata(self.file)
            names = json.loads(metadata["names"])
            return dict(zip(names, arrays["features"], strict=True))
        except (TinyVisionError, OSError, KeyError, ValueError, TypeError):
            return {}

    def _keep(self, rows: dict[str, np.ndarray]) -> None:
        if not rows:
            return
        try:
            make_folder(self.file.parent)
            save({"features": np.stack(list(rows.values()))}, self.file, metadata={"names": json.dumps(list(rows))})
            keep_newest(self.file, _KEPT)
        except (TinyVisionError, OSError):
            return  # next time it takes as long again


def _state(path: Path) -> str:
    """Changes when other bytes may stand under a name. To read all would take as long as to look at all, and size and
    time can be those of another picture: folders are swapped, copies keep the time. The file's number changes with the
    file, and the time of its last change of any kind is set by nobody but the system."""
    try:
        found = path.stat()
    except OSError:  # reading it will say so
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino} {found.st_ctime_ns}"


def features_of(network: Any) -> Features:
    """The Features of a network ready for use: a recogniser, or a classifier. Raises OptionError for another task's."""
    if isinstance(network, Features):
        return network
    if not isinstance(network, Network):
        raise OptionError(f"{network.origin}: finds places in pictures; to compare whole pictures, name a classifier")
    return Features.of_classifier(network)
