"""The wall around a learner's code: whatever it does, there is an answer, soon, and in words."""

import os
import signal
import sys
import threading
import time

import pytest

from tinyvision.learn import course, process
from tinyvision.learn.attempt import judge
from tinyvision.learn.process import Worker, forker

ONE = course.exercise("relu_forward")


def answer_to(place, body, top="", limit=20.0):
    lines = "\n    ".join(body.split("\n"))
    place.file(ONE).write_text(f"import os\nimport sys\nimport numpy as np\n{top}\ndef relu_forward(x):\n    {lines}\n",
                               encoding="utf-8")  # fmt: skip
    return judge(place, ONE, limit=limit)


def said(answer):
    return " ".join(f["message"] for f in answer["findings"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("while True: pass", "was cut off"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", ""),
        ("os._exit(7)", "ended Python \\(exit code 7\\)"),
        ("os.abort()", "crashed Python \\(SIGABRT\\)"),
        ("sys.exit()", "SystemExit"),
        ("raise KeyError('boo')", "KeyError"),
        ("return np.zeros((1 << 20, 1 << 20))", "MemoryError"),
        ("return relu_forward(x)", "RecursionError"),
        ("x[x < 0] = 0\nreturn x", "in place"),
        ("pass", "returned None"),
        ("return x.tolist(), 3", "one array alone"),
        ("raise KeyboardInterrupt", ""),
    ],
)
def test_what_functions_do(place, body, words):
    answer = answer_to(place, body, limit=8.0)
    assert not answer["passed"]
    assert __import__("re").search(words, said(answer) or answer["text"]), said(answer)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ("while True: pass", "loop outside of a function"),
        ("sys.exit(0)", "ends Python"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("def broken(:", "line 4"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_files_do(place, top, words):
    answer = answer_to(place, "return np.maximum(x, 0)", top)
    assert not answer["passed"]
    assert words in said(answer)


def test_prints_are_shown_and_floods_are_cut(place):
    answer = answer_to(place, "print('shape', x.shape)\nreturn x")
    assert "shape" in answer["printed"]
    flood = "for _ in range(300): os.write(1, b'x' * 10000)\nreturn x"
    answer = answer_to(place, flood)
    assert not answer["passed"]
    assert len(answer["spilt"]) <= 4000


def test_the_time_limit_holds(place):
    answer = answer_to(place, "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass", limit=2.0)
    assert "more than 2 s" in said(answer)


def test_time_in_which_others_had_the_cores_does_not_count(place, monkeypatch):
    sleeps = "import time\ntime.sleep(2)\nraise KeyError"
    assert "more than 1 s" in said(answer_to(place, sleeps, limit=1.0))
    began = time.monotonic()
    monkeypatch.setattr(process, "_queued", lambda pid: time.monotonic() - began)
    assert "KeyError" in said(answer_to(place, sleeps, limit=1.0))


def test_a_function_that_is_gone_is_asked_for(place):
    place.file(ONE).write_text("x = 1\n", encoding="utf-8")
    assert "no longer defines relu_forward" in said(judge(place, ONE))


@pytest.mark.parametrize("begun", [0, 1])
def test_a_worker_whose_start_a_signal_has_ended_is_closed(monkeypatch, begun):
    """Between the start of the process and that of its readers, of which so many run already."""
    begin, before, processes = threading.Thread.start, [], []
    worker = Worker()
    worker.close()

    def interrupted(thread):
        processes[:] = [worker._process]
        if len(before) == begun:
            raise KeyboardInterrupt
        before.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.start()
    worker.close()
    assert processes[0].poll() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_that_are_forked_are_strangers_to_each_other(tmp_path):
    source = forker()
    path = tmp_path / "relu_forward.py"

    def asked(text, limit=20.0):
        path.write_text(f"import os\nimport resource\nimport numpy as np\n{text}\n", encoding="utf-8")
        worker = Worker(source)
        try:
            return worker.ask({"task": "judge", "name": ONE.name, "path": str(path), "scratch": str(tmp_path)}, limit)
        finally:
            worker.close()

    right = "def relu_forward(x): return np.maximum(x, 0)"
    try:
        assert asked(right)["passed"]
        first = source.pid
        assert "exit code 3" in asked("os._exit(3)")["ended"]
        assert "SIGABRT" in asked("os.abort()")["ended"]
        assert "more than 1 s" in asked("while True:\n    try:\n        while True: pass\n"
                                              "    except BaseException: pass", limit=1.0)["ended"]  # fmt: skip
        assert asked(f"np.maximum = None\n{right}")["passed"] is False
        assert asked(right)["passed"]
        assert source.pid == first
        # Whoever ends it, or lowers its limits, has it started again, and nobody else's work is lost.
        os.kill(first, signal.SIGKILL)
        assert asked(right)["passed"]
        second = source.pid
        asked(f"resource.prlimit({second}, resource.RLIMIT_NOFILE, (32, 32))")
        assert asked(right)["passed"]
        assert len({first, second, source.pid}) == 3
    finally:
        source.close()
    assert source.pid is None
