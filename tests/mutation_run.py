"""Do the tests notice when the engine is wrong? By hand: `python tests/mutation_run.py ops/pool.py --count 20`.

Each mutant is the package with one small change (a comparison turned round, a sign, a number moved by one, a statement
left out) in a copy of its own; the tests of its room run on it until one fails. A mutant that no test notices is
printed: either a test is missing, or the line does nothing. Which mutants are tried follows from --seed.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis  # noqa: F401 (what tests import; the package itself is each trial's own)
import pytest
import torch  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tinyvision"

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip

# The tests of each room; a file ops/pool.py also has tests/ops/test_pool.py, which runs first.
ROOMS = {
    "ops": ["tests/ops"],
    "tape": ["tests/test_tape.py"],
    "tensors": ["tests/test_tensor.py", "tests/tensors"],
    "nn": ["tests/nn"],
    "optim": [
        "tests/optim",
        "tests/kernels/test_adam.py",
        "tests/kernels/test_sgd.py",
        "tests/kernels/test_compiled_steps.py",
    ],
    "formats": ["tests/formats", "tests/weights"],
    "weights": ["tests/weights", "tests/formats/test_safetensors.py", "tests/train/test_checkpoint.py"],
    "data": ["tests/data"],
    "check": ["tests/check"],
    "train": ["tests/train"],
    "models": ["tests/models"],
}


def mutants(tree):
    """(what was changed, the changed tree) for every small change of a module; docstrings and hints are left alone."""
    hints = {part for node in ast.walk(tree) for hint in _hints(node) for part in ast.walk(hint)}
    hints |= {part for node in ast.walk(tree) for default in _unread_needs(node) for part in ast.walk(default)}
    for index, node in enumerate(ast.walk(tree)):
        if node in hints:
            continue
        for description, change in _changes(node):
            other = copy.deepcopy(tree)
            twin = next(n for i, n in enumerate(ast.walk(other)) if i == index)
            change(twin)
            yield f"line {node.lineno}: {description}", ast.fix_missing_locations(other)


def _hints(node):
    """The annotations of a node, which nothing computes."""
    return [hint for name in ("annotation", "returns") if (hint := getattr(node, name, None)) is not None]


def _unread_needs(node):
    """The default of `needs` in a backward that never reads it, as there is one gradient only."""
    if not isinstance(node, ast.FunctionDef) or any(
        isinstance(n, ast.Name) and n.id == "needs" for n in ast.walk(node)
    ):
        return []
    names = [argument.arg for argument in node.args.args][len(node.args.args) - len(node.args.defaults) :]
    return [default for name, default in zip(names, node.args.defaults, strict=True) if name == "needs"]


def _changes(node):
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        new = COMPARISONS[type(node.ops[0])]
        yield f"{ast.unparse(node)}  with {new.__name__}", lambda n: n.ops.__setitem__(0, new())
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC:
        if not any(isinstance(n, (ast.JoinedStr, ast.List)) for n in ast.walk(node)):
            new = ARITHMETIC[type(node.op)]
            yield f"{ast.unparse(node)}  with {new.__name__}", lambda n: setattr(n, "op", new())
    elif isinstance(node, ast.BoolOp):
        new = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{ast.unparse(node)}  with {new.__name__}", lambda n: setattr(n, "op", new())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        new = ast.UAdd() if isinstance(node.op, ast.USub) else None
        what = f"{ast.unparse(node)}  without its sign"
        yield what, (lambda n: setattr(n, "op", new)) if new else _without_not
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value is not True:
        yield f"{node.value} becomes {node.value + 1}", lambda n: setattr(n, "value", n.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} becomes {not node.value}", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, (ast.AugAssign, ast.Expr)) and not isinstance(getattr(node, "value", None), ast.Constant):
        yield f"{ast.unparse(node)}  left out", _nothing
    elif isinstance(node, ast.If) and not node.orelse:
        yield f"if {ast.unparse(node.test)}:  never", lambda n: setattr(n, "test", ast.Constant(False))


def _without_not(node):
    node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)


def _nothing(node):
    place = ast.Constant(None)
    if isinstance(node, ast.Expr):
        node.value = place
    else:
        node.value = node.value if isinstance(node.op, ast.Mult) else ast.Constant(0)
        node.op = ast.Add() if not isinstance(node.op, ast.Mult) else node.op


class Trial:
    """A copy of the project in a folder, and the tests of one of its files: does a mutant of the file survive them?

    Each trial is a fork of this process, which has imported what tests import, and nothing of the package."""

    def __init__(self, folder, file, tests, limit):
        self.folder, self.tests, self.limit = Path(folder), tests, limit
        for part in ("tinyvision", "tests", "tutorials", "benchmarks"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / part, folder)
        self.file = self.folder / "tinyvision" / file

    def survives(self, source):
        """Whether all tests pass on the package in which the file is `source`."""
        self.file.write_text(source, encoding="utf-8")
        for compiled in (self.file.parent / "__pycache__").glob(f"{self.file.stem}.*.pyc"):
            compiled.unlink()  # it is found by the second of its source's time and by its length
        child = os.fork()
        if not child:
            self._test()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def _test(self):
        """Run the tests and leave: 0 if they pass. A signal ends what goes on for longer than the limit, or waits."""
        status = 1
        try:
            os.chdir(self.folder)
            os.environ["PYTHONPATH"] = str(self.folder)
            sys.path.insert(0, str(self.folder))
            signal.setitimer(signal.ITIMER_PROF, self.limit)  # seconds of work: how busy the machine is makes no mutant
            signal.alarm(20 * self.limit)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *self.tests]))
        finally:
            os._exit(status)


def main():
    """Try mutants of one file, print those that survive; exit status 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="below tinyvision/, such as ops/pool.py")
    parser.add_argument("--tests", nargs="+", help="test files or folders; by default those of the file's room")
    parser.add_argument("--count", type=int, default=20, help="how many mutants (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--limit", type=int, default=300, help="CPU seconds that the tests may take on one mutant (300)"
    )
    options = parser.parse_args()
    path = PACKAGE / options.file
    if not path.is_file():
        parser.error(f"there is no {path.relative_to(ROOT)}")
    room = Path(options.file).parts[0].removesuffix(".py")
    own = ROOT / "tests" / Path(options.file).parent / f"test_{path.stem}.py"
    tests = options.tests or [str(own.relative_to(ROOT))] * own.is_file() + ROOMS.get(room, ["tests"])
    source = path.read_text(encoding="utf-8")
    every = list(mutants(ast.parse(source)))
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(folder, options.file, tests, options.limit)
        if not trial.survives(source):
            parser.error("the tests fail on the package as it is")
        for description, mutant in chosen:
            if trial.survives(ast.unparse(mutant)):
                alive += 1
                print(f"{options.file}, {description}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants were noticed ({len(every)} are possible)")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
