"""Pretrained weights, by name, into a network with another head.

model: a network; weights: a dict from names to arrays, made for a network that differs from yours in places.
Copied is what has the same name *and* the same shape. ->  (names copied, names of the model that were not)
"""


def load_pretrained(model, weights):
    """Return two sorted lists. Say what was skipped: weights that are silently not loaded are an old sorrow."""
    own = model.state_dict()  # a dict from names to tensors: parameters and running statistics
    # solution:
    fitting = {name: w for name, w in weights.items() if name in own and tuple(own[name].shape) == tuple(w.shape)}
    # skeleton:
    # fitting = ...  # the part of weights that fits
    # end
    model.load_state_dict(fitting, strict=False)
    # solution:
    return sorted(fitting), sorted(set(own) - set(fitting))
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision import nn
from tinyvision.errors import WeightsError
from tinyvision.learn import lab

TITLE = "weights by name"
LEVEL, MINUTES, PAGE = 2, 12, "23"
NEEDS = ("load_pretrained",)
MISSING = "the weights that fit by name and shape, and the list of those that do not"
HINTS = (
    "The published head has 1,000 classes and yours has 10. Its name is the same. What keeps it out?",
    "Two conditions for each name of weights: it is in own, and the shapes are equal.",
    "{name: w for name, w in weights.items() if name in own and tuple(own[name].shape) == tuple(w.shape)}",
)
PREDICT = "One name is spelt differently in the file, and strict=False was given. What do you notice?"
ANSWER = "Nothing, but for a worse result: one layer kept its random weights. So print what was not loaded."


def network(classes):
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, classes))


def check(your):
    rng = np.random.default_rng(28)
    model = network(3)
    published = {
        n: rng.standard_normal(v.shape).astype(np.float32) for n, v in network(5).state_dict().items() if v.ndim
    }
    del published["1.bias"]
    published["extra.weight"] = np.ones(3, dtype=np.float32)
    before = {n: v.numpy().copy() for n, v in model.state_dict().items()}
    because = {
        WeightsError: "A weight of another shape was to be loaded: compare the shapes, too.",
        KeyError: "A name of the weights is none of the model's: ask for `name in own` first.",
    }
    result = lab.call(your.load_pretrained, model, dict(published), because=because)
    lab.expect(
        isinstance(result, tuple) and len(result) == 2,
        "Return two lists: copied, not copied.",
        "result",
        your.load_pretrained,
    )
    copied, left = list(result[0]), list(result[1])
    after = {n: v.numpy() for n, v in model.state_dict().items()}
    fits = sorted(n for n in published if n in before and published[n].shape == before[n].shape)
    for name in fits:
        lab.equal(after[name], published[name], name, your.load_pretrained, "It fits, and was not copied.")
    for name in sorted(set(before) - set(fits)):
        lab.equal(after[name], before[name], name, your.load_pretrained, "It does not fit, and must stay as it was.")
    lab.expect(copied == fits, f"The first list is {copied}; copied were {fits}.", "copied", your.load_pretrained)
    rest = sorted(set(before) - set(fits))
    lab.expect(
        left == rest,
        f"The second list is {left}; the model's names that were not copied are {rest}.",
        "left",
        your.load_pretrained,
    )
    return lab.done("copied", "left")
