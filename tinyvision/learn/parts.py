"""The functions and classes of a file that does not run as a whole: a training script whose data set is elsewhere.

Its definitions, imports and assignments are run one by one. What else stands in the file is left out, and so is an
assignment that fails; a library that is not installed is there in name only, and says so when it is used.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..check import runner

NEEDED = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
ASSIGNED = (ast.Assign, ast.AnnAssign, ast.AugAssign)
ASSIGNMENT_LIMIT = 1.0  # seconds that one assignment may take
LIBRARIES = 8  # that may be missing
CUPY = "cupy"


def definitions(path: Path, tree: ast.Module, name: str, limit: float) -> runner.Call | None:
    """A call whose value is the module with the file's definitions; None where one of these cannot be made."""
    absent: list[str] = []
    while True:
        told: list[str] = []
        module = ModuleType(name)
        module.__file__, module.__package__ = str(path), name.rpartition(".")[0]
        with _in_name_only(absent):
            failed, skipped = _run(module, path, tree, limit, told)
        root = (getattr(failed, "name", None) or "").partition(".")[0]
        if failed is None:
            break
        if not isinstance(failed, ModuleNotFoundError) or not root or root in absent or len(absent) == LIBRARIES:
            return None  # it is no missing library that ends the file
        absent.append(root)
    without = {True: "NumPy stands in for it", False: "the file was read without it"}
    told += [f"{library} is not installed here: {without[library == CUPY]}." for library in absent]
    if skipped:
        lines = ", ".join(map(str, skipped[:4])) + (" and more" if len(skipped) > 4 else "")
        which = f"lines {lines} were" if len(skipped) > 1 else f"line {lines} was"
        told.append(f"The file does not run as it is: its definitions were read, and {which} left out.")
    vars(module)[LEFT_OUT] = told
    sys.modules[name] = module
    return runner.Call(module)


LEFT_OUT = "__left_out__"


def left_out(module: ModuleType) -> list[str]:
    """What was left out of a module, in sentences; nothing of one that ran as it is."""
    return list(getattr(module, LEFT_OUT, ()))


def _run(module, path, tree, limit, told):
    """(the error of a definition or None, the lines of statements that were left out)."""
    skipped = []
    for node in tree.body:
        if not isinstance(node, NEEDED + ASSIGNED):
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # a docstring
                skipped.append(node.lineno)
            continue
        seconds = limit if isinstance(node, NEEDED) else ASSIGNMENT_LIMIT
        call = runner.call(_Statement(module.__name__, path, node).exec_module, (module,), seconds=seconds)
        if isinstance(call.error, ImportError) and _installed(call.error):
            told.append(f"Line {node.lineno} was left out: {call.error}")
            names = [alias.asname or alias.name for alias in node.names]
            vars(module).update({n: _Absent(n) for n in names})
        elif not call.ok and isinstance(node, NEEDED):
            return call.error or TimeoutError(), skipped
        elif not call.ok:
            skipped.append(node.lineno)
    return None, skipped


class _Statement(importlib.machinery.SourceFileLoader):
    """One statement of a file as if it were all of it, at its own line."""

    def __init__(self, name: str, path: Path, node: ast.stmt) -> None:
        super().__init__(name, str(path))
        self.node = node

    def get_code(self, fullname: str) -> Any:
        """The statement's code."""
        return self.source_to_code(ast.Module([self.node], []), self.path)


def _installed(error):
    """True if the library itself is there, and lacks what is imported from it."""
    root = (error.name or "").partition(".")[0]
    return not isinstance(error, ModuleNotFoundError) or (root != error.name and findable(root))


def findable(root: str) -> bool:
    """True if a module or package of that name can be imported."""
    try:
        return importlib.util.find_spec(root) is not None
    except (ImportError, ValueError):
        return False


class _Absent:
    """Anything of a library that is not installed; only its name is known. It may be called while files are read."""

    reading = False

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self._name}.{name}")

    def __getitem__(self, key: Any) -> Any:
        return self._used(f"[{key!r}]")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # A decorator of such a library hands its function on.
        if len(arguments) == 1 and not options and callable(arguments[0]) and hasattr(arguments[0], "__code__"):
            return arguments[0]
        return self._used("(...)")

    def _used(self, how):
        if _Absent.reading:
            return _Absent(self._name + how)
        raise ModuleNotFoundError(f"{self._name} is used, and is not installed here", name=self._name)


class _Library(ModuleType):
    __path__ = ()  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


class _AsNumpy(_Library):
    def __getattr__(self, name: str) -> Any:
        if name == "asnumpy":
            return np.asarray
        return getattr(np, name) if hasattr(np, name) else super().__getattr__(name)

    def get_array_module(self, *arrays: Any) -> ModuleType:
        return self


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds libraries that are not installed."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = roots

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """A place for any module of one of these libraries."""
        if fullname.partition(".")[0] not in self.roots:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        """A module that has everything, in name; NumPy, which has the same functions, in the place of CuPy."""
        return _AsNumpy(spec.name) if spec.name == CUPY else _Library(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it to run."""


@contextmanager
def _in_name_only(roots: Sequence[str]) -> Iterator[None]:
    """Let these libraries be imported; afterwards they are as missing as before."""
    finder, before = _Finder(roots), set(sys.modules)
    sys.meta_path.append(finder)
    _Absent.reading = True
    try:
        yield
    finally:
        _Absent.reading = False
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if isinstance(sys.modules[name], _Library):
                del sys.modules[name]
