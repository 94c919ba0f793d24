"""Whoever is wrong is not timed; contestants take turns; a run's record is complete."""

import gc
import json
import types

import numpy as np
import pytest

from benchmarks import agreement, contestants, memory, networks, roofline, suite, timing
from benchmarks.contestants import Entry, Layer
from benchmarks.contestants import ours as tinyvision_way

TOLERANCE = agreement.Tolerance(1e-5, "largest", "a test")
RIGHT = np.linspace(-1, 1, 1000, dtype=np.float32)


def _entry(name, result, calls=None, family=None):
    """A contestant with a fixed result that counts how often it is run."""

    def run():
        if calls is not None:
            calls.append(name)

    def results():
        if isinstance(result, Exception):
            raise result
        return result if isinstance(result, dict) else {"y": result}

    return Entry(name, run, results, family or name)


def _suite(**modules):
    return suite.Suite(modules, {}, 1, repeats=2)


def _one_wrong():
    wrong = RIGHT.copy()
    wrong[500] += 1e-3
    return wrong


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        (_one_wrong(), "off by 1.0e-03"),
        (RIGHT * 1.01, "off by"),
        (np.where(RIGHT == 1, np.nan, RIGHT), "off by inf"),
        (RIGHT[:-1], "shape (999,)"),
        ({"z": RIGHT}, "y, z"),
        ({}, "0 results"),
    ],
    ids=["one number", "a factor", "nan", "shape", "another name", "nothing"],
)
def test_a_wrong_contestant_is_not_timed(planted, says):
    calls = []
    entries = [_entry("PyTorch", RIGHT, calls), _entry("wrong", planted, calls), _entry("tinyvision", RIGHT, calls)]
    case = _suite().measure("cnn", "group", "case", entries, TOLERANCE, 2)
    assert case["entries"]["wrong"]["status"] == "wrong"
    assert says in case["entries"]["wrong"]["reason"]
    assert "median" not in case["entries"]["wrong"]
    assert "wrong" not in calls
    assert {"PyTorch", "tinyvision"} == set(calls)
    assert case["entries"]["tinyvision"]["status"] == case["entries"]["PyTorch"]["status"] == "timed"


def test_a_contestant_that_raises_does_not_stop_the_others():
    entries = [_entry("PyTorch", RIGHT), _entry("broken", RuntimeError("no\nsuch thing"))]
    case = _suite().measure("cnn", "group", "case", entries, TOLERANCE, 2, failed={"other": "why"})
    assert case["entries"]["broken"] == {"family": "broken", "status": "failed", "reason": "RuntimeError: no"}
    assert case["entries"]["other"]["reason"] == "why"
    assert len(case["entries"]["PyTorch"]["values"]) == 2


def test_rounding_is_not_a_disagreement():
    share, error = agreement.compare({"y": RIGHT * np.float32(1 + 1e-6)}, {"y": RIGHT}, TOLERANCE)
    assert 0.5e-6 < error < 2e-6
    assert share == pytest.approx(error / TOLERANCE.share)


def test_without_pytorch_the_first_one_is_the_reference():
    entries = [_entry("tinyvision", RIGHT), _entry("JAX", RIGHT + 1)]
    case = _suite().measure("cnn", "group", "case", entries, TOLERANCE, 1)
    assert case["reference"] == "tinyvision"
    assert case["entries"]["JAX"]["status"] == "wrong"


def test_a_library_takes_part_where_it_can():
    def fails(layer):
        raise ValueError("cannot")

    modules = {
        "tinyvision": types.SimpleNamespace(conv=lambda layer: [_entry("tinyvision", RIGHT)]),
        "JAX": types.SimpleNamespace(conv=fails),
        "DeZero": types.SimpleNamespace(),
    }
    entries, failed = _suite(**modules).entries("conv", None)
    assert [e.name for e in entries] == ["tinyvision"]
    assert failed == {"JAX": "ValueError: cannot"}


def test_the_quickest_way_stands_for_its_library():
    case = {
        "entries": {
            "a": {"family": "PyTorch", "status": "timed", "median": 2.0},
            "b": {"family": "PyTorch", "status": "timed", "median": 1.0},
            "c": {"family": "PyTorch", "status": "wrong"},
        }
    }
    assert suite.fastest_name(case, "PyTorch") == "b"
    assert suite.fastest(case, "JAX") is None


def test_contestants_take_turns_and_the_collector_rests():
    calls, collecting = [], []

    def work(name):
        def run():
            calls.append(name)
            collecting.append(gc.isenabled())

        return run

    times = timing.alternate({"a": work("a"), "b": work("b")}, turns=3, warm_up=1)
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    # Short work is repeated within its turn, so look at the order in which names change: a b | a b | b a | a b
    changes = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    assert changes == ["a", "b", "a", "b", "a", "b"]
    assert not any(collecting[2:])
    assert gc.isenabled()


