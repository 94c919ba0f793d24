"""PyTorch's spelling of `tinyvision.export`: `torch.onnx.export(model, x, "model.onnx", input_names=["image"])`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import OptionError
from .interop.onnx_export import OPSET
from .interop.onnx_export import export_onnx as write
from .missing import missing
from .nn.module import Module
from .tape import Variable

__all__ = ["export"]


def export(
    model: Module,
    args: Any,
    f: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamic_axes: Any = None,
    dynamic_shapes: Any = None,
    verbose: bool | None = None,
    export_params: bool = True,
    do_constant_folding: bool = True,
    dynamo: bool = False,
    training: Any = None,
) -> None:
    """Write `model` in evaluation mode as an ONNX file `f`; `args` is one input (N, ...), alone or in a tuple.

    The batch is of any size in any case, which is what dynamic_axes and dynamic_shapes ask for as a rule; other axes
    are as in `args`. opset_version is 20, or None. verbose, do_constant_folding and dynamo change nothing here. Raises
    OptionError for several inputs or outputs, another opset, a file without parameters or a model in training, and
    what `tinyvision.export` raises."""
    inputs = args if isinstance(args, (tuple, list)) else (args,)
    if len(inputs) != 1 or not isinstance(inputs[0], Variable):
        raise OptionError(
            f"onnx.export: a model is written with one input, a tensor, got {len(inputs)} of {args!r}"[:300]
        )
    names = []
    for what, given, default in (("input", input_names, "input"), ("output", output_names, "output")):
        if isinstance(given, str) or (given is not None and len(given) != 1):
            raise OptionError(f"onnx.export: {what}_names is a list of one name, got {given!r}")
        names.append(given[0] if given else default)
    if opset_version not in (None, OPSET):
        raise OptionError(f"onnx.export: files are written in opset {OPSET}, got opset_version={opset_version!r}")
    if not export_params:
        raise OptionError("onnx.export: parameters are always written, export_params=False is not there")
    if training not in (None, False) and "EVAL" not in str(training):
        raise OptionError(f"onnx.export: models are written in evaluation mode, got training={training!r}")
    for what, axes in (("dynamic_axes", dynamic_axes), ("dynamic_shapes", dynamic_shapes)):
        _require_batch_alone(what, axes)
    write(model, inputs[0], f, names[0], names[1])


def _require_batch_alone(what, axes):
    """Raise OptionError if an axis other than the batch is to be of any size: {"input": {0: "batch"}} or {0: ...}."""
    per_tensor = list(axes.values()) if isinstance(axes, dict) else list(axes or ())
    for one in per_tensor:
        if any(axis != 0 for axis in (one if isinstance(one, (dict, list, tuple)) else ())):
            raise OptionError(f"onnx.export: only the batch, axis 0, is of any size in a file, got {what}={axes!r}")


if not TYPE_CHECKING:
    __getattr__ = missing("torch.onnx", __all__)
