"""When is a wrong answer right? "It is right when N = 1" is said only if it holds on fresh probes of that kind.

A few probes agree on properties by chance, so what they have in common is a guess. It is tested on new numbers, with
every probe changed so that it has the property, and the shortest condition that holds on all of them is told.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .conventions import answer
from .diagnose import what_sets_apart
from .examine import Examination
from .ops import PAIRED, Spec
from .probes import Probe
from .verdict import compare

TRIES = 100  # of fresh probes, for all conditions together
ENOUGH = 4  # fresh probes that a condition must hold on


def verified(
    known: Spec, pairs: bool, good: Sequence[Probe], bad: Sequence[Probe], holds: Callable[[Probe], bool]
) -> list[str]:
    """The shortest list of properties, shared by `good` and by none of `bad`, under which `holds(probe)` is true.

    [] if there is none."""
    shared = what_sets_apart(good, bad)
    tries = 0
    choices = [list(c) for count in range(1, len(shared) + 1) for c in itertools.combinations(shared, count)]
    for choice in choices:
        outcomes = []
        for probe in fresh(known, choice, pairs):
            tries += 1
            if tries > TRIES:
                return []
            outcomes.append(holds(probe))
            if not outcomes[-1]:
                break
        if all(outcomes) and len(outcomes) >= ENOUGH:
            return choice
    return []


def right_when(exam: Examination, known: Spec, pairs: bool, position: int) -> Callable[..., list[str]]:
    """The proven conditions under which one argument is right, as a function of the right and the wrong probes."""

    def holds(probe):
        yours = answer(exam, probe, position)
        right = np.asarray(probe.y if position < 0 else probe.truth[position], dtype=np.float64)
        return yours is not None and yours.shape == right.shape and compare(yours, right).level != "different"

    return lambda good, bad: verified(known, pairs, good, bad, holds)


def fresh(known: Spec, properties: Sequence[str], pairs: bool) -> Iterator[Probe]:
    """The op's probes with other numbers, each changed so that it has the properties."""
    for turn in range(4 if "N = 1" in properties else 2):
        for k, (name, inputs, options) in enumerate(known.make(pairs)):
            rng = np.random.default_rng([404, turn, k])
            # Shuffled before anything is cut off: a single image must not always be the first one, of the same class.
            changed, options = _with(known, properties, list(shuffled(inputs, rng)), dict(options))
            yield known._probe(100 + 10 * turn + k, f"{name}, other numbers", changed, options)


def shuffled(inputs: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """The same numbers in another order: still away from kinks, well separated, or valid labels."""
    return tuple(rng.permutation(np.ravel(i)).reshape(np.shape(i)) for i in inputs)


def _with(known, properties, inputs, options):
    """Inputs and options with the least change that gives them the properties."""
    if "N = 1" in properties:
        inputs = [i[:1] if a[:1] == "N" else i for i, a in zip(inputs, known.axes, strict=True)]
        if "x_shape" in options:
            options["x_shape"] = (1, *options["x_shape"][1:])
    if "stride" in options:
        _windows(known, properties, inputs, options)
    if "x_shape" in options:
        geometry = {o: options[o] for o in PAIRED if o in options}
        size = known.backward((), options, np.zeros(options["x_shape"]))[0].shape if geometry else inputs[0].shape
        inputs = [np.random.default_rng(7).standard_normal(size)]
    return tuple(inputs), options


def _windows(known, properties, inputs, options):
    weighted = len(inputs) > 1 and np.ndim(inputs[1]) == 4
    if "the image is square" in properties:
        inputs[0] = inputs[0][:, :, : min(inputs[0].shape[2:]), : min(inputs[0].shape[2:])]
    kernel = np.array(inputs[1].shape[2:] if weighted else np.broadcast_to(options["kernel_size"], 2))
    stride, padding = (np.array(np.broadcast_to(options[o], 2)) for o in ("stride", "padding"))
    if "the window is square" in properties:
        kernel[:] = kernel.min()
    if "stride = 1" in properties:
        stride[:] = 1
    if "windows do not overlap" in properties:
        stride = np.maximum(stride, kernel)
    if "the stride equals the window" in properties:
        stride = kernel.copy()
    if "the stride is the same in both directions" in properties:
        stride[:] = stride.max()
    if "padding = 0" in properties:
        padding[:] = 0
    if "the padding is the same in both directions" in properties:
        padding[:] = padding.max() if weighted else min(padding.max(), kernel.min() // 2)
    if not weighted:
        padding = np.minimum(padding, kernel // 2)
        options["kernel_size"] = _as_given(options["kernel_size"], kernel)
    else:
        inputs[1] = inputs[1][:, :, : kernel[0], : kernel[1]]
    options["stride"], options["padding"] = _as_given(options["stride"], stride), _as_given(options["padding"], padding)


def _as_given(old, new):
    """A pair where the option was a pair; else one integer, the larger."""
    return (int(new[0]), int(new[1])) if np.ndim(old) else int(new.max())
