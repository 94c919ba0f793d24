"""Mistakes in ReLU, in an addition (the residual), and in dropout."""

import numpy as np

from .mistake import Bank

relu, add, dropout = Bank("relu"), Bank("add"), Bank("dropout")
BANKS = [relu, add, dropout]

relu.add(
    "y",
    "leaky",
    "A slope of 0.01 is left in for negative numbers (a leaky ReLU).",
    lambda i, o: np.where(i[0] > 0, i[0], 0.01 * i[0]),
)
relu.add(
    "y",
    "np_max",
    "np.max takes the largest element of one array; np.maximum(x, 0) compares element by element.",
    lambda i, o: i[0].max(0),
    also=(lambda i, o: i[0].max(),),
)
relu.add("y", "absolute", "You took the absolute value; negative numbers become 0.", lambda i, o: np.abs(i[0]))
relu.add("y", "inverted", "You kept the negative numbers; keep the positive ones.", lambda i, o: np.minimum(i[0], 0))
relu.add("y", "identity", "You changed nothing; negative numbers become 0.", lambda i, o: i[0] * 1.0)
relu.add("y", "clipped_at_6", "You clipped at 6 (that is ReLU6).", lambda i, o: np.clip(i[0], 0, 6))
relu.add("y", "clipped_at_1", "You clipped at 1.", lambda i, o: np.clip(i[0], 0, 1))
relu.add(
    "y", "step", "You returned the mask (1 where x > 0); multiply it with x.", lambda i, o: (i[0] > 0).astype(float)
)
relu.add("y", "softplus", "You computed log(1 + exp(x)); ReLU is max(x, 0).", lambda i, o: np.logaddexp(0, i[0]))
relu.add(
    "y",
    "threshold_mean",
    "You kept what is above a mean of x; keep what is above 0.",
    lambda i, o: i[0] * (i[0] > i[0].mean()),
    also=(lambda i, o: np.maximum(i[0], i[0].mean()), lambda i, o: i[0] * (i[0] > i[0].mean(-1, keepdims=True))),
)
relu.add("y", "squared", "You squared: max(x, 0) times x.", lambda i, o: np.maximum(i[0], 0) * i[0])
relu.add("dx", "no_mask", "You passed dy through everywhere; it is 0 where x is negative.", lambda i, o, d: d * 1.0)
relu.add(
    "dx", "mask_inverted", "Your mask is inverted: you passed dy where x is negative.", lambda i, o, d: d * (i[0] <= 0)
)
relu.add("dx", "mask_from_dy", "You took the mask from dy (dy > 0); take it from x.", lambda i, o, d: d * (d > 0))
relu.add(
    "dx",
    "mask_from_both",
    "You passed only positive dy (guided backpropagation); the sign of dy does not matter.",
    lambda i, o, d: d * ((i[0] > 0) & (d > 0)),
)
relu.add(
    "dx",
    "multiplied_by_output",
    "You multiplied by the output (or x) instead of the mask.",
    lambda i, o, d: d * np.maximum(i[0], 0),
)
relu.add("dx", "multiplied_by_x", "You multiplied by x and forgot the mask.", lambda i, o, d: d * i[0])
relu.add(
    "dx", "leaky", "A slope of 0.01 is left in for negative numbers.", lambda i, o, d: np.where(i[0] > 0, d, 0.01 * d)
)
relu.add("dx", "mask_only", "You returned the mask and never used dy.", lambda i, o, d: (i[0] > 0).astype(float))
relu.add(
    "dx",
    "forward_of_dy",
    "You returned max(x, 0): the forward again, and never used dy.",
    lambda i, o, d: np.maximum(i[0], 0),
)
relu.add(
    "dx",
    "sign_of_x",
    "You multiplied by the sign of x: negative x must give 0, not -dy.",
    lambda i, o, d: d * np.sign(i[0]),
)
relu.add("dx", "halved", "Yours is half the right one.", lambda i, o, d: 0.5 * d * (i[0] > 0))
relu.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -d * (i[0] > 0))
relu.add("dx", "absolute", "You lost the sign of dy.", lambda i, o, d: np.abs(d) * (i[0] > 0))
relu.add("dx", "threshold_one", "Your mask is x > 1; it is x > 0.", lambda i, o, d: d * (i[0] > 1))
relu.add(
    "dx",
    "threshold_mean",
    "Your mask compares x with a mean of x; compare it with 0.",
    lambda i, o, d: d * (i[0] > i[0].mean()),
    also=(
        lambda i, o, d: d * (i[0] > np.maximum(i[0], 0).mean()),
        lambda i, o, d: d * (i[0] > i[0].mean(-1, keepdims=True)),
        lambda i, o, d: d * (i[0] > i[0].mean(0)),
    ),
)
relu.add(
    "dx",
    "mask_of_row",
    "One mask for a whole row or column by any(): where one x of it is positive, all of it is passed. Each x "
    "has a mask of its own.",
    lambda i, o, d: d * (i[0] > 0).any(-1, keepdims=True),
    also=(lambda i, o, d: d * (i[0] > 0).any(0),),
)
relu.add(
    "dx",
    "divided_by_batch",
    "You divided by the batch size; ReLU works on each element alone.",
    lambda i, o, d: d * (i[0] > 0) / len(i[0]),
)
relu.add("dx", "zero", "It is all zero: the result was never stored.", lambda i, o, d: np.zeros_like(d))
relu.add(
    "dx",
    "clipped_at_6",
    "You passed nothing where x > 6 (that is ReLU6).",
    lambda i, o, d: d * ((i[0] > 0) & (i[0] < 6)),
)
relu.add(
    "dx",
    "mask_of_first_sample",
    "You used the mask of the first image for all images.",
    lambda i, o, d: d * (i[0][:1] > 0),
)


