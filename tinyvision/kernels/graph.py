"""A training step as a CUDA graph: recorded once, then replayed with one call.

A small network's step is a hundred launches of 10 µs each; the GPU waits for the CPU most of the time. A graph holds
all of them. Its rules shape this class: the same memory every time (a private pool that lives as long as the graph, and
buffers of its own for the batch), no cuBLAS (`linear` has a drop-in for captures, which the eager steps before it use
as well, so that nothing is compiled or loaded while capturing), and nothing read back in between.

Prediction (H100, SimpleCNN at batch 64): 0.3 of PyTorch eager's time. Measured on an H200: 0.45 ms in place of 4.4 ms,
and 0.2 of PyTorch's time; ResNet-18's training step 11.3 ms in place of 24.4 ms, since its launches cost more than its
arithmetic. `train.fit` replays its steps by itself; this class is for loops of one's own.
"""

from collections.abc import Callable
from typing import Any

from ..capturing import capture
from ..device import device_of, each_array, get_precision, to_device
from ..errors import DeviceError, OptionError
from ..grad_mode import no_grad
from ..types import Array
from .dropout import Draws
from .launch import rehearsal

WARM_UP = 2  # eager steps before the capture: kernels get compiled, optimizers make their buffers
MOST_SHAPES = 16  # graphs of one model: each keeps its activations; after so many, all are forgotten


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
        self.draws.renew()
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
        self.draws = Draws()
        with self.draws.recorded():
            self.loss, self.replay = capture(lambda: self.step(*self.batch), where)
        self.captured_with = self._options()


class GraphedModel:
    """A model in evaluation mode as CUDA graphs, one for each shape of its inputs: `fast = cuda.graphed(model)`, then
    `y = fast(x)` does with one call what takes a call for every launch.

    Inputs are tensors on one GPU; what comes back is memory of its own, without a record. Weights that are changed in
    place count, by an optimizer or load_state_dict for instance; new ones (`.to(...)`) record anew. What the model's
    Python does beside its ops happens when a graph is recorded only. Raises DeviceError for inputs elsewhere,
    OptionError for a model in training mode or with hooks, and what recording raises, where a model looks at numbers
    or brings some from the host."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.recorded: dict[Any, tuple[list[Any], Any, Callable[[], None]]] = {}  # by precision and inputs
        self.weights: list[Array] = []  # what the graphs read, kept for as long as they do

    def __call__(self, *inputs: Any) -> Any:
        """The model's output for tensors."""
        self._check(inputs)
        weights = self._weights()
        same = len(weights) == len(self.weights) and all(a is b for a, b in zip(weights, self.weights, strict=True))
        key = get_precision(), *((tuple(x.shape), x.array.dtype) for x in inputs)
        if not same or (key not in self.recorded and len(self.recorded) == MOST_SHAPES):
            self.recorded.clear()
        if key not in self.recorded:
            with rehearsal(), no_grad():  # loads every kernel, and does what is done at a model's first call alone
                self.model(*inputs)
            buffers = [x.detach().clone() for x in inputs]
            with no_grad():
                self.recorded[key] = buffers, *capture(lambda: self.model(*buffers), device_of(inputs[0].array))
            self.weights = self._weights()
        buffers, output, replay = self.recorded[key]
        for buffer, new in zip(buffers, inputs, strict=True):
            buffer.array[...] = new.array
        replay()
        return each_array(output, lambda array: array.copy(order="K"))

    def _weights(self):
        return [v.array for v in (*self.model.parameters(), *self.model.buffers())]

    def _check(self, inputs):
        for x in inputs:
            where = device_of(x.array)
            if where.type != "cuda":
                raise DeviceError(
                    f"graphed: a CUDA graph needs a GPU, but an input is on {where}; move it with .to(...)"
                )
        if any(module.training for module in self.model.modules()):
            raise OptionError("graphed: the model is in training mode; call model.eval() first")
        if any(module.has_hooks() for module in self.model.modules()):
            raise OptionError("graphed: a hook would be called when the graph is recorded only; remove it first")
