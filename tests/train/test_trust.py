"""Looking beyond accuracy: the same numbers in small steps, and a report that says what was found."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tinyvision import data, models, nn, random, train
from tinyvision.data.transforms import Corrupt
from tinyvision.errors import DataError
from tinyvision.train import Evaluation
from tinyvision.train.calibration import confidences, fit_temperature, reliability
from tinyvision.train.evaluate_folder import EvaluationSettings, evaluate_folder
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.recipes import Network
from tinyvision.train.trust import calibrate, examine
from tinyvision.train.trust_report import write_trust_report


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A network that reads digits somewhat, judged on sixty pictures of them."""
    with random.use(random.stream(0, "trust")):
        model = models.SimpleCNN(1, 10, 8)
    train.fit(model, data.Digits(train=True), epochs=1, batch_size=64, lr=0.1, log=None)
    network = Network(
        model.eval(), Preprocessing(1, (8, 8), (0.0,), (1.0,)), [str(k) for k in range(10)], "a <network>"
    )
    digits, root = data.Digits(train=False), tmp_path_factory.mktemp("judged")
    for i in range(60):
        folder = root / str(digits.labels[i])
        folder.mkdir(exist_ok=True)
        Image.fromarray(digits.images[i, :, :, 0]).save(folder / f"{i:02}&.png")
    return network, evaluate_folder(network, EvaluationSettings(str(root)), log=None), root


def test_spoilt_pictures_are_those_of_corrupt_whatever_the_batch(judged):
    network, result, _ = judged
    found = examine(network, result, seed=4)
    assert found.sampled == 60
    assert found.right == result.evaluation.right
    assert {k: len(v) for k, v in found.spoilt.items()} == {"noise": 5, "blur": 5, "jpeg": 5, "contrast": 5}
    assert examine(network, result, seed=4, batch_size=7).spoilt == found.spoilt
    assert examine(network, result, seed=5).spoilt["noise"] != found.spoilt["noise"]
    for kind, strength in (("noise", 5), ("contrast", 4)):
        made = [
            Corrupt(kind, strength)(result.pictures[i][0], random.stream(4, "spoilt", kind, strength, i))
            for i in range(60)
        ]
        right = network.probabilities(made).argmax(1) == result.evaluation.labels
        assert found.spoilt[kind][strength - 1] == right.sum()


def test_half_of_the_pictures_chooses_the_temperature_and_the_other_is_judged(judged):
    _, result, _ = judged
    found = calibrate(result.evaluation, seed=2)
    order = random.stream(2, "calibration").permutation(60)
    scores, labels = result.evaluation.scores, result.evaluation.labels
    assert (found.fitted_on, found.judged_on) == (30, 30)
    assert found.temperature == fit_temperature(scores[order[:30]], labels[order[:30]])
    other = order[30:]
    right = scores[other].argmax(1) == labels[other]
    assert found.before.error == reliability(confidences(scores[other]), right).error
    assert found.after.error == reliability(confidences(scores[other], found.temperature), right).error
    assert calibrate(Evaluation(scores[:39], labels[:39])) is None


def test_what_it_does_not_know(judged, tmp_path):
    network, result, _ = judged
    found = examine(network, result)
    assert list(found.unknown) == ["noise", "one colour", "drawn shapes"]  # digits are what it knows
    assert all(len(c) == 100 and (c > 0.1).all() and (c <= 1).all() for c in found.unknown.values())
    np.testing.assert_array_equal(found.known, confidences(result.evaluation.scores))
    shapes = data.Shapes(100, train=False)
    want = network.probabilities([shapes[i][0] for i in range(100)]).max(1)
    np.testing.assert_allclose(found.unknown["drawn shapes"], want, atol=1e-6)
    other = Network(network.model, network.preprocessing, [*map(str.upper, data.Shapes(1).classes), *"abcd"], "")
    both = examine(other, result).unknown
    assert (both["handwritten digits"] != both["noise"]).any()
    assert "drawn shapes" in both
    digits = data.Digits(train=False)
    want = network.probabilities([digits[i][0] for i in range(100)]).max(1)
    np.testing.assert_allclose(both["handwritten digits"], want, atol=1e-6)
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(DataError, match="no pictures that can be read"):
        examine(network, result, unknown=own)
    (own / "broken.png").write_bytes(b"\x89PNG")
    Image.fromarray(np.zeros((9, 5, 3), np.uint8)).save(own / "a.png")
    assert len(examine(network, result, unknown=own).unknown["your own"]) == 1


class Balanced(HTMLParser):
    """Notes the tags that are opened and never closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("img", "meta", "br", "html"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "html":
            assert self.open.pop() == tag


def test_the_report(judged, tmp_path):
    network, result, root = judged
    trust = examine(network, result)
    path = tmp_path / "report.html"
    write_trust_report(network, result, trust, str(root), path)
    text = path.read_text("utf-8")
    page = Balanced()
    page.feed(text)
    assert page.open == []
    wrong = 60 - result.evaluation.right
    assert page.seen.count("figure") == min(wrong, 12)
    assert text.count("data:image/jpeg") == 3 * min(wrong, 12)
    assert "a &lt;network&gt;" in text
    assert "<network>" not in text
    assert "&amp;.png" in text
    assert f"{trust.calibration.before.error:.1%}" in text
    assert len(re.findall("agreement of the maps", text)) > 0
    assert "src=" not in re.sub(r'src="data:[^"]*"', "", text)  # nothing is fetched
    again = tmp_path / "again.html"
    write_trust_report(network, result, trust, str(root), again)
    assert again.read_text("utf-8") == text


def test_the_report_of_many_classes_few_pictures_and_no_convolution(judged, tmp_path):
    class Flat(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(64, 40)

        def forward(self, x):
            return self.fc(x.flatten(1))

    root = judged[2]
    network = Network(Flat(), Preprocessing(1, (8, 8), (0.0,), (1.0,)), [], "flat")
    few = replace(evaluate_folder(network, EvaluationSettings(str(root), limit=20), log=None), unreadable=["x"])
    write_trust_report(network, few, examine(network, few), str(root), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "At least 40 pictures" in text
    assert "agreement of the maps" not in text
    assert "most often taken for" in text
    assert "1 more could not be read" in text
