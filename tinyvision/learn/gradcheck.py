"""`tinyvision gradcheck FILE.py:FUNCTION --op NAME`: the checker on anybody's own file, outside of the course."""

import difflib
import inspect
from pathlib import Path
from typing import Any

from .. import check
from ..check import Finding, Report
from ..errors import DataError, OptionError
from .judge import load, read


def split(target: str) -> Any:
    """("file.py", "function" or None) from "file.py:function"."""
    path, colon, name = target.rpartition(":")
    if not colon or (len(path) == 1 and path.isalpha()):  # no colon, or a Windows drive's
        return target, None
    return path, name


def examine(request: dict[str, Any]) -> Any:
    """The report for {"file", "function", "forward", "op", "limit", "device"}. Raises DataError, OptionError."""
    path = Path(request["file"])
    read(path, "gradcheck")
    if path.suffix != ".py":
        raise OptionError(f"gradcheck: {path} is no Python file; give FILE.py:FUNCTION")
    module, report = load(path, path.stem)
    if report is not None:
        report.subject = request["op"]
        return report
    backward = _find(module, path, request["function"]) if request["function"] else None
    forward = _find_forward(module, path, request["forward"]) if request["forward"] else None
    if request["op"] == "sgd":
        forward, backward = forward or backward, None
    report = check.op(request["op"], forward, backward, time_limit=request["limit"], device=request["device"])
    raised = [f for f in report.findings if f.kind == "exception" and f.argument == "backward"]
    if raised and forward is None:
        twin = request["function"].replace("backward", "forward")
        named = f" --forward {twin}" if twin != request["function"] and hasattr(module, twin) else " --forward NAME"
        report.notes.append(f"The cache came from tinyvision's own forward. To use yours, add{named}.")
    return report


def _find_forward(module, path, name):
    other, function = split(name)
    if function is None:
        return _find(module, path, name)
    read(other, "gradcheck")
    module, report = load(other, Path(other).stem + "_forward")
    if report is not None:
        raise DataError(f"gradcheck: {other}: {report.findings[0].message}")
    return _find(module, other, function)


def _find(module, path, name):
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        own = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        close = difflib.get_close_matches(name, own, n=1, cutoff=0.4)
        near = f"; did you mean {close[0]}?" if close else f" (it has: {', '.join(own) or 'none'})"
        raise OptionError(f"gradcheck: {path} has no function {name}{near}")
    return found


def ended(op: str, words: str) -> Any:
    """A report for code that did not come back."""
    return Report(op, [Finding("process", words, "ended", None, "exact")], status={"process": "wrong"})
