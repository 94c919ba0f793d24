from importlib.resources import files

import numpy as np
import pytest

from tinyvision.data import Digits


def test_the_digits_are_scikit_learn_s():
    sklearn = pytest.importorskip("sklearn.datasets")
    theirs = sklearn.load_digits()
    train, test = Digits(), Digits(train=False)
    assert len(train) == 1438
    assert len(test) == 359
    assert train[0][0].shape == (8, 8, 1)
    ours = np.concatenate([train.images, test.images])[..., 0]
    # Every one of the 1,797 appears once, with its label, in one of the parts.
    key = [row.tobytes() for row in np.rint(ours / 255 * 16).astype(np.uint8)]
    expected = [row.tobytes() for row in theirs.images.astype(np.uint8)]
    labels = np.concatenate([train.labels, test.labels])
    assert sorted(zip(key, labels, strict=True)) == sorted(zip(expected, theirs.target, strict=True))


def test_the_split_is_fixed_and_even():
    np.testing.assert_array_equal(Digits().labels, Digits().labels)
    assert Digits(train=False).labels[:8].tolist() == Digits(train=False).labels[:8].tolist()
    counts = np.bincount(Digits(train=False).labels)
    assert counts.min() >= 34
    assert counts.max() <= 37
    assert Digits().classes == list("0123456789")


def test_attribution_is_shipped():
    text = (files("tinyvision.data") / "files" / "digits.txt").read_text()
    for word in ("Alpaydin", "Kaynak", "CC BY 4.0", "UCI"):
        assert word in text
