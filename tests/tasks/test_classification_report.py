"""The report of a trained classifier: what is counted, what leads where, and that names cannot break the page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tinyvision import nn
from tinyvision.data import ArrayDataset
from tinyvision.tasks.classification.report import sections, suspected_labels
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


def test_labels_are_suspected_where_the_network_is_as_sure_as_it_usually_is():
    """Of 40 pictures the network is right on all, but two labels have been changed, and it wavers on a third."""
    truth = np.arange(40) % 2
    scores = np.where(np.arange(2) == truth[:, None], 3.0, -3.0).astype(np.float32)
    labels = truth.copy()
    labels[[5, 12]] = 1 - truth[[5, 12]]
    scores[12] *= 2  # the surer, the more suspicious
    scores[20] = scores[20, ::-1] * 0.1  # a mistake without conviction suspects nothing
    assert suspected_labels(Evaluation(scores, labels)).tolist() == [12, 5]
    assert suspected_labels(Evaluation(scores[:3], truth[:3])).size == 0
    only = Evaluation(np.zeros((3, 4), np.float32), np.array([2, 2, 2]))  # of three classes there is no picture
    assert suspected_labels(only).size == 0


def test_suspected_labels_stand_in_the_report():
    data, model = parts(), network()
    scores = evaluate(model, ImageLoader(data.test, 64)).scores
    labels = scores.argmax(1)
    labels[7] = (labels[7] + 1) % 3
    scores[7] *= 50
    body = "".join(sections(model, DESCRIPTION, data, Evaluation(scores, labels))[0])
    assert body.count("Labels worth a second look") == 1
    part = body[body.index("Labels worth a second look") :].partition("<h2>")[0]
    assert part.count("<figure>") == 1
    assert "number 7" in part
    assert "<b>" not in part
