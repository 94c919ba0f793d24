"""PyTorch's place for what is in `tinyvision.nn.recomputation`."""

from typing import TYPE_CHECKING

from ..missing import missing
from ..nn.recomputation import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.checkpoint", __all__)
