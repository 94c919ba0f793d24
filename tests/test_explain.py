"""Grad-CAM, saliency and occlusion, against the same computed with PyTorch and its hooks."""

import numpy as np
import pytest
from scipy import stats

import tinyvision as tv
from tinyvision import explain, nn
from tinyvision.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")

# Both sides run in float64 and add at most some thousand terms: 1e-10 leaves room for another order of adding.
CLOSE = {"rtol": 0, "atol": 1e-10}


class Net(nn.Module):
    def __init__(self):
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, (3, 2), stride=2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.relu(self.bn(self.conv1(x)))
        x = self.conv2(x).relu()
        return self.fc(x.mean((2, 3)))


class Twin(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.bn = torch.nn.BatchNorm2d(6)
        self.conv2 = torch.nn.Conv2d(6, 8, (3, 2), stride=2)
        self.fc = torch.nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv1(x)))
        return self.fc(torch.relu(self.conv2(x)).mean((2, 3)))


@pytest.fixture
def nets():
    tv.manual_seed(3)
    ours = Net().double()
    rng = np.random.default_rng(0)
    ours.bn.running_mean.array[...] = rng.standard_normal(6)
    ours.bn.running_var.array[...] = rng.uniform(0.5, 2, 6)
    twin = Twin().double()
    twin.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v.numpy())) for k, v in ours.state_dict().items()})
    x = rng.standard_normal((3, 3, 9, 11))
    return ours, twin.eval(), x


def _chosen(scores, target):
    classes = scores.argmax(1) if target is None else torch.as_tensor(np.broadcast_to(target, (len(scores),)).copy())
    return scores[torch.arange(len(scores)), classes]


TARGETS = [None, 2, np.array([4, 0, 2])]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("layer", ["conv1", "bn", "conv2"])
@pytest.mark.parametrize("upsample", [True, False])
def test_grad_cam(nets, layer, target, upsample):
    ours, twin, x = nets
    kept = {}
    module = dict(twin.named_modules())[layer]
    module.register_forward_hook(lambda m, i, o: kept.update(A=o))
    module.register_full_backward_hook(lambda m, gi, go: kept.update(dA=go[0]))
    _chosen(twin(torch.from_numpy(x).requires_grad_()), target).sum().backward()
    cam = torch.relu((kept["dA"].mean((2, 3), keepdim=True) * kept["A"]).sum(1))
    if upsample:
        cam = torch.nn.functional.interpolate(cam[:, None], x.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    assert cam.max() > 0
    found = explain.grad_cam(ours, tv.from_numpy(x), layer, target, upsample)
    np.testing.assert_allclose(found.numpy(), cam.detach().numpy(), **CLOSE)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_saliency(nets, target):
    ours, twin, x = nets
    t = torch.from_numpy(x).requires_grad_()
    _chosen(twin(t), target).sum().backward()
    found = explain.saliency(ours, tv.from_numpy(x), target)
    np.testing.assert_allclose(found.numpy(), t.grad.abs().amax(1).numpy(), **CLOSE)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(("size", "stride"), [(4, None), ((3, 7), None), ((3, 5), (2, 3)), ((9, 11), 1)])
def test_occlusion(nets, target, size, stride):
    ours, twin, x = nets
    t, (h, w) = torch.from_numpy(x), (size, size) if isinstance(size, int) else size
    sh, sw = (h // 2, w // 2) if stride is None else (stride, stride) if isinstance(stride, int) else stride
    total, count = np.zeros((3, 9, 11)), np.zeros((9, 11))
    with torch.no_grad():
        if target is None:
            target = twin(t).argmax(1).numpy()
        before = _chosen(twin(t), target)
        for top in sorted({*range(0, 9 - h + 1, sh), 9 - h}):
            for left in sorted({*range(0, 11 - w + 1, sw), 11 - w}):
                covered = t.clone()
                covered[:, :, top : top + h, left : left + w] = 0.25
                fall = (before - _chosen(twin(covered), target)).numpy()
                total[:, top : top + h, left : left + w] += fall[:, None, None]
                count[top : top + h, left : left + w] += 1
    found = explain.occlusion(ours, tv.from_numpy(x), None if target is None else target, size, stride, value=0.25)
    np.testing.assert_allclose(found.numpy(), total / count, **CLOSE)


@pytest.mark.parametrize("method", [lambda m, x: explain.grad_cam(m, x, "conv2"), explain.saliency, explain.occlusion])
def test_the_model_is_left_as_it_was(nets, method):
    ours, _, x = nets
    ours.train()
    ours.fc.freeze()
    before = {name: value.numpy().copy() for name, value in ours.state_dict().items()}
    wishes = [p.requires_grad for p in ours.parameters()]
    with tv.no_grad():  # the caller's mode makes no difference
        method(ours, tv.from_numpy(x))
    assert all(np.array_equal(before[name], value.numpy()) for name, value in ours.state_dict().items())
    assert [p.requires_grad for p in ours.parameters()] == wishes
    assert all(p.grad is None for p in ours.parameters())
    assert ours.training
    assert not ours.fc.training
    assert not ours._hooks("after")


def test_occlusion_finds_the_pixel_that_matters():
    """A model whose score is one pixel: only the patches over it count."""

    class Pixel(nn.Module):
        def forward(self, x):
            return tv.stack([x[:, 0, 4, 5], x[:, 0, 0, 0] * 0], 1)

    found = explain.occlusion(Pixel(), tv.ones(1, 1, 8, 8), target=0, size=2, stride=2).numpy()[0]
    expected = np.zeros((8, 8))
    expected[4:6, 4:6] = 1
    np.testing.assert_array_equal(found, expected)


def test_errors(nets):
    ours, _, x = nets
    x = tv.from_numpy(x)
    for wrong in ("conv9", nn.ReLU(), 3):
        with pytest.raises(OptionError, match="is no layer of the model"):
            explain.grad_cam(ours, x, wrong)
    with pytest.raises(ShapeError, match="before the flatten"):
        explain.grad_cam(ours, x, "fc")
    with pytest.raises(ShapeError, match=r"x\[None\]"):
        explain.saliency(ours, x[0])
    with pytest.raises(OptionError, match="0 to 4"):
        explain.saliency(ours, x, target=5)
    with pytest.raises(OptionError, match="one for each of 3"):
        explain.saliency(ours, x, target=[1, 2])
    with pytest.raises(OptionError, match="one for each of 3"):
        explain.saliency(ours, x, target=1.5)
    with pytest.raises(OptionError, match="leave gaps"):
        explain.occlusion(ours, x, size=2, stride=3)
    with pytest.raises(OptionError, match="does not fit"):
        explain.occlusion(ours, x, size=12)
    with pytest.raises(OptionError, match="expected a model"):
        explain.saliency(lambda x: x, x)
    with pytest.raises(ShapeError, match="scores"):
        explain.saliency(ours.conv1, x)


def test_a_layer_that_runs_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2d(2, 2, 3, padding=1)
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return self.fc(self.conv(self.conv(x)).mean((2, 3)))

    with pytest.raises(OptionError, match="ran 2 times"):
        explain.grad_cam(Twice(), tv.randn(1, 2, 5, 5), "conv")


class Stages(nn.Module):
    """A squeeze after the last convolution, and a pooling at the end of the features."""

    def __init__(self):
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), nn.MaxPool2d(2))
        self.squeeze = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.features(x)
        return self.fc((x * self.squeeze(x.mean((2, 3), keepdim=True))).mean((2, 3)))


