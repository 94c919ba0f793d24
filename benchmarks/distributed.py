"""Processes against threads on this machine, and what a cluster would make of the same steps, on paper.

Measured, in one job whose ways take turns: a training step by one process with one thread and with all of them, the
same batch cut between the ranks (strong scaling; batch-norm of each rank, and of all ranks together, which is exact;
gradients that are exchanged beside the backward, and only after it), a whole batch on each rank (weak scaling), and the
exchange of the gradients alone.

The loops of the extra `fast` take part where numba is installed (TINYVISION_KERNELS=off leaves all to NumPy).

On paper: a ring all-reduce of S bytes between n ranks sends 2 (n - 1) / n · S through each of them, in 2 (n - 1) steps
that also cost a latency. A rank computes as it does here; the exchange comes after the step, or goes on beside its
backward, whose share of a step is measured.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from tinyvision.cores import available_cores
from tinyvision.distributed.starting import mpiexec
from tinyvision.errors import DistributedError, TinyVisionError

from . import machine, record
from .contestants import ours
from .distributed_ranks import NETWORKS
from .tables import Table, as_markdown, as_text

RANKS, GIGABITS, LATENCY = (2, 4, 8, 16, 64, 256, 1024), (10, 25, 100, 400), 5e-6


def ring_seconds(size, ranks, gigabits, latency=LATENCY):
    """Seconds of a ring all-reduce of `size` bytes between ranks that send and receive `gigabits` a second each."""
    return 2 * (ranks - 1) / ranks * size * 8 / (gigabits * 1e9) + 2 * (ranks - 1) * latency


def efficiency(step, backward, exchange, overlap):
    """The share of a step in which a rank computes: the exchange follows the step, or hides behind the backward."""
    return step / (step + max(0.0, exchange - (backward if overlap else 0.0)))


def measure(ranks, turns, names):
    """A record for each network, from a job of its own."""
    begin, environment = mpiexec(ranks)
    command = [*begin, sys.executable, "-m", "benchmarks.distributed_ranks", str(turns)]
    job = subprocess.run([*command, *names], stdout=subprocess.PIPE, text=True, cwd=machine.ROOT, env=environment)
    if job.returncode:
        raise DistributedError(f"the ranks ended with exit code {job.returncode}; what they said stands above")
    return [json.loads(line) for line in job.stdout.splitlines() if line.startswith("{")]


def measured_table(run):
    """The ways to take one network's step on this machine."""
    ranks, each, median = run["ranks"], run["threads_each"], run["median"]
    of_each = f"{each} thread" + "s" * (each != 1)
    ways = [
        ("1 process, 1 thread", "one", 1),
        (f"1 process, {ranks * each} threads", "threads", 1),
        (f"{ranks} processes of {of_each}, batch-norm of each", "local", 1),
        (f"{ranks} processes of {of_each}, the exchange afterwards", "after", 1),
        (f"{ranks} processes of {of_each}, batch-norm of all (exact)", "exact", 1),
        (f"{ranks} processes of {of_each}, a whole batch each", "weak", ranks),
    ]
    rows = []
    for text, key, batches in ways:
        rate = batches * run["images"] / median[key]
        spread = f"{min(run['seconds'][key]) * 1e3:,.1f} to {max(run['seconds'][key]) * 1e3:,.1f}"
        rows.append(
            (
                text,
                f"{median[key] * 1e3:,.1f}",
                spread,
                f"{rate:,.1f}",
                f"{rate * median['one'] / run['images']:.2f}",
            )
        )
    size, exchange = run["gradient_bytes"], median["exchange"]
    hidden = statistics.median(a - b for a, b in zip(run["seconds"]["after"], run["seconds"]["local"], strict=True))
    note = (
        f"The exchange of {size / 1e6:.1f} MB alone: {exchange * 1e3:.1f} ms; begun beside the backward and not after "
        f"it, a step is {abs(hidden) * 1e3:.1f} ms {'longer' if hidden < 0 else 'shorter'} (median over the turns); "
        f"backward: {backward_share(run):.0%} of a step"
    )
    loops = "with the compiled loops" if run["compiled_loops"] else "NumPy alone"
    title = f"{run['network']}: a training step on {run['images']} images of {run['pixels']}², {loops}"
    return Table(title, ("", "ms, median", "from to", "images/s", "speed"), rows, note)


def exchange_table(run):
    """Milliseconds of the exchange of one network's gradients on paper."""
    size = run["gradient_bytes"]
    rows = [
        (f"{gigabits} Gb/s", *(f"{ring_seconds(size, ranks, gigabits) * 1e3:,.2f}" for ranks in RANKS))
        for gigabits in GIGABITS
    ]
    title = f"{run['network']} on paper: ms of a ring all-reduce of {size / 1e6:.1f} MB, over ranks"
    note = f"{LATENCY * 1e6:.0f} µs of latency; a step of nine times as long spends a tenth of the time on it"
    return Table(title, ("", *(f"{ranks:,}" for ranks in RANKS)), rows, note)


def paper_table(run, step, overlap):
    """Efficiencies of one network whose step takes a rank `step` seconds."""
    size = run["gradient_bytes"]
    rows = []
    for gigabits in GIGABITS:
        shares = [
            efficiency(step, step * backward_share(run), seconds, overlap)
            for seconds in (ring_seconds(size, ranks, gigabits) for ranks in RANKS)
        ]
        rows.append((f"{gigabits} Gb/s", *(f"{share:.0%}" for share in shares)))
    how = "beside the backward" if overlap else "after the step"
    title = f"{run['network']} on paper: efficiency over ranks, the exchange {how}"
    note = f"Every rank has a batch of its own, and a step takes it {step * 1e3:,.1f} ms"
    return Table(title, ("", *(f"{ranks:,}" for ranks in RANKS)), rows, note)


