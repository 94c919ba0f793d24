"""Deeds that are recipes: averaged weights, norms, surgery, penalties, groups, schedules (see `deeds`)."""

import copy

from deeds import DEEDS, forward, learn, pairs


def averages(w, i, j, r):
    """What follows the model slowly: by state dicts, lerp_, copy_, swa_utils."""
    t = w.t
    if len(w.others) < 2:
        w.others.append(copy.deepcopy(w.model))
    other = w.others[0]

    def by_state_dict():
        mine = w.model.state_dict()
        for name, value in other.state_dict().items():
            if value.dtype.is_floating_point:
                value.copy_(value * 0.9 + mine[name].detach() * 0.1)
            else:
                value.copy_(mine[name])

    def by_loading():
        mine, state = w.model.state_dict(), other.state_dict()
        other.load_state_dict(
            {k: v * 0.5 + mine[k] * 0.5 if v.dtype.is_floating_point else v for k, v in state.items()}
        )

    def by_swa_utils():
        averaged = t.optim.swa_utils.AveragedModel(w.model, use_buffers=bool(i % 2))
        averaged.update_parameters(w.model)
        averaged.update_parameters(other)
        w.heard.append(averaged(w.x).sum().item())

    with t.no_grad():
        [by_state_dict, by_loading, lambda: [a.lerp_(b, 0.1) for a, b in pairs(other, w.model)],
         lambda: [a.copy_(0.5 * a + 0.5 * b) for a, b in pairs(other, w.model)],
         lambda: [a.data.lerp_(b.data, 0.3) for a, b in pairs(other, w.model)],
         lambda: [a.sub_((1 - 0.9) * (a - b)) for a, b in pairs(other, w.model)],
         lambda: [b.copy_(a) for a, b in zip(w.model.buffers(), other.buffers(), strict=False)],
         lambda: [b.copy_(a.lerp(b, 0.5)) for a, b in pairs(other, w.model)], by_swa_utils][j % 9]()  # fmt: skip


def norms(w, i, j, r):
    """Weights that are computed from others: weight norm, old and new, and parametrizations of one's own."""
    nn, m = w.t.nn, w.model[[0, 3, 5][i % 3]]
    utils = nn.utils

    class Doubled(nn.Module):
        def forward(self, x):
            return 2 * x

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

    w.t.manual_seed(0)
    [lambda: utils.parametrizations.weight_norm(m), lambda: utils.weight_norm(m), lambda: utils.remove_weight_norm(m),
     lambda: utils.parametrize.register_parametrization(m, "weight", Doubled()),
     lambda: utils.parametrize.register_parametrization(w.model[5], "weight", Symmetric()),
     lambda: utils.parametrize.remove_parametrizations(m, "weight"),
     lambda: utils.parametrize.remove_parametrizations(m, "weight", leave_parametrized=False),
     lambda: w.heard.append(float(m.weight.sum()))][j % 8]()  # fmt: skip


def surgery(w, i, j, r):
    """Layers are taken out, put in, exchanged."""
    model, nn = w.model, w.t.nn
    linear = nn.Linear(4, 4).double()
    nn.init.constant_(linear.weight, 0.3)
    nn.init.zeros_(linear.bias)
    [lambda: model.append(linear), lambda: model.insert(4, nn.Dropout(0.0)), lambda: model.__delitem__(-1),
     lambda: model.__setitem__(1, nn.Identity()), lambda: model.__setitem__(2, nn.ReLU6(inplace=True)),
     lambda: model.add_module("last", linear), lambda: setattr(model[3], "bias", nn.Parameter(linear.bias.detach())),
     lambda: delattr(model[5], "bias") or setattr(model[5], "bias", None), lambda: model.extend([nn.Tanh()]),
     lambda: setattr(w, "model", nn.Sequential(*model.children())), lambda: setattr(w, "model", copy.copy(model)),
     lambda: setattr(w, "model", nn.Sequential(model, nn.Identity())[0]),
     lambda: model[5].register_buffer("kept", w.t.ones(2), persistent=bool(i % 2)),
     lambda: model.__setitem__(4, nn.Dropout(1.0)), lambda: model.pop(4)][j % 15]()  # fmt: skip


