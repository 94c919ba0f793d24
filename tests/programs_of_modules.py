"""Random small programs of what scripts do to models: steps, gradients changed by hand, `.data`, hooks, copies.

As in `programs.py` both engines take the same steps, and all that there is to see is compared after each: parameters,
buffers, gradients, what optimizers remember, what was kept on the way, and what is one and the same object or memory.

By hand: `python tests/programs_of_modules.py 20000`.
"""

import copy
import io
import random
import sys
import warnings

import numpy as np
import torch
from programs import tell

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
        found += [("kept", _seen(v)) for v in [self.x, *self.kept]]
        owners = [p for model in (self.model, *self.others) for p in model.parameters()] + self.kept
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


# -- what scripts do, each a function of a world, two whole numbers and a real one


def forward(w, i, j, r):
    y = w.model(w.x)
    w.loss = [lambda: y.pow(2).mean(), lambda: y.sum(), lambda: w.t.nn.functional.mse_loss(y, y.detach() + 1),
              lambda: w.t.nn.functional.cross_entropy(y, w.t.tensor([0, 1, 2, 3, 0]))][i % 4]()  # fmt: skip


def backward(w, i, j, r):
    if w.loss is None:
        forward(w, i, j, r)
    w.loss.backward(retain_graph=j % 5 == 0)
    if j % 5:
        w.loss = None


def learn(w, i, j, r):
    w.optimizer.zero_grad()
    w.loss = None
    backward(w, i, 1, r)
    w.optimizer.step()


def step(w, i, j, r):
    w.optimizer.step()


def zero_grad(w, i, j, r):
    [w.optimizer, w.model][i % 2].zero_grad(set_to_none=bool(j % 2))


def change_gradient(w, i, j, r):
    p = w.parameter(i)
    if p.grad is None:
        p.grad = w.t.ones_like(p)
        return
    change = [
        lambda: p.grad.zero_(), lambda: p.grad.mul_(r), lambda: p.grad.data.clamp_(-0.1, 0.1), lambda: p.grad.detach_(),
        lambda: p.grad.add_(p, alpha=0.1), lambda: p.grad.data.add_(p.data, alpha=0.1), lambda: p.grad.data.zero_(),
        lambda: p.grad.copy_(w.t.ones_like(p)), lambda: p.grad[0].fill_(r), lambda: p.grad.view(-1)[0].mul_(r),
    ]  # fmt: skip
    change[j % len(change)]()


def set_gradient(w, i, j, r):
    p, q = w.parameter(i), w.parameter(j)
    p.grad = [None, w.t.zeros_like(p), p.detach() * r, q.grad, p.detach(), p.data.clone()][(i + j) % 6]


def clip(w, i, j, r):
    utils = w.t.nn.utils
    norm = [lambda: utils.clip_grad_norm_(w.model.parameters(), abs(r)),
            lambda: utils.clip_grad_norm_(w.model.parameters(), abs(r), norm_type=float("inf")),
            lambda: utils.clip_grad_value_(w.model.parameters(), abs(r))][i % 3]()  # fmt: skip
    if norm is not None:
        w.heard.append(float(norm))


def change_data(w, i, j, r):
    p, q = w.parameter(i), w.parameter(j)
    change = [
        lambda: p.data.mul_(r), lambda: p.data.clamp_(-1, 1), lambda: p.data.copy_(q.data), lambda: p.data.fill_(r),
        lambda: p.data.view(-1)[0].add_(1), lambda: p.detach().add_(r), lambda: p.data.add_(p.grad, alpha=-r),
        lambda: p.data[0].zero_(), lambda: p.data.t().mul_(2), lambda: w.t.nn.init.constant_(p, r),
    ]  # fmt: skip
    change[(i + j) % len(change)]()


def set_data(w, i, j, r):
    p, q = w.parameter(i), w.parameter(j)
    p.data = [lambda: p.data * r, lambda: q.data, lambda: p.detach().clone(), lambda: p * 2, lambda: p.data.t(),
              lambda: q.detach() if q.shape == p.shape else p.data][(i + j) % 6]()  # fmt: skip


def change_quietly(w, i, j, r):
    p, q = w.parameter(i), w.parameter(j)

    def subtract():
        nonlocal p
        p -= r * p.grad

    change = [
        lambda: p.mul_(r), lambda: p.add_(w.t.ones_like(p) * r), subtract, lambda: p.copy_(q), lambda: p.zero_(),
        lambda: p[0].fill_(r), lambda: p.view(-1)[:2].mul_(r), lambda: p.sub_(p.grad, alpha=r), lambda: p.t().add_(1),
        lambda: p.__setitem__(0, r), lambda: p.detach().mul_(r), lambda: p.clamp_(min=0), lambda: p.lerp_(q, 0.5),
    ]  # fmt: skip
    with w.t.no_grad():
        change[(i + 3 * j) % len(change)]()


def change_aloud(w, i, j, r):
    p = w.parameter(i)
    [lambda: p.mul_(r), lambda: p.view(-1)[0].zero_(), lambda: p.detach_(), lambda: p.__setitem__(0, 0)][j % 4]()


