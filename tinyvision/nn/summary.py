"""A table of a model: what every layer puts out, how many parameters it owns, how much it multiplies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import OptionError
from ..grad_mode import no_grad
from ..nn.module import Module
from ..ops.checks import is_integer
from ..tensors.creation import zeros
from .layers import Conv1d, Conv2d, ConvTranspose2d, Linear


@dataclass
class Row:
    """One layer: its dotted name, kind, output shape (with the batch), own parameters and multiply-adds per image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass
class Summary:
    """What `summary` returns; print it. `rows` lists the layers, the totals are for the whole model and one image."""

    model: str
    input_shape: tuple[int, ...]
    rows: list[Row]
    parameters: int
    trainable: int
    multiply_adds: int

    def __str__(self) -> str:
        cells = [("layer", "kind", "output shape", "parameters", "multiply-adds")]
        cells += [(r.name, r.kind, _shape(r.shape), f"{r.parameters:,}", f"{r.multiply_adds:,}") for r in self.rows]
        wide = [max(len(row[i]) for row in cells) for i in range(5)]
        lines = [
            "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, wide, strict=True)))
            for row in cells
        ]
        lines = [line.rstrip() for line in lines]
        lines.insert(1, "-" * max(map(len, lines)))
        lines.append(lines[1])
        lines.append(
            f"{self.model} on {_shape(self.input_shape)}: "
            f"{self.parameters:,} parameters ({self.trainable:,} trainable), "
            f"{_amount(self.multiply_adds)} multiply-adds an image"
        )
        return "\n".join(lines)

    __repr__ = __str__


def summary(model: Module, input_shape: Sequence[int]) -> Summary:
    """Run one blank image of `input_shape` (C, H, W), a vector (F,) or a batch (N, C, H, W); tabulate every layer.

    Multiply-adds count convolutions and linear layers, for one image. The model is left as it was, mode included.
    Raises ShapeError where the shape does not fit the model, OptionError for a shape that is none."""
    shape = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    if len(shape) not in (1, 3, 4) or not all(is_integer(n) and n > 0 for n in shape):
        raise OptionError(f"summary: input_shape must be (C, H, W), (N, C, H, W) or (F,), got {input_shape!r}")
    shape = shape if len(shape) == 4 else (1, *shape)
    first = next(iter(model.parameters()), None)
    x = zeros(*shape) if first is None else zeros(*shape, dtype=first.dtype, device=first.device)
    rows: list[Row] = []
    handles = []
    for name, module in model.named_modules():
        if not any(module.children()):
            handles.append(module.register_forward_hook(_recorder(name or type(module).__name__, rows)))
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    parameters = list(model.parameters())
    return Summary(
        type(model).__name__,
        shape,
        rows,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(r.multiply_adds for r in rows),
    )


def _recorder(name, rows):
    def record(module, inputs, output):
        own = sum(p.numel() for p in module.parameters())
        shape = getattr(output, "shape", ())
        rows.append(Row(name, type(module).__name__, tuple(shape), own, _multiply_adds(module, inputs, shape)))

    return record


def _multiply_adds(module, inputs, shape):
    if isinstance(module, ConvTranspose2d):  # every pixel that comes in meets the whole kernel
        return math.prod(inputs[0].shape[1:]) * math.prod(module.weight.shape[1:])
    if isinstance(module, (Conv1d, Conv2d, Linear)):
        return math.prod(shape[1:]) * math.prod(module.weight.shape[1:])
    return 0


def _amount(number):
    if number >= 1e9:
        return f"{number / 1e9:.2f} billion"
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:,}"


def _shape(shape):
    return "(" + ", ".join(map(str, shape)) + ")"
