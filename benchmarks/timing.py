"""Timing that survives a shared machine: contestants take turns, and what is reported is a median with its spread."""

import gc
import statistics
import time
from contextlib import contextmanager

# A library's idle threads spin for about a millisecond before they go to sleep; nobody is to be timed beside them.
PAUSE = 0.003

# Shorter work runs once untimed before its turn, to find its data in the cache as it would in a loop of its own; and
# is repeated within the turn until this much time has passed, well above the clock's and the scheduler's grain.
SHORT, ENOUGH = 0.05, 0.004


@contextmanager
def no_garbage_collection():
    """The collector runs now and not again inside; it was where it was before afterwards."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def seconds(work, calls=1):
    """Seconds for one of `calls` calls in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - start) / calls


def alternate(works, turns, warm_up=2):
    """{name: seconds of each turn} for {name: function}: A B C A B C ..., after `warm_up` untimed calls of each."""
    calls = {}
    for name, work in works.items():
        for _ in range(warm_up - 1):
            work()
        calls[name] = seconds(work)
    times = {name: [] for name in works}
    with no_garbage_collection():
        for turn in range(turns):
            # Every other round goes backwards, so that nobody always follows the same neighbour.
            for name in list(works) if turn % 2 == 0 else list(works)[::-1]:
                time.sleep(PAUSE)
                if calls[name] < SHORT:
                    works[name]()
                repeats = max(1, min(50, int(ENOUGH / max(calls[name], 1e-7))))
                times[name].append(seconds(works[name], repeats))
    return times


def quartiles(values):
    """(first quartile, median, third quartile) of one or more numbers."""
    if len(values) == 1:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def summary(values):
    """What a record keeps of a list of measurements."""
    low, median, high = quartiles(values)
    return {"median": median, "q1": low, "q3": high, "best": min(values), "values": list(values)}


def ratio(ours, theirs):
    """Of two summaries: the ratio of the medians, and the median of the ratios turn by turn (None if turns differ in
    number)."""
    a, b = ours["values"], theirs["values"]
    paired = quartiles([x / y for x, y in zip(a, b, strict=True)])[1] if len(a) == len(b) else None
    return ours["median"] / theirs["median"], paired


def geometric_mean(values):
    """(Π values)^(1/n): the mean for ratios, where 2 and 1/2 cancel."""
    return statistics.geometric_mean(values)
