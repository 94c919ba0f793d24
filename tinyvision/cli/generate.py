"""`tinyvision generate`: pictures of a class, made of noise, by a network trained with --task generation."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..folders import user_path
from ..printable import printable
from .parser import add_device, number, use_device, whole
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision train --task generation              first; it takes some minutes
  tinyvision generate --class 7 --count 16 --seed 1
  tinyvision generate --model runs/digits-2 --class 3 --class 8 --save threes-and-eights.png

Writes a sheet of the pictures, and beside it under the same name a .gif of how they came
out of noise. The same seed gives the same pictures, byte for byte on one machine; picture
number 5 is the same whether 8 or 80 are made. Recognised means: by a small classifier that
learned from the same training pictures, which is part of the network."""

_MOST = 400  # pictures on a sheet


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "generate",
        help="make pictures of a class",
        epilog=_EPILOG,
        description="Make pictures with a network that was trained for that.",
    )
    p.add_argument(
        "--model", metavar="RUN", help="a run's folder, or a checkpoint (default: the newest such run in runs/)"
    )
    p.add_argument(
        "--class",
        dest="classes",
        action="append",
        metavar="NAME",
        help="what is to be made; several by turns if it is given several times (default: all classes by turns)",
    )
    p.add_argument("--count", type=whole(1), default=16, metavar="N", help=f"pictures, up to {_MOST} (default: 16)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the noise (default: 0)")
    p.add_argument("--steps", type=whole(1), metavar="N", help="from noise to picture (default: 25)")
    p.add_argument(
        "--guidance", type=number, metavar="X", help="how clearly the class shows, 1 is as learned (default: 1.5)"
    )
    p.add_argument("--save", metavar="FILE.png", help="the sheet (default: generated.png); the .gif lies beside it")
    p.add_argument("--overwrite", action="store_true", help="replace these files if they are there")
    p.add_argument("--json", action="store_true", help="print JSON")
    add_device(p)


def run(args: argparse.Namespace) -> int:
    """Make them."""
    from ..atomic import atomic_write
    from ..tasks.generation.network import GUIDANCE, STEPS

    where = use_device(args)
    if args.count > _MOST:
        raise OptionError(
            f"--count {args.count}: a sheet holds up to {_MOST} pictures; make others with another --seed"
        )
    sheet, animation = _files(args)
    generator = _find_generator(args.model)
    generator.model.to(where)
    if args.model is None:
        note(f"with {generator.origin}")
    labels = [generator.label_of(name) for name in args.classes or generator.classes]
    labels = [labels[number % len(labels)] for number in range(args.count)]
    guidance = GUIDANCE if args.guidance is None else args.guidance
    made = generator.generate(labels, args.seed, args.steps or STEPS, guidance=guidance)
    contents = made.sheet(), made.animation()
    with atomic_write(sheet) as first, atomic_write(animation) as second:
        for file, content in zip((first, second), contents, strict=True):
            file.write(content)
            file.flush()  # a full disk shows here, before either has taken its name
    if args.json:
        pictures = [
            {"class": made.classes[asked], "recognised": made.classes[seen]}
            for asked, seen in zip(made.labels, made.recognised, strict=True)
        ]
        answer_json({"model": generator.origin, "seed": args.seed, "steps": len(made.steps) - 1, "guidance": guidance,
                     "sheet": str(sheet), "animation": str(animation), "pictures": pictures})  # fmt: skip
    else:
        answer(made.line(), f"sheet: {sheet}   from noise: {animation}")
    return 0


def _files(args: argparse.Namespace) -> tuple[Path, Path]:
    """The sheet and the animation, found to be writable names before anything is computed. Raises OptionError."""
    text = args.save or "generated.png"
    sheet = user_path(text)
    if sheet.suffix.lower() != ".png":
        raise OptionError(f"--save {printable(text)}: the sheet is a .png")
    if not sheet.parent.is_dir():
        raise OptionError(f"--save {printable(text)}: its folder does not exist")
    animation = sheet.with_suffix(".gif")
    for path in (sheet, animation):
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no file"
            raise OptionError(f"{printable(path)} is {what}; --save names another")
        if path.exists() and not args.overwrite:
            raise OptionError(f"{printable(path)} exists already; --overwrite replaces it, --save names another")
    return sheet, animation


def _find_generator(name: str | None) -> Any:
    """The Generator in a run's folder or a checkpoint, or in the newest run that has one.

    Raises OptionError, CheckpointError."""
    from .. import tasks
    from ..tasks.generation import Generator
    from ..train.checkpoint import load_checkpoint, task_of
    from ..train.runs import BEST, newest_runs

    train = "tinyvision train --task generation"
    if name is None:
        for folder in newest_runs("runs", BEST):
            if task_of(load_checkpoint(folder / BEST)) == "generation":
                return tasks.load(folder)
        raise OptionError(f"no run in runs/ makes pictures yet; train one: {train}")
    if not os.path.exists(user_path(name)):
        raise OptionError(f"--model {printable(name)}: no such run and no such checkpoint; train one: {train}")
    found = tasks.load(name)
    if not isinstance(found, Generator):
        raise OptionError(f"{found.origin}: this network looks at pictures and makes none; train one: {train}")
    return found
