"""torch.amp: `autocast` is `tinyvision.precision` by PyTorch's name, and a scale keeps small gradients within fp16.

One thing differs: a product's result stays in float32, where PyTorch rounds that as well and hands on 16 bits. So every
tensor of a script has the dtype that it has without autocast, and its numbers are a little more exact.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from .device import HALVES, device_of, get_precision, is_available, precision, use
from .device import device as as_device
from .dtypes import bfloat16, float16
from .errors import OptionError
from .grad_mode import no_grad
from .missing import missing
from .places import stand_for

_MODES = {"float16": "fp16", "bfloat16": "bf16"}
_DTYPES = {"fp16": float16, "bf16": bfloat16}
_USUAL = {"cpu": bfloat16, "cuda": float16}


class _Entered(threading.local):
    """The blocks that a thread is in: one autocast, as a decorator's, may be entered by several threads at a time."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []


class autocast:
    """`with autocast("cuda", dtype=torch.bfloat16):`, or a decorator: the factors of all products on that kind of
    device are rounded to 16 bits, as `tinyvision.precision` says. Results stay in float32.

    dtype     torch.bfloat16, or torch.float16 (with a GradScaler); without one, float16 on "cuda", bfloat16 on "cpu"
    enabled   False: nothing is rounded to 16 bits inside, whatever is around it; `precision("tf32")` stays in force

    "cuda" where no GPU can be used does nothing, nor does float32, and a warning says so, as in PyTorch.
    Raises OptionError."""

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if type(device_type) is bool:  # torch.cuda.amp.autocast(enabled, dtype)
            device_type, enabled = "cuda", device_type
        if device_type not in ("cuda", "cpu") or enabled not in (True, False):
            raise OptionError(
                f'autocast: device_type is "cuda" or "cpu" and enabled True or False, got {device_type!r}, {enabled!r}'
            )
        dtype = _USUAL[device_type] if dtype is None else dtype
        name = getattr(dtype, "name", str(dtype))
        if enabled and name == "float32":
            warnings.warn("autocast: dtype is torch.float32, so nothing is rounded", stacklevel=2)
            enabled = False
        if enabled and name not in _MODES:
            raise OptionError(f"autocast: dtype is torch.bfloat16 or torch.float16, got {name}; see enabled=False")
        if enabled and device_type == "cuda" and not is_available():
            warnings.warn('autocast: no GPU can be used, so autocast("cuda") changes nothing', stacklevel=2)
            enabled = False
        self.device_type, self.enabled, self._mode = device_type, bool(enabled), _MODES.get(name)
        self._of_thread = _Entered()

    def __enter__(self) -> "autocast":
        mode = self._mode if self.enabled else get_precision(self.device_type)
        block = precision("ieee" if not self.enabled and mode in HALVES else str(mode), self.device_type)
        block.__enter__()
        self._of_thread.blocks.append(block)
        return self

    def __exit__(self, *error: Any) -> None:
        self._of_thread.blocks.pop().__exit__(*error)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inside(*arguments: Any, **options: Any) -> Any:
            with self:
                return function(*arguments, **options)

        return inside