def _dy_changed():
    def forward(x):
        return np.maximum(x, 0), x

    def backward(dy, cache):
        dy[cache <= 0] = 0
        return (dy,)

    return forward, backward


def _x_changed():
    def forward(x):
        x[x < 0] = 0
        return x.copy(), x.copy()

    def backward(dy, cache):
        return (dy * (cache > 0),)

    return forward, backward


def _y_changed():
    def forward(x):
        y = np.maximum(x, 0)
        return y, y

    def backward(dy, cache):
        cache[cache > 0] = 1
        return (dy * cache,)

    return forward, backward


relu.add("dy", "changed", "dy was changed in place.", pair=_dy_changed, shows="dy_changed")
relu.add("x", "changed", "x was changed in place.", pair=_x_changed, shows="input_changed")
relu.add("y", "changed", "Backward changed the output in place.", pair=_y_changed, shows="output_changed")

add.add("y", "first_only", "You returned the first summand alone; add the second.", lambda i, o: i[0] * 1.0)
add.add(
    "y",
    "second_only",
    "You returned the second summand, the branch, alone; the skip path is missing.",
    lambda i, o: i[1] * 1.0,
)
add.add("y", "difference", "You subtracted the second summand.", lambda i, o: i[0] - i[1])
add.add("y", "product", "You multiplied the two; add them.", lambda i, o: i[0] * i[1])
add.add("y", "mean", "You took the mean of the two; take their sum.", lambda i, o: (i[0] + i[1]) / 2)
add.add("y", "first_twice", "You added the first summand twice.", lambda i, o: 2 * i[0] + i[1])
add.add("y", "second_twice", "You added the second summand twice.", lambda i, o: i[0] + 2 * i[1])
add.add(
    "y", "relu_inside", "You applied a ReLU to the sum; that is another op.", lambda i, o: np.maximum(i[0] + i[1], 0)
)
for _arg, _me, _other in (("da", "first", 1), ("db", "second", 0)):
    _self = 1 - _other
    add.add(
        _arg,
        "missing",
        f"The {_me} summand gets no gradient: its path is missing. Both paths get dy.",
        lambda i, o, d: np.zeros_like(d),
    )
    add.add(_arg, "halved", "You halved dy; both paths get all of it.", lambda i, o, d: d / 2)
    add.add(_arg, "counted_twice", "You counted one path twice; each path gets dy once.", lambda i, o, d: 2 * d)
    add.add(_arg, "sign", "The sign is wrong.", lambda i, o, d: -d)
    add.add(
        _arg, "dy_ignored", "You never used dy: the slope is 1, the gradient is dy.", lambda i, o, d: np.ones_like(d)
    )
    add.add(
        _arg,
        "product_rule",
        "You multiplied dy by the other input; that is the rule for a product.",
        lambda i, o, d, k=_other: d * i[k],
    )
    add.add(_arg, "multiplied_by_itself", f"You multiplied dy by {_me}.", lambda i, o, d, k=_self: d * i[k])
    add.add(
        _arg,
        "value_added",
        f"You added {_me} itself to dy: the skip path carries dy on the way back.",
        lambda i, o, d, k=_self: d + i[k],
    )
    add.add(
        _arg,
        "masked",
        f"You set dy to 0 where {_me} is negative; that is a ReLU's backward.",
        lambda i, o, d, k=_self: d * (i[k] > 0),
    )
    add.add(
        _arg,
        "summed_over_batch",
        "You summed over the batch, as for a bias.",
        lambda i, o, d: np.broadcast_to(d.sum(0), d.shape),
    )


def _shared_buffer():
    """The branch scales the gradient it got in place, and the skip path holds the same memory."""

    def forward(a, b):
        return a + b, None

    def backward(dy, cache):
        da = dy
        db = dy
        db *= 1.0
        da += db
        return da, db

    return forward, backward


