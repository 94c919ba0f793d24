"""What other gradient checkers would have said, re-implemented from their descriptions.

Each policy sees the mistake on one small, symmetric set of shapes of the kind that courses use, five seeds; a mistake
counts as missed if it passes with every seed. The policies have no name for what they find.
"""

import importlib.util
import warnings

import numpy as np

from tinyvision.check.reference import out_size

SEEDS = 5
STEP = 1e-5


ACTIVATIONS = {
    "relu": (), "sigmoid": (), "tanh": (), "softplus": (), "silu": (), "leaky_relu": (("negative_slope", 0.01),),
    "elu": (("alpha", 1.0),), "gelu": (("approximate", "none"),),
}  # fmt: skip


def course_probe(op, rng):
    """(inputs, options) as in a course: 3x3 kernels, stride 1, padding 1, non-overlapping pools, square images."""
    x = rng.standard_normal((2, 3, 4, 4))
    pool = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    conv = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    plans = {
        "linear": lambda: ((rng.standard_normal((4, 5)), rng.standard_normal((3, 5)), rng.standard_normal(3)), {}),
        **{op: lambda o=o: ((rng.standard_normal((4, 5)),), dict(o)) for op, o in ACTIVATIONS.items()},
        "conv2d": lambda: (
            (x, rng.standard_normal((2, 3, 3, 3)), rng.standard_normal(2)),
            {"stride": (1, 1), "padding": (1, 1)},
        ),
        "maxpool2d": lambda: ((x,), pool),
        "avgpool2d": lambda: ((x,), pool),
        "batchnorm_train": lambda: ((x, np.ones(3), np.zeros(3)), {"eps": 1e-5}),
        "cross_entropy": lambda: ((rng.standard_normal((4, 5)), rng.integers(0, 5, 4)), {}),
        "softmax": lambda: ((rng.standard_normal((4, 5)),), {}),
        "add": lambda: ((rng.standard_normal((4, 5)), rng.standard_normal((4, 5))), {}),
        "dropout": lambda: ((rng.standard_normal((4, 5)), rng.random((4, 5)) > 0.5), {"p": 0.5}),
        "im2col": lambda: ((x,), conv),
        "col2im": lambda: (
            (rng.standard_normal((2 * np.prod(out_size(x.shape, 3, 1, 1)), 27)),),
            {"x_shape": x.shape, **conv},
        ),
    }
    return plans[op]()


class _Pair:
    """A pair with a mistake, on one course probe: analytic and numeric gradients for any upstream."""

    def __init__(self, mistake, rng):
        self.forward, self.backward = mistake.functions()
        self.inputs, self.options = course_probe(mistake.op, rng)
        self.floats = [k for k, i in enumerate(self.inputs) if np.asarray(i).dtype.kind == "f"]

    def output(self, inputs=None):
        return np.asarray(self.forward(*(inputs or [np.array(i) for i in self.inputs]), **self.options)[0])

    def analytic(self, dy):
        _, cache = self.forward(*[np.array(i) for i in self.inputs], **self.options)
        grads = self.backward(np.array(dy)[()], cache)
        return [np.asarray(grads[k]) for k in self.floats]

    def shifted(self, position, direction, h):
        moved = [np.array(i) for i in self.inputs]
        moved[position] = moved[position] + h * direction
        return self.output(moved)

    def slope(self, position, direction, dy):
        up, down = self.shifted(position, direction, STEP), self.shifted(position, direction, -STEP)
        return float(np.sum((up - down) * dy)) / (2 * STEP)


def _fails(pair, dy, pick, tolerance):
    """Element by element: True if some picked element has a large relative error, or a shape is wrong."""
    for position, grad in zip(pair.floats, pair.analytic(dy), strict=True):
        x = pair.inputs[position]
        if grad.shape != x.shape:
            return True
        for index in pick(x):
            direction = np.zeros(x.shape)
            direction[index] = 1.0
            numeric = pair.slope(position, direction, dy)
            scale = max(abs(numeric), abs(float(grad[index])), 1e-8)
            if abs(numeric - grad[index]) > tolerance * scale and abs(numeric - grad[index]) > 1e-7:
                return True
    return False


