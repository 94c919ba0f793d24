"""Masks that the GPU draws: NumPy's numbers, one by one, and new ones in every replay of a graph."""

import counting_gpu
import numpy as np
import pytest

import tinyvision as tv
from tinyvision import kernels, nn, random
from tinyvision.kernels import dropout, launch
from tinyvision.nn import functional
from tinyvision.ops import dropout as ops

from .test_planted_bugs import notices, plant


def two(seed, before=()):
    """Two generators alike, after draws before: of how many numbers of 64 bits (negative: of 32)."""
    pair = [random.Generator(key=seed) for _ in range(2)]
    for generator in pair:
        for count in before:
            generator.random(abs(count), dtype=np.float64 if count > 0 else np.float32)
    return pair


def agree(emulation, shape, p, before=(), seed=7):
    """Whether a mask, and the generator after it, are those of NumPy."""
    one, other = two(seed, before)
    x = emulation.array(np.zeros(shape, np.float32))
    with random.use(one):
        right = ops.kept(x, p, shape)
    with random.use(other):
        got = dropout.kept(x, p, shape)
    assert got.dtype == bool
    assert np.array_equal(got, right)
    assert np.array_equal(one.get_state(), other.get_state())


def dropped(emulation, shape, p, before=(), seed=7):
    """y and its gradient, of the numbers that the generator gives, in a launch each; bit for bit those of the op."""
    one, other = two(seed, before)
    rng = np.random.default_rng(1)
    x, dy = (emulation.array(rng.standard_normal(shape).astype(np.float32)) for _ in range(2))
    x.ravel()[:1] = np.nan
    with random.use(one):
        mask, none = ops.drawn(x, p)
    assert none is None
    y, cache = ops.dropout_forward(x, mask, p)
    right = y, ops.dropout_backward(dy, cache)[0]
    emulation.launched.clear()
    with random.use(other):
        mask, y = dropout.drawn(x, p)
    assert np.array_equal(one.get_state(), other.get_state())
    y, cache = dropout.dropout_forward(x, mask, p, y=y)
    got = y, dropout.dropout_backward(dy, cache)[0]
    assert emulation.launched == ["dropout_mask", "dropout_applied"]
    got = *got, dropout.dropout_forward(x, mask, p)[0]
    for mine, theirs in zip(got, (*right, right[0]), strict=True):
        assert np.array_equal(mine, theirs, equal_nan=True)


@pytest.mark.parametrize("before", [(), (-1,), (3,), (-1, 4)])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 1, 7), (2, 1250)])
def test_what_is_left_comes_with_the_mask(emulation, shape, before):
    for p in (0.5, 0.1, 1.0):
        dropped(emulation, shape, p, before)


def test_numbers_in_another_order_than_the_mask_s(emulation):
    """Channels last: the mask alone is drawn, and the op goes on."""
    x = emulation.array(np.ones((2, 3, 4), np.float32)).transpose(0, 2, 1)
    one, other = two(3)
    with random.use(one):
        right, _ = ops.drawn(x, 0.5)
    with random.use(other):
        mask, y = dropout.drawn(x, 0.5)
    assert y is None
    assert np.array_equal(mask, right)
    pair = dropout.DROP_INS[2]
    assert not pair.applies(x, mask, p=0.5)
    assert pair.applies(emulation.array(x), mask, p=0.5)
    assert not pair.applies(emulation.array(x), mask.astype(np.float32), p=0.5)
    assert not pair.applies(emulation.array(x), mask, p=1.5), "the op says why"
    assert pair.op == (ops.dropout_forward, ops.dropout_backward)
    assert pair.integers == (1,), "the mask is of booleans"


def test_a_layer_takes_a_launch_each_way():
    with counting_gpu.counting() as counts:
        x = tv.zeros(8, 40).to("cuda").requires_grad_()
        counts.clear()
        y = nn.Dropout(0.5)(x)
        assert counts["launches"] == counts["kernel dropout_mask"] == 1
        assert counts["host to device"] == 0
        y.backward(x.array)
        assert counts["launches"] == 2
        assert counts["kernel dropout_applied"] == 1


BEFORE = [(), (1,), (2, 5), (-1,), (-1, 1), (-3, 2), (4,), (-2, 3, -1), (-8,), (-1, 4)]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("shape", [(1,), (2,), (3, 5), (4, 1, 7), (2500,)])
def test_the_numbers_are_those_of_the_cpu(emulation, shape, before):
    for p in (0.5, 0.1, 1.0):
        agree(emulation, shape, p, before)


