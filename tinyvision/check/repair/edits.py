"""Small changes of one statement: the inverses of what people get wrong.

Another operator, sign, axis, constant or variable of the same kind; a factor, a term, a transpose more or less; += in
the place of =; a mean in the place of a sum. Each is made in the tree, tried, and taken back.
"""

import ast
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .written import Written, is_turn

_OTHER: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add, ast.Mult), ast.Mult: (ast.Div, ast.Add, ast.MatMult),
    ast.Div: (ast.Mult, ast.FloorDiv), ast.FloorDiv: (ast.Mod, ast.Div), ast.Mod: (ast.FloorDiv,),
    ast.MatMult: (ast.Mult,),
    ast.Gt: (ast.Lt, ast.GtE, ast.LtE), ast.Lt: (ast.Gt, ast.GtE, ast.LtE), ast.GtE: (ast.LtE, ast.Gt, ast.Lt),
    ast.LtE: (ast.GtE, ast.Lt, ast.Gt), ast.Eq: (ast.NotEq, ast.Gt, ast.Lt), ast.NotEq: (ast.Eq, ast.Gt),
}  # fmt: skip
_CALLS = {
    "sum": ("mean", "max"), "mean": ("sum",), "max": ("min", "sum"), "min": ("max",), "argmax": ("argmin",),
    "argmin": ("argmax",), "maximum": ("minimum",), "minimum": ("maximum",), "var": ("std",), "std": ("var",),
    "zeros_like": ("ones_like",), "ones_like": ("zeros_like",), "zeros": ("ones",), "ones": ("zeros",),
    "multiply": ("divide", "dot", "add"), "divide": ("multiply",), "dot": ("multiply",), "add": ("subtract",),
    "subtract": ("add",), "log2": ("log",), "log10": ("log",), "exp": ("log",), "log": ("exp",),
    "greater": ("less", "greater_equal"), "less": ("greater",), "rot90": ("transpose",),
}  # fmt: skip
_AXES = (0, 1, 2, 3, -1, (0, 1), (0, 2), (1, 2), (2, 3), (0, 2, 3), (1, 2, 3), None)
_WRAPS = ("-{0}", "{0}.T", "2 * {0}", "{0} / 2", "1 - {0}", "1 / {0}", "~{0}", "{0}.sum(axis=0)", "{0} ** 2",
          "len({0})")  # fmt: skip
_WRAPS_OF_NUMBERS = ("-{0}", "2 * {0}", "{0} // 2", "{0} ** 2", "1 - {0}")
_REPEATED = 40  # variables of one kind that are tried in each other's place


@dataclass
class Edit:
    """One change: `owner.field`, or its item `index`, becomes `new`; it belongs to `statement`."""

    statement: ast.stmt
    owner: Any
    field: str
    index: int | None
    new: Any

    @property
    def line(self) -> int:
        """The line of what is changed: a statement may run over several."""
        old = getattr(self.owner, self.field)
        old = old if self.index is None else old[self.index]
        return getattr(old, "lineno", self.statement.lineno)

    def put(self, value: Any) -> Any:
        """Set the place to a value; returns what was there."""
        if self.index is None:
            old = getattr(self.owner, self.field)
            setattr(self.owner, self.field, value)
            return old
        place = getattr(self.owner, self.field)
        old = place[self.index]
        place[self.index] = value
        return old


def nudges(written: Written) -> Iterator[list[tuple[Any, list[Edit]]]]:
    """For each statement its parts, and for each part edits that change what it computes, whatever that is: numbers, a
    place, a loop, a choice. A tuple has as many parts as entries."""
    for _, _, _, statement in _statements(written.tree):
        if not _computes(statement, written):
            continue
        patterns: tuple[str, ...] = ()
        field = "value"
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and statement.value is not None:
            patterns = ("{0} * 1.01 + 0.01", "{0} + 1", "{0} * -1.7 + 0.3")
        elif isinstance(statement, ast.Return) and statement.value is not None:
            patterns = ("{0} * 1.01 + 0.01",)
        elif isinstance(statement, ast.For):
            patterns, field = ("list({0})[:-1]",), "iter"
        elif isinstance(statement, (ast.If, ast.While)):
            patterns, field = ("not {0}",), "test"
        if patterns:
            value = getattr(statement, field)
            places: list = [(statement, field, None, value)]
            if isinstance(value, ast.Tuple) and field == "value":
                places = [(value, "elts", k, part) for k, part in enumerate(value.elts)]
            yield [(part, [Edit(statement, owner, name, k, _wrapped(p, part)) for p in patterns])
                   for owner, name, k, part in places]  # fmt: skip


