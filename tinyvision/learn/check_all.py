"""The whole course, solved with its own solutions in a temporary folder: what continuous integration runs."""

import tempfile
import time
from pathlib import Path
from typing import Any

from . import course
from .attempt import InternalError, understood
from .process import LIMIT, Worker


def check_all(tell: Any = None) -> Any:
    """Check every exercise in order; returns one dict for each, with "problems" (empty if all is well).

    The folder grows with the course, so exercise k has the files of 1 to k only. Its skeleton must fail, saying what is
    missing; its solution must pass. `tell(result)` is called after each."""
    results, worker = [], Worker()
    try:
        with tempfile.TemporaryDirectory(prefix="tinyvision-learn-") as folder:
            for one in course.exercises():
                result = _check(one, Path(folder), worker)
                results.append(result)
                if tell is not None:
                    tell(result)
    finally:
        worker.close()
    return results


def _check(one, folder, worker):
    problems, path = [], folder / one.file
    path.write_text(one.skeleton(), encoding="utf-8")
    passed, said, _ = _ask(worker, one, path)
    if passed:
        problems.append("the skeleton passes")
    elif one.missing not in said:
        problems.append(f"the skeleton fails with another message than intended: {said[:200]}")
    path.write_text(one.solution(), encoding="utf-8")
    passed, said, seconds = _ask(worker, one, path)
    if not passed and not said.startswith("Not judged: "):  # this machine cannot
        problems.append(f"the solution fails: {said[:200]}")
    return {"name": one.name, "number": one.number, "problems": problems, "seconds": round(seconds, 3)}


def _ask(worker, one, path):
    """(passed, what was said, seconds). One process serves all: the code is the course's own."""
    request, started = {"task": "judge", "name": one.name, "path": str(path)}, time.perf_counter()
    try:
        answer = understood(worker.ask(request, LIMIT, again=True), one.name, str(path))
    except InternalError as error:
        return False, str(error), time.perf_counter() - started
    said = " ".join(f["message"] for f in answer["findings"]) or str(answer["status"])
    return answer["passed"], said, time.perf_counter() - started
