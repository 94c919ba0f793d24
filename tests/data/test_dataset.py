import numpy as np
import pytest

from tinyvision.data import ArrayDataset, DataLoader, Dataset, NpzDataset, Subset, split
from tinyvision.data import transforms as T
from tinyvision.errors import DataError, OptionError

from .hostile import npz_bytes

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
    np.testing.assert_array_equal(x.numpy(), T.ToTensor()(255 - IMAGES[:2]))


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
    with pytest.raises(DataError, match="cannot be divided"):
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
