"""PyTorch's place for what works on all parameters at once: `from tinyvision.nn.utils import clip_grad_norm_`."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..places import stand_for
from .clip import clip_grad_norm_, clip_grad_value_
from .vectors import parameters_to_vector, vector_to_parameters

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]

stand_for(__name__, "clip_grad", "convert_parameters")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.utils", __all__)
