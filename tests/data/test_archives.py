"""`torchvision.datasets.utils`, as datasets of one's own use it, beside torchvision's."""

import gzip
import tarfile
import zipfile

import numpy as np
import pytest
from torchvision_oracle import torchvision

from tinyvision import torchvision as ours
from tinyvision.errors import DataError, DownloadError, FileError, OptionError

theirs = torchvision.datasets.utils
here = ours.datasets.utils


@pytest.fixture
def files(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png", "c.txt"):
        (tmp_path / "photos" / name).write_bytes(name.encode() * 999)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "photos" / "a.png", "inside/a.png")
    for name, mode in (("x.tar", "w"), ("x.tar.gz", "w:gz"), ("x.tgz", "w:gz"), ("x.tar.xz", "w:xz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(tmp_path / "photos" / "a.png", "inside/a.png")
    with gzip.open(tmp_path / "digits.gz", "wb") as file:
        file.write(b"digits" * 99)
    return tmp_path


def test_integrity(files):
    photo = str(files / "photos" / "a.png")
    md5 = theirs.calculate_md5(photo)
    assert here.calculate_md5(photo) == md5
    for given in ((photo,), (photo, md5), (photo, md5[::-1]), (photo + "x", md5), (str(files),)):
        assert here.check_integrity(*given) is theirs.check_integrity(*given)
    assert here.check_md5(photo, md5)
    with pytest.raises(FileError, match="No such file"):
        here.calculate_md5(files / "nowhere")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.xz"])
def test_an_archive_is_unpacked(files, name):
    assert here.extract_archive(files / name, files / "out", remove_finished=True) == str(files / "out")
    assert (files / "out" / "inside" / "a.png").read_bytes() == b"a.png" * 999
    assert not (files / name).exists()


def test_what_is_only_compressed(files):
    assert here.extract_archive(str(files / "digits.gz")) == theirs.extract_archive(str(files / "digits.gz"))
    assert (files / "digits").read_bytes() == b"digits" * 99


def test_what_is_no_archive_or_reaches_out_of_its_folder(files):
    with pytest.raises(DataError, match=r"c\.txt cannot be unpacked"):
        here.extract_archive(files / "photos" / "c.txt")
    with tarfile.open(files / "evil.tar", "w") as archive:
        archive.add(files / "photos" / "a.png", "../../evil.png")
    with pytest.raises(DataError, match="outside"):
        here.extract_archive(files / "evil.tar", files / "deep" / "out")
    with pytest.raises(FileError, match="No such file"):
        here.extract_archive(files / "nowhere.zip")


def spoil(path, at):
    whole = bytearray(path.read_bytes())
    whole[at] ^= 0xFF
    path.write_bytes(whole)


def test_a_broken_archive_is_named_and_leaves_no_half_a_file(files):
    noise = np.random.default_rng(0).integers(0, 9, 9999, np.uint8).tobytes()
    with gzip.open(files / "digits.gz", "wb") as file:
        file.write(noise)
    spoil(files / "digits.gz", 999)
    with zipfile.ZipFile(files / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("noise", noise)
    spoil(files / "x.zip", 999)
    with zipfile.ZipFile(files / "locked.zip", "w") as archive:
        archive.writestr("a", b"a")
    for at in (6, (files / "locked.zip").read_bytes().index(b"PK\x01\x02") + 8):  # the bit that says: with a password
        whole = bytearray((files / "locked.zip").read_bytes())
        whole[at] |= 1
        (files / "locked.zip").write_bytes(whole)
    with tarfile.open(files / "x.tar.xz", "w:xz") as archive:
        archive.add(files / "photos" / "a.png", "a.png")
    spoil(files / "x.tar.xz", 60)
    for name in ("digits.gz", "x.zip", "locked.zip", "x.tar.xz"):
        with pytest.raises(DataError, match=f"{name} cannot be unpacked"):
            here.extract_archive(files / name)
    assert not (files / "digits").exists()


def test_a_file_that_is_there_is_used_and_no_other_is_fetched(files, capsys):
    md5 = here.calculate_md5(files / "x.zip")
    here.download_and_extract_archive("https://nowhere.invalid/x.zip", files, files / "out", md5=md5)
    assert (files / "out" / "inside" / "a.png").is_file()
    assert "Using downloaded and verified file" in capsys.readouterr().out
    with pytest.raises(DownloadError, match="has another MD5"):
        here.download_url("https://nowhere.invalid/x.zip", files, md5=md5[::-1])
    with pytest.raises(DownloadError, match="is not there, and nothing is fetched here without a SHA-256; fetch https"):
        here.download_url("https://nowhere.invalid/y.zip", files, "z.zip")


def test_names_in_a_folder(files):
    root = str(files)
    for prefix in (False, True):
        assert sorted(here.list_dir(root, prefix)) == sorted(theirs.list_dir(root, prefix))
        photos = str(files / "photos")
        assert sorted(here.list_files(photos, ".png", prefix)) == sorted(theirs.list_files(photos, ".png", prefix))
    with pytest.raises(FileError, match="No such file"):
        here.list_dir(files / "nowhere")


def test_an_argument_that_must_be_one_of_several_words():
    assert here.verify_str_arg("train", "split", ("train", "test")) == "train"
    assert here.iterable_to_str(("train", "test")) == theirs.iterable_to_str(("train", "test"))
    for value, message in (
        ("val", "argument split must be one of 'train', 'test', got 'val'"),
        (3, "a string, got int"),
    ):
        with pytest.raises(OptionError, match=message):
            here.verify_str_arg(value, "split", ("train", "test"))
        with pytest.raises(ValueError):
            theirs.verify_str_arg(value, "split", ("train", "test"))


def test_a_dataset_of_ones_own(files):
    """As people write them: the archive is looked for, and unpacked once."""

    class Photos(ours.datasets.VisionDataset):
        def __init__(self, root, split="train", download=False):
            super().__init__(root)
            here.verify_str_arg(split, "split", ("train", "test"))
            if download:
                here.download_and_extract_archive("https://nowhere.invalid/x.zip", root, remove_finished=False)
            if not here.check_integrity(files / "inside" / "a.png"):
                raise RuntimeError("Dataset not found. You can use download=True to download it")

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return np.full((2, 2), index)

    with pytest.raises(RuntimeError, match="not found"):
        Photos(files)
    assert len(Photos(files, download=True)) == 1


def test_a_python_whose_tarfile_has_no_filter_unpacks_no_tar(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "a.tar", "w"):
        pass
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match=r"3\.10\.12.*unpack .*a\.tar yourself"):
        here.extract_archive(tmp_path / "a.tar")
