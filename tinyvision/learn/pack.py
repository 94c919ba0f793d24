"""An instructor's pack: what students get, and the grader that runs the same check.

Students get skeletons, never a solution; the grader is `tinyvision learn grade` in every form, so the grade at home is
the official one.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import FileError, OptionError
from .course import Exercise

FORMS = ("folder", "gradescope", "nbgrader")
_COMMAND = "tinyvision learn grade . --exercises {names} --points {points:g}"
_README = """\
{count} exercises, {points:g} points each. Edit the .py files: the lines to write are marked with `...`. Then run, here:

    pip install tinyvision
    {command}

That is the official check, with the official points; it says what is wrong and where. Each gradient that an exercise
asks for counts by itself. `tinyvision learn` is the same course with hints, for yourself.
"""
_TEACHER = """\
students/   goes to the students: skeletons, without a line of a solution
grade       for one submission: {command}
report      for all of them, one folder each:
            tinyvision learn report SUBMISSIONS --exercises {names} --points {points:g}
{more}
The same command grades at home and here. Each file is judged in a process of its own, within {limit:g} s.
On Linux with Landlock that process writes in a folder of its own only (5.13; empties no file elsewhere: 6.2), opens no
TCP connection (6.7) and sends no signal to a process but its own (6.12). `grade` and `report` say what the kernel at
hand cannot deny. None denies it to read, to send by UDP, or to change limits and priorities of your account's other
processes. On other systems nothing but your account's rights holds it back. Grade strangers' files in a container.
Files that import tinyvision or PyTorch, or reach around the grader, are graded and flagged: look at these yourself,
for the exercises' solutions are part of the public package, and code runs in the process that judges it.
"""
_SETUP = "#!/usr/bin/env bash\npip3 install tinyvision=={version}\n"
_RUN = """\
#!/usr/bin/env bash
cd /autograder/submission
{command} --gradescope /autograder/results/results.json || true
"""


def pack(out: str | Path, exercises: Sequence[Exercise], form: str, points: float, limit: float) -> list[str]:
    """Write the pack into a new or empty folder; returns the files written. Raises OptionError, FileError."""
    if form not in FORMS:
        raise OptionError(f"learn: --for takes {', '.join(FORMS)}, got {form!r}")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"learn: {out} is not an empty folder")
    names = ",".join(one.name for one in exercises)
    command = _COMMAND.format(names=names, points=points)
    try:
        students = out / "students"
        students.mkdir(parents=True)
        if form == "nbgrader":
            _notebook(students / "exercises.ipynb", exercises, points)
        else:
            _skeletons(students, exercises, points, command)
        more = _gradescope(out, command) if form == "gradescope" else _HOW[form]
        told = _TEACHER.format(command=command, names=names, points=points, more=more, limit=limit)
        (out / "README.txt").write_text(told, encoding="utf-8")
    except OSError as error:
        raise FileError(f"learn: cannot write {out}: {error.strerror or error}") from None
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())


_HOW = {
    "folder": "",
    "nbgrader": "nbgrader    copy students/exercises.ipynb into source/<assignment>/, then nbgrader "
    "generate_assignment;\n            its test cells give points for each gradient that is right\n",
}


def _skeletons(folder, exercises, points, command):
    for one in exercises:
        (folder / one.file).write_text(one.skeleton(), encoding="utf-8")
    told = _README.format(count=len(exercises), points=points, command=command)
    (folder / "README.txt").write_text(told, encoding="utf-8")


def _gradescope(out, command):
    inside = out / "autograder"
    inside.mkdir()
    scripts = {"setup.sh": _SETUP.format(version=__version__), "run_autograder": _RUN.format(command=command)}
    for name, text in scripts.items():
        (inside / name).write_text(text, encoding="utf-8", newline="\n")
        os.chmod(inside / name, 0o755)
    shutil.make_archive(str(out / "autograder"), "zip", inside)
    shutil.rmtree(inside)
    return "gradescope  upload autograder.zip as the autograder of a programming assignment\n"


def _notebook(path, exercises, points):
    """One notebook: for each exercise its text, a cell to fill in, and a test cell that returns the points."""
    head = "# Exercises\n\nRun the last cell of each exercise: it shows what is wrong, and the points."
    cells = [_text("head", head)]
    for one in exercises:
        call = ", ".join(one.needs)
        test = f"from tinyvision.learn import points\n\npoints({one.name!r}, {points:g}, {call})"
        cells.append(_text(f"{one.name}-text", f"## {one.title}\n\n{_lesson(one)}"))
        cells.append(_code(one.name, one.skeleton(), solution=True))
        cells.append(_code(f"{one.name}-points", test, grade=True, points=points))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book, indent=1), encoding="utf-8")


def _lesson(one):
    page = f" Tutorial page {one.page}." if one.page else ""
    return f"About {one.minutes} minutes.{page}\n\nPredict, before you run it: {one.predict}"


def _text(name, text):
    return {"cell_type": "markdown", "id": name[:60], "metadata": {}, "source": text}


def _code(name, text, solution=False, grade=False, points=0.0):
    about: dict[str, Any] = {"schema_version": 3, "grade_id": name, "solution": solution, "grade": grade,
                             "locked": grade, "task": False}  # fmt: skip
    if grade:
        about["points"] = points
    return {"cell_type": "code", "id": name[:60], "metadata": {"nbgrader": about}, "execution_count": None,
            "outputs": [], "source": text}  # fmt: skip
