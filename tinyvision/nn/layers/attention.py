"""Attention with several heads."""

import math
from typing import Any

from ...device import DeviceName
from ...errors import OptionError, ShapeError
from ...ops.checks import check_positive
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from ...types import DType
from .. import functional, init
from ..module import Module, Parameter
from .linear import Linear

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in `num_heads` parts of the axes (Vaswani et al., "Attention is all you need", 2017):
    query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) -> (L, N, embed_dim), weights (N, L, S)

    dropout      probability with which a weight is dropped in training
    kdim, vdim   axes of key and value, embed_dim by default
    batch_first  whether N stands before L and S; without N all the same

    Raises OptionError for add_bias_kv and add_zero_attn, which are not here."""

    # One matrix for all three, or three of them: the others are None.
    in_proj_weight: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        check_positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        if embed_dim % num_heads:
            raise OptionError(f"MultiheadAttention: embed_dim {embed_dim} cannot be divided by num_heads {num_heads}")
        if add_bias_kv or add_zero_attn:
            raise OptionError("MultiheadAttention: add_bias_kv and add_zero_attn are not here; pass False")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim, self.head_dim = kdim, vdim, embed_dim // num_heads
        self._qkv_same_embed_dim = kdim == vdim == embed_dim
        shapes = {"q_proj_weight": embed_dim, "k_proj_weight": kdim, "v_proj_weight": vdim}
        for name, columns in shapes.items():
            alone = None if self._qkv_same_embed_dim else Parameter(zeros(embed_dim, columns))
            self.register_parameter(name, alone)
        whole = Parameter(zeros(3 * embed_dim, embed_dim)) if self._qkv_same_embed_dim else None
        self.register_parameter("in_proj_weight", whole)
        self.in_proj_bias: Any = Parameter(zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        self._reset_parameters()
        self.to(device=device, dtype=dtype)

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(the result, the weights or None).

        key_padding_mask      (N, S): True where a key is to be ignored, or numbers that are added
        attn_mask             (L, S) or (N num_heads, L, S): likewise, for each query
        need_weights          whether the weights are wanted, averaged over the heads or (N, num_heads, L, S)
        is_causal             a hint that attn_mask is causal

        Raises ShapeError, OptionError."""
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ShapeError("MultiheadAttention: query, key and value need two axes, or three with the batch; got "
                             f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}")  # fmt: skip
        if is_causal and attn_mask is None:
            raise OptionError("MultiheadAttention: is_causal is a hint about attn_mask, which is to be given with it")
        single, swapped = query.ndim == 2, query.ndim == 3 and not self.batch_first
        q, k, v = self._heads([x.unsqueeze(0) if single else x.transpose(0, 1) if swapped else x
                               for x in (query, key, value)])  # fmt: skip
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = (q / math.sqrt(self.head_dim)) @ k.transpose(-2, -1)
            weights = functional.softmax(scores if mask is None else scores + mask, -1)
            weights = functional.dropout(weights, drop)
            y = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            y = functional.scaled_dot_product_attention(q, k, v, mask, drop)
        y = self.out_proj(y.transpose(1, 2).flatten(2))  # (N, L, embed_dim)
        if single:
            return y.squeeze(0), weights if weights is None else weights.squeeze(0)
        return y.transpose(0, 1) if swapped else y, weights

    def _heads(self, inputs: list[Tensor]) -> list[Tensor]:
        """query, key and value (N, L, ...) -> (N, num_heads, L, head_dim) each, projected."""
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self._qkv_same_embed_dim:
            weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        made = [functional.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]
        return [x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in made]

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
        """The numbers that both masks add to the scores (N, num_heads, L, S), or None."""
        whole = None
        n, heads, rows, _ = q.shape
        columns = k.shape[2]
        for mask, name in ((attn_mask, "attn_mask"), (padding, "key_padding_mask")):
            if mask is None:
                continue
            shapes = {(rows, columns): (rows, columns), (n * heads, rows, columns): (n, heads, rows, columns)}
            if name == "key_padding_mask":
                shapes = {(n, columns): (n, 1, 1, columns), **({(columns,): (1, 1, 1, columns)} if n == 1 else {})}
            if tuple(mask.shape) not in shapes:
                raise ShapeError(f"MultiheadAttention: {name} must be {' or '.join(map(str, shapes))}, "
                                 f"got {tuple(mask.shape)}")  # fmt: skip
            if mask.dtype == bool:
                mask = zeros(*mask.shape, dtype=q.dtype, device=q.device).masked_fill(mask, -math.inf)
            mask = mask.reshape(shapes[tuple(mask.shape)])
            whole = mask if whole is None else whole + mask
        return whole
