"""What the tasks reach, and in what time: the recipes of `tinyvision train --task ...`, each as a process of its own.

Time is that of the CPU, over all threads, so a machine that is busy with other things gives about the same; on two
cores that are free, half of it passes. Each figure is of one run with one seed, on pictures that nothing was learned
from; another seed gives another last digit. Beside it, a training step of each recipe is timed in turn with PyTorch's:
the same network, batch, loss and optimiser.

    python -m benchmarks tasks --json benchmarks/results/tasks.json   (twenty-five minutes of CPU time)
    python -m benchmarks tasks --only segmentation/nuclei
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from tinyvision.errors import TinyVisionError

from . import machine, record
from .contestants import ours
from .tables import Table, as_markdown, show

try:
    import resource
except ImportError:  # Windows has none
    resource = None


class Recipe(NamedTuple):
    """What a recipe is made for.

    figures  (name in the result of `train --json`, what it is, the least it should be, or of what is called a distance
             the most, or None)
    within   CPU seconds with the compiled loops, or None;  epochs  in place of the recipe's own"""

    figures: tuple
    within: float | None = None
    epochs: int | None = None

    def reached(self, key, value):
        """Whether a figure is as good as it should be, None where nothing is asked of it."""
        goal = next(goal for name, _, goal in self.figures if name == key)
        if goal is None:
            return None
        return value <= goal if key.endswith("_distance") else value >= goal


MINUTE = 120.0  # CPU seconds of two cores
DIGITS = "detection/digits-on-photographs"
GOALS = {
    "segmentation/nuclei": Recipe(
        (("test_dice", "Dice", 0.94), ("things_found", "nuclei found of 57", 45)), within=2 * MINUTE
    ),
    "segmentation/shapes": Recipe((("test_dice", "Dice", 0.80),), within=2 * MINUTE),
    "detection/shapes": Recipe((("test_map", "mAP", 0.80),), within=2 * MINUTE),
    "detection/street": Recipe((("test_map", "mAP", 0.50), ("test_ap50", "AP50", 0.85)), within=2 * MINUTE),
    DIGITS: Recipe((("test_map", "mAP", 0.60), ("test_ap50", "AP50", None)), within=2 * MINUTE),
    f"{DIGITS}/longer": Recipe((("test_map", "mAP", 0.68), ("test_ap50", "AP50", 0.90)), within=5 * MINUTE, epochs=20),
    "recognition/digits": Recipe(
        (("test_auc", "AUC", 0.91), ("test_tar_at_1_percent_far", "accepted at 1 % false", None)), within=MINUTE
    ),
    "generation/digits": Recipe(
        (
            ("test_frechet_distance", "Fréchet distance", 4.5),
            ("frechet_distance_of_training_pictures", "that of training pictures", None),
            ("recognised", "class recognised", 0.97),
        ),
        within=2 * MINUTE,
    ),
}
STEPS = ("segmentation/nuclei", DIGITS, "recognition/digits", "generation/digits")  # one for each network


def main(argv=None):
    """Run the recipes; 0 if all reach what they are made for, 1 if one does not, 2 if one cannot run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks tasks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="TASK/DATA", choices=GOALS, help=f"of {', '.join(GOALS)}")
    parser.add_argument("--epochs", type=int, metavar="N", help="in place of the recipe's (then there are no goals)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument(
        "--turns", type=int, default=11, metavar="N", help="steps beside PyTorch's (default 11; 0: none)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    argv = sys.argv[1:] if argv is None else argv
    args = parser.parse_args(argv)
    if args.threads < 1 or args.turns < 0:
        parser.error("--threads are from 1, --turns from 0")
    try:
        made = measured(args, argv)
    except TinyVisionError as error:
        print(f"tasks: {error}", file=sys.stderr)
        return 2
    console = Console()
    for table in all_tables(made):
        show(table, console)
    print(about_text(made))
    if args.json:
        record.write(args.json, made)
    if any(row["problem"] for row in made["rows"]):
        return 2
    return 1 if any(row["reached"] is False for row in made["rows"]) else 0


def measured(args, argv):
    """The record: a row for each figure of each recipe, and the steps beside PyTorch's."""
    if args.json:
        record.check_writable(args.json)
    names = [name for name in GOALS if name in (args.only or GOALS)]
    why = ours.prepare(lambda text: None)
    rows = []
    for name in names:
        rows += rows_of(name, args, loops=why is None)
        print(progress(name, rows), file=sys.stderr, flush=True)
    made = {
        "kind": "tasks",
        "created": machine.now(),
        "command": machine.command(["tasks", *argv]),
        "load": [machine.load_average()],
        "compiled_loops": why is None,
        "threads": args.threads,
        "rows": rows,
    }
    ran = {row["recipe"] for row in rows if not row["problem"]}  # whose data are here: the others have no step
    steps = [name for name in STEPS if name in ran] if args.turns > 0 else []
    made["steps"] = []
    if steps:
        from . import contestants, tasks_steps

        modules, _ = contestants.load({"tinyvision", "PyTorch"})
        contestants.set_threads(modules, args.threads)
        made["steps"] = [tasks_steps.measured(*name.split("/"), args.turns) for name in steps]
        made["machine"] = machine.describe(modules, args.threads)
    else:
        made["machine"] = machine.describe({}, args.threads)
    made["load"].append(machine.load_average())
    return made


def progress(name, rows):
    """A line about the recipe that has just ended."""
    found = [row for row in rows if row["recipe"] == name]
    if found[0]["problem"]:
        return f"{name}: {found[0]['problem']}"
    return f"{name}: {', '.join('{what} {value:.4g}'.format_map(row) for row in found)}"


