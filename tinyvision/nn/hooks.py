"""Hooks: functions that a module calls around its forward and its backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from ..tape import Variable, differentiable
from ..tensors.hooks import RemovableHook as RemovableHook
from ..tensors.tensor import Tensor


class HooksOf:
    """The attribute of a class of modules that gives the hooks of one moment, as the dict in which PyTorch keeps
    them: `layer._forward_hooks.clear()`."""

    def __init__(self, moment: str) -> None:
        self._moment = moment

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else vars(module).setdefault("_hook_lists", {}).setdefault(self._moment, {})

    def __set__(self, module: Any, hooks: Any) -> None:
        vars(module).setdefault("_hook_lists", {})[self._moment] = hooks


class WithOptions:
    """A forward hook that also wants the options of the call: hook(module, inputs, options[, output])."""

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook


def inputs_after(
    module: Any, hooks: list[Any], inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(inputs, options) of a call once the hooks before it have seen and perhaps replaced them. Raises OptionError."""
    for hook in hooks:
        if isinstance(hook, WithOptions):
            changed = hook.hook(module, inputs, options)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise OptionError("a forward pre-hook with_kwargs gives None or (inputs, options)")
                inputs, options = changed
        else:
            changed = hook(module, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
    return inputs, options


def output_after(module: Any, hooks: list[Any], inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
    """The output of a call once the hooks after it have seen and perhaps replaced it."""
    for hook in hooks:
        wants = isinstance(hook, WithOptions)
        changed = hook.hook(module, inputs, options, output) if wants else hook(module, inputs, output)
        output = output if changed is None else changed
    return output


# Layers whose last op in PyTorch shows the gradient of the layer's input first, and how many it shows: for weight and
# bias too, if there are none.
_INPUT_FIRST = {
    **dict.fromkeys(("Conv1d", "Conv2d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm"), 3),
    "PReLU": 2,
}


class LastOpsInputs(Sequence[Any]):
    """The gradients of the inputs of a module's last op, of which one at most is known: that of the module's input.

    The others can be counted and not looked at: that raises OptionError."""

    def __init__(self, module: Any, gradient: Any, count: int | None) -> None:
        self._name, self._gradient, self._count = type(module).__name__, gradient, count

    def __len__(self) -> int:
        return self._refuse("they") if self._count is None else self._count

    def __getitem__(self, index: Any) -> Any:
        if self._count is not None and index in (0, -self._count):
            return self._gradient
        return self._refuse(f"grad_input[{index}]")

    def _refuse(self, what):
        raise OptionError(
            f"register_backward_hook: of {self._name}, {what} would be gradients inside of it, or of its parameters; "
            f"register_full_backward_hook shows those of its inputs, and parameter.grad the others"
        )


def of_the_last_op(module: Any, hook: Callable[..., Any]) -> Callable[..., Any]:
    """A full backward hook that calls one of the old form, which looks at the last op of a module.

    For a module that is one op without parameters both are the same. For one with parameters, or with modules inside,
    grad_outputs are what they should be, and grad_inputs are `LastOpsInputs`; raises OptionError if the hook wants to
    replace them."""
    inside = next(module.named_children(), None) is not None
    count = next((_INPUT_FIRST[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in _INPUT_FIRST), None)
    if not inside and count is None and next(module.parameters(), None) is None:
        return hook
    if getattr(module, "padding_mode", "zeros") != "zeros" or isinstance(getattr(module, "padding", 0), str):
        count = None  # the last op has the padded input

    def called(module: Any, grad_inputs: Any, grad_outputs: Any) -> None:
        shown = LastOpsInputs(module, grad_inputs[0] if grad_inputs else None, count)
        if hook(module, shown, grad_outputs) is not None:
            shown._refuse("what the hook replaces")

    return called


def _passing_forward(x):
    return x, None


def _passing_backward(dy, cache, needs=(True,)):
    return (dy,)


_passing = differentiable(_passing_forward, _passing_backward, views=True, linear=True)


def watched_inputs(
    module: Any, inputs: tuple[Any, ...], hooks: list[Callable[..., Any]]
) -> tuple[tuple[Any, ...], Callable[[Any], None]]:
    """(inputs, watch) for backward hooks: inputs that report their gradients, and `watch(output)`, which makes outputs
    do so.

    Every input passes through a record that changes nothing. Those records are made one after the other and before any
    record of the module's own, so the walk meets the first input's last of all: then all gradients are known."""
    outputs: dict[int, Any] = {}
    seen: dict[int, Any] = {}
    inputs = tuple(_passing(x) if isinstance(x, Variable) and x.requires_grad else x for x in inputs)
    tracked = [i for i, x in enumerate(inputs) if isinstance(x, Variable) and x.record is not None]
    count = len(inputs)  # the hooks below must not hold on to the inputs themselves: that would be a cycle

    def call():
        grads = tuple(Tensor.of(seen[i]) if i in seen else None for i in range(count))
        grad_outputs = tuple(Tensor.of(outputs[i]) if outputs[i] is not None else None for i in sorted(outputs))
        for hook in hooks:
            changed = hook(module, grads, grad_outputs)
            if changed is not None:
                grads = _checked(changed, grads, tracked)
        return grads

    def input_hook(i):
        def report(gradient):
            seen[i] = gradient
            if i != tracked[0]:
                return None
            changed = call()[i]
            return changed.array if isinstance(changed, Variable) else None

        return report

    for i in tracked:
        inputs[i].record.hooks.append(input_hook(i))

    def watch(output):
        values = output if isinstance(output, (tuple, list)) else (output,)
        numbers = {i: v.record.number for i, v in enumerate(values) if isinstance(v, Variable) and v.record is not None}
        outputs.update(dict.fromkeys(range(len(values))))
        oldest = min(numbers, key=numbers.get, default=None)

        def output_hook(i):
            def report(gradient):
                outputs[i] = gradient
                if not tracked and i == oldest:
                    call()

            return report

        for i in numbers:
            values[i].record.hooks.insert(0, output_hook(i))  # an output may be an input handed on: report it first

    return inputs, watch


def _checked(changed, grads, tracked):
    """What a hook wants instead of `grads`, or an OptionError: by then, only the first input's gradient
    is still here."""
    changed = tuple(changed) if isinstance(changed, (tuple, list)) else (changed,)
    if len(changed) != len(grads):
        raise OptionError(f"a backward hook returned {len(changed)} gradients for {len(grads)} inputs")
    if any(changed[i] is not grads[i] for i in tracked[1:]):
        raise OptionError(
            "a backward hook can replace the gradient of the first input only; return the others as they are"
        )
    return changed
