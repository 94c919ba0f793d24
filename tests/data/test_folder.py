import os
import unicodedata

import numpy as np
import pytest
from formats.hostile_data import encode, picture

from tinyvision.data import DataLoader, ImageFolder, Subset, split, transforms
from tinyvision.data.folder import unreadable
from tinyvision.data.picture_files import RUN_FILES
from tinyvision.errors import DataError
from tinyvision.train.image_folders import folder_parts, passed_over
from tinyvision.train.runs import BEST, EVALUATION, LAST, TRANSFER


@pytest.fixture
def root(tmp_path):
    for label, name in enumerate(("dog", "cat", "ähre")):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for i in range(3):
            (tmp_path / name / f"{i}.PNG").write_bytes(encode(picture(seed=label * 10 + i), "PNG"))
        (tmp_path / name / "deeper" / "3.jpeg").write_bytes(encode(picture(20, 30, seed=label), "JPEG"))
        (tmp_path / name / ".hidden.png").write_bytes(b"broken")
        (tmp_path / name / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").write_text("about")
    return tmp_path


def test_classes_order_and_items(root):
    data = ImageFolder(root)
    assert data.classes == ["cat", "dog", "ähre"]
    assert data.class_to_idx["dog"] == 1
    assert len(data) == 12
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert [path.name for path, _ in data.samples[:4]] == ["0.PNG", "1.PNG", "2.PNG", "3.jpeg"]
    image, label = data[4]
    np.testing.assert_array_equal(image, picture(seed=0))
    assert label == 1
    assert data[3][0].shape == (20, 30, 3)
    resized = ImageFolder(str(root), transform=transforms.Resize((8, 8)))
    assert {image.shape for image, _ in resized} == {(8, 8, 3)}
    assert [len(part) for part in split(data, 0.25)] == [9, 3]


def test_same_order_as_torchvision(root):
    (root / ".git").rmdir()  # torchvision takes hidden folders for classes
    folder = pytest.importorskip("tests.data.torchvision_oracle").datasets.ImageFolder(root)
    ours = ImageFolder(root)
    visible = [(path, label) for path, label in folder.samples if ".hidden" not in path]
    assert [os.fspath(path) for path, _ in ours.samples] == [path for path, _ in visible]
    assert [ours.classes[label] for _, label in ours.samples] == [folder.classes[label] for _, label in visible]


@pytest.mark.parametrize("threads", [1, 3])
def test_unreadable_images_are_found_in_the_part_asked_for(root, threads):
    for name in ("cat/1.PNG", "dog/1.PNG", "ähre/2.PNG"):
        (root / name).write_bytes(b"broken")
    (root / "cat" / "0.PNG").unlink()
    data, counts = ImageFolder(root), []
    (root / "dog" / "2.PNG").unlink()  # gone since the folder was listed
    found = [str(error) for error in unreadable(data, counts.append, threads)]
    assert [os.path.relpath(text.partition(": ")[0], root) for text in found] == [
        "cat/1.PNG", "dog/1.PNG", "dog/2.PNG", "ähre/2.PNG",
    ]  # fmt: skip
    assert sum(counts) == len(data) == 11
    part = Subset(Subset(data, [10, 4, 9, 0], transform=None), [3, 1, 0])  # cat/1, dog/1, ähre/deeper/3
    assert len(unreadable(part, counts.append, threads)) == 2
    assert sum(counts) == 14


def test_reading_images_ahead_of_use_can_be_stopped(root):
    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unreadable(ImageFolder(root), stop, 2)


def test_broken_images_name_their_file_also_from_a_worker(root):
    (root / "dog" / "1.PNG").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    data = ImageFolder(root, transform=transforms.Resize((8, 8)))
    with pytest.raises(DataError, match=r"dog.1\.PNG"):
        data[5]
    for workers in (0, 2):
        with pytest.raises(DataError, match=r"dog.1\.PNG"):
            list(DataLoader(data, 4, num_workers=workers))


def test_folders_that_are_no_dataset(tmp_path):
    def fails(reason, path=tmp_path):
        with pytest.raises(DataError, match=reason) as caught:
            ImageFolder(path)
        assert "\n" not in str(caught.value)

    fails("no such folder", tmp_path / "missing")
    fails("no images and no folders")
    fails("null", "a\0b")
    (tmp_path / "a.jpg").write_bytes(b"")
    fails("1 images directly")
    fails("is a file", tmp_path / "a.jpg")
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog\n").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    fails("no images in the class folders 'dog")


def test_train_and_val_are_not_classes(root, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    for part in ("train", "val"):
        (above / part).symlink_to(root)
    with pytest.raises(DataError, match="holds train, val instead of classes"):
        ImageFolder(above)
    assert len(ImageFolder(above / "train")) == 12


def test_runs_of_ours_are_no_data(root, monkeypatch):
    for name in RUN_FILES:
        for place in (root / "experiments" / f"with {name}", root / "dog" / f"with {name}"):
            (place / "deeper").mkdir(parents=True)
            (place / name).write_bytes(b"")
            for picture_name in ("history.png", "deeper/1.png"):
                (place / picture_name).write_bytes(encode(picture(), "PNG"))
    monkeypatch.setenv("TINYVISION_HOME", str(root / "kept"))
    (root / "kept").mkdir()
    (root / "kept" / "a.png").write_bytes(encode(picture(), "PNG"))
    (root / "new" / "transfer-1").mkdir(parents=True)
    assert set(RUN_FILES) == {LAST, BEST, TRANSFER, EVALUATION}
    data = ImageFolder(root, ignore=[root / "new" / "transfer-1"])
    assert data.classes == ["cat", "dog", "ähre"]
    assert len(data) == 12


def test_files_that_are_passed_over_are_counted(root):
    for number in range(3):
        (root / "dog" / f"{number}.heic").write_bytes(b"")
    (root / "cat" / "a.jfif").write_bytes(encode(picture(), "JPEG"))
    (root / "cat" / "b.JPE").write_bytes(encode(picture(), "JPEG"))
    with pytest.MonkeyPatch.context() as patch:
        remedy = {".heic": "pip install pillow-heif"}.get
        patch.setattr("tinyvision.data.picture_files.needs", remedy)
        data = ImageFolder(root)
        told = passed_over([Subset(data, [1]), data, None])
    assert len(data) == 14
    assert told == "6 of 20 files were not read: 3 .db, 3 .heic (pip install pillow-heif)"


def test_two_spellings_in_unicode_are_one_class(root):
    (root / unicodedata.normalize("NFD", "ähre")).mkdir()
    (root / unicodedata.normalize("NFD", "ähre") / "x.png").write_bytes(encode(picture(), "PNG"))
    assert ImageFolder(root).classes == ["cat", "dog", "ähre"]
    assert ImageFolder(root).labels.tolist().count(2) == 5


def test_a_root_one_level_too_high_is_refused(root, tmp_path_factory):
    above = tmp_path_factory.mktemp("above")
    (above / "images").symlink_to(root)
    with pytest.raises(DataError, match=r"only class is 'images', with the folders 'cat', 'dog', .* name the folder"):
        folder_parts(above)
    (above / "more").symlink_to(root)
    with pytest.raises(DataError, match=r"\('images', 'more'\) hold the same folders .* name one of them"):
        folder_parts(above)
    assert folder_parts(root)[0].classes == ["cat", "dog", "ähre"]
    with pytest.raises(DataError, match="only the class 'deeper'"):
        folder_parts(root / "cat")


def test_a_class_that_is_a_link_to_the_whole_is_refused(root):
    elsewhere = root / "dog" / "deeper"
    (root / "cow").symlink_to(elsewhere)  # a class may lie elsewhere
    assert "cow" in ImageFolder(root).classes
    for above in (".", "..", str(root.parent.resolve())):
        (root / "cow").unlink()
        (root / "cow").symlink_to(above)
        with pytest.raises(DataError, match=r"cow: is a link to .* itself or a folder above; remove it"):
            ImageFolder(root)


def test_links_in_circles_end(root):
    (root / "cat" / "loop").symlink_to(root)
    assert len(ImageFolder(root)) == 12