def test_statistics():
    assert timing.quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert timing.quartiles([1, 2, 3, 4, 5]) == (2, 3, 4)
    a, b = timing.summary([1.0, 2.0, 9.0]), timing.summary([2.0, 2.0, 3.0])
    assert a["best"] == 1
    assert timing.ratio(a, b) == (1.0, 1.0)
    assert timing.ratio(a, timing.summary([4.0])) == (0.5, None)
    assert timing.geometric_mean([2, 0.5]) == pytest.approx(1)


def test_roofline():
    ceiling = {"product": 100.0, "copy": 10.0}
    assert roofline.bound(1000, 1, ceiling) == 10
    assert roofline.bound(1, 1000, ceiling) == 100
    layer = Layer("", 2, 3, 4, 8, 3, stride=2)
    assert (layer.out_size, layer.flops) == (4, 2 * 2 * 4 * 16 * 3 * 9)
    assert layer.least_bytes == 4 * (2 * 3 * 64 + 2 * 4 * 16 + 4 * 3 * 9)


@pytest.fixture(scope="module")
def libraries():
    """The installed ones; JAX compiles too long for a test."""
    return contestants.load(["tinyvision", "PyTorch", "DeZero", "MyGrad"])[0]


@pytest.mark.parametrize("stride", [1, 2])
def test_all_libraries_compute_the_same_convolution(libraries, stride):
    pytest.importorskip("torch")
    layer = Layer("", 2, 5, 6, 9, 3, stride=stride)
    x, weight, dy = networks.conv_data(layer)
    run = suite.Suite(libraries, {}, 1)
    for maker, arrays in (
        ("conv_forward", (x, weight)),
        ("conv_image_gradient", (x, weight, dy)),
        ("conv_weight_gradient", (x, weight, dy)),
        ("conv_both", (x, weight, dy)),
    ):
        entries, failed = run.entries(maker, layer, *arrays)
        right, reference, outcome = suite.compared(entries, agreement.for_sums(2 * 81))
        assert (len(right), reference, failed) == (len(entries), "PyTorch", {}), outcome
        assert len(right) >= 3


def test_all_libraries_train_alike(libraries):
    pytest.importorskip("torch")
    x, labels = networks.images(4, 8)
    entries, failed = suite.Suite(libraries, {}, 1).entries("cnn_step", networks.simple_cnn(size=8), x, labels, 0.01)
    right, _, outcome = suite.compared(entries, {"loss": agreement.LOSS, "gradient": agreement.GRADIENT})
    assert len(right) == len(entries) >= 3, outcome
    assert not failed


@pytest.mark.parametrize("mistake", ["learning rate", "labels"])
def test_a_wrong_training_step_is_found(mistake):
    x, labels = networks.images(4, 8)
    state = networks.simple_cnn(size=8)
    right = tinyvision_way.cnn_step(state, x, labels, 0.01)[0].results()
    rate, given = (0.02, labels) if mistake == "learning rate" else (0.01, np.roll(labels, 1))
    wrong = tinyvision_way.cnn_step(state, x, given, rate)[0].results()
    with pytest.raises(agreement.Disagreement):
        agreement.compare(wrong, right, {"loss": agreement.LOSS, "gradient": agreement.GRADIENT})


def test_a_record_is_complete_and_is_json():
    run = suite.Suite({"tinyvision": tinyvision_way}, {"JAX": "not installed"}, 2, arguments=("cnn", "--quick"))
    run.measure("cnn", "group", "case", [_entry("tinyvision", RIGHT)], TOLERANCE, 2, flops=1.0)
    made = json.loads(json.dumps(run.record()))
    assert made["command"] == "python -m benchmarks cnn --quick"
    assert made["missing"] == {"JAX": "not installed"}
    assert set(made["load_average"]) == {"start", "end"}
    assert {"created", "quick", "seconds", "schema", "ceilings", "kind"} <= set(made)
    described = made["machine"]
    assert described["versions"]["NumPy"] == np.__version__
    assert {"tinyvision", "NumPy"} == set(described["versions"])
    assert described["threads"] == 2
    assert described["cpu"]
    assert described["python"]
    assert all({"library", "kernel", "threads", "version"} == set(found) for found in described["blas"])
    (case,) = made["cases"]
    assert case["tolerance"][""]["why"] == "a test"
    assert {"median", "q1", "q3", "best", "values", "error", "family", "status"} <= set(case["entries"]["tinyvision"])


@pytest.mark.skipif(not memory.Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_the_peak_of_memory_is_seen():
    memory.give_back_freed_memory()  # or the array below may lie where earlier tests' arrays lay
    memory.forget_peak()
    before = memory.resident()
    held = np.ones(40 << 20, np.uint8)
    grown = memory.peak() - before
    assert held.nbytes * 0.9 < grown < held.nbytes * 1.5


def test_memory_with_another_loss_is_no_result():
    answers = [{"before": 10, "peak": 30, "losses": [2.0, 1.0, 0.5]}]
    fine = memory.outcome(answers, answers, "tinyvision")
    assert (fine["status"], fine["median"], fine["peak"]["median"]) == ("timed", 20, 30)
    other = [{"before": 10, "peak": 12, "losses": [2.0, 1.0, 0.6]}]
    assert memory.outcome(other, answers, "tinyvision")["status"] == "wrong"
