"""Detection from data to picture: targets, the loss beside PyTorch, files and their mistakes, training, drawing."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision_oracle import torchvision

import tinyvision as tv
from tinyvision import boxes as box_functions
from tinyvision import models, random, tasks, train
from tinyvision.cli import main
from tinyvision.errors import DataError, OptionError, ShapeError
from tinyvision.tasks.colours import COLOURS
from tinyvision.tasks.detection import (
    Detection,
    DigitsOnPhotographs,
    Samples,
    ShapesBoxes,
    VocBoxes,
    YoloBoxes,
    boxes_drawn,
    decode,
    letterboxed,
    targets,
)
from tinyvision.tasks.detection.average_precision import Boxes
from tinyvision.train.preprocessing import Preprocessing

PLAIN = Preprocessing(3, (48, 48), (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder, and no curves, which take longer than the training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


TWO = np.array([[[4, 8, 36, 40], [28, 20, 44, 30]], [[0, 0, 48, 48], [0, 0, 0, 0]]], np.float32)
NAMES = np.array([[1, 0], [-2, -1]])


def test_targets_are_bumps_and_the_smaller_thing_comes_first():
    wanted = targets(TWO, NAMES, 2, (12, 12))
    assert wanted.things == 2
    assert (wanted.heat[0, 1] == 1).sum() == (wanted.heat[0, 0] == 1).sum() == 1
    assert wanted.heat[0, 1, 6, 5] == 1  # the centre (20, 24)
    assert wanted.heat[0, 0, 6, 9] == 1  # (36, 25)
    assert 0 < wanted.heat[0, 1, 6, 6] < 1
    assert wanted.known[0].all()
    assert not wanted.known[1].any()  # a crowd fills the second picture
    assert not wanted.heat[1].any()
    at = dict(zip(wanted.places.tolist(), wanted.boxes.tolist(), strict=True))
    assert at[6 * 12 + 9] == [28, 20, 44, 30]
    assert at[6 * 12 + 5] == [4, 8, 36, 40]
    assert wanted.middles[list(at).index(6 * 12 + 5)].tolist() == [22, 26, 22, 26]


def test_the_loss_and_its_gradient_are_pytorchs():
    ops = torchvision.ops
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(2, 6, 12, 12))
    wanted = targets(TWO, NAMES, 2, (12, 12))
    x = torch.tensor(outputs, requires_grad=True)
    heat, p = torch.tensor(wanted.heat), x[:, :2].sigmoid()
    at = heat == 1
    loss = -((1 - p[at]) ** 2 * p[at].log()).sum()
    rest = (1 - heat) ** 4 * p**2 * (1 - p).log() * torch.tensor(wanted.known)
    loss = (loss - rest[~at].sum()) / 2
    rows = x[:, 2:].permute(0, 2, 3, 1).reshape(-1, 4)[torch.tensor(wanted.places)]
    guessed = torch.tensor(wanted.middles) + 4 * rows.exp() * torch.tensor([-1.0, -1, 1, 1])
    each = ops.generalized_box_iou_loss(guessed, torch.tensor(wanted.boxes, dtype=torch.float64))
    weights = torch.tensor(wanted.weights)
    loss = loss + 2 * (each * weights).sum() / weights.sum()
    loss.backward()
    ours = tv.tensor(outputs, requires_grad=True)
    mine = Detection(["a", "b"]).loss_for(train.Settings())(ours, {"boxes": tv.tensor(TWO), "labels": tv.tensor(NAMES)})
    mine.backward()
    assert mine.item() == pytest.approx(loss.item(), rel=1e-9)
    np.testing.assert_allclose(ours.grad.numpy(), x.grad.numpy(), atol=1e-9)


def test_a_picture_without_things_has_a_loss_too():
    outputs = tv.tensor(np.zeros((1, 5, 12, 12)), requires_grad=True)
    empty = {"boxes": tv.tensor(np.zeros((1, 1, 4), np.float32)), "labels": tv.tensor(np.array([[-1]]))}
    loss = Detection(["a"]).loss_for(train.Settings())(outputs, empty)
    loss.backward()
    assert loss.item() == pytest.approx(144 * 0.25 * np.log(2))
    assert np.abs(outputs.grad.numpy()[:, 1:]).max() == 0


def test_what_is_encoded_is_decoded():
    wanted = targets(TWO, NAMES, 2, (12, 12))
    outputs = np.full((2, 6, 12, 12), -9.0)
    outputs[:, :2] = np.where(wanted.heat > 0, wanted.heat * 8 - 4, -9)
    reach = np.abs(wanted.boxes - wanted.middles) / 4
    for place, distances in zip(wanted.places, reach, strict=True):
        n, rest = divmod(int(place), 144)
        outputs[n, 2:, rest // 12, rest % 12] = np.log(np.maximum(distances, 1e-3))
    first, second = decode(outputs, (48, 48), least=0.5)
    assert len(second) == 0
    assert first.labels.tolist() == [0, 1] or first.labels.tolist() == [1, 0]
    order = np.argsort(-first.labels)
    np.testing.assert_allclose(first.boxes[order], TWO[0], atol=1e-4)
    assert first.scores == pytest.approx(1 / (1 + np.exp(-4)))
    wild = decode(np.full((1, 6, 12, 12), 1e4), (48, 48))[0]
    assert np.isfinite(wild.boxes).all()


def test_soft_suppression_lowers_and_keeps():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 40, (20, 2))
    boxes, scores = np.concatenate([corners, corners + rng.uniform(5, 30, (20, 2))], 1), rng.random(20)
    left, expected = dict(enumerate(scores)), []
    while left and max(left.values()) >= 0.05:
        best = max(left, key=left.get)
        expected.append((best, left.pop(best)))
        for other in left:
            iou = box_functions.box_iou(boxes[best : best + 1], boxes[other : other + 1]).item()
            left[other] *= np.exp(-(iou**2) / 0.3)
    kept, lowered = box_functions.soft_nms(boxes, scores, sigma=0.3, least=0.05)
    assert kept.tolist() == [index for index, _ in expected]
    assert lowered.numpy() == pytest.approx([score for _, score in expected])
    assert box_functions.soft_nms(np.zeros((0, 4)), np.zeros(0))[0].shape == (0,)
    with pytest.raises(OptionError, match="sigma must be above 0"):
        box_functions.soft_nms(boxes, scores, sigma=0)
    with pytest.raises(ShapeError, match="expected boxes"):
        box_functions.soft_nms(boxes, scores[1:])


@pytest.mark.parametrize("zoom", [0.6, 1.0, 1.7])
def test_boxes_move_with_their_picture(zoom):
    image = np.zeros((30, 60, 3), np.uint8)
    image[10:20, 20:50] = 255
    rng = np.random.default_rng(1)
    for _ in range(5):
        square, scale, shift = letterboxed(image, (64, 64), zoom, rng.uniform(0, 1, 2))
        box = np.array([20, 10, 50, 20]) * scale + np.tile(shift, 2)
        bright = np.argwhere(square[..., 0] > 180)
        if len(bright):
            (y1, x1), (y2, x2) = bright.min(0), bright.max(0) + 1
            assert np.abs(np.clip(box, 0, 64) - [x1, y1, x2, y2]).max() <= 1.5
        assert square.shape == (64, 64, 3)
    square, scale, shift = letterboxed(image, (64, 64))
    assert (square[:32, :] != 114).any()
    assert (square[33:] == 114).all()


def test_samples_are_mirrored_with_their_boxes():
    class One(tv.data.Dataset):
        classes = ("thing",)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            image = np.zeros((48, 48, 3), np.uint8)
            image[4:20, 2:12] = 255
            return image, {"boxes": np.array([[2, 4, 12, 20]], np.float32), "labels": np.array([0])}

    samples, seen = Samples(One(), PLAIN, augment=True, flips=True), set()
    with random.use(random.stream(0, "samples")):
        for _ in range(12):
            x, target = samples[0]
            assert (x.shape, x.dtype) == ((3, 48, 48), np.float32)
            for x1, y1, x2, y2 in np.round(target["boxes"]).astype(int):
                inside, whole = x[0, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1], x[0]
                assert inside.min() > whole.mean() + 0.5
                seen.add(x1 < 24)
    assert seen == {True, False}


def test_labels_stand_above_their_boxes_or_within_their_top():
    boxes = Boxes([[10, 20, 30, 40], [0, 0, 30, 30], [70, 50, 80, 60]], [0, 1, 2], [0.9, 0.8, 0.7])
    plain = boxes_drawn(np.zeros((60, 80, 3), np.uint8), boxes)
    drawn = boxes_drawn(np.zeros((60, 80, 3), np.uint8), boxes, ["a", "b", "a long name"])
    assert plain.shape == drawn.shape == (360, 480, 3)
    np.testing.assert_array_equal(plain[120, 60:181], [COLOURS[0]] * 121)  # the upper edge of the first box
    changed = (plain != drawn).any(2)
    assert changed[100:120, 60:70].any()
    assert not changed[125:235, 65:175].any()  # what is in the first box is seen
    assert changed[3:20, 3:12].any()  # there is no room above the second
    assert changed[280:300, 400:420].any()  # the third is moved to the left, to end within the picture
    large = boxes_drawn(np.zeros((600, 800, 3), np.uint8), boxes, None)
    assert large.shape == (600, 800, 3)
    assert boxes_drawn(np.zeros((600, 800, 3), np.uint8), boxes, None, side=400).shape == (300, 400, 3)
    nothing = np.zeros((600, 800, 3), np.uint8)
    np.testing.assert_array_equal(boxes_drawn(nothing, Boxes([], [])), nothing)


def test_digits_lie_where_their_boxes_say():
    try:
        train_part, test_part = DigitsOnPhotographs(20), DigitsOnPhotographs(20, train=False)
    except DataError as error:
        pytest.skip(str(error))
    for part in (train_part, test_part):
        image, target = part[3]
        assert (image.shape, image.dtype) == ((96, 96, 3), np.uint8)
        assert 1 <= len(target["labels"]) <= 4
        assert (target["boxes"] >= 0).all()
        assert (target["boxes"] <= 96).all()
        assert np.array_equal(image, part[3][0])
    pixels = {p.tobytes() for p in train_part.photographs}
    assert not pixels & {p.tobytes() for p in test_part.photographs}


def picture(path, size=(48, 64), things=((5, 6, 20, 30),)):
    """A dark picture with bright boxes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3), 40, np.uint8)
    for x1, y1, x2, y2 in things:
        pixels[y1:y2, x1:x2] = 220
    Image.fromarray(pixels).save(path)


