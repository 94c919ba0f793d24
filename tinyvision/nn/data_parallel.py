"""DataParallel over one device, which is the model itself under the name `module`."""

from collections.abc import Sequence
from typing import Any

from ..errors import OptionError
from .module import Module


class DataParallel(Module):
    """Calls `module`; names in the state dict begin with 'module.', as PyTorch's do. A batch is never divided: more
    than one device is refused with OptionError."""

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        if device_ids is not None and len(device_ids) > 1:
            raise OptionError(
                f"DataParallel: device_ids={list(device_ids)}; here a model runs on one device, leave them out"
            )
        if dim != 0:
            raise OptionError(f"DataParallel: dim={dim}; batches lie along axis 0")
        self.module = module

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module makes of them."""
        return self.module(*inputs, **options)
