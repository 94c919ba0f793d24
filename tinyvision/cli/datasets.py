"""`tinyvision datasets`: which data sets are known, which are here, and how to get the others."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import DataError
from .terminal import answer, answer_json

_EPILOG = """\
examples:
  tinyvision datasets
  tinyvision datasets --json | jq '.[].name'
  tinyvision train --data mnist --download"""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "datasets",
        help="which data sets there are, and how to get them",
        description="List the data sets that `tinyvision train --data NAME` knows: what they are, whether "
        "they are here, where they were looked for, how to get them.",
        epilog=_EPILOG,
    )
    p.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """List them."""
    from .. import tasks
    from ..train.recipes import RECIPES

    found = [_look(name) for name in RECIPES]
    others = [
        {"name": f"{task}/{name}", "task": task, "data": name, "about": about}
        for task in tasks.ROOMS
        if task != "classification"
        for name, about in tasks.room(task).data.items()
    ]
    if args.json:
        answer_json([*found, *others])
        return 0
    for one in found:
        state = {True: "here", False: "not here", None: ""}[one["installed"]]
        answer(f"{one['name']:14} {state:9} {one['about']}")
        answer(f"{'':24} looked in: {', '.join(one['looked_in'])}")
        if one["problem"]:
            answer(f"{'':24} {one['problem']}")
        answer(f"{'':24} {one['get']}")
    answer("", "of other tasks, as in: tinyvision train --task detection --data shapes")
    for one in others:
        answer(f"{one['name']}: {one['about']}")
    return 0


def _look(name: str) -> dict[str, Any]:
    from ..train.recipes import RECIPES, where_of

    recipe = RECIPES[name]
    one: dict[str, Any] = {
        "name": name,
        "about": recipe.about,
        "installed": None,
        "looked_in": where_of(name),
        "problem": None,
        "get": f"use it: tinyvision train --data {name}",
    }
    if recipe.source is None:
        one["get"] = "use it: tinyvision train --data folder --root FOLDER   (FOLDER/class/*.jpg)"
        return one
    try:
        recipe.source(train=False)
        one["installed"] = True
    except DataError as error:
        one["installed"] = False
        missing = "is not in" in str(error) or "no such file" in str(error)
        one["problem"] = None if missing else str(error)
        one["get"] = f"get it: tinyvision train --data {name} --download"
        if name == "fashion-mnist":
            one["get"] += ", or apt install dataset-fashion-mnist"
        one["get"] += f"; or use your own copy: --data {name} --root FOLDER"
    return one
