"""Typeset formulas: KaTeX takes every one, and no Markdown reader sees anything in them but text."""

import json
import os
import re
import shutil
import subprocess

import pytest
from markdown_it import MarkdownIt

from tutorials import pages

COMMANDS = set(
    re.findall(
        r"\w+",
        """Rightarrow Sigma approx begin cdot cos cr end enspace exp frac ge gt hat ldots le left leftarrow lfloor log
        lt mathit mathrel mathrm max mid mu ne operatorname partial pi qquad quad rfloor right sigma sin sqrt star sum
        text tfrac theta underbrace varepsilon""",
    )
)
# How many arguments in braces a command takes, and what stands in them unread by mathematics.
ARGUMENTS = {
    **{"frac": 2, "tfrac": 2, "hat": 1, "sqrt": 1, "underbrace": 1, "begin": 1, "end": 1},
    **{"mathrel": 1, "mathit": 1, "mathrm": 1, "operatorname": 1, "text": 1},
}
ENVIRONMENTS = {"aligned", "cases"}
_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[\s\S]")

FORMULAS = [
    pytest.param(match[1], id=f"{path.stem[:2]}-{text.count(chr(10), 0, match.start()) + 1}")
    for path in pages.all_pages()
    for text in [path.read_text(encoding="utf-8")]
    for match in re.finditer(r"^\$\$\n(.*?)\n\$\$$", text, flags=re.M | re.S)
]


def mistakes(formula):
    """What a strict reader of LaTeX would refuse in a formula, in words; [] if it is right."""
    found, open_, tokens = [], [], [t for t in _TOKEN.findall(formula) if not t.isspace()]
    for number, token in enumerate(tokens):
        rest = tokens[number + 1 :]
        command = token[1:] if token.startswith("\\") else None
        if command is not None and command not in COMMANDS:
            found.append(f"{token} is not known")
        if command in ARGUMENTS and _groups(rest) < ARGUMENTS[command]:
            found.append(f"{token} wants {ARGUMENTS[command]} arguments in braces")
        if command in ("begin", "end"):
            name = "".join(rest[1 : rest.index("}")]) if "}" in rest else ""
            if name not in ENVIRONMENTS:
                found.append(f"there is no environment {name!r}")
            _step(open_, found, name, command == "begin")
        elif command in ("left", "right"):
            _step(open_, found, "left", command == "left")
        elif token in "{}":
            _step(open_, found, "{", token == "{")
        elif token in ("&", r"\cr") and not ENVIRONMENTS & set(open_):
            found.append(f"{token} outside of rows")
        elif token in "^_" and (not rest or rest[0] in "^_&}"):
            found.append(f"{token} without what to raise or lower")
        elif token in "$%#~" or not token.isascii():
            found.append(f"{token} is no mathematics")
    return found + [f"{name} is never closed" for name in open_]


def _groups(tokens):
    """How many groups in braces `tokens` begin with."""
    groups = depth = 0
    for token in tokens:
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            groups += depth == 0
        elif depth == 0:
            break
        if depth < 0:
            break
    return groups


def _step(open_, found, name, opens):
    if opens:
        open_.append(name)
    elif not open_ or open_.pop() != name:
        found.append(f"{name} is closed, but was not the last one opened")


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_strict_latex(formula):
    assert mistakes(formula) == []


@pytest.mark.parametrize(
    "wrong",
    [
        r"\frac{a}{b",
        r"\frac{a} b",
        r"\summ_i x",
        r"x_",
        r"a & b",
        r"\begin{aligned} a \end{cases}",
        r"\left( a",
        "a · b",
        r"a \\ b",
        "50 %",
    ],
)
def test_a_wrong_formula_is_found(wrong):
    assert mistakes(wrong) != []


@pytest.mark.parametrize("formula", FORMULAS)
def test_markdown_leaves_a_formula_alone(formula):
    """No `\\\\` or `\\,` that loses its backslash, no `_` or `*` taken for emphasis, no line that begins a list."""
    parsed = MarkdownIt("commonmark").parse(f"$$\n{formula}\n$$\n")
    assert [token.type for token in parsed] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(part.content or "\n" for part in parsed[1].children) == f"$$\n{formula}\n$$"


def test_every_dollar_belongs_to_a_formula():
    for path in pages.all_pages():
        prose = re.sub(r"^```.*?^```$|^\$\$\n.*?\n\$\$$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        assert "$$" not in prose, path.name
    assert len(FORMULAS) > 60


def test_katex_takes_every_formula():
    node = shutil.which("node")
    where = {**os.environ, "NODE_PATH": os.environ.get("NODE_PATH", str(pages.ROOT / "node_modules"))}
    if node is None or subprocess.run([node, "-e", "require('katex')"], env=where, capture_output=True).returncode:
        pytest.skip("needs node and KaTeX: npm install katex, with NODE_PATH set to its node_modules")
    script = """
    const katex = require("katex"), refused = [];
    for (const formula of JSON.parse(require("fs").readFileSync(0, "utf8")))
      try { katex.renderToString(formula, { displayMode: true, throwOnError: true, strict: "error" }); }
      catch (error) { refused.push(`${formula}: ${error.message}`); }
    console.log(JSON.stringify(refused));
    """
    given = json.dumps([*(p.values[0] for p in FORMULAS), r"\frac{a"])
    ran = subprocess.run([node, "-e", script], input=given, env=where, capture_output=True, text=True, check=True)
    refused = json.loads(ran.stdout)
    assert [one for one in refused if not one.startswith("\\frac{a: ")] == []
    assert len(refused) == 1  # the planted one
