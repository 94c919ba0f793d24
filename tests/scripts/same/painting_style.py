"""A picture repainted: reflection padding, instance norm, features of a frozen network, Gram matrices."""

import torch
from torch.optim import Adam

from given import pictures, redraw


class ConvLayer(torch.nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride):
        super(ConvLayer, self).__init__()
        self.reflection_pad = torch.nn.ReflectionPad2d(kernel_size // 2)
        self.conv2d = torch.nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x):
        return self.conv2d(self.reflection_pad(x))


class ResidualBlock(torch.nn.Module):
    def __init__(self, channels):
        super(ResidualBlock, self).__init__()
        self.conv1 = ConvLayer(channels, channels, kernel_size=3, stride=1)
        self.in1 = torch.nn.InstanceNorm2d(channels, affine=True)
        self.relu = torch.nn.ReLU()

    def forward(self, x):
        residual = x
        return self.relu(self.in1(self.conv1(x))) + residual


class UpsampleConvLayer(torch.nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, stride, upsample=None):
        super(UpsampleConvLayer, self).__init__()
        self.upsample = upsample
        self.reflection_pad = torch.nn.ReflectionPad2d(kernel_size // 2)
        self.conv2d = torch.nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x):
        x_in = x
        if self.upsample:
            x_in = torch.nn.functional.interpolate(x_in, mode="nearest", scale_factor=self.upsample)
        return self.conv2d(self.reflection_pad(x_in))


def gram_matrix(y):
    (b, ch, h, w) = y.size()
    features = y.view(b, ch, w * h)
    features_t = features.transpose(1, 2)
    return features.bmm(features_t) / (ch * h * w)


def normalize_batch(batch):
    mean = batch.new_tensor([0.485, 0.456, 0.406]).view(-1, 1, 1)
    std = batch.new_tensor([0.229, 0.224, 0.225]).view(-1, 1, 1)
    batch = batch.div_(2.0)
    return (batch - mean) / std


transformer = torch.nn.Sequential(
    ConvLayer(3, 6, 3, 2), torch.nn.InstanceNorm2d(6, affine=True), ResidualBlock(6), UpsampleConvLayer(6, 3, 3, 1, 2)
)
features = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3), torch.nn.Tanh())
redraw(transformer), redraw(features)
for param in features.parameters():
    param.requires_grad = False
images, _ = pictures(8, size=12)
style = normalize_batch(torch.from_numpy(images[:1]).repeat(4, 1, 1, 1))
gram_style = gram_matrix(features(style))
optimizer = Adam(transformer.parameters(), 1e-2)
mse_loss = torch.nn.MSELoss()
for e in range(4):
    transformer.train()
    x = torch.from_numpy(images[4:]).clone()
    n_batch = len(x)
    optimizer.zero_grad()
    y = transformer(x)
    y = normalize_batch(y)
    x = normalize_batch(x)
    features_y, features_x = features(y), features(x)
    content_loss = 1e2 * mse_loss(features_y, features_x)
    gm_y = gram_matrix(features_y)
    style_loss = 1e3 * mse_loss(gm_y, gram_style[:n_batch, :, :])
    total_loss = content_loss + style_loss
    total_loss.backward()
    optimizer.step()
    print(
        "content: {:.6f}\tstyle: {:.6f}\ttotal: {:.6f}".format(
            *(t.item() for t in (content_loss, style_loss, total_loss))
        )
    )
transformer.eval().cpu()
img = transformer(torch.from_numpy(images[:1]))[0].detach().clone().clamp(0, 255).numpy()
print(img.transpose(1, 2, 0).mean())
