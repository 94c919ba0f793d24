"""The other side of the wall: a process that judges one attempt and is gone.

Started ahead of time, it has NumPy and the checker loaded and waits for one line of JSON on standard input:
{"task": "judge" | "gradcheck", ..., "cwd": folder}, with "scratch": folder where what is judged may write there only.
It says "ready" first; the answer is one line of JSON on its standard output, to which nothing else can be written:
whatever the learner's code prints goes to standard error.
"""

import json
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from .confine import confine, go_on_in_a_child

MEMORY = 2 << 30  # bytes that the learner's code may take beyond what Python and NumPy hold already


def _limit_memory():
    """Turn an array of a terabyte into a MemoryError instead of a machine that swaps. Linux only."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))


def told(report: Any) -> dict[str, Any]:
    """A report as JSON, with its text, plain and in colour."""
    from ..check.show import render
    from .judge import first_look
    from .lab import source_line

    seen = first_look(report)
    return {
        **report.as_dict(),
        "printed": report.printed[:4000],
        "kinds": [f.kind for f in report.findings],
        "text": render(seen, colour=False),
        "colour": render(seen, colour=True),
        "lines": [source_line(f) for f in report.findings],
    }


def _answer(request):
    from ..errors import TinyVisionError

    try:
        if request["task"] == "gradcheck":
            from .gradcheck import examine

            report = examine(request)
        else:
            from .judge import judge

            report = judge(request["name"], request["path"])
        if request.get("html"):
            report.save(request["html"])
        return told(report)
    except TinyVisionError as error:
        return {"error": str(error)}
    except KeyboardInterrupt:
        return {"ended": "Your code raised KeyboardInterrupt."}
    except MemoryError:
        words = "out of memory: an array in your code is too large"
        if request["task"] == "gradcheck":
            return {"error": f"gradcheck: {words}"}
        return {"ended": f"It ran {words}."}


def main() -> None:
    """Answer requests, one a line, until standard input ends; with "fork", let forks do it, one for each."""
    from . import gradcheck, judge  # noqa: F401  (the waiting is for these)

    if sys.argv[1:] == ["fork"]:
        from .forker import serve

        serve(_answers)
    else:
        _answers()


def _answers():
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.set_inheritable(out.fileno(), False)

    _limit_memory()
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        request = json.loads(line)
        os.chdir(request.get("scratch") or request["cwd"])
        if request.get("scratch"):
            go_on_in_a_child()
            tempfile.tempdir = os.environ["TMPDIR"] = request["scratch"]  # a compiler that it starts goes there, too
            confine(request["scratch"])
        try:
            answer = _answer(request)
        except BaseException:  # a defect of ours: the parent shows it
            answer = {"crash": traceback.format_exc()}
        out.write("\n" + json.dumps({**answer, "seal": request.get("seal")}) + "\n")
        out.flush()
    os._exit(0)  # threads that the learner's code left running do not hold us


if __name__ == "__main__":
    main()
