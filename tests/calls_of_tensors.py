"""Calls that random programs draw by name: each is given the engine, two tensors, an axis that both may have, a number.

What a call returns joins the tensors of the program; one that changes something returns None.
"""

import operator


def _setdata(t, x, y, d, n):
    x.data = y.data if x.shape == y.shape and x.dtype == y.dtype else x.data * 2


def _changed_gradient(change):
    def call(t, x, y, d, n):
        if x.is_leaf and x.grad is not None:
            change(x, n)

    return call


def _given(t, x, y, d, n):
    x.backward(t.ones_like(x) * n, retain_graph=True)


def _grad(t, x, y, d, n):
    found = t.autograd.grad((x * x).sum(), [x, y], retain_graph=True, allow_unused=True)
    return [g.clone() for g in found if g is not None]  # PyTorch's of x and of a view of x may share memory


def _retained(t, x, y, d, n):
    x.retain_grad()


def _through_numpy(t, x, y, d, n):
    x.detach().numpy().reshape(-1)[:1] = 7


def _out(t, x, y, d, n):
    t.add(x.detach(), y.detach(), out=y)


def _places(t, x, d):
    """Places along an axis, some of them twice."""
    size = x.shape[d] if x.ndim else 1
    return t.tensor([(3 * k + 1) % max(size, 1) for k in range(2)])


