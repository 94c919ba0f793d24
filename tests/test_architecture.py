"""The import arrow, errors <- device <- threads <- blocks <- ops <- kernels <- tape <- ... <- cli, is never turned."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyvision

PACKAGE = Path(tinyvision.__file__).parent

# Each room may use those on lower floors, and its own floor only where it is a package. A file or folder that is not
# named here fails the test: give it a floor.
FLOORS = {
    "missing": 0, "jit": 0.1, "fft": 0.1, "sparse": 0.1, "profiler": 0.1,
    "folders": 0.2, "places": 0.1, "errors": 0, "printable": -0.5, "atomic": 0.1, "types": 0,
    "arrays": 0.5, "dtypes": 0.5,
    "device_names": 0.5, "device": 1, "version": 2, "random": 1, "grad_mode": 1, "launcher": 1, "cores": 1.5,
    "listening": 0, "sharing": 1, "capturing": 1.2,
    "threads": 2, "blocks": 2.5,
    "ops": 3, "kernels": 3.5,
    "walks": 3.8, "tape": 4,
    "tensors": 5, "cuda": 6.5, "distributions": 6, "linalg": 6,
    "amp": 6, "testing": 6, "backends": 6, "accelerator": 7, "speed": 6,
    "distributed": 7, "multiprocessing": 7.5,
    "formats": 8,
    "nn": 9,
    "weights": 10, "boxes": 10,
    "check": 11, "data": 11, "optim": 11,
    "interop": 10.5, "onnx": 11, "einops": 11, "functional": 10,
    "drawing": 11, "hub": 11, "autograd": 12, "models": 12, "learn": 12, "explain": 12,
    "train": 13, "utils": 13.2, "torchvision": 13,
    "tasks": 13.5, "cli": 14, "__main__": 15,
}  # fmt: skip
PYTORCHS_PLACES = {  # import paths of scripts, and nothing else
    "utils/__init__.py", "utils/data/__init__.py", "utils/data/distributed.py", "utils/model_zoo.py",
    "utils/checkpoint.py", "utils/hooks.py", "utils/tensorboard.py", "nn/utils/__init__.py",
    "nn/utils/parametrizations.py", "nn/utils/parametrize.py",
    *(p.relative_to(PACKAGE).as_posix() for p in (PACKAGE / "torchvision").rglob("*.py")),
}  # fmt: skip
NAMELESS = {"utils", "common", "helpers", "misc", "util", "helper"}

FILES = sorted(p for p in PACKAGE.rglob("*.py"))


def room_of(path):
    """The name under the package: a file's own, or that of the folder it is in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """(absolute module name, whether it stands at the top of the file) of everything a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = ("tinyvision", *path.relative_to(PACKAGE).parts[:-1])
    top = set(map(id, tree.body))
    hints = {id(node) for block in tree.body if _is_for_type_checkers(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            if module == "tinyvision":
                for alias in node.names:
                    yield f"tinyvision.{alias.name}", id(node) in top
            else:
                yield module, id(node) in top


def _is_for_type_checkers(node):
    """`if TYPE_CHECKING:` imports the names in hints, for type checkers alone."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_arrow_never_points_back(path):
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOORS, f"{room} has no floor in this test yet"
    for module, _ in imports(path):
        if module.partition(".")[0] != "tinyvision" or module == "tinyvision":
            continue
        other = module.split(".")[1]
        if other in FLOORS and other != room:
            assert FLOORS[other] < FLOORS[room], f"{path.relative_to(PACKAGE)} imports {module}, which is not below it"


def test_the_tape_knows_no_op_and_the_ops_know_no_tape():
    assert not any("ops" in module or "functional" in module for module, _ in imports(PACKAGE / "tape.py"))
    for path in (PACKAGE / "ops").glob("*.py"):
        assert not any(".tape" in module or ".tensor" in module for module, _ in imports(path))


def test_only_the_device_file_imports_cupy():
    guilty = [
        p.name
        for p in FILES
        for module, _ in imports(p)
        if module.partition(".")[0] == "cupy" and p.name != "device.py"
    ]
    assert not guilty


def test_torch_is_never_imported():
    assert not [p for p in FILES for module, _ in imports(p) if module.partition(".")[0] in ("torch", "torchvision")]


def test_files_are_named_after_what_a_reader_would_search_for():
    places = {PACKAGE / p for p in PYTORCHS_PLACES}
    assert not [p for p in FILES if (p.stem in NAMELESS or p.parent.name in NAMELESS) and p not in places]


def test_the_places_that_pytorch_named_hold_nothing_of_their_own():
    for path in PYTORCHS_PLACES:
        body = ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body
        # `if not TYPE_CHECKING:` hides what is said of missing names from type checkers.
        body = [n for node in body[1:] for n in (node.body if isinstance(node, ast.If) else [node])]
        assert not [n for n in body if not isinstance(n, (ast.ImportFrom, ast.Assign)) and not _names_files(n)], path


def _names_files(node):
    """`stand_for(__name__, ...)` and `hand_on(...)`: the same names under the paths of PyTorch's files."""
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith(("stand_for(", "hand_on("))


def test_no_file_is_too_long():
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in FILES}
    assert not {name: n for name, n in lengths.items() if n > 500}


def test_no_function_is_too_long():
    """A person sees it whole."""
    long = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno >= 70:
                long[f"{path.relative_to(PACKAGE)}:{node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_no_docstring_ends_in_a_line_of_one_word():
    found = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                lines = (ast.get_docstring(node) or "").splitlines()
                if len(lines) > 1 and len(lines[-1].split()) == 1:
                    found.append(f"{path.relative_to(PACKAGE)}: {lines[-1].strip()}")
    assert found == []


FORBIDDEN = {"eval", "exec", "__import__", "compile"}
# The checker compiles a function that it was given to run, with one statement changed; no code comes out of data.
COMPILES = {"check/repair/written.py": {"compile"}}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_dangerous_is_called(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for module, _ in imports(path):
        assert module.partition(".")[0] not in ("pickle", "marshal", "shelve"), module
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                allowed = COMPILES.get(path.relative_to(PACKAGE).as_posix(), set())
                assert node.func.id not in FORBIDDEN - allowed, f"line {node.lineno}: {node.func.id}()"
            for keyword in node.keywords:
                true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                assert not (true and keyword.arg in ("shell", "allow_pickle")), (
                    f"line {node.lineno}: {keyword.arg}=True"
                )
            if isinstance(node.func, ast.Attribute):
                assert node.func.attr != "extractall", f"line {node.lineno}: extractall()"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert is not for users' input"


def test_importing_pulls_in_numpy_alone():
    code = (
        "import sys, numpy.random; before = set(sys.modules); import tinyvision; "
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["tinyvision"]


ENGINE = [p for p in FILES if FLOORS.get(room_of(p), 99) <= FLOORS["nn"] or room_of(p) == "optim"]


def test_every_public_function_of_the_engine_says_what_it_does():
    silent = []
    for path in ENGINE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree) and tree.body:
            silent.append(str(path.relative_to(PACKAGE)))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                members = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            elif isinstance(node, ast.Module):
                members = [n for n in node.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
            else:
                continue
            hidden = isinstance(node, ast.ClassDef) and node.name.startswith("_")
            for n in members:
                # The getter speaks for its setter and deleter, and an overload's implementation for all.
                spoken_for = any(ast.unparse(d).endswith((".setter", ".deleter", "overload")) for d in n.decorator_list)
                if not (n.name.startswith("_") or hidden or spoken_for or ast.get_docstring(n)):
                    silent.append(f"{path.relative_to(PACKAGE)}:{n.name}")
    assert not silent


# The imports inside of functions without which there is no circle at all; beside each, in its file, stands why.
LOADED_LATE = {
    ("nn/module.py", "nn/fusing.py"),  # a method of every module is made of modules
    ("data/dataset.py", "data/combined.py"),  # a + of datasets is made of datasets
}


def _files_imported(path, anywhere=False):
    """The files of the package that the imports at the top of `path`, or `anywhere` in it, name."""
    here = path.relative_to(PACKAGE.parent).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {id(node) for block in tree.body if _is_for_type_checkers(block) for node in ast.walk(block)}
    # The front door loads rooms when they are asked for; all that they ask of it is its version.
    anywhere = anywhere and path != PACKAGE / "__init__.py"
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in hints:
            base = PACKAGE.parent.joinpath(*here[: len(here) - node.level + 1], *(node.module or "").split("."))
            for alias in node.names:
                inner = base / alias.name
                places = inner.with_suffix(".py"), inner / "__init__.py", base.with_suffix(".py"), base / "__init__.py"
                yield next(place for place in places if place.is_file())


def _in_circles(graph):
    """The files that import each other in a circle, or need such a one."""
    ordered, waiting = set(), set(graph)
    while free := {path for path in waiting if graph[path] <= ordered}:
        ordered |= free
        waiting -= free
    return sorted(waiting)


def _graph(anywhere):
    names = {path: path.relative_to(PACKAGE).as_posix() for path in FILES}
    return {names[p]: {names[q] for q in _files_imported(p, anywhere)} - {names[p]} for p in FILES}


def test_no_files_import_each_other_in_a_circle():
    assert _in_circles(_graph(anywhere=False)) == []


def test_imports_inside_of_functions_close_no_circle_but_those_with_a_reason():
    graph = _graph(anywhere=True)
    for one, other in LOADED_LATE:
        graph[one].remove(other)
    assert _in_circles(graph) == []
    for one, other in LOADED_LATE:
        assert _in_circles({**graph, one: graph[one] | {other}}), f"{one} may import {other} at its top"
        name = other.rpartition("/")[2].removesuffix(".py")
        assert re.search(rf"^ +from \.+{name} import \w+  # \w", (PACKAGE / one).read_text(encoding="utf-8"), re.M)


TOP = {".ci", ".github", ".gitignore", "LICENSE", "README.md", "benchmarks", "pyproject.toml", "tests", "tinyvision",
       "tinyvision_command.py", "tutorials"}  # fmt: skip


def test_nothing_lies_about_at_the_top():
    """What a test or a trial left behind is easily committed with the rest."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=PACKAGE.parent, capture_output=True, text=True)
    except OSError:
        pytest.skip("there is no git here")
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no checkout")
    assert {name.partition("/")[0] for name in listed.stdout.splitlines()} <= TOP
