"""A network that turns its pictures before it reads them: affine grids, sampling, pooling before ReLU in place."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

from given import pictures, redraw

images, labels = pictures(channels=1)
x, y = torch.from_numpy(images), torch.from_numpy(labels)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv = nn.Conv2d(1, 6, kernel_size=3)
        self.fc = nn.Linear(6 * 7 * 7, 4)
        self.localization = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=5),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
            nn.Conv2d(4, 5, kernel_size=3),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(5 * 2 * 2, 8), nn.ReLU(True), nn.Linear(8, 3 * 2))

    def stn(self, x):
        xs = self.localization(x)
        xs = xs.view(-1, 5 * 2 * 2)
        theta = self.fc_loc(xs)
        theta = theta.view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv(x), 2))
        x = x.view(x.size(0), -1)
        return F.log_softmax(self.fc(x), dim=1)


model = redraw(Net())
model.fc_loc[2].weight.data.mul_(0.1)
model.fc_loc[2].bias.data.copy_(torch.tensor([1.01, 0.02, 0.03, -0.01, 0.98, 0.04], dtype=torch.float64))
optimizer = optim.SGD(model.parameters(), lr=0.05)
for epoch in range(4):
    for data, target in zip(x.split(8), y.split(8)):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
    print("Epoch {}: Loss: {:.6f}".format(epoch, loss.item()))
with torch.no_grad():
    turned = model.stn(x)
print(turned.shape, "%.5f" % turned.abs().mean().item())
