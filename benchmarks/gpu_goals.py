"""Whether a GPU meets its goals: `python -m benchmarks gpu-goals --minutes 8`.

What the goals are about and nothing else, the networks first: what a user gets unasked and as a graph, beside PyTorch,
in TF32 and in bf16, then every convolution in TF32. Each result is compared with the CPU's before it is timed, printed,
and written down at once; a step that fails, or that no time is left for, costs its own line only.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from tinyvision.device import cuda_problem, free_memory, synchronize

from . import conv, gpu, gpu_page, record

STAGES = {gpu_page.EAGER: gpu.GEMM}
PRECISIONS = ("tf32", "bf16")
UNSYNCHRONISED = 3  # steps whose launches fit the driver's queue, so that the host waits for nothing


def build_parser():
    """The arguments of `python -m benchmarks gpu-goals`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu-goals", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("gpu-goals.json"), metavar="FILE", help="the record")
    parser.add_argument("--batch", type=int, default=64, metavar="N", help="images in a batch (default 64)")
    parser.add_argument("--minutes", type=float, default=8.0, help="no step begins after so many (default 8)")
    return parser


def main(argv=None):
    """Measure, print, write; 0, or 1 if a result was wrong or a step failed, 2 if there is no GPU that works."""
    options = build_parser().parse_args(argv)
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
    """(name, a function that gives its cases) of every step, the most important first; sizes: of layers, for tests."""
    for mode in PRECISIONS:
        for name in gpu.NETWORKS:
            yield (
                f"{name}, {mode}",
                partial(gpu.network_cases, batch, (mode,), torch, where, (name,), STAGES, numpy=False),
            )
    for layer in sizes or conv.layers(batch) + gpu.depthwise_layers(batch):
        yield layer.name, partial(gpu.layer_cases, layer, ("tf32",), torch, where, STAGES, numpy=False)


def measure(batch, minutes, path, where="cuda", sizes=None):
    """The record, which is also in the file at every moment from the first step on."""
    end = time.monotonic() + 60 * minutes
    torch, versions = gpu.import_torch()
    made = gpu.empty_record(batch, versions, "python -m benchmarks gpu-goals")
    made |= {"failed": {}, "left_out": [], "host_ms": {}}
    for name, step in [
        ("ceilings", partial(gpu.ceilings, where)),
        *steps(batch, torch, where, sizes),
        ("time of the host", partial(host_ms, batch, where)),
    ]:
        if time.monotonic() > end:
            made["left_out"].append(name)
            continue
        start = time.monotonic()
        try:
            found = step()
        except Exception as error:  # the rest is measured all the same
            made["failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            found = []
        key = {"ceilings": "ceilings", "time of the host": "host_ms"}.get(name, "cases")
        made[key] = made["cases"] + found if key == "cases" else dict(found)
        record.write(path, made)
        print(f"{time.monotonic() - start:5.1f} s  {name}: {_told(found) or made['failed'].get(name, '')}", flush=True)
    return made


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
