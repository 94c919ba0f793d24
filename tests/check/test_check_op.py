"""check.op from a learner's side: correct variants pass, and every kind of failure has its own words."""

import contextlib
import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinyvision
from tinyvision import check
from tinyvision.check import runner
from tinyvision.check.ops import spec
from tinyvision.errors import OptionError

FORWARD, BACKWARD = spec("conv2d").functions()


def with_backward(change, op="conv2d"):
    """The report on a right forward and a backward whose list of gradients went through `change`."""
    forward, backward = spec(op).functions()

    def mine(dy, cache):
        return change(list(backward(dy, cache)))

    return check.op(op, forward, mine)


def only(report):
    assert not report.passed
    assert len(report.findings) == 1, str(report)
    return report.findings[0]


def test_unknown_op_and_things_that_are_no_functions():
    with pytest.raises(OptionError, match="conv2d"):
        check.op("conv3d")
    with pytest.raises(OptionError, match="no backward"):
        check.op("sgd", backward=BACKWARD)
    with pytest.raises(OptionError, match="backward must be a function"):
        check.op("relu", backward=3)


def test_where_it_differs():
    finding = only(with_backward(lambda g: [g[0] * (np.arange(len(g[0])) != 0)[:, None, None, None], *g[1:]]))
    assert finding.where.region == "one sample"
    finding = only(with_backward(lambda g: [g[0], g[1] * (np.arange(g[1].shape[1]) != 1)[:, None, None], g[2]]))
    assert finding.where.region == "one channel"
    assert finding.where.index[1] == 1
    assert finding.where.yours == 0
    assert finding.where.witness == "numeric"
    assert finding.file.endswith("test_check_op.py")


def test_regions_of_known_mistakes():
    regions = {
        "maxpool2d.dx.assigned": "overlaps", "conv2d.y.padded_with_one": "border",
        "cross_entropy.dlogits.repeated_labels_once": "repeated labels", "relu.dx.no_mask": "where x < 0",
        "linear.dx.sign": "all",
    }  # fmt: skip
    entries = {m.id: m for m in check.mistakes()}
    for identifier, region in regions.items():
        m = entries[identifier]
        finding = check.op(m.op, *m.functions()).findings[0]
        assert (identifier, finding.where.region) == (identifier, region)


def test_swapped_gradients():
    report = with_backward(lambda g: [g[1], g[0], g[2]])
    (finding,) = report.findings
    assert finding.mistake == "gradient_order"
    assert "in the order (dweight, dx, dbias)" in finding.message


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda g: g[:2], "gradient_count", "3 gradients"),
        (lambda g: g[0], "gradient_count", "an array of shape"),
        (lambda g: None, "gradient_count", "nothing"),
        (lambda g: [g[0], g[1], None], "gradient_missing", "None for dbias"),
        (lambda g: [g[0], g[1], g[2] + 0j], "wrong_dtype", "complex"),
        (lambda g: [g[0], g[1], g[2].astype(int)], "wrong_dtype", "integers"),
        (lambda g: [g[0], g[1], "three"], "not_an_array", "a str"),
        (lambda g: [g[0], g[1], g[2] / np.zeros(len(g[2]))], "not_finite", "infinity"),
        (lambda g: [g[0], g[1][:-1], g[2]], "wrong_shape", "must be"),
        (lambda g: g[7], "exception", "IndexError"),
        (lambda g: sys.exit(3), "exception", "SystemExit"),
    ],
)
def test_each_failure_has_its_own_message(change, kind, words):
    finding = only(with_backward(change))
    assert finding.mistake == kind
    assert finding.certainty == "exact"
    assert words in finding.message


def test_an_exception_is_placed_on_the_line_that_raised():
    def helper():
        raise KeyError("columns")

    def backward(dy, cache):
        dy = dy * 2
        return helper()

    finding = only(check.op("conv2d", FORWARD, backward))
    assert finding.file == __file__
    assert finding.line in (helper.__code__.co_firstlineno + 1, backward.__code__.co_firstlineno + 2)


def test_signatures_that_do_not_fit():
    finding = only(check.op("conv2d", lambda x, w, b, stride, pad: None, BACKWARD, strict=True))
    assert finding.mistake == "signature"
    assert "'padding'" in finding.message
    assert only(check.op("relu", lambda x: (x, x), lambda dy: dy)).mistake == "signature"


def test_forward_without_a_cache():
    assert only(check.op("relu", lambda x: np.maximum(x, 0), lambda dy, c: dy)).mistake == "no_cache"


def test_functions_that_take_integers_only():
    def forward(x, weight, bias, stride, padding):
        height = (x.shape[2] + 2 * padding - weight.shape[2]) // stride + 1
        y, cache = FORWARD(x, weight, bias, stride=stride, padding=padding)
        assert height == y.shape[2]
        return y, cache

    assert only(check.op("conv2d", forward, BACKWARD, strict=True)).mistake == "pairs_not_accepted"
    plain = check.op("conv2d", forward, BACKWARD)
    assert plain.passed
    assert any("differ in height and width" in words for words in plain.beyond)
    assert check.op("conv2d", forward, BACKWARD, pairs=False).passed


