"""torchvision's place for what is in `tinyvision.boxes` and `tinyvision.models.blocks`."""

from typing import TYPE_CHECKING

from ..boxes import (
    batched_nms,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    complete_box_iou,
    distance_box_iou,
    generalized_box_iou,
    generalized_box_iou_loss,
    masks_to_boxes,
    nms,
    remove_small_boxes,
    sigmoid_focal_loss,
)
from ..missing import missing
from ..models.blocks import (
    MLP,
    Conv2dNormActivation,
    FrozenBatchNorm2d,
    Permute,
    SqueezeExcitation,
    StochasticDepth,
    stochastic_depth,
)

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
    "StochasticDepth",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "generalized_box_iou_loss",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
    "sigmoid_focal_loss",
    "stochastic_depth",
]

_REGIONS = "it cuts regions out of feature maps, for detectors of two stages, which are not here"
_SLIDING = "its windows move by numbers that a network learns, which no op here does"
_VIDEO = "it is for videos, and tinyvision is for images"

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.ops",
        __all__,
        {
            **dict.fromkeys(("roi_align", "RoIAlign", "roi_pool", "RoIPool", "MultiScaleRoIAlign"), _REGIONS),
            **dict.fromkeys(("ps_roi_align", "PSRoIAlign", "ps_roi_pool", "PSRoIPool"), _REGIONS),
            **dict.fromkeys(("deform_conv2d", "DeformConv2d"), _SLIDING),
            **dict.fromkeys(("Conv3dNormActivation", "drop_block3d", "DropBlock3d"), _VIDEO),
            **dict.fromkeys(("drop_block2d", "DropBlock2d"), "nn.Dropout2d drops whole channels"),
            "FeaturePyramidNetwork": "write it with nn.Conv2d and nn.functional.interpolate",
            "complete_box_iou_loss": "1 - complete_box_iou of each pair is the same up to its eps",
            "distance_box_iou_loss": "1 - distance_box_iou of each pair is the same up to its eps",
        },
    )
