"""What code need not support: the demands of the probes, plain probes without them, and which of them a forward meets.

Probes are asymmetric on purpose, but code in the wild has never seen a padded pool or a window that leaves a row over.
A forward that raises, or answers in another shape, only where a probe goes beyond the plain ones is not wrong there: it
is not judged there, and says so. `tamed` makes the probes again with the demands that are not met taken out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import OptionError
from .ops import Spec
from .reference import pair

# demand -> the word for code that does not meet it, and what is then said
DEMANDS = {
    "image": ("squareimage", "images that are not square"),
    "window": ("square", "windows, strides and padding that differ in height and width"),
    "padding": ("nopad", "padding"),
    "stride": ("nostride", "strides other than 1"),
    "overlap": ("nooverlap", "windows that overlap"),
    "gaps": ("nogaps", "strides larger than the window"),
    "left-over": ("dividing", "sizes that leave rows or columns over"),
    "single": ("several", "a batch of one"),
    "batch": ("batch1", "batches of more than one"),
    "channels": ("onechannel", "more than one channel"),
}
WORDS = {word: demand for demand, (word, _) in DEMANDS.items()}
ALSO = {"square": ("window", "image"), "int": ("window",), "nchannels": ()}


def demands_of(supports: str | Sequence[str] | None) -> set[str]:
    """The demands that are taken out, from "square,nopad,...". Raises OptionError for an unknown word."""
    listed = supports.split(",") if isinstance(supports, str) else list(supports or ())
    out: set[str] = set()
    for word in (w.strip() for w in listed if w.strip()):
        if word not in WORDS and word not in ALSO:
            raise OptionError(f"check: supports takes {', '.join([*WORDS, 'int'])}, got {word!r}")
        out.update(ALSO[word] if word in ALSO else (WORDS[word],))
    return out


@dataclass(frozen=True)
class Geometry:
    """The sizes of one probe of a window op."""

    n: int
    c: int
    o: int
    size: tuple
    kernel: tuple
    stride: tuple
    padding: tuple

    def without(self, missing: set, fixed: dict[str, Any], convolves: bool) -> "Geometry":
        """The nearest sizes that make no demand in `missing`, with the options that the code itself has fixed."""
        n, c, o = self.n, self.c, self.o
        kernel, stride, padding = (np.array(v) for v in (self.kernel, self.stride, self.padding))
        if "single" in missing:
            n = max(n, 2)
        if "batch" in missing:
            n = 1
        if "channels" in missing:
            c = 1
        if "window" in missing:
            kernel[:], stride[:], padding[:] = kernel.max(), stride.max(), padding.max()
        if "weight" in fixed:
            o, c, kernel = fixed["weight"][0], fixed["weight"][1], np.array(fixed["weight"][2:])
        if "kernel_size" in fixed and fixed["kernel_size"] != "stride":
            kernel = np.array(pair(fixed["kernel_size"]))
        if "stride" in missing:
            stride[:] = 1
        if "overlap" in missing:
            stride = np.maximum(stride, kernel)
        if "gaps" in missing:
            stride = np.minimum(stride, kernel)
        if "padding" in missing:
            padding[:] = 0
        if "stride" in fixed:
            stride = np.array(_of_kernel(fixed["stride"], kernel))
        if "padding" in fixed:
            if fixed["padding"] == "same" and "kernel_size" not in fixed and "weight" not in fixed:
                kernel = kernel + (kernel % 2 == 0)  # an even window has no middle: people pad it left or right
            padding = np.array(_of_kernel(fixed["padding"], kernel))
        if fixed.get("kernel_size") == "stride":
            stride = np.maximum(stride, 2)
            kernel = stride.copy()
        if not convolves and "padding" not in fixed:
            padding = np.minimum(padding, kernel // 2)
        size = np.maximum(np.array(self.size), kernel + stride)
        if "image" in missing:
            size[:] = size.max()
        if "left-over" in missing:
            size = size - (size + 2 * padding - kernel) % stride
        whole = [tuple(int(v) for v in pairs) for pairs in (size, kernel, stride, padding)]
        return Geometry(n, c, o, *whole)


def _of_kernel(rule, kernel):
    """A fixed option: numbers, or "kernel" for the window's size, "same" for the padding that keeps the size,
    "half" for half the window."""
    if rule == "kernel":
        return tuple(kernel)
    if rule in ("same", "half"):
        return tuple((k - (rule == "same")) // 2 for k in kernel)
    return pair(rule)


def geometry(inputs: Sequence[np.ndarray], options: dict[str, Any]) -> Geometry:
    """The sizes of a probe."""
    weighted = len(inputs) > 1 and np.ndim(inputs[1]) == 4
    n, c, *size = np.shape(inputs[0])
    kernel = inputs[1].shape[2:] if weighted else pair(options["kernel_size"])
    o = len(inputs[1]) if weighted else 1
    return Geometry(n, c, o, tuple(size), tuple(kernel), pair(options["stride"]), pair(options["padding"]))


WINDOWED = ("conv2d", "maxpool2d", "avgpool2d", "im2col")


def tamed(known: Spec, missing: set, fixed: dict[str, Any] | None = None) -> Spec:
    """The op with probes that make none of the demands in `missing`."""
    fixed = fixed or {}
    if not missing and not fixed:
        return known

    def make(pairs):
        for k, (name, inputs, options) in enumerate(known.make(pairs)):
            if known.name in WINDOWED:
                yield (name, *_window_probe(known, k, inputs, dict(options), missing, fixed, pairs))
            else:
                yield (name, *_batch_probe(known, k, inputs, dict(options), missing, fixed))

    return replace(known, make=make)


def _window_probe(known, k, inputs, options, missing, fixed, pairs):
    old = geometry(inputs, options)
    new = old.without(missing, fixed, known.name in ("conv2d", "im2col"))
    forms = {o: pair(getattr(new, o)) if pairs else int(pair(getattr(new, o))[0]) for o in ("stride", "padding")}
    options.update(forms)
    if "kernel_size" in options:
        options["kernel_size"] = new.kernel if pairs else int(new.kernel[0])
    if new == old:
        return inputs, options
    rng = np.random.default_rng([606, k])
    x = _like(inputs[0], (new.n, new.c, *new.size), rng)
    if len(inputs) == 1:
        return (x,), options
    weight = rng.standard_normal((new.o, new.c, *new.kernel))
    return (x, weight, rng.standard_normal(new.o)), options


def _like(old, shape, rng):
    """Other numbers of the old array's kind: distances between them, and their sizes, are kept."""
    size = int(np.prod(shape))
    values = np.sort(np.ravel(old))
    if size <= values.size:
        return rng.permutation(rng.permutation(values)[:size]).reshape(shape)
    step = (values[-1] - values[0]) / values.size
    more = values[-1] + step * np.arange(1, 1 + size - values.size)
    return rng.permutation(np.concatenate([values, more])).reshape(shape)


