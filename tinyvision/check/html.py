"""A report as one self-contained HTML page: the arrays as heat maps, no scripts, nothing fetched."""

import html
from pathlib import Path
from typing import Any

import numpy as np

from .findings import Finding, Outcome, place
from .show import certainty_words, number, short_path, slice_of

STYLE = """
.tvc{--bg:#fff;--fg:#1b1f24;--dim:#5b6570;--line:#d7dde3;--bad:#b3261e;--good:#1a7f37;
 font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:60rem;margin:0 auto;padding:1.5rem}
@media (prefers-color-scheme:dark){
 .tvc{--bg:#14181d;--fg:#e6e9ec;--dim:#9aa5b1;--line:#333c46;--bad:#ff8a80;--good:#6fdd8b}}
.tvc h1{font-size:1.4rem;margin:0 0 .5rem}.tvc h2{font-size:1.1rem;margin:0}
.tvc .bad{color:var(--bad)}.tvc .good{color:var(--good)}.tvc .dim{color:var(--dim)}
.tvc .chip{display:inline-block;border:1px solid var(--line);border-radius:1rem;padding:.05rem .7rem;
 margin:0 .4rem .4rem 0}
.tvc section{border-top:1px solid var(--line);padding:1rem 0}.tvc p{margin:.3rem 0}.tvc .says{font-size:1.1rem}
.tvc code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.tvc figure{display:inline-block;margin:.6rem 1.2rem .6rem 0;vertical-align:top}
.tvc figcaption{color:var(--dim);font-size:.85rem}.tvc svg{display:block}.tvc table{border-collapse:collapse}
.tvc td{padding:.1rem .8rem .1rem 0}
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="tinyvision.check">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{margin:0;background:#fff}}@media (prefers-color-scheme:dark){{body{{background:#14181d}}}}</style>
</head><body>{body}</body></html>
"""
_MADE_BY = PAGE.partition('\n<meta name="viewport')[0].encode()  # what every page of `save` begins with
_MARKS = {"ok": "good", "ours": "good", "wrong": "bad"}


