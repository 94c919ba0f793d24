"""The pages run, print and draw what they say; their links lead somewhere; and a changed op is noticed."""

import ast
import code
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tinyvision import ops
from tinyvision.errors import OptionError
from tinyvision.learn import course, draw
from tutorials import __main__ as command
from tutorials import elsewhere, pages

PAGES = pages.all_pages()
TEXTS = [*PAGES, *(pages.FOLDER / name for name in ("README.md", "glossary.md", "formulas.md"))]
OTHERS = [pages.ROOT / name for name in ("README.md", ".github/CONTRIBUTING.md", "benchmarks/RESULTS.md")]
FIGURES = sorted(pages.FIGURES.glob("*.svg"))
MOVING = [path for path in FIGURES if "@keyframes" in path.read_text()]


def _write(tmp_path, monkeypatch, text, number="90"):
    """A page of its own in an empty folder of pages."""
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    monkeypatch.setattr(pages, "FIGURES", tmp_path / "figures")
    path = tmp_path / f"{number}-page.md"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_page(path):
    assert pages.run(path).problems == []


# -- links and references


def _anchors(path):
    """GitHub's anchors of a Markdown file's headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]|\]\([^)]*\)", "", t).lower()).strip().replace(" ", "-") for t in titles
    }


def _prose(path):
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize("path", TEXTS + OTHERS, ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.stem)
def test_references_to_code_exist(path):
    """`ops/conv.py: conv2d_forward` names a file (of tinyvision, or from the root) and what it defines."""
    broken = []
    for file, name in re.findall(r"`([\w/]+\.py): ([\w.]+)`", path.read_text(encoding="utf-8")):
        places = [p for p in (pages.ROOT / "tinyvision" / file, pages.ROOT / file) if p.is_file()]
        if not places or pages.definition(ast.parse(places[0].read_text(encoding="utf-8")), name) is None:
            broken.append(f"{file}: {name}")
    assert broken == []


def test_pages_follow_each_other():
    """Every page links to the one before and the one after, and the contents list all."""
    for before, after in itertools.pairwise(PAGES):
        assert f"]({after.name})" in before.read_text(encoding="utf-8"), before.name
        assert f"]({before.name})" in after.read_text(encoding="utf-8"), after.name
    contents = (pages.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in PAGES if f"]({p.name})" not in contents] == []


def test_the_contents_add_up():
    """Minutes on the page, in the table and in the three ways are the same, and the sums in words are right."""
    contents = (pages.FOLDER / "README.md").read_text(encoding="utf-8")
    minutes = {}
    for path in PAGES:
        said = int(re.search(r"^\*(\d+) minutes", path.read_text(encoding="utf-8"), flags=re.M)[1])
        listed = re.search(rf"^\| \d+ \| .*\]\({path.name}\).*\| (\d+) \|$", contents, flags=re.M)
        assert int(listed[1]) == said, path.name
        minutes[path.name] = said
    for name, said in re.findall(r"\]\(([\w-]+\.md)\) \((\d+)(?: min)?\)", contents):
        assert int(said) == minutes[name], name
    ways = re.findall(r"^\*\*The (.*?)(?=^\*\*The |^## )", contents, flags=re.M | re.S)
    gym = next(text for text in ways if text.startswith("gradient gym"))
    backward = sum(minutes[name] for name in set(re.findall(r"\]\(([\w-]+\.md)\)", gym)))
    exercises = sum(one.minutes for one in course.exercises() if 8 <= int(one.page) <= 16)
    assert f"{_hours(backward)} hours of pages, and about {_hours(exercises)} hours of exercises" in gym
    assert f"about {_hours(sum(minutes.values()))} hours" in ways[0]


def _hours(minutes):
    quarters = round(minutes / 15)
    return f"{quarters // 4}{['', '¼', '½', '¾'][quarters % 4]}"


# -- figures


@pytest.mark.parametrize("path", FIGURES, ids=lambda p: p.stem)
def test_figure_is_small_and_without_words(path):
    assert path.stat().st_size < (300_000 if path in MOVING else 100_000)
    tree = ElementTree.parse(path)
    words = ["".join(e.itertext()) for e in tree.iter() if e.tag.endswith(("text", "title", "desc"))]
    assert [w for w in words if any(a.isalpha() and b.isalpha() for a, b in itertools.pairwise(w))] == []
    assert json.loads(path.with_suffix(".json").read_text())["arrays"]


def test_a_block_that_needs_what_is_not_installed_is_not_run(tmp_path, monkeypatch):
    text = "```python needs=no_such_module\nraise ValueError\n```\n```output\nnever\n```\n"
    report = pages.run(_write(tmp_path, monkeypatch, text))
    assert report.problems == []
    assert report.skipped == ["line 1: not run, no_such_module is not installed"]
    figure = _write(tmp_path, monkeypatch, text + "\n![what it would draw](figures/90-drawn.svg)\n")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "90-drawn.svg").write_text("<svg/>")
    assert pages.run(figure).problems == pages.run(figure, fix=True).problems == []
    assert (tmp_path / "figures" / "90-drawn.svg").is_file()  # it is not taken for one that nothing draws
    (tmp_path / "figures" / "90-drawn.svg").unlink()
    there = pages.run(_write(tmp_path, monkeypatch, text.replace("no_such_module", "json")))
    assert "ValueError" in there.problems[0]
    assert there.skipped == []


def test_figure_numbers_are_compared(tmp_path, monkeypatch):
    text = (
        "```python\nimport numpy as np\nfrom tinyvision.learn import draw\nx = np.arange(6.0)\n"
        '_ = draw.curves("90-line", x, [x])\n```\n![line](figures/90-line.svg)\n'
    )
    path = _write(tmp_path, monkeypatch, text)
    assert pages.run(path, fix=True).problems == []
    assert pages.run(path).problems == []
    path.write_text(text.replace("[x]", "[x + 1]"))
    assert "draws other numbers" in pages.run(path).problems[0]
    path.write_text("nothing\n")
    assert "stored but not drawn" in pages.run(path).problems[0]


def test_drawing_everything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = np.linspace(-1, 1, 12).reshape(3, 4)
    figures = [
        draw.images("a", a, a.T, signed=True, digits=1, frames=[(0, 0, 0, 2, 2)]),
        draw.images("b", np.abs(np.stack([a, a, a])), columns=1),
        draw.curves("c", [1.0, 10, 100], [[1.0, 0.1, np.nan], [3.0, 2, 1]], log=True),
        draw.bars("d", [1.0, -2], [0.5]),
    ]
    for figure in figures:
        ElementTree.fromstring(figure.svg)
        assert figure.path.read_text() == figure.svg == figure._repr_svg_()


@pytest.mark.parametrize("path", MOVING, ids=lambda p: p.stem)
def test_a_moving_figure_is_still_for_those_who_ask_for_it(path):
    """One frame stands alone wherever the style does not apply, and the style asks first."""
    text = path.read_text()
    assert re.findall(r'visibility="(\w+)"', text).count("visible") == 1
    style = re.search(r"<style>(.*?)</style>", text)[1]
    moves = re.findall(r"animation:", style)
    assert style.startswith("@media screen and (prefers-reduced-motion:no-preference){")
    assert len(moves) == 1 == style.split("}}")[0].count("animation:")
    assert f".figure-{path.stem}{{" in style  # no other figure on the same page is touched
    delays = [float(d) for d in re.findall(r"animation-delay:(-[\d.]+)s", text)]
    assert delays == sorted(delays)
    assert len(delays) > 3


def test_moving_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = np.linspace(-1, 1, 12).reshape(3, 4)

    def frame(t):
        return draw.images(None, a, np.where(np.arange(4) <= t, a, np.nan), signed=True, digits=1)

    with draw.collect() as kept:
        figure = draw.moving("m", [frame(t) for t in range(4)], seconds=0.5, still=0)
    assert list(kept) == ["m"]  # frames are kept nowhere
    tree = ElementTree.fromstring(figure.svg)
    frames = [g for g in tree if g.get("visibility")]
    assert [g.get("visibility") for g in frames] == ["visible", "hidden", "hidden", "hidden"]
    assert len(tree) == 3 + 4  # panel, style and the picture that is alike in all; then what is not
    digits = [len([e for e in g.iter() if e.tag.endswith("text")]) for g in frames]
    assert digits == [3, 6, 9, 12]  # NaN is not drawn
    assert len(figure.numbers["arrays"]) == 5
    other = draw.moving("m", [frame(t) for t in (0, 1, 2, 2)])
    assert not draw.same_numbers(figure.numbers, other.numbers)
    assert draw.same_numbers(json.loads(json.dumps(figure.numbers)), figure.numbers)
    draw.moving("w", [draw.walks(None, a, (0, 1, 0, 1), [[(0, 0), (1, t)]]) for t in (0, 1)])
    with pytest.raises(OptionError, match="one size"):
        draw.moving("m", [draw.images(None, a), draw.images(None, a.T)])
    with pytest.raises(OptionError, match="none"):
        draw.moving("m", [])


# -- the runner


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a 1.2345", "a  1.2346", True),  # one unit in the last place of many
        ("a 1.2345", "a 1.2347", False),
        ("a 1.234", "a 1.235", False),  # so few digits are alike everywhere
        ("3 apples", "4 apples", False),  # integers are exact
        ("[3. 0.]", "[4. 0.]", False),  # as NumPy writes the number 3
        ("0.1", "0.2", False),  # a tenth of what is shown is no rounding
        ("1.0000e-12", "1.0001e-12", True),
        ("1e-12", "1e-10", False),
        ("[ 0. -1.]", "[-0. -1.]", True),
        ("took ... s\nend", "took 0.3 s\nend", True),
        ("took ... s\nend", "took 0.3 s\nfin", False),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a b", "a", False),
        ("a", "a b", False),
        ("Dice 0.85±0.08, end", "Dice 0.93, end", True),
        ("Dice 0.85±0.08", "Dice 0.94", False),
        ("T 1.9±0.2: -0.1±0.1", "T 2.1: 0.0", True),
        ("0.85±0.08", "about", False),
        ("0.85±0.08", "0.85±0.07", False),  # what a program prints is a number, or is not as it was
    ],
)
def test_comparing(expected, printed, same):
    assert pages.same(expected, printed) is same


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_planted_wrong_digit_is_found(path):
    """Every number of every output: each wrong first digit, and, unless a tolerance is declared, each wrong last one;
    but for that of five digits and more, which may be off by one."""
    passed, planted = [], 0
    for block in pages.blocks(path.read_text(encoding="utf-8")):
        if block.language != "output":
            continue
        allowed = pages.allowed(block)
        spreads = {m.start() for m in re.finditer("±", block.text)}
        for number in re.finditer(r"(?<!±)(?<![\d.±])(\d+(\.\d*)?|\.\d+)", block.text):
            digits = [i for i in range(*number.span()) if block.text[i].isdigit()]
            first = next((i for i in digits if block.text[i] != "0"), digits[0])
            declared = bool(allowed) or number.end() in spreads
            long = "." in number[0] and len(digits) - digits.index(first) >= 5
            for place in {first} if declared else {first, digits[-1]}:
                right = int(block.text[place])
                nearest = 5 if declared else 2 if long and place != first else 1
                for wrong in {(right + away) % 10 for away in range(nearest, 10 - nearest + 1)}:
                    text = block.text[:place] + str(wrong) + block.text[place + 1 :]
                    text = re.sub(r"±[\d.]+", "", text)
                    planted += 1
                    if pages.same(block.text, text, **allowed):
                        passed.append(f"line {block.line}: {number[0]} with the digit {wrong}")
    assert passed == []
    assert planted or path.stem.startswith("26")  # which runs without a GPU, and shows no numbers


def _refused_by_a_repl(text):
    """The line of `text` at which Python's prompt, fed line by line, reports an error; None if it takes all."""
    waiting = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        waiting.append(line)
        if not "".join(waiting).strip():
            waiting = []
            continue
        try:
            if code.compile_command("\n".join(waiting), "<page>", "single") is not None:
                waiting = []
        except SyntaxError:
            return number
    return number if waiting else None


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_every_block_can_be_pasted_into_the_prompt(path):
    found = [b for b in pages.blocks(path.read_text(encoding="utf-8")) if b.language == "python"]
    refused = {b.line: _refused_by_a_repl(b.text) for b in found if "source" not in b.options}
    assert {line: at for line, at in refused.items() if at} == {}