def edits(written: Written, settled: frozenset = frozenset()) -> Iterator[Edit]:
    """All changes of all statements of a function, but of statements and their parts that are settled (by id)."""
    for owner, field, index, statement in _statements(written.tree):
        if id(statement) in settled or not _computes(statement, written):
            continue
        yield from _of_statement(owner, field, index, statement)
        values = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)
        if isinstance(statement, values) and statement.value is not None:
            yield from _throughout(statement, written)
        stored = {id(part) for target in _targets(statement) for part in ast.walk(target)}
        for parent, name, place in _expressions(statement, settled):
            node = getattr(parent, name) if place is None else getattr(parent, name)[place]
            if id(node) in stored and not isinstance(node, ast.Tuple):
                continue  # of where something is stored, the order of the indices is tried
            for new in _changes(parent, name, place, statement, written):
                yield Edit(statement, parent, name, place, new)


def _computes(statement, written):
    """False for a statement that did not run, and for one that only refuses what it is given."""
    refuses = isinstance(statement, ast.If) and not statement.orelse and isinstance(statement.body[0], ast.Raise)
    if refuses or isinstance(statement, (ast.Raise, ast.Assert, ast.FunctionDef, ast.Pass)):
        return False
    end = statement.body[0].lineno if hasattr(statement, "body") else statement.end_lineno + 1
    return any(line in written.ran for line in range(statement.lineno, max(end, statement.lineno + 1)))


def _statements(tree):
    """(owner, field, index, statement) of every statement in a function, those in loops and conditions too."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            for index, statement in enumerate(block if isinstance(block, list) else ()):  # a lambda's is one expression
                if isinstance(statement, ast.stmt) and not (
                    isinstance(statement, (ast.Import, ast.ImportFrom)) or is_turn(statement)
                ):
                    yield node, field, index, statement


def place_of(tree: ast.AST, statement: ast.stmt) -> tuple[list, int] | None:
    """(block, index) of a statement of a function."""
    return next(((getattr(o, field), index) for o, field, index, s in _statements(tree) if s is statement), None)


def _of_statement(owner, field, index, statement):
    """+= in the place of =, and the like; the statement left out."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, (ast.Subscript, ast.Attribute, ast.Name)):
            for operator in (ast.Add(), ast.Sub()):
                new: Any = ast.AugAssign(target=target, op=operator, value=statement.value)
                yield Edit(statement, owner, field, index, ast.copy_location(new, statement))
    if isinstance(statement, ast.AugAssign):
        for kind in (ast.Add, ast.Sub, ast.Mult, ast.Div):
            if not isinstance(statement.op, kind):
                new = ast.AugAssign(target=statement.target, op=kind(), value=statement.value)
                yield Edit(statement, owner, field, index, ast.copy_location(new, statement))
        new = ast.Assign(targets=[statement.target], value=statement.value)
        yield Edit(statement, owner, field, index, ast.copy_location(new, statement))
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)) and not _is_text(statement):
        yield Edit(statement, owner, field, index, ast.copy_location(ast.Pass(), statement))


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _expressions(statement, settled):
    """(owner, field, index) of every expression that is part of a statement itself, and not of one inside of it."""
    queue: list[Any] = [statement]
    while queue:
        node = queue.pop(0)
        for field, value in ast.iter_fields(node):
            if field == "annotation":
                continue
            for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(item, ast.expr) and id(item) not in settled:
                    yield node, field, index
                    queue.append(item)
                elif isinstance(item, ast.keyword):
                    queue.append(item)


