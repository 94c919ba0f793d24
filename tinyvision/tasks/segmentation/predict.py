"""A trained U-Net in use: masks of pictures, drawn over them, and tables of the regions in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...device import to_numpy
from ...drawing import draw_segmentation_masks
from ...grad_mode import no_grad
from ...tensors.tensor import Tensor
from ..lettering import colour_of, with_key
from ..masks import Region, read_levels, regions
from ..pictures import as_input, resized, scaled_down
from ..room import Prediction, Predictor


@dataclass
class Mask(Prediction):
    """The classes of a picture's pixels.

    mask      class numbers (H, W), 0 being the background;  classes   names
    regions   the connected regions of one class: touching things are one"""

    mask: np.ndarray
    classes: list[str]
    regions: list[Region]

    def count(self, label: int) -> int:
        """How many regions of a class there are."""
        return sum(region.label == label for region in self.regions)

    def line(self) -> str:
        """Every class that is there, with its regions and its share of the picture."""
        parts = []
        for label in range(1, len(self.classes)):
            share = float((self.mask == label).mean())
            if share > 0:
                count = self.count(label)
                where = f"{count:,} region{'s' * (count != 1)}" if count else "specks alone, too small for a region"
                parts.append(f"{self.classes[label]} {share:.1%} in {where}")
        return ", ".join(parts) or "background alone"

    def as_json(self) -> dict[str, Any]:
        """Areas by class, and every region."""
        areas = {name: int((self.mask == label).sum()) for label, name in enumerate(self.classes)}
        return {"height": self.mask.shape[0], "width": self.mask.shape[1], "areas": areas, "regions": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each region: class, area in pixels, centre, box."""
        return [
            {
                "class": self.classes[region.label],
                "area": region.area,
                "x": round(region.centre[0], 2),
                "y": round(region.centre[1], 2),
                **dict(zip(("x1", "y1", "x2", "y2"), region.box, strict=True)),
            }
            for region in self.regions
        ]

    def drawn(self, image: np.ndarray) -> np.ndarray:
        """The mask in colours over the picture, with the regions' edges; below it which colour is which class, where
        there is more than one."""
        drawn = overlay(image, self.mask, len(self.classes))
        return with_key(drawn, self.classes, self.shown()) if len(self.classes) > 2 else drawn

    def shown(self) -> list[int]:
        """The classes that are in the mask, without the background."""
        return present(self.mask, len(self.classes))


class Segmenter(Predictor):
    """`segmenter.predict(segmenter.read("cells.tif", max_pixels)).drawn(image)`"""

    columns = ("class", "area", "x", "y", "x1", "y1", "x2", "y2")
    smallest_region = 8  # pixels; what is smaller is more often noise than a thing

    def read(self, path: Path, max_pixels: int) -> np.ndarray:
        """As in training: 16-bit pictures are stretched to their own range."""
        return read_levels(path, max_pixels)

    def predict(self, image: np.ndarray) -> Mask:
        """The mask of a picture uint8 (H, W, 3), at its own size."""
        classes = resized(self._classes(scaled_down(image)), image.shape[:2], nearest=True)
        return Mask(classes, self.classes, regions(classes, self.smallest_region)[1])

    def _classes(self, image: np.ndarray) -> np.ndarray:
        H, W = image.shape[:2]
        least = getattr(self.model, "smallest", 1)
        padded = np.pad(image, ((0, max(least - H, 0)), (0, max(least - W, 0)), (0, 0)), mode="edge")
        x = Tensor.of(as_input(padded, self.preprocessing)[None]).to(next(iter(self.model.parameters())).device)
        with no_grad():
            return to_numpy(self.model(x))[0].argmax(0)[:H, :W]


def present(mask: np.ndarray, classes: int) -> list[int]:
    """The classes that a mask has somewhere, without the background."""
    return [label for label in range(1, classes) if (mask == label).any()]


def overlay(image: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """A mask of classes (H, W) in colours over a picture uint8 (H, W, 3): solid edges, half seen through inside."""
    labels = present(mask, classes)
    if not labels:
        return image.copy()
    colours = [colour_of(label) for label in labels]
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    masks = np.stack([mask == label for label in labels])
    for alpha, shown in ((0.4, masks), (1.0, masks & _edges(mask))):
        planes = draw_segmentation_masks(planes, shown, alpha=alpha, colors=colours).numpy()
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _edges(mask: np.ndarray) -> np.ndarray:
    """Pixels that have another class above, below, left or right."""
    padded = np.pad(mask, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    others = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.logical_or.reduce([other != middle for other in others])
