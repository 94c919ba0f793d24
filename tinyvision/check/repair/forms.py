"""Many forms of one function as one piece of code: a number that is set before a call says which of them runs.

To compile a function takes as long as to run it on small numbers. So all forms of one statement are compiled at once,
each below the branches that lead to it: `if FORM < 2: ... else: ...`.
"""

import ast
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from .edits import Edit, places_of
from .written import FORM, Written


def forms(written: Written, changes: Sequence[Edit]) -> Iterator[tuple[Edit, CodeType, int]]:
    """(change, code, number) of the changes of one statement; those that Python cannot compile are left out."""
    if not changes:
        return
    statement = changes[0].statement
    for change in changes:
        located(change.new, statement)
    place = places_of(written.tree).get(id(statement))
    if place is None or hasattr(statement, "body"):  # a loop's forms would each have its body
        for change in changes:
            old = change.put(change.new)
            try:
                code = written.compiled()
            finally:
                change.put(old)
            if code is not None:
                yield change, code, 0
        return
    yield from _together(written, changes, place, owners_of(statement))


def _together(written, changes, place, owners):
    block, index = place
    statement = block[index]
    copies = [changed(change, block, owners) for change in changes]
    block[index] = _choice(copies, 0, statement)
    try:
        code = written.compiled()
    finally:
        block[index] = statement
    if code is not None:
        yield from ((change, code, number) for number, change in enumerate(changes))
    elif len(changes) > 1:  # one of them is no Python
        middle = len(changes) // 2
        yield from _together(written, changes[:middle], place, owners)
        yield from _together(written, changes[middle:], place, owners)


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
        ast.copy_location(node, at)
    for child in ast.iter_child_nodes(node):
        located(child, at)


def _choice(statements, first, at):
    if len(statements) == 1:
        return statements[0]
    middle = len(statements) // 2
    test = ast.Compare(ast.Name(FORM, ast.Load()), [ast.Lt()], [ast.Constant(first + middle)])
    branches = [_choice(statements[:middle], first, at)], [_choice(statements[middle:], first + middle, at)]
    choice = ast.If(test, *branches)
    located(choice, at)
    return choice