def yolo(root, lines=("0 0.2 0.4 0.3 0.5",), names="dog\ncat\n"):
    picture(root / "images/a.png")
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels/a.txt").write_text("\n".join(lines))
    (root / "classes.txt").write_text(names)
    return root


def test_yolo_files(tmp_path):
    root = yolo(tmp_path, ("1 0.25 0.5 0.5 0.25", "", "0 0.5 0.5 1 1"))
    picture(root / "images/empty.png")
    dataset = YoloBoxes(root)
    _, target = dataset[0]
    assert dataset.classes == ["dog", "cat"]
    assert target["labels"].tolist() == [1, 0]
    assert target["boxes"].tolist() == [[0, 18, 32, 30], [0, 0, 64, 48]]
    assert len(dataset[1][1]["labels"]) == 0
    for lines, message in (
        (["2 0.5 0.5 0.1 0.1"], r"a\.txt, line 1: class 2; classes.txt names 2, from 0"),
        (
            ["0 0.5 0.5 0.1 0.1", "0 5 5 20 20"],
            r"line 2: the box reaches out of its picture; x, y, width and height are",
        ),
        (["0 0.5 0.5 -0.1 0.1"], "line 1: width and height must be above 0"),
        (["0 0.5 0.5 nan 0.1"], 'line 1: expected "class x y width height"'),
        (["0 0,5 0,5 0,1 0,1"], "line 1: expected .* four with a decimal point"),
        (["0 0.5 0.5 0.1 1_0"], "line 1: expected"),
        (["0 0.5 0.5 0.1 0.1 0.9"], "line 1: expected"),
        (["0.5 0.5 0.5 0.1 0.1"], "line 1: expected"),
        (["dog 0.5 0.5 0.1 0.1"], r"line 1: expected .*, got .dog"),
        (["0 0.5 0.5 0.1"], "line 1: expected"),
        ([""], "no file has a box, so there is nothing to learn"),
    ):
        with pytest.raises(DataError, match=message):
            YoloBoxes(yolo(tmp_path, lines))
    for names, message in (
        ("dog\ndog\n", "needs names that differ"),
        (" \n", "needs names"),
        ("", "is empty"),
        ("dog\n\ncat\n", "line 2: is empty, and the line of a name is its number"),
    ):
        with pytest.raises(DataError, match=rf"classes\.txt.*{message}"):
            YoloBoxes(yolo(tmp_path, names=names))
    with_mark = yolo(tmp_path)
    (with_mark / "labels/a.txt").write_bytes(b"\xef\xbb\xbf1 0.5 0.5 0.1 0.1\r\n")
    assert YoloBoxes(with_mark)[0][1]["labels"].tolist() == [1]
    (with_mark / "labels/a.txt").write_bytes(b"1 0.5 0.5 0.1 0.1\n\xe4")
    with pytest.raises(DataError, match=r"a\.txt, line 2: is no text in UTF-8"):
        YoloBoxes(with_mark)
    yolo(tmp_path)
    (tmp_path / "labels/b.txt").write_text("")
    with pytest.raises(DataError, match=r"no picture has the name of b\.txt"):
        YoloBoxes(tmp_path)
    (tmp_path / "labels/b.txt").unlink()
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"has no classes\.txt; write the names"):
        YoloBoxes(tmp_path)


