"""From wrong numbers to words: the bank first, then the signatures, then the bare facts. Nothing is guessed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import activations, signatures, substitutions, terms
from .evidence import Evidence, Hypothesis, factor_names, match, ratio, same
from .verdict import AXES

EXACT, LIKELY, UNKNOWN = "exact", "likely", "unknown"


@dataclass(frozen=True)
class Diagnosis:
    """What is said about one argument."""

    message: str
    certainty: str = UNKNOWN
    mistake: str | None = None
    signature: str | None = None
    facts: tuple = ()


def diagnose(
    name: str, evidences: Sequence[Evidence], bank: Any = (), use_signatures: bool = True, when: Any = None
) -> Any:
    """Name the mistake behind the evidence on argument `name`, or say what can be said without naming one.

    `when(right probes, wrong probes)` gives the proven conditions under which the answer is right, or []."""
    evidences = _lead_first(evidences)
    facts = tuple(_facts(name, evidences, when))
    known = [m for m in bank if m.argument == name and m.pair is None and _same_as(m, evidences)]
    if len(known) == 1:
        return Diagnosis(known[0].says, EXACT, known[0].id, None, _hidden(facts))
    if 1 < len(known) <= 3:  # options of the code's own can make two mistakes one: an alpha of 1 is none
        either = ", or: ".join(m.says.rstrip(".") for m in known)
        return Diagnosis(f"{either}.", LIKELY, None, f"either:{','.join(m.id for m in known)}", _hidden(facts))
    if use_signatures and not known:
        found = _by_shape(name, evidences) or _by_signature(name, evidences) or _two_at_once(name, evidences, bank)
        if found:
            return replace(found, facts=_hidden(facts))
    return Diagnosis("I cannot name this one; here is where it differs.", UNKNOWN, None, None, facts)


def _hidden(facts):
    """Of the facts, those that say where the mistake does not show: all that is worth saying beside a cause."""
    return tuple(f for f in facts if f.startswith("It is right when"))


def _lead_first(evidences):
    """Failing probes first, the ones with the right shape before the others, small ones first."""
    return sorted(evidences, key=lambda e: (not e.failed, not e.shaped, e.right.size * max(1, np.size(e.probe.y))))


def _same_as(mistake, evidences):
    """True if the mistake predicts, in one of its forms, what was seen on every probe: numbers, or an exception."""
    return any(_predicts(form, evidences) for form in (mistake.wrong, *mistake.also))


def _predicts(form, evidences):
    seen = 0
    for e in evidences:
        try:
            with np.errstate(all="ignore"):
                arguments = (
                    (e.probe.inputs, e.probe.options)
                    if e.position < 0
                    else (e.probe.inputs, e.probe.options, e.probe.dy)
                )
                wrong = np.asarray(form(*arguments), dtype=np.float64)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, KeyError):
            wrong = None
        if (wrong is None) != (e.yours is None):
            return False
        if wrong is not None:
            if np.isnan(wrong).any() or not same(wrong, e.yours, e.tolerance, e.noise):
                return False
            seen += e.failed
    return seen > 0


def _by_shape(name, evidences):
    seen = [e for e in evidences if e.yours is not None]
    if all(e.shaped for e in seen):
        return None
    story = signatures.shape_story(evidences)
    if story is None:
        for other in seen[0].others:
            if all(other in e.others and same(e.yours, e.others[other], e.tolerance, e.noise) for e in seen):
                return Diagnosis(
                    f"This is {other}: the gradients are returned in another order than the inputs.",
                    LIKELY,
                    None,
                    f"other:{other}",
                )
        return None
    identifier, words = story
    return Diagnosis(
        f"The shape of your {name} is wrong, and this looks like the reason: {words}.",
        LIKELY,
        None,
        f"shape:{identifier}",
    )


def _groups(e):
    for group in signatures.GROUPS:
        yield group(e)
    replaced = []
    if e.position >= 0 and e.probe.gradient is not None:
        replaced += substitutions.upstream(e)
    if (e.probe.backward if e.position >= 0 else e.probe.output) is not None:
        replaced += substitutions.ingredients(e)
    yield replaced


def _by_signature(name, evidences):
    shaped = [e for e in evidences if e.shaped]
    if not any(e.failed for e in shaped) or _zero(shaped) is None:
        return None
    if _zero(shaped):
        exact = not any(np.any(e.yours) for e in shaped)
        words = (
            "zero everywhere: this looks like a result that was never stored"
            if exact
            else ("zero up to rounding: this looks like a sum in which everything cancels")
        )
        return Diagnosis(f"Your {name} is {words}.", LIKELY, None, "zero" if exact else "zero:rounding")
    second_best = None
    for group in _groups(shaped[0]):
        told, fallback = _first_match(name, group, shaped)
        if told:
            return told
        second_best = second_best or fallback
    return second_best or _by_terms(name, shaped) or _leak(name, shaped) or _structure(name, shaped)


def _by_terms(name, shaped):
    function = activations.told(name, shaped)
    if function is not None:
        return Diagnosis(function[1], LIKELY, None, function[0])
    found = terms.found(name, shaped)
    if found is None:
        return None
    return Diagnosis(f"Of the terms that make up {name}, {found.words}.", LIKELY, None, found.id)


def _first_match(name, group, shaped):
    """(the best diagnosis that needs no factor, one that does); all ingredients that agree are told."""
    matches, fallback = [], None
    for hypothesis in group:
        if hypothesis.id == "factor":
            found = _factor(name, shaped)
            if found:
                return found, None
            continue
        if fallback is not None and matches and not hypothesis.ingredient:
            continue
        names = match(hypothesis, shaped)
        if names == ["1"]:
            matches.append(hypothesis)
            if not hypothesis.ingredient or len(matches) == 3:
                break
        elif names and fallback is None:
            fallback = _told(name, hypothesis, names)
    if not matches:
        return None, fallback
    told = _told(name, matches[0], ["1"])
    if len(matches) > 1:
        rest = " or ".join(m.words.split("gives ", 1)[-1] for m in matches[1:])
        told = replace(told, message=f"{told.message[:-1]} (the same numbers come out {rest}).")
    return told, None


def _leak(name, shaped):
    """yours - right = c · known array, with the same c, or the same named constant, on every probe."""
    rest = [replace(e, yours=e.yours - np.nan_to_num(e.right), right=np.zeros_like(e.right)) for e in shaped]
    for hypothesis in signatures.leaks(shaped[0]):
        try:
            with np.errstate(all="ignore"):
                found = [(e, ratio(hypothesis.predict(e), e)) for e in rest]
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        if len(found) < 2 or any(r is None for _, r in found):
            continue
        ratios = [r for _, r in found]
        if max(ratios) - min(ratios) <= 1e-6 * abs(ratios[0]):
            constant = f"{ratios[0]:.6g}"
        else:
            names = factor_names([e for e, _ in found], ratios)
            if not names:
                continue
            constant = " or ".join(names[:3])
        words = hypothesis.words.format(name=f"the right {name}", c=constant).replace("plus -", "minus ")
        return Diagnosis(f"This looks like {words}.", LIKELY, None, hypothesis.id)
    return None


def _structure(name, shaped):
    """How yours and the right one differ, if by one number per index of an axis: a factor or a term that is its own."""
    if all(
        e.right.size > 1 and np.ptp(e.yours - e.right) <= 1e-9 * np.abs(e.yours).max() + 30 * e.noise for e in shaped
    ):
        return Diagnosis(
            f"Your {name} differs from the right one by the same number in all elements: a constant is added.",
            LIKELY,
            None,
            "constant-added",
        )
    for axis in range(shaped[0].right.ndim):
        what = AXES.get(shaped[0].axes[axis], "index") if axis < len(shaped[0].axes) else f"axis-{axis} slice"
        if all(e.right.ndim > axis and e.right.ndim > 1 for e in shaped):
            if all(_own_factor(e, axis) for e in shaped):
                return Diagnosis(
                    f"Within each {what} your {name} is the right one times a constant, but every {what} has a "
                    "constant of its own.",
                    LIKELY,
                    None,
                    f"factor-per:{axis}",
                )
            if all(_own_term(e, axis) for e in shaped):
                return Diagnosis(
                    f"Within each {what} your {name} differs from the right one by the same number: "
                    "something that belongs to the whole of it, often a sum or a mean.",
                    LIKELY,
                    None,
                    f"term-per:{axis}",
                )
    if all(e.right.size > 2 and np.ptp(e.right) > 0 and _same_numbers(e) for e in shaped):
        return Diagnosis(
            f"Your {name} holds the right numbers in other places: axes in another order, or a reshape where a "
            "transpose belongs.",
            LIKELY,
            None,
            "reordered",
        )
    return None


def _same_numbers(e):
    yours, right = np.sort(e.yours, axis=None), np.sort(np.asarray(e.right, dtype=np.float64), axis=None)
    return np.abs(yours - right).max() <= e.tolerance * np.abs(right).max()


def _own_factor(e, axis):
    for k in range(e.right.shape[axis]):
        yours, right = np.take(e.yours, k, axis), np.take(e.right, k, axis)
        if right.size < 3 or ratio(right, replace(e, yours=yours, right=right)) is None:
            return False
    return True


def _own_term(e, axis):
    rest = tuple(a for a in range(e.right.ndim) if a != axis)
    gap = e.yours - e.right
    return gap[0].size > 1 and np.ptp(gap, axis=rest).max() <= 1e-9 * np.abs(e.yours).max() + 30 * e.noise


def _zero(shaped):
    """True if all of yours is 0, None if some number is not finite."""
    if not all(np.isfinite(e.yours).all() for e in shaped):
        return None
    return all(
        np.abs(e.yours).max(initial=0.0) <= 1e-13 * max(1.0, np.nanmax(np.abs(e.right), initial=0.0)) for e in shaped
    )


def _factor(name, shaped):
    """Yours = c · right on every probe: with the name of c if one constant fits them all."""
    ratios = [ratio(e.right, e) for e in shaped]
    usable = [(e, r) for e, r in zip(shaped, ratios, strict=True) if np.any(np.nan_to_num(e.right))]
    single = [e for e, r in usable if r is None]
    if any(np.count_nonzero(np.nan_to_num(e.right)) > 1 for e in single):
        return None
    if single:  # one number on a probe: the factor is read off, and must then be a named one everywhere
        ratios = [float(e.yours.sum() / e.right.sum()) for e, _ in usable]
        names = factor_names([e for e, _ in usable], ratios) if len(usable) > 1 else []
    else:
        ratios = [r for _, r in usable]
        names = factor_names([e for e, _ in usable], ratios) if usable else []
    if names == ["1"] or not usable:
        return None
    if names:
        words = " or ".join(_spoken(n) for n in names[:3])
        tail = " (which of them, these shapes cannot tell)" if len(names) > 1 else ""
        return Diagnosis(
            f"This looks like a factor: your {name} is {words} times the right one, everywhere{tail}.",
            LIKELY,
            None,
            "factor:" + "|".join(names[:3]),
        )
    if single:
        return None
    if max(ratios) - min(ratios) <= 1e-5 * abs(ratios[0]):
        return Diagnosis(
            f"This looks like a factor: your {name} is {ratios[0]:.5g} times the right one, everywhere.",
            LIKELY,
            None,
            f"factor:{ratios[0]:.6g}",
        )
    if all(abs(abs(r) * np.linalg.norm(e.right) - 1) <= 1e-5 for e, r in usable):
        return Diagnosis(f"Your {name} is the right one divided by its own length.", LIKELY, None, "normalised")
    listed = ", ".join(f"{r:.4g} on the probe {e.probe.name}" for (e, _), r in zip(usable, ratios, strict=True))
    return Diagnosis(
        f"Your {name} is a constant times the right one, but not always the same constant: {listed}.",
        LIKELY,
        None,
        "factor",
    )


def _spoken(symbol):
    return {"-1": "-1", "1/2": "half"}.get(symbol, symbol)


def _told(name, hypothesis, names):
    words = hypothesis.words.format(name=f"the right {name}")
    factor = "" if names == ["1"] else f", times {' or '.join(names[:3])}"
    return Diagnosis(
        f"This looks like {words}{factor}.",
        LIKELY,
        None,
        hypothesis.id + ("" if names == ["1"] else "*" + "|".join(names[:3])),
    )


def _two_at_once(name, evidences, bank):
    """A known mistake and, on top of it, the wrong sign or a factor of the batch size."""
    shaped = [e for e in evidences if e.shaped]
    if not shaped or len(shaped) < len(evidences) or name == "y":
        return None
    found = []
    for m in bank:
        if m.argument != name or m.pair is not None:
            continue
        names = match(Hypothesis(m.id, m.says, lambda e, m=m: _wrong(m, e)), shaped)
        if names and names[0] in ("-1", "N", "1/N"):
            found.append((m, names))
    if len(found) != 1:
        return None
    m, names = found[0]
    return Diagnosis(
        f"This looks like two things at once: a factor of {' or '.join(names[:3])}, and: {m.says}",
        LIKELY,
        None,
        f"{m.id}*{'|'.join(names[:3])}",
    )


def _wrong(mistake, e):
    if e.position < 0:
        return np.asarray(mistake.wrong(e.probe.inputs, e.probe.options))
    return np.asarray(mistake.wrong(e.probe.inputs, e.probe.options, e.probe.dy))


def _facts(name, evidences, when):
    """True statements that help without naming a cause."""
    good = [e for e in evidences if not e.failed]
    if good and len(good) < len(evidences):
        telling = when([e.probe for e in good], [e.probe for e in evidences if e.failed]) if when else []
        if telling:
            yield f"It is right when {' and '.join(telling)}."
        else:
            yield f"It is right on the probe{'s' * (len(good) > 1)} " + ", ".join(e.probe.name for e in good) + "."
    shaped = [e for e in evidences if e.shaped and e.failed and np.isfinite(e.yours).all()]
    if not shaped:
        return
    yield from _sums(name, shaped)
    if all(np.array_equal(np.sign(e.yours), np.sign(e.right)) for e in shaped):
        yield "Every sign is right; only the sizes are not."
    elif all(np.array_equal(np.sign(e.yours), -np.sign(e.right)) for e in shaped):
        yield "Every sign is wrong."


def what_sets_apart(good: Any, bad: Any) -> list[str]:
    """The properties that all good probes have and no bad one has."""
    excluded = {p for probe in bad for p in _properties(probe)}
    return [p for p in _properties(good[0]) if p not in excluded and all(p in _properties(g) for g in good)]


def _properties(probe):
    """What is special about a probe: "N = 1", "stride = 1", ..."""
    options, first = probe.options, np.shape(probe.inputs[0])
    out = []
    if options.get("x_shape", first or (0,))[0] == 1:
        out.append("N = 1")
    for option, value in (("stride", 1), ("padding", 0)):
        if option in options and np.all(np.array(options[option]) == value):
            out.append(f"{option} = {value}")
    if "stride" in options and len(first) == 4 and first[2] == first[3]:
        out.append("the image is square")
    kernel = options.get("kernel_size")
    if len(probe.inputs) > 1 and np.ndim(probe.inputs[1]) == 4 and "stride" in options:
        kernel = probe.inputs[1].shape[2:]
    if kernel is not None:
        kernel = np.broadcast_to(kernel, 2)
        if kernel[0] == kernel[1]:
            out.append("the window is square")
        if "stride" in options and np.all(kernel <= np.broadcast_to(options["stride"], 2)):
            out.append("windows do not overlap")
        if "stride" in options and np.array_equal(kernel, np.broadcast_to(options["stride"], 2)):
            out.append("the stride equals the window")
    for option in ("stride", "padding"):
        if option in options and len(set(np.broadcast_to(options[option], 2).tolist())) == 1:
            out.append(f"the {option} is the same in both directions")
    return out


def _sums(name, shaped):
    """Sums that vanish in the right gradient and not in yours."""
    nd = shaped[0].right.ndim
    for axes, words in (((1,), "each row"), ((0, 2, 3), "each channel"), (tuple(range(nd)), "all elements")):
        if nd == 0 or max(axes) >= nd or (len(axes) == nd and nd == 1 and words != "all elements"):
            continue
        right = [
            np.abs(e.right.sum(axes)).max() <= 1e-9 * max(np.abs(e.right).max(), 1e-300) * e.right.size for e in shaped
        ]
        yours = [np.abs(e.yours.sum(axes)).max() > 1e-6 * np.abs(e.yours).max() for e in shaped]
        if all(right) and all(yours):
            yield f"The right {name} sums to 0 over {words}; yours does not."
            return
    if all(_keeps_sum(e) for e in shaped):
        yield f"The sum of your {name} is right; it is distributed wrongly."


def _keeps_sum(e):
    return bool(abs(e.yours.sum() - e.right.sum()) <= 1e-9 * np.abs(e.right).sum()) and abs(e.right.sum()) > 1e-6
