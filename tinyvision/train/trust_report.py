"""The report of an evaluation: how often a network is right, and how far it may be relied on."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from .. import explain
from ..device import to_numpy
from ..errors import DataError, OptionError
from ..tensors.tensor import Tensor
from .calibration import Reliability
from .evaluate import Evaluation
from .evaluate_folder import FolderEvaluation
from .metrics import wilson_interval
from .preprocessing import Preprocessing
from .recipes import Network
from .report import by_class, escape, interval, picture_tag, write_page
from .trust import LEAST_CALIBRATION, STRENGTHS, Trust

_WORST = 12
_SIDE, _EDGE = 240, 30  # pixels of a diagram, and of the room for its labels
_HEAT = np.array([255, 96, 0])
_COLOURS = ("#3b7dd8", "#c8322a", "#2a8f4f", "#a05ad0")


def write_trust_report(
    network: Network, result: FolderEvaluation, trust: Trust, folder: str, path: str | os.PathLike[str]
) -> None:
    """Write the report of an evaluation and of `trust.examine` into an HTML file. Raises FileError if that fails."""
    evaluation, classes = result.evaluation, [network.class_name(k) for k in range(result.evaluation.scores.shape[1])]
    sections = [
        _summary(network, result, folder),
        _calibration(trust),
        _spoilt(trust),
        _unknown(trust),
        mistakes(
            network,
            evaluation,
            classes,
            lambda i: to_numpy(network.preprocessing.transform()(result.pictures[i][0])),
            result.name,
        ),
        by_class(evaluation, classes),
    ]
    write_page(path, f"{network.origin}: {evaluation.accuracy:.1%}", sections)


def _summary(network: Network, result: FolderEvaluation, folder: str) -> str:
    ranks = result.evaluation.label_ranks
    lines = [
        f'<p><span class="big">{(ranks < 1).mean():.1%}</span> right: {interval(int((ranks < 1).sum()), len(ranks))}.'
    ]
    if result.evaluation.scores.shape[1] > 5:
        lines.append(f"Among the first five answers: {interval(int((ranks < 5).sum()), len(ranks))}.")
    left_out = f" {len(result.unreadable)} more could not be read." if result.unreadable else ""
    return (
        f"<h1>{escape(network.origin)}</h1>\n{' '.join(lines)}</p>\n<p>Pictures: <code>{escape(folder)}</code>."
        f"{left_out} Where a figure lies is Wilson's interval with 95% confidence. It takes the pictures for a random "
        f"sample of those that the network will meet, which no figure here can show.</p>"
    )


def _calibration(trust: Trust) -> str:
    head = "<h2>What its confidence is worth</h2>\n"
    found = trust.calibration
    if found is None:
        return f"{head}<p>At least {LEAST_CALIBRATION} pictures are needed to say.</p>"
    said = "too sure of itself" if found.temperature > 1 else "less sure of itself than it could be"
    return (
        f"{head}<p>Answers of a confidence of 80% should be right in 80 of 100 cases. On average confidence and "
        f"accuracy differ by <b>{found.before.error:.1%}</b> (expected calibration error, {len(found.before.count)} "
        f"bins, {found.judged_on:,} pictures). Its scores divided by the temperature {found.temperature:.2f}, which "
        f"the other {found.fitted_on:,} pictures chose, it is <b>{found.after.error:.1%}</b>: the network is {said}. "
        f"No answer changes by that.</p>\n"
        f"<p>{diagram(found.before, 'as it is')} {diagram(found.after, 'with temperature')}</p>\n"
        f"<p>Few pictures in a bin make a gap by chance, and the figure holds for pictures like these alone.</p>"
    )


def diagram(found: Reliability, title: str) -> str:
    """Accuracy over confidence; the diagonal is where they are equal, the width of a bar's shade how many there are."""
    parts, bins, most = [], len(found.count), found.count.max()
    for i in range(bins):
        if not found.count[i]:
            continue
        x, y = _EDGE + _SIDE * i / bins, _SIDE * (1 - found.accuracy[i])
        shade = 0.25 + 0.75 * found.count[i] / most
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 10:.1f}" width="{_SIDE / bins - 1:.1f}" height="{_SIDE - y:.1f}" '
            f'fill="#3b7dd8" fill-opacity="{shade:.2f}"><title>{found.count[i]:,} answers, confidence '
            f"{found.confidence[i]:.1%}, right {found.accuracy[i]:.1%}</title></rect>"
        )
    diagonal = f'<path d="M{_EDGE} {_SIDE + 10} L{_EDGE + _SIDE} 10" stroke="#888" stroke-dasharray="4"/>'
    return _svg("".join(parts) + diagonal, title, "confidence", "0", "1")


