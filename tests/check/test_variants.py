"""Correct code in every shape it comes in: never called wrong. And other checkers, which miss what ours does not."""

import numpy as np
import pytest

import benchmarks.checker_variants_smooth  # noqa: F401  (it adds its own to VARIANTS)
from benchmarks.checker_policies import caught, random_upstream
from benchmarks.checker_variants import VARIANTS, disguised
from tinyvision import check


@pytest.mark.parametrize("case", VARIANTS, ids=lambda case: case[0])
def test_a_correct_variant_passes_in_every_disguise(case):
    name, op, forward, backward, options = case
    for seed in range(4):
        report = check.op(op, *disguised(forward, backward, seed), **options)
        assert report.passed, f"{name}, {seed}\n{report}"


@pytest.mark.parametrize("identifier", ["avgpool2d.dx.assigned", "avgpool2d.dx.divided_by_height_squared"])
def test_the_shapes_of_a_course_hide_what_ours_show(identifier):
    mistake = next(m for m in check.mistakes() if m.id == identifier)
    assert not caught(mistake, random_upstream, np.random.default_rng(0))
    assert check.op(mistake.op, *mistake.functions()).findings[0].mistake == identifier
