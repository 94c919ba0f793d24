"""Module: a tree of layers that own parameters.

There is no registration machinery: parameters, buffers and sub-modules are plain attributes, and every question about
them ("which parameters?", "what is the state?") is a short walk over the attributes in the order they were assigned.
"""

from collections import OrderedDict

import numpy as np

from ..device import device as as_device
from ..device import to_device, to_numpy
from ..errors import DtypeError, OptionError, WeightsError
from ..tape import Variable, differentiable
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module learns: a leaf that asks for a gradient."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad=requires_grad)

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not learned, such as running statistics."""

    __slots__ = ()


class Module:
    """Base class of all layers and networks. Subclasses assign parameters and modules in `__init__` and define `forward`."""

    training = True
    frozen = False
    optional_state = ()  # names that a state dict may lack, because older files do

    def forward(self, *inputs):
        """What the module computes; called by `module(...)`. Every subclass defines it."""
        raise OptionError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *inputs, **options):
        for hook in self._hooks("before"):
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        backward_hooks = self._hooks("backward")
        if backward_hooks:
            inputs, watch = _watch_inputs(self, inputs, backward_hooks)
        output = self.forward(*inputs, **options)
        if backward_hooks:
            watch(output)
        for hook in self._hooks("after"):
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    # -- the tree

    def named_children(self):
        """(name, module) for every module that is an attribute of this one, in the order of assignment."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def children(self):
        """The modules that are attributes of this one."""
        return [module for _, module in self.named_children()]

    def named_modules(self, prefix=""):
        """(dotted name, module) for this module and all below it, each once."""
        seen, found, waiting = set(), [], [(prefix, self)]
        while waiting:
            name, module = waiting.pop(0)
            if id(module) in seen:
                continue
            seen.add(id(module))
            found.append((name, module))
            dot = name + "." if name else ""
            waiting[:0] = [(dot + child, value) for child, value in module.named_children()]
        return found

    def modules(self):
        """This module and all below it, each once."""
        return [module for _, module in self.named_modules()]

    def _named(self, kind):
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield (prefix + "." + name if prefix else name), value

    def named_parameters(self):
        """(dotted name, Parameter) for the whole tree; the names are those of torchvision's models."""
        return self._named(Parameter)

    def parameters(self):
        """Every Parameter of the whole tree, each once."""
        return (value for _, value in self.named_parameters())

    def named_buffers(self):
        """(dotted name, Buffer) for the whole tree."""
        return self._named(Buffer)

    def buffers(self):
        """Every Buffer of the whole tree, each once."""
        return (value for _, value in self.named_buffers())

    def register_buffer(self, name, tensor):
        """PyTorch's spelling of `self.name = Buffer(tensor)`."""
        setattr(self, name, None if tensor is None else Buffer(tensor))

    def register_parameter(self, name, parameter):
        """PyTorch's spelling of `self.name = Parameter(...)`."""
        setattr(self, name, parameter)

    def add_module(self, name, module):
        """PyTorch's spelling of `self.name = module`."""
        setattr(self, name, module)

    def apply(self, function):
        """Call `function(module)` for this module and all below it; returns self."""
        for module in self.modules():
            function(module)
        return self

    # -- modes

    def train(self, mode=True):
        """Training mode for the whole tree, except for what is frozen; returns self."""
        for module in self.modules():
            module.training = bool(mode) and not module.frozen
        return self

    def eval(self):
        """Evaluation mode: dropout rests and batch-norm uses its running statistics; returns self."""
        return self.train(False)

    def freeze(self):
        """Stop learning here: no gradients, and evaluation mode that `train()` does not end; returns self.

        A frozen batch-norm keeps its running statistics, which is what transfer learning wants."""
        for module in self.modules():
            module.frozen, module.training = True, False
        return self.requires_grad_(False)

    def unfreeze(self):
        """Learn again; returns self. Call `train()` afterwards to return to training mode."""
        for module in self.modules():
            module.frozen = False
        return self.requires_grad_(True)

    def requires_grad_(self, requires_grad=True):
        """Ask all parameters for a gradient, or none; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget the gradients of all parameters (or set them to zero)."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    # -- moving and converting: in place, so that optimizers keep their parameters

    def to(self, *targets, device=None, dtype=None):
        """Move and/or convert all parameters and buffers: `model.to("cuda")`, `model.to(np.float64)`; returns self."""
        for target in targets:
            if isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda") or type(target).__name__ == "Device":
                device = target
            else:
                dtype = target
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise DtypeError(f"a model can be converted to a floating-point dtype only, not to {np.dtype(dtype)}")
        tensors = [*self.parameters(), *self.buffers()]
        moved = [self._moved(t.data, device, dtype) for t in tensors]  # all or nothing, should memory run out
        for t, data in zip(tensors, moved, strict=True):
            if data is not t.data:
                t.data, t.version = data, t.version + 1
                t.grad = None if t.grad is None else Tensor(self._moved(t.grad.data, device, dtype))
        return self

    @staticmethod
    def _moved(array, device, dtype):
        if dtype is not None and array.dtype.kind == "f" and array.dtype != dtype:
            array = array.astype(dtype)
        return array if device is None else to_device(array, as_device(device))

    def float(self):
        """All floating-point state as float32; returns self."""
        return self.to(np.float32)

    def double(self):
        """All floating-point state as float64; returns self."""
        return self.to(np.float64)

    def cuda(self):
        """Move to the first GPU; returns self."""
        return self.to("cuda")

    def cpu(self):
        """Move to the CPU; returns self."""
        return self.to("cpu")

    # -- state

    def _state(self):
        """(name, tensor, may be missing) for parameters and buffers in the order in which PyTorch lists them."""
        for prefix, module in self.named_modules():
            for kind in (Parameter, Buffer):
                for name, value in vars(module).items():
                    if isinstance(value, kind):
                        yield (prefix + "." + name if prefix else name), value, name in module.optional_state

    def state_dict(self):
        """All parameters and buffers by dotted name, as detached tensors that share the module's memory."""
        return OrderedDict((name, value.detach()) for name, value, _ in self._state())

    def load_state_dict(self, state_dict, strict=True):
        """Copy arrays or tensors into the parameters and buffers of these names. Returns (missing, unexpected).

        Everything is checked before anything is changed. Raises WeightsError that lists all missing, unexpected and mis-shaped
        names at once; with strict=False, only mis-shaped ones are an error."""
        own = {name: (value, optional) for name, value, optional in self._state()}
        given = {n: v.data if isinstance(v, Variable) else v for n, v in state_dict.items()}
        missing = [n for n, (_, optional) in own.items() if n not in given and not optional]
        unexpected = [n for n in given if n not in own]
        fits = [n for n in own if n in given]
        wrong = [
            f"{n}: the file has {tuple(np.shape(given[n]))}, the model {own[n][0].shape}"
            for n in fits
            if tuple(np.shape(given[n])) != own[n][0].shape
        ]
        if wrong or (strict and (missing or unexpected)):
            raise WeightsError(_misfit(type(self).__name__, missing if strict else [], unexpected if strict else [], wrong))
        for n in fits:
            target = own[n][0]
            target.data[...] = to_device(np.asarray(given[n]) if not hasattr(given[n], "dtype") else given[n], target.device)
            target.version += 1
        return missing, unexpected

    # -- hooks

    def _hooks(self, when):
        return list(vars(self).get("_hook_lists", {}).get(when, {}).values())

    def _add_hook(self, when, hook):
        hooks = vars(self).setdefault("_hook_lists", {}).setdefault(when, {})
        key = object()
        hooks[key] = hook
        return RemovableHook(hooks, key)

    def register_forward_pre_hook(self, hook):
        """Call `hook(module, inputs)` before forward; what it returns, if anything, replaces the inputs."""
        return self._add_hook("before", hook)

    def register_forward_hook(self, hook):
        """Call `hook(module, inputs, output)` after forward; what it returns, if anything, replaces the output."""
        return self._add_hook("after", hook)

    def register_full_backward_hook(self, hook):
        """Call `hook(module, grad_inputs, grad_outputs)` when both are known; what it returns, if anything, replaces grad_inputs."""
        return self._add_hook("backward", hook)

    # -- showing

    def extra_repr(self):
        """The options shown in print(model); subclasses say what matters."""
        return ""

    def __repr__(self):
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class RemovableHook:
    """What registering a hook returns: `remove()` takes the hook away again."""

    def __init__(self, hooks, key):
        self._hooks, self._key = hooks, key

    def remove(self):
        """Take the hook away; doing so twice is harmless."""
        self._hooks.pop(self._key, None)


