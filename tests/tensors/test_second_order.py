"""Gradients of gradients against PyTorch, in float64: every rule, with random signed upstreams that want one too."""

import itertools
import weakref

import numpy as np
import pytest

import tinyvision
import tinyvision.nn.functional
from tinyvision import autograd
from tinyvision.errors import GraphError
from tinyvision.tape import differentiable
from tinyvision.tensors import taped

torch = pytest.importorskip("torch")

# A case: (name, function of the library, its functional and the inputs, shapes of the inputs, from where they come)
POSITIVE, UNIT, WIDE = (0.3, 2.0), (-0.8, 0.8), (-2.0, 2.0)
CASES = [
    ("add", lambda t, F, a, b: a + b, [(3, 4), (4,)], WIDE),
    ("add a number", lambda t, F, a: 2 + a * a, [(3, 4)], WIDE),
    ("sub", lambda t, F, a, b: a * a - b, [(3, 4), (3, 1)], WIDE),
    ("rsub", lambda t, F, a: 2 - a * a, [(3, 4)], WIDE),
    ("mul", lambda t, F, a, b: a * b, [(3, 4), (2, 1, 4)], WIDE),
    ("mul of one and itself", lambda t, F, a: a * a * 3, [(3, 4)], WIDE),
    ("div", lambda t, F, a, b: a / b, [(3, 4), (4,)], POSITIVE),
    ("rdiv", lambda t, F, a: 2 / a, [(3, 4)], POSITIVE),
    ("neg", lambda t, F, a: -a * a, [(3, 4)], WIDE),
    *((f"pow {p}", lambda t, F, a, p=p: a**p, [(3, 4)], POSITIVE) for p in (0, 1, 2, 3, 0.5, -1, -0.5, 1.7)),
    ("power of a tensor", lambda t, F, a, b: a**b, [(3, 4), (4,)], POSITIVE),
    ("power of a number", lambda t, F, a: 2**a, [(3, 4)], WIDE),
    *((n, lambda t, F, a, n=n: getattr(t, n)(a), [(3, 4)], POSITIVE)
      for n in ("exp", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "square", "reciprocal", "expm1", "asinh")),
    *((n, lambda t, F, a, n=n: getattr(t, n)(a), [(3, 4)], UNIT)
      for n in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "atanh", "erf", "erfinv", "abs",
                "sigmoid")),
    ("acosh", lambda t, F, a: t.acosh(a + 1.5), [(3, 4)], POSITIVE),
    ("logit", lambda t, F, a: t.logit(a), [(3, 4)], (0.1, 0.9)),
    ("logit with eps", lambda t, F, a: t.logit(a, 0.25), [(3, 4)], (0.1, 0.9)),
    ("maximum", lambda t, F, a, b: t.maximum(a * a, b), [(3, 4), (4,)], WIDE),
    ("minimum", lambda t, F, a, b: t.minimum(a * a, b), [(3, 4), (4,)], WIDE),
    ("atan2", lambda t, F, a, b: t.atan2(a, b), [(3, 4), (4,)], POSITIVE),
    ("hypot", lambda t, F, a, b: t.hypot(a, b), [(3, 4), (4,)], POSITIVE),
    ("logaddexp", lambda t, F, a, b: t.logaddexp(a, b), [(3, 4), (4,)], WIDE),
    ("remainder", lambda t, F, a, b: t.remainder(a * a, b), [(3, 4), (3, 4)], POSITIVE),
    ("lerp", lambda t, F, a, b, w: t.lerp(a, b, w), [(3, 4)] * 3, WIDE),
    ("clamp", lambda t, F, a: (a * a).clamp(0.5, 2), [(3, 4)], WIDE),
    ("where", lambda t, F, a, b: t.where(a > 0, a * b, b * b), [(3, 4), (4,)], WIDE),
    ("round", lambda t, F, a: t.round(a) * a, [(3, 4)], WIDE),
    # activations
    *((n, lambda t, F, a, n=n: getattr(F, n)(a * a.abs()), [(3, 5)], WIDE)
      for n in ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "logsigmoid",
                "hardtanh", "hardswish", "softsign", "tanhshrink", "softshrink", "hardshrink")),
    ("gelu tanh", lambda t, F, a: F.gelu(a, approximate="tanh"), [(3, 5)], WIDE),
    ("softplus beta", lambda t, F, a: F.softplus(a, 2.0, 1.5), [(3, 5)], WIDE),
    ("threshold", lambda t, F, a: F.threshold(a * a, 0.5, 3), [(3, 5)], WIDE),
    ("prelu", lambda t, F, a, w: F.prelu(a, w), [(3, 4, 2, 2), (4,)], WIDE),
    ("prelu of one", lambda t, F, a, w: F.prelu(a, w), [(3, 4), (1,)], WIDE),
    ("leaky in place", lambda t, F, a: F.leaky_relu(a * a.sin(), 0.2, inplace=True), [(3, 5)], WIDE),
    ("relu in place", lambda t, F, a: F.relu(a * a.sin(), inplace=True) ** 2, [(3, 5)], WIDE),
    ("in place", lambda t, F, a: (a * a).add_(a).mul_(2).exp_(), [(3, 5)], UNIT),
    ("written", lambda t, F, a, b: _written(t, a, b), [(3, 4), (2,)], WIDE),
    # reductions
    ("sum", lambda t, F, a: (a * a).sum(1), [(3, 4)], WIDE),
    ("mean", lambda t, F, a: (a * a).mean((0, 2), keepdim=True), [(3, 4, 2)], WIDE),
    ("var", lambda t, F, a: a.var(1), [(3, 4)], WIDE),
    ("var of all", lambda t, F, a: a.var(unbiased=False), [(3, 4)], WIDE),
    ("std", lambda t, F, a: a.std(0, keepdim=True), [(3, 4)], WIDE),
    *((f"norm {p}", lambda t, F, a, p=p: a.norm(p, dim=1), [(3, 4)], WIDE) for p in (1, 2, 3, 1.5)),
    ("norm of all", lambda t, F, a: a.norm(), [(3, 4)], WIDE),
    ("max", lambda t, F, a: (a * a).max(), [(3, 4)], WIDE),
    ("max of an axis", lambda t, F, a: (a * a).max(1)[0], [(3, 4)], WIDE),
    ("min of an axis", lambda t, F, a: (a * a).min(0).values, [(3, 4)], WIDE),
    ("amax", lambda t, F, a: (a * a).amax((0, 1)), [(3, 4, 2)], WIDE),
    ("logsumexp", lambda t, F, a: a.logsumexp(1), [(3, 4)], WIDE),
    ("prod", lambda t, F, a: a.prod(), [(3, 2)], WIDE),
    ("prod of an axis", lambda t, F, a: a.prod(1), [(3, 4)], WIDE),
    ("prod with a zero", lambda t, F, a: (a * _zero_at(t, a)).prod(1), [(3, 4)], WIDE),
    ("cumprod", lambda t, F, a: (a * a).cumprod(1), [(3, 4)], WIDE),
    ("how many are not 0", lambda t, F, a: a.norm(0, dim=1) * a[:, 0] ** 2, [(3, 4)], WIDE),
    ("whole quotients", lambda t, F, a, b: t.div(a, b, rounding_mode="floor") * a * b, [(3, 4)] * 2, POSITIVE),
    ("cumsum", lambda t, F, a: (a * a).cumsum(1), [(3, 4)], WIDE),
    ("softmax", lambda t, F, a: a.softmax(1), [(3, 4, 2)], WIDE),
    ("log_softmax", lambda t, F, a: a.log_softmax(-1), [(3, 4)], WIDE),
    ("normalize", lambda t, F, a: F.normalize(a, dim=1), [(3, 4)], WIDE),
    ("cosine", lambda t, F, a, b: F.cosine_similarity(a, b), [(3, 4)] * 2, WIDE),
    # moved about
    ("views", lambda t, F, a: (a * a).reshape(2, 6).t().unsqueeze(0).expand(3, 6, 2)[1:, ::2].flatten(1),
     [(3, 4)], WIDE),
    ("permute", lambda t, F, a: (a * a).permute(2, 0, 1).squeeze().transpose(0, 1), [(3, 4, 1)], WIDE),
    ("cat", lambda t, F, a, b: t.cat([a * a, b * a[:, :2]], 1), [(3, 4), (3, 2)], WIDE),
    ("cat with a constant", lambda t, F, a: t.cat([a * a, t.ones_like(a)], 1), [(3, 4)], WIDE),
    ("stack", lambda t, F, a, b: t.stack([a * a, b * a]), [(3, 4)] * 2, WIDE),
    ("split", lambda t, F, a: t.mul(*(a * a).split(2, 1)), [(3, 4)], WIDE),
    ("chunk", lambda t, F, a: t.add(*(a * a).chunk(2, 1)), [(3, 4)], WIDE),
    ("index by places", lambda t, F, a: (a * a)[t.tensor([0, 2, 2])], [(3, 4)], WIDE),
    ("index by a mask", lambda t, F, a: (a * a)[a > 0], [(3, 4)], WIDE),
    ("index_select", lambda t, F, a: (a * a).index_select(1, t.tensor([3, 0, 3])), [(3, 4)], WIDE),
    ("gather", lambda t, F, a: (a * a).gather(1, t.tensor([[0, 0], [1, 2], [3, 1]])), [(3, 4)], WIDE),
    ("scatter", lambda t, F, a, b: (a * a).scatter(1, t.tensor([[0, 1], [1, 2], [3, 1]]), b * b),
     [(3, 4), (3, 2)], WIDE),
    ("scatter_add", lambda t, F, a, b: (a * a).scatter_add(1, t.tensor([[0, 0], [1, 2], [3, 3]]), b * b),
     [(3, 4), (3, 2)], WIDE),
    ("masked_fill", lambda t, F, a: (a * a).masked_fill(a > 0, 0.5), [(3, 4)], WIDE),
    ("sort", lambda t, F, a: (a * a).sort(1)[0], [(3, 4)], WIDE),
    ("flip and roll", lambda t, F, a: t.roll((a * a).flip(1), 1, 0), [(3, 4)], WIDE),
    ("repeat", lambda t, F, a: (a * a).repeat(2, 1, 2), [(3, 4)], WIDE),
    ("diagonal", lambda t, F, a: (a * a).diagonal(), [(3, 4)], WIDE),
    ("triu", lambda t, F, a: (a * a).triu(), [(3, 4)], WIDE),
    *((f"pad {m}", lambda t, F, a, m=m: F.pad(a * a, (1, 2, 1, 0), mode=m), [(2, 2, 3, 4)], WIDE)
      for m in ("constant", "reflect", "replicate", "circular")),
    ("pad with a value", lambda t, F, a: F.pad(a * a, (1, 2), value=3.0), [(3, 4)], WIDE),
    ("to another dtype", lambda t, F, a: (a * a).to(t.float64).clone().contiguous(), [(3, 4)], WIDE),
    ("embedding", lambda t, F, w: F.embedding(t.tensor([[0, 2], [2, 1]]), w * w), [(3, 4)], WIDE),
    # products and layers
    ("matmul", lambda t, F, a, b: a @ b, [(2, 3, 4), (4, 5)], WIDE),
    ("bmm", lambda t, F, a, b: t.bmm(a, b), [(2, 3, 4), (2, 4, 5)], WIDE),
    ("matmul broadcast", lambda t, F, a, b: a @ b, [(3, 1, 2, 4), (2, 4, 5)], WIDE),
    ("mv", lambda t, F, a, b: a @ b, [(3, 4), (4,)], WIDE),
    ("einsum", lambda t, F, a, b: t.einsum("bij,bkj->bik", a, b), [(2, 3, 4), (2, 5, 4)], WIDE),
    ("linear", lambda t, F, x, w, b: F.linear(x, w, b), [(3, 4), (5, 4), (5,)], WIDE),
    ("linear of more axes", lambda t, F, x, w: F.linear(x, w), [(2, 3, 4), (5, 4)], WIDE),
    ("linear of one", lambda t, F, x, w, b: F.linear(x, w, b), [(4,), (5, 4), (5,)], WIDE),
    ("conv2d", lambda t, F, x, w, b: F.conv2d(x, w, b), [(2, 3, 5, 6), (4, 3, 3, 2), (4,)], WIDE),
    ("conv2d strided", lambda t, F, x, w, b: F.conv2d(x, w, b, (2, 3), (1, 2)),
     [(2, 3, 6, 8), (4, 3, 3, 3), (4,)], WIDE),
    ("conv2d dilated", lambda t, F, x, w: F.conv2d(x, w, None, 2, 2, (2, 1)), [(1, 2, 7, 8), (3, 2, 3, 3)], WIDE),
    ("conv2d grouped", lambda t, F, x, w: F.conv2d(x, w, None, 1, 1, 1, 2), [(2, 4, 5, 5), (6, 2, 3, 3)], WIDE),
    ("conv2d depthwise", lambda t, F, x, w: F.conv2d(x, w, None, 2, 1, 1, 4), [(2, 4, 5, 6), (4, 1, 3, 3)], WIDE),
    ("conv2d 1x1", lambda t, F, x, w: F.conv2d(x, w), [(2, 3, 4, 4), (5, 3, 1, 1)], WIDE),
    ("conv2d left over", lambda t, F, x, w: F.conv2d(x, w, None, 3), [(1, 2, 7, 8), (3, 2, 2, 2)], WIDE),
    ("conv1d", lambda t, F, x, w: F.conv1d(x, w, None, 2, 1), [(2, 3, 7), (4, 3, 3)], WIDE),
    ("conv_transpose2d", lambda t, F, x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), [(2, 3, 4, 3), (3, 4, 3, 3), (4,)],
     WIDE),
    ("conv_transpose2d grouped", lambda t, F, x, w: F.conv_transpose2d(x, w, None, (2, 1), 0, 0, 2, (1, 2)),
     [(2, 4, 3, 3), (4, 3, 3, 2)], WIDE),
    ("unfold", lambda t, F, x: F.unfold(x * x, 2, 1, 1, 2), [(2, 3, 4, 5)], WIDE),
    ("fold", lambda t, F, x: F.fold(x * x, (4, 5), 2), [(2, 8, 12)], WIDE),
    ("batch_norm train", lambda t, F, x, w, b: F.batch_norm(x, None, None, w, b, True),
     [(4, 3, 2, 2), (3,), (3,)], WIDE),
    ("batch_norm rows", lambda t, F, x, w, b: F.batch_norm(x, None, None, w, b, True), [(6, 3), (3,), (3,)], WIDE),
    ("batch_norm eval", lambda t, F, x, w, b: F.batch_norm(
        x, t.tensor([0.1, 0.2, 0.3], dtype=t.float64), t.tensor([1.0, 2.0, 0.5], dtype=t.float64), w, b, False),
     [(4, 3, 2, 2), (3,), (3,)], WIDE),
    ("instance_norm", lambda t, F, x, w, b: F.instance_norm(x, None, None, w, b), [(2, 3, 3, 2), (3,), (3,)], WIDE),
    ("group_norm", lambda t, F, x, w, b: F.group_norm(x, 2, w, b), [(2, 4, 3, 2), (4,), (4,)], WIDE),
    ("group_norm alone", lambda t, F, x: F.group_norm(x, 2), [(2, 4, 3, 2)], WIDE),
    ("layer_norm", lambda t, F, x, w, b: F.layer_norm(x, (3, 2), w, b), [(4, 3, 2), (3, 2), (3, 2)], WIDE),
    ("layer_norm alone", lambda t, F, x: F.layer_norm(x, (2,)), [(4, 3, 2)], WIDE),
    ("batch_norm thrice", lambda t, F, x, w, b: _composed(t, x, (0, 2, 3), w.reshape(3, 1, 1), b.reshape(3, 1, 1))
     if t is torch else F.batch_norm(x, None, None, w, b, True), [(4, 3, 2, 2), (3,), (3,)], WIDE),
    ("layer_norm thrice", lambda t, F, x, w, b: _composed(t, x, (1, 2), w, b)
     if t is torch else F.layer_norm(x, (3, 2), w, b), [(4, 3, 2), (3, 2), (3, 2)], WIDE),
    ("instance_norm thrice", lambda t, F, x: _composed(t, x, (2, 3), None, None)
     if t is torch else F.instance_norm(x), [(2, 3, 3, 2)], WIDE),
    ("max_pool2d", lambda t, F, x: F.max_pool2d(x * x, 3, 2, 1), [(2, 3, 6, 5)], WIDE),
    ("avg_pool2d", lambda t, F, x: F.avg_pool2d(x * x, 3, 2, 1, count_include_pad=False), [(2, 3, 6, 5)], WIDE),
    ("adaptive_avg_pool2d", lambda t, F, x: F.adaptive_avg_pool2d(x * x, (2, 3)), [(2, 3, 5, 7)], WIDE),
    ("adaptive_max_pool2d", lambda t, F, x: F.adaptive_max_pool2d(x * x, (2, 3)), [(2, 3, 5, 7)], WIDE),
    ("nearest", lambda t, F, x: F.interpolate(x * x, scale_factor=2), [(2, 3, 3, 2)], WIDE),
    ("bilinear sizes", lambda t, F, x: F.interpolate(x * x, (5, 4), mode="bilinear", align_corners=True),
     [(2, 3, 3, 2)], WIDE),
    ("pixel_shuffle", lambda t, F, x: F.pixel_shuffle(x * x, 2), [(2, 8, 3, 2)], WIDE),
    ("grid_sample", lambda t, F, x: F.grid_sample(x * x, _grid(t), align_corners=False), [(1, 2, 4, 4)], WIDE),
    # losses
    *((f"mse {r}", lambda t, F, x, y, r=r: F.mse_loss(x, y, reduction=r), [(3, 4)] * 2, WIDE)
      for r in ("mean", "sum", "none")),
    ("l1", lambda t, F, x, y: F.l1_loss(x * x, y * y), [(3, 4)] * 2, WIDE),
    ("smooth_l1", lambda t, F, x, y: F.smooth_l1_loss(x, y, beta=0.7), [(3, 4)] * 2, WIDE),
    ("huber", lambda t, F, x, y: F.huber_loss(x, y, delta=0.7), [(3, 4)] * 2, WIDE),
    ("bce", lambda t, F, x: F.binary_cross_entropy(x, t.tensor([[0.0], [1.0], [0.3]], dtype=t.float64)), [(3, 1)],
     (0.1, 0.9)),
    ("bce with logits", lambda t, F, x, y: F.binary_cross_entropy_with_logits(x, y), [(3, 4)] * 2, (0.1, 0.9)),
    ("bce with logits, weighted", lambda t, F, x: F.binary_cross_entropy_with_logits(
        x, t.ones_like(x) * 0.3, pos_weight=t.tensor([1.0, 2.0, 3.0, 0.5], dtype=t.float64)), [(3, 4)], WIDE),
    ("kl_div", lambda t, F, x, y: F.kl_div(x, y, reduction="sum"), [(3, 4)] * 2, (0.1, 0.9)),
    ("cross_entropy", lambda t, F, x: F.cross_entropy(x, t.tensor([0, 3, 1])), [(3, 4)], WIDE),
    ("cross_entropy, weighted", lambda t, F, x: F.cross_entropy(
        x, t.tensor([0, 3, 1]), t.tensor([1.0, 2.0, 3.0, 0.5], dtype=t.float64), label_smoothing=0.1), [(3, 4)], WIDE),
    ("cross_entropy of pictures", lambda t, F, x: F.cross_entropy(
        x, t.tensor([[0, 3], [-100, 1]]), reduction="none"), [(2, 4, 2)], WIDE),
    ("cross_entropy of shares", lambda t, F, x, y: F.cross_entropy(x, y.softmax(1), label_smoothing=0.1), [(3, 4)] * 2,
     WIDE),
    ("nll", lambda t, F, x: F.nll_loss(x.log_softmax(1), t.tensor([0, 3, 1])), [(3, 4)], WIDE),
]  # fmt: skip

