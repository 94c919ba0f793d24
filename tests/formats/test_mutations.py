"""Thousands of mutants of each kind of file: they are read or refused, and nothing else happens."""

import os

import numpy as np
import pytest

from tinyvision.data import read_npz
from tinyvision.errors import DataError, WeightsError
from tinyvision.weights import load_arrays as load

from .hostile import CANARY
from .mutations import KINDS, npz_mutant, try_mutants

MUTANTS = 2000


@pytest.mark.parametrize("kind", KINDS)
def test_mutants_are_read_or_refused(tmp_path, kind):
    outcomes = try_mutants(kind, MUTANTS, tmp_path / "mutant.pth")
    assert outcomes["read"] + outcomes["refused"] == MUTANTS
    # Both must happen, or the mutations are too weak to break anything or too strong to reach the inside.
    assert outcomes["read"] > MUTANTS // 200
    assert outcomes["refused"] > MUTANTS // 4
    assert not os.path.exists(CANARY)


def test_weights_and_data_never_disagree_on_an_npz(tmp_path):
    rng, path, read = np.random.default_rng(5), tmp_path / "mutant.npz", 0
    for _ in range(500):
        path.write_bytes(npz_mutant(rng))
        try:
            expected = load(path)
        except WeightsError:
            with pytest.raises(DataError):
                read_npz(path)
            continue
        found = read_npz(path)
        assert list(found) == list(expected)
        assert all(found[name].tobytes() == expected[name].tobytes() for name in found)
        read += 1
    assert 50 < read < 450
