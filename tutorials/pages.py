"""The runner: reads a page, runs its blocks, compares what they print and draw.

    ```python                       runs; all blocks of a page share one namespace
    ```python raises=ShapeError     runs, and must raise exactly this; the message joins the output
    ```python needs=mpi4py          runs where that module or program is installed; the report names it where it is not
    ```python needs=onnx,torch      the same for several
    ```python source=ops/conv.py:correlate
                                    does not run: quotes tinyvision, and must equal it
    ```output                       what the block before it prints
    ```output tolerance=0.05        the same, with numbers compared relatively to the larger one
    ```output within=0.1            the same, and numbers may be that far apart

Numbers of five digits and more may differ by one unit in the last place shown, which other machines round
otherwise; shorter ones and integers (`3` and `3.`) not at all; `...` stands for anything. What a training run ends in
depends on every rounding on its way: such a number is written with what other machines may add or take, `0.85±0.08`
(`python -m tutorials elsewhere NN` shows how much that is), or a whole table of them as `within`. A block that prints
must be followed by its output.
"""

import ast
import contextlib
import importlib.util
import io
import itertools
import json
import re
import shutil
import time
import tokenize
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tinyvision import get_num_threads, set_num_threads
from tinyvision.learn import draw

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
FIGURES = FOLDER / "figures"
LIMIT = 60.0  # seconds of CPU time one page may take: three times what the longest needs, for slow or busy machines

_FENCE = re.compile(r"^```(\w*)[ ]*([^\n`]*)\n(.*?)^```[ ]*$", re.M | re.S)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"\.\.\.|{_NUMBER}(?:±{_NUMBER})?|\n|[^\W\d]+|[^\s\w]")


class PageError(Exception):
    """A page does not exist, or cannot be read as a page."""


@dataclass
class Block:
    """One fenced block: its language, its options, its text, and where the text lies in the page."""

    language: str
    options: dict
    text: str
    span: tuple
    line: int


@dataclass
class Report:
    """What running a page found: problems in words, what each output block expected and got, files written by `fix`,
    seconds of CPU time, and what was not run and why."""

    problems: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    written: list = field(default_factory=list)
    seconds: float = 0.0


