"""Many forms of one function as one piece of code: a number that is set before a call says which of them runs.

To compile a function takes as long as to run it on small numbers. So all forms of one statement are compiled at once,
each below the branches that lead to it: `if FORM < 2: ... else: ...`.
"""

import ast
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from .edits import Edit, place_of
from .written import FORM, Written


def forms(written: Written, changes: Sequence[Edit]) -> Iterator[tuple[Edit, CodeType, int]]:
    """(change, code, number) of the changes of one statement; those that Python cannot compile are left out."""
    if not changes:
        return
    statement = changes[0].statement
    for change in changes:
        located(change.new, statement)
    place = place_of(written.tree, statement)
    if place is None:
        return
    owners, (block, index) = owners_of(statement), place
    copies = [changed(change, block, owners) for change in changes]
    if hasattr(statement, "body"):  # a loop's forms would each have its body: what is chosen is what it goes over
        head = "iter" if hasattr(statement, "iter") else "test"
        copies = [getattr(copy, head, None) for copy in copies]
        if None in copies:
            return
        yield from _together(written, list(zip(changes, copies, strict=True)), statement, head, statement)
    else:
        yield from _together(written, list(zip(changes, copies, strict=True)), block, index, statement)


def _together(written, pairs, holder, key, at):
    place = place_in_file(at)
    choice = _choice([copy for _, copy in pairs], 0, ast.Name(FORM, ast.Load(), **place), place)
    usual = _exchanged(holder, key, choice)
    try:
        code = written.compiled()
    finally:
        _exchanged(holder, key, usual)
    if code is not None:
        yield from ((change, code, number) for number, (change, _) in enumerate(pairs))
    elif len(pairs) > 1:  # one of them is no Python
        middle = len(pairs) // 2
        yield from _together(written, pairs[:middle], holder, key, at)
        yield from _together(written, pairs[middle:], holder, key, at)


def _exchanged(holder, key, new):
    """Puts something in its place; what was there."""
    if isinstance(key, str):
        old = getattr(holder, key)
        setattr(holder, key, new)
    else:
        old, holder[key] = holder[key], new
    return old


def owners_of(statement: ast.AST) -> dict[int, tuple[Any, str, int | None]]:
    """(owner, field, index) of every node of a statement, by its id."""
    owners: dict[int, tuple[Any, str, int | None]] = {}
    for owner in ast.walk(statement):
        for field, value in ast.iter_fields(owner):
            for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(item, ast.AST):
                    owners[id(item)] = owner, field, index
    return owners


def changed(change: Edit, block: list, owners: dict[int, tuple[Any, str, int | None]]) -> Any:
    """The statement with one change: what is above the change is new, all else is shared."""
    if change.index is not None and getattr(change.owner, change.field) is block:
        return change.new
    owner, field, index, new = change.owner, change.field, change.index, change.new
    while True:
        if index is not None:
            items = [*getattr(owner, field)]
            items[index] = new
            new = items
        new = type(owner)(**{**vars(owner), field: new})
        if owner is change.statement:
            return new
        owner, field, index = owners[id(owner)]


def located(node: Any, at: Any) -> None:
    """Gives what has no place in the file the place of its statement; what has one has it throughout."""
    if "lineno" in node._attributes:
        if hasattr(node, "lineno"):
            return
        node.lineno, node.col_offset = at.lineno, at.col_offset
        node.end_lineno, node.end_col_offset = at.end_lineno, at.end_col_offset
    for part in parts_of(node):
        located(part, at)


def place_in_file(at: Any) -> dict[str, int]:
    """A statement's place in its file, for the nodes that are made beside it: to look for them later takes longer."""
    return {"lineno": at.lineno, "col_offset": at.col_offset, "end_lineno": at.end_lineno,
            "end_col_offset": at.end_col_offset}  # fmt: skip


def parts_of(node: Any) -> list[Any]:
    """The nodes right below one, but for those that say no more than load or store: as of ast, and in half the time."""
    parts = []
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            parts += [part for part in value if isinstance(part, ast.AST)]
        elif isinstance(value, ast.AST) and field != "ctx":
            parts.append(value)
    return parts


def _choice(forms, first, name, place):
    """The forms of a statement, or of an expression, below the branches that lead to them."""
    if len(forms) == 1:
        return forms[0]
    middle = len(forms) // 2
    test = ast.Compare(name, [ast.Lt()], [ast.Constant(first + middle, **place)], **place)
    low, high = _choice(forms[:middle], first, name, place), _choice(forms[middle:], first + middle, name, place)
    if isinstance(low, ast.stmt):
        return ast.If(test, [low], [high], **place)
    return ast.IfExp(test, low, high, **place)
