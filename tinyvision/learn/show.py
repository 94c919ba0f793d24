"""What the runner says: an attempt, a diagnosis, lists and progress; 80 columns, legible without colour."""

import os
import shutil
import sys
import textwrap
from typing import Any

from ..check.findings import place
from . import course
from .course import Exercise
from .folder import Folder

WIDTH = 80
_STYLES = {"bad": "1;31", "good": "32", "dim": "2", "bold": "1"}


def in_colour() -> bool:
    """True if standard output is a terminal that shows colours, and NO_COLOR is not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def ink(style: str, text: str) -> str:
    """The text in a style, where there is colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if in_colour() else text


def picture(answer: Any, path: Any) -> str:
    """Where the page of an attempt is; code that ended Python, or never came back, has none."""
    if answer["kinds"] == ["ended"]:
        return f"There is no picture of code that has not come back; {path} was not written."
    return f"The picture is in {path}; open it in a browser."


def wrap(text: str, first: str = " ", rest: Any = None) -> Any:
    """The text in 80 columns, each of its own lines wrapped for itself."""
    rest = first if rest is None else rest
    out = []
    for k, line in enumerate(text.split("\n")):
        out += textwrap.wrap(
            line,
            WIDTH,
            initial_indent=first if k == 0 else rest,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(out)


def title(one: Exercise) -> str:
    """The line that introduces an exercise."""
    page = f"   page {one.page}" if one.page else ""
    return (
        f"{ink('bold', one.name)}  {one.title}   {one.number}/{len(course.names())}   {stars(one)}   "
        f"{one.minutes} min{page}"
    )


def page_link(one: Exercise) -> str:
    """Where the exercise's tutorial page is, as an address that terminals make clickable; "" where it is not here."""
    path = one.page_file()
    return "" if path is None else f"   {ink('dim', path.as_uri())}"


def stars(one: Exercise) -> str:
    """The difficulty, 1 to 4."""
    return "*" * one.level + "." * (4 - one.level)


def attempt(one: Exercise, answer: Any, untouched: bool) -> Any:
    """One attempt as text: what is wrong, or that it is right, with the answer to the prediction question."""
    lines = []
    if answer["passed"]:
        lines += [answer["colour" if in_colour() else "text"], ""]
        lines += [wrap(f"{one.name} is right." + took(answer), f" {ink('good', '*')} ", "   "), ""]
        lines += [wrap(one.predict, "   You were asked: ", "   "), wrap(one.answer, "   Answer: ", "   ")]
        return "\n".join(lines)
    if untouched:
        lines += [wrap(f"This is supposed to fail now: {_yours(answer)}."), ""]
    lines.append(answer["colour" if in_colour() else "text"])
    if answer.get("spilt"):
        lines += ["", "   printed:", *[f"   | {line[:74]}" for line in answer["spilt"].rstrip().split("\n")[:6]]]
    return "\n".join(lines)


def _yours(answer):
    """What is left to the learner: lines that are not there, or, in a hunt, what is wrong with those that are."""
    if "missing" in answer["kinds"]:
        return "the lines that are missing are yours to write"
    return "no line is missing, but some are wrong, and are yours to find"


def took(answer: Any) -> Any:
    """How long the check took, if anybody could have noticed."""
    return f" ({answer['seconds']:.1f} s)" if answer.get("seconds", 0) > 0.5 else ""


def diagnosis(one: Exercise, answer: Any) -> Any:
    """Each finding said plainly: the mistake, its place, and when it goes unnoticed."""
    if answer["passed"]:
        return f"   {one.name} is right: there is nothing to diagnose."
    lines = []
    for finding, source in zip(answer["findings"], answer["lines"], strict=True):
        name = f"{finding['argument']}: " if finding["argument"] else ""
        lines.append(wrap(name + finding["message"], f" {ink('bad', 'x')} ", "   "))
        lines += [wrap(fact) for fact in finding["facts"]]
        if finding["file"]:
            where = place(os.path.basename(finding["file"]), finding["line"])
            lines.append("   " + ink("dim", where + (f"   {source[:60]}" if source else "")))
        if finding["certainty"] == "unknown":
            lines.append(wrap("No cause is named without proof. The picture and the hints are the way on."))
        elif finding["certainty"] == "likely":
            lines.append(wrap("This agrees with what was seen on every probe; it is no proof."))
        elif finding["mistake"] and "." in finding["mistake"]:
            lines.append(wrap(f"Your numbers are exactly those of this mistake ({finding['mistake']})."))
        lines.append("")
    return "\n".join(lines).rstrip()


def table(folder: Folder) -> Any:
    """All exercises with their state; titles are cut only where the terminal is too narrow for them."""
    current = folder.next()
    rows = []
    room = max(28, shutil.get_terminal_size((WIDTH, 24)).columns - 52)
    longest = min(room, max(len(one.title) for one in course.exercises()))
    for one in course.exercises():
        mark = "x" if folder.passed(one) else ">" if one is current else " "
        tries = folder.entry(one)["tries"]
        more = f"{tries} tries" if tries > 1 else "1 try" if tries else ""
        title = f"{_cut(one.title, longest):{longest}}"
        row = f" {mark} {one.number:2} {one.name:22} {stars(one)} {one.minutes:3} min  {title} {more}"
        rows.append(row.rstrip())
    return "\n".join([*rows, "", progress(folder)])


def _cut(text, width):
    return text if len(text) <= width else text[: width - 1] + "…"


def progress(folder: Folder) -> Any:
    """How far: a bar, numbers, minutes left, the next one."""
    data = progress_data(folder)
    filled = round(30 * data["passed"] / data["exercises"])
    text = f"   [{'#' * filled}{'.' * (30 - filled)}] {data['passed']} of {data['exercises']} exercises"
    if data["next"] is None:
        return text + "\n   All of them are solved."
    return f"{text}, about {data['minutes_left']} minutes left\n   next: {data['next']}"


def progress_data(folder: Folder) -> Any:
    """The same as numbers."""
    left = [e for e in course.exercises() if not folder.passed(e)]
    following = folder.next()
    return {
        "folder": str(folder.path),
        "exercises": len(course.names()),
        "passed": len(course.names()) - len(left),
        "minutes_left": sum(e.minutes for e in left),
        "next": following.name if following else None,
    }


def described(folder: Folder, one: Exercise) -> Any:
    """One exercise for JSON."""
    entry, path = folder.entry(one), one.page_file()
    return {
        "name": one.name,
        "number": one.number,
        "title": one.title,
        "file": str(folder.file(one)),
        "level": one.level,
        "minutes": one.minutes,
        "page": one.page,
        "page_url": path.as_uri() if path else None,
        "passed": entry["passed"],
        "tries": entry["tries"],
        "hints": entry["hints"],
    }
