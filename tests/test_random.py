"""Random numbers: one generator in force, and streams that depend on their names alone."""

import copy
import subprocess
import sys

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import random
from tinyvision.errors import OptionError

torch = pytest.importorskip("torch")


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


def test_a_state_brings_the_same_numbers_back():
    tv.manual_seed(3)
    tv.rand(5)
    state = tv.get_rng_state()
    first = tv.randn(4), random.generator().random(3, dtype=np.float32), tv.randint(9, (5,))
    tv.set_rng_state(state)
    again = tv.randn(4), random.generator().random(3, dtype=np.float32), tv.randint(9, (5,))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert isinstance(state, tv.Tensor), "as in PyTorch, where checkpoints say state.cpu()"
    assert state.cpu().dtype == tv.uint8
    with random.fork_rng():
        inside = tv.rand(2)
    np.testing.assert_array_equal(inside.numpy(), tv.rand(2).numpy())


def test_the_state_of_a_generator_is_a_tensor_too_and_goes_through_a_checkpoint(tmp_path):
    for t in (torch, tv):
        generator = t.Generator().manual_seed(3)
        state = {"one": generator.get_state(), "all": t.random.get_rng_state()}
        assert [(type(v), v.dtype) for v in state.values()] == [(t.Tensor, t.uint8)] * 2
        t.save(state, tmp_path / "state.pt")
        saved = t.load(tmp_path / "state.pt")
        first = t.rand(3, generator=generator).tolist(), t.rand(3).tolist()
        generator.set_state(saved["one"])
        t.random.set_rng_state(saved["all"].cpu())
        assert (t.rand(3, generator=generator).tolist(), t.rand(3).tolist()) == first


def test_the_states_of_gpus_are_that_of_the_one_generator():
    tv.manual_seed(3)
    saved = {"one": tv.cuda.get_rng_state(), "all": tv.cuda.get_rng_state_all()}
    assert len(saved["all"]) == tv.cuda.device_count()
    first = tv.rand(3).tolist()
    tv.cuda.set_rng_state(saved["one"], "cuda:0")
    assert tv.rand(3).tolist() == first
    before = tv.get_rng_state().tolist()
    tv.cuda.set_rng_state_all([])  # as a checkpoint has it from a machine without GPUs
    assert tv.get_rng_state().tolist() == before
    tv.cuda.set_rng_state_all([saved["one"]])
    assert tv.rand(3).tolist() == first


@pytest.mark.parametrize("state", [np.zeros(3, np.uint8), np.zeros(104, np.float32), np.full(104, 255, np.uint8)])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(OptionError, match="set_rng_state"):
        tv.set_rng_state(state)


def test_a_generator_of_one_s_own():
    one, other = tv.Generator().manual_seed(5), tv.Generator(device="cpu").manual_seed(5)
    np.testing.assert_array_equal(tv.randn(3, generator=one).numpy(), tv.randn(3, generator=other).numpy())
    assert one.initial_seed() == 5
    copied = copy.deepcopy(one)
    assert copied.initial_seed() == 5
    np.testing.assert_array_equal(copied.random(3), one.random(3))
    assert tv.manual_seed(8).initial_seed() == tv.initial_seed() == 8
    assert tv.seed() == tv.initial_seed() != 8
    with pytest.raises(OptionError, match=r"expected a tinyvision\.Generator"):
        tv.randn(3, generator=5)
    with pytest.raises(OptionError, match="only Philox"):
        random.state_of(np.random.default_rng(0))


