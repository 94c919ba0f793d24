"""A report as text: 80 columns, legible without colour, with a small picture of the difference."""

import os
import textwrap
from typing import Any

import numpy as np

from .findings import Finding, Outcome, place

WIDTH = 80
SHADES = " ░▒▓█"
_COLOURS = {
    "bad": "\x1b[1;31m",
    "good": "\x1b[32m",
    "dim": "\x1b[2m",
    "bold": "\x1b[1m",
    "minus": "\x1b[34m",
    "plus": "\x1b[33m",
}


class _Ink:
    def __init__(self, colour):
        self.colour = colour

    def __call__(self, style, text):
        return f"{_COLOURS[style]}{text}\x1b[0m" if self.colour else text


def render(report: Outcome, colour: bool = False, picture: bool = True) -> str:
    """The whole report as one string."""
    ink = _Ink(colour)
    lines = _headline(report, ink)
    if report.shared:
        lines += ["", *textwrap.wrap(report.shared, WIDTH, initial_indent="   ", subsequent_indent="   ")]
    for finding in report.findings:
        lines += ["", *_finding(finding, ink)]
        if picture and finding.picture is not None:
            lines += _picture(finding, ink)
    lines += _reading(report)
    if report.notes:
        lines.append("")
        for note in report.notes:
            lines += textwrap.wrap(f"note: {note}", WIDTH - 3, initial_indent="   ", subsequent_indent="         ")
    if report.printed.strip():
        lines += ["", *_printed(report, ink)]
    return "\n".join(lines)


def _headline(report, ink):
    mark = ink("good", "ok") if report.passed else ink("bad", "x")
    words = {
        "ok": "ok",
        "wrong": "WRONG",
        "not judged": "not judged",
        "ours": "ours",
        "skipped": "skipped",
        "half": "half",
    }
    plain = {"wrong": "bad", "ok": "good", "not judged": "dim", "ours": "dim", "skipped": "dim", "half": "bold"}
    status = {k: v for k, v in report.status.items() if k != "purity"}
    many = len(status) > 8
    if many:
        bad = {k: v for k, v in status.items() if v not in ("ok", "skipped", "ours", "half")}
        status = dict(list(bad.items())[:12])
        parts = [f"{len(report.status) - len(bad)} ok"]
    else:
        parts = []
    parts += [f"{k} {ink(plain[v], words[v])}" for k, v in status.items()]
    lengths = [len(f"{k} {words[v]}") for k, v in status.items()]
    lengths = [len(parts[0]), *lengths] if many else lengths
    indent = 3 if report.passed else 2
    lines, line, used = [], f" {mark} {ink('bold', report.title)}", indent + 1 + len(report.title)
    for part, length in zip(parts, lengths, strict=True):
        if used + 3 + length > WIDTH:
            lines.append(line)
            line, used = "  ", 2
        line, used = f"{line}   {part}", used + 3 + length
    return [*lines, line]


def _reading(report):
    """How code of another form was understood, and what it does not support."""
    lines = []
    for title, parts in (("read as", report.read_as), ("not judged", report.beyond)):
        if parts:
            text = f"{title:<12}{', '.join(parts)}"
            lines += textwrap.wrap(text, WIDTH, initial_indent="   ", subsequent_indent=" " * 15)
    return ["", *lines] if lines else []


def certainty_words(finding: Finding) -> str:
    """How sure the checker is, in the words that stand behind a finding."""
    if finding.certainty == "exact" and finding.mistake and "." in finding.mistake:
        return "exact match with a known mistake"
    if finding.certainty == "exact":
        return "seen directly"
    if finding.certainty == "likely":
        return "agrees on every probe"
    return "no cause is named without proof"


def number(value: Any) -> str:
    """A signed number in the space of a word."""
    if not np.isfinite(value):
        return str(value)
    value += 0.0  # no -0
    return f"{value:+.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:+.3e}"


