"""Factors of 16 bits on tensor cores: their products are exact, so the kernels are held to float32's sums."""

import re

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import precision
from tinyvision.device import precision_of
from tinyvision.kernels import choose, conv_halves, launch, tensor_cores
from tinyvision.ops import conv2d_backward, conv2d_forward
from tinyvision.ops.convolution.sliding import Sliding
from tinyvision.ops.rounding import rounded

from .compare import close
from .test_conv import FP32, SHAPES, reference
from .test_planted_bugs import notices
from .test_tensor_cores import PAIRS

MODES = ("bf16", "fp16")
TURING = ("correlate_mma_64x64_short", "weight_gradient_mma_64x64")
# Of bf16 every kernel is run, and on shapes that reach all branches; of fp16, which differs by one instruction, a few.
RUNS = [("bf16", pair, name) for pair in PAIRS for name in ("odd everything", "groups of eight")]
RUNS += [("bf16", "mma, small", name) for name in SHAPES if name not in ("groups", "odd everything")]
RUNS += [("bf16", "wgmma, narrow", name) for name in ("dilated", "1x1", "odd everything, several tiles")]
SHORT = ("mma, small", "wgmma, narrow", "turing")
EIGHT = {**SHAPES, "groups of eight": (2, 16, 9, 8, 16, (3, 3), (1, 2), (1, 1), (1, 1), 2)}


def of_halves(name, mode, rng):
    """As `reference`, of numbers that have 16 bits."""
    x, w, dy, *_, options = reference(EIGHT[name], rng)
    x, w, dy = (rounded(a, mode) for a in (x, w, dy))
    named = dict(zip(("stride", "padding", "dilation", "groups"), options, strict=True))
    y, cache = conv2d_forward(x.astype(float), w.astype(float), **named)
    return x, w, dy, y, *conv2d_backward(dy.astype(float), cache), Sliding(*options)


def run_pair(emulation, x, w, dy, kernels, sliding, mode, splits=None):
    """(y, dx, dw) by a kernel for each primitive."""
    images, rows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    images, rows = (conv_halves.halved(a.transpose(0, 3, 1, 2), mode) for a in (images, rows))
    y, dx = (emulation.empty(x, (len(a), *a.shape[2:], a.shape[1])) for a in (dy, x))
    weight = emulation.array(w)
    conv_halves.correlate(images, conv_halves.halved(weight, mode, sliding.groups), y, sliding, mode, kernels[0])
    conv_halves.image_gradient(rows, weight, dx, sliding, mode=mode, kernel=kernels[0])
    dw = conv_halves.weight_gradient(images, rows, w.shape, sliding, mode, kernels[1], splits)
    return launch.channels_first(y), launch.channels_first(dx), dw


@pytest.mark.parametrize(("mode", "pair", "name"), RUNS)
def test_every_kernel(emulation, rng, mode, pair, name):
    x, w, dy, *expected, sliding = of_halves(name, mode, rng)
    results = run_pair(emulation, x, w, dy, PAIRS[pair], sliding, mode)
    for what, got, right in zip(("y", "dx", "dw"), results, expected, strict=True):
        close(got, right, FP32, f"{pair} {what}")


def only(*kernels):
    """A change that leaves out all other kernels of tensor_cores.cu: they would be built as well."""
    others = re.compile(rf"^(CORRELATE|WEIGHT_GRADIENT)\((?!{'|'.join(f'{kernel},' for kernel in kernels)}).*\n", re.M)
    return lambda text: others.sub("", text) if "WarpProduct" in text else text


@pytest.mark.parametrize("pair", SHORT)
def test_fp16(emulate, rng, pair):
    """One instruction is another."""
    pairs = {**PAIRS, "turing": TURING}
    emulation = emulate(change=only(*{kernel for short in SHORT for kernel in pairs[short]}))
    x, w, dy, *expected, sliding = of_halves("odd everything", "fp16", rng)
    for got, right in zip(run_pair(emulation, x, w, dy, pairs[pair], sliding, "fp16"), expected, strict=True):
        close(got, right, FP32)


@pytest.mark.parametrize("mode", MODES)
def test_numbers_become_16_bits_as_the_op_rounds_them(emulation, rng, mode):
    """To the bit: ordinary ones, infinities, the smallest, ties; and a NaN stays one."""
    bits = np.concatenate([rng.integers(0, 2**32, 4000, np.uint32), [0x3F808000, 0x3F818000, 0x477FEFFF, 0x477FF000]])
    bits = np.concatenate([bits, [0x33000000, 0x33000001, 0x387FFFFF, 0x7F7FFFFF, 0x7F800000, 0xFFFFFFFF, 0x7F800001]])
    x = emulation.array(np.resize(bits.astype(np.uint32), (3, 24, 5, 11)).view(np.float32))
    right = rounded(x, mode)
    for source in (x, x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)):
        got = conv_halves.halved(emulation.array(source) if source is x else source, mode)
        assert got.dtype == np.uint16
        as_floats = (got.astype(np.uint32) << 16).view(np.float32) if mode == "bf16" else got.view(np.float16)
        np.testing.assert_array_equal(as_floats.astype(np.float32), right.transpose(0, 2, 3, 1))


