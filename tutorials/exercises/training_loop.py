"""The five lines in the middle of every training script in the world.

model: a tinyvision network; loader: yields (images, labels); criterion(scores, labels) -> loss; optimizer: SGD
->  a list with the mean loss of each epoch, floats
"""


def training_loop(model, loader, criterion, optimizer, epochs):
    """For each batch: forget the old gradients, forward, loss, backward, step."""
    model.train()
    losses = []
    for _ in range(epochs):
        total, batches = 0.0, 0
        for images, labels in loader:
            # solution:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            total += float(loss)
            # skeleton:
            # loss = ...  # four lines, and
            # total += ...  # the loss as a plain number
            # end
            batches += 1
        losses.append(total / batches)
    return losses


# -------------------------------------------------------------------------- course

import numpy as np

import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.learn import lab

TITLE = "the training loop"
LEVEL, MINUTES, PAGE = 2, 15, "18"
NEEDS = ("training_loop",)
MISSING = "the lines that make one step of training"
HINTS = (
    "What is still in every parameter's .grad from the last batch?",
    "optimizer.zero_grad() first. Then criterion(model(images), labels), its backward(), and optimizer.step().",
    "optimizer.zero_grad(); loss = criterion(model(images), labels); loss.backward(); optimizer.step(); float(loss)",
)
PREDICT = "zero_grad() is forgotten. Does the loss still fall?"
ANSWER = "At first, even faster: old gradients act as a momentum of 1 that nothing slows down. Then it explodes."


def world():
    """A small network, two batches, and what trains it; the same each time."""
    rng = np.random.default_rng(23)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    for p in model.parameters():
        p.array[...] = rng.standard_normal(p.shape) * 0.5
    loader = [
        (tv.tensor(rng.standard_normal((6, 4)).astype(np.float32)), tv.tensor(rng.integers(0, 3, 6))) for _ in range(2)
    ]
    return model, loader, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1, momentum=0.5)


def weights(train):
    """All parameters after three epochs, and the losses."""
    model, loader, criterion, optimizer = world()
    losses = train(model, loader, criterion, optimizer, 3)
    return np.concatenate([p.array.ravel() for p in model.parameters()]), losses, model


def right(model, loader, criterion, optimizer, epochs, zero=True, backward=True, step=True, every=True):
    losses = []
    for _ in range(epochs):
        total = 0.0
        if not every:
            optimizer.zero_grad()
        for images, labels in loader:
            if zero and every:
                optimizer.zero_grad()
            loss = criterion(model(images), labels)
            if backward:
                loss.backward()
            if step:
                optimizer.step()
            total += float(loss)
        losses.append(total / len(loader))
    return losses


def check(your):
    yours, losses, model = weights(lambda *parts: lab.call(your.training_loop, *parts))
    wanted, means, _ = weights(right)
    start = np.concatenate([p.array.ravel() for p in world()[0].parameters()])

    def variant(**how):
        return weights(lambda *parts: right(*parts, **how))[0]

    no_gradient = all(p.grad is None for p in model.parameters())
    known = [
        (
            start,
            "No weight has moved: there is no optimizer.step(), or no gradient when it comes"
            + (" (backward() was never called, or its gradients were thrown away)." if no_gradient else "."),
        ),
        (variant(zero=False), "The gradients of all batches add up: optimizer.zero_grad() is missing."),
        (variant(every=False), "The gradients are forgotten once an epoch; it must be before every batch."),
    ]
    # float32 weights after six steps: 1e-5 of the largest is a hundred times their rounding.
    lab.equal(
        yours, wanted, "weights", your.training_loop, "(All weights, after three epochs of two batches.)", 1e-5, known
    )
    lab.expect(
        isinstance(losses, list) and all(isinstance(v, float) for v in losses),
        "The losses must be plain floats: float(loss). A tensor keeps its whole graph in memory.",
        "losses",
        your.training_loop,
    )
    lab.equal(losses, means, "losses", your.training_loop, tolerance=1e-5)
    return lab.done("weights", "losses")
