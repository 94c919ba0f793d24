"""PyTorch's place for the newer forms of weight and spectral norm, which make the weight a property of the layer."""

from typing import TYPE_CHECKING

from ...missing import missing
from ..spectral_norm import spectral_norm_property as spectral_norm
from ..weight_norm import weight_norm_property as weight_norm

__all__ = ["spectral_norm", "weight_norm"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.utils.parametrizations", __all__)
