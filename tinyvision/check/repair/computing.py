"""Which functions do nothing but compute: only those are tried in other forms.

A changed statement of anything else could delete another folder than the one that was meant, or send something away. So
everything that a function may do must be on a list here, and so must all that its author's other functions may do that
it may call, those as well that did not run: a changed condition could run them. What is on none is not tried.
"""

import ast
import builtins
import copy
import enum
import functools
import itertools
import math
import os
import random
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .strided import AS_STRIDED

# Of NumPy, what reads or writes files and memory that is not an array's, calls functions, or changes settings.
_NOT_OF_NUMPY = frozenset(
    ("save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
     "open_memmap", "DataSource", "npyio", "format", "introspect", "ctypeslib", "frompyfunc", "vectorize",
     "apply_along_axis", "apply_over_axes", "fromfunction", "piecewise", "seterr", "seterrcall", "set_printoptions",
     "setbufsize", "set_bit_generator", "test", "testing", "f2py", "distutils", "core", "rec",
     "char", "info", "show_config", "show_runtime")
)  # fmt: skip
_OF_MODULES = {
    time: ("time", "perf_counter", "monotonic", "process_time"), copy: ("copy", "deepcopy"), functools: ("reduce",),
    random: ("random", "uniform", "gauss", "randint", "choice", "shuffle", "sample", "seed", "normalvariate"),
    itertools: ("product", "chain", "count", "combinations", "permutations", "repeat", "accumulate", "islice"),
}  # fmt: skip
_OF_SCIPY = frozenset(
    ("correlate", "correlate2d", "convolve", "convolve2d", "fftconvolve", "expit", "softmax", "log_softmax",
     "logsumexp", "erf", "xlogy", "special", "signal", "ndimage")
)  # fmt: skip
_BUILTINS = tuple(
    getattr(builtins, name) for name in
    ("abs", "all", "any", "bool", "callable", "dict", "divmod", "enumerate", "filter", "float", "hasattr", "int",
     "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min", "next", "pow", "print", "range",
     "reversed", "round", "set", "slice", "sorted", "str", "sum", "super", "tuple", "type", "zip", "object",
     "staticmethod", "classmethod",
     "property", "ValueError", "TypeError", "AssertionError", "NotImplementedError", "IndexError", "KeyError",
     "RuntimeError", "AttributeError", "ArithmeticError", "ZeroDivisionError", "Exception")
)  # fmt: skip
_METHODS = frozenset(
    ("all", "any", "argmax", "argmin", "argsort", "astype", "clip", "conj", "copy", "cumsum", "cumprod", "diagonal",
     "dot", "fill", "flatten", "item", "max", "mean", "min", "nonzero", "outer", "prod", "ptp", "ravel", "repeat",
     "reshape", "round", "searchsorted", "sort", "squeeze", "std", "sum", "swapaxes", "take", "tolist", "trace",
     "transpose", "var", "view",
     "rand", "randn", "random", "normal", "uniform", "standard_normal", "binomial", "integers", "randint", "choice",
     "shuffle", "permutation",
     "append", "clear", "count", "endswith", "extend", "format", "get", "index", "insert", "items", "join", "keys",
     "lower", "pop", "reverse", "setdefault", "split", "startswith", "strip", "title", "update", "upper", "values")
)  # fmt: skip
# What an array can do besides: read as an attribute, it could be handed to something that calls it.
_NOT_OF_ARRAYS = frozenset(("ctypes", "dump", "dumps", "setflags", "tofile"))
_READS = frozenset(("copy", "count", "get", "index", "items", "keys", "values"))  # of a list or a dictionary
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic, np.dtype, enum.Enum, range)
_REFUSED = (ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.Await, ast.AsyncFor,
            ast.AsyncWith, ast.AsyncFunctionDef, ast.ClassDef)  # fmt: skip
_KNOWN_CLASSES = ("builtins", "abc", "typing", "enum", "collections", "numpy")  # the modules of classes that compute

_OURS = str(Path(__file__).resolve().parents[2]) + os.sep
_INSTALLED = ("site-packages", "dist-packages")
# Python's own modules: they may lie below the author's folder, as with an environment inside of a project.
_PYTHONS = tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")})


