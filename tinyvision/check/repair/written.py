"""The functions of a check as their author wrote them: which of them ran, their statements, and other code in place.

A function runs on under its own name, with its own globals and closure, when its `__code__` is exchanged: whoever holds
it, a class, a layer or a list, calls the other code. A changed statement is tried so, and the file is not run again.
"""

import ast
import gc
import linecache
import os
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np

from .computing import only_computes

Function = ast.FunctionDef | ast.AsyncFunctionDef
_OURS = str(Path(__file__).resolve().parents[2]) + os.sep
_INSTALLED = ("site-packages", "dist-packages")
# Python's own modules: they may lie below the author's folder, as with an environment inside of a project.
_PYTHONS = tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})


@dataclass
class Written:
    """One function that ran: its objects, its tree, and the kinds of its variables by name ("x", "self.x")."""

    objects: list[FunctionType]
    code: CodeType
    tree: Function
    owner: str | None  # the class it is written in
    imports: list[ast.stmt]  # those of its file: a call of what is imported is compiled in another way
    kinds: dict[str, tuple] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)  # of one argument, in the same file
    numpy: frozenset = frozenset()  # the names that NumPy goes by

    @property
    def file(self) -> str:
        """The file it is written in."""
        return self.code.co_filename

    @property
    def pure(self) -> bool:
        """True for a function that hands on what it returns and nothing else: what it is given stays as it is."""
        arguments = self.tree.args
        given = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        for node in ast.walk(self.tree):
            if isinstance(getattr(node, "ctx", None), ast.Store) and isinstance(node, (ast.Attribute, ast.Subscript)):
                base = node.value
                while isinstance(base, (ast.Attribute, ast.Subscript)):
                    base = base.value
                if not isinstance(base, ast.Name) or base.id in given:
                    return False
        return True

    def compiled(self) -> CodeType | None:
        """The tree as code; None if it is none that could stand in the function's place."""
        place = {"lineno": self.tree.lineno, "end_lineno": self.tree.end_lineno, "col_offset": 0, "end_col_offset": 0}
        empty: dict[str, Any] = {"decorator_list": [], "type_params": [], **place}
        inner: Any = ast.FunctionDef(name=self.tree.name, args=_plain(self.tree.args), body=self.tree.body,
                                     returns=None, **empty)  # fmt: skip
        if self.owner:
            inner = ast.ClassDef(name=self.owner, bases=[], keywords=[], body=[inner], **empty)
        free = [ast.arg(n) for n in self.code.co_freevars if n != "__class__"]
        given = ast.arguments(posonlyargs=[], args=free, kwonlyargs=[], kw_defaults=[], defaults=[])
        around = ast.FunctionDef(name="around", args=given, body=[inner], returns=None, **empty)
        module = ast.fix_missing_locations(ast.Module(body=[*self.imports, around], type_ignores=[]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(module, self.file, "exec")
        except (SyntaxError, ValueError, TypeError):
            return None
        found = _inside(code, self.tree.name)
        return found if found is not None and found.co_freevars == self.code.co_freevars else None

    @contextmanager
    def standing_in(self, code: CodeType) -> Iterator[None]:
        """The function with other code."""
        try:
            for function in self.objects:
                function.__code__ = code
            yield
        finally:
            for function in self.objects:
                function.__code__ = self.code


def _plain(arguments):
    """The parameters without defaults and annotations: those were evaluated when the function was made."""

    def bare(a):
        return None if a is None else ast.arg(arg=a.arg)

    return ast.arguments(
        posonlyargs=[bare(a) for a in arguments.posonlyargs], args=[bare(a) for a in arguments.args],
        vararg=bare(arguments.vararg), kwonlyargs=[bare(a) for a in arguments.kwonlyargs],
        kw_defaults=[None] * len(arguments.kwonlyargs), kwarg=bare(arguments.kwarg), defaults=[],
    )  # fmt: skip


def _inside(code, name):
    """The code of the function of that name within other code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found = constant if constant.co_name == name and constant.co_name != "around" else _inside(constant, name)
            if found is not None:
                return found
    return None


def functions_of(run: Callable[[], Any], beside: set[str]) -> list[Written]:
    """The functions that `run()` calls and that are written in one of the files `beside`, or in the folder of one or
    below it, in the order of their first calls.

    None at all if one of them does more than compute or cannot be read, or if they are given an object that was there
    before, for that is the author's, and other code would leave other numbers in it."""
    folders = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in beside)
    seen: dict[CodeType, dict] = {}
    made: list[Any] = []  # objects of the author's classes, which begin and end with the run
    from_outside: list[Any] = []  # those that hold something when the run comes to them

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and _of_the_author(code, folders):
            seen.setdefault(code, {})
            given = list(frame.f_locals.values())
            made.extend(given[:1] if code.co_name == "__init__" else [v for v in given if _is_empty(v)])
            from_outside.extend(v for v in given if _holds_something(v) and not any(v is m for m in made))
        elif event == "return" and code in seen:
            seen[code].update(_kinds(frame.f_locals))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    found = [_written(code, kinds, set(seen)) for code, kinds in seen.items()]
    return [] if None in found or from_outside else [w for w in found if w is not None]


def _is_empty(value):
    """True for an object without attributes yet, as one without `__init__` begins."""
    return getattr(value, "__dict__", None) == {} and not callable(value)


def _holds_something(value):
    """True for an object with attributes; not for one of ours, such as the dict that notes which options are read."""
    return bool(getattr(value, "__dict__", None)) and not type(value).__module__.startswith("tinyvision.")


def _of_the_author(code, folders):
    """True for code out of a file in those folders that is the author's."""
    return not code.co_name.startswith("<") and code.co_filename.startswith(folders) and is_authors(code.co_filename)


def is_authors(file: str) -> bool:
    """Whether a file is neither ours nor installed nor Python's: what is one of these is never changed."""
    if file.startswith(_OURS) or any(part in file for part in _INSTALLED):
        return False
    return not os.path.realpath(file).startswith(_PYTHONS)


def _kinds(variables):
    kinds = {name: kind(value) for name, value in variables.items()}
    kinds.update({f"self.{n}": kind(v) for n, v in getattr(variables.get("self"), "__dict__", {}).items()})
    return {name: k for name, k in kinds.items() if k}


def kind(value: Any) -> tuple:
    """What a variable holds, as far as another may stand in its place: () for what is left alone."""
    if isinstance(value, bool):
        return ("bool",)
    if isinstance(value, (int, np.integer)):
        return ("number",)
    if isinstance(value, (float, np.floating)):
        return ("real",)
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.kind, value.shape)
    return ()


