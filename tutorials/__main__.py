"""`python -m tutorials COMMAND`, in the repository: check or fix pages, make notebooks, keep the interactive pages."""

import argparse
import sys
from pathlib import Path

from . import elsewhere, interactive, landscape, notebooks, pages, site, supported


def main(arguments=None):
    """Run the command line; returns the exit status: 1 if a page is wrong, 2 if the command is."""
    parser = argparse.ArgumentParser(prog="python -m tutorials", description="Run the tutorial pages.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("check", "run pages (all, if none is named) and compare what they print and draw"),
        ("fix", "run pages and write down what they print and draw"),
        ("notebook", "make Jupyter notebooks out of pages, in the current folder"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        count = "+" if name == "fix" else "*"
        command.add_argument("pages", nargs=count, metavar="NN", help="page numbers, such as 4 or 04")
        if name == "notebook":
            command.add_argument("--all", type=Path, metavar="FOLDER", help="all pages, into this folder")
    text = "run pages as other machines would (another BLAS kernel, other roundings), and show which numbers move"
    away = commands.add_parser("elsewhere", help=text, description=text)
    away.add_argument("pages", nargs="+", metavar="NN", help="page numbers, such as 4 or 04")
    away.add_argument("--nudges", type=int, default=4, metavar="N", help="runs with nudged weights (default 4)")
    text = "print how many of PyTorch's names are here (tutorials/SUPPORTED.md)"
    supported_names = commands.add_parser("supported", help=text, description=text)
    supported_names.add_argument("--write", action="store_true", help="make the page anew (needs torchvision)")
    text = "copy what the interactive pages share (conv.html's) into all of them"
    explore = commands.add_parser("explore", help=text, description=text)
    explore.add_argument(
        "--train",
        action="store_true",
        help="train the networks of network.html and landscape.html anew (half a minute)",
    )
    text = "give every page its link to Google Colab, from the repository in pyproject.toml"
    commands.add_parser("colab", help=text, description=text)
    text = "make the site of all pages, interactive pages and the reference (pip install 'tinyvision[site]')"
    commands.add_parser("site", help=text, description=text).add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    if options.command == "site":
        return _site(options.out)
    if options.command == "colab":
        changed = notebooks.spread_colab_lines()
        print(f"{len(changed)} pages changed; {notebooks.repository() or 'pyproject.toml gives no repository'}")
        return 0
    if options.command == "explore":
        return _explore(options.train)
    if options.command == "supported":
        if options.write:
            supported.PAGE.write_text(supported.page(), encoding="utf-8")
        print(supported.counts())
        return 0
    if options.command == "notebook" and bool(options.pages) == bool(options.all):
        parser.error("notebook: name pages, or say --all FOLDER")
    try:
        chosen = [pages.find(number) for number in options.pages] or pages.all_pages()
        if options.command == "notebook":
            return _notebook(chosen, options.all or Path())
        if options.command == "elsewhere":
            return _elsewhere(chosen, options.nudges)
        return {"check": _check, "fix": _fix}[options.command](chosen)
    except pages.PageError as error:
        print(f"tutorials: {error}", file=sys.stderr)
        return 2


def _check(paths):
    wrong, total = 0, 0.0
    for path in paths:
        report = pages.run(path)
        total += report.seconds
        verdict = "WRONG" if report.problems else "ok   "
        print(f"{verdict} {path.stem:<40} {report.seconds:6.2f} s", flush=True)
        for problem in [*report.problems, *report.skipped]:
            print("      " + problem.replace("\n", "\n      "))
        wrong += bool(report.problems)
    print(f"{len(paths) - wrong} of {len(paths)} pages are right, {total:.1f} s of CPU time")
    return 1 if wrong else 0


def _fix(paths):
    status = 0
    for path in paths:
        report = pages.run(path, fix=True)
        for problem in report.problems:
            print(f"{path.name}: {problem}", file=sys.stderr)
            status = 1
        print(f"{path.name}: {', '.join(report.written) or 'nothing to change'}")
    return status


def _elsewhere(paths, nudges):
    status = 0
    for path in paths:
        found = elsewhere.run(path, nudges)
        print(f"{'WRONG' if found.wrong else 'ok   '} {path.stem}", flush=True)
        for text in [*found.wrong, *found.lines()]:
            print("      " + text.replace("\n", "\n      "))
        status |= bool(found.wrong)
    return status


def _site(out):
    try:
        site.build(out)
    except site.SiteError as error:
        print(f"tutorials: {error}", file=sys.stderr)
        return 2
    print(f"{out / 'index.html'}: open it in a browser; search wants it served: python -m http.server -d {out}")
    return 0


def _explore(train):
    for name in interactive.spread_shared_parts():
        print(f"{name}: shared parts copied")
    if train:
        print(f"network.html: reads {interactive.train_network():.1%} of the unseen digits")
        landscape.write()
    return 0


def _notebook(paths, folder):
    for path in paths:
        print(notebooks.write(path, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
