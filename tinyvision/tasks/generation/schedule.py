"""How pictures become noise, step by step, and the way back.

A picture x at time t, from 0 to T, is x_t = √s_t · x + √(1 - s_t) · noise with a share s_t of signal: s_0 = 1 is the
picture, s_T almost 0 is noise. Adding noise T times, each time to what is there, gives the same in one go, since sums
of independent normal numbers are normal: √a·(√s·x + √(1-s)·e) + √(1-a)·e' = √(as)·x + √(1-as)·e''. See tutorial 34.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...device import to_device
from ...errors import OptionError
from ...ops.checks import is_integer
from ...tensors.tensor import Tensor

_OFFSET = 0.008
_MOST = 0.999  # of the signal may go in one step: with all of it gone, there is no way back


class CosineSchedule:
    """Shares of signal that fall along a squared cosine: slowly at both ends, where little noise, or little picture, is
    all that there is to learn from.   (Nichol and Dhariwal, 2021)

    steps    T
    signal   float64 (T + 1,), the share of signal at every time

    Raises OptionError for a number of steps that is not a whole number from 1."""

    def __init__(self, steps: int = 200) -> None:
        if not is_integer(steps) or steps < 1:
            raise OptionError(f"CosineSchedule: steps is a whole number from 1, got {steps!r}")
        self.steps = steps
        curve = np.cos((np.arange(steps + 1) / steps + _OFFSET) / (1 + _OFFSET) * np.pi / 2) ** 2
        kept = np.maximum(curve[1:] / curve[:-1], 1 - _MOST)
        self.signal = np.concatenate([[1.0], np.cumprod(kept)])

    def noised(self, x: Tensor, noise: Tensor, times: np.ndarray) -> Tensor:
        """Pictures with noise, as they are at times (N,) of whole numbers 0 to T.   √s · x + √(1 - s) · noise"""
        signal = self.signal[times]
        return self._each(np.sqrt(signal), x) * x + self._each(np.sqrt(1 - signal), x) * noise

    def before(self, x: Tensor, noise: Tensor, time: int, earlier: int) -> Tensor:
        """Noisy pictures of a time as they were at an earlier one, if that is their noise: a step of DDIM.

        What x is made of is solved for the picture, which has numbers from -1 to 1; that and the noise are mixed anew,
        in the shares of the earlier time. Nothing is drawn at random.   (Song, Meng and Ermon, 2021)"""
        now, then = self.signal[time], self.signal[earlier]
        picture = ((x - float(np.sqrt(1 - now)) * noise) * float(1 / np.sqrt(now))).clamp(-1, 1)
        # What was cut off the picture was noise: without this, the two would no longer add up to x.
        noise = (x - float(np.sqrt(now)) * picture) * float(1 / np.sqrt(1 - now))
        return float(np.sqrt(then)) * picture + float(np.sqrt(1 - then)) * noise

    def way(self, count: int) -> list[int]:
        """The times of a way back from T to 0 in `count` steps, as even as whole numbers can be. Raises OptionError."""
        if not is_integer(count) or not 1 <= count <= self.steps:
            raise OptionError(f"a picture is made in 1 to {self.steps} steps, got {count!r}")
        return [round(self.steps * left / count) for left in range(count, -1, -1)]

    def _each(self, values: np.ndarray, x: Any) -> Tensor:
        """A number for each picture, in the shape in which it multiplies pictures like x."""
        return Tensor.of(to_device(values.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1)), x.device))