# PyTorch's third derivatives of these are wrong (it takes the statistics for constants there) or missing: `_composed`
# has them right.
NO_THIRD = (
    "batch_norm train", "batch_norm rows", "instance_norm", "layer_norm", "layer_norm alone", "conv_transpose2d",
)  # fmt: skip


def _composed(t, x, axes, weight, bias):
    """A normalisation in PyTorch put together from its arithmetic."""
    centred = x - x.mean(axes, keepdim=True)
    y = centred / ((centred * centred).mean(axes, keepdim=True) + 1e-5).sqrt()
    return y if weight is None else y * weight + bias


def _written(t, a, b):
    y = a * a
    y[:, 1] = (b * b).sum()
    y[1:, 2:] *= b
    z = y.clone()
    z[0] += y[2]
    return z


def _zero_at(t, a):
    kept = np.ones((3, 4))
    kept[1, 2] = kept[2, 0] = kept[2, 3] = 0
    return t.tensor(kept)


def _grid(t):
    return t.tensor(np.random.default_rng(5).uniform(-1, 1, (1, 3, 3, 2)))


def of_both(function, arrays, thrice=True, seed=7):
    """The values, gradients, and gradients of a random sum of those, in both engines."""
    results = []
    for t, F, grad in (
        (torch, torch.nn.functional, torch.autograd.grad),
        (tinyvision, tinyvision.nn.functional, autograd.grad),
    ):
        rng = np.random.default_rng(seed)
        inputs = [t.tensor(a.copy(), requires_grad=True) for a in arrays]
        y = function(t, F, *inputs)
        u = t.tensor(rng.standard_normal(tuple(y.shape)), requires_grad=True)
        first = grad(y, inputs, u, create_graph=True, allow_unused=True)
        some = [g for g in first if g is not None and g.requires_grad]
        weighted = sum((g * t.tensor(rng.standard_normal(tuple(g.shape)))).sum() for g in some)
        # The value in it as well, which the graph of the gradient shares with the gradient.
        total = weighted + (weighted * weighted + (y * y).sum())
        second = grad(total, [*inputs, u], create_graph=True, allow_unused=True)
        cubes = sum(((g * g).sum() for g in second if g is not None), start=t.zeros(()))
        third = grad(cubes, [*inputs, u], allow_unused=True) if thrice and cubes.requires_grad else []
        results.append([None if v is None else v.detach().numpy() for v in (y, *first, *second, *third)])
    return results


