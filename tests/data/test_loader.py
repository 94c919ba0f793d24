import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import tinyvision
from tinyvision.data import ArrayDataset, DataLoader, Dataset, collate
from tinyvision.data import transforms as T
from tinyvision.errors import DataError, DtypeError, OptionError, ShapeError

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 9, 8, 3), dtype=np.uint8)
LABELS = np.arange(23)
AUGMENT = T.Compose([T.RandomCrop(6), T.RandomHorizontalFlip(), T.ColorJitter(0.3), T.ToTensor()])


def batches(loader, step=0):
    return [(x.numpy(), y.numpy()) for x, y in loader.iter_from(step)]


def same(a, b):
    assert len(a) == len(b)
    for (x, y), (u, v) in zip(a, b, strict=True):
        assert x.tobytes() == u.tobytes()
        assert x.shape == u.shape
        np.testing.assert_array_equal(y, v)


@pytest.mark.parametrize("transform", [None, T.ToTensor(), lambda image: image], ids=["none", "tensor", "callable"])
def test_what_a_batch_is(transform):
    loader = DataLoader(ArrayDataset(IMAGES, LABELS, transform=transform), batch_size=5)
    found = list(loader)
    assert len(found) == len(loader) == 5
    assert [len(y) for _, y in found] == [5, 5, 5, 5, 3]
    x, y = found[1]
    assert isinstance(x, tinyvision.Tensor)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    np.testing.assert_array_equal(x.numpy(), IMAGES[5:10].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(y.numpy(), LABELS[5:10])
    assert len(list(DataLoader(ArrayDataset(IMAGES, LABELS), 5, drop_last=True))) == 4


def test_order_follows_from_seed_and_epoch():
    data = ArrayDataset(IMAGES, LABELS)

    def order(loader):
        return np.concatenate([y for _, y in batches(loader)]).tolist()

    one, two = DataLoader(data, 5, shuffle=True, seed=1), DataLoader(data, 5, shuffle=True, seed=2)
    first, second = order(one), order(one)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second
    assert order(two) != first
    one.set_epoch(0)
    assert order(one) == first
    assert order(one) == second
    assert one.epoch == 2
    assert order(DataLoader(data, 5)) == list(range(23))
    tinyvision.manual_seed(4)
    unnamed = order(DataLoader(data, 5, shuffle=True))
    tinyvision.manual_seed(4)
    assert order(DataLoader(data, 5, shuffle=True)) == unnamed


def test_workers_and_resuming_change_no_bit():
    data = ArrayDataset(IMAGES, LABELS, transform=AUGMENT)
    whole = [batches(loader) for loader in [DataLoader(data, 4, shuffle=True, seed=9)] for _ in range(3)]
    assert whole[0][0][0].tobytes() != whole[1][0][0].tobytes()
    for workers in (0, 1, 3):
        for epoch in range(3):
            for step in (0, 1, 5, 6):
                loader = DataLoader(data, 4, shuffle=True, seed=9, num_workers=workers)
                loader.set_epoch(epoch)
                same(batches(loader, step), whole[epoch][step:])


class Counting(Dataset):
    """Remembers which items were read."""

    def __init__(self, count=40, fails_at=None, delay=0.0):
        self.count, self.fails_at, self.delay = count, fails_at, delay
        self.read = []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(index)
        time.sleep(self.delay)
        if index == self.fails_at:
            raise DataError(f"photo{index}.jpg: is cut short")
        return np.full((2, 2, 1), index, np.uint8), index


def test_resuming_does_not_read_what_it_skips():
    data = Counting()
    loader = DataLoader(data, 4)
    assert len(list(loader.iter_from(8))) == 2
    assert sorted(data.read) == list(range(32, 40))
    assert list(loader.iter_from(10)) == []
    for step in (11, -1, 1.5, True):
        with pytest.raises(OptionError, match="step"):
            loader.iter_from(step)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_errors_come_where_the_batch_would_have_come(workers):
    data, seen = Counting(fails_at=13), []
    loader = DataLoader(data, 4, num_workers=workers)
    with pytest.raises(DataError, match=r"photo13\.jpg"):
        seen.extend(y.numpy()[0] for _, y in loader)
    assert seen == [0, 4, 8]
    _no_workers_left()


def _no_workers_left():
    deadline = time.monotonic() + 5
    while any(t.name.startswith("tinyvision-data") for t in threading.enumerate()):
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.01)


