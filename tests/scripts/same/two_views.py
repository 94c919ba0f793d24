"""Learning without labels: two views of each picture are drawn together, all others apart; then a linear probe."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from given import noise, pictures, redraw


class SimCLR(nn.Module):
    def __init__(self, encoder, n_features, projection_dim):
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Sequential(
            nn.Linear(n_features, n_features, bias=False),
            nn.BatchNorm1d(n_features),
            nn.ReLU(inplace=True),
            nn.Linear(n_features, projection_dim, bias=False),
        )

    def forward(self, x_i, x_j):
        h_i, h_j = self.encoder(x_i), self.encoder(x_j)
        return h_i, h_j, self.projector(h_i), self.projector(h_j)


def info_nce_loss(features, batch_size, n_views=2, temperature=0.5):
    labels = torch.cat([torch.arange(batch_size) for i in range(n_views)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
    features = F.normalize(features, dim=1)
    similarity_matrix = torch.matmul(features, features.T)
    mask = torch.eye(labels.shape[0], dtype=torch.bool)
    labels = labels[~mask].view(labels.shape[0], -1)
    similarity_matrix = similarity_matrix[~mask].view(similarity_matrix.shape[0], -1)
    positives = similarity_matrix[labels.bool()].view(labels.shape[0], -1)
    negatives = similarity_matrix[~labels.bool()].view(similarity_matrix.shape[0], -1)
    logits = torch.cat([positives, negatives], dim=1) / temperature
    return logits, torch.zeros(logits.shape[0], dtype=torch.long)


class NT_Xent(nn.Module):
    def __init__(self, batch_size, temperature):
        super().__init__()
        self.batch_size, self.temperature = batch_size, temperature
        self.mask = self.mask_correlated_samples(batch_size)
        self.criterion = nn.CrossEntropyLoss(reduction="sum")
        self.similarity_f = nn.CosineSimilarity(dim=2)

    def mask_correlated_samples(self, batch_size):
        N = 2 * batch_size
        mask = torch.ones((N, N), dtype=bool)
        mask = mask.fill_diagonal_(0)
        for i in range(batch_size):
            mask[i, batch_size + i] = 0
            mask[batch_size + i, i] = 0
        return mask

    def forward(self, z_i, z_j):
        N = 2 * self.batch_size
        z = torch.cat((z_i, z_j), dim=0)
        sim = self.similarity_f(z.unsqueeze(1), z.unsqueeze(0)) / self.temperature
        sim_i_j, sim_j_i = torch.diag(sim, self.batch_size), torch.diag(sim, -self.batch_size)
        positive_samples = torch.cat((sim_i_j, sim_j_i), dim=0).reshape(N, 1)
        negative_samples = sim[self.mask].reshape(N, -1)
        labels = torch.from_numpy(np.array([0] * N)).reshape(-1).long()
        return self.criterion(torch.cat((positive_samples, negative_samples), dim=1), labels) / N


images, labels = pictures(16, size=10)
views = [torch.from_numpy(images + 0.1 * noise(*images.shape)) for _ in range(2)]
views[1] = torch.flip(views[1], dims=[3])
model = redraw(
    SimCLR(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 12, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten()
        ),
        12,
        6,
    )
)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2, weight_decay=1e-6)
criterion = NT_Xent(8, temperature=0.5)
for epoch in range(3):
    loss_epoch = 0
    for step, (x_i, x_j) in enumerate(zip(views[0].split(8), views[1].split(8))):
        optimizer.zero_grad()
        h_i, h_j, z_i, z_j = model(x_i, x_j)
        loss = criterion(z_i, z_j)
        logits, zeros = info_nce_loss(torch.cat([z_i, z_j]), 8)
        assert torch.allclose(loss, F.cross_entropy(logits, zeros)), (loss, F.cross_entropy(logits, zeros))
        loss.backward()
        optimizer.step()
        loss_epoch += loss.item()
        print(f"Step [{step}]\t Loss: {loss.item():.5f}\t first {(logits.argmax(1) == 0).double().mean():.3f}")
    print(f"Epoch [{epoch}]\t Loss: {loss_epoch / 2:.5f}")

model.eval()
for p in model.encoder.parameters():
    p.requires_grad = False
with torch.no_grad():
    features = model.encoder(torch.from_numpy(images))
features = (features - features.mean(0)) / features.std(0)
probe = redraw(nn.Linear(12, 4))
optimizer = torch.optim.SGD(probe.parameters(), lr=0.5)
for epoch in range(20):
    optimizer.zero_grad()
    loss = F.cross_entropy(probe(features.detach()), torch.from_numpy(labels))
    loss.backward()
    optimizer.step()
print(f"probe {loss.item():.4f}, {(probe(features).argmax(1).numpy() == labels).mean():.2%}")
