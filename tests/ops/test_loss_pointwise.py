"""The losses that compare numbers one by one against PyTorch, and the agreement of boxes against torchvision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torchvision_oracle import torch, torchvision

from tinyvision import errors, ops

from .oracle import compare

F = torch.nn.functional
tvops = torchvision.ops
shapes = array_shapes(min_dims=0, max_dims=3, max_side=4)


def two(data, low, high, target_low, target_high):
    shape = data.draw(shapes)
    x, target = (
        arrays(np.float64, shape, elements=st.floats(a, b)) for a, b in ((low, high), (target_low, target_high))
    )
    return [data.draw(x), data.draw(target)]


DISTANCES = {
    "l1": ({}, lambda x, t: F.l1_loss(x, t, reduction="none")),
    "smooth_l1": ({"beta": 0.5}, lambda x, t: F.smooth_l1_loss(x, t, reduction="none", beta=0.5)),
    "huber": ({"delta": 0.5}, lambda x, t: F.huber_loss(x, t, reduction="none", delta=0.5)),
}


@pytest.mark.parametrize("name", DISTANCES)
@given(data=st.data())
def test_distances_like_torch(name, data):
    options, reference = DISTANCES[name]
    compare(name, reference, two(data, -3, 3, -3, 3), options)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_at_their_kinks_like_torch(name):
    options, reference = DISTANCES[name]
    x = np.array([0.0, 0.5, -0.5, 0.25, 7.0])
    compare(name, reference, [x, np.zeros(5)], options)


def test_smooth_l1_without_a_smooth_part_is_l1(rng):
    x, t = rng.standard_normal((2, 5))
    compare("smooth_l1", lambda x, t: F.smooth_l1_loss(x, t, reduction="none", beta=0.0), [x, t], {"beta": 0.0})


@given(st.data())
def test_bce_like_torch(data):
    x, t = two(data, 0.001, 0.999, 0, 1)
    compare("bce", lambda x, t: F.binary_cross_entropy(x, t, reduction="none"), [x, t])


def test_bce_at_the_ends_like_torch():
    x, t = np.array([0.0, 1.0, 0.0, 1.0, 0.5]), np.array([0.0, 1.0, 1.0, 0.0, 0.3])
    tensor = torch.from_numpy(x).requires_grad_()
    expected = F.binary_cross_entropy(tensor, torch.from_numpy(t), reduction="none")
    expected.sum().backward()
    y, cache = ops.bce_forward(x, t)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12)
    # PyTorch rounds the least denominator, 1e-12, to float32.
    np.testing.assert_allclose(ops.bce_backward(np.ones(5), cache)[0], tensor.grad.numpy(), rtol=1e-7)


@given(st.data())
def test_bce_with_logits_like_torch(data):
    x, t = two(data, -40, 40, 0, 1)
    arguments = [x, t]
    if x.ndim and data.draw(st.booleans()):
        arguments.append(np.linspace(0.5, 2, x.shape[-1]))
    compare(
        "bce_with_logits",
        lambda x, t, w=None: F.binary_cross_entropy_with_logits(x, t, reduction="none", pos_weight=w),
        arguments,
        smooth=[0, 1],
    )


@given(st.data(), st.booleans())
def test_kl_div_like_torch(data, log_target):
    x, t = two(data, -5, 0, *((-5, 0) if log_target else (0.01, 1)))
    reference = lambda x, t: F.kl_div(x, t, reduction="none", log_target=log_target)  # noqa: E731
    compare("kl_div", reference, [x, t], {"log_target": log_target})


def test_kl_div_of_what_cannot_be_like_torch():
    x, t = np.log([0.5, 0.25, 0.25]), np.array([0.0, 0.4, 0.6])
    compare("kl_div", lambda x, t: F.kl_div(x, t, reduction="none"), [x, t], smooth=[0])


@given(st.data(), st.sampled_from([(2.0, 0.25), (2.0, -1.0), (1.0, 0.5), (0.0, -1.0), (1.5, 0.9)]))
def test_focal_like_torchvision(data, parameters):
    gamma, alpha = parameters
    x, t = two(data, -12, 12, 0, 1)
    t = t if data.draw(st.booleans()) else np.round(t)
    reference = lambda x, t: tvops.sigmoid_focal_loss(x, t, alpha=alpha, gamma=gamma)  # noqa: E731
    compare("focal", reference, [x, t], {"gamma": gamma, "alpha": alpha}, smooth=[0])


def test_focal_has_a_slope_where_nothing_is_wrong():
    x, t = np.array([800.0, -800.0, 800.0]), np.array([1.0, 0.0, 0.0])
    for gamma in (0.5, 1, 2):
        y, cache = ops.focal_forward(x, t, gamma=gamma)
        dx, _ = ops.focal_backward(np.ones(3), cache)
        np.testing.assert_array_equal(y[:2], 0)
        np.testing.assert_allclose(dx, [0, 0, 1])


@given(st.data(), st.booleans())
def test_boxes_like_torchvision(data, generalized):
    rng, n = np.random.default_rng(data.draw(st.integers(0, 999))), data.draw(st.integers(1, 5))
    a, b = rng.random((2, n, 4)) * 5
    a[:, 2:] += a[:, :2]
    b[:, 2:] += b[:, :2]
    if data.draw(st.booleans()):
        b[0, :2] = a[0, :2]  # edges that coincide share the slope
    if generalized:
        reference = lambda a, b: 1 - tvops.generalized_box_iou_loss(a, b)  # noqa: E731
    else:
        reference = lambda a, b: tvops.box_iou(a, b).diagonal()  # noqa: E731
    y, cache = ops.box_agreement_forward(a, b, generalized)
    ours = ops.box_agreement_backward(np.arange(1.0, n + 1), cache)
    tensors = [torch.from_numpy(v).requires_grad_() for v in (a, b)]
    expected = reference(*tensors)
    expected.backward(torch.arange(1.0, n + 1, dtype=torch.float64))
    # torchvision's IoU adds nothing to the union, where ours adds 1e-7: boxes of area 1 or so feel it in the 7th digit.
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if generalized else {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(y, expected.detach().numpy(), **tolerance)
    for mine, tensor in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(mine, tensor.grad.numpy(), **tolerance)


def test_two_empty_boxes_give_numbers():
    zeros = np.zeros((2, 4))
    y, cache = ops.box_agreement_forward(zeros, zeros)
    np.testing.assert_array_equal(y, 0)
    assert np.isfinite(ops.box_agreement_backward(np.ones(2), cache)).all()


REFUSED = [
    (lambda: ops.l1_forward(np.ones((3, 1)), np.ones(3)), errors.ShapeError, "l1: x and target differ in shape"),
    (lambda: ops.smooth_l1_forward(np.ones(3), np.ones(3), -1), errors.OptionError, "beta"),
    (lambda: ops.huber_forward(np.ones(3), np.ones(3), 0), errors.OptionError, "delta"),
    (lambda: ops.bce_forward(np.array([1.5]), np.ones(1)), errors.OptionError, "apply a sigmoid first"),
    (
        lambda: ops.bce_with_logits_forward(np.ones((2, 3)), np.ones((2, 3)), np.ones(2)),
        errors.ShapeError,
        "pos_weight does not broadcast",
    ),
    (lambda: ops.focal_forward(np.ones(3), np.ones(3), gamma=-1), errors.OptionError, "gamma"),
    (lambda: ops.focal_forward(np.ones(3), np.ones(3), alpha=2), errors.OptionError, "alpha"),
    (lambda: ops.box_agreement_forward(np.ones((3, 4)), np.ones((2, 4))), errors.ShapeError, "one b for each a"),
    (lambda: ops.box_agreement_forward(np.ones((3, 5)), np.ones((3, 5))), errors.ShapeError, r"boxes are \(..., 4\)"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_the_gradient_of_a_score_far_on_its_right_side_is_small_and_not_0(target, pos_weight):
    """float32 beside float64: with target - σ(x), in which like numbers cancel, it was 0 from 17 on."""
    x = np.array([-50, -20.7, -5, 0, 5, 20.7, 50])

    def gradient(dtype):
        weight = None if pos_weight is None else np.array(pos_weight, dtype)
        _, cache = ops.bce_with_logits_forward(x.astype(dtype), np.full(7, target, dtype), weight)
        return ops.bce_with_logits_backward(np.ones(7, dtype), cache, (True, False, False))[0]

    there = 1 if pos_weight is None else pos_weight
    share = 1 / (1 + np.exp(-x))
    wanted = (1 - target) * share - there * target * np.exp(-x) * share
    np.testing.assert_allclose(gradient(np.float64), wanted, rtol=1e-12)
    np.testing.assert_allclose(gradient(np.float32), wanted, rtol=3e-6)