def _batch_probe(known, k, inputs, options, missing, fixed):
    inputs, rng = list(inputs), np.random.default_rng([707, k])
    if "single" in missing and len(inputs[0]) == 1:
        inputs = [np.concatenate([a, _other(a, rng)]) if axes[:1] == "N" else a
                  for a, axes in zip(inputs, known.axes, strict=True)]  # fmt: skip
    if "batch" in missing:
        inputs = [a[:1] if axes[:1] == "N" else a for a, axes in zip(inputs, known.axes, strict=True)]
    options.update((option, fixed[option]) for option in options if option in fixed)
    if "weight" in fixed:
        inputs = _sized(known, inputs, fixed["weight"], rng)
    return tuple(inputs), options


def _other(array, rng):
    if array.dtype.kind in "iu":
        return (array + 1) % (array.max() + 1)
    return ~array if array.dtype.kind == "b" else rng.permutation(array.ravel()).reshape(array.shape) * -0.7


def _sized(known, inputs, shape, rng):
    """Inputs for weights of a shape that the code has fixed."""
    if known.name == "linear":
        out, inner = shape
        return [rng.standard_normal((len(inputs[0]), inner)), rng.standard_normal((out, inner)),
                rng.standard_normal(out)]  # fmt: skip
    count = int(np.prod(shape))
    x = rng.standard_normal((inputs[0].shape[0], count, *inputs[0].shape[2:])) * rng.uniform(0.6, 3.0, (count, 1, 1))
    return [x, rng.uniform(0.4, 2.0, count), rng.standard_normal(count)]


# What plain probes do not ask for: windows lie side by side, or, for code that has no strides, move by 1.
PLAIN = (frozenset(DEMANDS) - {"batch", "channels"}, frozenset(DEMANDS) - {"batch", "channels", "overlap"})


def met(
    known: Spec, pairs: bool, demand: str, fixed: dict[str, Any], runs: Callable[[Any], bool], plain: Any = PLAIN[0]
) -> bool:
    """Does code that meets the plain probes also meet this one demand, on every probe that makes it?"""
    implied = {"gaps": {"stride"}, "overlap": {"stride"}}.get(demand, set())  # a window that moves by 1 leaves no gaps
    spec = tamed(known, set(plain) - {demand} - implied, fixed)
    return all(runs(probe) for probe in spec.probes(pairs) if makes(probe, demand))


def makes(probe: Any, demand: str) -> bool:
    """True if a probe makes the demand."""
    n = np.shape(probe.inputs[0])[0]
    if demand in ("single", "batch"):
        return (n == 1) == (demand == "single")
    if np.ndim(probe.inputs[0]) != 4 or not all(o in probe.options for o in ("stride", "padding")):
        return False
    g = geometry(probe.inputs, probe.options)
    size, kernel, stride, padding = (np.array(v) for v in (g.size, g.kernel, g.stride, g.padding))
    return {
        "image": size[0] != size[1],
        "window": any(v[0] != v[1] for v in (kernel, stride, padding)),
        "padding": padding.any(),
        "stride": (stride > 1).any(),
        "overlap": (stride < kernel).any(),
        "gaps": (stride > kernel).any(),
        "left-over": ((size + 2 * padding - kernel) % stride).any(),
        "channels": g.c > 1,
    }[demand]


def unmet(known: Spec, pairs: bool, fixed: dict[str, Any], runs: Callable[[Any], bool]) -> set[str] | None:
    """The demands that the code does not meet; None where it does not even run on plain probes."""
    asked = [d for d in DEMANDS if d not in ("batch", "channels") and any(makes(p, d) for p in known.probes(pairs))]
    for plain in PLAIN:
        everything = tamed(known, set(asked) & plain, fixed)
        if all(runs(probe) for probe in everything.probes(pairs)[:3]):
            return {d for d in asked if d in plain and not met(known, pairs, d, fixed, runs, plain)}
    return None


def told(missing: set) -> list[str]:
    """The demands that were not judged, in words."""
    return [says for demand, (_, says) in DEMANDS.items() if demand in missing]
