"""One body, three heads whose losses weigh themselves; gradients gathered over batches under a scaler; one cycle of rates."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.cuda.amp import GradScaler
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, Dataset

from given import pictures, redraw


class SquareEx(nn.Module):
    def __init__(self, ch, reduction=4):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(ch, ch // reduction), nn.SiLU(), nn.Linear(ch // reduction, ch), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        return x * self.fc(F.adaptive_avg_pool2d(x, 1).view(b, c)).view(b, c, 1, 1).expand_as(x)


class MultiTaskNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2)])
        self.se = SquareEx(8)
        self.heads = nn.ModuleDict(
            {
                "label": nn.Linear(8, n_classes),
                "box": nn.Sequential(nn.Linear(8, 4), nn.Sigmoid()),
                "bright": nn.Linear(8, 1),
            }
        )
        self.log_vars = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        for layer in self.body:
            x = F.gelu(layer(x))
        x = self.se(x).flatten(2).max(dim=-1).values
        return {name: head(x) for name, head in self.heads.items()}


class Scenes(Dataset):
    def __init__(self):
        self.images, self.labels = pictures(24)

    def __len__(self):
        return self.labels.shape[0]

    def __getitem__(self, i):
        image = torch.as_tensor(self.images[i])
        ys, xs = torch.where(image.mean(0) > image.mean())
        box = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).to(image.dtype) / image.shape[-1]
        return image, {"label": int(self.labels[i]), "box": box, "bright": image.mean()}


def collate_fn(batch):
    images, targets = tuple(zip(*batch))
    out = {key: [t[key] for t in targets] for key in targets[0]}
    return torch.stack(images), {k: torch.tensor(v) if k == "label" else torch.stack(v) for k, v in out.items()}


loader = DataLoader(Scenes(), batch_size=4, shuffle=False, collate_fn=collate_fn, num_workers=0)
model = redraw(MultiTaskNet(4))
with torch.no_grad():
    model.log_vars.copy_(torch.tensor([0.0, 0.3, -0.2]))
optimizer = torch.optim.AdamW(
    [
        {"params": model.body.parameters(), "lr": 1e-3},
        {"params": list(model.heads.parameters()) + list(model.se.parameters())},
        {"params": [model.log_vars], "weight_decay": 0.0},
    ],
    lr=1e-2,
    betas=(0.9, 0.98),
)
epochs, accum_iter = 3, 3
scheduler = OneCycleLR(optimizer, max_lr=[2e-3, 2e-2, 2e-2], epochs=epochs, steps_per_epoch=len(loader) // accum_iter)
scaler = GradScaler(enabled=False)
for epoch in range(epochs):
    running = {"label": 0.0, "box": 0.0, "bright": 0.0}
    for batch_idx, (images, targets) in enumerate(loader):
        preds = model(images)
        losses = torch.stack(
            [
                F.cross_entropy(preds["label"], targets["label"]),
                F.smooth_l1_loss(preds["box"], targets["box"], beta=0.1),
                F.mse_loss(preds["bright"].squeeze(-1), targets["bright"]),
            ]
        )
        loss = (torch.exp(-model.log_vars) * losses + model.log_vars).sum() / accum_iter
        scaler.scale(loss).backward()
        for name, value in zip(running, losses.detach().tolist()):
            running[name] += value / len(loader)
        if ((batch_idx + 1) % accum_iter == 0) or (batch_idx + 1 == len(loader)):
            scaler.unscale_(optimizer)
            total_norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            scheduler.step()
            print(f"norm {total_norm:.5f} lr {[f'{lr:.6f}' for lr in scheduler.get_last_lr()]}")
    print(epoch, {name: round(value, 5) for name, value in running.items()}, model.log_vars.data)
