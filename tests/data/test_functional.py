"""transforms.functional against torchvision's own, on every kind of image."""

import inspect

import numpy as np
import pytest

from tinyvision import Tensor
from tinyvision.data import transforms as T
from tinyvision.data.transforms import functional as F
from tinyvision.errors import DtypeError, OptionError, ShapeError
from tinyvision.torchvision.transforms import v2
from tinyvision.torchvision.transforms.v2 import functional as second

tv = pytest.importorskip("tests.data.torchvision_oracle")
theirs, torch, PIL = tv.transforms.functional, tv.torch, pytest.importorskip("PIL.Image")


def photograph(height=24, width=33):
    """A smooth picture with some noise: uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([90 + 80 * np.sin(x / 5), 120 + 70 * np.cos(y / 4), 4 * (x + y)], 2)
    return np.clip(smooth + np.random.default_rng(0).normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


IMAGE = photograph()
PLANES = np.ascontiguousarray(IMAGE.transpose(2, 0, 1))
FLOAT = PLANES.astype(np.float32) / 255
TWO = [PLANES, FLOAT]
MODES = ["nearest", "bilinear"]

# What is called with (functions, image), once with ours and once with theirs.
MOVES = {
    "crop": lambda f, x: f.crop(x, 3, 4, 10, 12),
    "crop beyond": lambda f, x: f.crop(x, -3, 20, 15, 30),
    "crop outside": lambda f, x: f.crop(x, 30, 40, 5, 6),
    "center_crop": lambda f, x: f.center_crop(x, [11, 40]),
    "pad": lambda f, x: f.pad(x, [1, 2, 3, 4], 7),
    "pad reflect": lambda f, x: f.pad(x, [2, 3], padding_mode="reflect"),
    "hflip": lambda f, x: f.hflip(x),
    "vflip": lambda f, x: f.vflip(x),
    "resized nearest": lambda f, x: f.resized_crop(x, 2, 3, 15, 21, [7, 40], nearest(f)),
    "resize nearest": lambda f, x: f.resize(x, 30, nearest(f)),
    "rotate": lambda f, x: f.rotate(x, 33.3),
    "rotate expand": lambda f, x: f.rotate(x, -71.2, expand=True, fill=9),
    "rotate center": lambda f, x: f.rotate(x, 12.1, center=[5, 7], fill=[1, 2, 3]),
    "affine": lambda f, x: f.affine(x, 13.7, [2, -3], 1.21, [8.3, -5.1]),
    "affine center": lambda f, x: f.affine(x, -40.3, [0, 1], 0.71, 11.3, center=[3, 4], fill=[5, 6, 7]),
    "perspective": lambda f, x: f.perspective(x, *CORNERS, interpolation=nearest(f)),
    "invert": lambda f, x: f.invert(x),
    "solarize": lambda f, x: f.solarize(x, 0.4 if is_float(x) else 100),
    "autocontrast": lambda f, x: f.autocontrast(x),
}
CORNERS = (
    [[0, 0], [32, 0], [32, 23], [0, 23]],
    [[3, 2], [28, 1], [31, 20], [2, 22]],
)
OF_BYTES = {
    "posterize": lambda f, x: f.posterize(x, 3),
    "equalize": lambda f, x: f.equalize(x),
}
MIXED = {
    "resize": lambda f, x: f.resize(x, [11, 40], bilinear(f)),
    "resize down": lambda f, x: f.resize(x, 9, max_size=11),
    "resize bicubic": lambda f, x: f.resize(x, [13, 20], f.InterpolationMode.BICUBIC),
    "rotate bilinear": lambda f, x: f.rotate(x, 33.3, bilinear(f)),
    "rotate expand bilinear": lambda f, x: f.rotate(
        x, -71.2, bilinear(f), expand=True, fill=0.25 if is_float(x) else 90
    ),
    "affine bilinear": lambda f, x: f.affine(x, 13.7, [2, -3], 1.21, [8.3, -5.1], bilinear(f), fill=0),
    "perspective bilinear": lambda f, x: f.perspective(x, *CORNERS),
    "perspective fill": lambda f, x: f.perspective(x, *CORNERS, fill=[0.1, 0.2, 0.3] if is_float(x) else [9, 8, 7]),
    "gaussian_blur": lambda f, x: f.gaussian_blur(x, [5, 3], [1.3, 0.6]),
    "gaussian_blur default": lambda f, x: f.gaussian_blur(x, 7),
    "sharpness": lambda f, x: f.adjust_sharpness(x, 2.4),
    "sharpness less": lambda f, x: f.adjust_sharpness(x, 0.3),
    "brightness": lambda f, x: f.adjust_brightness(x, 1.3),
    "contrast": lambda f, x: f.adjust_contrast(x, 0.6),
    "saturation": lambda f, x: f.adjust_saturation(x, 1.8),
    "hue": lambda f, x: f.adjust_hue(x, -0.17),
    "gamma": lambda f, x: f.adjust_gamma(x, 0.7, 1.1),
    "grayscale": lambda f, x: f.rgb_to_grayscale(x, 3),
}


def nearest(f):
    return f.InterpolationMode.NEAREST


def bilinear(f):
    return f.InterpolationMode.BILINEAR


def is_float(x):
    return "float" in str(getattr(x, "dtype", ""))


def both(call, array):
    return call(F, Tensor.of(array)), call(theirs, torch.from_numpy(array.copy()))


EVERY = {**MOVES, **MIXED, **OF_BYTES}


@pytest.mark.parametrize("name", EVERY)
def test_pillow_images_are_torchvision_s(name):
    image = PIL.fromarray(IMAGE)
    ours, expected = EVERY[name](F, image), EVERY[name](theirs, image)
    assert ours.mode == expected.mode
    if name.startswith("gaussian"):  # torchvision's Pillow images are blurred as tensors
        return same_levels(EVERY[name], np.asarray(ours).transpose(2, 0, 1), np.asarray(expected).transpose(2, 0, 1))
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(expected))


@pytest.mark.parametrize("name", EVERY)
def test_tensors_are_torchvision_s(name):
    for array in [PLANES] if name in OF_BYTES else TWO:
        ours, expected = EVERY[name](F, Tensor.of(array)), EVERY[name](theirs, torch.from_numpy(array.copy()))
        assert isinstance(ours, Tensor)
        if array.dtype == np.uint8:
            same_levels(EVERY[name], ours.numpy(), expected.numpy())
        elif name in MOVES:
            np.testing.assert_array_equal(ours.numpy(), expected.numpy(), strict=True)
        else:  # sums of a few float32 products, in another order
            np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=0, atol=2e-5, strict=True)


def same_levels(call, ours, expected):
    """Equal, but where the number that was rounded lies half-way between two levels, to float32's precision."""
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype == np.uint8
    differ = ours != expected
    if differ.any():
        exact = call(theirs, torch.from_numpy(PLANES.astype(np.float64))).numpy()[differ]
        assert (np.abs(exact % 1 - 0.5) < 1e-4).all(), (ours[differ], expected[differ], exact)
        np.testing.assert_array_equal(np.abs(ours.astype(int) - expected)[differ], 1)


