"""Mistakes in batch normalisation with the statistics of the batch."""

import numpy as np

from ..reference import batchnorm_train_backward
from .mistake import Bank

bank = Bank("batchnorm_train")
BANKS = [bank]

ALL = (0, 2, 3)


def _c(v):
    return v[:, None, None]


class _Parts:
    """The quantities of the derivation, by the names they have there."""

    def __init__(self, i, o, axes=ALL, ddof=0):
        x, self.gamma, self.beta = i[0], _c(i[1]), _c(i[2])
        self.x, self.m = x, x.size // x.shape[1]
        self.mean = x.mean(axes, keepdims=True)
        self.var = x.var(axes, ddof=ddof, keepdims=True)
        self.sigma = np.sqrt(self.var + o["eps"])
        self.xhat = (x - self.mean) / self.sigma
        self.y = self.gamma * self.xhat + self.beta


def _mean(a):
    return a.mean(ALL, keepdims=True)


def _y(name, says, wrong):
    bank.add("y", name, says, lambda i, o: wrong(_Parts(i, o), i, o))


_y(
    "unbiased_variance",
    "You normalised with the unbiased variance (N·H·W - 1); the biased one (N·H·W) is used here.",
    lambda q, i, o: _Parts(i, o, ddof=1).y,
)
_y(
    "eps_outside_root",
    "You added eps outside of the root: σ = sqrt(var) + eps; it is sqrt(var + eps).",
    lambda q, i, o: q.gamma * (q.x - q.mean) / (np.sqrt(q.var) + o["eps"]) + q.beta,
)
_y("eps_missing", "You left out eps.", lambda q, i, o: q.gamma * (q.x - q.mean) / np.sqrt(q.var) + q.beta)
_y(
    "divided_by_variance",
    "You divided by the variance; divide by its square root.",
    lambda q, i, o: q.gamma * (q.x - q.mean) / q.sigma**2 + q.beta,
)
_y("not_divided", "You did not divide by σ.", lambda q, i, o: q.gamma * (q.x - q.mean) + q.beta)
_y("not_centred", "You did not subtract the mean.", lambda q, i, o: q.gamma * q.x / q.sigma + q.beta)
_y(
    "over_batch_only",
    "Your mean and variance are over the batch only; take them over N, H and W.",
    lambda q, i, o: _Parts(i, o, (0,)).y,
)
_y(
    "per_sample",
    "Your mean and variance are over H and W only (instance normalisation); take them over N, H and W.",
    lambda q, i, o: _Parts(i, o, (2, 3)).y,
)
_y(
    "layer_norm",
    "Your mean and variance are over C, H and W (layer normalisation); take them over N, H and W.",
    lambda q, i, o: _Parts(i, o, (1, 2, 3)).y,
)
_y(
    "over_everything",
    "Your mean and variance are over all axes; keep the channels apart.",
    lambda q, i, o: _Parts(i, o, (0, 1, 2, 3)).y,
)
_y(
    "mean_over_batch_only",
    "Your mean is over the batch only; take it over N, H and W, as the variance.",
    lambda q, i, o: q.gamma * (q.x - q.x.mean(0)) / q.sigma + q.beta,
)
_y(
    "over_channels",
    "Your mean and variance are over the channels of each pixel; take them over N, H and W.",
    lambda q, i, o: _Parts(i, o, (1,)).y,
)
_y(
    "std_for_variance",
    "You took the standard deviation for the variance, and its root once more.",
    lambda q, i, o: q.gamma * (q.x - q.mean) / np.sqrt(np.sqrt(q.var) + o["eps"]) + q.beta,
)
_y(
    "parameters_along_width",
    "weight and bias (C,) meet the last axis, W; give them two more: weight[:, None, None]. It only runs where W = C.",
    lambda q, i, o: i[1] * q.xhat + i[2],
)
_y("gamma_missing", "You did not multiply by weight (γ).", lambda q, i, o: q.xhat + q.beta)
_y("beta_missing", "You did not add bias (β).", lambda q, i, o: q.gamma * q.xhat)
_y("beta_inside", "You added bias (β) before multiplying by weight (γ).", lambda q, i, o: q.gamma * (q.xhat + q.beta))
_y("gamma_and_beta_swapped", "You multiplied by bias and added weight.", lambda q, i, o: q.beta * q.xhat + q.gamma)
_y("not_normalised", "You applied weight and bias to x itself.", lambda q, i, o: q.gamma * q.x + q.beta)


