import numpy as np
import pytest
from formats.hostile_data import npz_bytes

import tinyvision as tv
from tinyvision.data import (
    ArrayDataset,
    DataLoader,
    Dataset,
    NpzDataset,
    Subset,
    TensorDataset,
    collate,
    random_split,
    split,
)
from tinyvision.data import transforms as T
from tinyvision.errors import DataError, DtypeError, OptionError

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def test_items_length_and_ends():
    data = ArrayDataset(IMAGES, LABELS, classes=["a", "b", "c"])
    assert len(data) == 30
    assert data.classes == ["a", "b", "c"]
    image, label = data[4]
    np.testing.assert_array_equal(image, IMAGES[4])
    assert label == 1
    assert type(label) is int
    assert data[-1][1] == LABELS[-1]
    assert data[np.int64(3)][1] == 0
    assert [label for _, label in data] == list(LABELS)
    for index in (30, -31):
        with pytest.raises(IndexError, match="outside of its 30 items") as caught:
            data[index]
        assert isinstance(caught.value, DataError)
    with pytest.raises(DataError, match="must be an integer"):
        data["a"]
    assert "30 images" in repr(data)


def test_grey_images_get_a_channel_and_floats_stay():
    assert ArrayDataset(IMAGES[..., 0], LABELS)[0][0].shape == (6, 5, 1)
    floats = np.ones((4, 7), np.float32)
    assert ArrayDataset(floats, [0, 1, 0, 1])[0][0].shape == (7,)


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (IMAGES, LABELS[:-1], "30 images but 29 labels"),
        (IMAGES, LABELS - 1, "label -1 at index 0"),
        (IMAGES, np.where(np.arange(30) == 7, 3, 0), "label 3 at index 7; labels go from 0 to 2"),
        (IMAGES, LABELS.astype(float), "must be integers"),
        (IMAGES, np.stack([LABELS, LABELS], 1), "must be integers"),
        (IMAGES, [None] * 30, "must be integers"),
        (IMAGES[:0], LABELS[:0], "no images"),
        (IMAGES.astype(int), LABELS, "must be uint8"),
        (IMAGES.astype(np.uint16), LABELS, "must be uint8"),
        (IMAGES.transpose(0, 3, 1, 2), LABELS, "move the channels to the end"),
        (IMAGES[..., None], LABELS, "must be"),
        (np.array("x"), LABELS, "must be uint8"),
    ],
)
def test_arrays_that_do_not_fit(images, labels, reason):
    with pytest.raises(DataError, match=reason):
        ArrayDataset(images, labels, classes=["a", "b", "c"])


def test_a_batch_is_what_the_items_are():
    data = ArrayDataset(IMAGES, LABELS, transform=T.Compose([T.ToTensor(), T.Normalize(0.4, 0.3)]))
    part = Subset(data, [5, 2, 9, 2])
    assert data.can_batch
    assert part.can_batch
    images, labels = part.batch(np.array([3, 0]))
    for row, index in enumerate((3, 0)):
        np.testing.assert_array_equal(images[row], part[index][0])
        assert labels[row] == part[index][1]
    assert not ArrayDataset(IMAGES, LABELS, transform=T.RandomHorizontalFlip()).can_batch
    assert not Subset(data, [1], transform=lambda image: image).can_batch


def test_a_subclass_with_items_of_its_own_gets_no_shortcut():
    class Inverted(ArrayDataset):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return 255 - image, label

    data = Inverted(IMAGES, LABELS)
    assert not data.can_batch
    assert not Subset(data, [0, 1]).can_batch
    x, _ = next(iter(DataLoader(data, 2)))
    np.testing.assert_array_equal(x.numpy(), 255 - IMAGES[:2], strict=True)


