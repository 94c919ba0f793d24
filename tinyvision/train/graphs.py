"""Training steps as CUDA graphs: recorded once an epoch, then replayed with two calls in place of hundreds of launches.

A step has two halves, because training looks at the loss before anything is changed: `look` gives the loss and what the
network said, `learn` goes back and updates. Each becomes a graph, and both share one pool of memory, so that the second
finds what the first has left. What a graph cannot repeat is told apart before it is tried, or when recording it fails:
then the steps run as they are written, and one line says why.
"""

from __future__ import annotations

import random as pythons
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import random
from ..capturing import capture_in_turn
from ..device import Device
from ..errors import OptionError
from ..kernels import clip
from ..kernels.dropout import Draws
from ..kernels.launch import rehearsal
from ..nn import Module
from ..optim import Optimizer
from ..tensors.tensor import Tensor

WARM_UP = 2  # steps as they are written: kernels get compiled, optimizers make their buffers


class StepGraph:
    """`look(x, y) -> (loss, outputs)` and `learn(loss)`, replayed where a batch has the shape of the one recorded.

    say(line) is called at most once, with the reason why the steps are not recorded. Every step uses the kernels that
    a graph can hold, the first two and a smaller last batch as well: a run that is resumed computes the same."""

    def __init__(
        self,
        look: Callable[[Any, Any], tuple[Any, Any]],
        learn: Callable[[Any], None],
        model: Module,
        optimizer: Optimizer,
        where: Device,
        say: Callable[[str], object],
    ) -> None:
        self.own_look, self.own_learn, self.model, self.optimizer = look, learn, model, optimizer
        self.where, self.say = where, say
        self.steps, self.possible, self.replayed = 0, True, False
        self.forget()

    def forget(self) -> None:
        """Record anew at the next step: what an epoch's end may have changed, a callback for instance, then counts."""
        self.batch: tuple[Tensor, Tensor] | None = None
        self.result: tuple[Any, Any] | None = None
        self.replays: list[Callable[[], None]] = []
        self.draws: Draws | None = None

    def look(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(loss, outputs) of a batch; they hold until the next batch."""
        self.steps += 1
        if self.possible and self.batch is None and self.steps > WARM_UP:
            self._record(x, y)
        self.replayed = self.batch is not None and _alike(self.batch, (x, y))
        if not self.replayed:
            with rehearsal():
                return self.own_look(x, y)
        for place, new in zip(self.batch or (), (x, y), strict=True):
            place.array[...] = new.array
        if self.draws is not None:
            self.draws.renew()
        self.replays[0]()
        return self.result  # type: ignore[return-value]  # recorded with the batch

    def learn(self, loss: Any) -> None:
        """Go back from the loss of the latest `look`, and update."""
        if not self.replayed:
            with rehearsal():
                self.own_learn(loss)
            return
        self.optimizer.refresh()
        self.replays[1]()
        for value in (*self.model.parameters(), *self.model.buffers()):
            value.version += 1

    def _record(self, x, y):
        try:
            before = _drawn()
            if not (isinstance(x, Tensor) and isinstance(y, Tensor)):
                raise OptionError("a batch is no pair of tensors")
            self.optimizer.make_repeatable()
            batch, results = (x.detach().clone(), y.detach().clone()), []

            def look():
                results.append(self.own_look(*batch))
                return results[-1]

            works, draws = [look, lambda: self.own_learn(results[-1][0])], Draws()
            with draws.recorded():
                replays = capture_in_turn(works, self.where)
            if _drawn() != before:
                raise OptionError("the step draws random numbers on the host")
        except Exception as error:  # also CuPy's own: what is no good without a graph either, the plain step will say
            self.possible = False
            self.say(not_recorded(str(error).partition("\n")[0]))
            return
        self.batch, self.result, self.replays, self.draws = batch, results[0], replays, draws


def not_recorded(reason: str) -> str:
    """The line that says why the steps of a run are not recorded."""
    return f"note: steps run launch by launch, and not as a CUDA graph: {reason}"


def reason_against(model: Module, optimizer: Optimizer, clips: bool, processes: int) -> str | None:
    """What about a run can be seen beforehand not to go into a graph, or None."""
    if processes > 1:
        return "the processes exchange their gradients on the host"
    if clips and not clip.applies([p.array for group in optimizer.param_groups for p in group["params"]]):
        return "clip_norm reads the norm of the gradients"
    if any(module.has_hooks() for module in model.modules()) or any(p.hooks for p in model.parameters()):
        return "a hook wants to see every step"
    if any(optimizer.numbers(group) is None for group in optimizer.param_groups):
        return f"{type(optimizer).__name__}'s step keeps the numbers that it was recorded with"
    return None


def _alike(batch, other):
    return all(
        isinstance(b, Tensor) and a.array.shape == b.array.shape and a.array.dtype == b.array.dtype
        for a, b in zip(batch, other, strict=True)
    )


def _drawn():
    """The state of every generator that a model may draw from."""
    return str(random.generator().bit_generator.state), str(np.random.get_state()), pythons.getstate()