def test_the_prompt_wants_a_blank_line_after_a_suite():
    assert _refused_by_a_repl("for i in range(3):\n    print(i)\nprint(4)\n") == 3
    assert _refused_by_a_repl("for i in range(3):\n    print(i)\n\nprint(4)\n") is None


def test_tolerance():
    assert pages.same("accuracy 0.97", "accuracy 0.95", tolerance=0.03)
    assert not pages.same("accuracy 0.97", "accuracy 0.90", tolerance=0.03)


def test_within():
    assert pages.same("blur 0.16 0.91", "blur 0.25 0.81", within=0.1)
    assert not pages.same("blur 0.16 0.91", "blur 0.27 0.91", within=0.1)
    assert pages.same("0.16±0.2 0.91", "0.35 0.91", within=0.1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\nprint(1)\n```\n```output\n2\n```\n", "the page says"),
        ("```python\nprint(1)\n```\n\nwords\n\n```output\n1\n```\n", "no output block follows"),
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python raises=KeyError\npass\n```\n", "was to raise KeyError"),
        ("```python raises=KeyError\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python source=grad_mode.py:no_grad\npass\n```\n", "the page says"),
        ("```python source=tape.py:nothing\npass\n```\n", "does not define nothing"),
        ("```python source=nothing.py:no_grad\npass\n```\n", "there is no"),
        ("![a](figures/90-a.svg)", "shown but not drawn"),
        (
            "```python\nfrom tinyvision.learn import draw\n_ = draw.bars('90-a', [1, 2])\n```\n",
            "drawn but not shown",
        ),
    ],
)
def test_a_wrong_page_is_found(tmp_path, monkeypatch, text, problem):
    path = _write(tmp_path, monkeypatch, text)
    assert problem in "\n".join(pages.run(path).problems)