OBJECT = "<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"  # noqa: E501


@pytest.mark.parametrize("names", [["ant", "dog"], ["dog", "ant"]])
def test_a_crowd_is_one_of_its_own_class(tmp_path, names):
    """Three dogs are found: the one there is, and two in a crowd of dogs, which are neither right nor wrong."""
    voc(tmp_path, one("dog", 3, 3, 18, 18), one("dog", 31, 1, 64, 48, hard=1), one("ant", 1, 40, 4, 44))
    dataset = VocBoxes(tmp_path, classes=names)
    _, target = dataset[0]
    dog = names.index("dog")
    assert target["labels"].tolist() == [dog, -2 - dog, 1 - dog]
    outputs = np.full((1, 6, 16, 16), -9.0, np.float32)
    outputs[:, 2:] = np.log(8 / 4)  # boxes of 16 x 16 pixels
    for row, column in ((2, 2), (2, 10), (9, 12)):
        outputs[0, dog, row, column] = column
    judge = Detection(names).judge()
    judge.add(tv.Tensor.of(outputs), {k: tv.Tensor.of(v[None]) for k, v in target.items()})
    found = judge.judgement(np.concatenate).precision
    assert found.by_class.tolist() == [float(k == dog) for k in range(2)]


def voc(root, *objects, before=""):
    picture(root / "JPEGImages/a.png")
    (root / "Annotations").mkdir(exist_ok=True)
    text = f"{before}<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>"
    (root / "Annotations/a.xml").write_text(f"{text}{''.join(objects)}</annotation>")
    return root


