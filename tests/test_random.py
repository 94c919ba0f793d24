"""Random numbers: one generator in force, and streams that depend on their names alone."""

import subprocess
import sys

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import random
from tinyvision.errors import OptionError


def test_a_seed_restarts_everything():
    tv.manual_seed(5)
    first = random.generator().random(4), tv.randn(2, 3).numpy(), tv.rand(3).numpy()
    tv.manual_seed(5)
    second = random.generator().random(4), tv.randn(2, 3).numpy(), tv.rand(3).numpy()
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    tv.manual_seed(6)
    assert not np.array_equal(random.generator().random(4), first[0])


def test_without_a_seed_two_runs_differ():
    code = "import tinyvision as tv; print(tv.randn(4).tolist())"
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 2


def test_a_stream_depends_on_its_seed_and_names_alone():
    tv.manual_seed(1)
    a = random.stream(7, "dropout", 3, 4).random(5)
    tv.manual_seed(2)
    random.generator().random(100)
    np.testing.assert_array_equal(a, random.stream(7, "dropout", 3, 4).random(5))


def test_streams_with_other_names_are_others():
    names = [(), ("a",), ("b",), ("a", 1), ("a", "1"), ("a1",), (1, "a"), (1,), (11,), (1, 1), ("a", "b")]
    drawn = {random.stream(0, *n).random(2).tobytes() for n in names} | {
        random.stream(1, *n).random(2).tobytes() for n in names
    }
    assert len(drawn) == 2 * len(names)


def test_streams_are_the_same_in_every_release():
    """Resuming a run needs these very numbers again."""
    np.testing.assert_array_equal(random.stream(0, "shuffle", 1).integers(0, 1000, 5), [403, 654, 843, 643, 468])


def test_use_puts_a_generator_in_force_and_back_again():
    outer = random.generator()
    inner = np.random.default_rng(0)
    with random.use(inner) as given:
        assert given is inner is random.generator()
    assert random.generator() is outer
    with pytest.raises(ZeroDivisionError), random.use(inner):
        raise ZeroDivisionError
    assert random.generator() is outer


@pytest.mark.parametrize("name", [1.5, None, True, ("a",), "a\0str:b"])
def test_names_are_integers_or_words(name):
    with pytest.raises(OptionError, match="stream: names are integers or words"):
        random.stream(0, name)


def test_an_integer_is_an_integer_whoever_made_it():
    np.testing.assert_array_equal(random.stream(0, np.int64(3)).random(3), random.stream(0, 3).random(3))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None, True])
def test_the_door(seed):
    for call in (random.manual_seed, random.stream):
        with pytest.raises(OptionError, match=r"seed: expected an integer from 0 to 2\*\*64 - 1"):
            call(seed)


def test_any_64_bit_seed_will_do():
    for seed in (0, 2**64 - 1, np.int64(3), np.uint64(2**63)):
        random.stream(seed, "x").random()
        tv.manual_seed(seed)
