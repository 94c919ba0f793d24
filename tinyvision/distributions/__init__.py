"""PyTorch's `torch.distributions`, as models use them: draw, the logarithm of a density, entropy, divergence.

`rsample` draws numbers through which gradients flow to the parameters (Kingma and Welling, "Auto-encoding variational
Bayes", 2014); `sample` draws the same without.
"""

from typing import TYPE_CHECKING

from ..missing import missing
from .bernoulli import Bernoulli
from .categorical import Categorical
from .distribution import Distribution
from .kl import kl_divergence
from .normal import Normal
from .uniform import Uniform

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "Uniform", "kl_divergence"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.distributions", __all__)
