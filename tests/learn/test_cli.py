"""Every command: what it prints, what it returns, and with --json."""

import json

import pytest

from tinyvision.cli import main
from tinyvision.learn import course
from tinyvision.learn.process import Worker

CROPPED = ("PH : PH + H, PW : PW + W", ":H, :W")


@pytest.fixture
def learn(capsys):
    """learn(*words) -> (exit code, standard output, standard error)"""

    def call(*words, command="learn"):
        code = main([command, *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def data(learn):
    """data(*words) -> (exit code, the JSON that was printed)"""

    def call(*words, **how):
        code, out, _ = learn(*words, "--json", **how)
        return code, json.loads(out)

    return call


def test_init_run_and_the_next_command(learn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = learn("init")
    assert (code, out.split("\n")[1]) == (0, "next:  tinyvision learn run out_size")
    code, out, _ = learn("run", "out_size")
    assert code == 1
    assert out.split("\n")[2].strip().startswith("This is supposed to fail now")  # below the page's address
    assert "Still missing: the number of positions" in " ".join(out.split())
    code, out, _ = learn("init")
    assert "Nothing was changed" in out


@pytest.mark.parametrize("name", ["memory_hunt", "bug_hunt_training"])
def test_a_hunt_is_not_said_to_miss_lines_and_tells_only_how_much_there_is_to_find(learn, place, name):
    code, out, _ = learn("run", name)
    said = " ".join(out.split())
    assert code == 1
    assert "This is supposed to fail now: no line is missing, but some are wrong, and are yours to find." in said
    assert f"0 {course.exercise(name).missing}" in said
    assert "yours to write" not in said
    assert "Seen:" not in said


def test_kernels_with_holes_are_said_to_miss_lines(learn, place):
    assert "the lines that are missing are yours to write" in " ".join(learn("run", "cuda_bias")[1].split())


def test_a_file_that_never_ends_is_named_without_a_line(learn, place):
    path = place.file(course.exercise("sgd"))
    path.write_text(path.read_text(encoding="utf-8").replace("...", "0") + "\nwhile True: pass\n", encoding="utf-8")
    out = learn("diagnose", "sgd")[1]
    assert "Reading the file took more than 3 s" in " ".join(out.split())
    assert out.rstrip().split("\n")[-1].strip() == "sgd.py"


def test_a_defect_of_ours_is_told_with_its_line_breaks(learn, place, monkeypatch):
    crash = 'Traceback (most recent call last):\n  File "x.py", line 1, in check\nValueError: empty\n\ttab\n'
    monkeypatch.setattr(Worker, "ask", lambda *a, **k: {"crash": crash})
    code, _, err = learn("run", "sgd")
    assert code == 2
    lines = err.rstrip().split("\n")
    assert lines[0] == "tinyvision: the check of sgd failed; this is a defect of tinyvision:"
    assert lines[1:4] == [
        "    Traceback (most recent call last):",
        '      File "x.py", line 1, in check',
        "    ValueError: empty",
    ]
    assert "\\n" not in err


def test_a_known_mistake_is_first_seen_and_then_named(learn, solve):
    solve("conv_dx", CROPPED)
    code, out, _ = learn("run", "conv_dx")
    assert code == 1
    assert "dx WRONG" in out
    assert "first difference  dx[0,0,0,0]" in out
    assert "This looks like the right dx moved by the padding" in out
    assert "[agrees on every probe]" in out  # what is seen only agrees; the name that may be asked for is exact
    assert "It is an exact match with a known mistake" in " ".join(out.split())
    assert "11-convolution-backward.md" in out
    assert "supposed to fail" not in out
    assert max(len(line) for line in out.split("\n") if "file://" not in line) <= 80  # an address is not broken
    code, out, _ = learn("diagnose", "conv_dx")
    assert code == 1
    assert "You cropped the padded gradient at [:H, :W]" in out
    assert "conv_dx.py:" in out


def test_a_pass_shows_the_answer_and_the_next(learn, solve):
    solve("out_size")
    code, out, _ = learn("run", "out_size")
    assert code == 0
    assert "out_size is right" in out
    assert "Answer: 112" in out
    assert "tinyvision learn run padding" in out
    assert "x  1 out_size" in learn("list")[1]
    assert f"1 of {len(course.names())}" in learn("progress")[1]


def test_hints_come_one_after_the_other(learn, place):
    for number in (1, 2, 3, 3):
        assert f"hint {number} of 3" in learn("hint", "sgd")[1]
    assert "hint 1 of 3" in learn("hint", "sgd", "--level", "1")[1]


def test_the_solution_is_earned(learn, solve):
    code, _, err = learn("solution", "sgd")
    assert (code, "after 3 tries" in err) == (2, True)
    for k in range(3):
        solve("sgd", ("weight - lr", f"weight - {k + 1} - lr"))
        learn("run", "sgd")
    code, _, err = learn("solution", "sgd")
    assert (code, "--yes" in err) == (2, True)
    code, out, _ = learn("solution", "sgd", "--yes")
    assert (code, out) == (0, course.exercise("sgd").solution())


def test_reset_and_a_deleted_file(learn, place, solve):
    solve("sgd")
    code, out, _ = learn("reset", "sgd")
    assert (code, "backups" in out) == (0, True)
    place.file(course.exercise("sgd")).unlink()
    code, _, err = learn("run", "sgd")
    assert (code, "learn reset sgd" in err) == (2, True)
    assert learn("reset", "sgd")[0] == 0
    assert place.untouched(course.exercise("sgd"))


def test_wrong_words_are_answered(learn, place, tmp_path, monkeypatch):
    assert "did you mean conv_dx" in learn("run", "conv_xd")[2]
    monkeypatch.chdir(tmp_path)
    code, _, err = learn("run", "conv_dx")
    assert (code, "tinyvision learn init" in err) == (2, True)
    assert learn("run", "conv_dx", "--dir", str(place.path))[0] == 1
    for wrong, words in (
        (["--time-limit", "-1"], "the time limit"),
        (["--html", "nowhere/report.html"], "cannot write nowhere"),
    ):
        assert learn("run", "--dir", str(place.path), *wrong)[2].startswith(f"tinyvision: learn: {words}")
    assert "no --json" in learn("--json", "--dir", str(place.path))[2]


def test_every_command_with_json(data, solve, tmp_path):
    assert data("init", str(tmp_path / "new"))[1]["added"][0] == "out_size"
    code, told = data("run", "out_size")
    assert (code, told["passed"], told["untouched"], told["answer"]) == (1, False, True, None)
    solve("conv_dx", CROPPED)
    code, told = data("run", "conv_dx")
    assert told["findings"][0]["mistake"] == "conv2d.dx.cropped_at_zero"
    assert data("diagnose", "conv_dx")[1]["findings"][0]["argument"] == "dx"
    assert data("hint", "conv_dx")[1]["level"] == 1
    solve("conv_dx")
    code, told = data("run", "conv_dx")
    assert (code, told["passed"], told["next"]) == (0, True, "maxpool_backward")
    assert data("solution", "conv_dx")[1]["solution"].startswith('"""conv_dx')
    assert len(data("list")[1]) == len(course.names())
    assert data("progress")[1]["passed"] == 1
    assert data("reset", "conv_dx")[1]["backup"]


def test_html(learn, solve, tmp_path):
    solve("conv_dx", CROPPED)
    assert "The picture is in" in learn("run", "conv_dx", "--html", str(tmp_path / "p.html"))[1]
    assert "<html" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "there is no folder" in learn("run", "conv_dx", "--html", str(tmp_path / "no" / "p.html"))[2]
    assert learn("run", "conv_dx", "--html", str(tmp_path / "p.html"))[0] == 1  # its own page is written anew
    solve("conv_dx", ("def ", "__import__('os')._exit(0)\n\n\ndef "))
    out = " ".join(learn("run", "conv_dx", "--html", str(tmp_path / "q.html"))[1].split())
    assert "There is no picture of code that has not come back" in out
    assert "The picture is in" not in out
    assert not (tmp_path / "q.html").exists()


@pytest.mark.parametrize(("name", "why"), [("mine.py", "the page is a .html"), ("mine.html", "is no such page")])
def test_a_page_replaces_pages_only(learn, solve, tmp_path, name, why):
    solve("conv_dx", CROPPED)
    mine = tmp_path / name
    mine.write_text("<!doctype html>\n<html>mine")
    code, _, err = learn("run", "conv_dx", "--html", str(mine))
    assert (code, why in err) == (2, True), err
    assert mine.read_text() == "<!doctype html>\n<html>mine"
