"""What a statement would compute in each of its forms, found out in one run: most forms need no run of their own.

A form that raises, makes more numbers than any probe needs, or computes what the statement computes as it is, mends
nothing; of several that compute the same one stands for all. Of what does more than compute, a call of the author's own
function, what it is given is compared.
"""

import ast
import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from .edits import Edit, place_of
from .forms import changed, located, owners_of, parts_of, place_in_file
from .written import TURN, Written

NOTE = "tinyvision_note"  # a global variable, for the time of one run
_NOTED, _HELD = "tinyvision_noted", "tinyvision_held"  # local ones: is this turn noted, what does the statement compute
_WHOLE, _GIVEN = -1, -2  # what a form is compared with: what the statement computes, what the function in it is given
_OFTEN = 64  # times that a statement may run and is compared throughout
_FORMS = 32_000  # expressions that are computed for one statement, all forms and turns together
_DOES_MORE = (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.Lambda, ast.Starred)
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


def distinct(written: Written, changes: Sequence[Edit], run: Callable[[], Any]) -> tuple[list[list[Edit]], int]:
    """(the changes of one statement that may make a difference, those together that make the same; how many values were
    computed to know)."""
    statement: Any = changes[0].statement
    place = place_of(written.tree, statement)
    head = next((h for h in ("value", "iter", "test") if isinstance(getattr(statement, h, None), ast.expr)), None)
    if len(changes) < 3 or place is None or head is None or isinstance(statement, ast.While):
        return [[c] for c in changes], 0
    notes = _Notes(min(_OFTEN, max(8, _FORMS // len(changes))))
    against = _note(notes, written, changes, place, head, run)
    groups: dict[Any, list[Edit]] = {}
    for k, change in enumerate(changes):
        values, usual = notes.seen.get(k), notes.seen.get(against.get(k, 0))
        if values is None or usual is None:
            groups[object()] = [change]  # nothing is known of it
        elif values[0] is None or (values == usual and len(usual) <= notes.often):
            continue
        else:
            key: Hashable = (against[k], *values) if len(values) <= notes.often else object()
            groups.setdefault(key, []).append(change)
    return list(groups.values()), sum(map(len, notes.seen.values()))


def _note(notes, written, changes, place, head, run):
    """Notes in one run what each form computes, under the change's number, and what the statement as it is does; for
    each change what it is to be compared with."""
    (block, index), known, against = place, _Known(), {}
    statement, owners = block[index], owners_of(block[index])
    usual, make = getattr(statement, head), _Tries(statement, head == "test")
    given = _given(usual, usual)
    before = [] if given is None or not known.computes(given) else [make(_GIVEN, given)]
    after = [make(_WHOLE, ast.Name(_HELD, ast.Load()))]
    for k, change in enumerate(changes):
        located(change.new, statement)
        around = change.owner is statement and change.field == head
        if around:
            new = change.new
        else:
            new = getattr(changed(change, block, owners), head, None) if id(change.owner) in owners else None
        if not isinstance(new, ast.expr) or (new is usual and not around):
            continue  # what it computes is stored elsewhere
        if known.computes(new):
            before.append(make(k, new))
            against[k] = _WHOLE
        elif around and (held := _holding(new, usual)) is not new and known.computes(held):
            after.append(make(k, held))
            against[k] = _WHOLE
        elif (given := _given(new, usual)) is not None and known.computes(given):
            before.append(make(k, given))
            against[k] = _GIVEN
    noted = ast.Name(_NOTED, ast.Load())
    block[index : index + 1] = noting = [
        ast.Assign([ast.Name(_NOTED, ast.Store())], ast.Call(ast.Name(NOTE, ast.Load()), [], [])),
        *([ast.If(noted, before, [])] if before else []),
        ast.Assign([ast.Name(_HELD, ast.Store())], usual),
        ast.If(noted, after, []),
        type(statement)(**{**vars(statement), head: ast.Name(_HELD, ast.Load())}),
    ]
    for node in noting[:-1]:
        located(node, statement)
    located(getattr(noting[-1], head), statement)
    try:
        code = written.compiled()
    finally:
        block[index : index + len(noting)] = [statement]
    if code is not None:
        module = written.objects[0].__globals__
        module[NOTE] = notes
        try:
            with written.standing_in(code):
                run()
        finally:
            del module[NOTE]
    return against


def _holding(node, usual):
    """The tree with what the statement has computed already in the place of the expression that computes it."""
    if node is usual:
        return ast.copy_location(ast.Name(_HELD, ast.Load()), usual)
    fields: dict[str, Any] = {}
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST) and (new := _holding(value, usual)) is not value:
            fields[field] = new
        elif isinstance(value, list):
            several = [_holding(v, usual) if isinstance(v, ast.AST) else v for v in value]
            if any(map(operator.is_not, several, value)):
                fields[field] = several
    return type(node)(**{**vars(node), **fields}) if fields else node


def _given(node, usual):
    """A tuple of what a call is given that calls the same function by the same names; None for anything else."""
    if not (isinstance(node, ast.Call) and isinstance(usual, ast.Call) and node.func is usual.func):
        return None
    if [k.arg for k in node.keywords] != [k.arg for k in usual.keywords]:
        return None
    return ast.Tuple([*node.args, *(k.value for k in node.keywords)], ast.Load())


class _Notes:
    """Called without anything, whether what comes now is to be noted; else with what a form computes."""

    def __init__(self, often: int) -> None:
        self.often = often
        self.seen: dict[int, list] = {}
        self.asked, self.most = 0, _LARGE

    def __call__(self, *noted: Any) -> bool:
        if noted:
            known = len(noted) > 1
            size = _size(noted[1]) if known else 0
            if noted[0] == _WHOLE:
                self.most = max(self.most, 4 * size)
            self.seen.setdefault(noted[0], []).append(_key(noted[1]) if known and size <= self.most else None)
        else:
            self.asked += 1
        return self.asked <= self.often + 1


class _Tries:
    """Makes `try: note(k, value)`, `except: note(k)` at the place of a statement; of a condition whether it holds."""

    def __init__(self, statement: ast.stmt, truth: bool) -> None:
        self.at, self.truth, self.place = statement, truth, place_in_file(statement)
        self.note = ast.Name(NOTE, ast.Load(), **self.place)

    def __call__(self, k: int, value: ast.expr) -> ast.Try:
        value = ast.UnaryOp(ast.Not(), value, **self.place) if self.truth else value
        located(value, self.at)
        number = ast.copy_location(ast.Constant(k), self.at)
        handler = ast.ExceptHandler(None, None, [self._call([number])], **self.place)
        return ast.Try(body=[self._call([number, value])], handlers=[handler], orelse=[], finalbody=[], **self.place)

    def _call(self, given: list[ast.expr]) -> ast.stmt:
        return ast.Expr(ast.Call(self.note, given, [], **self.place), **self.place)


class _Known:
    """Whether an expression changes nothing and draws no numbers: found once for each node, as forms share them."""

    def __init__(self) -> None:
        self.asked: dict[ast.AST, bool] = {}  # by the node itself, which so stays: another might get its id

    def computes(self, node: ast.AST) -> bool:
        """True for one that only computes."""
        known = self.asked.get(node)
        if known is None:
            known = self.asked[node] = _may(node) and all(map(self.computes, parts_of(node)))
        return known


def _may(node):
    if isinstance(node, _DOES_MORE):
        return False
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return name in _COMPUTE and not any(k.arg in ("out", None) for k in node.keywords)
    return True


def _size(value):
    """How many numbers there are in an array, or in those of a tuple."""
    if isinstance(value, (tuple, list)):
        return sum([_size(v) for v in value if isinstance(v, (np.ndarray, tuple, list))], len(value))
    return value.size if isinstance(value, np.ndarray) else 1


def _key(value: Any) -> Hashable:
    """Equal for equal values; of what is neither a number nor an array, nor made of them, equal to nothing else."""
    kind = type(value)
    if kind is int:
        return value
    make = _KEYS.get(kind) or next((m for base, m in _KEYS.items() if isinstance(value, base)), None)
    return object() if make is None else make(value)


_KEYS: dict[type, Callable[[Any], Hashable]] = {
    np.ndarray: lambda a: object() if a.dtype == object else (a.shape, a.dtype.str, a.tobytes()),
    np.generic: lambda n: (type(n), n.tobytes()),  # its repr takes ten times as long
    bool: lambda n: (bool, n),
    int: lambda n: (int, n),
    float: lambda n: (float, n.hex()),  # nan is one number here, and 0.0 another than -0.0
    str: lambda s: s,
    type(None): lambda n: n,
    slice: lambda s: (slice, _key(s.start), _key(s.stop), _key(s.step)),
    range: lambda r: (range, r),
    tuple: lambda t: (tuple, *[_key(v) for v in t]),
    list: lambda t: (list, *[_key(v) for v in t]),
}
