"""A variational autoencoder: reconstruction and KL divergence, reparametrised."""

import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision.utils import make_grid

from given import noise, pictures, redraw


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(64, 32)
        self.fc21 = nn.Linear(32, 4)
        self.fc22 = nn.Linear(32, 4)
        self.fc3 = nn.Linear(4, 32)
        self.fc4 = nn.Linear(32, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(noise(*std.shape))
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


images, labels = pictures(channels=1, size=8)
data = TensorDataset(torch.from_numpy(images).clamp(0, 1), torch.from_numpy(labels))
train_loader = DataLoader(data, batch_size=8)
model = redraw(VAE())
optimizer = optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(1, 4):
    model.train()
    train_loss = 0
    for batch_idx, (batch, _) in enumerate(train_loader):
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(batch)
        loss = loss_function(recon_batch, batch, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print("====> Epoch: {} Average loss: {:.4f}".format(epoch, train_loss / len(train_loader.dataset)))
    model.eval()
    with torch.no_grad():
        n = min(batch.size(0), 4)
        comparison = torch.cat([batch[:n], recon_batch.view(8, 1, 8, 8)[:n]])
        grid = make_grid(comparison.cpu(), nrow=n)
        print(list(grid.shape), grid.mean().item())
        sample = model.decode(torch.from_numpy(noise(6, 4))).cpu()
        print(sample.view(6, 1, 8, 8).std(dim=0).max().item())