@functools.cache
def is_authors(file: str) -> bool:
    """Whether a file is neither ours nor installed nor Python's: what is one of these is never changed."""
    if file.startswith((_OURS, "<")) or any(part in file for part in _INSTALLED):
        return False
    return not os.path.realpath(file).startswith(_PYTHONS)


@dataclass
class Seen:
    """What was there while the functions ran: what can be called, by the names of variables and attributes, and the
    classes of objects."""

    callables: dict[str, dict[int, Any]] = field(default_factory=dict)
    classes: dict[type, None] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of all methods, and of all else that can be called."""
        return {*self.callables, *(n for c in self.classes for k in c.__mro__ for n in vars(k))}

    def note(self, name: str, value: Any, depth: int = 0) -> None:
        """A variable or an attribute of that name, and the attributes of an object."""
        if callable(value):
            self.callables.setdefault(name, {})[id(value)] = value
        if isinstance(value, type):
            self.classes.setdefault(value)
        elif hasattr(value, "__dict__") and not isinstance(value, (FunctionType, ModuleType)):
            self.classes.setdefault(type(value))
            for inner, held in list(vars(value).items()) if depth < 2 else ():
                self.note(inner, held, depth + 1)

    def keeps_nothing(self) -> bool:
        """True unless a class keeps something for all of its objects, in which a changed statement could leave it."""
        for kind in [k for c in self.classes for k in c.__mro__ if is_authors(_file(k))]:
            for name, value in vars(kind).items():
                if name.startswith("__") or name == "_abc_impl" or _settled(value):
                    continue
                return False
        return True


def _settled(value):
    """True for what nothing is written into: numbers, words, tuples of them, and what has code."""
    if isinstance(value, (tuple, frozenset)):
        return all(_settled(v) for v in value)
    descriptors = (FunctionType, staticmethod, classmethod, property, functools.cached_property, type)
    return isinstance(value, (*_PLAIN, *descriptors)) or type(value).__name__ in ("member_descriptor",
                                                                                  "getset_descriptor")  # fmt: skip


def _file(kind):
    """The file that a class is written in; "" for one without functions in a module that is in no table."""
    if kind.__module__ in sys.modules:
        return getattr(sys.modules[kind.__module__], "__file__", None) or "<built in>"
    return next((f.__code__.co_filename for f in vars(kind).values() if isinstance(f, FunctionType)), "")


def reached(tree: ast.AST, function: FunctionType, seen: Seen) -> list[FunctionType] | None:
    """The author's other functions that a function may call; None if it may do more than compute.

    It may have nothing but numbers, arrays, NumPy's functions and what these compute with."""
    reader = _Reader(tree, function, seen)
    return list(reader.found.values()) if reader.allows() else None


def _parts(tree: ast.AST) -> Iterator[ast.AST]:
    """All that runs when a function does: not its decorators and defaults, and no annotation."""
    waiting = list(getattr(tree, "body", ()))
    while waiting:
        node = waiting.pop()
        yield node
        skipped: tuple[Any, ...] = ()
        if isinstance(node, (ast.AnnAssign, ast.arg)):
            skipped = (node.annotation,)
        elif isinstance(node, ast.FunctionDef):
            skipped = (node.returns,)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
            skipped = tuple(node.args[1:])  # classes that are compared with, and not called
        waiting += [child for child in ast.iter_child_nodes(node) if not any(child is s for s in skipped)]