def _throughout(statement, written):
    """One variable in the place of another wherever a statement reads it, or one of the file's functions of it."""
    read = [n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    for name in {n for n in read if read.count(n) > 1} & set(written.kinds):
        same = [n for n, k in written.kinds.items() if k == written.kinds[name] and n != name]
        for text in (*same[:_REPEATED], *(f"{function}({name})" for function in written.functions)):
            yield Edit(statement, statement, "value", None, _renamed(statement.value, name, _expression(text)))
    if sum(isinstance(n, ast.Slice) and n.step is not None for n in ast.walk(statement.value)) > 1:
        yield Edit(statement, statement, "value", None, _without_steps(statement.value))


def _without_steps(value):
    text = ast.parse(ast.unparse(value), mode="eval").body
    for part in ast.walk(text):
        if isinstance(part, ast.Slice):
            part.step = None
    return text


def _renamed(node: Any, name: str, new: Any) -> Any:
    """The tree with an expression in the place of a name that it reads; parts without it are the same as before."""
    if isinstance(node, ast.Name):
        return new if node.id == name and isinstance(node.ctx, ast.Load) else node
    changed: dict[str, Any] = {}
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            other = _renamed(value, name, new)
            if other is not value:
                changed[field] = other
        elif isinstance(value, list):
            others = [_renamed(v, name, new) if isinstance(v, ast.AST) else v for v in value]
            if any(a is not b for a, b in zip(others, value, strict=True)):
                changed[field] = others
    return type(node)(**{**vars(node), **changed}) if changed else node


def _changes(owner, field, index, statement, written):
    """Other expressions for the one that stands there."""
    kinds = written.kinds
    node = getattr(owner, field) if index is None else getattr(owner, field)[index]
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return  # its index is an expression of its own
    if isinstance(node, ast.BinOp):
        yield from _operators(node)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in _OTHER.get(type(node.ops[0]), ()):
            yield ast.Compare(left=node.left, ops=[kind()], comparators=node.comparators)
        yield ast.Compare(left=node.left, ops=node.ops, comparators=[ast.Constant(0)])
    elif isinstance(node, ast.Constant):
        yield from _constants(node, owner, field)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        yield from _names(node, kinds)
    elif isinstance(node, ast.Call):
        yield from _calls(node, written)
    elif isinstance(node, ast.Tuple):
        yield from _tuples(node, isinstance(owner, ast.keyword) and owner.arg == "axis")
    elif isinstance(node, ast.Subscript):
        yield node.value
        yield from _names(node, kinds)
    elif isinstance(node, ast.Slice):
        yield from _slices(node)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    if not isinstance(node, (ast.Slice, ast.Tuple)):
        yield from _added(node, owner, statement, written)


def _operators(node):
    for kind in _OTHER.get(type(node.op), ()):
        yield ast.BinOp(left=node.left, op=kind(), right=node.right)
    yield node.left
    yield node.right
    if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow)):
        yield ast.BinOp(left=node.right, op=node.op, right=node.left)
    if isinstance(node.op, ast.MatMult):
        for left, right in ((True, False), (False, True), (True, True)):
            sides = [ast.Attribute(s, "T", ast.Load()) if t else s
                     for s, t in ((node.left, left), (node.right, right))]  # fmt: skip
            yield ast.BinOp(left=sides[0], op=node.op, right=sides[1])
            yield ast.BinOp(left=sides[1], op=node.op, right=sides[0])


def _constants(node, owner, field):
    value = node.value
    if value is None or isinstance(value, bool):
        if isinstance(value, bool):
            yield ast.Constant(not value)
    elif isinstance(value, int):
        others = {value + 1, value - 1, -value, 0, 1, 2} - {value}
        yield from (ast.Constant(v) for v in sorted(others, key=lambda v: (abs(v - value), v)))
    elif isinstance(value, float):
        others = [value * 2, value / 2, -value, value + 1, value - 1, 0.0, 1.0, value * value]
        yield from (ast.Constant(v) for v in dict.fromkeys(others) if v != value)
    if isinstance(owner, ast.keyword) and owner.arg == "axis":
        yield from (_literal(a) for a in _AXES if a != value)


def _literal(value):
    if isinstance(value, tuple):
        return ast.Tuple([ast.Constant(v) for v in value], ast.Load())
    return ast.Constant(value)


def _names(node, kinds):
    name = _dotted(node)
    mine = kinds.get(name)
    if mine:
        for other in [n for n, k in kinds.items() if k == mine and n != name][:_REPEATED]:
            yield _expression(other)


