import collections
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
from tinyvision.data import (
    ArrayDataset,
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    collate,
    get_worker_info,
)
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


@pytest.mark.parametrize("transform", [T.ToTensor(), lambda image: T.ToTensor()(image)], ids=["tensor", "callable"])
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


@pytest.mark.parametrize("transform", [None, lambda image: image], ids=["at once", "one by one"])
def test_what_a_dataset_returns_is_left_as_it_is(transform):
    x, y = next(iter(DataLoader(ArrayDataset(IMAGES, LABELS, transform=transform), 5)))
    np.testing.assert_array_equal(x.numpy(), IMAGES[:5], strict=True)
    np.testing.assert_array_equal(y.numpy(), LABELS[:5], strict=True)


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
    deadline = time.monotonic() + 600
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
        _, err = process.communicate(timeout=600)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    assert process.returncode != 0


PAIR = collections.namedtuple("PAIR", "image label")
RNG = np.random.default_rng(1)
BATCHES = {
    "masks": [(RNG.integers(0, 9, (4, 5), np.uint8), 1), (RNG.integers(0, 9, (4, 5), np.uint8), 2)],
    "planes": [RNG.integers(0, 9, (3, 6, 6), np.uint8) for _ in range(3)],
    "pictures": [RNG.integers(0, 9, (6, 6, 3), np.uint8) for _ in range(3)],
    "shorts": [np.arange(3, dtype=np.uint16)] * 2,
    "doubles": [np.zeros(3), np.ones(3)],
    "bools": [np.array([True, False])] * 2,
    "integers": [1, 2, 3],
    "floats": [1.5, 2.5],
    "truth": [True, False],
    "numpy numbers": [np.float32(1.5), np.float32(2)],
    "numpy integers": [np.int32(1), np.int32(2)],
    "a whole number before a float": [1, 2.5],
    "a float before a whole number": [1.5, 2],
    "arrays of two dtypes": [np.array(1), np.array(2.5, np.float32)],
    "rows of two dtypes": [np.array([1, 2]), np.array([2.5, 1], np.float16)],
    "text": ["a", "b"],
    "bytes": [b"a", b"b"],
    "dicts": [{"x": np.ones((2, 3)), "y": 1}, {"x": np.zeros((2, 3)), "y": 2}],
    "nested": [((1, [2.0, "a"]), {"z": (3,)})] * 2,
    "named": [PAIR(np.ones(2), 1), PAIR(np.zeros(2), 2)],
}


