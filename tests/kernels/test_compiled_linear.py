"""The linear layer in loops, against the op in float64: plain and compiled."""

import numpy as np
import pytest

from tinyvision import ops, threads
from tinyvision.kernels.cpu import compiled, linear, lines
from tinyvision.kernels.cpu.registers import LANES, ROWS, RUN, WIDTH

from .ahead import needs_numba
from .test_direct import planted

(DROP_IN,) = linear.DROP_INS

# (N, I, O): the least there may be, whole tiles, and what is left over of rows, features and outputs
CASES = [
    (RUN, WIDTH, RUN),
    (ROWS, 2 * WIDTH, 2 * ROWS),
    (ROWS + 1, WIDTH + 1, RUN + 1),
    (2 * ROWS + RUN + 2, 3 * WIDTH - 1, ROWS + RUN + 3),
    (RUN + 1, 2 * WIDTH + LANES + 3, 3 * RUN - 1),
    (1, WIDTH + 5, RUN),
    (2, 4 * WIDTH + 1, RUN + 2),
    (5, 3 * WIDTH, ROWS + 3),
]


@pytest.fixture(autouse=True)
def small_ones_are_shared_out(monkeypatch):
    """Where another thread does not pay, it computes the same."""
    monkeypatch.setattr(lines, "LEAST_PRODUCTS", 0)


def arrays(case, rng, bias=True):
    N, I, O = case
    x, weight = rng.standard_normal((N, I)), rng.standard_normal((O, I)) / np.sqrt(I)
    return [x, weight, *([rng.standard_normal(O)] if bias else [])]


def check(case, rng, bias=True, layout=np.ascontiguousarray):
    """All that the pair computes, against the op."""
    given = arrays(case, rng, bias)
    ours = [a.astype(np.float32) for a in given]
    for a in ours:
        a.flags.writeable = False
    assert DROP_IN.applies(*ours)
    y, cache = DROP_IN.forward(*ours)
    expected, its_cache = ops.linear_forward(*given)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
    dy = rng.standard_normal(y.shape)
    upstream = layout(dy.astype(np.float32))
    upstream.flags.writeable = False
    for _ in range(2):  # the second call gives the same
        got, wanted = DROP_IN.backward(upstream, cache), ops.linear_backward(dy, its_cache)
        for a, b in zip(got, wanted, strict=True):
            assert a.shape == b.shape
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1, np.abs(b).max()))


def check_all(cases, rng):
    for case in cases:
        check(case, rng)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("case", CASES)
def test_like_the_op_both_ways(case, layout, bias, rng, loops):
    check(case, rng, bias, layout)


def test_more_axes_in_front(rng, loops):
    x, weight, bias = (a.astype(np.float32) for a in arrays((2 * RUN, WIDTH, RUN), rng))
    y, cache = DROP_IN.forward(x.reshape(2, 1, RUN, WIDTH), weight, bias)
    expected, its_cache = ops.linear_forward(x.reshape(2, 1, RUN, WIDTH), weight, bias)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
    for a, b in zip(DROP_IN.backward(y, cache), ops.linear_backward(y, its_cache), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("needs", [(True, False, False), (False, True, False), (False, False, True)])
def test_only_what_is_needed_is_computed(needs, rng, loops):
    y, cache = DROP_IN.forward(*(a.astype(np.float32) for a in arrays(CASES[0], rng)))
    assert tuple(g is not None for g in DROP_IN.backward(y, cache, needs)) == needs


@needs_numba
@pytest.mark.parametrize("count", [2, 3])
def test_longer_than_what_stays_in_the_cache_and_on_several_threads(count, rng, machine_code, monkeypatch):
    for one, machine, shared in machine_code:
        monkeypatch.setattr(one, "run", machine)
        monkeypatch.setattr(one, "shared", shared)
    case = 2 * ROWS + 3, 2 * linear.DEPTH + 5 * LANES + 1, 4 * RUN + 2
    results = []
    for several in (1, count):
        threads.set_num_threads(several)
        check(case, np.random.default_rng(3))
        y, cache = DROP_IN.forward(*(a.astype(np.float32) for a in arrays(case, np.random.default_rng(4))))
        results.append([y, *DROP_IN.backward(y, cache)[:2]])
    for one, two in zip(*results, strict=True):  # no sum is cut
        np.testing.assert_array_equal(one, two)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NaN and infinities, where NumPy's scalars compute
def test_what_is_not_finite_is_as_the_ops(rng, loops):
    given = arrays((ROWS + 1, WIDTH + 3, RUN + 1), rng)
    given[0][1, 2], given[0][3, WIDTH + 1], given[0][ROWS, 5] = np.nan, np.inf, -np.inf
    y, cache = DROP_IN.forward(*(a.astype(np.float32) for a in given))
    expected, its_cache = ops.linear_forward(*given)
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)
    dy = rng.standard_normal(y.shape)
    dy[2, 1], dy[4, 3] = np.inf, np.nan
    for a, b in zip(DROP_IN.backward(dy.astype(np.float32), cache), ops.linear_backward(dy, its_cache), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-4)


