"""The numbers on which the checker's verdicts turn: each test fails when its number is changed."""

import numpy as np

from tinyvision.check import numeric
from tinyvision.check.evidence import Evidence, Hypothesis, match
from tinyvision.check.probes import Probe
from tinyvision.check.verdict import candidates, common_region, compare


def evidence(shape, wrong=True):
    right = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    yours = right**2 if wrong else right
    probe = Probe("made up", (right,), {}, right, lambda dy: (dy,))
    return Evidence(probe, "dx", yours, right, compare(yours, right), position=0)


def test_one_of_two_failing_probes_is_no_proof_of_a_cause():
    squared = Hypothesis("squared", "{name} squared", lambda e: e.right**2 if e.right.ndim == 2 else None)
    assert match(squared, [evidence((3, 4)), evidence((2, 5))]) == ["1"]
    assert match(squared, [evidence((3, 4))]) == ["1"], "on the only probe that failed it is all there is to be had"
    assert match(squared, [evidence((3, 4)), evidence((2, 3, 4))]) is None


def test_a_region_is_told_only_if_chance_would_hit_it_less_than_once_in_a_thousand():
    def found(inside, could, wrong):
        return {"border": (inside, could, wrong, True, 0), "all": (could, could, wrong, False, 2)}

    assert common_region([found(50, 100, 8)]) == "some", "eight in the right half of a hundred: once in 350"
    assert common_region([found(50, 100, 11)]) == "border", "eleven: once in 3,800"


def test_the_noise_of_differences_bounds_their_error_in_a_function_that_works_in_float32():
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1.0, 40)

    def f(values):
        return np.float64(np.float32(1000.0) + np.sin(values).astype(np.float32))

    table = numeric.differences(f, x, np.arange(x.size), rng)
    error = np.abs(table.jacobian - np.diag(np.cos(x))).max()
    assert not table.linear
    assert 1e-4 < error <= table.noise < 100 * error


def test_the_border_is_the_outermost_ring_of_pixels():
    wrong = np.zeros((1, 1, 4, 5), bool)
    wrong[0, 0, 0, 0] = True
    seen, could, count, held, _ = candidates(wrong, np.ones(wrong.shape), np.ones(wrong.shape), "NCHW", ())["border"]
    assert (seen, could, count, held) == (14, 20, 1, True)


def test_arrays_without_numbers_are_the_same():
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))).level == "same"


def test_a_function_of_tiny_numbers_is_not_linear_for_that(rng):
    assert not numeric.is_linear(lambda x: 1e-14 * x**2, np.ones(3), rng)
    assert numeric.is_linear(lambda x: 1e-14 * x, np.ones(3), rng)
