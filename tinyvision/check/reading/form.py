"""One reading of a piece of code, as a pair of functions in this library's form."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import reference, supports
from ..ops import Spec
from ..place import fetched
from . import layouts as lay
from .calling import Offer, Unmet
from .choices import LABELS
from .drawn import seeded
from .layers import Layer
from .returned import gradients_of

# What is said of an option that the code has settled for itself.
OF_ITS_OWN = {"eps": "an eps of its own, {:g}", "negative_slope": "a slope of its own, {:g}",
              "alpha": "an alpha of its own, {:g}", "approximate": "approximate={!r}"}  # fmt: skip


@dataclass
class Reading:
    """One way to call the code, as a pair of functions in this library's form."""

    spec: Spec
    driver: Any
    layouts: dict = field(default_factory=dict)
    pairs: frozenset = frozenset()
    fixed: dict = field(default_factory=dict)
    mode: Any = None
    takes: str = "logits"  # what a loss wants: logits, or the "probabilities" of a softmax before it; "fused" is a loss
    #                        that takes these, and gives the gradient of the logits
    summed: bool = False  # a loss that is the sum over the batch
    labels: str = "integers"
    seeds: bool = False  # dropout that draws its own mask
    keeps: bool = False  # and whose p is the share that is kept
    says: list = field(default_factory=list)
    joined: str = ""  # "last" or "first" where the bias is that column of weights (O, I + 1)
    reordered: bool = False
    plain: frozenset = supports.PLAIN[0]  # what the probes do not ask for by which it was found
    without: tuple = ()  # parameters that the code does not have
    raised: Any = None  # what forward raised when it was called so
    extent: tuple = ()  # the height and width of the last output
    cut_off: bool = False  # forward did not come back in time
    empty: bool = False  # forward returned None for y: it is not written yet
    end: tuple = ()  # what the last forward raised, and in which line; (NoneType, None) if it came back
    waited: bool = False  # forward was cut off while it slept or waited, which it does however it is called

    def layout(self, role: str) -> lay.Layout:
        """The layout of an argument, or of "y"."""
        return self.layouts.get(role, lay.USUAL)

    @property
    def begins(self) -> bool:
        """True if the code may be the first layer of a network, which has no use for a gradient of its images."""
        return isinstance(self.driver, Layer) and bool(self.driver.inner)

    @property
    def flat(self) -> bool:
        """True if every pixel is handed over as a sample of its own."""
        return self.layout(self.spec.arguments[0]).flat

    @property
    def single(self) -> bool:
        """True if the code is called once for each sample."""
        return self.layout(self.spec.arguments[0]).single

    @property
    def names(self) -> list[str]:
        """The arguments that have a gradient."""
        return [a for a in self.spec.arguments if a not in ("labels", "mask")]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """(y, cache) in this library's form. Raises Unmet for what the code cannot be told."""
        self._expressible(options, inputs)
        shape = np.shape(inputs[0])
        if not self.single:
            y, state = self._one(inputs, options)
            return y, _Kept(inputs, options, [state], np.shape(y))
        outcomes = []
        for n in range(shape[0]):
            part = [a[n : n + 1] if axes[:1] == "N" else a for a, axes in zip(inputs, self.spec.axes, strict=True)]
            outcomes.append(self._one(part, options))
        ys = [y for y, _ in outcomes]
        if any(y is None for y in ys):  # an exercise that is not done yet
            return None, _Kept(inputs, options, [state for _, state in outcomes], ())
        y = np.concatenate(ys) if np.ndim(ys[0]) else np.mean(ys)
        return y, _Kept(inputs, options, [state for _, state in outcomes], np.shape(y))

    def _expressible(self, options, inputs):
        kernel = options.get("kernel_size", np.shape(inputs[1])[2:] if len(inputs) > 1 else None)
        for option, demand in (("padding", "padding"), ("stride", "stride"), ("kernel_size", "window")):
            if option in options and option in self.fixed:
                if self.fixed[option] == "stride":
                    rule = reference.pair(options["stride"])
                else:
                    rule = supports._of_kernel(self.fixed[option], reference.pair(kernel))
                if tuple(rule) != reference.pair(options[option]):
                    raise Unmet(demand)

    def _one(self, inputs, options):
        """One call: arrays are handed over in their layout, and what it changes in them is carried back."""
        handed, arrays = [], {}
        if self.takes != "logits":
            inputs = (reference.softmax(inputs[0]), *inputs[1:])
        told = inputs
        if self.joined:
            inputs = (inputs[0], np.insert(inputs[1], self._column(inputs[1]), inputs[2], axis=1))
        for role, array in zip(self.spec.arguments, inputs, strict=not self.joined):
            if role in self.without:
                continue
            if role == "labels" and self.labels != "integers":
                arrays[role] = LABELS[self.labels](np.asarray(array), np.shape(inputs[0])[1])
                continue
            layout = self.layout(role)
            mine = array if layout is lay.USUAL else np.array(layout.there(np.asarray(array)), order="C")
            arrays[role] = mine
            if layout is not lay.USUAL:
                handed.append((array, mine, mine.copy(), layout))
        offer = Offer(arrays, self._options(inputs, options, arrays), self.pairs, self.mode)
        expected = self._shape(inputs, options)
        self.extent = expected[2:]
        if "bias" in arrays and self.spec.name == "conv2d":
            everywhere = np.broadcast_to(np.asarray(inputs[2])[None, :, None, None], expected)
            offer.everywhere = self.layout("y").there(everywhere)
        with seeded(inputs[0]) if self.seeds else nullcontext():
            y, state = self.driver.forward(offer, self._there(expected))
        self.empty = y is None
        if self.spec.name == "cross_entropy" and np.ndim(fetched(y)) and np.size(fetched(y)) == 1:
            self._say(f"a loss of the shape {np.shape(y)}, taken as a number")
            y = np.asarray(fetched(y)).ravel()[0]
        elif self.spec.name == "cross_entropy" and np.ndim(fetched(y)) and self._each(y, inputs[0]):
            self._say("a loss for each sample, of which the " + ("sum is" if self.summed else "mean is") + " taken")
            y = np.asarray(fetched(y)).sum() / (1 if self.summed else len(inputs[0]))
        if "padding" in options and any(reference.pair(options["padding"])) and offer.unread("padding"):
            raise Unmet("padding")
        if "bias" in getattr(self.driver, "unset", ()) and "bias" not in self.without:
            self.without = (*self.without, "bias")
        for array, mine, before, layout in handed:
            if mine.shape == before.shape and not np.array_equal(mine, before):
                array[...] = layout.back(mine, np.shape(array))
        y = y if y is None else self._back(self.layout("y"), y, expected)
        if "bias" in self.without and y is not None:
            bias = inputs[2]
            y = y + (bias[:, None, None] if np.ndim(y) == 4 else bias)
        return y, (told, state)

    def _column(self, weight):
        """Where the bias stands in the weights."""
        return np.shape(weight)[1] if self.joined == "last" else 0

    def _each(self, y, logits):
        """True for a layer's loss of each sample, or of each class: its caller adds up."""
        return isinstance(self.driver, Layer) and np.size(fetched(y)) in (len(logits), np.size(logits))

    def _say(self, words):
        if words not in self.says:
            self.says.append(words)

    def _shape(self, inputs, options):
        if self.spec.name == "cross_entropy":
            return ()
        if self.spec.name == "linear":
            return (len(inputs[0]), len(inputs[1]))
        if self.spec.name not in ("conv2d", "maxpool2d", "avgpool2d"):
            return np.shape(inputs[0])
        g = supports.geometry(inputs, options)
        channels = g.o if self.spec.name == "conv2d" else g.c
        return (g.n, channels, *reference.out_size(g.size, g.kernel, g.stride, g.padding))

    def _there(self, shape):
        return np.shape(self.layout("y").there(np.zeros(shape))) if shape else shape

    def _back(self, layout, array, shape):
        if layout is lay.USUAL:
            return array
        theirs = np.asarray(fetched(array))
        if theirs.ndim != np.ndim(layout.there(np.zeros(shape))):
            return theirs
        return layout.back(theirs, shape)

    def _options(self, inputs, options, arrays):
        out = dict(options)
        if self.keeps:
            out["p"] = 1 - out["p"]
        x = np.shape(inputs[0])
        theirs = np.shape(next(iter(arrays.values())))
        if self.spec.name in ("conv2d", "maxpool2d", "avgpool2d"):
            g = supports.geometry(inputs, options)
            out["kernel_size"] = g.kernel
            out["kernel_height"], out["kernel_width"] = g.kernel
            out["stride_height"], out["stride_width"] = g.stride
            out["in_channels"], out["out_channels"] = g.c, g.o
            out["filter_shape"] = np.shape(arrays["weight"]) if "weight" in arrays else g.kernel
            if "filter" in self.pairs and "weight" in arrays:  # (C, KH, KW), beside a number of filters
                whole = self.layout("weight").there(np.zeros(np.shape(inputs[1])))
                out["filter_shape"] = whole.shape[1:]
            elif self.driver.plan.uses("out_channels") and "whole" not in self.pairs:
                out["filter_shape"] = g.kernel
        elif self.spec.name == "linear":
            out["in_channels"], out["out_channels"] = x[1], len(inputs[1])
            out["filter_shape"] = np.shape(arrays["weight"])
        elif len(x) > 1:
            out["in_channels"] = out["out_channels"] = x[1]
        out["batch_shape"] = theirs
        out.setdefault("input_shape", theirs if self.single or "batch_shape" in self.pairs else theirs[1:])
        if "number" in self.pairs:
            out["input_shape"] = x[1]
        out["batch"] = x[0]
        out.setdefault("momentum", 0.9)
        out.setdefault("axis", 1)
        out.setdefault("activation", None)
        out.setdefault("use_bias", True)
        out["learning_rate"] = 1.0
        return out

    def backward(self, dy: Any, cache: Any) -> Any:
        """The gradients of this library's form, one for each argument."""
        if len(cache.states) == 1:
            return self._gradients(dy, cache.states[0], cache.options)
        loss = np.ndim(dy) == 0
        parts = []
        for n, state in enumerate(cache.states):
            part = dy / len(cache.states) if loss else dy[n : n + 1]
            parts.append(self._gradients(part, state, cache.options))
        out: list[Any] = []
        for k, axes in enumerate(self.spec.axes):
            grads = [p[k] for p in parts]
            if any(g is None for g in grads):
                out.append(None)
            else:
                out.append(np.concatenate(grads) if axes[:1] == "N" else sum(grads))
        return tuple(out)

    def _gradients(self, dy, state, options):
        inputs, inner = state
        layout = self.layout("y")
        mine = dy if layout is lay.USUAL else np.array(layout.there(np.asarray(dy)), order="C")
        before = np.array(mine)
        value, inside = self.driver.backward(mine, inner)
        if layout is not lay.USUAL and not np.array_equal(mine, before):
            dy[...] = layout.back(mine, np.shape(dy))
        names = [n for n in self.names if n not in self.without and not (self.joined and n == "bias")]
        shaped = dict(zip(self.spec.arguments, inputs, strict=True))
        column = self._column(shaped["weight"]) if self.joined else 0
        if self.joined:
            shaped["weight"] = np.insert(shaped["weight"], column, shaped["bias"], axis=1)
        shapes = {n: self.layout(n).there(np.asarray(shaped[n])).shape for n in names}
        listed = names if not inside or isinstance(value, (tuple, list, dict)) else names[:1]
        found, reordered = gradients_of(value, listed, shapes)
        self.reordered |= reordered
        found = {**found, **inside}
        out = [self._ours(role, found.get(role), shaped[role]) for role in self.spec.arguments]
        if self.joined and np.shape(out[1]) == np.shape(shaped["weight"]):
            out[1], out[2] = np.delete(out[1], column, axis=1), out[1][:, column]
        if "bias" in self.without:
            out[2] = np.asarray(dy).sum(axis=tuple(a for a in range(np.ndim(dy)) if a != 1))
        if self.takes == "probabilities" and out[0] is not None:
            scores = shaped[self.spec.arguments[0]]
            out[0] = scores * (out[0] - (out[0] * scores).sum(1, keepdims=True))
        return tuple(out)

    def _ours(self, role, array, given):
        if array is None or role in ("labels", "mask"):
            return None
        layout, array = self.layout(role), fetched(array)
        if role == "bias" and getattr(self.driver, "untied", False) and np.size(array) != np.size(given):
            return self._of_each_place(np.asarray(array), np.size(given))
        theirs = layout.there(np.asarray(given))
        own = getattr(self.driver, "own", {}).get(role)
        if own is not None and own.count(-1) == 1:
            layout, theirs = lay.reshaped("own", "", lambda shape: own), np.reshape(theirs, own)
        if np.shape(array) != np.shape(theirs) and _adds_to(np.shape(array), np.shape(theirs)):
            if not any(words.startswith(f"d{role} of the shape") for words in self.says):
                self._say(f"d{role} of the shape {np.shape(array)}, which adds to {np.shape(theirs)} number by number")
            array = np.reshape(array, np.shape(theirs))
        if np.shape(array) == np.shape(theirs):
            return layout.back(np.asarray(array), np.shape(given)) if layout is not lay.USUAL else array
        return array

    def _of_each_place(self, array, channels):
        """The gradient of one number for each channel, from that of a bias for each place of the output."""
        for shape in (np.shape(array), (1, *np.shape(array))):
            full = np.reshape(array, shape)
            with suppress(ValueError, IndexError, np.exceptions.AxisError):
                ours = self.layout("y").back(full, (len(full), channels, *self.extent))
                if np.ndim(ours) == 4 and np.shape(ours)[1] == channels:
                    return ours.sum((0, 2, 3))
        return array

    def pair(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """forward and backward as functions that point to the code they call."""

        def forward(*inputs, **options):
            return self.forward(*inputs, **options)

        def backward(dy, cache):
            return self.backward(dy, cache)

        front, rear = self.driver.written
        forward.__wrapped__, backward.__wrapped__ = front, rear  # type: ignore[attr-defined]
        return forward, backward

    def said(self) -> list[str]:
        """What was found out about the code, in words, for the report."""
        out = [layout.says for role, layout in self.layouts.items() if layout.says and role != "y"]
        if self.labels != "integers":
            out.append(f"labels {self.labels}")
        if self.takes == "probabilities":
            out.append("a loss that takes probabilities, checked behind a right softmax")
        if self.takes == "fused":
            out.append("a loss that takes probabilities and returns the gradient of the scores before its softmax")
        for option, rule in self.fixed.items():
            if option in OF_ITS_OWN:
                out.append(OF_ITS_OWN[option].format(rule))
            elif option != "weight":
                words = {
                    "kernel": "the window's size",
                    "same": "what keeps the size",
                    "half": "half the window",
                    "stride": "the stride",
                }
                out.append(f"{option} always {words.get(rule, rule)}")
        if "bias" in self.without:
            out.append("no bias")
        if self.joined:
            out.append(f"the bias as the {self.joined} of the numbers that each output has in the weights")
        if getattr(self.driver, "untied", False):
            out.append("a bias for each place of the output, set alike for all of a channel")
        if self.reordered:
            out.append("the data's gradient returned last")
        out += self.says
        found = getattr(self.driver, "found", {})
        out += [f"{role} in {path}" for role, path in found.items() if not (self.joined and role == "bias")]
        return out


def _adds_to(shape, other):
    """True if `other += shape` adds each number to its own: (O,) to (1, O), but not (O, 1) to (O,)."""
    try:
        together = np.broadcast_shapes(shape, other)
    except ValueError:
        return False
    return together == other and np.prod(shape, dtype=int) == np.prod(other, dtype=int)


class _Kept:
    """What forward leaves for backward. No __dict__: what other people's objects do to themselves is their affair."""

    __slots__ = ("inputs", "options", "shape", "states")

    def __init__(self, inputs, options, states, shape):
        self.inputs, self.options, self.states, self.shape = inputs, options, states, shape

    @property
    def kept(self) -> tuple:
        """All that a call of backward may change."""
        return (self.inputs, self.options, self.states)