def test_what_is_left_to_the_op():
    def applies(x, weight, bias=None):
        return DROP_IN.applies(*(None if a is None else np.zeros(a, np.float32) for a in (x, weight, bias)))

    assert applies((RUN, WIDTH), (RUN, WIDTH), (RUN,))
    assert applies((2, RUN, WIDTH), (RUN, WIDTH))
    assert not applies((RUN, WIDTH + 1), (RUN, WIDTH))
    assert not applies((RUN, WIDTH), (RUN, WIDTH), (RUN + 1,))
    assert applies((1, WIDTH), (RUN, WIDTH))
    assert not applies((0, WIDTH), (RUN, WIDTH))
    assert not applies((RUN, WIDTH), (RUN - 1, WIDTH))
    assert not applies((RUN, WIDTH - 1), (RUN, WIDTH - 1))
    assert not applies((linear.MANY_ROWS + 1, WIDTH), (RUN, WIDTH))
    assert not applies((), (RUN, WIDTH))
    assert not applies((RUN, WIDTH), (WIDTH,))
    square = np.zeros((WIDTH, WIDTH), np.float32)
    assert DROP_IN.applies(square, square)
    assert not DROP_IN.applies(square.T[:, :], square)
    assert not DROP_IN.applies(square, square.T)


MISTAKES = [
    ("answered", "range(whole, I)", "range(whole, I - 1)"),
    ("answered", "bias[o] if bias.size else 0", "0"),
    ("answered", "min(run * RUN, O - RUN)", "max(0, O - RUN)"),
    ("answered", "range(some - n, together)", "range(together)"),
    ("answered", "range(run * RUN - o, RUN)", "range(RUN)"),
    ("answered", "range(0, N, together)", "range(0, N - together + 1, together)"),
    ("answered", "+= tile[r * FOUR + s]", "+= tile[s * RUN + r]"),
    ("multiplied", "min(block * WIDTH, I - WIDTH)", "0"),
    ("multiplied", "min(m + RUN, M - RUN)", "min(m, M - RUN)"),
    ("multiplied", "range(0, M, ROWS)", "range(0, M - ROWS + 1, ROWS)"),
    ("multiplied", "k * apart, q", "k, q"),
    ("multiplied", "range(K)", "range(K - 1)"),
    ("answered", "(1, 0)", "(1, I)"),
    ("walked", "sums[:] = 0", "sums[:] = 1"),
    ("walked", "range(O)", "range(1, O)"),
    ("walked", "min(end * WIDTH, I)", "end * WIDTH - WIDTH"),
]


@pytest.mark.parametrize(("name", "old", "new"), MISTAKES, ids=[f"{m[0]}: {m[2]}" for m in MISTAKES])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mistake_in_a_loop_is_noticed(name, old, new, rng, monkeypatch):
    for _, one in compiled._loops():
        monkeypatch.setattr(one, "run", one.function)
        monkeypatch.setattr(one, "shared", None)
    loop = getattr(linear, name)
    monkeypatch.setattr(loop, "run", planted(loop.function, old, new))
    with pytest.raises((AssertionError, IndexError, ValueError)):
        check_all((CASES[3], *CASES[-3:]), rng)
