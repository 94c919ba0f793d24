"""What the pictures that a network makes are worth: how far from real ones, recognised or not, memorised or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import random
from ...device import to_numpy
from ...grad_mode import no_grad
from ...tensors.tensor import Tensor
from ...train import evaluate
from ...train.recipes import Parts
from ...train.report import escape, picture_tag
from ..room import table
from .frechet import frechet_distance
from .generator import BATCH, pixels
from .memory import Memory, compared
from .network import GUIDANCE, Diffusion
from .samples import Samples
from .task import Generation, GenerationEvaluation

_OF_EACH, _NEIGHBOURS, _PAIRS = 8, 3, 12


def sections(
    model: Diffusion, parts: Parts, test: GenerationEvaluation | None
) -> tuple[list[str], dict[str, Any], list[str]]:
    """(sections of HTML, numbers for JSON, lines), judged by the test pictures, or else by those held back."""
    real: Samples | None = parts.test if test is not None else parts.val
    if real is None:
        return ["<p>No pictures were held back, so nothing can be said of what is made.</p>"], {}, []
    judged = test if test is not None else evaluate(model, real, task=Generation())
    floors = _floors(model, parts.train, real, judged)
    memory = compared(judged.made.pictures, real.x, parts.train.x, _NEIGHBOURS)
    values = {
        "frechet_distance_of_training_pictures": floors[0],
        "frechet_distance_of_noise": floors[1],
        "recognised": judged.recognised,
        "real_recognised": judged.real_recognised,
        "distance_to_training_pictures": float(np.median(memory.made)),
        "real_distance_to_training_pictures": float(np.median(memory.real)),
        "share_near_training_pictures": memory.share_near,
    }
    lines = [
        f"for comparison: as many of the training pictures are {floors[0]:.2f} from the same real ones, noise is "
        f"{floors[1]:.1f}",
        f"the class asked for is recognised in {judged.recognised:.1%} of them (of the real ones, in "
        f"{judged.real_recognised:.1%})",
        f"memorised? {memory.share_near:.1%} are as near to a training picture as 5% of the real ones are; "
        f"median distance {np.median(memory.made):.3f}, of the real ones {np.median(memory.real):.3f}",
    ]
    what = "test pictures" if test is not None else "pictures held back"
    body = [
        _distances(judged, floors, what, len(real.x)),
        _made(judged, parts.classes),
        _memorised(memory, judged, parts.train, parts.classes, what),
    ]
    return body, values, lines


def _floors(model: Diffusion, train: Samples, real: Samples, judged: GenerationEvaluation) -> tuple[float, float]:
    """Distances from the real pictures, of as many training pictures of the same classes, as far as there are so many,
    and of the noise that the others are made of."""
    rng, chosen = random.stream(0, "floor"), []
    for label in range(len(real.classes)):
        own = rng.permutation(np.flatnonzero(train.labels == label))
        chosen.append(own[: int((real.labels == label).sum())])
    noise = np.stack([real[index][1][1] for index in range(len(real.x))])
    features = judged.made.real_features
    copies, nothing = (_features(model, x) for x in (train.x[np.concatenate(chosen)], noise.clip(-1, 1)))
    return frechet_distance(copies, features), frechet_distance(nothing, features)


def _features(model: Diffusion, x: np.ndarray) -> np.ndarray:
    where = next(iter(model.buffers())).device
    with no_grad():
        found = [model.judged(Tensor.of(x[i : i + BATCH]).to(where))[0] for i in range(0, len(x), BATCH)]
    return np.concatenate([to_numpy(part) for part in found])


def _distances(judged: GenerationEvaluation, floors: tuple[float, float], what: str, count: int) -> str:
    rows = [
        ("what was made", f"{judged.score:.2f}", f"{judged.recognised:.1%}"),
        ("training pictures", f"{floors[0]:.2f}", "–"),
        ("noise", f"{floors[1]:.2f}", "–"),
        (what, "0", f"{judged.real_recognised:.1%}"),
    ]
    return (
        f"<h2>How far from real pictures</h2>\n<p>The Fréchet distance between the features that a small classifier, "
        f"the judge, finds in pictures and in {count:,} {what}. It learned from the training pictures, and so did the "
        f"network: what both have not seen, neither can miss. All rows are of equally many pictures of the same "
        f"classes, for of few pictures the distance comes out larger. With other data, or another judge (of a run with "
        f"another seed, for which other pictures were held back), it is on another scale; compare it with that of the "
        f"training pictures.</p>\n"
        f"{table(('', 'Fréchet distance', 'class recognised'), rows)}"
    )


def _made(judged: GenerationEvaluation, classes: list[str]) -> str:
    rows = []
    for label, name in enumerate(classes):
        own = np.flatnonzero(judged.labels == label)[:_OF_EACH]
        shown = "".join(_picture(judged.made.pictures[i], 48) for i in own)
        rows.append(f'<tr><td class="name">{escape(name)}</td><td><div class="beside">{shown}</div></td></tr>')
    return (
        f"<h2>Pictures</h2>\n<p>The first of each class, not chosen, with guidance {GUIDANCE}.</p>\n"
        f'<div class="scroll"><table>{"".join(rows)}</table></div>'
    )


def _memorised(memory: Memory, judged: GenerationEvaluation, train: Samples, classes: list[str], what: str) -> str:
    def row(values: np.ndarray) -> list[str]:
        return [f"{np.quantile(values, q):.3f}" for q in (0, 0.05, 0.5, 0.95)]

    head = ("distance to the nearest training picture", "smallest", "5%", "median", "95%")
    rows = [("of what was made", *row(memory.made)), (f"of {what}", *row(memory.real))]
    figures = []
    for index in np.argsort(memory.made, kind="stable")[:_PAIRS]:
        shown = [judged.made.pictures[index], *(train.x[k] for k in memory.nearest[index])]
        figures.append(
            f'<figure><div class="beside">{"".join(_picture(x, 40) for x in shown)}</div><figcaption>'
            f"{escape(classes[judged.labels[index]])}: {memory.made[index]:.3f}</figcaption></figure>"
        )
    return (
        f"<h2>Memorised or not</h2>\n<p>{memory.share_near:.1%} of what was made has a training picture as near as "
        f"only 5% of the {what} have one, which are real and were not learned from. Much more than 5% would mean that "
        f"training pictures are repeated; somewhat more is also found where a network makes the usual and leaves out "
        f"the odd. The distance is the root of the mean squared difference of pixels, of which the whole range is "
        f"1.</p>\n{table(head, rows)}\n<p>The nearest of all: each that was made, and beside it the training pictures "
        f'nearest to it.</p>\n<div class="mistakes">{"".join(figures)}</div>'
    )


def _picture(x: np.ndarray, side: int) -> str:
    """A picture (C, H, W) as part of the page."""
    picture = pixels(x[None])[0]
    return picture_tag(np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture, side)
