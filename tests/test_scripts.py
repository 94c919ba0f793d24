"""Training scripts whose random numbers are the libraries' own, so that they learn as well, not the same: weights, the
order and the parts of data, mixed pairs. Only the import lines differ; `scripts/` compares numbers."""

import re

import numpy as np
import pytest

import tinyvision

torch = pytest.importorskip("torch")

# What a user changes at the top of a script. Whatever follows the imports is the same text for both.
OURS = {
    "import torch": "import tinyvision as torch",
    "import torch.nn as nn": "import tinyvision.nn as nn",
    "import torch.nn.functional as F": "import tinyvision.nn.functional as F",
    "import torch.optim as optim": "import tinyvision.optim as optim",
    "from torch.utils.data import DataLoader, TensorDataset": (
        "from tinyvision.utils.data import DataLoader, TensorDataset"
    ),
}

RESIDUAL = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

class Block(nn.Module):
    expansion = 1
    def __init__(self, in_planes, planes, stride=1):
        super(Block, self).__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )
    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList([Block(8, 8), Block(8, 16, 2)])
        self.side = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(20, 4)
    def forward(self, x):
        side = F.adaptive_avg_pool2d(self.side(x), (1, 1))
        out = self.stem(x)
        for block in self.blocks:
            out = block(out)
        out = torch.cat([out.mean(dim=(2, 3)), torch.sigmoid(side.view(side.size(0), -1))], dim=1)
        return self.head(out)

def init_weights(m):
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        if m.bias is not None:
            nn.init.constant_(m.bias, 0)
    elif isinstance(m, (nn.BatchNorm2d,)):
        nn.init.ones_(m.weight)
        nn.init.zeros_(m.bias)

torch.manual_seed(2)
device = torch.device("cpu")
dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
loader = DataLoader(dataset, batch_size=16, shuffle=True, drop_last=True)
model = Net().apply(init_weights).to(device)
activations = {}
handle = model.blocks[-1].register_forward_hook(lambda m, i, o: activations.update(last=o.detach()))
head = list(model.head.parameters())
backbone = [p for n, p in model.named_parameters() if not n.startswith("head")]
optimizer = torch.optim.AdamW([{"params": backbone, "lr": 2e-3}, {"params": head}], lr=1e-2, weight_decay=1e-2)
epochs = 8
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[5e-3, 2e-2], total_steps=epochs * len(loader))
criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
history = []
for epoch in range(epochs):
    total = 0.0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        lam = 0.9
        index = torch.randperm(x.size(0))
        mixed = lam * x + (1 - lam) * x[index, :]
        output = model(mixed)
        loss = lam * criterion(output, y) + (1 - lam) * criterion(output, y[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        assert norm.item() > 0
        optimizer.step()
        scheduler.step()
        total += loss.item()
    history.append(total / len(loader))
    print(f"{epoch}: {history[-1]:.3f} lr {scheduler.get_last_lr()[0]:.5f}")
handle.remove()
assert activations["last"].shape == (16, 16, 6, 6)
model.eval()
probabilities, targets = [], []
with torch.inference_mode():
    for x, y in loader:
        probabilities.append(torch.softmax(model(x), dim=1).cpu())
        targets.append(y)
probabilities, targets = torch.cat(probabilities), torch.cat(targets)
confusion = torch.zeros(4, 4, dtype=torch.int64)
for t, p in zip(targets.view(-1), probabilities.argmax(1).view(-1)):
    confusion[t.long(), p.long()] += 1
assert confusion.sum().item() == len(targets)
accuracy = (probabilities.argmax(dim=1) == targets).float().mean().item()
total = sum(p.numel() for p in model.parameters() if p.requires_grad)
torch.save(model.state_dict(), PATH)
"""

CHECKPOINTS = """
import copy
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(3)
dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
train_set, val_set = torch.utils.data.random_split(dataset, [len(dataset) - 16, 16])
loader = DataLoader(train_set, batch_size=16, shuffle=True)

def build():
    body = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(3)]
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(72, 4))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
    return model, optimizer, scheduler

model, optimizer, scheduler = build()
criterion = nn.CrossEntropyLoss()
history, start_epoch, best = [], 0, float("inf")
for attempt in range(2):
    for epoch in range(start_epoch, start_epoch + 6):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            torch.nn.utils.clip_grad_value_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.detach()
        scheduler.step()
        history.append((total / len(loader)).item())
        if history[-1] < best:
            best = history[-1]
            torch.save(model.state_dict(), PATH)
            checkpoint = {"epoch": epoch + 1, "optimizer_state_dict": copy.deepcopy(optimizer.state_dict()),
                          "scheduler_state_dict": copy.deepcopy(scheduler.state_dict()), "loss": best}
    model, optimizer, scheduler = build()
    model.load_state_dict(torch.load(PATH))
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    scheduler.load_state_dict(checkpoint["scheduler_state_dict"])
    start_epoch, best = checkpoint["epoch"], checkpoint["loss"]
    assert abs(optimizer.param_groups[0]["lr"] - scheduler.get_last_lr()[0]) < 1e-12
model.eval()
with torch.no_grad():
    accuracy = 0
    for x, y in DataLoader(val_set, batch_size=4):
        accuracy += torch.eq(model(x).argmax(-1), y).sum().item() / len(val_set)
"""

SCRIPTS = {"residual": RESIDUAL, "checkpoints": CHECKPOINTS}


def pictures():
    """Four easy classes of 12x12 images: a bright quarter each."""
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    images = rng.normal(size=(64, 3, 16, 16)) * 0.3
    for image, label in zip(images, labels, strict=True):
        image[:, 8 * (label // 2) : 8 * (label // 2) + 8, 8 * (label % 2) : 8 * (label % 2) + 8] += 1
    return images.astype(np.float32)[:, :, 2:14, 2:14].copy(), labels.astype(np.int64)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("library", ["torch", "tinyvision"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name, library, tmp_path):
    script, (images, labels) = SCRIPTS[name], pictures()
    if library == "tinyvision":
        script = "\n".join(OURS.get(line, line) for line in script.split("\n"))
        assert not re.search(r"^\s*(from|import) torch", script, re.M)
    names = {"images": images, "labels": labels, "PATH": str(tmp_path / "model.pth")}
    exec(compile(script, f"{name} with {library}", "exec"), names)
    history, accuracy = names["history"], names["accuracy"]
    assert np.mean(history[-2:]) < 0.7 * np.mean(history[:2])
    assert accuracy > 0.8
    assert names["torch"] is (torch if library == "torch" else tinyvision)
