"""Module: a tree of layers that own parameters.

There is no registration machinery: parameters, buffers and sub-modules are plain attributes, and every question about
them ("which parameters?", "what is the state?") is a short walk over the attributes in the order they were assigned.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..blocks import on_cpu
from ..device import Device, to_device, to_numpy
from ..device import device as as_device
from ..device_names import is_device
from ..dtypes import NO_BFLOAT16
from ..errors import DtypeError, OptionError, WeightsError
from ..tape import Variable
from ..tensors.conversion import as_it_lies, float_dtype, require_float
from ..tensors.copying import Kind, deep_copy
from ..tensors.hooks import zero_gradient
from ..tensors.tensor import Tensor
from ..types import DType
from .hooks import HooksOf, RemovableHook, WithOptions, inputs_after, of_the_last_op, output_after, watched_inputs
from .keeping import Lasting
from .matching import LoadResult, as_array, matched, misfit, other_head, refuse_own_ways
from .parts import PartsOf, as_registered, empty_buffers, no_attribute

Self = TypeVar("Self", bound="Module")


class Parameter(Lasting):
    """A tensor that a module learns: a leaf that asks for a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        Variable.__init__(self, as_it_lies(data), requires_grad)
        if requires_grad:
            require_float(self.array.dtype)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self: Kind, memo: dict[int, Any], with_gradient: bool = False) -> Kind:
        """A parameter of the same value, without a gradient, as in PyTorch."""
        return deep_copy(self, memo, with_gradient)


class Buffer(Lasting):
    """A tensor that belongs to a module but is not learned, such as running statistics: it moves and converts with the
    module, and is part of the state dict unless `persistent` is False."""

    __slots__ = ("persistent",)

    def __init__(self, data: Any, persistent: bool = True) -> None:
        Variable.__init__(self, as_it_lies(data))
        self.persistent = persistent


