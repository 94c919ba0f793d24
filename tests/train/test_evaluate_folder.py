"""Judging on folders: torchvision's own evaluation gives the same, and what is stopped is gone on with."""

import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from tests.torchvision_oracle import torch, torchvision
from tinyvision import models, nn, train
from tinyvision.errors import CheckpointError, DataError, OptionError
from tinyvision.train.class_labels import class_indices
from tinyvision.train.evaluate_folder import EvaluationSettings, evaluate_folder, saved_evaluation
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.recipes import Network


class Brightness(nn.Module):
    """Three classes: dark, grey and bright pictures."""

    def __init__(self):
        levels = np.array([0.1, 0.5, 0.9], np.float32)
        self.weight, self.bias = nn.Parameter(2 * levels[:, None]), nn.Parameter(-(levels**2))
        self.seen, self.after = 0, None

    def forward(self, x):
        self.seen += len(x)
        if self.after is not None and self.seen >= self.after:
            self.after = None
            os.kill(os.getpid(), signal.SIGINT)
        middle = x.mean(dim=(1, 2, 3)).reshape(-1, 1)
        return nn.functional.linear(middle, self.weight, self.bias)  # 2 l m - l², the highest where |l - m| is smallest


def network():
    return Network(Brightness().eval(), Preprocessing(3, (8, 8), (0.0,) * 3, (1.0,) * 3), ["dark", "grey", "bright"],
                   "brightness")  # fmt: skip


def draw(folder, counts=(6, 3, 6)):
    for name, level, count in zip(("dark", "grey", "bright"), (20, 128, 240), counts, strict=True):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((8, 8, 3), level + i % 3, np.uint8)).save(folder / name / f"{i:02}.png")
    return str(folder)


def test_scores_labels_and_names(tmp_path):
    result = evaluate_folder(network(), EvaluationSettings(draw(tmp_path / "p")), log=None)
    assert result.named_by == "name"
    assert result.evaluation.labels.tolist() == [2] * 6 + [0] * 6 + [1] * 3  # folders in the order of their names
    assert result.evaluation.accuracy == 1
    assert [result.name(0), result.name(14)] == ["bright/00.png", "grey/02.png"]
    assert result.computed == 15


def test_torchvision_s_own_evaluation_gives_the_same(tmp_path):
    """Folders named by WordNet ids, decoded as stored: the same scores, so the same top-1 and top-5."""
    torch.manual_seed(0)
    theirs = torchvision.models.squeezenet1_1(weights=None).eval()
    for parameter in theirs.parameters():
        if parameter.ndim == 4:  # scores of random weights hardly differ from picture to picture
            parameter.data.mul_(1.5)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    prepare = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms()
    rng, ids = np.random.default_rng(3), models.imagenet_wordnet_ids()
    for i in range(10):
        size = rng.integers(180, 400, 2)
        pixels = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 7, 4), np.uint8)).resize(size[::-1].tolist()))
        picture = Image.fromarray(pixels if i % 5 == 0 else np.ascontiguousarray(pixels[..., :3]))
        with torch.no_grad():
            best = theirs(prepare(picture.convert("RGB"))[None])[0].argsort(descending=True)
        folder = tmp_path / "val" / ids[int(best[(0, 0, 2, 4, 9)[i % 5]])]
        folder.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if i % 3 == 0 else 1
        picture.save(folder / f"{i}.{'png' if i % 5 == 0 else 'JPEG'}", exif=exif, **({"quality": 95} if i % 5 else {}))
    folder = torchvision.datasets.ImageFolder(tmp_path / "val", transform=prepare)
    with torch.no_grad():
        want = torch.stack([theirs(picture[None])[0] for picture, _ in folder]).numpy()
    labels = np.array([ids.index(folder.classes[label]) for label in folder.targets])

    ours = train.pretrained_network("squeezenet1_1", weights=str(tmp_path / "w.pth"))
    settings = EvaluationSettings(str(tmp_path / "val"), as_stored=True)
    result = evaluate_folder(ours, settings, log=None)
    assert result.named_by == "WordNet id"
    np.testing.assert_array_equal(result.evaluation.labels, labels)
    np.testing.assert_allclose(result.evaluation.scores, want, rtol=1e-3, atol=1e-3 * want.std())
    for k in (1, 5):
        right = (np.argsort(-want, 1)[:, :k] == labels[:, None]).any(1)
        assert 0 < right.sum() < 10
        np.testing.assert_array_equal(result.evaluation.label_ranks < k, right)


