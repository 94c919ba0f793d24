"""Make this slow one fast: the distances between all pairs of two sets of vectors. Same numbers, no loop over pairs.

a (N, D), b (M, D)  ->  squared distances (N, M):  d[n, m] = Σ_k (a[n, k] - b[m, k])²
What search for similar pictures does all day. It must be at least 15 times faster than the loops, and take no
array of N·M·D numbers: for a million pictures there is no room for that.
"""

import numpy as np


def slow_distances(a, b):
    """The two loops, to compare with."""
    d = np.zeros((len(a), len(b)))
    for n in range(len(a)):
        for m in range(len(b)):
            d[n, m] = ((a[n] - b[m]) ** 2).sum()
    return d


def distances(a, b):
    """(a - b)² = a² - 2·a·b + b²; the middle one is a matrix product. Rounding must leave nothing below 0."""
    # solution:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)
    return np.maximum(squares - 2 * (a @ b.T), 0)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

import time
import tracemalloc

from tinyvision.learn import lab

TITLE = "make this slow one fast"
LEVEL, MINUTES, PAGE = 2, 15, "25"
NEEDS = ("distances",)
MISSING = "the distances without a loop"
HINTS = (
    "What is (a - b)·(a - b), multiplied out? Which of the three parts needs both n and m?",
    "Only the middle one, a @ b.T, (N, M). The squares of a are a column (N, 1), those of b a row (M,).",
    "np.maximum((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T), 0)",
)
PREDICT = "a is b. Which numbers should the diagonal hold, and which does the product form give, in float32?"
ANSWER = "0, and about ±1e-6 of the squares: two large numbers are subtracted. Hence the maximum with 0."

FASTER = 15


def check(your):
    rng = np.random.default_rng(49)

    def right(a, b):
        return ((a[:, None] - b) ** 2).sum(axis=2)

    cases = [(rng.standard_normal(s), rng.standard_normal(t)) for s, t in (((4, 3), (5, 3)), ((3, 2), (3, 2)))]
    known = [
        (lambda a, b: np.sqrt(right(a, b)), "You took the root; the squared distance is asked for."),
        (lambda a, b: right(a, b).T, "Yours is (M, N); a's vectors are the rows."),
        (lambda a, b: right(a, b) + 2 * a @ b.T, "The middle part, -2·a·b, is missing."),
        (lambda a, b: right(a, b) + a @ b.T, "The middle part counts twice: -2·a·b."),
        (lambda a, b: right(a, b) + 4 * a @ b.T, "The middle part is subtracted: a² - 2·a·b + b²."),
        (lambda a, b: np.abs(a[:, None] - b).sum(axis=2), "Those are sums of absolute differences; square them."),
    ]
    report = lab.beside(your.distances, right, cases, "d", known, tolerance=1e-9)
    a = rng.standard_normal((40, 30)) + 100
    lab.expect(
        np.min(lab.call(your.distances, a, a)) >= 0,
        "Rounding leaves distances below 0, of which nobody can take a root: np.maximum(..., 0).",
        "d",
        your.distances,
    )
    a, b = rng.standard_normal((200, 64)), rng.standard_normal((180, 64))
    tracemalloc.start()
    your.distances(a, b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    lab.expect(
        peak < 8 * len(a) * len(b) * 16,
        f"It takes {peak / 2**20:.1f} MiB for a result of {8 * len(a) * len(b) / 2**20:.1f}: an array of N·M·D "
        "numbers. A matrix product needs none.",
        "memory",
        your.distances,
    )
    slow, fast = _seconds(slow_distances, a, b, 1), _seconds(your.distances, a, b, 7)
    lab.expect(
        slow > FASTER * fast,
        f"It is {slow / fast:.0f} times faster than the loops; {FASTER} times is asked for. Is there still a loop?",
        "speed",
        your.distances,
    )
    return lab.together(lambda: report, lambda: lab.done("speed", "memory"))


def _seconds(function, a, b, times):
    """The shortest of some runs: what else the machine does can only make one longer. (Both have run before.)"""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        function(a, b)
        found.append(time.perf_counter() - started)
    return min(found)