def _misfit(model, missing, unexpected, wrong):
    lines = [f"the state dict does not fit {model}:"]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("another shape", wrong)):
        if names:
            lines.append(f"  {title} ({len(names)}):")
            lines += [f"    {name}" for name in names]
    if wrong and all(".weight" in w or ".bias" in w for w in wrong) and len(wrong) <= 2 and not missing and not unexpected:
        lines.append("  another number of classes? build the model with it and load the rest, as models.resnet18(num_classes=...) does")
    return "\n".join(lines)


_passing = differentiable(lambda x: (x, None), lambda dy, cache, needs: (dy,))


def _watch_inputs(module, inputs, hooks):
    """Let the inputs through a record that does nothing but report the gradient on its way out (for backward hooks)."""
    seen = {}
    inputs = tuple(_passing(x) if isinstance(x, Variable) and x.requires_grad else x for x in inputs)
    tracked = [i for i, x in enumerate(inputs) if isinstance(x, Variable) and x.requires_grad]

    def call():
        grads = tuple(Tensor(seen[i]) if i in seen else None for i in range(len(inputs)))
        for hook in hooks:
            changed = hook(module, grads, (Tensor(seen["output"]),))
            grads = grads if changed is None else changed
        return grads

    def input_hook(i):
        def report(gradient):
            seen[i] = gradient
            if i == tracked[0]:  # the walk goes from the newest record to the oldest, so the first input comes last
                changed = call()[i]
                return changed.data if isinstance(changed, Variable) else None
            return None

        return report

    for i in tracked:
        inputs[i].record.hooks.append(input_hook(i))

    def watch(output):
        if isinstance(output, Variable) and output.record is not None:

            def report(gradient):
                seen["output"] = gradient
                if not tracked:
                    call()

            output.record.hooks.append(report)

    return inputs, watch


def numpy_state(module):
    """The state dict as NumPy arrays in plain C order, whatever device and memory order the module uses."""
    return {name: np.array(to_numpy(value), order="C") for name, value in module.state_dict().items()}


__all__ = ["Buffer", "Module", "Parameter", "numpy_state"]
