"""Training scripts as PyTorch users write them, run by PyTorch and by tinyvision: only the import lines differ."""

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
    "from torch.optim import lr_scheduler": "from tinyvision.optim import lr_scheduler",
    "from torch.optim.lr_scheduler import StepLR": "from tinyvision.optim.lr_scheduler import StepLR",
    "from torch.utils.data import DataLoader, TensorDataset": (
        "from tinyvision.utils.data import DataLoader, TensorDataset"
    ),
    "from torch.utils.data import Dataset, DataLoader": "from tinyvision.utils.data import Dataset, DataLoader",
}

SMALL_CNN = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
trainloader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=0)
testloader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=False)
classes = ("circle", "square", "star", "cross")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.fc1 = nn.Linear(16 * 2 * 2, 32)
        self.fc2 = nn.Linear(32, 4)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return self.fc2(x)

net = Net()
net.to(device)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
history = []
for epoch in range(12):
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels_ = data[0].to(device, non_blocking=True), data[1].to(device)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels_)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    history.append(running_loss / len(trainloader))
    print(f"[{epoch + 1}] loss: {running_loss / len(trainloader):.3f}")

torch.save(net.state_dict(), PATH)
net = Net()
net.load_state_dict(torch.load(PATH, weights_only=True, map_location=device))
correct, total = 0, 0
correct_pred = {classname: 0 for classname in classes}
with torch.no_grad():
    for data in testloader:
        inputs, labels_ = data
        outputs = net(inputs)
        _, predicted = torch.max(outputs.data, 1)
        total += labels_.size(0)
        correct += (predicted == labels_).sum().item()
        _, predictions = torch.max(outputs, 1)
        for label, prediction in zip(labels_, predictions):
            if label == prediction:
                correct_pred[classes[label]] += 1
accuracy = correct / total
assert sum(correct_pred.values()) == correct
"""

TRANSFER = """
import copy
import os
import time
import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
datasets = {x: TensorDataset(torch.from_numpy(images), torch.from_numpy(labels)) for x in ["train", "val"]}
dataloaders = {x: torch.utils.data.DataLoader(datasets[x], batch_size=8, shuffle=True) for x in ["train", "val"]}
dataset_sizes = {x: len(datasets[x]) for x in ["train", "val"]}

class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        conv, norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.features = nn.Sequential(conv, norm, nn.ReLU(inplace=True), nn.AvgPool2d(4))
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(8 * 4 * 4, 1000)

    def forward(self, x):
        x = self.features(x)
        return self.fc(self.dropout(x.reshape(x.shape[0], -1)))

def train_model(model, criterion, optimizer, scheduler, num_epochs=25):
    since = time.time()
    best_model_wts = copy.deepcopy(model.state_dict())
    best_acc = 0.0
    torch.save(model.state_dict(), PATH)
    for epoch in range(num_epochs):
        for phase in ["train", "val"]:
            if phase == "train":
                model.train()
            else:
                model.eval()
            running_loss = 0.0
            running_corrects = 0
            for inputs, labels_ in dataloaders[phase]:
                inputs = inputs.to(device)
                labels_ = labels_.to(device)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels_)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels_.data)
            if phase == "train":
                scheduler.step()
            epoch_loss = running_loss / dataset_sizes[phase]
            epoch_acc = running_corrects.double() / dataset_sizes[phase]
            history.append(epoch_loss)
            print(f"{phase} Loss: {epoch_loss:.4f} Acc: {epoch_acc:.4f}")
            if phase == "val" and epoch_acc > best_acc:
                best_acc = epoch_acc
                best_model_wts = copy.deepcopy(model.state_dict())
                torch.save(model.state_dict(), PATH)
    print(f"Best val Acc: {best_acc:4f} in {(time.time() - since) // 60:.0f}m")
    model.load_state_dict(torch.load(PATH, weights_only=True))
    model.load_state_dict(best_model_wts)
    return model, best_acc

history = []
model_conv = Backbone()
for param in model_conv.features.parameters():
    param.requires_grad = False