@pytest.mark.parametrize("name", EVERY)
def test_arrays_are_the_pictures_that_they_are(name):
    call = EVERY[name]
    as_tensor = name in ("brightness", "contrast", "saturation", "hue")  # as ColorJitter has always treated them
    expected = call(F, Tensor.of(PLANES)).numpy().transpose(1, 2, 0) if as_tensor else call(F, PIL.fromarray(IMAGE))
    np.testing.assert_array_equal(call(F, IMAGE), np.asarray(expected), strict=True)
    if name not in OF_BYTES and "nearest" not in name:  # of arrays, Resize's nearest has always been Pillow's
        np.testing.assert_array_equal(call(F, FLOAT), call(F, Tensor.of(FLOAT)).numpy(), strict=True)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
@pytest.mark.parametrize("name", ["crop beyond", "hflip", "rotate", "affine", "resized nearest"])
def test_other_modes_keep_theirs(name, mode):
    image = PIL.fromarray(IMAGE).convert(mode)
    ours, expected = EVERY[name](F, image), EVERY[name](theirs, image)
    assert ours.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(expected))
    assert ours.getpalette() == expected.getpalette()


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "CMYK", "HSV", "P", "1", "I", "F"])
@pytest.mark.parametrize("way", [way for way in theirs.InterpolationMode if way.value != "nearest-exact"])
def test_every_mode_is_resized_as_pillow_does(way, mode):
    """What is transparent lends no colour to what is not."""
    pixels = np.random.default_rng(1).integers(0, 256, (*IMAGE.shape[:2], 4), dtype=np.uint8)
    image = PIL.fromarray(pixels, "RGBA")
    image = (
        image if mode == "RGBA" else image.convert(mode) if mode in ("LA", "P") else image.convert("RGB").convert(mode)
    )
    ours, expected = (f.resize(image, [9, 40], f.InterpolationMode(way.value)) for f in (F, theirs))
    assert ours.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(expected))
    if mode not in ("I", "F"):  # which are not cropped
        crops = (f.resized_crop(image, 2, 3, 15, 21, [7, 40], f.InterpolationMode(way.value)) for f in (F, theirs))
        np.testing.assert_array_equal(*map(np.asarray, crops))
    piece = T.RandomResizedCrop((9, 40), scale=(1, 1), ratio=(33 / 24, 33 / 24), interpolation=way.value)(image)
    np.testing.assert_array_equal(np.asarray(piece), np.asarray(theirs.resize(image, [9, 40], way)))