def changing(what, strict=False):
    def forward(x):
        return np.maximum(x, 0), (x, x > 0)

    def backward(dy, cache):
        dx = dy * cache[1]
        if what == "dy":
            dy *= 0
        if what == "x":
            cache[0][...] = 0
        if what == "cache":
            cache[1][...] = True
        return dx

    return check.op("relu", forward, backward, strict=strict)


def test_changes_in_place():
    assert only(changing("dy", strict=True)).mistake == "dy_changed"
    assert "changes its dy in place" in changing("dy").notes[0]
    assert only(changing("x")).mistake == "input_changed"
    assert only(changing("cache")).mistake == "cache_changed"
    assert changing("nothing").passed


def test_a_scratch_buffer_in_the_cache_is_a_note():
    def backward(dy, cache):
        np.multiply(dy, cache[0], out=cache[1])
        return cache[1].copy()

    report = check.op("relu", lambda x: (np.maximum(x, 0), (x > 0, np.zeros_like(x))), backward)
    assert report.passed
    assert "cache" in report.notes[0]


def test_state_between_calls():
    last = {}

    def forward(x):
        last["mask"] = x > 0
        return np.maximum(x, 0), None

    assert only(check.op("relu", forward, lambda dy, cache: dy * last["mask"])).mistake == "kept_outside_cache"

    class Layer:
        def forward(self, x):
            self.mask = x > 0
            return x * self.mask, None

        def backward(self, dy, cache):
            return dy * self.mask

    layer = Layer()
    report = check.op("relu", layer.forward, layer.backward)
    assert report.passed
    assert "one object for each layer" in report.notes[0]


def test_a_dy_that_is_changed_in_place_hides_no_mistake():
    def relu(factor):
        def backward(dy, x):
            dy[dy <= 0 if factor == 1 else x <= 0] = 0
            dy *= factor
            return dy

        return check.op("relu", lambda x: (np.maximum(x, 0), x), backward).findings

    named, written = relu(1)
    assert (named.mistake, written.mistake) == ("relu.dx.mask_from_dy", "dy_changed")
    written, likely = relu(3)
    assert (written.mistake, likely.signature) == ("dy_changed", "factor:3")
    assert "changed in place may be the cause" in likely.message

    def affine(averaged):
        def backward(dy, cache):
            dx, dweight = dy @ cache[1], dy.T @ cache[0]
            dy /= len(dy) if averaged else 1.5
            return dx, dweight, dy.sum(0) if averaged else np.sort(dy.sum(0) ** 2)

        return check.op("linear", lambda x, weight, bias: (x @ weight.T + bias, (x, weight)), backward).findings

    assert [f.mistake for f in affine(True)] == ["linear.dbias.averaged", "dy_changed"]
    assert "mend that first" in affine(False)[1].message


def test_a_sum_over_calls_is_told_beside_a_dy_that_is_changed_in_place():
    kept = {}

    def backward(dy, cache):
        x, weight = cache
        dx, dbias = dy @ weight, dy.sum(0)
        kept[weight.shape] = kept.get(weight.shape, 0) + dy.T @ x
        dy *= 2
        return dx, kept[weight.shape].copy(), dbias

    found = check.op("linear", lambda x, weight, bias: (x @ weight.T + bias, (x, weight)), backward).findings
    assert [f.mistake for f in found] == ["accumulates", "dy_changed"]


def test_a_cache_that_is_used_up():
    forward, backward = spec("relu").functions()
    report = check.op("relu", lambda x: (forward(x)[0], [forward(x)[1]]), lambda dy, cache: backward(dy, cache.pop()))
    assert only(report).mistake == "second_call_raises"


def test_not_linear_in_dy():
    forward, backward = spec("relu").functions()

    def cut(dy, cache):
        dx = backward(dy, cache)[0]
        return np.where(np.abs(dx) > 50, 0.0, dx)

    assert only(check.op("relu", forward, cut)).mistake == "not_linear_in_dy"


def endless(dy, cache):
    while True:
        with contextlib.suppress(Exception):  # a learner's loop may swallow these; the time limit is none of them
            time.sleep(0.001)


def test_an_endless_loop_is_cut_off():
    report = check.op("relu", lambda x: (np.maximum(x, 0), x), endless, time_limit=0.3)
    assert only(report).mistake == "endless_loop"
    assert report.calls < 10


def test_an_endless_loop_is_cut_off_in_a_thread():
    reports = []
    thread = threading.Thread(target=lambda: reports.append(
        check.op("relu", lambda x: (np.maximum(x, 0), x), endless, time_limit=0.3)))  # fmt: skip
    thread.start()
    thread.join(10)
    assert only(reports[0]).mistake == "endless_loop"


