"""Labelled pictures: class folders, and the files of labels that people have."""

import numpy as np
import pytest
from PIL import Image

from tinyvision.data.labelled import LabelledPictures
from tinyvision.errors import DataError, OptionError


def pictures(folder, *names):
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5, 3), i, np.uint8)).save(path)
    return folder


def texts(folder, labels):
    """{picture: class} that a file with this content gives."""
    file = folder.parent / "labels.txt"
    file.write_bytes(labels if isinstance(labels, bytes) else labels.encode())
    found = LabelledPictures(folder, file)
    return {found.name(i): text for i, text in enumerate(found.texts)}


def test_class_folders(tmp_path):
    found = LabelledPictures(pictures(tmp_path / "p", "b/1.png", "a/2.png", "a/deeper/0.png"))
    assert [found.name(i) for i in range(len(found))] == ["a/2.png", "a/deeper/0.png", "b/1.png"]
    assert found.texts == ["a", "a", "b"]
    picture, number = found[2]
    assert picture.shape == (4, 5, 3)
    assert (picture == 0).all()
    assert number == 2
    with pytest.raises(DataError, match="--labels FILE"):
        LabelledPictures(pictures(tmp_path / "loose", "1.png"))


@pytest.mark.parametrize(
    "labels",
    [
        "a.png,cat\nb c.png,great white shark\n",
        "file,label\nb c.png,great white shark\na.png,cat\n",
        "label,other,filename\ncat,7,a.png\ngreat white shark,8,b c.png\n",
        "\ufeffa.png,cat\r\n\r\n./b c.png,great white shark\r\n",
        "a\tcat\nb c\tgreat white shark",
        'a,"cat"\n"b c","great white shark"\n',
    ],
)
def test_the_files_of_labels_that_people_have(tmp_path, labels):
    folder = pictures(tmp_path / "p", "a.png", "b c.png")
    assert texts(folder, labels) == {"a.png": "cat", "b c.png": "great white shark"}


def test_blanks_may_divide_and_be_part_of_either(tmp_path):
    folder = pictures(tmp_path / "p", "a.png", "b c.png", "d/e.png")
    assert texts(folder, "b c.png 65\na.png 3\nd/e.png 970\n") == {"a.png": "3", "b c.png": "65", "d/e.png": "970"}
    assert texts(folder, "a.png great white shark\nd/e.png cat") == {"a.png": "great white shark", "d/e.png": "cat"}


def test_imagenet_s_own_lists(tmp_path):
    """Boxes behind the class, and a list of WordNet ids in the order of the files."""
    folder = pictures(tmp_path / "p", "ILSVRC2012_val_1.JPEG", "ILSVRC2012_val_2.JPEG")
    boxes = "ImageId,PredictionString\nILSVRC2012_val_2,n03995372 85 1 499 272 n03995372 1 2 3 4 \n"
    assert texts(folder, boxes) == {"ILSVRC2012_val_2.JPEG": "n03995372"}
    assert list(texts(folder, "n01751748\nn09193705\n").values()) == ["n01751748", "n09193705"]
    with pytest.raises(DataError, match="numbered in two orders"):
        texts(folder, "490\n361\n")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("", "the file is empty"),
        ("\n\n", "has no lines"),
        ("file,label\n", "no lines below"),
        ("x.png,cat\n", r"names none of the 2 pictures .* x\.png"),
        ("a.png,cat\na.png,dog\n", r"line 2: a\.png is dog here, and cat in line 1"),
        ("a.png,cat\nb.png,\n", r"line 2: b\.png has no class"),
        ("a.png,cat,3\n", "line 1: has 3 columns"),
        ("file,label\na.png\n", "line 2: has only 1 columns"),
        ("a.png cat\nb.png\n", r"line 2: b\.png is alone"),
        ("a.png;cat\nb.png;dog\n", "has a semicolon in each line; put a comma between the picture"),
        ("cat\n", "1 lines of classes alone for 2 pictures"),
        (b"a.png,caf\xe9\n", "line 1: is no text in UTF-8"),
        (b"PK\x03\x04\0\0,\n", "is no text"),
        ('a.png,"cat\n', "line 1: "),
    ],
)
def test_mistakes_name_the_line(tmp_path, labels, told):
    with pytest.raises(DataError, match=told):
        texts(pictures(tmp_path / "p", "a.png", "b.png"), labels)


def test_what_is_passed_over_is_said(tmp_path):
    folder = pictures(tmp_path / "p", "a.png", "b.png")
    (folder / "notes.pdf").write_bytes(b"%PDF")
    file = tmp_path / "labels.csv"
    file.write_text("a.png,cat\nc.png,cat\n")
    notes = "; ".join(LabelledPictures(folder, file).notes)
    assert "1 of 3 files were not read: 1 .pdf" in notes
    assert "1 of 2 lines" in notes
    assert "1 of 2 pictures have no line" in notes


def test_a_name_of_two_pictures_needs_its_folder(tmp_path):
    folder = pictures(tmp_path / "p", "x/a.png", "y/a.png")
    assert texts(folder, "x/a.png,cat\ny/a,dog\n") == {"x/a.png": "cat", "y/a.png": "dog"}
    with pytest.raises(DataError, match="several pictures are called"):
        texts(folder, "a.png,cat\n")


def test_as_stored_is_neither_turned_nor_put_on_white(tmp_path):
    folder = tmp_path / "p" / "a"
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(np.zeros((4, 6, 4), np.uint8)).save(folder / "clear.png")
    ours, stored = LabelledPictures(tmp_path / "p"), LabelledPictures(tmp_path / "p", as_stored=True)
    assert [ours[i][0].shape for i in range(2)] == [(4, 6, 3), (6, 4, 3)]
    assert [stored[i][0].shape for i in range(2)] == [(4, 6, 3), (4, 6, 3)]
    assert ours[0][0].min() == 255
    assert stored[0][0].max() == 0
    with pytest.raises(OptionError, match="leave max_pixels out"):
        LabelledPictures(tmp_path / "p", max_pixels=10, as_stored=True)
