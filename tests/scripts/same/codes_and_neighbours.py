"""Pictures coded and drawn again from a tied code of their own, with noise taken out; the nearest codes tell the class."""

import math

import torch
from torch import nn, optim
from torch.nn import functional as F

from given import noise, pictures, redraw


class Reshape(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def extra_repr(self):
        return "shape={}".format(self.shape)

    def forward(self, x):
        return x.view(-1, *self.shape)


class Autoencoder(nn.Module):
    def __init__(self, code=3):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ELU(), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ELU(),
            Reshape(6 * 4 * 4), nn.Linear(96, code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, 96), Reshape(6, 4, 4), nn.PReLU(6),
            nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), nn.Softplus(),
            nn.ConvTranspose2d(4, 1, kernel_size=4, stride=2, padding=1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z), z


def knn_predict(feature, feature_bank, feature_labels, classes, knn_k, knn_t):
    sim_matrix = torch.mm(feature, feature_bank)
    sim_weight, sim_indices = sim_matrix.topk(k=knn_k, dim=-1)
    sim_labels = torch.gather(feature_labels.expand(feature.size(0), -1), dim=-1, index=sim_indices)
    sim_weight = (sim_weight / knn_t).exp()
    one_hot_label = torch.zeros(feature.size(0) * knn_k, classes, device=sim_labels.device)
    one_hot_label = one_hot_label.scatter(dim=-1, index=sim_labels.view(-1, 1), value=1.0)
    pred_scores = torch.sum(one_hot_label.view(feature.size(0), -1, classes) * sim_weight.unsqueeze(dim=-1), dim=1)
    return pred_scores.argsort(dim=-1, descending=True)


images, labels = pictures(32, channels=1)
x, y = torch.tanh(torch.from_numpy(images)), torch.from_numpy(labels)
noisy = x + 0.2 * torch.from_numpy(noise(*images.shape))
train_x, test_x, train_y, test_y = noisy[:24], noisy[24:], y[:24], y[24:]
model = redraw(Autoencoder())
print(model)
optimizer = optim.RMSprop(model.parameters(), lr=5e-3, alpha=0.9, centered=True)
scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
for epoch in range(4):
    for i in torch.arange(24).view(3, 8):
        recon, z = model(train_x[i])
        mse_loss, l1_penalty = F.mse_loss(recon, x[i], reduction="sum") / len(i), z.abs().mean()
        loss = mse_loss + 1e-2 * l1_penalty
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
    scheduler.step()
    psnr = 10 * math.log10(4 / F.mse_loss(recon, x[i]).item())
    print("epoch [{}/{}], loss:{:.4f}, psnr:{:.3f}".format(epoch + 1, 4, loss.item(), psnr))

model.eval()
with torch.no_grad():
    bank, codes = model.encoder(train_x), model.encoder(test_x)
    distances = torch.cdist(codes, bank)
    same = (codes.pow(2).sum(1, keepdim=True) + bank.pow(2).sum(1) - 2 * codes @ bank.t()).clamp_min(0).sqrt()
    assert torch.allclose(distances, same)
    nearest = distances.topk(5, largest=False, sorted=True).indices
    votes = F.one_hot(train_y[nearest], 4).sum(dim=1)
    print(votes.tolist(), (votes.argmax(-1) == test_y).double().mean().item())
    pred = knn_predict(F.normalize(codes), F.normalize(bank).t().contiguous(), train_y, 4, 5, 0.5)
    print(pred[:, :2].tolist(), f"{(pred[:, 0] == test_y).double().mean().item() * 100:.2f}%")
    between = torch.stack([torch.lerp(codes[0], codes[1], w) for w in torch.linspace(0, 1, 5)])
    print(model.decoder(between).mean((1, 2, 3)), torch.triu(distances[:, :8], diagonal=1).sum())
