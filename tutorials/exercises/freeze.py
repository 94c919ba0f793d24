"""Freezing a backbone: everything but the head stands still.

model: a network whose last layer is called fc. After freeze(model): only fc's parameters ask for a gradient, and no
batch-norm changes its running statistics any more. Returns the names of the parameters that are still trained.
"""

from tinyvision import nn


def freeze(model):
    """Two things move in a network: parameters, by the optimizer, and running statistics, by the forward pass."""
    # solution:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("fc."))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    # skeleton:
    # model = ...  # two loops: over model.named_parameters(), and over model.modules()
    # end
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


# -------------------------------------------------------------------------- course

import numpy as np

import tinyvision as tv
from tinyvision.learn import lab

TITLE = "standing still"
LEVEL, MINUTES, PAGE = 2, 12, "24"
NEEDS = ("freeze",)
MISSING = "no gradient for the backbone, and its batch-norms at rest"
HINTS = (
    "A parameter without a gradient cannot move. What else in a network changes when it sees a batch?",
    "parameter.requires_grad_(False) for all but fc's; and each nn.BatchNorm2d into evaluation mode: module.eval().",
    "for name, p in model.named_parameters(): p.requires_grad_(name.startswith('fc.')); and module.eval() for "
    "batch-norms",
)
PREDICT = "model.train() is called afterwards, at the start of the next epoch. What happens to the batch-norms?"
ANSWER = "They are in training mode again, and forget what they learnt. tinyvision's model.freeze() outlasts train()."


class Network(nn.Module):
    """A backbone and a head, as small as can be."""

    def __init__(self):
        self.conv, self.bn = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)
        self.fcx = nn.Conv2d(2, 2, 1)
        self.fc = nn.Linear(2, 3)

    def forward(self, x):
        return self.fc(self.fcx(self.bn(self.conv(x)).relu()).mean(dim=(2, 3)))


def check(your):
    model = Network().train()
    result = lab.call(your.freeze, model)
    asking = [n for n, p in model.named_parameters() if p.requires_grad]
    lab.expect(
        "fc.weight" in asking and "fc.bias" in asking,
        f"The head is frozen as well; still trained: {asking}.",
        "fc",
        your.freeze,
    )
    lab.expect(
        "fcx.weight" not in asking,
        "fcx.weight is still trained: its name begins with fc, but it is another layer. Ask for 'fc.'.",
        "fcx",
        your.freeze,
    )
    lab.expect(
        asking == ["fc.weight", "fc.bias"],
        f"Still trained: {', '.join(asking)}; only fc's two should be.",
        "requires_grad",
        your.freeze,
    )
    lab.expect(
        list(result or ()) == asking,
        "Return the names of the parameters that are still trained.",
        "result",
        your.freeze,
    )
    before = model.bn.running_mean.numpy().copy()
    x = tv.tensor(np.random.default_rng(29).standard_normal((4, 1, 5, 5)).astype(np.float32))
    model(x).sum().backward()
    lab.expect(
        np.array_equal(before, model.bn.running_mean.numpy()),
        "The batch-norm's running mean moved in a forward pass: put every nn.BatchNorm2d into evaluation mode.",
        "bn",
        your.freeze,
    )
    lab.expect(
        model.conv.weight.grad is None and model.fc.weight.grad is not None,
        "The gradients are not where they should be: none for conv, one for fc.",
        "grad",
        your.freeze,
    )
    lab.expect(
        tuple(model.fc.weight.shape) == (3, 2),
        "The head was changed; it should only stay trainable.",
        "fc",
        your.freeze,
    )
    return lab.done("requires_grad", "batch-norm")
