"""A class to plant: right submissions, wrong ones with mistakes that have names, and hostile ones, any number of them.

`python -m tests.learn.planted_class 300` grades so many as an instructor would, and says what is not as it has to be.
"""

import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.learn.test_predicted import PREDICTED
from tinyvision.learn import confine, course

EXERCISES = ("linear_backward", "relu_backward", "conv_dx", "maxpool_backward", "softmax_backward")
TRUE = course.exercise("relu_backward").solution()


@dataclass
class Student:
    """One to plant: `texts` by exercise, and what has to come of it."""

    name: str
    kind: str  # right, wrong or hostile
    texts: dict
    right: set = field(default_factory=set)  # the exercises that deserve full points
    said: dict = field(default_factory=dict)  # exercise -> words that the report must say


def hostile(code, body="return dy * (cache > 0)"):
    """A file for relu_backward whose function is right, after some code of another purpose."""
    return f"{textwrap.dedent(code)}\ndef relu_backward(dy, cache):\n    {body}\n"


FRAMES = """\
def asked():
    try:
        raise KeyError
    except KeyError as error:
        frame = error.__traceback__.tb_frame
    while frame is not None:
        if "seal" in (frame.f_locals.get("request") or ()):
            return frame.f_locals["request"]
        frame = frame.f_back
"""
ANSWER = '{"passed": true, "status": {}, "findings": [], "kinds": [], "seconds": 0, "text": "", "seal": SEAL}'

# Attacks on the grader's patience, memory, numbers and files. None may have points that no flag stands beside.
ATTACKS = {
    "endless": "while True: pass\n",
    "endless inside": hostile("", "while True: pass"),
    "endless and deaf": "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
    "sleeps": "import time\ntime.sleep(1e6)\n",
    "waits for input": hostile("", "return input()"),
    "ends python": "import os\nos._exit(0)\n",
    "ends python inside": hostile("import os", "os._exit(0)"),
    "exits": "raise SystemExit(0)\n",
    "crashes": "import ctypes\nctypes.string_at(0)\n",
    "recurses": hostile("", "return relu_backward(dy, cache)"),
    "nests": "x = " + "(" * 5000 + ")" * 5000 + "\n",
    "one array": "import numpy as np\nx = np.ones(1 << 40)\n",
    "many arrays": hostile("import numpy as np\nkept = []", "\n    while True: kept.append(np.ones(1 << 24))"),
    "digits": "x = 10 ** 10 ** 9\n",
    "floods": hostile("print('x' * 10_000_000)"),
    "floods inside": hostile("", "\n    while True: print('x' * 100_000)"),
    "floods the pipe": "import os\nwhile True:\n    for fd in range(3, 9):\n        try: os.write(fd, b'x' * 65536)\n"
    "        except OSError: pass\n",
    "prints its grade": hostile(f"print('''{ANSWER}'''); print('10.00 of 10')", "return dy"),
    "forges": "import os\nfor fd in range(1, 20):\n    try: os.write(fd, b'''\n" + ANSWER + "\n''')\n"
    "    except OSError: pass\ndef relu_backward(dy, cache): return dy\n",
    "takes the seal": FRAMES + "import os\nanswer = '''" + ANSWER + "'''.replace('SEAL', '\"' + asked()['seal'] + '\"')"
    "\nfor fd in range(3, 20):\n    try: os.write(fd, ('\\n' + answer + '\\n').encode())\n    except OSError: pass\n"
    "def relu_backward(dy, cache): return dy\n",
    "takes the solution": "from tinyvision.learn import course\nexec(course.exercise('relu_backward').solution())\n",
    "takes the op": "from tinyvision.ops import relu_backward as theirs\ndef relu_backward(dy, cache): return theirs("
    "dy, cache)\n",
    "changes the judge": hostile("from tinyvision.check import Report\nReport.passed = True", "return dy"),
    "changes numpy": hostile("import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True", "return dy"),
    "hides what it imports": hostile("import numpy as np\nos = getattr(np, 'lib')._utils_impl.os\nos.getcwd()"),
    "writes the report": hostile("open('HERE/report.csv', 'w').write('mine,10')"),
    "writes another's file": hostile("open('HERE/class/aaa/relu_backward.py', 'w').write('1/0')"),
    "removes another's file": hostile("import os\nos.unlink('HERE/class/aaa/relu_backward.py')"),
    "writes itself anew": hostile("import os\nopen(__file__, 'w').write('def relu_backward(dy, cache): return dy')"),
    "fills the disk": hostile("f = open('big', 'wb')\nfor _ in range(64): f.write(bytes(1 << 24))"),
    "forks": "import os, time\nfor _ in range(6):\n    os.fork()\ntime.sleep(1e6)\n",
    "leaves a process": hostile("import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(1e6)"),
    "leaves a thread": hostile("import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()"),
    "ends the grader": hostile("import os\nos.kill(os.getppid(), 9)"),
    "limits the grader": hostile(
        "import os, resource\nfor kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS):\n"
        "    resource.prlimit(os.getppid(), kind, (0, 0))"
    ),
    "calls home": hostile("import socket\nsocket.create_connection(('127.0.0.1', PORT))"),
    "a page": "def relu_backward(dy, cache): raise ValueError('<script>alert(1)</script>')\n",
    "no python": "def relu_backward(dy, cache:\n",
    "no text": "\0\1",
    "empty": "",
}  # fmt: skip


