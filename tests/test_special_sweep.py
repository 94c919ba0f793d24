"""The sweep of `special_points.py`: here in float64; by hand, `python tests/special_points.py` runs every dtype."""

import warnings

import numpy as np
import pytest

pytest.importorskip("torch")

import special_points
from special_points import CASES, EXCEPTIONS, compare, differences, outcome, rows

import tinyvision
from tinyvision import ops
from tinyvision.listening import listening

# What has no special points of its own: it only moves numbers, is met inside of another op, or belongs to one task.
ELSEWHERE = """
arcface batchnorm_relu box_agreement dropout focal sync_batchnorm im2col triplet write concatenate slide
"""


def test_values_and_gradients_at_special_points_are_pytorchs():
    found = list(differences(dtypes=["float64"]))
    assert not found, "\n".join(" | ".join(one) for one in found)


def test_every_expression_is_compared():
    """What both engines refuse, or PyTorch alone, is no agreement: on one row at least, numbers met numbers."""
    names = rows("float64")
    names = ["kinks", *(name for name in names if name != "kinks")]  # where nearly all have an answer
    for expression, kind in CASES:
        found = (compare(expression, kind, rows("float64")[name], "float64")[0] for name in names)
        assert "equal" in found, expression


def test_whole_quotients_are_compared_though_they_have_no_gradient(monkeypatch):
    def wrong(t, *asked, found=special_points.values_and_gradients, **options):
        values, gradients = found(t, *asked, **options)
        return ([v + (t is tinyvision) for v in values], gradients)

    assert compare("x // 2", "rows", [3.0, -3.0], "float64") == ("equal", "")
    monkeypatch.setattr(special_points, "values_and_gradients", wrong)
    what, words = compare("x // 2", "rows", [3.0, -3.0], "float64")
    assert what == "different"
    assert "value" in words


def test_every_op_is_met():
    met = set()
    with listening(lambda name, *_: met.add(name)), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for expression, kind in CASES:
            outcome(tinyvision, expression, kind, rows("float64")["kinks"], "float64")
    offered = {name.removesuffix("_forward") for name in ops.__all__ if name.endswith("_forward")}
    assert offered - met <= set(ELSEWHERE.split()), sorted(offered - met - set(ELSEWHERE.split()))


def test_every_exception_says_why_and_where():
    for reason, told, _, _, meant in EXCEPTIONS:
        assert len(reason) > 20
        assert told in ("refused", "different", "different: sign of zero")
        assert meant or told == "refused"
