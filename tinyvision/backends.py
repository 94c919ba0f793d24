"""PyTorch's switches of its backends. They choose among ways to compute the same thing, which here is chosen by
itself: setting one is accepted and changes nothing."""

import sys
from typing import TYPE_CHECKING, Any

from .device import is_available as _gpu_is_available
from .missing import missing


class _Switches:
    """A backend's switches: those that PyTorch has, and no others."""

    def __init__(self, name: str, **switches: Any) -> None:
        vars(self).update(switches, _name=name)

    def __setattr__(self, switch: str, value: Any) -> None:
        getattr(self, switch)
        vars(self)[switch] = value

    def __getattr__(self, switch: str) -> Any:
        known = [name for name in vars(self) if not name.startswith("_")]
        return missing(f"torch.backends.{vars(self)['_name']}", known, {})(switch)


cudnn = _Switches(
    "cudnn",
    benchmark=False,
    deterministic=False,
    enabled=True,
    allow_tf32=False,
    is_available=_gpu_is_available,
    version=lambda: None,  # there is none: the convolutions on a GPU are this package's own
)
cuda = _Switches("cuda", matmul=_Switches("cuda.matmul", allow_tf32=False), is_built=_gpu_is_available)
mps = _Switches("mps", is_available=lambda: False, is_built=lambda: False)
mkldnn = _Switches("mkldnn", enabled=False, is_available=lambda: False)

__all__ = ["cuda", "cudnn", "mkldnn", "mps"]

for _name in __all__:  # for "import torch.backends.cudnn as cudnn"
    sys.modules[f"{__name__}.{_name}"] = globals()[_name]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.backends", __all__)