def one(name, *box, hard=0):
    return OBJECT.format(*box, name=name, hard=hard)


def test_voc_files(tmp_path):
    dataset = VocBoxes(voc(tmp_path, one("dog", 1, 1, 10, 20), one("ant", 5, 6, 64, 48, hard=1)))
    assert dataset.classes == ["ant", "dog"]
    _, target = dataset[0]
    assert target["boxes"].tolist() == [[0, 0, 10, 20], [4, 5, 64, 48]]
    assert target["labels"].tolist() == [1, -2]  # an ant, class 0
    for objects, before, message in (
        ([one("dog", 10, 1, 5, 20)], "", r"a\.xml: object 1: bndbox: \(9, 0\) to \(5, 20\) has no area"),
        ([one("dog", 1, 1, 100, 20)], "", "object 1: bndbox: .* reaches out of its picture of 64 x 48"),
        ([one("", 1, 1, 10, 20)], "", "object 1: has no name"),
        ([one("dog", 1, "x", 10, 20)], "", "object 1: ymin must be a number with a decimal point, got 'x'"),
        ([one("dog", 1, "2,5", 10, 20)], "", "object 1: ymin must be a number with a decimal point, got '2,5'"),
        ([one("dog", 1, 1, 10, 20, hard="yes")], "", "object 1: difficult is 0 or 1, got 'yes'"),
        (["<object><name>dog</name></object>"], "", r"object 1: has no <bndbox>"),
        (["<object><name>dog</name><bndbox><xmin>1</xmin></bndbox></object>"], "", "object 1: has no <ymin>"),
        ([], '<?xml version="1.0" encoding="klingon"?>', "is not XML: unknown encoding"),
        ([], "", "no file has an object"),
        ([one("dog", 1, 1, 10, 20, hard=1)], "", "all objects are difficult, so there is nothing to learn"),
        ([one("dog", 1, 1, 5, 5)], '<!DOCTYPE a [<!ENTITY b "c">]>', "entities, which annotations do not need"),
        (["<object>"], "", "is not XML"),
    ):
        with pytest.raises(DataError, match=message):
            VocBoxes(voc(tmp_path, *objects, before=before))
    text = (voc(tmp_path, one("dog", 1, 1, 10, 20)) / "Annotations/a.xml").read_text()
    for wrong, message in ((text.replace("<width>64", "<width>0"), "got 0 and 48"), ("<a/>", "has no <size>")):
        (tmp_path / "Annotations/a.xml").write_text(wrong)
        with pytest.raises(DataError, match=rf"a\.xml: .*{message}"):
            VocBoxes(tmp_path)
    for encoding in ("utf-16", "utf-16-be"):  # entities are seen in every encoding
        bomb = f'<?xml version="1.0" encoding="{encoding[:6]}"?><!DOCTYPE a [<!ENTITY b "cc">]>{text}'
        (tmp_path / "Annotations/a.xml").write_bytes(bomb.encode(encoding))
        with pytest.raises(DataError, match="entities, which annotations do not need"):
            VocBoxes(tmp_path)
    for file in ("a.xml", "b.xml"):
        (tmp_path / "Annotations" / file).write_text(text)
    with pytest.raises(DataError, match=r"b\.xml: is about a\.png, as a\.xml is"):
        VocBoxes(tmp_path)
    (tmp_path / "Annotations/b.xml").unlink()
    picture(tmp_path / "JPEGImages/lonely.png")
    assert VocBoxes(tmp_path).left_out == ["lonely.png"]
    with pytest.raises(DataError, match=r"classes .*zebra.* are not in the training part"):
        VocBoxes(voc(tmp_path, one("zebra", 1, 1, 10, 20)), ["dog"])
    (tmp_path / "JPEGImages/a.png").unlink()
    with pytest.raises(DataError, match=r"a\.xml: its picture .* is missing"):
        VocBoxes(tmp_path)