def all_pages():
    """The paths of all pages, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]-*.md"))


def find(number):
    """The path of page `number` ("4" or "04"). Raises PageError."""
    found = [path for path in all_pages() if number.isdigit() and int(path.name[:2]) == int(number)]
    if not found:
        raise PageError(f"there is no page {number}; pages are {', '.join(p.name[:2] for p in all_pages())}")
    return found[0]


def blocks(text):
    """All fenced blocks of a page."""
    found = []
    for match in _FENCE.finditer(text):
        options = dict(word.partition("=")[::2] for word in match[2].split())
        found.append(Block(match[1], options, match[3], match.span(3), text.count("\n", 0, match.start()) + 1))
    return found


@contextmanager
def _two_threads():
    before = get_num_threads()
    set_num_threads(2)
    try:
        yield
    finally:
        set_num_threads(before)


def _installed(name):
    """Whether there is a module or a program of that name."""
    return importlib.util.find_spec(name) is not None or shutil.which(name) is not None


def run(path, fix=False):
    """Run one page and compare; with `fix`, write down what it printed, quoted and drew instead."""
    text = path.read_text(encoding="utf-8")
    report, changes, namespace = Report(), [], {"__name__": path.stem}
    found = blocks(text)
    start = time.process_time()
    # One thread for BLAS: the pages' products are small, and threads that wait for each other count as CPU time. And a
    # fixed number of our own: another number adds sums in another order, which a long training amplifies.
    with draw.collect() as figures, threadpool_limits(1, user_api="blas"), _two_threads():
        for block, following in itertools.zip_longest(found, found[1:]):
            if block.language != "python":
                continue
            shown = following if _is_output_of(text, block, following) else None
            absent = [name for name in block.options.get("needs", "").split(",") if name and not _installed(name)]
            if absent:
                report.skipped.append(f"line {block.line}: not run, {absent[0]} is not installed")
            elif "source" in block.options:
                _compare_source(block, report, changes)
            elif not _run_block(path, block, shown, namespace, report, changes):
                return report
    report.seconds = time.process_time() - start
    if report.seconds > LIMIT:
        report.problems.append(f"the page took {report.seconds:.0f} s of CPU time, more than {LIMIT:.0f}")
    _compare_figures(path, text, figures, report, fix)
    if fix and changes:
        for (first, last), new in reversed(changes):
            text = text[:first] + new + text[last:]
        path.write_text(text, encoding="utf-8")
        report.written.append(path.name)
    if not fix:
        for (first, last), new in changes:
            line = text.count("\n", 0, first)
            report.problems.append(f"line {line}: {difference(text[first:last], new)}")
    return report


def _is_output_of(text, block, following):
    """Whether `following` is an output block with nothing but blank lines between."""
    if following is None or following.language != "output":
        return False
    return re.fullmatch(r"```\s*```output[^\n]*\n", text[block.span[1] : following.span[0]]) is not None


def _run_block(path, block, shown, namespace, report, changes):
    """Run a block and note what it printed; False if the page cannot go on."""
    printed, raised = io.StringIO(), None
    code = "\n" * block.line + block.text  # so that a traceback names the line of the page
    with contextlib.redirect_stdout(printed), np.printoptions():
        try:
            exec(compile(code, str(path), "exec"), namespace)
        except Exception as error:
            raised = error
    output = printed.getvalue()
    wanted = block.options.get("raises")
    if raised is not None:
        if type(raised).__name__ != wanted:
            shown_trace = "".join(traceback.format_exception(raised)[-3:]).rstrip()
            report.problems.append(f"line {block.line}: raised\n{shown_trace}")
            return False
        output += f"{wanted}: {raised}\n"
    elif wanted:
        report.problems.append(f"line {block.line}: was to raise {wanted}, but did not")
    if shown is None:
        if output.strip():
            report.problems.append(f"line {block.line}: prints, but no output block follows:\n{output.rstrip()}")
    else:
        report.outputs.append((shown.line, shown.text, output))
        if not same(shown.text, output, **allowed(shown)):
            changes.append((shown.span, output.rstrip() + "\n"))
    return True


def allowed(block):
    """What `same` lets pass in an output block, as its first line says."""
    return {name: float(block.options[name]) for name in ("tolerance", "within") if name in block.options}


def same(expected, printed, tolerance=0.0, within=0.0):
    """Whether `printed` is what `expected` says: the same words, nearly the same numbers."""
    left, right = tokens(expected), tokens(printed)
    reached = {0}  # how many tokens of `printed` may have been used up so far
    for token in left:
        if token == "...":
            reached = set(range(min(reached), len(right) + 1)) if reached else reached
        else:
            reached = {i + 1 for i in reached if i < len(right) and _same_token(token, right[i], tolerance, within)}
    return len(right) in reached


def tokens(text):
    """The words, numbers and signs of an output, without the blanks."""
    return _TOKEN.findall(re.sub(r"[ \t]*\n\s*", "\n", text.strip()))


def _same_token(a, b, tolerance, within):
    if a == b:
        return True
    a, spread, more_or_less = a.partition("±")
    try:
        x, y = float(a), float(b)
    except ValueError:
        return False
    if spread or within:
        return abs(x - y) <= float(more_or_less or within) * (1 + 1e-9)
    if x == y:
        return True
    if tolerance:
        return abs(x - y) <= tolerance * max(abs(x), abs(y))
    unit = min(_last_place(a), _last_place(b))
    return unit <= 1e-4 * max(abs(x), abs(y)) and abs(x - y) <= 1.01 * unit


def _last_place(number):
    """The value of one unit in the last place of a number as written; 0 for an integer, which NumPy may write `3.`."""
    mantissa, _, exponent = number.lower().partition("e")
    decimals = mantissa.partition(".")[2]
    if not decimals and not exponent:
        return 0.0
    return 10.0 ** (int(exponent or 0) - len(decimals))


def difference(expected, printed):
    """The two texts, for a person to compare."""
    return f"the page says\n{_indented(expected)}\nbut it is\n{_indented(printed)}"


def _indented(text):
    return "\n".join("    " + line for line in text.rstrip().splitlines())


def source(reference):
    """The text of `ops/conv.py:correlate` (anything tinyvision defines), without docstring and type annotations."""
    file, _, name = reference.partition(":")
    path = ROOT / "tinyvision" / file
    if not path.is_file():
        raise PageError(f"there is no {path.relative_to(ROOT)}")
    text = path.read_text(encoding="utf-8")
    node = definition(ast.parse(text), name)
    if node is None:
        raise PageError(f"{path.relative_to(ROOT)} does not define {name}")
    lines = text.splitlines()
    last = node.end_lineno
    annotated = [n for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.AnnAssign))]
    for inner in sorted(annotated, key=lambda n: -n.lineno):  # from the bottom up, so that line numbers stay true
        before = len(lines)
        if isinstance(inner, ast.FunctionDef):
            _plain_signature(lines, inner)
        else:
            _plain_assignment(lines, inner)
        last -= before - len(lines)
    lines = lines[node.lineno - 1 : last]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        _without_docstring(lines, node)
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines) + "\n"


def _plain_signature(lines, function):
    """Put the signature of `function` on one line of `lines`, as it would be without annotations."""
    first, depth = function.lineno - 1, 0
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines[first:]) + "\n").readline):
        depth += (token.string in tuple("([{")) - (token.string in tuple(")]}"))
        if token.string == ":" and depth == 0:
            break
    arguments = function.args
    parts = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    for argument in filter(None, parts):
        argument.annotation = None
    margin = " " * function.col_offset
    rest = lines[first + token.end[0] - 1][token.end[1] :]
    lines[first : first + token.end[0]] = [f"{margin}def {function.name}({ast.unparse(arguments)}):{rest}"]


def _plain_assignment(lines, node):
    """Turn `name: type = value` in `lines` into `name = value`, and take a bare `name: type` out."""
    first = node.lineno - 1
    if node.value is None:
        del lines[first : node.end_lineno]
        if first < len(lines) and not lines[first].strip() and not lines[first - 1].strip():
            del lines[first]  # of two blank lines that now meet, one
        return
    target, value = lines[first].encode(), lines[node.value.lineno - 1].encode()  # ast counts bytes
    plain = target[: node.target.end_col_offset] + b" = " + value[node.value.col_offset :]
    lines[first : node.value.lineno] = [plain.decode()]


def _without_docstring(lines, node):
    """Take the docstring out of the lines of a function or class."""
    if ast.get_docstring(node) is None or len(node.body) == 1:
        return
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith('"""'))
    long = node.body[0].end_lineno - node.body[0].lineno
    del lines[first : first + long + 1]
    while not lines[first].strip():
        del lines[first]


