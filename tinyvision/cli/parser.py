"""The commands and options, and how wrong ones are answered: in one line, with the nearest right one."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import itertools
import re
import sys
import textwrap
from typing import Any, NoReturn

from ..printable import printable
from .terminal import note

_COMMANDS = (
    "train",
    "predict",
    "explain",
    "evaluate",
    "compare",
    "search",
    "faces",
    "generate",
    "transfer",
    "compare-runs",
    "export",
    "info",
    "show",
    "datasets",
    "doctor",
    "completion",
)

_EPILOG = """\
start here:
  tinyvision train              learns handwritten digits, in half a minute
  tinyvision predict photo.jpg --model efficientnet_lite0
  tinyvision transfer PHOTOS    fine-tune a network on folders of photos
  tinyvision doctor             is everything here that makes it fast?

tinyvision COMMAND --help explains a command. Exit codes:
0 fine, 1 some inputs failed, 2 an error, 130 Ctrl-C."""


class HelpText(argparse.HelpFormatter):
    """Paragraphs are wrapped to the terminal; indented lines, which are commands to copy, stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = itertools.groupby(text.splitlines(), key=lambda line: line[:1].strip() != "")
        return "\n".join(
            textwrap.fill(" ".join(lines), width) if paragraph else "\n".join(lines) for paragraph, lines in parts
        )


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that suggests what may have been meant, and takes no abbreviations."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", HelpText)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """One line on stderr, exit code 2."""
        known = [o for action in self._actions for o in action.option_strings]
        if match := re.match(r"unrecognized arguments: (.*)", message):
            wrong = match[1].split()[0]
            message = f"unknown {'option' if wrong.startswith('-') else 'argument'} {wrong}{_nearest(wrong, known)}"
        elif match := re.match(r"argument (.*?): invalid choice: '?(.*?)'? \(choose from (.*)\)$", message):
            choices = re.findall(r"[^', ]+", match[3])
            what = "command" if "COMMAND" in match[1] else f"value for {match[1]}"
            message = f"{match[2]!r} is no {what}{_nearest(match[2], choices)} (known: {', '.join(choices)})"
        note(f"{self.prog}: {printable(message, None)}; see {self.prog} --help")
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """As in argparse, which takes a help that could not be written for one that was."""
        if message:
            (file or sys.stderr).write(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, but a command's unknown options are its own parser's error, which knows its options; and an
        empty argument, as a shell makes it of a variable that is not set, names nothing, and not the folder here."""
        given = list(sys.argv[1:] if args is None else args)
        for before, text in zip(["", *given], given if self._subparsers is None else [], strict=False):
            if not text or (text.startswith("--") and text.endswith("=")):
                named = text[:-1] or (before if before.startswith("--") else "an argument")
                self.error(f"{named} is empty; name something, or leave it out")
        known, rest = super().parse_known_args(given, namespace)
        if rest and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return known, rest


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def build_parser() -> Parser:
    """The parser with all commands. What a command needs is imported when it runs."""
    from .. import __version__

    parser = Parser(
        prog="tinyvision",
        epilog=_EPILOG,
        description="A vision engine to read in a weekend and use on Monday: train, use and understand image networks.",
    )
    parser.add_argument("--version", action="version", version=f"tinyvision {__version__}")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser, required=True)
    for name in _COMMANDS:
        module = importlib.import_module(f".{name.replace('-', '_')}", __package__)
        module.add_parser(commands)
        commands.choices[name].set_defaults(run=module.run)
        commands.choices[name].add_argument("--debug", action="store_true", help="show the traceback of an error")
    if importlib.util.find_spec("tinyvision.learn") and importlib.util.find_spec("tinyvision.learn.cli"):
        importlib.import_module("tinyvision.learn.cli").add_parsers(commands)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where to compute, and with how many threads."""
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, or cuda:1 ... (default: cpu)")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="CPU threads (default: all cores)")


def add_pixels(parser: Any) -> None:
    """What a network in another engine's file sees of a pixel, where the file does not say it."""
    parser.add_argument(
        "--pixels",
        metavar="WHAT",
        help="with a file of another engine: what it sees of a pixel: unit (0 to 1), signed (-1 to 1), bytes (0 to "
        "255) or imagenet (its mean and deviation); and a side if the file leaves it open, imagenet:224",
    )


def workers() -> Any:
    """The type of an option that is a number of threads which read ahead; each of them is started."""
    return whole(0, 256)


def add_max_pixels(parser: Any) -> None:
    """How large a picture may be."""
    from ..data.images import MAX_PIXELS, MOST_PIXELS

    parser.add_argument(
        "--max-pixels",
        type=whole(1),
        default=MAX_PIXELS,
        metavar="N",
        help=f"pixels that a picture may have (default: {MAX_PIXELS:,}; at most {MOST_PIXELS:,})",
    )


def use_device(args: argparse.Namespace) -> Any:
    """The Device that the options name, after it has been found to work. Raises DeviceError or OptionError."""
    from .. import threads
    from ..device import device, require_cuda
    from ..errors import DeviceError

    if args.threads is not None:
        threads.set_num_threads(args.threads)
    try:
        where = device(args.device)
    except DeviceError as error:
        raise DeviceError(f"{error}{_nearest(args.device, ['cpu', 'cuda', 'cuda:0'])}") from None
    if where.type == "cuda":
        require_cuda(where)
    return where


def whole(least: int, most: int | None = None) -> Any:
    """The type of an option that is an integer from `least`, up to `most` if that is given."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {value}")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {value}")
        return value

    return convert


def number(text: str) -> float:
    """The type of an option that is a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
