"""torch.amp on an engine that computes in the dtype that its tensors have: half precision is never chosen for you."""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from .errors import OptionError
from .missing import missing


class autocast:
    """`with autocast("cuda"):` or a decorator. On the GPU everything stays in float32, which is slower and more exact
    than what the script asked for, and a warning says so; on the CPU, where PyTorch would compute in bfloat16 on this
    machine too, only enabled=False is accepted. Raises OptionError."""

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if device_type not in ("cuda", "cpu") or type(enabled) is not bool:
            raise OptionError(
                f'autocast: device_type is "cuda" or "cpu" and enabled True or False, got {device_type!r}, {enabled!r}'
            )
        if enabled and device_type == "cpu":
            raise OptionError(
                "autocast: there is no bfloat16 on the CPU here; pass enabled=False to compute in float32"
            )
        self.enabled = enabled

    def __enter__(self) -> "autocast":
        if self.enabled:
            warnings.warn("autocast: half precision is not chosen here; this computes in float32", stacklevel=2)
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inside(*arguments: Any, **options: Any) -> Any:
            with self:
                return function(*arguments, **options)

        return inside


class GradScaler:
    """Scales losses by 1: what is computed in float32 needs no scaling. Its arguments are accepted and change nothing,
    and no step is left out because of an infinite gradient."""

    def __init__(self, device: str = "cuda", enabled: bool = True, **options: Any) -> None:
        unknown = options.keys() - {"init_scale", "growth_factor", "backoff_factor", "growth_interval"}
        if unknown:
            raise OptionError(f"GradScaler: unknown option {sorted(unknown)[0]!r}")
        self._enabled = bool(enabled)

    def scale(self, outputs: Any) -> Any:
        """`outputs`, as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients are never scaled."""

    def step(self, optimizer: Any, *arguments: Any, **options: Any) -> Any:
        """`optimizer.step()`"""
        return optimizer.step(*arguments, **options)

    def update(self, new_scale: Any = None) -> None:
        """Nothing: the scale stays 1."""

    def get_scale(self) -> float:
        """1"""
        return 1.0

    def is_enabled(self) -> bool:
        """What it was made with."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Nothing is kept."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """A scale that PyTorch kept is of no use here."""


__all__ = ["GradScaler", "autocast"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.amp", __all__)
