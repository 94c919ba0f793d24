"""Which layouts go together: code that has its channels last has its kernels so too."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..ops import Spec
from . import layouts as lay

LABELS = {
    "one-hot": lambda labels, classes: np.eye(classes)[labels],
    "one-hot, one a column": lambda labels, classes: np.eye(classes)[labels].T.copy(),
    "in a column (N, 1)": lambda labels, classes: labels[:, None],
    "in a row (1, N)": lambda labels, classes: labels[None],
}


def layout_choices(known: Spec, vectors: Sequence[Any] = lay.VECTORS) -> Iterator[dict[str, Any]]:
    """For each way in which people lay out an op's arrays, the layout of each argument; the usual ones first.

    `vectors` are the shapes that biases may have."""
    if known.name == "conv2d":
        yield from _conv_layouts(vectors)
    elif known.name in ("maxpool2d", "avgpool2d"):
        for image in lay.IMAGES:
            yield {"x": image, "y": image}
    elif known.name == "linear":
        for rows in (lay.ROWS[0], lay.ROWS[1], lay.ROWS[2], lay.ROWS[3], lay.ROWS[4]):
            for matrix in lay.MATRICES:
                for vector in vectors[:3]:
                    yield {"x": rows, "y": rows, "weight": matrix, "bias": vector}
        for rows, matrix, joined in itertools.product(lay.ROWS[:2], lay.MATRICES, ("last", "first")):
            yield {"x": rows, "y": rows, "weight": matrix, "joined": joined}
    elif known.name == "batchnorm_train":
        for image in lay.NORMALISED:
            for vector in vectors:
                yield {"x": image, "y": image, "weight": vector, "bias": vector}
    elif known.name == "softmax":
        for rows in lay.ROWS:
            yield {"x": rows, "y": rows}
    elif known.name == "cross_entropy":
        yield from _loss_layouts()
    else:
        yield {}


def _loss_layouts():
    # Batches before single samples: of one sample alone the sum and the mean are the same.
    several, single = [r for r in lay.ROWS if not r.single], [r for r in lay.ROWS if r.single]
    for group, summed in ((several, False), (several, True), (single, False), (single, True)):
        for takes, rows in itertools.product(("logits", "probabilities", "fused"), group):
            for labels in ("integers", *LABELS):
                yield {"logits": rows, "labels": labels, "takes": takes, "summed": summed}


def _conv_layouts(vectors):
    first, last = (lay.IMAGES[0], lay.IMAGES[2]), (lay.IMAGES[1], lay.IMAGES[3])
    rest = (*lay.IMAGES[4:],)
    kernels = {k.name: k for k in lay.KERNELS}
    families = [
        (first, ["usual", "COHW", "O(CHW)", "(CHW)O", "CHWO", "HWCO"]),
        (last, ["HWCO", "OHWC", "usual", "HWOC", "O(HWC)", "(HWC)O", "CHWO"]),
        (rest, list(kernels)),
    ]
    for images, named in families:
        for image in images:
            for name in named:
                for vector in vectors:
                    yield {"x": image, "y": image, "weight": kernels[name], "bias": vector}
    one = {image.name: image for image in lay.IMAGES}
    for x, y in (("HW", "HWC"), ("HW", "CHW"), ("NHW", "NHWC"), ("NHW", "usual")):  # grey images in, channels out
        for name in ("OHW", "HWO"):
            yield {"x": one[x], "y": one[y], "weight": kernels[name], "bias": lay.USUAL}