def test_samples_have_the_distribution_that_they_should():
    tv.manual_seed(0)
    n = 20000  # a mean then strays by 3 / √20000 = 0.02 standard deviations at the very most
    close = {"rtol": 0, "atol": 0.03}
    weights = tv.tensor([[1.0, 3.0, 0.0, 6.0], [1.0, 1.0, 1.0, 1.0]])
    drawn = tv.multinomial(weights, n, replacement=True)
    shares = [tv.bincount(row, minlength=4) / n for row in drawn]
    np.testing.assert_allclose(tv.stack(shares).numpy(), (weights / weights.sum(1, keepdim=True)).numpy(), **close)
    first = tv.stack([tv.multinomial(weights[0], 2)[0] for _ in range(3000)])
    np.testing.assert_allclose(tv.bincount(first, minlength=4).numpy() / 3000, [0.1, 0.3, 0, 0.6], atol=0.04)
    assert {tuple(sorted(row)) for row in tv.multinomial(weights[:1].expand(50, 4), 3).tolist()} == {(0, 1, 3)}
    np.testing.assert_allclose(float(tv.bernoulli(tv.full((n,), 0.3)).mean()), 0.3, **close)
    x = tv.empty(n).normal_(2, 3)
    np.testing.assert_allclose([x.mean().item(), x.std().item()], [2, 3], atol=0.1)
    x = tv.empty(n).uniform_(-1, 3)
    assert x.min() >= -1
    assert x.max() < 3
    np.testing.assert_allclose(x.mean().item(), 1, atol=0.05)
    np.testing.assert_allclose(tv.empty(n).exponential_(2).mean().item(), 0.5, **close)
    counts = tv.bincount(tv.zeros(n, dtype=tv.int64).random_(2, 5))
    np.testing.assert_allclose(counts.numpy() / n, [0, 0, 1 / 3, 1 / 3, 1 / 3], **close)
    x = tv.normal(tv.tensor([0.0, 100.0]), tv.tensor([1.0, 0.0]))
    assert x[1] == 100
    assert tv.normal(1.0, 2.0, (2, 3)).shape == (2, 3)


def test_a_tensor_says_how_many_are_to_be_shuffled():
    assert sorted(tv.randperm(tv.tensor([7, 5])[1]).tolist()) == [0, 1, 2, 3, 4]
    assert tv.randperm(0).shape == (0,)


@pytest.mark.parametrize("draw", [
    lambda: tv.multinomial(tv.tensor([1.0, 0.0]), 2), lambda: tv.multinomial(tv.tensor([0.0, 0.0]), 1),
    lambda: tv.multinomial(tv.tensor([-1.0, 2.0]), 1), lambda: tv.bernoulli(tv.tensor([2.0])),
    lambda: tv.zeros(2).normal_(0, -1), lambda: tv.zeros(2).uniform_(1, 0), lambda: tv.randint(3, 3, (2,)),
    lambda: tv.randint(5), lambda: tv.zeros(2).random_(5, 5), lambda: tv.normal(tv.zeros(2), 1, size=(3,)),
    lambda: tv.randperm(-1), lambda: tv.randperm(tv.tensor([3, 4])), lambda: tv.randperm(tv.tensor(5.0)),
    lambda: tv.arange(5, 0), lambda: tv.arange(0, 5, 0), lambda: tv.zeros(2, size=(3,)),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(OptionError):
        draw()


@pytest.mark.parametrize("before", [(), (-1,), (3,), (-1, 1), (-3, 2, -4), (4,), (-8, 1)])
def test_numbers_that_were_skipped_are_as_good_as_drawn(before):
    for count in (0, 1, 2, 3, 7, 8, 9, 50, 1001):
        pair = [random.Generator(key=5) for _ in range(2)]
        for generator in pair:
            for some in before:  # of 64 bits, or (negative) of 32
                generator.random(abs(some), dtype=np.float64 if some > 0 else np.float32)
        pair[0].random(count, dtype=np.float32)
        random.skip(pair[1], count)
        assert np.array_equal(*(generator.get_state() for generator in pair))


def test_numbers_beyond_a_counter_of_64_bits_are_skipped_too():
    generator = random.Generator(key=5)
    state = generator.bit_generator.state
    state["state"]["counter"] = np.array([2**64 - 1, 2**64 - 1, 0, 0], np.uint64)
    generator.bit_generator.state = state
    random.skip(generator, 80)
    assert generator.bit_generator.state["state"]["counter"].tolist() == [9, 0, 1, 0]
