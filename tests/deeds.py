"""What scripts do to models, optimizers and gradients: each deed is a function of a world and three numbers.

The world has what a program has in hand (see `programs_of_modules`), and `t`, the engine; the numbers, two whole and a
real one, choose among variants and parameters, so that both engines do exactly the same.
"""

import copy
import io


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
    [lambda: None, lambda: [a.data.mul_(0.9).add_(b.data, alpha=0.1) for a, b in pairs(other, w.model)],
     lambda: other.load_state_dict(w.model.state_dict()), lambda: [a.requires_grad_(False) for a in other.parameters()],
     lambda: [a.data.copy_(b.data) for a, b in pairs(other, w.model)], lambda: other.eval(),
     lambda: w.heard.append(other(w.x).sum().item()),
     lambda: [setattr(a, "data", b.data) for a, b in pairs(other, w.model)]][j % 8]()  # fmt: skip


def pairs(one, other):
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
    if not w.kept or w.kept[i % len(w.kept)] is None:
        return
    v = w.kept[i % len(w.kept)]
    with w.t.no_grad() if j % 2 else w.t.enable_grad():
        [lambda: v.mul_(r), lambda: v.zero_(), lambda: v.data.add_(1), lambda: v.add_(r)][j // 2 % 4]()


def use_kept(w, i, j, r):
    if w.kept and w.kept[i % len(w.kept)] is not None:
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
