"""One examination: call the learner's functions on the probes, notice what they do, and keep what they return."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..device import to_numpy
from . import runner
from .findings import Finding, Where
from .place import Place, fetched, is_array
from .probes import Probe
from .reading.calling import Unmet
from .report import Report
from .verdict import compare

# Ids of what can be seen from outside, whatever the op; they serve as `mistake` with certainty "exact".
SAYS = {
    "dy_changed": "{who} changes dy in place. The same array may be needed by another path: make a copy first.",
    "input_changed": "{who} changes its input {what} in place. The caller's array must stay as it is: work on a copy.",
    "output_changed": "{who} changes the output y of the forward in place.",
    "cache_changed": "{who} changes what forward kept in the cache, so a second call gives another answer. Work on a "
    "copy.",
    "accumulates": "The second call returned the sum of both: {what} is added to a buffer that is kept between calls "
    "and never cleared. Start from zeros in each call.",
    "differs_each_call": "Two equal calls gave different {what}: something is random, or kept between calls.",
    "kept_outside_cache": "{who} uses something that the last forward left outside of the cache: after another forward "
    "call it gives another answer. Take everything from the cache.",
    "second_call_raises": "A second call of {who} with the same cache fails ({what}): it was used up by the first.",
}


DY_CHANGED = (
    "backward changes its dy in place: right as long as nothing else needs that dy, wrong beside a shortcut, where two "
    "paths get the same array. A copy is safe."
)
UNREAD = (
    "could not be driven: {}. If it runs in its own program, say how: make= (--make) says how it is built, as in "
    "'Conv(in_channels, out_channels, 3)', and supports= (--supports) what it takes."
)
OWN_RULE = (
    "{0} was not judged: backward steps {1} by a rule of its own, such as momentum or Adam, and {0} itself was not "
    "found. Keep it in an attribute or a variable, self.{0} = ..., and it will be."
)
TOO_LARGE = 1000  # an answer this many times larger than it must be is not compared, only its shape is told


class Examination:
    """Calls a (forward, backward) pair on probes and collects findings, notes and observed arrays."""

    def __init__(
        self,
        report: Report,
        forward: Any,
        backward: Any,
        names: Any,
        seconds: float = runner.TIME_LIMIT,
        lone_output: bool = False,
        judged: Any = (True, True),
        at: Place | None = None,
    ) -> None:
        self.at = at or Place()
        report.device = str(self.at.device)
        self.report, self.forward_function, self.backward_function = report, forward, backward
        self.names, self.seconds, self.lone_output = names, seconds, lone_output
        self.judge_forward, self.judge_backward = judged
        self.dead: set[str] = set()  # "forward" or "backward" that may not be called again: it did not come back
        self.stateful: set[str] = set()  # arguments whose values depend on earlier calls
        self.spent: dict[Any, Any] = {}
        self.optional: set[str] = set()  # gradients that the first layer of a network need not give
        self.layered = False  # gradients of parameters are looked for in the layer
        self.skipped: set[str] = set()
        self.unread: dict[str, str] = {}  # parameters that a layer steps by a rule of its own, and where they are

    def find(self, kind: str, argument: str, message: str, function: Any = None, call: Any = None, **more: Any) -> Any:
        """Add a finding, once for each kind and argument."""
        if any(f.kind == kind and f.argument == argument for f in self.report.findings):
            return
        file, line = (call.file, call.line) if call is not None and call.line else runner.location(function)
        self.report.findings.append(Finding(argument, message, file=file, line=line, kind=kind, **more))

    def behaviour(
        self, kind: str, argument: str, function: Any, call: Any = None, who: str = "", what: str = ""
    ) -> Any:
        """Add one of the findings in SAYS."""
        message = SAYS[kind].format(who=who, what=what)
        self.find(kind, argument, message, function, call, mistake=kind, certainty="exact")

    def _call(self, function, arrays, options, watch, who):
        call = runner.call(function, arrays, options, watch, self.seconds, self.at)
        self.report.calls += 1
        if call.printed and not self.report.printed:
            self.report.printed = call.printed
        if call.cut_off:
            self.dead.add(who)
            how = f"did not come back within {self.seconds:g} s and was cut off: an endless loop?"
            if call.waited:
                seconds = runner.PATIENCE * self.seconds
                how = f"waited for {seconds:g} s and was cut off: does it sleep, or ask for input?"
            self.find(
                "endless",
                who,
                f"{who} {how}",
                function,
                call,
                mistake="endless_loop",
                certainty="exact",
            )
        return call

    def attempt(self, inputs: Sequence[Any], options: dict[str, Any]) -> runner.Call:
        """One call of forward on copies of the inputs, of which nothing is noticed but what it did."""
        arrays = tuple(self.at.send(i) for i in inputs)
        return runner.call(self.forward_function, arrays, dict(options), seconds=self.seconds, at=self.at)

    def forward(self, probe: Probe, quiet: bool = False) -> Any:
        """(y, cache, inputs) of one call on fresh copies of the probe's inputs, or None; failures become findings."""
        if "forward" in self.dead:
            return None
        function = self.forward_function
        inputs = tuple(self.at.send(i) for i in probe.inputs)
        call = self._call(function, inputs, dict(probe.options), dict(zip(probe.names, inputs, strict=True)), "forward")
        if call.changed and self.judge_forward:
            self.behaviour("input_changed", call.changed[0], function, call, "forward", call.changed[0])
        if not call.ok:
            if not quiet and not call.cut_off:
                self._raised("forward", call, probe, inputs)
            return None
        value = call.value
        if isinstance(value, (tuple, list)) and len(value) == 2 and not _is_array_list(value):
            y, cache = value
        elif self.lone_output and not isinstance(value, tuple):
            y, cache = value, None
        else:
            got = f"{len(value)} values" if isinstance(value, tuple) else _kind(value)
            self.find(
                "no_cache",
                "forward",
                f"forward must return two things, (y, cache); yours returned {got}.",
                function,
                call,
                mistake="no_cache",
                certainty="exact",
            )
            self.dead.add("forward")
            return None
        array = self.as_array(y, "y", "forward", function, probe)
        return None if array is None else (array, cache, inputs, y)

    def _raised(self, who, call, probe, arrays):
        shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in zip(probe.names, arrays, strict=False))
        if who == "backward":
            shapes = f"dy {np.shape(probe.dy)}, from " + ", ".join(
                f"{n} {np.shape(a)}" for n, a in zip(probe.names, probe.inputs, strict=True)
            )
        options = "".join(f", {k}={v}" for k, v in probe.options.items())
        if isinstance(call.error, Unmet):
            self.find("unread", who, UNREAD.format(call.error), self.forward_function, call, certainty="exact")
            return
        if isinstance(call.error, NotImplementedError):
            self.find("unwritten", who, f"{who} is not written yet: it raises NotImplementedError.",
                      self.forward_function if who == "forward" else self.backward_function, call,
                      mistake="not_written", certainty="exact")  # fmt: skip
            return
        text = runner.described(call.error) + _remedy(call.error)
        self.find(
            "exception",
            who,
            f"{who} raised {text}\n  on {shapes}{options}",
            self.forward_function if who == "forward" else self.backward_function,
            call,
            mistake="exception",
            certainty="exact",
        )

    def as_array(self, value: Any, argument: str, who: str, function: Any, probe: Probe) -> Any:
        """A learner's value as a float64-compatible array, or None; wrong kinds of numbers become findings."""
        numbers = is_array(value) or isinstance(value, (np.generic, list, tuple, int, float))
        if hasattr(value, "detach") or not numbers:
            self.find(
                "not_an_array",
                argument,
                f"{argument} is {_kind(value)}, not an array.",
                function,
                mistake="not_an_array",
                certainty="exact",
            )
            return None
        elsewhere = self.at.strangers(value)
        if elsewhere:
            self.find(
                "wrong_device",
                argument,
                f"{argument} is on {elsewhere[0]}, but the inputs are on {self.at.device}: make it from arrays that "
                f"are there, and bring nothing from one device to another on the way.",
                function,
                mistake="wrong_device",
                certainty="exact",
            )
            return None
        try:
            array = np.asarray(fetched(value))
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind == "c":
            self.find(
                "wrong_dtype",
                argument,
                f"{argument} holds complex numbers ({array.dtype}); after an FFT take .real.",
                function,
                mistake="wrong_dtype",
                certainty="exact",
            )
            return None
        if array.dtype.kind not in "fiub":
            self.find(
                "not_an_array",
                argument,
                f"{argument} cannot be made an array of numbers ({_kind(value)}).",
                function,
                mistake="not_an_array",
                certainty="exact",
            )
            return None
        right = probe.y.shape if argument == "y" else self._shape_of(argument, probe)
        if array.size > TOO_LARGE * max(1, int(np.prod(right))) and array.size > 1_000_000:
            self.find(
                "too_large",
                argument,
                f"{argument} has the shape {array.shape}; it must be {right}.",
                function,
                mistake="wrong_shape",
                certainty="exact",
            )
            return None
        # A copy: the learner may hand out the same buffer again, and change it.
        return np.array(array, dtype=np.float64 if array.dtype.kind == "b" else None)

    def _shape_of(self, argument, probe):
        """The shape that a gradient must have; an endless one where the probe cannot tell."""
        return np.shape(probe.inputs[self.names.index(argument)]) if argument in self.names else (np.iinfo(int).max,)

    def backward(
        self,
        probe: Probe,
        cache: Any,
        inputs: Sequence[Any],
        y: np.ndarray,
        dy: Any = None,
        quiet: bool = False,
        note_changes: bool = True,
    ) -> Any:
        """The list of gradients for one upstream (arrays or None), or None; failures become findings."""
        if "backward" in self.dead:
            return None
        function, dy = self.backward_function, self.at.send(probe.dy if dy is None else dy)[()]
        watch = {"dy": dy, "input": list(inputs), "output": y, "cache": cache}
        call = self._call(function, (dy, cache), None, watch, "backward")
        if note_changes:
            self._changes(call, function, inputs, probe)
        if not call.ok:
            if not quiet and not call.cut_off:
                self._raised("backward", call, probe, ())
            self.error = call.error
            return None
        self.returned = call.value
        grads = self._listed(call.value, probe, function, call)
        if grads is None:
            return None
        out = []
        for name, grad in zip(self.names, grads, strict=True):
            out.append(None if name is None or grad is None else self.as_array(grad, name, "backward", function, probe))
            if name is not None and grad is None and name.removeprefix("d") in self.optional:
                self.skipped.add(name)
                self.note(f"backward gives no {name}, as the first layer of a network need not; it was not judged.")
            elif name is not None and grad is None and name.removeprefix("d") in self.unread:
                self.skipped.add(name)
                self.note(OWN_RULE.format(name, self.unread[name.removeprefix("d")]))
            elif name is not None and grad is None:
                self.find(
                    "missing",
                    name,
                    f"{name} was not found: backward does not return it, the layer does not hold it, no weight moved."
                    if self.layered and name != "dx"
                    else f"backward returned None for {name}.",
                    function,
                    call,
                    mistake="gradient_missing",
                    certainty="exact",
                )
        self._aliases(call.value, dy)
        return out

    def _changes(self, call, function, inputs, probe):
        changed = set(call.changed)
        if "dy" in changed:
            self.behaviour("dy_changed", "dy", function, None, "backward")
        if "input" in changed:
            given = zip(probe.names, inputs, probe.inputs, strict=True)
            which = next((name for name, now, old in given if not np.array_equal(to_numpy(now), old)), "x")
            self.behaviour("input_changed", which, function, None, "backward", which)
        elif "output" in changed:
            self.behaviour("output_changed", "y", function, None, "backward")
        self.cache_changed = "cache" in changed and not changed & {"input", "output"}

    def _aliases(self, value, dy):
        arrays = [v for v in (value if isinstance(value, (tuple, list)) else [value]) if is_array(v) and v.size]
        if dy.ndim and any(_shared(a, dy) for a in arrays):
            self.note(
                "A gradient shares its memory with dy. That is right as long as nobody changes one of them in place."
            )
        if any(_shared(a, b) for k, a in enumerate(arrays) for b in arrays[:k]):
            self.note("Two gradients are one piece of memory. That is right as long as nobody changes one in place.")

    def forgive(self) -> None:
        """A backward that only changes its dy in place is right in its own network: that becomes a note."""
        if [f.kind for f in self.report.findings] == ["dy_changed"]:
            self.report.findings.clear()
            self.report.notes.insert(0, DY_CHANGED)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.report.notes:
            self.report.notes.append(text)

    def _listed(self, value, probe, function, call):
        wanted = [n for n in self.names if n is not None]
        if len(wanted) == 1 and self._written_out(value, wanted[0], probe):
            grads = [value]
        elif isinstance(value, (tuple, list)) or self._stacked(value, probe):
            grads = list(value)
        else:
            grads = [value]
        if len(grads) == len(self.names):
            return grads
        if len(grads) == len(wanted):
            supply = iter(grads)
            return [None if n is None else next(supply) for n in self.names]
        expected = ", ".join(n or "None" for n in self.names)
        order = ", in the order of the inputs" if len(self.names) > 1 else ""
        got = (
            "nothing (None)"
            if value is None
            else (f"{len(grads)}" if isinstance(value, (tuple, list)) else f"one ({_kind(value)})")
        )
        self.find(
            "gradient_count",
            "backward",
            f"backward must return {_count(len(self.names))} ({expected}){order}; yours returned {got}.",
            function,
            call,
            mistake="gradient_count",
            certainty="exact",
        )
        self.dead.add("backward")
        return None

    def _stacked(self, value, probe):
        """True for one array that is all gradients, of one shape, on top of each other: it unpacks as a tuple would."""
        shapes = {np.shape(i) for i in probe.inputs}
        several = is_array(value) and len(self.names) > 1 and len(shapes) == 1
        return several and value.shape == (len(self.names), *shapes.pop())

    def _written_out(self, value, name, probe):
        """True for a list of numbers, or of lists, that is one gradient and not a list of gradients."""
        if not isinstance(value, list) or not _is_array_list(value):
            return False
        try:
            return _is_number_list(value) or np.shape(fetched(value)) == self._shape_of(name, probe)
        except ValueError:
            return False

    def again(
        self, probe: Probe, first: Any, cache: Any, inputs: Sequence[Any], y: np.ndarray, right: np.ndarray
    ) -> Any:
        """A second call on the same cache must give the same gradients."""
        self.cache_changed_first = getattr(self, "cache_changed", False)
        second = self.backward(probe, cache, inputs, y, quiet=True)
        if second is None:
            self.stateful.add("backward")
            if "backward" not in self.dead:
                self.behaviour(
                    "second_call_raises",
                    "backward",
                    self.backward_function,
                    None,
                    "backward",
                    runner.described(self.error),
                )
            return
        purity = {"input_changed", "output_changed"}  # each call gets a dy of its own: its change excuses nothing
        touched = any(f.kind in purity for f in self.report.findings)
        for k, name in enumerate(self.names):
            a, b = first[k], second[k]
            if name is None or a is None or b is None or _alike(a, b):
                continue
            self.stateful.add(name)
            if touched:
                continue
            if a.shape == b.shape and (_alike(b - a, right[k]) or _alike(b, 2 * a)):
                self.behaviour("accumulates", name, self.backward_function, None, "backward", name)
            elif self.cache_changed_first:
                self.behaviour("cache_changed", "cache", self.backward_function, None, "backward")
            else:
                self.behaviour("differs_each_call", name, self.backward_function, None, "backward", name)
        if self.cache_changed_first and not self.stateful and not touched:
            self.note("backward changes arrays in the cache, but a second call gives the same answer.")

    def late(self, probe: Probe, first: Any, cache: Any, inputs: Sequence[Any], y: np.ndarray) -> Any:
        """After other forwards, a backward with the old cache must still give the old gradients."""
        if self.stateful or "backward" in self.dead or first is None:
            return
        later = self.backward(probe, cache, inputs, y, quiet=True, note_changes=False)
        wrong = later is None or any(
            a is not None and b is not None and not _alike(a, b) for a, b in zip(first, later, strict=True)
        )
        if not wrong:
            return
        if later is not None or "backward" not in self.dead:
            self.outside_cache()

    def outside_cache(self) -> None:
        """An old cache gave another answer after a later forward: a note for an object, a finding for a function."""
        if runner.is_object(self.backward_function):
            self.note(
                "backward depends on the last call of forward (the object keeps its state outside of the cache): "
                "use one object for each layer."
            )
        else:
            self.behaviour("kept_outside_cache", "backward", self.backward_function, None, "backward")

    def not_finite(self, argument: str, array: np.ndarray, right: np.ndarray, function: Any, probe: Probe) -> Any:
        """True, and a finding, if there is NaN or infinity where the right number is finite."""
        bad = ~np.isfinite(array)
        if array.shape != right.shape or not bad.any():
            return False
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        count = int(bad.sum())
        what = "NaN" if np.isnan(array[index]) else "infinity"
        self.find(
            "not_finite",
            argument,
            f"{argument} holds {what} in {count} of {array.size} places (probe "
            f"{probe.name}): a division by 0, the logarithm of 0, or an array from np.empty that was not filled.",
            function,
            mistake="not_finite",
            certainty="exact",
            where=Where(
                index,
                float(array[index]),
                float(right[index]),
                "all" if bad.all() else "some",
                count,
                array.size,
                probe.name,
            ),
        )
        return True


def _alike(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return (a.shape == b.shape and compare(a, np.asarray(b, dtype=np.float64)).level == "same") or np.array_equal(
        a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"
    )


def _shared(a, b):
    """True if two arrays share memory; those of two devices cannot, and could not be asked."""
    return type(a) is type(b) and bool(np.shares_memory(a, b))


def _is_array_list(value):
    """True for a list that is one array written out, not (y, cache)."""
    return isinstance(value, list) and all(isinstance(v, (int, float, list)) for v in value)


def _is_number_list(value):
    return isinstance(value, list) and bool(value) and all(isinstance(v, (int, float)) for v in value)


def _count(number):
    return "one gradient" if number == 1 else f"{number} gradients"


def _remedy(error):
    """What to do about an exception that old code raises on Python 3."""
    if isinstance(error, TypeError) and re.search(r"float64\b.*integer|'float'.*integer|integer.*float64", str(error)):
        return "\n  A size was divided by /, which gives a float: write // for sizes and indices."
    return ""


def _kind(value):
    if value is None:
        return "None"
    if is_array(value) or isinstance(value, np.generic):
        return f"an array of shape {value.shape}"
    word = type(value).__name__
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
