"""report.html: what a network can do and where it fails, in one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import atomic_write
from ..errors import DataError, OptionError
from ..printable import printable
from .evaluate import Evaluation
from .history import History
from .metrics import confusion_matrix, wilson_interval
from .runs import REPORT
from .starting import is_file
from .transfer import TransferResult, TransferSettings, path_of

MOST_CLASSES = 30  # in a confusion matrix
_WORST = 24
_THUMBNAIL = 160  # pixels of the longer side

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem}
h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse}
td,th{padding:.15rem .5rem;text-align:right;font-weight:normal}
th{color:#555}
td.name,th.name{text-align:left}
.big{font-size:2.2rem}
.scroll{overflow-x:auto}
.facts td{text-align:left;overflow-wrap:anywhere}
.facts td,.facts th{vertical-align:top}
.bars td{white-space:nowrap}
.bar{display:inline-block;height:.8em;background:#3b7dd8}
.track{display:inline-block;width:min(14rem,28vw);background:#eee;text-align:left}
.matrix td{min-width:2.2rem;border:1px solid #fff}
.matrix a{color:inherit}
.turned{vertical-align:bottom}
.turned span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:12rem;overflow-wrap:anywhere}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:1rem}
figure{margin:0}
figure img{max-width:100%;border-radius:4px}
.beside{display:grid;grid-auto-flow:column;grid-auto-columns:minmax(0,max-content);gap:.25rem}
.beside img{max-width:100%;border-radius:4px}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
.triples{display:grid;gap:1rem}
.triples img{width:32%;margin-right:1%}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(24rem,100%),1fr));gap:1rem}
.pairs img{width:48%;margin-right:1%}
.maps img{width:31%;margin-right:1%}
.key span{white-space:nowrap;margin-right:.8rem}
.key i{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.35em;vertical-align:-.1em}
.wrong{color:#b3261e}
.right{color:#1b6e3c}
svg{max-width:100%;height:auto}
label{display:inline-block}
.curves{width:fit-content;max-width:100%;overflow-x:auto}
.curves svg{min-width:44rem}
@media(max-width:36rem){
.pairs img{width:100%;margin:0 0 .25rem}
}
@media(prefers-color-scheme:dark){
body{background:#181818;color:#ddd}
th{color:#aaa}
.track{background:#333}
.matrix td{border-color:#181818}
.curves{background:#fff;border-radius:4px}
.wrong{color:#ff8a80}
.right{color:#81c995}
}
"""


def write_report(result: TransferResult, settings: TransferSettings, path: str | os.PathLike[str]) -> None:
    """Write the report of a transfer into an HTML file. Raises FileError if that fails."""
    evaluation = result.evaluation
    body = [
        _summary(result, settings),
        by_class(evaluation, result.classes),
        _mistakes(evaluation, result.dataset, result.classes),
        *(_curves(name, history) for name, history in result.histories.items()),
    ]
    write_page(path, f"{settings.model}: {evaluation.accuracy:.1%}", body)


def write_page(path: str | os.PathLike[str], title: str, sections: Sequence[str]) -> None:
    """Write sections of HTML as one page, with the style of all reports. Raises FileError if that fails."""
    with atomic_write(path, "w") as file:
        file.write(
            '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n" + "\n".join(sections) + "\n</html>\n"
        )


def write_run_report(
    path: str | os.PathLike[str], title: str, lines: Sequence[str], sections: Sequence[str], history: History
) -> None:
    """The report of a run of `tinyvision train`: what it amounts to in lines, a task's sections of HTML, the curves.
    Raises FileError."""
    head = f"<h1>{escape(title)}</h1>\n" + "\n".join(f"<p>{escape(line)}</p>" for line in lines)
    write_page(path, title, [head, *sections, _curves("this run", history)])


def escape(text: object) -> str:
    """Text for HTML; names of files may hold bytes that are no text, or what a browser would not show."""
    return html.escape(printable(text, None))


