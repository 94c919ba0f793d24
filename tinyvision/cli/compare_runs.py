"""`tinyvision compare-runs`: what was set differently in two runs, and what came of it?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..folders import user_path
from ..printable import printable
from .parser import workers
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision compare-runs runs/digits-1 runs/digits-2
  tinyvision compare-runs runs/digits-1 runs/digits-2 -o page.html --json

The page shows the settings that differ, the curves over each other and, for
classification, how much of every class each recognises, and the pictures on
which they changed sides: judged on test pictures, or else on those that both
held back."""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "compare-runs",
        help="compare two training runs: settings, curves, pictures",
        epilog=_EPILOG,
        description="Write a page about two runs: what was set differently, and what came of it.",
    )
    p.add_argument("a", metavar="A", help="a run's folder")
    p.add_argument("b", metavar="B", help="another")
    p.add_argument("-o", "--output", metavar="FILE", help="the page to write (default: A-and-B.html, in this folder)")
    p.add_argument("--root", metavar="FOLDER", help="where the data are now, if not where they were")
    p.add_argument("--workers", type=workers(), default=0, metavar="N", help="threads that read ahead (default: 0)")
    p.add_argument("--overwrite", action="store_true", help="replace the page if there is one")
    p.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Compare the runs and write the page."""
    from ..train import compare_runs
    from ..train.checkpoint import task_of

    a, b = compare_runs.open_both(args.a, args.b)
    out = user_path(args.output) if args.output else Path(f"{a.name}-and-{b.name}.html".replace("/", "-"))
    if out.suffix.lower() not in (".html", ".htm"):  # with --overwrite a checkpoint would be lost by a slip
        raise OptionError(f"-o {printable(out)}: the page is a .html")
    if out.exists() and not args.overwrite:
        raise OptionError(f"{printable(out)} exists already; --overwrite replaces it, -o FILE writes another")
    if a.name == b.name:
        note("note: A and B are one run")
    tasks = task_of(a.checkpoint), task_of(b.checkpoint)
    if tasks[0] != tasks[1]:
        raise CheckpointError(f"{a.name} is for {tasks[0]} and {b.name} for {tasks[1]}: there is nothing to compare")
    pictures, why = None, compare_runs.without_pictures(a, b)
    if not why:
        pictures = compare_runs.judge_both(a, b, args.root, args.workers)
    elif args.root is not None or args.workers:
        raise OptionError(f"--root and --workers are for reading pictures again. {why}")
    compare_runs.write_comparison(out, a, b, pictures, why)
    if args.json:
        answer_json({**compare_runs.as_json(a, b, pictures), "page": str(out)})
        return 0
    answer(*compare_runs.lines(a, b, pictures), *filter(None, [why]), f"page: {printable(out)}")
    return 0
