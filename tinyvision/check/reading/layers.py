"""Driving a layer: a class that keeps its weights, what forward saw and its gradients in itself.

A new layer is made for every forward, so that nothing is left over from the last call, and a second backward runs on a
copy of what the layer was after forward: layers that step their weights or add up their gradients answer it as they
answered the first.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..place import is_array
from ..runner import parameters
from . import words
from .beginning import asks_for_shape, begin
from .calling import BUILD, Offer, Unmet, options_of, plan, with_upstream
from .functions import scaled
from .returned import output_of
from .slots import Slot, is_named, is_statistic, slots, spelled
from .standing_in import NoActivation, Upstream
from .stepping import STEPS, for_a_step, own_rule, variables

OUTPUTS = ("output", "out", "y", "a", "z", "outputs", "activation", "result", "loss", "Z", "A", "Y", "O", "H")
INPUT_GRADIENTS = ("dinputs", "dinput", "dx", "dX", "grad_input", "dA_prev", "din", "grad", "delta", "input_gradient",
                   "d_input", "dA", "dprev", "grad_x", "dlogits", "dA_prev", "dX_prev", "dZ_prev")  # fmt: skip
STEPPED = "the step that backward takes from "


class Layer:
    """A class, an instance or a function that makes one, driven as a pair."""

    parameters_inside = True

    def __init__(self, make: Any, arrays: Sequence[str], op: str = "", recorded: bool = False) -> None:
        self.make, self.arrays, self.op = make, tuple(arrays), op
        # A function of an autograd library is called, as in F()(x): it wraps arrays, and keeps what backward needs.
        self.recorded, self.wrapper, self.last = recorded, None, None
        self.fixed = not callable(make) or not (inspect.isclass(make) or inspect.isroutine(make))
        self.parameters = {} if self.fixed else parameters(make) or {}
        inner = [a for a in arrays if a not in ("x", "logits", "labels", "a", "b", "columns", "mask")]
        self.plan = plan(self.parameters, (), self._roles(inner))
        if self.plan.unknown:
            self.plan = plan(self.parameters, [*inner, *self._in_order()], self._roles(()))
        self.plan = replace(self.plan, loose=False)  # what a constructor takes as **kwargs, nobody need hand over
        self.inner, self.outer = tuple(inner), tuple(a for a in arrays if a not in inner)
        self.found: dict[str, str] = {}
        self.notes: list[str] = []
        self.unset: set[str] = set()
        self.untied = False  # does it keep a bias for each place of its output?
        self.ruled: dict[str, bool] = {}  # for each parameter that backward steps: by a rule of its own?
        self.unread: dict[str, str] = {}  # and the place of those whose gradient was not found
        self.grew = False  # has a step made a parameter larger?
        self.settled = False
        self.activation: Any = None  # which it takes for none, once `settled`
        self.own: dict[str, tuple] = {}  # the shapes in which it keeps its biases: (-1,), (1, -1), (-1, 1), ...
        self.alone: Any = None  # the one layer that is used for all calls, while `kept`
        self.keeping = False
        self.front = self.rear = None
        self.looked_at: tuple = ()  # the class and the functions of an object whose methods are known
        self.kind: Any = make if inspect.isclass(make) else type(make)

    def _in_order(self):
        order = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
        return [r for r in order if r in words.roles_of(self.op)]

    def _roles(self, inner):
        """Constructors that ask for sizes mean sizes by "filters"; those that take W and b mean arrays."""
        build = [r for r in BUILD if r in words.roles_of(self.op)]
        sizes = {r for n in self.parameters for r in ("in_channels", "out_channels", "kernel_size", "filter_shape",
                 "input_shape") if r in build and words.is_role(n, r)}  # fmt: skip
        plainly = [n for n in self.parameters if words.plain(n) in ("w", "weight", "weights", "gamma")]
        return (*inner, *build) if plainly or not sizes else (*build, *inner)

    @property
    def asks(self) -> tuple:
        """The plans of all that is called with options."""
        return (self.plan, self.front_plan) if self.front is not None else (self.plan,)

    def told(self, role: str) -> bool:
        """True if an array is handed over to the constructor or to forward, or the constructor takes what it likes."""
        return any(p.takes(role) for p in self.asks) or self.plan.takes("filter_shape")

    def vector(self, role: str) -> bool:
        """True for a parameter with a number for each channel, in whatever shape the layer keeps it."""
        return role == "bias" or self.op == "batchnorm_train"

    def own_shape(self) -> tuple | None:
        """The shape of the weight of a layer that is made without being told any size; None for others."""
        if self.parameters or (not self.fixed and inspect.isclass(self.make)):
            return None
        layer = self.make if self.fixed else self.make()
        return next((s.array.shape for s in slots(layer) if is_named(s.path, "weight")), None)

    @property
    def shown(self) -> bool:
        """True if the constructor, or a method that begins the layer, is shown what shape the images have."""
        return self.plan.uses("input_shape") or asks_for_shape(self.kind)

    @property
    def is_called(self) -> bool:
        """True if its class says what a call of the layer itself does: a library's functions are called so."""
        return _own_call(self.kind)

    @property
    def written(self) -> tuple:
        """The methods as their author wrote them."""
        kind = self.kind
        return getattr(kind, self.front or "", kind), getattr(kind, self.rear or "", kind)

    def build(self, offer: Offer) -> Any:
        """A new layer."""
        if self.fixed:
            return copy.deepcopy(self.make)
        args, kwargs = self.plan.arguments(self.parameters, offer)
        try:
            made = self.make(*args, **kwargs)
        except AttributeError:  # a base class that begins the layer before it has its sizes: the shape comes later
            shaped = [n for n, role in self.plan.roles.items() if role == "input_shape"]
            if not shaped or self.parameters[shaped[0]].default is not None:
                raise
            later = replace(self.plan, roles={**self.plan.roles, shaped[0]: None})
            args, kwargs = later.arguments(self.parameters, offer)
            made = self.make(*args, **kwargs)
        self._methods(made)
        return made

    def _methods(self, layer):
        kind = type(layer)  # asked, in place of the layer: a property may raise before forward has run
        own = [n for n, value in vars(layer).items() if callable(value)]
        if self.looked_at == (kind, own):
            return
        names = [n for n in dir(kind) if callable(getattr(kind, n, None))] + own
        front = words.method([n for n in names if n != "__call__" or _own_call(kind)], words.FORWARDS)
        rear = words.method(names, words.BACKWARDS)
        if front is None:
            raise Unmet("forward")
        self.front, self.rear, self.kind = front, rear, type(layer)
        outer = parameters(getattr(layer, front)) or {}
        options = options_of(self.op)
        self.front_plan = plan(outer, self.outer, options)
        if len(self.front_plan.unknown):
            self.front_plan = plan(outer, self.arrays, options)
        self.front_parameters = outer
        self.behind = (parameters(getattr(layer, rear)) or {}) if rear else {}
        self.rear_plan = plan(self.behind, ("dy", "cache", *self.arrays, "y"), options)
        if "labels" not in self.arrays:
            self.rear_plan = with_upstream(self.rear_plan)
        # A decorator's (*args, **kwargs) does not tell what is behind it: a layer is given x, and dy on the way back.
        self.front_plan = replace(self.front_plan, spread=tuple(r for r in self.front_plan.spread if r != "mask"))
        self.rear_plan = replace(self.rear_plan, spread=self.rear_plan.spread[:1])
        self.looked_at = (kind, own)

    def forward(self, offer: Offer, shape: tuple) -> Any:
        """(output, state) of one call on a new layer that holds the weights given."""
        if self.settled or not self.plan.uses("activation"):
            return self._forward(offer, shape)
        errors, default = [], self._default("activation")
        usual = [default] if str(default).lower() in ("linear", "identity", "none") else [None]
        for activation in (*usual, NoActivation(), "linear", "identity"):
            offer.options["activation"] = activation
            try:
                outcome = self._forward(offer, shape)
            except Unmet:
                raise
            except Exception as error:
                errors.append(error)
                if not any(word in str(error) for word in ("None", "activ", "linear", "identity")):
                    break
            else:
                self.settled, self.activation = True, activation
                return outcome
        raise errors[0]

    def _default(self, role):
        """What the constructor takes for a role where nobody says otherwise."""
        name = next((n for n, r in self.plan.roles.items() if r == role), None)
        return None if name is None else self.parameters[name].default

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within this, one and the same layer answers all calls, as in training."""
        self.keeping = True
        try:
            yield
        finally:
            self.keeping, self.alone = False, None

    def queued(self) -> int:
        """How many things the layer that is `kept` has in lists: one that grows holds all calls, not the last."""
        return sum(len(v) for v in getattr(self.alone, "__dict__", {}).values() if isinstance(v, list))

    def _forward(self, offer, shape):
        if self.settled:
            offer.options["activation"] = self.activation
        layer = self.alone if self.alone is not None else self.build(offer)
        if self.fixed:
            self._methods(layer)
        if self.alone is None:
            begin(layer, offer.options.get("input_shape", offer.options["batch_shape"]))
        self.alone = layer if self.keeping else None
        late = self._set(layer, offer)
        value = self._call(layer, offer)
        if late and not self._set(layer, offer):  # its weights are made when forward sees the first images
            value = self._call(layer, offer)
        if "weight" in self.unset:
            raise Unmet("weight")
        if value is None:
            value = next((vars(layer)[n] for n in OUTPUTS if is_array(getattr(layer, n, None))), None)
        y, cache = output_of(value, shape)
        cache = offer.context if self.front_plan.takes("context") else cache
        return y, _State(layer, offer, y, cache, self.last)

    def _call(self, layer, offer):
        args, kwargs = self.front_plan.arguments(self.front_parameters, offer)
        if not self.recorded or not self.is_called:
            return getattr(layer, self.front)(*args, **kwargs)
        value = layer(*args, **kwargs)
        self.wrapper, self.last = None if is_array(value) else type(value), value
        return _bare(value)

    def _set(self, layer, offer):
        """Give the layer its weights; the roles for which it has no place yet."""
        late, there = [], slots(layer)
        for role in self.inner:
            if role not in offer.arrays or self.plan.takes(role) or self.front_plan.takes(role):
                continue
            place = self.place(there, role, offer.arrays[role])
            if place is None and role == "bias":
                place = self._place_of_each(layer, offer)
            if place is None and role == "bias" and self.untied:
                raise Unmet("stride")  # its output has another size than was asked for
            if place is None:
                late.append(role)
                continue
            value, old = np.array(offer.arrays[role]), place.array
            if self.vector(role) and old.size == value.size:
                value = value.reshape(old.shape)
                self.own[role] = tuple(-1 if n > 1 else 1 for n in old.shape)
            if old.shape != value.shape:
                raise Unmet(f"{role} of shape {old.shape}")
            for slot in there:
                if slot.array is old:
                    slot.put(value)
            self.found[role] = spelled(place.path)
        self.unset = set(late)
        return late

    def _place_of_each(self, layer, offer):
        """Where a layer keeps a bias for each place of its output, and not for each channel; set alike for all."""
        full = offer.everywhere
        if full is None:
            return None
        shapes = {np.shape(full): full, np.shape(full[0]): full[0]}
        found = next((s for s in slots(layer) if is_named(s.path, "bias") and s.array.shape in shapes), None)
        if found is not None:
            offer.arrays["bias"], self.untied = np.array(shapes[found.array.shape]), True
        return found

    def place(self, there: Sequence[Slot], role: str, value: np.ndarray) -> Slot | None:
        """Where a layer with these slots keeps a parameter: by its name, else by its size if only one array has it."""
        fits = [s for s in there if s.array.size == value.size and not words.gradient_of(s.path, role)]
        named = [s for s in fits if is_named(s.path, role)]
        if named:
            return named[0]
        shaped = [s for s in fits if s.array.shape == value.shape and role == "weight" and value.ndim > 1
                  and "grad" not in words.plain(str(s.path[-1]))]  # fmt: skip
        if self.op == "batchnorm_train":
            first = 1.0 if role == "weight" else 0.0  # a new layer scales by 1 and shifts by 0
            shaped = [s for s in fits if np.all(s.array == first) and not is_statistic(s.path)]
        return shaped[0] if len(shaped) == 1 else None

    def backward(self, dy: Any, state: Any) -> Any:
        """(what backward returned, gradients found in the layer by role)."""
        layer = state.next()
        before = {s.path: (s.array, s.array.copy()) for s in slots(layer)}
        value = self._back(layer, state, dy)
        found = self._gradients(layer, before, state, dy)
        self._by_own_rule(found, state, dy)
        lacking = [r for r in self.inner if r in state.offer.arrays and r not in found and r not in self.unread]
        returned, dw = isinstance(value, (tuple, list, dict)), found.get("weight")
        if is_array(value) and is_array(dw) and value.shape == np.shape(dw) and _alike(value, dw):
            value = None  # its weights' gradient: the first layer of a network may return that
        return value, {**found, **(self._stepped(layer, lacking, state) if lacking and not returned else {})}

    def _back(self, layer, state, dy):
        """What backward returns, or leaves where an output's gradient lies."""
        arrays = {**state.offer.arrays, "dy": self.wrapper(dy) if self.wrapper else dy, "cache": state.cache,
                  "y": state.y}  # fmt: skip
        behind_loss = self.op == "cross_entropy" and self.rear_plan.takes("dy") and self.rear_plan.takes("labels")
        if behind_loss:  # backward(dvalues, y_true) of a loss: what is called an upstream is the prediction
            arrays["dy"] = state.offer.arrays["logits"]
        offer = Offer(arrays, {"learning_rate": 1.0, **state.offer.options}, state.offer.pairs, state.offer.mode)
        if self.rear is None:
            raise Unmet("backward")
        empty = inspect.Parameter.empty
        if state.cache is None and any(
            r == "cache" and self.behind[n].default is empty for n, r in self.rear_plan.roles.items()
        ):
            raise Unmet("cache")
        args, kwargs = self.rear_plan.arguments(self.behind, offer)
        losses = self._losses_inside(layer, dy)
        kept = {name: vars(layer)[name] for name in losses}
        vars(layer).update(losses)
        try:
            for name in words.BESIDES:
                if callable(beside := getattr(layer, name, None)) and parameters(beside) == self.behind:
                    beside(*args, **kwargs)
            value = _bare(getattr(layer, self.rear)(*args, **kwargs))
        finally:
            vars(layer).update(kept)
        asked = [name for name, loss in losses.items() if loss.asked]
        if asked:
            self.found["dy"] = f"what self.{asked[0]} hands back"
        if offer.ledger:
            layer.gradients = offer.ledger
        if value is None:
            value = next((vars(layer)[n] for n in INPUT_GRADIENTS if is_array(getattr(layer, n, None))), None)
        if behind_loss or not (self.rear_plan.uses("dy") or asked):
            value = scaled(value, dy)
        return value

    def _losses_inside(self, layer, dy):
        """By attribute, what stands in for a loss that the layer keeps inside, where its backward is handed no dy."""
        if self.rear_plan.uses("dy") or self.op == "cross_entropy":
            return {}
        return {name: Upstream(dy) for name, value in vars(layer).items()
                if not inspect.isclass(value) and is_layer(value)}  # fmt: skip

    def _by_own_rule(self, found, state, dy):
        """Of parameters stepped by momentum, Adam or decay: the gradient in a variable of backward, or none."""
        stepped = [r for r in found if self.found["d" + r].startswith(STEPPED) and self.ruled.get(r, True)]
        if not stepped or state.pristine is None:
            return

        def step(layer, factor, role):
            place = self.place(slots(layer), role, np.asarray(state.offer.arrays[role]))
            old = place.array.copy()
            self._back(layer, state, dy * factor)
            return old - place.array

        for role in stepped:
            if role not in self.ruled and np.any(found[role]):
                with suppress(Exception):
                    self.ruled[role] = own_rule(state.pristine, lambda la, f, r=role: step(la, f, r))
        if not any(self.ruled.get(r) for r in stepped):
            return
        layer = copy.deepcopy(state.pristine)
        seen = variables(layer, lambda: self._back(layer, state, dy))
        for role in stepped:
            if self.ruled.get(role):
                size, place = np.size(found.pop(role)), self.found.pop("d" + role).removeprefix(STEPPED)
                named = [n for n, v in seen.items() if v.size == size and words.gradient_of((n,), role)]
                if named:
                    found[role] = seen[named[0]]
                    self.found["d" + role] = f"{named[0]}, a variable of {self.rear} ({place} has a rule of its own)"
                else:
                    self.unread[role] = place

    def _stepped(self, layer, roles, state):
        """Gradients of a layer that steps its weights in a method of its own, as layer.update(lr)."""
        for name in STEPS:
            method = getattr(layer, name, None)
            given = for_a_step(parameters(method) or {}) if callable(method) else None
            if given is None:
                continue
            there = slots(layer)
            places = {r: self.place(there, r, np.asarray(state.offer.arrays[r])) for r in roles}
            before = {r: slot.array.copy() for r, slot in places.items() if slot is not None}
            with suppress(Exception):
                method(**given)
                out = {r: old - places[r].array for r, old in before.items()}
                for role, old in before.items():
                    self.found["d" + role] = f"the step that {name} takes from {spelled(places[role].path)}"
                    places[role].put(old)
                return out
        return {}

    def _gradients(self, layer, before, state, dy):
        out = {}
        now = slots(layer)
        for role in (r for r in self.inner if r in state.offer.arrays):
            size = np.size(state.offer.arrays[role])
            named = [s for s in now if s.array.size == size and words.gradient_of(s.path, role)]
            named.sort(key=lambda s: s.stayed(before))
            named = named or [s for s in now if s.array.size == size and self._listed(s.path, role)]
            if named:
                out[role] = named[0].array
                self.found["d" + role] = spelled(named[0].path)
                continue
            place = self.place(now, role, np.asarray(state.offer.arrays[role])) or self._grown(layer, role)
            if place is not None and place.path in before:
                step, told = (
                    before[place.path][1] - place.array,
                    f"{STEPPED}{spelled(place.path)}",
                )
                # Without an upstream there is no step.
                if step.any() or self.found.get("d" + role) == told or role in self.ruled:
                    out[role], self.found["d" + role] = step / self._rate(layer), told
                    continue
            fresh = [
                s for s in now
                if s.array.size == size and (s.path not in before or before[s.path][0] is not s.array)
                and not is_named(s.path, role) and not _is(s.array, dy)
                and not any(words.gradient_of(s.path, other) for other in self.inner)
            ]  # fmt: skip
            fresh = [s for s in fresh if spelled(s.path) == self.found.get("d" + role)] or fresh
            # A gradient that goes by its name is one, even of another size: what is wrong with it is told then.
            misshapen = [s for s in now if words.gradient_of(s.path, role) and s.array.size != size
                         and (s.path not in before or before[s.path][0] is not s.array)]  # fmt: skip
            if len(fresh) == 1 or misshapen:
                slot = fresh[0] if len(fresh) == 1 else misshapen[0]
                out[role], self.found["d" + role] = slot.array, spelled(slot.path)
        return out

    def _grown(self, layer, role):
        """A parameter that its step has broadcast: b - dy, of an upstream that was not summed over the batch."""
        slot = next((s for s in slots(layer) if spelled(s.path) == self.found.get(role)), None)
        self.grew |= slot is not None
        return slot

    def _listed(self, path, role):
        """A list of gradients beside a list of parameters, in the order of the parameters."""
        names = [str(p) for p in path]
        whole = len(path) > 1 and any(m in words.plain(names[-2]) for m in ("grad", "delta"))
        return whole and path[-1] == self.inner.index(role) and len(self.inner) > 1

    def _rate(self, layer):
        if self.rear_plan.uses("learning_rate"):
            return 1.0
        for name, value in vars(layer).items():
            if words.is_role(name, "learning_rate") and isinstance(value, float) and value:
                return value
        return 1.0


