"""Packs, grades and reports for a class: nothing leaks, partial credit is what it says, hostile files stay harmless."""

import csv
import html
import json
import socket
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.learn import planted_class
from tinyvision import OptionError
from tinyvision.cli import main
from tinyvision.kernels import emulator
from tinyvision.learn import confine, course, points, roster
from tinyvision.learn.grade import chosen, flags, grade, share
from tinyvision.learn.roster import as_csv, as_html, graded

NAMES = "linear_backward,relu_backward"
RIGHT = "def relu_backward(dy, cache):\n    return dy * (cache > 0)\n"


def parts(one):
    """(lines that stand in the source's solution parts, lines that stand open to everybody) of an exercise."""
    secret, open_lines, inside = set(), set(), None
    for line in map(str.strip, one.path.read_text(encoding="utf-8").partition(course.BOUNDARY)[0].split("\n")):
        if line in ("# solution:", "# skeleton:", "# end"):
            inside = line
        elif inside == "# solution:":
            secret.add(line)
        else:
            open_lines.add(line.removeprefix("# ").strip())
    return secret, open_lines


def texts(folder):
    """Every text in a pack, also inside of archives and notebooks."""
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path.name}:{n}", archive.read(n).decode()) for n in archive.namelist())
        elif path.is_file():
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".ipynb":
                text = "\n".join(cell["source"] for cell in json.loads(text)["cells"])
            yield path.name, text


@pytest.mark.parametrize("form", ["folder", "gradescope", "nbgrader"])
def test_no_line_of_a_solution_is_in_a_pack_of_the_whole_course(tmp_path, capsys, form):
    assert main(["learn", "pack", str(tmp_path / "out"), "--for", form]) == 0
    capsys.readouterr()
    files = list(texts(tmp_path / "out"))
    assert sum(text.count("...") for _, text in files) >= len(course.names())
    told_openly = set().union(*(parts(one)[1] for one in course.exercises()))
    for one in course.exercises():
        secret = {line for line in parts(one)[0] - told_openly if len(line) > 8}
        leaked = [(name, line) for name, text in files for line in map(str.strip, text.split("\n")) if line in secret]
        assert not leaked, one.name
        assert all(hint not in text for hint in one.hints for _, text in files)
        assert all(one.answer not in text for _, text in files)


def test_a_pack_is_written_into_an_empty_folder_only(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["learn", "pack", str(tmp_path)]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert main(["learn", "pack", str(tmp_path / "out"), "--for", "moodle"]) == 2
    for number in ("0", "inf", "nan"):
        assert main(["learn", "pack", str(tmp_path / "out"), "--points", number]) == 2


@pytest.mark.parametrize("form", ["folder", "gradescope"])
def test_points_and_time_limit_of_a_pack_are_those_of_its_grader(tmp_path, form):
    words = ["--exercises", "relu_backward", "--points", "3.3333333", "--time-limit", "30"]
    assert main(["learn", "pack", str(tmp_path / "out"), "--for", form, *words]) == 0
    command = f"tinyvision learn grade . {' '.join(words)}"
    told = [text for _, text in texts(tmp_path / "out") if "learn grade" in text]
    assert len(told) == 2 + (form == "gradescope")
    assert all(command in text for text in told)


def test_a_pack_of_notebooks_says_what_nbgrader_does(tmp_path, capsys):
    words = ["learn", "pack", str(tmp_path / "out"), "--for", "nbgrader", "--exercises", "relu_backward"]
    assert main([*words, "--time-limit", "30"]) == 2
    assert "ExecutePreprocessor.timeout" in capsys.readouterr().err
    assert main([*words, "--points", "3.3333333"]) == 0
    assert "1 exercise for nbgrader" in capsys.readouterr().out
    told = (tmp_path / "out/README.txt").read_text()
    assert "in one kernel" in told
    assert "learn grade" not in told  # which reads .py files
    assert (
        "points('relu_backward', 3.3333333, relu_backward)" in (tmp_path / "out/students/exercises.ipynb").read_text()
    )


def test_what_no_parser_reads_costs_one_submission_and_not_the_class(tmp_path, capsys):
    texts = {"ada": "x = " + "-" * 100_000 + "1", "bob": "x" + "[0]" * 20_000, "cleo": "x = 1" + " " * (1 << 20)}
    for name, text in texts.items():
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "relu_backward.py").write_text(text)
    words = ["learn", "report", str(tmp_path / "all"), "--out", str(tmp_path), "--exercises", "relu_backward"]
    assert main([*words, "--jobs", "1", "--json"]) == 0
    ada, bob, cleo = (student["exercises"][0] for student in json.loads(capsys.readouterr().out))
    for deep in (ada, bob):
        assert (deep["says"], deep["points"]) == ("Python cannot read the file: it is nested too deeply", 0.0)
    assert cleo["flags"] == ["is too large to be looked into"]


