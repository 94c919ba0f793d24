"""Transforms that draw: what they draw is within torchvision's limits, and what they do with it is `functional`'s."""

from unittest import mock

import numpy as np
import pytest

from data.test_functional import FLOAT, IMAGE, PLANES
from tinyvision import Tensor, random
from tinyvision.data import transforms as T
from tinyvision.data.transforms import augment
from tinyvision.data.transforms import functional as F
from tinyvision.errors import DtypeError, OptionError, ShapeError
from tinyvision.torchvision import transforms as v1
from tinyvision.torchvision.transforms import v2

tv = pytest.importorskip("tests.data.torchvision_oracle")
PIL = pytest.importorskip("PIL.Image")


def rng(seed=0):
    return np.random.default_rng(seed)


DRAWN = [
    T.RandomRotation(30, expand=True),
    T.RandomAffine((-20, 10), (0.1, 0.3), (0.5, 2), (-5, 5, 0, 20), T.InterpolationMode.BILINEAR, fill=9),
    T.RandomPerspective(0.6, 0.8),
    T.GaussianBlur((5, 3)),
    T.RandomGrayscale(0.5),
    T.RandomInvert(),
    T.RandomPosterize(2),
    T.RandomSolarize(100),
    T.RandomAdjustSharpness(3),
    T.RandomAutocontrast(),
    T.RandomEqualize(),
    T.TrivialAugmentWide(),
    T.RandAugment(),
    T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.RandomApply([T.RandomInvert(1.0), T.CenterCrop(8)], 0.4),
    T.RandomChoice([T.RandomInvert(0.5), T.CenterCrop(8)], [1, 3]),
    T.RandomOrder([T.CenterCrop(8), T.Pad(2), T.RandomRotation(20)]),
]