def same_tree(ours, theirs):
    if hasattr(theirs, "numpy"):
        assert isinstance(ours, tinyvision.Tensor)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), strict=True)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            same_tree(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same_tree(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", BATCHES)
def test_collate_is_pytorch_s(name):
    torch = pytest.importorskip("torch")
    same_tree(collate(BATCHES[name]), torch.utils.data.default_collate(BATCHES[name]))
    for workers in (0, 2):
        ours = DataLoader(BATCHES[name], 2, num_workers=workers)
        for a, b in zip(ours, torch.utils.data.DataLoader(BATCHES[name], 2), strict=True):
            same_tree(a, b)
        for a, b in zip(DataLoader(BATCHES[name], None), torch.utils.data.DataLoader(BATCHES[name], None), strict=True):
            same_tree(a, b)


def test_what_makes_no_batch():
    with pytest.raises(ShapeError, match=r"transforms\.Resize"):
        collate([(np.zeros((2, 2, 3), np.uint8), 0), (np.zeros((3, 2, 3), np.uint8), 0)])
    with pytest.raises(ShapeError, match="numbers of parts"):
        collate([(1, 2), (1,)])
    with pytest.raises(ShapeError, match="keys"):
        collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DtypeError, match="2 of the 2 values in one batch are None"):
        collate([None, None])
    with pytest.raises(DtypeError, match="no number"):
        collate([1, "a"])
    Image = pytest.importorskip("PIL.Image")
    with pytest.raises(DtypeError, match=r"put transforms\.ToTensor\(\) into"):
        collate([(Image.new("L", (2, 2)), 0)])


def test_a_dataset_gives_the_items_of_a_batch_at_once_if_it_can():
    class Table(Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return index

        def __getitems__(self, indices):
            assert all(type(index) is int for index in indices)
            return [10 * index for index in indices]

    torch = pytest.importorskip("torch")
    theirs = [batch.tolist() for batch in torch.utils.data.DataLoader(Table(), batch_size=2)]
    assert theirs == [[0, 10], [20, 30], [40]]
    for workers in (0, 2):
        assert [batch.tolist() for batch in DataLoader(Table(), 2, num_workers=workers)] == theirs
    assert [batch.tolist() for batch in DataLoader(Table(), 2, sampler=[4, 1])] == [[40, 10]]


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
        ({"worker_init_fn": 3, "num_workers": 1}, OptionError, "worker_init_fn"),
        ({"persistent_workers": True}, OptionError, "persistent_workers needs num_workers"),
        ({"prefetch_factor": 2}, OptionError, "prefetch_factor needs num_workers"),
        ({"timeout": -1, "num_workers": 1}, OptionError, "timeout"),
        ({"sampler": [0, 1], "shuffle": True}, OptionError, "sampler or shuffle"),
        ({"batch_sampler": [[0, 1]], "batch_size": 2}, OptionError, "batch_sampler goes without"),
        ({"batch_size": None, "drop_last": True}, OptionError, "drop_last"),
        ({"generator": 3}, OptionError, "Generator"),
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
    DataLoader([(0.0, 1)], pin_memory=True, pin_memory_device="cuda", in_order=False)
    assert "batch_size=1" in repr(DataLoader([(0.0, 1)], seed=0))


def test_samplers_give_the_order():
    data = list(range(7))

    def batches_of(**options):
        return [batch.tolist() for batch in DataLoader(data, **options)]

    assert batches_of(batch_size=3, sampler=[5, 1, 1, 6]) == [[5, 1, 1], [6]]
    assert batches_of(batch_size=3, sampler=[5, 1, 1, 6], drop_last=True) == [[5, 1, 1]]
    assert batches_of(batch_sampler=[[0, 3], [6]]) == [[0, 3], [6]]
    assert batches_of(batch_sampler=BatchSampler(SequentialSampler(data), 4, False), num_workers=2) == [
        [0, 1, 2, 3],
        [4, 5, 6],
    ]
    assert sorted(batches_of(sampler=RandomSampler(data))) == [[i] for i in data]
    assert sorted(SubsetRandomSampler([2, 5, 6])) == [2, 5, 6]
    assert len(list(RandomSampler(data, num_samples=17))) == len(RandomSampler(data, num_samples=17)) == 17
    assert sorted(list(RandomSampler(data, num_samples=17))[:14]) == sorted(2 * data)
    assert set(RandomSampler(data, replacement=True, num_samples=200)) == set(data)
    drawn = collections.Counter(WeightedRandomSampler([1.0, 0.0, 3.0], 4000))
    assert set(drawn) == {0, 2}
    assert 2.6 < drawn[2] / drawn[0] < 3.4
    assert sorted(WeightedRandomSampler([1, 1, 0, 5], 3, replacement=False)) == [0, 1, 3]
    loader = DataLoader(data, 2, shuffle=True)
    assert (len(loader.sampler), len(loader.batch_sampler)) == (7, 4)
    same = [list(RandomSampler(data, generator=np.random.default_rng(3))) for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler([1], num_samples=0),
        lambda: RandomSampler([1], replacement=1),
        lambda: WeightedRandomSampler([-1.0, 2.0], 3),
        lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False),
        lambda: WeightedRandomSampler([1.0], 0),
        lambda: BatchSampler([1, 2], 0, False),
    ],
)
def test_samplers_without_meaning(make):
    with pytest.raises(OptionError):
        make()