def everything(x):
    """All indices."""
    return list(np.ndindex(x.shape))


def random_upstream(pair, rng):
    """CS231n: a random upstream gradient, every element, relative error."""
    return _fails(pair, rng.standard_normal(pair.output().shape), everything, 1e-4)


def ones_upstream(pair, rng):
    """An upstream of ones, every element (the gradient of the sum of the outputs)."""
    return _fails(pair, np.ones(pair.output().shape), everything, 1e-4)


def one_sample_of_ones(pair, rng):
    """An upstream of ones, one random element, tolerance 1e-2."""
    return _fails(pair, np.ones(pair.output().shape), lambda x: [tuple(rng.integers(0, s) for s in x.shape)], 1e-2)


def random_direction(pair, rng):
    """One random direction per argument, with a random upstream."""
    dy = rng.standard_normal(pair.output().shape)
    for position, grad in zip(pair.floats, pair.analytic(dy), strict=True):
        x = pair.inputs[position]
        if grad.shape != x.shape:
            return True
        direction = rng.standard_normal(x.shape)
        direction /= np.sqrt(np.sum(direction**2))
        numeric, claimed = pair.slope(position, direction, dy), float(np.sum(grad * direction))
        if abs(numeric - claimed) > 1e-4 * max(abs(numeric), abs(claimed), 1e-4):
            return True
    return False


def torch_gradcheck(pair, rng):
    """torch.autograd.gradcheck with its defaults."""
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *arrays):
            inputs, supply = [np.array(i) for i in pair.inputs], iter(arrays)
            for k in pair.floats:
                inputs[k] = next(supply).detach().numpy().copy()
            y, ctx.cache = pair.forward(*inputs, **pair.options)
            return torch.as_tensor(np.array(y))

        @staticmethod
        def backward(ctx, dy):
            grads = pair.backward(dy.numpy().copy()[()], ctx.cache)
            return tuple(torch.as_tensor(np.array(grads[k], dtype=np.float64)) for k in pair.floats)

    tensors = [torch.tensor(np.array(pair.inputs[k]), requires_grad=True) for k in pair.floats]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return not torch.autograd.gradcheck(Function.apply, tensors, raise_exception=False)


POLICIES = {
    "upstream of ones, one element": one_sample_of_ones,
    "upstream of ones, every element": ones_upstream,
    "random upstream (CS231n)": random_upstream,
    "one random direction": random_direction,
    "torch.autograd.gradcheck": torch_gradcheck,
}


def caught(mistake, policy, rng):
    """True if any seed fails, or anything raises."""
    for _ in range(SEEDS):
        try:
            with np.errstate(all="ignore"):
                if policy(_Pair(mistake, rng), rng):
                    return True
        except (ValueError, IndexError, TypeError, ZeroDivisionError, RuntimeError):
            return True
    return False


def compare(bank, rng):
    """Print how many wrong gradients each policy always misses (a wrong output is not its business)."""
    # One that changes its dy gives right gradients: what is wrong with it shows elsewhere (see `checker.examine`).
    wrong = [m for m in bank if m.argument != "y" and m.op != "sgd" and m.shows != "dy_changed"]
    has_torch = importlib.util.find_spec("torch") is not None
    print(f"{len(wrong)} wrong backwards on the shapes of a course, {SEEDS} seeds{'':>14}missed")
    for name, policy in POLICIES.items():
        if policy is torch_gradcheck and not has_torch:
            print(f"    {name:50} skipped: PyTorch is not installed")
            continue
        missed = [m for m in wrong if not caught(m, policy, rng)]
        print(f"    {name:50} {len(missed):>6}")
    ours = 0
    for m in wrong:
        forward, backward = m.functions()
        from tinyvision import check

        ours += check.op(m.op, forward, backward).passed
    print(f"    {'tinyvision.check':50} {ours:>6}")
