"""torchvision's place for what is in `tinyvision.drawing`."""

from typing import TYPE_CHECKING

from ..drawing import draw_bounding_boxes, draw_keypoints, draw_segmentation_masks, make_grid, save_image
from ..missing import missing

__all__ = ["draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks", "make_grid", "save_image"]

if not TYPE_CHECKING:
    __getattr__ = missing("torchvision.utils", __all__)
