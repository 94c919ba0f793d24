"""`check.layer`: a layer as people write it, a class with forward and backward that keeps its weights in itself."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from . import repair, runner
from .bank import mistakes
from .check_op import op as check_op
from .foreign import pair_of
from .halves import halves
from .judge import Settings, adopt, examine
from .ops import spec
from .place import Place
from .reading import RIGHT, Layer, is_layer, level, recognise
from .reading.words import BACKWARDS, FORWARDS
from .report import Report
from .supports import demands_of
from .with_loss import ALONE, NOTE, alone, takes_labels, with_loss


def layer(
    layer: Any,
    op: str,
    *,
    make: Callable[..., Any] | None = None,
    supports: str | Sequence[str] | None = None,
    strict: bool = False,
    bank: Any = None,
    signatures: bool = True,
    time_limit: float = runner.TIME_LIMIT,
) -> Report:
    """Check a class with `forward` (or `__call__`) and `backward`, or an object of it, as the op of that name.

    The constructor is called by the names of its parameters (`in_channels`, `num_filters`, `W`, `pad`, ...); where
    they do not tell, `make` does it: `make=lambda in_channels, out_channels, kernel_size: Conv(...)`, or without
    parameters `make=lambda: Conv(3, 8, 5)` for a layer whose sizes are its own. Weights and gradients are found by
    their usual names in attributes, dictionaries and what is returned, or in the step that backward takes. The report
    says what was found. `supports` and `strict` are those of `check.op`.

    Returns a Report. Raises OptionError if the op is unknown, or if `layer` is no layer."""
    known, started = spec(op), time.perf_counter()
    how: dict[str, Any] = {"supports": supports, "strict": strict, "bank": bank, "signatures": signatures}
    if pair_of(layer) is not None:
        return check_op(op, layer, time_limit=time_limit, **how)
    if make is None and not is_layer(layer):
        raise OptionError(_no_layer(layer))
    if known.name == "sgd":
        raise OptionError("check.layer: sgd is an update rule, and no layer; check.op('sgd', rule) follows it")
    how["time_limit"] = time_limit
    if known.name == "softmax" and make is None and takes_labels(layer):
        report, settings = _with_its_loss(layer, how)
    else:
        report, settings = _examined(make or layer, known, **how)
    if settings.asked is not None and settings.bank:  # without a bank nobody asks what is wrong
        repair.told(report, *settings.asked)
    report.seconds = time.perf_counter() - started
    return report


def _examined(make, known, supports, strict, bank, signatures, time_limit):
    """(the report on one layer, without the lines to change; what was asked)"""
    report = Report(known.name)
    chosen = mistakes(known.name) if bank is None else [m for m in bank if m.op == known.name]
    settings = Settings(known, False, chosen, signatures, time_limit, Place(), demands_of(supports), strict)
    driver = Layer(make, known.arguments, known.name)
    reading, _ = recognise(known, driver)
    if not reading.waited and driver.is_called and level(reading) < RIGHT:
        recorded, _ = recognise(known, Layer(make, known.arguments, known.name, recorded=True))
        reading = max(reading, recorded, key=lambda r: (level(r), _gradients_found(r)))
    forward, backward = adopt(settings, reading)
    examine(report, settings, forward, backward)
    if not strict:
        halves(report, known.name)
    return report, settings


def _no_layer(thing):
    name = getattr(thing, "__name__", type(thing).__name__)
    methods = [n for n in dir(thing) if not n.startswith("__") and callable(getattr(thing, n, None))]
    has = f" (its methods: {', '.join(methods[:12])})" if methods else ""
    return (
        f"check.layer: {name} is no class with forward and backward{has}. Other names that are known: "
        f"{', '.join(FORWARDS[2:6])}; {', '.join(BACKWARDS[1:6])}"
    )


def _with_its_loss(softmax, how):
    """The same for a softmax and the cross-entropy behind it, the mean over the batch or the sum: what fits."""
    loss = spec("cross_entropy")
    found: list[Any] = []
    for mean in (True, False):
        found.append(_examined(with_loss(softmax, mean), loss, **how))
        if found[-1][0].passed:
            break
    named = (one for one in found if all(f.mistake for f in one[0].findings))
    report, settings = found[-1] if found[-1][0].passed else next(named, found[0])
    by_itself = None if report.passed else alone(softmax)
    if by_itself is not None:
        name, kind = by_itself
        other = _examined(kind, spec("softmax"), **how)
        if other[0].passed:
            other[0].notes.insert(0, ALONE.format(name))
            return other
    report.subject, report.status = "softmax", {{"dlogits": "dx"}.get(k, k): v for k, v in report.status.items()}
    report.notes[:] = [NOTE, *(n for n in report.notes if not n.startswith("With scores of"))]
    return report, settings


def _gradients_found(reading):
    """For how many parameters a gradient was found in the layer."""
    return sum(name.startswith("d") for name in getattr(reading.driver, "found", ()))