def backward_share(run):
    """Which part of a step the backward is."""
    return run["median"]["backward"] / run["median"]["one"]


def step_of(run, given):
    """Seconds of a rank's step on paper: what was given, else what this machine needs."""
    return run["median"]["threads"] if given is None else given / 1e3


def draw(records, path, given=None):
    """Efficiency over ranks for every bandwidth, a panel for each network: whole lines with overlap, dashed without."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(records), figsize=(4 * len(records), 3.2), sharey=True, squeeze=False)
    for panel, run in zip(panels[0], records, strict=True):
        step, share = step_of(run, given), backward_share(run)
        for gigabits, colour in zip(GIGABITS, ("#d55e00", "#cc79a7", "#009e73", "#0072b2"), strict=True):
            times = [ring_seconds(run["gradient_bytes"], ranks, gigabits) for ranks in RANKS]
            for overlap, style in ((True, "-"), (False, "--")):
                values = [efficiency(step, step * share, seconds, overlap) for seconds in times]
                panel.plot(RANKS, values, style, color=colour, label=f"{gigabits} Gb/s" if overlap else None)
        panel.set(xscale="log", xlabel="ranks", title=run["network"], ylim=(0, 1.05))
        panel.set_xticks(RANKS, map(str, RANKS))
        panel.minorticks_off()
    panels[0][0].set_ylabel("share of a step spent computing")
    panels[0][0].legend(loc="lower left")
    with matplotlib.rc_context({"svg.hashsalt": "tinyvision"}):  # the same picture, the same bytes
        when = {"Date": None} if Path(path).suffix == ".svg" else {}
        figure.savefig(path, bbox_inches="tight", metadata=when)
    pyplot.close(figure)


def about_text(made):
    """Machine, versions, load and command of a record, in two lines."""
    m, (before, after) = made["machine"], made["load"]
    blas = ", ".join(f"{b['library']} {b['version']} ({b['kernel']})" for b in m["blas"])
    return (
        f"{m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}, NumPy {m['versions']['NumPy']}, {blas}\n"
        f"{made['created']}, {made['command']}, load average {before} before and {after} after, commit {m['commit']}"
    )


def on_paper(made):
    """The networks of a record as the first number of ranks has measured them: what the model is fed with."""
    return [run for run in made["records"] if run["ranks"] == made["records"][0]["ranks"]]


def all_tables(made):
    """What was measured, and what follows on paper."""
    tables = [measured_table(run) for run in made["records"]]
    for run in on_paper(made):
        step = step_of(run, made["step_ms"])
        tables += [exchange_table(run), paper_table(run, step, False), paper_table(run, step, True)]
    return tables


def section(made, path, folder):
    """The section of RESULTS.md on a record that lies at `path`, with its picture drawn beside it."""
    picture = path.with_suffix(".svg")
    draw(on_paper(made), picture, made["step_ms"])
    lines = ["## Processes and threads", "", *(f"* {line}" for line in about_text(made).split("\n"))]
    lines += [f"* The record: [`{path.name}`]({folder}/{path.name})", ""]
    if machine.busy(made["load"][0], made["machine"]["cores"]):
        lines += [f"> The machine was busy (load average {made['load'][0]}): the figures are rough.", ""]
    lines += [f"![Share of a step spent computing, over ranks]({folder}/{picture.name})", ""]
    return "\n".join([*lines, "\n\n".join(map(as_markdown, all_tables(made)))])


def main(argv=None):
    """Measure, print the tables, and draw if asked to; returns 0, or 2 if the ranks could not do it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks distributed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ranks", type=int, nargs="+", default=[2], help="processes of a job (default 2)")
    parser.add_argument("--turns", type=int, default=9, help="turns for every way (default 9)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument(
        "--step", type=float, metavar="MS", help="on paper, what a rank's step takes (default: as here)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all numbers to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the model into FILE (.svg, .png)")
    argv = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(argv)
    if min(options.ranks) < 2 or options.turns < 1:
        parser.error("--ranks are from 2, --turns from 1")
    about = {
        "kind": "distributed",
        "created": machine.now(),
        "command": machine.command(["distributed", *argv]),
        "machine": machine.describe({}, available_cores()),
        "load": machine.load_average(),
        "step_ms": options.step,
    }
    try:
        if options.json:
            record.check_writable(options.json)
        ours.prepare(lambda text: print(f"{text} ...", file=sys.stderr))  # or the first turns would be NumPy's
        runs = [r for ranks in options.ranks for r in measure(ranks, options.turns, options.networks)]
    except TinyVisionError as error:
        print(f"distributed: {error}", file=sys.stderr)
        return 2
    made = {**about, "load": [about["load"], machine.load_average()], "records": runs}
    print(about_text(made), end="\n\n")
    print("\n\n".join(map(as_text, all_tables(made))), end="\n\n")
    if options.json:
        record.write(options.json, made)
    if options.plot:
        draw(on_paper(made), options.plot, options.step)
    return 0


if __name__ == "__main__":
    sys.exit(main())
