import threading

import numpy as np
import pytest
from formats.hostile_data import encode, picture

from tinyvision import Tensor, random
from tinyvision.data import read_image
from tinyvision.data import transforms as T
from tinyvision.errors import DtypeError, OptionError, ShapeError

IMAGE = picture(31, 37)
FLOAT = T.ToTensor()(IMAGE).numpy()


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def tv():
    return pytest.importorskip("tests.data.torchvision_oracle")


def _photographs():
    skimage = pytest.importorskip("skimage")
    return [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut()]


def test_imagenet_preprocessing_is_torchvision_s_on_photographs(tv):
    from PIL import Image

    theirs = tv.transforms.Compose(
        [
            tv.transforms.Resize(256),
            tv.transforms.CenterCrop(224),
            tv.transforms.ToTensor(),
            tv.transforms.Normalize(T.IMAGENET_MEAN, T.IMAGENET_STD),
        ]
    )
    for photograph in _photographs():
        data = encode(photograph, "JPEG", quality=90)
        ours = T.imagenet_preprocess()(read_image(data))
        import io

        expected = theirs(Image.open(io.BytesIO(data)).convert("RGB")).numpy()
        assert ours.shape == (3, 224, 224)
        assert ours.dtype == np.float32
        # Both resize with the same integer arithmetic; what differs is float32 rounding in (x - mean) / std.
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [16, 31, 50, (20, 60), (31, 37), [7, 9]])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic"])
def test_resize_is_torchvision_s(tv, size, interpolation):
    from PIL import Image

    mode = tv.transforms.InterpolationMode(interpolation)
    expected = np.asarray(tv.transforms.Resize(size, mode)(Image.fromarray(IMAGE)))
    np.testing.assert_array_equal(T.Resize(size, interpolation)(IMAGE), expected)
    np.testing.assert_array_equal(T.Resize(size, interpolation)(IMAGE[:, :, :1])[..., 0].shape, expected.shape[:2])


def test_resize_of_numbers_and_the_longer_side(tv):
    expected = tv.transforms.Resize((13, 19), antialias=True)(tv.torch.from_numpy(FLOAT)).numpy()
    # Pillow computes the filter's weights in double precision, torch in single.
    np.testing.assert_allclose(T.Resize((13, 19))(FLOAT), expected, rtol=0, atol=1e-5)
    limited = tv.transforms.Resize(20, max_size=22)(tv.torch.zeros(3, 31, 37)).shape
    assert T.Resize(20, max_size=22)(FLOAT).shape == tuple(limited)
    assert T.Resize(20)(IMAGE).shape == (20, 23, 3)
    assert T.Resize(20)(IMAGE.transpose(1, 0, 2)).shape == (23, 20, 3)


@pytest.mark.parametrize("size", [20, (11, 30), (40, 20), (45, 60), 1])
def test_center_crop_is_torchvision_s(tv, size):
    from PIL import Image

    expected = np.asarray(tv.transforms.CenterCrop(size)(Image.fromarray(IMAGE)))
    np.testing.assert_array_equal(T.CenterCrop(size)(IMAGE), expected)
    np.testing.assert_array_equal(T.CenterCrop(size)(FLOAT), T.ToTensor()(expected))


@pytest.mark.parametrize("padding", [3, (1, 2), (1, 2, 3, 4)])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_is_torchvision_s(tv, padding, mode):
    from PIL import Image

    expected = np.asarray(tv.transforms.Pad(padding, 7, mode)(Image.fromarray(IMAGE)))
    np.testing.assert_array_equal(T.Pad(padding, 7, mode)(IMAGE), expected)
    np.testing.assert_array_equal(T.Pad(padding, 7 / 255, mode)(FLOAT), T.ToTensor()(expected))


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_as_in_torchvision(tv, name):
    theirs = getattr(tv.transforms.functional, f"adjust_{name}")
    ours = getattr(T.functional, f"adjust_{name}")
    tensor = tv.torch.from_numpy(IMAGE).permute(2, 0, 1)
    for factor in (-0.5, -0.3, 0.1, 0.5) if name == "hue" else (0, 0.3, 0.9, 1.7):
        np.testing.assert_array_equal(ours(IMAGE, factor), theirs(tensor, factor).permute(1, 2, 0).numpy())
        # A few roundings of numbers up to 6 (the hue in sixths) in single precision.
        expected = theirs(tensor.float() / 255, factor).numpy()
        np.testing.assert_allclose(ours(FLOAT, factor), expected, rtol=0, atol=2e-6)