add.add(
    "dy",
    "shared_buffer",
    "Both gradients and dy are one piece of memory, and it was changed in place.",
    pair=_shared_buffer,
    shows="dy_changed",
)


def _kept(i):
    return np.where(i[1], 1.0, 0.0)


dropout.add("y", "scale_missing", "You did not divide by 1 - p.", lambda i, o: i[0] * _kept(i))
dropout.add("y", "scaled_twice", "You divided by 1 - p twice.", lambda i, o: i[0] * _kept(i) / (1 - o["p"]) ** 2)
dropout.add(
    "y",
    "divided_by_p",
    "You divided by p; divide by 1 - p, the part that is kept.",
    lambda i, o: i[0] * _kept(i) / o["p"],
)
dropout.add("y", "multiplied", "You multiplied by 1 - p; divide by it.", lambda i, o: i[0] * _kept(i) * (1 - o["p"]))
dropout.add(
    "y", "mask_inverted", "Your mask is inverted: 1 means keep.", lambda i, o: i[0] * (1 - _kept(i)) / (1 - o["p"])
)
dropout.add("y", "mask_ignored", "You did not apply the mask.", lambda i, o: i[0] / (1 - o["p"]))
dropout.add("y", "identity", "You changed nothing (that is dropout in evaluation).", lambda i, o: i[0] * 1.0)
dropout.add(
    "y", "mask_subtracted", "You subtracted the mask; multiply by it.", lambda i, o: (i[0] - _kept(i)) / (1 - o["p"])
)
dropout.add("dx", "mask_ignored", "You did not apply the mask.", lambda i, o, d: d / (1 - o["p"]))
dropout.add("dx", "scale_missing", "You did not divide by 1 - p.", lambda i, o, d: d * _kept(i))
dropout.add("dx", "scaled_twice", "You divided by 1 - p twice.", lambda i, o, d: d * _kept(i) / (1 - o["p"]) ** 2)
dropout.add("dx", "divided_by_p", "You divided by p; divide by 1 - p.", lambda i, o, d: d * _kept(i) / o["p"])
dropout.add("dx", "multiplied", "You multiplied by 1 - p; divide by it.", lambda i, o, d: d * _kept(i) * (1 - o["p"]))
dropout.add(
    "dx", "mask_inverted", "Your mask is inverted: 1 means keep.", lambda i, o, d: d * (1 - _kept(i)) / (1 - o["p"])
)
dropout.add("dx", "identity", "You passed dy through as it is: mask and scale are missing.", lambda i, o, d: d * 1.0)
dropout.add("dx", "multiplied_by_x", "You multiplied by x.", lambda i, o, d: d * i[0] * _kept(i) / (1 - o["p"]))
dropout.add("dx", "dy_ignored", "You never used dy.", lambda i, o, d: _kept(i) / (1 - o["p"]))
dropout.add("dx", "sign", "The sign is wrong.", lambda i, o, d: -d * _kept(i) / (1 - o["p"]))
dropout.add(
    "dx",
    "masked_by_x",
    "You took the mask from x (x > 0); take the one that forward used.",
    lambda i, o, d: d * (i[0] > 0) / (1 - o["p"]),
)
dropout.add(
    "dx",
    "mask_from_output",
    "You took the mask from y != 0: where x itself is 0, y is 0 and the unit may still be kept. Use forward's mask.",
    lambda i, o, d: d * (i[0] * _kept(i) != 0) / (1 - o["p"]),
)
dropout.add(
    "dx",
    "multiplied_by_output",
    "You multiplied by y, which holds x, and scaled again; multiply by the mask and scale once.",
    lambda i, o, d: d * i[0] * _kept(i) / (1 - o["p"]) ** 2,
)


def _fresh_mask():
    rng = np.random.default_rng(5)

    def forward(x, mask, p):
        return np.where(mask, x, 0.0) / (1 - p), (x.shape, p)

    def backward(dy, cache):
        shape, p = cache
        return dy * (rng.random(shape) >= p) / (1 - p), None

    return forward, backward


def _random_forward():
    rng = np.random.default_rng(6)

    def forward(x, mask, p):
        drawn = rng.random(x.shape) >= p
        return x * drawn / (1 - p), (drawn, p)

    def backward(dy, cache):
        return dy * cache[0] / (1 - cache[1]), None

    return forward, backward


dropout.add(
    "dx",
    "fresh_mask",
    "Backward draws a mask of its own; it must use the one that forward used.",
    pair=_fresh_mask,
    shows="differs_each_call",
)
dropout.add(
    "y",
    "fresh_mask",
    "Forward draws a mask of its own; it must use the one it is given.",
    pair=_random_forward,
    shows="differs_each_call",
)
