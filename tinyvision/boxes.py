"""Boxes around things in pictures: areas, overlaps, choosing among many, and losses that pull one onto another.

Boxes are (..., 4) numbers (x1, y1, x2, y2), corners top left and bottom right, unless another format is named. What has
a gradient is written with operations of tensors or with the pairs in `ops.boxes`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .device import device_of, to_device, to_numpy
from .errors import OptionError, ShapeError
from .grad_mode import no_grad
from .tensors import taped as F
from .tensors.arranging import stack
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor

_FORMATS = ("xyxy", "xywh", "cxcywh")


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another format: "xyxy" corners, "xywh" corner and size, "cxcywh" centre and size. Raises OptionError."""
    boxes = _boxes("box_convert", boxes)
    for fmt in (in_fmt, out_fmt):
        if fmt not in _FORMATS:
            raise OptionError(f"box_convert: formats are {', '.join(_FORMATS)}, got {fmt!r}; turned boxes are unknown")
    if in_fmt == out_fmt:
        return boxes.clone()
    return _from_corners(_corners(boxes, in_fmt), out_fmt)


def _corners(boxes, fmt):
    a, b, c, d = (boxes[..., k] for k in range(4))
    if fmt == "xywh":
        return stack([a, b, a + c, b + d], -1)
    if fmt == "cxcywh":
        return stack([a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d], -1)
    return boxes


def _from_corners(boxes, fmt):
    x1, y1, x2, y2 = (boxes[..., k] for k in range(4))
    if fmt == "xywh":
        return stack([x1, y1, x2 - x1, y2 - y1], -1)
    if fmt == "cxcywh":
        return stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], -1)
    return boxes


