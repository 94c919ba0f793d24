"""Embeddings by triplets and by centres of classes: hard triplets of a batch, two optimizers, distances by addmm_."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import lr_scheduler

from given import pictures, redraw


class EmbeddingNet(nn.Module):
    def __init__(self):
        super(EmbeddingNet, self).__init__()
        self.convnet = nn.Sequential(nn.Conv2d(1, 6, 5), nn.PReLU(), nn.MaxPool2d(2, stride=2))
        self.fc = nn.Sequential(nn.Linear(6 * 4 * 4, 12), nn.PReLU(), nn.Linear(12, 3))

    def forward(self, x):
        output = self.convnet(x)
        output = output.view(output.size()[0], -1)
        return self.fc(output)


class CenterLoss(nn.Module):
    def __init__(self, num_classes=4, feat_dim=3):
        super(CenterLoss, self).__init__()
        self.num_classes = num_classes
        self.centers = nn.Parameter(torch.zeros(num_classes, feat_dim))

    def forward(self, x, labels):
        batch_size = x.size(0)
        distmat = (
            torch.pow(x, 2).sum(dim=1, keepdim=True).expand(batch_size, self.num_classes)
            + torch.pow(self.centers, 2).sum(dim=1, keepdim=True).expand(self.num_classes, batch_size).t()
        )
        distmat.addmm_(1, -2, x, self.centers.t())
        classes = torch.arange(self.num_classes).long()
        labels = labels.unsqueeze(1).expand(batch_size, self.num_classes)
        mask = labels.eq(classes.expand(batch_size, self.num_classes))
        dist = distmat * mask.to(x.dtype)
        return dist.clamp(min=1e-12, max=1e12).sum() / batch_size


def pdist(vectors):
    return (
        -2 * vectors.mm(torch.t(vectors))
        + vectors.pow(2).sum(dim=1).view(1, -1)
        + vectors.pow(2).sum(dim=1).view(-1, 1)
    )


def hardest_triplets(embeddings, labels):
    distances = pdist(embeddings.detach())
    same = labels[:, None] == labels[None]
    positive = distances.masked_fill(~same, -float("inf")).argmax(1)
    negative = distances.masked_fill(same, float("inf")).min(dim=1)[1]
    return torch.stack([torch.arange(len(labels)), positive, negative], 1)


images, labels = pictures(24, channels=1, size=12)
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model, center_loss = redraw(EmbeddingNet()), redraw(CenterLoss())
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
optimizer_center = torch.optim.SGD(center_loss.parameters(), lr=0.5)
scheduler = lr_scheduler.StepLR(optimizer, 2, gamma=0.5, last_epoch=-1)
triplet = nn.TripletMarginLoss(margin=1.0, p=2, swap=True)
for epoch in range(4):
    for data, target in zip(x.split(12), y.split(12)):
        embeddings = model(data)
        triplets = hardest_triplets(embeddings, target)
        ap = (embeddings[triplets[:, 0]] - embeddings[triplets[:, 1]]).pow(2).sum(1)
        an = (embeddings[triplets[:, 0]] - embeddings[triplets[:, 2]]).pow(2).sum(1)
        hard = F.relu(ap - an + 0.5).mean()
        soft = triplet(*(F.normalize(embeddings)[triplets[:, k]] for k in range(3)))
        loss_cent = center_loss(embeddings, target) * 0.1
        loss = hard + soft + loss_cent
        optimizer.zero_grad()
        optimizer_center.zero_grad()
        loss.backward()
        optimizer.step()
        for param in center_loss.parameters():
            param.grad.data *= 1.0 / 0.1
        optimizer_center.step()
    scheduler.step()
    print("Epoch: {}. hard {:.5f} soft {:.5f} centre {:.5f}".format(epoch, hard.item(), soft.item(), loss_cent.item()))
print(F.cosine_similarity(model(x[:1]), model(x[1:])).mean().item())