def penalty(w, i, j, r):
    """A loss with what is added for the weights."""
    if w.loss is None:
        forward(w, i, j, r)
    parameters = [p for p in w.model.parameters() if p.requires_grad]
    more = [lambda: sum(p.pow(2).sum() for p in parameters), lambda: sum(p.abs().sum() for p in parameters),
            lambda: sum(p.norm(2) for p in parameters), lambda: w.t.stack([p.norm() for p in parameters]).sum(),
            lambda: w.t.cat([p.view(-1) for p in parameters]).norm(1),
            lambda: w.t.nn.utils.parameters_to_vector(parameters).pow(2).mean(),
            lambda: parameters[-1].var() + parameters[0].max()][j % 7]()  # fmt: skip
    w.loss = w.loss + 0.01 * more
    w.heard.append(w.loss.item())


def accumulate(w, i, j, r):
    """Several small batches before a step, with what people do in between."""
    w.optimizer.zero_grad(set_to_none=bool(i % 2))
    for n, part in enumerate(w.x.split(2) if j % 2 else w.x.chunk(2)):
        with w.t.set_grad_enabled(j % 3 > 0 or n == 0):
            loss = w.model(part.detach()).pow(2).mean() / 2
        if loss.requires_grad:
            loss.backward()
        w.heard.append(loss.detach().item())
    if i % 3 == 0:
        w.heard.append(float(w.t.nn.utils.clip_grad_norm_(w.model.parameters(), 0.5, error_if_nonfinite=False)))
    if i % 5:
        w.optimizer.step()


def two_steps(w, i, j, r):
    """Up along the gradient and back, as sharpness-aware minimization goes; or back to where all began."""
    before = [p.detach().clone() for p in w.model.parameters()]
    learn(w, i, 1, r)
    with w.t.no_grad():
        if j % 3 == 0:
            for p, old in zip(w.model.parameters(), before, strict=True):
                p.copy_(old)
        elif j % 3 == 1:
            for p, old in zip(w.model.parameters(), before, strict=True):
                p.data = old + 0.5 * (p - old)
        else:
            norm = w.t.norm(w.t.stack([p.grad.norm(2) for p in w.model.parameters() if p.grad is not None]))
            for p in w.model.parameters():
                if p.grad is not None:
                    p.add_(p.grad * (r / (norm + 1e-12)))


def groups(w, i, j, r):
    """What is changed in an optimizer's groups, and what is read of its state."""
    group, p = w.optimizer.param_groups[i % len(w.optimizer.param_groups)], w.parameter(i)
    state = w.optimizer.state

    def weights_and_biases():
        weights = [q for name, q in w.model.named_parameters() if q.ndim > 1]
        others = [q for name, q in w.model.named_parameters() if q.ndim <= 1]
        groups = [{"params": weights, "weight_decay": 0.1}, {"params": others, "lr": 0.01}]
        w.optimizer = [w.t.optim.AdamW, w.t.optim.SGD, w.t.optim.Adam][i % 3](groups, lr=0.05)

    def moments():
        for value in state.values():
            for name, moment in value.items():
                if "avg" in name and moment is not None:
                    moment.mul_(0.5) if hasattr(moment, "mul_") else moment.__imul__(0.5)

    [weights_and_biases, lambda: group.update(lr=0.03), lambda: group.update(weight_decay=0.2),
     lambda: group.update(maximize=not group.get("maximize", False)), lambda: w.heard.append(len(state)),
     lambda: state.pop(p, None) and group.update(params=[q for q in group["params"] if q is not p]),
     lambda: [g.__setitem__("lr", g["lr"] * 0.9) for g in w.optimizer.param_groups],
     lambda: state.pop(p, None), lambda: w.heard.append(sorted(map(str, state.get(p, {})))),
     lambda: w.optimizer.param_groups.append({**group, "params": []})][j % 10]()  # fmt: skip