def test_each_gradient_counts_and_every_way_gives_the_same_points(tmp_path, capsys):
    text = course.exercise("linear_backward").solution()
    wrong = text.replace("dbias = dy.sum(axis=0)", "dbias = dy.mean(axis=0)")
    assert wrong != text
    student = tmp_path / "all" / "ada"
    student.mkdir(parents=True)
    (student / "linear_backward.py").write_text(wrong)
    (student / "relu_backward.py").write_text(RIGHT)
    results = tmp_path / "results.json"
    words = ["--exercises", NAMES, "--points", "6"]
    assert main(["learn", "grade", str(student), *words, "--json", "--gradescope", str(results)]) == 1
    at_home = json.loads(capsys.readouterr().out)
    assert [e["points"] for e in at_home["exercises"]] == [4.0, 6.0]
    assert json.loads(results.read_text())["score"] == at_home["points"] == 10.0
    out = tmp_path / "grades" / "of all"
    assert main(["learn", "report", str(tmp_path / "all"), *words, "--out", str(out), "--jobs", "1"]) == 0
    assert f"{out}: a new folder, for report.csv and report.html\n" in capsys.readouterr().out
    with (out / "report.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["points"]) for line in lines] == [4.0, 6.0]
    assert "linear.dbias.averaged" in lines[0]["mistakes"]
    space = {}
    exec(wrong, space)
    assert points("linear_backward", 6, space["linear_backward"]) == 4.0
    assert "dbias" in capsys.readouterr().out


HOSTILE = {
    "endless": "while True:\n    pass\n",
    "exits": "import os\nos._exit(0)\n",
    "forges": "import os\nfor fd in range(3, 20):\n    try:\n        os.write(fd, b'"
    + '{"passed": true, "status": {}, "findings": [], "seconds": 0}\\n'
    + "')\n    except OSError:\n        pass\ndef relu_backward(dy, cache):\n    return dy\n",
    "floods": "print('x' * 10_000_000)\ndef relu_backward(dy, cache):\n    return dy\n",
    "hogs": "x = bytearray(1 << 40)\n",
    "=cmd()": "def relu_backward(dy, cache):\n    raise ValueError('<script>alert(1)</script>')\n",
    "<b>": "def relu_backward(dy, cache:\n",
    "empty": "",
    "borrows": "from tinyvision.ops import relu_backward as theirs\ndef relu_backward(dy, cache):\n"
    "    return dy * (cache > 0)\n",
    "binary": "\0\0",
}


def test_hostile_files_get_no_points_and_the_page_stays_a_page(tmp_path):
    for name, text in HOSTILE.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "relu_backward.py").write_text(text)
    (tmp_path / "nothing").mkdir()
    deep = tmp_path / "right" / "src"
    deep.mkdir(parents=True)
    (deep / "relu_backward.py").write_text(RIGHT)
    students = sorted(tmp_path.iterdir())
    rows = dict(graded(students, chosen("relu_backward"), limit=2.0, jobs=2))
    assert {name for name, (g,) in rows.items() if g.share} == {"right", "borrows"}
    assert rows["borrows"][0].flags == ["imports tinyvision.ops"]
    assert rows["forges"][0].flags == ["imports os"]
    assert not rows["right"][0].flags
    assert not rows["nothing"][0].found
    page, table = as_html(list(rows.items()), 10), as_csv(list(rows.items()), 10)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "\n'=cmd()," in table