def _own_names(tree):
    """The variables of a function and of the functions within it."""
    names = {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
    names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return names | {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}


def _root(node):
    """x of x.y[0].z."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node


def _chain(node):
    """(["z", "y"], x) of x.y.z."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return names, node


class _Reader:
    def __init__(self, tree: ast.AST, function: FunctionType, seen: Seen) -> None:
        self.tree, self.function, self.seen = tree, function, seen
        self.found: dict[CodeType, FunctionType] = {}
        self.inner = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n is not tree}
        self.own = _own_names(tree) | self.inner
        cells = function.__closure__ or ()
        self.closed_over = dict(zip(function.__code__.co_freevars, cells, strict=True))
        globals_ = [v for v in function.__globals__.values() if isinstance(v, type) and is_authors(_file(v))]
        self.classes = list(dict.fromkeys([*seen.classes, *globals_]))

    def allows(self) -> bool:
        """Whether everything in the function is on a list."""
        return all(self._allowed(node) for node in _parts(self.tree))

    def _allowed(self, node):
        if isinstance(node, _REFUSED):
            return False
        if isinstance(node, ast.Attribute):
            names, root = _chain(node)
            value = self._value(root.id) if isinstance(root, ast.Name) and root.id not in self.own else None
            if isinstance(value, ModuleType) and not _of_module(value, names):
                return False
            plain = node.attr in ("__init__", "__name__", "__class__", "__call__") or not _is_dunder(node.attr)
            stored = not isinstance(node.ctx, ast.Load) and not self._is_own(_root(node))
            return plain and node.attr not in _NOT_OF_ARRAYS and not stored
        if isinstance(node, ast.Subscript):
            return isinstance(node.ctx, ast.Load) or self._is_own(_root(node))
        if isinstance(node, ast.Name):
            return not isinstance(node.ctx, ast.Load) or self._is_own(node) or self._readable(self._value(node.id))
        if isinstance(node, ast.Call):
            prints = getattr(node.func, "id", "") == "print" and any(k.arg in ("file", None) for k in node.keywords)
            return not prints and self._callable(node.func)
        return not isinstance(node, ast.With) or all(isinstance(i.context_expr, ast.Call) for i in node.items)

    def _is_own(self, node):
        return not isinstance(node, ast.Name) or node.id in self.own or node.id in ("self", "__class__")

    def _value(self, name: str) -> Any:
        """What a name means that is no variable of the function; None as well for what means nothing."""
        if name in self.closed_over:
            try:
                return self.closed_over[name].cell_contents
            except ValueError:  # not filled yet
                return None
        return self.function.__globals__.get(name, getattr(builtins, name, None))

    def _readable(self, value: Any, depth: int = 0) -> bool:
        """Whether all that can be done with a value is on a list."""
        if isinstance(value, (tuple, list, set, frozenset, dict)) and depth < 4:
            inside = [*value, *value.values()] if isinstance(value, dict) else value
            return all(self._readable(v, depth + 1) for v in inside)
        if isinstance(value, (*_PLAIN, np.ndarray)) or (isinstance(value, ModuleType) and _is_known_module(value)):
            return True
        if hasattr(value, "__dict__") and not callable(value) and not isinstance(value, ModuleType):
            return not vars(value) and self._made_by(type(value))
        return self._calls(value)

    def _calls(self, value: Any) -> bool:
        """Whether a value may be called."""
        if any(value is one for one in _BUILTINS) or _is_known(value):
            return True
        if isinstance(value, FunctionType):
            return self._reach(value)
        if isinstance(value, type):
            return self._made_by(value)
        if isinstance(value, MethodType):
            return self._calls(value.__func__)
        if isinstance(value, functools.partial):
            return self._calls(value.func)
        if isinstance(value, BuiltinMethodType):
            return isinstance(value.__self__, (*_PLAIN, np.ndarray, np.random.Generator, np.random.RandomState, list,
                                               dict, tuple)) and value.__name__ in _METHODS  # fmt: skip
        file = _file(type(value))
        return (is_authors(file) or file.startswith(_OURS)) and self._made_by(type(value))

    def _reach(self, function):
        file = function.__code__.co_filename
        if is_authors(file):
            self.found.setdefault(function.__code__, function)
            return True
        return file.startswith(_OURS)

    def _made_by(self, kind: type) -> bool:
        """Whether objects of a class may be made, called, and computed with."""
        for base in kind.__mro__:
            if base.__module__.partition(".")[0] in _KNOWN_CLASSES or base.__module__.startswith("tinyvision."):
                continue
            if not is_authors(_file(base)):
                return False
            written = [f for n, f in vars(base).items() if _is_dunder(n) and isinstance(f, FunctionType)]
            if not all(self._reach(f) for f in written):
                return False
        return True

    def _callable(self, called: ast.expr) -> bool:
        if isinstance(called, ast.Name):
            if called.id in self.inner:
                return True
            if called.id in self.own:
                held = self.seen.callables.get(called.id, {})
                return bool(held) and all(self._calls(v) for v in held.values())
            return self._calls(self._value(called.id))
        if isinstance(called, ast.Attribute):
            return self._attribute(called)
        root = _root(called)
        if isinstance(called, ast.Subscript):  # a table of functions
            return isinstance(root, ast.Name) and root.id not in self.own
        return isinstance(called, ast.Lambda) or (isinstance(called, ast.Call) and isinstance(called.func, ast.Name))

    def _attribute(self, called):
        names, root = _chain(called)
        value = self._value(root.id) if isinstance(root, ast.Name) and root.id not in self.own else None
        if isinstance(value, ModuleType):
            return _of_module(value, names)
        if isinstance(root, ast.Call) and getattr(root.func, "id", "") == "super" and len(names) == 1:
            return self._of_base(root, called.attr)
        if isinstance(value, type) and len(names) == 1:
            return self._member(value.__mro__, called.attr)
        if isinstance(value, (list, dict, set)) and called.attr not in _READS:
            return False
        return not _is_dunder(called.attr) and self._method(called.attr)

    def _of_base(self, call, name):
        """super().name: that of every class that may come after the one that it is written in."""
        first = call.args[0] if call.args else None
        kind = self._value(first.id if isinstance(first, ast.Name) else "__class__")
        if not isinstance(kind, type):
            return False
        orders = [k.__mro__ for k in (kind, *self.classes) if kind in k.__mro__]
        return all(self._member(order[order.index(kind) + 1 :], name) for order in orders)

    def _member(self, kinds, name):
        """Whether what those classes have under a name may be called, all of it."""
        members = [(k, vars(k)[name]) for k in kinds if name in vars(k)]
        return all(
            k.__module__.partition(".")[0] in _KNOWN_CLASSES
            or self._calls(m.__func__ if isinstance(m, (staticmethod, classmethod)) else m)
            for k, m in members
        )

    def _method(self, name):
        """Whether a method may be called that is known by its name alone: any that it may be."""
        kinds = dict.fromkeys(k for kind in self.classes for k in kind.__mro__ if k is not object)
        if name.startswith("__"):  # a class calls its own __x so, and it is _Conv__x
            name = next((n for k in kinds if (n := f"_{k.__name__.lstrip('_')}{name}") in self.seen.names), name)
        having = [k for k in kinds if name in vars(k)]
        held = self.seen.callables.get(name, {}).values()
        known = name in _METHODS or having or held
        return bool(known) and self._member(having, name) and all(self._calls(v) for v in held)