def test_subsets():
    data = ArrayDataset(IMAGES, LABELS, classes=["a", "b", "c"])
    part = Subset(data, [4, -1], transform=lambda image: image[:2])
    assert len(part) == 2
    assert part.classes == data.classes
    assert part[0][0].shape == (2, 5, 3)
    assert part[1][1] == LABELS[29]
    np.testing.assert_array_equal(part.labels, [1, 2])
    np.testing.assert_array_equal(Subset(part, [1]).labels, [2])
    for indices, reason in (
        ([30], "index 30"),
        ([-31], "index -31"),
        ([0.5], "integers"),
        ([[1]], "integers"),
    ):
        with pytest.raises(DataError, match=reason):
            Subset(data, indices)
    assert len(Subset(data, [])) == 0
    assert Subset(data, []).labels.shape == (0,)


def test_indices_are_those_that_were_given():
    """Scripts add the lists of two parts to each other, which arrays would do number by number."""
    torch = pytest.importorskip("torch")
    data = ArrayDataset(IMAGES, LABELS)
    for indices in ([4, 0], range(3), (2, 1), np.array([1, 2])):
        theirs = torch.utils.data.Subset(list(range(30)), indices)
        assert Subset(data, indices).indices is indices is theirs.indices
    one, other = random_split(data, [20, 10])
    parts = torch.utils.data.random_split(list(range(30)), [20, 10])
    assert [type(part.indices) for part in (one, other)] == [type(part.indices) for part in parts]
    assert sorted(one.indices + other.indices) == list(range(30))
    assert {type(i) for i in one.indices} == {int}


def test_split_is_stratified_disjoint_and_repeatable():
    labels = np.repeat([0, 1, 2, 3], [50, 20, 3, 1])
    data = ArrayDataset(np.zeros((74, 2, 2), np.uint8), labels)
    train, held_out = split(data, 0.2, seed=3)
    assert sorted([*train.indices, *held_out.indices]) == list(range(74))
    assert list(np.bincount(held_out.labels, minlength=4)) == [10, 4, 1, 0]
    again, other = split(data, 0.2, seed=3)[1], split(data, 0.2, seed=4)[1]
    np.testing.assert_array_equal(held_out.indices, again.indices)
    assert (held_out.indices != other.indices).any()
    for fraction in (0, 1, -0.1, 1.5, True, "half", float("nan")):
        with pytest.raises(OptionError, match="fraction"):
            split(data, fraction)
    with pytest.raises(DataError, match=r"cannot be divided: .* classes with two items or more"):
        split(Subset(data, [0]), 0.5)


