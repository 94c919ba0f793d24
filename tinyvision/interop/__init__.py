"""Networks that come from elsewhere and go elsewhere: ONNX, out and in.

Writing and reading the files is left to the package `onnx` (`pip install "tinyvision[onnx]"`); what the networks mean is ours.
"""

from .onnx_export import export
from .onnx_import import from_onnx

__all__ = ["export", "from_onnx"]
