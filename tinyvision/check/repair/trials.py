"""Running the code on a probe with a changed function in it, and counting what that costs.

What forward leaves is the same as long as only functions have changed that backward alone calls: it is made once, and
kept until something in it changes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import runner
from ..examine import Examination
from ..place import is_array
from ..probes import Probe
from ..report import Report
from .turns import Turns

FORWARD, BACKWARD = 0.6, 0.4  # of a run: a layer is made, and handed its weights, before it goes forward
A_RUN = 1000  # operations in loops that count as another run
_DEPTH = 8  # of what forward leaves: a layer's dictionary of arrays, in the record of a call, in a list of these


class _Trial(Examination):
    """An examination that keeps nothing but the numbers: nobody is told what a changed function does besides."""

    def _call(self, function, arrays, options, watch, who):
        call = runner.Call()
        try:
            call.value = function(*arrays, **(options or {}))
        except BaseException as error:  # whatever it raises, it is not right
            call.error = error.with_traceback(None)  # its frames would keep the call
        return call


class Trials:
    """Runs of the code of one examination; `runs` counts them, `alive` is called before each."""

    def __init__(self, exam: Examination) -> None:
        self.exam = exam
        self.turns, self.runs = Turns(), 0.0
        self.alive: Callable[[], Any] = int
        self._kept: dict[int, _Left] = {}

    def answers(self, probe: Probe, late: bool = False, goes_on: Callable[[Any], bool] | None = None) -> list:
        """y and the gradients, None for what did not come. Only what backward alone calls has changed, if `late`.

        Backward is not run where it is not asked for, by `goes_on(y)`."""
        self.alive()
        self.turns.taken = self.turns.operations = 0
        kept = self._kept.get(id(probe)) if late else None
        result = kept.result if kept else self._trial().forward(probe, quiet=True)
        wanted = result and self.exam.judge_backward and result[0].shape == np.shape(probe.y)
        wanted = wanted and (goes_on is None or goes_on(result[0]))
        grads = self._backward(probe, result) if wanted else None
        self.runs += (0 if kept else FORWARD) + (BACKWARD if wanted else 0) + self.turns.operations / A_RUN
        if kept and kept.changed:
            del self._kept[id(probe)]
        return [result[0] if result else None, *(grads or [None] * len(self.exam.names))]

    def keep(self, probe: Probe) -> None:
        """Keep what the code as it is leaves in forward, if backward gives the same answer on it each time."""
        if id(probe) in self._kept:
            return
        result = self._trial().forward(probe, quiet=True)
        first, second = (self._backward(probe, result) if result else None for _ in range(2))
        if first and second and all(map(identical, first, second)):
            self._kept[id(probe)] = _Left(result)
        self.runs += FORWARD + 2 * BACKWARD

    def _backward(self, probe, result):
        return self._trial().backward(probe, result[1], result[2], result[3], quiet=True)

    def _trial(self):
        exam = self.exam
        trial = _Trial(
            Report(""), exam.forward_function, exam.backward_function, exam.names, exam.seconds, exam.lone_output,
            at=exam.at,
        )  # fmt: skip
        trial.optional, trial.layered, trial.unread = exam.optional, exam.layered, exam.unread
        return trial


def identical(a: Any, b: Any) -> bool:
    """True for two arrays of the same numbers, and for two that did not come."""
    return a is b is None or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))


class _Left:
    """What forward left, and whether something in it has changed: numbers in arrays, and what lies in which object."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.arrays: list[tuple[Any, bytes]] = []
        self.holders: list[tuple[Any, list[int]]] = []
        self._look(result, 0)

    def _look(self, value, depth):
        if is_array(value):
            self.arrays.append((value, value.tobytes()))
            return
        inside: Any = value if isinstance(value, (dict, list, tuple)) else None
        if inside is None and not callable(value):
            inside = getattr(value, "__dict__", None)
        if inside is None and hasattr(value, "kept"):
            inside = value.kept
        if inside is None or depth == _DEPTH or any(inside is holder for holder, _ in self.holders):
            return
        self.holders.append((inside, self._held(inside)))
        for part in inside.values() if isinstance(inside, dict) else inside:
            self._look(part, depth + 1)

    @staticmethod
    def _held(inside):
        return [*map(id, inside.values())] if isinstance(inside, dict) else [*map(id, inside)]

    @property
    def changed(self) -> bool:
        """True if it has."""
        return any(array.tobytes() != numbers for array, numbers in self.arrays) or any(
            self._held(holder) != held for holder, held in self.holders
        )
