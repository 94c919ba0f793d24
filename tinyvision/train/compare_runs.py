"""Two runs beside each other: what was set differently, and what came of it, picture by picture."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..device import to_numpy
from ..errors import CheckpointError
from ..folders import user_path
from ..printable import printable
from .checkpoint import Checkpoint, load_checkpoint, task_of
from .classification import Classification, Evaluation
from .evaluate import evaluate
from .history import History
from .preprocessing import Preprocessing
from .report import drawn, escape, picture_tag, write_page
from .runs import BEST, best_of
from .trust_report import seen

_SHOWN = 24  # pictures of each side
_UNLIKE = ("classes",)  # parts of a description that are no setting


@dataclass
class Run:
    """A run that is compared: its name, its best checkpoint, its history."""

    name: str
    checkpoint: Checkpoint
    history: History

    @property
    def best(self) -> dict[str, Any]:
        """The row of the epoch whose weights were kept."""
        return self.history.rows[self.checkpoint.progress.epoch - 1]


@dataclass
class Pictures:
    """What both runs said of the same pictures.

    part     which ones: "test" or "validation";  classes  their names;  dataset  gives them to the first run
    a, b     an Evaluation of each run, in the same order"""

    part: str
    classes: list[str]
    dataset: Any
    a: Evaluation
    b: Evaluation

    @property
    def right(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each picture (N,) was recognised by A, and by B."""
        return self.a.predictions == self.a.labels, self.b.predictions == self.b.labels

    @property
    def gained(self) -> np.ndarray:
        """Rows of the pictures that only B recognised."""
        a, b = self.right
        return np.flatnonzero(~a & b)

    @property
    def lost(self) -> np.ndarray:
        """Rows of the pictures that only A recognised."""
        a, b = self.right
        return np.flatnonzero(a & ~b)

    @property
    def chance(self) -> float:
        """How often two equally good networks would differ by this much or more, from 0 to 1 (McNemar, exact): each
        picture that only one recognised is then the toss of a coin."""
        n, fewer = len(self.gained) + len(self.lost), min(len(self.gained), len(self.lost))
        return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)