def _dotted(node):
    """A variable as `kinds` names it: x, self.x, cache["x"], self.cache["x"]; "" for anything else."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        holder = _dotted(node.value)
        return f"{holder}[{node.slice.value!r}]" if holder else ""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@functools.lru_cache(4096)
def _expression(text):
    """The tree of an expression: it is shared, and never changed."""
    return ast.parse(text, mode="eval").body


def _calls(node, written):
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if isinstance(function, ast.Attribute) and _of_arrays(function.value, written):
        for other in _CALLS.get(name, ()):
            named = ast.Attribute(function.value, other, ast.Load())
            yield ast.Call(func=named, args=node.args, keywords=node.keywords)
    for k in range(len(node.keywords)):
        yield ast.Call(func=function, args=node.args, keywords=node.keywords[:k] + node.keywords[k + 1 :])
    if name in ("sum", "mean", "max", "min", "var", "std"):
        told = {k.arg for k in node.keywords}
        if "keepdims" not in told:
            kept = [*node.keywords, ast.keyword("keepdims", ast.Constant(True))]
            yield ast.Call(func=function, args=node.args, keywords=kept)
        if "axis" not in told:
            for axis in _AXES[:-1]:
                keywords = [*node.keywords, ast.keyword("axis", _literal(axis))]
                yield ast.Call(func=function, args=node.args, keywords=keywords)
    if node.args and name not in ("range", "len", "enumerate", "zip"):
        yield node.args[0]
    if name == "reshape" and isinstance(function, ast.Attribute) and _dotted(function.value) in written.kinds:
        turned = ast.Attribute(ast.Attribute(function.value, "T", ast.Load()), "reshape", ast.Load())
        yield ast.Call(func=turned, args=node.args, keywords=node.keywords)
    if isinstance(function, ast.Attribute):
        yield function.value
    for i, j in itertools.combinations(range(min(len(node.args), 5)), 2):
        yield ast.Call(func=function, args=_exchanged(node.args, i, j), keywords=node.keywords)
    yield from _permuted(node, name)


def _of_arrays(node, written):
    """True for NumPy itself and for what is an array, or comes out of a method of one: only there another name means
    what it says."""
    while not isinstance(node, ast.Name):
        if _dotted(node) in written.kinds or isinstance(node, ast.BinOp):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        else:
            return False
    return node.id in written.kinds or node.id in written.numpy


def _permuted(node, name):
    """The axes of a transpose in every other order."""
    values = [a.value if isinstance(a, ast.Constant) else None for a in node.args]
    if name == "transpose" and 3 <= len(values) <= 4 and sorted(map(str, values)) == list(map(str, range(len(values)))):
        for order in itertools.permutations(range(len(values))):
            if list(order) != values:
                yield ast.Call(func=node.func, args=[ast.Constant(v) for v in order], keywords=[])


def _exchanged(items, i, j):
    out = list(items)
    out[i], out[j] = out[j], out[i]
    return out


def _tuples(node, axis):
    for i, j in itertools.combinations(range(min(len(node.elts), 6)), 2):
        yield ast.Tuple(_exchanged(node.elts, i, j), node.ctx)
    if axis:
        yield from (_literal(a) for a in _AXES)


def _slices(node):
    """Without a bound or a step, and backwards."""
    for field in ("lower", "upper", "step"):
        if getattr(node, field) is not None:
            yield ast.Slice(**{f: None if f == field else getattr(node, f) for f in ("lower", "upper", "step")})


def _added(node, owner, statement, written):
    """A factor, a term, a sign, a transpose more: around what a statement computes, a summand, or what is summed up.

    A factor of a factor is one of the whole product, and need not be tried again."""
    kinds = written.kinds
    if (
        isinstance(node, ast.Constant)
        or _bare(statement, written)
        or (isinstance(node, ast.Name) and node.id not in kinds)
    ):
        return
    summand = isinstance(owner, ast.BinOp) and isinstance(owner.op, (ast.Add, ast.Sub, ast.MatMult))
    summed = isinstance(owner, ast.Call) and any(node is a for a in owner.args)
    if not (owner is statement or summand or summed or isinstance(owner, ast.Tuple)):
        return
    number = _is_number(node, kinds)
    for pattern in _WRAPS_OF_NUMBERS if number else _WRAPS:
        yield _wrapped(pattern, node)
    for name, patterns in _numbers(owner, kinds) if number else _fitting(statement, node, owner, kinds):
        for pattern in patterns:
            yield _wrapped(pattern, node, name)


def _is_number(node, kinds):
    """True for what is an integer, as far as can be seen: a size, an index."""
    if isinstance(node, ast.BinOp):
        return not isinstance(node.op, ast.Div) and _is_number(node.left, kinds) and _is_number(node.right, kinds)
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand, kinds)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
        return not isinstance(node.slice, ast.Slice)
    return (isinstance(node, ast.Constant) and type(node.value) is int) or kinds.get(_dotted(node)) == ("number",)


def _numbers(owner, kinds):
    """(variable, patterns) of what may be a factor of a number, or a term: of a sum, a term is tried with the whole."""
    patterns = ("{0} * {1}", "{0} // {1}")
    if not isinstance(owner, ast.BinOp):
        patterns += ("{0} + {1}", "{0} - {1}")
    return [(name, patterns) for name, kind in kinds.items() if kind == ("number",)]


def _fitting(statement, node, owner, kinds):
    """(variable, patterns) of what may be a factor or a term there: arrays that broadcast to the one that is made,
    numbers as factors of arrays, numbers as terms of numbers."""
    made = _made(statement, kinds)
    for name, kind in kinds.items():
        if not made:
            yield name, ("{0} * {1}", "{0} / {1}", "{0} + {1}", "{0} - {1}")
        elif made[0] == "array" and kind[0] == "array":
            if owner is not statement or len(made) < 3 or _broadcasts(kind[2], made[2]):
                yield name, ("{0} * {1}", "{0} / {1}", "{0} + {1}", "{0} - {1}")
        elif made[0] == "array":
            yield name, ("{0} * {1}", "{0} / {1}")
        elif kind[0] == made[0]:
            yield name, ("{0} * {1}", "{0} // {1}", "{0} + {1}", "{0} - {1}")


def _targets(statement):
    """Where a statement stores what it computes; a loop's variables are none."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, (ast.AugAssign, ast.AnnAssign)) else []