def test_ctrl_c_keeps_what_is_done_and_resuming_goes_on(tmp_path):
    settings, run = EvaluationSettings(draw(tmp_path / "p")), tmp_path / "run"
    stopped = network()
    stopped.model.after = 6
    with pytest.raises(train.Interrupted, match="after 6 of 15") as error:
        evaluate_folder(stopped, settings, run, batch_size=3, workers=0, log=None)
    assert error.value.run == run
    again = network()
    result = evaluate_folder(again, settings, run, resume=True, batch_size=3, log=None)
    assert result.computed == 9
    np.testing.assert_array_equal(
        result.evaluation.scores, evaluate_folder(network(), settings, log=None).evaluation.scores
    )
    assert evaluate_folder(network(), settings, run, resume=True, log=None).computed == 0
    assert saved_evaluation(run) == settings


def test_broken_pictures_are_named_left_out_and_tried_again(tmp_path):
    folder, run = draw(tmp_path / "p"), tmp_path / "run"
    broken = tmp_path / "p" / "dark" / "01.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-20] + bytes(20))
    result = evaluate_folder(network(), EvaluationSettings(folder), run, log=None)
    assert len(result.unreadable) == 1
    assert "01.png" in result.unreadable[0]
    assert len(result.evaluation.labels) == 14
    assert "dark/01.png" not in [result.name(i) for i in range(14)]
    broken.write_bytes(whole)
    result = evaluate_folder(network(), EvaluationSettings(folder), run, resume=True, log=None)
    assert (result.computed, len(result.evaluation.labels), result.unreadable) == (1, 15, [])
    for path in (tmp_path / "p").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of the 15 pictures can be read"):
        evaluate_folder(network(), EvaluationSettings(folder), log=None)


def test_only_the_same_evaluation_is_gone_on_with(tmp_path):
    settings, run = EvaluationSettings(draw(tmp_path / "p")), tmp_path / "run"
    with pytest.raises(CheckpointError, match="nothing to resume"):
        evaluate_folder(network(), settings, run, resume=True, log=None)
    evaluate_folder(network(), settings, run, log=None)
    with pytest.raises(CheckpointError, match="already holds"):
        evaluate_folder(network(), settings, run, log=None)
    other = network()
    other.model.weight.array[0] = 2
    with pytest.raises(CheckpointError, match="the network's weights"):
        evaluate_folder(other, settings, run, resume=True, log=None)
    with pytest.raises(CheckpointError, match="limit"):
        evaluate_folder(network(), EvaluationSettings(settings.folder, limit=3), run, resume=True, log=None)
    (tmp_path / "p" / "dark" / "00.png").rename(tmp_path / "p" / "dark" / "another.png")
    with pytest.raises(CheckpointError, match=r"the pictures \(names or classes\)"):
        evaluate_folder(network(), settings, run, resume=True, log=None)


