"""`python -m benchmarks report`: the records in a folder become a page with pictures."""

import os
import re
from pathlib import Path

from tinyvision.atomic import atomic_write
from tinyvision.errors import DataError

from . import distributed, goals, gpu_page, plots, record, tables, tasks
from .machine import ROOT, busy

RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
IN_README = re.compile(
    r"(<!-- from the records, by `python -m benchmarks report` -->\n).*?(<!-- so far -->)", re.DOTALL
)
HEAD = """\
# Results

This page and its pictures are made from the records in [`{folder}/`]({folder}) by `python -m benchmarks report`; only
"What was tried" is written by hand, in the `.tried.md` beside a record. To measure on your own machine:
`pip install ".[bench]"`, then `python -m benchmarks` from the root of the repository (`all`: everything on this page).

How it is measured. All contestants get the same weights and the same images, in one process and on the same number of
threads (peak memory and imports: each in processes of its own). Their results are compared with PyTorch's in float32
first; whoever is further off than rounding explains is not timed. Then they take turns, A B C, C B A, with garbage
collection off and a pause in between in which idle threads go to sleep. Figures are medians with quartiles. A *ratio*
is one of medians; *turn by turn* is the median of the ratios of neighbouring turns, which a machine that slows down for
a while disturbs less. PyTorch is run in both of its memory layouts, and the faster one counts, case by case.
`OPENBLAS_CORETYPE` is unset before NumPy loads. Absolute times hold for one machine and one day.

Words. *NumPy alone* is tinyvision as it installs; *with fast* is the same with the loops that numba has compiled (the
extra `fast`). *Eager* is PyTorch as a training script runs it; *frozen* is its inference graph after
`torch.jit.freeze` and `optimize_for_inference`. *As loaded* is our network in `eval()` mode under `no_grad()`; *folded*
is the same after one call of `fuse()`, which folds batch-norm into the convolutions. ONNX Runtime is given what PyTorch
exports. *must* is the ratio that we hold ourselves to, *aim* the one that we would like to reach. *Turns* is how many
times a contestant was timed.
"""
TITLES = {
    "cnn": "SimpleCNN and single convolutions",
    "conv": "The convolutions of ResNet-18",
    "resnet18": "ResNet-18",
    "networks": "EfficientNet-Lite0 and a U-Net",
    "memory": "Memory",
    "import": "Import",
    "scaling": "Scaling",
    "profile": "Where the time goes",
}


def write(results=None, output=None):
    """Render every record; returns (the page's path, how many records). Raises DataError if there are none."""
    results = Path(results) if results else RESULTS
    output = Path(output) if output else results.parent / "RESULTS.md"
    records = {path: record.read(path) for path in sorted(results.glob("*.json"))} if results.is_dir() else {}
    if not records:
        made_by = f"python -m benchmarks all --json {results}/cpu-NAME.json"
        raise DataError(f"no records in {results}; make one with: {made_by}")
    folder = Path(os.path.relpath(results, output.parent)).as_posix()
    parts = [HEAD.format(folder=folder)]
    for path, made in records.items():
        if made["kind"] == "cpu":
            parts.append(cpu_section(made, path, folder))
    parts += [
        distributed.section(made, path, folder) for path, made in records.items() if made["kind"] == "distributed"
    ]
    parts += [tasks.section(made, path, folder) for path, made in records.items() if made["kind"] == "tasks"]
    parts.append(gpu_sections({path: made for path, made in records.items() if made["kind"] == "gpu"}, folder))
    with atomic_write(output, "w") as file:
        file.write("\n".join(part.strip("\n") + "\n" for part in parts))
    if output.resolve() == (ROOT / "benchmarks" / "RESULTS.md").resolve():
        with atomic_write(README, "w") as file:
            file.write(with_the_goals(README.read_text(encoding="utf-8"), records.values()))
    return output, len(records)


