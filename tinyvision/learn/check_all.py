"""The whole course, solved with its own solutions in a temporary folder: what continuous integration runs."""

import tempfile
import time
from pathlib import Path

from . import course
from .attempt import understood
from .process import LIMIT, Worker


def check_all(tell=None):
    """Check every exercise in order; returns one dict for each, with "problems" (empty if all is well).

    The folder grows with the course, so exercise k has the files of 1 to k only. Its skeleton must fail, saying what is
    missing; its solution must pass. `tell(result)` is called after each."""
    results = []
    with tempfile.TemporaryDirectory(prefix="tinyvision-learn-") as folder:
        for one in course.exercises():
            result = _check(one, Path(folder))
            results.append(result)
            if tell is not None:
                tell(result)
    return results


def _check(one, folder):
    problems, path, worker = [], folder / one.file, Worker()
    try:
        path.write_text(one.skeleton(), encoding="utf-8")
        answer = _ask(worker, one, path, again=True)
        said = " ".join(f["message"] for f in answer["findings"])
        if answer["passed"]:
            problems.append("the skeleton passes")
        elif one.missing not in said:
            problems.append(f"the skeleton fails with another message than intended: {said[:200]}")
        path.write_text(one.solution(), encoding="utf-8")
        started = time.perf_counter()
        answer = _ask(worker, one, path)
        seconds = time.perf_counter() - started
        if not answer["passed"]:
            said = " ".join(f["message"] for f in answer["findings"]) or str(answer["status"])
            problems.append(f"the solution fails: {said[:200]}")
    finally:
        worker.close()
    return {"name": one.name, "number": one.number, "problems": problems, "seconds": round(seconds, 3)}


def _ask(worker, one, path, again=False):
    request = {"task": "judge", "name": one.name, "path": str(path)}
    return understood(worker.ask(request, LIMIT, again), one.name, str(path))
