"""Small weights taken away: by a quantile of each layer, over all layers, and whole channels by batch-norm's scales."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.modules.module import Module
from torch.nn.parameter import Parameter

from given import pictures, redraw


class MaskedConv2d(nn.Conv2d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("mask", torch.ones_like(self.weight))

    def prune(self, threshold):
        self.mask.data = torch.where(self.weight.data.abs() < threshold, torch.zeros_like(self.mask), self.mask)
        self.weight.data *= self.mask

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, self.stride, self.padding, self.dilation, self.groups)


class MaskedLinear(Module):
    def __init__(self, in_features, out_features):
        super(MaskedLinear, self).__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.Tensor(out_features, in_features))
        self.mask = Parameter(torch.ones([out_features, in_features]), requires_grad=False)
        self.bias = Parameter(torch.Tensor(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.bias.data.zero_()

    def forward(self, input):
        return F.linear(input, self.weight * self.mask, self.bias)

    def __repr__(self):
        return self.__class__.__name__ + "(" + str(self.in_features) + " -> " + str(self.out_features) + ")"

    def prune(self, threshold):
        tensor = self.weight.data.cpu().numpy()
        mask = self.mask.data.cpu().numpy()
        new_mask = np.where(abs(tensor) < threshold, 0, mask)
        self.weight.data = torch.from_numpy(tensor * new_mask)
        self.mask.data = torch.from_numpy(new_mask)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = MaskedConv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = MaskedConv2d(8, 8, 3, stride=2)
        self.fc1 = MaskedLinear(8 * 7 * 7, 16)
        self.fc2 = MaskedLinear(16, 4)

    def forward(self, x):
        x = F.relu_(self.bn1(self.conv1(x)))
        x = F.relu(self.conv2(x))
        return self.fc2(F.relu(self.fc1(x.view(x.size(0), -1))))


def train(model, epochs, sparsity=0.0):
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=0.01, weight_decay=1e-4)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.weight.grad.data.add_(sparsity * torch.sign(m.weight.data))
            elif hasattr(m, "mask"):  # what is gone stays gone
                m.weight.grad.data[m.mask.data == 0] = 0
        optimizer.step()
        print(f"Loss: {loss.item():.5f}")


def print_nonzeros(model):
    nonzero = total = 0
    for name, p in model.named_parameters():
        if "mask" in name:
            continue
        tensor = p.data.cpu().numpy()
        nz_count, total_params = np.count_nonzero(tensor), np.prod(tensor.shape)
        nonzero += nz_count
        total += total_params
        print(f"{name:20} | nonzeros = {nz_count:7} / {total_params:7} ({100 * nz_count / total_params:6.2f}%)")
    print(f"alive: {nonzero}, pruned : {total - nonzero}, total: {total}, rate : {total / nonzero:10.2f}x")


images, labels = pictures()
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(Net())
for module in model.modules():
    if hasattr(module, "mask"):
        module.mask.data.fill_(1)
print(model.fc1, [name for name, _ in model.named_buffers()])
train(model, 3, sparsity=1e-3)
for name, module in model.named_modules():
    if name in ("conv1", "conv2", "fc1"):
        threshold = torch.quantile(module.weight.data.abs().flatten(), 0.5).item()
        print(f"Pruning {name} with threshold : {threshold:.6f}")
        module.prune(threshold)
print_nonzeros(model)
train(model, 3)
weights = torch.cat([m.weight.data.abs().view(-1) for m in model.modules() if hasattr(m, "mask")])
thre = weights.kthvalue(int(0.7 * weights.numel()))[0]
for m in model.modules():
    if hasattr(m, "prune"):
        m.prune(thre.item())
print_nonzeros(model)
train(model, 2)

scales, order = torch.sort(model.bn1.weight.data.abs().clone())
thre = scales[int(len(scales) * 0.4)]
mask = model.bn1.weight.data.abs().gt(thre).double()
model.bn1.weight.data.mul_(mask)
model.bn1.bias.data.mul_(mask)
idx0 = np.squeeze(np.argwhere(np.asarray(mask.cpu().numpy())))
slim_bn, slim_conv = nn.BatchNorm2d(len(idx0)), nn.Conv2d(3, len(idx0), 3, padding=1, bias=False)
slim_conv.weight.data = model.conv1.weight.data[idx0.tolist(), :, :, :].clone()
slim_bn.weight.data, slim_bn.bias.data = model.bn1.weight.data[idx0].clone(), model.bn1.bias.data[idx0].clone()
slim_bn.running_mean = model.bn1.running_mean[idx0].clone()
slim_bn.running_var = model.bn1.running_var[idx0].clone()
slim_conv.eval(), slim_bn.eval(), model.eval()
with torch.no_grad():
    difference = model.bn1(model.conv1(x))[:, idx0] - slim_bn(slim_conv(x))
print(f"kept {int(mask.sum())} of {mask.shape[0]}, difference {difference.abs().max().item():.1f}", order.shape)