def _made(statement, kinds):
    """The kind of what a statement makes: ("array",) without a shape for a part of one, () if that is not known."""
    target = (getattr(statement, "targets", None) or [getattr(statement, "target", None)])[0]
    if isinstance(target, ast.Subscript):
        return ("array",) if kinds.get(_dotted(target.value), ("",))[0] == "array" else ()
    if isinstance(target, ast.Tuple):
        several = {kinds.get(_dotted(t), ()) for t in target.elts}
        return several.pop() if len(several) == 1 else ()
    return kinds.get(_dotted(target), ()) if target is not None else ()


def _broadcasts(shape, to):
    """True if an array of that shape can be a factor of one of the other, which keeps its own."""
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(shape[::-1], to[::-1], strict=False))


def _wrapped(pattern, node, name=""):
    """The pattern as a tree, with the node in the place of {0}: as one operand, whatever it is made of."""
    return _renamed(_expression(pattern.format("HERE", name)), "HERE", node)


def _bare(statement, written):
    """True for `return dx, dw` and `self.out = out`, which compute nothing: what is wrong in them comes from elsewhere,
    and a factor or a sign there would only make up for it."""
    value = getattr(statement, "value", None)
    alone = [s for s in written.tree.body if not _is_text(s)] == [statement]
    if isinstance(statement, ast.Return) and (alone or getattr(value, "id", None) in written.given):
        return False  # nothing has been computed on the way to it
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    copied = [_copied(p) for p in parts]
    keeps = isinstance(statement, ast.Assign) and (
        len(parts) > 1 or copied != parts or isinstance(statement.targets[0], ast.Attribute)
    )
    return (isinstance(statement, ast.Return) or keeps) and all(
        isinstance(p, ast.Constant) or (isinstance(p, (ast.Name, ast.Attribute)) and not _transposes(p)) for p in copied
    )


def _copied(node):
    """x of x.copy(), np.array(x), np.asarray(x) and np.copy(x); anything else as it is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("array", "asarray", "copy") and len(node.args) == 1:
            return node.args[0]
        if node.func.attr == "copy" and not node.args:
            return node.func.value
    return node


def _transposes(node):
    return isinstance(node, ast.Attribute) and node.attr == "T"
