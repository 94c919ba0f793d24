"""`tinyvision learn ...` and `tinyvision gradcheck ...`: the parsers, and one function for each command.

Exit codes: 0 passed or done, 1 the attempt is not right yet, 2 an error.
"""

import argparse
import json
import os
import sys
from typing import Any

from ..errors import OptionError
from .class_cli import add_class_parsers

UNDRIVEN = 3  # the exit code of gradcheck for a layer that it could not call

_LEARN_EPILOG = """\
start here:
  tinyvision learn init                copy the exercises into a folder of your own
  tinyvision learn                     watch: checks an exercise when you save it
  tinyvision learn run conv_dx         check one, once
  tinyvision learn hint conv_dx        a question, then where to look, then almost the code

Exit codes: 0 passed or done, 1 not right yet, 2 an error."""

_GRADCHECK_EPILOG = """\
example:
  tinyvision gradcheck mine.py:conv_backward --op conv2d --forward conv_forward

forward(*arrays, **options) -> (y, cache) and backward(dy, cache) -> gradients in input order.
Without --forward, tinyvision's own forward makes the cache.
The file is run, as by python, in a process of its own with a time limit.
Exit codes: 0 passed, 1 something was found, 2 an error, 3 a layer that could not be driven."""


def add_parsers(commands: Any) -> None:
    """Add both commands to the parser of `tinyvision`."""
    _add_learn(commands)
    _add_gradcheck(commands)


def _add_learn(commands):
    learn = commands.add_parser(
        "learn", help="exercises that know what you did wrong", epilog=_LEARN_EPILOG,
        description="The exercises: write each forward and backward yourself; the checker names your mistake.",
    )  # fmt: skip
    _common(learn, top=True)
    learn.set_defaults(run=_watch, name=None)
    sub = learn.add_subparsers(metavar="COMMAND", title="commands", parser_class=type(learn))
    init = sub.add_parser("init", help="copy the exercises into a folder of your own; never overwrites")
    init.add_argument("where", metavar="DIR", nargs="?", help="a new or empty folder (default: tinyvision-exercises)")
    _common(init, folder=False)
    init.set_defaults(run=_init)
    for name, run, words in (
        ("run", _run, "check an exercise once"),
        ("hint", _hint, "the next of three hints"),
        ("diagnose", _diagnose, "say plainly what is wrong"),
        ("reset", _reset, "put the skeleton back; your file is kept as a backup"),
        ("solution", _solution, "show the solution, after a pass or three tries"),
        ("watch", _watch, "watch mode, beginning with an exercise"),
    ):
        one = sub.add_parser(name, help=words)
        one.add_argument("name", metavar="NAME", nargs=None if name in ("reset", "solution") else "?",
                         help="the exercise (default: the next unsolved one)")  # fmt: skip
        _common(one)
        one.set_defaults(run=run)
        if name == "hint":
            one.add_argument("--level", type=int, choices=(1, 2, 3), help="1 a question, 2 where to look, 3 almost all")
        if name == "solution":
            one.add_argument("--yes", action="store_true", help="do not ask")
        if name in ("run", "watch", "diagnose"):
            one.add_argument("--time-limit", default="10", metavar="SECONDS", help="for one check (default: 10)")
        if name == "run":
            one.add_argument("--html", metavar="FILE", help="also write the report as a page with pictures")
    for name, run, words in (("list", _list, "all exercises"), ("progress", _progress, "how far you are")):
        one = sub.add_parser(name, help=words)
        _common(one)
        one.set_defaults(run=run)
    add_class_parsers(sub, _common)
    whole = sub.add_parser("check-all", help="solve the whole course with its own solutions in a temporary folder")
    _common(whole, folder=False)
    whole.set_defaults(run=_check_all)


def _add_gradcheck(commands):
    p = commands.add_parser(
        "gradcheck", help="check your own backward pass; names the mistake", epilog=_GRADCHECK_EPILOG,
        description="Check a forward or backward of a known op in any Python file.",
    )  # fmt: skip
    p.add_argument("target", metavar="FILE.py[:NAME]", help="the file, and the backward function or the class in it")
    p.add_argument("--op", metavar="NAME", help="conv2d, linear, relu, ... (an unknown one lists all); without it the "
                   "name of the class or function tells")  # fmt: skip
    p.add_argument("--forward", metavar="F", help="your forward: a function of the same file, or OTHER.py:F")
    p.add_argument("--make", metavar="CODE", help="how a layer of your class is made, such as "
                   "'Conv(in_channels, out_channels, kernel_size)'")  # fmt: skip
    p.add_argument("--supports", metavar="WORDS", help="what your code is limited to: square,nopad,dividing,...")
    p.add_argument("--strict", action="store_true", help="ask for this library's form, and for every option")
    p.add_argument("--device", default="cpu", metavar="NAME",
                   help="where your functions get their arrays: cpu, cuda, or cuda:1 ... (default: cpu)")  # fmt: skip
    p.add_argument("--html", metavar="FILE", help="also write the report as a page with pictures")
    p.add_argument("--time-limit", default="10", metavar="SECONDS", help="for one call (default: 10)")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.add_argument("--debug", action="store_true", help="show the traceback of an error")
    p.set_defaults(run=_gradcheck)


