"""What a first lesson prints: tensors, shapes, gradients, a loop by hand and the same loop with an optimizer."""

import numpy as np
import torch
import torch.nn as nn

from given import noise, redraw

x = torch.tensor(1.0, requires_grad=True)
w = torch.tensor(2.0, requires_grad=True)
b = torch.tensor(3.0, requires_grad=True)
y = w * x + b
y.backward()
print(x.grad, w.grad, b.grad)
print(torch.tensor([[1, 2], [3, 4]]), torch.ones(2, 3), torch.zeros(0), torch.tensor([True, False]))
print(torch.tensor([1e-6, 1.0]), torch.tensor([1e10, 1.0]), torch.tensor([0.5, float("nan"), float("inf")]))
t = torch.from_numpy(noise(4, 5))
print(t, t[0], t[:, 1], t[..., -1], t.shape, t.size(), sep="\n")
print(f"Shape of tensor: {t.shape}", f"Device tensor is stored on: {t.device}")
t[:, 1] = 0
print(torch.cat([t, t, t], dim=1).shape, t.matmul(t.T), t.sum().item())
n = t.numpy()
t.add_(5)
print(n.mean(), np.add(n, 1).mean())
tensor = torch.arange(12).reshape(3, 4)
print(
    tensor,
    tensor.float().mean(),
    tensor.type(torch.float64).std(0),
    tensor[tensor > 5],
    tensor.t().contiguous().view(2, 6),
)
print(torch.arange(2000), torch.arange(60.0).reshape(5, 12) / 7)
inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"First call\n{inp.grad}")
out.backward(torch.ones_like(out), retain_graph=True)
print(f"\nSecond call\n{inp.grad}")
inp.grad.zero_()
out.backward(torch.ones_like(out))
print(f"\nCall after zeroing gradients\n{inp.grad}", out.requires_grad, out.detach().requires_grad)
print(
    out.grad_fn.next_functions[0][0] is None, (inp * 2).sum().grad_fn.next_functions[0][0].next_functions[0][0].name()
)

data, target = torch.from_numpy(noise(10, 3)), torch.from_numpy(noise(10, 2))
linear = redraw(nn.Linear(3, 2))
print("w: ", linear.weight)
print("b: ", linear.bias)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(linear.parameters(), lr=0.01)
pred = linear(data)
loss = criterion(pred, target)
print("loss: ", loss.item())
loss.backward()
print("dL/dw: ", linear.weight.grad)
print("dL/db: ", linear.bias.grad)
optimizer.step()
print("loss after 1 step optimization: ", criterion(linear(data), target).item())
model = nn.Sequential(linear, nn.ReLU(), nn.ModuleList([nn.Tanh(), nn.Tanh()])[0])
print(model, [name for name, p in model.named_parameters()])
with torch.no_grad():
    for p in model.parameters():
        p -= 0.1 * p.grad
print(linear.weight.data, linear.state_dict())
