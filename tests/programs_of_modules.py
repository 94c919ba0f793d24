"""Random small programs of what scripts do to models: steps, gradients changed by hand, `.data`, hooks, copies.

As in `programs.py` both engines take the same steps, and all that there is to see is compared after each: parameters,
buffers, gradients, what optimizers remember, what was kept on the way, and what is one and the same object or memory.

By hand: `python tests/programs_of_modules.py 20000`.
"""

import random
import sys
import warnings

import numpy as np
import torch
from programs import tell
from recipes import RECIPES

import tinyvision
from tinyvision.errors import TinyVisionError

OPTIMIZERS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {"maximize": True}],
    "Adam": [{}, {"weight_decay": 0.1}, {"amsgrad": True}],
    "AdamW": [{}], "RMSprop": [{}, {"centered": True, "momentum": 0.5}], "Adagrad": [{}], "Adadelta": [{}],
    "Adamax": [{}], "NAdam": [{}], "RAdam": [{}],
}  # fmt: skip


def layers(t, rng):
    """Three layers of weights with something between them; the last two may be of one shape, and one weight."""
    nn, middle = t.nn, rng.choice(["BatchNorm1d", "LayerNorm", "Identity", "BatchNorm1d"])
    between = getattr(nn, middle)(*([] if middle == "Identity" else [4]))
    return nn.Sequential(
        nn.Linear(3, 4), between, rng.choice([nn.ReLU, nn.Tanh])(), nn.Linear(4, 4, bias=rng.random() < 0.5),
        rng.choice([nn.ReLU, nn.LeakyReLU])(inplace=rng.random() < 0.5), nn.Linear(4, 4),
    )  # fmt: skip


class World:
    """What a program of one engine has in hand: models, an optimizer, an input, tensors that it kept."""

    def __init__(self, t, seed):
        rng, numbers = random.Random(seed), np.random.default_rng(seed)
        self.t, self.numbers = t, numbers
        self.model = layers(t, rng).double()
        for p in self.model.parameters():
            p.data.copy_(t.tensor(numbers.normal(size=tuple(p.shape)).round(2)))
        self.x = t.tensor(numbers.normal(size=(5, 3)).round(2))
        name = rng.choice([*OPTIMIZERS, "SGD", "SGD", "Adam"])
        options = {"lr": 0.1, **rng.choice(OPTIMIZERS[name])}
        self.optimizer = getattr(t.optim, name)(self.model.parameters(), **options)
        self.others, self.kept, self.handles, self.saved, self.heard = [], [], [], None, []
        self.loss, self.schedule = None, None

    def parameter(self, i):
        """The parameter of that number, counted round."""
        parameters = list(self.model.parameters())
        return parameters[i % len(parameters)]

    def seen(self):
        """All there is to see, as plain data."""
        found = []
        for model in (self.model, *self.others):
            found.append(("training", [m.training for m in model.modules()]))
            for name, value in model.named_parameters(remove_duplicate=False):
                found.append((name, _seen(value)))
            found += [(name, _seen(value)) for name, value in model.named_buffers()]
        found += [("kept", _seen(v)) for v in [self.x, *self.kept] if v is not None]
        owners = [p for model in (self.model, *self.others) for p in model.parameters()]
        owners += [v for v in self.kept if v is not None]
        owners += [p.grad for p in owners if p.is_leaf and p.grad is not None]
        found.append(("one object", [[a is b for a in owners] for b in owners]))
        found.append(("one memory", [[_share(a, b) for a in owners] for b in owners]))
        groups = self.optimizer.state_dict()["param_groups"]
        found.append(
            ("groups", [{k: _plain(g[k]) for k in ("lr", "params", "weight_decay") if k in g} for g in groups])
        )
        state = self.optimizer.state_dict()["state"]
        found.append(("state", {n: {k: _plain(v) for k, v in s.items()} for n, s in sorted(state.items())}))
        found.append(("heard", self.heard))
        return found