OWN_EPS = {"1e_3": 1e-3, "1e_5": 1e-5, "1e_6": 1e-6, "1e_7": 1e-7}

for _name, _eps in OWN_EPS.items():
    _says = f"You used {_eps:g} for eps; use the eps that is given."
    _y(f"own_eps_{_name}", _says, lambda q, i, o, e=_eps: _Parts(i, {"eps": e}).y)


def _dx(name, says, *forms):
    wrong, *also = [lambda i, o, d, f=f: f(_Parts(i, o), d, i, o) for f in forms]
    bank.add("dx", name, says, wrong, also=tuple(also))


def _with(q, d, variance, mean=None):
    """dx with another term through the variance, or through the mean, in the place of x̂·mean(dy·x̂) and mean(dy)."""
    return q.gamma / q.sigma * (d - (_mean(d) if mean is None else mean) - variance)


_dx(
    "statistics_constant",
    "You treated mean and variance as constants; both depend on x.",
    lambda q, d, i, o: q.gamma / q.sigma * d,
)
_dx(
    "mean_term_missing",
    "The term through the mean is missing: the sum of dx over each channel must be 0.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "variance_term_missing",
    "The term through the variance is missing: the sum of dx·x̂ over each channel must be (almost) 0.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d)),
)
_dx(
    "gamma_missing",
    "You did not multiply by weight (γ).",
    lambda q, d, i, o: 1 / q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "gamma_twice",
    "You multiplied by weight (γ) twice.",
    lambda q, d, i, o: q.gamma**2 / q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "sigma_missing",
    "You did not divide by σ.",
    lambda q, d, i, o: q.gamma * (d - _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "sigma_squared",
    "You divided by the variance; divide by σ once.",
    lambda q, d, i, o: q.gamma / q.sigma**2 * (d - _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "sigma_multiplied",
    "You multiplied by σ; divide by it.",
    lambda q, d, i, o: q.gamma * q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "divided_by_batch",
    "In the means of dy and dy·x̂ you divided by N; a channel has N·H·W numbers.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - (_mean(d) + q.xhat * _mean(d * q.xhat)) * q.m / len(d)),
)
_dx(
    "divided_by_all",
    "In the means of dy and dy·x̂ you divided by the number of all elements, N·C·H·W; a channel has N·H·W of them.",
    lambda q, d, i, o: _with(q, d, q.xhat * _mean(d * q.xhat) / d.shape[1], _mean(d) / d.shape[1]),
)
_dx(
    "divided_by_positions",
    "In the means of dy and dy·x̂ you divided by H·W; a channel has N·H·W numbers.",
    lambda q, d, i, o: _with(q, d, q.xhat * _mean(d * q.xhat) * len(d), _mean(d) * len(d)),
)
_dx(
    "sums_not_means",
    "You took the sums of dy and dy·x̂ where means belong.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - (_mean(d) + q.xhat * _mean(d * q.xhat)) * q.m),
)
_dx(
    "mean_term_not_averaged",
    "You subtracted Σ dy; it is the mean of dy, Σ dy / (N·H·W).",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) * q.m - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "variance_term_not_averaged",
    "Your variance term has Σ dy·x̂; it is the mean of dy·x̂, divided by N·H·W.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat) * q.m),
)
_dx(
    "unbiased_variance",
    "Your variance term divides by N·H·W - 1; forward divided by N·H·W.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat) * q.m / (q.m - 1)),
)
_dx(
    "unbiased_sigma",
    "You used the unbiased variance (N·H·W - 1) in backward; forward used the biased one.",
    lambda q, d, i, o: _whole(_Parts(i, o, ddof=1), d),
)
_dx("eps_missing", "You left out eps in σ; forward added it.", lambda q, d, i, o: _whole(_Parts(i, {"eps": 0.0}), d))
_dx(
    "over_batch_only",
    "You took the means of dy and dy·x̂ over the batch only; take them over N, H and W.",
    lambda q, d, i, o: (
        q.gamma / q.sigma * (d - d.mean(0, keepdims=True) - q.xhat * (d * q.xhat).mean(0, keepdims=True))
    ),
)
_dx(
    "per_sample",
    "You took the means of dy and dy·x̂ over H and W only; take them over N, H and W.",
    lambda q, d, i, o: (
        q.gamma / q.sigma * (d - d.mean((2, 3), keepdims=True) - q.xhat * (d * q.xhat).mean((2, 3), keepdims=True))
    ),
)
_dx(
    "over_everything",
    "You took the means of dy and dy·x̂ over all axes; keep the channels apart.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - d.mean() - q.xhat * (d * q.xhat).mean()),
)
_dx(
    "variance_sign",
    "The sign of the variance term is wrong.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) + q.xhat * _mean(d * q.xhat)),
)
_dx(
    "mean_sign",
    "The sign of the mean term is wrong.",
    lambda q, d, i, o: q.gamma / q.sigma * (d + _mean(d) - q.xhat * _mean(d * q.xhat)),
)
_dx(
    "raw_x_in_variance_term",
    "Your variance term uses x; it needs x̂, the normalised one.",
    lambda q, d, i, o: _with(q, d, q.x * _mean(d * q.x)),
    lambda q, d, i, o: _with(q, d, q.x * _mean(d * q.x) / q.sigma**2),
)
_dx(
    "not_centred_in_variance_term",
    "Your variance term has x in one of the two places where x - mean belongs: it is the derivative of (x - mean)².",
    lambda q, d, i, o: _with(q, d, q.xhat * _mean(d * q.x) / q.sigma),
    lambda q, d, i, o: _with(q, d, q.x * _mean(d * q.xhat) / q.sigma),
)
_dx(
    "power_of_variance",
    "In the variance term σ stands in another power than in x̂·mean(dy·x̂). Written with dvar it is "
    "-1/2·(var + eps)^(-3/2).",
    *[lambda q, d, i, o, k=k: _with(q, d, q.xhat * _mean(d * q.xhat) * q.sigma**k)
      for k in (1.0, -1.0, -2.0, 3.0, 4.0, 6.0)],
)  # fmt: skip
_dx(
    "power_of_mean",
    "In the term through the mean σ stands in another power than in dy: Σ dy/σ, divided by N·H·W.",
    *[lambda q, d, i, o, k=k: _with(q, d, q.xhat * _mean(d * q.xhat), _mean(d) * q.sigma**k) for k in (1.0, -1.0)],
)
_dx(
    "centred_x_in_variance_term",
    "Your variance term uses x - mean; it needs x̂, which is divided by σ. Written with dvar, the power of var + eps is "
    "-3/2.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - q.xhat * q.sigma * _mean(d * q.xhat * q.sigma)),
)
_dx(
    "half_variance_term",
    "The 2 of the derivative of a square is missing: your variance term is half as large as it must be.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - 0.5 * q.xhat * _mean(d * q.xhat)),
)
_dx(
    "double_variance_term",
    "Your variance term is twice as large as it must be.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - 2 * q.xhat * _mean(d * q.xhat)),
)
_dx("gamma_only", "You multiplied dy by weight (γ) and did nothing else.", lambda q, d, i, o: q.gamma * d)
_dx("identity", "You passed dy through as it is.", lambda q, d, i, o: d * 1.0)
_dx("sign", "The sign is wrong.", lambda q, d, i, o: -_whole(q, d))
_dx("dy_ignored", "You never used dy.", lambda q, d, i, o: q.gamma / q.sigma * np.ones_like(d))
_dx("divided_by_count", "You divided dx by N·H·W once too often.", lambda q, d, i, o: _whole(q, d) / q.m)
_dx(
    "times_count",
    "You did not divide by N·H·W at the end (the form with sums needs it).",
    lambda q, d, i, o: _whole(q, d) * q.m,
)
_dx(
    "direct_term_missing",
    "Only the terms through mean and variance are there; the direct term dy is missing.",
    lambda q, d, i, o: -q.gamma / q.sigma * (_mean(d) + q.xhat * _mean(d * q.xhat)),
)
_dx(
    "variance_term_without_xhat",
    "Your variance term is not multiplied by x̂.",
    lambda q, d, i, o: q.gamma / q.sigma * (d - _mean(d) - _mean(d * q.xhat)),
)
_dx("bias_added", "You added bias (β) to a gradient.", lambda q, d, i, o: _whole(q, d) + q.beta)
_dx("zero", "It is all zero: the result was never stored.", lambda q, d, i, o: np.zeros_like(d))


for _name, _eps in OWN_EPS.items():
    _says = f"You used {_eps:g} for eps in σ; use the eps that is given."
    _dx(f"own_eps_{_name}", _says, lambda q, d, i, o, e=_eps: _whole(_Parts(i, {"eps": e}), d))
_dx(
    "last_sample_only",
    "Only the last image has a gradient.",
    lambda q, d, i, o: np.concatenate([0 * d[:-1], _whole(q, d)[-1:]]),
)


def _whole(q, d):
    return q.gamma / q.sigma * (d - _mean(d) - q.xhat * _mean(d * q.xhat))


def _dw(name, says, wrong):
    bank.add("dweight", name, says, lambda i, o, d: wrong(_Parts(i, o), d, i, o))


_dw("raw_x", "You used x; it is Σ dy·x̂ with the normalised x̂.", lambda q, d, i, o: (d * q.x).sum(ALL))
_dw(
    "centred_x",
    "You used x - mean; it is Σ dy·x̂, with x̂ divided by σ.",
    lambda q, d, i, o: (d * (q.x - q.mean)).sum(ALL),
)
_dw(
    "output_used", "You used the output y; it is Σ dy·x̂, before weight and bias.", lambda q, d, i, o: (d * q.y).sum(ALL)
)
_dw("averaged", "You took the mean over N, H and W; take the sum.", lambda q, d, i, o: (d * q.xhat).mean(ALL))
_dw("divided_by_batch", "You divided by N.", lambda q, d, i, o: (d * q.xhat).sum(ALL) / len(d))
_dw("xhat_missing", "You forgot x̂: this is dbias.", lambda q, d, i, o: d.sum(ALL))
_dw("times_gamma", "You multiplied by weight (γ); Σ dy·x̂ is all.", lambda q, d, i, o: (d * q.xhat).sum(ALL) * i[1])
_dw("over_batch_only", "You summed over the batch only; it must be (C,).", lambda q, d, i, o: (d * q.xhat).sum(0))
_dw("per_sample", "You summed over H and W only; it must be (C,).", lambda q, d, i, o: (d * q.xhat).sum((2, 3)))
_dw(
    "first_sample",
    "You used one image (the first); sum over N, H and W.",
    lambda q, d, i, o: (d * q.xhat)[0].sum((1, 2)),
)
_dw(
    "summed_over_everything",
    "You summed over the channels too: every entry is the same.",
    lambda q, d, i, o: np.full(len(i[1]), (d * q.xhat).sum()),
)
_dw(
    "axes_kept",
    "You kept the summed axes (keepdims); it must be (C,).",
    lambda q, d, i, o: (d * q.xhat).sum(ALL, keepdims=True),
)
_dw("sign", "The sign is wrong.", lambda q, d, i, o: -(d * q.xhat).sum(ALL))
_dw("dy_ignored", "You never used dy: the sum of x̂ is 0.", lambda q, d, i, o: q.xhat.sum(ALL))
_dw(
    "eps_missing",
    "You left out eps in x̂; forward added it.",
    lambda q, d, i, o: (d * _Parts(i, {"eps": 0.0}).xhat).sum(ALL),
)
_dw(
    "unbiased_variance",
    "You used the unbiased variance in x̂; forward used the biased one.",
    lambda q, d, i, o: (d * _Parts(i, o, ddof=1).xhat).sum(ALL),
)
_dw(
    "last_sample",
    "You used one image (the last); sum over N, H and W.",
    lambda q, d, i, o: (d * q.xhat)[-1].sum((1, 2)),
)
for _name, _eps in OWN_EPS.items():
    _says = f"You used {_eps:g} for eps in x̂; use the eps that is given."
    _dw(f"own_eps_{_name}", _says, lambda q, d, i, o, e=_eps: (d * _Parts(i, {"eps": e}).xhat).sum(ALL))
_dw(
    "product_of_sums",
    "You summed dy and x̂ before multiplying; multiply first, then sum.",
    lambda q, d, i, o: d.sum(ALL) * q.y.sum(ALL),
)


def _db(name, says, wrong):
    bank.add("dbias", name, says, lambda i, o, d: wrong(d, i, o))


_db("averaged", "You took the mean over N, H and W; take the sum.", lambda d, i, o: d.mean(ALL))
_db("divided_by_batch", "You divided by N.", lambda d, i, o: d.sum(ALL) / len(d))
_db("over_batch_only", "You summed over the batch only; it must be (C,).", lambda d, i, o: d.sum(0))
_db("per_sample", "You summed over H and W only; it must be (C,).", lambda d, i, o: d.sum((2, 3)))
_db("first_sample", "You used one image (the first); sum over N, H and W.", lambda d, i, o: d[0].sum((1, 2)))
_db("last_sample", "You used one image (the last); sum over N, H and W.", lambda d, i, o: d[-1].sum((1, 2)))
_db("times_gamma", "You multiplied by weight (γ).", lambda d, i, o: d.sum(ALL) * i[1])
_db(
    "summed_over_everything",
    "You summed over the channels too: every entry is the same.",
    lambda d, i, o: np.full(len(i[1]), d.sum()),
)
_db("axes_kept", "You kept the summed axes (keepdims); it must be (C,).", lambda d, i, o: d.sum(ALL, keepdims=True))
_db("sign", "The sign is wrong.", lambda d, i, o: -d.sum(ALL))
_db("this_is_dweight", "This is dweight, Σ dy·x̂; dbias is Σ dy.", lambda d, i, o: (d * _Parts(i, o).xhat).sum(ALL))
_db("count", "You never used dy: every entry is N·H·W.", lambda d, i, o: np.full(len(i[1]), float(d[:, 0].size)))


def _xhat_changed():
    """Backward scales the x̂ that forward kept, in place: the second call is wrong."""

    def forward(x, weight, bias, eps):
        q = _Parts((x, weight, bias), {"eps": eps})
        return q.y, {"xhat": q.xhat, "inputs": (x.copy(), weight, bias), "eps": eps}

    def backward(dy, cache):
        dx, _, dbias = batchnorm_train_backward(cache["inputs"], {"eps": cache["eps"]}, dy)
        cache["xhat"] *= dy
        return dx, cache["xhat"].sum(ALL), dbias

    return forward, backward


bank.add("cache", "changed", "Backward changed the x̂ that forward kept.", pair=_xhat_changed, shows="cache_changed")
