"""The numbers that explore/landscape.html carries: three small networks, directions between them, and digits.

The network is 64 → 12 → 10 with a ReLU between. `start` is as it was made; `first` is what was learned from there, and
`second` what was learned from another start. Two directions of random numbers have each row as long as that row of
`first` (Li et al., "Visualizing the loss landscape of neural nets", 2018), so that a step of 1 changes every neuron by
as much as it is. All are rounded to three decimals, and what the page shows is the rounded networks' loss.
"""

import json

import numpy as np

from tinyvision import nn, optim, random
from tinyvision.data import Digits
from tinyvision.tensors.tensor import Tensor

from . import interactive

PAGE = interactive.FOLDER / "landscape.html"
SHAPES = {"1.weight": (12, 64), "1.bias": (12,), "3.weight": (10, 12), "3.bias": (10,)}
_EACH = 10  # digits of each class, to learn from and unseen
_STEPS = 300


def network():
    """(N, 1, 8, 8) -> (N, 10)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def digits(train):
    """Pictures (100, 1, 8, 8) from 0 to 1, their labels (100), and the pictures as letters: ten of each class."""
    data = Digits(train=train)
    chosen = np.concatenate([np.flatnonzero(data.labels == digit)[:_EACH] for digit in range(10)])
    letters = [interactive.levels(data.images[n]) for n in chosen]
    pictures = np.array([[int(letter, 17) / 16 for letter in text] for text in letters]).reshape(-1, 1, 8, 8)
    return pictures, data.labels[chosen], letters


def _rounded(arrays):
    return {name: np.round(array, 3).tolist() for name, array in arrays.items()}


def _arrays(model):
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


def _learned(seed):
    """(the network as it was made, as it is after some steps down the loss of all digits at once)."""
    with random.use(random.stream(seed, "init")):
        model = network().double()
    start = _arrays(model)
    pictures, labels, _ = digits(train=True)
    optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    for _ in range(_STEPS):
        loss = nn.functional.cross_entropy(model(Tensor.of(pictures)), Tensor.of(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return start, _arrays(model)


def _direction(rng, like):
    """Random numbers, each row as long as that row of `like`."""
    made = {}
    for name, array in like.items():
        numbers = rng.standard_normal(array.shape)
        lengths = [np.linalg.norm(a.reshape(len(a), -1), axis=1) for a in (array, numbers)]
        made[name] = numbers * (lengths[0] / lengths[1]).reshape(-1, *[1] * (array.ndim - 1))
    return made


def numbers():
    """{"start", "first", "second", "east", "north": {name: array}, "learned", "unseen": {"letters", "labels"}}."""
    (start, first), (_, second) = _learned(0), _learned(1)
    rng = np.random.default_rng(0)
    networks = {"start": start, "first": first, "second": second}
    networks |= {"east": _direction(rng, first), "north": _direction(rng, first)}
    sets = {}
    for name, train in (("learned", True), ("unseen", False)):
        _, labels, letters = digits(train)
        sets[name] = {"letters": letters, "labels": labels.tolist()}
    return {name: _rounded(arrays) for name, arrays in networks.items()} | sets


def write():
    """Put the numbers into the page."""
    interactive.put_numbers(PAGE, json.dumps(numbers(), separators=(",", ":")))
