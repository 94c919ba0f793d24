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
    yield from _together(written, changes, place)


def _together(written, changes, place):
    block, index = place
    statement = block[index]
    copies = [_changed(change, block) for change in changes]
    block[index] = _choice(copies, 0)
    try:
        code = written.compiled()
    finally:
        block[index] = statement
    if code is not None:
        yield from ((change, code, number) for number, change in enumerate(changes))
    elif len(changes) > 1:  # one of them is no Python
        middle = len(changes) // 2
        yield from _together(written, changes[:middle], place)
        yield from _together(written, changes[middle:], place)


def _changed(change, block):
    """The statement with one change, as a copy: it shares nothing that a later change is put into."""
    if change.index is not None and getattr(change.owner, change.field) is block:
        return change.new
    old = change.put(change.new)
    try:
        return _copied(change.statement)
    finally:
        change.put(old)


def _copied(node: Any) -> Any:
    if isinstance(node, list):
        return [_copied(n) for n in node]
    if not isinstance(node, ast.AST) or not node._fields:
        return node
    twin = type(node)(**{name: _copied(getattr(node, name, None)) for name in node._fields})
    return ast.copy_location(twin, node) if hasattr(node, "lineno") else twin


def _choice(statements, first):
    if len(statements) == 1:
        return statements[0]
    middle = len(statements) // 2
    test = ast.Compare(ast.Name(FORM, ast.Load()), [ast.Lt()], [ast.Constant(first + middle)])
    return ast.If(test, [_choice(statements[:middle], first)], [_choice(statements[middle:], first + middle)])