def schedules(w, i, j, r):
    """Other schedules than `rates` has, also saved and loaded."""
    lr, optimizer = w.t.optim.lr_scheduler, w.optimizer
    if w.schedule is None or j % 4 == 0:
        w.schedule = [
            lambda: lr.CosineAnnealingLR(optimizer, 5, 0.001), lambda: lr.LambdaLR(optimizer, lambda n: 0.9**n),
            lambda: lr.OneCycleLR(optimizer, 0.2, total_steps=30), lambda: lr.LinearLR(optimizer, 0.5, total_iters=3),
            lambda: lr.CosineAnnealingWarmRestarts(optimizer, 3), lambda: lr.PolynomialLR(optimizer, 10, 2),
            lambda: lr.MultiplicativeLR(optimizer, lambda n: 0.8), lambda: lr.ConstantLR(optimizer, 0.3, 2),
            lambda: lr.SequentialLR(optimizer, [lr.ConstantLR(optimizer), lr.ExponentialLR(optimizer, 0.5)], [2]),
            lambda: lr.ChainedScheduler([lr.StepLR(optimizer, 2), lr.ExponentialLR(optimizer, 0.9)]),
        ][i % 10]()  # fmt: skip
    elif j % 4 == 1:
        w.schedule.load_state_dict(w.schedule.state_dict())
    else:
        w.schedule.step()
    w.heard.append(w.schedule.get_last_lr())


def halves(w, i, j, r):
    """Parts of a model, with gradients through some of them alone."""
    model, t = w.model, w.t
    first, last = model[:3], model[3:]

    def frozen():
        with t.no_grad():
            h = first(w.x)
        return last(h)

    def returned():
        h = first(w.x)
        h.retain_grad()
        y = last(h)
        y.pow(2).sum().backward()
        w.kept.append(h.grad)
        return model(w.x)

    def from_here():
        h = first(w.x).detach().requires_grad_()
        last(h).sum().backward()
        return (first(w.x) * h.grad).sum()

    def recomputed():
        """It goes back at once: what came in between, a hook or another weight, is undefined in a recomputation. And
        without the batch-norm, whose running statistics PyTorch's recomputation moves a second time, and without
        forward hooks, most of which it calls a second time."""
        if any(m._forward_hooks or m._forward_pre_hooks for m in last.modules()):
            return model(w.x)
        y = t.utils.checkpoint.checkpoint(last, first(w.x).detach().requires_grad_(), use_reentrant=False)
        y.pow(2).mean().backward()
        return model(w.x)

    y = [frozen, lambda: last(first(w.x).detach()), returned, from_here, lambda: last(first(w.x)) + model(w.x),
         lambda: last(last(first(w.x))), lambda: model(w.x.clone()) * t.sigmoid(model(w.x)).detach(),
         recomputed, lambda: last(first(w.x)[i % 5 :]), lambda: model(w.x[: 2 + i % 3])][j % 10]()  # fmt: skip
    w.loss = y.pow(2).mean()


def dtypes(w, i, j, r):
    """To float32 and back, of the model or parts of it."""
    model = w.model
    [lambda: model.float().double(), lambda: model[0].float(), lambda: model.double(), lambda: model.half().double(),
     lambda: model.to(w.t.float32).to(w.t.float64), lambda: setattr(w, "model", model.to("cpu")),
     lambda: [setattr(p, "data", p.data.float().double()) for p in model.parameters()],
     lambda: model.apply(lambda m: m.double())][j % 8]()  # fmt: skip


