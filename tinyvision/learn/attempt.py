"""One attempt at an exercise: judge the learner's file in a worker, and remember how it went."""

import json
from pathlib import Path
from typing import Any

from ..errors import TinyVisionError
from . import show
from .course import Exercise
from .folder import Folder
from .process import LIMIT, Worker


class InternalError(TinyVisionError, RuntimeError):
    """The check itself failed; this is a defect of tinyvision, not of the learner's code."""


def judge(
    folder: Folder, one: Exercise, worker: Any = None, limit: float = LIMIT, html: Any = None, remember: bool = True
) -> Any:
    """The worker's answer for an exercise, as a dict (see `tinyvision learn run --json`). Raises DataError if the file
    is gone, InternalError if the check itself broke."""
    untouched = folder.untouched(one)
    own = Worker() if worker is None else worker
    try:
        request = {
            "task": "judge",
            "name": one.name,
            "path": str(folder.file(one).resolve()),
            "html": str(html) if html else None,
        }
        answer = understood(own.ask(request, limit), one.name, str(folder.file(one)))
    finally:
        if worker is None:
            own.close()
    answer["untouched"] = untouched
    if remember:
        folder.attempted(one, answer["passed"])
    return answer


def understood(answer: Any, subject: Any, path: str | Path) -> Any:
    """The answer with "ended" turned into a finding like any other. Raises InternalError."""
    if "crash" in answer:
        traceback = "\n    ".join(answer["crash"].rstrip().split("\n"))  # only breaks with four blanks are kept as ours
        raise InternalError(f"the check of {subject} failed; this is a defect of tinyvision:\n    {traceback}")
    if "error" in answer:
        raise InternalError(answer["error"])
    if "ended" in answer:
        finding = {
            "argument": "",
            "mistake": "ended",
            "signature": None,
            "certainty": "exact",
            "message": answer["ended"],
            "advice": "",
            "facts": [],
            "where": None,
            "file": path,
            "line": 1,
        }
        text = f" x {subject}\n\n{show.wrap(answer['ended'])}"
        answer = {
            "subject": subject,
            "passed": False,
            "status": {},
            "findings": [finding],
            "notes": [],
            "probes": 0,
            "seconds": 0.0,
            "printed": "",
            "kinds": ["ended"],
            "text": text,
            "colour": text,
            "lines": [None],
            "spilt": answer.get("spilt", ""),
        }
    return answer


def as_json(told: Any, **more: Any) -> Any:
    """The worker's answer as it is printed with --json."""
    kept = {k: v for k, v in told.items() if k not in ("colour", "kinds", "lines", "spilt")}
    kept["printed"] = (told["printed"] + told.get("spilt", ""))[:4000]
    return json.dumps({**more, **kept}, indent=2, ensure_ascii=False)