CALLS = {
    # several tensors
    "lerp": lambda t, x, y, d, n: x.lerp(y, 0.25),
    "lerp_": lambda t, x, y, d, n: x.lerp_(y, 0.25),
    "addcmul_": lambda t, x, y, d, n: x.addcmul_(y, y, value=0.5),
    "addcdiv": lambda t, x, y, d, n: x.addcdiv(y, y + 9),
    "where": lambda t, x, y, d, n: t.where(x > y, x, y),
    "where n": lambda t, x, y, d, n: t.where(x > 0, x, n),
    "atan2": lambda t, x, y, d, n: t.atan2(x, y),
    "pow": lambda t, x, y, d, n: x.abs() ** y,
    "clamp t": lambda t, x, y, d, n: x.clamp(min=y),
    "clamp_": lambda t, x, y, d, n: x.clamp_(-1, 1),
    "outer": lambda t, x, y, d, n: t.outer(x.flatten(), y.flatten()),
    "mv": lambda t, x, y, d, n: x.mv(y),
    "dot": lambda t, x, y, d, n: x.flatten().dot(y.flatten()),
    "mm": lambda t, x, y, d, n: x.mm(y.t()),
    "einsum": lambda t, x, y, d, n: t.einsum("...i,...i->...", x, y),
    "dist": lambda t, x, y, d, n: t.dist(x, y),
    "add alpha": lambda t, x, y, d, n: x.add(y, alpha=2),
    "sub alpha": lambda t, x, y, d, n: x.sub(y, alpha=3),
    "addcmul value": lambda t, x, y, d, n: x.addcmul(y, x, value=n),
    "addr": lambda t, x, y, d, n: x.addr(y.flatten(), y.flatten(), beta=n, alpha=2),
    "add_ alpha": lambda t, x, y, d, n: x.add_(y, alpha=0.5),
    "rsub": lambda t, x, y, d, n: t.rsub(x, y),
    "hypot": lambda t, x, y, d, n: t.hypot(x, y),
    "linear": lambda t, x, y, d, n: t.nn.functional.linear(x, y),
    "mse": lambda t, x, y, d, n: t.nn.functional.mse_loss(x, y),
    "l1": lambda t, x, y, d, n: t.nn.functional.l1_loss(x, y, reduction="sum"),
    "cos sim": lambda t, x, y, d, n: t.nn.functional.cosine_similarity(x, y, dim=d),
    "broadcast": lambda t, x, y, d, n: list(t.broadcast_tensors(x, y)),
    "cdist": lambda t, x, y, d, n: t.cdist(x, y),
    "allclose": lambda t, x, y, d, n: t.tensor(t.allclose(x, y)),
    "equal": lambda t, x, y, d, n: t.tensor(t.equal(x, y)),
    "type_as": lambda t, x, y, d, n: x.type_as(y),
    "to": lambda t, x, y, d, n: x.to(y),
    "copy d": lambda t, x, y, d, n: x.data.copy_(y),
    "meshgrid": lambda t, x, y, d, n: list(t.meshgrid(x, y, indexing="ij")),
    "kron": lambda t, x, y, d, n: t.kron(x, y),
    # along an axis
    "sort": lambda t, x, y, d, n: list(x.sort(dim=d, stable=True)),
    "sorted": lambda t, x, y, d, n: x.sort(dim=d, descending=True, stable=True).values,
    "median": lambda t, x, y, d, n: list(x.median(d)),
    "amax": lambda t, x, y, d, n: x.amax(d),
    "logsumexp": lambda t, x, y, d, n: x.logsumexp(d),
    "cumprod": lambda t, x, y, d, n: x.cumprod(d),
    "log_softmax": lambda t, x, y, d, n: x.log_softmax(d),
    "normalize": lambda t, x, y, d, n: t.nn.functional.normalize(x, dim=d),
    "roll": lambda t, x, y, d, n: x.roll(1, d),
    "diff": lambda t, x, y, d, n: x.diff(dim=d),
    "gather": lambda t, x, y, d, n: x.gather(d, x.argsort(d, stable=True)),
    "argsort": lambda t, x, y, d, n: x.argsort(d, descending=True, stable=True),
    "index_add_": lambda t, x, y, d, n: x.index_add_(
        d, _places(t, x, d), t.ones_like(x.index_select(d, _places(t, x, d)))
    ),
    "index_fill_": lambda t, x, y, d, n: x.index_fill_(d, _places(t, x, d), 2),
    "index_copy": lambda t, x, y, d, n: x.index_copy(d, t.tensor([0]), y.narrow(d, 0, 1)),
    "scatter_": lambda t, x, y, d, n: x.scatter_(d, x.detach().argsort(d, stable=True), 1.5),
    "scatter_add": lambda t, x, y, d, n: x.scatter_add(d, x.argsort(d, stable=True), x),
    "take": lambda t, x, y, d, n: x.take(t.tensor([0, -1])),
    "index_put_": lambda t, x, y, d, n: x.index_put_((t.tensor([0, 0]),), y, accumulate=True),
    "unbind write": lambda t, x, y, d, n: x.unbind(d)[0].mul_(2),
    "split write": lambda t, x, y, d, n: x.split(1, d)[0].zero_(),
    "flip": lambda t, x, y, d, n: x.flip(d),
    "repeat_interleave": lambda t, x, y, d, n: x.repeat_interleave(2, d),
    "var_mean": lambda t, x, y, d, n: list(t.var_mean(x, d)),
    "max pair": lambda t, x, y, d, n: list(x.max(d)),
    "count": lambda t, x, y, d, n: t.count_nonzero(x, d),
    "tensor_split": lambda t, x, y, d, n: list(x.tensor_split(2, d)),
    "unflatten": lambda t, x, y, d, n: x.unflatten(d, (1, -1)),
    # in place, of one
    "squeeze_": lambda t, x, y, d, n: x.squeeze_(),
    "unsqueeze_": lambda t, x, y, d, n: x.unsqueeze_(d),
    "t_": lambda t, x, y, d, n: x.t_(),
    "transpose_": lambda t, x, y, d, n: x.transpose_(0, d),
    "detach_": lambda t, x, y, d, n: x.detach_(),
    "pow_": lambda t, x, y, d, n: x.pow_(2),
    "tril_": lambda t, x, y, d, n: x.tril_(),
    "masked_fill_": lambda t, x, y, d, n: x.masked_fill_(x < 0, n),
    "cumsum_": lambda t, x, y, d, n: x.cumsum_(d),
    "F.relu_": lambda t, x, y, d, n: t.nn.functional.relu(x, inplace=True),
    "clip_": lambda t, x, y, d, n: x.clip_(max=1),
    "leaky": lambda t, x, y, d, n: t.nn.functional.leaky_relu(x, 0.1, inplace=True),
    "elu": lambda t, x, y, d, n: t.nn.functional.elu(x),
    "hardtanh_": lambda t, x, y, d, n: t.nn.functional.hardtanh(x, inplace=True),
    "silu": lambda t, x, y, d, n: t.nn.functional.silu(x),
    "dropout 0": lambda t, x, y, d, n: t.nn.functional.dropout(x, 0.0, inplace=True),
    "gelu": lambda t, x, y, d, n: t.nn.functional.gelu(x),
    "dropout off": lambda t, x, y, d, n: t.nn.functional.dropout(x, 0.5, training=False),
    "softplus": lambda t, x, y, d, n: t.nn.functional.softplus(x),
    "nan_to_num_": lambda t, x, y, d, n: x.nan_to_num_(),
    "logical_not_": lambda t, x, y, d, n: x.logical_not_(),
    "logical_and_": lambda t, x, y, d, n: x.logical_and_(y),
    "logical_xor_": lambda t, x, y, d, n: x.logical_xor_(y),
    "le_": lambda t, x, y, d, n: x.le_(y),
    "ne_ n": lambda t, x, y, d, n: x.ne_(n),
    "fill_diagonal_": lambda t, x, y, d, n: x.fill_diagonal_(3),
    "copy_ t": lambda t, x, y, d, n: x.copy_(y.t()),
    "+= t": lambda t, x, y, d, n: operator.iadd(x, y),
    "//= t": lambda t, x, y, d, n: operator.ifloordiv(x, y),
    "**= 2": lambda t, x, y, d, n: operator.ipow(x, 2),
    "//= 2": lambda t, x, y, d, n: operator.ifloordiv(x, 2),
    "%= 2": lambda t, x, y, d, n: operator.imod(x, 2),
    "&= t": lambda t, x, y, d, n: operator.iand(x, y),
    "|= t": lambda t, x, y, d, n: operator.ior(x, y),
    "@= t": lambda t, x, y, d, n: operator.imatmul(x, y),
    "& n": lambda t, x, y, d, n: x & 1,
    "~": lambda t, x, y, d, n: ~x,
    "^ t": lambda t, x, y, d, n: x ^ y,
    # the data, gradients, memory
    "data.mul_": lambda t, x, y, d, n: x.data.mul_(2),
    "set data": _setdata,
    "data[0]": lambda t, x, y, d, n: x.data[0].fill_(n),
    "data.data": lambda t, x, y, d, n: x.data.data.add_(1),
    "grad zero": _changed_gradient(lambda x, n: x.grad.zero_()),
    "grad mul": _changed_gradient(lambda x, n: x.grad.mul_(n)),
    "grad none": _changed_gradient(lambda x, n: setattr(x, "grad", None)),
    "numpy": _through_numpy,
    "grad data": _changed_gradient(lambda x, n: x.grad.data.add_(1)),
    "grad set": _changed_gradient(lambda x, n: setattr(x, "grad", x.detach().clone())),
    "given": _given,
    "autograd.grad": _grad,
    "retain_grad": _retained,
    "out": _out,
    "clone.detach": lambda t, x, y, d, n: x.clone().detach().requires_grad_(x.dtype.is_floating_point),
    "new": lambda t, x, y, d, n: [
        x.new_zeros(2, 3),
        x.new_full((2,), 1.0),
        x.new_tensor([1, 2]),
        t.zeros_like(x),
        t.full_like(x, 2),
    ],
    "nonzero": lambda t, x, y, d, n: x.nonzero(),
    "mask": lambda t, x, y, d, n: x[x > 0],
    "unique": lambda t, x, y, d, n: t.unique(x),
    "tril": lambda t, x, y, d, n: x.tril(),
    "diag": lambda t, x, y, d, n: t.diag(x),
    "trace": lambda t, x, y, d, n: x.trace(),
    "no_grad view": lambda t, x, y, d, n: x.detach()[...],
    "half": lambda t, x, y, d, n: x.half().float(),
    "view dtype": lambda t, x, y, d, n: x.detach().view(t.int64),
    "pad": lambda t, x, y, d, n: t.nn.functional.pad(x, (1, 0)),
    "one_hot": lambda t, x, y, d, n: t.nn.functional.one_hot(x.detach().abs().long() % 3, 3),
    "bincount": lambda t, x, y, d, n: t.bincount(x.detach().abs().long().flatten()),
}