def _summary(result: TransferResult, settings: TransferSettings) -> str:
    evaluation = result.evaluation
    right, count = int((evaluation.predictions == evaluation.labels).sum()), len(evaluation.labels)
    if result.judged == "test":
        what = "test images, on which nothing was learned or chosen"
    else:
        what = (
            "validation images. Nothing was learned on them, but the best epoch was chosen by them, so expect slightly "
            "less on new pictures; a test/ folder beside train/ would tell"
        )
    frozen = {
        "all": "only the new last layer learned",
        "stem": "all but the first layers learned",
        "none": "all layers learned",
    }
    began = "published ImageNet weights" if settings.weights is None else "the weights given"
    if is_file(settings.model):
        began = f"the network in {Path(settings.model).name}"
    return (
        f"<h1>{escape(settings.model)} on {len(result.classes)} classes</h1>\n"
        f'<p><span class="big">{evaluation.accuracy:.1%}</span> right: {right:,} of {count:,} {what}.</p>\n'
        f"<p>Started from {escape(began)}; "
        f"{frozen[settings.freeze]}. Checkpoint: <code>{escape(str(result.checkpoint))}</code>, to be used as "
        f"<code>tinyvision predict IMAGE --model {escape(str(result.checkpoint.parent))}</code></p>"
    )


def per_class(evaluation: Evaluation, classes: list[str]) -> str:
    """A section with a bar for each class: how many of its images were found, how often the name was right."""
    rows = []
    for k, name in enumerate(classes):
        own = evaluation.labels == k
        called = evaluation.predictions == k
        hits = int((own & called).sum())
        share = hits / own.sum() if own.any() else 0.0
        precision = f"{hits / called.sum():.1%}" if called.any() else "–"
        bar = f'<span class="track"><span class="bar" style="width:{share:.1%}"></span></span>'
        told = f"{share:.1%}" if own.any() else "–"
        rows.append(
            f'<tr><td class="name">{escape(name)}</td><td class="name">{bar}</td><td>{told}</td>'
            f"<td>{hits} of {int(own.sum())}</td><td>{precision}</td></tr>"
        )
    head = '<tr><th class="name">class</th><th></th><th>found</th><th></th><th>right when named</th></tr>'
    return f'<h2>Accuracy per class</h2>\n<div class="scroll"><table class="bars">{head}{"".join(rows)}</table></div>'


