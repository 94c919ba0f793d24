"""ResNets beside torchvision's own: names, scores, losses, every gradient, statistics, weight files."""

import numpy as np
import pytest
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import models, nn, optim
from tinyvision.errors import OptionError, WeightsError
from tinyvision.nn.module import numpy_state

theirs = torchvision.models

NAMES = ["resnet18", "resnet34", "resnet50"]


def pair(name="resnet18", dtype=torch.float64, **options):
    """torchvision's network with random weights and running statistics, and ours with the same."""
    torch.manual_seed(0)
    other = getattr(theirs, name)(**options)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    ours = getattr(models, name)(**options)
    result = ours.load_state_dict(other.state_dict())
    assert result == ([], [])
    return ours.to(np.float64 if dtype is torch.float64 else np.float32), other.to(dtype)


def images(size=64, count=2, dtype=np.float64):
    return np.random.default_rng(3).normal(size=(count, 3, size, size)).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_scores(name):
    ours, other = pair(name, torch.float32)
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (key, tuple(value.shape)) for key, value in other.state_dict().items()
    ]
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in other.named_parameters()]
    assert [key for key, _ in ours.named_modules()] == [key for key, _ in other.named_modules()]
    x = images(dtype=np.float32)
    with torch.no_grad(), tv.no_grad():
        expected = other.eval()(torch.from_numpy(x)).numpy()
        # 50 layers of float32 sums over up to 4,608 products, relative to scores of the order of 1 to 10.
        np.testing.assert_allclose(
            ours.eval()(tv.tensor(x)).numpy(), expected, atol=1e-4 * max(1, abs(expected).max()), rtol=0
        )
        ours.double(), other.double()
        expected = other(torch.from_numpy(x).double()).numpy()
        scores = ours(tv.tensor(x).double()).numpy()
        np.testing.assert_allclose(scores, expected, atol=1e-10 * max(1, abs(expected).max()), rtol=0)
        np.testing.assert_allclose(ours.fc(ours.features(tv.tensor(x).double())).numpy(), scores, rtol=1e-12)


def test_at_224():
    ours, other = pair("resnet18", torch.float32)
    x = images(224, 1, np.float32)
    with torch.no_grad(), tv.no_grad():
        expected = other.eval()(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(
            ours.eval()(tv.tensor(x)).numpy(), expected, atol=1e-4, rtol=0
        )  # scores of the order of 1


def freeze_nothing(ours, other):
    return []


def freeze_backbone(ours, other):
    ours.freeze()
    ours.fc.unfreeze()
    return [child for name, child in other.named_children() if name != "fc"]


def freeze_stem(ours, other):
    for name in ("conv1", "bn1", "layer1"):
        getattr(ours, name).freeze()
    return [other.conv1, other.bn1, other.layer1]


@pytest.mark.parametrize(("freeze", "learning"), [(freeze_nothing, 62), (freeze_backbone, 2), (freeze_stem, 47)])
def test_loss_gradients_and_statistics(freeze, learning):
    ours, other = pair()
    frozen = freeze(ours, other)
    ours.train()
    other.train()
    for module in frozen:
        module.eval().requires_grad_(False)
    x, labels = images(48), np.array([7, 123])
    loss = nn.CrossEntropyLoss()(ours(tv.tensor(x)), tv.tensor(labels))
    expected = torch.nn.CrossEntropyLoss()(other(torch.from_numpy(x)), torch.from_numpy(labels))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-11)  # float64
    loss.backward()
    expected.backward()
    found = 0
    for (name, p), q in zip(ours.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if q.grad is not None:
            found += 1
            # float64 through 18 layers. Batch statistics of few numbers in the last stage divide by small spreads,
            # which magnifies rounding; relative to the largest gradient of each tensor it stays ten digits down.
            scale = float(q.grad.abs().max())
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=1e-10 * scale, err_msg=name)
    assert found == learning
    for (name, b), c in zip(ours.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_allclose(b.numpy(), c.detach().numpy(), rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("head_only", [True, False])
def test_five_fine_tuning_losses(head_only):
    ours, other = pair()
    torch.manual_seed(1)
    other.fc = torch.nn.Linear(other.fc.in_features, 10).double()
    ours.fc = nn.Linear(ours.fc.in_features, 10).double()
    ours.fc.load_state_dict(other.fc.state_dict())
    if head_only:
        for model in (ours, other):
            for p in model.parameters():
                p.requires_grad = False
            model.fc.weight.requires_grad = model.fc.bias.requires_grad = True
    mine = optim.SGD([p for p in ours.parameters() if p.requires_grad], lr=0.01, momentum=0.9, weight_decay=1e-3)
    them = torch.optim.SGD([p for p in other.parameters() if p.requires_grad], lr=0.01, momentum=0.9, weight_decay=1e-3)
    x, labels = images(32, 4), np.array([0, 3, 9, 3])
    losses = []
    for _ in range(5):
        mine.zero_grad()
        them.zero_grad()
        loss = nn.CrossEntropyLoss()(ours(tv.tensor(x)), tv.tensor(labels))
        expected = torch.nn.CrossEntropyLoss()(other(torch.from_numpy(x)), torch.from_numpy(labels))
        loss.backward()
        expected.backward()
        mine.step()
        them.step()
        losses.append(expected.item())
        # float64; every step through batch statistics of few numbers may lose a digit, five leave eight or more.
        assert loss.item() == pytest.approx(expected.item(), rel=1e-8)
    assert losses[-1] < losses[0]


# -- weight files


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """torchvision's network and the file that torch wrote of it, in both of its formats."""
    folder = tmp_path_factory.mktemp("weights")
    _, other = pair(dtype=torch.float32)
    torch.save(other.state_dict(), folder / "zip.pth")
    torch.save(other.state_dict(), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in other.state_dict().items()}, "epoch": 3}, folder / "checkpoint.pth"
    )
    return other.eval(), folder


