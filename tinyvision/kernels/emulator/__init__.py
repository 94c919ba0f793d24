"""A GPU that is not there: CUDA texts, built by g++, run on the CPU with every thread of a block as a fiber.

    kernel = build(text)
    memory = Memory()
    x, y = memory.array(numbers), memory.empty(shape)
    kernel.launch("relu", (4, 1, 1), 256, x, y, np.int32(x.size))     # raises EmulatorError, which says what is wrong

The package's own kernels are tested on it, and the exercises in which a reader writes a kernel are judged by it. A text
that is built `watched` is seen at every access to memory: out of bounds, a race, a number that nobody wrote.
`problem()` says why it cannot run on this machine.
"""

from .building import EmulatorError, Kernels, build, prepare, problem
from .memory import Memory
from .texts import kernel_names, parameters, refused, signatures, without_comments

__all__ = [
    "EmulatorError", "Kernels", "Memory", "build", "kernel_names", "parameters", "prepare", "problem", "refused",
    "signatures", "without_comments",
]  # fmt: skip
