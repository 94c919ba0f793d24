"""A learning-rate finder: the rate grows from batch to batch, the smoothed loss says where to stop; then all is undone."""

import copy
import math

import torch
import torch.nn as nn
from torch.optim.lr_scheduler import LambdaLR

from given import pictures, redraw


class LRFinder:
    def __init__(self, model, optimizer, criterion):
        self.model, self.optimizer, self.criterion = model, optimizer, criterion
        self.history = {"lr": [], "loss": []}
        self.model_state = copy.deepcopy(model.state_dict())
        self.optimizer_state = copy.deepcopy(optimizer.state_dict())

    def range_test(self, batches, start_lr=1e-4, end_lr=10, num_iter=40, beta=0.9, diverge_th=4):
        for group in self.optimizer.param_groups:
            group["lr"] = start_lr
            group["initial_lr"] = start_lr
        growth = (end_lr / start_lr) ** (1 / (num_iter - 1))
        schedule = LambdaLR(self.optimizer, lambda step: growth**step)
        average, best = 0.0, math.inf
        for iteration in range(num_iter):
            x, y = batches[iteration % len(batches)]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.history["lr"].append(schedule.get_last_lr()[0])
            self.optimizer.step()
            schedule.step()
            average = beta * average + (1 - beta) * loss.item()
            smooth = average / (1 - beta ** (iteration + 1))
            self.history["loss"].append(smooth)
            best = min(best, smooth)
            if smooth > diverge_th * best:
                print("Stopping early, the loss has diverged")
                break

    def reset(self):
        self.model.load_state_dict(self.model_state)
        self.optimizer.load_state_dict(self.optimizer_state)


images, labels = pictures()
batches = list(zip(torch.from_numpy(images).split(8), torch.from_numpy(labels).split(8)))
net = redraw(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ELU(), nn.Flatten(), nn.Linear(8 * 7 * 7, 4)))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
finder = LRFinder(net, optimizer, criterion)
finder.range_test(batches)
for lr, loss in list(zip(finder.history["lr"], finder.history["loss"]))[:25:3]:
    print(f"{lr:.5f} {loss:.4f}")
finder.reset()
print(optimizer.param_groups[0]["lr"])
for x, y in batches:
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    loss.backward()
    optimizer.step()
    print("%.4f" % loss.item())
