"""Segmentation: a class for every pixel. `Segmentation` is the task for `train.fit`, the datasets are of (picture,
mask), and `Samples` makes of them what a network gets."""

from .datasets import CocoMasks, MaskFolder, Nuclei, ShapesMasks, StreetMasks
from .predict import Mask, Segmenter, overlay
from .samples import Samples
from .task import Segmentation, SegmentationEvaluation

__all__ = [
    "CocoMasks",
    "Mask",
    "MaskFolder",
    "Nuclei",
    "Samples",
    "Segmentation",
    "SegmentationEvaluation",
    "Segmenter",
    "ShapesMasks",
    "StreetMasks",
    "overlay",
]
