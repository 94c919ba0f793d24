"""What the tasks reach, and in what time: the recipes of `tinyvision train --task ...`, each as a process of its own.

The time is that of the CPU, over all threads, so a machine that is busy with other things gives about the same. Each
figure is of one run with one seed, on pictures that nothing was learned from; another seed gives another last digit.

    python -m benchmarks tasks                    (ten minutes of CPU time)
    python -m benchmarks tasks --only segmentation/nuclei
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

try:
    import resource
except ImportError:  # Windows has none
    resource = None

# task/data -> [(name in the result of `train --json`, what it is, the least that the recipe is made for, or of what is
# called a distance the most)]
GOALS = {
    "segmentation/nuclei": [("test_dice", "Dice", 0.94), ("things_found", "nuclei found of 57", 45)],
    "detection/shapes": [("test_map", "mAP", 0.80)],
    "detection/digits-on-photographs": [("test_map", "mAP", 0.60)],
    "generation/digits": [
        ("test_frechet_distance", "Fréchet distance", 4.5),
        ("frechet_distance_of_training_pictures", "that of training pictures", None),
        ("recognised", "class recognised", 0.97),
    ],
}


def main(argv=None):
    """Run the recipes; 0 if all reach what they are made for, 1 if one does not, 2 if one cannot run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tasks", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="TASK/DATA", choices=GOALS, help=f"one of {', '.join(GOALS)}")
    parser.add_argument("--epochs", type=int, metavar="N", help="in place of the recipe's (then there are no goals)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    args = parser.parse_args(argv)
    rows = []
    for name in [args.only] if args.only else GOALS:
        rows += measured(name, args)
    Console().print(shown(rows))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if any(row["problem"] for row in rows):
        return 2
    return 1 if any(row["reached"] is False for row in rows) else 0


def measured(name, args):
    """A row for each figure of a recipe, or one that says why there is none."""
    task, _, data = name.partition("/")
    command = [sys.executable, "-m", "tinyvision", "train", "--task", task, "--data", data, "--quiet", "--json"]
    command += ["--threads", str(args.threads), *(["--epochs", str(args.epochs)] if args.epochs else [])]
    with tempfile.TemporaryDirectory() as folder:
        before, start = cpu_seconds(), time.perf_counter()
        done = subprocess.run([*command, "--run", str(Path(folder) / "run")], capture_output=True, text=True)
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - before
    if done.returncode:
        return [{"recipe": name, "problem": done.stderr.strip(), "reached": None}]
    result = json.loads(done.stdout)
    return [
        {
            "recipe": name,
            "what": what,
            "value": result[key],
            "goal": None if args.epochs else goal,
            "reached": None if args.epochs or goal is None else reached(key, result[key], goal),
            "cpu_seconds": cpu,
            "seconds": seconds,
            "problem": None,
        }
        for key, what, goal in GOALS[name]
    ]


def reached(key, value, goal):
    """Whether a figure is as good as it should be; a distance is the better the smaller it is."""
    return value <= goal if key.endswith("_distance") else value >= goal


def cpu_seconds():
    """CPU time of all processes that were started from here and have ended."""
    if resource is None:
        return float("nan")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shown(rows):
    """The rows as a table."""
    table = Table("recipe", "", "reached", "made for", "CPU s", "s")
    for row in rows:
        if row["problem"]:
            table.add_row(row["recipe"], row["problem"].splitlines()[0], "-", "-", "-", "-")
            continue
        goal = "-" if row["goal"] is None else f"{row['goal']:g}"
        value = f"{row['value']:.4g}" + ("" if row["reached"] is not False else "  (missed)")
        table.add_row(row["recipe"], row["what"], value, goal, f"{row['cpu_seconds']:.0f}", f"{row['seconds']:.0f}")
    return table
