import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

import tinyvision
from tinyvision.errors import DataError, OptionError, ShapeError
from tinyvision.train import Evaluation
from tinyvision.train.metrics import (
    Mean,
    accuracy,
    confusion_matrix,
    label_ranks,
    per_class_accuracy,
    topk_accuracy,
    wilson_interval,
)
from tinyvision.train.report import by_class

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((200, 7))
LABELS = RNG.integers(0, 7, 200)


def test_accuracy_is_scikit_learn_s():
    metrics = pytest.importorskip("sklearn.metrics")
    for k in range(1, 7):
        expected = metrics.top_k_accuracy_score(LABELS, SCORES, k=k, labels=np.arange(7))
        assert topk_accuracy(SCORES, LABELS, k) == pytest.approx(expected, abs=1e-12)
    assert topk_accuracy(SCORES, LABELS, 7) == 1.0
    assert accuracy(SCORES, LABELS) == (SCORES.argmax(1) == LABELS).mean()


def test_ties_and_nan():
    equal = np.zeros((4, 4))
    assert [topk_accuracy(equal, np.arange(4), k) for k in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]
    assert accuracy(np.array([[np.nan, 1.0], [0.0, 1.0]]), [1, 1]) == 0.5
    assert accuracy(np.array([[-np.inf, 1.0]]), [1]) == 1.0


def test_confusion_is_scikit_learn_s():
    metrics = pytest.importorskip("sklearn.metrics")
    predictions = SCORES.argmax(1)
    expected = metrics.confusion_matrix(LABELS, predictions, labels=np.arange(7))
    np.testing.assert_array_equal(confusion_matrix(SCORES, LABELS), expected)
    np.testing.assert_array_equal(confusion_matrix(predictions, LABELS, 7), expected)
    assert confusion_matrix([], [], 3).tolist() == [[0] * 3] * 3
    assert confusion_matrix([0, 1], [0, 0]).tolist() == [[1, 1], [0, 0]]
    np.testing.assert_allclose(
        per_class_accuracy(expected), metrics.recall_score(LABELS, predictions, average=None), rtol=1e-15
    )
    np.testing.assert_array_equal(per_class_accuracy([[3, 1], [0, 0]]), [0.75, np.nan])


def test_tensors_are_taken():
    scores, labels = (
        tinyvision.tensor([[0.1, 0.9], [0.8, 0.2]], requires_grad=True),
        tinyvision.tensor([1, 1]),
    )
    assert accuracy(scores, labels) == 0.5
    assert confusion_matrix(scores, labels).tolist() == [[0, 0], [1, 1]]
    mean = Mean()
    mean.add(scores[0, 1])
    assert mean.value == pytest.approx(0.9, rel=1e-6)  # float32


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: accuracy(SCORES, LABELS[:-1]), ShapeError, r"\(200, 7\) and \(199,\)"),
        (lambda: accuracy(SCORES[0], LABELS[:1]), ShapeError, "expected scores"),
        (lambda: accuracy(SCORES[:0], LABELS[:0]), ShapeError, "at least one row"),
        (lambda: accuracy(SCORES, LABELS - 1), DataError, "label -1 at index"),
        (lambda: accuracy(SCORES, LABELS + 1), DataError, "label 7 at index .* from 0 to 6"),
        (lambda: accuracy(SCORES, LABELS * 1.0), DataError, "integer, got float64"),
        (lambda: topk_accuracy(SCORES, LABELS, 0), OptionError, "from 1 to 7"),
        (lambda: topk_accuracy(SCORES, LABELS, 8), OptionError, "from 1 to 7"),
        (lambda: confusion_matrix([0, 3], [0, 1], 3), DataError, "prediction 3 at index 1"),
        (lambda: confusion_matrix([0, -1], [0, 1]), DataError, "prediction -1"),
        (lambda: confusion_matrix([0], [0, 1]), ShapeError, "do not fit"),
        (lambda: per_class_accuracy(np.zeros((2, 3))), ShapeError, "square|confusion matrix"),
        (lambda: Mean().add([1.0, 2.0]), ShapeError, "one number"),
        (lambda: Mean().add(1.0, -1), OptionError, "negative"),
    ],
)
def test_mistakes_are_explained(call, error, reason):
    with pytest.raises(error, match=reason):
        call()