@pytest.mark.parametrize(("name", "function", "shapes", "range_"), CASES, ids=[case[0] for case in CASES])
def test_the_gradients_of_gradients_are_pytorchs(name, function, shapes, range_):
    rng = np.random.default_rng(sum(map(ord, name)))
    theirs, ours = of_both(function, [rng.uniform(*range_, shape) for shape in shapes], name not in NO_THIRD)
    for a, b in itertools.zip_longest(theirs, ours):
        zero = np.zeros(())  # None and a zero are the same gradient
        a, b = zero if a is None else a, zero if b is None else b
        np.testing.assert_allclose(b + 0 * a, a + 0 * b, rtol=1e-8, atol=1e-9)


def test_penalties_reach_weights_through_backward_and_add_to_what_is_there():
    x, w = tinyvision.ones(3, requires_grad=True), tinyvision.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w.grad = tinyvision.ones(3)
    (g,) = autograd.grad((x * x * w).sum(), x, create_graph=True)
    assert g.requires_grad
    assert x.grad is None
    assert w.grad.tolist() == [1, 1, 1]
    ((g.norm() - 1) ** 2).backward()
    theirs = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    ((2 * theirs).norm() - 1).square().backward()
    np.testing.assert_allclose(w.grad.numpy(), 1 + theirs.grad.numpy(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:backward")
def test_a_backward_leaves_gradients_with_a_history_that_are_memory_of_their_own():
    x, y = (tinyvision.ones(2, requires_grad=True) for _ in range(2))
    (x + y).sum().backward(create_graph=True)
    assert x.grad is not y.grad
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    assert x.grad.tolist() == [4, 4]
    assert autograd.grad(x.grad.sum(), x)[0].tolist() == [6, 6]
    y.grad = None
    autograd.backward((y**3).sum(), create_graph=True, inputs=[y])
    assert autograd.grad(y.grad.sum(), y)[0].tolist() == [6, 6]


def test_it_is_recorded_under_no_grad_and_what_was_not_recorded_is_a_constant():
    x = tinyvision.tensor([2.0], requires_grad=True)
    with tinyvision.no_grad():
        frozen = x * 5
    y = x**3 * frozen
    with tinyvision.no_grad():
        (g,) = autograd.grad(y, x, create_graph=True)
        assert not (x * 2).requires_grad
    assert g.requires_grad
    assert autograd.grad(g, x)[0].tolist() == [6 * 2 * 10]
    assert not autograd.grad((x * 3).sum(), x, create_graph=True)[0].requires_grad


def test_a_start_with_a_history_is_gone_back_through():
    x, u = tinyvision.tensor([3.0], requires_grad=True), tinyvision.tensor([1.0], requires_grad=True)
    (g,) = autograd.grad(x * x, x, u, create_graph=True)
    assert autograd.grad(g, u)[0].tolist() == [6]


def test_the_graph_is_kept_unless_told_otherwise():
    x = tinyvision.tensor([3.0], requires_grad=True)
    y = x**3
    autograd.grad(y, x, create_graph=True)
    autograd.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(GraphError, match="already been used"):
        autograd.grad(y, x, create_graph=True)


def test_values_that_nobody_has_any_more_are_computed_again():
    """What the backward of a norm needs is the norm's input, which is a sum that nothing holds."""
    results = []
    for t, grad in ((torch, torch.autograd.grad), (tinyvision, autograd.grad)):
        x = t.tensor(np.linspace(-1, 1, 5), requires_grad=True)
        y = ((x.sin() + x).reshape(5, 1) + t.ones(5, dtype=t.float64)).var()
        (g,) = grad(y, x, create_graph=True)
        results.append(grad((g * g).sum(), x)[0].numpy())
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_what_was_changed_in_place_since_is_told_and_what_is_not_needed_is_not():
    w = tinyvision.ones(2, requires_grad=True)
    y = (w * w).sum()
    with tinyvision.no_grad():
        w += 1
    with pytest.raises(GraphError, match="changed in place"):
        autograd.grad(y, w, create_graph=True)
    w = tinyvision.ones(2, requires_grad=True)
    y = (w + w).var()
    with tinyvision.no_grad():
        w += 1
    with pytest.raises(GraphError, match="changed in place"):
        autograd.grad(y, w, create_graph=True)


def test_hooks_see_gradients_with_a_history_and_may_change_them():
    results = []
    for t, grad in ((torch, torch.autograd.grad), (tinyvision, autograd.grad)):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        h = x * x
        h.register_hook(lambda g: g * g)
        (g,) = grad((h * h).sum(), x, create_graph=True)
        results.append((g.tolist(), grad(g.sum(), x)[0].tolist()))
    assert results[0] == results[1]


def test_hooks_of_modules_look_on_and_cut_nothing_off():
    results = []
    for t, grad in ((torch, torch.autograd.grad), (tinyvision, autograd.grad)):
        model, seen = t.nn.Sequential(t.nn.Linear(4, 4), t.nn.Tanh(), t.nn.Linear(4, 1)).double(), []
        rng = np.random.default_rng(1)
        for p in model.parameters():
            p.data = t.tensor(rng.standard_normal(tuple(p.shape)))
        hook = model[1].register_full_backward_hook(lambda m, got, given, seen=seen: seen.append(got[0].sum().item()))
        x = t.tensor(rng.standard_normal((3, 4)), requires_grad=True)
        (g,) = grad(model(x).sum(), x, create_graph=True)
        hook.remove()
        (g * g).sum().backward()
        assert seen
        results.append([p.grad.numpy() for p in (x, model[0].weight, model[2].weight)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    model[1].register_full_backward_hook(lambda m, got, given: (got[0] * 2,))
    with pytest.raises(GraphError, match="without a history"):
        autograd.grad(model(x).sum(), x, create_graph=True)


def test_dropout_keeps_its_mask_and_batch_norm_its_averages():
    tinyvision.manual_seed(0)
    x = tinyvision.randn(6, 3, requires_grad=True)
    norm, drop = tinyvision.nn.BatchNorm1d(3), tinyvision.nn.Dropout(0.5)
    y = drop(norm(x))
    averages = norm.running_mean.tolist()
    (g,) = autograd.grad((y**2).sum(), y, create_graph=True)
    (g,) = autograd.grad((drop(x) ** 3).sum(), x, create_graph=True)
    (h,) = autograd.grad(g.sum(), x)
    assert norm.running_mean.tolist() == averages
    np.testing.assert_allclose(h.numpy(), np.where(g.detach().numpy() != 0, 6 * 8 * x.detach().numpy(), 0), rtol=1e-5)


def test_a_function_of_ones_own_is_gone_back_through_twice():
    results = []
    for t, ag in ((torch, torch.autograd), (tinyvision, autograd)):

        class Both(ag.Function):
            @staticmethod
            def forward(ctx, x, w, k):
                y = x.exp()
                ctx.save_for_backward(x, w, y)
                ctx.k = k
                return y * w * k, y

            @staticmethod
            def backward(ctx, a, b):
                _, w, y = ctx.saved_tensors
                return (a * w * ctx.k + b) * y, a * y * ctx.k, None

        x = t.tensor([0.1, 0.2, 0.3], dtype=t.float64, requires_grad=True)
        w = t.tensor([2.0, -1.0, 3.0], dtype=t.float64, requires_grad=True)
        a, b = Both.apply(x * x, w, 3)
        first = ag.grad((a * a + b * a).sum(), [x, w], create_graph=True)
        second = ag.grad(sum((g * g).sum() for g in first), [x, w])
        results.append([g.detach().numpy() for g in (*first, *second)])
    np.testing.assert_allclose(results[1][2:], results[0][2:], rtol=1e-12)
    np.testing.assert_allclose(results[1][:2], results[0][:2], rtol=1e-12)


def test_what_is_once_differentiable_says_so():
    class Square(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return 2 * x * dy

    x = tinyvision.tensor([3.0], requires_grad=True)
    assert autograd.grad(Square.apply(x), x)[0].tolist() == [6]
    y = Square.apply(x * 1) ** 2
    (g,) = autograd.grad(y, x, create_graph=True)
    assert g.tolist() == [2 * 9 * 6]
    with pytest.raises(GraphError, match="once_differentiable"):
        autograd.grad(g, x)


def test_what_has_no_rule_is_refused_by_its_name():
    x = tinyvision.ones(3, requires_grad=True)
    op = differentiable(taped.exp.forward, taped.exp.backward)
    with pytest.raises(GraphError, match="the gradient of exp has no gradient here"):
        autograd.grad(op(x).sum(), x, create_graph=True)
    with pytest.raises(GraphError, match="cumprod has no gradient here where a number is 0"):
        autograd.grad((x - 1).cumprod(0).sum(), x, create_graph=True)


def test_a_function_may_give_none_for_what_wants_a_gradient():
    class First(autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * dy, None

    x, w = (tinyvision.tensor([3.0], requires_grad=True) for _ in range(2))
    found = autograd.grad(First.apply(x, w), [x, w], create_graph=True, allow_unused=True)
    assert found[1] is None
    assert autograd.grad(found[0], x)[0].tolist() == [2]


def test_a_step_without_it_holds_no_more_memory():
    """A record knows its result only for as long as somebody has it, and no large constant of a sum."""
    x = tinyvision.ones(5000, requires_grad=True)
    constant, product = tinyvision.ones(5000), x * 2
    gone = [weakref.ref(constant.array), weakref.ref(product.array)]
    y = (product + constant).sum()
    del constant, product
    assert [one() for one in gone] == [None, None]
    with pytest.raises(GraphError, match="keep that constant under a name"):
        autograd.grad((x * 2 + tinyvision.ones(5000)).var(), x, create_graph=True)
    y.backward()


def _random_network(t, rng, nn):
    """A few layers, drawn one after the other, for pictures of 8 x 8 pixels."""
    layers, channels, size = [nn.Conv2d(2, 4, 3, 1, 1)], 4, 8
    for _ in range(rng.integers(2, 5)):
        kind = rng.integers(5)
        out = 2 * int(rng.integers(1, 4))
        if kind == 0:
            layers.append(nn.Conv2d(channels, out, 3, int(rng.integers(1, 3)), 1, groups=int(rng.choice([1, 2]))))
            size, channels = (size - 1) // layers[-1].stride[0] + 1, out
        elif kind == 1:
            layers.append(nn.ConvTranspose2d(channels, out, 3, 1, 1))
            channels = out
        elif kind == 2:
            layers.append([nn.BatchNorm2d, nn.InstanceNorm2d][rng.integers(2)](channels) if size > 1 else nn.Tanh())
        elif kind == 3 and size % 2 == 0:
            layers.append([nn.AvgPool2d, nn.MaxPool2d][rng.integers(2)](2))
            size //= 2
        slopes = [
            nn.ReLU(),
            nn.LeakyReLU(0.2, inplace=kind < 2),
            nn.Tanh(),
            nn.SiLU(),
            nn.Softplus(),
            nn.ELU(),
            nn.PReLU(),
        ]
        layers.append(slopes[rng.integers(len(slopes))])
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size * size, 3))
    for p in model.parameters():
        p.data = t.tensor(rng.standard_normal(tuple(p.shape)) * 0.5)
    return model


@pytest.mark.parametrize("seed", range(24))
def test_random_networks_with_random_penalties_learn_the_same(seed):
    results = []
    for t, grad in ((torch, torch.autograd.grad), (tinyvision, autograd.grad)):
        rng = np.random.default_rng(seed)
        model = _random_network(t, rng, t.nn).double()
        x = t.tensor(rng.standard_normal((4, 2, 8, 8)), requires_grad=True)
        y = model(x)
        (g,) = grad(y.square().sum() if seed % 2 else y[:, 0].sum(), x, create_graph=True)
        norms = g.flatten(1).norm(2, dim=1)
        penalties = [((norms - 1) ** 2).mean(), g.square().sum(), g.abs().max(), (norms + 1).log().sum()]
        loss = t.nn.functional.cross_entropy(y, t.tensor([0, 1, 2, 1])) + penalties[rng.integers(4)]
        loss.backward()
        results.append(
            [loss.item(), x.grad.numpy(), *(p.grad.numpy() for p in model.parameters() if p.grad is not None)]
        )
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9 * max(1, np.abs(a).max()))


def test_where_kernels_stand_in_for_the_ops_the_gradients_are_the_same():
    """In float32 compiled loops keep other things than the ops in float64 do."""
    results = []
    for dtype in (np.float64, np.float32):
        rng = np.random.default_rng(1)
        nn = tinyvision.nn
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, 2, 1),
            nn.GroupNorm(4, 16), nn.GELU(), nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.LeakyReLU(0.2, inplace=True),
            nn.AvgPool2d(2), nn.Flatten(), nn.LayerNorm(64), nn.PReLU(), nn.Linear(64, 4), nn.Softplus(),
        )  # fmt: skip
        for p in model.parameters():
            p.data = tinyvision.tensor((rng.standard_normal(tuple(p.shape)) * 0.3).astype(dtype))
        x = tinyvision.tensor(rng.standard_normal((4, 3, 16, 16)).astype(dtype), requires_grad=True)
        loss = tinyvision.nn.functional.cross_entropy(model(x), tinyvision.tensor([0, 1, 2, 3]))
        (g,) = autograd.grad(loss, x, create_graph=True)
        ((g.flatten(1).norm(dim=1) - 1) ** 2).mean().backward()
        results.append([x.grad.numpy(), *(p.grad.numpy() for p in model.parameters() if p.grad is not None)])
    largest = max(np.abs(exact).max() for exact in results[0])
    for exact, found in zip(*results, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-5 * largest)
