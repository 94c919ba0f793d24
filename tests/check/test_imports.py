"""Inside of the checker imports make no circle, not even one that is put off until a function is called."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import tinyvision.check

ROOM = Path(tinyvision.check.__file__).parent


def imported(path):
    """The checker's own modules that a file names in `from .x import y` or `from . import x`, anywhere in it."""
    inside = path.parent != ROOM
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and 1 <= node.level <= 1 + inside:
            room = ("bank",) if inside and node.level == 1 else ()
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join((*room, name)) for name in names)


def graph():
    modules = {".".join(p.relative_to(ROOM).with_suffix("").parts): p for p in ROOM.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items() if name != "__init__"}
    return {name: [m for m in imported(path) if m in modules and m != name] for name, path in modules.items()}


def test_there_is_no_circle():
    found = graph()
    assert {"show", "html"} <= set(found["report"]), "the walk sees what the files import"
    order = list(TopologicalSorter(found).static_order())
    assert order.index("findings") < order.index("show") < order.index("report") < order.index("check_op")


def test_no_module_hides_a_public_function():
    public = {name for name in tinyvision.check.__all__ if callable(getattr(tinyvision.check, name))}
    assert not public & set(graph())