def test_grayscale_is_pillow_s():
    from PIL import Image

    expected = np.asarray(Image.fromarray(IMAGE).convert("L"))
    np.testing.assert_array_equal(T.Grayscale()(IMAGE)[..., 0], expected)
    assert T.Grayscale(3)(IMAGE).shape == IMAGE.shape
    assert T.Grayscale(3)(IMAGE[..., :1]).shape == IMAGE.shape
    assert T.Grayscale()(FLOAT).shape == (1, 31, 37)
    # 0.2989 for 0.299, and the rounding to whole numbers.
    np.testing.assert_allclose(T.Grayscale()(FLOAT)[0], expected / 255, atol=0.003)


def test_to_tensor_and_normalize_are_torchvision_s(tv):
    from PIL import Image

    np.testing.assert_array_equal(FLOAT, tv.transforms.ToTensor()(Image.fromarray(IMAGE)).numpy())
    expected = tv.transforms.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])(tv.torch.from_numpy(FLOAT)).numpy()
    np.testing.assert_array_equal(T.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])(FLOAT), expected)
    assert T.Normalize(0.5, 0.5)(FLOAT).max() <= 1
    pictures = [Image.fromarray(IMAGE).convert(mode) for mode in ("RGB", "L", "1", "I", "F", "RGBA", "P")]
    for one in (*pictures, IMAGE, IMAGE[..., 0], IMAGE.astype("f8"), IMAGE.astype("i4")):
        ours, expected = T.ToTensor()(one), tv.transforms.ToTensor()(one)
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), strict=True)
        assert ours.unsqueeze(0).size() == expected.unsqueeze(0).size()


@pytest.mark.parametrize("name", ["Resize", "CenterCrop", "Pad", "Grayscale", "RandomHorizontalFlip"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_every_kind_comes_back_as_it_was(tv, name, mode):
    from PIL import Image

    if name == "Grayscale" and mode not in ("RGB", "L"):
        pytest.skip("grey is of three channels, or of one")
    argument = {"Resize": (13, 11), "CenterCrop": 20, "Pad": 2, "Grayscale": 1, "RandomHorizontalFlip": 1.0}[name]
    image = Image.fromarray(IMAGE).convert(mode)
    ours, expected = getattr(T, name)(argument)(image), getattr(tv.transforms, name)(argument)(image)
    assert ours.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(expected))
    if mode == "P":
        assert ours.getpalette() == image.getpalette()
    tensor = tv.torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())
    if mode == "RGB" and name not in ("Resize", "Grayscale"):  # theirs resizes and greys tensors in other arithmetic
        ours, expected = (
            getattr(T, name)(argument)(Tensor.of(tensor.numpy())),
            getattr(tv.transforms, name)(argument)(tensor),
        )
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), strict=True)


