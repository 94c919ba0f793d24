"""The article's two listings, run as they are printed, with nothing but their import lines exchanged.

The first listing's `64 * 6 * 6` fits images of 6x6 pixels, since it has no pooling; `models.SimpleCNN` is the network
that the article's text describes."""

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import data
from tinyvision.nn.module import numpy_state

LISTING_4_1 = """\
import torch
import torch.nn as nn
import torch.optim as optim

# 定义卷积层
class ConvLayer(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride, padding):
        super(ConvLayer, self).__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        x = self.relu(x)
        return x

# 定义卷积神经网络
class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv1 = ConvLayer(3, 32, 3, 1, 1)
        self.conv2 = ConvLayer(32, 64, 3, 1, 1)
        self.fc1 = nn.Linear(64 * 6 * 6, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        x = x.view(x.size(0), -1)
        x = self.fc1(x)
        x = self.fc2(x)
        return x

# 创建CNN实例
cnn = CNN()

# 定义损失函数和优化器
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(cnn.parameters(), lr=0.01)

# 训练CNN
for epoch in range(10):
    for i, (inputs, labels) in enumerate(train_loader):
        outputs = cnn(inputs)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""

LISTING_4_2 = """\
import torchvision.models as models
import torch.nn as nn
import torch.optim as optim

# 加载预训练的ResNet18模型
resnet18 = models.resnet18(pretrained=True)

# 替换最后的全连接层和输出层
num_ftrs = resnet18.fc.in_features
resnet18.fc = nn.Linear(num_ftrs, 10)

# 定义损失函数和优化器
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(resnet18.parameters(), lr=0.01)

# 训练ResNet18模型
for epoch in range(10):
    for i, (inputs, labels) in enumerate(train_loader):
        outputs = resnet18(inputs)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""

OURS = {
    "import torch": "import tinyvision as torch",
    "import torch.nn as nn": "import tinyvision.nn as nn",
    "import torch.optim as optim": "import tinyvision.optim as optim",
    "import torchvision.models as models": "import tinyvision.models as models",
}


def run(listing, train_loader):
    """The names that the listing leaves behind, after its import lines were exchanged, and all its losses."""
    lines = listing.splitlines()
    exchanged = [OURS.get(line, line) for line in lines]
    changed = [line for line, other in zip(lines, exchanged, strict=True) if line != other]
    assert changed == [line for line in lines if "import" in line]
    losses = []

    class Watched:
        """The train_loader; it looks at the loss that the pass before it has left behind."""

        def __iter__(self):
            for batch in train_loader:
                if "loss" in names:
                    losses.append(names["loss"].item())
                yield batch
            losses.append(names["loss"].item())

    names = {"train_loader": Watched()}
    exec(compile("\n".join(exchanged), "listing", "exec"), names)
    return names, losses


def loader(size, count, batch_size, scale):
    """Ten classes of noisy images (N, 3, size, size), each around a picture of its own, in batches."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    centres = rng.normal(size=(10, 3, size, size))
    images = (centres[labels] * scale + rng.normal(size=(count, 3, size, size)) * 0.3).astype(np.float32)
    return data.DataLoader(data.ArrayDataset(images, labels), batch_size=batch_size, shuffle=True, seed=0)


def test_listing_4_1():
    names, losses = run(LISTING_4_1, loader(6, 320, 16, 2.0))
    assert len(losses) == 200 + 9  # one a batch, and the last of an epoch seen twice
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
    assert type(names["cnn"].conv1.conv).__module__.startswith("tinyvision")
    x, y = next(iter(loader(6, 320, 320, 2.0)))
    with tv.no_grad():
        assert (names["cnn"](x).argmax(1) == y).float().mean().item() > 0.95


def test_listing_4_2(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from torchvision_oracle import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "my.pth")
    monkeypatch.setenv("TINYVISION_WEIGHTS_RESNET18", str(tmp_path / "my.pth"))
    names, losses = run(LISTING_4_2, loader(32, 10, 5, 1.0))
    assert losses[-1] < 0.5 * losses[0]
    state = numpy_state(names["resnet18"])
    assert state["fc.weight"].shape == (10, 512)
    # The training began from the loaded weights: they have moved, but are still recognisable.
    loaded = network.layer3[0].conv1.weight.detach().numpy()
    assert not np.array_equal(state["layer3.0.conv1.weight"], loaded)
    assert np.corrcoef(state["layer3.0.conv1.weight"].ravel(), loaded.ravel())[0, 1] > 0.9
