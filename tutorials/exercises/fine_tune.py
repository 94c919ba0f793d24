"""Fine-tuning: a pretrained backbone, a new head, and an optimizer for the head alone.

model: a network whose last layer is model.fc, an nn.Linear; loader yields (images, labels)
->  the model, with a head for `classes` classes, trained for some epochs; its backbone bit for bit as before
"""

from tinyvision import nn, optim


def fine_tune(model, loader, classes, epochs, lr):
    """In this order: freeze everything, put a new head in, train it."""
    model.freeze()  # no gradients, and batch-norms at rest, even after train()
    # solution:
    model.fc = nn.Linear(model.fc.weight.shape[1], classes)
    optimizer = optim.SGD(model.fc.parameters(), lr=lr, momentum=0.9)
    # skeleton:
    # model.fc = ...  # as many inputs as the old one
    # optimizer = ...  # SGD with momentum 0.9, for what is to be trained
    # end
    criterion = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for images, labels in loader:
            # solution:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
            # skeleton:
            # loss = ...  # the loop you know
            # end
    return model


# -------------------------------------------------------------------------- course

import numpy as np

import tinyvision as tv
from tinyvision.errors import GraphError, ShapeError
from tinyvision.learn import lab

TITLE = "a new head"
LEVEL, MINUTES, PAGE = 3, 15, "24"
NEEDS = ("fine_tune",)
MISSING = "the new head, its optimizer, and the steps of training"
HINTS = (
    "How many numbers come out of the backbone? The old head knows: it took them in.",
    "model.fc.weight is (old classes, features). After freeze(), a *new* layer is not frozen; give its "
    "parameters to SGD.",
    "model.fc = nn.Linear(model.fc.weight.shape[1], classes); optim.SGD(model.fc.parameters(), lr=lr, momentum=0.9)",
)
PREDICT = "The head is put in first, and model.freeze() is called after it. What does training do?"
ANSWER = "Nothing: the new head is frozen too, and backward() finds no parameter that asks for a gradient."


class Network(nn.Module):
    """A pretrained network as small as can be."""

    def __init__(self):
        self.conv, self.bn = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.bn(self.conv(x)).relu().mean(dim=(2, 3)))


def world():
    """The network, and pictures of two kinds: stripes across and stripes down."""
    rng = np.random.default_rng(30)
    model = Network()
    for p in model.parameters():
        p.array[...] = rng.standard_normal(p.shape) * 0.5
    images = rng.standard_normal((32, 1, 6, 6)).astype(np.float32) * 0.3
    labels = np.arange(32) % 2
    images[labels == 0, :, ::2] += 1.5
    images[labels == 1, :, :, ::2] += 1.5
    loader = [(tv.tensor(images[k : k + 8]), tv.tensor(labels[k : k + 8])) for k in range(0, 32, 8)]
    return model, loader, images, labels


def check(your):
    model, loader, images, labels = world()
    backbone = {n: v.numpy().copy() for n, v in model.state_dict().items() if not n.startswith("fc.")}
    because = {
        GraphError: "The new head is frozen as well: put it in after model.freeze().",
        ShapeError: "The new head must take as many numbers as the old one, model.fc.weight.shape[1].",
    }
    trained = lab.call(your.fine_tune, model, loader, 2, 12, 0.3, because=because)
    lab.expect(isinstance(trained, nn.Module), "fine_tune() must return the model.", "model", your.fine_tune)
    shape = tuple(trained.fc.weight.shape)
    lab.expect(
        shape == (2, 6),
        f"The head's weight is {shape}; for 2 classes and 6 features it must be (2, 6).",
        "fc",
        your.fine_tune,
    )
    for name, value in backbone.items():
        lab.equal(
            trained.state_dict()[name].numpy(),
            value,
            name,
            your.fine_tune,
            "The backbone must stay as it was, bit for bit.",
            tolerance=0.0,
        )
    with tv.no_grad():
        scores = trained.eval()(tv.tensor(images)).numpy()
    share = float((scores.argmax(axis=1) == labels).mean())
    lab.expect(
        share >= 0.9,
        f"After training it knows {share:.0%} of two easy kinds of pictures; over 90 % are to be "
        "had. Is every step there: zero_grad, loss, backward, step?",
        "fc",
        your.fine_tune,
    )
    return lab.done("fc", "backbone")
