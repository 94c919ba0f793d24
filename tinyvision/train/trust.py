"""May one rely on a network? What its confidence is worth, what spoilt pictures do to it, what it says of what it does
not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .. import random
from ..data import Digits, Shapes, read_image
from ..data.picture_files import PictureFiles
from ..data.transforms import CORRUPTIONS, Corrupt
from ..device import to_numpy
from ..errors import DataError
from ..grad_mode import no_grad
from ..printable import printable
from ..tensors.tensor import Tensor
from .calibration import Reliability, confidences, fit_temperature, reliability
from .console import reporter
from .evaluate import Evaluation, evaluation_mode
from .evaluate_folder import FolderEvaluation
from .recipes import Network
from .verification import roc_auc

LEAST_CALIBRATION = 40  # pictures; half of them learn a temperature, the other half judge it
SPOILT, UNKNOWN = 200, 100  # pictures for each kind, where there are as many
STRENGTHS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Calibration:
    """What the confidence of a network is worth, on the half of the pictures by which no temperature was chosen.

    before, after  Reliability of softmax(scores) and of softmax(scores / temperature)
    fitted_on, judged_on  how many pictures each half has"""

    temperature: float
    before: Reliability
    after: Reliability
    fitted_on: int
    judged_on: int


@dataclass(frozen=True)
class Trust:
    """What `examine` returns.

    calibration   None where there are too few pictures
    spoilt        {kind: right answers at the strengths 1 to 5}, of `sampled` pictures of which `right` are recognised
                  as they are
    unknown       {what it is: confidences (N,)} of pictures that show none of the classes; known are those of the
                  labelled pictures; auc how often a labelled one has the higher confidence, for each kind"""

    calibration: Calibration | None
    sampled: int
    right: int
    spoilt: dict[str, list[int]]
    known: np.ndarray
    unknown: dict[str, np.ndarray]
    auc: dict[str, float]


def examine(
    network: Network,
    result: FolderEvaluation,
    *,
    unknown: Path | None = None,
    seed: int = 0,
    batch_size: int = 32,
    log: Any = None,
) -> Trust:
    """Look beyond a network's accuracy on a folder, whose FolderEvaluation is `result`.

    unknown  a folder of pictures that show none of the classes, besides those that are drawn here
    seed     of all that is drawn: halves, samples, noise

    Raises DataError for a folder without pictures that can be read."""
    console = reporter(log)
    known = confidences(result.evaluation.scores)
    chosen = _drawn(len(known), SPOILT, seed, "spoilt")
    strangers = _strangers(network, unknown, seed)
    total = len(chosen) * len(CORRUPTIONS) * len(STRENGTHS) + UNKNOWN * len(strangers)
    counted = console.counter("spoilt and unknown pictures", total)
    try:
        with evaluation_mode(network.model), no_grad():
            spoilt = _spoilt(network, result, chosen, seed, batch_size, counted)
            said = {kind: _confidence(network, images, batch_size, counted) for kind, images in strangers.items()}
    finally:
        console.end()
    of_chosen = result.evaluation.label_ranks[chosen]
    return Trust(
        calibrate(result.evaluation, seed),
        len(chosen),
        int((of_chosen == 0).sum()),
        spoilt,
        known,
        said,
        {kind: roc_auc(np.append(known, c), np.arange(len(known) + len(c)) < len(known)) for kind, c in said.items()},
    )


def calibrate(evaluation: Evaluation, seed: int = 0) -> Calibration | None:
    """A temperature from one half of the pictures, and what it does to the other; None below LEAST_CALIBRATION."""
    count = len(evaluation.labels)
    if count < LEAST_CALIBRATION:
        return None
    order = random.stream(seed, "calibration").permutation(count)
    fitted, judged = order[: count // 2], order[count // 2 :]
    scores, labels = evaluation.scores, evaluation.labels
    temperature = fit_temperature(scores[fitted], labels[fitted])
    right = evaluation.label_ranks[judged] == 0
    return Calibration(
        temperature,
        reliability(confidences(scores[judged]), right),
        reliability(confidences(scores[judged], temperature), right),
        len(fitted),
        len(judged),
    )


def _drawn(count: int, most: int, seed: int, name: str) -> np.ndarray:
    return np.sort(random.stream(seed, name).permutation(count)[:most])


def _spoilt(
    network: Network, result: FolderEvaluation, chosen: np.ndarray, seed: int, batch_size: int, counted: Any
) -> dict[str, list[int]]:
    """{kind: right answers at the strengths 1 to 5}. A picture is read once, and spoilt at the size that the network
    gets; its noise depends on the seed, the kind, the strength and its own number."""
    found = {kind: [0] * len(STRENGTHS) for kind in CORRUPTIONS}
    ways = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    steps = [network.preprocessing.transform([Corrupt(kind, strength)]) for kind, strength in ways]
    few = max(1, batch_size // 4)
    for start in range(0, len(chosen), few):
        numbers = chosen[start : start + few]
        pictures = [result.pictures[int(i)][0] for i in numbers]
        labels = result.evaluation.labels[numbers]
        for (kind, strength), prepare in zip(ways, steps, strict=True):
            streams = [random.stream(seed, "spoilt", kind, strength, int(i)) for i in numbers]
            made = [prepare(picture, rng) for picture, rng in zip(pictures, streams, strict=True)]
            found[kind][strength - 1] += int((_scores(network, made).argmax(1) == labels).sum())
            counted(len(made))
    return found


def _scores(network: Network, inputs: Sequence[Any]) -> np.ndarray:
    x = Tensor.of(np.stack(inputs)).to(next(iter(network.model.parameters())).device)
    return to_numpy(network.model(x))


def _confidence(network: Network, pictures: Iterator[Any], batch_size: int, counted: Any) -> np.ndarray:
    prepare, found = network.preprocessing.transform(), []
    while batch := [prepare(picture) for picture in islice(pictures, batch_size)]:
        found.append(confidences(_scores(network, batch)))
        counted(len(batch))
    return np.concatenate(found) if found else np.zeros(0)


def _strangers(network: Network, folder: Path | None, seed: int) -> dict[str, Iterator[Any]]:
    """{what it is: pictures uint8 (H, W, C)} that show none of the network's classes."""
    size, rng = (*network.preprocessing.size, 3), random.stream(seed, "unknown")
    found: dict[str, Iterator[Any]] = {
        "noise": (rng.integers(0, 256, size, np.uint8) for _ in range(UNKNOWN)),
        "one colour": (np.broadcast_to(rng.integers(0, 256, 3, np.uint8), size) for _ in range(UNKNOWN)),
    }
    for what, dataset in (("drawn shapes", Shapes(UNKNOWN, train=False)), ("handwritten digits", Digits(train=False))):
        if not set(network.classes) & set(dataset.classes):
            found[what] = _pictures(dataset)
    if folder is not None:
        found["your own"] = _own(folder, seed)
    return found


def _pictures(dataset: Any) -> Iterator[Any]:
    """Its first UNKNOWN pictures."""
    return (dataset[i][0] for i in range(UNKNOWN))


def _own(folder: Path, seed: int) -> Iterator[Any]:
    """UNKNOWN pictures below a folder, drawn at random; what cannot be read is passed over."""
    paths, count = PictureFiles(folder).paths, 0
    for i in random.stream(seed, "folder").permutation(len(paths)):
        try:
            yield read_image(paths[i])
        except DataError:
            continue
        count += 1
        if count == UNKNOWN:
            return
    if not count:
        raise DataError(f"{printable(folder)}: holds no pictures that can be read")
