"""The networks and losses of the tasks as their users would write them in PyTorch, under the same parameter names."""

import functools
import math
from itertools import pairwise

import numpy as np


@functools.cache
def networks():
    """{name: class} of the four networks. Raises ImportError."""
    import torch
    from torch import nn

    def conv(inputs, outputs, kernel=3, stride=1):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def twice(inputs, outputs, stride=1):
        return nn.Sequential(conv(inputs, outputs, 3, stride), conv(outputs, outputs))

    def parts(**named):
        return nn.ModuleDict(named)

    def enlarged(x, skip):
        return nn.functional.interpolate(x, size=skip.shape[2:], mode="nearest")

    class UNet(nn.Module):
        def __init__(self, in_channels, num_classes, width, depth=3):
            super().__init__()
            channels = [in_channels, *(width * 2**level for level in range(depth + 1))]
            self.pool = nn.MaxPool2d(2)
            self.encoder = parts(stages=nn.ModuleList([twice(a, b) for a, b in pairwise(channels)]))
            ups = list(pairwise(channels[:0:-1]))
            self.decoder = nn.ModuleList([parts(reduce=conv(a, b, 1), join=twice(2 * b, b)) for a, b in ups])
            self.head = nn.Conv2d(width, num_classes, 1)

        def forward(self, x):
            skips = []
            for stage in self.encoder["stages"]:
                x = stage(self.pool(x) if skips else x)
                skips.append(x)
            skips.pop()
            for stage in self.decoder:
                skip = skips.pop()
                x = stage["join"](torch.cat([stage["reduce"](enlarged(x, skip)), skip], 1))
            return self.head(x)

    class CentreDetector(nn.Module):
        def __init__(self, num_classes, width=44):
            super().__init__()
            channels = (width // 2, width, width * 3 // 2, width * 2)
            stages = nn.ModuleList([twice(a, b, 2) for a, b in pairwise(channels)])
            self.body = parts(stem=twice(3, width // 2, 2), stages=stages)
            half = width * 3 // 2
            self.up8 = parts(below=conv(width * 2, half, 1), join=conv(2 * half, half))
            self.up4 = parts(below=conv(half, width, 1), join=conv(2 * width, width))
            self.shared, self.head = conv(width, width), nn.Conv2d(width, num_classes + 4, 1)

        def forward(self, x):
            x, found = self.body["stem"](x), []
            for stage in self.body["stages"]:
                x = stage(x)
                found.append(x)
            for up, skip in ((self.up8, found[1]), (self.up4, found[0])):
                x = up["join"](torch.cat([enlarged(up["below"](x), skip), skip], 1))
            return self.head(self.shared(x))

    class Embedder(nn.Module):
        def __init__(self, in_channels, classes, image_size, width=24, projection=64):
            super().__init__()

            def block(inputs, outputs):
                return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

            first = [*block(in_channels, width), *block(width, width), nn.MaxPool2d(2), *block(width, 2 * width)]
            last = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * width * (image_size // 4) ** 2, projection)]
            self.body, self.head = nn.Sequential(*first), nn.Sequential(*block(2 * width, 2 * width), *last)
            self.centres = nn.Parameter(torch.randn(classes, projection))

        def forward(self, x):
            normalize = nn.functional.normalize
            return nn.functional.linear(normalize(self.head(self.body(x))), normalize(self.centres))

    class Block(nn.Module):
        def __init__(self, inputs, outputs, told):
            super().__init__()
            self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
            self.told = nn.Linear(told, outputs)
            self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
            self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

        def forward(self, x, told):
            silu = nn.functional.silu
            y = self.conv1(silu(self.norm1(x))) + self.told(told)[:, :, None, None]
            return self.skip(x) + self.conv2(silu(self.norm2(y)))

    class Denoiser(nn.Module):
        def __init__(self, in_channels, num_classes, width=32, depth=1):
            super().__init__()
            told, self.width, self.pool = 3 * width, width, nn.AvgPool2d(2)
            self.time = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))
            self.classes, self.first = nn.Embedding(num_classes + 1, told), nn.Conv2d(in_channels, width, 3, padding=1)
            channels = [width, *[3 * width] * depth]
            self.down = nn.ModuleList([Block(a, b, told) for a, b in pairwise([width, *channels])])
            self.middle = Block(channels[-1], channels[-1], told)
            ups = list(pairwise(channels[::-1]))
            self.reduce = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in ups])
            self.up = nn.ModuleList([Block(2 * b, b, told) for _, b in ups])
            self.norm, self.last = nn.GroupNorm(8, width), nn.Conv2d(width, in_channels, 3, padding=1)

        def forward(self, x, time, labels):
            silu = nn.functional.silu
            rates = torch.exp(torch.linspace(0, math.log(1000), self.width // 2))
            angles = time[:, None] * rates
            told = silu(self.time(torch.cat([angles.cos(), angles.sin()], 1)) + self.classes(labels))
            x, skips = self.first(x), []
            for block in self.down:
                x = block(self.pool(x) if skips else x, told)
                skips.append(x)
            x = self.middle(skips.pop(), told)
            for reduce, block in zip(self.reduce, self.up, strict=True):
                skip = skips.pop()
                x = block(torch.cat([enlarged(reduce(x), skip), skip], 1), told)
            return self.last(silu(self.norm(x)))

    return {"unet": UNet, "centre-detector": CentreDetector, "embedder": Embedder, "diffusion": Denoiser}


def segmentation_loss(scores, mask):
    """Cross-entropy of the pixels and Dice of the classes that an image has; mask (N, H, W) without 255."""
    import torch

    pixels = torch.nn.functional.cross_entropy(scores, mask)
    true = torch.nn.functional.one_hot(mask, scores.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(scores.dtype)
    guessed = scores.softmax(1)[:, 1:]
    both, one, two = ((a).sum((2, 3)) for a in (guessed * true, guessed, true))
    there = true.amax((2, 3))
    weight = there / there.sum(1, keepdim=True).clamp(min=1) / len(there)
    return pixels + ((1 - (2 * both + 1) / (one + two + 1)) * weight).sum()


def detection_loss(outputs, wanted, classes, stride=4):
    """The focal loss of the heat and twice the generalised IoU loss of the boxes, for `detection.targets`."""
    import torch

    heat, known = (torch.from_numpy(a.astype(np.float32)) for a in (wanted.heat, wanted.known))
    scores, centre = outputs[:, :classes], (heat == 1).to(outputs.dtype)
    p = scores.sigmoid()
    logsigmoid = torch.nn.functional.logsigmoid
    near = centre * (1 - p) ** 2 * logsigmoid(scores)
    loss = -(near + (1 - heat) ** 4 * known * p**2 * logsigmoid(-scores)).sum() / max(wanted.things, 1)
    rows = outputs[:, classes:].permute(0, 2, 3, 1).reshape(-1, 4)[torch.from_numpy(wanted.places)]
    middles, boxes, weights = (
        torch.from_numpy(a.astype(np.float32)) for a in (wanted.middles, wanted.boxes, wanted.weights)
    )
    guessed = middles + rows.clamp(max=8.0).exp() * torch.tensor([-1.0, -1.0, 1.0, 1.0]) * stride
    low, high = torch.maximum(guessed[:, :2], boxes[:, :2]), torch.minimum(guessed[:, 2:], boxes[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    area = sum((b[:, 2:] - b[:, :2]).prod(1) for b in (guessed, boxes)) - both
    far = torch.maximum(guessed[:, 2:], boxes[:, 2:]) - torch.minimum(guessed[:, :2], boxes[:, :2])
    each = 1 - both / area + 1 - area / far.prod(1)
    return loss + 2 * (each * weights).sum() / weights.sum()


def recognition_loss(cosines, labels, margin=0.2, scale=16.0):
    """The cross-entropy of ArcFace."""
    import torch

    cosine = cosines.clamp(-1, 1)
    turned = cosine * math.cos(margin) - (1 - cosine * cosine).sqrt() * math.sin(margin)
    turned = torch.where(cosine > -math.cos(margin), turned, cosines - margin * math.sin(margin))
    own = torch.nn.functional.one_hot(labels, cosines.shape[1]).bool()
    return torch.nn.functional.cross_entropy(torch.where(own, turned, cosines) * scale, labels)


def step(name, options, state, inputs, loss, lr, weight_decay):
    """Entries, in both memory layouts, of a step of AdamW of one of `networks()` with such weights.

    inputs   arrays that the network takes;  loss   of its outputs"""
    import torch

    from . import one_gradient
    from .pytorch import LAYOUTS, NAME, _entry, _loaded, _numpy

    def of_layout(entry, layout):
        model = _loaded(networks()[name](**options), state, layout).train()
        images, *others = (torch.from_numpy(a) for a in inputs)
        images = images.contiguous(memory_format=getattr(torch, layout))
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)

        def run():
            optimizer.zero_grad()
            value = loss(model(images, *others))
            value.backward()
            optimizer.step()
            return value.item()

        def results():
            found = {"loss": run()}
            return one_gradient(found | {f"gradient {n}": _numpy(p.grad).copy() for n, p in model.named_parameters()})

        return _entry(entry, run, results, NAME)

    return [of_layout(entry, layout) for entry, layout in LAYOUTS.items()]
