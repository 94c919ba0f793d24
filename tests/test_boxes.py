"""Boxes beside torchvision: areas, overlaps with their gradients, suppression beside one box after the other."""

import numpy as np
import pytest
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import boxes as B
from tinyvision.errors import OptionError, ShapeError

T = torchvision.ops


def some(count, seed, integer=False):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 20, (count, 2)), rng.uniform(1, 15, (count, 2))
    boxes = np.concatenate([corner, corner + size], 1)
    return boxes.astype(np.int64) if integer else boxes


PAIRWISE = ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"]


@pytest.mark.parametrize("name", PAIRWISE)
def test_overlaps_and_their_gradients(name):
    a, b = some(5, 0), some(3, 1)
    b[0] = a[2] + 0.25  # one that overlaps for certain
    ours = [tv.tensor(v, requires_grad=True) for v in (a, b)]
    theirs = [torch.from_numpy(v.copy()).requires_grad_() for v in (a, b)]
    y, expected = getattr(B, name)(*ours), getattr(T, name)(*theirs)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    dy = np.random.default_rng(2).normal(size=y.shape)
    y.backward(tv.tensor(dy))
    expected.backward(torch.from_numpy(dy))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["box_iou", "box_area", "generalized_box_iou"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "int64"])
def test_dtypes(name, dtype):
    a = some(4, 3, integer=True)
    arguments = [(a * 20).astype(dtype)] if name == "box_area" else [a.astype(dtype), a[::-1].astype(dtype)]
    expected = getattr(T, name)(*(torch.from_numpy(v.copy()) for v in arguments))
    y = getattr(B, name)(*map(tv.tensor, arguments))
    assert str(y.dtype) == str(expected.dtype)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("fmt", ["xyxy", "xywh", "cxcywh"])
def test_formats(fmt):
    a = some(6, 4).reshape(2, 3, 4)
    for other in ("xyxy", "xywh", "cxcywh"):
        expected = T.box_convert(torch.from_numpy(a), fmt, other).numpy()
        np.testing.assert_allclose(B.box_convert(tv.tensor(a), fmt, other).numpy(), expected, rtol=1e-13)
    flat = torch.from_numpy(a[0])
    np.testing.assert_allclose(B.box_area(tv.tensor(a[0]), fmt).numpy(), T.box_area(flat, fmt).numpy(), rtol=1e-13)
    expected = T.box_iou(flat, flat.flip(0), fmt).numpy()
    np.testing.assert_allclose(
        B.box_iou(tv.tensor(a[0]), tv.tensor(a[0][::-1].copy()), fmt).numpy(), expected, rtol=1e-12
    )


def test_what_is_cut_off_and_what_is_too_small():
    a = some(8, 5) - 3
    expected = T.clip_boxes_to_image(torch.from_numpy(a), (12, 17)).numpy()
    np.testing.assert_array_equal(B.clip_boxes_to_image(tv.tensor(a), (12, 17)).numpy(), expected)
    expected = T.remove_small_boxes(torch.from_numpy(a), 6.0).numpy()
    assert 0 < len(expected) < 8
    np.testing.assert_array_equal(B.remove_small_boxes(tv.tensor(a), 6.0).numpy(), expected)
    masks = np.zeros((2, 7, 9), bool)
    masks[0, 2:5, 3:8] = masks[1, 6, 0] = True
    np.testing.assert_array_equal(
        B.masks_to_boxes(tv.tensor(masks)).numpy(), T.masks_to_boxes(torch.from_numpy(masks)).numpy()
    )


def suppressed(boxes, scores, threshold):
    """By the definition: a box stays unless a better one that stays covers it."""
    iou, kept = T.box_iou(*[torch.from_numpy(boxes)] * 2).numpy(), []
    for i in np.argsort(-scores, kind="stable"):
        if all(iou[i, j] <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_suppression(threshold):
    boxes, scores = some(60, 6), np.random.default_rng(7).uniform(size=60).round(1)  # rounded: many equal ones
    kept = B.nms(tv.tensor(boxes), tv.tensor(scores), threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == suppressed(boxes, scores, threshold)
    groups = np.random.default_rng(8).integers(0, 3, 60)
    expected = {
        i
        for g in range(3)
        for i in np.nonzero(groups == g)[0][suppressed(boxes[groups == g], scores[groups == g], threshold)]
    }
    kept = B.batched_nms(tv.tensor(boxes), tv.tensor(scores), tv.tensor(groups), threshold).tolist()
    assert set(kept) == expected
    assert scores[kept].tolist() == sorted(scores[kept], reverse=True)


def test_nothing_to_suppress():
    empty = tv.zeros(0, 4), tv.zeros(0)
    assert B.nms(*empty, 0.5).shape == (0,)
    assert B.batched_nms(*empty, tv.tensor(np.zeros(0, int)), 0.5).tolist() == []
    assert B.nms(tv.tensor(np.ones((3, 4))), tv.tensor(np.ones(3)), 0.5).tolist() == [0, 1, 2]  # without area


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses(reduction):
    a, b = some(5, 9), some(5, 10)
    b[0] = a[0] + 0.5
    x, t = np.random.default_rng(11).normal(size=(4, 3)), np.random.default_rng(12).integers(0, 2, (4, 3)).astype(float)
    for ours, theirs, arguments in (
        (B.generalized_box_iou_loss, T.generalized_box_iou_loss, (a, b)),
        (B.sigmoid_focal_loss, T.sigmoid_focal_loss, (x, t)),
    ):
        first = tv.tensor(arguments[0], requires_grad=True)
        other = torch.from_numpy(arguments[0].copy()).requires_grad_()
        y = ours(first, tv.tensor(arguments[1]), reduction=reduction)
        expected = theirs(other, torch.from_numpy(arguments[1]), reduction=reduction)
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
        dy = np.random.default_rng(13).normal(size=y.shape)
        y.backward(tv.tensor(dy)), expected.backward(torch.tensor(dy))
        np.testing.assert_allclose(first.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-13)


def test_mistakes():
    four = tv.tensor(some(3, 14))
    for call in (
        lambda: B.box_convert(four, "xyxy", "xywhr"),
        lambda: B.box_area(four, "corner"),
        lambda: B.clip_boxes_to_image(four, 5),
        lambda: B.sigmoid_focal_loss(four, four, alpha=2),
        lambda: B.sigmoid_focal_loss(four, four, reduction="some"),
        lambda: B.generalized_box_iou_loss(four, four, eps=1e-3),
    ):
        with pytest.raises(OptionError):
            call()
    for call in (
        lambda: B.box_iou(tv.zeros(2, 5), four),
        lambda: B.nms(four, tv.zeros(2), 0.5),
        lambda: B.batched_nms(four, tv.zeros(3), tv.zeros(2), 0.5),
        lambda: B.masks_to_boxes(four),
    ):
        with pytest.raises(ShapeError):
            call()
