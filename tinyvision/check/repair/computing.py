"""Which functions do nothing but compute: only those are tried in other forms.

A changed statement of anything else could delete another folder than the one that was meant, or write into what the
author's program holds. So everything that a function does must be on a list here; what is not, is not tried.
"""

import ast
import builtins
import math
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

# Of NumPy, what reads or writes files and memory that is not an array's, calls functions, or changes settings.
_NOT_OF_NUMPY = frozenset(
    ("save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap",
     "open_memmap", "DataSource", "npyio", "format", "introspect", "as_strided", "ctypeslib", "frompyfunc", "vectorize",
     "apply_along_axis", "apply_over_axes", "fromfunction", "piecewise", "seterr", "seterrcall", "set_printoptions",
     "setbufsize", "seed", "set_state", "set_bit_generator", "test", "testing", "f2py", "distutils", "core", "rec",
     "char", "info", "show_config", "show_runtime")
)  # fmt: skip
_BUILTINS = tuple(
    getattr(builtins, name) for name in
    ("abs", "all", "any", "bool", "dict", "divmod", "enumerate", "float", "int", "isinstance", "len", "list", "max",
     "min", "pow", "range", "reversed", "round", "slice", "sorted", "str", "sum", "tuple", "zip",
     "ValueError", "TypeError", "AssertionError", "NotImplementedError", "IndexError", "KeyError", "RuntimeError",
     "Exception")
)  # fmt: skip
_METHODS = frozenset(
    ("all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum", "diagonal", "dot", "fill",
     "flatten", "item", "max", "mean", "min", "nonzero", "outer", "prod", "ravel", "repeat", "reshape", "round", "sort",
     "squeeze", "std", "sum", "swapaxes", "take", "tolist", "trace", "transpose", "var", "view",
     "rand", "randn", "random", "normal", "uniform", "standard_normal", "binomial", "integers",
     "append", "extend", "get", "index", "insert", "items", "keys", "pop", "setdefault", "update", "values", "format")
)  # fmt: skip
_PLAIN = (bool, int, float, complex, str, type(None), np.generic, np.dtype)
_REFUSED = (ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor,
            ast.AsyncWith, ast.AsyncFunctionDef, ast.ClassDef)  # fmt: skip


def only_computes(tree: ast.AST, function: FunctionType, owner: str | None, known: set[CodeType]) -> bool:
    """True if a function has nothing but numbers, arrays, NumPy's functions, and calls of the functions in `known`.

    tree, owner   how it is written, and the name of its class or None
    known         the code of the author's other functions that ran; whether those only compute is asked of each"""
    return _Reader(function, known, _own_names(tree)).allows(tree) and _holds_nothing(function, owner)


def _own_names(tree):
    """The variables of a function and of the functions within it."""
    names = {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
    names |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return names | {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}


def _holds_nothing(function, owner):
    """True unless the class keeps something for all of its objects that a changed statement could write into."""
    kind = function.__globals__.get(owner) if owner else None
    plain = (*_PLAIN, FunctionType, staticmethod, classmethod, property, type)
    return not isinstance(kind, type) or all(
        isinstance(value, plain) for name, value in vars(kind).items() if not name.startswith("__")
    )


class _Reader:
    def __init__(self, function: FunctionType, known: set[CodeType], own: set[str]) -> None:
        self.function, self.known, self.own = function, known, own
        self.names_of_known = {code.co_name for code in known}
        cells = function.__closure__ or ()
        self.closed_over = dict(zip(function.__code__.co_freevars, cells, strict=True))

    def allows(self, tree: ast.AST) -> bool:
        """Whether everything in a function is on a list."""
        inner = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n is not tree}
        self.own |= inner
        for node in ast.walk(tree):
            if isinstance(node, _REFUSED):
                return False
            if isinstance(node, ast.Attribute) and (node.attr.startswith("__") or node.attr == "ctypes"):
                return False
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and not self._readable(node.id):
                return False
            if isinstance(node, ast.Call) and not self._callable(node.func, inner):
                return False
            if isinstance(node, ast.With) and not all(isinstance(i.context_expr, ast.Call) for i in node.items):
                return False
        return True

    def _value(self, name: str) -> Any:
        """What a name means that is no variable of the function; None as well for what means nothing."""
        if name in self.closed_over:
            try:
                return self.closed_over[name].cell_contents
            except ValueError:  # not filled yet
                return None
        return self.function.__globals__.get(name, getattr(builtins, name, None))

    def _readable(self, name: str) -> bool:
        if name in self.own or name in ("self", "__class__"):
            return True
        value = self._value(name)
        if isinstance(value, tuple):
            return all(isinstance(v, _PLAIN) for v in value)
        return isinstance(value, _PLAIN) or _is_numpys(value) or self._is_function(value)

    def _is_function(self, value: Any) -> bool:
        if isinstance(value, FunctionType):
            return value.__code__ in self.known
        if isinstance(value, type) and getattr(value, "__module__", None) == self.function.__module__:
            made = value.__dict__.get("__init__")
            return made is None or getattr(made, "__code__", None) in self.known
        return any(value is one for one in (*_BUILTINS, super))

    def _callable(self, called: ast.expr, inner: set[str]) -> bool:
        if isinstance(called, ast.Name):
            if called.id in self.own:
                return called.id in inner
            return self._is_function(self._value(called.id)) or _is_numpys(self._value(called.id))
        if not isinstance(called, ast.Attribute):
            return False
        names, root = [called.attr], called.value
        while isinstance(root, ast.Attribute):
            names.append(root.attr)
            root = root.value
        if isinstance(root, ast.Name) and root.id not in self.own and isinstance(self._value(root.id), ModuleType):
            return _is_numpys(self._value(root.id)) and _NOT_OF_NUMPY.isdisjoint(names)
        return called.attr in _METHODS or called.attr in self.names_of_known


def _is_numpys(value: Any) -> bool:
    """True for NumPy, for math, and for what is imported from them by name."""
    if isinstance(value, ModuleType):
        return value in (np, np.linalg, np.fft, np.random, math)
    name = getattr(value, "__name__", "")
    if isinstance(value, np.ufunc):
        return getattr(np, name, None) is value
    if value is np.lib.stride_tricks.sliding_window_view:
        return True
    found = getattr(np, name, getattr(math, name, None)) if isinstance(name, str) else None
    return value is not None and found is value and name not in _NOT_OF_NUMPY