def test_batches_are_moved_alike():
    batch = np.stack([PLANES, PLANES[:, ::-1]])
    for array in (batch, batch.astype(np.float32) / 255):
        for name in ("crop", "pad reflect", "hflip", "rotate", "resize nearest", "gaussian_blur default", "grayscale"):
            ours, alone = (EVERY[name](F, Tensor.of(a)) for a in (array, array[1].copy()))
            np.testing.assert_array_equal(ours[1].numpy(), alone.numpy(), strict=True)
    with pytest.raises(ShapeError, match="one image"):
        F.adjust_brightness(Tensor.of(batch), 2.0)
    with pytest.raises(ShapeError, match="one image"):
        T.RandomHorizontalFlip(1.0)(batch)  # an array (N, ...) was taken for (H, W, C)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "CMYK", "HSV", "YCbCr", "1", "I", "F", "P"])
def test_to_tensors_and_back(mode):
    image = PIL.fromarray(IMAGE).convert(mode)
    ours, expected = F.pil_to_tensor(image), theirs.pil_to_tensor(image)
    np.testing.assert_array_equal(ours.numpy(), expected.numpy(), strict=True)
    np.testing.assert_array_equal(T.ToImage()(image).numpy(), expected.numpy(), strict=True)
    asked = mode if mode not in ("1", "P", "I", "L") else None
    if mode == "1":
        return  # a Tensor of truth values is no picture for either
    one, other = F.to_pil_image(ours, asked), theirs.to_pil_image(expected, asked)
    assert one.mode == other.mode
    assert one.tobytes() == other.tobytes()


def test_numbers_become_pictures():
    for array in (FLOAT, FLOAT[:1], FLOAT[0], -FLOAT, FLOAT * 2, PLANES[1]):
        one, other = F.to_pil_image(Tensor.of(array)), theirs.to_pil_image(torch.from_numpy(array.copy()))
        assert one.mode == other.mode
        assert one.tobytes() == other.tobytes()
    with pytest.raises(DtypeError, match="3 channels of int64"):
        F.to_pil_image(np.zeros((2, 2, 3), np.int64))
    with pytest.raises(OptionError, match="mode of 3 channels"):
        F.to_pil_image(IMAGE, "RGBA")
    with pytest.raises(ShapeError, match="1 to 4 channels"):
        T.ToPILImage()(np.zeros((2, 2, 5), np.uint8))


