"""A generator against a critic in the words of older scripts: Variable, FloatTensor, .data, clamps, numbers first."""

import itertools

import torch
import torch.nn as nn
from torch.autograd import Variable

from given import noise, pictures, redraw

cuda = True if torch.cuda.is_available() else False
Tensor = torch.cuda.DoubleTensor if cuda else torch.DoubleTensor
img_shape = (1, 8, 8)


class Generator(nn.Module):
    def __init__(self):
        super(Generator, self).__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(*block(6, 16, normalize=False), *block(16, 32), nn.Linear(32, 64), nn.Tanh())

    def forward(self, z):
        img = self.model(z)
        return img.view(img.shape[0], *img_shape)


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()
        self.model = nn.Sequential(nn.Linear(64, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1))

    def forward(self, img):
        return self.model(img.view(img.size(0), -1))


images, _ = pictures(24, channels=1, size=8)
generator, discriminator = redraw(Generator()), redraw(Discriminator())
optimizer_G = torch.optim.RMSprop(generator.parameters(), lr=0.005)
optimizer_D = torch.optim.RMSprop(discriminator.parameters(), lr=0.005)
adversarial_loss = torch.nn.BCEWithLogitsLoss(size_average=True)
batches_done = 0
for epoch in range(2):
    for i, imgs in enumerate(torch.from_numpy(images).split(8)):
        valid = Variable(Tensor(imgs.size(0), 1).fill_(1.0), requires_grad=False)
        real_imgs = Variable(imgs.type(Tensor))
        optimizer_D.zero_grad()
        z = Variable(Tensor(noise(imgs.shape[0], 6)))
        fake_imgs = generator(z).detach()
        loss_D = -torch.mean(discriminator(real_imgs)) + torch.mean(discriminator(fake_imgs))
        loss_D.backward()
        optimizer_D.step()
        for p in discriminator.parameters():
            p.data.clamp_(-0.1, 0.1)
        if i % 2 == 0:
            optimizer_G.zero_grad()
            loss_G = adversarial_loss(discriminator(generator(z)), valid)
            loss_G.backward()
            optimizer_G.step()
            print(
                "[Epoch %d/%d] [Batch %d/%d] [D loss: %f] [G loss: %f]"
                % (epoch, 2, batches_done % 3, 3, loss_D.item(), loss_G.item())
            )
        batches_done += 1
for p in itertools.chain(generator.parameters(), discriminator.parameters()):
    p.data.add_(-0.01, p.grad.data)
    p.data.addcmul_(0.5, p.data, p.data)
    p.data.addcdiv_(-0.01, p.data, p.data.abs().add_(1))
print(torch.norm(torch.cat([p.data.view(-1) for p in generator.parameters()]), 2).item())
