"""The report of a trained classifier: what is counted, what leads where, and that names cannot break the page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tinyvision import nn
from tinyvision.data import ArrayDataset
from tinyvision.tasks.classification.report import sections
from tinyvision.train import evaluate
from tinyvision.train.classification import Evaluation
from tinyvision.train.image_loader import ImageLoader
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.recipes import Parts

CLASSES = ["cat <b>", "dog & co", "\x1b[2Jbird"]
SIZE = Preprocessing(size=(8, 8), channels=1, mean=(0.0,), std=(1.0,))


class Page(HTMLParser):
    """The places, the links and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.places, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if found.get("href", "").startswith("#") else []


def parts(count=60, test=True):
    """Pictures whose class is the brightness of their left half."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    pictures = rng.integers(0, 60, (count, 8, 8, 1), np.uint8)
    pictures[:, :, :4] += (labels * 80).astype(np.uint8)[:, None, None, None]
    data = ArrayDataset(pictures, labels, CLASSES, SIZE.transform())
    return Parts(data, data, data if test else None, CLASSES)


def network():
    """A network that was never trained, so that it errs."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)).eval()


DESCRIPTION = {
    "data": {"name": "folder", "root": "/p/<x>", "augment": "on"},
    "input": SIZE.as_dict(),
    "model": {"name": "simple-cnn"},
}


@pytest.mark.parametrize("test", [True, False])
def test_the_page_counts_links_and_escapes(test):
    data, model = parts(test=test), network()
    evaluation = evaluate(model, ImageLoader(data.val, 32))
    body, values, lines = sections(model, DESCRIPTION, data, evaluation if test else None)
    text = "\n".join(body)
    page = Page(text)
    assert ("test images, on which nothing was learned or chosen" in text) == test
    assert page.links
    assert set(page.links) == {f"#{place}" for place in page.places}
    assert "cat &lt;b&gt;" in text
    assert "<b>dog" not in text
    assert "\x1b" not in text
    wrong = len(evaluation.labels) - evaluation.right
    assert f"worst 12 of {wrong}" in text
    shown = re.findall(r"taken for <span class=\"wrong\">[^<]*</span>: (\d+)", text)
    assert sum(map(int, shown)) == wrong
    assert 0 <= values["calibration_error"] <= 1
    assert lines == []
    assert "in /p/&lt;x&gt;: 60 to learn from, 60 held back" in text


def test_nothing_held_back_and_few_images():
    data = parts()
    body, values, _ = sections(network(), DESCRIPTION, Parts(data.train, None, None, CLASSES), None)
    assert "nothing is known of others" in body[-1]
    assert values == {}
    few = Evaluation(np.eye(3, dtype=np.float32), np.arange(3))
    body, values, _ = sections(network(), DESCRIPTION, parts(count=3), few)
    text = "\n".join(body)
    assert "At least 40 images" in text
    assert "<p>None.</p>" in text
    assert values == {"calibration_error": None}