def _common(parser, folder=True, top=False):
    # Given before the command (`learn --json list`), an option must not be reset by the command's own default.
    default = {} if top else {"default": argparse.SUPPRESS}
    if folder:
        words = "the course folder (default: this one, or one above)"
        parser.add_argument("--dir", metavar="DIR", help=words, **default)
    parser.add_argument("--json", action="store_true", help="print JSON", **default)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error", **default)
    if top:
        parser.set_defaults(time_limit="10")


def _plain_output():
    """A terminal or a file in another encoding gets question marks instead of an exception."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def _folder(args):
    from .folder import find, warn

    _plain_output()
    folder = find(args.dir)
    warn(folder)
    return folder


def _exercise(args, folder):
    from . import course

    if args.name is not None:
        return course.exercise(os.path.basename(args.name))
    one = folder.next()
    if one is None:
        raise OptionError("learn: all exercises are solved; name one")
    return one


def _print_json(value):
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _init(args):
    from . import course, show
    from .folder import create

    _plain_output()
    folder, added, new = create(args.where)
    found_from_here = args.where is None
    where = "" if found_from_here else f"cd {args.where} && "
    following = folder.next()
    command = f"{where}tinyvision learn run {following.name}" if following else None
    if args.json:
        _print_json({"folder": str(folder.path.resolve()), "new": new, "added": added, "next": command})
        return 0
    if new:
        print(f"{folder.path}: {len(added)} exercises, about {sum(e.minutes for e in course.exercises()) // 60} hours.")
    elif added:
        print(f"{folder.path}: already a course folder; added {', '.join(added)}. Nothing else was changed.")
    else:
        print(f"{folder.path}: already a course folder, complete. Nothing was changed.")
    if command:
        print(f"next:  {command}")
    else:
        print(show.progress(folder))
    return 0


def _watch(args):
    from .process import seconds
    from .watch import watch

    if args.json:
        raise OptionError("learn: watch mode has no --json; `tinyvision learn run --json` checks once")
    folder = _folder(args)
    watch(folder, None if args.name is None else _exercise(args, folder), seconds(args.time_limit))
    return 0


def _run(args):
    from . import attempt, show
    from .folder import shown
    from .process import seconds

    folder = _folder(args)
    one = _exercise(args, folder)
    html = _html(args)
    answer = attempt.judge(folder, one, limit=seconds(args.time_limit), html=html)
    if args.json:
        following = folder.after(one) if answer["passed"] else one
        print(attempt.as_json(answer, name=one.name, file=str(folder.file(one)), predict=one.predict,
                              answer=one.answer if answer["passed"] else None,
                              page=str(one.page_file() or "") or None,
                              next=following.name if following else None))  # fmt: skip
        return 0 if answer["passed"] else 1
    print(show.title(one))
    if not answer["passed"] and show.page_link(one):
        print(show.page_link(one))
    print(show.attempt(one, answer, answer["untouched"]))
    if html:
        print(f"\n   {show.picture(answer, html)}")
    print()
    if answer["passed"]:
        following = folder.after(one)
        print(f"   next:  tinyvision learn run {following.name}" if following else show.progress(folder))
        return 0
    print(f"   edit {shown(folder.file(one))}, then run this again.")
    print(f"   a hint:        tinyvision learn hint {one.name}")
    print(f"   said plainly:  tinyvision learn diagnose {one.name}")
    return 1


def _html(args, command="learn"):
    if args.html is None:
        return None
    path = os.path.abspath(os.path.expanduser(args.html))
    if not os.path.isdir(os.path.dirname(path)):
        raise OptionError(f"{command}: cannot write {args.html}: there is no folder {os.path.dirname(args.html)}")
    if not path.lower().endswith((".html", ".htm")):
        raise OptionError(f"{command}: --html {args.html}: the page is a .html")
    if os.path.lexists(path):  # the page of the try before is replaced, and nothing else
        from ..check.html import is_page

        if not is_page(path):
            raise OptionError(f"{command}: --html {args.html}: there is a file that is no such page; name another")
    return path


def _hint(args):
    from . import show

    folder = _folder(args)
    one = _exercise(args, folder)
    number, text = folder.hint(one, args.level)
    if args.json:
        _print_json({"name": one.name, "level": number, "levels": len(one.hints), "hint": text})
        return 0
    print(show.wrap(text, f"   hint {number} of {len(one.hints)}: ", "   "))
    return 0


def _diagnose(args):
    from . import attempt, show
    from .process import seconds

    folder = _folder(args)
    one = _exercise(args, folder)
    answer = attempt.judge(folder, one, limit=seconds(args.time_limit), remember=False)
    if args.json:
        print(attempt.as_json(answer, name=one.name, file=str(folder.file(one))))
    else:
        print(show.diagnosis(one, answer))
    return 0 if answer["passed"] else 1


def _reset(args):
    folder = _folder(args)
    one = _exercise(args, folder)
    backup = folder.reset(one)
    if args.json:
        _print_json({"name": one.name, "file": str(folder.file(one)), "backup": str(backup) if backup else None})
    else:
        kept = f" Yours is kept as {backup}." if backup else ""
        print(f"{folder.file(one)} is as it was at first.{kept}")
    return 0


def _solution(args):
    folder = _folder(args)
    one = _exercise(args, folder)
    refused = folder.solution_refused(one)
    if refused:
        raise OptionError(f"learn: {refused}")
    if not folder.passed(one) and not args.yes:
        if args.json or not sys.stdin.isatty():
            raise OptionError(f"learn: {one.name} is not solved yet; to see the solution all the same, add --yes")
        if input(f"Show the solution of {one.name}, which you have not solved yet? y/n ").strip().lower() != "y":
            return 0
    if args.json:
        _print_json({"name": one.name, "solution": one.solution()})
    else:
        print(one.solution(), end="")
    return 0


def _list(args):
    from . import course, show

    folder = _folder(args)
    if args.json:
        _print_json([show.described(folder, one) for one in course.exercises()])
    else:
        print(show.table(folder))
    return 0


def _progress(args):
    from . import show

    folder = _folder(args)
    if args.json:
        _print_json(show.progress_data(folder))
    else:
        print(show.progress(folder))
    return 0


def _check_all(args):
    from .check_all import check_all

    _plain_output()

    def tell(result):
        mark = "x" if result["problems"] else "ok"
        print(f" {mark:2} {result['number']:2} {result['name']:24} {result['seconds']:5.2f} s", flush=True)
        for problem in result["problems"]:
            print(f"      {problem}", flush=True)

    results = check_all(None if args.json else tell)
    bad = [r["name"] for r in results if r["problems"]]
    if args.json:
        _print_json({"passed": not bad, "exercises": results})
    elif bad:
        print(f"{len(bad)} of {len(results)} exercises are not as they should be: {', '.join(bad)}")
    else:
        print(f"{len(results)} exercises: every skeleton fails as intended, every solution passes.")
    return 1 if bad else 0


def _gradcheck(args):
    from ..check.ops import spec
    from ..check.runner import PATIENCE
    from ..device import device, require_cuda
    from . import show
    from .attempt import as_json, understood
    from .gradcheck import op_named, split
    from .process import ask, seconds

    _plain_output()
    file, function = split(args.target)
    if function is None and args.forward is None:
        raise OptionError("gradcheck: which function? FILE.py:BACKWARD, or FILE.py --forward FORWARD")
    op = spec(op_named(function or args.forward) if args.op is None else args.op).name
    limit, html, where = seconds(args.time_limit, "gradcheck"), _html(args, "gradcheck"), device(args.device)
    if where.type == "cuda":
        require_cuda(where)
    path = os.path.abspath(os.path.expanduser(file))
    request = {"task": "gradcheck", "file": path, "function": function, "forward": args.forward, "op": op,
               "device": str(where), "limit": limit, "html": html, "make": args.make, "supports": args.supports,
               "strict": args.strict, "guessed": args.op is None}  # fmt: skip
    answer = understood(ask(request, 3 * PATIENCE * limit + 60), op, file)
    if args.json:
        print(as_json(answer, file=file, function=function))
    else:
        print(answer["colour" if show.in_colour() else "text"])
        if html:
            print(f"\n   {show.picture(answer, html)}")
    if not answer.get("driven", True):
        return UNDRIVEN
    return 0 if answer["passed"] else 1