def _is_dunder(name):
    return name.startswith("__") and name.endswith("__")


def _is_known_module(module: ModuleType) -> bool:
    return module in (np, np.linalg, np.fft, np.random, math) or module in _OF_MODULES or _is_scipys(module)


def _is_scipys(module):
    return module.__name__.partition(".")[0] == "scipy"


def _of_module(module: ModuleType, names: list[str]) -> bool:
    """True for what only computes of a module: numpy.linalg.norm."""
    if module in _OF_MODULES:
        return len(names) == 1 and names[0] in _OF_MODULES[module]
    if _is_scipys(module):
        return _OF_SCIPY.issuperset(names)
    return _is_known_module(module) and _NOT_OF_NUMPY.isdisjoint(names)


def _is_known(value: Any) -> bool:
    """True for a function out of one of the modules that only computes."""
    name = getattr(value, "__name__", "")
    if not isinstance(name, str) or name in _NOT_OF_NUMPY:
        return False
    if any(value is f for f in (np.lib.stride_tricks.sliding_window_view, AS_STRIDED)):
        return True
    modules: list[ModuleType] = [np, np.linalg, np.fft, np.random, math]
    modules += [m for m, allowed in _OF_MODULES.items() if name in allowed]
    modules += [sys.modules[f"scipy.{m}"] for m in ("signal", "special", "ndimage") if f"scipy.{m}" in sys.modules]
    found = [m for m in modules if getattr(m, name, None) is value]
    return any(not _is_scipys(m) or name in _OF_SCIPY for m in found)
