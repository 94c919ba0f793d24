"""The datasets under torchvision's names against torchvision's own, on the same files."""

import copy
import gzip
import hashlib
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from formats.hostile_data import cifar_pickle, idx_bytes

from data.test_mnist import IMAGES, LABELS, _write
from tinyvision import Tensor, data
from tinyvision.data import DataLoader, transforms
from tinyvision.errors import DataError, DownloadError, DtypeError, OptionError
from tinyvision.torchvision import datasets

tv = pytest.importorskip("tests.data.torchvision_oracle")
PIL = pytest.importorskip("PIL.Image")


def same_items(ours, theirs):
    assert len(ours) == len(theirs) > 0
    assert ours.classes == theirs.classes
    assert ours.class_to_idx == theirs.class_to_idx
    for i in (0, 1, len(ours) - 1):
        (image, label), (other, its) = ours[i], theirs[i]
        assert (type(image), image.mode, image.size) == (type(other), other.mode, other.size)
        assert image.tobytes() == other.tobytes()
        assert (type(label), label) == (type(its), its)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_digits_clothes_and_hiragana(name, tmp_path):
    _write(tmp_path / name / "raw", "train", packed=False)
    _write(tmp_path / name / "raw", "t10k", packed=False, images=IMAGES[:7], labels=LABELS[:7])
    for train in (True, False):
        ours = getattr(datasets, name)(str(tmp_path), train=train, download=True)  # all is there: nothing is fetched
        theirs = getattr(tv.datasets, name)(str(tmp_path), train=train)
        same_items(ours, theirs)
        for attribute in ("data", "targets"):
            mine, its = getattr(ours, attribute), getattr(theirs, attribute)
            assert isinstance(mine, Tensor)
            np.testing.assert_array_equal(mine.numpy(), its.numpy(), strict=True)
        assert repr(ours) == repr(theirs)
        assert ours.raw_folder == theirs.raw_folder
    with pytest.raises(DataError, match="is not in"):
        datasets.MNIST(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no SHA-256 of it is known here"):
        datasets.KMNIST(tmp_path / "elsewhere", download=True)


def cifar(tmp_path, classes):
    """(torchvision's class for files written here, the folder, batches by name)."""
    parts = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    parts, folder = (parts, "cifar-10-batches-py") if classes == 10 else (["train", "test"], "cifar-100-python")
    files = {part: cifar_pickle(6, classes, seed)[0] for seed, part in enumerate(parts)}
    names = data.cifar.CIFAR10_CLASSES if classes == 10 else data.cifar.CIFAR100_FINE
    meta = {"filename": "batches.meta" if classes == 10 else "meta"}
    meta["key"] = "label_names" if classes == 10 else "fine_label_names"
    files[meta["filename"]] = pickle.dumps({meta["key"]: list(names)})
    (tmp_path / folder).mkdir()
    for name, content in files.items():
        (tmp_path / folder / name).write_bytes(content)
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    base = getattr(tv.datasets, f"CIFAR{classes}")
    listed = {"train_list": [[p, md5[p]] for p in parts[:-1]], "test_list": [[parts[-1], md5[parts[-1]]]]}
    theirs = type(base.__name__, (base,), {**listed, "meta": {**meta, "md5": md5[meta["filename"]]}})
    return theirs, folder, files


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the files' pickles name an old place of NumPy's
@pytest.mark.parametrize("classes", [10, 100])
def test_small_photographs(classes, tmp_path):
    make_theirs, _, _ = cifar(tmp_path, classes)
    for train in (True, False):
        ours = getattr(datasets, f"CIFAR{classes}")(str(tmp_path), train=train)
        theirs = make_theirs(str(tmp_path), train=train)
        same_items(ours, theirs)
        np.testing.assert_array_equal(ours.data, theirs.data, strict=True)
        assert ours.targets == theirs.targets
        assert repr(ours) == repr(theirs)


def folders(root):
    """Pictures of all kinds in class folders, and what is none."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(["b/1.png", "b/deep/2.PNG", "a/3.bmp", "a/4.jpg", "c/5.png", "c/6.tif"]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (5 + i, 7, 3), dtype=np.uint8)
        image = PIL.fromarray(pixels).convert(["RGB", "L", "P", "RGB", "RGBA", "1"][i])
        image.save(path, format=None if name != "b/deep/2.PNG" else "PNG")
    (root / "a" / "notes.txt").write_text("x")
    (root / "loose.png").write_bytes(b"")


def test_class_folders(tmp_path):
    folders(tmp_path)
    ours, theirs = datasets.ImageFolder(str(tmp_path)), tv.datasets.ImageFolder(str(tmp_path))
    same_items(ours, theirs)
    assert ours.samples == ours.imgs == theirs.samples
    assert ours.targets == theirs.targets
    assert repr(ours) == repr(theirs)
    for i in range(len(ours)):
        assert ours[i][0].tobytes() == theirs[i][0].tobytes()
    options = {
        "loader": lambda path: Path(path).read_bytes(),
        "is_valid_file": lambda path: Path(path).name in ("2.PNG", "5.png"),
    }
    with pytest.raises(DataError, match="no files in a"):
        datasets.DatasetFolder(tmp_path, **options)
    ours = datasets.DatasetFolder(str(tmp_path), **options, allow_empty=True, target_transform=lambda label: -label)
    theirs = tv.datasets.DatasetFolder(
        str(tmp_path), **options, allow_empty=True, target_transform=lambda label: -label
    )
    assert list(ours) == [theirs[i] for i in range(len(theirs))]
    assert repr(datasets.DatasetFolder(str(tmp_path), len, ".png", len, allow_empty=True)).startswith("Dataset Dataset")
    (tmp_path / "a" / "3.bmp").write_bytes(b"BM")
    with pytest.raises(DataError, match=r"3\.bmp: cannot be read as a picture"):
        datasets.ImageFolder(tmp_path)[0]
    for root, reason in ((tmp_path / "b" / "deep", "no class folders"), (tmp_path / "none", "No such file")):
        with pytest.raises(DataError, match=reason):
            datasets.ImageFolder(root)
    with pytest.raises(OptionError, match="either extensions or is_valid_file"):
        datasets.DatasetFolder(tmp_path, len)


def test_transforms_are_called_as_torchvision_calls_them(tmp_path):
    for part in ("train", "t10k"):
        _write(tmp_path / "MNIST" / "raw", part, packed=False)
    plain = datasets.MNIST(tmp_path)
    assert isinstance(plain[0][0], PIL.Image)
    to_numbers = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.1307, 0.3081)])
    made = datasets.MNIST(tmp_path, transform=to_numbers, target_transform=lambda label: label + 10)
    theirs_steps = [tv.transforms.ToTensor(), tv.transforms.Normalize((0.1307,), (0.3081,))]
    theirs = tv.datasets.MNIST(tmp_path, transform=tv.transforms.Compose(theirs_steps))
    image, label = made[3]
    np.testing.assert_array_equal(image.numpy(), theirs[3][0].numpy(), strict=True)
    assert label == theirs[3][1] + 10
    # Scripts take a part by replacing the two attributes, and set the transform later.
    part = copy.deepcopy(plain)
    part.data, part.targets, part.transform = part.data[part.targets < 3], part.targets[part.targets < 3], to_numbers
    assert {part[i][1] for i in range(len(part))} == {0, 1, 2}
    np.testing.assert_array_equal(part[0][0].numpy(), theirs[0][0].numpy())

    class Both(datasets.VisionDataset):
        def __init__(self):
            super().__init__("~", transforms=lambda image, label: (image, label))

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return self.transforms(PIL.new("L", (2, 2)), 7)

    assert Both()[0][1] == 7
    with pytest.raises(OptionError, match="not both"):
        datasets.VisionDataset(None, transforms=len, transform=len)


@pytest.mark.parametrize("steps", [[transforms.ToTensor()], [transforms.ToTensor(), transforms.Normalize(0.1, 0.3)]])
def test_batches_at_once_are_those_of_items_one_by_one(steps, tmp_path):
    _write(tmp_path / "MNIST" / "raw")
    whole = datasets.MNIST(tmp_path, transform=transforms.Compose(steps))
    single = datasets.MNIST(tmp_path, transform=transforms.Compose([*steps, lambda image: image]))
    assert whole.can_batch
    assert not single.can_batch
    for (images, labels), (others, its) in zip(*(DataLoader(d, 6) for d in (whole, single)), strict=True):
        np.testing.assert_array_equal(images.numpy(), others.numpy(), strict=True)
        np.testing.assert_array_equal(labels.numpy(), its.numpy(), strict=True)
    with pytest.raises(DtypeError, match="ToTensor"):
        next(iter(DataLoader(datasets.MNIST(tmp_path), 2)))
    arrays = data.MNIST(tmp_path / "MNIST" / "raw")  # as it always was
    assert isinstance(arrays[0][0], np.ndarray)


def test_noise_has_torchvision_s_form():
    ours, theirs = datasets.FakeData(9, (3, 6, 8), 4), tv.datasets.FakeData(9, (3, 6, 8), 4)
    assert len(ours) == len(theirs) == 9
    for (image, label), (other, its) in zip(ours, [theirs[i] for i in range(9)], strict=True):
        assert (image.mode, image.size, type(label)) == (other.mode, other.size, type(its))
        assert 0 <= label < 4
    assert ours[2][0].tobytes() == datasets.FakeData(9, (3, 6, 8), 4)[2][0].tobytes()
    assert ours[3][0].tobytes() == datasets.FakeData(9, (3, 6, 8), 4, random_offset=1)[2][0].tobytes()
    levels = np.concatenate([np.asarray(image).ravel() for image, _ in datasets.FakeData(40, (3, 20, 20))])
    other = np.concatenate([np.asarray(tv.datasets.FakeData(40, (3, 20, 20))[i][0]).ravel() for i in range(40)])
    counts, its = (np.histogram(x, 8, (0, 256))[0] / x.size for x in (levels, other))
    np.testing.assert_allclose(counts, its, atol=0.01)  # four standard deviations of a difference are 0.0085


def test_idx_files_are_downloaded_once_and_checked(server, tmp_path, monkeypatch):
    address, served, asked = server
    hashes = {}
    for part, array in (("train-images-idx3-ubyte", IMAGES), ("train-labels-idx1-ubyte", LABELS)):
        content = gzip.compress(idx_bytes(array))
        (served / f"{part}.gz").write_bytes(content)
        hashes[part] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(data.MNIST, "mirrors", (f"{address}nowhere/", address))
    monkeypatch.setattr(data.MNIST, "sha256", hashes)
    for _ in range(2):
        ours = datasets.MNIST(tmp_path / "root", download=True)
        np.testing.assert_array_equal(ours.data.numpy(), IMAGES)
    assert [path for path in asked if "nowhere" not in path and path.endswith(".gz")] == [f"/{p}.gz" for p in hashes]
    assert (tmp_path / "root" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").is_file()
    monkeypatch.setattr(data.MNIST, "sha256", dict.fromkeys(hashes, "0" * 64))
    with pytest.raises(DownloadError, match="another SHA-256"):
        datasets.MNIST(tmp_path / "other", download=True)


def test_the_archive_is_downloaded_once_and_read_as_it_is(server, tmp_path, monkeypatch):
    address, served, asked = server
    _, folder, _ = cifar(tmp_path, 10)
    with tarfile.open(served / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / folder, folder)
    content = (served / "cifar-10-python.tar.gz").read_bytes()
    monkeypatch.setattr(data.CIFAR10, "url", f"{address}cifar-10-python.tar.gz")
    monkeypatch.setattr(data.CIFAR10, "sha256", hashlib.sha256(content).hexdigest())
    (tmp_path / "root").mkdir()
    for train in (True, False):
        ours = datasets.CIFAR10(tmp_path / "root", train, download=True)
        np.testing.assert_array_equal(ours.data, datasets.CIFAR10(tmp_path, train).data)
    assert len([path for path in asked if path.endswith(".gz")]) == 1


def test_pictures_of_every_kind_are_read_after_one_of_the_usual_kinds(tmp_path):
    """In a process of its own: a test that writes a TIFF has Pillow look for all kinds of files."""
    for name in ("a.png", "b.tif", "c.webp"):
        PIL.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / name)
    look = "import sys; from tinyvision.data.vision_dataset import default_loader as read; "
    look += "print([read(file).size for file in sys.argv[1:]])"
    files = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", look, *files], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([(4, 4)] * 3), done.stderr


def test_the_functions_behind_a_folder_are_torchvisions(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "a/deep/3.png", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    ours, theirs = datasets.folder, tv.datasets.folder
    assert ours.find_classes(tmp_path) == theirs.find_classes(tmp_path)
    for options in (
        {"extensions": (".png", ".jpg")},
        {"extensions": ".png"},
        {"is_valid_file": lambda path: path.endswith(".txt"), "allow_empty": True},
        {"class_to_idx": {"b": 7}, "extensions": ".jpg"},
    ):
        assert ours.make_dataset(str(tmp_path), **options) == theirs.make_dataset(str(tmp_path), **options)
    for name in ("x.JPEG", "x.tif", "x.txt", "png"):
        assert ours.is_image_file(name) == theirs.is_image_file(name)
        assert ours.has_file_allowed_extension(name, ".jpeg") == theirs.has_file_allowed_extension(name, ".jpeg")
    with pytest.raises(OptionError, match="either extensions or is_valid_file"):
        ours.make_dataset(tmp_path)
    with pytest.raises(DataError, match=r"no files with the suffixes \.tif in a, b"):
        ours.make_dataset(tmp_path, extensions=".tif")
