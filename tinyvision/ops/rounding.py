"""What 16 bits keep of a number: for products whose factors are rounded (see `device.precision`)."""

import numpy as np

from ..types import Array


def rounded(x: Array, mode: str) -> Array:
    """x (float32, any shape) with every number the nearest one of 16 bits, of two as near the even one; still float32.

    "bf16" has float32's range and 8 bits of a number, the leading one included: 256 and 258, but not 257. "fp16" has 11
    bits, nothing beyond 65504, which becomes an infinity, and multiples of 2⁻²⁴ below 2⁻¹⁴. A NaN stays one.
    NumPy knows no bf16: a float32 whose lower 16 bits are 0 is one, so half of the last place that is kept is added,
    less one where that place is even already, and the lower bits are cut off."""
    if mode == "fp16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = x.view(np.uint32)
    odd = bits & np.uint32(0x10000) != 0
    up = (bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    return np.where(x == x, up.view(np.float32), x)  # adding would make an infinity of a NaN, or 0
