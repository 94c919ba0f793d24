"""Two pictures through one network: are they of one class?"""

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset

from given import pictures, redraw


class SiameseNetwork(nn.Module):
    def __init__(self):
        super(SiameseNetwork, self).__init__()
        body = [nn.Conv2d(1, 4, kernel_size=3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
        self.body = torch.nn.Sequential(*body, nn.AdaptiveAvgPool2d((2, 2)))
        self.fc_in_features = 16
        self.fc = nn.Sequential(nn.Linear(self.fc_in_features * 2, 8), nn.ReLU(inplace=True), nn.Linear(8, 1))
        self.sigmoid = nn.Sigmoid()
        self.body.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, nn.Linear):
            torch.nn.init.xavier_uniform_(m.weight)
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        output = self.body(x)
        return output.view(output.size()[0], -1)

    def forward(self, input1, input2):
        output1 = self.forward_once(input1)
        output2 = self.forward_once(input2)
        output = torch.cat((output1, output2), 1)
        return self.sigmoid(self.fc(output))


class Pairs(Dataset):
    def __init__(self):
        self.data, self.targets = pictures(16, channels=1, size=8)
        self.group()

    def group(self):
        self.grouped_examples = {}
        for i in range(4):
            self.grouped_examples[i] = (self.targets == i).nonzero()[0]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        group = self.grouped_examples[int(self.targets[index])]
        if index % 2 == 0:
            other, target = group[(index // 4 + 1) % len(group)], torch.tensor(1.0)
        else:
            other, target = (index + 1) % len(self), torch.tensor(0.0)
        return torch.from_numpy(self.data[index]), torch.from_numpy(self.data[other]), target


loader = DataLoader(Pairs(), batch_size=4)
model = redraw(SiameseNetwork())
optimizer = optim.Adam(model.parameters(), lr=0.01)
scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
criterion = nn.BCELoss()
for epoch in range(1, 4):
    model.train()
    for images_1, images_2, targets in loader:
        optimizer.zero_grad()
        outputs = model(images_1, images_2).squeeze()
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
    model.eval()
    correct = 0
    with torch.no_grad():
        for images_1, images_2, targets in loader:
            outputs = model(images_1, images_2).squeeze()
            pred = torch.where(outputs > 0.5, 1, 0)
            correct += pred.eq(targets.view_as(pred)).sum().item()
    scheduler.step()
    print(
        f"epoch {epoch}: loss {loss.item():.6f}, {correct}/{len(loader.dataset)}, lr {scheduler.get_last_lr()[0]:.5f}"
    )