def freeze(w, i, j, r):
    p, on = w.parameter(i), bool(j % 2)
    if i % 3 == 0:
        p.requires_grad = on
    elif i % 3 == 1:
        p.requires_grad_(on)
    else:
        w.model[[0, 3, 5][i % 9 // 3]].requires_grad_(on)


def modes(w, i, j, r):
    m = [w.model, w.model[1], w.model[0]][i % 3]
    m.train(bool(j % 2))


def state(w, i, j, r):
    found = w.model.state_dict()
    name = list(found)[i % len(found)]
    [lambda: found[name].zero_(), lambda: w.kept.append(found[name]), lambda: w.model.load_state_dict(found),
     lambda: setattr(w, "saved", found), lambda: setattr(w, "saved", copy.deepcopy(found)),
     lambda: setattr(w, "saved", {k: v.clone() for k, v in found.items()}),
     lambda: w.saved and w.heard.append(str(w.model.load_state_dict(w.saved)))][j % 7]()  # fmt: skip


def through_a_file(w, i, j, r):
    file = io.BytesIO()
    w.t.save({"model": w.model.state_dict(), "optimizer": w.optimizer.state_dict(), "epoch": i}, file)
    file.seek(0)
    found = w.t.load(file)
    w.heard.append(found["epoch"])
    if j % 2:
        w.model.load_state_dict(found["model"])
    else:
        w.optimizer.load_state_dict(found["optimizer"])


def twins(w, i, j, r):
    if len(w.others) < 2:
        w.others.append(copy.deepcopy(w.model))
    other = w.others[-1]
    [lambda: None, lambda: [a.data.mul_(0.9).add_(b.data, alpha=0.1) for a, b in _pairs(other, w.model)],
     lambda: other.load_state_dict(w.model.state_dict()), lambda: [a.requires_grad_(False) for a in other.parameters()],
     lambda: [a.data.copy_(b.data) for a, b in _pairs(other, w.model)], lambda: other.eval(),
     lambda: w.heard.append(other(w.x).sum().item()),
     lambda: [setattr(a, "data", b.data) for a, b in _pairs(other, w.model)]][j % 8]()  # fmt: skip


def _pairs(one, other):
    return list(zip(one.parameters(), other.parameters(), strict=False))


def share(w, i, j, r):
    model, nn = w.model, w.t.nn
    [lambda: setattr(model[5], "weight", model[3].weight),
     lambda: setattr(model[0], "weight", nn.Parameter(model[0].weight.detach() * r)),
     lambda: setattr(model[3], "weight", nn.Parameter(model[5].weight)), lambda: setattr(model[0], "bias", None),
     lambda: model[0].register_buffer("mask", w.t.ones(4, 3, dtype=w.t.float64)),
     lambda: model[5].register_parameter("bias", nn.Parameter(w.t.ones(4, dtype=w.t.float64) * r)),
     lambda: model.apply(lambda m: nn.init.constant_(m.weight, r) if isinstance(m, nn.Linear) else None),
     lambda: model.__setitem__(4, nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0)))][j % 8]()  # fmt: skip


def hooks(w, i, j, r):
    m, p = w.model[[0, 3, 5][i % 3]], w.parameter(i)
    t = w.t

    def back(module, given, gave):
        w.heard.append([float(g.sum()) for g in gave if g is not None])

    [lambda: w.handles.append(m.register_forward_hook(lambda m, x, y: w.heard.append(float(y.sum())))),
     lambda: w.handles.append(m.register_forward_hook(lambda m, x, y: y * r)),
     lambda: w.handles.append(m.register_forward_pre_hook(lambda m, x: (x[0] * r,))),
     lambda: w.handles.append(m.register_full_backward_hook(back)),
     lambda: w.handles.append(p.register_hook(lambda g: g * r)),
     lambda: w.handles.append(p.register_hook(lambda g: w.heard.append(float(g.sum())))),
     lambda: w.handles.append(p.register_hook(lambda g: t.clamp(g, -0.1, 0.1))),
     lambda: w.handles.append(m.register_forward_hook(lambda m, x, y: w.kept.append(y.detach()))),
     lambda: w.handles and w.handles.pop(i % len(w.handles)).remove()][j % 9]()  # fmt: skip


def keep(w, i, j, r):
    p, utils = w.parameter(i), w.t.nn.utils
    value = [lambda: p.data, lambda: p.detach(), lambda: p.view(-1), lambda: p.clone(), lambda: p.detach().clone(),
             lambda: p[0], lambda: p.data.view(-1), lambda: p.grad if p.grad is not None else p.data,
             lambda: utils.parameters_to_vector(w.model.parameters()), lambda: copy.deepcopy(p)][j % 10]()  # fmt: skip
    w.kept.append(value)


