"""Detection: boxes around things. `Detection` is the task for `train.fit`, the datasets are of (picture, boxes), and
`Samples` makes of them what a network gets; `average_precision` counts as COCO does."""

from .average_precision import AveragePrecision, Boxes, average_precision
from .datasets import CocoBoxes, DigitsOnPhotographs, ShapesBoxes, StreetBoxes, VocBoxes, YoloBoxes
from .predict import Detector, Found, boxes_drawn
from .samples import Samples, letterboxed
from .task import Detection, DetectionEvaluation, decode, targets

__all__ = [
    "AveragePrecision",
    "Boxes",
    "CocoBoxes",
    "Detection",
    "DetectionEvaluation",
    "Detector",
    "DigitsOnPhotographs",
    "Found",
    "Samples",
    "ShapesBoxes",
    "StreetBoxes",
    "VocBoxes",
    "YoloBoxes",
    "average_precision",
    "boxes_drawn",
    "decode",
    "letterboxed",
    "targets",
]