def test_channels_are_filled_up_with_zeros(emulation, rng):
    x = emulation.array(rng.standard_normal((4, 11, 3, 2)).astype(np.float32))
    got = conv_halves.halved(x, "fp16")
    assert got.shape == (4, 3, 2, 16)
    assert not got[..., 11:].any()
    turned = conv_halves.halved(x[:, :, ::-1], "fp16", turned=True).view(np.float16)
    np.testing.assert_array_equal(turned[..., :4], x.transpose(1, 2, 3, 0)[:, ::-1].astype(np.float16))


@pytest.mark.parametrize(("mode", "generation"), [("bf16", "ampere"), ("bf16", "hopper"), ("fp16", "turing")])
def test_a_call_takes_them_and_its_backward_as_well(emulate, rng, monkeypatch, mode, generation):
    """By `choose`, as the tape asks; the backward after the block, with a gradient that is added."""
    used = {choice.kernel for key, some in tensor_cores.CHOICES.items() if key[0] == "turing" for choice in some}
    emulation = emulate(generation=generation, change=only(*used) if generation == "turing" else None)
    monkeypatch.setattr("tinyvision.kernels.on_gpu_in_float32", lambda *given: True)
    arrays = [rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 9, 8), (7, 5, 3, 3), (7,))]
    x, w, bias = (emulation.array(a) for a in arrays)
    monkeypatch.setattr(precision_of, "cuda", mode)
    forward, backward = choose(conv2d_forward, conv2d_backward, (x, w, bias), {"stride": 2, "padding": 1})
    y, cache = forward(x, w, bias, stride=2, padding=1)
    monkeypatch.setattr(precision_of, "cuda", "ieee")
    dy, onto = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in (y.shape, x.shape))
    dx, dw, dbias = backward(dy, cache, (True, True, True), onto)
    right, cache = conv2d_forward(*(rounded(a, mode).astype(float) for a in (x, w)), bias.astype(float), 2, 1)
    expected = conv2d_backward(rounded(dy, mode).astype(float), cache)
    for got, one in zip((y, dx, dw), (right, expected[0] + onto, expected[1]), strict=True):
        close(got, one, FP32)
    close(dbias, dy.astype(float).sum((0, 2, 3)), FP32)
    used = {kernel for kernel in emulation.launched if kernel not in (f"arrange_{mode}", "add_splits")}
    assert used <= set(tensor_cores.TILES)
    assert emulation.launched.count(f"arrange_{mode}") == 4  # x, the kernels twice, dy once for both of its uses
    assert backward.adds


def test_inference_finishes_its_sums(emulate, rng, monkeypatch):
    emulation = emulate(generation="ampere")
    monkeypatch.setattr(precision_of, "cuda", "bf16")
    drop_in = conv_halves.DROP_INS[1]
    shapes = (2, 6, 7, 9), (10, 6, 3, 3), (10,), (10,), (2, 10, 4, 5)
    arrays = [emulation.array(rng.standard_normal(s).astype(np.float32)) for s in shapes]
    doubles = [a.astype(float) for a in (*(rounded(a, "bf16") for a in arrays[:2]), *arrays[2:])]
    rest = ("relu", (2, 2), (1, 1), (1, 1), 1)
    assert drop_in.applies(*arrays, *rest)
    close(drop_in.forward(*arrays, *rest), drop_in.op[0](*doubles, *rest), FP32)


@pytest.mark.parametrize(
    ("generation", "mode", "asked", "takes"),
    [
        ("ampere", "bf16", "bf16", True), ("hopper", "fp16", "fp16", True), ("turing", "fp16", "fp16", True),
        ("turing", "bf16", "bf16", False), (None, "fp16", "fp16", False), ("ampere", "bf16", "fp16", False),
        ("ampere", "tf32", "bf16", False),
    ],
)  # fmt: skip
def test_when_they_apply(emulate, monkeypatch, generation, mode, asked, takes):
    emulate(generation=generation)
    monkeypatch.setattr(precision_of, "cuda", mode)
    drop_in = conv_halves.DROP_INS[2 * MODES.index(asked)]
    x = np.zeros((1, 8, 5, 20), np.float32)
    assert drop_in.applies(x, np.zeros((4, 8, 3, 3), np.float32)) == takes
    assert not drop_in.applies(x, np.zeros((4, 8, 1, 16), np.float32))  # too many taps
    assert not drop_in.applies(x, np.zeros((8, 4, 3, 3), np.float32), groups=2)
    assert drop_in.forward.rounds == (asked,)


