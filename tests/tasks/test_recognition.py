"""Recognition: learned from six digits, verified on four others; the features of folders, computed when needed."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

import tinyvision as tv
from tinyvision import data, models, random, tasks, train
from tinyvision.cli import main
from tinyvision.errors import CheckpointError, DataError, OptionError
from tinyvision.tasks.recognition import Embedder, Features, Index, Recognition, Turned, Verification
from tinyvision.tasks.recognition.features import features_of
from tinyvision.tasks.recognition.samples import digits
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.recipes import Network


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, an empty cache, and no curves, which take longer than the training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(what was printed as JSON, the folder) of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        printed = []
        patch.setattr("tinyvision.cli.train.answer_json", printed.append)
        arguments = ["train", "--task", "recognition", "--epochs", "2", "--quiet", "--json", "--run", str(folder)]
        assert main(arguments) == 0
    return printed[0], folder


def call(*arguments):
    try:
        return main([*map(str, arguments)])
    except SystemExit as stop:
        return stop.code


def pixels(path, seed=0, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(path)
    return path


# -- the network and its data


def test_embeddings_have_length_1_and_the_head_is_not_in_them():
    model = Embedder(1, 5, 9, width=4, projection=7).eval()
    x = tv.randn(3, 1, 9, 9)
    with tv.no_grad():
        embeddings, cosines = model(x).numpy(), model.cosines(x).numpy()
        model.head[-1].weight.array[...] = 0
        np.testing.assert_array_equal(model(x).numpy(), embeddings)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    assert embeddings.shape == (3, 8 * 4 * 4)
    assert cosines.shape == (3, 5)
    assert (np.abs(cosines) <= 1 + 1e-6).all()
    for wrong in ({"image_size": 3}, {"width": 0}, {"classes": 1.5}):
        with pytest.raises(OptionError, match="Embedder"):
            Embedder(**wrong)


def test_turned_pictures_are_classes_of_their_own():
    known = digits(True)
    turned = Turned(known)
    assert len(turned) == 4 * len(known)
    assert len(turned.classes) == 24
    assert turned.classes[7] == "1, turned 90°"
    for turn in range(4):
        picture, label = turned[turn * len(known) + 5]
        np.testing.assert_array_equal(picture, np.rot90(known.images[5], turn))
        assert label == known.labels[5] + 6 * turn == turned.labels[turn * len(known) + 5]
    with pytest.raises(OptionError, match="1 to 4"):
        Turned(known, 5)


def test_known_and_unseen_digits_share_nothing():
    known, unseen = digits(True), digits(False)
    assert len(known) + len(unseen) == 1797
    assert (known.classes, unseen.classes) == (list("012345"), list("6789"))
    assert set(known.labels) == set(range(6))
    assert set(unseen.labels) == set(range(4))


# -- the task


def test_verification_is_scikit_learn_s(rng):
    embeddings, labels = rng.standard_normal((30, 6)), rng.integers(0, 4, 30)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = Verification(embeddings, labels)
    pairs = [(embeddings[i] @ embeddings[j], labels[i] == labels[j]) for i in range(30) for j in range(i + 1, 30)]
    cosines, same = map(np.array, zip(*pairs, strict=True))
    assert found.score == pytest.approx(metrics.roc_auc_score(same, cosines), abs=1e-12)
    assert found.loss == 1 - found.score
    accepted, cosine = found.accepted(0.05)
    assert (cosines[~same] >= cosine).mean() <= 0.05
    assert (cosines[same] >= cosine).mean() == accepted


def test_of_very_many_pictures_some_are_paired():
    found = Verification(np.eye(2)[np.arange(5000) % 2], np.arange(5000) % 2)
    cosines, _ = found.pairs()
    assert len(cosines) == 2000 * 1999 / 2
    assert found.score == 1
    with pytest.raises(OptionError, match="some of both"):
        _ = Verification(np.eye(2), np.zeros(2, int)).score


def test_unseen_digits_are_verified_better_than_by_their_pixels(trained):
    found, folder = trained
    unseen = digits(False)
    flat = (
        unseen.images.reshape(len(unseen), -1) / np.linalg.norm(unseen.images.reshape(len(unseen), -1), axis=1)[:, None]
    )
    raw = Verification(flat, unseen.labels).score
    assert raw < 0.89
    assert found["test_auc"] > 0.91  # 0.933 after all six epochs
    assert found["test_images"] == len(unseen)
    features = tasks.load(folder)
    again = Verification(features([unseen.images[i] for i in range(len(unseen))]), unseen.labels)
    assert again.score == pytest.approx(found["test_auc"], abs=1e-6)


def test_the_report_shows_each_picture_in_one_pair_of_a_kind(trained):
    found, folder = trained
    page = (folder / "report.html").read_text()
    assert f"{found['test_auc']:.1%} (AUC)" in page
    alike, unlike = (
        page.split(title)[1].split("</figure></div>")[0] for title in ("the most alike</h2>", "the least alike</h2>")
    )
    for part in (alike, unlike):
        pictures = re.findall(r'<img alt="" src="([^"]+)"', part)
        assert len(pictures) == len(set(pictures)) == 16
    assert all(len(set(names)) == 2 for names in re.findall(r"<figcaption>(\d) and (\d): ", alike))
    cosines = [float(text) for text in re.findall(r"<figcaption>\d: ([\d.]+)<", unlike)]
    assert cosines == sorted(cosines)
    assert len(cosines) == 8


@pytest.mark.parametrize("loss", ["arcface", "triplet"])
def test_both_losses_learn_and_a_resumed_run_is_the_same(loss, tmp_path):
    known = digits(True)
    few = data.Subset(known, np.flatnonzero(known.labels < 3)[:60], data.transforms.ToTensor())

    def fit(run, epochs, **options):
        with random.use(random.stream(0, "net")):
            model = Embedder(1, 3, 8, width=6)
        task = Recognition(loss, margin=0.2)
        options = {"epochs": 6, "batch_size": 20, "optimizer": "adam", "lr": 0.003, "schedule": "constant", **options}
        stop = {"on_epoch": lambda row: (_ for _ in ()).throw(KeyboardInterrupt) if row["epoch"] == epochs else None}
        try:
            return train.fit(model, few, few, run=tmp_path / run, task=task, log=None, **options, **stop)
        except KeyboardInterrupt:
            return None

    history = fit("whole", 99)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["val_auc"] > 0.8
    assert fit("parts", 3) is None
    fit("parts", 99, resume=True)
    assert (tmp_path / "whole/last.safetensors").read_bytes() == (tmp_path / "parts/last.safetensors").read_bytes()


def test_mistakes_of_the_task():
    with pytest.raises(OptionError, match="arcface or triplet"):
        Recognition("contrastive")
    with pytest.raises(DataError, match="embeddings"):
        train.fit(tv.nn.Conv2d(1, 2, 3), data.Subset(digits(True), range(9), data.transforms.ToTensor()),
                  task=Recognition(), log=None)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "folder"], "needs --root"),
        (["--root", "x"], "takes no root"),
        (["--model", "resnet18"], "known: embedder"),
        (["--val", "0.2"], "--val has no meaning"),
        (["--data", "folder", "--root", "nowhere"], "no such folder"),
        (["--label-smoothing", "0.1"], "no meaning"),
    ],
)
def test_mistakes_on_the_command_line(arguments, told, capsys):
    assert call("train", "--task", "recognition", "--epochs", "1", *arguments) == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_one_s_own(tmp_path, capsys):
    for part, names in (("train", "ab"), ("test", "cd")):
        for name in names:
            for i in range(3):
                pixels(tmp_path / "own" / part / name / f"{i}.png", seed=ord(name))
    arguments = ["train", "--task", "recognition", "--data", "folder", "--root", tmp_path / "own", "--image-size", "8"]
    assert call(*arguments, "--epochs", "1", "--quiet") == 0
    out = capsys.readouterr().out
    assert "6 pictures of 2 classes never seen: AUC 1.0000" in out
    assert "tinyvision compare A B --model runs/folder-1" in out


# -- features, comparing, searching


def test_features_of_a_classifier_are_what_its_last_layer_gets():
    model = models.SimpleCNN(1, 4, 8).eval()
    network = Network(model, Preprocessing(1, (8, 8), (0.0,), (1.0,)), list("abcd"), "small")
    images = [np.random.default_rng(i).integers(0, 256, (8, 8, 1), np.uint8) for i in range(20)]
    found = features_of(network)(images)
    with tv.no_grad():
        x = tv.tensor(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 255)
        h = model.pool(model.relu(model.conv2(model.pool(model.relu(model.conv1(x))))))
        want = model.relu(model.fc1(h.flatten(1))).numpy()
    np.testing.assert_allclose(found, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-6)
    squeezed = models.get_model("squeezenet1_1", num_classes=5).eval()
    other = Features.of_classifier(Network(squeezed, Preprocessing(3, (64, 64), (0,) * 3, (1,) * 3), [], "squeezed"))
    assert other([np.zeros((9, 9, 3), np.uint8)]).shape == (1, 512)
    with pytest.raises(OptionError, match="neither a linear layer"):
        Features.of_classifier(Network(tv.nn.Flatten(), network.preprocessing, [], "flat"))


def test_an_index_computes_what_has_changed_and_nothing_else(trained, tmp_path):
    features, folder = tasks.load(trained[1]), tmp_path / "p"
    paths = [pixels(folder / f"{i}.png", seed=i) for i in range(5)]

    def index(of=features):
        return Index(folder, of)

    first = index()
    assert (first.computed, first.paths) == (5, paths)
    again = index()
    assert again.computed == 0
    np.testing.assert_array_equal(again.features, first.features)
    os.utime(paths[1], ns=(1, 1))  # another time
    pixels(paths[2], seed=77, size=(30, 10))  # another picture
    paths[3].unlink()
    pixels(folder / "deep" / "new.png", seed=9)
    changed = index()
    assert changed.computed == 3
    assert len(changed.paths) == 5
    assert (changed.features[paths.index(paths[2])] != first.features[2]).any()
    np.testing.assert_allclose(changed.features[1], first.features[1], atol=1e-6)
    assert index().computed == 0
    other = tasks.load(trained[1])
    other.model.body[0].weight.array[...] *= -1
    assert index(other).computed == 5
    assert index().computed == 0  # both are kept
    for file in (tmp_path / "cache" / "search").iterdir():
        file.write_bytes(b"damaged")
    assert index().computed == 5


def test_an_index_notices_pictures_that_change_places(trained, tmp_path):
    """Two folders of pictures of one size in bytes and of one time are swapped: each is found by what it shows."""
    features, folder = tasks.load(trained[1]), tmp_path / "p"
    for name, pixels_of in (("black", 0), ("white", 255)):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (20, 20), (pixels_of,) * 3).save(folder / name / "0.bmp")
        os.utime(folder / name / "0.bmp", ns=(1, 1))
    query = features([np.full((20, 20, 3), 255, np.uint8)])[0]
    assert Index(folder, features).nearest(query, 1)[0][0] == folder / "white" / "0.bmp"
    (folder / "black").rename(folder / "other")
    (folder / "white").rename(folder / "black")
    (folder / "other").rename(folder / "white")
    assert Index(folder, features).nearest(query, 1)[0][0] == folder / "black" / "0.bmp"


def test_the_nearest_come_first(trained, tmp_path):
    features = tasks.load(trained[1])
    paths = [pixels(tmp_path / "p" / f"{i}.png", seed=i) for i in range(6)]
    found = Index(tmp_path / "p", features).nearest(features([data.read_image(paths[4])])[0], 3)
    assert found[0][0] == paths[4]
    assert found[0][1] == pytest.approx(1, abs=1e-5)
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
    assert len(found) == 3


def test_compare_and_search_on_the_command_line(trained, tmp_path, capsys):
    model = ["--model", trained[1]]
    a, b = pixels(tmp_path / "p" / "a.png", 1), pixels(tmp_path / "p" / "b.png", 2)
    (tmp_path / "p" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert call("compare", a, a, *model, "--json") == 0
    assert 1 - 1e-5 < json.loads(capsys.readouterr().out)["cosine"] <= 1
    assert call("compare", a, b, *model) == 0
    assert float(capsys.readouterr().out.split()[0]) < 1
    assert call("search", tmp_path / "p", b, *model, "--json", "--save", "sheet.png", "--quiet") == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [os.path.basename(one["file"]) for one in found["found"]] == ["b.png", "a.png"]
    assert (found["searched"], found["computed"], len(found["unreadable"])) == (2, 2, 1)
    assert "broken.png" in captured.err
    assert Image.open("sheet.png").size[0] > 12
    assert call("search", tmp_path / "p", b, *model, "--top", "1", "--quiet") == 1
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare", "{a}", "nowhere.png"], "nowhere.png"),
        (["compare", "{a}", "{a}", "--model", "no_such"], "neither a file or folder nor a network"),
        (["search", "nowhere", "{a}", "--model", "{run}"], "nowhere: no such folder"),
        (["search", "{empty}", "{a}", "--model", "{run}"], "holds no pictures"),
        (["search", "{empty}", "{a}", "--model", "{run}", "--save", "{a}"], "is one of the pictures"),
        (["search", "{empty}/..", "nowhere.png", "--model", "{run}", "--save", "{a}"], "is one of the pictures"),
        (["search", "{empty}", "{a}", "--model", "{run}", "--save", "sheet.jpg"], "the sheet is a .png"),
        (["search", "{empty}", "{a}", "--model", "{run}", "--save", "no/sheet.png"], "its folder does not exist"),
        (["predict", "{a}", "--model", "{run}"], "use tinyvision compare"),
        (["evaluate", "{run}", "{empty}"], "recognition"),
    ],
)
def test_mistakes_are_told(trained, tmp_path, capsys, arguments, told):
    places = {"a": pixels(tmp_path / "a.png"), "run": trained[1], "empty": tmp_path / "empty"}
    places["empty"].mkdir()
    assert call(*(text.format(**places) for text in arguments)) == 2
    assert told in capsys.readouterr().err


def test_files_that_are_passed_over_are_told_of(trained, tmp_path, capsys):
    folder = tmp_path / "data" / "train"
    for name in ("a", "b"):
        pixels(folder / name / "0.png")
        (folder / name / "notes.txt").touch()
    told = "note: 2 of 4 files were not read: 2 .txt"
    assert call("search", folder, folder / "a" / "0.png", "--model", trained[1]) == 0
    assert told in capsys.readouterr().err
    common = ["--data", "folder", "--epochs", "1", "--image-size", "16", "--batch-size", "4"]
    for task, root in (("recognition", folder.parent), ("generation", folder)):
        call("train", "--task", task, "--root", root, *common, "--run", tmp_path / task)
        assert told in capsys.readouterr().err
    assert call("train", "--task", "recognition", "--root", folder, *common) == 2
    assert "has no folder train; recognition learns from train/NAME/*.jpg" in capsys.readouterr().err


def test_damaged_notes_are_refused(trained):
    checkpoint = train.load_checkpoint(trained[1] / "best.safetensors")
    room = tasks.room("recognition")
    for options in ({"width": -1}, {"image_size": 10**9}, {"nonsense": 1}, None):
        checkpoint.description["model"] = {"name": "embedder", "options": options}
        with pytest.raises(CheckpointError, match="damaged"):
            room.load(checkpoint, trained[1])
