"""SimpleCNN beside the same network in PyTorch, over ten steps of training."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import models, nn, optim
from tinyvision.errors import OptionError, ShapeError

torch = pytest.importorskip("torch")


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.Conv2d(32, 64, 3, padding=1)
        self.fc1, self.fc2 = torch.nn.Linear(64 * 36, 128), torch.nn.Linear(128, 10)

    def forward(self, x):
        pool = torch.nn.functional.max_pool2d
        x = pool(self.conv1(x).relu(), 2)
        x = pool(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


# float64: ten steps of rounding at 1e-16, grown a few hundredfold by the training itself. float32 (unit 6e-8) starts
# with losses that agree to about 1e-7 and may lose two digits on the way with SGD; Adam divides gradients by their own
# size, so those that are nearly 0 count as much as the others, with all their rounding.
@pytest.mark.parametrize(
    ("kind", "dtype", "tolerance"),
    [("SGD", "float64", 1e-10), ("Adam", "float64", 1e-10), ("SGD", "float32", 1e-5), ("Adam", "float32", 1e-3)],
)
def test_ten_training_losses(dtype, tolerance, kind):
    torch.manual_seed(0)
    other = Theirs().to(getattr(torch, dtype))
    ours = models.SimpleCNN().to(np.dtype(dtype))
    assert ours.load_state_dict(other.state_dict()) == ([], [])
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4} if kind == "SGD" else {"lr": 1e-3}
    mine, them = (
        getattr(optim, kind)(ours.parameters(), **options),
        getattr(torch.optim, kind)(other.parameters(), **options),
    )
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(16, 3, 24, 24)).astype(dtype), rng.integers(0, 10, 16)) for _ in range(2)]
    losses = []
    for step in range(10):
        x, labels = batches[step % 2]
        mine.zero_grad()
        them.zero_grad()
        loss = nn.CrossEntropyLoss()(ours(tv.tensor(x)), tv.tensor(labels))
        expected = torch.nn.CrossEntropyLoss()(other(torch.from_numpy(x)), torch.from_numpy(labels))
        assert loss.dtype == np.dtype(dtype)
        assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
        loss.backward()
        expected.backward()
        mine.step()
        them.step()
        losses.append(loss.item())
    assert losses[8] < 0.95 * losses[0]


@pytest.mark.parametrize(
    ("size", "shape"), [(24, (24, 24)), (4, (4, 4)), (8, (8, 8)), ((13, 30), (13, 30)), (27, (27, 27))]
)
def test_sizes(size, shape):
    model = models.SimpleCNN(in_channels=1, num_classes=7, image_size=size, hidden=5)
    assert model(tv.zeros(2, 1, *shape)).shape == (2, 7)


def test_mistakes():
    for options in (
        {"image_size": 3},
        {"image_size": (24,)},
        {"image_size": 24.0},
        {"num_classes": 0},
        {"in_channels": -1},
        {"hidden": 0},
        {"image_size": True},
    ):
        with pytest.raises(OptionError):
            models.SimpleCNN(**options)
    with pytest.raises(ShapeError, match=r"made for images of 24×24.*32×32"):
        models.SimpleCNN()(tv.zeros(1, 3, 32, 32))
