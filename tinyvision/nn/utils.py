"""PyTorch's place for gradient clipping: `from tinyvision.nn.utils import clip_grad_norm_`."""

from .clip import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
