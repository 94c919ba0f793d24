"""The datasets that others publish, under torchvision's names, against torchvision's own reading of the same files."""

import bz2
import gzip
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from formats.hostile_data import idx_bytes

from tinyvision import Tensor
from tinyvision.data import DataLoader, transforms
from tinyvision.data.published import Published
from tinyvision.errors import DataError, DownloadError, OptionError
from tinyvision.torchvision import datasets

tv = pytest.importorskip("tests.data.torchvision_oracle")
PIL = pytest.importorskip("PIL.Image")
matlab = pytest.importorskip("scipy.io")
RNG = np.random.default_rng(5)


def as_numbers(x):
    """Pictures, tensors and numbers as what can be compared: (kind, shape or mode, content)."""
    if isinstance(x, PIL.Image):
        return "picture", x.mode, x.size, x.tobytes()
    if isinstance(x, (tuple, list)):
        return [as_numbers(part) for part in x]
    if hasattr(x, "detach") or isinstance(x, np.ndarray):
        x = x if isinstance(x, np.ndarray) else x.numpy()
        return "array", str(x.dtype), x.shape, x.tolist()
    return type(x), x


def same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    assert repr(ours) == repr(theirs)
    for i in range(len(ours)):
        assert as_numbers(ours[i]) == as_numbers(theirs[i])
    with pytest.raises(IndexError):
        ours[len(ours)]


def unchecked(theirs, **parts):
    """torchvision's class without its MD5s, which are those of the published files."""
    return type(theirs.__name__, (theirs,), parts)