def with_the_goals(text, records):
    """README's text with its table of the goals made anew: a column for each CPU."""
    table = tables.as_markdown(tables.machines_table([made for made in records if made["kind"] == "cpu"]))
    return IN_README.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def cpu_section(made, path, folder):
    """One CPU record: machine, goals, what is missed and why, then every table.

    Other whole runs of the same day may lie in a folder beside it, cpu-xeon.runs/ for cpu-xeon.json."""
    runs = [record.read(other) for other in sorted(path.with_suffix(".runs").glob("*.json"))]
    pictures = {name: f"![{text}]({folder}/{file})" for name, (file, text) in plots.draw(made, path).items()}
    lines = [f"## {made['machine']['cpu']}, {made['machine']['threads']} threads", ""]
    lines += [f"* {line}" for line in tables.machine_text(made).split("\n")]
    lines += [f"* {name} does not take part: {why}" for name, why in made.get("missing", {}).items()]
    lines += [f"* The record: [`{path.name}`]({folder}/{path.name})"]
    if runs:
        others = f"{len(runs)}, in [`{path.stem}.runs/`]({folder}/{path.stem}.runs)"
        lines += [f"* Other whole runs, before it, in order of time: {others}; the last run is the record"]
    lines += [""]
    if made.get("quick"):
        lines += ["> A quick run with few turns: good for development only.", ""]
    if busy(made["load_average"]["start"], made["machine"]["cores"]):
        lines += [
            f"> The machine was busy (load average {made['load_average']['start']}): the figures are rough.",
            "",
        ]
    lines += [tables.as_markdown(tables.goals_table(made, runs=runs)), "", pictures.get("goals", ""), ""]
    lines += [missed(made, path), ""]
    lines += [tables.as_markdown(tables.correctness_table(made)), ""]
    for benchmark, title in TITLES.items():
        some = tables.tables_of(made, benchmark)
        if some:
            lines += [f"### {title}", ""]
            lines += [f"{pictures[name]}\n" for name in plots.OF.get(benchmark, ()) if name in pictures]
            lines += [tables.as_markdown(table) + "\n" for table in some]
    return "\n".join(lines)


def missed(made, path):
    """By how much goals are missed, where the time goes there, and what was tried (a page that people write)."""
    # With the compiled loops, which the goals are for, where they took part: those come last.
    breakdown = {part["work"]: part for part in made.get("breakdown", [])}
    lines = ["### Missed goals", ""]
    some = [o for o in goals.outcomes(made["cases"]) if o.missed]
    for o in some:
        text = f"* **{o.goal.work}**: {o.ratio:.2f}× where at most {o.goal.must:.2f}× is wanted, {o.verdict}."
        part = breakdown.get(o.goal.work)
        if part:
            kinds = ", ".join(f"{name} {100 * share:.0f} %" for name, share in part["kinds"].items())
            text += f" Where its time goes on one thread: {kinds}."
        lines.append(text)
    unmeasured = [o.goal.work for o in goals.outcomes(made["cases"]) if o.ratio is None]
    if unmeasured:
        lines.append(f"* Not measured: {'; '.join(unmeasured)}.")
    if len(lines) == 2:
        lines.append("None.")
    return "\n".join([*lines, *_tried(path)])


def _tried(path):
    """What people have written beside a record."""
    page = path.with_suffix(".tried.md")
    return ["", "### What was tried", "", page.read_text(encoding="utf-8").strip()] if page.is_file() else []


def gpu_sections(records, folder):
    """Every GPU's record with its pictures, or how to make one."""
    lines = ["## GPU", ""]
    if not records:
        lines.append("Not yet measured. On a machine with an NVIDIA GPU: `python -m benchmarks --device cuda`.")
        return "\n".join(lines)
    parts = ["## GPU"]
    for path, made in records.items():
        gpu_page.check(made, path)
        pictures = {n: f"![{text}]({folder}/{file})" for n, (file, text) in gpu_page.draw(made, path).items()}
        parts.append("\n".join([gpu_page.section(made, path, pictures), *_tried(path)]))
    return "\n\n".join(parts)
