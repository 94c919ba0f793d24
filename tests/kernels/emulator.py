"""Run the package's drop-ins on NumPy arrays, through `tinyvision.kernels.emulator`.

`Emulation` takes the place of `tinyvision.kernels.launch.launch` and `.empty`. After each launch, the guard zones of
all arrays are looked at.
"""

import numpy as np

from tinyvision.kernels import launch, tuning
from tinyvision.kernels.emulator import EmulatorError, Memory, build


class Emulation:
    """Stands in for the GPU while `monkeypatch` lasts. `change(text)` may plant a bug into every text before it is
    built. `generation` is that of the GPU, as in `launch.generation`; `watched`: every access is looked at."""

    def __init__(self, monkeypatch, folder, change=None, order=0, generation=None, watched=False):
        self.folder, self.change, self.order, self.watched = folder, change or (lambda text: text), order, watched
        self.optimise = change is None  # a text that is used once is not worth the compiler's time
        self.memory, self.launched = Memory(), []
        monkeypatch.setattr(tuning, "_chosen", {})
        monkeypatch.setattr(launch, "launch", self.launch)
        monkeypatch.setattr(launch, "launch_on", lambda index, *a, **options: self.launch(*a, **options))
        monkeypatch.setattr(launch, "generation", lambda array: generation)
        monkeypatch.setattr(launch, "empty", self.empty)
        monkeypatch.setattr(launch, "aligned", lambda array, own=launch.aligned: self._guarded_if_copied(array, own))

    def launch(self, source, kernel, grid, *arguments, threads=launch.THREADS, shared=0):
        """Run a kernel, then look at the guards."""
        kernels = build(self.change(launch.text(source)), self.folder, self.optimise, self.watched)
        kernels.launch(kernel, grid, threads, *arguments, shared=shared, order=self.order)
        self.launched.append(kernel)
        if (size := self.memory.damaged()) is not None:
            raise EmulatorError(f"{kernel}: wrote outside of an array of {size} numbers")

    def empty(self, like, shape, dtype=np.float32):
        """As `launch.empty`."""
        return self.memory.empty(shape, dtype)

    def array(self, values):
        """A guarded copy of an input."""
        return self.memory.array(values)

    def _guarded_if_copied(self, array, aligned):
        ready = aligned(array)
        return ready if ready is array else self.array(ready)