def rows_of(name, args, loops):
    """A row for each figure of a recipe, or one that says why there is none."""
    recipe, (task, data, *_) = GOALS[name], name.split("/")
    epochs = args.epochs or recipe.epochs
    command = [sys.executable, "-m", "tinyvision", "train", "--task", task, "--data", data, "--quiet", "--json"]
    command += ["--threads", str(args.threads), *(["--epochs", str(epochs)] if epochs else [])]
    with tempfile.TemporaryDirectory() as folder:
        before, start = cpu_seconds(), time.perf_counter()
        done = subprocess.run([*command, "--run", str(Path(folder) / "run")], capture_output=True, text=True)
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - before
    if done.returncode:
        return [{"recipe": name, "problem": done.stderr.strip(), "reached": None}]
    result = json.loads(done.stdout)
    judged = not args.epochs
    rows: list[dict] = [
        {
            "recipe": name,
            "what": what,
            "value": result[key],
            "goal": goal if judged else None,
            "reached": recipe.reached(key, result[key]) if judged else None,
            "epochs": len(result["history"]) if "history" in result else None,
            "problem": None,
        }
        for key, what, goal in recipe.figures
    ]
    within = recipe.within if judged and loops else None  # with NumPy alone, the time is told and not judged
    rows.append(
        {
            "recipe": name,
            "what": "CPU s",
            "value": cpu,
            "goal": within,
            "reached": None if within is None or cpu != cpu else cpu <= within,
            "seconds": seconds,
            "problem": None,
        }
    )
    return rows


def cpu_seconds():
    """CPU time of all processes that were started from here and have ended."""
    if resource is None:
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def how(made):
    """With the compiled loops or without, on how many threads."""
    loops = "with the compiled loops" if made["compiled_loops"] else "NumPy alone"
    return f"{loops}, {made['threads']} thread{'s' * (made['threads'] != 1)}"


def recipes_table(made):
    """The rows of a record."""
    rows = []
    for row in made["rows"]:
        if row["problem"]:
            rows.append((row["recipe"], row["problem"].splitlines()[0], "-", "-", "failed"))
            continue
        goal = "" if row["goal"] is None else f"{row['goal']:g}"
        verdict = {None: "", True: "reached", False: "missed"}[row["reached"]]
        recipe = row["recipe"] if row["what"] == first_of(row["recipe"]) else ""
        rows.append((recipe, row["what"], f"{row['value']:.4g}", goal, verdict))
    note = "On two free cores, half of the CPU seconds pass; within them are the data, all epochs and the test"
    return Table(f"Recipes, {how(made)}", ("recipe", "", "reaches", "made for", ""), rows, note)


def first_of(name):
    """What the first figure of a recipe is called."""
    return GOALS[name].figures[0][1] if name in GOALS else None


def steps_table(made):
    """Milliseconds of a step, ours and PyTorch's."""
    rows, notes = [], []
    for step in made["steps"]:
        best = {}
        for entry in step["entries"].values():
            if entry["status"] == "timed":
                family = entry["family"]
                best[family] = min(best.get(family, entry), entry, key=lambda e: e["median"])
        theirs = best.get("PyTorch")
        cells = [f"{step['network']}, {step['parameters'] / 1e6:.2f} M", f"{step['batch']} of {step['pixels'][0]}²"]
        for family in (ours.NAME, ours.FAST):
            own = best.get(family)
            cells.append(f"{own['median'] * 1e3:,.1f}" if own else "-")
        cells.append(f"{theirs['median'] * 1e3:,.1f}" if theirs else "-")
        for family in (ours.NAME, ours.FAST):
            own = best.get(family)
            cells.append(f"{own['median'] / theirs['median']:.2f}×" if own and theirs else "-")
        rows.append(tuple(cells))
        wrong = [f"{name} {e['status']}: {e['reason']}" for name, e in step["entries"].items() if "reason" in e]
        notes += [f"{step['network']}: {text}" for text in wrong] + ([step["missing"]] if step["missing"] else [])
    columns = ("network", "batch", "NumPy alone, ms", "with fast, ms", "PyTorch, ms", "NumPy alone", "with fast")
    note = "Forward, loss, backward, AdamW; PyTorch in the quicker of its memory layouts. The last two: over PyTorch's"
    threads = f"{made['threads']} thread{'s' * (made['threads'] != 1)}"
    return Table(f"A training step, {threads}", columns, rows, "; ".join([note, *dict.fromkeys(notes)]))


def all_tables(made):
    """Recipes, and steps where they were taken."""
    return [recipes_table(made), *([steps_table(made)] if made["steps"] else [])]


def about_text(made):
    """Machine, versions, load and command, in two lines."""
    m, (before, after) = made["machine"], made["load"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    return (
        f"{m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}, {versions}\n"
        f"{made['created']}, {made['command']}, load average {before} before and {after} after, commit {m['commit']}"
    )


def section(made, path, folder):
    """The section of RESULTS.md on a record that lies at `path`."""
    lines = ["## Tasks", "", *(f"* {line}" for line in about_text(made).split("\n"))]
    lines += [f"* The record: [`{path.name}`]({folder}/{path.name})", ""]
    if machine.busy(made["load"][0], made["machine"]["cores"]):
        lines += [f"> The machine was busy (load average {made['load'][0]}): the times are rough.", ""]
    lines += [
        "One run and one seed of each recipe of `tinyvision train --task`, judged on pictures that nothing was learned "
        f"or chosen on. `longer` is the same recipe with {GOALS[f'{DIGITS}/longer'].epochs} epochs.",
        "",
    ]
    return "\n".join([*lines, "\n\n".join(map(as_markdown, all_tables(made)))])
