"""A critic kept to slopes of 1 by gradient penalties: that of WGAN-GP, DRAGAN's and R1, with layers of all kinds."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.autograd as autograd
from torch.autograd import Variable, grad
from torch.nn.utils import spectral_norm

from given import noise, pictures, redraw


class Generator(nn.Module):
    def __init__(self, latent_dim=6, channels=1):
        super(Generator, self).__init__()
        self.init_size = 4
        self.l1 = nn.Sequential(nn.Linear(latent_dim, 8 * self.init_size**2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(8),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 8, 3, stride=1, padding=1),
            nn.BatchNorm2d(8, 0.8),
            nn.LeakyReLU(0.2, inplace=True),
            nn.ConvTranspose2d(8, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z):
        out = self.l1(z)
        out = out.view(out.shape[0], 8, self.init_size, self.init_size)
        return self.conv_blocks(out)


class Critic(nn.Module):
    def __init__(self, channels=1):
        super(Critic, self).__init__()
        self.model = nn.Sequential(
            nn.Conv2d(channels, 6, 3, 2, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(6, 8, 3, 2, 1),
            nn.InstanceNorm2d(8, affine=True),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8, 8, 3, 1, 1, groups=2),
            nn.LayerNorm([8, 4, 4]),
            nn.SiLU(),
            nn.AvgPool2d(2),
        )
        self.adv_layer = nn.Linear(8 * 2 * 2, 1)

    def forward(self, img):
        out = self.model(img)
        return self.adv_layer(out.view(out.shape[0], -1))


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = torch.from_numpy(noise(real_samples.size(0), 1, 1, 1)).abs().clamp(max=1)
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    fake = Variable(torch.ones(real_samples.shape[0], 1), requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=fake,
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


images, _ = pictures(count=8, channels=1)
real_imgs = torch.from_numpy(images)
generator, discriminator = redraw(Generator()), redraw(Critic())
optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.002, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=0.002, betas=(0.5, 0.999))
lambda_gp = 10
for i in range(6):
    optimizer_D.zero_grad()
    z = torch.from_numpy(noise(8, 6))
    fake_imgs = generator(z)
    gradient_penalty = compute_gradient_penalty(discriminator, real_imgs.data, fake_imgs.data)
    d_loss = -torch.mean(discriminator(real_imgs)) + torch.mean(discriminator(fake_imgs.detach()))
    d_loss = d_loss + lambda_gp * gradient_penalty
    d_loss.backward()
    optimizer_D.step()
    optimizer_G.zero_grad()
    if i % 3 == 0:
        g_loss = -torch.mean(discriminator(generator(z)))
        g_loss.backward()
        optimizer_G.step()
    print("[D loss: %.6f] [GP: %.6f] [G loss: %.6f]" % (d_loss.item(), gradient_penalty.item(), g_loss.item()))

# DRAGAN's: around the data alone, and with spectral normalisation
dragan = nn.Sequential(
    nn.Conv2d(1, 6, 4, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, 1, 1), nn.ELU(), nn.Flatten(),
    nn.Linear(8 * 16, 1),
)  # fmt: skip
redraw(dragan)
adversarial_loss = nn.BCEWithLogitsLoss()
optimizer = torch.optim.RMSprop(dragan.parameters(), lr=0.003)
for i in range(4):
    X = real_imgs
    around = X + 0.5 * X.std() * torch.from_numpy(noise(*X.shape)).abs()
    alpha = torch.from_numpy(noise(8, 1, 1, 1)).expand(X.size())
    interpolates = Variable(alpha * X + ((1 - alpha) * around), requires_grad=True)
    d_interpolates = torch.sigmoid(dragan(interpolates))
    gradients = grad(d_interpolates, interpolates, torch.ones(8, 1), create_graph=True)[0]
    penalty = lambda_gp * ((gradients.view(8, -1).norm(2, 1) - 1) ** 2).mean()
    loss = adversarial_loss(dragan(X), torch.ones(8, 1)) + penalty
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("dragan %.6f %.6f" % (loss.item(), penalty.item()))


# R1, the squares of the gradient at the data
def r1_reg(d_out, x_in):
    batch_size = x_in.size(0)
    grad_dout = torch.autograd.grad(
        outputs=d_out.sum(), inputs=x_in, create_graph=True, retain_graph=True, only_inputs=True
    )[0]
    grad_dout2 = grad_dout.pow(2)
    assert grad_dout2.size() == x_in.size()
    return 0.5 * grad_dout2.view(batch_size, -1).sum(1).mean(0)


class Residual(nn.Module):
    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(dim_in, dim_in, 3, 1, 1))
        self.conv2 = spectral_norm(nn.Conv2d(dim_in, dim_out, 3, 1, 1))
        self.conv1x1 = spectral_norm(nn.Conv2d(dim_in, dim_out, 1, 1, 0, bias=False))
        self.actv = nn.LeakyReLU(0.2)

    def forward(self, x):
        shortcut = F.avg_pool2d(self.conv1x1(x), 2)
        x = F.avg_pool2d(self.conv1(self.actv(x)), 2)
        return (self.conv2(self.actv(x)) + shortcut) / 2**0.5


stargan = nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), Residual(4, 6), Residual(6, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(6, 1))  # fmt: skip
for module in stargan.modules():
    if hasattr(module, "weight_u"):
        module.weight_u.copy_(F.normalize(torch.from_numpy(noise(*module.weight_u.shape)), dim=0))
        module.weight_v.copy_(F.normalize(torch.from_numpy(noise(*module.weight_v.shape)), dim=0))
redraw(stargan)
optimizer = torch.optim.Adam(stargan.parameters(), lr=0.002, betas=(0.0, 0.99), weight_decay=1e-4)
for i in range(4):
    x_real = real_imgs.clone().requires_grad_()
    out = stargan(x_real)
    loss_real = F.binary_cross_entropy_with_logits(out, torch.full_like(out, fill_value=1))
    loss_reg = r1_reg(out, x_real)
    loss = loss_real + loss_reg
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("r1 %.6f %.6f" % (loss_real.item(), loss_reg.item()))