class Module:
    """Base class of all layers and networks: a subclass assigns its parts in `__init__` and defines `forward`."""

    training = True
    frozen = False
    optional_state: tuple[str, ...] = ()  # names that a state dict may lack, because older files do
    _modules, _parameters, _buffers = PartsOf(lambda: Module), PartsOf(lambda: Parameter), PartsOf(lambda: Buffer)
    _forward_pre_hooks, _forward_hooks, _backward_hooks = HooksOf("before"), HooksOf("after"), HooksOf("backward")

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; called by `module(...)`. Every subclass defines it."""
        raise OptionError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if "_hook_lists" not in vars(self):  # as nearly always
            return self.forward(*inputs, **options)
        inputs, options = inputs_after(self, self._hooks("before"), inputs, options)
        watch = None
        if backward_hooks := self._hooks("backward"):
            inputs, watch = watched_inputs(self, inputs, backward_hooks)
        output = output_after(self, self._hooks("after"), inputs, options, self.forward(*inputs, **options))
        if watch is not None:
            watch(output)
        return output

    def __setattr__(self, name: str, value: Any) -> None:
        if value is None or isinstance(value, Variable):
            value = as_registered(self, name, value, Parameter, Buffer)
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # for type checkers, it would make every misspelt attribute right

        def __getattr__(self, name: str) -> Any:
            """PyTorch's modules have this method, and scripts call it: `self.__getattr__("layer1")`. Python itself
            calls it for attributes that are not there."""
            if name in vars(self):
                return vars(self)[name]
            raise no_attribute(self, name)

    def _get_name(self) -> str:
        return type(self).__name__

    # -- the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for every module that is an attribute of this one, in the order of assignment."""
        seen = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) for this module and all below it, each once or by every name; none of those in memo."""
        seen, waiting = set() if memo is None else memo, [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if remove_duplicate and module in seen:
                continue
            seen.add(module)
            yield name, module
            below = [(child, value) for child, value in vars(module).items() if isinstance(value, Module)]
            waiting += ((_dotted(name, child), value) for child, value in reversed(below))

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once, or as often as it is there."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def _named(self, kind, prefix, recurse, remove_duplicate):
        seen = set()
        for name, module in self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for own, value in vars(module).items():
                if isinstance(value, kind) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield _dotted(name, own), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, Parameter) for the whole tree, or for this module alone; each once, or under all its names."""
        return self._named(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every Parameter of the whole tree, or of this module alone, each once."""
        return (value for _, value in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """(dotted name, Buffer) for the whole tree, or for this module alone; each once, or under all its names."""
        return self._named(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Every Buffer of the whole tree, or of this module alone, each once."""
        return (value for _, value in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name, "layer1.0.conv1" for instance; "" is this one. Raises OptionError if none is."""
        module = self
        for name in target.split(".") if target else []:
            child = vars(module).get(name)
            if not isinstance(child, Module):
                where = type(module).__name__
                raise OptionError(f"{type(self).__name__} has no module {target!r}: {where} has no {name!r}")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The Parameter of a dotted name, "layer1.0.conv1.weight" for instance. Raises OptionError if none is."""
        return self._get(target, Parameter)

    def get_buffer(self, target: str) -> Buffer:
        """The Buffer of a dotted name. Raises OptionError if none is."""
        return self._get(target, Buffer)

    def _get(self, target, kind):
        place, _, name = target.rpartition(".")
        value = vars(self.get_submodule(place)).get(name)
        if not isinstance(value, kind):
            raise OptionError(f"{type(self).__name__} has no {kind.__name__} {target!r}")
        return value

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """PyTorch's spelling of `self.name = Buffer(tensor)`; None is none yet, and what is assigned later is."""
        self._register(name, None if tensor is None else Buffer(tensor, persistent))
        if tensor is None:
            empty_buffers(self)[name] = persistent

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """PyTorch's spelling of `self.name = Parameter(...)`."""
        if not isinstance(param, Parameter | None):
            raise OptionError(f"register_parameter: {name!r} must be a Parameter or None, got {type(param).__name__}")
        self._register(name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """PyTorch's spelling of `self.name = module`."""
        if not isinstance(module, Module | None):
            raise OptionError(f"{type(self).__name__}: expected a module as {name!r}, got {type(module).__name__}")
        self._register(name, module)

    register_module = add_module

    def _register(self, name, value):
        if not isinstance(name, str) or not name or "." in name:
            raise OptionError(f"{type(self).__name__}: a name must be text without dots, got {name!r}")
        own = vars(self).get(name)
        if hasattr(type(self), name) or not (own is None or isinstance(own, (Module, Parameter, Buffer))):
            raise OptionError(f"{type(self).__name__}: {name!r} is the name of something else; choose another")
        setattr(self, name, value)

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn(module)` for all modules below this one, then for this one; returns self."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- modes

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode for the whole tree, except for what is frozen; returns self."""
        if not isinstance(mode, bool):
            raise OptionError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode and not self.frozen
        for module in self.children():  # by their own method: some keep their batch-norm in evaluation mode
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: dropout rests and batch-norm uses its running statistics; returns self."""
        return self.train(False)

    def freeze(self: Self) -> Self:
        """Stop learning here: no gradients, and evaluation mode that `train()` does not end; returns self.

        A frozen batch-norm keeps its running statistics, which is what transfer learning wants."""
        for module in self.modules():
            module.frozen, module.training = True, False
        return self.requires_grad_(False)

    def unfreeze(self: Self) -> Self:
        """Learn again; returns self. Call `train()` afterwards to return to training mode."""
        for module in self.modules():
            module.frozen = False
        return self.requires_grad_(True)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Ask all parameters for a gradient, or none; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or set them to zero)."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            else:
                zero_gradient(parameter)

    # -- moving and converting: in place, so that optimizers keep their parameters

    def to(
        self: Self,
        *targets: Any,
        device: str | int | Device | None = None,
        dtype: DType | None = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Self:
        """Move and/or convert all parameters and buffers: `model.to("cuda")`, `model.to(np.float64)`; returns self.

        A tensor as target stands for its device and dtype; non_blocking and memory_format, which would change speed
        alone, change nothing. Raises DeviceError, DtypeError."""
        for target in targets:
            if isinstance(target, Tensor):
                device, dtype = target.device, target.dtype
            elif is_device(target):
                device = target
            elif not isinstance(target, bool):  # non_blocking
                dtype = float_dtype(target)
        device = None if device is None else as_device(device)
        dtype = None if dtype is None else float_dtype(dtype)
        tensors = [*self.parameters(), *self.buffers()]
        gradients = {id(t.grad): t.grad for t in tensors if t.grad is not None}  # which parameters may share
        tensors += gradients.values()
        moved = [self._moved(t.array, device, dtype) for t in tensors]  # all or nothing, should memory run out
        for t, data in zip(tensors, moved, strict=True):
            if data is not t.array:
                t.array, t.version = data, t.version + 1
        return self

    @staticmethod
    def _moved(array, device, dtype):
        if dtype is not None and array.dtype.kind == "f" and array.dtype != dtype:
            array = array.astype(dtype)
        return array if device is None else to_device(array, device)

    def float(self: Self) -> Self:
        """All floating-point state as float32; returns self."""
        return self.to(np.float32)

    def type(self: Self, dst_type: DType) -> Self:
        """All floating-point state as `dst_type`; returns self."""
        return self.to(dtype=dst_type)

    def double(self: Self) -> Self:
        """All floating-point state as float64; returns self."""
        return self.to(np.float64)

    def half(self: Self) -> Self:
        """All floating-point state as float16; returns self."""
        return self.to(np.float16)

    def bfloat16(self: Self) -> Self:
        """Refused: NumPy has no bfloat16. Raises DtypeError."""
        raise DtypeError(NO_BFLOAT16)

    def cuda(self: Self, device: str | int | Device | None = None) -> Self:
        """Move to a GPU, to the current one if none is named; returns self. Raises DeviceError."""
        return self.to(as_device("cuda" if device is None else device))

    def cpu(self: Self) -> Self:
        """Move to the CPU; returns self."""
        return self.to("cpu")

    # -- state

    def _state(self):
        """(name, tensor, may be missing) for parameters and buffers in the order in which PyTorch lists them.

        What is reachable under two names is listed under both, as in PyTorch's files."""
        for prefix, module in self.named_modules(remove_duplicate=False):
            refuse_own_ways(module)
            for kind in (Parameter, Buffer):
                for name, value in vars(module).items():
                    if isinstance(value, kind) and getattr(value, "persistent", True):
                        yield _dotted(prefix, name), value, name in module.optional_state

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and buffers by dotted name, the prefix before each, as detached tensors that share memory, or
        with keep_vars as they are. They are put into `destination`, if there is one."""
        state: dict[str, Tensor] = OrderedDict() if destination is None else destination
        state.update((prefix + name, value if keep_vars else value.detach()) for name, value, _ in self._state())
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> LoadResult:
        """Copy arrays or tensors into the parameters and buffers of these names, or `assign`: put new ones there.

        A checkpoint of which no name fits is searched for its state dict ('state_dict', 'model', ...), and the prefixes
        of wrappers ('module.', '_orig_mod.', 'model.', 'net.') are removed; a warning says so. Returns (missing_keys,
        unexpected_keys). Everything is checked before anything is changed. Raises WeightsError that lists all missing,
        unexpected and mis-shaped names at once; with strict=False, only mis-shaped ones are an error."""
        if not hasattr(state_dict, "items"):
            raise WeightsError(f"load_state_dict: expected a dict of names and arrays, got {type(state_dict).__name__}")
        own = {name: (value, optional) for name, value, optional in self._state()}
        state_dict, done = matched(state_dict, own)
        if done:
            warnings.warn(
                f"load_state_dict: nothing fitted {type(self).__name__}, so it {' and '.join(done)}", stacklevel=2
            )
        given = {n: as_array(value, n in own and own[n][0].shape == ()) for n, value in state_dict.items()}
        missing = [n for n, (_, optional) in own.items() if n not in given and not optional]
        unexpected = [n for n in given if n not in own]
        fits = [n for n in own if n in given]
        wrong = []
        for n in fits:
            if given[n] is None:
                wrong.append(f"{n}: not an array of numbers but {type(state_dict[n]).__name__}")
            elif tuple(given[n].shape) != own[n][0].shape:
                wrong.append(f"{n}: the state dict has {tuple(given[n].shape)}, the model {own[n][0].shape}")
        if wrong or (strict and (missing or unexpected)):
            misfits = (missing, unexpected) if strict else ([], [])
            hint = "" if any(misfits) else other_head({n: own[n][0].shape for n in own}, given)
            raise WeightsError(misfit(type(self).__name__, *misfits, wrong, hint))
        for n in fits:
            target = own[n][0]
            if assign:
                self._assign(n, state_dict[n] if isinstance(state_dict[n], Parameter) else given[n], target)
                continue
            if on_cpu(target.array) and not target.array.flags.writeable:  # of a fused model
                target.array = target.array.copy(order="K")
            target.array[...] = to_device(given[n], target.device)
            target.version += 1
        return LoadResult(missing, unexpected)

    def _assign(self, name, value, old):
        """The value itself, its memory and its dtype, in the place of what has that name."""
        place, _, own = name.rpartition(".")
        if isinstance(old, Buffer):
            value = Buffer(value, old.persistent)
        elif not isinstance(value, Parameter):
            value = Parameter(value, old.requires_grad)
        setattr(self.get_submodule(place), own, value)

    # -- hooks

    def _hooks(self, when):
        return list(vars(self).get("_hook_lists", {}).get(when, {}).values())

    def has_hooks(self) -> bool:
        """True if a hook is registered here, or `forward` replaced, so that this very module has to be called."""
        return "forward" in vars(self) or any(vars(self).get("_hook_lists", {}).values())

    def norm_pairs(self) -> list[tuple[str, str]]:
        """(convolution, batch-norm) attribute names of this module where the second follows directly on the first."""
        return []

    def fuse(self: Self) -> Self:
        """A copy for inference with every batch-norm folded into its convolution (see `nn.fusing.fuse`)."""
        from .fusing import fuse  # a method of every module that is made of modules: loaded when it is called

        return fuse(self)

    def _add_hook(self, when, hook, prepend):
        hooks = vars(self).setdefault("_hook_lists", {}).setdefault(when, {})
        key = object()
        later = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks.update({key: hook, **later})
        return RemovableHook(hooks, key)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHook:
        """Call `hook(module, inputs)` before forward; what it returns, if anything, replaces the inputs.

        with_kwargs   call hook(module, inputs, options) instead, which may return (inputs, options)
        prepend       before the hooks that are there, not after them"""
        return self._add_hook("before", WithOptions(hook) if with_kwargs else hook, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHook:
        """Call `hook(module, inputs, output)` after forward; what it returns, if anything, replaces the output.

        with_kwargs   call hook(module, inputs, options, output) instead
        prepend       before the hooks that are there, not after them

        Raises OptionError for always_call: a forward that raises has no output to show."""
        if always_call:
            raise OptionError("register_forward_hook: always_call=True; a forward that raises has no output to show")
        return self._add_hook("after", WithOptions(hook) if with_kwargs else hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHook:
        """Call `hook(module, grad_inputs, grad_outputs)` when both are known.

        What it returns, if anything, replaces grad_inputs. prepend: before the hooks that are there."""
        return self._add_hook("backward", hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHook:
        """The old form of `register_full_backward_hook`: grad_inputs are those of the last op, parameters' among them.

        What of these differs from the new form's cannot be looked at; see `hooks.of_the_last_op`."""
        return self.register_full_backward_hook(of_the_last_op(self, hook))

    # -- showing

    def extra_repr(self) -> str:
        """The options shown in print(model); subclasses say what matters."""
        return ""

    def __repr__(self) -> str:
        children = [(name, child) for name, child in vars(self).items() if isinstance(child, Module)]
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in children]
        extra = self.extra_repr()
        lines = [*extra.split("\n"), *lines] if extra else lines
        if not children and len(lines) < 2:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _dotted(prefix, name):
    return f"{prefix}.{name}" if prefix else name


def numpy_state(module: Module) -> dict[str, np.ndarray]:
    """The state dict as NumPy arrays in plain C order, whatever device and memory order the module uses."""
    return {name: np.array(to_numpy(value), order="C") for name, value in module.state_dict().items()}


__all__ = ["Buffer", "Module", "Parameter", "numpy_state"]