def _alike(a, b):
    """True for the same numbers, however small they are."""
    return np.any(a) and np.allclose(a, b, rtol=1e-6, atol=0)


def _is(kept, dy):
    """True for an upstream gradient that a layer has kept for later."""
    return kept is dy or (kept.shape == np.shape(dy) and np.any(dy) and np.array_equal(kept, dy))


class _State:
    """A layer after forward. It has no __dict__: what a layer does to itself is its own affair."""

    __slots__ = ("alive", "cache", "layer", "offer", "pristine", "used", "y")

    def __init__(self, layer, offer, y, cache, alive):
        self.layer, self.offer, self.y, self.cache, self.used = layer, offer, y, cache, False
        self.alive = alive  # what a library's function has only weak references to
        try:
            self.pristine = copy.deepcopy(layer)
        except Exception:  # a layer that cannot be copied is used again as it is
            self.pristine = None

    @property
    def kept(self) -> tuple:
        """All that the second call of backward may change, and each after it: those get copies of the layer."""
        return (self.offer, self.cache, self.y, self.layer if self.pristine is None else None)

    def next(self):
        """The layer itself the first time, then copies of what it was after forward."""
        if not self.used or self.pristine is None:
            self.used = True
            return self.layer
        return copy.deepcopy(self.pristine)


def _bare(value):
    """The arrays inside of a library's own kind of arrays: variable.data, tensor.value."""
    if isinstance(value, (tuple, list)):
        return type(value)(_bare(v) for v in value)
    if is_array(value) or not hasattr(value, "__dict__"):
        return value
    inside = (getattr(value, name, None) for name in ("data", "value", "array", "_data"))
    return next((v for v in inside if is_array(v)), value)


def _own_call(kind):
    return "__call__" in {n for c in kind.__mro__[:-1] for n in vars(c)}


def is_layer(thing: Callable[..., Any] | Any) -> bool:
    """True for a class, or an object, with a forward and a backward."""
    if inspect.isroutine(thing):
        return False
    names = set(dir(thing))
    if not inspect.isclass(thing) and not _own_call(type(thing)):
        names.discard("__call__")
    return words.method(names, words.FORWARDS) is not None and words.method(names, words.BACKWARDS) is not None
