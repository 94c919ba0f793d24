"""Networks that come from elsewhere and go elsewhere: ONNX and Keras, out and in; TensorFlow.js and TensorFlow Lite,
in.

ONNX and TensorFlow Lite are parsed by well-kept packages (`pip install "tinyvision[onnx]"`, `"tinyvision[tflite]"`),
Keras's HDF5 by a reader of our own (`formats/hdf5.py`); what the networks in them compute is ours.
"""

from .exporting import export
from .keras_import import from_keras
from .onnx_import import from_onnx
from .tflite_import import from_tflite

# What files are called that hold a whole network, and who reads them.
READERS = {
    ".onnx": from_onnx,
    ".tflite": from_tflite,
    **dict.fromkeys((".keras", ".h5", ".hdf5", ".json"), from_keras),
}

__all__ = ["READERS", "export", "from_keras", "from_onnx", "from_tflite"]