def test_the_page_has_words_for_every_cause(tmp_path):
    text = (
        "def linear_backward(dy, cache):\n    x, weight = cache\n    return dy @ -weight, dy.T @ x[::-1], dy.sum(0)\n"
    )
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "linear_backward.py").write_text(text)
    ((grade,),) = [grades for _, grades in graded([tmp_path / "one"], chosen("linear_backward"), limit=5.0, jobs=1)]
    assert len(grade.mistakes) == 2
    assert set(grade.words) == set(grade.mistakes)
    page = as_html([("one", [grade])], 10)
    assert all(html.escape(words) in page for words in grade.words.values())


KEPT_OFF = ("writes another's file", "removes another's file", "writes itself anew", "ends the grader", "calls home")


@pytest.mark.skipif(not confine.version(), reason="this system has no Landlock to confine a submission with")
@pytest.mark.parametrize("name", KEPT_OFF)
def test_a_submission_changes_nothing_but_its_own_folder(tmp_path, name):
    if confine.version() < {"ends the grader": 6, "calls home": 4}.get(name, 1):
        pytest.skip("this Linux cannot deny that yet")
    with socket.create_server(("127.0.0.1", 0)) as server:
        texts = {"aaa": planted_class.TRUE, "bad": planted_class.attack(name, tmp_path, server.getsockname()[1])}
        for student, text in texts.items():
            (tmp_path / "class" / student).mkdir(parents=True)
            (tmp_path / "class" / student / "relu_backward.py").write_text(text)
        told = planted_class.learn(tmp_path, "grade", "class/bad", "--exercises", "relu_backward", "--json")
    (graded,) = json.loads(told.stdout)["exercises"]
    assert "Permission denied" in graded["says"] or "not permitted" in graded["says"]
    for student, text in texts.items():
        assert (tmp_path / "class" / student / "relu_backward.py").read_text() == text


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_submission_that_limits_its_parent_costs_the_others_nothing(tmp_path):
    texts = {"aaa": planted_class.TRUE, "bad": planted_class.attack("limits the grader", tmp_path),
             "zzz": planted_class.TRUE}  # fmt: skip
    for student, text in texts.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "relu_backward.py").write_text(text)
    words = ["report", "class", "--exercises", "relu_backward", "--jobs", "1", "--json"]
    told = planted_class.learn(tmp_path, *words)
    assert told.returncode == 0, told.stderr
    rows = {row["student"]: row for row in json.loads(told.stdout)}
    assert [rows[s]["exercises"][0]["share"] for s in ("aaa", "zzz")] == [1, 1]
    assert rows["bad"]["exercises"][0]["flags"] == ["imports os", "imports resource", "reaches for prlimit"]
    assert rows["aaa"]["undenied"] == confine.undenied()


@pytest.mark.parametrize(("version", "count"), [(0, 4), (1, 3), (3, 2), (4, 1), (6, 0)])
def test_what_this_kernel_cannot_deny_is_said(tmp_path, capsys, monkeypatch, version, count):
    monkeypatch.setattr(confine, "version", lambda: version)
    (tmp_path / "relu_backward.py").write_text(RIGHT)
    words = ["learn", "grade", str(tmp_path), "--exercises", "relu_backward"]
    assert main([*words, "--json"]) == 0
    undenied = json.loads(capsys.readouterr().out)["undenied"]
    assert len(undenied) == count
    assert ("open TCP connections" in undenied) == (version < 4)
    assert ("end your other processes" in undenied) == (version < 6)
    assert main(words) == 0
    assert ("cannot deny a submission to" in capsys.readouterr().out) == bool(undenied)


def test_a_report_keeps_those_that_were_graded_before_it_ended(tmp_path, monkeypatch):
    for student in ("ada", "ben"):
        (tmp_path / "class" / student).mkdir(parents=True)

    def graded_until(folder, exercises, limit, source):
        if folder.name == "ben":
            raise KeyboardInterrupt
        return grade(folder, exercises, limit, source)

    monkeypatch.setattr(roster, "grade", graded_until)
    words = ["learn", "report", str(tmp_path / "class"), "--exercises", "relu_backward", "--jobs", "1"]
    with suppress(KeyboardInterrupt):
        main([*words, "--out", str(tmp_path)])
    with (tmp_path / "report.csv").open() as file:
        assert [line["student"] for line in csv.DictReader(file)] == ["ada"]


