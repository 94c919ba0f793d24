"""A warm-up over batches by a schedule of one's own, then a multi-step schedule over epochs."""

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim.lr_scheduler import _LRScheduler

from given import pictures, redraw


class WarmUpLR(_LRScheduler):
    def __init__(self, optimizer, total_iters, last_epoch=-1):
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base_lr * self.last_epoch / (self.total_iters + 1e-8) for base_lr in self.base_lrs]


images, labels = pictures()
batches = list(zip(torch.from_numpy(images).split(8), torch.from_numpy(labels).split(8)))
net = redraw(
    nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    )
)
loss_function = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
train_scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 3], gamma=0.2)
warmup_scheduler = WarmUpLR(optimizer, len(batches))
for epoch in range(1, 5):
    if epoch > 1:
        train_scheduler.step(epoch)
    net.train()
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_function(net(x), y)
        loss.backward()
        optimizer.step()
        if epoch <= 1:
            warmup_scheduler.step()
        print("Loss: {:0.4f}\tLR: {:0.6f}".format(loss.item(), optimizer.param_groups[0]["lr"]))
