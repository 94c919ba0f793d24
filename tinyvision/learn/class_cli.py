"""`tinyvision learn pack`, `grade` and `report`: the commands of a class."""

import json
import math
import os
import threading
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import FileError, OptionError
from . import confine


def add_class_parsers(sub: Any, common: Any) -> None:
    """Add the three commands to the parser of `tinyvision learn`."""
    p = sub.add_parser("pack", help="for instructors: skeletons for students, and a grader")
    p.add_argument("out", metavar="OUT", help="a new or empty folder")
    p.add_argument("--for", dest="form", default="folder", metavar="FORM", help="folder, gradescope or nbgrader")
    p.set_defaults(run=_pack)
    _shared(p, common)
    p = sub.add_parser("grade", help="the points of one submission, at home as in class")
    p.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="where the files are (default: here)")
    p.add_argument("--gradescope", metavar="FILE", help="also write Gradescope's results.json")
    p.set_defaults(run=_grade)
    _shared(p, common)
    p = sub.add_parser("report", help="for instructors: all submissions, as CSV and as a page")
    p.add_argument("folder", metavar="FOLDER", help="one folder in it for each student")
    p.add_argument(
        "--out", metavar="DIR", default=".", help="where report.csv and report.html go; made if need be (default: here)"
    )
    p.add_argument("--overwrite", action="store_true", help="replace the two files if they are there")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at a time")
    p.set_defaults(run=_report)
    _shared(p, common)


def _shared(parser, common):
    parser.add_argument("--exercises", metavar="NAMES", help="conv_dx,relu_backward,... (default: the whole course)")
    parser.add_argument("--points", type=float, default=10.0, metavar="N", help="for each exercise (default: 10)")
    parser.add_argument("--time-limit", metavar="SECONDS", help="for each file (default: 10)")
    common(parser, folder=False)


def _asked(args):
    from .grade import chosen
    from .process import LIMIT, seconds

    if not 0 < args.points < math.inf:
        raise OptionError(f"learn: --points is a number above 0, got {args.points:g}")
    return chosen(args.exercises), LIMIT if args.time_limit is None else seconds(args.time_limit)


def _pack(args):
    from .pack import counted, pack

    exercises, limit = _asked(args)
    if args.form == "nbgrader" and args.time_limit is not None:
        raise OptionError(
            "learn: nbgrader runs notebooks by its own ExecutePreprocessor.timeout; leave --time-limit out"
        )
    written = pack(args.out, exercises, args.form, args.points, limit)
    if args.json:
        print(json.dumps({"out": args.out, "files": written, "exercises": [e.name for e in exercises]}, indent=2))
    else:
        print(f"{args.out}: {counted(len(exercises))} for {args.form}; README.txt says what to do with them")
        for name in written:
            print(f"   {name}")
    return 0


def _grade(args):
    from .grade import grade

    exercises, limit = _asked(args)
    if args.gradescope:
        _check_results(args.gradescope)
    grades = grade(args.folder, exercises, limit)
    told = [g.as_dict(args.points) for g in grades]
    total, full = sum(t["points"] for t in told), args.points * len(told)
    if args.gradescope:
        tests = [{"name": t["exercise"], "score": t["points"], "max_score": t["of"], "output": t["says"]} for t in told]
        with atomic_write(args.gradescope, "w") as file:
            file.write(json.dumps({"score": total, "tests": tests}, indent=1))
    if args.json:
        answer = {"points": total, "of": full, "exercises": told, "undenied": confine.undenied()}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        from .show import wrap

        for t in told:
            print(f" {t['points']:6.2f} of {t['of']:g}  {t['exercise']}")
            if t["share"] < 1:
                print(wrap(t["says"], "                  "))
        print(f" {total:6.2f} of {full:g}")
        _tell_undenied()
    return 0 if total == full else 1


def _check_results(path):
    """Raises OptionError before anything is graded where `path` is a file other than the results of a run before."""
    if not os.path.lexists(path):
        return
    try:
        before = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        before = None
    if not (isinstance(before, dict) and "tests" in before):
        raise OptionError(f"learn: --gradescope {path}: there is something that is no results.json; name another file")


def _report(args):
    from .roster import FILES, graded, submissions, write

    exercises, limit = _asked(args)
    if args.jobs < 1:
        raise OptionError(f"learn: --jobs is at least 1, got {args.jobs}")
    there = [name for name in FILES if os.path.lexists(os.path.join(args.out, name))]
    if there and not args.overwrite:
        raise OptionError(
            f"learn: {' and '.join(there)} {'is' if len(there) == 1 else 'are'} in {args.out} already; "
            f"--overwrite replaces, --out DIR writes elsewhere"
        )
    students = submissions(args.folder)
    if not os.path.isdir(args.out):
        try:
            os.makedirs(args.out)
        except OSError as error:
            raise FileError(f"learn: cannot make the folder {args.out}: {error.strerror}") from None
        if not args.json:
            print(f"{args.out}: a new folder, for report.csv and report.html")

    done, one_at_a_time = [], threading.Lock()

    def tell(name, grades):
        with one_at_a_time:  # as they come: whatever ends this program, those that were graded are kept
            done.append((name, grades))
            write(sorted(done, key=lambda row: row[0]), args.out, args.points)
        if not args.json:
            print(f" {sum(g.points(args.points) for g in grades):7.2f}  {name}", flush=True)

    rows = graded(students, exercises, limit, args.jobs, tell)
    paths = write(rows, args.out, args.points)
    if args.json:
        undenied = confine.undenied()
        told = [
            {"student": s, "exercises": [g.as_dict(args.points) for g in grades], "undenied": undenied}
            for s, grades in rows
        ]
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        print(f"{len(rows)} submission{'' if len(rows) == 1 else 's'}: {', '.join(map(str, paths))}")
        _tell_undenied()
    return 0


def _tell_undenied():
    if undenied := confine.undenied():
        print(f"This system cannot deny a submission to {', '.join(undenied)}: grade strangers' files in a container.")