def test_turings_rings_fit_its_64_kib():
    for primitive in ("correlate", "weight_gradient"):
        for choice in tensor_cores.CHOICES["turing", primitive]:
            assert tensor_cores.TILES[choice.kernel].shared <= 64 << 10


def test_the_branch_for_turing(emulate, rng):
    """Copies that are there at once, and products of half the length, under other names than the emulator's."""
    text = launch.text("tensor_cores fp16")
    found = re.search(r"#else  // Turing: the copy is there at once\n(.*?)#endif", text, re.S)
    older = re.sub(r"\b(copy16|copies_commit|copies_wait)\b", r"older_\1", found[1])

    def change(text):
        if "WarpProduct" not in text:
            return text
        text = re.sub(r"\b(copy16|copies_commit|copies_wait)\b", r"older_\1", only(*TURING)(text))
        begin = "#if defined(EMULATOR) || __CUDA_ARCH__ >= 800 || defined(FP16) && __CUDA_ARCH__ >= 750"
        assert begin in text
        return text.replace(begin, f"{older}\n{begin}")

    x, w, dy, *expected, sliding = of_halves("odd everything", "fp16", rng)
    for order in (0, 2):
        results = run_pair(emulate(change=change, order=order), x, w, dy, TURING, sliding, "fp16", splits=2)
        for got, right in zip(results, expected, strict=True):
            close(got, right, FP32)


# Besides those of test_tensor_cores.py, whose lines are the same for all kinds of factors.
HALVES = {
    "weight gradient: a pixel twice": ("right = pixels[2 * i + 1]", "right = pixels[2 * i]"),
    "weight gradient: the other channel of two": (
        "channel % 2 ? 0x7632 : 0x5410", "channel % 2 ? 0x5410 : 0x7632",
    ),
    "weight gradient: four pixels for eight": ("m = begin + chunk_of() * CHUNK;", "m = begin + chunk_of() * 4;"),
    "correlate: four channels for eight": ("c = chunk * CHUNK % g.C;", "c = chunk * 4 % g.C;"),
    "correlate: a tile half as deep": ("        c += DEEP;", "        c += DEEP / 2;"),
    "arrange: cut, not rounded": ("(bits + 0x7fff + (bits >> 16 & 1)) >> 16", "bits >> 16"),
    "arrange: a tie away from the even": ("0x7fff + (bits >> 16 & 1)", "0x8000"),
    "arrange: channels beyond the last": ("c + i < g.given ? from[i * g.into] : 0.f", "from[i * g.into]"),
}  # fmt: skip


@pytest.mark.parametrize("name", HALVES)
def test_planted_mistakes_are_noticed(emulate, rng, name):
    kernels, (old, new), planted = PAIRS["mma, small"], HALVES[name], []

    def change(text):
        planted.append(old in text)
        return only(*kernels)(text).replace(old, new)

    def run(order):
        x, w, dy, *expected, sliding = of_halves("odd everything, several tiles", "bf16", rng)
        ties = np.where(
            np.arange(x.shape[3]) % 2, np.float32(1 + 2**-8), np.float32(1 + 3 * 2**-8)
        )  # to 1, and upwards
        x = np.where(np.arange(x.shape[2])[:, None] == 5, ties, x)
        y, cache = conv2d_forward(rounded(x, "bf16").astype(float), w.astype(float), **sliding._asdict())
        expected = (y, *conv2d_backward(dy.astype(float), cache))
        results = run_pair(emulate(change=change, order=order), x, w, dy, kernels, sliding, "bf16", splits=2)
        for got, right in zip(results, expected, strict=True):
            assert np.abs(got - right).max() <= FP32 * np.abs(right).max()

    assert any(notices(lambda order=order: run(order), planted) for order in (0, 1, 2))


def test_the_same_checks_pass_without_a_mistake(emulate, rng):
    for order in (0, 1, 2):
        x, w, dy, *expected, sliding = of_halves("odd everything, several tiles", "bf16", rng)
        for got, right in zip(
            run_pair(emulate(order=order), x, w, dy, PAIRS["mma, small"], sliding, "bf16", splits=2),
            expected,
            strict=True,
        ):
            assert np.abs(got - right).max() <= FP32 * np.abs(right).max()


def test_halves_by_their_ops_on_the_cpu_need_no_kernel():
    with precision("bf16"):
        assert (tv.full((1, 1), 257.0) @ tv.ones(1, 1)).item() == 256