def test_mean_is_weighted_and_exact():
    mean = Mean()
    assert math.isnan(mean.value)
    mean.add(1.0, 64)
    mean.add(3.0, 32)
    assert mean.value == pytest.approx(5 / 3, abs=1e-15)
    assert mean.count == 96
    mean.reset()
    values = RNG.standard_normal(20_000) * 10.0 ** RNG.integers(-8, 8, 20_000)
    for value in values:
        mean.add(value)
    # Compensated summation is exact to the last bit or so; plain summation is off by thousands of them.
    assert mean.value == pytest.approx(math.fsum(values) / 20_000, rel=1e-15)
    mean.add(float("inf"))
    assert float(mean) == math.inf
    mean.add(float("nan"))
    assert math.isnan(mean.value)


def test_of_thousands_of_classes_a_report_shows_the_worst():
    """The 800 MB that a matrix of all by all takes for 10,000 classes would be the smaller trouble."""
    classes, labels = 3000, np.arange(3000)
    scores = np.zeros((len(labels), classes), np.float32)
    scores[labels, np.where(labels < 7, 9, labels)] = 1
    evaluation = Evaluation(scores, labels)
    tracemalloc.start()
    assert evaluation.balanced_accuracy == (classes - 7) / classes
    assert tracemalloc.get_traced_memory()[1] < classes * classes
    tracemalloc.stop()
    text = by_class(evaluation, [f"class {k}" for k in range(classes)])
    assert "The worst 30 of 3000 classes" in text
    assert "class 6</td><td>0 of 1 pictures" in text
    assert "Confusion matrix" not in text
    assert "Confusion matrix" in by_class(Evaluation(scores[:20, :20], labels[:20]), [str(k) for k in range(20)])


def test_balanced_accuracy_is_not_carried_by_the_commonest_class():
    labels = np.array([0] * 56 + [1] * 2)
    always_first = Evaluation(np.tile([1.0, 0.0, -1.0], (58, 1)).astype("f4"), labels)
    assert always_first.accuracy == 56 / 58
    assert always_first.balanced_accuracy == 0.5  # the third class does not occur
    assert always_first.is_uneven
    half = Evaluation(always_first.scores.copy(), labels)
    half.scores[-1] = 0, 1, 0
    half.scores[:14] = 0, 1, 0
    assert half.balanced_accuracy == (42 / 56 + 1 / 2) / 2
    assert not Evaluation(np.zeros((5, 2), "f4"), np.array([0, 1, 0, 1, 0])).is_uneven
    assert Evaluation(np.zeros((5, 2), "f4"), np.array([0, 1, 0, 0, 0])).is_uneven


@pytest.mark.parametrize(
    ("right", "count"), [(0, 1), (1, 1), (3, 10), (0, 50), (50, 50), (712, 1000), (49_999, 50_000)]
)
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_wilson_s_interval_is_scipy_s(right, count, confidence):
    theirs = stats.binomtest(right, count).proportion_ci(confidence, method="wilson")
    assert wilson_interval(right, count, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_s_interval_at_the_ends():
    assert wilson_interval(0, 0) == (0, 1)
    assert wilson_interval(0, 7)[0] == 0
    assert wilson_interval(7, 7)[1] == 1
    for right, count, confidence in ((-1, 3, 0.9), (4, 3, 0.9), (1.5, 3, 0.9), (1, 3, 1.0), (1, 3, 0)):
        with pytest.raises(OptionError):
            wilson_interval(right, count, confidence)


def test_ranks_count_the_classes_before_the_label_s():
    scores = np.array([[3.0, 1, 2], [1, 1, 1], [0, 5, 5], [np.nan, 1, 2]])
    assert label_ranks(scores, [0, 1, 2, 2]).tolist() == [0, 1, 1, 3]
    assert Evaluation(scores, np.array([2, 0, 1, 1])).label_ranks.tolist() == [1, 0, 0, 3]
