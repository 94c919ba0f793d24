"""Remarks such as "It is right when N = 1" are made only where they are true in general."""

import numpy as np
import pytest

from tinyvision import check
from tinyvision.check import reference
from tinyvision.check.conditions import fresh, verified
from tinyvision.check.diagnose import _properties, what_sets_apart
from tinyvision.check.ops import SPECS


def report_of(op, change):
    """The report on a backward `change(inputs, options, dy)` behind the right forward."""
    forward, _ = SPECS[op].functions()
    return check.op(op, forward, lambda dy, cache: change(*cache, dy))


def facts(report):
    return [fact for finding in report.findings for fact in finding.facts]


def test_chance_agreement_on_one_probe_is_no_condition():
    guided = report_of("relu", lambda i, o, dy: dy * (i[0] > 0) * (dy > 0))
    assert guided.findings[0].mistake == "relu.dx.mask_from_both"
    assert not facts(guided)


@pytest.mark.parametrize(
    ("op", "change", "fact"),
    [
        ("cross_entropy", lambda i, o, dy: (_every_row(i) * dy / len(i[1]), None), "It is right when N = 1."),
        ("avgpool2d", lambda i, o, dy: _by_stride(i, o, dy), "It is right when the stride equals the window."),
        ("avgpool2d", lambda i, o, dy: _by_real_pixels(i, o, dy), "It is right when padding = 0."),
        ("cross_entropy", lambda i, o, dy: (_without_class_0(i, dy), None), None),
        ("dropout", lambda i, o, dy: (dy * i[1] / i[1].mean(), None), None),
    ],
)
def test_the_shortest_true_condition_is_told(op, change, fact):
    said = [f for f in facts(report_of(op, change)) if f.startswith("It is right when")]
    assert said == ([fact] if fact else [])


def _every_row(inputs):
    p = reference.softmax(inputs[0])
    p[:, inputs[1]] -= 1
    return p


def _without_class_0(inputs, dy):
    return reference.cross_entropy_backward(inputs, {}, dy)[0] * (inputs[1] != 0)[:, None]


def _by_stride(inputs, options, dy):
    dx = reference.avgpool2d_backward(inputs, options, dy)[0]
    return dx * np.prod(options["kernel_size"]) / np.prod(options["stride"])


def _by_real_pixels(inputs, options, dy):
    share = reference.avgpool2d(np.ones_like(inputs[0]), **options)
    return reference.avgpool2d_backward(inputs, options, dy / share)[0]


@pytest.mark.parametrize("op", [op for op in SPECS if op != "sgd"])
@pytest.mark.parametrize("pairs", [True, False])
def test_fresh_probes_have_the_property_and_other_numbers(op, pairs):
    known = SPECS[op]
    for wanted in {p for probe in known.probes(pairs) for p in _properties(probe)}:
        if pairs:
            assert all(wanted in _properties(probe) for probe in fresh(known, [wanted], pairs)), wanted
            if pairs and "pool" in op:  # no window may lie in the padding alone
                options = [probe.options for probe in fresh(known, [wanted], pairs)]
                assert all(np.all(np.array(o["padding"]) <= np.array(o["kernel_size"]) // 2) for o in options), wanted
    original = known.probes(pairs)[0]
    assert len(list(fresh(known, [], pairs))) == 2 * len(known.probes(pairs))
    assert not np.array_equal(next(fresh(known, [], pairs)).inputs[0], original.inputs[0])


def test_what_it_runs_on_is_said_only_if_it_is_true():
    def change(inputs, options, dy):
        if dy.shape[0] > 1:
            raise ValueError("one image only")
        return reference.relu_backward(inputs, options, dy)

    assert facts(report_of("relu", change)) == ["It runs when N = 1."]


def test_a_condition_that_fails_once_is_tried_no_further():
    known = SPECS["conv2d"]
    probes, asked = known.probes(), []
    good = [p for p in probes if np.shape(p.inputs[0])[0] == 1]
    bad = [p for p in probes if p not in good]
    shared = what_sets_apart(good, bad)
    assert shared
    assert bad
    assert verified(known, True, good, bad, lambda probe: asked.append(probe) or False) == []
    assert len(asked) == 2 ** len(shared) - 1  # each set of properties, once
