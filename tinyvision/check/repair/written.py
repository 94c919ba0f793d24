"""The functions of a check as their author wrote them: which of them ran, their statements, and other code in place.

A function runs on under its own name, with its own globals and closure, when its `__code__` is exchanged: whoever holds
it, a class, a layer or a list, calls the other code. A changed statement is tried so, and the file is not run again.
"""

import ast
import functools
import gc
import linecache
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .computing import Seen, is_authors, reached

Function = ast.FunctionDef | ast.AsyncFunctionDef
FORM = "tinyvision_form"  # a global variable, for the time of a trial
TURN = "tinyvision_turn"  # another, for the time of a search: what is called at each turn of a loop
_ENTRIES = 12  # of a dictionary that are looked at as variables are


@dataclass
class Written:
    """One function that ran: its objects, its tree, and the kinds of its variables by name ("x", "self.x")."""

    objects: list[FunctionType]
    code: CodeType
    tree: Function
    owner: str | None  # the class it is written in
    imports: list[ast.stmt]  # those of its file: a call of what is imported is compiled in another way
    kinds: dict[str, tuple] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)  # of one argument, in the same file
    numpy: frozenset = frozenset()  # the names that NumPy goes by
    ran: frozenset = frozenset()  # the lines that ran
    early: bool = True  # forward calls it

    @property
    def file(self) -> str:
        """The file it is written in."""
        return self.code.co_filename

    @functools.cached_property
    def given(self) -> frozenset:
        """The parameters that are left as they are."""
        stored = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        return frozenset(self._parameters() - stored)

    def _parameters(self):
        arguments = self.tree.args
        return {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}

    @property
    def pure(self) -> bool:
        """True for a function that hands on what it returns and nothing else: what it is given stays as it is."""
        given = self._parameters()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not is_turn(node):
                return False  # a call for what it does
            if isinstance(getattr(node, "ctx", None), ast.Store) and isinstance(node, (ast.Attribute, ast.Subscript)):
                base = node.value
                while isinstance(base, (ast.Attribute, ast.Subscript)):
                    base = base.value
                if not isinstance(base, ast.Name) or base.id in given:
                    return False
        return True

    def compiled(self) -> CodeType | None:
        """The tree as code; None if it is none that could stand in the function's place."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(self._module, self.file, "exec")
        except (SyntaxError, ValueError, TypeError):
            return None
        found = _inside(code, self.tree.name)
        return found if found is not None and found.co_freevars == self.code.co_freevars else None

    @functools.cached_property
    def _module(self):
        """The function alone, within its class and a function of what it closes over; its body is that of the tree."""
        place = {"lineno": self.tree.lineno, "end_lineno": self.tree.end_lineno, "col_offset": 0, "end_col_offset": 0}
        empty: dict[str, Any] = {"decorator_list": [], "type_params": [], **place}
        inner: Any = ast.FunctionDef(name=self.tree.name, args=_plain(self.tree.args), body=self.tree.body,
                                     returns=None, **empty)  # fmt: skip
        if self.owner:
            inner = ast.ClassDef(name=self.owner, bases=[], keywords=[], body=[inner], **empty)
        free = [ast.arg(n) for n in self.code.co_freevars if n != "__class__"]
        given = ast.arguments(posonlyargs=[], args=free, kwonlyargs=[], kw_defaults=[], defaults=[])
        around = ast.FunctionDef(name="around", args=given, body=[inner], returns=None, **empty)
        return ast.fix_missing_locations(ast.Module(body=[*self.imports, around], type_ignores=[]))

    def stand_in_for_good(self, code: CodeType) -> None:
        """The function with other code, until it is given another."""
        self.code = code
        for function in self.objects:
            function.__code__ = code

    @contextmanager
    def standing_in(self, code: CodeType, form: int = 0) -> Iterator[None]:
        """The function with other code, which looks up under `FORM` which of its forms is to run."""
        try:
            for function in self.objects:
                function.__globals__[FORM] = form
                function.__code__ = code
            yield
        finally:
            for function in self.objects:
                function.__code__ = self.code
                function.__globals__.pop(FORM, None)


def is_turn(node: Any) -> bool:
    """True for the call that counts turns, as a statement or as a condition."""
    call = node.value if isinstance(node, ast.Expr) else node
    return isinstance(call, ast.Call) and getattr(call.func, "id", "") == TURN


def _plain(arguments):
    """The parameters without defaults and annotations: those were evaluated when the function was made."""

    def bare(a):
        return None if a is None else ast.arg(arg=a.arg)

    return ast.arguments(
        posonlyargs=[bare(a) for a in arguments.posonlyargs], args=[bare(a) for a in arguments.args],
        vararg=bare(arguments.vararg), kwonlyargs=[bare(a) for a in arguments.kwonlyargs],
        kw_defaults=[None] * len(arguments.kwonlyargs), kwarg=bare(arguments.kwarg), defaults=[],
    )  # fmt: skip


def _inside(code, name):
    """The code of the function of that name within other code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found = constant if constant.co_name == name and constant.co_name != "around" else _inside(constant, name)
            if found is not None:
                return found
    return None


