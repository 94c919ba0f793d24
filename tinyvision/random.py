"""Random numbers: one NumPy generator in force, and streams derived from names.

Random numbers are always drawn by NumPy on the CPU and then moved, so a run on a GPU starts from the same
weights and drops the same units as a run on the CPU.

A *stream* is a generator whose whole state follows from the integers and words it is named with. Training draws
everything for one step from `stream(seed, "dropout", epoch, step)` and the like, so resuming a run needs no saved
generator state: the names say it all.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .errors import OptionError

_current = np.random.Generator(np.random.Philox())


def manual_seed(seed: int) -> np.random.Generator:
    """Restart the generator in force from `seed` (an integer, 0 to 2**64 - 1); returns it.

    Raises OptionError if the seed is not such an integer."""
    global _current
    _current = np.random.Generator(np.random.Philox(key=_checked(seed)))
    return _current


def generator() -> np.random.Generator:
    """The NumPy Generator from which initialisation, dropout and `randn` draw."""
    return _current


def stream(seed: int, *names: int | str) -> np.random.Generator:
    """A fresh Generator that depends on nothing but `seed` and `names` (integers or strings). Raises OptionError.

    The Philox key is the first 128 bits of SHA-256 over the names, so streams with different names are
    independent for every practical purpose (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)."""
    text = "\0".join(map(_spelled, (_checked(seed), *names)))
    key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


@contextmanager
def use(generator: np.random.Generator) -> Iterator[np.random.Generator]:
    """Put another Generator in force for the length of a `with` block."""
    global _current
    previous, _current = _current, generator
    try:
        yield generator
    finally:
        _current = previous


def _spelled(name):
    """A name as text that no other name, and no two names one after the other, can have."""
    if isinstance(name, (int, np.integer)) and not isinstance(name, bool):
        return f"int:{int(name)}"
    if isinstance(name, str) and "\0" not in name:
        return f"str:{name}"
    raise OptionError(f"stream: names are integers or words, got {name!r}")


def _checked(seed):
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise OptionError(f"seed: expected an integer from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)
