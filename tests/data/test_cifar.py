import gzip
import io
import pickle
import tarfile
import zlib

import numpy as np
import pytest
from formats import hostile_data as h

from tinyvision.data import CIFAR10, CIFAR100, read_cifar
from tinyvision.errors import DataError, OptionError


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("make", [h.cifar_binary, h.cifar_pickle])
def test_single_batches(make, classes, tmp_path):
    data, images, fine = make(7, classes)
    for source in (data, gzip.compress(data), tmp_path / "batch"):
        (tmp_path / "batch").write_bytes(data)
        found, labels = read_cifar(source)
        assert found.dtype == np.uint8
        assert found.shape == (7, 32, 32, 3)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(labels, fine)
    if classes == 100:
        np.testing.assert_array_equal(read_cifar(data, labels="coarse")[1], fine // 5)


def test_batches_that_python_3_wrote():
    _, images, fine = h.cifar_binary(7)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(7, 3072)
    for order in "CF":
        batch = {b"data": np.asarray(planes, order=order), b"labels": fine.tolist(), b"filenames": [b"\xff.png"] * 7}
        found, labels = read_cifar(pickle.dumps(batch, protocol=2))
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(labels, fine)


def test_the_pickle_of_the_tests_is_one_that_python_reads_too():
    batch = pickle.loads(h.cifar_pickle(3)[0], encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"].reshape(3, 3, 32, 32).transpose(0, 2, 3, 1), h.cifar_pickle(3)[1])


def _expected(version, train):
    make = h.cifar_pickle if version == "python" else h.cifar_binary
    parts = [make(2, seed=i)[1:] for i in (range(5) if train else [5])]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("version", ["python", "binary"])
@pytest.mark.parametrize("form", ["tar.gz", "tar", "folder", "folder above", "folder with the archive", "pax"])
def test_archives_and_folders(version, form, train, tmp_path):
    members = h.cifar10_members(version)
    source = tmp_path
    if form.startswith("tar") or form.startswith("folder with"):
        name = f"cifar-10-{version}.tar.gz"
        (tmp_path / name).write_bytes(h.tar_bytes(members, compress=form != "tar"))
        source = tmp_path if form.startswith("folder") else tmp_path / name
    elif form == "pax":  # what Python's tarfile and others write today: extended headers before each member
        source = tmp_path / "new.tar.gz"
        with tarfile.open(source, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            for name, data in members.items():
                info = tarfile.TarInfo("./" + name)
                info.size, info.mtime = len(data), 1.5
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in members.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(data)
        if form == "folder":
            source = (tmp_path / name).parent
    images, labels = read_cifar(source, train=train)
    expected_images, expected_labels = _expected(version, train)
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)
    dataset = CIFAR10(source, train=train)
    assert len(dataset) == len(labels)
    assert dataset.classes[3] == "cat"
    np.testing.assert_array_equal(dataset[1][0], images[1])


def test_cifar100_with_names(tmp_path):
    data, images, fine = h.cifar_pickle(9, 100)
    (tmp_path / "a.tar.gz").write_bytes(h.tar_bytes({"cifar-100-python/train": data, "cifar-100-python/test": data}))
    dataset, groups = CIFAR100(tmp_path / "a.tar.gz"), CIFAR100(tmp_path / "a.tar.gz", coarse=True)
    assert len(dataset.classes) == len(set(dataset.classes)) == 100
    assert len(groups.classes) == 20
    assert dataset.classes == sorted(dataset.classes)
    assert groups.classes == sorted(groups.classes)
    np.testing.assert_array_equal(dataset.labels, fine)
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(groups.labels, fine // 5)
    with pytest.raises(DataError, match="not an archive of CIFAR-10"):
        CIFAR10(tmp_path / "a.tar.gz")


def test_columns_first_arrays_and_either_set_in_one_folder(tmp_path):
    for name, data in h.cifar10_members("python").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("train", "test"):
        (tmp_path / "cifar-100-python" / name).write_bytes(h.cifar_pickle(4, 100)[0])
    assert len(CIFAR10(tmp_path)) == 10
    assert len(CIFAR100(tmp_path)) == 4
    with pytest.raises(DataError, match="both"):
        read_cifar(tmp_path)


BINARY, PICKLE = h.cifar_binary(3)[0], h.cifar_pickle(3)[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BINARY[:-1], "cut short"),
        (BINARY + b"\0", "no whole number"),
        (b"\x0a" + BINARY[1:], "label 10 at index 0"),
        (PICKLE[:-1], "ends"),
        (PICKLE.replace(b"labels", b"lebals"), "not a batch of CIFAR|no list"),
        (PICKLE.replace(b"cnumpy\ndtype", b"cos\nsystem"), "not a batch"),
        (PICKLE + b"x", "after the end"),
        (b"\x80\x02}.", "not a batch"),
        (h.tar_bytes({"readme.txt": b"hello"}), "not an archive of CIFAR"),
        (h.tar_bytes({}), "no batch of CIFAR"),
        (h.tar_bytes(h.cifar10_members("python"))[:-20], "cut short"),
        (h.tar_bytes(h.cifar10_members("python"), False)[:-10300], "cut short"),
        (h.tar_bytes(dict(list(h.cifar10_members("binary").items())[1:])), "lacks data_batch_1.bin"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_files(data, reason):
    with pytest.raises(DataError, match=reason):
        read_cifar(data)


def test_code_in_a_pickle_is_never_run(tmp_path):
    canary = tmp_path / "canary"
    evil = h.evil_pickle(canary)
    members = h.cifar10_members("python") | {"cifar-10-batches-py/data_batch_3": evil}
    for data in (evil, h.tar_bytes(members), h.tar_bytes(members, False)):
        with pytest.raises(DataError, match="not a batch"):
            read_cifar(data)
    assert not canary.exists()


def test_links_copies_and_escaping_names(tmp_path):
    members = h.cifar10_members("binary")

    def archive_with(info):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            archive.addfile(info)
            for name, data in members.items():
                one = tarfile.TarInfo(name)
                one.size = len(data)
                archive.addfile(one, io.BytesIO(data))
        return out.getvalue()

    link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(DataError, match="not a plain file"):
        read_cifar(archive_with(link))
    with pytest.raises(DataError, match="is empty"):
        read_cifar(archive_with(tarfile.TarInfo(link.name)))
    packed = gzip.decompress(h.tar_bytes(members))
    with pytest.raises(DataError, match="there twice"):
        read_cifar(packed[: 512 + 6146 + -6146 % 512] + packed)
    outside = tarfile.TarInfo("../../outside/data_batch_1.bin")
    assert len(read_cifar(archive_with(outside))[1]) == 10
    assert not list(tmp_path.iterdir())


def test_bombs_are_refused_cheaply():
    resource = pytest.importorskip("resource")
    bomb = h.tar_bytes({"cifar-10-batches-bin/data_batch_1.bin": bytes(3073 * 40_000)})
    single = gzip.compress(bytes(3073 * 40_000), 1)
    empty_blocks = zlib.compressobj(1, wbits=31)
    endless = h.tar_bytes({"a": b"b"}, False)[:1024]
    endless = empty_blocks.compress(endless)
    endless += b"".join(empty_blocks.compress(bytes(1 << 20)) for _ in range(300)) + empty_blocks.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in (bomb, single, endless):
        with pytest.raises(DataError, match=r"bomb|not an archive|more than"):
            read_cifar(data)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < (64 << 20) + 6 * max(map(len, (bomb, single, endless)))


def test_options_that_make_no_sense(tmp_path):
    with pytest.raises(OptionError, match="labels is"):
        read_cifar(BINARY, labels="both")
    with pytest.raises(DataError, match="single batch"):
        read_cifar(BINARY, train=True)
    with pytest.raises(DataError, match="no coarse labels"):
        read_cifar(BINARY, labels="coarse")
    with pytest.raises(DataError, match="CIFAR-100"):
        read_cifar(PICKLE, classes=100)
    with pytest.raises(DataError, match="none of the files"):
        read_cifar(tmp_path)
    with pytest.raises(DataError, match="download=True"):
        CIFAR10(tmp_path / "nowhere")


@pytest.mark.parametrize(("dataset", "published"), [(CIFAR10, 170_498_071), (CIFAR100, 169_001_437)])
def test_a_download_has_a_size_that_no_server_may_exceed(tmp_path, monkeypatch, dataset, published):
    from tinyvision.formats import download

    asked = {}

    def refusing(url, path, **options):
        asked.update(options, url=url)
        raise DataError("nothing is fetched here")

    monkeypatch.setattr(download, "download", refusing)
    with pytest.raises(DataError, match="nothing is fetched here"):
        dataset(tmp_path, download=True)
    assert asked["url"].startswith("https://")
    assert published <= asked["at_most"] < 1.1 * published
    assert len(asked["sha256"]) == 64