def test_pictures_are_known_by_what_is_in_them_and_not_by_their_times(tmp_path):
    """Two classes' pictures, of one size in bytes and of one time, change places: no score is another picture's."""
    settings, run = EvaluationSettings(draw(tmp_path / "p")), tmp_path / "run"
    before = evaluate_folder(network(), settings, run, log=None).evaluation
    for path in (tmp_path / "p").rglob("*.png"):
        path.touch()
    assert evaluate_folder(network(), settings, run, resume=True, log=None).computed == 0
    paths = [folder / "00.png" for folder in sorted((tmp_path / "p").iterdir())[:2]]
    for path, pixels in zip(paths, (255, 0), strict=True):
        Image.new("RGB", (8, 8), (pixels,) * 3).save(path, "BMP")
        os.utime(path, ns=(1, 1))
    evaluate_folder(network(), settings, run, resume=True, log=None)
    contents = [path.read_bytes() for path in paths]
    assert len(contents[0]) == len(contents[1])
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(1, 1))
    found = evaluate_folder(network(), settings, run, resume=True, log=None)
    assert found.computed == 2
    expected = evaluate_folder(network(), settings, log=None).evaluation.scores
    np.testing.assert_array_equal(found.evaluation.scores, expected)
    assert (expected != before.scores).any()


def test_damaged_runs_are_refused_by_name(tmp_path):
    settings, run = EvaluationSettings(draw(tmp_path / "p")), tmp_path / "run"
    evaluate_folder(network(), settings, run, log=None)
    note = run / "evaluation.json"
    kept = note.read_text()
    for text in ("", "[]", "{}", '{"pictures": {"folder": 3}}'):
        note.write_text(text)
        with pytest.raises(CheckpointError, match=r"evaluation\.json: is damaged"):
            saved_evaluation(run)
    note.write_text(kept)
    from tinyvision.weights import save

    save({"places": np.array([99]), "scores": np.zeros((1, 3), "f4")}, run / "scores-00001.safetensors")
    with pytest.raises(CheckpointError, match="scores-00001"):
        evaluate_folder(network(), settings, run, resume=True, log=None)
    assert json.loads(note.read_text()) == json.loads(kept)


def test_limit_draws_by_seed(tmp_path):
    folder = draw(tmp_path / "p")

    def drawn(seed):
        result = evaluate_folder(network(), EvaluationSettings(folder, limit=5, seed=seed), log=None)
        return [result.name(i) for i in range(5)]

    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0) == sorted(drawn(0))
    with pytest.raises(OptionError, match="limit"):
        evaluate_folder(network(), EvaluationSettings(folder, limit=0), log=None)


def test_classes_by_name_wordnet_or_number():
    names = models.imagenet_classes()
    assert class_indices(["tench", "Great White-Shark", "crane bird"], names, 1000)[0]["Great White-Shark"] == 2
    assert class_indices(["n01440764", "n15075141"], names, 1000) == ({"n01440764": 0, "n15075141": 999}, "WordNet id")
    assert class_indices(["7", "010"], names, 1000) == ({"7": 7, "010": 10}, "number")
    assert class_indices(["1"], ["1", "0"], 2) == ({"1": 0}, "name")  # its own names come first
    assert class_indices(["1"], [], 2) == ({"1": 1}, "number")


@pytest.mark.parametrize(
    ("texts", "classes", "told"),
    [
        (["cat", "dgo"], ["cat", "dog"], r"1 of 2 .* 'dgo' \(did you mean 'dog'\?\)"),
        (["1", "2"], ["cat", "dog"], "numbers begin at 0, so the last class is 1"),
        (["n01440764"], ["cat", "dog"], "its own names or numbers"),
        (["a b"], ["A_B", "a-b"], "'a b'"),  # two classes are spelled so
        (["cat", "n01440764"], [*models.imagenet_classes()], "WordNet ids"),
    ],
)
def test_classes_that_are_not_the_network_s(texts, classes, told):
    with pytest.raises(DataError, match=told):
        class_indices(texts, classes, len(classes))


def test_imagenet_s_ids_are_in_the_order_of_the_scores():
    ids, names = models.imagenet_wordnet_ids(), models.imagenet_classes()
    assert len(ids) == len(set(ids)) == 1000
    assert list(ids) == sorted(ids)
    known = {"n01440764": "tench", "n02123045": "tabby", "n03417042": "garbage truck", "n07753592": "banana"}
    assert {wordnet: names[ids.index(wordnet)].lower() for wordnet in known} == known