def test_a_counter_beyond_64_bits(emulation):
    pair = two(3)
    for generator in pair:
        state = generator.bit_generator.state
        state["state"]["counter"] = np.array([2**64 - 2, 2**64 - 1, 4, 0], np.uint64)
        generator.bit_generator.state = state
    x = emulation.array(np.zeros(900, np.float32))
    with random.use(pair[0]):
        right = ops.kept(x, 0.3, (900,))
    with random.use(pair[1]):
        assert np.array_equal(dropout.kept(x, 0.3, (900,)), right)
    assert np.array_equal(pair[0].get_state(), pair[1].get_state())


def test_another_kind_of_generator_draws_as_it_can(emulation):
    x = emulation.array(np.zeros((3, 4), np.float32))
    masks = []
    for kept in (ops.kept, dropout.kept):
        with random.use(np.random.default_rng(1)):
            masks.append(kept(x, 0.5, (3, 4)))
    assert np.array_equal(*masks)
    assert emulation.launched == []


@pytest.mark.parametrize("before", BEFORE)
def test_a_replay_draws_what_the_step_as_written_would(emulation, monkeypatch, before):
    """Captured twice, replayed thrice each: all masks differ, and are the CPU's."""
    x, captured, launched = emulation.array(np.zeros((5, 30), np.float32)), [], launch.launch
    eager, replayed = two(11, before)
    seen = []
    for _ in range(2):
        draws = dropout.Draws()
        captured.clear()
        monkeypatch.setattr(launch, "launch", lambda *given, **options: captured.append((given, options)))
        with draws.recorded():
            masks = [dropout.kept(x, 0.4, shape) for shape in ((5, 30), (5, 1), (7,))]
        monkeypatch.setattr(launch, "launch", launched)
        assert np.array_equal(eager.get_state(), replayed.get_state()), "to record is not to draw"
        for _ in range(3):
            with random.use(replayed):
                draws.renew()
            for given, options in captured:
                launch.launch(*given, **options)
            with random.use(eager):
                right = [ops.kept(x, 0.4, mask.shape) for mask in masks]
            assert all(map(np.array_equal, masks, right))
            assert np.array_equal(eager.get_state(), replayed.get_state())
            seen.append(right[0].tobytes())
    assert len(set(seen)) == 6


def test_a_layer_asks_for_it(emulation, monkeypatch):
    monkeypatch.setattr(functional.dropout.__globals__["_mask"], "__wrapped__", None)  # it is there
    monkeypatch.setattr(kernels, "_in_float32", lambda *given: True)
    assert dropout.DROP_INS[0].applies(np.zeros((2, 3), np.float32), p=0.5, shape=(2, 3))
    assert not dropout.DROP_INS[0].applies(np.zeros((0, 3), np.float32), p=0.5, shape=(0, 3))
    assert dropout.DROP_INS[0].op == (ops.kept, None)
    assert "dropout" in kernels.names()


MISTAKES = {
    "a round too few": ("ROUNDS = 10", "ROUNDS = 9"),
    "the carry forgotten": ("carry = x[i] < carry;", "carry = 0;"),
    "halves exchanged": ("i % 2 ? words[i / 2] >> 32 : words[i / 2]", "i % 2 ? words[i / 2] : words[i / 2] >> 32"),
    "half a number lost": ("- (long long)state.has, from", ", from"),
    "half a number made again": ("state.has && first + at == 0;", "false;"),
    "only what is larger": (">= p; }", "> p + 0.01f; }"),
    "a replay draws what was drawn first": ("if (stored) {", "if (false) {"),
    "two masks alike": ("from = begin + first;", "from = begin;"),
    "numbers beyond the last": ("at >= 0 && at < n && !pending", "at >= 0 && !pending"),
    "what is dropped is there": ("y[at] = x[at] * (kept * scale);", "y[at] = x[at] * scale;"),
    "a byte of another number": ("(kept >> 8 & 255)", "(kept >> 16 & 255)"),
    "the last ones forgotten": (
        "for (int i = first; i < count; i++) y[i]",
        "for (int i = first + 1; i < count; i++) y[i]",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_noticed(emulate, name, monkeypatch):
    change, planted = plant(MISTAKES[name])

    def run():
        emulation = emulate(change=change)
        for before in ((), (-1,), (-1, 1)):
            agree(emulation, (53,), 0.5, before)
            dropped(emulation, (53,), 0.5, before)
        test_a_counter_beyond_64_bits(emulation)
        with monkeypatch.context() as patch:
            patch.setattr(launch, "launch", launch.launch)
            test_a_replay_draws_what_the_step_as_written_would(emulation, patch, (3,))

    assert notices(run, planted)
