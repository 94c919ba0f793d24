"""Transforms of whole batches that mix each image, and its label, with the one before it: MixUp and CutMix."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import to_numpy
from ...errors import DtypeError, OptionError, ShapeError
from ...ops.checks import is_number
from ...tape import Variable
from ...tensors.tensor import Tensor
from .base import generator_for


class _Mixed:
    """Base of the two: checks a batch, mixes its labels."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default") -> None:
        if not is_number(alpha) or not 0 < alpha < np.inf:
            raise OptionError(f"{type(self).__name__}: alpha must be a positive number, got {alpha!r}")
        if labels_getter != "default":
            raise OptionError(f"{type(self).__name__}: labels_getter is not supported; call it with (images, labels)")
        self.alpha, self.num_classes = float(alpha), num_classes

    def __call__(self, images: Any, labels: Any = None, rng: np.random.Generator | None = None) -> tuple[Any, Any]:
        """(images (N, C, H, W), labels float (N, num_classes)), both mixed.

        labels are integers (N,), or probabilities (N, num_classes). Images and labels may also be one tuple."""
        if labels is None and isinstance(images, (tuple, list)) and len(images) == 2:
            images, labels = images
        name = type(self).__name__
        if not isinstance(images, Variable) or not isinstance(labels, Variable):
            raise DtypeError(f"{name}: expected a batch of images and its labels, both Tensors")
        pictures, known = to_numpy(images), to_numpy(labels)
        if pictures.ndim != 4 or known.ndim not in (1, 2) or len(pictures) != len(known):
            raise ShapeError(
                f"{name}: expected images (N, C, H, W) and labels (N,) or (N, num_classes), "
                f"got {pictures.shape} and {known.shape}"
            )
        mixed, share = self.mixed(pictures, generator_for(rng))
        probabilities = self._probabilities(known)
        weight = probabilities.dtype.type
        targets = np.roll(probabilities, 1, 0) * weight(1 - share) + probabilities * weight(share)
        return Tensor.of(mixed), Tensor.of(targets)

    def mixed(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """(images, which share of each is its own)."""
        raise OptionError(f"{type(self).__name__} must define mixed(images, rng)")

    def _probabilities(self, labels: np.ndarray) -> np.ndarray:
        name, classes = type(self).__name__, self.num_classes
        if labels.ndim == 2:
            if classes is not None and labels.shape[1] != classes:
                raise ShapeError(f"{name}: labels of {labels.shape[1]} classes, but num_classes={classes}")
            return labels if labels.dtype.kind == "f" else labels.astype(np.float32)
        if classes is None:
            raise OptionError(f"{name}: num_classes must be given where labels are integers (N,)")
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
            raise OptionError(f"{name}: labels must be integers from 0 to {classes - 1}")
        return np.eye(classes, dtype=np.float32)[labels]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, num_classes={self.num_classes})"


class MixUp(_Mixed):
    """s times each image plus 1 - s times the one before it, s drawn from Beta(alpha, alpha) for the batch ("mixup:
    beyond empirical risk minimization", Zhang et al., 2018). Raises DtypeError for integer images."""

    def mixed(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        if images.dtype.kind != "f":
            raise DtypeError(f"MixUp: expected floating-point images, got {images.dtype}; put ToDtype before it")
        share, kind = float(rng.beta(self.alpha, self.alpha)), images.dtype.type
        return np.roll(images, 1, 0) * kind(1 - share) + images * kind(share), share


class CutMix(_Mixed):
    """A rectangle of each image is that of the one before it, its area 1 - s, s drawn from Beta(alpha, alpha), its
    middle anywhere; what lies outside is cut off ("CutMix: regularization strategy to train strong classifiers with
    localizable features", Yun et al., 2019)."""

    def mixed(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        height, width = images.shape[-2:]
        half = 0.5 * np.sqrt(1 - rng.beta(self.alpha, self.alpha))
        x, y, dx, dy = int(rng.integers(width)), int(rng.integers(height)), int(half * width), int(half * height)
        rows, columns = slice(max(y - dy, 0), min(y + dy, height)), slice(max(x - dx, 0), min(x + dx, width))
        made = images.copy()
        made[..., rows, columns] = np.roll(images, 1, 0)[..., rows, columns]
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return made, 1 - area / (height * width)
