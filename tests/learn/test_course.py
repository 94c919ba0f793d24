"""The course as a whole: order, form, skeletons that fail as intended, solutions that pass."""

import ast
import re
from pathlib import Path

import pytest

import tinyvision
from tinyvision import OptionError
from tinyvision.kernels import emulator
from tinyvision.learn import course, show
from tinyvision.learn.check_all import check_all

ROOT = Path(tinyvision.__file__).parents[1]
PAGES = sorted((ROOT / "tutorials").glob("[0-9]*.md"))

# What an exercise may borrow from tinyvision.ops, and the exercise in which one writes it oneself.
BUILT_IN = {"im2col_forward": "im2col", "col2im": "col2im"}


def learners_imports(text):
    """(module, name) of all imports in a text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((a.name, None) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, a.name) for a in node.names)


def test_the_whole_course():
    if emulator.problem() is None:
        emulator.prepare()  # once for each user of a machine, and not within the time of an exercise
    results = check_all()
    assert len(results) >= 40
    assert not {r["name"]: r["problems"] for r in results if r["problems"]}
    # Under one second an exercise; three here, because the machine may be busy with other tests.
    # Kernels are built by g++, which waits for its turn as well.
    assert max(r["seconds"] for r in results if not r["name"].startswith("cuda_")) < 3


@pytest.mark.parametrize("one", course.exercises(), ids=lambda e: e.name)
def test_the_form_of_an_exercise(one):
    assert 1 <= one.level <= 4
    assert 1 <= one.minutes <= 60
    assert len(one.hints) == 3
    assert one.predict.endswith("?")
    assert one.answer
    assert len(show.title(one)) <= 80
    skeleton, solution = one.skeleton(), one.solution()
    assert skeleton != solution
    for text in (skeleton, solution):
        assert "# solution:" not in text
        assert "# skeleton:" not in text
        assert "tinyvision.learn" not in text  # nothing of the course's part
        assert max(map(len, text.split("\n"))) <= 120
        ast.parse(text)
    # A few lines are missing, not the whole file.
    missing = [line for line in solution.split("\n") if line.strip() and line not in skeleton.split("\n")]
    assert 0 < len(missing) <= 9


@pytest.mark.parametrize("one", course.exercises(), ids=lambda e: e.name)
def test_an_exercise_needs_only_the_ones_before_it(one):
    names = course.names()
    for module, name in learners_imports(one.solution()):
        assert module.split(".")[0] in ("numpy", "tinyvision"), module
        assert module.split(".")[0] not in names
        if module == "tinyvision.ops":
            assert names.index(BUILT_IN[name]) < one.number - 1


@pytest.mark.skipif(not PAGES, reason="the tutorials are not here")
def test_every_exercise_that_a_page_names_exists():
    named = {}
    for page in PAGES:
        for chain in re.findall(r"`tinyvision learn run (.*?`(?: · `.*?`)*)", page.read_text(encoding="utf-8")):
            for word in re.findall(r"(\w+)`", chain):
                named[word] = page.name
    assert named
    assert not {word: page for word, page in named.items() if word not in course.names()}


def test_the_pages_that_exercises_name_exist():
    numbers = {str(int(p.name[:2])) for p in PAGES}
    if numbers:
        assert not {e.name: e.page for e in course.exercises() if e.page and e.page not in numbers}


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(OptionError, match="did you mean conv_dx"):
        course.exercise("conv_xd")
    assert course.exercise("conv_dx.py").name == "conv_dx"


def test_every_source_file_is_in_the_order():
    files = {p.stem for p in course.folder().glob("*.py")} - {"__init__"}
    assert files == set(course.names())
    assert len(course.names()) == len(set(course.names()))
