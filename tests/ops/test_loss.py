"""Softmax and the losses against PyTorch over generated shapes and options, and every door of cross-entropy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision import errors, ops
from tinyvision.ops import cross_entropy_backward, cross_entropy_forward

from .oracle import LAYOUTS, compare, torch

functional = torch.nn.functional


@st.composite
def classifications(draw):
    """(logits, labels or probabilities, options), at least one label counting."""
    N, K = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    extra = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    options = {
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
    }
    if draw(st.booleans()):
        options["weight"] = rng.random(K) + 0.1
    logits = rng.standard_normal((N, K, *extra)) * draw(st.sampled_from([1, 30]))
    if draw(st.booleans()):
        labels = rng.random((N, K, *extra))
        return logits, labels / labels.sum(1, keepdims=True), options
    options["ignore_index"] = draw(st.sampled_from([-100, 0, 255]))
    labels = rng.integers(0, K, (N, *extra))
    labels[rng.random(labels.shape) < 0.3] = options["ignore_index"]
    if (labels == options["ignore_index"]).all():
        options["reduction"] = "sum"
    return logits, labels.astype(draw(st.sampled_from([np.int64, np.int32]))), options


@given(classifications(), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=100)
def test_cross_entropy_like_torch(classification, layout):
    logits, labels, options = classification
    theirs = {**options, "weight": torch.from_numpy(options["weight"]) if "weight" in options else None}

    def reference(x, t):
        return functional.cross_entropy(x, t.long() if labels.dtype.kind == "i" else t, **theirs)

    if labels.dtype.kind == "f":
        compare("cross_entropy", reference, [logits, labels], options, smooth=[0, 1], layout=LAYOUTS[layout])
    else:
        compare("cross_entropy", reference, [logits, labels], options, smooth=[0])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_softmax_like_torch(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(0).standard_normal(shape) * 20
    compare("softmax", lambda t: torch.softmax(t, axis), [x], {"axis": axis})
    compare("log_softmax", lambda t: torch.log_softmax(t, axis), [x], {"axis": axis})


@given(st.lists(st.integers(1, 4), max_size=3), st.sampled_from(["mean", "sum", "none"]))
def test_mse_like_torch(shape, reduction):
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(shape), rng.standard_normal(shape)]
    compare("mse", lambda a, b: functional.mse_loss(a, b, reduction=reduction), arguments, {"reduction": reduction})


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e5, 0.0, -1e5]], np.float32)
    loss, cache = cross_entropy_forward(logits, np.array([2]))
    assert loss == 2e5
    np.testing.assert_array_equal(cross_entropy_backward(np.float32(1), cache)[0], [[1, 0, -1]])


def test_every_row_of_the_gradient_sums_to_zero(rng):
    logits, labels = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    _, cache = cross_entropy_forward(logits, labels, label_smoothing=0.1)
    dlogits, none = cross_entropy_backward(np.array(-1.7), cache)
    assert none is None
    np.testing.assert_allclose(dlogits.sum(1), 0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint64])
def test_labels_of_any_integer_kind(dtype, rng):
    logits, labels = rng.standard_normal((4, 3)), np.array([0, 2, 1, 2])
    assert cross_entropy_forward(logits, labels.astype(dtype))[0] == cross_entropy_forward(logits, labels)[0]


LOGITS, LABELS = np.zeros((4, 3)), np.array([0, 1, 2, 1])
DOOR = [
    ({"labels": np.array([0, 1, 3, 1])}, errors.OptionError, r"labels\[2\] is 3, but the classes are 0 to 2"),
    ({"labels": np.array([0, -1, 2, 1])}, errors.OptionError, r"labels\[1\] is -1, but the classes are 0 to 2"),
    (
        {"labels": np.array([-100, -100, -100, -100])},
        errors.OptionError,
        r"every label is ignore_index \(-100\), so there is no mean",
    ),
    (
        {"logits": np.zeros((0, 3)), "labels": np.zeros(0, int)},
        errors.OptionError,
        "the batch is empty, so there is no mean",
    ),
    (
        {"logits": np.zeros((0, 3)), "labels": np.zeros((0, 3))},
        errors.OptionError,
        "the batch is empty, so there is no mean",
    ),
    (
        {"weight": np.array([1.0, 0, 1]), "labels": np.ones(4, int)},
        errors.OptionError,
        "every label that counts has weight 0",
    ),
    ({"labels": LABELS[:3]}, errors.ShapeError, "one label is needed for each row of logits"),
    ({"labels": LABELS[:, None]}, errors.ShapeError, "one label is needed for each row of logits"),
    (
        {"labels": LABELS.astype(float)},
        errors.ShapeError,
        "labels are floats, so they must be probabilities shaped like logits",
    ),
    (
        {"labels": LABELS.astype(bool)},
        errors.DtypeError,
        r"labels must be integers \(class numbers\) or floats .*, got bool",
    ),
    ({"labels": [0, 1, 2, 1]}, errors.DtypeError, "labels must be an array, got list"),
    ({"logits": np.zeros(3)}, errors.ShapeError, r"logits must be \(N, K\)"),
    ({"logits": np.zeros((4, 0))}, errors.ShapeError, "with K > 0"),
    ({"logits": np.zeros((4, 3), int)}, errors.DtypeError, "logits holds int64 numbers"),
    ({"weight": np.ones(2)}, errors.ShapeError, "weight needs 3 numbers"),
    ({"weight": np.ones(3, np.float32)}, errors.DtypeError, "logits is float64 but weight is float32"),
    *[
        ({"label_smoothing": v}, errors.OptionError, "label_smoothing must be a number")
        for v in (-0.1, 1.1, float("nan"), True, "1")
    ],
    *[({"ignore_index": v}, errors.OptionError, "ignore_index must be an integer") for v in (1.5, None, True)],
    *[({"reduction": v}, errors.OptionError, "reduction must be") for v in ("average", None, "")],
]


@pytest.mark.parametrize(
    ("changes", "error", "message"), DOOR, ids=lambda v: str(v)[:50] if isinstance(v, dict) else ""
)
def test_the_door_of_cross_entropy(changes, error, message):
    call = {"logits": LOGITS, "labels": LABELS, **changes}
    with pytest.raises(error, match=f"^cross_entropy: .*{message}"):
        cross_entropy_forward(**call)


def test_a_wrong_label_in_a_picture_is_named_by_its_place():
    labels = np.zeros((2, 3, 4), int)
    labels[1, 0, 2] = 9
    with pytest.raises(errors.OptionError, match=r"labels\[\(1, 0, 2\)\] is 9"):
        cross_entropy_forward(np.zeros((2, 5, 3, 4)), labels)


def test_the_mean_of_more_numbers_than_float16_counts_to():
    x = np.ones(70_000, np.float16)
    assert ops.mse_forward(x, np.zeros_like(x))[0] == 1  # it was nan: 70,000 is infinite in float16


def test_an_empty_batch_adds_up_to_nothing():
    for labels in (np.zeros(0, int), np.zeros((0, 3))):
        loss, cache = cross_entropy_forward(np.zeros((0, 3)), labels, reduction="sum")
        assert loss == 0
        assert cross_entropy_backward(np.array(1.0), cache)[0].shape == (0, 3)
    assert ops.mse_forward(np.zeros((0, 3)), np.zeros((0, 3)), reduction="sum")[0] == 0


def test_the_other_doors():
    with pytest.raises(errors.ShapeError, match="mse: x and target differ in shape"):
        ops.mse_forward(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(errors.ShapeError, match="mse: there is nothing to average"):
        ops.mse_forward(np.zeros((0, 1)), np.zeros((0, 1)))
    with pytest.raises(errors.OptionError, match="mse: reduction must be"):
        ops.mse_forward(np.zeros(3), np.zeros(3), reduction="max")
    for name in ("softmax", "log_softmax"):
        with pytest.raises(errors.ShapeError, match=rf"{name}: axis 2 does not exist in \(3, 4\)"):
            getattr(ops, name + "_forward")(np.zeros((3, 4)), axis=2)
        with pytest.raises(errors.ShapeError, match=rf"{name}: axis 1 of \(3, 0\) is empty"):
            getattr(ops, name + "_forward")(np.zeros((3, 0)))
        for axis in (None, 1.0, True, (0, 1)):
            with pytest.raises(errors.OptionError, match=f"{name}: axis must be an integer"):
                getattr(ops, name + "_forward")(np.zeros((3, 4)), axis=axis)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_class_that_is_impossible_says_nothing_unless_it_is_the_target(reduction):
    """Scores of -inf mask a class out, and 0 · -inf would be NaN."""
    logits = np.array([[0.5, -np.inf, 1.5], [-np.inf, 2.0, -1.0]])
    labels, options = np.array([2, 1]), {"reduction": reduction}

    def cross_entropy(x, t):
        return functional.cross_entropy(x, t, **options)

    def nll(x, t):
        return functional.nll_loss(x, t, **options)

    assert np.isfinite(compare("cross_entropy", cross_entropy, [logits, labels], options, smooth=[0])).all()
    log_p, _ = ops.log_softmax_forward(logits, axis=1)
    assert np.isfinite(compare("nll_loss", nll, [log_p, labels], options, smooth=[0])).all()
    assert compare("nll_loss", nll, [log_p, np.array([1, 0])], options, smooth=[0]).max() == np.inf


def test_an_ignored_label_loses_nothing_and_not_minus_nothing():
    loss, _ = cross_entropy_forward(np.array([[1.0, 2.0]]), np.array([-100]), reduction="none")
    assert str(loss) == "[0.]"


def test_nll_loss_wants_class_numbers():
    with pytest.raises(errors.DtypeError, match=r"^nll_loss: labels must be class numbers"):
        ops.nll_loss_forward(np.zeros((2, 3)), np.zeros((2, 3)))