@pytest.mark.parametrize("old", ["uint8", "int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("new", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_white_remains_white(old, new):
    white = 1 if "f" in old else np.iinfo(old).max
    array = (np.linspace(0, 1, 12).reshape(1, 3, 4) * float(white) * (1 - 2.0**-20)).astype(old)
    try:
        expected = theirs.convert_image_dtype(torch.from_numpy(array.copy()), getattr(torch, new)).numpy()
    except RuntimeError:
        with pytest.raises(DtypeError, match="fine enough"):
            F.convert_image_dtype(Tensor.of(array), new)
        return
    for made in (F.convert_image_dtype(Tensor.of(array), new), T.ToDtype(new, scale=True)(Tensor.of(array))):
        np.testing.assert_array_equal(made.numpy(), expected, strict=True)
    assert T.ToDtype(new)(Tensor.of(array)).dtype == new


def test_crops_erasing_and_facts():
    image = PIL.fromarray(IMAGE)
    for call in (lambda f, x: f.five_crop(x, 10), lambda f, x: f.ten_crop(x, (9, 12), vertical_flip=True)):
        ours, expected = call(F, image), call(theirs, image)
        assert [x.tobytes() for x in ours] == [x.tobytes() for x in expected]
    assert len(T.TenCrop(8)(IMAGE)) == 10
    np.testing.assert_array_equal(T.FiveCrop((8, 9))(IMAGE)[3], IMAGE[-8:, -9:])
    assert F.get_dimensions(image) == F.get_dimensions(IMAGE) == F.get_dimensions(Tensor.of(PLANES)) == [3, 24, 33]
    assert F.get_image_size(image) == [33, 24]
    for given in (image, torch.from_numpy(PLANES)):  # the second edition has it the other way round
        mine = given if given is image else Tensor.of(PLANES)
        assert second.get_size(mine) == tv.v2.functional.get_size(given) == [24, 33]
    value = np.random.default_rng(0).random((3, 4, 5), np.float32)
    ours, expected = both_erased(value, False)
    np.testing.assert_array_equal(ours.numpy(), expected.numpy())
    tensor = Tensor.of(FLOAT.copy())
    assert F.erase(tensor, 2, 3, 4, 5, Tensor.of(value), inplace=True) is tensor
    np.testing.assert_array_equal(tensor.numpy(), ours.numpy())
    assert F.normalize(tensor, [0.5] * 3, [0.5] * 3, inplace=True) is tensor
    np.testing.assert_array_equal(tensor.numpy(), theirs.normalize(expected, [0.5] * 3, [0.5] * 3).numpy())


def both_erased(value, inplace):
    ours = F.erase(Tensor.of(FLOAT), 2, 3, 4, 5, Tensor.of(value), inplace)
    return ours, theirs.erase(torch.from_numpy(FLOAT.copy()), 2, 3, 4, 5, torch.from_numpy(value), inplace)


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: F.rotate(IMAGE, 3, "box"), OptionError, "interpolation of a warp"),
        (lambda: F.rotate(Tensor.of(PLANES), 3, F.InterpolationMode.BICUBIC), OptionError, "nearest or bilinear"),
        (lambda: F.resize(Tensor.of(PLANES), 9, F.InterpolationMode.LANCZOS), OptionError, "bicubic, got 'lanczos'"),
        (lambda: F.rotate(IMAGE, 3, fill=[1, 2]), ShapeError, "2 values"),
        (lambda: F.rotate(Tensor.of(PLANES), 3, fill=[1, 2]), ShapeError, "2 values"),
        (lambda: F.rotate(IMAGE, float("nan")), OptionError, "one finite number"),
        (lambda: F.affine(IMAGE, "x", [1, 2], 1, 0), OptionError, "angle must be numbers"),
        (lambda: F.adjust_contrast(PIL.fromarray(IMAGE).convert("F"), 2), DtypeError, "contrast of an image of mode F"),
        (lambda: T.ColorJitter(0.5)(PIL.fromarray(IMAGE).convert("P")), DtypeError, "mode P"),
        (lambda: F.pad(IMAGE, 1, fill=(1, 2)), ShapeError, "2 values"),
        (lambda: F.affine(IMAGE, 3, [1, 2], 0, 0), OptionError, "scale is positive"),
        (lambda: F.affine(IMAGE, 3, [1], 1, 0), OptionError, "two numbers"),
        (lambda: F.perspective(IMAGE, [[0, 0]], [[0, 0]]), OptionError, "four points"),
        (lambda: F.gaussian_blur(IMAGE, 4), OptionError, "odd"),
        (lambda: F.gaussian_blur(IMAGE, 3, 0), OptionError, "positive"),
        (lambda: F.gaussian_blur(IMAGE, 99), ShapeError, "too large"),
        (lambda: F.adjust_brightness(IMAGE, -1), OptionError, "from 0"),
        (lambda: F.adjust_hue(IMAGE, 0.7), OptionError, "-0.5 to 0.5"),
        (lambda: F.posterize(IMAGE, 9), OptionError, "0 to 8"),
        (lambda: F.posterize(FLOAT, 4), DtypeError, "uint8"),
        (lambda: F.equalize(Tensor.of(FLOAT)), DtypeError, "uint8"),
        (lambda: F.solarize(Tensor.of(FLOAT), 1.5), OptionError, "above white"),
        (lambda: F.five_crop(IMAGE, 30), ShapeError, "cannot be cut"),
        (lambda: F.crop(IMAGE, 0, 0, 0, 3), OptionError, "positive"),
        (lambda: F.invert(PIL.fromarray(IMAGE).convert("F")), ShapeError, "Pillow says"),
        (lambda: F.pil_to_tensor(IMAGE), DtypeError, "Pillow image"),
        (lambda: F.to_pil_image([1]), DtypeError, "got list"),
        (lambda: F.convert_image_dtype(Tensor.of(PLANES), "nonsense"), DtypeError, "expected a dtype"),
        (lambda: F.rgb_to_grayscale(Tensor.of(PLANES[:2])), ShapeError, "1 or 3 channels"),
        (lambda: F.invert("x"), DtypeError, "Pillow image, a Tensor or"),
    ],
)
def test_mistakes_are_explained(call, error, reason):
    with pytest.raises(error, match=reason):
        call()