def box_area(boxes: Any, fmt: str = "xyxy") -> Tensor:
    """Width · height.   (..., 4) -> (...)"""
    boxes = _wide_enough(_boxes("box_area", boxes))
    if fmt not in _FORMATS:
        raise OptionError(f"box_area: formats are {', '.join(_FORMATS)}, got {fmt!r}")
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def box_iou(boxes1: Any, boxes2: Any, fmt: str = "xyxy") -> Tensor:
    """The area that two boxes share, over the area that any of them covers.   (N, 4), (M, 4) -> (N, M)"""
    boxes1, boxes2 = _boxes("box_iou", boxes1), _boxes("box_iou", boxes2)
    if fmt not in _FORMATS:
        raise OptionError(f"box_iou: formats are {', '.join(_FORMATS)}, got {fmt!r}; turned boxes are unknown")
    inter, union, _ = _overlaps(_corners(boxes1, fmt), _corners(boxes2, fmt))
    return inter / union


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Tensor:
    """IoU - (E - U) / E with E the area of the smallest box around both, U what any covers.   (N, 4), (M, 4) -> (N, M)

    (Rezatofighi et al., "Generalized intersection over union", 2019.)"""
    name = "generalized_box_iou"
    inter, union, (width, height) = _overlaps(_boxes(name, boxes1), _boxes(name, boxes2))
    around = width * height
    return inter / union - (around - union) / around


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Tensor:
    """IoU less the squared distance of the centres over that of the corners around both.   (N, 4), (M, 4) -> (N, M)

    (Zheng et al., "Distance-IoU loss", 2020.)"""
    return _distance_and_iou("distance_box_iou", boxes1, boxes2, eps)[0]


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou` less a term for another ratio of width to height.   (N, 4), (M, 4) -> (N, M)"""
    distance, iou, boxes1, boxes2 = _distance_and_iou("complete_box_iou", boxes1, boxes2, eps)
    angles = [((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])).atan() for b in (boxes1, boxes2)]
    v = (4 / math.pi**2) * (angles[0][..., :, None] - angles[1][..., None, :]) ** 2
    with no_grad():
        alpha = v / (1 - iou + v + eps)
    return distance - alpha * v


def _distance_and_iou(name, boxes1, boxes2, eps):
    boxes1, boxes2 = (_wide_enough(_boxes(name, b)) for b in (boxes1, boxes2))
    inter, union, (width, height) = _overlaps(boxes1, boxes2)
    iou = inter / union
    centres = [(b[..., :2] + b[..., 2:]) / 2 for b in (boxes1, boxes2)]
    apart = ((centres[0][..., :, None, :] - centres[1][..., None, :, :]) ** 2).sum(-1)
    return iou - apart / (width**2 + height**2 + eps), iou, boxes1, boxes2


def _overlaps(boxes1, boxes2):
    """(area of both, area of any, (width, height) of the box around both) for every pair, (..., N, M) each."""
    boxes1, boxes2 = _wide_enough(boxes1), _wide_enough(boxes2)
    one, two = boxes1[..., :, None, :], boxes2[..., None, :, :]
    inside = (one[..., 2:].minimum(two[..., 2:]) - one[..., :2].maximum(two[..., :2])).clamp(min=0)
    around = (one[..., 2:].maximum(two[..., 2:]) - one[..., :2].minimum(two[..., :2])).clamp(min=0)
    inter = inside[..., 0] * inside[..., 1]
    union = box_area(boxes1)[..., :, None] + box_area(boxes2)[..., None, :] - inter
    return inter, union, (around[..., 0], around[..., 1])


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Tensor:
    """Boxes without what lies outside of an image of (height, width).   (..., 4) -> (..., 4)"""
    boxes = _boxes("clip_boxes_to_image", boxes)
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise OptionError(f"clip_boxes_to_image: size is (height, width), got {size!r}")
    height, width = size
    x, y = (boxes[..., k::2].clamp(min=0, max=limit) for k, limit in ((0, width), (1, height)))
    return stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)


def remove_small_boxes(boxes: Any, min_size: float) -> Tensor:
    """Which boxes are at least min_size wide and high.   (N, 4) -> int64 indices"""
    corners = _boxes("remove_small_boxes", boxes).array
    large = (corners[:, 2] - corners[:, 0] >= min_size) & (corners[:, 3] - corners[:, 1] >= min_size)
    return Tensor.of(np.nonzero(large)[0])


def masks_to_boxes(masks: Any) -> Tensor:
    """The smallest box around what is not 0 in each mask.   (N, H, W) -> (N, 4) float32; zeros for an empty mask"""
    masks = tensor_input("masks_to_boxes", "masks", masks).array
    if masks.ndim != 3:
        raise ShapeError(f"masks_to_boxes: masks must be (N, H, W), got {tuple(masks.shape)}")
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, to_numpy(masks) != 0, strict=True):
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1], rows[-1]
    return Tensor.of(to_device(boxes, device_of(masks)))


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: of boxes that overlap by more than iou_threshold, only the one of the highest score.

    boxes (N, 4), scores (N,)  ->  int64 indices of those that stay, highest score first. Raises ShapeError."""
    boxes, scores = _scored("nms", boxes, scores)
    where = device_of(boxes)
    kept = _suppressed(to_numpy(boxes), to_numpy(scores), float(iou_threshold))
    return Tensor.of(to_device(kept, where))


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Tensor:
    """`nms` among boxes of the same category alone; idxs (N,) are the categories.   -> int64 indices, best first"""
    boxes, scores = _scored("batched_nms", boxes, scores)
    where, categories = device_of(boxes), to_numpy(tensor_input("batched_nms", "idxs", idxs).array)
    if categories.shape != scores.shape:
        raise ShapeError(f"batched_nms: {len(scores)} scores but idxs {categories.shape}")
    boxes, scores, kept = to_numpy(boxes), to_numpy(scores), []
    for category in np.unique(categories):
        own = np.nonzero(categories == category)[0]
        kept.append(own[_suppressed(boxes[own], scores[own], float(iou_threshold))])
    found = np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
    return Tensor.of(to_device(found[np.argsort(-scores[found], kind="stable")], where))


def soft_nms(boxes: Any, scores: Any, sigma: float = 0.5, least: float = 0.001) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression that lowers scores in place of removing boxes, so that a thing half hidden by another of
    its kind is still found.   boxes (N, 4), scores (N,)  ->  (int64 indices, best first; their new scores)

    The best box stays; every other's score is multiplied by exp(-IoU² / sigma) with it; and so on with the rest, until
    what is left scores less than `least`. (Bodla et al., "Soft-NMS", 2017.) Raises ShapeError, OptionError."""
    if not sigma > 0:
        raise OptionError(f"soft_nms: sigma must be above 0, got {sigma!r}")
    boxes, scores = _scored("soft_nms", boxes, scores)
    where, corners, left = device_of(boxes), to_numpy(boxes), to_numpy(scores).astype(np.float64)
    waiting, kept = np.arange(len(left)), []
    while len(waiting):
        best = waiting[np.argmax(left[waiting])]
        if left[best] < least:
            break
        kept.append(best)
        waiting = waiting[waiting != best]
        left[waiting] *= np.exp(-(_iou_with(corners[best], corners[waiting]) ** 2) / sigma)
    order = np.array(kept, dtype=np.int64)
    return Tensor.of(to_device(order, where)), Tensor.of(to_device(left[order].astype(scores.dtype), where))


def _iou_with(box, others):
    """The IoU of one box with each of others, 0 where neither has an area."""
    width, height = (np.minimum(box[k + 2], others[:, k + 2]) - np.maximum(box[k], others[:, k]) for k in (0, 1))
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    areas = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (box, others)]
    union = areas[0] + areas[1] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _suppressed(boxes, scores, threshold):
    """The greedy choice: the best box stays, what it covers goes, and so on with the rest."""
    x1, y1, x2, y2 = boxes.T
    areas, order, kept = (x2 - x1) * (y2 - y1), np.argsort(-scores, kind="stable"), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[order]) - np.maximum(x1[best], x1[order])
        height = np.minimum(y2[best], y2[order]) - np.maximum(y1[best], y1[order])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore", divide="ignore"):  # of two empty boxes, neither covers the other
            covered = inter / (areas[best] + areas[order] - inter) > threshold
        order = order[~covered]
    return np.array(kept, dtype=np.int64)


def generalized_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - generalised IoU of each pair, with `eps` in the divisors.   (N, 4), (N, 4) -> (N,) or ()"""
    if eps != 1e-7:
        raise OptionError(f"generalized_box_iou_loss: eps is 1e-7 here, got {eps!r}")
    boxes1, boxes2 = (_boxes("generalized_box_iou_loss", b) for b in (boxes1, boxes2))
    return _reduced("generalized_box_iou_loss", 1 - F.box_agreement(boxes1, boxes2), reduction)


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """α_t · (1 - p_t)^γ · (-log p_t) with p = sigmoid(inputs): hard examples count more.   (...) -> (...) or ()

    targets are 0 or 1; alpha weighs the ones, 1 - alpha the zeros, and a negative alpha nothing. Raises OptionError.
    (Lin et al., "Focal loss for dense object detection", 2017.)"""
    if not (0 <= alpha <= 1 or alpha == -1):
        raise OptionError(f"sigmoid_focal_loss: alpha must be from 0 to 1, or -1 for none, got {alpha!r}")
    inputs = tensor_input("sigmoid_focal_loss", "inputs", inputs)
    targets = tensor_input("sigmoid_focal_loss", "targets", targets)
    return _reduced("sigmoid_focal_loss", F.focal(inputs, targets, gamma=gamma, alpha=alpha), reduction)


def _reduced(name, loss, reduction):
    if reduction not in ("none", "mean", "sum"):
        raise OptionError(f'{name}: reduction must be "none", "mean" or "sum", got {reduction!r}')
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" or loss.numel() == 0 else loss.mean()


def _boxes(name, boxes):
    boxes = tensor_input(name, "boxes", boxes)
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ShapeError(f"{name}: boxes must be (..., 4), got {tuple(boxes.shape)}")
    return boxes


def _scored(name, boxes, scores):
    boxes, scores = _boxes(name, boxes).array, tensor_input(name, "scores", scores).array
    if boxes.ndim != 2 or tuple(scores.shape) != (len(boxes),):
        raise ShapeError(f"{name}: expected boxes (N, 4) and scores (N,), got {boxes.shape} and {scores.shape}")
    return boxes, scores


def _wide_enough(boxes):
    """Boxes whose areas neither overflow nor wrap around: float16 becomes float32, small integers int32."""
    if boxes.dtype.kind == "f":
        return boxes.float() if boxes.dtype == np.float16 else boxes
    return boxes if boxes.dtype in (np.int32, np.int64) else Tensor.of(boxes.array.astype(np.int32))
