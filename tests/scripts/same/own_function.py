"""Functions with a backward of one's own, in a network: a clipped square, and a sign that passes gradients through."""

import math

import torch
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from given import noise, redraw


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


class Binarize(Function):
    @staticmethod
    def forward(ctx, input, limit):
        ctx.save_for_backward(input)
        ctx.limit = limit
        return input.sign()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input.abs() > ctx.limit] = 0
        return grad_input, None


x = torch.linspace(-math.pi, math.pi, 200)
y = torch.sin(x)
a = torch.full((), 0.0, requires_grad=True)
b = torch.full((), -1.0, requires_grad=True)
c = torch.full((), 0.0, requires_grad=True)
d = torch.full((), 0.3, requires_grad=True)
learning_rate = 5e-5
for t in range(120):
    P3 = LegendrePolynomial3.apply
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    if t % 40 == 39:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        d -= learning_rate * d.grad
        a.grad = None
        b.grad = None
        c.grad = None
        d.grad = None
print(f"Result: y = {a.item():.4f} + {b.item():.4f} * P3({c.item():.4f} + {d.item():.4f} x)")

model = redraw(torch.nn.Linear(5, 3))
data, target = torch.from_numpy(noise(10, 5)), torch.from_numpy(noise(10, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for t in range(5):
    optimizer.zero_grad()
    loss = (Binarize.apply(model(data), 1.0) - target).pow(2).mean()
    loss.backward()
    optimizer.step()
    print(t, loss.item(), model.weight.grad.abs().sum().item())
print(torch.autograd.gradcheck(LegendrePolynomial3.apply, (data.clone().requires_grad_(),)))
