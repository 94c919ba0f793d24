"""`tinyvision completion SHELL`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import OptionError
from .parser import add_debug
from .terminal import answer

_SHELLS = ("bash", "zsh", "fish", "powershell")
_EPILOG = """\
examples:
  eval "$(tinyvision completion bash)"                       in this shell, or in ~/.bashrc
  tinyvision completion fish > ~/.config/fish/completions/tinyvision.fish

It is done by argcomplete: pip install 'tinyvision[completion]'."""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "completion",
        help="let the shell complete commands and options",
        epilog=_EPILOG,
        description="Print the lines that let a shell complete `tinyvision ...` when Tab is pressed.",
    )
    p.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    add_debug(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    argcomplete = _argcomplete()
    if argcomplete is None:
        raise OptionError("completion needs argcomplete: pip install 'tinyvision[completion]'")
    answer(*argcomplete.shellcode(["tinyvision"], True, args.shell).splitlines())
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, which asks by running the program with _ARGCOMPLETE in its environment; does not return."""
    argcomplete = _argcomplete()
    if argcomplete is not None:
        argcomplete.autocomplete(parser)


def _argcomplete() -> Any:
    try:
        import argcomplete
    except ImportError:
        return None
    return argcomplete