@pytest.mark.parametrize("shape", ["[2, 2]", "[2, 3] # x, y, visible"])
def test_key_points_behind_a_box_are_no_polygon(tmp_path, shape):
    points = " .3 .3 .6 .6" if "2]" in shape else " .3 .3 1 .6 .6 0"
    root = yolo(tmp_path, ("0 .5 .5 .25 .5" + points, "0 .5 .5 1 1"))
    (root / "data.yaml").write_text(f"kpt_shape: {shape}\nnames: [dog, cat]\n")
    (root / "classes.txt").unlink()
    assert YoloBoxes(root)[0][1]["boxes"].tolist() == [[24, 12, 40, 36], [0, 0, 64, 48]]
    (root / "labels/a.txt").write_text("0 .1 .1 .5 .1 .5 .5\n")
    with pytest.raises(DataError, match=r"line 1: expected .*and [46] more, as kpt_shape says"):
        YoloBoxes(root)
    (root / "data.yaml").write_text("kpt_shape: many\nnames: [dog, cat]\n")
    with pytest.raises(DataError, match=r"data\.yaml: kpt_shape is \[points, 2 or 3\]"):
        YoloBoxes(root)


def test_what_a_mac_keeps_beside_annotations_is_none(tmp_path):
    root = yolo(tmp_path / "yolo", ("1 0.25 0.5 0.5 0.25",))
    (root / "labels/._a.txt").write_bytes(b"\0\5\26\7")
    assert len(YoloBoxes(root)) == 1
    box = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
    text = f"<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>{box}</annotation>"
    picture(tmp_path / "voc/JPEGImages/a.png")
    (tmp_path / "voc/Annotations").mkdir()
    (tmp_path / "voc/Annotations/a.xml").write_text(text)
    for place in ("._a.xml", "Annotations/._a.xml"):
        (tmp_path / "voc" / place).write_bytes(b"\0\5\26\7")
    assert len(VocBoxes(tmp_path / "voc")) == 1


