"""Networks that come from elsewhere and go elsewhere: ONNX, out and in.

The files are written and read by the package `onnx` (`pip install "tinyvision[onnx]"`); what is in them is ours.
"""

from .onnx_export import export
from .onnx_import import from_onnx

__all__ = ["export", "from_onnx"]