def _svg(inside: str, title: str, below: str, first: str, last: str) -> str:
    """A square diagram whose upright axis goes from 0 to 1."""
    width, height = _SIDE + _EDGE + 12, _SIDE + _EDGE + 14
    frame = f'<rect x="{_EDGE}" y="10" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#bbb"/>'
    words = (
        f'<text x="{_EDGE - 4}" y="16" text-anchor="end">1</text><text x="{_EDGE - 4}" y="{_SIDE + 10}" '
        f'text-anchor="end">0</text><text x="{_EDGE}" y="{_SIDE + 26}">{first}</text><text x="{_EDGE + _SIDE}" '
        f'y="{_SIDE + 26}" text-anchor="end">{last}</text><text x="{_EDGE + _SIDE / 2}" y="{_SIDE + 26}" '
        f'text-anchor="middle">{escape(below)}</text><text x="{_EDGE + 6}" y="26">{escape(title)}</text>'
    )
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-size="12" fill="currentColor" '
        f'role="img" aria-label="{escape(title)}">{frame}{inside}{words}</svg>'
    )


def _spoilt(trust: Trust) -> str:
    rows, lines = [], []
    clean = trust.right / trust.sampled
    for colour, (kind, right) in zip(_COLOURS, trust.spoilt.items(), strict=True):
        shares = [clean, *(n / trust.sampled for n in right)]
        cells = "".join(f"<td>{share:.1%}</td>" for share in shares)
        rows.append(f'<tr><td class="name" style="color:{colour}">{escape(kind)}</td>{cells}</tr>')
        points = " ".join(
            f"{_EDGE + _SIDE * i / len(STRENGTHS):.1f},{10 + _SIDE * (1 - share):.1f}" for i, share in enumerate(shares)
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    head = "".join(f"<th>{n}</th>" for n in ("as it is", *STRENGTHS))
    low, high = wilson_interval(trust.right, trust.sampled)
    return (
        f"<h2>Spoilt pictures</h2>\n<p>How often it is right on {trust.sampled:,} of the pictures, drawn at random, "
        f"with noise, blur, JPEG's compression and less contrast at five strengths. With so many pictures a share is "
        f"uncertain by about {(high - low) / 2:.1%}.</p>\n"
        f"<p>{_svg(''.join(lines), 'accuracy', 'strength', '0', '5')}</p>\n<table>"
        f'<tr><th class="name">strength</th>{head}</tr>{"".join(rows)}</table>\n<p>Four ways to spoil a picture stand '
        f"for themselves: rain, another camera or another country are not among them.</p>"
    )


def _unknown(trust: Trust) -> str:
    rows = []
    for kind, confidence in {"the labelled pictures": trust.known, **trust.unknown}.items():
        middle, upper = np.quantile(confidence, [0.5, 0.9])
        auc = f"{trust.auc[kind]:.1%}" if kind in trust.auc else "–"
        rows.append(
            f'<tr><td class="name">{escape(kind)}</td><td>{len(confidence):,}</td><td>{middle:.1%}</td>'
            f"<td>{upper:.1%}</td><td>{(confidence > 0.9).mean():.1%}</td><td>{auc}</td></tr>"
        )
    return (
        "<h2>Pictures that show none of its classes</h2>\n<p>It has no way of saying so: it names a class all the "
        "same. Is its confidence at least lower? Told apart by it is how often a labelled picture has the higher "
        "confidence of the two; 50% is chance.</p>\n"
        '<table><tr><th class="name">what</th><th>pictures</th><th>median confidence</th>'
        f"<th>a tenth is above</th><th>surer than 90%</th><th>told apart</th></tr>{''.join(rows)}</table>\n"
        "<p>Drawn pictures are easily told apart; what is strange in practice looks more like the classes, and "
        "<code>--unknown FOLDER</code> judges with such pictures.</p>"
    )


def mistakes(
    network: Network,
    evaluation: Evaluation,
    classes: list[str],
    input_of: Callable[[int], np.ndarray],
    name_of: Callable[[int], str],
) -> str:
    """A section with the worst mistakes: the picture as the network gets it, the map of its answer, the control.

    input_of(i)  the network's input (C, H, W) for row i of the evaluation;  name_of(i)  what the picture is called"""
    wrong = np.flatnonzero(evaluation.predictions != evaluation.labels)
    if not wrong.size:
        return "<h2>Mistakes</h2>\n<p>None.</p>"
    probabilities = np.exp(Evaluation(evaluation.scores[wrong], evaluation.labels[wrong]).log_probabilities)
    own = probabilities[np.arange(len(wrong)), evaluation.labels[wrong]]
    worst = own.argsort(kind="stable")[:_WORST]
    figures, agreements = [], []
    for row in worst:
        i = int(wrong[row])
        said, true = int(evaluation.predictions[i]), int(evaluation.labels[i])
        shown, alike = _explained(network, input_of, i, said)
        agreements += [] if alike is None else [alike]
        told = "" if alike is None or np.isnan(alike) else f"<br>agreement of the maps {alike:.2f}"
        figures.append(
            f'<figure>{shown}<figcaption>{escape(name_of(i))}<br><span class="wrong">said {escape(classes[said])}, '
            f'{probabilities[row, said]:.0%}</span><br><span class="right">is {escape(classes[true])}, '
            f"{probabilities[row, true]:.0%}</span>{told}</figcaption></figure>"
        )
    several = "all" if len(wrong) <= _WORST else f"the worst {_WORST} of"
    known = [a for a in agreements if not np.isnan(a)]
    on_average = f" Here it is {np.mean(known):.2f} on average." if known else ""
    return (
        f"<h2>Mistakes</h2>\n<p>Here are {several} {len(wrong):,}: the picture as the network gets it; Grad-CAM, where "
        f"the answer comes from; and the same map of a network whose weights were shuffled. The control is what the "
        f"method draws with no knowledge behind it: the more the two agree (1: the same places, 0: nothing in common), "
        f"the less the first one tells.{on_average} A map says where, and never why.</p>\n"
        f'<div class="mistakes" style="grid-template-columns:repeat(auto-fill,minmax(19rem,1fr))">'
        f"{''.join(figures)}</div>"
    )


def _explained(
    network: Network, input_of: Callable[[int], np.ndarray], index: int, said: int
) -> tuple[str, float | None]:
    """(picture, map and control as HTML; how far the two agree, or None where there is no map)"""
    try:
        x = input_of(index)
    except DataError as error:  # it could be read a minute ago, but the file is not ours
        return f"<p>{escape(error)}</p>", None
    pixels = seen(network.preprocessing, x)
    batch = Tensor.of(x[None]).to(next(iter(network.model.parameters())).device)
    try:
        found = explain.grad_cam(network.model, batch, target=said)
        control = explain.control(explain.grad_cam, network.model, batch, target=said)
    except OptionError:  # a network without a convolution that has a map
        return picture_tag(pixels), None
    maps = [laid_over(pixels, to_numpy(m.array)[0]) for m in (found, control)]
    tags = "".join(picture_tag(one) for one in (pixels, *maps))
    return f'<div class="maps">{tags}</div>', float(explain.agreement(found, control)[0])


def seen(preprocessing: Preprocessing, x: np.ndarray) -> np.ndarray:
    """A network's input (C, H, W) as a picture uint8 (H, W, 3)."""
    mean, std = (np.reshape(v, (-1, 1, 1)) for v in (preprocessing.mean, preprocessing.std))
    pixels = np.clip(np.rint((x * std + mean) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(np.moveaxis(pixels, 0, -1), (*pixels.shape[1:], 3)))


def laid_over(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The picture, the more orange the larger the map; a map that is the same everywhere leaves it grey."""
    span = heat.max() - heat.min()
    share = ((heat - heat.min()) / span if span > 0 else np.zeros_like(heat))[..., None] * 0.75
    grey = pixels.mean(axis=2, keepdims=True) * 0.7
    return np.rint(grey * (1 - share) + _HEAT * share).astype(np.uint8)
