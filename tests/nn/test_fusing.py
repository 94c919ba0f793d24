"""conv_norm_act and fuse compute what the single layers compute."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn
from tinyvision.listening import listening
from tinyvision.nn import fusing
from tinyvision.nn.fusing import conv_norm_act


def layers(rng, act, with_norm=True, bias=True, channels=(3, 8), kernel=3, stride=1):
    tv.manual_seed(5)
    conv = nn.Conv2d(*channels, kernel, stride=stride, padding=kernel // 2, bias=bias).double()
    norm = nn.BatchNorm2d(channels[1]).double() if with_norm else None
    if with_norm:
        norm.weight.array[:], norm.bias.array[:] = rng.standard_normal((2, channels[1]))
        norm.running_mean.array[:] = rng.standard_normal(channels[1])
        norm.running_var.array[:] = rng.random(channels[1]) + 0.5
    return conv, norm, act


def one_by_one(x, conv, norm, act, skip):
    y = conv(x)
    y = y if norm is None else norm(y)
    y = y if skip is None else y + skip
    return y if act is None else act(y)


ACTS = (None, nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.Hardsigmoid(), nn.Sigmoid())
CASES = list(itertools.product(ACTS, (True, False), (True, False), (True, False)))


@pytest.mark.parametrize(("act", "with_norm", "with_skip", "bias"), CASES)
@pytest.mark.parametrize("channels", [(3, 8), (32, 40)])  # the second goes through Winograd's convolution
def test_inference_equals_the_single_layers(act, with_norm, with_skip, bias, channels):
    rng = np.random.default_rng(0)
    conv, norm, act = layers(rng, act, with_norm, bias, channels)
    if norm is not None:
        norm.eval()
    x = tv.from_numpy(rng.standard_normal((4, channels[0], 9, 10)))
    skip = tv.from_numpy(3 * rng.standard_normal((4, channels[1], 9, 10))) if with_skip else None
    with tv.no_grad():
        got, expected = conv_norm_act(x, conv, norm, act, skip), one_by_one(x, conv, norm, act, skip)
    # float64; the frozen batch-norm is applied as scale and shift, which rounds a few times differently
    np.testing.assert_allclose(got.array, expected.array, rtol=0, atol=1e-12 * np.abs(expected.array).max())


@pytest.mark.parametrize("with_skip", [True, False])
def test_training_equals_the_single_layers_with_all_gradients_and_statistics(with_skip):
    results = []
    for run in (conv_norm_act, one_by_one):
        rng = np.random.default_rng(1)
        conv, norm, act = layers(rng, nn.ReLU())
        x = tv.tensor(rng.standard_normal((4, 3, 7, 6)), requires_grad=True)
        skip = tv.tensor(rng.standard_normal((4, 8, 7, 6)), requires_grad=True) if with_skip else None
        y = run(x, conv, norm, act, skip)
        y.backward(rng.standard_normal(y.shape))
        gradients = [t.grad.array for t in (x, conv.weight, conv.bias, norm.weight, norm.bias)]
        gradients += [skip.grad.array] if with_skip else []
        statistics = [norm.running_mean.array, norm.running_var.array, norm.num_batches_tracked.array]
        results.append([y.array, *statistics, *gradients])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)  # float64, the same sums


POOLS = {
    "2": nn.MaxPool2d(2),
    "overlapping": nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    "dilated": nn.MaxPool2d((2, 3), stride=1, dilation=2),
    "the mean": nn.AvgPool2d(2),
}


@pytest.mark.parametrize("act", [None, nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Tanh()])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("with_norm", [True, False])
def test_a_pooling_that_comes_along_changes_nothing(pool, act, with_norm):
    results, pool = [], POOLS[pool]
    for way in ("one by one", "together", "sequential"):
        rng = np.random.default_rng(6)
        conv, norm, _ = layers(rng, act, with_norm)
        conv.weight.array[...] = rng.integers(-3, 4, conv.weight.shape)  # with ties, below and above 0, and beyond 6
        conv.bias.array[...] = 0.5
        x = tv.tensor(rng.integers(-2, 3, (2, 3, 7, 6)).astype(float), requires_grad=True)
        if way == "one by one":
            y = pool(one_by_one(x, conv, norm, act, None))
        elif way == "together":
            y = conv_norm_act(x, conv, norm, act, pool=pool)
        else:
            y = nn.Sequential(*(m for m in (conv, norm, act, pool) if m is not None))(x)
        y.backward(rng.standard_normal(y.shape))
        with tv.no_grad():
            again = conv_norm_act(x, conv, norm, act, pool=pool)
        results.append([y.array, again.array, x.grad.array, conv.weight.grad.array, conv.bias.grad.array])
    for others in results[1:]:
        for got, expected in zip(others, results[0], strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * max(1, np.abs(expected).max()))


def test_relu_meets_what_the_pooling_leaves():
    conv, act, pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
    x, heard = tv.randn(2, 3, 8, 8), []

    def shapes(*modules):
        heard.clear()
        with listening(lambda name, arguments, options, result: heard.append((name, result.shape[2]))):
            conv_norm_act(x, *modules[:1], act=modules[1], pool=modules[2])
        return heard[1:]

    assert shapes(conv, act, pool) == [("max_pool2d", 3), ("relu", 3)]
    for module in (act, pool):
        handle = module.register_forward_hook(lambda *call: None)
        assert shapes(conv, act, pool) == [("relu", 6), ("max_pool2d", 3)]
        handle.remove()
    assert shapes(conv, act, nn.AvgPool2d(2)) == [("relu", 6), ("avg_pool2d", 3)]
    maxima, places = conv_norm_act(x, conv, act=act, pool=nn.MaxPool2d(2, return_indices=True))
    expected, its_places = nn.functional.max_pool2d(act(conv(x)), 2, return_indices=True)
    np.testing.assert_array_equal(maxima.array, expected.array)
    np.testing.assert_array_equal(places.array, its_places.array)


def test_hooks_see_every_layer():
    rng = np.random.default_rng(2)
    conv, norm, act = layers(rng, nn.ReLU())
    norm.eval()
    seen = []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    with tv.no_grad():
        conv_norm_act(tv.from_numpy(rng.standard_normal((2, 3, 5, 5))), conv, norm, act)
    assert seen == [(2, 8, 5, 5)]


def test_a_subclass_with_its_own_forward_is_called():
    class Doubled(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * 2

    conv = Doubled(3, 4, 3)
    x = tv.randn(1, 3, 6, 6)
    with tv.no_grad():
        expected = nn.functional.conv2d(x, conv.weight, conv.bias) * 2
        np.testing.assert_allclose(conv_norm_act(x, conv).array, expected.array, rtol=1e-6)
        np.testing.assert_allclose(nn.Sequential(conv)(x).array, expected.array, rtol=1e-6)


@pytest.mark.parametrize("build", [models.resnet18, models.resnet50, models.efficientnet_lite0])
def test_fuse_gives_the_same_scores_without_any_batch_norm(build):
    rng = np.random.default_rng(3)
    model = build(num_classes=5).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.array[:] = 0.1 * rng.standard_normal(module.num_features)
            module.running_var.array[:] = 0.5 + rng.random(module.num_features)
    with pytest.raises(tv.OptionError, match="eval"):
        model.fuse()
    x = tv.from_numpy(rng.standard_normal((2, 3, 64, 64)))
    recorded = model.eval()(x)
    fused = model.fuse()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    with tv.no_grad():
        for scores in (model(x), fused(x)):
            # float64 through up to 50 layers, relative to the largest score
            np.testing.assert_allclose(scores.array, recorded.array, rtol=0, atol=1e-10 * np.abs(recorded.array).max())


def test_what_a_folded_convolution_keeps_follows_its_weight():
    rng = np.random.default_rng(3)
    x = tv.from_numpy(rng.standard_normal((4, 32, 12, 12)))  # goes through Winograd's convolution

    def folded(seed):
        conv, norm, _ = layers(np.random.default_rng(seed), None, channels=(32, 40))
        conv.weight.array[...] = np.random.default_rng(seed).standard_normal(conv.weight.shape)
        model = nn.Sequential(conv, norm).eval()
        with tv.no_grad():
            return model.fuse(), model(x).array

    def is_right(model, expected):
        with tv.no_grad():
            for _ in range(2):  # the second call finds what the first has kept
                np.testing.assert_allclose(model(x).array, expected, rtol=0, atol=1e-12 * np.abs(expected).max())

    (one, of_one), (two, of_two) = folded(1), folded(2)
    is_right(one, of_one)
    assert one[0].kept, "this shape is expected to keep its transformed kernels"
    is_right(copy.deepcopy(one), of_one)
    with pytest.raises(ValueError, match="read-only"):
        one[0].weight.array[...] = 0  # would go unnoticed
    one.load_state_dict(two.state_dict())
    is_right(one, of_two)
    one[0].weight.array[...] = 0
    one[0].bias.array[...] = 0
    is_right(one, np.zeros_like(of_one))
    two[0].weight = nn.Parameter(-two[0].weight.array)
    two[0].bias = nn.Parameter(-two[0].bias.array)
    is_right(two, -of_two)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_fused_model_is_one(duplicate):
    tv.manual_seed(0)
    fused = nn.Sequential(nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU()).eval().fuse()
    x = tv.randn(2, 32, 12, 12)
    with tv.no_grad():
        scores = fused(x).numpy()
        twin = nn.Sequential(*map(duplicate, fused))
        for _ in range(2):
            np.testing.assert_array_equal(twin(x).numpy(), scores, "to the bit: by the same kernels")
    conv = twin[0]
    assert not conv.weight.array.flags.writeable
    assert conv.kept is not fused[0].kept
    assert set(conv.kept) == set(fused[0].kept)
    with pytest.raises(tv.TinyVisionError, match="read-only"):
        conv.weight.mul_(2)
    fused.load_state_dict(fused.state_dict())  # from then on, it can be written to
    assert duplicate(fused[0]).weight.array.flags.writeable


def test_what_is_kept_is_of_the_weight_alone():
    """Another batch-norm behind a folded convolution scales the weight for a large batch, the image for a small one."""
    first, second = (layers(np.random.default_rng(seed), None, channels=(32, 40))[:2] for seed in (1, 2))
    conv, other = nn.Sequential(*first).eval().fuse()[0], second[1].eval()
    with tv.no_grad():
        for N in (4, 1, 4):
            x = tv.from_numpy(np.random.default_rng(N).standard_normal((N, 32, 12, 12)))
            plain = nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
            for norm, expected in ((other, other(plain)), (None, plain)):
                got = conv_norm_act(x, conv, norm)
                # float64, as above
                np.testing.assert_allclose(got.array, expected.array, rtol=0, atol=1e-12 * np.abs(expected.array).max())


def test_fuse_leaves_what_it_cannot_fold():
    rng = np.random.default_rng(4)
    (conv, norm, _), (_, other, _) = layers(rng, None, channels=(8, 8)), layers(rng, None, channels=(8, 8))
    without = nn.BatchNorm2d(8, affine=False).double(), nn.BatchNorm2d(8, track_running_stats=False).double()
    watched = layers(rng, None, channels=(8, 8))[:2]
    seen = []
    watched[1].register_forward_hook(lambda *call: seen.append(len(call)))
    x = tv.from_numpy(rng.standard_normal((2, 8, 6, 6)))
    for parts in (
        (conv, norm, conv, other), (conv, norm, conv, norm), (conv, nn.ReLU(), conv, norm),
        (nn.Sequential(conv, norm), nn.Sequential(conv, norm)), (conv, without[0]), (conv, without[1]), watched,
    ):  # fmt: skip
        model = nn.Sequential(*parts).eval()
        with tv.no_grad():
            # float64, as above
            expected = model(x).array
            np.testing.assert_allclose(model.fuse()(x).array, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert len(seen) == 2, "the fused model was expected to call the hook as well"


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(1), nn.BatchNorm2d(4), nn.BatchNorm2d(8).double()])
def test_a_batch_norm_that_does_not_fit_is_refused_as_by_the_layer(norm):
    x, conv = tv.randn(2, 3, 6, 6), nn.Conv2d(3, 8, 3)
    with tv.no_grad(), pytest.raises((tv.ShapeError, tv.DtypeError), match="batchnorm_frozen: x "):
        conv_norm_act(x, conv, norm.eval())


def test_a_bias_or_skip_that_does_not_fit_is_refused_as_by_the_layer():
    x, conv = tv.randn(2, 3, 6, 6), nn.Conv2d(3, 8, 3)
    with tv.no_grad(), pytest.raises(tv.DtypeError, match="add: "):
        conv_norm_act(x, conv, skip=tv.zeros(2, 8, 4, 4).double())
    conv.bias = nn.Parameter(np.zeros(4, np.float32))
    with tv.no_grad(), pytest.raises(tv.ShapeError, match="bias must have one number for each of 8"):
        conv_norm_act(x, conv)


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(
    ("channels", "kernel", "stride", "groups"),
    [((3, 8), 3, (2, 2), 1), ((40, 48), 3, (1, 1), 1), ((12, 12), 5, (2, 1), 12), ((8, 6), 2, (1, 2), 2)],
)
@pytest.mark.parametrize("beyond", [(1, 0), (0, 1), (2, 3)])
def test_more_zeros_below_and_to_the_right_than_above(beyond, channels, kernel, stride, groups, double):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, channels[0], 9, 10))
    weight = rng.standard_normal((channels[1], channels[0] // groups, kernel, kernel))
    bias = rng.standard_normal(channels[1])
    x, weight, bias = (tv.tensor(a if double else a.astype(np.float32)) for a in (x, weight, bias))
    padded = nn.functional.pad(x, (1, 1 + beyond[1], 1, 1 + beyond[0]))
    expected = nn.functional.relu6(nn.functional.conv2d(padded, weight, bias, stride, groups=groups)).array
    conv = fusing.Convolution(weight, bias, stride, (1, 1), (1, 1), groups, beyond)
    got = fusing.finished(x, conv, None, "relu6", None).array
    # sums of up to 360 terms, whose order may differ
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 if double else 3e-5)


class Beside(nn.Sequential):
    """Its own way through its items."""

    def forward(self, x):
        y = self[0](x)
        return self[2](self[1](y) + y)


class Doubled(tv.models.resnet.BasicBlock):
    def forward(self, x):
        y = self.conv1(x)
        return self.bn1(y) - y


def _with_another_forward(layers):
    layers.forward = lambda x: layers[0](x) * layers[1](layers[0](x))
    return layers


def _with_a_hook(layers):
    layers[0].register_forward_hook(lambda module, inputs, output: output * 2)
    return layers


@pytest.mark.parametrize("make", [
    lambda conv, norm: Beside(conv, norm, nn.ReLU()), lambda conv, norm: Doubled(3, 3),
    lambda conv, norm: _with_another_forward(nn.Sequential(conv, norm)),
    lambda conv, norm: _with_a_hook(nn.Sequential(conv, norm, nn.ReLU())),
])  # fmt: skip
def test_what_a_network_does_with_a_convolution_in_another_way_stays(make):
    tv.manual_seed(0)
    model = make(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    x = tv.randn(2, 3, 8, 8)
    with tv.no_grad():
        np.testing.assert_allclose(model.fuse()(x).array, model(x).array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", [0, 1, 2, 3])
@pytest.mark.parametrize("train", [False, True])
def test_a_forward_that_was_replaced_is_called(which, train, rng):
    """Timers, quantisers and adapters put theirs in the place of a layer's."""
    tv.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)).train(train)
    layer, called = model[which], []
    plain = layer.forward
    layer.forward = lambda x: called.append(which) or plain(x) * 2
    x = tv.tensor(rng.standard_normal((1, 2, 4, 4)).astype(np.float32))
    step = x
    for one in model:
        step = one(step)
    with tv.no_grad():
        quiet = model(x)
    np.testing.assert_allclose(model(x).detach(), step.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(quiet, step.detach(), rtol=1e-5, atol=1e-6)
    assert len(called) == 3
    with tv.no_grad():
        np.testing.assert_allclose(model.eval().fuse()(x), model(x), rtol=1e-5, atol=1e-6)
