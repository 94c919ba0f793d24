"""A training step as a CUDA graph: recorded once, then replayed with one call.

A small network's step is a hundred launches of 10 µs each; the GPU waits for the CPU most of the time. A graph holds
all of them. Its rules shape this class: the same memory every time (a private pool that lives as long as the graph, and
buffers of its own for the batch), no cuBLAS (`linear` has a drop-in for captures, which the eager steps before it use
as well, so that nothing is compiled or loaded while capturing), and nothing read back in between.

Prediction (H100, SimpleCNN at batch 64): 0.3 of PyTorch eager's time; no gain for ResNet-18 at batch 64, whose launches
hide behind its arithmetic. Measurement: not yet measured.
"""

from collections.abc import Callable
from typing import Any

from ..capturing import capture
from ..device import device_of, to_device
from ..errors import DeviceError, OptionError
from ..types import Array
from .launch import rehearsal

WARM_UP = 2  # eager steps before the capture: kernels get compiled, optimizers make their buffers


class GraphedStep:
    """`step(x, y) -> loss` becomes a graph: `graphed = GraphedStep(step, optimizer)`, then `loss = graphed(x, y)`.

    `step` runs the whole training step on two tensors and returns the loss; it must not look at numbers (no `.item()`,
    no printing) and must call `optimizer.zero_grad()` itself. The first two calls run eagerly, the third is captured.
    An option of the optimizer is part of the graph, so a changed learning rate captures anew: change it between epochs,
    not between steps. Raises DeviceError on the CPU, OptionError for a batch of another shape, and for an optimizer
    that counts its steps, such as Adam, since the count would be part of the graph as well."""

    def __init__(self, step: Callable[[Any, Any], Any], optimizer: Any) -> None:
        self.step, self.optimizer = step, optimizer
        self.calls, self.captured_with = 0, None
        self.replay: Any = None

    def __call__(self, x: Array, y: Array) -> Any:
        """The loss of one step, in memory of its own."""
        where = device_of(x.array)
        if where.type != "cuda":
            message = f"GraphedStep: a CUDA graph needs a GPU, but the batch is on {where}; move it with x.to(...)"
            raise DeviceError(message)
        if self.calls < WARM_UP:
            self.calls += 1
            with rehearsal():
                return self.step(x, y)
        if self.replay is None or self.captured_with != self._options():
            self._capture(x, y, where)
        for buffer, new in zip(self.batch, (x, y), strict=True):
            if tuple(buffer.shape) != tuple(new.shape) or buffer.dtype != new.array.dtype:
                raise OptionError(
                    f"GraphedStep: captured for a batch {tuple(buffer.shape)} of {buffer.array.dtype}, got "
                    f"{tuple(new.shape)} of {new.array.dtype}; leave out the incomplete last batch (drop_last=True)"
                )
            buffer.array[...] = to_device(new.array, where)
        self.replay()
        return self.loss.like(self.loss.array.copy())

    def _options(self):
        return [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]

    def _capture(self, x, y, where):
        if any("step" in state for state in self.optimizer.state.values()):
            name = type(self.optimizer).__name__
            raise OptionError(f"GraphedStep: {name} counts its steps, and a graph repeats one count for ever; use SGD")
        self.replay = None  # lets go of the old graph's pool first
        self.batch = x.detach().clone(), y.detach().clone()
        self.loss, self.replay = capture(lambda: self.step(*self.batch), where)
        self.captured_with = self._options()