def switches(w, i, j, r):
    """What is switched in layers that have statistics, or are at random."""
    norm = w.model[1]
    w.model.apply(lambda m: setattr(m, "inplace", bool(i % 2)) if hasattr(m, "inplace") else None)
    if hasattr(norm, "running_mean"):
        [lambda: setattr(norm, "track_running_stats", bool(i % 2)), lambda: setattr(norm, "momentum", 0.5),
         lambda: norm.num_batches_tracked.zero_(), lambda: setattr(norm, "running_mean", None),
         lambda: setattr(norm, "running_var", None), lambda: norm.running_var.fill_(abs(r)),
         lambda: setattr(norm, "eps", 0.1), lambda: norm.weight.data.fill_(1), lambda: norm.bias.data.zero_(),
         lambda: norm.weight.requires_grad_(False), lambda: norm.eval(),
         lambda: setattr(norm, "momentum", [None, 0.3][i % 2])][j % 12]()  # fmt: skip


def replace(w, i, j, r):
    """Hooks that change what goes back, of layers and of values."""
    m, t = w.model[[0, 2, 3, 4, 5][i % 5]], w.t

    def scaled(module, given, gave):
        return tuple(None if g is None else g * r for g in given)

    def of_output(module, inputs, output):
        if output.requires_grad:
            output.register_hook(lambda g: g.clamp(-0.5, 0.5))

    def retained(module, inputs, output):
        if output.requires_grad:
            output.retain_grad()
            w.kept.append(output)

    handle = [lambda: m.register_full_backward_hook(scaled), lambda: m.register_forward_hook(of_output),
              lambda: m.register_forward_hook(lambda m, x, y: y.detach()),
              lambda: m.register_forward_hook(lambda m, x, y: y.mul_(r) if y.is_leaf is False else None),
              lambda: w.parameter(j).register_hook(lambda g: g.mul_(r)),
              lambda: w.parameter(j).register_hook(lambda g: t.zeros_like(g)),
              lambda: w.parameter(j).register_hook(lambda g: g.add_(w.parameter(j).detach())),
              lambda: m.register_forward_hook(lambda m, x, y: w.heard.append(float(y.detach().norm()))),
              lambda: m.register_forward_pre_hook(lambda m, x: (x[0].clone(),))][j % 9]()  # fmt: skip
    w.handles.append(handle)


def mixed(w, i, j, r):
    """Gradients of two models or two losses, put together by hand."""
    t, parameters = w.t, [p for p in w.model.parameters() if p.requires_grad]

    def two_losses():
        y = w.model(w.x)
        one = t.autograd.grad(y.sum(), parameters, retain_graph=True, allow_unused=True)
        other = t.autograd.grad(y.pow(2).sum(), parameters, allow_unused=True)
        for p, a, b in zip(parameters, one, other, strict=True):
            if a is not None and b is not None:
                p.grad = a + b - (a * b).sum() / (a.norm() + 1) * a

    def from_another():
        if not w.others:
            w.others.append(copy.deepcopy(w.model))
        w.others[-1](w.x).pow(2).mean().backward()
        for a, b in pairs(w.model, w.others[-1]):
            if b.grad is not None:
                a.grad = b.grad if i % 2 else b.grad.clone()

    def mean():
        found = [p.grad.view(-1) for p in parameters if p.grad is not None]
        if found:
            w.heard.append(float(t.cat(found).norm()))
            for p in parameters:
                if p.grad is not None:
                    p.grad.div_(2).sub_(p.grad.mean())

    def noise():
        for p in parameters:
            if p.grad is not None:
                p.grad += r * t.ones_like(p.grad)
                p.grad = p.grad * (p.abs() > 0.5).to(p.grad.dtype)

    def twice():
        y = w.model(w.x)
        y.sum().backward(retain_graph=True)
        y.pow(2).mean().backward()

    def inputs_alone():
        t.autograd.backward(w.model(w.x).sum(), inputs=parameters[:2])

    [two_losses, from_another, mean, noise, twice, inputs_alone][j % 6]()


RECIPES = {
    **DEEDS, averages: 4, norms: 3, surgery: 3, penalty: 3, accumulate: 4, two_steps: 3, groups: 3, schedules: 3,
    halves: 3, dtypes: 2, switches: 3, replace: 3, mixed: 4,
}  # fmt: skip