@pytest.mark.parametrize("file", ["zip.pth", "legacy.pth", "checkpoint.pth"])
def test_a_file_of_torch_gives_the_same_scores(published, file):
    other, folder = published
    ours = models.resnet18(weights=folder / file).eval()
    x = images(dtype=np.float32)
    with torch.no_grad(), tv.no_grad():
        np.testing.assert_allclose(ours(tv.tensor(x)).numpy(), other(torch.from_numpy(x)).numpy(), atol=1e-4, rtol=0)


def test_the_environment_names_the_file_for_every_spelling(published, monkeypatch):
    other, folder = published
    monkeypatch.setenv("TINYVISION_WEIGHTS_RESNET18", str(folder / "zip.pth"))
    enum = models.ResNet18_Weights
    for weights in ("IMAGENET1K_V1", "DEFAULT", enum.DEFAULT, enum.IMAGENET1K_V1, "ResNet18_Weights.DEFAULT"):
        state = numpy_state(models.resnet18(weights=weights))
        np.testing.assert_array_equal(state["fc.bias"], other.fc.bias.detach().numpy())
    for options in ({"pretrained": True}, {"weights": True}):
        with pytest.warns(UserWarning, match=r'old spelling of weights="IMAGENET1K_V1"$'):
            state = numpy_state(models.resnet18(**options))
        np.testing.assert_array_equal(state["fc.bias"], other.fc.bias.detach().numpy())
    tv.manual_seed(0)
    with pytest.warns(UserWarning, match="old spelling of weights=None"):
        first = numpy_state(models.resnet18(pretrained=False))
    tv.manual_seed(0)
    assert all(np.array_equal(v, first[k]) for k, v in numpy_state(models.resnet18()).items())


def test_another_number_of_classes_loads_all_but_the_head(published):
    other, folder = published
    tv.manual_seed(0)
    ours = numpy_state(models.resnet18(weights=str(folder / "zip.pth"), num_classes=10))
    assert ours["fc.weight"].shape == (10, 512)
    assert abs(ours["fc.weight"]).max() <= 512**-0.5  # freshly drawn
    for name, value in other.state_dict().items():
        if not name.startswith("fc."):
            np.testing.assert_array_equal(ours[name], value.numpy())
    assert models.resnet18(weights=str(folder / "zip.pth"), num_classes=1000).fc.out_features == 1000


def test_weights_saved_here_open_in_torch_and_here(published, tmp_path):
    other, folder = published
    ours = models.resnet18(weights=folder / "zip.pth")
    for suffix in ("pth", "safetensors", "npz"):
        tv.save(ours.state_dict(), tmp_path / f"ours.{suffix}")
        again = numpy_state(models.resnet18(weights=tmp_path / f"ours.{suffix}"))
        assert all(np.array_equal(value, again[name]) for name, value in numpy_state(ours).items())
    other.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True))


def test_files_of_another_network(published, tmp_path):
    _, folder = published
    with pytest.raises(WeightsError, match=r"zip.pth.*does not fit ResNet") as error:
        models.resnet34(weights=folder / "zip.pth")
    assert "missing (80)" in str(error.value)
    assert "layer1.2.conv1.weight" in str(error.value)
    with pytest.raises(WeightsError, match="not fitting"):
        models.resnet50(weights=folder / "zip.pth")
    torch.save({"conv1.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"no fc.weight"):
        models.resnet18(weights=tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no file"):
        models.resnet18(weights=tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"num_classes": 2.5},
        {"num_classes": True},
        {"pretrained": "yes"},
        {"pretrained": True, "weights": "DEFAULT"},
        {"weights": "IMAGENET1K_V9"},
        {"weights": "ResNet18_Weights.IMAGENET1K_V9"},
        {"weights": models.ResNet50_Weights.DEFAULT},
        {"weights": 3},
    ],
    ids=str,
)
def test_options_without_meaning(options):
    with pytest.raises(OptionError):
        models.resnet18(**options)


def test_initial_weights_follow_torchvisions_rule():
    tv.manual_seed(0)
    ours = models.resnet18()
    for name, p in ours.named_parameters():
        if p.ndim == 4:
            O, _, KH, KW = p.shape
            assert p.detach().numpy().std() == pytest.approx((2 / (O * KH * KW)) ** 0.5, rel=0.05), (
                name
            )  # 4,096 draws and more
        elif "bn" in name or "downsample.1" in name:
            assert set(p.tolist()) == ({1} if name.endswith("weight") else {0})


def test_parameters_are_counted_as_published():
    counts = [sum(p.numel() for p in getattr(models, name)().parameters()) for name in NAMES]
    assert counts == [11_689_512, 21_797_672, 25_557_032]
