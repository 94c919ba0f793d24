"""`tinyvision compare` and what it shares with `search`: how alike are two pictures to a network?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .parser import add_debug, add_device, add_max_pixels, use_device
from .predict import find_network
from .terminal import answer, answer_json

_EPILOG = """\
examples:
  tinyvision compare cat.jpg another.jpg
  tinyvision compare a.png b.png --model runs/digits-2     trained with --task recognition

The answer is a cosine: 1 for pictures that look the same to the network, lower the less
they have in common. Which cosine means "the same" depends on network and pictures; a
recogniser says after training from which on 1% of wrong pairs are accepted. It tells
likeness of pictures, and is no proof of anybody's identity."""

DEFAULT = "efficientnet_lite0"


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "compare",
        help="say how alike two pictures are",
        epilog=_EPILOG,
        description="Compare two pictures by what a network sees in them.",
    )
    p.add_argument("first", metavar="A", help="a picture")
    p.add_argument("second", metavar="B", help="another")
    add_network(p)
    p.set_defaults(run=run)


def add_network(p: argparse.ArgumentParser) -> None:
    """Options of both commands."""
    p.add_argument("--model", default=DEFAULT, metavar="WHAT", help=f"a run, a checkpoint, or a name ({DEFAULT})")
    p.add_argument("--weights", metavar="FILE", help="with the name of a network: its weights")
    p.add_argument("--json", action="store_true", help="print JSON")
    add_device(p)
    add_max_pixels(p)
    add_debug(p)


def find_features(args: argparse.Namespace) -> Any:
    """The Features that --model and --weights mean. Raises OptionError, CheckpointError."""
    from ..tasks.recognition.features import features_of

    where = use_device(args)
    features = features_of(find_network(args.model, args.weights, any_task=True))
    features.model.to(where)
    return features


def run(args: argparse.Namespace) -> int:
    """Compare them."""
    from ..data import read_image

    names = (args.first, args.second)
    images = [read_image(Path(name).expanduser(), args.max_pixels) for name in names]
    features = find_features(args)
    one, other = (features([image])[0] for image in images)
    cosine = min(max(float(one @ other), -1.0), 1.0)  # rounding may leave the range by a little
    if args.json:
        answer_json({"files": list(names), "cosine": cosine, "network": features.origin})
    else:
        answer(f"{cosine:.4f}  {names[0]}  {names[1]}")
    return 0
