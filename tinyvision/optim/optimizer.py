"""What all optimizers share: parameter groups, state, and stepping in place."""

import copy
import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import blocks
from ..arrays import full_name, in_its_order, is_array, memory_of
from ..device import device_of, is_capturing, several_gpus, to_device, use
from ..errors import CheckpointError, GraphError, OptionError, ShapeError
from ..grad_mode import is_grad_enabled, no_grad
from ..ops.checks import is_number
from ..tape import Variable, read
from ..tensors.hooks import RemovableHook, zero_gradient
from ..types import Array

# What schedules keep in a group besides the optimizer's own options.
_SCHEDULES = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr")

# Options that are numbers of 0 or more, whichever optimizer has them.
_FROM_ZERO = ("lr", "lr_decay", "weight_decay", "momentum_decay", "eps", "momentum", "initial_accumulator_value")
# Options that choose in PyTorch among ways to compute the same.
_HINTS = ("foreach", "fused", "capturable", "differentiable")
# What other libraries call the learning rate and the weight decay.
_ELSEWHERE = ("learning_rate", "wd")
_ALIKE = 0.75  # by difflib: weight_deacy is meant for weight_decay, layer_decay is not
# Entries of a state that are one number, however large the parameter.
_NUMBERS = {"step": int, "mu_product": float}


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"

    def __reduce__(self) -> str:
        return "required"  # a copy of it, or of an optimizer that has it, is compared with the one there is


required = _Required()