def test_fix_writes_what_came_out(tmp_path, monkeypatch):
    text = (
        "```python\nprint(1)\n```\n```output\n2\n```\n\n"
        "```python raises=KeyError\n{}['a']\n```\n```output\n```\n\n```python source=grad_mode.py:no_grad\n```\n"
    )
    path = _write(tmp_path, monkeypatch, text)
    assert pages.run(path, fix=True).problems == []
    assert pages.run(path).problems == []
    assert "```output\n1\n```" in path.read_text()
    assert "KeyError: 'a'" in path.read_text()
    assert "return _GradMode(False)" in path.read_text()


def test_quotes_leave_out_docstrings_and_annotations(tmp_path, monkeypatch):
    (tmp_path / "tinyvision").mkdir()
    text = '''class Kept:
    """Words."""

    b: int
    c: str | None = "ü"

    def method(
        self, a: dict[str, int] = {"b": 1}, *rest: int, key: bool = True,  # gone with the signature
    ) -> list[int]:
        # stays
        d: list[int] = [a["b"]]
        return d


def short(x: int) -> int: return x
'''
    (tmp_path / "tinyvision" / "made.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    body = '        # stays\n        d = [a["b"]]\n        return d\n'
    method = "    def method(self, a={'b': 1}, *rest, key=True):\n" + body
    assert pages.source("made.py:Kept") == 'class Kept:\n    c = "ü"\n\n' + method
    assert pages.source("made.py:short") == "def short(x): return x\n"


def test_a_page_that_takes_too_long_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "LIMIT", 0.0)
    path = _write(tmp_path, monkeypatch, "```python\nx = sum(range(100_000))\n```\n")
    assert "of CPU time" in pages.run(path).problems[0]