def open_both(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> tuple[Run, Run]:
    """Two runs, with as much of their paths in their names as tells them apart, unless they are one. Raises
    CheckpointError as `open_run` does."""
    first, second = open_run(a), open_run(b)
    places = [_folder(path).resolve() for path in (a, b)]
    depth = 1
    while first.name == second.name and places[0] != places[1]:
        depth += 1
        first.name, second.name = ("/".join(place.parts[-depth:]) for place in places)
    return first, second


def _folder(path):
    folder = user_path(path)
    return folder.parent if folder.is_file() else folder


def open_run(path: str | os.PathLike[str]) -> Run:
    """The run in a folder. Raises CheckpointError if there is none, or it has no history."""
    folder = _folder(path)
    checkpoint = load_checkpoint(best_of(folder))
    rows = checkpoint.progress.rows
    if not 0 < checkpoint.progress.epoch <= len(rows):
        raise CheckpointError(f"{printable(folder)}: its {BEST} has no history of its epochs")
    return Run(folder.name or str(folder), checkpoint, History(rows))


def differing_settings(a: Run, b: Run) -> dict[str, tuple[Any, Any]]:
    """{name: (A's, B's)} of all settings of training, data, input and network that differ; None where one has none."""
    first, second = (dict(_settings(run.checkpoint)) for run in (a, b))
    return {
        name: (first.get(name), second.get(name))
        for name in [*first, *(name for name in second if name not in first)]
        if first.get(name) != second.get(name)
    }


def _settings(checkpoint: Checkpoint) -> Iterator[tuple[str, Any]]:
    """Settings and description by dotted names."""
    waiting = [("", {**checkpoint.settings, "task": task_of(checkpoint), **checkpoint.description})]
    while waiting:
        prefix, part = waiting.pop()
        for key, value in part.items():
            if isinstance(value, dict):
                waiting.append((f"{prefix}{key}.", value))
            elif f"{prefix}{key}" not in _UNLIKE:
                yield f"{prefix}{key}", value


def without_pictures(a: Run, b: Run) -> str:
    """Why a comparison of two runs of one task shows no pictures; "" where it shows them."""
    if (task := task_of(a.checkpoint)) != Classification.name:
        return f"Single pictures are compared for classification only, and these are for {task}."
    if _fine_tuned(a) and _fine_tuned(b):
        return (
            "Single pictures are compared for runs of `tinyvision train` only, and these are of `tinyvision transfer`."
        )
    return ""


def _fine_tuned(run: Run) -> bool:
    return run.checkpoint.description.get("data", {}).get("name") == "transfer"


def judge_both(a: Run, b: Run, root: str | None = None, workers: int = 0) -> Pictures:
    """Both networks on the pictures that neither has learned from. `root` is where the data lie now, if not where they
    were. Raises CheckpointError if the runs are of another task, or of other pictures or classes; DataError."""
    for run in (a, b):
        if task_of(run.checkpoint) != Classification.name or _data(run)[0] is None or _fine_tuned(run):
            raise CheckpointError(f"{run.name}: was not made by `tinyvision train` for classification")
    if _data(a)[0] != _data(b)[0]:
        raise CheckpointError(f"{a.name} is of {_data(a)[0]}, {b.name} of {_data(b)[0]}; compare runs on the same data")
    runs = ((a, _parts(a, root)), (b, _parts(b, root)))
    part = "test" if all(parts.test is not None for _, parts in runs) else "val"
    shown = [getattr(parts, part) for _, parts in runs]
    if any(dataset is None or not len(dataset) for dataset in shown):
        raise CheckpointError("neither test nor validation pictures were held back, so there is nothing to compare on")
    if part == "val" and (a.checkpoint.settings["seed"], _data(a)) != (b.checkpoint.settings["seed"], _data(b)):
        raise CheckpointError("there is no test part, and by their seeds the runs held other pictures back")
    if runs[0][1].classes != runs[1][1].classes or len(shown[0]) != len(shown[1]):
        raise CheckpointError(f"{a.name} and {b.name} are of other classes or pictures; compare runs on the same data")
    found = [_evaluation(run, dataset, workers) for (run, _), dataset in zip(runs, shown, strict=True)]
    if not np.array_equal(found[0].labels, found[1].labels):
        raise CheckpointError(f"{a.name} and {b.name} are of other pictures; compare runs on the same data")
    return Pictures({"val": "validation"}.get(part, part), runs[0][1].classes, shown[0], *found)


def _data(run: Run) -> tuple[Any, ...]:
    notes = run.checkpoint.description.get("data", {})
    return tuple(notes.get(name) for name in ("name", "val"))


def _parts(run: Run, root: str | None) -> Any:
    from .recipes import open_parts

    notes = run.checkpoint.description
    data, preprocessing = notes["data"], Preprocessing.from_dict(notes["input"])
    return open_parts(
        data["name"], preprocessing, root=root or data.get("root"), val=data["val"], augment=False,
        seed=run.checkpoint.settings["seed"],
    )  # fmt: skip


def _evaluation(run: Run, dataset: Any, workers: int) -> Evaluation:
    from .recipes import build_network

    model = build_network(run.checkpoint.description["model"])
    model.load_state_dict(run.checkpoint.weights)
    return evaluate(model.eval(), dataset, workers=workers)


def as_json(a: Run, b: Run, pictures: Pictures | None) -> dict[str, Any]:
    """What was found, for JSON: {"a", "b", "settings", "best", "history", "pictures"}."""
    found: dict[str, Any] = {
        "a": a.name,
        "b": b.name,
        "settings": {name: list(both) for name, both in differing_settings(a, b).items()},
        "best": [a.best, b.best],
        "history": [a.history.rows, b.history.rows],
        "pictures": None,
    }
    if pictures is not None:
        found["pictures"] = {
            "part": pictures.part,
            "count": len(pictures.a.labels),
            "accuracy": [pictures.a.accuracy, pictures.b.accuracy],
            "per_class": {name: list(shares) for name, shares in _per_class(pictures).items()},
            "gained": pictures.gained.tolist(),
            "lost": pictures.lost.tolist(),
            "chance": pictures.chance,
        }
    return found


def lines(a: Run, b: Run, pictures: Pictures | None) -> list[str]:
    """The same in a few lines."""
    told = [f"A {a.name}, B {b.name}"]
    differing = differing_settings(a, b)
    told += [f"  {name}: {_said(first)} -> {_said(second)}" for name, (first, second) in differing.items()]
    if not differing:
        told.append("  no setting differs")
    if pictures is None:
        scores = (name for name in a.best if name.startswith("val_") and name in b.best)
        return told + [f"best epoch's {name}: {_said(a.best[name])} -> {_said(b.best[name])}" for name in scores]
    first, second = pictures.a.accuracy, pictures.b.accuracy
    told.append(f"right on {len(pictures.a.labels):,} {pictures.part} pictures: {first:.2%} -> {second:.2%}")
    told.append(_sides(pictures))
    return told


def _sides(pictures: Pictures) -> str:
    gained, lost = len(pictures.gained), len(pictures.lost)
    if not gained + lost:
        return "both recognise the same pictures"
    share = "fewer than 1%" if pictures.chance < 0.01 else f"{pictures.chance:.0%}"
    return (
        f"only B recognises {gained}, only A {lost}; two equally good networks would differ by so much or more in "
        f"{share} of cases"
    )


def _per_class(pictures: Pictures) -> dict[str, tuple[float | None, float | None]]:
    """{class: the share of its pictures that A, and that B, recognised}; None without any."""
    found = {}
    for k, name in enumerate(pictures.classes):
        own = pictures.a.labels == k
        shares = [float(right[own].mean()) if own.any() else None for right in pictures.right]
        found[name] = (shares[0], shares[1])
    return found


def write_comparison(
    path: str | os.PathLike[str], a: Run, b: Run, pictures: Pictures | None, why_none: str = ""
) -> None:
    """Write the page. `why_none` says why there are no pictures. Raises FileError, OptionError without matplotlib."""
    head = f"<h1>{escape(a.name)} and {escape(b.name)}</h1>\n<p>A is {escape(a.name)}, B is {escape(b.name)}.</p>"
    body = [head, _settings_table(a, b), _curves(a, b)]
    if pictures is None:
        body.insert(1, f"<p>{escape(why_none)}</p>")
    else:
        first, second = pictures.a.accuracy, pictures.b.accuracy
        body.insert(
            1,
            f'<p><span class="big">{first:.1%} → {second:.1%}</span> right on {len(pictures.a.labels):,} '
            f"{pictures.part} pictures.</p>\n<p>{escape(_sides(pictures))}.</p>",
        )
        body += [_class_table(pictures), _changed(pictures, a)]
    write_page(path, f"{a.name} and {b.name}", body)


def _settings_table(a: Run, b: Run) -> str:
    differing = differing_settings(a, b)
    if not differing:
        return "<h2>Settings</h2>\n<p>None differs.</p>"
    rows = "".join(
        f'<tr><th class="name">{escape(name)}</th><td>{escape(_said(first))}</td><td>{escape(_said(second))}</td></tr>'
        for name, (first, second) in differing.items()
    )
    return (
        '<h2>Settings that differ</h2>\n<div class="scroll"><table class="facts"><tr><th></th><th class="name">A</th>'
        f'<th class="name">B</th></tr>{rows}</table></div>'
    )


def _said(value: Any) -> str:
    return "–" if value is None else str(value)


def _curves(a: Run, b: Run) -> str:
    """Loss, and the metric if both have the same, over the epochs: A solid, B dashed."""
    from matplotlib.figure import Figure

    metric = a.history.metric
    shown = ["loss"]
    if metric is not None and b.history.metric is not None and metric.name == b.history.metric.name:
        shown.append(metric.name)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, what in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for run, name, style in ((a, "A", "-"), (b, "B", "--")):
            for part, label, colour in (("train", "training", "tab:blue"), ("val", "validation", "tab:orange")):
                values = [row.get(f"{part}_{what}") for row in run.history.rows]
                if None not in values:
                    epochs = [row["epoch"] for row in run.history.rows]
                    axes.plot(epochs, values, style, marker=".", color=colour, label=f"{name}, {label}")
        axes.set(xlabel="epoch", title=what if what == "loss" or metric is None else metric.title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return f"<h2>Learning curves</h2>\n{drawn(figure, 'curves')}"


def _class_table(pictures: Pictures) -> str:
    rows = []
    for name, (first, second) in _per_class(pictures).items():
        if first is None or second is None:
            rows.append(f'<tr><td class="name">{escape(name)}</td><td>–</td><td>–</td><td></td></tr>')
            continue
        kind = "right" if second > first else "wrong" if second < first else ""
        change = f"{100 * (second - first):+.1f}" if second != first else "0"
        rows.append(
            f'<tr><td class="name">{escape(name)}</td><td>{first:.1%}</td><td>{second:.1%}</td>'
            f'<td class="{kind}">{change}</td></tr>'
        )
    head = '<tr><th class="name">class</th><th>A</th><th>B</th><th>points</th></tr>'
    return f'<h2>Recognised of each class</h2>\n<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _changed(pictures: Pictures, a: Run) -> str:
    preprocessing = Preprocessing.from_dict(a.checkpoint.description["input"])
    parts = []
    for title, rows in (("Only B recognises", pictures.gained), ("Only A recognises", pictures.lost)):
        figures = "".join(_figure(pictures, int(row), preprocessing) for row in rows[:_SHOWN])
        more = f"The first {_SHOWN} of them:" if len(rows) > _SHOWN else ""
        parts.append(
            f"<h2>{title} {len(rows)} picture{'s' * (len(rows) != 1)}</h2>\n"
            + (f'<p>{more}</p>\n<div class="mistakes">{figures}</div>' if len(rows) else "<p>None.</p>")
        )
    return "\n".join(parts)


def _figure(pictures: Pictures, row: int, preprocessing: Preprocessing) -> str:
    image = pictures.dataset[row][0]
    pixels = seen(preprocessing, np.asarray(to_numpy(getattr(image, "array", image))))
    label = int(pictures.a.labels[row])
    said = []
    for name, evaluation in (("A", pictures.a), ("B", pictures.b)):
        answer = int(evaluation.predictions[row])
        kind = "right" if answer == label else "wrong"
        share = math.exp(evaluation.log_probabilities[row, answer])
        said.append(f'<span class="{kind}">{name}: {escape(pictures.classes[answer])}, {share:.0%}</span>')
    return f"<figure>{picture_tag(pixels, 96)}<figcaption>{'<br>'.join(said)}</figcaption></figure>"
