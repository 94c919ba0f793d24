"""A tape that leaks: training takes more memory with every step. Three things hold on to what is over; find them.

record(...) notes a call, backward(loss) walks back; Value is an array with the call that made it. The gradients are
right, and must stay so. After backward(), and after the last name of a result is gone, nothing may be left of it.
"""

import numpy as np


class Value:
    """An array; `call` is (backward, cache, inputs), or None for what no call has made."""

    def __init__(self, array, call=None):
        self.array, self.call, self.grad = array, call, None


# solution:
def record(array, backward, cache, inputs):
    """A new Value that knows its call. The call points to its inputs and never to its result."""
    return Value(array, (backward, cache, inputs))


# skeleton:
# CALLS = []
#
#
# def record(array, backward, cache, inputs):
#     """A new Value that knows its call. The call points to its inputs and never to its result."""
#     CALLS.append((backward, cache, inputs))
#     return Value(array, (backward, cache, inputs))
# end


def multiply(a, b):
    """a·b, recorded."""
    return record(a.array * b.array, lambda dy, cache: (dy * cache[1], dy * cache[0]), (a.array, b.array), (a, b))


def total(a):
    """The sum of all elements, recorded."""
    return record(a.array.sum(), lambda dy, cache: (np.full(cache, dy),), a.array.shape, (a,))


def backward(loss):
    """Walk from the loss to the leaves; only leaves (call is None) keep a gradient. A walked call is forgotten."""
    order, seen = [], set()

    def visit(value):
        if id(value) not in seen and value.call is not None:
            seen.add(id(value))
            for one in value.call[2]:
                visit(one)
            order.append(value)

    visit(loss)
    gradients = {id(loss): 1.0}
    for value in reversed(order):
        dy, (step, cache, inputs) = gradients.pop(id(value)), value.call
        # solution:
        value.call = None
        # skeleton:
        # value.grad = dy
        # end
        for one, gradient in zip(inputs, step(dy, cache), strict=True):
            if one.call is None:
                one.grad = gradient if one.grad is None else one.grad + gradient
            else:
                gradients[id(one)] = gradients.get(id(one), 0) + gradient


def train(weight, batches, lr):
    """The losses of a few steps, as plain numbers."""
    losses = []
    for x in batches:
        loss = total(multiply(multiply(weight, x), weight))
        backward(loss)
        weight = Value(weight.array - lr * weight.grad)
        # solution:
        losses.append(float(loss.array))
        # skeleton:
        # losses.append(loss)
        # end
    return losses


# -------------------------------------------------------------------------- course

import gc
import weakref

from tinyvision.learn import lab

TITLE = "a tape that leaks"
LEVEL, MINUTES, PAGE = 3, 20, "15"
NEEDS = ("Value", "record", "multiply", "total", "backward", "train")
MISSING = "of the three leaks are closed"
HINTS = (
    "Which names outlive a training step, and what can be reached from each of them?",
    "A list at the top of the module; what a Value keeps after backward() has used it; and what train() returns.",
    "record: no list. backward: value.call = None, and no grad but for leaves. train: float(loss.array).",
)
PREDICT = "One name is left for the loss of every step. How much memory does that keep?"
ANSWER = "All of the step: from the loss one reaches its call, the call's cache, and every array before it."


class Marked(np.ndarray):
    """An array that can be watched."""


def alive(your):
    """Is anything left of a recorded product after the last name of its result is gone?"""
    held = np.ones(3).view(Marked)
    x, watch = your.Value(np.array([1.0, 2.0, 3.0])), weakref.ref(held)
    y = your.multiply(x, your.Value(held))
    del held, y
    gc.collect()
    return watch() is not None


def walked(your):
    """Does a result in the middle keep its call or a gradient, once backward() has gone through it?"""
    y = your.multiply(your.Value(np.ones(2)), your.Value(np.ones(2)))
    your.backward(your.total(y))
    return y.grad is not None or y.call is not None


def plain(losses):
    return all(isinstance(v, float) for v in losses)


def check(your):
    rng = np.random.default_rng(47)
    a, b = rng.standard_normal(4), rng.standard_normal(4)
    va, vb = your.Value(a), your.Value(b)

    def gradients():
        lab.call(your.backward, your.total(your.multiply(your.multiply(va, vb), va)), argument="backward")
        return va.grad, vb.grad

    given = lab.call(gradients, argument="backward")
    for name, mine, wanted in (("da", given[0], 2 * a * b), ("db", given[1], a * a)):
        lab.equal(mine, wanted, name, your.backward, "(loss = Σ (a·b)·a.) The gradients were right before: keep them.")
    losses = lab.call(your.train, your.Value(np.ones(3)), [your.Value(np.full(3, v)) for v in (0.5, 1.0)], 0.1)
    leaks = {
        "after the last name of a result is gone, its arrays are still there: something global keeps every call": alive,
        "after backward() a result in the middle still has its call, or keeps a gradient: only leaves do": walked,
        "train() returns Values, and with each the whole step; numbers are asked for": lambda _: not plain(losses),
    }
    open_ = [words for words, leaks_here in leaks.items() if lab.call(leaks_here, your, argument="backward")]
    seen = f" Seen: {'; '.join(open_)}." if len(open_) < 3 else ""  # the first is to be hunted without a word
    lab.expect(not open_, f"{3 - len(open_)} {MISSING}.{seen}", "memory")
    lab.equal(losses, [1.5, 3 * 0.9**2 * 1.0], "losses", your.train)
    return lab.done("gradients", "memory")