def change_kept(w, i, j, r):
    if not w.kept:
        return
    v = w.kept[i % len(w.kept)]
    with w.t.no_grad() if j % 2 else w.t.enable_grad():
        [lambda: v.mul_(r), lambda: v.zero_(), lambda: v.data.add_(1), lambda: v.add_(r)][j // 2 % 4]()


def use_kept(w, i, j, r):
    if w.kept:
        (w.kept[i % len(w.kept)] * r).sum().backward()


def gradients(w, i, j, r):
    parameters = [p for p in w.model.parameters() if p.requires_grad]
    found = w.t.autograd.grad(w.model(w.x).pow(2).sum(), parameters[: 1 + j % 3], allow_unused=True)
    if i % 2:
        for p, g in zip(parameters, found, strict=False):
            p.grad = g
    else:
        w.kept.append(found[0])


def attack(w, i, j, r):
    x = [lambda: w.x.clone().detach().requires_grad_(True), lambda: w.x.requires_grad_() and w.x][i % 2]()
    w.model(x).sum().backward()
    with w.t.no_grad():
        moved = x + r * (x.grad * 1e6).round().sign()  # what is 0 but for rounding has no sign
    w.x = [lambda: moved, lambda: x.detach(), lambda: w.t.clamp(moved, -1, 1).detach_()][j % 3]()
    if j % 2:
        x.grad.zero_()


def rates(w, i, j, r):
    group = w.optimizer.param_groups[0]
    lr = w.t.optim.lr_scheduler
    if j % 3 == 0:
        group["lr"] *= 0.5
    elif j % 3 == 1 and w.schedule is None:
        w.schedule = [lr.StepLR(w.optimizer, 2, 0.5), lr.ExponentialLR(w.optimizer, 0.9)][i % 2]
    elif w.schedule is not None:
        w.schedule.step()
        w.heard.append(w.schedule.get_last_lr())


def optimizers(w, i, j, r):
    p, optim = w.t.nn.Parameter(w.t.ones(2, dtype=w.t.float64)), w.t.optim
    moving = [q for q in w.model.parameters() if q.requires_grad]
    if j % 6 == 0 and type(w.optimizer).__name__ == "Adagrad":
        return  # PyTorch's has no state for what is added, and ends in a KeyError
    [lambda: w.optimizer.add_param_group({"params": [p], "lr": 0.2}),
     lambda: w.optimizer.load_state_dict(w.optimizer.state_dict()),
     lambda: setattr(w, "optimizer", copy.deepcopy(w.optimizer)),
     lambda: setattr(w, "optimizer", optim.SGD(moving, lr=0.1, momentum=0.5)),
     lambda: w.optimizer.state.clear(), lambda: w.optimizer.step(lambda: _closure(w))][j % 6]()  # fmt: skip


def _closure(w):
    w.optimizer.zero_grad()
    loss = w.model(w.x).pow(2).mean()
    loss.backward()
    return loss


def vectors(w, i, j, r):
    utils = w.t.nn.utils
    flat = utils.parameters_to_vector(w.model.parameters())
    utils.vector_to_parameters(flat * r if j % 2 else (flat * r).detach(), w.model.parameters())


def statistics(w, i, j, r):
    norm = w.model[1]
    if hasattr(norm, "running_mean"):
        [lambda: norm.running_mean.zero_(), lambda: norm.reset_running_stats(), lambda: norm.running_var.mul_(2),
         lambda: setattr(norm, "momentum", None), lambda: norm.running_mean.data.fill_(r),
         lambda: norm.reset_parameters(),
         lambda: setattr(norm, "running_mean", w.t.zeros(4, dtype=w.t.float64))][j % 7]()  # fmt: skip


DEEDS = {
    learn: 6, forward: 4, backward: 6, step: 6, zero_grad: 4, change_gradient: 5, set_gradient: 3, clip: 3,
    change_data: 5, set_data: 3, change_quietly: 6, change_aloud: 1, freeze: 4, modes: 3, state: 5, through_a_file: 2,
    twins: 5, share: 3, hooks: 5, keep: 4, change_kept: 4, use_kept: 1, gradients: 3, attack: 3, rates: 3,
    optimizers: 3, vectors: 2, statistics: 2,
}  # fmt: skip


def is_rounding(model):
    """Whether numbers are large, or a gradient is 0 but for rounding, which an optimizer may divide by itself."""
    gradients = [p.grad.abs() for p in model.parameters() if p.grad is not None]
    most = max((float(g.max()) for g in gradients), default=0.0)
    if any(bool(((g > 0) & (g < 1e-6 * most)).any()) for g in gradients) or most > 1e4:
        return True
    return not all(bool((v.detach().abs() < 1e4).all()) for v in model.state_dict().values())


def compare(seed, length=14):
    """(what came of it, in words) for the program of one seed; outcomes as in `programs.py`."""
    torch.set_default_dtype(torch.float64)  # in which PyTorch keeps NAdam's product of momenta
    try:
        return _compared(seed, length)
    finally:
        torch.set_default_dtype(torch.float32)


def _compared(seed, length):
    rng = random.Random(seed + 1)
    theirs, ours = World(torch, seed), World(tinyvision, seed)
    for n in range(length):
        deed = rng.choices(list(DEEDS), list(DEEDS.values()))[0]
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
