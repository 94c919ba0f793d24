"""Counting the turns of loops: a changed function that loops for ever is ended after so many, on every machine alike.

Seconds would do so too, and would end one that is right where the machine is slow, busy, or collecting garbage.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .written import TURN, Written, is_turn

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_OPERATIONS = (ast.Call, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Subscript, ast.AugAssign)


class TooMany(BaseException):
    """Raised in a function whose loops have taken more turns than they may."""


class Turns:
    """Called at the beginning of each turn."""

    def __init__(self) -> None:
        self.taken, self.most, self.operations = 0, float("inf"), 0

    def __call__(self, operations: int = 0) -> bool:
        """Counts; raises TooMany."""
        self.taken += 1
        self.operations += operations
        if self.taken > self.most:
            raise TooMany
        return True


@contextmanager
def counted(functions: Sequence[Written], turns: Turns) -> Iterator[None]:
    """The functions with all turns of their loops and comprehensions counted, for the time of the block."""
    blocks = [block for one in functions for block in _put(one.tree)]
    before = [(one, one.code) for one in functions]
    try:
        for one, code in before:
            one.stand_in_for_good(one.compiled() or code)
            for function in one.objects:
                function.__globals__[TURN] = turns
        yield
    finally:
        for block in blocks:
            del block[0]
        for one, code in before:
            one.stand_in_for_good(code)
            for function in one.objects:
                function.__globals__.pop(TURN, None)


def _put(tree: ast.AST) -> Iterator[list]:
    """Puts a call at the beginning of each turn; the lists that now begin with one."""
    for node in list(ast.walk(tree)):
        if isinstance(node, (ast.For, ast.While)) and not is_turn(node.body[0]):
            node.body.insert(0, ast.copy_location(ast.Expr(_call(node.body[0], _operations(node.body))), node.body[0]))
            yield node.body
        elif isinstance(node, _COMPREHENSIONS):
            made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            for part in node.generators:
                if not (part.ifs and is_turn(part.ifs[0])):
                    part.ifs.insert(0, _call(part.iter, _operations([*made, *part.ifs])))
                    yield part.ifs


def _operations(nodes: Sequence[ast.AST]) -> int:
    """How many operations there are in the body of a loop, and not in a loop within it."""
    count, waiting = 0, [*nodes]
    while waiting:
        node = waiting.pop()
        count += isinstance(node, _OPERATIONS)
        if not isinstance(node, (ast.For, ast.While, *_COMPREHENSIONS)):
            waiting += ast.iter_child_nodes(node)
    return count


def _call(at: Any, operations: int) -> ast.Call:
    parts = [ast.Name(TURN, ast.Load()), ast.Constant(operations)]
    name, count = (ast.copy_location(part, at) for part in parts)
    return ast.copy_location(ast.Call(name, [count], []), at)