def confusion(evaluation: Evaluation, classes: list[str], linked: Collection[tuple[int, int]] = ()) -> str:
    """A section with the confusion matrix; the cells (what it is, what was said) in `linked` lead to `anchor(...)`."""
    matrix = confusion_matrix(evaluation.predictions, evaluation.labels, len(classes))
    head = "".join(f'<th class="turned"><span>{escape(name)}</span></th>' for name in classes)
    rows = []
    for k, name in enumerate(classes):
        total = max(matrix[k].sum(), 1)
        cells = "".join(
            _cell(int(n), n / total, k == j, anchor(k, j) if (k, j) in linked else None)
            for j, n in enumerate(matrix[k])
        )
        rows.append(f'<tr><th class="name">{escape(name)}</th>{cells}</tr>')
    return (
        f'<h2>Confusion matrix</h2>\n<p>Rows: what it is. Columns: what the network said.</p>\n<div class="scroll">'
        f'<table class="matrix"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def by_class(evaluation: Evaluation, classes: list[str]) -> str:
    """A section on every class, or on the worst where there are many."""
    present = np.unique(evaluation.labels)
    if len(classes) <= MOST_CLASSES:
        return f"{per_class(evaluation, classes)}\n{confusion(evaluation, classes)}"
    ranks = evaluation.label_ranks
    shares = {int(k): (ranks[evaluation.labels == k] < 1) for k in present}
    worst = sorted(shares, key=lambda k: (shares[k].mean(), -len(shares[k])))[:MOST_CLASSES]
    rows = [
        f'<tr><td class="name">{escape(classes[k])}</td><td>{interval(int(shares[k].sum()), len(shares[k]))}</td>'
        f'<td class="name">{_taken_for(evaluation, k, classes)}</td></tr>'
        for k in worst
    ]
    return (
        f"<h2>The worst {len(worst)} of {len(present)} classes</h2>\n"
        f'<table><tr><th class="name">class</th><th>right</th>'
        f'<th class="name">most often taken for</th></tr>{"".join(rows)}</table>'
    )


def _taken_for(evaluation: Evaluation, k: int, classes: list[str]) -> str:
    said = evaluation.predictions[evaluation.labels == k]
    said = said[said != k]
    if not len(said):
        return "–"
    other, count = max(zip(*np.unique(said, return_counts=True), strict=True), key=lambda pair: pair[1])
    return f"{escape(classes[other])} ({count})"


def interval(right: int, count: int) -> str:
    """How many were right, and between which shares the truth lies with 95% confidence."""
    low, high = wilson_interval(right, count)
    return f"{right:,} of {count:,} pictures, {low:.1%} to {high:.1%}"


def anchor(true: int, said: int) -> str:
    """The place on a page where the pictures of one confusion are."""
    return f"is-{true}-said-{said}"


def _cell(count: int, share: float, diagonal: bool, place: str | None) -> str:
    colour = "59,125,216" if diagonal else "200,50,40"
    shown = f'<a href="#{place}">{count}</a>' if place else str(count or "")
    return f'<td style="background:rgba({colour},{share:.2f})">{shown}</td>'


def _mistakes(evaluation: Evaluation, dataset: Any, classes: list[str]) -> str:
    """The images on whose true class the network put the least probability, worst first."""
    wrong = np.flatnonzero(evaluation.predictions != evaluation.labels)
    if not wrong.size:
        return "<h2>Mistakes</h2>\n<p>None.</p>"
    probabilities = np.exp(evaluation.log_probabilities)
    order = wrong[probabilities[wrong, evaluation.labels[wrong]].argsort(kind="stable")][:_WORST]
    figures = []
    for i in order:
        said, true = int(evaluation.predictions[i]), int(evaluation.labels[i])
        figures.append(
            f"<figure>{_thumbnail(dataset, int(i))}<figcaption>{escape(path_of(dataset, int(i)).name)}<br>"
            f'<span class="wrong">said {escape(classes[said])}, {probabilities[i, said]:.0%}</span><br>'
            f'<span class="right">is {escape(classes[true])}, {probabilities[i, true]:.0%}</span></figcaption></figure>'
        )
    shown = "all" if len(wrong) <= _WORST else f"the worst {_WORST} of"
    return f'<h2>Mistakes</h2>\n<p>Here are {shown} {len(wrong)}.</p>\n<div class="mistakes">{"".join(figures)}</div>'


def _thumbnail(dataset: Any, index: int) -> str:
    try:
        pixels, _ = dataset[index]
    except DataError as error:  # it could be read a minute ago, but the file is not ours
        return f"<p>{escape(str(error))}</p>"
    return picture_tag(pixels)


def picture_tag(pixels: np.ndarray, side: int = _THUMBNAIL) -> str:
    """A uint8 picture (H, W, 3) as part of the page, at most `side` pixels wide and high; tiny ones are enlarged."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    if (times := side // max(picture.size)) > 1:
        picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}">'


def _curves(name: str, history: History) -> str:
    try:
        figure = history.figure()
    except OptionError as error:
        return f"<h2>Learning curves: {escape(name)}</h2>\n<p>{escape(str(error))}</p>"
    return f"<h2>Learning curves: {escape(name)}</h2>\n{drawn(figure, name)}"


def drawn(figure: Any, salt: str) -> str:
    """A figure of matplotlib's as a part of the page; the same curves and `salt` give the same text."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    svg = stream.getvalue()
    return f'<div class="curves">{svg[svg.index("<svg") :]}</div>'


def report_path(run: Path) -> Path:
    """Where the report of a run lies."""
    return run / REPORT