def is_autocast_available(device_type: str) -> bool:
    """Whether there is an autocast for a kind of device: for "cpu" and "cuda"."""
    return device_type in _USUAL


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether products on a kind of device round their factors to 16 bits now. Raises OptionError."""
    return get_precision(device_type) in HALVES


def get_autocast_dtype(device_type: str) -> Any:
    """To what products on a kind of device round their factors now, or would in autocast. Raises OptionError."""
    kind = as_device(device_type).type
    return _DTYPES.get(get_precision(kind), _USUAL[kind])


class GradScaler:
    """Multiplies losses, so that gradients that fp16 would lose are kept, and divides the gradients before the step.

        scaler.scale(loss).backward()
        scaler.step(optimizer)        # left out where a gradient is infinite or NaN
        scaler.update()

    After a step that was left out, the scale is multiplied by `backoff_factor`; after `growth_interval` steps in a row
    that were not, by `growth_factor`. A scale that is a power of two changes no digit of a gradient.

    device    "cuda" or "cpu"; "cuda" where no GPU can be used scales nothing, as in PyTorch
    Raises OptionError, DeviceError."""

    def __init__(
        self,
        device: Any = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if type(device) in (int, float):  # torch.cuda.amp.GradScaler(init_scale)
            device, init_scale = "cuda", device
        device = as_device(device).type
        self._check(init_scale, growth_factor, backoff_factor, growth_interval)
        if enabled and device == "cuda" and not is_available():
            warnings.warn("GradScaler: no GPU can be used, so nothing is scaled", stacklevel=2)
            enabled = False
        self._enabled = bool(enabled)
        self._scale, self._good_steps = float(init_scale), 0
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._has_scaled = growth_interval, False
        # By id, since the last update: the optimizer, whether its gradients are finite, whether it has stepped.
        self._seen: dict[int, tuple[Any, bool, bool]] = {}

    @staticmethod
    def _check(init_scale=1.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=1):
        if not (init_scale > 0 and growth_factor > 1 and 0 < backoff_factor < 1 and growth_interval >= 1):
            raise OptionError(
                "GradScaler: init_scale is more than 0, growth_factor more than 1, backoff_factor between 0 and 1 and "
                f"growth_interval at least 1, got {init_scale}, {growth_factor}, {backoff_factor}, {growth_interval}"
            )

    def scale(self, outputs: Any) -> Any:
        """`outputs` (a tensor, or several: of a tuple a tuple, else a list) times the scale. Raises OptionError."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Iterable) and not hasattr(outputs, "dtype"):
            scaled = map(self.scale, outputs)
            return tuple(scaled) if isinstance(outputs, tuple) else list(scaled)
        if not hasattr(outputs, "requires_grad"):
            raise OptionError(f"GradScaler: scale takes tensors, got {type(outputs).__name__}")
        self._has_scaled = True
        return outputs * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, for those who look at them before the step,
        as clipping does. Raises OptionError for a second time since the last update, no gradients, or none scaled."""
        if not self._enabled:
            return
        if id(optimizer) in self._seen:
            raise OptionError("GradScaler: these gradients are divided by the scale already; update() comes first")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            raise OptionError("GradScaler: no parameter of this optimizer has a gradient; call scale(loss).backward()")
        if not self._has_scaled:
            raise OptionError("GradScaler: no loss has been scaled, so gradients would come out too small: scale(loss)")
        if any(gradient.array.dtype == np.float16 for gradient in gradients):
            raise OptionError("GradScaler: gradients are float16; keep parameters in float32, autocast rounds products")
        with no_grad():
            for gradient in gradients:
                gradient.mul_(1.0 / self._scale)
        self._seen[id(optimizer)] = optimizer, _finite([gradient.array for gradient in gradients]), False

    def step(self, optimizer: Any, *arguments: Any, **options: Any) -> Any:
        """`optimizer.step()`, after unscale_ unless that was called; or nothing, where a gradient is not finite.

        Raises OptionError for a closure, which would compute gradients anew, and for a second step before update()."""
        if not self._enabled:
            return optimizer.step(*arguments, **options)
        if arguments or options:
            raise OptionError("GradScaler: step takes no closure: its gradients would come without the scale")
        if id(optimizer) not in self._seen:
            self.unscale_(optimizer)
        _, finite, stepped = self._seen[id(optimizer)]
        if stepped:
            raise OptionError("GradScaler: this optimizer has stepped since the last update(); update() comes first")
        self._seen[id(optimizer)] = optimizer, finite, True
        return optimizer.step() if finite else None

    def update(self, new_scale: Any = None) -> None:
        """Make the scale of the next steps, or take `new_scale`. Raises OptionError if no gradients were looked at."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._seen:
            raise OptionError("GradScaler: update() before any step(optimizer): there is nothing to judge the scale by")
        elif not all(finite for _, finite, _ in self._seen.values()):
            self._scale, self._good_steps = self._scale * self._backoff_factor, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale, self._good_steps = grown if np.isfinite(np.float32(grown)) else self._scale, 0
        self._seen.clear()

    def get_scale(self) -> float:
        """What losses are multiplied by."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after enough steps that were taken."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Another one. Raises OptionError unless it is more than 1."""
        self._check(growth_factor=new_factor)
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a step that was left out."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Another one. Raises OptionError unless it is between 0 and 1."""
        self._check(backoff_factor=new_factor)
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many steps in a row are enough for a larger scale."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Another number. Raises OptionError unless it is at least 1."""
        self._check(growth_interval=new_interval)
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale, how it moves, and how many steps in a row were taken; nothing where nothing is scaled. PyTorch's
        keys, so that a checkpoint of one goes on in the other."""
        if not self._enabled:
            return {}
        kept = {name: getattr(self, f"_{name}") for name in _KEPT[:4]}
        return {**kept, "_growth_tracker": self._good_steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on as the one that the state is of. Raises OptionError for a state with something missing."""
        if not self._enabled:
            return
        absent = [name for name in _KEPT if name not in state_dict]
        if absent:
            why = "it is that of one that was not enabled" if not state_dict else f"it has no {', '.join(absent)}"
            raise OptionError(f"GradScaler: this state cannot be used: {why}")
        for name in _KEPT[:4]:
            setattr(self, f"_{name}", state_dict[name])
        self._scale, self._good_steps = float(self._scale), int(state_dict["_growth_tracker"])


_KEPT = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")


def _finite(arrays):
    """Whether all numbers are; each GPU is asked once at most, while it is the current one."""
    by_place: dict[Any, list[Any]] = {}
    for array in arrays:
        by_place.setdefault(device_of(array), []).append(array)

    def there(place, some):
        use(place)
        return bool(np.stack([np.isfinite(array).all() for array in some]).all())

    return all(there(*one) for one in by_place.items())


__all__ = ["GradScaler", "autocast", "get_autocast_dtype", "is_autocast_available", "is_autocast_enabled"]

stand_for(__name__, "autocast_mode", "grad_scaler")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.amp", __all__)
