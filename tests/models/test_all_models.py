"""Every network beside torchvision's own: names, shapes, scores, losses, every gradient, statistics."""

import os

import numpy as np
import pytest
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import models, nn

theirs = torchvision.models

# {network: side of the images}: the smallest of each kind, at a size where the last stage still has a few pixels to
# normalise by. All others are compared by hand: TINYVISION_ALL_MODELS=1 pytest tests/models/test_all_models.py
ONE_OF_EACH = {
    "alexnet": 63,
    "vgg11": 32,
    "vgg11_bn": 48,
    "resnext50_32x4d": 40,
    "squeezenet1_1": 33,
    "densenet121": 48,
    "googlenet": 48,
    "inception_v3": 107,
    "mobilenet_v2": 40,
    "mobilenet_v3_small": 40,
    "shufflenet_v2_x0_5": 40,
    "efficientnet_b0": 40,
    "efficientnet_v2_s": 33,
    "convnext_tiny": 32,
}
SIZES = {"squeezenet": 33, "inception": 107, "vgg": 48, "densenet": 64}  # where 40 pixels are too few, or too many
HERE = [name for name in models.list_models() if hasattr(theirs, name)]
RUN = HERE if os.environ.get("TINYVISION_ALL_MODELS") else [name for name in ONE_OF_EACH if name in HERE]


def side(name):
    return ONE_OF_EACH.get(name) or next((n for kind, n in SIZES.items() if name.startswith(kind)), 40)


@pytest.fixture
def narrow(monkeypatch):
    """Linear layers of 4,096 numbers and more, 100 million parameters in AlexNet and VGG, become narrow ones."""
    for module in (nn, torch.nn):

        class Linear(module.Linear):
            def __init__(self, in_features, out_features, **options):
                super().__init__(*(8 if n == 4096 else n for n in (in_features, out_features)), **options)

        monkeypatch.setattr(module, "Linear", Linear)


def pair(name):
    """torchvision's network with random weights and running statistics, and ours with the same; nothing is dropped."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name.startswith(("vgg", "googlenet", "inception")) else {}
    if name.startswith("inception"):  # its auxiliary head needs 300 pixels, and has a test of its own
        options["aux_logits"] = False
    other = getattr(theirs, name)(**options)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        for key, p in other.named_parameters():
            if key.endswith("layer_scale"):  # 1e-6 would hide the blocks
                p.uniform_(0.5, 1.5)
    ours = getattr(models, name)(**options)
    assert ours.load_state_dict(other.state_dict()) == ([], [])
    for module in [*ours.modules(), *other.modules()]:
        if "Dropout" in type(module).__name__ or "StochasticDepth" in type(module).__name__:
            module.p = 0.0
    return ours.double(), other.double()


def close(ours, theirs, what, tolerance, least=1e-3):
    """Equal up to a share of the largest of their numbers, or of `least`."""
    scale = max(least, float(np.abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=what)


@pytest.mark.parametrize("name", RUN)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_beside_torchvision(name, narrow):
    ours, other = pair(name)
    assert [(key, value.shape) for key, value in ours.state_dict().items()] == [
        (key, tuple(value.shape)) for key, value in other.state_dict().items()
    ]
    assert [key for key, _ in ours.named_parameters()] == [key for key, _ in other.named_parameters()]
    rng = np.random.default_rng(3)
    n = side(name)
    x, labels = rng.normal(size=(3, 3, n, n + 1)), np.array([7, 123, 999])
    ours.eval(), other.eval()
    with torch.no_grad(), tv.no_grad():
        # float64 through up to 160 layers.
        close(ours(tv.tensor(x)).numpy(), other(torch.from_numpy(x)).numpy(), "scores", 1e-10)
    ours.train(), other.train()
    mine, them = tv.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    loss, expected = total_loss(ours(mine), nn, tv.tensor(labels)), None
    expected = total_loss(other(them), torch.nn, torch.from_numpy(labels))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    loss.backward()
    expected.backward()
    # Statistics of few numbers in the last stage magnify rounding. Gradients that are nearly 0, because what follows
    # undoes the parameter, show the rounding of the large ones.
    # PyTorch's slope of Hardsigmoid is 1 / 6 as a float32 has it, off by 3e-8, in float64 as well.
    tolerance = 2e-7 if name.startswith("mobilenet_v3") else 1e-8
    close(mine.grad.numpy(), them.grad.numpy(), "images", tolerance)
    largest = max(float(q.grad.abs().max()) for q in other.parameters())
    for (key, p), q in zip(ours.named_parameters(), other.parameters(), strict=True):
        close(p.grad.numpy(), q.grad.numpy(), key, tolerance, 0.01 * largest)
    for (key, b), c in zip(ours.state_dict().items(), other.state_dict().values(), strict=True):
        close(b.numpy(), c.numpy(), key, 1e-10)


def total_loss(outputs, nn, labels):
    """Cross-entropy of the scores, and of what auxiliary heads say."""
    heads = outputs if isinstance(outputs, tuple) else (outputs,)
    weights = (1.0, 0.4, 0.3)
    return sum(w * nn.CrossEntropyLoss()(head, labels) for w, head in zip(weights, heads, strict=False))


def test_inceptions_auxiliary_head():
    torch.manual_seed(0)
    other = theirs.inception.InceptionAux(768, 10).double()
    ours = models.inception.InceptionAux(768, 10).double()
    assert ours.load_state_dict(other.state_dict()) == ([], [])
    x = np.random.default_rng(0).normal(size=(2, 768, 20, 17))
    mine, them = tv.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    y, expected = ours(mine), other(them)
    close(y.detach().numpy(), expected.detach().numpy(), "scores", 1e-10)
    dy = np.random.default_rng(1).normal(size=y.shape)
    y.backward(tv.tensor(dy)), expected.backward(torch.from_numpy(dy))
    close(mine.grad.numpy(), them.grad.numpy(), "features", 1e-9)
    for (key, p), q in zip(ours.named_parameters(), other.parameters(), strict=True):
        close(p.grad.numpy(), q.grad.numpy(), key, 1e-9)
