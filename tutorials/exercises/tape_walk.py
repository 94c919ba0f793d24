"""The backward pass of a whole network: walk the recorded calls from the last to the first.

calls: a list of (backward, cache, inputs, output), in the order in which they were made; inputs is a tuple of names,
output a name. backward(dy, cache) returns one gradient for each input, or None.
Result: a dict from names to gradients; the loss's own gradient is 1.
"""


def tape_walk(calls, loss):
    """An array that is used twice is told twice: what it is told adds up. Change no gradient in place."""
    gradients = {loss: 1.0}
    for backward, cache, inputs, output in reversed(calls):
        if output not in gradients:
            continue  # nobody asked for this result
        # solution:
        for name, gradient in zip(inputs, backward(gradients[output], cache), strict=True):
            if gradient is None:
                continue
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
        # skeleton:
        # gradients[...] = ...  # ask this call's backward, and hand on what it says
        # end
    return gradients


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "the walk back"
LEVEL, MINUTES, PAGE = 3, 15, "15"
NEEDS = ("tape_walk",)
MISSING = "what each call's inputs are told"
HINTS = (
    "What has the result of this call been told so far, and who must hear of it now?",
    "backward(gradients[output], cache) gives one gradient for each name in inputs. Some are None. Some names "
    "were told "
    "something before.",
    "gradients[name] = gradients[name] + g if name in gradients else g, for each name and g that is not None",
)
PREDICT = "Why is the reverse of the order in which calls were made always a right order?"
ANSWER = "An op's inputs exist before the op is called. So, backwards, all users of a result come before its maker."


def check(your):
    rng = np.random.default_rng(15)
    a, b = rng.standard_normal(4), rng.standard_normal(4)
    seen = []

    def product(dy, cache):
        x, y = cache
        return dy * y, dy * x

    def total(dy, cache):
        seen.append("total")
        return dy * np.ones(cache), None

    def unused(dy, cache):
        raise lab.Wrong("You called the backward of a result that nobody asked for.", "gradients", your.tape_walk)

    # loss = Σ (a·b)·a, with a side branch that the loss does not use
    calls = [
        (product, (a, b), ("a", "b"), "c"),
        (unused, None, ("c",), "side"),
        (product, (a * b, a), ("c", "a"), "d"),
        (total, 4, ("d", "axis"), "loss"),
    ]
    gradients = lab.call(your.tape_walk, calls, "loss")
    lab.expect(isinstance(gradients, dict), "The result must be a dict of gradients.", "gradients", your.tape_walk)
    lab.expect("a" in gradients, "a has got no gradient at all.", "gradients", your.tape_walk)
    lab.expect(
        gradients.get("axis", 0) is not None,
        "A None was stored as a gradient; leave it out.",
        "gradients",
        your.tape_walk,
    )
    known = [
        (a * b, "a is used twice, and only what it was told first is left: add the second to it."),
        (a * b * 1.0 + 0 * a, "a is used twice, and one of the two is lost: they add up."),
        (b * a, "a is used twice, and only the last is left: they add up."),
    ]
    lab.equal(
        gradients["a"], 2 * a * b, "gradients['a']", your.tape_walk, "loss = Σ (a·b)·a, so it is 2·a·b.", known=known
    )
    lab.equal(gradients["b"], a * a, "gradients['b']", your.tape_walk, "loss = Σ (a·b)·a, so it is a².")

    shared = np.array([1.0, 2.0, 3.0])

    def both(dy, cache):
        return shared, shared

    # a + a with one array handed to both: adding in place would change what the caller still holds
    lab.call(your.tape_walk, [(both, None, ("p", "p"), "loss")], "loss")
    lab.expect(
        np.array_equal(shared, [1.0, 2.0, 3.0]),
        "You added in place (+=) into an array that belongs to "
        "somebody else. Write g = g + more, which makes a new one.",
        "gradients",
        your.tape_walk,
    )
    return lab.done("gradients")