def coco(root, count):
    rng, images, annotations = np.random.default_rng(count), [], []
    for number in range(count):
        x, y = int(rng.integers(0, 30)), int(rng.integers(0, 30))
        picture(root / "images" / f"{number}.png", (48, 48), [(x, y, x + 16, y + 14)])
        images.append({"id": number, "file_name": f"{number}.png", "height": 48, "width": 48})
        annotations.append({"id": number, "image_id": number, "category_id": 5, "bbox": [x, y, 16, 14]})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 5, "name": "box"}]}
    (root / "annotations.json").write_text(json.dumps(content))


COMMAND = ["train", "--task", "detection", "--data", "coco", "--root", "data", "--image-size", "48"]


def quick(*more):
    return main([*COMMAND, "--threads", "1", "--quiet", *more])


def test_from_a_coco_file_to_a_picture(tmp_path, capsys):
    coco(tmp_path / "data/train", 16)
    coco(tmp_path / "data/test", 4)
    assert quick("--run", "runs/boxes", "--epochs", "12", "--lr", "0.01", "--batch-size", "4", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_images"] == 4
    assert result["test_ap50"] > 0.5
    assert result["test_map_by_area"]["large"] is None
    assert set(result["history"][0]) == {"epoch", "lr", "train_loss", "train_centres", "val_loss", "val_map"}
    assert (tmp_path / "runs/boxes/report.html").read_text().count("<img") == 8
    command = ["predict", "data/test/images", "--model", "runs/boxes"]
    assert main([*command, "--save", "drawn", "--csv", "boxes.csv"]) == 0
    assert "  box ×1 (" in capsys.readouterr().out
    assert np.array(Image.open("drawn/3.png")).shape == (480, 480, 3)  # enlarged, for labels that can be read
    rows = list(csv.DictReader((tmp_path / "boxes.csv").open()))
    assert list(rows[0]) == ["file", "class", "score", "x1", "y1", "x2", "y2"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["boxes"][0]["class"] == "box"
    assert main(["export", "runs/boxes", "boxes.onnx"]) == 0


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path):
    coco(tmp_path / "data", 6)
    options = ("--epochs", "2", "--batch-size", "3")
    assert quick("--run", "whole", *options) == 0
    from tinyvision.tasks.room import Opening
    from tinyvision.train.console import Reporter

    room = tasks.room("detection")
    description, settings = room.plan(tasks.Options(data="coco", root="data", image_size=48))
    parts = room.open(description, Opening(None, 0, False, 10**6, Reporter()))
    with random.use(random.stream(0, "init")):
        model = room.begin(description, parts)

    def stop(row):
        raise KeyError

    settings |= {"epochs": 2, "batch_size": 3}
    with pytest.raises(KeyError):
        train.fit(model, parts.train, parts.val, run="parts", task=room.task(description), log=None, on_epoch=stop,
                  description=description, **settings)  # fmt: skip
    assert main(["train", "--resume", "parts", "--quiet", "--threads", "1"]) == 0
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_what_makes_no_sense_is_refused(capsys):
    for arguments, message in (
        (["--data", "digits"], "data 'digits' is unknown for detection"),
        (["--data", "voc"], "needs --root"),
        (["--root", "."], "takes no root"),
        (["--model", "resnet18"], "known: centre-detector"),
        (["--image-size", "50"], "must be a multiple of 16"),
        (["--backbone", "vgg16"], "backbone must be resnet18"),
        (["--instances"], "--instances has no meaning for detection"),
        (["--label-smoothing", "0.1"], "label_smoothing=0.1 has no meaning"),
    ):
        assert main(["train", "--task", "detection", "--quiet", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_boxes_that_do_not_fit_are_said_before_training():
    shapes = Samples(ShapesBoxes(4, size=48), PLAIN)
    with pytest.raises(ShapeError, match=r"6 classes the model must give \(2, 10, 12, 12\)"):
        train.fit(models.CentreDetector(2, width=8), shapes, task=Detection(shapes.classes), log=None)
    with pytest.raises(DataError, match="a box has label"):
        train.fit(models.CentreDetector(1, width=8), shapes, task=Detection(["a"]), log=None)
    with pytest.raises(OptionError, match="there are no classes"):
        Detection([])


@pytest.mark.parametrize("backbone", [None, "resnet18"])
def test_the_onnx_file_computes_the_same(tmp_path, backbone):
    ort = pytest.importorskip("onnxruntime")
    with random.use(random.stream(0, "detector")):
        network = models.CentreDetector(3, width=8, backbone=backbone).eval()
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 32)).astype(np.float32)
    tv.interop.export(network, x[:1], tmp_path / "detector.onnx")
    session = ort.InferenceSession(str(tmp_path / "detector.onnx"), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    with tv.no_grad():
        ours = network(tv.tensor(x)).numpy()
    assert ours.shape == (2, 7, 16, 8)
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(ours).max()


def test_the_detector_takes_what_its_docstring_says():
    assert sum(p.numel() for p in models.CentreDetector(10).parameters()) == 359_824
    x = tv.tensor(np.zeros((1, 3, 50, 65), np.float32))
    assert models.CentreDetector(2, width=8)(x).shape == (1, 6, 13, 17)
    with pytest.raises(ShapeError, match="at least 16 pixels"):
        models.CentreDetector(2, width=8)(tv.tensor(np.zeros((1, 3, 15, 65), np.float32)))
    for options, message in (
        ({"num_classes": 0}, "num_classes must be an integer from 1"),
        ({"weights": "DEFAULT"}, "weights are a backbone's"),
        ({"backbone": "alexnet"}, "backbone must be resnet18"),
    ):
        with pytest.raises(OptionError, match=message):
            models.CentreDetector(**options)