def test_split_of_a_dataset_that_only_has_items():
    class Mine(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return np.zeros((2, 2, 1), np.uint8), index % 2

    train, held_out = split(Mine(), 0.25)
    assert (len(train), len(held_out)) == (6, 2)
    assert sorted(held_out.labels) == [0, 1]


def test_unfinished_datasets_say_what_is_missing():
    with pytest.raises(OptionError, match="__len__"):
        len(Dataset())
    with pytest.raises(OptionError, match="__getitem__"):
        Dataset()[0]


def test_npz_datasets(tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(npz_bytes(images=IMAGES, labels=LABELS[:, None], classes=np.array(["x", "y", "z"])))
    data = NpzDataset(path)
    assert data.classes == ["x", "y", "z"]
    assert data[3][1] == 0
    np.testing.assert_array_equal(data[7][0], IMAGES[7])
    path.write_bytes(npz_bytes(x_train=IMAGES, y_train=LABELS))
    assert NpzDataset(path, images="x_train", labels="y_train").classes == ["0", "1", "2"]
    with pytest.raises(DataError, match=r"set\.npz: has no array 'images'; it has 'x_train', 'y_train'"):
        NpzDataset(path)
    path.write_bytes(npz_bytes(images=IMAGES, labels=LABELS, classes=np.arange(3)))
    with pytest.raises(DataError, match="classes must be strings"):
        NpzDataset(path)
    path.write_bytes(npz_bytes(images=IMAGES, labels=LABELS + 1, classes=np.array(["x", "y", "z"])))
    with pytest.raises(DataError, match=r"set\.npz: label 3 at index 2"):
        NpzDataset(path)


def columns():
    """Three tensors of 6 rows, of three dtypes; the bytes are no images, though they have the shape of some."""
    return tv.randn(6, 4, dtype="float64"), tv.arange(6).int(), tv.randint(0, 256, (6, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("index", [0, -1, 3, slice(1, 3)])
def test_a_tensor_dataset_hands_out_what_pytorch_does(index):
    torch = pytest.importorskip("torch")
    ours = TensorDataset(*columns())
    theirs = torch.utils.data.TensorDataset(*(torch.from_numpy(t.numpy()) for t in ours.tensors))
    assert len(ours) == len(theirs)
    assert isinstance(ours[index], tuple)
    for mine, other in zip(ours[index], theirs[index], strict=True):
        assert isinstance(mine, tv.Tensor)
        assert mine.dtype == other.numpy().dtype
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"collate_fn": collate}], ids=str)
@pytest.mark.parametrize("split_first", [False, True])
def test_batches_of_a_tensor_dataset_are_those_of_pytorch(options, split_first):
    """Whole batches at once, item by item, and through Subset: no number, shape or dtype is touched."""
    torch = pytest.importorskip("torch")
    ours = TensorDataset(*columns())
    theirs = torch.utils.data.TensorDataset(*(torch.from_numpy(t.numpy()) for t in ours.tensors))
    if split_first:
        ours = random_split(ours, [5, 1], seed=0)[0]
        theirs = torch.utils.data.Subset(theirs, ours.indices)
    loader, reference = DataLoader(ours, batch_size=4, **options), torch.utils.data.DataLoader(theirs, batch_size=4)
    for mine, other in zip(loader, reference, strict=True):
        assert len(mine) == len(other) == 3
        for a, b in zip(mine, other, strict=True):
            assert a.dtype == b.numpy().dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_tensor_dataset_takes_one_tensor_and_arrays_without_a_copy():
    array = np.arange(6.0)
    data = TensorDataset(array)
    array[2] = 7
    assert data[2][0].item() == 7
    assert repr(TensorDataset(*columns())) == "TensorDataset((6, 4), (6,), (6, 8, 8, 3))"
    (batch,) = next(iter(DataLoader(data, batch_size=6)))
    np.testing.assert_array_equal(batch.numpy(), array)


def test_a_transform_of_a_subset_sees_the_first_part_alone():
    part = Subset(TensorDataset(*columns()), [2, 1], transform=lambda x: x * 0)
    assert part[1][0].numpy().tolist() == [0, 0, 0, 0]
    assert [p.tolist() for p in part[1][1:]] == [p.tolist() for p in part.dataset[1][1:]]


def test_a_tensor_dataset_can_be_split_by_its_labels():
    train, held_out = split(TensorDataset(tv.randn(6, 4), tv.tensor([0, 0, 0, 1, 1, 1])), 0.34)
    assert [len(train), len(held_out)] == [4, 2]
    assert sorted(int(held_out[i][1]) for i in range(2)) == [0, 1]


def test_tensors_that_make_no_dataset_are_refused():
    for tensors, error, message in (
        ((), DataError, "there is no tensor"),
        ((tv.zeros(3, 2), tv.zeros(4)), DataError, r"one length along their first axis, got \(3, 2\), \(4,\)"),
        ((tv.tensor(1.0),), DataError, "first axis"),
        ((tv.zeros(3), [1, 2, 3]), DtypeError, r"tensors\[1\] must be an array, got list"),
        ((None,), DtypeError, "got NoneType"),
    ):
        with pytest.raises(error, match=f"TensorDataset: .*{message}"):
            TensorDataset(*tensors)
    data = TensorDataset(tv.zeros(3))
    for index, error in ((3, IndexError), (-4, IndexError), (1.5, DataError)):
        with pytest.raises(error, match="TensorDataset: "):
            data[index]
