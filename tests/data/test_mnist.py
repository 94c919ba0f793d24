import gzip
import inspect
import os

import numpy as np
import pytest
from formats.hostile_data import idx_bytes

from tinyvision.data import MNIST, FashionMNIST
from tinyvision.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
LABELS = (np.arange(20) % 10).astype(np.uint8)


def _write(folder, part="train", packed=True, dotted=False, images=IMAGES, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        name = f"{part}-{kind}-ubyte".replace("-idx", ".idx" if dotted else "-idx") + (".gz" if packed else "")
        (folder / name).write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))


@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw", "MNIST"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_folders_and_names_in_circulation(below, packed, dotted, tmp_path):
    _write(tmp_path / below, "train", packed, dotted)
    _write(tmp_path / below, "t10k", packed, dotted, IMAGES[:5], LABELS[:5])
    train, test = MNIST(tmp_path), MNIST(str(tmp_path), train=False)
    assert (len(train), len(test)) == (20, 5)
    assert train.classes == list("0123456789")
    np.testing.assert_array_equal(train[3][0], IMAGES[3][..., None])
    assert train[3][1] == 3


def test_what_is_wrong_is_said_with_the_file_s_name(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz .* download=True"):
        MNIST(tmp_path)
    _write(tmp_path, labels=LABELS[:-1])
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz: 20 images but 19 labels"):
        MNIST(tmp_path)
    _write(tmp_path, labels=LABELS + 1)
    with pytest.raises(DataError, match="label 10 at index 9"):
        MNIST(tmp_path)
    _write(tmp_path, images=LABELS, labels=LABELS)
    with pytest.raises(DataError, match="images must be uint8"):
        MNIST(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: is not an IDX file"):
        MNIST(tmp_path)


def test_without_root_the_cache_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path))
    _write(tmp_path / "MNIST")
    assert len(MNIST()) == 20


def test_download_fetches_what_is_missing(tmp_path, monkeypatch):
    from tinyvision.formats import download

    asked = []

    real = inspect.signature(download.download)

    def fake(*args, **options):
        real.bind(*args, **options)  # what the real one would not take, this one does not either
        bound = real.bind(*args, **options).arguments
        urls, path, sha256 = (bound[k] for k in ("urls", "path", "sha256"))
        assert 26_421_880 <= bound["at_most"] < 31_000_000  # the largest file, and hardly more
        asked.append((urls, path.name, sha256))
        images = "images" in path.name
        path.write_bytes(gzip.compress(idx_bytes(IMAGES if images else LABELS)))
        return path

    monkeypatch.setattr(download, "download", fake)
    assert len(FashionMNIST(tmp_path, download=True)) == 20
    assert [name for _, name, _ in asked] == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert all(len(sha) == 64 and all(u.startswith("https://") for u in urls) for urls, _, sha in asked)
    FashionMNIST(tmp_path, download=True)
    assert len(asked) == 2


@pytest.mark.skipif(
    not os.path.isdir("/usr/share/datasets/fashion-mnist"),
    reason="Debian's dataset-fashion-mnist is not installed",
)
def test_the_system_s_fashion_mnist_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path))
    train, test = FashionMNIST(), FashionMNIST(train=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert train.classes[9] == "Ankle boot"
    # Facts of the published set: its mean, and the first training image, which is an ankle boot.
    assert abs(train.images.mean() / 255 - 0.2860) < 1e-4
    assert train[0][1] == 9