num_ftrs = model_conv.fc.in_features
model_conv.fc = nn.Linear(num_ftrs, 4)
model_conv = model_conv.to(device)
criterion = nn.CrossEntropyLoss()
optimizer_conv = optim.SGD(filter(lambda p: p.requires_grad, model_conv.parameters()), lr=0.05, momentum=0.9)
exp_lr_scheduler = lr_scheduler.StepLR(optimizer_conv, step_size=7, gamma=0.1)
model_conv, best = train_model(model_conv, criterion, optimizer_conv, exp_lr_scheduler, num_epochs=8)
accuracy = best.item()
"""

DIGITS = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import Dataset, DataLoader

class Pictures(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, idx):
        return torch.tensor(self.images[idx]), int(self.labels[idx])

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.1)
        self.dropout2 = nn.Dropout(0.1)
        self.fc1 = nn.Linear(256, 32)
        self.fc2 = nn.Linear(32, 4)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        output = F.log_softmax(x, dim=1)
        return output

def train(model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = data.to(device), target.to(device)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        history.append(loss.item())
        print("Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}".format(
            epoch, batch_idx * len(data), len(train_loader.dataset), 100. * batch_idx / len(train_loader), loss.item()))

def test(model, device, test_loader):
    model.eval()
    test_loss = 0
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction='sum').item()
            pred = output.argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    test_loss /= len(test_loader.dataset)
    return correct / len(test_loader.dataset)

history = []
use_cuda = torch.cuda.is_available()
torch.manual_seed(1)
device = torch.device("cuda") if use_cuda else torch.device("cpu")
train_loader = DataLoader(Pictures(images, labels), **{"batch_size": 8, "shuffle": True})
test_loader = DataLoader(Pictures(images, labels), batch_size=16)
model = Net().to(device)
optimizer = optim.Adam(model.parameters(), lr=0.005)
scheduler = StepLR(optimizer, step_size=1, gamma=0.9)
for epoch in range(1, 5):
    train(model, device, train_loader, optimizer, epoch)
    accuracy = test(model, device, test_loader)
    scheduler.step()
torch.save(model.state_dict(), PATH)
"""

RESIDUAL = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

class AverageMeter(object):
    def __init__(self):
        self.reset()
    def reset(self):
        self.val, self.avg, self.sum, self.count = 0, 0, 0, 0
    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

def accuracy_topk(output, target, topk=(1,)):
    with torch.no_grad():
        maxk = max(topk)
        batch_size = target.size(0)
        _, pred = output.topk(maxk, 1, True, True)
        pred = pred.t()
        correct = pred.eq(target.view(1, -1).expand_as(pred))
        res = []
        for k in topk:
            correct_k = correct[:k].reshape(-1).float().sum(0, keepdim=True)
            res.append(correct_k.mul_(100.0 / batch_size))
        return res

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
    losses, top1 = AverageMeter(), AverageMeter()
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
        prec1, prec3 = accuracy_topk(output, y, topk=(1, 3))
        losses.update(loss.item(), x.size(0))
        top1.update(prec1[0], x.size(0))
        assert prec3.item() >= prec1.item()
    history.append(losses.avg)
    print(f"{epoch}: {losses.avg:.3f} {top1.avg:.1f} lr {scheduler.get_last_lr()[0]:.5f}")
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

SCRIPTS = {
    "small_cnn": SMALL_CNN,
    "transfer": TRANSFER,
    "digits": DIGITS,
    "residual": RESIDUAL,
    "checkpoints": CHECKPOINTS,
}


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
    script = SCRIPTS[name]
    if name in ("small_cnn", "transfer"):
        images, labels = (np.pad(pictures()[0], ((0, 0), (0, 0), (2, 2), (2, 2))), pictures()[1])
    else:
        images, labels = pictures()
    if library == "tinyvision":
        script = "\n".join(OURS.get(line, line) for line in script.split("\n"))
        assert not re.search(r"^\s*(from|import) torch", script, re.M)
    names = {"images": images, "labels": labels, "PATH": str(tmp_path / "model.pth")}
    exec(compile(script, f"{name} with {library}", "exec"), names)
    history, accuracy = names["history"], names["accuracy"]
    assert np.mean(history[-2:]) < 0.7 * np.mean(history[:2])
    assert accuracy > 0.8
    assert names["torch"] is (torch if library == "torch" else tinyvision)
