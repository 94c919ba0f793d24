"""Whose face is like whose: faces are turned level, and become 128 numbers whose distances can be compared."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from ...device import to_numpy
from ...errors import DataError, WeightsError
from ...folders import user_path
from ...formats.tfjs import read_manifest
from ...grad_mode import no_grad
from ...models.face_embedder import FaceEmbedder
from ...printable import printable
from ...tensors.tensor import Tensor
from .faces import FaceFinder, Faces

MANIFEST = "face_recognition_model-weights_manifest.json"
GET_FACE_API = "npm pack @vladmandic/face-api@1.7.15, unpack it, and name its folder package/model"

# Where a face lies in its picture: the mean of both eyes and the mouth at this share of the width and of the height,
# and the eyes this share of the side from the mouth. So it was in the pictures that the network learned from.
_MIDDLE, _EYES_TO_MOUTH = (0.5, 0.43), 0.45


@dataclass
class FaceVectors:
    """`faces, vectors = FaceVectors(finder, model)(image)`

    finder   finds the faces;  model   a FaceEmbedder in evaluation mode"""

    finder: FaceFinder
    model: FaceEmbedder

    def __call__(self, image: np.ndarray) -> tuple[Faces, np.ndarray]:
        """Picture uint8 (H, W, 3)  ->  (its N faces, float32 (N, 128))."""
        faces = self.finder(image)
        if not len(faces.boxes):
            return faces, np.zeros((0, 128), np.float32)
        level = np.stack([turned_level(image, points, self.model.SIDE) for points in faces.points])
        x = np.ascontiguousarray(level.transpose(0, 3, 1, 2).astype(np.float32))
        with no_grad():
            return faces, to_numpy(self.model(Tensor.of(x).to(self.model.fc.weight.device)))


def turned_level(image: np.ndarray, points: np.ndarray, side: int) -> np.ndarray:
    """A face of a picture uint8 (H, W, 3) with points (5, 2), eyes, nose, corners of the mouth, as (x, y)  ->  uint8
    (side, side, 3), its eyes level. What lies outside of the picture is black."""
    from PIL import Image

    left, right, _, *corners = points.astype(np.float64)
    mouth = np.mean(corners, axis=0)
    across = (right - left) / max(np.hypot(*(right - left)), 1e-6)
    down = np.array([-across[1], across[0]])
    length = (np.hypot(*(mouth - left)) + np.hypot(*(mouth - right))) / 2 / _EYES_TO_MOUTH  # of a side, in the picture
    corner = (left + right + mouth) / 3 - _MIDDLE[0] * length * across - _MIDDLE[1] * length * down
    # Of a large face several pixels become one: it is drawn larger first, then averaged, so that none is passed over.
    finer = side * int(np.clip(np.ceil(length / side), 1, 8))
    step_x, step_y = across * length / finer, down * length / finer
    numbers = (step_x[0], step_y[0], corner[0], step_x[1], step_y[1], corner[1])
    picture = Image.fromarray(image).transform(
        (finer, finer), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR
    )
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


def load_embedder(folder: str | os.PathLike[str]) -> FaceEmbedder:
    """The network of face-api's folder "model", in evaluation mode. Raises WeightsError."""
    file = user_path(folder) / MANIFEST
    if not file.is_file():
        raise WeightsError(f"{printable(folder)}: has no {MANIFEST}; get it: {GET_FACE_API}")
    model = FaceEmbedder()
    try:
        model.load_arrays(read_manifest(file))
    except (DataError, WeightsError) as error:
        text = str(error)
        raise WeightsError(text if text.startswith(str(file)) else f"{printable(file)}: {text}") from None
    model.eval()
    return model
