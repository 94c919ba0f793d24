"""A model whose inner loop learns, with its gradients gone back through; a Hessian's products; weights for examples."""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F

from given import noise, pictures, redraw


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.logits = nn.Linear(6 * 8 * 8, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        return self.logits(x.view(x.size(0), -1))

    def functional_forward(self, x, weights):
        x = F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], padding=1)
        x = F.batch_norm(x, None, None, weights["bn1.weight"], weights["bn1.bias"], training=True)
        x = F.max_pool2d(F.relu(x), kernel_size=2, stride=2)
        return F.linear(x.view(x.size(0), -1), weights["logits.weight"], weights["logits.bias"])


images, labels = pictures(count=24, channels=1)
x, y = torch.from_numpy(images), torch.from_numpy(labels)
model = redraw(Classifier())
meta_optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for step in range(4):
    outer = []
    for task in range(2):
        support, query = slice(task * 12, task * 12 + 8), slice(task * 12 + 8, task * 12 + 12)
        fast_weights = OrderedDict(model.named_parameters())
        for _ in range(2):
            loss = F.cross_entropy(model.functional_forward(x[support], fast_weights), y[support])
            gradients = torch.autograd.grad(loss, fast_weights.values(), create_graph=True)
            fast_weights = OrderedDict(
                (name, param - 0.1 * grad) for ((name, param), grad) in zip(fast_weights.items(), gradients)
            )
        outer.append(F.cross_entropy(model.functional_forward(x[query], fast_weights), y[query]))
    meta_optimizer.zero_grad()
    meta_loss = torch.stack(outer).mean()
    meta_loss.backward()
    meta_optimizer.step()
    print(f"maml {meta_loss.item():.6f}")

# A Hessian's product with a vector, and its largest eigenvalue
params = [p for p in model.parameters() if p.requires_grad]
v = [torch.from_numpy(noise(*p.shape)) for p in params]
loss = F.cross_entropy(model(x), y)
gradients = torch.autograd.grad(loss, params, create_graph=True)
for _ in range(4):
    length = sum((a * a).sum() for a in v).sqrt()
    v = [a / length for a in v]
    product = torch.autograd.grad(gradients, params, grad_outputs=v, retain_graph=True)
    v, last = [h.detach() for h in product], v
    print("eigenvalue %.5f" % sum((h * a).sum() for h, a in zip(v, last)).item())

# Examples weighted by what they do for those that are trusted
weights = torch.zeros(16, requires_grad=True)
losses = F.cross_entropy(model(x[:16]), y[:16], reduction="none")
gradients = torch.autograd.grad((losses * weights).sum(), params, create_graph=True)
named = dict(model.named_parameters())
virtual = {name: p - 0.1 * g for (name, p), g in zip(named.items(), gradients)}
trusted = F.cross_entropy(model.functional_forward(x[16:], virtual), y[16:])
(eps,) = torch.autograd.grad(trusted, weights)
kept = torch.clamp(-eps, min=0)
print([f"{w:.5f}" for w in (kept / kept.sum()).tolist()])

# A saliency map that is to be small where nothing is
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
model.eval()
for _ in range(4):
    xs = x.clone().requires_grad_(True)
    log_p = F.log_softmax(model(xs), 1)
    loss = F.nll_loss(log_p, y)
    (saliency,) = torch.autograd.grad(log_p.gather(1, y[:, None]).sum(), xs, create_graph=True)
    total = loss + 0.1 * (saliency * (x < 0)).abs().mean() + saliency.pow(2).sum((1, 2, 3)).mean() * 0.01
    optimizer.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    print(f"{loss.item():.6f} {total.item():.6f}")