class Optimizer:
    """Base class. `params` is an iterable of parameters, or of groups `{"params": [...], "lr": ...}`
    with own options; a parameter may come with its name, as from `model.named_parameters()`, which the group keeps as
    "param_names".

    A subclass of one's own says in `defaults` what options there are; `required` is one that has no default.

    Raises OptionError for no parameters, one that is given twice, or an option that is required and not there."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, (Variable, np.ndarray)) or not hasattr(params, "__iter__"):
            raise OptionError("an optimizer takes several parameters: model.parameters(), or a list")
        self.defaults = defaults
        self.state: dict[Variable, dict[str, Any]] = defaultdict(dict)  # optimizers of one's own read it as it fills
        self.live: dict[int, Array] = {}  # by a group's id: its `numbers`, on the GPU (see make_repeatable)
        self.param_groups: list[dict[str, Any]] = []
        self._hooks: dict[str, list[Callable[..., Any]]] = {"before": [], "after": []}
        groups = list(params)
        if not groups:
            raise OptionError("an optimizer was given no parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; what is not named takes the defaults. Raises OptionError."""
        name, group = type(self).__name__, param_group
        if not isinstance(group, dict) or "params" not in group:
            raise OptionError(f'{name}: a parameter group is a dict with "params"')
        if not hasattr(group["params"], "__iter__"):
            raise OptionError(f"{name}: a group's params are parameters, got {type(group['params']).__name__}")
        params: list[Any] = [group["params"]] if isinstance(group["params"], Variable) else list(group["params"])
        if params and all(isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in params):
            group = {**group, "param_names": [name for name, _ in params]}
            params = [p for _, p in params]
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Variable):
                raise OptionError(f"{name}: expected parameters, got {full_name(p)}")
            if p.record is not None:
                raise OptionError(f"{name}: a value computed by {p.record.name} cannot be optimised, only leaves can")
            if isinstance(array := read(p), np.ndarray) and not array.flags.writeable:
                self._refuse_read_only(p)
            if id(p) in known:
                raise OptionError(f"{name}: a parameter of shape {p.shape} is given twice")
            known.add(id(p))
        group = {**group, "params": params, **{name: v for name, v in self.defaults.items() if name not in group}}
        self.check_options(group)
        self.param_groups.append(group)

    def _refuse_read_only(self, p):
        name = type(self).__name__
        raise OptionError(f"{name}: a parameter {p.shape} is read-only; a fused model cannot be trained")

    def _refuse_shape(self, p, what, shape):
        raise ShapeError(
            f"{type(self).__name__}: the {what} of a parameter is {shape}, but the parameter {p.shape}, as its .data "
            f"was given other numbers since; call zero_grad(), and make a new optimizer"
        )

    def check_state(self, p: Any) -> None:
        """Raise ShapeError, before a step, if what is remembered of a parameter does not fit it. What a subclass's own
        state means, it alone knows."""

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise OptionError if an option of a group has a value without meaning. What a subclass's own options mean,
        it alone knows: nothing is refused here but an option that every group must name."""
        for name, value in group.items():
            if value is required:
                raise OptionError(f"{type(self).__name__}: a group must say its {name}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients (or set them to zero)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                else:
                    zero_gradient(p)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. `closure`, if given, recomputes the loss first; its
        value is returned. Raises OptionError, before anything is changed, if one is read-only, ShapeError if a gradient
        or what is remembered does not fit."""
        self._tell("before", closure)
        loss = None
        if closure is not None:
            if not is_grad_enabled():
                raise GraphError("step(closure) needs gradients, but it was called under no_grad()")
            loss = closure()
        waiting = [(group, [p for p in group["params"] if p._grad is not None]) for group in self.param_groups]
        for group, pending in waiting:
            shrinks = group.get("decoupled_weight_decay") and group["weight_decay"]
            for p in pending:
                if shrinks and memory_of(p.grad.array) is memory_of(p.array):
                    raise OptionError(
                        f"{type(self).__name__}: the .grad of a parameter {p.shape} lies in its own memory, so that "
                        f"weight decay would change it first; set it to a .clone()"
                    )
                if isinstance(array := read(p), np.ndarray) and not array.flags.writeable:
                    self._refuse_read_only(p)  # it may have become so since, and then no parameter is to have moved
                if p._grad.array.shape != array.shape:
                    self._refuse_shape(p, ".grad", p.grad.array.shape)
                if len(p.changes) > 1 and p.changes[2]:  # only then another shape may have come by .data = ...
                    self.check_state(p)
        with no_grad():
            for group, pending in waiting:
                for together in _by_gpu(pending):
                    if several_gpus():
                        use(device_of(read(together[0])))
                    if not self.update_together(together, group):
                        if is_capturing():
                            raise OptionError(f"{type(self).__name__} does not update these parameters in one launch")
                        for p in together:
                            self.update(p, p.grad.array, self.state[p], group)
                for p in pending:
                    p.changes[0] += 1
        self._tell("after", closure)
        return loss

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHook:
        """Call `hook(optimizer, arguments, options)` before every step. Raises OptionError, also if it returns others
        for the step to take."""
        return self._add_hook("before", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHook:
        """Call `hook(optimizer, arguments, options)` after every step. Raises OptionError."""
        return self._add_hook("after", hook)

    def _add_hook(self, when, hook):
        if type(self).step is not Optimizer.step:
            raise OptionError(f"{type(self).__name__}: its step() is its own and calls no hooks; call them there")
        self._hooks[when].append(hook)
        return RemovableHook(self._hooks[when], hook)

    def _tell(self, when, closure):
        for hook in list(self._hooks[when]):
            if hook(self, (self,) if closure is None else (self, closure), {}) is not None and when == "before":
                raise OptionError(
                    f"{type(self).__name__}: a hook before a step must return None; it sees the step only"
                )

    def update_together(self, parameters: list[Any], group: dict[str, Any]) -> bool:
        """Change all these parameters at once and say True, where an optimizer has a faster way; False by default."""
        return False

    def numbers(self, group: dict[str, Any]) -> np.ndarray | None:
        """What a step computes with besides arrays, such as the learning rate, as one array of float32; None where an
        optimizer's step cannot be repeated by a CUDA graph, which keeps all numbers but those in memory."""
        return None

    def make_repeatable(self) -> None:
        """Put every group's `numbers` on the GPU, from where a step that is captured reads them. Raises OptionError."""
        for group in self.param_groups:
            numbers = self.numbers(group)
            if numbers is None:
                raise OptionError(
                    f"{type(self).__name__} cannot be part of a CUDA graph; SGD and Adam (without amsgrad) can"
                )
            if id(group) not in self.live:
                self.live[id(group)] = to_device(numbers, device_of(group["params"][0].array))

    def refresh(self) -> None:
        """Before a captured step is replayed: hand it the numbers of this time, which a schedule may have changed."""
        for group in self.param_groups:
            self.count_replay(group)
            numbers = self.numbers(group)
            if numbers is not None:
                use(device_of(self.live[id(group)]))
                self.live[id(group)].set(numbers)

    def count_replay(self, group: dict[str, Any]) -> None:
        """Count a step that a graph is about to do, for optimizers that count; Python runs none of it."""

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change one parameter in place; every optimizer defines it."""
        raise OptionError(f"{type(self).__name__} does not define update()")

    def state_dict(self) -> dict[str, Any]:
        """{"state": {number of the parameter: its state}, "param_groups": [...]}, as in PyTorch; arrays
        are not copied."""
        params = [p for group in self.param_groups for p in group["params"]]
        number = {id(p): i for i, p in enumerate(params)}
        groups = [{**g, "params": [number[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": {number[id(p)]: dict(s) for p, s in self.state.items() if s}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`, of ours or of PyTorch's, over the same groups.

        Raises CheckpointError, before anything is changed, if it does not fit."""
        try:
            groups, saved_states = list(state_dict["param_groups"]), dict(state_dict["state"])
            sizes = [len(group["params"]) for group in groups]
        except (TypeError, KeyError, ValueError):
            raise CheckpointError(
                'this is not the state of an optimizer: it has no "state" and "param_groups"'
            ) from None
        own = [len(group["params"]) for group in self.param_groups]
        if sizes != own:
            raise CheckpointError(f"the optimizer's groups hold {own} parameters, those of the state {sizes}")
        params = dict(enumerate(p for group in self.param_groups for p in group["params"]))
        state: dict[Variable, dict[str, Any]] = defaultdict(dict)
        for number, saved in saved_states.items():
            if not str(number).isdigit() or int(number) not in params:
                raise CheckpointError(f"the state speaks of parameter {number!r}, but there are {len(params)}, from 0")
            p = params[int(number)]
            state[p] = {name: self.restored(name, value, p, number) for name, value in saved.items()}
        merged = [
            {**group, **{key: saved[key] for key in saved if key != "params" and (key in group or key in _SCHEDULES)}}
            for group, saved in zip(self.param_groups, groups, strict=True)
        ]
        for group in merged:
            self.check_options(group)
        for group, new in zip(self.param_groups, merged, strict=True):
            group.update(new)
        self.state = state

    def restored(self, name: str, value: Any, p: Any, number: Any) -> Any:
        """A saved entry of the state of p, parameter `number`. What entries mean, a subclass alone knows: tensors and
        arrays of any shape are copied to the device of p, floats in its dtype, and all else comes back as it is."""
        if isinstance(value, Variable):
            return value.like(self.restored(name, value.array, p, number))
        if hasattr(value, "detach"):  # a tensor of PyTorch's
            return self.restored(name, p.like(np.asarray(value.detach().cpu())), p, number)
        if not is_array(value):
            return copy.deepcopy(value)
        array = in_its_order(to_device(value, p.device), lambda a: a.copy())
        return array.astype(p.dtype) if array.dtype.kind == p.dtype.kind == "f" and name != "step" else array

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            options = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            text += f"\nParameter Group {i}\n{''.join(options)}"
        return text + ")"


def _by_gpu(parameters):
    """The parameters in lists, each of those that live on one device; no list where there are none."""
    if not several_gpus():
        return [parameters] if parameters else []
    places = {}
    for p in parameters:
        places.setdefault(device_of(p.array), []).append(p)
    return list(places.values())


class BoundedOptimizer(Optimizer):
    """Base of the optimizers here: what options they have is known, and between which bounds.

    A group may have entries of its owner's besides, such as a name, which change nothing; so do foreach, fused and
    capturable, which choose in PyTorch among ways to compute the same.

    Raises OptionError for misspelt options and for values that mean nothing, besides what Optimizer refuses."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own; what is not named takes the defaults. Raises OptionError."""
        for key in param_group if isinstance(param_group, dict) else ():
            is_known = key in self.defaults or key in ("params", *_SCHEDULES)
            known = [name for name in self.defaults if name not in _HINTS]
            if not is_known and _is_meant_for_one_of(str(key), (*known, *_ELSEWHERE)):
                raise OptionError(f"{type(self).__name__}: unknown option {key!r}; known are {', '.join(known)}")
        super().add_param_group(param_group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Raise OptionError if an option of a group has a value without meaning."""
        super().check_options(group)
        group = {name: group[name] for name in self.defaults}  # what else there is means nothing here
        if group.get("differentiable"):
            raise OptionError(f"{type(self).__name__}: differentiable=True is not there: a step is not on the tape")
        for name in _FROM_ZERO:
            value = group.get(name, 0)
            if isinstance(value, Variable):
                raise OptionError(
                    f"{type(self).__name__}: {name} must be a number, which a tensor that is changed later would not "
                    f"be; give {name}.item(), and change it by param_groups or a schedule"
                )
            if not is_number(value) or not float(value) >= 0:
                raise OptionError(f"{type(self).__name__}: {name} must be 0 or more, got {value!r}")
        rho = group.get("rho", 0)
        if not is_number(rho) or not 0 <= float(rho) <= 1:
            raise OptionError(f"{type(self).__name__}: rho must be from 0 to 1, got {rho!r}")
        betas = group.get("betas", (0, 0))
        pair = isinstance(betas, (tuple, list)) and len(betas) == 2 and all(map(is_number, betas))
        if not pair or not all(0 <= b < 1 for b in betas):
            raise OptionError(f"{type(self).__name__}: betas must be two numbers from 0 to below 1, got {betas!r}")

    def check_state(self, p: Any) -> None:
        """Raise ShapeError, before a step, if an array that is remembered of a parameter has another shape."""
        for name, value in self.state[p].items() if p in self.state else ():
            if is_array(value) and value.shape != p.array.shape and name not in _NUMBERS:
                self._refuse_shape(p, name, value.shape)

    def restored(self, name: str, value: Any, p: Any, number: Any) -> Any:
        """A saved entry: a number as such, an array as a copy on the device and in the memory order of p. Raises
        CheckpointError for one of another shape than that of p."""
        if value is None:
            return None
        if name in _NUMBERS:
            return _NUMBERS[name](value)
        if isinstance(value, Variable):
            value = value.array
        if tuple(np.shape(value)) != p.shape:
            raise CheckpointError(
                f"{name} of parameter {number} is {tuple(np.shape(value))}, but the parameter is {p.shape}"
            )
        array = np.empty_like(p.array)
        array[...] = to_device(value if hasattr(value, "dtype") else np.asarray(value), p.device)
        return array


def _is_meant_for_one_of(key, options):
    """Whether a key is another spelling of an option: LR is, and momentun. `lr_scale` is not: it says the whole name
    of one, so that somebody means another thing by it."""
    words = f"_{key.lower()}_"
    spellings = [name.replace("_", "") for name in options if f"_{name}_" not in words or words.strip("_") == name]
    return bool(difflib.get_close_matches(words.replace("_", ""), spellings, 1, _ALIKE))


def followed(p: Array, gradient: Array, group: Mapping[str, Any]) -> Array:
    """The direction whose opposite a step takes, in scratch memory: gradient + weight_decay·p, and the gradient's
    opposite if it is to climb. A decoupled weight decay is taken off p itself instead."""
    g = blocks.scratch("step", p.shape, p)
    np.multiply(gradient, -1.0 if group["maximize"] else 1.0, out=g)
    decay = group["weight_decay"]
    if decay and group.get("decoupled_weight_decay"):
        p *= 1 - group["lr"] * decay
    elif decay:
        g += np.multiply(p, decay, out=blocks.scratch("term", p.shape, p))
    return g


def averaged(m: Array, v: Array, g: Array, betas: tuple[float, float]) -> None:
    """m ← β₁m + (1-β₁)g,   v ← β₂v + (1-β₂)g², in place: the running means of Adam and its kin."""
    term = blocks.scratch("term", g.shape, g)
    m *= betas[0]
    m += np.multiply(g, 1 - betas[0], out=term)
    v *= betas[1]
    np.multiply(g, g, out=term)
    term *= 1 - betas[1]
    v += term
