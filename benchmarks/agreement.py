"""Results are compared before anything is timed: whoever is wrong is not timed.

The reference is PyTorch in float32 (where it is not installed, tinyvision itself). Rounding differs between
libraries, because they add in different orders, so equal means equal within a tolerance that follows from the
arithmetic.
"""

import math
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float32).eps)


class Tolerance(NamedTuple):
    """How far a result may be from the reference, as a share of the reference, and why."""

    share: float
    # "largest": the largest error over the largest number; "all": the error's length over the length of the whole
    norm: str
    why: str


def for_sums(terms):
    """For numbers that are sums of `terms` products in any order, by any algorithm."""
    share = 2 * EPS * math.sqrt(terms)
    why = f"2·eps·√{terms}: {terms} rounding errors add like a random walk; Winograd's are a few times larger"
    return Tolerance(share, "largest", why)


LOGITS = Tolerance(1e-5, "largest", "logits: 20 layers whose sums have up to 4,608 terms, each right to about 1e-6")
LOSS = Tolerance(1e-4, "largest", "losses: those of the second and third step also carry what the gradients differ by")
GRADIENT = Tolerance(1e-3, "all", "gradients: sums of up to 36,864 terms, and ReLU may fall either side of 0")
# Two layouts of PyTorch itself differ by 0.8 % here.
DEEP_GRADIENT = Tolerance(
    2e-2, "all", "ResNet-18's gradients: where rounding turns a share f of ReLU's masks, the gradient changes by √f"
)

# Two layouts of PyTorch itself differ by 2.5 % here.
DEEPER_GRADIENT = Tolerance(
    6e-2, "all", "EfficientNet-Lite0's and the U-Net's gradients: as ResNet-18's, with 50 layers"
)


class Disagreement(Exception):
    """A result that is not the reference's; the message says which and by how much."""


def error(result, reference, norm):
    """The distance of two arrays of one shape as a share of the reference, inf where one is not finite."""
    result, reference = np.asarray(result, np.float64), np.asarray(reference, np.float64)
    difference = result - reference
    if not np.isfinite(difference).all():
        return math.inf
    if norm == "largest":
        return float(np.abs(difference).max(initial=0) / max(np.abs(reference).max(initial=0), 1e-30))
    return float(np.linalg.norm(difference) / max(np.linalg.norm(reference), 1e-30))


def compare(results, reference, tolerances):
    """The worst error as a share of its tolerance, and that error; raises Disagreement for anything beyond its
    tolerance.

    results, reference: {name: array}; tolerances: one Tolerance, or {the first word of a name: Tolerance}."""
    if set(results) != set(reference):
        odd = sorted(set(results) ^ set(reference))
        raise Disagreement(f"gives {len(results)} results where {len(reference)} are expected ({', '.join(odd[:3])})")
    worst = (0.0, 0.0)
    for name, right in reference.items():
        given, right = np.asarray(results[name]), np.asarray(right)
        if given.shape != right.shape:
            raise Disagreement(f"{name}: shape {given.shape} instead of {right.shape}")
        tolerance = tolerances if isinstance(tolerances, Tolerance) else tolerances[name.split()[0]]
        wrong = error(given, right, tolerance.norm)
        if not wrong <= tolerance.share:
            raise Disagreement(f"{name}: off by {wrong:.1e} of the reference, allowed is {tolerance.share:.1e}")
        worst = max(worst, (wrong / tolerance.share, wrong))
    return worst
