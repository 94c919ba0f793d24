"""Maps of what a network looks at: Grad-CAM by hooks, guided gradients, integrated gradients, a patch that covers, a filter's dream."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Variable

from given import noise, pictures, redraw


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU()
        )
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(32, 8), nn.ReLU(inplace=True), nn.Linear(8, 4))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class GradCAM:
    def __init__(self, model, target_layer):
        self.model, self.activations, self.gradients, self.handles = model, [], [], []
        self.handles.append(target_layer.register_forward_hook(self.save_activation))
        self.handles.append(target_layer.register_forward_hook(self.save_gradient))

    def save_activation(self, module, input, output):
        self.activations.append(output.cpu().detach())

    def save_gradient(self, module, input, output):
        if not hasattr(output, "requires_grad") or not output.requires_grad:
            return
        output.register_hook(lambda grad: self.gradients.insert(0, grad.cpu().detach()))

    def __call__(self, x, target=None):
        self.activations, self.gradients = [], []
        output = self.model(x)
        target = np.argmax(output.cpu().data.numpy(), axis=-1) if target is None else target
        self.model.zero_grad()
        sum([output[i][c] for i, c in enumerate(target)]).backward(retain_graph=True)
        grads, activations = self.gradients[0].numpy(), self.activations[0].numpy()
        cam = (np.mean(grads, axis=(2, 3))[:, :, None, None] * activations).sum(axis=1)
        cam = torch.from_numpy(np.maximum(cam, 0))[:, None]
        cam = F.interpolate(cam, x.shape[-2:], mode="bilinear", align_corners=False)
        return (cam / (1e-7 + cam.max())).squeeze(1), target

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for handle in self.handles:
            handle.remove()


class GuidedBackprop:
    def __init__(self, model):
        self.model, self.gradients, self.forward_relu_outputs = model, None, []
        list(self.model.features._modules.items())[0][1].register_full_backward_hook(self.keep)
        for pos, module in self.model.features._modules.items():
            if isinstance(module, nn.ReLU):
                module.register_full_backward_hook(self.clamp)
                module.register_forward_hook(lambda m, i, o: self.forward_relu_outputs.append(o))

    def keep(self, module, grad_in, grad_out):
        self.gradients = grad_in[0]

    def clamp(self, module, grad_in, grad_out):
        corresponding = self.forward_relu_outputs.pop()
        return ((corresponding > 0).to(grad_in[0].dtype) * torch.clamp(grad_in[0], min=0.0),)

    def generate(self, x, target_class):
        output = self.model(x)
        self.model.zero_grad()
        one_hot = torch.zeros_like(output).scatter_(1, target_class[:, None], 1)
        output.backward(gradient=one_hot)
        return self.gradients.data.numpy()


images, labels = pictures(16)
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(Net(), gain=1.4).eval()
for _ in range(15):
    loss = F.cross_entropy(model(x), y)
    grads = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for p, g in zip(model.parameters(), grads):
            p -= 0.2 * g
print(f"loss {loss.item():.5f}, fooled on {(model(x).argmax(1) != y).sum().item()}")

with GradCAM(model, model.features[3]) as cam:
    maps, target = cam(x[:4])
    print(maps.shape, maps.mean((1, 2)), target.tolist(), len(cam.handles))
print(len(model.features[3]._forward_hooks))

gb = GuidedBackprop(copy.deepcopy(model))
guided = gb.generate(x[:3].clone().requires_grad_(), y[:3])
print(guided.shape, np.abs(guided).sum(), (np.maximum(0, guided) / guided.max()).mean())
plain = Variable(x[:3], requires_grad=True)
model(plain)[range(3), y[:3]].sum().backward()
print(plain.grad.abs().sum(), F.cosine_similarity(plain.grad.flatten(1), torch.from_numpy(guided).flatten(1)))

baseline, steps, total = torch.zeros_like(x[:1]), 20, 0
for alpha in (np.arange(steps) + 0.5) / steps:
    point = (baseline + alpha * (x[:1] - baseline)).detach().requires_grad_(True)
    total = total + torch.autograd.grad(model(point)[0, y[0]], point)[0] / steps
integrated = (x[:1] - baseline) * total
print(integrated.sum().item(), (model(x[:1]) - model(baseline))[0, y[0]].item())

heat = torch.zeros(4, 4)
with torch.no_grad():
    base = F.softmax(model(x[1:2]), dim=1)[0, y[1]]
    for i, j in np.ndindex(4, 4):
        covered = x[1:2].clone()
        covered[..., 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = x.mean()
        heat[i, j] = base - F.softmax(model(covered), dim=1)[0, y[1]]
print(heat.abs().max(), heat.std())

dream = torch.from_numpy(0.1 * noise(1, 3, 16, 16)).requires_grad_()
optimizer = torch.optim.Adam([dream], lr=0.1, weight_decay=1e-6)
for i in range(1, 7):
    optimizer.zero_grad()
    out = dream
    for index, layer in enumerate(model.features):
        out = layer(out)
        if index == 3:
            break
    loss = -torch.mean(out[0, 2])
    loss.backward()
    optimizer.step()
    if i % 3 == 0:
        print("Iteration:", str(i), "Loss:", "{0:.4f}".format(loss.data.numpy()))
recreated = copy.copy(dream.data.numpy()[0]).clip(0, 1)
print(np.round(recreated * 255).astype(np.uint8).transpose(1, 2, 0).mean())