def test_the_second_edition_names_its_first_argument_as_torchvision_s_does():
    wrong = []
    for name in dir(tv.v2.functional):
        ours, other = getattr(second, name, None), getattr(tv.v2.functional, name)
        if inspect.isfunction(ours) and inspect.isfunction(other):
            here, there = (next(iter(inspect.signature(f).parameters)) for f in (ours, other))
            wrong += [name] if "inpt" in {here, there} and here != there else []
    assert not wrong
    picture = torch.from_numpy(PLANES)
    for f, x in ((second, Tensor.of(PLANES)), (tv.v2.functional, picture)):
        np.testing.assert_array_equal(f.hflip(inpt=x).numpy(), PLANES[..., ::-1])
        np.testing.assert_array_equal(f.resize(inpt=x, size=[24, 33]).numpy(), PLANES)
        with pytest.raises(TypeError, match=r"inpt|img"):
            f.hflip(img=x)


@pytest.mark.parametrize("planes", [FLOAT, FLOAT[:, :, :24], PLANES[:, :23]], ids=["24x33", "24x24", "23x33"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270, -90, 450.0, 33.3])
@pytest.mark.parametrize("expand", [True, False])
def test_the_second_edition_turns_by_quarters_without_a_border(planes, angle, expand):
    found = second.rotate(Tensor.of(planes.copy()), angle, expand=expand).numpy()
    expected = tv.v2.functional.rotate(torch.from_numpy(planes.copy()), angle, expand=expand).numpy()
    if expand or planes.shape[1] == planes.shape[2] or angle % 180 != 90:
        np.testing.assert_array_equal(found, expected)
    else:  # a side's middle lies between pixels, and a last bit decides which of two is read
        np.testing.assert_array_equal(found, F.rotate(Tensor.of(planes.copy()), angle).numpy())


@pytest.mark.parametrize("name", ["ToTensor", "PILToTensor", "ToPILImage"])
def test_the_second_edition_passes_on_what_it_does_not_convert(name):
    mine, other = getattr(v2, name)(), getattr(tv.v2, name)()
    assert repr(mine) == repr(getattr(T, name)())
    for given in (3, "cat", None, PIL.fromarray(IMAGE), IMAGE):
        found, expected = mine(given), other(given)
        assert (found is given) == (expected is given)
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    for ours, given in ((Tensor.of(PLANES), torch.from_numpy(PLANES)),):
        assert (mine(ours) is ours) == (other(given) is given)
    if name != "PILToTensor":
        with pytest.raises((DtypeError, ShapeError)):
            mine(IMAGE[0, 0])


@pytest.mark.parametrize(("angle", "mode"), [("far", "nearest"), (float("nan"), "nearest"), (90, "bxo")])
def test_the_second_edition_refuses_turns_that_are_none(angle, mode):
    with pytest.raises(OptionError):
        second.rotate(Tensor.of(PLANES), angle, mode, expand=True)
