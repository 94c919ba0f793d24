"""Segmentation from data to picture: the loss beside PyTorch, folders and their mistakes, training, resuming."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tinyvision as tv
from tinyvision import models, random, tasks, train
from tinyvision.cli import main
from tinyvision.errors import CheckpointError, DataError, OptionError, ShapeError
from tinyvision.tasks.colours import COLOURS
from tinyvision.tasks.segmentation import (
    Mask,
    MaskFolder,
    Nuclei,
    Samples,
    Segmentation,
    SegmentationEvaluation,
    ShapesMasks,
    overlay,
)
from tinyvision.train.inspection import images_of, in_words
from tinyvision.train.preprocessing import Preprocessing


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, and no curves, which take longer than the training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


def test_the_loss_and_its_gradient_are_pytorchs():
    rng = np.random.default_rng(0)
    scores, mask = rng.normal(size=(3, 4, 5, 6)), rng.integers(0, 4, (3, 5, 6))
    mask[0, :2], mask[1] = 255, 2  # partly unknown; of one class alone
    x, y = torch.tensor(scores, requires_grad=True), torch.tensor(mask)
    losses = []
    for s, t in zip(x, y, strict=True):
        losses.append(torch.nn.functional.cross_entropy(s[None], t[None], ignore_index=255))
        probabilities, seen = s.softmax(0), t != 255
        each = []
        for k in range(1, 4):
            p, q = probabilities[k][seen], (t[seen] == k).double()
            if q.any():
                each.append(1 - (2 * (p * q).sum() + 1) / (p.sum() + q.sum() + 1))
        losses.append(0.5 * torch.stack(each).mean())
    expected = sum(losses) / 3
    expected.backward()
    task = Segmentation(["ground", "a", "b", "c"], dice=0.5)
    ours = tv.tensor(scores, requires_grad=True)
    loss = task.loss_for(train.Settings())(ours, tv.tensor(mask))
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(ours.grad.numpy(), x.grad.numpy(), atol=1e-14)


def test_dice_counts_pixels():
    task = Segmentation(["ground", "a", "b"])
    predicted = np.array([[[0, 1, 1], [2, 2, 0]]])
    true = np.array([[[0, 1, 0], [2, 255, 1]]])
    counts = task.counts(predicted, true)
    assert counts.tolist() == [[[1, 2, 2], [1, 2, 2], [1, 1, 1]]]
    evaluation = SegmentationEvaluation(task.classes, counts, np.array([0.5]))
    assert evaluation.dice.tolist() == [0.5, 0.5, 1.0]
    assert evaluation.iou.tolist() == pytest.approx([1 / 3, 1 / 3, 1.0])
    assert evaluation.score == 0.75
    assert evaluation.accuracy == 0.6
    alone = task.counts(np.zeros((1, 2, 2), int), np.zeros((1, 2, 2), int))
    assert SegmentationEvaluation(task.classes, alone, np.array([0.0])).score == 1.0


def cells(root, count=4, size=(40, 48), **classes):
    """Bright discs on dark ground, with masks of 0 and 255."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(count)
    y, x = np.mgrid[: size[0], : size[1]]
    for number in range(count):
        mask = np.zeros(size, bool)
        for _ in range(3):
            cy, cx = rng.uniform(6, size[0] - 6), rng.uniform(6, size[1] - 6)
            mask |= np.hypot(y - cy, x - cx) < 5
        image = np.clip(60 + 120 * mask[..., None] + rng.normal(0, 12, (*size, 3)), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray((mask * 255).astype(np.uint8)).save(root / "masks" / f"{number}.png")
    return root


def mask_file(root, numbers, name="0.png"):
    Image.fromarray(np.asarray(numbers)).save(root / "masks" / name)


def test_a_folder_of_black_and_white_masks(tmp_path):
    folder = MaskFolder(cells(tmp_path))
    image, mask = folder[1]
    assert folder.classes == ["background", "object"]
    assert (image.shape, image.dtype, mask.shape) == ((40, 48, 3), np.uint8, (40, 48))
    assert set(np.unique(mask)) == {0, 1}
    assert image[mask == 1].mean() > image[mask == 0].mean() + 80
    assert folder.things(0) is None


def test_black_and_white_may_have_sixteen_bits(tmp_path):
    root = cells(tmp_path)
    before = MaskFolder(root)[0][1]
    mask_file(root, (before * 65535).astype(np.uint16))
    folder = MaskFolder(root)
    assert folder.classes == ["background", "object"]
    np.testing.assert_array_equal(folder[0][1], before)


def test_a_mask_of_several_pages_is_none(tmp_path):
    root = cells(tmp_path)
    (root / "masks/0.png").unlink()
    page = Image.fromarray(np.ones((40, 48), np.uint8))
    page.save(root / "masks/0.tif", save_all=True, append_images=[page])
    with pytest.raises(DataError, match=r"0\.tif: holds 2 pictures, and a mask is one"):
        MaskFolder(root)


def test_numbers_names_colours_and_things(tmp_path):
    root = cells(tmp_path, 2)
    for name in ("0.png", "1.png"):
        mask_file(root, np.arange(40 * 48).reshape(40, 48).astype(np.uint8) % 4, name)
    assert MaskFolder(root).classes == ["background", "class 1", "class 2", "class 3"]
    (root / "classes.txt").write_text("ground\nroad\ncar park\nsky\n\n")
    assert MaskFolder(root).classes == ["ground", "road", "car park", "sky"]
    (root / "classes.txt").write_text("ground #000000\nred car #ff0000\n")
    colours = np.zeros((40, 48, 3), np.uint8)
    colours[3:9, 5:9, 0] = 255
    for name in ("0.png", "1.png"):
        mask_file(root, colours, name)
    folder = MaskFolder(root)
    assert folder.classes == ["ground", "red car"]
    assert folder[0][1].sum() == 24
    (root / "classes.txt").unlink()
    for name in ("0.png", "1.png"):
        mask_file(root, (np.arange(40 * 48).reshape(40, 48) // 48 * 10).astype(np.uint16), name)
    folder = MaskFolder(root, instances=True)
    assert folder.classes == ["background", "object"]
    assert folder[0][1].sum() == 39 * 48
    assert folder.things(0).max() == 390
    mask_file(root, np.zeros((40, 48), np.uint16), "0.png")
    assert folder[0][1].sum() == 0  # a picture without a thing is one of them
    for name in ("0.png", "1.png"):
        mask_file(root, np.zeros((40, 48), np.uint16), name)
    with pytest.raises(DataError, match="every mask is empty, so there is nothing to learn"):
        MaskFolder(root, instances=True)


def test_the_colours_of_a_palette_count_where_classes_have_colours(tmp_path):
    """The number of a palette's colour is the choice of the program that wrote the file; RGB is the oracle."""
    root, rng = cells(tmp_path, 5), np.random.default_rng(0)
    names = {"ground": (0, 0, 0), "red": (255, 0, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    (root / "classes.txt").write_text("".join(f"{name} #{bytes(c).hex()}\n" for name, c in names.items()))
    classes = np.minimum(rng.integers(0, 9, (40, 48)), 3)  # most are white, which so comes first in the palette
    picture = Image.fromarray(np.array(list(names.values()), np.uint8)[classes])
    picture.save(root / "masks/0.png")
    picture.quantize(4).save(root / "masks/1.png")
    assert (np.array(picture.quantize(4)) != classes).any()
    numbered = Image.fromarray(np.where(classes == 3, 255, classes).astype(np.uint8), "P")  # as those of Pascal VOC
    numbered.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255] + [7, 8, 9] * 253)
    numbered.save(root / "masks/2.png")
    grey = np.where(classes == 3, 255, 0).astype(np.uint8)
    Image.fromarray(grey).save(root / "masks/3.png")  # programs that make files small leave the colour out
    Image.fromarray(grey > 0).save(root / "masks/4.png")
    folder = MaskFolder(root)
    for number in (0, 1):
        np.testing.assert_array_equal(folder[number][1], classes)
    np.testing.assert_array_equal(folder[2][1], np.where(classes == 3, 255, classes))
    for number in (3, 4):
        np.testing.assert_array_equal(folder[number][1], np.where(classes == 3, 3, 0))
    Image.fromarray(np.where(classes == 3, 255, classes).astype(np.uint8)).save(root / "masks/0.png")
    (root / "classes.txt").write_text("ground #000000\nred #ff0000\nblue #0000ff\n")
    np.testing.assert_array_equal(MaskFolder(root)[0][1], np.where(classes == 3, 255, classes))  # numbers stay numbers


def break_size(root):
    mask_file(root, np.zeros((41, 48), np.uint8))


def shades_that_are_numbers(root):
    (root / "classes.txt").write_text("a #ff0000\nb #000000\nc #010101")
    mask_file(root, np.eye(48, dtype=np.uint8)[:40])


def break_number(root):
    (root / "classes.txt").write_text("ground\nroad")
    mask_file(root, np.full((40, 48), 2, np.uint8))


def break_colour(root):
    (root / "classes.txt").write_text("ground #000000\nroad #804080")
    for number in range(4):
        mask_file(root, np.full((40, 48, 3), 9, np.uint8), f"{number}.png")


def empty_all(root):
    for number in range(4):
        mask_file(root, np.zeros((40, 48), np.uint8), f"{number}.png")


MISTAKES = {
    "nothing in any mask": (empty_all, "every mask is empty, so there is nothing to learn"),
    "sizes": (break_size, r"0\.png: the mask is 48 x 41 pixels and its image 48 x 40"),
    "a number without a class": (break_number, r"0\.png: has the number 2, but there are 2 classes"),
    "a colour without a class": (break_colour, r"0\.png: the colour #090909 at \(0, 0\) is no class's"),
    "colours without names": (
        lambda root: mask_file(root, np.zeros((40, 48, 3), np.uint8)),
        r"0\.png: is coloured, and nothing says what the colours mean",
    ),
    "things for classes": (
        lambda root: mask_file(root, np.full((40, 48), 300, np.uint16)),
        r"0\.png: has the number 300; if masks count things, say so \(--instances",
    ),
    "numbers with gaps": (
        lambda root: mask_file(root, np.full((40, 48), 128, np.uint8)),
        r"the masks have the numbers 0, 128, 255, and no pixel is 1; write classes\.txt",
    ),
    "white where 255 says nothing": (
        lambda root: (root / "classes.txt").write_text("ground\ncell"),
        "no pixel of a mask has a class but ground",
    ),
    "a negative number": (
        lambda root: (
            (root / "masks/0.png").unlink(),
            mask_file(root, np.full((40, 48), -1, np.int32), "0.tif"),
        ),
        r"0\.tif: has the number -1; the numbers of a mask are from 0",
    ),
    "a mask too few": (
        lambda root: (root / "masks/3.png").unlink(),
        r"there is no mask of the same name beside 3\.png",
    ),
    "a mask of another name": (
        lambda root: (root / "masks/3.png").rename(root / "masks/3_mask.png"),
        r"there is no mask of the same name beside 3\.png; .* \(3_mask\.png is another name",
    ),
    "a mask as JPEG": (
        lambda root: (root / "masks/3.png").rename(root / "masks/3.jpg"),
        r"there is no mask of the same name beside 3\.png; .* \(3\.jpg is none: JPEG and WebP change",
    ),
    "a palette upside down": (
        lambda root: (
            Image.fromarray(np.eye(48, dtype=np.uint8)[:40] * 255)
            .convert("1")
            .convert("RGB")
            .quantize(2)
            .save(root / "masks/0.png")
        ),
        r"0\.png: its palette is black and white, and 0, .* is white in it",
    ),
    "a number or a shade": (shades_that_are_numbers, r"0\.png: is grey, and 0 could be the number of 'a' or .* of 'b'"),
    "an image too few": (
        lambda root: (root / "images/3.png").unlink(),
        r"there is no image of the same name beside 3\.png",
    ),
    "two images of one name": (
        lambda root: (root / "images/3.jpg").write_bytes(b"x"),
        r"'3\.jpg' beside it has the same name",
    ),
    "no masks": (lambda root: (root / "masks").rename(root / "labels"), "has no folder 'masks'"),
    "a colour twice": (
        lambda root: (root / "classes.txt").write_text("a #000000\nb #000000"),
        r"classes\.txt, line 2: the colour #000000 is taken",
    ),
    "no colour": (
        lambda root: (root / "classes.txt").write_text("a #000000\nb #00"),
        r"classes\.txt, line 2: the colour #00 is not #rrggbb",
    ),
    "an empty line": (
        lambda root: (root / "classes.txt").write_text("ground\n\nroad\n"),
        r"classes\.txt, line 2: is empty, and the line of a name is its number",
    ),
    "one name": (lambda root: (root / "classes.txt").write_text("a\n"), "needs from 2 to 254 different names"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_name_the_file_and_the_remedy(tmp_path, what):
    root = cells(tmp_path / "data")
    MISTAKES[what][0](root)
    with pytest.raises(DataError, match=MISTAKES[what][1]):
        list(MaskFolder(root))


def test_every_mask_empty_is_nothing_to_learn(tmp_path, capsys):
    root = cells(tmp_path / "data")
    (root / "classes.txt").write_text("ground\nroad")
    for number in range(4):
        mask_file(root, np.zeros((40, 48), np.uint8), f"{number}.png")
    (root / "masks/2.png").write_bytes(b"nothing")
    (root / "masks/3.png").write_bytes(b"nothing either")
    assert main(["train", "--task", "segmentation", "--data", "folder", "--root", "data", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert "2 items cannot be used" in error
    assert "2.png" in error
    assert "3.png" in error


def test_samples_move_picture_and_mask_together():
    class One(tv.data.Dataset):
        classes = ("ground", "bright")

        def __len__(self):
            return 1

        def __getitem__(self, index):
            mask = np.random.default_rng(0).integers(0, 2, (30, 30))
            return np.repeat((mask * 255).astype(np.uint8)[:, :, None], 3, axis=2), mask

    prepared = Preprocessing(1, (48, 48), (0.5,), (0.5,))
    samples = Samples(One(), prepared, crop=True, augment=True, turns=True, times=5)
    assert len(samples) == 5
    assert in_words(*images_of(samples), "images of cells") == "1 images of cells, each 5 times an epoch"
    with random.use(random.stream(0, "samples")):
        drawn = [samples[index] for index in range(5)]
    for x, mask in drawn:
        assert (x.shape, mask.shape, x.dtype) == ((1, 48, 48), (48, 48), np.float32)
        assert (mask == 255).sum() == 48 * 48 - 30 * 30
        assert x[0][mask == 1].min() > x[0][mask == 0].max()
    assert len({mask.tobytes() for _, mask in drawn}) > 1
    large = Samples(One(), Preprocessing(3, (16, 16), (0.5,) * 3, (0.5,) * 3), crop=True)
    assert large[0][0].shape == (3, 16, 16)


COMMAND = ["train", "--task", "segmentation", "--data", "folder", "--root", "data", "--image-size", "32"]


def quick(*more):
    return main([*COMMAND, "--batch-size", "8", "--epochs", "2", "--threads", "1", "--quiet", *more])


def test_from_a_folder_to_a_picture(tmp_path, capsys):
    cells(tmp_path / "data/train", 6)
    cells(tmp_path / "data/test", 2)
    assert quick("--run", "runs/cells", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_images"] == 2
    assert result["test_dice"] == result["test_dice_by_class"]["object"] > 0.7
    assert [set(row) for row in result["history"]] == [
        {"epoch", "lr", "train_loss", "train_dice", "val_loss", "val_dice"}
    ] * 2
    page = (tmp_path / "runs/cells/report.html").read_text()
    assert page.count("<img") == 6
    assert "By class" in page
    assert main(["predict", "data/test/images", "--model", "runs/cells", "--save", "drawn", "--csv", "cells.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data/test/images/0.png  object ")
    assert np.array(Image.open("drawn/1.png")).shape == (40, 48, 3)
    again = ["predict", "data/test/images", "--model", "runs/cells", "--save", "data/test/images/drawn"]
    for _ in range(2):  # what the first has drawn is no picture to the second
        assert main(again) == 0
        assert [line.partition("  ")[0] for line in capsys.readouterr().out.splitlines()] == [
            line.partition("  ")[0] for line in lines
        ]
    assert {p.name for p in Path("data/test/images/drawn").iterdir()} >= {"0.png", "0-2.png"}
    assert not Path("data/test/images/drawn/0-3.png").exists()
    assert main([*again, "--overwrite"]) == 0
    capsys.readouterr()
    assert not Path("data/test/images/drawn/0-3.png").exists()
    assert main([*again[:-1], "data/test/images"]) == 2
    assert "is the picture itself" in capsys.readouterr().err
    before = Path("data/test/images/0.png").read_bytes()
    Image.open("data/test/images/1.png").save("data/test/images/0.jpg")
    assert main([*again[:1], "data/test/images/0.jpg", *again[2:-1], "data/test/images"]) == 2
    assert "lies beside 0.jpg" in capsys.readouterr().err
    Path("data/test/images/0.jpg").unlink()
    forgotten = ["predict", "--model", "runs/cells", "--csv", "data/test/images/0.png", "data/test/images/1.png"]
    assert main(forgotten) == 2
    assert "0.png: exists already; --overwrite replaces it" in capsys.readouterr().err
    assert Path("data/test/images/0.png").read_bytes() == before
    assert main(["predict", "data/test/images", "--model", "runs/cells", "--csv", "cells.csv", "--overwrite"]) == 0
    capsys.readouterr()
    rows = list(csv.DictReader((tmp_path / "cells.csv").open()))
    assert set(rows[0]) == {"file", "class", "area", "x", "y", "x1", "y1", "x2", "y2"}
    assert main(["predict", "data/test/images/1.png", "missing.png", "--model", "runs/cells", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert sum(found[0]["areas"].values()) == 40 * 48
    assert "missing.png" in found[1]["error"]
    assert main(["export", "runs/cells", "cells.onnx"]) == 0


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path):
    cells(tmp_path / "data", 6)
    assert quick("--run", "whole") == 0
    room = tasks.room("segmentation")
    description, settings = room.plan(tasks.Options(data="folder", root="data", image_size=32))
    parts = room.open(description, opening())
    with random.use(random.stream(0, "init")):
        model = room.begin(description, parts)

    def stop(row):
        raise KeyError

    settings |= {"epochs": 2, "batch_size": 8}
    with pytest.raises(KeyError):
        train.fit(model, parts.train, parts.val, run="parts", task=room.task(description), log=None, on_epoch=stop,
                  description=description, **settings)  # fmt: skip
    assert main(["train", "--resume", "parts", "--quiet", "--threads", "1"]) == 0
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def opening():
    from tinyvision.tasks.room import Opening
    from tinyvision.train.console import Reporter

    return Opening(None, 0, False, 10**6, Reporter())


def test_what_makes_no_sense_is_refused(tmp_path, capsys):
    cells(tmp_path / "data")
    for arguments, message in (
        (["--task", "segmentatoin"], "did you mean 'segmentation'"),
        (["--task", "segmentation", "--data", "digits"], "data 'digits' is unknown for segmentation"),
        (["--task", "segmentation", "--data", "folder"], "needs --root"),
        (["--task", "segmentation", "--model", "resnet18"], "known: unet"),
        (["--task", "segmentation", "--instances"], "about the masks of --data folder"),
        (["--task", "segmentation", "--backbone", "vgg16"], "backbone must be resnet18"),
        (["--task", "segmentation", "--label-smoothing", "0.1"], "label_smoothing=0.1 has no meaning"),
        (["--backbone", "resnet18"], "--backbone has no meaning for classification"),
        (
            ["--task", "segmentation", "--data", "nuclei", "--root", "."],
            r"img2d.tif: no such file; get it: pip install",
        ),
    ):
        assert main(["train", "--quiet", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert quick("--run", "run", "--epochs", "1") == 0
    for arguments, message in (
        (["train", "--resume", "run", "--task", "classification"], "--task was segmentation and is now classification"),
        (["predict", "data/images/0.png", "--model", "run", "--top", "3"], "--top is for networks that name classes"),
        (["predict", "data/images/0.png", "--model", "run", "--save", "data/images"], "needs another folder"),
        (["evaluate", "run", "data"], "is a network for segmentation"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="is a network for segmentation"):
        train.load_network("run")


def test_masks_that_do_not_fit_are_said_before_training():
    network = models.UNet(3, 2, width=2, depth=1)
    prepared = Preprocessing(3, (16, 16), (0.5,) * 3, (0.5,) * 3)
    shapes = Samples(ShapesMasks(4, size=16), prepared)
    with pytest.raises(ShapeError, match="one for each of 7 classes"):
        train.fit(network, shapes, task=Segmentation(shapes.classes), log=None)
    with pytest.raises(DataError, match="a mask has class"):
        train.fit(network, shapes, task=Segmentation(["ground", "thing"]), log=None)
    with pytest.raises(OptionError, match="at least one more"):
        Segmentation(["ground"])


def test_shapes_and_nuclei_know_their_things():
    shapes = ShapesMasks(3)
    image, mask = shapes[0]
    assert np.array_equal(shapes.things(0) > 0, mask > 0)
    assert (mask.max() <= 6, image.shape) == (True, (64, 64, 3))


def test_nuclei():
    try:
        left, right = Nuclei(True), Nuclei(False)
    except DataError as error:
        pytest.skip(str(error))
    assert len(np.unique(right.things(0))) - 1 == 57
    image, mask = left[0]
    assert (image.shape, mask.shape) == ((512, 256, 3), (512, 256))
    assert image[mask == 1].mean() > 2 * image[mask == 0].mean()


def test_a_class_in_specks_has_no_region():
    mask = np.zeros((20, 20), int)
    mask[3, 3], mask[8:18, 8:18] = 1, 2
    line = Mask(mask, ["ground", "a", "b"], tasks.masks.regions(mask, 4)[1]).line()
    assert line == "a 0.2% in specks alone, too small for a region, b 25.0% in 1 region"


def test_an_overlay_shows_the_mask_and_leaves_the_rest():
    image = np.full((12, 12, 3), 100, np.uint8)
    mask = np.zeros((12, 12), int)
    mask[2:9, 2:9] = 1
    drawn = overlay(image, mask, 2)
    assert (drawn[mask == 0] == 100).sum() > 0.7 * 3 * (mask == 0).sum()
    assert (drawn[5, 5] != drawn[2, 5]).any()
    assert (drawn[5, 5] != 100).any()
    assert np.array_equal(overlay(image, mask * 0, 2), image)


def test_several_classes_come_with_a_key_below_the_picture(tmp_path):
    image = np.full((30, 20, 3), 100, np.uint8)
    mask = np.zeros((30, 20), int)
    mask[:10], mask[20:] = 1, 3
    found = Mask(mask, ["background", "road", "sky", "a car"], [])
    drawn = found.drawn(image)
    assert np.array_equal(drawn[:30, :20], overlay(image, mask, 4))  # the picture itself keeps every pixel
    below = drawn[30:].reshape(-1, 3)
    colours = [tuple(COLOURS[label - 1]) for label in (1, 2, 3)]
    assert [bool((below == colour).all(1).any()) for colour in colours] == [True, False, True]
    assert (below == 0).all(1).any()  # letters
    assert found.drawn(image * 0 + 255).shape == drawn.shape
    one = Mask(mask.clip(0, 1), ["background", "cell"], [])
    assert one.drawn(image).shape == image.shape  # one class needs no key
    assert Mask(mask * 0, found.classes, []).drawn(image).shape == image.shape
