"""Notebooks made of the pages run from top to bottom, anywhere, and come to what the pages say."""

import ast
import itertools
import json
import os
import re
import subprocess
import sys

import pytest

from tutorials import __main__ as command
from tutorials import notebooks, pages

PAGES = pages.all_pages()
# Runs the notebook's cells in one namespace, and prints what each of them printed.
RUNNER = """
import contextlib, io, json, sys
printed, space = [], {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile("".join(cell["source"]), "cell", "exec"), space)
        printed.append(out.getvalue())
json.dump(printed, sys.stdout)
"""


def _cells(path, kind):
    return ["".join(c["source"]) for c in notebooks.notebook(path)["cells"] if c["cell_type"] == kind]


def _expected(path):
    """For every code cell of a page's notebook what it is to print, and how nearly."""
    found = pages.blocks(path.read_text(encoding="utf-8"))
    yield "", 0.0  # the installation
    for block, following in itertools.zip_longest(found, found[1:]):
        if block.language == "python" and "source" not in block.options:
            shown = following is not None and following.language == "output"
            yield (following.text, float(following.options.get("tolerance", 0))) if shown else ("", 0.0)


def _elsewhere(tmp_path):
    """Settings for a process that finds the package, but not the repository around it."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "tinyvision").symlink_to(pages.ROOT / "tinyvision", target_is_directory=True)
    (tmp_path / "work").mkdir()
    return {"cwd": tmp_path / "work", "env": {**os.environ, "PYTHONPATH": str(tmp_path / "site")}}


@pytest.mark.parametrize("number", ["3", "5"])
def test_a_notebook_comes_to_what_its_page_says(tmp_path, number):
    path = pages.find(number)
    made = notebooks.write(path, tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", RUNNER, str(made)], capture_output=True, text=True, **_elsewhere(tmp_path)
    )
    assert ran.returncode == 0, ran.stderr
    printed, expected = json.loads(ran.stdout), list(_expected(path))
    assert len(printed) == len(expected)
    wrong = [
        (said, out) for out, (said, room) in zip(printed, expected, strict=True) if not pages.same(said, out, room)
    ]
    assert wrong == []


@pytest.mark.parametrize("number", ["2", "13"])
def test_a_notebook_runs_in_a_fresh_kernel(tmp_path, number):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
    path = pages.find(number)
    book = nbformat.read(notebooks.write(path, tmp_path), as_version=4)
    nbformat.validate(book)
    elsewhere = _elsewhere(tmp_path)
    client = nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(elsewhere["cwd"])}})
    client.execute(env=elsewhere["env"])
    drawn = {k for c in book.cells for o in c.get("outputs", []) for k in o.get("data", {})}
    assert "image/svg+xml" in drawn or "](figures/" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_notebook_needs_nothing_of_the_repository(path):
    """It imports what is installed; a figure is the result of its cell; outputs are left out, links lead somewhere."""
    code, prose = _cells(path, "code"), "\n".join(_cells(path, "markdown"))
    assert len(code) == len(list(_expected(path)))
    imported = re.findall(r"^ *(?:from|import) (\w+)", "\n".join(code), flags=re.M)
    assert not {"tutorials", "tests", "benchmarks"} & set(imported)
    assert "](figures/" not in prose
    assert "```output" not in prose
    text = re.sub(r"^```.*?^```", "", prose, flags=re.M | re.S)
    leads = [t for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("https://", "#"))]
    assert {t for t in leads if not (pages.FOLDER / t).with_suffix(".md").is_file()} == set()
    shown = []
    for cell in code:
        last = ast.parse(cell).body[-1]
        if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and last.value.args:
            shown += [a.value for a in last.value.args[:1] if isinstance(a, ast.Constant)]
    figures = set(re.findall(r"\]\(figures/([\w-]+)\.svg\)", path.read_text(encoding="utf-8")))
    assert sorted(name for name in shown if name in figures) == sorted(figures)


def test_what_a_page_holds_is_in_the_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    path = tmp_path / "90-page.md"
    path.write_text(
        "# Title\n\n```python\nprint(1)\n```\n```output\n1\n```\n\n```python raises=KeyError\nif 1:\n\n    {}['a']\n"
        "```\n```output\nKeyError: 'a'\n```\n\n```python source=tape.py:x\nquoted = 1\n```\n\n```\nplain\n```\n\n"
        "$$\nx[0](1)\n$$\n\n![a](figures/90-a.svg)\n\n[next](91-a.md#b) [op](../tinyvision/tape.py) [up](https://a.b)"
    )
    _, *cells = notebooks.notebook(path)["cells"]
    assert [c["cell_type"] for c in cells] == ["markdown", "code", "code", "markdown"]
    last = "".join(cells[-1]["source"])
    assert "```python\nquoted = 1\n```\n\n```\nplain\n```" in last
    assert "[next](91-a.ipynb) op [up](https://a.b)" in last
    assert "x[0](1)" in last  # a formula is no link
    assert "".join(cells[1]["source"]) == "print(1)"
    exec("".join(cells[2]["source"]))  # catches its error


def test_the_first_cell_installs_or_says_how(tmp_path, monkeypatch):
    path = pages.find("1")
    monkeypatch.setitem(sys.modules, "tinyvision", None)  # as if it were not installed
    monkeypatch.setattr(notebooks.pages, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(ImportError, match="pip install PATH"):
        exec(_cells(path, "code")[0])
    address = "https://example.org/them/tinyvision"
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nChanges = "https://a"\nRepository = "{address}"\n[x]\n')
    assert notebooks.repository() == address
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    monkeypatch.setattr(notebooks.pages, "FOLDER", tmp_path / "tutorials")
    exec(_cells(path, "code")[0])
    assert ran[0][-1] == f"git+{address}"
    assert f"]({address}/blob/HEAD/tinyvision/" in "".join(_cells(path, "markdown"))


def test_the_pages_lead_to_colab_where_there_is_a_repository(tmp_path, monkeypatch, capsys):
    assert notebooks.spread_colab_lines() == []  # pyproject.toml and the pages agree
    monkeypatch.setattr(notebooks.pages, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks.pages, "FOLDER", tmp_path)
    page, text = tmp_path / "07-page.md", "# 7 · Title\n\n*5 minutes*\n\nText.\n"
    page.write_text(text, encoding="utf-8")
    project = tmp_path / "pyproject.toml"
    for address in ("https://github.com/them/tinyvision", "https://github.com/others/tiny.vision.git"):
        project.write_text(f'[project.urls]\nRepository = "{address}"\n')
        assert command.main(["colab"]) == 0
        name = address.removeprefix("https://github.com/").removesuffix(".git")
        link = f"https://colab.research.google.com/github/{name}/blob/notebooks/07-page.ipynb"
        assert page.read_text(encoding="utf-8") == text.replace("\n\n*", f"\n\n[▶ Run this page in Colab]({link})\n\n*")
        assert notebooks.spread_colab_lines() == []
        assert "colab" not in json.dumps(notebooks.notebook(page))
    project.write_text('[project.urls]\nRepository = "https://example.org/them/tinyvision"\n')  # Colab opens GitHub's
    assert notebooks.spread_colab_lines() == [page]
    assert page.read_text(encoding="utf-8") == text
    assert "1 pages changed" in capsys.readouterr().out


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(["notebook", "4", "11"]) == 0
    assert sorted(p.name[:2] for p in tmp_path.glob("*.ipynb")) == ["04", "11"]
    assert command.main(["notebook", "4"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert command.main(["notebook", "--all", "out/books"]) == 0
    assert len(list((tmp_path / "out" / "books").glob("*.ipynb"))) == len(PAGES)
    for wrong in (["notebook"], ["notebook", "4", "--all", "out"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