@pytest.mark.parametrize("transform", DRAWN, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("image", [IMAGE, Tensor.of(PLANES), PIL.fromarray(IMAGE)], ids=["array", "Tensor", "Pillow"])
def test_the_same_stream_gives_the_same_image_of_the_same_kind(transform, image):
    before = np.asarray(image).copy()
    runs = [np.asarray(transform(image, rng(seed))) for seed in range(12)]
    assert len({run.tobytes() for run in runs}) > 1
    np.testing.assert_array_equal(np.asarray(image), before)
    for seed in (3, 8):
        with random.use(rng(seed)):
            made = transform(image)
        assert type(made) is type(image) or isinstance(made, PIL.Image)
        np.testing.assert_array_equal(np.asarray(made), runs[seed])
        with T.drawing_from(lambda seed=seed: rng(seed)):
            np.testing.assert_array_equal(np.asarray(transform(image)), runs[seed])
    assert repr(transform).startswith(type(transform).__name__)


def drawn(transform, function, times=300):
    """The arguments with which the transform calls a function of `functional`."""
    with mock.patch.object(F, function, wraps=getattr(F, function)) as called:
        for seed in range(times):
            transform(IMAGE, rng(seed))
    return [call.args for call in called.call_args_list]


def test_angles_and_scales_fill_their_intervals():
    angles = [args[1] for args in drawn(T.RandomRotation((-10, 40)), "rotate")]
    assert -10 <= min(angles) < -8
    assert 38 < max(angles) <= 40
    affine = drawn(T.RandomAffine((-20, 10), (0.1, 0.3), (0.5, 2), (-5, 5, 0, 20)), "affine")
    limits = [(-20, 10), (-3, 3), (-7, 7), (0.5, 2), (-5, 5), (0, 20)]  # 33 * 0.1 and 24 * 0.3 pixels, rounded
    values = np.array([(angle, *shift, scale, *shear) for _, angle, shift, scale, shear, *_ in affine])
    for (least, most), column in zip(limits, values.T, strict=True):
        assert least <= column.min() < least + 0.06 * (most - least)
        assert most - 0.06 * (most - least) < column.max() <= most
    assert T.RandomAffine(5, shear=8).shear == (-8, 8)
    sigmas = [args[2] for args in drawn(T.GaussianBlur(3, (0.5, 1)), "gaussian_blur")]
    assert 0.5 <= min(sigmas) < 0.53 < 0.97 < max(sigmas) <= 1


def test_corners_move_inwards_as_far_as_they_may():
    calls = drawn(T.RandomPerspective(0.5, 1.0), "perspective")
    starts, ends = np.array([call[1] for call in calls]), np.array([call[2] for call in calls])
    np.testing.assert_array_equal(starts[0], [[0, 0], [32, 0], [32, 23], [0, 23]])
    moved = np.abs(ends - starts)
    assert moved.min() == 0
    np.testing.assert_array_equal(moved.max((0, 1)), [8, 6])  # half of the half, cut off
    inwards = (ends - starts) * np.where(starts[0] == 0, 1, -1)
    assert inwards.min() >= 0


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
@pytest.mark.parametrize(("name", "p"), [("RandomInvert", 0.5), ("RandomGrayscale", 0.1), ("RandomEqualize", 0.5)])
def test_they_happen_as_often_as_they_should(name, p, share):
    happened = sum((getattr(T, name)(share)(IMAGE, rng(i)) != IMAGE).any() for i in range(400))
    assert abs(happened - 400 * share) <= 4 * np.sqrt(400 * share * (1 - share))
    assert getattr(T, name)().p == p


def test_choices_follow_their_weights():
    chosen = [T.RandomChoice([lambda x: 0, lambda x: 1, lambda x: 2], [1, 0, 3])(None, rng(i)) for i in range(400)]
    assert chosen.count(1) == 0
    assert abs(chosen.count(0) - 100) < 4 * np.sqrt(400 * 0.25 * 0.75)
    orders = {tuple(T.RandomOrder([lambda x: [*x, 0], lambda x: [*x, 1]])([], rng(i))) for i in range(20)}
    assert orders == {(0, 1), (1, 0)}
    assert T.Lambda(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize("name", augment._CHANGES)
@pytest.mark.parametrize("kind", ["TrivialAugmentWide", "RandAugment"])
def test_each_change_is_torchvision_s(name, kind):
    """Every change at every strength, against the function that torchvision's own classes call."""
    theirs = getattr(tv.transforms, kind)()
    size = () if kind == "TrivialAugmentWide" else ((24, 33),)
    magnitudes, signed = theirs._augmentation_space(31, *size)[name]
    settings = (0.99, (32, 32), 135, 0.99, 6)
    if kind == "RandAugment":
        settings = (0.3, (150 / 331 * 33, 150 / 331 * 24), 30, 0.9, 4)
    strength = augment._strengths(*settings).get(name, lambda share: 0.0)
    change, either_sign = augment._CHANGES[name]
    assert either_sign == signed
    image = PIL.fromarray(IMAGE)
    for i in (0, 4, 9, 17, 30):
        expected = float(magnitudes[i]) if magnitudes.ndim else 0.0
        assert strength(i / 30) == pytest.approx(expected, abs=1e-4)
        for sign in (1, -1) if signed else (1,):
            ours = change(image, sign * expected, "nearest", None)
            mode = tv.transforms.InterpolationMode.NEAREST
            other = tv.transforms.autoaugment._apply_op(image, name, sign * expected, mode, None)
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(other))


def test_mixing_is_torchvision_s():
    images, labels = np.random.default_rng(0).random((4, 3, 10, 12), np.float32), np.array([2, 0, 1, 2])
    torch = tv.torch
    for ours, theirs in ((T.MixUp, tv.v2.MixUp), (T.CutMix, tv.v2.CutMix)):
        made, targets = ours(num_classes=3, alpha=0.7)(Tensor.of(images), Tensor.of(labels), rng(5))
        share = float(targets[1].numpy()[0])
        params = {"labels": torch.from_numpy(labels), "batch_size": 4, "lam": share, "lam_adjusted": share}
        if ours is T.CutMix:  # where pixels differ
            changed = np.argwhere((made.numpy() != images).any((0, 1)))
            (top, left), (bottom, right) = changed.min(0), changed.max(0) + 1
            params["box"] = (left, top, right, bottom)
            assert share == pytest.approx(1 - (bottom - top) * (right - left) / 120)
        other = theirs(num_classes=3)
        np.testing.assert_allclose(made.numpy(), other.transform(torch.from_numpy(images), params).numpy(), atol=1e-6)
        np.testing.assert_allclose(targets.numpy(), other.transform(params["labels"], params).numpy(), atol=1e-6)
        # Probabilities instead of integers, both in one tuple, as a collate_fn hands them on.
        again = ours(alpha=0.7)((Tensor.of(images), Tensor.of(np.eye(3, dtype=np.float32)[labels])), rng=rng(5))
        np.testing.assert_array_equal(again[1].numpy(), targets.numpy())
    shares = [
        float(T.MixUp(num_classes=3)(Tensor.of(images), Tensor.of(labels), rng(i))[1].numpy()[1, 0]) for i in range(200)
    ]
    assert 0.42 < np.mean(shares) < 0.58  # Beta(1, 1) is uniform: of 200 four standard deviations are 0.08


def test_both_editions_hand_on_what_is_here():
    assert v1.functional.rotate is F.rotate
    assert v2.RandomRotation is v1.RandomRotation
    assert v2.Compose([v2.ToImage(), v2.ToDtype("float32", scale=True)])(PIL.fromarray(IMAGE)).dtype == np.float32
    np.testing.assert_array_equal(v2.ToDtype(np.float32, scale=True)(Tensor.of(PLANES)).numpy(), FLOAT)
    for module, name in ((v1, "AutoAugment"), (v1, "ElasticTransform"), (v2, "SanitizeBoundingBoxes"), (v2, "JPEG")):
        with pytest.raises(AttributeError, match=f"has no {name} here: "):
            getattr(module, name)
    with pytest.raises(AttributeError, match="did you mean RandomRotation"):
        _ = v1.RandomRotaton
    with pytest.raises(AttributeError, match="affine and perspective"):
        _ = v1.functional.elastic_transform


@pytest.mark.parametrize("name", sorted(set(tv.transforms.__dict__) & set(T.__all__)))
def test_arguments_have_torchvision_s_names_and_defaults(name):
    import inspect

    if name in ("Compose", "InterpolationMode", "Lambda", "ToTensor", "PILToTensor"):
        return
    theirs = inspect.signature(getattr(tv.transforms, name).__init__).parameters
    ours = inspect.signature(getattr(T, name).__init__).parameters
    for (one, mine), (other, its) in zip(ours.items(), theirs.items(), strict=False):
        assert one == other
        if one not in ("self", "interpolation") and its.default is not its.empty:
            assert mine.default == its.default or list(mine.default) == list(its.default)
    assert len(ours) == len(theirs)


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda: T.RandomRotation(-3), OptionError, "degrees must be"),
        (lambda: T.RandomAffine(3, translate=(0, 2)), OptionError, "translate is two"),
        (lambda: T.RandomAffine(3, scale=(2, 1)), OptionError, "least, most"),
        (lambda: T.RandomAffine(3, shear=(1, 2, 3)), OptionError, "shear must be"),
        (lambda: T.RandomRotation(3, "cubic"), OptionError, "interpolation is"),
        (lambda: T.RandomPerspective(1.2), OptionError, "distortion_scale"),
        (lambda: T.GaussianBlur(4), OptionError, "odd"),
        (lambda: T.GaussianBlur(3, (2, 1)), OptionError, "least, most"),
        (lambda: T.RandomChoice([T.ToTensor()], [0]), OptionError, "p must be 1 numbers"),
        (lambda: T.RandomApply([3]), OptionError, "cannot be called"),
        (lambda: T.Lambda(3), OptionError, "cannot be called"),
        (lambda: T.RandAugment(magnitude=31), OptionError, "below num_magnitude_bins"),
        (lambda: T.TrivialAugmentWide(1), OptionError, "integer from 2"),
        (lambda: T.RandomInvert()(IMAGE, 3), OptionError, "a transform takes one image"),
        (lambda: T.RandomErasing(inplace=True), OptionError, "inplace"),
        (lambda: T.ToDtype({Tensor: "float32"}), OptionError, "one dtype"),
        (lambda: T.MixUp()(Tensor.of(FLOAT[None]), [0]), DtypeError, "both Tensors"),
        (lambda: T.MixUp()(Tensor.of(FLOAT[None]), Tensor.of(np.array([0]))), OptionError, "num_classes must be given"),
        (lambda: T.CutMix(num_classes=2)(Tensor.of(FLOAT[None]), Tensor.of(np.array([2]))), OptionError, "from 0 to 1"),
        (lambda: T.CutMix(num_classes=2)(Tensor.of(FLOAT), Tensor.of(np.array([1]))), ShapeError, "expected images"),
        (
            lambda: T.MixUp(num_classes=2)(Tensor.of(PLANES[None]), Tensor.of(np.array([1]))),
            DtypeError,
            "floating-point",
        ),
        (lambda: T.MixUp(alpha=0), OptionError, "alpha"),
    ],
)
def test_mistakes_are_explained(call, error, reason):
    with pytest.raises(error, match=reason):
        call()