def attack(name, here, port=9):
    """The text of an attack on what lies in `here`."""
    return ATTACKS[name].replace("HERE", str(here)).replace("PORT", str(port))


def one(number, here, port=9):
    """The student of a number: of five, two are right, two are wrong and one is hostile, in turn."""
    rng, name = np.random.default_rng(number), f"s{number:03}"
    if number % 5 == 4:
        attacks = list(ATTACKS)
        kind = attacks[number // 5 % len(attacks)]
        return Student(f"{name} {kind}", "hostile", {"relu_backward": attack(kind, here, port)})
    texts, said, right = {}, {}, set()
    for k, exercise in enumerate(EXERCISES):
        text, mistakes = course.exercise(exercise).solution(), PREDICTED[exercise]
        wrong = number % 5 >= 2 and (k == number % len(EXERCISES) or rng.random() < 0.5)
        if wrong:
            old, new, words = mistakes[(number // 5 + k) % len(mistakes)]
            text, said[exercise] = text.replace(old, new), words
        else:
            right.add(exercise)
        texts[exercise] = _own_hand(text, rng)
    return Student(name, "wrong" if said else "right", texts, right, said)


def _own_hand(text, rng):
    """As somebody else would have written it: no two submissions of a class are one text."""
    lines = [f"# {rng.integers(1 << 30)}", "import math", f"LUCKY = math.sqrt({rng.integers(100)})"]
    return text + "\n".join(rng.permutation(lines[:1])) + "\n" + "\n".join(lines[1:]) + "\n"


def plant(folder, numbers, port=9):
    """Write students into `folder`/class; the first of all, "aaa", is right and is attacked."""
    first = Student("aaa", "right", {"relu_backward": TRUE}, {"relu_backward"})
    students = [first, *(one(n, folder, port) for n in numbers)]
    for student in students:
        place = folder / "class" / student.name
        place.mkdir(parents=True)
        for exercise, text in student.texts.items():
            (place / f"{exercise}.py").write_text(text, encoding="utf-8")
    return students


def report(folder, jobs=2, limit="5"):
    """(rows of report.csv by student and exercise, seconds) of `tinyvision learn report` on a planted class."""
    command = ["report", "class", "--exercises", ",".join(EXERCISES), "--jobs", str(jobs), "--time-limit", limit]
    started = time.monotonic()
    ended = learn(folder, *command)
    assert ended.returncode == 0, ended.stderr
    with (folder / "report.csv").open(encoding="utf-8") as file:
        rows = {(row["student"], row["exercise"]): row for row in csv.DictReader(file)}
    return rows, time.monotonic() - started


def learn(folder, *words):
    """`tinyvision learn WORDS` in a folder, in a process of its own: some would end the one they are graded by."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1", "PLANTED": str(folder)}
    command = [sys.executable, "-m", "tinyvision", "learn", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def complaints(students, rows):
    """What a report says that it must not say."""
    for student in students:
        for exercise in student.texts:
            row = rows[student.name, exercise]
            full, flagged = float(row["points"]) == 10, bool(row["flags"])
            if student.kind == "hostile":
                if full and not flagged and "floods" not in student.name:
                    yield f"{student.name}: full points, and no flag"
            elif full != (exercise in student.right):
                yield f"{student.name}: {row['points']} points for {exercise}: {row['says'][:200]}"
            elif flagged and exercise != "conv_dx":
                yield f"{student.name}: {row['flags']}"
            elif not full and not row["mistakes"]:
                yield f"{student.name}: no name for the mistake in {exercise}: {row['says'][:200]}"


def at_home(folder, students, rows):
    """Submissions whose points at home are other ones than the official ones."""
    for student in students:
        told = learn(folder / "class" / student.name, "grade", "--exercises", ",".join(EXERCISES), "--json")
        for graded in json.loads(told.stdout)["exercises"]:
            if graded["points"] != float(rows[student.name, graded["exercise"]]["points"]):
                yield f"{student.name}: {graded}"


def left_over(folder):
    """Processes that were started while this folder was graded, and still run."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PLANTED={folder}".encode() in (process / "environ").read_bytes():
                yield f"process {process.name} is left over"


def prove(folder, numbers, homes=()):
    """Plant a class, grade it; returns (complaints, rows, seconds)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        students = plant(folder, numbers, server.getsockname()[1])
        rows, seconds = report(folder)
    found = list(complaints(students, rows))
    found += at_home(folder, [s for s in students if s.name in homes], rows)
    if confine.version():
        victim = folder / "class" / "aaa" / "relu_backward.py"
        found += [] if victim.read_text(encoding="utf-8") == TRUE else ["another's file was changed"]
    found += left_over(folder)
    return found, rows, seconds


def main():
    """Grade as many as are asked for; exit code 1 where something is not as it has to be."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        homes = [f"s{k:03}" for k in range(0, count, 20)]
        found, rows, seconds = prove(Path(folder), range(count), homes)
        page = (Path(folder) / "report.html").read_text(encoding="utf-8")
    found += ["a script stands in the page"] if "<script>" in page else []
    points = defaultdict(Counter)
    for (student, _), row in rows.items():
        if "was not handed in" not in row["says"]:
            points["hostile" if " " in student else "right or wrong"][float(row["points"])] += 1
    print(f"{count} submissions in {seconds:.0f} s; {len(homes)} graded at home as well")
    for kind, counted in points.items():
        print(f"{kind:15}", ", ".join(f"{n} times {p:g} points" for p, n in sorted(counted.items())))
    print("\n".join(found) or "all as it has to be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
