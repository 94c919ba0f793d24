"""The bank: every mistake is rejected and named, and no two entries are one mistake under two names."""

from collections import Counter

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check.ops import SPECS, spec
from tinyvision.check.trajectory import walk

MISTAKES = check.mistakes()


def predictions(mistake, probes):
    """What the mistake gives on every probe, None where it raises."""
    out = []
    for probe in probes:
        arguments = (
            (probe.inputs, probe.options) if mistake.argument == "y" else (probe.inputs, probe.options, probe.dy)
        )
        try:
            with np.errstate(all="ignore"):
                out.append(np.asarray(mistake.wrong(*arguments), dtype=np.float64))
        except (ValueError, IndexError, TypeError, ZeroDivisionError):
            out.append(None)
    return out


def alike(a, b):
    if (a is None) != (b is None):
        return False
    return a is None or (a.shape == b.shape and np.allclose(a, b, rtol=1e-8, atol=1e-10, equal_nan=True))


def test_there_are_more_than_110_over_all_ops():
    assert len(MISTAKES) >= 110
    assert {m.op for m in MISTAKES} == set(SPECS)
    assert max(Counter(m.id for m in MISTAKES).values()) == 1
    assert all(len(m.says) > 15 and m.says.endswith(".") for m in MISTAKES)


@pytest.mark.parametrize("op", [op for op in SPECS if op != "sgd"])
def test_entries_differ_from_each_other_and_from_the_right_answer(op):
    probes = spec(op).probes()
    for argument in {m.argument for m in check.mistakes(op) if m.pair is None}:
        entries = [(m.id, predictions(m, probes)) for m in check.mistakes(op) if m.argument == argument and m.wrong]
        position = -1 if argument == "y" else spec(op).gradients.index(argument)
        right = [np.asarray(p.y if position < 0 else p.truth[position], dtype=np.float64) for p in probes]
        for k, (name, seen) in enumerate(entries):
            assert not all(map(alike, seen, right)), f"{name} is not a mistake"
            for other, there in entries[:k]:
                assert not all(map(alike, seen, there)), f"{name} and {other} cannot be told apart"


def test_update_rules_differ_in_weights_or_velocity():
    walks = [(m.id, *walk(m.wrong())) for m in check.mistakes("sgd")]
    right = walk(spec("sgd").forward)[0]
    for k, (name, weights, velocities) in enumerate(walks):
        assert not np.allclose(weights, right), name
        for other, w, v in walks[:k]:
            assert not (np.allclose(weights, w) and np.allclose(velocities, v)), (name, other)


# A backward that mixes up the two strides of an uneven kernel does not get as far as numbers: it raises.
ONLY_RAISES = {
    "conv2d.dx.stride_swapped", "conv2d.dweight.stride_swapped", "maxpool2d.dx.stride_swapped",
    "avgpool2d.dx.stride_swapped", "im2col.dx.fold_stride_swapped", "col2im.y.fold_stride_swapped",
}  # fmt: skip


@pytest.mark.parametrize("op", SPECS)
def test_every_mistake_is_caught_and_named_exactly(op):
    for mistake in check.mistakes(op):
        forward, backward = mistake.functions()
        report = check.op(op, forward, backward, strict=mistake.shows == "dy_changed")
        assert not report.passed, mistake.id
        named = {f.mistake for f in report.findings if f.certainty == "exact"}
        if mistake.id in ONLY_RAISES:
            assert named == {"exception"}, mistake.id
        else:
            assert (mistake.shows or mistake.id) in named, mistake.id
        if mistake.pair is None:
            assert {f.argument for f in report.findings} <= {mistake.argument, "forward", "backward"}, mistake.id


@pytest.mark.parametrize("op", SPECS)
def test_a_mistake_that_is_not_in_the_bank_is_caught_and_not_called_by_another_name(op):
    everything = check.mistakes(op)
    for mistake in everything[::3]:
        forward, backward = mistake.functions()
        report = check.op(
            op,
            forward,
            backward,
            bank=[m for m in everything if m.id != mistake.id],
            strict=mistake.shows == "dy_changed",
        )
        assert not report.passed, mistake.id
        assert not [f for f in report.findings if f.mistake and "." in f.mistake], mistake.id


def test_two_mistakes_get_two_findings():
    entries = {m.id: m for m in check.mistakes("conv2d")}
    first = entries["conv2d.dx.cropped_at_zero"]
    second = entries["conv2d.dbias.averaged_over_batch"]
    forward, backward = first.functions()

    def both(dy, cache):
        grads = list(backward(dy, cache))
        grads[2] = second.wrong(cache[0], cache[1], dy)
        return grads

    report = check.op("conv2d", forward, both)
    assert {f.mistake for f in report.findings} == {first.id, second.id}
