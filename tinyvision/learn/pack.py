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
from .process import LIMIT

FORMS = ("folder", "gradescope", "nbgrader")
_SAME = "--exercises {names} --points {points}"  # what grading at home and here must have in common
_README = """\
{count}, {points} points each. Edit the .py files: the lines to write are marked with `...`. Then run, here:

    pip install tinyvision
    {command}

That is the official check, with the official points; it says what is wrong and where. Each gradient that an exercise
asks for counts by itself. `tinyvision learn` is the same course with hints, for yourself.
"""
_STUDENTS = "students/   goes to the students: skeletons, without a line of a solution\n"
_GRADER = """\
grade       for one submission: {command}
report      for all of them, one folder each:
            tinyvision learn report SUBMISSIONS {same}
{more}
The same command grades at home and here. Each file is judged in a process of its own, within {limit:g} s.
On Linux with Landlock that process writes in a folder of its own only (5.13; empties no file elsewhere: 6.2), opens no
TCP connection (6.7) and sends no signal to a process but its own (6.12). `grade` and `report` say what the kernel at
hand cannot deny. None denies it to read, to send by UDP, or to change limits and priorities of your account's other
processes. On other systems nothing but your account's rights holds it back. Grade strangers' files in a container.
Files that import tinyvision or PyTorch, or reach around the grader, are graded and flagged: look at these yourself,
for the exercises' solutions are part of the public package, and code runs in the process that judges it.
"""
_NOTEBOOKS = """\
nbgrader    copy students/exercises.ipynb into source/<assignment>/, then nbgrader generate_assignment;
            its test cells give points for each gradient that is right

nbgrader runs the cells in one kernel, with all rights of your account, and as long as its own setting
ExecutePreprocessor.timeout allows: autograde strangers' notebooks in a container. The exercises' solutions are part of
the public package.
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
    full = f"{points:.12g}"
    same = _SAME.format(names=",".join(one.name for one in exercises), points=full)
    same += f" --time-limit {limit:g}" * (limit != LIMIT)
    command = f"tinyvision learn grade . {same}"
    try:
        students = out / "students"
        students.mkdir(parents=True)
        if form == "nbgrader":
            _notebook(students / "exercises.ipynb", exercises, points, full)
            told = _STUDENTS + _NOTEBOOKS
        else:
            _skeletons(students, exercises, full, command)
            more = _gradescope(out, command) if form == "gradescope" else ""
            told = _STUDENTS + _GRADER.format(command=command, same=same, more=more, limit=limit)
        (out / "README.txt").write_text(told, encoding="utf-8")
    except OSError as error:
        raise FileError(f"learn: cannot write {out}: {error.strerror or error}") from None
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())


def _skeletons(folder, exercises, points, command):
    for one in exercises:
        (folder / one.file).write_text(one.skeleton(), encoding="utf-8")
    told = _README.format(count=counted(len(exercises)), points=points, command=command)
    (folder / "README.txt").write_text(told, encoding="utf-8")


def counted(exercises: int) -> str:
    """How many there are, in words."""
    return f"{exercises} exercise{'s' * (exercises != 1)}"


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


def _notebook(path, exercises, points, full):
    """One notebook: for each exercise its text, a cell to fill in, and a test cell that returns the points."""
    head = "# Exercises\n\nRun the last cell of each exercise: it shows what is wrong, and the points."
    cells = [_text("head", head)]
    for one in exercises:
        call = ", ".join(one.needs)
        test = f"from tinyvision.learn import points\n\npoints({one.name!r}, {full}, {call})"
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
