"""torchvision's models, for comparison only. Its compiled half may not fit the installed torch; the Python half is
enough once the operators that it registers names for exist."""

import pytest

torch = pytest.importorskip("torch")
try:
    from torchvision import models
except RuntimeError:
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import models
except ImportError:
    pytest.skip("torchvision is not installed", allow_module_level=True)

__all__ = ["models", "torch"]