def test_leaving_early_stops_the_workers():
    data = Counting(400, delay=0.001)
    for _ in DataLoader(data, 4, num_workers=2):
        break
    _no_workers_left()
    assert len(data.read) < 60  # a few batches ahead, not all hundred
    iterator = iter(DataLoader(data, 4, num_workers=2))
    next(iterator)
    del iterator
    _no_workers_left()


def test_nobody_reads_any_more_once_an_iterator_is_closed():
    iterator = iter(DataLoader(Counting(400, delay=0.02), 4, num_workers=2))
    next(iterator)
    iterator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("tinyvision-data")]


def test_work_ahead_is_bounded_while_nobody_takes_batches():
    data = Counting(400)
    iterator = iter(DataLoader(data, 4, num_workers=2))
    next(iterator)
    time.sleep(0.2)
    assert len(data.read) <= 4 * (2 * 2 + 1)
    iterator.close()


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("held", ["", "iterator = "])
def test_ctrl_c_ends_the_program(held, tmp_path):
    script = f"""
        import time, numpy as np
        from tinyvision.data import DataLoader, Dataset

        class Slow(Dataset):
            def __len__(self):
                return 10_000
            def __getitem__(self, index):
                time.sleep(0.01)
                return np.zeros((2, 2, 1), np.uint8), 0

        loader = DataLoader(Slow(), 10, num_workers=2)
        {held or "iterator = "}iter(loader)
        print("ready", flush=True)
        for batch in iterator:
            pass
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    assert process.returncode != 0


def test_collate():
    x, label, name = collate([(np.zeros(3), 1, "a"), (np.ones(3), 2, "b")])
    assert x.shape == (2, 3)
    assert x.dtype == np.float32
    assert label.dtype == np.int64
    assert name == ["a", "b"]
    assert collate([{"x": np.zeros((2, 2, 3), np.uint8)}] * 2)["x"].shape == (2, 3, 2, 2)
    assert collate([tinyvision.tensor([1.0, 2.0])] * 3).shape == (3, 2)
    assert collate([1.5, 2.5]).dtype == np.float32
    assert collate([True, False]).dtype == np.int64
    with pytest.raises(ShapeError, match=r"transforms\.Resize"):
        collate([(np.zeros((2, 2, 3), np.uint8), 0), (np.zeros((3, 2, 3), np.uint8), 0)])
    with pytest.raises(ShapeError, match="numbers of parts"):
        collate([(1, 2), (1,)])
    with pytest.raises(ShapeError, match="keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DtypeError, match="object"):
        collate([None, None])


def test_a_collate_function_of_one_s_own():
    data = ArrayDataset(IMAGES, LABELS)
    for workers in (0, 2):
        loader = DataLoader(data, 4, num_workers=workers, collate_fn=lambda items: [label for _, label in items])
        assert list(loader)[1] == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"batch_size": 0}, OptionError, "batch_size must be an integer from 1, got 0"),
        ({"batch_size": 2.0}, OptionError, "batch_size"),
        ({"batch_size": True}, OptionError, "batch_size"),
        ({"num_workers": -1}, OptionError, "num_workers"),
        ({"seed": -1}, OptionError, "seed"),
        ({"seed": "x"}, OptionError, "seed"),
        ({"batch_size": 24, "drop_last": True}, OptionError, "drop_last leaves nothing"),
        ({"collate_fn": 3}, OptionError, "collate_fn"),
    ],
)
def test_options_without_meaning(options, error, reason):
    with pytest.raises(error, match=reason):
        DataLoader(ArrayDataset(IMAGES, LABELS), **options)


def test_other_mistakes():
    with pytest.raises(DataError, match="empty"):
        DataLoader([])
    with pytest.raises(OptionError, match="no dataset"):
        DataLoader(3)
    with pytest.raises(OptionError, match="epoch"):
        DataLoader([(0.0, 1)]).set_epoch(-1)
    with pytest.warns(UserWarning, match="pin_memory"):
        DataLoader([(0.0, 1)], pin_memory=True)
    assert "batch_size=1" in repr(DataLoader([(0.0, 1)], seed=0))
