"""What verification is worth: how alike pairs of the same and of different things are, and the pairs that mislead."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...train.report import escape, picture_tag
from ..room import table
from .task import Verification

_RATES = (0.1, 0.01, 0.001)  # of wrong pairs that are accepted
_BINS, _WIDTH, _HEIGHT = 50, 600, 180
_PAIRS = 8


def sections(test: Verification, dataset: Any) -> list[str]:
    """Sections of HTML on pictures that nothing was learned from; dataset  of (picture uint8 (H, W, C), label)."""
    cosines, same = test.pairs()
    rows = []
    for rate in _RATES:
        accepted, cosine = test.accepted(rate)
        rows.append((f"{100 * rate:g}%", f"{accepted:.1%}", f"{cosine:.3f}"))
    first, second = np.triu_indices(len(test.chosen), 1)
    alike = [
        ("Different things, and the most alike", _apart(-cosines, ~same, first, second)),
        ("The same thing, and the least alike", _apart(cosines, same, first, second)),
    ]
    return [
        f"<h2>Pairs of pictures</h2>\n<p>Of all pairs among {len(test.chosen):,} pictures of {len(dataset.classes)} "
        f"classes that nothing was learned from, {int(same.sum()):,} are of one class and {int((~same).sum()):,} are "
        f"not. Of one of each, the same is the closer pair in {test.score:.1%} (AUC). From which cosine on a pair is "
        f"accepted, is a choice between two mistakes:</p>\n"
        f"{table(('wrong pairs accepted', 'right pairs accepted', 'from cosine'), rows)}\n"
        f"<p>{_histogram(cosines, same, test.accepted(_RATES[1])[1])}</p>\n<p>Cosines of the pairs, each kind as a "
        f"share of its own; dashed: from here on {100 * _RATES[1]:g}% of the wrong ones are accepted.</p>\n"
        f"<p>Other classes, other cameras and other writers may lie elsewhere: choose the cosine on pictures of your "
        f"own.</p>",
        *(_shown(title, pairs, cosines, test, dataset, first, second) for title, pairs in alike),
    ]


def _apart(order: np.ndarray, wanted: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[int]:
    """The first few wanted pairs in order, none of which shares a picture with another."""
    found: list[int] = []
    used: set[int] = set()
    for pair in np.flatnonzero(wanted)[np.argsort(order[wanted], kind="stable")]:
        both = {int(first[pair]), int(second[pair])}
        if not both & used:
            found.append(int(pair))
            used |= both
        if len(found) == _PAIRS:
            break
    return found


def _shown(title, pairs, cosines, test, dataset, first, second):
    figures = []
    for pair in pairs:
        both = [int(test.chosen[which[pair]]) for which in (first, second)]
        names = [dataset.classes[int(test.labels[number])] for number in both]
        text = names[0] if names[0] == names[1] else f"{names[0]} and {names[1]}"
        pictures = "".join(picture_tag(_in_colour(dataset[number][0]), 80) for number in both)
        caption = f"<figcaption>{escape(text)}: {cosines[pair]:.3f}</figcaption>"
        figures.append(f'<figure><div class="beside">{pictures}</div>{caption}</figure>')
    return f'<h2>{title}</h2>\n<p>With their cosine.</p>\n<div class="mistakes">{"".join(figures)}</div>'


def _in_colour(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture


def _histogram(cosines: np.ndarray, same: np.ndarray, accepted: float) -> str:
    """How the cosines of both kinds are spread, and the one from which on pairs are accepted."""
    low, high = min(float(np.floor(cosines.min() * 10) / 10), 0.9), 1.0
    edges = np.linspace(low, high, _BINS + 1)
    shares = [np.histogram(cosines[kind], edges)[0] / kind.sum() for kind in (same, ~same)]
    top = max(s.max() for s in shares)

    def across(value: float) -> float:
        return (value - low) / (high - low) * _WIDTH

    parts = []
    for share, colour in zip(shares, ("#0072b2", "#d55e00"), strict=True):
        corners = [f"0,{_HEIGHT}"]
        for left, right, value in zip(edges[:-1], edges[1:], share, strict=True):
            y = _HEIGHT * (1 - value / top)
            corners += [f"{across(left):.1f},{y:.1f}", f"{across(right):.1f},{y:.1f}"]
        corners.append(f"{_WIDTH},{_HEIGHT}")
        parts.append(f'<polygon points="{" ".join(corners)}" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>')
    x = across(accepted)
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}" stroke="currentColor" stroke-dasharray="4"/>')
    for value in np.linspace(low, high, 6):
        anchor = "start" if value == low else "end" if value == high else "middle"
        parts.append(f'<text x="{across(value):.1f}" y="{_HEIGHT + 16}" text-anchor="{anchor}">{value:.2f}</text>')
    parts.append('<text x="8" y="14" fill="#d55e00">different</text><text x="8" y="30" fill="#0072b2">the same</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 20}" width="{_WIDTH}" font-size="12" fill="currentColor" role="img" '
        f'aria-label="Cosines of pairs of the same and of different things">{"".join(parts)}</svg>'
    )
