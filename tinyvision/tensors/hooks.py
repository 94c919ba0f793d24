"""Hooks on gradients, and what registering a hook returns, for these as for those around the passes of a module."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..tape import Variable
from ..walks import await_hooked, when_ready


class RemovableHook:
    """A hook that was registered: `remove()` takes it away again, and so does the end of a `with` block."""

    def __init__(self, hooks: Any, key: Any) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        if isinstance(self._hooks, dict):
            self._hooks.pop(self._key, None)
        elif self._key in self._hooks:
            self._hooks.remove(self._key)

    def __enter__(self) -> "RemovableHook":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def hook_on(x: Any, hook: Callable[[Any], Any], tensor: Callable[[Any], Any]) -> RemovableHook:
    """`Tensor.register_hook`; `tensor` makes one of an array."""
    if not x.requires_grad:
        raise GraphError("register_hook(): this tensor does not require a gradient, so there will be none to see")

    def checked(gradient):
        changed = hook(tensor(gradient))
        changed = changed.array if isinstance(changed, Variable) else changed
        if changed is not None and np.shape(changed) != gradient.shape:
            raise ShapeError(f"register_hook(): the hook gave {np.shape(changed)} for a gradient {gradient.shape}")
        return changed

    vars(checked)["of_tensor"] = hook  # called itself where the gradient is a tensor with a history of its own

    if x.record is not None:
        hooks = x.record.hooks
    else:
        hooks = x.hooks = x.hooks or []
        await_hooked(x)
    hooks.append(checked)
    hooks.sort(key=lambda hook: hasattr(hook, "of_value"))  # what retain_grad keeps is what they made of it
    return RemovableHook(hooks, checked)


class _AfterHook(RemovableHook):
    def __init__(self, take_away: Callable[[], None]) -> None:
        self._take_away = take_away

    def remove(self) -> None:
        self._take_away()


def hook_after(x: Any, hook: Callable[[Any], None]) -> RemovableHook:
    """Call `hook(x)` in every backward as soon as x.grad, of a leaf, has all that this backward adds to it.

    So an optimizer may step, and drop the gradient, while the backward goes on: not all gradients are in memory at a
    time. `remove()` of what is returned takes the hook away again. Raises GraphError; so does the backward, if the hook
    returns something."""
    if not x.requires_grad or x.record is not None:
        raise GraphError(
            "register_post_accumulate_grad_hook(): only a leaf that requires a gradient adds up its .grad; "
            "register_hook() sees that of any other tensor"
        )

    def called(leaf):
        if hook(leaf) is not None:
            raise GraphError("register_post_accumulate_grad_hook(): the hook returned something, which nobody takes")

    return _AfterHook(when_ready(x, called))


def zero_gradient(x: Any) -> None:
    """Zeros where x.grad is, which then is no longer recorded: what `zero_grad(set_to_none=False)` does to each."""
    if x.grad is not None:
        if x.grad.record is not None:
            x.grad.detach_()
        else:
            x.grad.requires_grad_(False)
        x.grad.zero_()


def keep_gradient(x: Any) -> None:
    """`Tensor.retain_grad`."""
    if not x.requires_grad:
        raise GraphError("retain_grad(): this tensor does not require a gradient, so there will be none to keep")
    if x.record is None or any(hasattr(hook, "of_value") for hook in x.record.hooks):
        return
    reference = weakref.ref(x)  # a record must not keep its own output alive

    def keep(gradient):
        value = reference()
        if value is not None:
            value.grad = value.like(gradient.copy() if value.grad is None else value.grad.array + gradient)

    def keep_tensor(gradient):
        value = reference()
        if value is not None:
            value.grad = gradient if value.grad is None else value.grad + gradient

    # It follows the value when that is written to.
    vars(keep).update(of_value=True, of_tensor=keep_tensor)
    x.record.hooks.append(keep)