def _finding(finding, ink):
    lines = []
    where = finding.where
    if where is not None:
        index = "[" + ",".join(map(str, where.index)) + "]" if where.index else ""
        witness = f"({where.witness}, ±{where.noise:.0e})" if where.witness else ""
        plain = f"   first difference  {finding.argument}{index}   yours {number(where.yours)}   should be "
        plain += number(where.right)
        lines.append(
            f"   first difference  {finding.argument}{index}   yours {ink('bad', number(where.yours))}   "
            f"should be {ink('good', number(where.right))}"
        )
        if witness and len(plain) + 3 + len(witness) <= WIDTH:
            lines[-1] += "   " + witness
        elif witness:
            lines.append(" " * 21 + witness)
        probe = f", probe: {where.probe}" if where.probe else ""
        spread = f"{where.region} ({where.differing} of {where.total} elements{probe})"
        lines += textwrap.wrap(spread, WIDTH, initial_indent="   where             ", subsequent_indent=" " * 21)
    tag = f"[{certainty_words(finding)}]"
    paragraphs = finding.message.split("\n")
    head = f"{finding.argument}: " if where is None else ""
    for k, paragraph in enumerate(paragraphs):
        text = (head if k == 0 else "") + paragraph + (f"  {tag}" if k == len(paragraphs) - 1 else "")
        indent = "   " if k == 0 else "     "
        wrapped = textwrap.wrap(
            text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines += [w.replace(tag, ink("dim", tag)) for w in wrapped]
    for fact in finding.facts:
        lines += textwrap.wrap(fact, WIDTH, initial_indent="   ", subsequent_indent="   ")
    if finding.file:
        lines.append("   " + ink("dim", place(short_path(finding.file), finding.line)))
    return lines


def short_path(path: str) -> str:
    """The path from here, if the file is below the current folder."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return path
    return path if relative.startswith("..") else relative


def slice_of(finding: Finding) -> Any:
    """The two-dimensional slices to draw, through the first difference: (label, yours, right or None)."""
    shown: Any = finding.picture
    yours, right = np.atleast_1d(shown.yours), np.atleast_1d(shown.right)
    index = finding.where.index if finding.where is not None else (0,) * right.ndim
    label, fit = "", yours.shape == right.shape

    def cut(array, index):
        while array.ndim > 2 and len(array):
            array, index = array[min(index[0] if index else 0, len(array) - 1)], index[1:]
        return array.reshape(1, -1) if array.ndim == 1 or not array.size else array

    if right.ndim > 2:
        label = "[" + ",".join(map(str, index[: right.ndim - 2])) + ",:,:]"
    return label, cut(yours, tuple(index)), cut(right, tuple(index)), fit


def picture_lines(finding: Finding) -> list[str]:
    """The arrays of one finding in characters, without colour."""
    return _picture(finding, _Ink(False))


def _picture(finding, ink):
    label, yours, right, fit = slice_of(finding)
    if right.size < 2 or yours.size == 0 or not np.isfinite(right).all():
        return []
    rows, columns = 10, 11
    scale = max(np.abs(right).max(), 1e-300)
    panels = [("yours", yours), ("right", right)] + ([("difference", yours - right)] if fit else [])
    blocks = []
    for title, array in panels:
        shape = f"{title}" if fit else f"{title} {array.shape[0]}x{array.shape[1]}"
        blocks.append([(shape, len(shape)), *(_row(r[:columns], scale, ink) for r in array[:rows])])
    width = max(max(length for _, length in block) for block in blocks) + 3
    lines = ["", f"   {finding.argument}{label}"]
    for k in range(max(len(b) for b in blocks)):
        line = "   "
        for block in blocks:
            text, length = block[k] if k < len(block) else ("", 0)
            line += text + " " * (width - length)
        lines.append(line.rstrip())
    more = [
        f"{name} {kept} of {size}"
        for name, kept, size in (("rows", rows, right.shape[0]), ("columns", columns, right.shape[1]))
        if size > kept
    ]
    if more:
        lines.append(f"   ({', '.join(more)} shown)")
    return lines


def _row(values, scale, ink):
    text = ""
    for value in values:
        if not np.isfinite(value):
            text += ink("bad", "!!")
            continue
        level = min(abs(value) / scale, 1.0)
        shade = SHADES[0 if level < 0.02 else min(4, 1 + int(level * 4))]
        sign = " " if shade == " " else "-" if value < 0 else "+"
        text += sign + shade if shade == " " else ink("minus" if value < 0 else "plus", sign + shade)
    return text, 2 * len(values)


def _printed(report, ink):
    lines = report.printed.rstrip().split("\n")
    shown = lines[:8]
    out = ["   " + ink("dim", "printed by the first call that printed:")]
    out += ["   | " + line[: WIDTH - 6] for line in shown]
    return out + ([f"   | ... {len(lines) - 8} more lines"] if len(lines) > 8 else [])