def _written(code, kinds, known):
    objects = [f for f in gc.get_referrers(code) if isinstance(f, FunctionType) and f.__code__ is code]
    tree, owner, imports = _tree(code)
    if tree is None or not objects or not all(only_computes(tree, f, owner, known) for f in objects):
        return None
    written = Written(objects, code, tree, owner, imports, kinds)
    written.functions = [
        name for name, f in objects[0].__globals__.items()
        if isinstance(f, FunctionType) and f.__code__ in known and f.__code__.co_argcount == 1
    ][:3]  # fmt: skip
    written.numpy = frozenset(name for name, value in objects[0].__globals__.items() if value is np)
    same = written.compiled()
    # What is read must be what runs: a file that has changed since, or code that was made otherwise, is left alone.
    return written if same is not None and same.co_code == code.co_code else None


def _tree(code):
    """(the function's definition, the name of its class, the file's imports); None for what cannot be read."""
    lines = linecache.getlines(code.co_filename)
    try:
        module = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None, None, []
    imports = [s for s in module.body if isinstance(s, (ast.Import, ast.ImportFrom)) and not _future(s)]
    owners = {id(f): c.name for c in ast.walk(module) if isinstance(c, ast.ClassDef) for f in c.body}
    for node in ast.walk(module):
        if isinstance(node, Function) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node, owners.get(id(node)), imports
    return None, None, []


def _future(statement):
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
