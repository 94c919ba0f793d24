"""Thousands of mutants of each kind of file: they are read or refused, and nothing else happens."""

import os

import pytest

from .hostile import CANARY
from .mutations import KINDS, try_mutants

MUTANTS = 2000


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused(tmp_path, kind):
    outcomes = try_mutants(kind, MUTANTS, tmp_path / "mutant.pth")
    assert outcomes["read"] + outcomes["refused"] == MUTANTS
    # Both must happen, or the mutations are too weak to break anything or too strong to reach the inside.
    assert outcomes["read"] > MUTANTS // 200
    assert outcomes["refused"] > MUTANTS // 4
    assert not os.path.exists(CANARY)