def definition(tree, name):
    """The node that defines `name` (or `Class.method`, or an assigned name) in a module, or None."""
    for part in name.split("."):
        found = None
        for node in tree.body:
            named = getattr(node, "name", None) == part
            assigned = isinstance(node, ast.Assign) and any(part in ast.unparse(t).split(", ") for t in node.targets)
            if named or assigned:
                found = node
        if found is None:
            return None
        tree = found
    return tree


def _compare_source(block, report, changes):
    try:
        real = source(block.options["source"])
    except PageError as error:
        report.problems.append(f"line {block.line}: {error}")
        return
    if block.text != real:
        changes.append((block.span, real))


def _compare_figures(path, text, figures, report, fix):
    """Figures drawn, shown and stored are the same ones, with the same numbers; of those that blocks which were not run
    draw, nothing is known."""
    shown = set(re.findall(r"\]\(figures/([\w-]+)\.svg\)", text))
    stored = {p.stem for p in FIGURES.glob(f"{path.name[:2]}-*.*")}
    if report.skipped:
        shown, stored = shown & set(figures), stored & set(figures)
    for name in sorted(set(figures) - shown):
        report.problems.append(f"figure {name} is drawn but not shown")
    for name in sorted(shown - set(figures)):
        report.problems.append(f"figure {name} is shown but not drawn")
    for name in sorted(stored - set(figures)):
        if fix:
            for suffix in (".svg", ".json"):
                (FIGURES / (name + suffix)).unlink(missing_ok=True)
        else:
            report.problems.append(f"figure {name} is stored but not drawn")
    for name, figure in figures.items():
        files = FIGURES / f"{name}.json", FIGURES / f"{name}.svg"
        kept = json.loads(files[0].read_text()) if all(f.is_file() for f in files) else None
        if (
            kept is not None
            and draw.same_numbers(kept, figure.numbers)
            and (not fix or files[1].read_text() == figure.svg)
        ):
            continue
        if fix:
            FIGURES.mkdir(exist_ok=True)
            files[0].write_text(json.dumps(figure.numbers, separators=(",", ":")) + "\n")
            files[1].write_text(figure.svg)
            report.written += [f.name for f in files]
        else:
            remedy = f"python -m tutorials fix {path.name[:2]}"
            report.problems.append(f"figure {name} draws other numbers than are stored; {remedy}")