class Countdown(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        share = range(10) if info is None else range(info.id, 10, info.num_workers)
        return iter([(np.uint8(i), info is not None and info.id) for i in share])


def test_datasets_that_are_read_from_beginning_to_end():
    for options, expected in (
        ({"batch_size": 4}, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
        ({"batch_size": 4, "drop_last": True}, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ({"batch_size": None}, list(range(10))),
    ):
        assert [x.tolist() for x, _ in DataLoader(Countdown(), **options)] == expected
    batches = [(x.tolist(), set(w.tolist())) for x, w in DataLoader(Countdown(), 2, num_workers=3)]
    assert sorted(i for x, _ in batches for i in x) == list(range(10))
    assert [w for _, w in batches] == [{0}, {1}, {2}, {0}, {1}, {2}]  # 4, 3 and 3 items, taken in turns
    with pytest.raises(OptionError, match="own order"):
        DataLoader(Countdown(), shuffle=True)
    assert len(list(Countdown() + Countdown())) == 20


def test_workers_know_themselves():
    seen, started = set(), []

    class Asking(Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, index):
            info = get_worker_info()
            seen.add((info.id, info.num_workers, index // 2 % 3))
            return index

    loader = DataLoader(Asking(), 2, num_workers=3, worker_init_fn=started.append, persistent_workers=True)
    assert [batch.tolist() for batch in loader] == [[i, i + 1] for i in range(0, 12, 2)]
    assert seen == {(i, 3, i) for i in range(3)}
    assert sorted(started) == [0, 1, 2]
    assert get_worker_info() is None
    with pytest.raises(DataError, match=r"more than timeout=0\.05"):
        list(DataLoader(Counting(1, delay=3), 1, num_workers=1, timeout=0.05))


def test_datasets_of_datasets():
    both = ConcatDataset([[1, 2], [3]]) + ConcatDataset([[4, 5]])
    assert len(both) == 5
    assert [both[i] for i in (0, 2, 3, -1)] == [1, 3, 4, 5]
    assert ConcatDataset([[1, 2], [3]]).cumulative_sizes == [2, 3]
    with pytest.raises(DataError):
        both[5]
    assert StackDataset([1, 2], "ab")[1] == (2, "b")
    assert StackDataset(x=[1, 2], y="ab")[0] == {"x": 1, "y": "a"}
    with pytest.raises(DataError, match="2, 3 items"):
        StackDataset([1, 2], "abc")
    with pytest.raises(DataError, match="no dataset"):
        ConcatDataset([])


def test_a_generator_draws_the_order():
    data = ArrayDataset(IMAGES, LABELS)

    def order(generator):
        return [y.tolist() for _, y in DataLoader(data, 23, shuffle=True, generator=generator)]

    assert order(np.random.default_rng(3)) == order(np.random.default_rng(3)) != order(np.random.default_rng(4))


def test_a_generator_that_begins_again_gives_the_same_epoch_again():
    generator = tinyvision.Generator()
    loader = DataLoader(list(range(10)), 10, shuffle=True, generator=generator)
    orders = []
    for seed in (3, 3, 4):
        generator.manual_seed(seed)
        orders.append(next(iter(loader)).tolist())
    assert orders[0] == orders[1] != orders[2]


def test_an_iterator_knows_how_many_batches_there_are_in_all():
    """As in PyTorch, where `min(len(iter(a)), len(iter(b)))` says how many steps two loaders have in common."""
    for keywords in ({}, {"num_workers": 2}, {"drop_last": True}, {"batch_size": None}):
        loader = DataLoader(list(range(10)), **{"batch_size": 4, **keywords})
        batches = iter(loader)
        assert len(batches) == len(loader)
        next(batches)
        assert len(batches) == len(loader)  # not what is left
        assert iter(batches) is batches
        assert len(list(batches)) == len(loader) - 1


def test_a_batch_of_items_that_require_a_gradient_hands_it_on():
    items = [tinyvision.tensor([float(k), 1.0], requires_grad=True) for k in range(3)]
    (next(iter(DataLoader(items, 3))) * tinyvision.tensor([[1.0, 2], [3, 4], [5, 6]])).sum().backward()
    assert [item.grad.tolist() for item in items] == [[1, 2], [3, 4], [5, 6]]


def test_grey_and_colour_pictures_in_one_batch_are_called_that():
    with pytest.raises(ShapeError, match=r"different numbers of channels: \(1, 4, 5\), \(3, 4, 5\)"):
        collate([(np.zeros((1, 4, 5), np.float32), 0), (np.zeros((3, 4, 5), np.float32), 1)])
    with pytest.raises(ShapeError, match="Resize"):
        collate([(np.zeros((3, 4, 5), np.float32), 0), (np.zeros((3, 5, 5), np.float32), 1)])


@pytest.mark.parametrize("batch", [[np.zeros(2), None], [None, np.zeros(2)], [1, None], [1.0, None], [None, {}]])
def test_what_is_missing_in_a_batch_is_said(batch):
    where = [item is None for item in batch].index(True)
    for items in (batch, [(0, item) for item in batch], [{"x": item} for item in batch]):
        with pytest.raises(
            DtypeError, match=rf"1 of the 2 values in one batch are None \(at {where} of.*no return"
        ) as e:
            collate(items)
        assert "Resize" not in str(e.value)


def test_what_is_mixed_in_a_batch_is_said():
    Image = pytest.importorskip("PIL.Image")
    with pytest.raises(DtypeError, match=r"mixes arrays with PIL.Image.Image \(at 1 of the batch\)"):
        collate([np.zeros((2, 2)), Image.new("L", (2, 2))])
    with pytest.raises(DtypeError, match=r"mixes dicts with list \(at 1, 2 of"):
        collate([{"a": 1}, [1], [1]])
    with pytest.raises(ShapeError, match=r"numbers of channels.*Grayscale"):
        collate([np.zeros((1, 4, 4)), np.zeros((3, 4, 4))])
    assert collate([tinyvision.zeros(2), np.ones(2)]).shape == (2, 2)  # both are numbers in one shape


class Records(Dataset):
    """A file that is opened when the first item is read, and searched item by item."""

    def __init__(self, path):
        self.path, self.file = path, None

    def __len__(self):
        return self.path.stat().st_size // 2000

    def __getitem__(self, index):
        if self.file is None:
            self.file = self.path.open("rb", buffering=0)
        self.file.seek(index * 2000)
        time.sleep(0)  # another worker may come in between
        return index, int.from_bytes(self.file.read(8), "little")


class Unrelated:
    """A class of no family, which does as a dataset does."""

    __init__, __len__, __getitem__ = Records.__init__, Records.__len__, Records.__getitem__


@pytest.mark.parametrize("wrapped", [
    lambda d: d, lambda d: Subset(d, range(len(d))), lambda d: ConcatDataset([d, d]), lambda d: Unrelated(d.path),
])  # fmt: skip
def test_each_worker_has_a_file_of_its_own(tmp_path, wrapped):
    path = tmp_path / "records"
    path.write_bytes(b"".join(i.to_bytes(8, "little") + bytes(1992) for i in range(400)))
    records = Records(path)
    loader = DataLoader(wrapped(records), 10, num_workers=4)
    pairs = [pair for indices, numbers in loader for pair in zip(indices.tolist(), numbers.tolist(), strict=True)]
    assert len(pairs) in (400, 800)
    assert all(index == number for index, number in pairs)
    assert records.file is None


def test_workers_of_a_stream_have_a_copy_each():
    class Stream(IterableDataset):
        def __iter__(self):
            self.at = info = get_worker_info().id
            for _ in range(5):
                time.sleep(0)
                yield self.at - info

    assert sum(int(batch.sum()) for batch in DataLoader(Stream(), 2, num_workers=3)) == 0
