"""Calibration and verification, against scikit-learn's and SciPy's numbers."""

import numpy as np
import pytest
from scipy import optimize, special, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from tinyvision.errors import DataError, OptionError, ShapeError
from tinyvision.train.calibration import confidences, fit_temperature, reliability
from tinyvision.train.verification import roc_auc, roc_curve, tar_at_far

RNG = np.random.default_rng(5)


def answers(count=400, classes=7, strength=4.0):
    """Scores that are too sure of themselves by the factor `strength`, and labels drawn from what they should say."""
    z = RNG.standard_normal((count, classes)) * 1.5
    labels = (special.softmax(z, 1).cumsum(1) > RNG.random((count, 1))).argmax(1)
    return z * strength, labels


def test_reliability_is_scikit_learn_s():
    confidence, right = RNG.random(500), RNG.random(500) < 0.6
    found = reliability(confidence, right, bins=10)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    np.testing.assert_allclose(found.accuracy[found.count > 0], share, atol=1e-12)
    np.testing.assert_allclose(found.confidence[found.count > 0], mean, atol=1e-12)
    assert found.count.sum() == 500
    want = sum(n / 500 * abs(a - c) for n, a, c in zip(found.count, share, mean, strict=True))
    assert reliability(confidence, right, 10).error == pytest.approx(want, abs=1e-12)


def test_reliability_by_hand():
    found = reliability([0.0, 0.5, 0.51, 1.0, 1.0], [0, 1, 0, 1, 0], bins=2)
    assert found.count.tolist() == [2, 3]
    assert found.accuracy.tolist() == [0.5, pytest.approx(1 / 3)]
    assert found.error == pytest.approx(2 / 5 * 0.25 + 3 / 5 * abs(2.51 / 3 - 1 / 3))
    assert np.isnan(reliability([0.9], [1], bins=3).accuracy[:2]).all()


@pytest.mark.parametrize("strength", [0.05, 0.4, 1.0, 3.0, 20.0])
def test_the_temperature_is_scipy_s(strength):
    scores, labels = answers(strength=strength)

    def loss(log_t):
        return -special.log_softmax(scores / np.exp(log_t), 1)[np.arange(len(labels)), labels].mean()

    want = np.exp(optimize.minimize_scalar(loss, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-9}).x)
    assert fit_temperature(scores, labels) == pytest.approx(want, rel=1e-4)
    assert fit_temperature(scores, labels) == pytest.approx(strength, rel=0.25)


def test_scaling_repairs_confidence_and_changes_no_answer():
    scores, labels = answers(4000)
    right = scores.argmax(1) == labels
    before = reliability(confidences(scores), right).error
    after = reliability(confidences(scores, fit_temperature(scores, labels)), right).error
    assert before > 0.2
    assert after < 0.05
    np.testing.assert_allclose(confidences(scores), special.softmax(scores, 1).max(1), atol=1e-12)


def test_the_temperature_s_ends():
    assert fit_temperature([[5.0, 0], [0, 5]], [0, 1]) < 0.2  # always right: the surer, the better
    assert fit_temperature([[5.0, 0], [0, 5]], [1, 0]) > 5
    assert fit_temperature(np.zeros((3, 2)), [0, 1, 1]) == pytest.approx(1)  # nothing depends on it
    big = np.array([[1e30, 0], [0, 1e30]], np.float32)
    assert 0.01 <= fit_temperature(big, [0, 1]) <= 100


@pytest.mark.parametrize("ties", [False, True])
def test_roc_is_scikit_learn_s(ties):
    positive = RNG.random(300) < 0.3
    scores = RNG.standard_normal(300) + positive
    scores = np.round(scores, 1) if ties else scores
    false, true, thresholds = roc_curve(scores, positive)
    for ours, theirs in zip((false, true, thresholds), metrics.roc_curve(positive, scores, drop_intermediate=False),
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert roc_auc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert roc_auc(scores, positive) == pytest.approx(u / (positive.sum() * (~positive).sum()), abs=1e-12)


@pytest.mark.parametrize("far", [0, 0.001, 0.01, 0.1, 0.5, 1])
def test_tar_at_far(far):
    positive = RNG.random(500) < 0.5
    scores = np.round(RNG.standard_normal(500) + positive, 1)
    tar, threshold = tar_at_far(scores, positive, far)
    assert (scores[~positive] >= threshold).mean() <= far
    assert (scores[positive] >= threshold).mean() == tar
    better = [(scores[positive] >= t).mean() for t in scores if (scores[~positive] >= t).mean() <= far]
    assert tar == max(better, default=0)


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: reliability([0.5, 1.5], [1, 0]), OptionError, "from 0 to 1"),
        (lambda: reliability([0.5, np.nan], [1, 0]), OptionError, "from 0 to 1"),
        (lambda: reliability([0.5], [1, 0]), ShapeError, "one length"),
        (lambda: reliability([], []), ShapeError, "from 1"),
        (lambda: reliability([0.5], [1], bins=0), OptionError, "bins"),
        (lambda: fit_temperature([[1.0, 2]], [2]), DataError, "label 2"),
        (lambda: roc_curve([1, 2], [1, 1]), OptionError, "some of both"),
        (lambda: roc_curve([1, 2], [1]), ShapeError, "do not fit"),
        (lambda: roc_auc([1, np.nan], [1, 0]), OptionError, "not a number"),
        (lambda: tar_at_far([1, 2], [1, 0], 1.5), OptionError, "share"),
    ],
)
def test_mistakes_are_explained(call, error, told):
    with pytest.raises(error, match=told):
        call()
