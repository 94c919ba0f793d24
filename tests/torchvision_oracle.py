"""torchvision, for comparison only.

Its compiled half may not fit the installed torch; the Python half is enough once the two operators exist that it
registers names for."""

import pytest

torch = pytest.importorskip("torch")
try:
    import torchvision
except RuntimeError:
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
except ImportError:
    pytest.skip("torchvision is not installed", allow_module_level=True)

__all__ = ["torch", "torchvision"]
