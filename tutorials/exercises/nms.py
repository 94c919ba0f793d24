"""Non-maximum suppression: of boxes that cover the same thing, only the one with the highest score stays.

boxes (N, 4) as left, top, right, bottom; scores (N,); threshold a number from 0 to 1  ->  the places of the boxes that
stay, highest score first, a list of whole numbers. A box goes if its overlap (IoU) with one that stays is *above* the
threshold. Of equal scores the earlier box comes first.
"""

import numpy as np


def overlaps(box, others):
    """Intersection over union of one box (4,) with others (M, 4)  ->  (M,)"""
    # solution:
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    # skeleton:
    # inside = ...  # the area of the intersection, 0 where there is none
    # end
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    return inside / np.maximum(area + areas - inside, 1e-12)


def nms(boxes, scores, threshold):
    """Take the best that is left, drop what overlaps with it, and again."""
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        # solution:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlaps(boxes[best], boxes[left]) <= threshold]
        # skeleton:
        # best = ...
        # left = ...  # without best, and without what overlaps with it too much
        # end
    return kept


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "one box for one thing"
LEVEL, MINUTES, PAGE = 2, 15, "32"
NEEDS = ("overlaps", "nms")
MISSING = "the area of an intersection, and who goes when the best box has been taken"
HINTS = (
    "Two boxes do not touch. What is the smaller right edge less the larger left edge, and what must come of it?",
    "A negative number, which must become 0, in width and height each: two negatives would make an area. In nms: "
    "compare with the box that was just kept.",
    "inside = np.maximum(width, 0) * np.maximum(height, 0); left = left[1:][overlaps(boxes[best], boxes[left[1:]]) <= "
    "threshold]",
)
PREDICT = "A overlaps with B, B with C, A not with C; scores fall from A to C. Who stays?"
ANSWER = "A and C: B is gone before it could drop C. So only boxes that stay drop others."


def iou(box, others, fault=None):
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    if fault != "negative":
        width, height = np.maximum(width, 0), np.maximum(height, 0)
    inside = width * height
    area, areas = ((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (box, others))
    return inside / np.maximum(area + areas - inside, 1e-12)


def right(boxes, scores, threshold, fault=None):
    order = np.argsort(scores if fault == "lowest" else -scores, kind="stable")
    kept: list = []
    for place in order:
        rivals = boxes[order[: list(order).index(place)]] if fault == "dropped too" else boxes[kept]
        over = iou(boxes[place], rivals) if len(rivals) else np.zeros(0)
        if not (over >= threshold if fault == "at" else over > threshold).any():
            kept.append(int(place))
    return sorted(kept) if fault == "sorted" else kept


def check(your):
    rng = np.random.default_rng(51)
    chain = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10], [40, 40, 50, 50], [0, 0, 10, 20]], dtype=float)
    cases = [(chain, np.array([0.9, 0.8, 0.7, 0.95, 0.6]), 0.4), (chain, np.array([0.5, 0.5, 0.5, 0.5, 0.5]), 0.5)]
    for n in (9, 12):
        corner, size = rng.uniform(0, 20, (n, 2)), rng.uniform(4, 15, (n, 2))
        cases.append((np.concatenate([corner, corner + size], axis=1), rng.permutation(n) / n, 0.3))
    apart = [(chain[0], chain), (chain[3], chain)]
    known = [
        (
            lambda b, o: iou(b, o, "negative"),
            "Two boxes that do not touch have a negative width and a negative height, whose product counts as an area.",
        ),
        (lambda b, o: iou(b, o) / iou(b, o), "Divide by the union, not by the intersection."),
    ]
    faults = {
        "dropped too": "A box that had gone itself has dropped another one; only those that stay may.",
        "lowest": "You begin with the lowest score.",
        "at": "A box whose overlap is the threshold itself stays; it goes *above* it.",
        "sorted": "The result is in the order of the boxes; the highest score comes first.",
    }
    suppression = [(lambda b, s, t, f=fault: right(b, s, t, f), words) for fault, words in faults.items()]
    suppression.append(
        (lambda b, s, t: list(map(int, np.argsort(-s, kind="stable"))), "Nobody goes: nothing is dropped.")
    )

    def listed(boxes, scores, threshold):
        return np.asarray(your.nms(boxes, scores, threshold), dtype=int)

    wrapped = lab.adapted(your.nms, listed, ("boxes", "scores", "threshold"))
    return lab.together(
        lambda: lab.beside(your.overlaps, iou, apart, "overlaps", known),
        lambda: lab.beside(wrapped, lambda *c: np.array(right(*c)), cases, "kept", suppression),
    )
