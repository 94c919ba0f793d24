"""A grade for submissions: the share of an exercise that is right, the same number for student, grader and course.

`tinyvision learn grade` is all that any grader runs, so whoever runs it at home sees the official grade.
"""

import ast
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..printable import printable_message
from . import course
from .attempt import InternalError, understood
from .course import Exercise
from .forker import Forker
from .loading import parsed
from .process import LIMIT, Worker, forker

# What a submission has no use for: answers made by libraries, and ways around the grader. A person should look.
LIBRARIES = ("tinyvision", "torch", "tensorflow", "jax", "autograd", "keras", "cupy")
WAYS_ROUND = ("os", "sys", "subprocess", "inspect", "gc", "ctypes", "socket", "signal", "threading", "importlib",
              "builtins", "traceback", "multiprocessing", "shutil", "pathlib", "operator", "posix", "runpy", "atexit",
              "faulthandler", "tempfile", "io", "mmap", "unittest", "pickle", "urllib", "http", "resource")  # fmt: skip
CALLS = ("eval", "exec", "open", "compile", "globals", "vars", "getattr", "setattr", "delattr", "__import__",
         "breakpoint")  # fmt: skip
INSIDE = ("os", "sys", "builtins", "ctypes", "ctypeslib", "subprocess", "importlib", "f2py")  # of another module
OTHERS = ("prlimit", "setpriority", "sched_setaffinity")  # change other processes, which no Landlock denies
LARGEST = 1 << 20  # bytes of a file that is looked into
FILES = ("tofile", "fromfile", "memmap", "load", "save", "savez", "savez_compressed", "savetxt", "loadtxt",
         "genfromtxt", "DataSource")  # fmt: skip


@dataclass
class Grade:
    """One exercise of one submission: `share` from 0 to 1, the mistakes by their ids, and what a person should see."""

    exercise: str
    share: float = 0.0
    says: str = ""
    mistakes: list = field(default_factory=list)
    flags: list = field(default_factory=list)
    seconds: float = 0.0
    found: bool = True
    words: dict = field(default_factory=dict)  # what each mistake is, by its id

    def points(self, full: float) -> float:
        """The points of `full`, rounded to hundredths."""
        return round(full * self.share, 2)

    def as_dict(self, full: float) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"exercise": self.exercise, "points": self.points(full), "of": full, "share": self.share,
                "says": self.says, "mistakes": self.mistakes, "flags": self.flags,
                "seconds": round(self.seconds, 2)}  # fmt: skip


def chosen(names: str | None) -> list[Exercise]:
    """The exercises of "conv_dx,relu_backward", in the order of the course; all without names. Raises OptionError."""
    if not names:
        return course.exercises()
    wanted = {course.exercise(n.strip()).name for n in names.split(",") if n.strip()}
    return [one for one in course.exercises() if one.name in wanted]