def test_tables_that_are_there_are_kept(tmp_path, capsys):
    (tmp_path / "class" / "ada").mkdir(parents=True)
    mine = tmp_path / "report.csv"
    mine.write_text("my own table")
    words = ["learn", "report", str(tmp_path / "class"), "--exercises", "relu_backward", "--jobs", "1"]
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert f"report.csv is in {tmp_path} already; --overwrite replaces" in capsys.readouterr().err
    assert mine.read_text() == "my own table"
    assert main([*words, "--out", str(tmp_path), "--overwrite"]) == 0
    assert "1 submission: " in capsys.readouterr().out
    assert mine.read_text().startswith("student,")
    words = ["learn", "grade", str(tmp_path / "class" / "ada"), "--exercises", "relu_backward", "--gradescope"]
    before = mine.read_text()
    assert main([*words, str(mine)]) == 2
    assert "is no results.json" in capsys.readouterr().err
    assert mine.read_text() == before
    for _ in range(2):  # the results of the run before are replaced
        assert main([*words, str(tmp_path / "results.json")]) == 1


LIMITED = """\
import os, resource, sys, tempfile
from tinyvision.learn import confine
if os.getuid() == 0:
    os.setuid(54321)  # Linux does not count root's processes
seen = confine._threads_of_user() if sys.argv[1] == "all" else 1 - confine.PROCESSES
confine._threads_of_user = lambda: seen
before = resource.getrlimit(resource.RLIMIT_NPROC)
confine._limit()
after = resource.getrlimit(resource.RLIMIT_NPROC)
if not os.fork():
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), after == before, after == (seen + confine.PROCESSES,) * 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are limited on Linux only")
@pytest.mark.parametrize(("seen", "said"), [("all", "0 False True"), ("few", "0 True False")])
def test_a_limit_that_leaves_no_room_is_taken_back(seen, said):
    """Where a user's processes are in other containers too, /proc shows fewer than Linux counts."""
    told = subprocess.run([sys.executable, "-c", LIMITED, seen], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == said, told.stderr


def test_what_a_submission_started_ends_with_it(tmp_path):
    (tmp_path / "relu_backward.py").write_text(planted_class.attack("leaves a process", tmp_path))
    told = planted_class.learn(tmp_path, "grade", "--exercises", "relu_backward", "--json")
    (graded,) = json.loads(told.stdout)["exercises"]
    assert graded["share"] == 1
    assert graded["flags"] == ["imports os"]
    assert not list(planted_class.left_over(tmp_path))


@pytest.mark.skipif(emulator.problem() is not None, reason=str(emulator.problem()))
def test_a_compiler_finds_room_where_a_submission_is_confined(tmp_path):
    one = course.exercise("cuda_bias")
    (tmp_path / one.file).write_text(one.solution(), encoding="utf-8")
    (graded,) = grade(tmp_path, [one])
    assert graded.share == 1, graded.says


def test_helpers_are_looked_into_as_well(tmp_path):
    one = course.exercise("relu_backward")
    (tmp_path / "mine.py").write_text("from theirs import answer\n")
    (tmp_path / "theirs.py").write_text("import numpy as np\nanswer = np.sys.modules['tinyvision.ops'].relu_backward\n")
    (tmp_path / one.file).write_text("from mine import answer as relu_backward\n")
    assert flags(tmp_path / one.file, one) == ["reaches for sys"]
    (tmp_path / one.file).write_text("match 1:\n    case object(__class__=kind):\n        pass\n")
    assert flags(tmp_path / one.file, one) == ["reaches for __class__"]
    (tmp_path / one.file).write_text("from numpy import load\n")
    assert flags(tmp_path / one.file, one) == ["reads or writes files (load)"]


def test_shares():
    one, pair = course.exercise("linear_backward"), course.exercise("dropout")

    def answer(passed=False, **status):
        return {"passed": passed, "status": status}

    assert share(answer(True), one) == 1
    assert share(answer(forward="ok", dx="ok", dweight="wrong", dbias="ok"), one) == pytest.approx(2 / 3)
    assert share(answer(forward="ours", dx="ok", purity="wrong"), one) == 0.5
    assert share(answer(), one) == 0
    assert share(answer(forward="wrong", shapes="ok"), one) == 0
    assert share(answer(forward="ok", dx="wrong"), pair) == 0.5


def test_what_exercises_use_themselves_is_not_flagged(tmp_path):
    for one in course.exercises():
        path = tmp_path / one.file
        path.write_text(one.solution(), encoding="utf-8")
        assert not flags(path, one), one.name


def test_unknown_names_and_folders(tmp_path, capsys):
    with pytest.raises(OptionError, match="did you mean relu_backward"):
        chosen("relu_bakward")
    assert main(["learn", "report", str(tmp_path)]) == 2
    assert main(["learn", "report", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    (tmp_path / "one").mkdir()
    (tmp_path / "file").touch()
    assert main(["learn", "report", str(tmp_path), "--out", str(tmp_path / "file" / "new")]) == 2
    assert f"cannot make the folder {tmp_path / 'file' / 'new'}: Not a directory" in capsys.readouterr().err
    assert main(["learn", "grade", str(tmp_path / "none")]) == 2
    assert [g.found for g in grade(tmp_path, chosen("relu_backward"))] == [False]


def test_words_of_a_submission_reach_neither_the_terminal_nor_the_end_of_the_report(tmp_path, capsys):
    """An exception's text may hold what moves a cursor, and what is no text; the name of a folder, too."""
    student = tmp_path / "all" / "ada\n\udcff"
    student.mkdir(parents=True)
    (student / "relu_backward.py").write_text("raise ValueError('\\udcff\\x1b[2J')\n")
    words = ["--exercises", "relu_backward"]
    assert main(["learn", "report", str(tmp_path / "all"), "--out", str(tmp_path), *words, "--jobs", "1"]) == 0
    assert "0.00  ada\\n\\udcff\n" in capsys.readouterr().out
    (line,) = csv.DictReader((tmp_path / "report.csv").open(encoding="utf-8"))
    assert (line["student"], line["says"]) == ("ada\\n\\udcff", r"Reading the file raised ValueError: \udcff\x1b[2J")
    assert main(["learn", "grade", str(student), *words]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_an_exception_that_fails_to_speak_ends_no_report(tmp_path):
    dumb = "class Dumb(Exception):\n    def __str__(self):\n        raise ValueError\n\n\n"
    for name, code in (("ada", "raise Dumb\n"), ("bob", "def relu_backward(dy, x):\n    raise Dumb\n")):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "relu_backward.py").write_text(dumb + code)
    words = ["--out", str(tmp_path), "--exercises", "relu_backward", "--jobs", "1"]
    assert main(["learn", "report", str(tmp_path / "all"), *words]) == 0
    ada, bob = csv.DictReader((tmp_path / "report.csv").open(encoding="utf-8"))
    assert ada["says"] == "Reading the file raised Dumb"
    assert "raised Dumb" in bob["says"]


def test_where_a_submission_lies_says_nothing_of_it(tmp_path, monkeypatch):
    student = tmp_path / ".course" / "ada"
    for folder in (student, student / ".hidden", tmp_path / "here"):
        folder.mkdir(parents=True)
    (student / "relu_backward.py").write_text(RIGHT)
    (student / ".hidden/linear_backward.py").write_text(course.exercise("linear_backward").solution())
    monkeypatch.chdir(tmp_path / "here")
    assert main(["learn", "grade", str(student), "--exercises", "relu_backward"]) == 0
    assert main(["learn", "grade", "../.course/ada", "--exercises", "relu_backward"]) == 0
    assert main(["learn", "grade", "../.course/ada", "--exercises", "linear_backward"]) == 1


def test_a_file_that_notepad_has_written_is_graded(tmp_path):
    (tmp_path / "relu_backward.py").write_text(RIGHT, encoding="utf-8-sig", newline="\r\n")
    assert main(["learn", "grade", str(tmp_path), "--exercises", "relu_backward"]) == 0
