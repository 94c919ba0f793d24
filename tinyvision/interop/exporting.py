"""A model as a file of another engine: which one, the file's name says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..nn.module import Module
from .keras_export import export_keras
from .onnx_export import export_onnx

# Files of other kinds, by their names.
_OTHERS = (".tflite", ".h5", ".hdf5", ".pb", ".pt", ".pth", ".mlmodel", ".safetensors")


def export(
    model: Module,
    example: Any,
    path: str | os.PathLike[str],
    input_name: str = "input",
    output_name: str = "output",
    metadata: dict[str, str] | None = None,
) -> None:
    """Write `model` in evaluation mode as an ONNX file (opset 20), or as a Keras model if the path ends in `.keras`;
    both take batches of any size.

    example   an input (N, ...) of the shape and dtype that the model takes; its numbers do not matter
    metadata  words to keep with the model, such as its classes (ONNX)

    Parameters and layers keep their names. A Keras model takes pictures as (N, H, W, C). Raises ExportError, naming all
    ops that cannot be exported with their layers, and OptionError for what is no model, for several
    inputs and for a file of another kind, by its name; without the package `onnx`, or `keras` and a backend for it, an
    ExportError says how to get it."""
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"export: expected a path, got {type(path).__name__}")
    suffix = Path(path).suffix.lower()
    if suffix in _OTHERS:
        raise OptionError(f"export: {suffix} files are not written here; .onnx and .keras are")
    if suffix != ".keras":
        export_onnx(model, example, path, input_name, output_name, metadata)
    elif metadata:
        raise OptionError(f"export: a Keras file has no place for metadata, got {', '.join(metadata)}")
    else:
        export_keras(model, example, path, input_name, output_name)
