"""A small net in which three things are broken. It runs, and does not learn. Find all three.

network() -> a model for 8×8 digits;  batches(images, labels, seed) yields (images, labels) in a random order;
train(model, images, labels, epochs, lr) -> the model, trained. Nothing is missing; some of what is there is wrong.
"""

import numpy as np

import tinyvision as tv
from tinyvision import nn, optim


def network():
    """64 -> 32 -> 10. Fresh weights from a fixed seed."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    for layer in (model[1], model[3]):
        O, I = layer.weight.shape
        # solution:
        layer.weight.array[...] = rng.standard_normal((O, I)) * (2 / I) ** 0.5
        # skeleton:
        # layer.weight.array[...] = rng.standard_normal((O, I)) * 0
        # end
        layer.bias.array[...] = 0
    return model


def batches(images, labels, seed, size=64):
    """Mini-batches in a random order."""
    order = np.random.default_rng(seed).permutation(len(images))
    for start in range(0, len(images), size):
        chosen = order[start : start + size]
        # solution:
        yield tv.tensor(images[chosen]), tv.tensor(labels[chosen])
        # skeleton:
        # yield tv.tensor(images[chosen]), tv.tensor(labels[start : start + size])
        # end


def train(model, images, labels, epochs=3, lr=0.1):
    """Plain SGD."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    for epoch in range(epochs):
        for x, y in batches(images, labels, seed=epoch):
            # solution:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            # skeleton:
            # loss = criterion(model(x), y)
            # end
            loss.backward()
            optimizer.step()
    return model


# -------------------------------------------------------------------------- course

from tinyvision.data import Digits
from tinyvision.learn import lab

TITLE = "a net with three faults"
LEVEL, MINUTES, PAGE = 3, 25, "19"
NEEDS = ("network", "batches", "train")
MISSING = "of the three faults are mended"
HINTS = (
    "One fault in each function. What does a fresh network answer? Does the first picture of a batch have its "
    "own label?",
    "Two layers of zeros pass no gradient on. The pictures of a batch are chosen in a random order; and the "
    "labels? And "
    "what is in .grad when the second backward() begins?",
    "Weights: rng.standard_normal((O, I)) * (2 / I) ** 0.5. Labels: labels[chosen]. In train: "
    "optimizer.zero_grad() first.",
)
PREDICT = "With only the shuffled labels broken: at which loss does the training stand still?"
ANSWER = "At log 10 = 2.30: the best that can be learnt from random labels is how frequent each class is."


def alive(your):
    """Different units begin differently."""
    model = lab.call(your.network)
    return all(np.ptp(model[k].weight.array, axis=0).min() > 0 for k in (1, 3))


def matched(your):
    """Picture k comes with label k, and all come once."""
    labels = np.arange(150)
    images = np.repeat(labels[:, None].astype(np.float32), 64, axis=1).reshape(150, 1, 8, 8)
    pairs = list(lab.call(lambda: list(your.batches(images, labels, 1)), argument="batches"))
    seen = np.concatenate([np.asarray(y.numpy()) for _, y in pairs])
    pictures = np.concatenate([np.asarray(x.numpy())[:, 0, 0, 0] for x, _ in pairs])
    return np.array_equal(pictures, seen) and sorted(seen) == list(labels)


def stepwise(your):
    """train() does what a right loop does on the very same batches."""
    rng = np.random.default_rng(24)
    images, labels = rng.standard_normal((96, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 96)
    models = []
    for k in range(2):
        model, start = lab.call(your.network), np.random.default_rng(25)
        for p in model.parameters():
            p.array[...] = start.standard_normal(p.shape) * 0.1
        if k == 0:
            trained = lab.call(your.train, model, images, labels, epochs=2, lr=0.05)
            lab.expect(trained is not None, "train() must return the model.", "train", your.train)
        else:
            optimizer = optim.SGD(model.parameters(), lr=0.05)
            for epoch in range(2):
                for x, y in your.batches(images, labels, seed=epoch):
                    optimizer.zero_grad()
                    nn.CrossEntropyLoss()(model(x), y).backward()
                    optimizer.step()
        models.append(np.concatenate([p.array.ravel() for p in model.parameters()]))
    return np.allclose(*models, atol=1e-5)  # float32 after four steps


def share_right(your):
    """The share of unseen digits that are recognised after training."""
    parts = []
    for train in (True, False):
        digits = Digits(train=train)
        parts.append((digits.images.reshape(-1, 1, 8, 8).astype(np.float32) / 255, np.asarray(digits.labels)))
    model = lab.call(your.train, lab.call(your.network), *parts[0])
    with tv.no_grad():
        return float((model(tv.tensor(parts[1][0])).numpy().argmax(axis=1) == parts[1][1]).mean())


def check(your):
    found = {"network": alive(your), "batches": matched(your), "train": stepwise(your)}
    share = share_right(your)
    mended = sum(found.values())
    lab.expect(
        mended == 3,
        f"{mended} {MISSING}. After three epochs it knows {share:.0%} of the digits that it has "
        "not seen; about 90 % are to be had.",
        "network, batches, train",
    )
    lab.expect(
        share > 0.8,
        f"All three are mended, but it knows only {share:.0%} of the digits; was something else "
        "changed (learning rate, epochs, layers)?",
        "train",
        your.train,
    )
    return lab.done("network", "batches", "train")
