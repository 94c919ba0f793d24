"""Classes of which there are few: drawn by weight, weighted in the loss, a focal loss, a confusion matrix, its scores."""

import collections

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset, WeightedRandomSampler, random_split

from given import pictures, redraw


class FewOfSome(Dataset):
    def __init__(self, transform=None):
        images, labels = pictures(40, size=8)
        keep = [i for i, label in enumerate(labels) if label < 2 or i % 3 == 0]
        self.data, self.targets, self.transform = images[keep], labels[keep].tolist(), transform

    def __getitem__(self, index):
        img = torch.from_numpy(self.data[index])
        return (self.transform(img) if self.transform else img), self.targets[index]

    def __len__(self):
        return len(self.data)


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=None, size_average=True):
        super().__init__()
        self.gamma, self.alpha, self.size_average = gamma, alpha, size_average

    def forward(self, input, target):
        target = target.view(-1, 1)
        logpt = F.log_softmax(input, dim=1).gather(1, target).view(-1)
        pt = logpt.detach().exp()
        if self.alpha is not None:
            at = self.alpha.type_as(input).gather(0, target.view(-1))
            logpt = logpt * at
        loss = -1 * (1 - pt) ** self.gamma * logpt
        return loss.mean() if self.size_average else loss.sum()


dataset = FewOfSome(transform=lambda img: (img - 0.4) / 0.5)
lengths = [int(0.8 * len(dataset)), len(dataset) - int(0.8 * len(dataset))]
parts = random_split(dataset, lengths, generator=torch.Generator().manual_seed(42))
print([len(part) for part in parts], sorted(i for part in parts for i in part.indices) == list(range(len(dataset))))
train_set, test_set = Subset(dataset, range(lengths[0])), Subset(dataset, range(lengths[0], len(dataset)))
count = collections.Counter(dataset.targets[i] for i in train_set.indices)
class_count = torch.tensor([count[c] for c in range(4)])
class_weights = 1.0 / class_count.double()
print(sorted(count.items()), class_weights)
sample_weights = class_weights[torch.tensor([dataset.targets[i] for i in train_set.indices])]

# drawn without replacement until none is left, in one batch: whatever the order, the gradient is the same
sampler = WeightedRandomSampler(sample_weights, num_samples=len(train_set), replacement=False)
train_loader = DataLoader(train_set, batch_size=len(train_set), sampler=sampler)
only_rare = WeightedRandomSampler((class_weights > 0.2)[torch.tensor(dataset.targets)].double(), 50, replacement=True)
drawn = {dataset.targets[i] for i in only_rare}
print(len(only_rare), drawn <= {2, 3}, len(drawn) > 0)

for criterion in (
    nn.CrossEntropyLoss(weight=class_weights),
    FocalLoss(2, class_weights),
    FocalLoss(size_average=False),
):
    model = redraw(nn.Sequential(nn.Conv2d(3, 6, 3), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(216, 4)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for epoch in range(4):
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
        print(f"{type(criterion).__name__} {epoch}: {loss.item():.5f}")
    confusion = torch.zeros(4, 4, dtype=torch.int64)
    with torch.no_grad():
        for images, labels in DataLoader(test_set, batch_size=3):
            _, preds = torch.max(model(images), 1)
            for t, p in zip(labels.view(-1), preds.view(-1)):
                confusion[t.long(), p.long()] += 1
    print(confusion)
    recall = confusion.diag().double() / confusion.sum(1).clamp(min=1)
    precision = confusion.diag().double() / confusion.sum(0).clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall + 1e-12)
    print(recall.tolist(), precision, f"macro F1 {f1.mean():.4f}")
    assert torch.bincount(confusion.nonzero()[:, 0], minlength=4).shape == (4,)
