"""Whether a GPU meets its goals: `python -m benchmarks gpu-goals --minutes 8`.

What the goals are about and nothing else, the most telling first: what a user gets unasked and as a graph, beside
PyTorch, in TF32; the host's share of it; every convolution in TF32; the networks in bf16. Each result is compared with
the CPU's before it is timed, and written down at once, so that a run which is cut off, from within or from without,
loses none of it; `--show` prints what a record holds. A step that fails, or that no time is left for, costs its own
line only.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tinyvision.device import cuda_problem, free_memory, synchronize

from . import conv, gpu, gpu_page, record

STAGES = {gpu_page.EAGER: gpu.GEMM}
PRECISIONS = ("tf32", "bf16")
GRACE = 60  # seconds for the step that is under way when the minutes are over
UNSYNCHRONISED = 3  # steps whose launches fit the driver's queue, so that the host waits for nothing


def build_parser():
    """The arguments of `python -m benchmarks gpu-goals`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu-goals", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("gpu-goals.json"), metavar="FILE", help="the record")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in a batch (default 64)")
    most = "no step begins after so many, and the last one is given up a minute later (default 8)"
    parser.add_argument("--minutes", type=float, default=8.0, help=most)
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing: print what this record holds")
    return parser


def main(argv=None):
    """Measure, print, write; 0, or 1 if a result was wrong or a step failed, 2 if there is no GPU that works."""
    options = build_parser().parse_args(argv)
    if options.show:
        print(page(record.read(options.show)))
        return 0
    problem = cuda_problem()
    if problem:
        print(f"benchmarks: cuda cannot be used: {problem}\nNothing was measured.", file=sys.stderr)
        return 2
    record.check_writable(options.json)
    made = measure(options.batch, options.minutes, options.json)
    print("\n" + page(made))
    bad = [e for case in made["cases"] for e in case["entries"].values() if e["status"] in ("wrong", "failed")]
    return int(bool(bad or made["failed"]))


def steps(batch, torch, where, sizes=None):
    """(name, a function that hands every case to its argument) of every step, the most telling first; the host's share
    comes as numbers. sizes: of layers, for tests."""
    first, *others = PRECISIONS

    def networks(mode):
        for name in gpu.NETWORKS:
            given = (batch, (mode,), torch, where, (name,), STAGES)
            yield f"{name}, {mode}", partial(gpu.network_cases, *given, numpy=False)

    yield from networks(first)
    yield HOST, lambda note: host_ms(batch, where)
    for layer in sizes or conv.layers(batch) + gpu.depthwise_layers(batch):
        yield layer.name, partial(gpu.layer_cases, layer, ("tf32",), torch, where, STAGES, numpy=False)
    for mode in others:
        yield from networks(mode)


CEILINGS, HOST = "ceilings", "time of the host"


def measure(batch, minutes, path, where="cuda", sizes=None):
    """The record, which is also in the file at every moment from the first number on."""
    end = time.monotonic() + 60 * minutes
    torch, versions = gpu.import_torch()
    made = gpu.empty_record(batch, versions, "python -m benchmarks gpu-goals")
    made |= {"failed": {}, "left_out": [], "host_ms": {}}

    def note(case):  # after each of its entries
        if not any(case is known for known in made["cases"]):
            made["cases"].append(case)
        record.write(path, made)

    waiting = [(CEILINGS, lambda note: gpu.ceilings(where)), *steps(batch, torch, where, sizes)]
    record.write(path, made)
    try:
        with cut_off_at(end + GRACE):
            while waiting and time.monotonic() <= end:
                _take(*waiting[0], made, note)
                record.write(path, made)
                waiting.pop(0)
    except KeyboardInterrupt:  # the minutes are over, or somebody wants the machine back
        print(f"cut off in: {waiting[0][0]}", flush=True)
    made["left_out"] = [name for name, _ in waiting]
    record.write(path, made)
    return made


def _take(name, step, made, note):
    """One step of `measure`."""
    start, known = time.monotonic(), len(made["cases"])
    try:
        found = step(note=note)
        if isinstance(found, dict):
            made[{CEILINGS: "ceilings", HOST: "host_ms"}[name]] = found
    except Exception as error:  # the rest is measured all the same
        made["failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        found = []
    told = _told(found if isinstance(found, dict) else made["cases"][known:]) or made["failed"].get(name, "")
    print(f"{time.monotonic() - start:5.1f} s  {name}: {told}", flush=True)


@contextmanager
def cut_off_at(end: float) -> Iterator[None]:
    """Inside this block, SIGTERM, by which `timeout` and schedulers end a process, and the moment `end` of the
    monotonic clock are a KeyboardInterrupt, which the measuring of single entries lets pass."""

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = [(number, signal.signal(number, stop)) for number in (signal.SIGTERM, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_REAL, max(end - time.monotonic(), 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _told(found):
    if isinstance(found, dict):
        return ", ".join(f"{key} {value:.4g}" for key, value in found.items())
    return "; ".join(
        f"{case['group']} "
        + ", ".join(
            f"{who} {e['ms']:.4g}" if "ms" in e else f"{who} {e['status']}" for who, e in case["entries"].items()
        )
        for case in found
    )


def host_ms(batch, where):
    """Milliseconds of the host's own time for one eager step, none of it spent waiting for the GPU."""
    found = {}
    for name, (build, weights, size, trains) in gpu.NETWORKS.items():
        with gpu.tv.precision("tf32" if where != "cpu" else "ieee"):
            work = gpu.our_work(build, weights(), *gpu.networks.images(batch, size), trains, where)
            times = []
            for _ in range(6):
                synchronize(where)
                start = time.thread_time()
                for _ in range(UNSYNCHRONISED):
                    work()
                times.append(1e3 * (time.thread_time() - start) / UNSYNCHRONISED)
            found[name] = min(times)
        if where != "cpu":
            free_memory(where)
    return found


def page(made):
    """Two tables of goals, what failed or was left out, and the host's share."""
    lines = [f"{made['device']['name']}, batch {made['batch']}, {made['versions']}", *gpu_page.goals_table(made)]
    lines += gpu_page.goals_table(made, "bf16", "PyTorch's autocast to bfloat16, the faster layout")
    lines += ["", *(f"host's own time, eager, {name}: {ms:.2f} ms" for name, ms in made["host_ms"].items())]
    lines += [f"failed: {name}: {why}" for name, why in made["failed"].items()]
    for case in made["cases"]:
        for who, one in case["entries"].items():
            if one["status"] in ("wrong", "failed"):
                lines.append(f"{one['status']}: {case['case']}, {case['group']}, {case['precision']}, {who}: {one}")
    return "\n".join(lines + [f"no time was left for: {name}" for name in made["left_out"]])
