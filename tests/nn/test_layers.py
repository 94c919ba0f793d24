"""Every layer beside PyTorch's: values, gradients, names, initial values, running statistics, options it refuses."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn
from tinyvision.errors import OptionError, ShapeError, TinyVisionError

torch = pytest.importorskip("torch")

# Both sides compute in float64 with sums of at most a few hundred terms, so only the order of additions differs.
RTOL, ATOL = 1e-10, 1e-11

# (name, constructor arguments, options, shape of x)
CASES = [
    ("Conv2d", (3, 4, 3), {}, (2, 3, 7, 6)),
    ("Conv2d", (3, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}, (2, 3, 8, 9)),
    ("Conv2d", (4, 6, 3), {"groups": 2, "bias": False, "padding": 1}, (3, 4, 5, 6)),
    ("Conv2d", (4, 4, 5), {"groups": 4, "padding": "same"}, (1, 4, 6, 7)),
    ("Conv2d", (3, 2, 3), {"padding": "same", "dilation": 2}, (2, 3, 6, 7)),
    ("Conv2d", (3, 5, 2), {"padding": "valid", "stride": 3}, (2, 3, 8, 7)),
    ("Linear", (7, 5), {}, (4, 7)),
    ("Linear", (7, 5), {"bias": False}, (3, 2, 7)),
    ("BatchNorm2d", (3,), {}, (4, 3, 5, 2)),
    ("BatchNorm2d", (3,), {"eps": 1e-2, "momentum": 0.3}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"momentum": None}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"affine": False}, (2, 3, 4, 5)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (2, 3, 4, 5)),
    ("BatchNorm1d", (5,), {}, (6, 5)),
    ("BatchNorm1d", (5,), {}, (3, 5, 4)),
    ("MaxPool2d", (2,), {}, (2, 3, 5, 7)),
    ("MaxPool2d", (3, 2, 1), {}, (2, 3, 8, 7)),
    ("MaxPool2d", ((3, 2),), {"stride": (1, 2)}, (2, 3, 8, 7)),
    ("AvgPool2d", (2,), {}, (2, 3, 5, 7)),
    ("AvgPool2d", (3, 2, 1), {}, (2, 3, 8, 7)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 8, 7)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 5, 7)),
    ("AdaptiveAvgPool2d", ((3, 2),), {}, (2, 3, 7, 5)),
    ("ReLU", (), {"inplace": False}, (3, 4)),
    ("ReLU6", (), {}, (3, 40)),
    ("LeakyReLU", (), {}, (3, 4)),
    ("LeakyReLU", (0.2,), {}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("Softmax", (1,), {}, (3, 4, 2)),
    ("Softmax", (-1,), {}, (3, 4)),
    ("LogSoftmax", (), {"dim": 1}, (3, 4)),
    ("Flatten", (), {}, (2, 3, 4, 5)),
    ("Flatten", (1, 2), {}, (2, 3, 4, 5)),
    ("Flatten", (0, -2), {}, (2, 3, 4, 5)),
    ("Identity", (1, 2), {"anything": 3}, (2, 3)),
    ("Dropout", (0.0,), {}, (2, 3)),
    ("Conv2d", (3, 4, 2), {"padding": "same"}, (2, 3, 6, 7)),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "reflect"}, (2, 3, 6, 7)),
    ("Conv2d", (3, 4, 3), {"padding": (2, 1), "stride": 2, "padding_mode": "circular"}, (2, 3, 6, 7)),
    ("Conv2d", (3, 4, 3), {"padding": 1}, (3, 6, 7)),
    ("Conv1d", (3, 4, 3), {"stride": 2, "padding": 1}, (2, 3, 9)),
    ("Conv1d", (4, 4, 3), {"dilation": 2, "groups": 2, "bias": False}, (2, 4, 9)),
    ("ConvTranspose2d", (3, 4, 2), {"stride": 2}, (2, 3, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, (2, 4, 4, 5)),
    ("ConvTranspose2d", (4, 2, (3, 2)), {"dilation": 2, "bias": False}, (4, 4, 5)),
    ("GroupNorm", (2, 6), {}, (2, 6, 3, 4)),
    ("GroupNorm", (3, 6), {"eps": 0.1, "affine": False}, (2, 6, 3)),
    ("LayerNorm", (4,), {}, (2, 3, 4)),
    ("LayerNorm", ((3, 4),), {"eps": 0.1}, (2, 3, 4)),
    ("LayerNorm", (4,), {"elementwise_affine": False}, (2, 3, 4)),
    ("RMSNorm", (4,), {}, (2, 3, 4)),
    ("RMSNorm", ((3, 4),), {"eps": 0.1, "elementwise_affine": False}, (2, 3, 4)),
    ("InstanceNorm2d", (3,), {}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 4, 5)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 5)),
    ("LocalResponseNorm", (3,), {}, (2, 5, 3, 4)),
    ("LocalResponseNorm", (2,), {"alpha": 0.1, "k": 2.0}, (2, 5, 4)),
    ("MaxPool2d", (3, 2), {"ceil_mode": True}, (2, 3, 8, 8)),
    ("MaxPool2d", (2,), {"dilation": 2, "stride": 1}, (2, 3, 6, 7)),
    ("MaxPool2d", (2,), {}, (3, 6, 7)),
    ("AvgPool2d", (3, 2), {"ceil_mode": True, "divisor_override": 5}, (2, 3, 8, 8)),
    ("MaxPool1d", (3,), {"stride": 2}, (2, 3, 8)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 8)),
    ("AdaptiveAvgPool2d", ((None, 3),), {}, (2, 3, 7, 5)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, (2, 3, 7, 5)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("LPPool2d", (2, 3), {"stride": 2}, (2, 3, 7, 8)),
    ("ELU", (0.5,), {}, (3, 4)),
    ("SELU", (), {}, (3, 4)),
    ("CELU", (0.5,), {}, (3, 4)),
    ("GELU", (), {}, (3, 4)),
    ("GELU", ("tanh",), {}, (3, 4)),
    ("SiLU", (), {}, (3, 4)),
    ("Mish", (), {}, (3, 4)),
    ("Hardswish", (), {}, (3, 4)),
    ("Hardtanh", (), {}, (3, 4)),
    ("Hardtanh", (-2.0, 3.0), {}, (3, 4)),
    ("Softplus", (), {}, (3, 4)),
    ("Softplus", (2.0, 1.0), {}, (3, 4)),
    ("Threshold", (0.1, 20.0), {}, (3, 4)),
    ("Softshrink", (), {}, (3, 4)),
    ("Hardshrink", (0.7,), {}, (3, 4)),
    ("Tanhshrink", (), {}, (3, 4)),
    ("Softsign", (), {}, (3, 4)),
    ("LogSigmoid", (), {}, (3, 4)),
    ("PReLU", (), {}, (3, 4)),
    ("PReLU", (4,), {}, (3, 4, 2)),
    ("GLU", (1,), {}, (3, 4)),
    ("Softmin", (1,), {}, (3, 4)),
    ("Softmax2d", (), {}, (2, 3, 4, 5)),
    ("Dropout2d", (1.0,), {}, (2, 3, 4, 5)),
    ("AlphaDropout", (0.0,), {}, (2, 3)),
    ("Unflatten", (1, (2, 3)), {}, (4, 6, 5)),
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": (1.5, 2.3), "mode": "bilinear"}, (2, 3, 4, 5)),
    ("Upsample", (), {"size": (7, 3), "mode": "bicubic", "align_corners": True}, (2, 3, 4, 5)),
    ("Upsample", (9,), {"mode": "linear"}, (2, 3, 4)),
    ("Upsample", (), {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}, (2, 3, 4, 5)),
    ("UpsamplingBilinear2d", (), {"scale_factor": 2}, (2, 3, 4, 5)),
    ("UpsamplingNearest2d", ((6, 7),), {}, (2, 3, 4, 5)),
    ("PixelShuffle", (2,), {}, (2, 8, 3, 4)),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)),
    ("ChannelShuffle", (2,), {}, (2, 6, 3, 4)),
    ("Unfold", ((2, 3),), {"padding": 1}, (2, 3, 4, 5)),
    ("Fold", ((4, 5), (2, 3)), {"padding": 1}, (2, 12, 25)),
    ("ZeroPad2d", (1,), {}, (2, 3, 4, 5)),
    ("ZeroPad2d", ((1, -1, 2, 0),), {}, (2, 3, 4, 5)),
    ("ConstantPad2d", (1, 3.5), {}, (2, 3, 4, 5)),
    ("ConstantPad1d", ((1, 2), 3.5), {}, (2, 3, 4)),
    ("ReflectionPad2d", ((1, 2, 3, 0),), {}, (2, 3, 4, 5)),
    ("ReplicationPad2d", (2,), {}, (2, 3, 4, 5)),
    ("ReplicationPad1d", (2,), {}, (2, 3, 4)),
    ("CircularPad2d", (2,), {}, (2, 3, 4, 5)),
    ("Dropout", (1.0,), {}, (2, 3)),
]
IDS = [f"{name}{arguments}{options or ''}" for name, arguments, options, _ in CASES]


def both(name, arguments, options):
    """The same layer here and in PyTorch, in float64 with the same random state."""
    ours, theirs = (
        getattr(nn, name)(*arguments, **options).double(),
        getattr(torch.nn, name)(*arguments, **options).double(),
    )
    rng = np.random.default_rng(1)
    for value in theirs.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, tuple(value.shape))))  # also fit to be a variance
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(ours, theirs, **tolerance):
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), **({"rtol": RTOL, "atol": ATOL} | tolerance))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=IDS)
def test_values_and_gradients(name, arguments, options, shape, training):
    ours, theirs = both(name, arguments, options)
    assert ours.train(training) is ours
    theirs.train(training)
    rng = np.random.default_rng(2)
    for _ in range(3):  # running statistics of one step enter the next
        x = rng.normal(size=shape) * 3
        mine, other = tv.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(mine), theirs(other)
        close(y.detach().numpy(), expected)
        upstream = rng.normal(size=expected.shape)
        (y * tv.tensor(upstream)).sum().backward()
        expected.backward(torch.from_numpy(upstream))
        close(mine.grad, other.grad)
    for (key, p), (other_key, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert key == other_key
        close(p.grad, q.grad)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key], value)
        assert ours.state_dict()[key].shape == tuple(value.shape)


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=IDS)
def test_repr_is_pytorchs(name, arguments, options, shape):
    assert repr(getattr(nn, name)(*arguments, **options)) == repr(getattr(torch.nn, name)(*arguments, **options))


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: nn.Conv2d(16, 64, 5), 400),
        (lambda: nn.Conv2d(64, 64, 5, groups=4), 400),
        (lambda: nn.Linear(100, 300), 100),
    ],
)
def test_initial_weights_are_even_between_the_bounds(layer, fan_in):
    tv.manual_seed(0)
    made = layer()
    bound = fan_in**-0.5
    w, b = made.weight.detach().numpy(), made.bias.detach().numpy()
    assert w.min() >= -bound
    assert w.max() <= bound
    # 25,600 and more draws: the extremes come within a thousandth of the bounds, and the variance of an even
    # distribution, bound² / 3, is met within five standard errors (relative error of a variance: sqrt(0.8 / n) < 0.6
    # %).
    assert w.max() > 0.999 * bound
    assert w.min() < -0.999 * bound
    assert abs(w.var() / (bound**2 / 3) - 1) < 0.03
    assert abs(w.mean()) < 5 * bound / np.sqrt(3 * w.size)
    assert np.all(np.abs(b) <= bound)
    assert np.unique(b).size == b.size
    tv.manual_seed(0)
    np.testing.assert_array_equal(layer().weight.detach().numpy(), w)


def test_batchnorm_starts_as_one_and_zero_and_can_start_again():
    layer = nn.BatchNorm2d(3)
    fresh = {key: value.numpy().copy() for key, value in layer.state_dict().items()}
    assert {key: value.tolist() for key, value in fresh.items()} == {
        "weight": [1] * 3,
        "bias": [0] * 3,
        "running_mean": [0] * 3,
        "running_var": [1] * 3,
        "num_batches_tracked": 0,
    }
    layer(tv.randn(2, 3, 4, 4))
    assert layer.num_batches_tracked.item() == 1
    layer.reset_parameters()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), fresh[key])


def test_batchnorm_that_fails_leaves_its_statistics_alone():
    layer = nn.BatchNorm2d(3)
    with pytest.raises(ShapeError, match="one number per channel"):
        layer(tv.randn(1, 3, 1, 1))
    with pytest.raises(ShapeError, match="channels"):
        layer(tv.randn(2, 4, 5, 5))
    with pytest.raises(ShapeError, match="4 axes"):
        layer(tv.randn(2, 3))
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0, 0, 0]


def test_dropout_keeps_the_share_and_the_scale():
    tv.manual_seed(3)
    layer = nn.Dropout(0.3)
    x = tv.ones(100, 1000, requires_grad=True)
    y = layer(x)
    kept = y.detach().numpy() != 0
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / x.numel())
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.7, rtol=1e-6)  # float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert not np.array_equal(layer(x).detach().numpy(), y.detach().numpy())
    assert layer.eval()(x) is x


def test_dropout2d_drops_whole_channels():
    tv.manual_seed(3)
    y = nn.Dropout2d(0.5)(tv.ones(20, 30, 4, 5)).numpy()
    planes = y.reshape(600, 20)
    assert set(np.unique(planes)) == {0.0, 2.0}
    assert (planes == planes[:, :1]).all()
    assert abs((planes[:, 0] == 0).mean() - 0.5) < 5 * np.sqrt(0.25 / 600)
    with pytest.warns(UserWarning, match="N, C, H, W"):  # as PyTorch takes them: every number, and every row, a channel
        assert set(np.unique(nn.Dropout2d()(tv.ones(30, 40)).numpy())) == {0.0, 2.0}
    with pytest.warns(UserWarning, match="N, C, H, W"):
        rows = nn.Dropout2d()(tv.ones(30, 40, 5)).numpy()
    assert (rows == rows[:, :, :1]).all()
    with pytest.raises(ShapeError, match="N, C, H, W"):
        nn.Dropout2d()(tv.ones(3))


def test_layers_take_device_and_dtype():
    given = {"device": "cpu", "dtype": np.float64}
    for layer in (
        nn.Conv2d(1, 2, 3, dtype=tv.float64), nn.ConvTranspose2d(1, 2, 3, **given), nn.Linear(2, 3, **given),
        nn.Embedding(2, 3, **given), nn.PReLU(**given), nn.GroupNorm(1, 2, **given), nn.LayerNorm(2, **given),
        nn.RMSNorm(2, **given),
    ):  # fmt: skip
        assert {p.dtype for p in layer.parameters()} == {np.dtype(np.float64)}, layer
    layer = nn.BatchNorm2d(2, dtype=tv.float64)
    assert layer.running_var.dtype == np.float64
    assert layer.num_batches_tracked.dtype == np.int64


def test_a_transposed_convolution_of_a_size_that_is_asked_for():
    layer, x = nn.ConvTranspose2d(2, 3, 3, stride=2), tv.ones(1, 2, 4, 5)
    for size in ((10, 12), (1, 3, 10, 12)):
        assert layer(x, output_size=size).shape == (1, 3, 10, 12)


def test_a_prelu_begins_with_a_quarter():
    assert nn.PReLU(2).weight.tolist() == [0.25, 0.25]


def test_weights_of_convolutions_lie_channels_last_and_stay_so():
    layer = nn.Conv2d(3, 4, 5)
    for converted in (layer, layer.double(), layer.float(), layer.to("cpu")):
        assert converted.weight.array.transpose(0, 2, 3, 1).flags.c_contiguous
    layer.load_state_dict({"weight": np.ones((4, 3, 5, 5), np.float32), "bias": np.zeros(4)})
    assert layer.weight.array.transpose(0, 2, 3, 1).flags.c_contiguous


REFUSED = [
    (lambda: nn.Conv2d(0, 1, 3), "in_channels"),
    (lambda: nn.Conv2d(1.0, 1, 3), "in_channels"),
    (lambda: nn.Conv2d(True, 1, 3), "in_channels"),
    (lambda: nn.Conv2d(1, 1, 0), "kernel_size"),
    (lambda: nn.Conv2d(1, 1, (1, 2, 3)), "kernel_size"),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride"),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), "padding"),
    (lambda: nn.Conv2d(1, 1, 3, padding="full"), "same"),
    (lambda: nn.Conv2d(1, 1, 3, padding="same", stride=2), "stride of 1"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2"),
    (lambda: nn.Linear(2, -1), "out_features"),
    (lambda: nn.BatchNorm2d(3, momentum=2), "momentum"),
    (lambda: nn.BatchNorm2d(3, eps=-1), "eps"),
    (lambda: nn.BatchNorm2d("3"), "num_features"),
    (lambda: nn.MaxPool2d(3, padding=2), "half"),
    (lambda: nn.MaxPool2d(2, stride=0), "stride"),
    (lambda: nn.Dropout(1.5), "p must"),
    (lambda: nn.Dropout("half"), "p must"),
    (lambda: nn.Flatten(1.5), "start_dim"),
    (lambda: nn.Softmax("1"), "dim"),
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), "padding_mode"),
    (lambda: nn.AdaptiveAvgPool2d((None, 0)), "output_size"),
    (lambda: nn.ZeroPad2d((1, 2)), "padding"),
    (lambda: nn.GroupNorm(3, 4), "num_groups"),
    (lambda: nn.PReLU(0), "num_parameters"),
    (lambda: nn.Hardtanh(1, -1), "min_val"),
    (lambda: nn.Embedding(3, 2, sparse=True), "sparse"),
    (lambda: nn.Embedding(3, 2, padding_idx=3), "padding_idx"),
    (lambda: nn.ConvTranspose2d(4, 4, 3, groups=3), "groups=3"),
    (lambda: nn.Conv1d(4, 4, 3, padding_mode="reflect"), "padding_mode"),
    (lambda: nn.L1Loss(reduction="avg"), "reduction"),
]


@pytest.mark.parametrize(("make", "named"), REFUSED)
def test_the_constructor_says_what_it_does_not_support(make, named):
    with pytest.raises(OptionError) as error:
        make()
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_flatten_names_axes_that_are_not_there():
    with pytest.raises(TinyVisionError, match="axes 3 to -1"):
        nn.Flatten(3)(tv.ones(2, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.Linear(3, 2), lambda n: n.Conv2d(2, 3, 3), lambda n: n.Conv1d(2, 3, 3), lambda n: n.BatchNorm2d(3),
        lambda n: n.ConvTranspose2d(2, 3, 3), lambda n: n.GroupNorm(2, 4), lambda n: n.LayerNorm([3, 2]),
        lambda n: n.RMSNorm(4), lambda n: n.PReLU(2, 0.5), lambda n: n.InstanceNorm2d(3, affine=True),
        lambda n: n.Embedding(4, 3), lambda n: n.GroupNorm(2, 4, affine=False),
    ],
)  # fmt: skip
def test_reset_parameters_begins_anew_where_pytorchs_does(make):
    """`if hasattr(m, "reset_parameters")` asks: a layer without it would stay as it is."""
    for t in (torch, tv):
        layer = make(t.nn)
        for p in layer.parameters():
            p.data.fill_(7)
        layer.reset_parameters()
        for name, p in layer.named_parameters():
            values = p.detach().numpy()
            assert not (values == 7).any()
            if "Norm" in type(layer).__name__:
                assert (values == (name == "weight")).all()
    if isinstance(layer, tv.nn.BatchNorm2d):
        layer(tv.randn(4, 3, 2, 2))
        layer.reset_running_stats()
        assert layer.running_mean.tolist() == [0, 0, 0]
        assert layer.num_batches_tracked.item() == 0


def test_vectors_that_were_learned_elsewhere():
    vectors = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    for t in (torch, tv):
        for freeze in (True, False):
            layer = t.nn.Embedding.from_pretrained(t.tensor(vectors), freeze=freeze, padding_idx=1)
            assert layer.weight.requires_grad is not freeze
            assert layer.padding_idx == 1
            assert layer(t.tensor([2, 0])).tolist() == [vectors[2], vectors[0]]
    with pytest.raises(ShapeError, match="how many, how long"):
        tv.nn.Embedding.from_pretrained(tv.ones(3))
