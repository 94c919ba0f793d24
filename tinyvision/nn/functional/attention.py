"""Attention: averages of values, weighted by how well keys fit a query. Put together from other ops."""

import math
from typing import Any

from ...errors import OptionError
from ...tensors.creation import ones
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from .activation import softmax
from .dropout import dropout

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query keyᵀ · scale) value.   (..., L, E), (..., S, E), (..., S, V) -> (..., L, V)

    (Vaswani et al., "Attention is all you need", 2017.)

    attn_mask  what fits (..., L, S): truth values, False where a query must not look, or numbers that are added
    dropout_p  probability with which a weight is dropped, whatever the mode of a module
    is_causal  whether query i sees keys 0 to i alone
    scale      1 / sqrt(E) by default

    A query that may look nowhere gives 0. Raises OptionError for is_causal with a mask, and for enable_gqa."""
    query, key, value = (
        tensor_input("scaled_dot_product_attention", name, x)
        for name, x in (("query", query), ("key", key), ("value", value))
    )
    if enable_gqa:
        raise OptionError("scaled_dot_product_attention: enable_gqa is not here; repeat key and value for the heads")
    if is_causal and attn_mask is not None:
        raise OptionError("scaled_dot_product_attention: give is_causal=True or attn_mask, not both")
    if is_causal:
        attn_mask = ones(query.shape[-2], key.shape[-2], dtype=bool, device=query.device).tril()
    scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ key.transpose(-2, -1)
    if attn_mask is None:
        return dropout(softmax(scores, -1), dropout_p) @ value
    scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == bool else scores + attn_mask
    nowhere = (scores == -math.inf).all(-1, keepdim=True)  # whose softmax would be 0 / 0
    weights = softmax(scores.masked_fill(nowhere, 0.0), -1).masked_fill(nowhere, 0.0)
    return dropout(weights, dropout_p) @ value
