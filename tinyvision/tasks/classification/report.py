"""The report of a trained classifier: what it was made of, where it fails, and what its confidence is worth.

There are no times in it: a run that was stopped and resumed has the same report as one that was not."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from ... import __version__
from ...data import Subset
from ...device import to_numpy
from ...nn.module import Module
from ...train import evaluate
from ...train.calibration import confidences, reliability
from ...train.classification import Evaluation
from ...train.image_loader import ImageLoader
from ...train.preprocessing import Preprocessing
from ...train.recipes import Network, Parts
from ...train.report import MOST_CLASSES, anchor, by_class, confusion, escape, per_class, picture_tag
from ...train.trust import LEAST_CALIBRATION
from ...train.trust_report import diagram, mistakes, seen

_CONFUSIONS, _OF_EACH, _UNSURE, _SUSPECTED = 20, 6, 8, 12


def sections(
    model: Module, description: dict[str, Any], parts: Parts, test: Evaluation | None
) -> tuple[list[str], dict[str, Any], list[str]]:
    """(sections of HTML, numbers for JSON, lines), judged by the test images, or else by those held back."""
    made = [_made_of(model, description, parts)]
    shown = parts.test if test is not None else parts.val
    if shown is None or not len(shown):
        return [*made, "<p>No images were held back, so nothing is known of others.</p>"], {}, []
    evaluation = test if test is not None else evaluate(model, ImageLoader(shown, 64, num_workers=1))
    preprocessing = Preprocessing.from_dict(description["input"])
    network = Network(model, preprocessing, parts.classes, "")

    def input_of(index: int) -> np.ndarray:
        return np.asarray(to_numpy(getattr(shown[index][0], "array", shown[index][0])))

    def picture(index: int) -> str:
        return picture_tag(seen(preprocessing, input_of(index)), 96)

    what = "test images, on which nothing was learned or chosen" if test is not None else "images held back"
    pairs = _confusions(evaluation) if len(parts.classes) <= MOST_CLASSES else {}
    head = f"<p>All that follows is about the {len(evaluation.labels):,} {what}.</p>"
    classes = parts.classes
    rooms = (
        f"{per_class(evaluation, classes)}\n{confusion(evaluation, classes, pairs.keys())}"
        if len(classes) <= MOST_CLASSES
        else by_class(evaluation, classes)
    )
    error, calibration = _calibration(evaluation)
    body = [
        *made,
        head,
        rooms,
        mistakes(network, evaluation, classes, input_of, lambda i: _name(shown, i)),
        _misread(evaluation, classes, picture, lambda i: _name(shown, i)),
        _pictures_of(pairs, classes, picture),
        _unsure(evaluation, classes, picture),
        calibration,
    ]
    return body, {"calibration_error": error}, []


def _made_of(model: Module, description: dict[str, Any], parts: Parts) -> str:
    data, size = description["data"], Preprocessing.from_dict(description["input"])
    counts = [f"{len(part):,} {what}" for part, what in
              ((parts.train, "to learn from"), (parts.val, "held back"), (parts.test, "for the test"))
              if part is not None]  # fmt: skip
    root = f" in {data['root']}" if data.get("root") else ""
    facts = {
        "data": f"{data['name']}{root}: {', '.join(counts)}; {len(parts.classes)} classes",
        "input": f"{size.channels} × {size.size[0]} × {size.size[1]}; changed at random while learning: "
        f"{'yes' if data.get('augment') == 'on' else 'no'}",
        "network": f"{description['model']['name']}, {sum(p.numel() for p in model.parameters()):,} parameters",
        "made with": f"tinyvision {__version__}, NumPy {np.__version__}, Python {platform.python_version()} on "
        f"{platform.machine()}",
    }
    rows = "".join(f'<tr><th class="name">{k}</th><td>{escape(v)}</td></tr>' for k, v in facts.items() if v)
    return f'<h2>What it was made of</h2>\n<table class="facts">{rows}</table>'


def _confusions(evaluation: Evaluation) -> dict[tuple[int, int], np.ndarray]:
    """{(what it is, what was said): rows}, the most frequent ones."""
    wrong = np.flatnonzero(evaluation.predictions != evaluation.labels)
    found: dict[tuple[int, int], list[int]] = {}
    for i in wrong:
        found.setdefault((int(evaluation.labels[i]), int(evaluation.predictions[i])), []).append(int(i))
    most = sorted(found, key=lambda pair: (-len(found[pair]), pair))[:_CONFUSIONS]
    return {pair: np.array(found[pair]) for pair in most}


def suspected_labels(evaluation: Evaluation) -> np.ndarray:
    """Rows whose label may be the mistake, the most suspicious first: the network is as sure of another class as it is,
    on average, of pictures that do bear that label (after confident learning: Northcutt, Jiang and Chuang, 2021)."""
    probabilities, labels = np.exp(evaluation.log_probabilities), evaluation.labels
    usual = np.full(probabilities.shape[1], np.inf)
    for k in np.unique(labels):
        usual[k] = probabilities[labels == k, k].mean()
    rows, said = np.arange(len(labels)), evaluation.predictions
    suspicious = np.flatnonzero((said != labels) & (probabilities[rows, said] >= usual[said]))
    doubt = probabilities[suspicious, said[suspicious]] - probabilities[suspicious, labels[suspicious]]
    return suspicious[(-doubt).argsort(kind="stable")]


def _misread(evaluation: Evaluation, classes: list[str], picture: Any, name_of: Any) -> str:
    rows = suspected_labels(evaluation)
    if not rows.size:
        return ""
    figures = "".join(
        f"<figure>{picture(int(i))}<figcaption>{escape(name_of(int(i)))}<br>labelled "
        f"{escape(classes[evaluation.labels[i]])}; {escape(classes[evaluation.predictions[i]])}?</figcaption></figure>"
        for i in rows[:_SUSPECTED]
    )
    more = f" Here are {_SUSPECTED} of {len(rows)}." if len(rows) > _SUSPECTED else ""
    return (
        f"<h2>Labels worth a second look</h2>\n<p>The network says another class, and is as sure of it as it usually "
        f"is of pictures that bear that label. It may be wrong all the same: look before you change a label.{more}"
        "</p>\n"
        f'<div class="mistakes">{figures}</div>'
    )


def _pictures_of(pairs: dict[tuple[int, int], np.ndarray], classes: list[str], picture: Any) -> str:
    if not pairs:
        return ""
    parts = ["<h2>What was taken for what</h2>\n<p>The cells of the matrix lead here.</p>"]
    for (true, said), rows in pairs.items():
        pictures = " ".join(picture(int(i)) for i in rows[:_OF_EACH])
        more = f" ({_OF_EACH} of {len(rows)} are shown)" if len(rows) > _OF_EACH else ""
        parts.append(
            f'<p id="{anchor(true, said)}"><span class="right">{escape(classes[true])}</span>, taken for '
            f'<span class="wrong">{escape(classes[said])}</span>: {len(rows)}{more}</p>\n<p>{pictures}</p>'
        )
    return "\n".join(parts)


def _unsure(evaluation: Evaluation, classes: list[str], picture: Any) -> str:
    """The right answers that were nearly others."""
    right = np.flatnonzero(evaluation.predictions == evaluation.labels)
    if not right.size or len(classes) < 2:
        return ""
    probabilities = np.exp(evaluation.log_probabilities[right])
    ranked = probabilities.argsort(axis=1, kind="stable")
    first, second = (probabilities[np.arange(len(right)), ranked[:, -k]] for k in (1, 2))
    least = (first - second).argsort(kind="stable")[:_UNSURE]
    figures = "".join(
        f"<figure>{picture(int(right[r]))}<figcaption>{escape(classes[ranked[r, -1]])} {first[r]:.0%}, or "
        f"{escape(classes[ranked[r, -2]])} {second[r]:.0%}</figcaption></figure>"
        for r in least
    )
    return f'<h2>Right, but least sure</h2>\n<div class="mistakes">{figures}</div>'


def _calibration(evaluation: Evaluation) -> tuple[float | None, str]:
    head = "<h2>What its confidence is worth</h2>\n"
    if len(evaluation.labels) < LEAST_CALIBRATION:
        return None, f"{head}<p>At least {LEAST_CALIBRATION} images are needed to say.</p>"
    found = reliability(confidences(evaluation.scores), evaluation.predictions == evaluation.labels)
    return found.error, (
        f"{head}<p>Answers of a confidence of 80% should be right in 80 of 100 cases. On average confidence and "
        f"accuracy differ by <b>{found.error:.1%}</b> (expected calibration error, {len(found.count)} bins); few "
        f"images in a bin make a gap by chance.</p>\n<p>{diagram(found, 'as it is')}</p>\n"
        f"<p><code>tinyvision evaluate RUN FOLDER --report</code> asks more: a temperature, spoilt pictures, pictures "
        f"of none of the classes.</p>"
    )


def _name(dataset: Any, index: int) -> str:
    """The file of an item, or its number."""
    while isinstance(dataset, Subset):
        dataset, index = dataset.dataset, int(dataset.indices[index])
    paths = getattr(dataset, "samples", None)
    return str(paths[index][0]) if paths else f"number {index}"
