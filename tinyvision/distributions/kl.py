"""The Kullback-Leibler divergence of two distributions."""

from __future__ import annotations

from ..errors import OptionError
from ..tensors.functions import where
from ..tensors.tensor import Tensor
from .bernoulli import Bernoulli, log_sigmoid
from .categorical import Categorical
from .distribution import Distribution
from .normal import Normal


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """How far q is from p: E_p[log p - log q], for two of one kind. Raises OptionError for others."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        one = p.probs * (log_sigmoid(p.logits) - log_sigmoid(q.logits))
        return one + (1 - p.probs) * (log_sigmoid(-p.logits) - log_sigmoid(-q.logits))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        terms = p.probs * (p.logits - q.logits)
        return where(p.probs == 0, terms.detach() * 0, terms).sum(-1)
    raise OptionError(f"kl_divergence: not known for {type(p).__name__} and {type(q).__name__}")
