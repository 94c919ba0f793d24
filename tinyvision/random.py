"""Random numbers: one NumPy generator in force, and streams derived from names.

Random numbers are drawn by NumPy on the CPU and then moved, but for dropout's masks, of which a GPU makes the very
same numbers itself: a run on a GPU starts from the same weights and drops the same units as a run on the CPU.

A *stream* is a generator whose whole state follows from the integers and words it is named with. Training draws
everything for one step from `stream(seed, "dropout", epoch, step)` and the like, so resuming a run needs no saved
generator state: the names say it all.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import OptionError
from .types import is_integer


class Generator(np.random.Generator):
    """A NumPy Generator with the methods of PyTorch's: `Generator().manual_seed(0)`, for `randn(3, generator=g)`.

    Numbers are drawn on the CPU whatever the device, which is accepted for that reason."""

    def __init__(self, device: Any = "cpu", *, key: int | None = None) -> None:
        self._seed = secrets.randbits(64) if key is None else key
        super().__init__(np.random.Philox(key=self._seed))

    def manual_seed(self, seed: int) -> "Generator":
        """Start again from `seed`, an integer from 0 to 2**64 - 1. Raises OptionError."""
        self._seed = _checked(seed)
        self.bit_generator.state = np.random.Philox(key=self._seed).state
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody can know, and return it."""
        return self.manual_seed(secrets.randbits(64)).initial_seed()

    def initial_seed(self) -> int:
        """The seed that it started from."""
        return self._seed

    def get_state(self) -> Any:
        """All there is to know about the numbers to come, as a tensor of bytes (uint8)."""
        return shown_as[-1](state_of(self))

    def set_state(self, state: Any) -> "Generator":
        """Go on from where `get_state` was called. Raises OptionError for bytes that are no state."""
        restore(self, state)
        return self

    def __reduce__(self) -> Any:
        return _copied, (self._seed, state_of(self))


def _copied(seed, state):
    return Generator(key=seed).set_state(state)


_current: np.random.Generator = Generator()
shown_as: list[Callable[[np.ndarray], Any]] = [np.asarray]  # what states are given as; tensors, once there are some


def manual_seed(seed: int) -> Generator:
    """Restart the generator in force from `seed` (an integer, 0 to 2**64 - 1); returns it.

    Raises OptionError if the seed is not such an integer."""
    global _current
    _current = fresh = Generator(key=_checked(seed))
    return fresh


def seed() -> int:
    """Restart the generator in force from a seed that nobody can know; returns that seed."""
    return manual_seed(secrets.randbits(64)).initial_seed()


def initial_seed() -> int:
    """The seed that the generator in force started from."""
    if not isinstance(_current, Generator):
        raise OptionError("initial_seed: the generator in force came from elsewhere; its seed is not known")
    return _current.initial_seed()


def generator() -> np.random.Generator:
    """The NumPy Generator from which initialisation, dropout and `randn` draw."""
    return _current


def get_rng_state() -> Any:
    """All there is to know about the numbers that the generator in force will give, as a tensor of bytes (uint8)."""
    return shown_as[-1](state_of(_current))


def set_rng_state(new_state: Any) -> None:
    """Go on with the numbers that followed when `get_rng_state` was called. Raises OptionError."""
    restore(_current, new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """A `with` block after which the generator in force goes on as if nothing had been drawn inside."""
    before = state_of(_current) if enabled else None
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


def is_philox(generator: np.random.Generator) -> bool:
    """Whether a generator's numbers follow from a counter, so that any of them can be had without those before it."""
    return type(generator.bit_generator) is np.random.Philox


def skip(generator: np.random.Generator, count: int) -> None:
    """Have a Philox generator go on as if it had drawn `count` numbers of float32."""
    state: Any = generator.bit_generator.state
    over = min(count, state["has_uint32"])  # half of a number may be left over
    state["has_uint32"] -= over
    words, half = divmod(count - over, 2)
    left = 4 - state["buffer_pos"]
    if words > left:  # whole blocks of 4, of which the last is drawn from below
        blocks = (words - left - 1) // 4
        counter = sum(int(part) << 64 * i for i, part in enumerate(state["state"]["counter"])) + blocks
        state["state"]["counter"] = np.array([counter >> 64 * i & (2**64 - 1) for i in range(4)], np.uint64)
        state["buffer_pos"], words = 4, words - left - 4 * blocks
    generator.bit_generator.state = state
    halves = half or 2 * (words > 0)  # the last ones are drawn as they would be, which leaves all of the state the same
    generator.bit_generator.random_raw(words - (halves == 2), output=False)
    generator.random(halves, dtype=np.float32)


_WORDS = 13  # Philox: a counter of 4, a key of 2, a buffer of 4 numbers of 64 bits, and 3 that say how much is used up


def state_of(generator: np.random.Generator) -> np.ndarray:
    """The state of a Philox generator as bytes. Raises OptionError for another kind."""
    state: Any = generator.bit_generator.state
    if state["bit_generator"] != "Philox":
        raise OptionError(f"get_rng_state: only Philox generators have a state here, this is {state['bit_generator']}")
    rest = [state["buffer_pos"], state["has_uint32"], state["uinteger"]]
    parts = [state["state"]["counter"], state["state"]["key"], state["buffer"], np.array(rest, np.uint64)]
    return np.concatenate(parts).astype("<u8").view(np.uint8)


def restore(generator: np.random.Generator, state: Any) -> None:
    """Put a Philox generator into a state that `state_of` gave. Raises OptionError."""
    found = np.ascontiguousarray(state)
    if found.dtype != np.uint8 or found.size != 8 * _WORDS:
        raise OptionError(f"set_rng_state: expected {8 * _WORDS} bytes, got {found.dtype} {found.shape}")
    words = found.view("<u8")
    if words[10] > 4 or words[11] > 1:
        raise OptionError("set_rng_state: these bytes are no state of a generator")
    generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": words[:4].astype(np.uint64), "key": words[4:6].astype(np.uint64)},
        "buffer": words[6:10].astype(np.uint64),
        "buffer_pos": int(words[10]),
        "has_uint32": int(words[11]),
        "uinteger": int(words[12]),
    }


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
    if is_integer(name):
        return f"int:{int(name)}"
    if isinstance(name, str) and "\0" not in name:
        return f"str:{name}"
    raise OptionError(f"stream: names are integers or words, got {name!r}")


def _checked(seed):
    if not is_integer(seed) or not 0 <= seed < 2**64:
        raise OptionError(f"seed: expected an integer from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)
