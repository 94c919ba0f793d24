"""Mixed pictures, gradients gathered over batches and clipped, and an average of the weights beside the model."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from given import pictures, redraw


class ModelEMA:
    def __init__(self, model, decay=0.9):
        self.ema = copy.deepcopy(model).eval()
        self.decay = decay
        for p in self.ema.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        msd = model.state_dict()
        for k, v in self.ema.state_dict().items():
            if torch.is_floating_point(v):
                v *= self.decay
                v += (1 - self.decay) * msd[k].detach()


images, labels = pictures()
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(
    nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )
)
ema = ModelEMA(model)
averaged = ema.ema
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.05)
accumulation_steps = 3
for epoch in range(3):
    optimizer.zero_grad(set_to_none=True)
    for i, (a, b) in enumerate(zip(x.chunk(6), y.chunk(6))):
        lam, index = 0.7, torch.arange(a.size(0) - 1, -1, -1)
        output = model(lam * a + (1 - lam) * a[index])
        loss = lam * criterion(output, b) + (1 - lam) * criterion(output, b[index])
        (loss / accumulation_steps).backward()
        if (i + 1) % accumulation_steps == 0:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.update(model)
            print(f"loss {loss.item():.5f} norm {norm.item():.5f}")
    print("ema loss %.5f" % F.cross_entropy(ema.ema(x), y).item())
