"""`tinyvision explain`: what does a network see in a picture, layer by layer?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..folders import user_path
from ..printable import printable
from .parser import add_device, add_max_pixels, add_pixels, use_device
from .predict import find_network
from .terminal import answer

_EPILOG = """\
examples:
  tinyvision explain runs/digits-1 seven.png --invert
  tinyvision explain efficientnet_lite0 photo.jpg -o photo.html --target "tiger cat"

The page is one file that needs nothing else. It shows the answers, where they
come from (Grad-CAM, and the same map of a network that knows nothing), what
every layer makes of the picture, the part of it on which each convolution's
strongest number depends, and any number of the first convolution as the sum
that it is. All numbers are the network's own."""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "explain",
        help="show on a page what a network sees in a picture",
        epilog=_EPILOG,
        description="Write a page about one picture: what every layer of a network makes of it.",
    )
    p.add_argument("model", metavar="MODEL|RUN", help="a run's folder, a checkpoint, a network's name, or its file")
    p.add_argument("image", metavar="IMAGE", help="a picture")
    p.add_argument("-o", "--output", metavar="FILE", help="the page to write (default: IMAGE.html, in this folder)")
    p.add_argument(
        "--target", metavar="CLASS", help="draw the map of this class, a name or a number (default: the answer's)"
    )
    p.add_argument("--weights", metavar="FILE", help="with the name of a network: its weights")
    add_pixels(p)
    p.add_argument("--invert", action="store_true", help="turn dark on light into light on dark, as the digits are")
    p.add_argument("--overwrite", action="store_true", help="replace the page if there is one")
    add_device(p)
    add_max_pixels(p)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from ..data import read_image
    from ..train.explain_page import write_explanation

    source = user_path(args.image)
    out = user_path(args.output) if args.output else Path(f"{source.stem}.html")
    if out.suffix.lower() not in (".html", ".htm"):  # with --overwrite a picture would be lost by a slip
        raise OptionError(f"-o {printable(out)}: the page is a .html")
    if out.exists() and not args.overwrite:
        raise OptionError(f"{printable(out)} exists already; --overwrite replaces it, -o FILE writes another")
    where = use_device(args)
    network = find_network(args.model, args.weights, option="", files=True, pixels=args.pixels)
    network.model.to(where)
    image = read_image(source, args.max_pixels)
    image = 255 - image if args.invert else image
    target = None if args.target is None else _class_of(network, args.target)
    length = write_explanation(network, image, source.name, out, target)
    answer(f"{printable(out)}: {length:,} bytes; open it in a browser")
    return 0


def _class_of(network: Any, asked: str) -> int:
    """The number of a class that was named. Raises OptionError with the nearest name."""
    from ..train.settings import nearest

    if asked in network.classes:
        return int(network.classes.index(asked))
    if asked.isascii() and asked.isdigit():
        return int(asked)
    raise OptionError(f"--target {asked}: the network has no such class{nearest(asked, network.classes)}")
