"""COCO's files: polygons and run lengths beside pycocotools, and every kind of mistake named with its entry."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from tinyvision.errors import DataError
from tinyvision.tasks.coco import Coco, decoded

coder = pytest.importorskip("pycocotools.mask", reason="the oracle, pycocotools, is not installed")


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_pycocotools(seed):
    mask = np.random.default_rng(seed).random((37, 53)) < (0.02, 0.5, 0.98, 0.0)[seed]
    packed = coder.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": list(packed["size"]), "counts": packed["counts"].decode()}
    assert np.array_equal(decoded(text, (37, 53), "x"), mask)
    runs = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [2]]).astype(int))) if mask.any() else [37 * 53]
    counts = np.diff([0, *runs]).tolist()
    assert np.array_equal(decoded({"size": [37, 53], "counts": counts}, (37, 53), "x"), mask)


@pytest.mark.parametrize(
    "polygon",
    [
        [1, 1, 3, 1, 3, 3, 1, 3],
        [0, 0, 40, 0, 40, 30, 0, 30],
        [-1.5, 4, 12, 4, 12, 31.5, -1.5, 31.5],
        [2, 2, 20, 2, 20, 12, 10, 12, 10, 6, 6, 6, 6, 12, 2, 12],
        [5, 5, 25, 5, 25, 25, 5, 25, 5, 5, 10, 10, 10, 20, 20, 20, 20, 10, 10, 10],
    ],
    ids=["square", "all", "beyond", "with a notch", "with a hole"],
)
def test_polygons_with_upright_edges_are_pycocotools(polygon):
    theirs = coder.decode(coder.frPyObjects([list(map(float, polygon))], 30, 40))[:, :, 0]
    assert np.array_equal(decoded([polygon], (30, 40), "x"), theirs.astype(bool))


@pytest.mark.parametrize("radius", [3, 6, 12, 40])
def test_polygons_are_as_large_as_they_are(radius):
    """COCO rounds slanting edges to fifths of a pixel: only pixels that such an edge meets may fall to either side."""
    size, rng, areas, masks = (2 * radius + 10,) * 2, np.random.default_rng(radius), [], []
    for _ in range(60):
        turns = np.sort(rng.uniform(0, 2 * np.pi, 9))
        reach, middle = radius * rng.uniform(0.6, 1, 9), radius + 4 + rng.random()
        x, y = middle + reach * np.cos(turns), middle + reach * np.sin(turns)
        polygon = np.stack([x, y], 1).ravel().tolist()
        ours = decoded([polygon], size, "x")
        theirs = coder.decode(coder.frPyObjects([polygon], *size))[:, :, 0].astype(bool)
        row, column = np.nonzero(ours != theirs)
        for a, b in zip(row, column, strict=True):
            assert _distance((b + 0.5, a + 0.5), x, y) < 0.8
        areas.append(abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
        masks.append(ours.sum())
    assert sum(masks) == pytest.approx(sum(areas), rel=0.03)


def _distance(point, x, y):
    """Of a point from the nearest edge of a polygon."""
    start, way = np.stack([x, y], 1), np.stack([np.roll(x, -1) - x, np.roll(y, -1) - y], 1)
    along = np.clip(((point - start) * way).sum(1) / (way**2).sum(1), 0, 1)
    return np.linalg.norm(start + along[:, None] * way - point, axis=1).min()


GOOD = {
    "images": [{"id": 10, "file_name": "a.png", "height": 30, "width": 40}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [2, 3, 10, 12], "iscrowd": 0},
        {"id": 2, "image_id": 10, "category_id": 1, "bbox": [30, 20, 10.5, 10], "iscrowd": 1},
    ],
}


def written(tmp_path, change=lambda content: None):
    content = copy.deepcopy(GOOD)
    change(content)
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    return tmp_path / "annotations.json"


def test_labels_follow_the_ids_and_rounding_outside_is_cut(tmp_path):
    coco = Coco(written(tmp_path))
    assert coco.classes == ["background", "dog", "cat"]
    first, second = coco.pictures[0].things
    assert (first.label, first.box, first.crowd) == (2, (2, 3, 12, 15), False)
    assert (second.label, second.box, second.crowd) == (1, (30, 20, 40, 30), True)
    assert coco.pictures[0].path == tmp_path / "a.png"
    assert [first.area, second.area] == [120, 100]
    assert Coco(written(tmp_path, annotation(area=77.5))).pictures[0].things[0].area == 77.5


def test_what_programs_write_for_names_and_sizes(tmp_path):
    """Folders as on Windows, names seen from the annotations, sizes with a decimal point."""
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "images/a.png")
    for name in ("images\\a.png", "images/a.png", "a.png"):
        coco = Coco(written(tmp_path, lambda c, n=name: c["images"][0].update(file_name=n, height=30.0, width=40.0)))
        assert coco.pictures[0].path == tmp_path / "images/a.png"
        assert coco.pictures[0].size == (30, 40)
    with pytest.raises(DataError, match="below the images' folder"):
        Coco(written(tmp_path, lambda c: c["images"][0].update(file_name="..\\a.png")))


def annotation(**values):
    return lambda content: content["annotations"][0].update(values)


MISTAKES = {
    "no annotations": (lambda c: c.update(annotations=[]), '"annotations" is empty'),
    "no list": (lambda c: c.pop("images"), 'COCO\'s format has the lists "images"'),
    "no such image": (annotation(image_id=11), r"annotations\[0\] \(id 1\): image_id 11 is no image's id"),
    "no such category": (annotation(category_id=0), r"category_id 0 is no category's id \(known: 1, 3\)"),
    "a duplicate id": (annotation(id=2), r"annotations\[1\] \(id 2\): the id is taken"),
    "a negative size": (annotation(bbox=[2, 3, -10, 12]), "has no area"),
    "corners for sizes": (annotation(bbox=[20, 3, 30, 15]), r"reaches out of its picture of 40 x 30"),
    "not a number": (annotation(bbox=[2, 3, float("nan"), 1]), "not finite"),
    "three numbers": (annotation(bbox=[2, 3, 1]), r"bbox is \[x, y, width, height\]"),
    "two images of one id": (lambda c: c["images"].append(c["images"][0]), r"images\[1\]: id 10 is taken"),
    "out of the folder": (lambda c: c["images"][0].update(file_name="../a.png"), "below the images' folder"),
    "no size": (lambda c: c["images"][0].update(height=0), "whole numbers from 1"),
    "two categories of one id": (lambda c: c["categories"][1].update(id=3), r"id 3 is taken by 'cat'"),
    "no box": (lambda c: c["annotations"][0].pop("bbox"), 'has no "bbox"'),
    "crowds alone": (annotation(iscrowd=1), '"annotations" marks crowds alone'),
    "a category as text": (annotation(category_id="3"), r"category_id '3' is no category's id \(known: 1, 3\)"),
    "two categories of one name": (lambda c: c["categories"][1].update(name="cat"), "the name 'cat' is taken"),
    "a number beyond all": (annotation(bbox=[2, 3, 10**400, 1]), "not finite"),
    "a name that is none": (lambda c: c["categories"][1].update(name=None), r"categories\[1\]: name must be a text"),
    "an area that is none": (annotation(area=-1), "area is the thing's pixels, a number from 0, got -1"),
    "an image as text": (annotation(image_id="10"), r"image_id '10' is no image's id"),
    "a broken pixel": (lambda c: c["images"][0].update(width=40.5), "whole numbers from 1"),
    "a crowd of two": (annotation(iscrowd=2), "iscrowd is 0 or 1"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_named_with_their_entry(tmp_path, what):
    change, message = MISTAKES[what]
    with pytest.raises(DataError, match=message) as caught:
        Coco(written(tmp_path, change))
    assert "annotations.json: " in str(caught.value)


def test_damaged_files_and_segmentations(tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text('{"images": [')
    with pytest.raises(DataError, match="is not JSON"):
        Coco(path)
    for wrong, message in (
        ([[1, 2, 3, 4]], "at least three corners"),
        ([[1, 2, 3, 4, 5, "x"]], "at least three corners"),
        ([[1, 2, 3, 4, 5, 10**400]], "at least three corners"),
        ([[1, 1, 3, 1, 3, 8]], "polygon 0 reaches out of its picture of 4 x 5 pixels"),
        ([[1, 1, 3, 1, 3, 4], [-3, 1, 3, 1, 3, 4]], "polygon 1 reaches out"),
        ("polygon", "a list of polygons or run lengths"),
        ({"size": [4, 5], "counts": [20]}, r"size \[4, 5\] is not its image's \[5, 4\]"),
        ({"size": [5, 4], "counts": [21]}, "add up to 21, but the image has 20"),
        ({"size": [5, 4], "counts": [-1, 21]}, "whole numbers from 0"),
        ({"size": [5, 4], "counts": "\x07"}, "does not belong"),
        ({"size": [5, 4], "counts": "P"}, "in the middle of a number"),
    ):
        with pytest.raises(DataError, match=f"entry 3: .*{message}"):
            decoded(wrong, (5, 4), "entry 3")


def test_masks_of_a_coco_file(tmp_path):
    from tinyvision.tasks.segmentation import CocoMasks

    def outlined(content):
        content["annotations"][0]["segmentation"] = [[2, 3, 12, 3, 12, 15, 2, 15]]
        content["annotations"][1]["segmentation"] = {"size": [30, 40], "counts": [30 * 39, 30]}

    path = written(tmp_path, outlined)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "a.png")
    image, mask = CocoMasks(path)[0]
    assert image.shape == (30, 40, 3)
    assert mask[8, 6] == 2
    assert (mask[:, 39] == 255).all()
    assert set(np.unique(mask)) == {0, 2, 255}
    with pytest.raises(DataError, match=r'annotations\[0\].*no "segmentation"'):
        CocoMasks(written(tmp_path))
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(
        DataError, match=r"is 30 x 40 pixels; .* says 40 x 30; if its EXIF data turn it, save it upright"
    ):
        CocoMasks(written(tmp_path, outlined))[0]


def test_a_mask_has_room_for_254_categories(tmp_path):
    """255 says nothing of a pixel: the thing of the 255th category would be unlearned without a word."""
    from tinyvision.tasks.segmentation import CocoMasks

    def many(count):
        def change(content):
            content["annotations"] = content["annotations"][:1]
            content["annotations"][0] |= {"segmentation": [[2, 3, 12, 3, 12, 15, 2, 15]], "category_id": count}
            content["categories"] = [{"id": n, "name": f"c{n}"} for n in range(1, count + 1)]

        return written(tmp_path, change)

    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "a.png")
    assert CocoMasks(many(254))[0][1].max() == 254
    with pytest.raises(DataError, match="has 255 categories, and a mask has up to 254"):
        CocoMasks(many(255))