def grade(
    folder: str | Path, exercises: Iterable[Exercise], limit: float = LIMIT, source: Forker | None = None
) -> list[Grade]:
    """Grades of the files of a submission, each judged in a process of its own for at most `limit` seconds.

    The processes come from `source`, which is left as it is; without one from a source of this call's own."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"learn: there is no folder {folder}")
    own = forker() if source is None else None
    try:
        return [_one(folder, exercise, limit, source or own) for exercise in exercises]
    finally:
        if own is not None:
            own.close()


def _one(folder, exercise, limit, source):
    path = _file(folder, exercise.file)
    if path is None:
        return Grade(exercise.name, says=f"{exercise.file} was not handed in.", found=False)
    odd = flags(path, exercise)  # before it runs: it could write itself anew
    worker = Worker(source)
    try:
        with tempfile.TemporaryDirectory(prefix="tinyvision-grade-", ignore_cleanup_errors=True) as scratch:
            request = {"task": "judge", "name": exercise.name, "path": str(path.resolve()), "scratch": scratch}
            answer = understood(worker.ask(request, limit), exercise.name, str(path))
    except InternalError as error:
        return Grade(
            exercise.name, says=printable_message(error)[:300], flags=["the check itself failed: look at it", *odd]
        )
    finally:
        worker.close()
    told = [printable_message(f["message"]) for f in answer["findings"]]  # it may quote the submission
    if "skipped" in answer["kinds"]:
        return Grade(exercise.name, says=told[0], flags=["could not be judged on this machine"])
    says, mistakes = told[0] if told else "right", _mistakes(answer)
    seconds = answer["seconds"]
    words: dict[Any, str] = {}
    for f, message in zip(answer["findings"], told, strict=True):
        words.setdefault(f["mistake"] or f["signature"], message)
    return Grade(exercise.name, share(answer, exercise), says, mistakes, odd, seconds, words=words)


def _file(folder, name):
    """The file in the folder or below it, the shallowest one; __MACOSX and hidden folders in it are not looked into."""
    below = [(p, p.relative_to(folder).parts) for p in folder.rglob(name)]
    found = [p for p, parts in below if p.is_file() and not any(q.startswith((".", "__MAC")) for q in parts)]
    return min(found, key=lambda p: (len(p.parts), str(p)), default=None)


def share(answer: dict[str, Any], exercise: Exercise) -> float:
    """What part of an exercise is right: of the gradients that it asks for, those that are.

    A backward with three gradients of which two are right is worth two thirds. One whose numbers are all right but
    which does what it must not, such as changing its input, is worth a half."""
    if answer["passed"]:
        return 1.0
    asked = {k: s for k, s in answer["status"].items() if k not in ("shapes", "purity", "backward")}
    if len(exercise.needs) == 1 and len(asked) > 1:
        asked.pop("forward", None)  # the backward is asked for, and comes with a right forward
    judged = [s for s in asked.values() if s not in ("ours", "skipped")]
    right = sum(s == "ok" for s in judged)
    if not judged:
        return 0.0
    return 0.5 if right == len(judged) else right / len(judged)


def _mistakes(answer):
    named = [f["mistake"] or f["signature"] for f in answer["findings"]]
    return [name for name in named if name]


def flags(path: str | Path, exercise: Exercise) -> list[str]:
    """What a person should look at: libraries that hold the answer, and ways around the grader, in the file and in the
    files beside it that it imports."""
    given = _uses(_parsed(exercise.skeleton()))
    out, seen, waiting = dict[str, None](), set(), [Path(path)]
    while waiting:
        file = waiting.pop()
        seen.add(file)
        try:
            if file.stat().st_size > LARGEST:
                out["is too large to be looked into"] = None
                continue
            tree = _parsed(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError):
            out["cannot be read as text"] = None
            continue
        out.update((words, None) for words in _uses(tree) if words not in given)
        waiting += [p for p in _beside(tree, file.parent) if p not in seen]
    return list(out)


def _parsed(text):
    try:
        return parsed(text)
    except SyntaxError:
        return ast.Module([], [])


def _beside(tree, folder):
    """The files of the submission that its code imports."""
    names = {name.split(".")[0] for name in _imported(tree)}
    return [p for name in sorted(names) for p in (folder / f"{name}.py", folder / name / "__init__.py") if p.is_file()]


def _imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _uses(tree):
    """In words, in the order of the code; a name within a pattern of `match` reaches as far as an attribute does."""
    out = dict[str, None]()
    for name in _imported(tree):
        root = name.partition(".")[0]
        if root in LIBRARIES or root in WAYS_ROUND:
            out[f"imports {name}"] = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in CALLS:
            out[f"calls {node.id}"] = None
        taken = [node.attr] if isinstance(node, ast.Attribute) else getattr(node, "kwd_attrs", [])
        taken = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else taken
        for name in taken:
            if re.fullmatch(r"__\w+__|_getframe|(f|tb)_\w+", name) or name in INSIDE + OTHERS:
                out[f"reaches for {name}"] = None
            elif name in FILES:
                out[f"reads or writes files ({name})"] = None
    return list(out)
