"""The functions of keras.ops that stand in files as layers: those that the export writes, and their neighbours. Entered
into the table of `keras_layers`.

Their axes are Keras's, so all are computed in its order of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TinyVisionError, WeightsError
from ..nn import functional as F
from ..ops.checks import is_integer
from ..tensors import functions as tv
from ..tensors.tensor import Tensor
from .keras_functions import FunctionLayer
from .keras_layers import from_keras_order, layer, to_keras
from .keras_options import Options


class _Operation(FunctionLayer):
    """A function of keras.ops, called with what stands in the file: tensors, numbers, slices, and names for some."""

    def forward(self, *given: Any, **named: Any) -> Any:
        """Its result. Raises WeightsError for what the function does not take."""
        try:
            laid = (to_keras(x) if isinstance(x, Tensor) else x for x in given)
            return from_keras_order(self.compute(*laid, **named))
        except TinyVisionError:
            raise
        except (
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ) as error:  # files say anything
            raise WeightsError(f"{self.kind}: what the file calls it with cannot be computed: {error}"[:200]) from None

    def compute(self, *given: Any, **named: Any) -> Any:
        """The function, in Keras's order of the axes."""
        raise NotImplementedError


_PLAIN: dict[str, Callable[..., Any]] = {
    "Absolute": tv.abs, "Negative": tv.neg, "Square": tv.square, "Sqrt": tv.sqrt, "Rsqrt": tv.rsqrt, "Exp": tv.exp,
    "Log": tv.log, "Log1p": tv.log1p, "Expm1": tv.expm1, "Log2": tv.log2, "Log10": tv.log10, "Sin": tv.sin,
    "Cos": tv.cos, "Tan": tv.tan, "Sinh": tv.sinh, "Cosh": tv.cosh, "Arcsin": tv.asin, "Arccos": tv.acos,
    "Arctan": tv.atan, "Arcsinh": tv.asinh, "Arccosh": tv.acosh, "Arctanh": tv.atanh, "Erf": tv.erf, "Sign": tv.sign,
    "Floor": tv.floor, "Ceil": tv.ceil, "Trunc": tv.trunc, "Round": tv.round, "Matmul": tv.matmul,
    "Divide": lambda a, b: a / b, "Power": lambda a, b: a**b, "Greater": lambda a, b: a > b, "Where": tv.where,
}  # fmt: skip


@layer(*(f"ops.{name}" for name in _PLAIN))
class _Plain(_Operation):
    def set_up(self, options: Options) -> None:
        if options.get("decimals"):
            raise options.refuse("rounding to decimals is not known here")

    def compute(self, *given: Any) -> Any:
        """Number by number, or a product of matrices."""
        return _PLAIN[self.kind.removeprefix("ops.")](*given)


@layer("ops.Clip", "ops.Gelu")
class _WithNumbers(_Operation):
    def set_up(self, options: Options) -> None:
        self.bounds = [options.number(name) for name in ("x_min", "x_max")] if options.kind == "ops.Clip" else None
        self.approximate = "tanh" if options.get("approximate", True) else "none"

    def compute(self, x: Any) -> Any:
        """The shape stays."""
        return F.gelu(x, approximate=self.approximate) if self.bounds is None else x.clamp(*self.bounds)


_REDUCED: dict[str, Callable[..., Any]] = {
    "Mean": tv.mean, "Sum": tv.sum, "Max": tv.amax, "Min": tv.amin, "Prod": tv.prod, "Logsumexp": tv.logsumexp,
}  # fmt: skip


@layer(*(f"ops.{name}" for name in _REDUCED))
class _Reduction(_Operation):
    def set_up(self, options: Options) -> None:
        axis = options.get("axis")
        axes = [axis] if is_integer(axis) else axis
        if not isinstance(axes, list) or not all(map(is_integer, axes)):
            raise options.refuse(f"axis must be numbers of axes, not {axis!r:.40}")
        self.axes: list[int] = axes
        if options.get("initial") is not None:
            raise options.refuse("an initial value is not known here")
        self.keep = bool(options.get("keepdims", False))

    def compute(self, x: Any) -> Any:
        """Without its axes, or with one place along them."""
        reduce, axes = _REDUCED[self.kind.removeprefix("ops.")], sorted({a % x.ndim for a in self.axes}, reverse=True)
        if self.kind != "ops.Prod":
            return reduce(x, tuple(axes), keepdim=self.keep)
        for axis in axes:
            x = reduce(x, axis, keepdim=self.keep)
        return x


@layer("ops.Pad")
class _Pad(_Operation):
    def set_up(self, options: Options) -> None:
        width = options.get("pad_width")
        if not isinstance(width, list) or not all(
            isinstance(sides, list) and len(sides) == 2 and all(is_integer(n) and n >= 0 for n in sides)
            for sides in width
        ):
            raise options.refuse(f"pad_width must be two numbers from 0 for every axis, not {width!r:.40}")
        self.width = [n for sides in reversed(width) for n in sides]
        self.mode = options.choice("mode", "constant", "reflect")
        if self.mode == "reflect" and len(width) == 4 and not any(self.width[:2] + self.width[6:]):
            self.width = self.width[2:6]  # of the places alone, as our reflection is

    def compute(self, x: Any, constant_values: Any = None) -> Any:
        """Larger by its borders."""
        if self.mode == "constant":
            return F.pad(x, self.width, value=0.0 if constant_values is None else constant_values)
        return F.pad(x.permute(0, 3, 1, 2), self.width, mode="reflect").permute(0, 2, 3, 1)


@layer("ops.GetItem", "ops.Take", "ops.Flip", "ops.Tile")
class _Places(_Operation):
    def set_up(self, options: Options) -> None:
        self.axis: Any = options.get("axis")
        self.repeats: Any = options.get("repeats")

    def compute(self, x: Any, places: Any = None) -> Any:
        """Some of it, or all in another order or several times."""
        if places is None and self.kind in ("ops.GetItem", "ops.Take"):
            raise TypeError("there are no places")
        if self.kind == "ops.GetItem":
            return x[tuple(places) if isinstance(places, list) else places]
        if self.kind == "ops.Take":
            return x.index_select(self.axis, Tensor.of(np.array(places, np.int64)))
        if self.kind == "ops.Flip":
            return x.flip(self.axis)
        return x.repeat(*self.repeats)
