"""Settings refuse what has no meaning, and hold plain numbers that a checkpoint can keep."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from tinyvision.errors import OptionError
from tinyvision.train import Settings


def test_integers_of_numpy_become_pythons():
    settings = Settings(epochs=np.int64(3), batch_size=np.uint8(16), seed=np.int32(7))
    assert json.loads(json.dumps(asdict(settings)))["epochs"] == 3
    assert [type(n) for n in (settings.epochs, settings.batch_size, settings.seed)] == [int] * 3


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"epochs": True}, {"batch_size": 2.0}, {"seed": -1}, {"seed": 2**64}])
def test_numbers_without_meaning_are_refused(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Settings(**wrong)
