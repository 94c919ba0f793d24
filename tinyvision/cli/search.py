"""`tinyvision search`: which pictures of a folder look like this one?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..folders import user_path
from ..printable import printable
from .compare import add_network, find_features
from .parser import whole
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision search PHOTOS query.jpg
  tinyvision search PHOTOS query.jpg --top 20 --save found.png

The answers are cosines, as of tinyvision compare. What the network sees in a picture is
kept in the cache folder, and is computed anew when the picture's size or time of change,
or the network, is another one. A picture that cannot be read is named; the exit code is then 1."""

_THUMBNAIL = 160


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "search",
        help="find pictures that look like one",
        epilog=_EPILOG,
        description="Find the pictures of a folder that a network finds most alike to one.",
    )
    p.add_argument("folder", metavar="FOLDER", help="is searched with all folders in it")
    p.add_argument("query", metavar="QUERY", help="a picture")
    p.add_argument("--top", type=whole(1), default=5, metavar="N", help="how many to name (default: 5)")
    p.add_argument("--save", metavar="FILE.png", help="a sheet with the query and what was found")
    p.add_argument("--quiet", action="store_true", help="no progress")
    add_network(p)


def run(args: argparse.Namespace) -> int:
    """Search."""
    from ..data import read_image
    from ..data.picture_files import not_read
    from ..tasks.recognition import Index
    from ..train.console import reporter

    if args.save is not None:
        _check_sheet(args)
    image = read_image(user_path(args.query), args.max_pixels)
    features = find_features(args)
    console = reporter(None if args.quiet else "auto")
    try:
        index = Index(args.folder, features, args.max_pixels, console.counter)
    finally:
        console.end()
    if told := not_read(len(index.paths) + len(index.errors), index.others):
        note(f"note: {told}")
    for text in index.errors:
        note(f"tinyvision: {text}")
    found = index.nearest(features([image])[0], args.top)
    if args.save is not None:
        _save(args.save, image, found, args.max_pixels)
    if args.json:
        files = [{"file": str(path), "cosine": cosine} for path, cosine in found]
        answer_json({"query": args.query, "network": features.origin, "searched": len(index.paths),
                     "computed": index.computed, "unreadable": index.errors, "found": files})  # fmt: skip
    else:
        for path, cosine in found:
            answer(f"{cosine:.4f}  {path}")
    return 1 if index.errors else 0


def _check_sheet(args: argparse.Namespace) -> None:
    """Raise OptionError now, and not after the search, for a sheet that cannot be written or would replace a picture
    that is searched."""
    sheet = user_path(args.save).absolute()
    if sheet.suffix.lower() != ".png":
        raise OptionError(f"--save {printable(args.save)}: the sheet is a .png")
    if not sheet.parent.is_dir():
        raise OptionError(f"--save {printable(args.save)}: its folder does not exist")
    if not sheet.exists():
        return
    sheet = sheet.resolve()
    folder, query = (user_path(text).resolve() for text in (args.folder, args.query))
    if sheet == query or folder in sheet.parents:
        raise OptionError(f"--save {printable(args.save)}: is one of the pictures; name a file that is none of them")


def _save(path: str, query: Any, found: list[tuple[Path, float]], max_pixels: int) -> None:
    """The query, and what was found, as one picture."""
    import numpy as np
    from PIL import Image

    from ..data import read_image, show

    def small(pixels: Any) -> Any:
        picture = Image.fromarray(pixels)
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        return np.asarray(picture)

    pictures = [small(query), *(small(read_image(p, max_pixels)) for p, _ in found)]
    captions = ["the query", *(f"{cosine:.3f} {printable(p.name, 20)}" for p, cosine in found)]
    show(pictures, user_path(path), columns=min(len(pictures), 6), captions=captions)