def test_the_last_convolution_is_found():
    model, x = Stages(), tv.randn(2, 3, 12, 12)
    assert explain.last_convolution(model, x) == "features.1"
    model.features[2] = nn.Identity()
    assert explain.last_convolution(model, x) == "features"
    found = explain.grad_cam(model, x)
    np.testing.assert_array_equal(found.numpy(), explain.grad_cam(model, x, "features").numpy())
    assert model.training
    assert not any(module.has_hooks() for module in model.modules())


def test_there_is_no_convolution_to_be_found():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(OptionError, match="name the layer"):
        explain.grad_cam(model, tv.randn(1, 3, 2, 2))
    with pytest.raises(OptionError, match="larger pictures"):
        explain.grad_cam(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), tv.randn(1, 3, 3, 3))


# -- the control


def test_randomized_weights_are_the_same_numbers_in_other_places(nets):
    ours = nets[0]
    before = {name: p.array.copy() for name, p in ours.named_parameters()}
    other = explain.randomized(ours)
    for name, parameter in other.named_parameters():
        np.testing.assert_array_equal(np.sort(parameter.array, axis=None), np.sort(before[name], axis=None))
        assert (parameter.array != before[name]).any() == (parameter.ndim >= 2), name
        np.testing.assert_array_equal(dict(ours.named_parameters())[name].array, before[name])
    again, seeded = explain.randomized(ours), explain.randomized(ours, seed=1)
    name = next(name for name, p in ours.named_parameters() if p.ndim == 4)
    first, same, another = (dict(m.named_parameters())[name].array for m in (other, again, seeded))
    np.testing.assert_array_equal(first, same)
    assert (first != another).any()


@pytest.mark.parametrize("method", [explain.grad_cam, explain.saliency, explain.occlusion])
def test_the_control_is_the_map_of_the_randomized_network_for_the_same_class(nets, method):
    ours, x = nets[0], nets[-1]
    target = ours.eval()(tv.tensor(x)).array.argmax(1)
    options = {"size": 4} if method is explain.occlusion else {}
    found = explain.control(method, ours, x, seed=3, **options).numpy()
    options |= {"layer": explain.last_convolution(ours, x)} if method is explain.grad_cam else {}
    np.testing.assert_array_equal(found, method(explain.randomized(ours, 3), x, target=target, **options).numpy())
    assert (found != method(ours, x, **options).numpy()).any()


def test_the_control_takes_a_layer_as_the_method_does(nets):
    ours, x = nets[0], nets[-1]
    name = explain.last_convolution(ours, x)
    by_name = explain.control(explain.grad_cam, ours, x, layer=name)
    by_module = explain.control(explain.grad_cam, ours, x, layer=ours.get_submodule(name))
    np.testing.assert_array_equal(by_name.numpy(), by_module.numpy())


def test_agreement_is_spearman_s(rng):
    a, b = rng.standard_normal((3, 5, 6)).round(1), rng.standard_normal((3, 5, 6)).round(1)
    b[1], b[2] = np.exp(a[1]), -a[2]
    want = [stats.spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(explain.agreement(a, tv.tensor(b)), want, atol=1e-12)
    np.testing.assert_allclose(want[1:], [1, -1])
    assert np.isnan(explain.agreement(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))).all()
    with pytest.raises(ShapeError, match="agreement"):
        explain.agreement(a, b[:2])


@pytest.mark.parametrize("method", [explain.grad_cam, explain.saliency])
def test_layers_that_work_in_place_change_no_map(method):
    tv.manual_seed(0)
    torso = [nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)]
    twin = [nn.ReLU(inplace=True), torso[1], nn.ReLU(inplace=True), *torso[3:]]
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    kept = x.copy()
    maps = [method(nn.Sequential(*layers), tv.tensor(x)).numpy() for layers in (torso, twin)]
    assert maps[0].any()
    assert np.array_equal(*maps)
    assert np.array_equal(x, kept)
