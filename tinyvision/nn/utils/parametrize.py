"""PyTorch's place for parameters that are computed from others."""

from typing import TYPE_CHECKING

from ...missing import missing
from ..parametrize import ParametrizationList, is_parametrized, register_parametrization, remove_parametrizations

__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.nn.utils.parametrize", __all__)
