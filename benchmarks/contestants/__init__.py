"""The libraries that are compared. Each module says the same things in its library's own words, as its users would.

A module offers `NAME`, `version()`, `set_threads(n)` and any of the makers below; a library without one does not take
part there. A maker returns a list of Entry: one for each way a user of that library would try (memory layouts, for
instance).

    conv_forward(layer, x, weight)                            y
    conv_both(layer, x, weight, dy)                           y, dx, dweight (one timed call does all)
    conv_image_gradient(layer, x, weight, dy)                 dx
    conv_weight_gradient(layer, x, weight, dy)                dweight
    cnn_step(state, x, labels, lr)                            losses of three steps, gradients of the first
    resnet_inference(state, x)                                logits
    resnet_step(state, x, labels, lr, momentum, decay)        losses of three steps, gradients of the first
    network_inference(name, state, x)                         logits of one of `architectures`
    network_step(name, state, x, labels, lr)                  as resnet_step, all gradients as one vector
"""

import importlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

MODULES = ("ours", "pytorch", "onnxruntime_", "jax_", "dezero_", "mygrad_")


class Entry(NamedTuple):
    """One contestant in one case: `results()` is compared once, `run()` is timed."""

    name: str
    run: Callable[[], Any]
    results: Callable[[], dict]
    family: str  # entries of one family are ways to do the same with one library; the quickest stands for it


class Layer(NamedTuple):
    """A convolution and the image it meets: its sizes as PyTorch names them."""

    name: str
    batch: int
    channels: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1
    count: int = 1  # how often the network has it

    @property
    def padding(self):
        """Half the kernel: the output is as large as the image at stride 1."""
        return self.kernel // 2

    @property
    def out_size(self):
        """floor((H + 2·P - K) / S) + 1"""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def flops(self):
        """Two for every multiplication of the definition; each of the two gradients takes as many again."""
        return 2 * self.batch * self.outputs * self.out_size**2 * self.channels * self.kernel**2

    @property
    def least_bytes(self):
        """float32 image, kernels and output, each moved once."""
        weights = self.outputs * self.channels * self.kernel**2
        return 4 * (self.batch * (self.channels * self.size**2 + self.outputs * self.out_size**2) + weights)


def one_gradient(results):
    """The results of a step with the gradients of all parameters as one vector, in the order of their names: among
    many small ones there are some that are 0 but for rounding, which cannot be compared alone."""
    import numpy as np

    parts = [results[name].ravel() for name in sorted(results) if name.startswith("gradient")]
    others = {name: value for name, value in results.items() if not name.startswith("gradient")}
    return others | {"gradient": np.concatenate(parts)}


def load(only=None):
    """({family: module}, {family: why it is missing}) of the installed libraries, in order; `only` leaves out the
    rest."""
    found, missing = {}, {}
    for name in MODULES:
        module = importlib.import_module(f"{__name__}.{name}")
        if only is not None and module.NAME not in only:
            continue
        try:
            module.version()
        except ImportError as error:
            text = str(error).split("\n")[0]
            missing[module.NAME] = f"not installed ({text}); install with: pip install '.[bench]'"
        except Exception as error:  # a broken installation of theirs must not stop the others
            missing[module.NAME] = f"does not import ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
        else:
            found[module.NAME] = module
    return found, missing


def available_threads():
    """The cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def set_threads(modules, threads):
    """Every library, and every BLAS, on `threads` threads."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    for module in modules.values():
        module.set_threads(threads)