RANDOM = [
    T.RandomCrop(20),
    T.RandomCrop(32, padding=4, padding_mode="reflect"),
    T.RandomCrop((50, 20), pad_if_needed=True),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(),
    T.RandomResizedCrop(16),
    T.RandomErasing(1.0, value=0.5),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
]


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
@pytest.mark.parametrize("image", [IMAGE, FLOAT], ids=["uint8", "float32"])
def test_random_transforms_repeat_and_leave_the_image_alone(transform, image):
    before = image.copy()
    runs = [transform(image, rng(seed)) for seed in range(12)]
    np.testing.assert_array_equal(image, before)
    for seed, run in enumerate(runs):
        np.testing.assert_array_equal(run, transform(image, rng(seed)))
        assert run.dtype == image.dtype
        assert run.shape == runs[0].shape
        assert run.flags.c_contiguous
    assert len({run.tobytes() for run in runs}) > 1
    with random.use(rng(5)):
        np.testing.assert_array_equal(transform(image), runs[5])
    with T.drawing_from(lambda: rng(7)):
        np.testing.assert_array_equal(transform(image), runs[7])


@pytest.mark.parametrize(
    "transform", [t for t in RANDOM if not isinstance(t, (T.ColorJitter, T.RandomErasing))], ids=repr
)
def test_both_layouts_move_the_same_pixels(transform):
    for seed in range(5):
        bytes_first = T.ToTensor()(transform(IMAGE, rng(seed)))
        numbers_first = transform(FLOAT, rng(seed))
        # Resizing rounds to whole levels in one of the two.
        np.testing.assert_allclose(bytes_first, numbers_first, atol=1.01 / 255)


def test_random_crop_reaches_every_place_and_only_those():
    seen = {tuple(T.RandomCrop(2)(np.arange(9, dtype=np.uint8).reshape(3, 3), rng(i)).ravel()) for i in range(60)}
    assert seen == {(0, 1, 3, 4), (1, 2, 4, 5), (3, 4, 6, 7), (4, 5, 7, 8)}
    with pytest.raises(ShapeError, match="31 x 37, the crop 32 x 32"):
        T.RandomCrop(32)(IMAGE)


def test_random_resized_crop_keeps_to_scale_and_ratio():
    crop = T.RandomResizedCrop(8, scale=(0.2, 0.6), ratio=(0.5, 2.0))
    for seed in range(200):
        top, left, height, width = crop._box(60, 80, rng(seed))
        assert 0 <= top <= 60 - height
        assert 0 <= left <= 80 - width
        # One pixel of rounding on either side.
        assert 0.2 * 0.9 < height * width / 4800 < 0.6 * 1.1
        assert 0.5 * 0.9 < width / height < 2.0 * 1.1
    assert T.RandomResizedCrop(8)._box(1, 1000, rng()) == (0, 499, 1, 1)
    assert T.RandomResizedCrop(8)._box(1000, 2, rng())[2:] == (3, 2)


def test_flips_happen_as_often_as_they_should():
    flips = sum((T.RandomHorizontalFlip(0.3)(IMAGE, rng(i)) != IMAGE).any() for i in range(1000))
    assert 240 < flips < 360  # four standard deviations are 58
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1.0)(IMAGE), IMAGE[:, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1.0)(FLOAT), FLOAT[:, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(0.0)(IMAGE), IMAGE)


def test_erasing_writes_one_rectangle():
    erased = T.RandomErasing(1.0, value=(1, 2, 3))(IMAGE, rng(3))
    rows, columns = np.nonzero((erased == (1, 2, 3)).all(-1) & (IMAGE != (1, 2, 3)).any(-1))
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert len(rows) == area
    assert 0.015 < area / IMAGE[..., 0].size < 0.35
    assert T.RandomErasing(1.0, value="random")(FLOAT, rng(3)).std() > 0
    with pytest.raises(DtypeError, match="floating-point"):
        T.RandomErasing(1.0, value="random")(IMAGE, rng(3))
    with pytest.raises(ShapeError, match="2 values"):
        T.RandomErasing(1.0, value=(1, 2))(IMAGE, rng(3))