def is_page(path: str | Path) -> bool:
    """Whether a file is a page that `save` wrote, and can be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MADE_BY)) == _MADE_BY
    except OSError:
        return False


def save(report: Outcome, path: str | Path) -> str | Path:
    """Write the page whole or not at all, and return the path. Raises FileError if it cannot be written."""
    from ..atomic import atomic_write

    title = html.escape(f"{report.title}: {'passed' if report.passed else 'not yet'}")
    with atomic_write(path, "w") as file:
        file.write(PAGE.format(title=title, body=fragment(report)))
    return path


def fragment(report: Outcome) -> str:
    """The report as a piece of HTML, for a page or a notebook."""
    verdict = '<span class="good">passed</span>' if report.passed else '<span class="bad">not yet</span>'
    chips = "".join(
        f'<span class="chip">{html.escape(k)} <b class="{_MARKS.get(v, "dim")}">{html.escape(v)}</b></span>'
        for k, v in report.status.items()
    )
    parts = [f'<style>{STYLE}</style><div class="tvc"><h1>{html.escape(report.title)}: {verdict}</h1>{chips}']
    if report.shared:
        parts.append(f"<p class=says>{html.escape(report.shared)}</p>")
    parts += [_section(f) for f in report.findings]
    for title, words in (("Read as", report.read_as), ("Not judged", report.beyond)):
        if words:
            parts.append(f"<p><span class=dim>{title}</span> {html.escape(', '.join(words))}</p>")
    if report.notes:
        parts.append("<section>" + "".join(f"<p>Note: {html.escape(n)}</p>" for n in report.notes) + "</section>")
    if report.printed.strip():
        parts.append(f"<section><p class=dim>Printed:</p><pre>{html.escape(report.printed[:4000])}</pre></section>")
    parts.append(f'<p class="dim">{report.probes} probes, {report.calls} calls, {report.seconds:.2f} s</p></div>')
    return "".join(parts)


def _section(f):
    rows = []
    if f.where is not None:
        index = "[" + ", ".join(map(str, f.where.index)) + "]" if f.where.index else ""
        rows.append(
            (
                "first difference",
                f"<code>{html.escape(f.argument)}{index}</code> yours <b class=bad>{number(f.where.yours)}"
                f"</b>, should be <b class=good>{number(f.where.right)}</b>",
            )
        )
        rows.append(
            (
                "where",
                f"{html.escape(f.where.region)}: {f.where.differing} of {f.where.total} elements"
                + (f", probe {html.escape(f.where.probe)}" if f.where.probe else ""),
            )
        )
    if f.file:
        rows.append(("in", f"<code>{html.escape(place(short_path(f.file), f.line))}</code>"))
    table = "".join(f"<tr><td class=dim>{a}</td><td>{b}</td></tr>" for a, b in rows)
    facts = "".join(f"<p>{html.escape(x)}</p>" for x in f.facts)
    return (
        f"<section><h2>{html.escape(f.argument)}</h2><p class=says>{html.escape(f.message)}</p>"
        f"<p class=dim>{certainty_words(f)}</p>{facts}<table>{table}</table>{_pictures(f)}</section>"
    )


def picture(finding: Finding) -> str:
    """The arrays of one finding as heat maps with their legend, as a piece of HTML; "" if there is nothing to draw."""
    if finding.picture is None:
        return ""
    return f'<style>{STYLE}</style><div class="tvc">{_pictures(finding)}</div>'


def _legend(scale):
    """What the colours stand for: the largest magnitude of the right values on both sides of 0."""
    bar = _svg(np.linspace(-scale, scale, 21)[None], scale, cell=12, titles=False)
    ends = f"<code>{number(-scale)}</code> &nbsp; 0 &nbsp; <code>{number(scale)}</code>"
    odd = '<span style="color:#d0f">&#9632;</span> NaN or infinity'
    return f"<figure>{bar}<figcaption>{ends}, stronger for more; {odd}</figcaption></figure><br>"


def _pictures(f):
    if f.picture is None:
        return ""
    label, yours, right, fit = slice_of(f)
    finite = np.abs(right[np.isfinite(right)])
    scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    panels = [("yours", yours), ("right", right)] + ([("difference", yours - right)] if fit else [])
    return _legend(scale) + "".join(
        f"<figure>{_svg(array, scale)}<figcaption>{title} <code>{html.escape(f.argument + label)}</code>"
        f"</figcaption></figure>"
        for title, array in panels
        if array.size
    )


def _svg(array, scale, cell=18, limit=40, titles=True):
    array = array[:limit, :limit]
    height, width = array.shape
    cells = []
    for i in range(height):
        for j in range(width):
            value = float(array[i, j])
            title = f"<title>[{i}, {j}] {value:.6g}</title>" if titles else ""
            cells.append(
                f'<rect x="{j * cell}" y="{i * cell}" width="{cell}" height="{cell}" fill="{colour(value, scale)}">'
                f"{title}</rect>"
            )
    return (
        f'<svg role="img" width="{width * cell}" height="{height * cell}" viewBox="0 0 {width * cell} {height * cell}" '
        f'style="outline:1px solid #8883">{"".join(cells)}</svg>'
    )


def colour(value: Any, scale: Any) -> Any:
    """Blue for negative, grey-white for 0, orange for positive: told apart by the colour-blind, on light and dark."""
    if not np.isfinite(value):
        return "#d0f"
    t = max(-1.0, min(1.0, value / scale))
    low, high = (244, 244, 240), (194, 91, 10) if t > 0 else (24, 92, 170)
    return "#" + "".join(f"{round(a + (b - a) * abs(t) ** 0.7):02x}" for a, b in zip(low, high, strict=True))
