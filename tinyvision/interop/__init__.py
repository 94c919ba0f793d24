"""Networks that come from elsewhere and go elsewhere: ONNX, out and in; Keras and TensorFlow.js, in.

The files are parsed by well-kept packages (`pip install "tinyvision[onnx]"`, `"tinyvision[keras]"`); what the networks
in them compute is ours.
"""

from .keras_import import from_keras
from .onnx_export import export
from .onnx_import import from_onnx

__all__ = ["export", "from_keras", "from_onnx"]
