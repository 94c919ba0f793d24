"""What a statement would compute in each of its forms, found out in one run: most forms need no run of their own.

A form that raises, makes more numbers than any probe needs, or computes what the statement computes as it is, mends
nothing; of several that compute the same one stands for all. That is known where an expression does nothing but
compute.
"""

import ast
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from .edits import Edit, places_of
from .forms import changed, located, owners_of
from .written import TURN, Written

NOTE = "tinyvision_note"  # a global variable, for the time of one run
_OFTEN = 8  # times that a statement may run and is compared throughout
_LARGE = 20_000  # numbers in an array: no probe needs as many, but where the statement as it is makes more
_COMPUTE = frozenset(
    ("abs", "all", "any", "arange", "argmax", "argmin", "array", "asarray", "astype", "bool", "clip", "concatenate",
     "copy", "cos", "cosh", "divide", "dot", "einsum", "enumerate", "equal", "exp", "expand_dims", "flatten", "flip",
     "float", "full", "greater", "greater_equal", "int", "len", "less", "less_equal", "list", "log", "log1p", "log2",
     "log10", "logical_and", "logical_not", "logical_or", "matmul", "max", "maximum", "mean", "min", "minimum",
     "moveaxis", "multiply", "negative", "ones", "ones_like", "outer", "pad", "power", "prod", "range", "ravel",
     "repeat", "reshape", "rot90", "round", "shape", "sin", "sinh", "slice", "sqrt", "square", "squeeze", "stack",
     "std", "subtract", "sum", "swapaxes", "tan", "tanh", "tensordot", "tile", "transpose", "tuple", "var", "where",
     "zeros", "zeros_like", "zip", "add", TURN)
)  # fmt: skip


def distinct(written: Written, changes: Sequence[Edit], run: Callable[[], Any]) -> list[list[Edit]]:
    """The changes of one statement that may make a difference, those together that make the same."""
    statement: Any = changes[0].statement
    place, known = places_of(written.tree).get(id(statement)), _Known()
    value = getattr(statement, "value", None)
    if len(changes) < 3 or place is None or value is None or not known.computes(value):
        return [[c] for c in changes]
    seen = _noted(written, changes, place, run, known)
    usual, groups = seen.get(-1), {}
    for k, change in enumerate(changes):
        values = seen.get(k)
        if values is None or usual is None:
            groups[object()] = [change]  # nothing is known of it
        elif values[0] is None or (values == usual and len(usual) <= _OFTEN):
            continue
        else:
            key: Hashable = tuple(values) if len(values) <= _OFTEN else object()
            groups.setdefault(key, []).append(change)
    return list(groups.values())


def _noted(written, changes, place, run, known):
    """By the number of a change, and by -1 for the statement as it is: a key for each value that it had in a run, None
    where it raised."""
    block, index = place
    statement, owners, tries = block[index], owners_of(block[index]), []
    for k, change in [(-1, None), *enumerate(changes)]:
        value = statement.value
        if change is not None:
            located(change.new, statement)
            value = getattr(changed(change, block, owners), "value", None) if id(change.owner) in owners else None
            if change.owner is statement and change.field == "value":
                value = change.new
        if isinstance(value, ast.expr) and known.computes(value):
            tries.append(_try(k, value, statement))
    begun = ast.If(ast.Call(ast.Name(NOTE, ast.Load()), [], []), tries, [])
    located(begun, statement)
    block.insert(index, begun)
    try:
        code = written.compiled()
    finally:
        del block[index]
    notes = _Notes()
    if code is not None:
        module = written.objects[0].__globals__
        module[NOTE] = notes
        try:
            with written.standing_in(code):
                run()
        finally:
            del module[NOTE]
    return notes.seen


class _Notes:
    """Called without anything, whether what comes now is to be noted; else with what a form computes."""

    def __init__(self) -> None:
        self.seen: dict[int, list] = {}
        self.asked, self.most = 0, _LARGE

    def __call__(self, *noted: Any) -> bool:
        if noted:
            known = len(noted) > 1
            size = _size(noted[1]) if known else 0
            if noted[0] == -1:
                self.most = max(self.most, 4 * size)
            self.seen.setdefault(noted[0], []).append(_key(noted[1]) if known and size <= self.most else None)
        else:
            self.asked += 1
        return self.asked <= _OFTEN + 1


def _try(k, value, at):
    """try: note(k, value); except: note(k)"""
    calls = [ast.Call(ast.Name(NOTE, ast.Load()), [ast.Constant(k), *more], []) for more in ([value], [])]
    body, handled = ([ast.Expr(call)] for call in calls)
    node = ast.Try(body=body, handlers=[ast.ExceptHandler(None, None, handled)], orelse=[], finalbody=[])
    located(node, at)
    return node


class _Known(dict):
    """Whether an expression changes nothing and draws no numbers: by the id of its node, as forms share their parts."""

    def computes(self, node: ast.AST) -> bool:
        """True for one that only computes."""
        known = self.get(id(node))
        if known is None:
            known = self[id(node)] = _may(node) and all(map(self.computes, ast.iter_child_nodes(node)))
        return known


def _may(node):
    if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.Lambda, ast.Starred)):
        return False
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return name in _COMPUTE and not any(k.arg in ("out", None) for k in node.keywords)
    return True


def _size(value):
    """How many numbers there are in an array, or in those of a tuple."""
    if isinstance(value, (tuple, list)):
        return sum(map(_size, value))
    return value.size if isinstance(value, np.ndarray) else 1


def _key(value: Any) -> Hashable:
    """Equal for equal values; of what is neither a number nor an array, nor made of them, equal to nothing else."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_key, value))
    if isinstance(value, slice):
        return slice, _key(value.start), _key(value.stop), _key(value.step)
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return type(value), repr(value)
    return object()