def _share(a, b):
    a, b = a.detach(), b.detach()
    return bool(np.shares_memory(a.numpy(), b.numpy()))


def _plain(value):
    if hasattr(value, "tolist"):
        return np.array(value.tolist(), np.float64)
    return value


def _seen(value):
    grad = value.grad if value.is_leaf else None
    return {
        "dtype": str(value.dtype).removeprefix("torch."), "shape": tuple(value.shape), "leaf": value.is_leaf,
        "requires_grad": value.requires_grad, "numbers": np.array(value.detach().tolist()),
        "gradient": None if grad is None else np.array(grad.detach().tolist()),
        "recorded gradient": grad is not None and grad.requires_grad,
    }  # fmt: skip


def difference(ours, theirs, path=""):
    """Where two heaps of plain data differ, in words, or None."""
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray) or isinstance(ours, float):
        if np.shape(ours) != np.shape(theirs):
            return f"{path}: {ours}, not {theirs}"
        with np.errstate(all="ignore"):
            same = np.allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-6, atol=1e-8, equal_nan=True)
        return None if same else f"{path}: {np.asarray(ours).tolist()}, not {np.asarray(theirs).tolist()}"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return f"{path}: {list(ours)}, not {list(theirs)}"
        pairs = [(ours[k], theirs[k], f"{path} {k}") for k in ours]
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            return f"{path}: {len(ours)} entries, not {len(theirs)}"
        pairs = [(a, b, f"{path} {n}") for n, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    else:
        return None if ours == theirs else f"{path}: {ours!r}, not {theirs!r}"
    return next(filter(None, (difference(*pair) for pair in pairs)), None)


def is_rounding(model):
    """Whether numbers are large, or a gradient is 0 but for rounding, which an optimizer may divide by itself."""
    gradients = [p.grad.abs() for p in model.parameters() if p.grad is not None]
    most = max((float(g.max()) for g in gradients), default=0.0)
    if any(bool(((g > 0) & (g < 1e-6 * most)).any()) for g in gradients) or most > 1e4:
        return True
    return not all(bool((v.detach().abs() < 1e4).all()) for v in model.state_dict().values())


def compare(seed, length=14):
    """(what came of it, in words) for the program of one seed; outcomes as in `programs.py`."""
    for t in (torch, tinyvision):
        t.set_default_dtype(t.float64)  # in which PyTorch keeps NAdam's product of momenta
    try:
        return _compared(seed, length)
    finally:
        for t in (torch, tinyvision):
            t.set_default_dtype(t.float32)


def _compared(seed, length):
    rng = random.Random(seed + 1)
    theirs, ours = World(torch, seed), World(tinyvision, seed)
    for n in range(length):
        deed = rng.choices(list(RECIPES), list(RECIPES.values()))[0]
        arguments = rng.randrange(60), rng.randrange(2520), rng.choice([0.5, 2.0, -1.5, 0.1])
        told = f"seed {seed}: step {n + 1}: {deed.__name__}{arguments}"
        errors = []
        for world in (theirs, ours):
            try:
                deed(world, *arguments)
                errors.append(None)
            except Exception as error:
                errors.append(error)
        their_error, our_error = errors
        if our_error is not None and not isinstance(our_error, TinyVisionError) and their_error is None:
            return "different", f"{told}: a foreign {type(our_error).__name__}: {our_error}"
        if their_error is not None and our_error is not None:
            return "equal", ""  # half of it may have been done
        if our_error is not None:
            return "refused", f"{told}: {our_error}"
        if their_error is not None:
            return "lenient", f"{told}: {type(their_error).__name__}: {str(their_error)[:160]}"
        if is_rounding(theirs.model) or is_rounding(ours.model):
            return "equal", ""
        try:
            expected = theirs.seen()
        except RuntimeError as error:
            return "lenient", f"{told}: {str(error)[:120]}"
        what = difference(ours.seen(), expected)
        if what:
            return "different", f"{told}: {what}"
    return "equal", ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    tell(compare, *map(int, sys.argv[1:]))
