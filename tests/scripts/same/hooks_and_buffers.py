"""Hooks that keep activations and gradients, buffers that count, and a map of what a class looks at."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from given import pictures, redraw


class Centred(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("seen", torch.tensor(0), persistent=False)
        self.register_parameter("scale", nn.Parameter(torch.ones(channels)))

    def forward(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean((0, 2, 3), keepdim=True))
            self.seen += len(x)
        return (x - self.mean) * self.scale.view(1, -1, 1, 1)


class CamExtractor:
    def __init__(self, model, target_layer):
        self.model, self.target_layer, self.gradients = model, target_layer, None

    def save_gradient(self, grad):
        self.gradients = grad

    def forward_pass_on_convolutions(self, x):
        conv_output = None
        for module_pos, module in self.model.features._modules.items():
            x = module(x)
            if int(module_pos) == self.target_layer:
                x.register_hook(self.save_gradient)
                conv_output = x
        return conv_output, x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), Centred(6), nn.Conv2d(6, 8, 3), nn.ReLU())
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


images, labels = pictures()
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(Net())
seen = {}
handles = [
    model.features[3].register_forward_hook(lambda m, i, o: seen.update(shape=o.shape, mean=o.mean().item())),
    model.features[0].register_forward_pre_hook(lambda m, i: (i[0] * 2,)),
    model.classifier.register_full_backward_hook(lambda m, gi, go: seen.update(norm=go[0].norm().item())),
]
optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
for epoch in range(3):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item(), seen["shape"], seen["mean"], seen["norm"], model.features[2].seen.item())
for handle in handles:
    handle.remove()
print([name for name, _ in model.named_buffers()], list(model.state_dict()))
model.eval()
extractor = CamExtractor(model, 3)
conv_output, last = extractor.forward_pass_on_convolutions(x[:2])
model_output = model.classifier(last.mean((2, 3)))
one_hot_output = torch.zeros_like(model_output)
one_hot_output[range(2), y[:2]] = 1
model.zero_grad()
model_output.backward(gradient=one_hot_output, retain_graph=True)
weights = extractor.gradients.data.mean((2, 3), keepdim=True)
cam = (weights * conv_output.detach()).sum(1, keepdim=True).clamp(min=0)
cam = (cam - cam.amin((2, 3), keepdim=True)) / (cam.amax((2, 3), keepdim=True) - cam.amin((2, 3), keepdim=True) + 1e-9)
cam = F.interpolate(cam, size=x.shape[2:], mode="bilinear", align_corners=False)
print(cam.shape, cam.mean().item())
