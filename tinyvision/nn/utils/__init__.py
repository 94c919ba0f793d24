"""PyTorch's place for what works on all parameters at once, and for weights that are computed from others."""

from typing import TYPE_CHECKING

from ...missing import missing
from ...places import hand_on, stand_for
from ..clip import clip_grad_norm, clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from ..spectral_norm import remove_spectral_norm, spectral_norm
from ..vectors import parameters_to_vector, vector_to_parameters
from ..weight_norm import remove_weight_norm, weight_norm
from . import parametrizations, parametrize

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
    "parameters_to_vector", "parametrizations", "parametrize", "remove_spectral_norm", "remove_weight_norm",
    "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip

stand_for(__name__, "clip_grad", "convert_parameters")
hand_on(__name__, "tinyvision.nn", "spectral_norm", "weight_norm")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.utils", __all__)
