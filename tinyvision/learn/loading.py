"""Reading a learner's file as Python would: alone, or as the part of a package that it is.

A file of a course project says `from .layers import Linear` or `from mytorch.nn import ReLU`, and its author starts
Python in the project's folder. So the folders above the file are searched, after all that is installed, and a file with
relative imports, or beside an `__init__.py`, is imported by its dotted name.
"""

import ast
import importlib
import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ..check import Finding, Report, runner
from ..errors import DataError
from . import lab, parts

LOAD_LIMIT = 3.0  # seconds that the file itself, outside of its functions, may take
LIBRARY_LIMIT = 60.0  # seconds for one library that it imports
ABOVE = 4  # folders above the file in which its own packages are looked for
ROOTS = (".git", "pyproject.toml", "setup.py", "requirements.txt")  # where a project begins


def read(path: str | Path, command: str = "learn") -> Any:
    """The text of a learner's file. Raises DataError, in the name of `command`, if it is gone or is no text."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # Python takes the mark that Notepad writes, too
    except FileNotFoundError:
        raise DataError(f"{command}: {path} is not there") from None
    except UnicodeDecodeError:
        raise DataError(f"{command}: {path} is not text in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{command}: cannot read {path}: {error.strerror or error}") from None


def load(path: str | Path, name: str, limit: float = LOAD_LIMIT, whole: bool = True) -> Any:
    """(module, None), or (None, a report that says why the file does not run within `limit` seconds).

    With `whole=False` a file that does not run gives its functions and classes all the same, where these can be made:
    a training script needs no data set to be looked into. `parts.left_out(module)` tells what was left out."""
    path = Path(path).absolute()
    folders = _folders(path)
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # last: a learner's file hides no library
    sys.dont_write_bytecode = True  # no __pycache__ beside the learner's files
    anchor = SimpleNamespace(__code__=SimpleNamespace(co_filename=str(path), co_firstlineno=1))
    tree = _tree(path)
    _renamed(tree, folders)
    _libraries(tree, folders)
    dotted = _dotted(path, tree)
    told = runner.call(_module, (path, name, dotted), seconds=limit)
    lab.PRINTED.append(told.printed)
    if not told.ok and not whole and tree.body:
        told = parts.definitions(path, tree, dotted or f"learner_{name}", limit) or told
    if told.ok:
        return told.value, None
    error = told.error
    _, line = runner.innermost(error, anchor) if error is not None else (None, None)
    if told.cut_off or error is None:
        message = f"Reading the file took more than {limit:g} s: is there a loop outside of a function?"
    elif isinstance(error, (MemoryError, RecursionError)) and (deep := _unreadable(path)):
        message = f"Python cannot read the file: {deep}"
    elif isinstance(error, SyntaxError):
        message, line = f"Python cannot read the file: {syntax(error)}", error.lineno
    elif isinstance(error, SystemExit):
        message = "The file ends Python (exit or quit) before the check can begin."
    else:
        message = f"Reading the file raised {runner.named(error)}"
    finding = Finding(path.name, message, "load", None, "exact", None, str(path), line)
    return None, Report("", [finding], status={"file": "wrong"}, printed=told.printed)


def parsed(text: str, name: str = "<unknown>") -> ast.Module:
    """The tree of a program's text. Raises SyntaxError where Python cannot read it, for whatever reason."""
    try:
        return ast.parse(text, name)
    except ValueError as error:
        raise SyntaxError(str(error)) from None
    except (RecursionError, MemoryError):
        raise SyntaxError("it is nested too deeply") from None


def _unreadable(path):
    """Why Python cannot parse a file; None if it can, so what it raised came from its lines."""
    try:
        parsed(read(path, "load"))
    except SyntaxError as error:
        return str(error)
    return None


def syntax(error: Any) -> str:
    """What Python's parser says of a file, with the line."""
    line = getattr(error, "lineno", None)
    text = (getattr(error, "text", None) or "").strip()
    words = getattr(error, "msg", None) or str(error)
    return f"{words}" + (f", line {line}" if line else "") + (f": {text[:60]}" if text else "")


def _module(path, name, dotted):
    """The module: by its dotted name where it is part of a package, else from the file alone."""
    if dotted is not None:
        try:
            return importlib.import_module(dotted)
        except ImportError:
            if _relative(_tree(path)):
                raise
    spec: Any = importlib.util.spec_from_file_location(f"learner_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tree(path):
    try:
        return parsed(path.read_text(encoding="utf-8-sig"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ast.Module([], [])  # running the file says what is wrong with it


def _folders(path):
    """The file's folder and those above it, up to the beginning of its project and no further than `ABOVE`."""
    out = [path.parent]
    for folder in list(path.parents)[1 : ABOVE + 1]:
        if any((out[-1] / mark).exists() for mark in ROOTS) or folder == folder.parent or folder == Path.home():
            break
        out.append(folder)
    here = Path.cwd()
    return out if here in out or here == here.parent else [*out, here]


def _libraries(tree, folders):
    """Import what the file needs of installed libraries before the clock starts: PyTorch alone takes seconds."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for name in names:
            root = name.partition(".")[0]
            own = any((f / root).exists() or (f / f"{root}.py").exists() for f in folders)
            if not own:
                runner.call(importlib.import_module, (name,), seconds=LIBRARY_LIMIT)


def _renamed(tree, folders):
    """Let `from net.layers import Dense` find layers.py in a folder that is called net-main, or as its copy is."""
    for node in ast.walk(tree):
        dotted = node.module if isinstance(node, ast.ImportFrom) and not node.level else None
        root, dot, rest = (dotted or "").partition(".")
        if not dot or root in sys.modules or parts.findable(root):
            continue
        inner = Path(*rest.split("."))
        own = next((f for f in folders if (f / inner).is_dir() or (f / inner).with_suffix(".py").exists()), None)
        if own is not None:
            package = ModuleType(root)
            package.__path__ = [str(own)]
            sys.modules[root] = package


def _relative(tree):
    """How many packages up the file's relative imports reach; 0 if it has none."""
    return max((n.level for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)), default=0)


def _ahead(folder):
    """Search the folder of a package before its own folders: within it, a file may have the package's name."""
    inner = [k for k, p in enumerate(sys.path) if p and folder in Path(p).parents]
    if str(folder) in sys.path:
        at = sys.path.index(str(folder))
        if not inner or at < inner[0]:
            return
        del sys.path[at]
    sys.path.insert(inner[0] if inner else len(sys.path), str(folder))


def _dotted(path, tree):
    """The file's name within its package, "nn.layers"; None for a file that stands alone."""
    parts, folder = [path.stem], path.parent
    levels = _relative(tree)
    while (
        (folder / "__init__.py").exists() or levels > 0
    ) and folder.name.isidentifier():  # "My-Network" is no package
        parts.append(folder.name)
        folder, levels = folder.parent, levels - 1
    if len(parts) == 1 or levels > 0 or not path.stem.isidentifier():
        return None
    _ahead(folder)
    found = None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(parts[-1])
    if found is None or str(folder / parts[-1]) not in map(str, found.submodule_search_locations or ()):
        return None  # an installed library has that name, and comes first
    return ".".join(reversed(parts))