def pictures(folder, names, size=(9, 7), mode="RGB"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        PIL.fromarray(pixels).convert(mode).save(folder / name)


def house_numbers(folder, count=6, **changed):
    folder.mkdir(exist_ok=True)
    images = RNG.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
    labels = np.arange(1, count + 1, dtype=np.uint8)[:, None] + np.uint8(10 - count)  # the last one is 10, the digit 0
    for split in ("train", "test", "extra"):
        matlab.savemat(
            folder / f"{split}_32x32.mat", {"X": images, "y": labels, **changed}, do_compression=split == "train"
        )


def test_house_numbers(tmp_path):
    house_numbers(tmp_path)
    for split in ("train", "test", "extra"):
        listed = {split: ["", f"{split}_32x32.mat", None]}
        theirs = unchecked(tv.datasets.SVHN, split_list=listed)(str(tmp_path), split)
        ours = datasets.SVHN(str(tmp_path), split)
        same(ours, theirs)
        np.testing.assert_array_equal(ours.data, theirs.data, strict=True)
        np.testing.assert_array_equal(ours.labels, theirs.labels, strict=True)
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    images, labels = next(iter(DataLoader(datasets.SVHN(tmp_path, transform=steps), 4)))
    assert images.shape == (4, 3, 32, 32)
    np.testing.assert_allclose(images[1].numpy(), ours.data[1] / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(labels.numpy(), [5, 6, 7, 8])
    with pytest.raises(OptionError, match="split must be one of 'train', 'test', 'extra'"):
        datasets.SVHN(tmp_path, "valid")
    with pytest.raises(DataError, match=r"SVHN: train_32x32\.mat is not in .*or pass download=True"):
        datasets.SVHN(tmp_path / "none")
    house_numbers(tmp_path / "wrong", y=np.full((6, 1), 11))
    with pytest.raises(DataError, match="N numbers from 1 to 10"):
        datasets.SVHN(tmp_path / "wrong")
    for content in (b"MATLAB 5.0 MAT-file" + bytes(200), b"", (tmp_path / "train_32x32.mat").read_bytes()[:900]):
        (tmp_path / "wrong" / "train_32x32.mat").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as a file of MATLAB's with X and y"):
            datasets.SVHN(tmp_path / "wrong")


def test_without_scipy_the_remedy_is_named(tmp_path, monkeypatch):
    house_numbers(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(DataError, match="pip install scipy"):
        datasets.SVHN(tmp_path)


def stl(folder):
    folder.mkdir(parents=True)
    for part, count in (("train", 5), ("test", 4), ("unlabeled", 3)):
        (folder / f"{part}_X.bin").write_bytes(RNG.integers(0, 256, count * 3 * 96 * 96, dtype=np.uint8).tobytes())
    (folder / "train_y.bin").write_bytes(bytes([1, 10, 3, 4, 5]))
    (folder / "test_y.bin").write_bytes(bytes([2, 9, 1, 1]))
    (folder / "fold_indices.txt").write_text("0 2 4\n" + "1 3\n" * 9)
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torchvision reads the folds by an old function of NumPy's
@pytest.mark.parametrize("split", ["train", "test", "unlabeled", "train+unlabeled"])
def test_stl(split, tmp_path):
    stl(tmp_path / "stl10_binary")
    lists = {
        "train_list": [["train_X.bin", None], ["train_y.bin", None], ["unlabeled_X.bin", None]],
        "test_list": [["test_X.bin", None], ["test_y.bin", None]],
    }
    for folds in (None, 0, 7) if "train" in split else (None,):
        theirs = unchecked(tv.datasets.STL10, **lists)(str(tmp_path), split, folds)
        ours = datasets.STL10(str(tmp_path), split, folds)
        same(ours, theirs)
        assert ours.classes == theirs.classes
        for name in ("data", "labels"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True)
    with pytest.raises(OptionError, match="number from 0 to 9"):
        datasets.STL10(tmp_path, split, 10)


def test_broken_files_of_stl_are_told_apart(tmp_path):
    folder = tmp_path / "stl10_binary"
    stl(folder)
    for name, content, reason in (
        ("fold_indices.txt", b"0 99\n", "names pictures that are not there"),
        ("fold_indices.txt", b"0 x\n", "is no list of pictures"),
        ("train_y.bin", bytes([0, 1, 2, 3, 4]), "labels from 1 to 10"),
        ("train_y.bin", bytes([1, 2]), "which has 2"),
        ("train_X.bin", bytes(7), "no pictures of 3 x 96 x 96"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(DataError, match=reason):
            datasets.STL10(tmp_path, "train", 0)


@pytest.mark.parametrize("split", ["byclass", "bymerge", "balanced", "letters", "digits", "mnist"])
def test_letters(split, tmp_path):
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 5), ("test", 3)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"emnist-{split}-{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (raw / f"emnist-{split}-{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(count, dtype=np.uint8)))
    for train in (True, False):
        ours, theirs = (m.EMNIST(str(tmp_path), split, train=train) for m in (datasets, tv.datasets))
        same(ours, theirs)
        assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
        assert as_numbers([ours.data, ours.targets]) == as_numbers([theirs.data, theirs.targets])
    (raw / f"emnist-{split}-train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(2, np.uint8)))
    with pytest.raises(DataError, match="N labels are needed"):
        datasets.EMNIST(tmp_path, split)


def test_digits_from_envelopes(tmp_path):
    values = RNG.uniform(-1, 1, (4, 256)).round(4)
    lines = [" ".join([str(i + 1), *(f"{j + 1}:{v}" for j, v in enumerate(row))]) for i, row in enumerate(values)]
    for name in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    for train in (True, False):
        ours, theirs = (m.USPS(str(tmp_path), train) for m in (datasets, tv.datasets))
        same(ours, theirs)
        np.testing.assert_array_equal(ours.data, theirs.data, strict=True)
        assert ours.targets == theirs.targets
    with pytest.raises(DataError, match=r"usps\.bz2 is not in"):
        datasets.USPS(tmp_path / "none")
    with pytest.raises(DownloadError, match=r"no SHA-256 of it is known here; fetch https://www\.csie"):
        datasets.USPS(tmp_path / "none", download=True)
    for content in (b"not packed", bz2.compress(b"1 1:0.5\n"), bz2.compress(b"x 1:y\n")):
        (tmp_path / "usps.bz2").write_bytes(content)
        with pytest.raises(DataError, match="lines of a label and 256 numbers"):
            datasets.USPS(tmp_path)


XML = """<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>
<size><width>9</width><height>7</height></size>{objects}</annotation>"""
THING = "<object><name>{name}</name><bndbox><xmin>1</xmin><ymax>4</ymax></bndbox>{parts}</object>"


def voc(root, year):
    base = root / ("TrainVal/VOCdevkit/VOC2011" if year == "2011" else f"VOCdevkit/VOC{year}")
    names = ["2007_01", "2007_02", "2007_03"]
    pictures(base / "JPEGImages", [f"{n}.jpg" for n in names])
    pictures(base / "SegmentationClass", [f"{n}.png" for n in names], mode="P")
    (base / "Annotations").mkdir()
    part = "<part><name>head</name></part>"
    for i, name in enumerate(names):
        things = "".join(THING.format(name=f"cat{k}", parts=part * k) for k in range(i))
        (base / "Annotations" / f"{name}.xml").write_text(XML.format(name=name, objects=things))
    for kind in ("Segmentation", "Main"):
        (base / "ImageSets" / kind).mkdir(parents=True)
        for part in ("train", "val", "trainval", "test"):
            (base / "ImageSets" / kind / f"{part}.txt").write_text("\n".join(names) + "\n")


@pytest.mark.parametrize(("year", "part"), [("2012", "train"), ("2007", "test"), ("2011", "val")])
def test_voc(year, part, tmp_path):
    voc(tmp_path, year)
    options = {"transform": lambda image: image.resize((3, 2)), "target_transform": lambda target: [target]}
    both = {"transforms": lambda image, target: (target, image)}
    for kind, paths in (("VOCSegmentation", "masks"), ("VOCDetection", "annotations")):
        for more in ({}, options, both):
            ours, theirs = (getattr(m, kind)(str(tmp_path), year, part, **more) for m in (datasets, tv.datasets))
            if not more:
                same(ours, theirs)
            assert [as_numbers(x) for x in ours] == [as_numbers(theirs[i]) for i in range(len(theirs))]
        assert (ours.images, getattr(ours, paths)) == (theirs.images, getattr(theirs, paths))
    with pytest.raises(OptionError, match="year must be one of"):
        datasets.VOCSegmentation(tmp_path, "2013")
    with pytest.raises(OptionError, match="image_set must be one of"):
        datasets.VOCSegmentation(tmp_path, "2012", "test")
    Path(ours.annotations[0]).write_text("<annotation>")
    with pytest.raises(DataError, match="cannot be read as XML"):
        ours[0]


def faces(root):
    folder, names = root / "celeba", [f"{i:06}.jpg" for i in range(1, 7)]
    pictures(folder / "img_align_celeba", names)
    sign = RNG.choice([-1, 1], (6, 40))
    many = [f"Looks_{i}" for i in range(40)]

    def rows(array):
        return "".join(f"{n} {'  '.join(map(str, row))}\n" for n, row in zip(names, array, strict=True))

    (folder / "list_attr_celeba.txt").write_text("6\n" + " ".join(many) + " \n" + rows(sign))
    (folder / "identity_CelebA.txt").write_text(rows([[7], [3], [7], [1], [2], [3]]))
    (folder / "list_bbox_celeba.txt").write_text(
        "6\nimage_id x_1 y_1 width height\n" + rows(RNG.integers(0, 99, (6, 4)))
    )
    landmarks = " ".join(f"{p}_{c}" for p in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for c in "xy")
    (folder / "list_landmarks_align_celeba.txt").write_text(f"6\n{landmarks} \n" + rows(RNG.integers(0, 99, (6, 10))))
    (folder / "list_eval_partition.txt").write_text(rows([[0], [1], [2], [0], [2], [1]]))
    return folder


def test_faces_of_the_famous(tmp_path):
    folder = faces(tmp_path)
    make = unchecked(tv.datasets.CelebA, file_list=[])
    for split in ("train", "valid", "test", "all"):
        for kind in ("attr", "identity", ["bbox", "landmarks", "attr"], []):
            ours, theirs = datasets.CelebA(str(tmp_path), split, kind), make(str(tmp_path), split, kind)
            same(ours, theirs)
            assert ours.filename == theirs.filename
            assert ours.attr_names == theirs.attr_names
            for name in ("attr", "identity", "bbox", "landmarks_align"):
                assert isinstance(getattr(ours, name), Tensor)
                assert as_numbers(getattr(ours, name)) == as_numbers(getattr(theirs, name))
    with pytest.raises(OptionError, match="target_type must be one of"):
        datasets.CelebA(tmp_path, target_type="hair")
    with pytest.raises(OptionError, match="target_type is empty"):
        datasets.CelebA(tmp_path, target_type=[], target_transform=len)
    with pytest.raises(DownloadError, match=r"mmlab\.ie\.cuhk\.edu\.hk"):
        datasets.CelebA(tmp_path / "none", download=True)
    with pytest.raises(DataError, match="img_align_celeba is not in"):
        datasets.CelebA(tmp_path / "none")
    for content, reason in (
        ("000001.jpg 7\n", "its lines are not those"),
        ("1.jpg x\n", "invalid literal"),
        ("a 1\nb\n", "lines of different"),
    ):
        (folder / "identity_CelebA.txt").write_text(content)
        with pytest.raises(DataError, match=reason):
            datasets.CelebA(tmp_path)


def pets(root):
    names = ["Abyssinian_1", "american_bulldog_10", "Abyssinian_2", "yorkshire_terrier_3"]
    folder = root / "oxford-iiit-pet"
    pictures(folder / "images", [f"{n}.jpg" for n in names])
    pictures(folder / "annotations" / "trimaps", [f"{n}.png" for n in names], mode="L")
    lines = [f"{n} {k} {s} 1" for n, k, s in zip(names, (1, 2, 1, 3), (1, 2, 1, 2), strict=True)]
    for split in ("trainval", "test"):
        (folder / "annotations" / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_pets(tmp_path):
    folder = pets(tmp_path)
    for split in ("trainval", "test"):
        for kinds in ("category", "binary-category", "segmentation", ["category", "segmentation"], []):
            ours, theirs = (m.OxfordIIITPet(str(tmp_path), split, kinds) for m in (datasets, tv.datasets))
            same(ours, theirs)
            for name in ("classes", "class_to_idx", "bin_classes", "bin_class_to_idx", "_labels", "_images", "_segs"):
                assert getattr(ours, name) == getattr(theirs, name)
    (folder / "annotations" / "test.txt").write_text("Abyssinian_1 1\n")
    with pytest.raises(DataError, match="a name and three numbers"):
        datasets.OxfordIIITPet(tmp_path, "test")


def test_kinds_of_things(tmp_path):
    for name, outline, count in (("BACKGROUND_Google", "x", 2), ("Faces", "Faces_2", 2), ("ant", "ant", 3)):
        files = [f"image_{i:04d}.jpg" for i in range(1, count + 1)]
        pictures(tmp_path / "caltech101" / "101_ObjectCategories" / name, files, mode="L" if name == "ant" else "RGB")
        (tmp_path / "caltech101" / "Annotations" / outline).mkdir(parents=True)
        for i in range(1, count + 1):
            path = tmp_path / "caltech101" / "Annotations" / outline / f"annotation_{i:04d}.mat"
            matlab.savemat(path, {"obj_contour": RNG.standard_normal((2, 3 + i))})
    for kind in ("category", "annotation", ["category", "annotation"]):
        ours, theirs = (m.Caltech101(str(tmp_path), kind) for m in (datasets, tv.datasets))
        same(ours, theirs)
        assert (ours.categories, ours.y, ours.index) == (theirs.categories, theirs.y, theirs.index)
    with pytest.raises(DownloadError, match=r"data\.caltech\.edu"):
        datasets.Caltech101(tmp_path / "none", download=True)


def test_land_from_above(tmp_path):
    for name in ("River", "Forest"):
        pictures(tmp_path / "eurosat" / "2750" / name, ["1.jpg", "2.jpg"])
    ours, theirs = (m.EuroSAT(str(tmp_path)) for m in (datasets, tv.datasets))
    same(ours, theirs)
    assert (ours.classes, ours.samples, ours.targets) == (theirs.classes, theirs.samples, theirs.targets)
    with pytest.raises(DataError, match="EuroSAT: 2750 is not in"):
        datasets.EuroSAT(tmp_path / "none")


def test_traffic_signs(tmp_path):
    base = tmp_path / "gtsrb"
    for label in ("00000", "00001"):
        pictures(base / "GTSRB" / "Training" / label, ["1.ppm", "2.ppm"])
    pictures(base / "GTSRB" / "Final_Test" / "Images", ["00000.ppm", "00001.ppm"])
    listed = base / "GT-final_test.csv"
    listed.write_text("Filename;Width;ClassId\n00000.ppm;9;16\n00001.ppm;9;1\n")
    for split in ("train", "test"):
        ours, theirs = (m.GTSRB(str(tmp_path), split) for m in (datasets, tv.datasets))
        same(ours, theirs)
        assert ours._samples == theirs._samples
    listed.write_text("Filename;Width\n00000.ppm;9\n")
    with pytest.raises(DataError, match="Filename and ClassId are needed"):
        datasets.GTSRB(tmp_path, "test")


def packed(kind, **files):
    content = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as archive:
            for name, data in files.items():
                archive.writestr(name.replace("__", "/"), data)
    else:
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name.replace("__", "/"))
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def test_downloads_are_checked_and_unpacked_where_they_belong(server, tmp_path, monkeypatch):
    address, served, asked = server

    def publish(name, content):
        (served / name).write_bytes(content)
        return Published((f"{address}nowhere/{name}", f"{address}{name}"), hashlib.sha256(content).hexdigest())

    house_numbers(tmp_path / "made")
    content = (tmp_path / "made" / "test_32x32.mat").read_bytes()
    monkeypatch.setattr(datasets.SVHN, "files", {"test": publish("test_32x32.mat", content)})
    stl(tmp_path / "made" / "stl10_binary")
    whole = {f"stl10_binary__{p.name}": p.read_bytes() for p in (tmp_path / "made" / "stl10_binary").iterdir()}
    monkeypatch.setattr(datasets.STL10, "archive", publish("stl10_binary.tar.gz", packed("tar", **whole)))
    letters = {
        "gzip__emnist-digits-train-images-idx3-ubyte.gz": np.zeros((2, 28, 28), np.uint8),
        "gzip__emnist-digits-train-labels-idx1-ubyte.gz": np.arange(2, dtype=np.uint8),
    }
    letters = {name: gzip.compress(idx_bytes(array)) for name, array in letters.items()}
    monkeypatch.setattr(datasets.EMNIST, "archive", publish("gzip.zip", packed("zip", **letters)))
    pictures(tmp_path / "made" / "2750" / "River", ["1.jpg"])
    picture = (tmp_path / "made" / "2750" / "River" / "1.jpg").read_bytes()
    land = packed("zip", **{"2750__River__1.jpg": picture})
    monkeypatch.setattr(datasets.EuroSAT, "archive", publish("EuroSAT.zip", land))
    folder = pets(tmp_path / "made")
    cats = [
        {str(p.relative_to(folder)).replace("/", "__"): p.read_bytes() for p in (folder / k).rglob("*") if p.is_file()}
        for k in ("images", "annotations")
    ]
    archives = [
        publish(f"{k}.tar.gz", packed("tar", **c)) for k, c in zip(("images", "annotations"), cats, strict=True)
    ]
    monkeypatch.setattr(datasets.OxfordIIITPet, "archives", archives)
    voc(tmp_path / "made", "2012")
    made = tmp_path / "made" / "VOCdevkit"
    roads = {f"VOCdevkit__{str(p.relative_to(made)).replace('/', '__')}": p.read_bytes() for p in made.rglob("*.*")}
    monkeypatch.setattr(datasets.VOCDetection, "archives", {"2012": publish("VOC.tar", packed("tar", **roads))})
    root = tmp_path / "root"
    for _ in range(2):
        found = [
            datasets.SVHN(root, "test", download=True),
            datasets.STL10(root, download=True),
            datasets.EMNIST(root, "digits", download=True),
            datasets.EuroSAT(root, download=True),
            datasets.OxfordIIITPet(root, download=True),
            datasets.VOCDetection(root, download=True),
        ]
        assert [len(dataset) for dataset in found] == [6, 5, 2, 1, 4, 3]
    assert (
        len([path for path in asked if "nowhere" not in path and path.endswith((".mat", ".gz", ".zip", ".tar"))]) == 7
    )
    wrong = archives[0]._replace(sha256="0" * 64)
    monkeypatch.setattr(datasets.STL10, "archive", wrong)
    with pytest.raises(DownloadError, match="another SHA-256"):
        datasets.STL10(tmp_path / "other", download=True)
