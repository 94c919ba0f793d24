"""All submissions of a course at once: who is where, which mistakes, as CSV and as a page."""

import csv
import html
import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..atomic import atomic_write
from ..errors import DataError
from ..printable import printable
from .course import Exercise
from .grade import Grade, grade
from .process import forker

FILES = ("report.csv", "report.html")  # what `write` writes
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:70rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}
th,td{padding:.25rem .7rem;border-bottom:1px solid #d7dde3;text-align:left;vertical-align:top}
.wide{overflow-x:auto}td.n{text-align:right;font-variant-numeric:tabular-nums}.right{background:#d8f0de}.part{background:#fdf0cd}
.wrong{background:#fbdcd9}.none{color:#5b6570}.flag{color:#8a4b00}.says{min-width:15rem}
@media (prefers-color-scheme:dark){body{background:#14181d;color:#e6e9ec}th,td{border-color:#333c46}
.right{background:#17381f}.part{background:#3d3312}.wrong{background:#46211f}.none{color:#9aa5b1}.flag{color:#ffb86b}}
"""


def submissions(folder: str | Path) -> list[Path]:
    """The students' folders in a folder, by name. Raises DataError if there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"learn: there is no folder {folder}")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    if not found:
        raise DataError(f"learn: {folder} has no folders in it; each submission is a folder with its files")
    return found


def graded(
    students: Sequence[Path], exercises: Sequence[Exercise], limit: float, jobs: int, tell: Any = None
) -> list[tuple[str, list[Grade]]]:
    """(name, grades) of every submission, `jobs` at a time; `tell(name, grades)` is called as they are done."""

    free: SimpleQueue[Any] = SimpleQueue()
    sources = [forker() for _ in range(jobs)]

    def one(student):
        source = free.get()
        try:
            grades = grade(student, exercises, limit, source)
        finally:
            free.put(source)
        name = printable(student.name, None)
        if tell is not None:
            tell(name, grades)
        return name, grades

    try:
        for source in sources:
            free.put(source)
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(one, students))
    finally:
        for source in sources:
            if source is not None:
                source.close()


def as_csv(rows: Sequence[tuple[str, list[Grade]]], full: float) -> str:
    """One line for each student and exercise. A name that a spreadsheet would run as a formula gets a quote."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", "exercise", "points", "of", "mistakes", "says", "flags", "seconds"])
    for student, grades in rows:
        for g in grades:
            line = [student, g.exercise, g.points(full), full, " ".join(g.mistakes), g.says, "; ".join(g.flags)]
            writer.writerow([*map(_cell, line), f"{g.seconds:.2f}"])
    return out.getvalue()


def _cell(value):
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_html(rows: Sequence[tuple[str, list[Grade]]], full: float) -> str:
    """A page: the students against the exercises, the mistakes by how often they were made, and what to look at."""
    names = [g.exercise for g in rows[0][1]]
    head = "".join(f"<th>{html.escape(n)}</th>" for n in names)
    body = "".join(_row(student, grades, full) for student, grades in rows)
    mean = sum(g.points(full) for _, grades in rows for g in grades) / max(1, len(rows))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Report</title><style>{_STYLE}</style>'
        f"</head><body><h1>{len(rows)} submissions, {mean:.1f} of {full * len(names):g} points on average</h1>"
        f"{_wide(f'<tr><th>student</th>{head}<th>points</th></tr>{body}')}{_mistakes(rows)}{_looks(rows)}</body></html>"
    )


def _wide(table):
    """A table that a phone scrolls sideways, and not the page with it."""
    return f'<div class="wide"><table>{table}</table></div>'


def _row(student, grades, full):
    cells = ""
    for g in grades:
        kind = "none" if not g.found else "right" if g.share == 1 else "part" if g.share else "wrong"
        words = "–" if not g.found else f"{g.points(full):g}"
        flag = '<span class="flag"> !</span>' if g.flags else ""
        cells += f'<td class="n {kind}" title="{html.escape(g.says)}">{words}{flag}</td>'
    total = sum(g.points(full) for g in grades)
    return f'<tr><td>{html.escape(student)}</td>{cells}<td class="n">{total:g}</td></tr>'


def _mistakes(rows):
    count = Counter((g.exercise, m) for _, grades in rows for g in grades for m in dict.fromkeys(g.mistakes))
    says = {(g.exercise, m): words for _, grades in reversed(rows) for g in grades for m, words in g.words.items()}
    if not count:
        return ""
    lines = "".join(
        f'<tr><td class="n">{n}</td><td>{html.escape(e)}</td><td>{html.escape(m)}</td>'
        f"<td class=says>{html.escape(says.get((e, m), ''))}</td></tr>"
        for (e, m), n in count.most_common(40)
    )
    return "<h2>Mistakes</h2>" + _wide(f"<tr><th>students</th><th>exercise</th><th>name</th><th></th></tr>{lines}")


def _looks(rows):
    lines = "".join(
        f"<tr><td>{html.escape(s)}</td><td>{g.exercise}</td><td>{html.escape('; '.join(g.flags))}</td></tr>"
        for s, grades in rows
        for g in grades
        if g.flags
    )
    if not lines:
        return ""
    return "<h2>Look at these</h2>" + _wide(f"<tr><th>student</th><th>exercise</th><th>it</th></tr>{lines}")


def write(rows: Sequence[tuple[str, list[Grade]]], out: str | Path, full: float) -> list[Path]:
    """Write report.csv and report.html into a folder; returns both paths. Raises FileError."""
    out, paths = Path(out), []
    for name, text in zip(FILES, (as_csv(rows, full), as_html(rows, full)), strict=True):
        with atomic_write(out / name, "w") as file:
            file.write(text)
        paths.append(out / name)
    return paths
