"""The loops of `naive_layers.py` and `naive_embedding.py` and the ops compute the same, over the table of cases."""

import numpy as np
import pytest

from tinyvision.ops import naive_embedding, naive_layers

from .op_cases import CASES

LOOPS = {**vars(naive_layers), **vars(naive_embedding)}
TWINS = [case for case in CASES if case.op + "_forward" in LOOPS]


def test_every_loop_is_compared():
    loops = {name.removesuffix("_forward") for name in LOOPS if name.endswith("_forward")}
    assert {case.op for case in TWINS} == loops


@pytest.mark.parametrize("case", TWINS, ids=str)
def test_the_loops_agree(case, rng):
    arguments = case.make(rng)
    (y, cache), (looped, looped_cache) = (
        case.forward(*arguments, **case.options),
        LOOPS[case.op + "_forward"](*arguments, **case.options),
    )
    np.testing.assert_allclose(looped, y, rtol=1e-11, atol=1e-11)
    dy, needs = rng.standard_normal(y.shape), tuple(i in case.smooth for i in range(len(arguments)))
    looped = LOOPS[case.op + "_backward"](dy, looped_cache, needs)
    # The agreement of boxes and places of pixels have differences for their loops, which cost some digits.
    tolerance = 1e-7 if case.op in ("box_agreement", "grid_sample") else 1e-11
    for i in case.smooth:
        np.testing.assert_allclose(looped[i], case.backward(dy, cache, needs)[i], rtol=tolerance, atol=tolerance)