def test_streams_of_threads_do_not_mix():
    found = {}

    def work(seed):
        with T.drawing_from(lambda: rng(seed)):
            found[seed] = [T.RandomCrop(8)(IMAGE).tobytes() for _ in range(50)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, crops in found.items():
        one = rng(seed)
        assert crops == [T.RandomCrop(8)(IMAGE, one).tobytes() for _ in range(50)]


def test_compose():
    pipeline = T.Compose([T.RandomCrop(8), T.RandomHorizontalFlip(), lambda image: image[:4], T.ToTensor()])
    np.testing.assert_array_equal(pipeline(IMAGE, rng(1)), pipeline(IMAGE, rng(1)))
    assert pipeline(IMAGE).shape == (3, 4, 8)
    assert not pipeline.elementwise
    assert T.Compose([T.ToTensor(), T.Normalize(0, 1)]).elementwise
    shown = "Compose([\n    Resize(size=8, interpolation='bilinear', max_size=None),\n    ToTensor(),\n])"
    assert repr(T.Compose([T.Resize(8), T.ToTensor()])) == shown
    with pytest.raises(OptionError, match="cannot be called"):
        T.Compose([3])
    with pytest.raises(OptionError, match="expected a list of transforms, got a ToTensor"):
        T.Compose(T.ToTensor())


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: T.Resize(0), OptionError, "positive integer"),
        (lambda: T.Resize((1, 2, 3)), OptionError, "positive integer"),
        (lambda: T.Resize(1.5), OptionError, "positive integer"),
        (lambda: T.Resize(8, "lanczos9"), OptionError, "interpolation"),
        (lambda: T.Resize(8, antialias=False), OptionError, "antialias"),
        (lambda: T.Resize(8, max_size=8), OptionError, "max_size"),
        (lambda: T.CenterCrop(True), OptionError, "positive integer"),
        (lambda: T.Pad(-1), OptionError, "padding"),
        (lambda: T.Pad(1.5), OptionError, "padding"),
        (lambda: T.Pad("ab"), OptionError, "padding"),
        (lambda: T.Resize("ab"), OptionError, "positive integer"),
        (lambda: T.ColorJitter("x"), OptionError, "brightness"),
        (lambda: T.Normalize("x", 1), OptionError, "mean"),
        (lambda: T.Pad((1, 2, 3)), OptionError, "padding"),
        (lambda: T.Pad(1, padding_mode="wrap"), OptionError, "padding_mode"),
        (lambda: T.Pad(40, padding_mode="reflect")(IMAGE), ShapeError, "cannot be reflected"),
        (lambda: T.RandomHorizontalFlip(1.1), OptionError, "p must lie"),
        (lambda: T.RandomErasing(scale=(0.5, 0.2)), OptionError, "least, most"),
        (lambda: T.RandomErasing(value="red"), OptionError, "numbers"),
        (lambda: T.RandomResizedCrop(8, scale=(0, 1)), OptionError, "least, most"),
        (lambda: T.ColorJitter(brightness=-1), OptionError, "brightness"),
        (lambda: T.ColorJitter(hue=0.6), OptionError, "hue"),
        (lambda: T.ColorJitter(hue=(-0.6, 0)), OptionError, "hue"),
        (lambda: T.Grayscale(2), OptionError, "1 or 3"),
        (lambda: T.Normalize(0, 0), OptionError, "std positive"),
        (lambda: T.Normalize((0, 0), (1, 1, 1)), OptionError, "2 means but 3"),
        (lambda: T.Normalize((0, 0), (1, 1))(FLOAT), ShapeError, "do not fit"),
        (lambda: T.Normalize(0, 1)(IMAGE), DtypeError, "put ToTensor before"),
        (lambda: T.ToTensor()(T.ToTensor()(IMAGE)), DtypeError, "got tinyvision.Tensor"),
        (lambda: T.ToTensor()([[1]]), DtypeError, "NumPy array, got"),
        (lambda: T.Resize(8)(IMAGE[:0]), ShapeError, "no pixels"),
    ],
)
def test_mistakes_are_explained(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
