"""`tinyvision completion SHELL`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..errors import OptionError, TinyVisionError
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
    if argcomplete is None:
        return
    files = argcomplete.completers.FilesCompleter()
    for command, action in _arguments(parser):
        words, or_a_file = _WORDS.get((command, action.dest), (None, False))
        if words is not None:
            action.completer = _completer(words, files if or_a_file else None)  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _arguments(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every command's name (`learn run` for one below another) with each of its arguments."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _arguments(below, f"{command} {name}".strip())
        else:
            yield command, action


def _completer(words: Callable[[Any], Iterable[str]], files: Any) -> Callable[..., list[str]]:
    def completer(prefix: str, parsed_args: Any, **rest: Any) -> list[str]:
        try:
            found = [word for word in words(parsed_args) if word.startswith(prefix)]
        except TinyVisionError:  # of what has been typed so far: a file that cannot be read, a task that is none
            found = []
        return found if files is None else [*found, *files(prefix=prefix, parsed_args=parsed_args, **rest)]

    return completer


def _networks(_: Any) -> Iterable[str]:
    from ..train.recipes import NETWORKS

    return NETWORKS


def _pretrained(_: Any) -> Iterable[str]:
    return [name for name in _networks(_) if name != "simple-cnn"]


def _tasks(_: Any) -> Iterable[str]:
    from .. import tasks

    return tasks.ROOMS


def _data(args: Any) -> Iterable[str]:
    from .. import tasks

    return tasks.room(args.task or "classification").data


def _optimizers(_: Any) -> Iterable[str]:
    from ..train.settings import OPTIMIZERS

    return OPTIMIZERS


def _schedules(_: Any) -> Iterable[str]:
    from ..train.settings import SCHEDULES

    return SCHEDULES


def _exercises(_: Any) -> Iterable[str]:
    from ..learn import course

    return course.names()


def _ops(_: Any) -> Iterable[str]:
    from ..check import OPS

    return OPS


def _arrays(args: Any) -> Iterable[str]:
    from .show import names_in

    return names_in(args.file)


# {(command, argument): (what it can be, whether it can be a file as well)}. argcomplete itself offers the choices of
# those that argparse checks, and files for the rest.
_WORDS: dict[tuple[str, str], tuple[Callable[[Any], Iterable[str]], bool]] = {
    ("train", "task"): (_tasks, False),
    ("train", "data"): (_data, False),
    ("train", "model"): (_networks, False),
    ("train", "backbone"): (_pretrained, False),
    ("train", "optimizer"): (_optimizers, False),
    ("train", "schedule"): (_schedules, False),
    **{
        (command, "model"): (_pretrained, True)
        for command in ("transfer", "predict", "evaluate", "explain", "compare", "search")
    },
    **{(command, "what"): (_pretrained, True) for command in ("info", "export")},
    ("show", "name"): (_arrays, False),
    **{
        (f"learn {command}", "name"): (_exercises, False)
        for command in ("run", "hint", "diagnose", "reset", "solution", "watch")
    },
    ("gradcheck", "op"): (_ops, False),
}


def _argcomplete() -> Any:
    try:
        import argcomplete
    except ImportError:
        return None
    return argcomplete