def functions_of(forward: Callable[[], Any], whole: Callable[[], Any]) -> list[Written]:
    """The functions that `whole()` calls and that are neither ours nor installed, in the order of their first calls;
    those are `early` that `forward()` calls, which is its beginning.

    None at all if one of them, or one that they might call, does more than compute or cannot be read, or if they are
    given an object that was there before, for that is the author's, and other code would leave other numbers in it."""
    called: dict[CodeType, dict] = {}
    seen = Seen()
    given: list[Any] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not (code in called or is_authors(code.co_filename)):
            return
        if not code.co_name.startswith("<"):
            called.setdefault(code, {})
        for name, value in frame.f_locals.items():
            seen.note(name, value)
            if event == "call" and _holds_something(value):
                given.append(value)  # kept, so that nothing else gets its place
        if event == "return" and code in called:
            called[code].update(_kinds(frame.f_locals))

    def follow(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            ran.setdefault(frame.f_code.co_filename, set()).add(frame.f_lineno)
        return follow if is_authors(frame.f_code.co_filename) else None

    ran: dict[str, set[int]] = {}
    previous, traced = sys.getprofile(), sys.gettrace()
    sys.setprofile(watch)
    sys.settrace(follow)
    with _new_ones() as new:
        try:
            forward()
            early = set(called)
            whole()
        finally:
            sys.settrace(traced)
            sys.setprofile(previous if callable(previous) else None)  # one that is no function sets itself
    written = _written(called)
    if (
        not new.issuperset(map(id, given))
        or len(written) < len(called)
        or not seen.keeps_nothing()
        or not _only_compute(written, seen)
    ):
        return []
    for one in written:
        one.functions = _of_one_argument(one.objects[0], set(called))
        one.ran = frozenset(ran.get(one.file, ()))
        one.early = one.code in early
    return written


def _only_compute(written, seen):
    """Whether these functions, and all of their author's that they may call, do nothing else."""
    waiting = [(function, one.tree) for one in written for function in one.objects]
    done = {function.__code__ for function, _ in waiting}
    while waiting:
        function, tree = waiting.pop()
        more = None if tree is None else reached(tree, function, seen)
        if more is None:
            return False
        new = [f for f in more if f.__code__ not in done]
        done |= {f.__code__ for f in new}
        waiting += [(f, _tree(f.__code__)[0]) for f in new]
    return True


def _of_one_argument(function, called):
    return [name for name, f in function.__globals__.items()
            if isinstance(f, FunctionType) and f.__code__ in called and f.__code__.co_argcount == 1][:3]  # fmt: skip


def _holds_something(value):
    """True for an object with attributes; not for one of ours, such as the dict that notes which options are read."""
    if isinstance(value, (type, ModuleType, FunctionType)) or not getattr(value, "__dict__", None):
        return False
    return not type(value).__module__.startswith("tinyvision.")


def _kinds(variables):
    own = vars(variables["self"]) if hasattr(variables.get("self"), "__dict__") else {}
    # What a class calls self.__x is self._Conv__x to all others.
    named = {**variables, **{f"self.{re.sub(r'^_[A-Za-z]+(?=__)', '', n)}": value for n, value in own.items()}}
    for name, value in list(named.items()):
        if isinstance(value, dict) and len(value) <= _ENTRIES:
            named.update({f"{name}[{key!r}]": entry for key, entry in value.items() if isinstance(key, str)})
    return {name: k for name, value in named.items() if (k := kind(value))}


def kind(value: Any) -> tuple:
    """What a variable holds, as far as another may stand in its place: () for what is left alone."""
    if isinstance(value, bool):
        return ("bool",)
    if isinstance(value, (int, np.integer)):
        return ("number",)
    if isinstance(value, (float, np.floating)):
        return ("real",)
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.kind, value.shape)
    return ()


@contextmanager
def _new_ones() -> Iterator[set[int]]:
    """The ids of all objects that have come into being in the block and are there at its end."""
    collecting, new = gc.isenabled(), set[int]()
    gc.collect(0)
    gc.disable()  # what comes into being stays among the youngest
    try:
        yield new
        new.update(map(id, gc.get_objects(generation=0)))
    finally:
        if collecting:
            gc.enable()


def _written(called):
    """The functions of these codes; without those that cannot be read, or not as they run."""
    objects: dict[CodeType, list[FunctionType]] = {code: [] for code in called}
    for one in gc.get_referrers(*called) if called else ():
        if isinstance(one, FunctionType) and one.__code__ in objects:
            objects[one.__code__].append(one)
    found = []
    for code, kinds in called.items():
        tree, owner, imports = _tree(code)
        if tree is None or not objects[code]:
            continue
        written = Written(objects[code], code, tree, owner, imports, kinds)
        written.numpy = frozenset(name for name, value in objects[code][0].__globals__.items() if value is np)
        same = written.compiled()
        # What is read must be what runs: a file that has changed since, or code that was made otherwise, is left alone.
        if same is not None and same.co_code == code.co_code:
            found.append(written)
    return found


def _tree(code):
    """(the function's definition, the name of its class, the file's imports); None for what cannot be read."""
    lines = linecache.getlines(code.co_filename)
    module = _parsed("".join(lines))
    if module is None:
        return None, None, []
    imports = [s for s in module.body if isinstance(s, (ast.Import, ast.ImportFrom)) and not _future(s)]
    owners = {id(f): c.name for c in ast.walk(module) if isinstance(c, ast.ClassDef) for f in c.body}
    if code.co_name == "<lambda>":
        line: list[ast.stmt] = [ast.Expr(n) for n in ast.walk(module)
                                if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno]  # fmt: skip
        return ast.Module(line, []), None, imports  # which of them it is, the line does not tell: all are read
    for node in ast.walk(module):
        if isinstance(node, Function) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node, owners.get(id(node)), imports
    return None, None, []


@functools.lru_cache(8)
def _parsed(text):
    """The tree of a file, one for all of its functions: a change is taken back before the next one is made."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _future(statement):
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
