from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from tinyvision.data import photograph


def test_the_photograph_is_scikit_image_s_cut_and_made_smaller():
    theirs = pytest.importorskip("skimage.data").chelsea()
    smaller = Image.fromarray(theirs).crop((51, 0, 451, 300)).resize((96, 72), Image.Resampling.LANCZOS)
    ours = photograph()
    assert (ours.shape, ours.dtype) == ((72, 96, 3), np.uint8)
    assert np.abs(ours.astype(int) - np.asarray(smaller, int)).max() <= 1


def test_each_reader_gets_a_copy_to_write_to():
    photograph()[:] = 0
    assert photograph().mean() > 50


def test_attribution_is_shipped():
    text = (files("tinyvision.data") / "files" / "cat.txt").read_text()
    for word in ("Stefan van der Walt", "CC0", "scikit-image", "Changes"):
        assert word in text