def test_a_program_can_be_traced_after_a_check_in_a_thread():
    """In a process of its own: where this goes wrong, nothing goes on."""
    code = """
import sys, threading
from tinyvision.check import runner

def endless():
    while True:
        pass

def work():
    seen.extend([runner.call(lambda: 1, [], seconds=5), runner.call(endless, [], seconds=0.2)])

seen, calls = [], []
thread = threading.Thread(target=work)
thread.start(), thread.join()
sys.setprofile(lambda frame, event, argument: calls.append(event))
(lambda: None)()
sys.setprofile(None)
print(seen[0].value, seen[1].cut_off, "call" in calls)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(tinyvision.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout == "1 True True\n", done.stderr


def in_a_thread(function):
    out = []
    thread = threading.Thread(target=lambda: out.append(function()))
    thread.start()
    thread.join(20)
    return out[0]


@pytest.mark.parametrize("where", [lambda f: f(), in_a_thread], ids=["main", "thread"])
def test_what_counts_is_the_time_that_a_call_computes(where):
    """A sleep of twice the limit stands for a machine that gives the thread no time; what goes on waiting is ended."""
    waited = where(lambda: runner.call(lambda: time.sleep(0.6) or "back", [], seconds=0.3))
    assert waited.value == "back"

    def computes():
        while True:
            pass

    began = time.process_time()
    ended = where(lambda: runner.call(computes, [], seconds=0.3))
    assert ended.cut_off
    assert not ended.waited
    assert time.process_time() - began < 1.0

    def sleeps():
        while True:
            time.sleep(0.01)

    ended = where(lambda: runner.call(sleeps, [], seconds=0.1))
    assert ended.cut_off
    assert ended.waited


def test_code_that_asks_for_input_is_ended_and_told_so():
    """In a process of its own, whose standard input stays open and says nothing."""
    code = """
import numpy as np
from tinyvision import check
print(check.op("relu", lambda x: (np.maximum(x, 0), input()), lambda dy, x: dy, time_limit=0.2))

class Asks:
    def forward(self, x):
        return input()
    def backward(self, dy):
        return dy

print(check.layer(Asks, "relu", time_limit=0.1).passed)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(tinyvision.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environment) as process:  # fmt: skip
        told = process.stdout.read()
    assert "waited for 0.8 s and was cut off" in " ".join(told.split())
    assert told.endswith("False\n")


def test_keyboard_interrupt_passes_through():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check.op("relu", interrupted, lambda dy, c: dy)


def test_a_wrong_forward_is_a_wrong_forward():
    forward, backward = spec("batchnorm_train").functions()

    def doubled_eps(x, weight, bias, eps):
        return forward(x, weight, bias, eps=2 * eps)

    report = check.op("batchnorm_train", doubled_eps, backward)
    assert only(report).argument == "y"
    assert report.status["dx"] == "not judged"


def test_ties_and_kinks():
    for slope, legal in ((0.0, True), (1.0, True), (0.3, True), (2.0, False), (-0.5, False)):
        report = check.op("relu", lambda x: (np.maximum(x, 0), x),
                          lambda dy, x, s=slope: dy * np.where(x > 0, 1.0, np.where(x == 0, s, 0.0)))  # fmt: skip
        assert report.passed == legal, slope
        assert bool(report.notes) == (legal and slope > 0)


def test_one_side_may_be_left_out():
    assert check.op("softmax", forward=spec("softmax").functions()[0]).status["forward"] == "ok"
    from tinyvision.ops import softmax_backward

    assert check.op("softmax", backward=softmax_backward).status == {"forward": "ours", "dx": "ok"}
    wrong = check.op("softmax", backward=lambda dy, cache: 2 * softmax_backward(dy, cache)[0])
    assert only(wrong).signature == "factor:2"


def test_partials_and_callable_objects_and_prints():
    class Backward:
        def __call__(self, dy, cache):
            print("dy", dy.shape)
            return BACKWARD(dy, cache)

    report = check.op("conv2d", functools.partial(FORWARD), Backward())
    assert report.passed
    assert report.printed.startswith("dy (3, 5, 4, 5)")
    assert "printed" in str(report)


def test_precision_of_float32_is_a_note_and_a_small_slope_is_not():
    forward, backward = spec("relu").functions()
    report = check.op("relu", forward, lambda dy, c: backward(dy.astype(np.float32), c)[0].astype(np.float32))
    assert report.passed
    assert "float32" in report.notes[0]
    slope = check.op("relu", forward, lambda dy, c: np.where(c[0][0] > 0, dy, 1e-4 * dy))
    assert only(slope).signature == "leak:dy:x< 0"


def test_a_check_makes_few_calls():
    assert check.op("conv2d", FORWARD, BACKWARD).calls < 100
