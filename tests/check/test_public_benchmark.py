"""The benchmark of checkers that others can take part in: its cases as numbers, and a checker from a file."""

import json

import pytest

from benchmarks import checker, checker_public
from tinyvision.errors import DataError

MINE = """
from benchmarks.checker_public import checker, numeric

@checker("mine: never complains")
def mine(case, rng):
    return False
"""


@pytest.fixture(autouse=True)
def only_the_usual_ones(monkeypatch):
    quick = [c for c in checker_public.CHECKERS if c[1] not in checker_public.LIBRARIES]
    monkeypatch.setattr(checker_public, "CHECKERS", quick)


def test_a_checker_of_ones_own_is_judged_beside_the_others(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    written = tmp_path / "cases.json"
    words = ["--public", "--op", "relu", "--with", str(tmp_path / "mine.py"), "--write", str(written)]
    assert checker.main(words) == 0
    assert "mine: never complains" in capsys.readouterr().out
    data = json.loads(written.read_text())
    wrong = [c for c in data["cases"] if not c["right"]]
    said = data["complains"]["tinyvision.check.op"]
    assert all(said[k] != c["right"] for k, c in enumerate(data["cases"]))
    assert not any(data["complains"]["mine: never complains"])
    assert len(wrong) > 10
    assert all(c["says"] and c["inputs"] and c["dy"] for c in wrong)


def test_a_file_without_a_checker_is_told_so(tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(DataError, match="adds no checker"):
        checker_public.bring(tmp_path / "empty.py")
    with pytest.raises(DataError, match="not there"):
        checker_public.bring(tmp_path / "gone.py")