def test_a_changed_op_makes_a_page_fail(monkeypatch):
    """Swap a sum for a mean in the bias gradient: the page that derives it must notice."""
    right = ops.linear_backward

    def wrong(dy, cache, needs=(True, True, True)):
        dx, dweight, dbias = right(dy, cache, needs)
        return dx, dweight, dbias / len(dy)

    monkeypatch.setattr(ops, "linear_backward", wrong)
    assert pages.run(pages.find("10")).problems != []


def test_command_line(tmp_path, monkeypatch, capsys):
    _write(tmp_path, monkeypatch, "```python\nprint(1)\n```\n```output\n2\n```\n")
    assert command.main(["check"]) == 1
    assert command.main(["fix", "90"]) == 0
    assert command.main(["check", "90"]) == 0
    assert "1 of 1 pages are right" in capsys.readouterr().out
    assert command.main(["check", "17"]) == 2
    assert command.main(["check", "seventeen"]) == 2
    assert "there is no page" in capsys.readouterr().err


def test_every_exercise_has_its_page():
    """Pages end with "`tinyvision learn run a` · `b`": together they name every exercise, and nothing else."""
    from tutorials.exercises import ORDER

    text = "\n".join(p.read_text(encoding="utf-8").rpartition("## Exercises")[2] for p in PAGES)
    lists = re.findall(r"^`tinyvision learn run (\w+`(?: · `\w+`)*)", text, flags=re.M)
    assert {name for names in lists for name in re.findall(r"\w+", names)} == set(ORDER)


# -- on other machines


def test_a_page_is_run_elsewhere(tmp_path, monkeypatch):
    """A weight in all its digits moves with a nudge, a count does not; what the page does not allow is a problem."""
    page = tmp_path / "90-page.md"
    page.write_text(
        "```python\nimport numpy as np, tinyvision as tv\nw = tv.ones(64, requires_grad=True)\n"
        "print(w.numel(), f'{w.sum().item():.9f}', 3)\ntv.optim.SGD([w], lr=1)\n"
        "print(w.numel(), f'{w.data.numpy().astype(float).sum():.9f}')\n```\n"
        "```output\n64 64.000000000 3\n64 64.000000000±1e-9\n```\n"
    )
    monkeypatch.setattr(elsewhere, "PLACES", (("Haswell", "off"),))
    found = elsewhere.run(page, 2)
    assert len(found.wrong) == 2
    assert all(text.startswith("nudge") for text in found.wrong)
    (moved,) = found.lines()
    assert moved.startswith("line 8: 64.000000000±1e-9")
    assert " 64.000000000" in moved


def test_the_command_says_what_moved(capsys):
    assert command.main(["elsewhere", "1", "--nudges", "0"]) == 0
    assert capsys.readouterr().out == "ok    01-an-image-is-an-array\n"
