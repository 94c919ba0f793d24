"""`check.op`: a learner's version of a known op against every probe, in the order in which mistakes hide each other."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import CPU, DeviceName
from ..errors import OptionError
from . import repair, runner
from .bank import mistakes
from .foreign import pair_of
from .halves import halves
from .judge import Settings, adopt, examine
from .ops import spec
from .place import Place, is_array
from .reading import RIGHT, Functions, level, recognise
from .report import Report
from .supports import demands_of

# Ops whose gradient is short in y: tinyvision's forward keeps y for it, and other people's keep x as well.
KEEPS_OUTPUT = ("sigmoid", "tanh")


def op(
    name: str,
    forward: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    *,
    pairs: bool = True,
    bank: Any = None,
    signatures: bool = True,
    time_limit: float = runner.TIME_LIMIT,
    device: DeviceName = "cpu",
    supports: str | Sequence[str] | None = None,
    strict: bool = False,
) -> Report:
    """Check `forward(*arrays, **options) -> (y, cache)` and `backward(dy, cache) -> gradients` of a known op.

    Either may be left out: tinyvision's own is used, and not judged. Known are linear, relu, leaky_relu, elu, silu,
    gelu, sigmoid, tanh, softplus, conv2d, maxpool2d, avgpool2d, batchnorm_train, cross_entropy, softmax, add, dropout,
    im2col, col2im, and sgd, an update rule
    `forward(weight, grad, velocity, lr, momentum, weight_decay) -> (weight, velocity)` that is followed over several
    steps. `pairs=False` passes stride, padding and kernel_size as integers. `bank` replaces the bank of known mistakes
    (with [] no wrong line is looked for either), `signatures=False` switches the op-independent diagnosis off. Each
    call may compute `time_limit` s. The functions get their arrays on `device`; what they return is compared on the
    CPU.

    Functions of another form are read as they are: CS231n's `conv_param`, NHWC, weights (I, O), a loss that returns
    `(loss, dx)`; the report says what was found. What a forward does not support (padding, windows that are not square)
    is not judged, and the report says that too; `supports="square,nopad"` says it ahead. `strict=True` asks for this
    library's form and for everything. A class goes to `check.layer`. A `torch.autograd.Function` or a `jax.custom_vjp`
    given as `forward` brings its own backward.

    A finding's `lines` are the one line, or the two of which either, that were found to mend it when small changes of
    every statement were tried, in a process of its own (a fork). None are told where more would, where that takes more
    than 1,250 runs, and of code that may do more than compute, which is not tried at all.

    Returns a Report. Raises OptionError if the op is unknown or something is not a function, DeviceError."""
    known, started = spec(name), time.perf_counter()
    forward, backward = pair_of(forward) or (forward, backward)
    for label, function in (("forward", forward), ("backward", backward)):
        if function is not None and not callable(function):
            raise OptionError(f"check.op: {label} must be a function, got {type(function).__name__}")
    if known.name == "sgd" and backward is not None:
        raise OptionError("check.op: sgd is an update rule, checked as forward; it has no backward")
    report = Report(known.name)
    settings = Settings(
        known,
        pairs,
        mistakes(known.name) if bank is None else [m for m in bank if m.op == known.name],
        signatures,
        time_limit,
        Place.named(device),
        demands_of(supports),
        strict,
    )
    if known.name == "sgd":
        from .trajectory import follow

        follow(report, settings, forward)
    else:
        forward, backward = _read(report, settings, forward, backward)
        examine(report, settings, forward, backward)
        if settings.reading is not None and known.name != "softmax":  # in this library's form a mean is a mistake
            halves(report, known.name)
    if forward is None and not report.passed and known.name in KEEPS_OUTPUT:
        how: dict[str, Any] = {"bank": bank, "signatures": signatures, "time_limit": time_limit, "device": device}
        report = _of_the_input(known, backward, how) or report
    if settings.asked is not None and settings.bank:  # without a bank nobody asks what is wrong
        repair.told(report, *settings.asked)
    report.seconds = time.perf_counter() - started
    return report


def _of_the_input(known, backward, how):
    """The report on a backward that is right where the cache is x; None for any other."""
    other = op(known.name, lambda x: (known.forward(x), x), backward, **how)
    if not other.passed:
        return None
    other.status["forward"] = "ours"
    other.read_as = ["backward(dy, x): its cache is x, the input"]
    return other


def _read(report, settings, forward, backward):
    """The pair itself where it has this library's form, else a pair that calls it as it wants to be called."""
    if settings.strict or forward is None or settings.at.device != CPU:
        return forward, backward
    if _usual(settings, forward, backward):
        return _other_weights(settings, forward, backward) or (forward, backward)
    loss = backward is None and settings.spec.name == "cross_entropy"
    if backward is None and not loss:
        return forward, backward
    known = settings.spec
    reading, right = recognise(known, Functions(forward, backward, known.arguments, known.name))
    probe = settings.spec.probes(settings.pairs)[0]
    ours = runner.accepts(forward, len(probe.inputs), probe.options) is None
    if not right and ours:
        return forward, backward
    return adopt(settings, reading)


def _other_weights(settings, forward, backward):
    """The pair with weights (I, O), where that makes both right: code that reshapes its weights takes any order."""
    if settings.spec.name != "linear" or backward is None:
        return None
    known = settings.spec
    reading, right = recognise(known, Functions(forward, backward, known.arguments, known.name))
    return adopt(settings, reading) if right and reading.layouts["weight"].says and level(reading) == RIGHT else None


def _usual(settings, forward, backward):
    """Does forward take this library's call, and answer in the right shape where all axes have sizes of their own?"""
    parameters = (runner.parameters(forward) or {}).values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    for pairs in (settings.pairs, False):
        for probe in settings.spec.probes(pairs)[:1]:
            if runner.accepts(forward, len(probe.inputs), probe.options) is not None:
                return False
            call = runner.call(forward, [np.array(i) for i in probe.inputs], probe.options, seconds=settings.seconds)
            if call.cut_off:
                return True
            pair = isinstance(call.value, (tuple, list)) and len(call.value) == 2
            if call.ok and (pair or settings.spec.lone_output):
                y = call.value[0] if pair else call.value
                if _shape(y) == np.shape(probe.y):
                    return backward is not None or not pair or not is_array(call.value[1])
    return False


def _shape(value):
    """The shape of an array, or of lists that are one written out; None for anything else."""
    if is_array(value) or np.isscalar(value):
        return np.shape(value)
    try:
        return np.shape(value) if isinstance(value, list) else None
    except ValueError:
        return None
