"""Pictures mixed and pasted into each other, smoothed labels, a cosine that restarts, one rate for weights, one for biases."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from given import pictures, redraw


class LabelSmoothingCrossEntropy(nn.Module):
    def __init__(self, smoothing=0.1):
        super(LabelSmoothingCrossEntropy, self).__init__()
        self.confidence, self.smoothing = 1.0 - smoothing, smoothing

    def forward(self, x, target):
        logprobs = F.log_softmax(x, dim=-1)
        nll_loss = -logprobs.gather(dim=-1, index=target.unsqueeze(1))
        nll_loss = nll_loss.squeeze(1)
        smooth_loss = -logprobs.mean(dim=-1)
        return (self.confidence * nll_loss + self.smoothing * smooth_loss).mean()


class AverageMeter(object):
    def __init__(self):
        self.sum = self.count = self.avg = 0

    def update(self, val, n=1):
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count


def rand_bbox(size, lam):
    W, H = size[2], size[3]
    cut_rat = np.sqrt(1.0 - lam)
    cut_w, cut_h = int(W * cut_rat), int(H * cut_rat)
    cx, cy = np.random.randint(W), np.random.randint(H)
    return (
        np.clip(cx - cut_w // 2, 0, W), np.clip(cy - cut_h // 2, 0, H),
        np.clip(cx + cut_w // 2, 0, W), np.clip(cy + cut_h // 2, 0, H),
    )  # fmt: skip


def mixup_data(x, y, alpha=1.0):
    lam = np.random.beta(alpha, alpha) if alpha > 0 else 1
    index = torch.from_numpy(np.random.permutation(x.size()[0]))
    return lam * x + (1 - lam) * x[index, :], y, y[index], lam


def cutmix_data(x, y, beta=1.0):
    lam = np.random.beta(beta, beta)
    rand_index = torch.tensor(np.random.permutation(x.size()[0]))
    bbx1, bby1, bbx2, bby2 = rand_bbox(x.size(), lam)
    x = x.clone()
    x[:, :, bbx1:bbx2, bby1:bby2] = x[rand_index, :, bbx1:bbx2, bby1:bby2]
    lam = 1 - ((bbx2 - bbx1) * (bby2 - bby1) / (x.size()[-1] * x.size()[-2]))
    return x, y, y[rand_index], lam


def accuracy(output, target, topk=(1,)):
    maxk = max(topk)
    _, pred = output.topk(maxk, 1, True, True)
    correct = pred.t().eq(target.view(1, -1).expand_as(pred.t()))
    return [correct[:k].reshape(-1).float().sum(0, keepdim=True).mul_(100.0 / target.size(0)) for k in topk]


np.random.seed(1)
images, labels = pictures(32)
x, y = torch.from_numpy(images), torch.from_numpy(labels)
net = redraw(
    nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.GroupNorm(2, 8), nn.Hardswish(),
        nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.InstanceNorm2d(8, affine=True), nn.Mish(),
        nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Linear(32, 4),
    )
)  # fmt: skip
decay = [p for n, p in net.named_parameters() if p.ndim > 1]
others = [p for n, p in net.named_parameters() if p.ndim <= 1]
optimizer = torch.optim.SGD(
    [{"params": decay, "weight_decay": 1e-3}, {"params": others, "lr": 0.2}], lr=0.1, momentum=0.9
)
scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2, eta_min=1e-3)
train_criterion, test_criterion = LabelSmoothingCrossEntropy(0.1), nn.CrossEntropyLoss()
assert torch.allclose(train_criterion(net(x), y), F.cross_entropy(net(x), y, label_smoothing=0.1))
iters = 4
for epoch in range(5):
    losses, top1, top3 = AverageMeter(), AverageMeter(), AverageMeter()
    net.train()
    for i, (inputs, targets) in enumerate(zip(x.split(8), y.split(8))):
        mix = (mixup_data, cutmix_data)[(epoch + i) % 2]
        inputs, targets_a, targets_b, lam = mix(inputs, targets)
        outputs = net(inputs)
        loss = lam * train_criterion(outputs, targets_a) + (1 - lam) * train_criterion(outputs, targets_b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(epoch + i / iters)
        losses.update(loss.item(), inputs.size(0))
    net.eval()
    with torch.no_grad():
        prec1, prec3 = accuracy(net(x), y, topk=(1, 3))
        top1.update(prec1.item(), len(x))
        top3.update(prec3.item(), len(x))
        print(
            f"Epoch [{epoch}] Loss {losses.avg:.4f} Val {test_criterion(net(x), y):.4f} Top1 {top1.avg} Top3 {top3.avg:.2f}"
        )
    print("lr", [round(group["lr"], 6) for group in optimizer.param_groups], len(scheduler.get_last_lr()))
