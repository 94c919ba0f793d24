"""Convolution by its definition with the sums in registers, against the op in float64: plain and compiled."""

import inspect
import textwrap

import numpy as np
import pytest

from tinyvision import ops, threads
from tinyvision.kernels import launch
from tinyvision.kernels.cpu import compiled, direct, lines, registers, transposed
from tinyvision.ops.conv_inference import conv2d_inference

from .ahead import needs_numba
from .test_compiled_loops import TOLERANCE, last, small

W, L = registers.WIDTH, registers.LANES
FORWARD, INFERENCE = direct.DROP_INS

# (N, C, H, W) of the image, (O, KH, KW) of the kernels, and the options
CASES = {
    "a block of channels": ((1, 3, 8, 9), (W, 3, 3), {"padding": 1}),
    "channels left over, a stride": ((2, 5, 9, 7), (W + 1, 3, 3), {"stride": 2, "padding": 1}),
    "lines shorter than a run": ((2, 4, 5, 4), (W - 2, 3, 3), {"padding": 1}),
    "one pixel": ((1, 3, 1, 1), (W, 3, 3), {"padding": (1, 2)}),
    "windows of one pixel": ((2, 6, 6, 15), (W, 1, 1), {"stride": (2, 3)}),
    "no padding, long lines": ((1, 4, 4, 18), (W, 2, 3), {}),
    "windows of zeros": ((1, 3, 3, 4), (W, 2, 4), {"stride": (1, 2), "padding": (4, 5)}),
    "pixels between the windows": ((1, 2, 7, 8), (W, 2, 2), {"stride": 3}),
    "a pixel that no window sees": ((1, 2, 10, 10), (W, 2, 2), {"stride": 3}),
    "a pixel that no window sees, and padding": ((2, 2, 9, 8), (W, 2, 1), {"stride": 3, "padding": 1}),
    "dilation": ((1, 3, 8, 7), (W, 3, 2), {"dilation": (1, 2), "padding": (0, 2)}),
    "dilation and a stride": ((1, 3, 9, 8), (W, 3, 2), {"dilation": 2, "stride": 2, "padding": 1}),
    "padding beyond the kernel": ((1, 2, 4, 5), (W, 2, 2), {"padding": 3}),
    "long lines at a stride": ((1, 3, 5, 17), (W + 1, 3, 3), {"stride": (1, 2), "padding": 1}),
    "a batch of many lines": ((5, 2, 6, 8), (W, 2, 2), {}),
    "channels at distances alike": ((1, 512, 2, 7), (W, 1, 2), {"padding": (0, 1)}),
    "the kernels' registers": ((1, L + 1, 2, 8), (W + L + 1, 1, 2), {}),
}


@pytest.fixture(autouse=True)
def tiles_need_not_be_full(monkeypatch):
    """Where the channels or the pixels of an image are few, the tiles compute the same."""
    monkeypatch.setattr(lines, "LEAST_PRODUCTS", 0)
    monkeypatch.setattr(lines, "LEAST_BYTES", 0)
    monkeypatch.setattr(direct, "fills", lambda channels: True)
    monkeypatch.setattr(direct, "outweighed", lambda shape: False)


def arrays(case, rng):
    shape, (O, KH, KW), options = CASES[case]
    weight, bias = rng.standard_normal((O, shape[1], KH, KW)) / np.sqrt(shape[1]), rng.standard_normal(O)
    return rng.standard_normal(shape), weight, bias, options


def check(case, rng, layout=last):
    """All that the pair computes, against the op."""
    x, weight, bias, options = arrays(case, rng)
    given = [layout(a).astype(np.float32) for a in (x, weight, bias)]
    for a in given:
        a.flags.writeable = False
    assert FORWARD.applies(*given, **options) or weight.shape[2:] == (1, 1)
    y, cache = FORWARD.forward(*given, **options)
    expected, its_cache = ops.conv2d_forward(x, weight, bias, **options)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    got = FORWARD.backward(layout(dy).astype(np.float32), cache)
    for a, b in zip(got, ops.conv2d_backward(dy, its_cache), strict=True):
        assert a.shape == b.shape
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1, np.abs(b).max()))


def as_it_came(a):
    return np.array(a)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", [last, as_it_came])
def test_like_the_op_both_ways(case, layout, rng, loops):
    check(case, rng, layout)


LAYOUTS = {  # the order in which the axes of O, C, KH, KW lie in memory
    "channels last": (0, 2, 3, 1),
    "as it came": (0, 1, 2, 3),
    "outputs last": (1, 2, 3, 0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("O", "C"), [(W, L), (W + L + 1, 2 * L + 3), (L - 1, L + 1), (2 * W, L - 1), (W - 1, 1), (1, W)]
)
def test_kernels_are_packed_and_unpacked_in_any_order(O, C, layout, rng, loops):
    order = LAYOUTS[layout]
    sizes = np.array([O, C, 2, 3])[list(order)]
    weight = rng.standard_normal(sizes).astype(np.float32).transpose(np.argsort(order))
    for kernels in (weight, weight[:, :, ::-1, ::-1], weight[:, :, 1:, ::2]):
        KH, KW = kernels.shape[2:]
        count = -(-O // W)
        packed = np.full((count, KH, KW, C, W), np.nan, np.float32)
        direct.pack(kernels, packed, 0, 1)
        direct.pack(kernels, packed, 1, count)
        whole = np.zeros((count * W, C, KH, KW), np.float32)
        whole[:O] = kernels
        np.testing.assert_array_equal(packed, whole.reshape(count, W, C, KH, KW).transpose(0, 3, 4, 2, 1))
        if O >= W:  # the last block ends with the last channel, and parts of the outputs begin anywhere
            packed[-1] = kernels[O - W :].transpose(2, 3, 1, 0)
        dweight = np.full((O, KH, KW, C), np.nan, np.float32)
        for begin, end in ((0, O // 2), (O // 2, O)):
            direct.unpack(packed, dweight, begin, end)
        np.testing.assert_array_equal(dweight, kernels.transpose(0, 2, 3, 1))


@needs_numba
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_in_pieces_of_any_size(case, count, rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    threads.set_num_threads(count)
    for large in (True, False):  # as large as the kernels may be, against the image and by themselves
        monkeypatch.setattr(direct, "kernels_outweigh", lambda packed, x, large=large: large)
        monkeypatch.setattr(direct, "SUM_BYTES", 0 if large else 1 << 20)
        check(case, rng)
    monkeypatch.setattr(direct, "fills", lambda channels: channels >= W - 2)  # and some of it
    check(case, rng)


@needs_numba
@pytest.mark.parametrize("case", ["a batch of many lines", "channels left over, a stride"])
def test_the_result_is_the_same_for_any_number_of_threads(case, rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    x, weight, bias, options = arrays(case, rng)
    results = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        y, cache = FORWARD.forward(small(x), small(weight), small(bias), **options)
        results.append((y, FORWARD.backward(y, cache, (True, False, False))[0]))
    for y, dx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(dx, results[0][1])


TRANSPOSED = {  # (N, C, H, W) of the image, (O, KH, KW) of the kernels, and the options
    "windows side by side": ((2, 5, 3, 8), (3, 2, 2), {"stride": 2}),
    "windows side by side, of any shape": ((1, 4, 3, 4), (W, 3, 2), {"stride": (3, 2)}),
    "windows that overlap": ((2, 3, 4, 5), (6, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    "pixels between the windows": ((1, 3, 3, 4), (2, 2, 2), {"stride": 3}),
    "pixels after the windows": ((1, 3, 3, 4), (2, 2, 2), {"stride": 2, "output_padding": (1, 0)}),
    "windows of every pixel": ((2, 3, 4, 5), (6, 3, 2), {"padding": 1, "dilation": 2}),
}


@pytest.mark.parametrize("case", TRANSPOSED)
@pytest.mark.parametrize("biased", [True, False])
def test_transposed_like_the_op_both_ways(case, biased, rng, loops):
    shape, (O, KH, KW), options = TRANSPOSED[case]
    arrays = [rng.standard_normal(shape), rng.standard_normal((shape[1], O, KH, KW))]
    arrays += [rng.standard_normal(O)] if biased else []
    (drop_in,) = transposed.DROP_INS
    given = [small(a) for a in arrays]
    assert drop_in.applies(*given, **options)
    y, cache = drop_in.forward(*given, **options)
    expected, its_cache = ops.conv_transpose2d_forward(*arrays, **options)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    got, wanted = drop_in.backward(small(dy), cache), ops.conv_transpose2d_backward(dy, its_cache)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1, np.abs(b).max()))
    assert [g is None for g in drop_in.backward(small(dy), cache, (False, True, False))[:2]] == [True, False]


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("given", ["", "scale", "shift", "skip", "scale shift skip"])
@pytest.mark.parametrize("O", [W, W + 3])
def test_inference_finishes_its_sums(given, activation, O, rng, loops):
    x, weight, skip = rng.standard_normal((2, 4, 4, 9)), rng.standard_normal((O, 4, 2, 2)), None
    scale, shift = (rng.standard_normal(O) if word in given else None for word in ("scale", "shift"))
    if "skip" in given:
        skip = rng.standard_normal((2, O, 3, 8)) * 4
    ours = [None if a is None else small(a) for a in (x, weight, scale, shift, skip)]
    kept, rest = {}, (activation, (1, 1), (0, 0), (1, 1), 1)
    expected = conv2d_inference(
        *(None if a is None else a.astype(float) for a in (x, weight, scale, shift, skip)), *rest
    )
    assert INFERENCE.applies(*ours, *rest, kept)
    for memory in (kept, kept, None):  # with what the first call has kept, and without
        np.testing.assert_allclose(INFERENCE.forward(*ours, *rest, memory), expected, rtol=5e-5, atol=5e-5)
    assert list(kept) == ["direct"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NaN and infinities, where NumPy's scalars compute
def test_what_is_not_finite_is_as_the_ops(rng, loops):
    x, weight, bias, options = arrays("channels left over, a stride", rng)
    x[0, 1, 2, 3], x[1, 0, 0, 0], x[1, 2, 4, 5] = np.nan, np.inf, -np.inf
    rest = ("relu6", (2, 2), (1, 1), (1, 1), 1)
    expected = conv2d_inference(x, weight, None, bias, None, *rest)
    ours = INFERENCE.forward(small(x), small(weight), None, small(bias), None, *rest)
    np.testing.assert_allclose(ours, expected, **TOLERANCE)
    assert np.isnan(ours).any()
    y, cache = FORWARD.forward(small(x), small(weight), small(bias), **options)
    expected, its_cache = ops.conv2d_forward(x, weight, bias, **options)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    dy[0, 1, 1, 1], dy[1, 0, 2, 3] = np.inf, np.nan
    wanted = ops.conv2d_backward(dy, its_cache)
    for a, b in zip(FORWARD.backward(small(dy), cache), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-4)


def test_a_tile_whose_sums_would_be_of_no_use_is_left_alone(monkeypatch):
    monkeypatch.undo()
    x = np.zeros((1, 3, 17, 17), np.float32)
    for O, whether in ((1, False), (W // 2 - 1, False), (W // 2, True), (W, True), (W + 1, True), (2 * W, True)):
        assert FORWARD.applies(x, np.zeros((O, 3, 3, 3), np.float32)) == whether
    assert FORWARD.applies(x, np.zeros((W, 3, 1, 1), np.float32))  # its own matrix
    assert not FORWARD.applies(np.zeros((1, 6, 17, 17), np.float32), np.zeros((2 * W, 3, 3, 3), np.float32), groups=2)


@needs_numba
@pytest.mark.parametrize("count", [1, 2])
def test_weight_gradients_that_are_products(count, rng, machine_code, monkeypatch):
    """Windows that are pixels, by the loop or as BLAS's product, whichever is the quicker: the same numbers."""
    monkeypatch.undo()
    threads.set_num_threads(count)
    seen = []
    for O in (W - 2, W, 2 * W + 1):
        x, weight = last(rng.standard_normal((2, 6, 9, 9))), rng.standard_normal((O, 6, 1, 1)) / 3
        y, cache = FORWARD.forward(small(x), small(weight))
        _, its_cache = ops.conv2d_forward(x, weight)
        dy = rng.standard_normal(y.shape)
        for a, b in zip(FORWARD.backward(small(dy), cache), ops.conv2d_backward(dy, its_cache), strict=True):
            np.testing.assert_allclose(a, b, **TOLERANCE)
        seen.append(direct._is_a_product(weight.shape, (2, 9, 9, O), direct.Sliding((1, 1), (0, 0), (1, 1), 1)))
    assert seen == [True, count == 1, count == 1]


# A line of a loop, and the same with a mistake in it that people make.
MISTAKES = {
    "pack: the last block full": ("pack", "min(WIDTH, O - block * WIDTH)", "WIDTH", "channels left over, a stride"),
    "pack: whole registers alone": (
        "pack",
        "full if each_o == 1 or c <",
        "full if True or c <",
        "the kernels' registers",
    ),
    "pack: turned though it lies along": ("pack", "if each_o == 1:", "if False:", "the kernels' registers"),
    "unpack: whole registers alone": ("unpack", "full if together == LANES else 0", "full", "the kernels' registers"),
    "unpack: the last block as the others": (
        "unpack",
        "min(block * WIDTH, O - WIDTH)",
        "block * WIDTH",
        "channels left over, a stride",
    ),
    "no zeros on the left": ("copied", "max(0, -left)", "0", "a block of channels"),
    "no zeros on the right": ("copied", "min(width, W - left)", "width", "a block of channels"),
    "no zeros above": ("copied", "h < 0 or h >= H", "h >= H", "a block of channels"),
    "the last run does not go back": (
        "correlated",
        "max(0, min(r % in_line * RUN, OW - RUN))",
        "r % in_line * RUN",
        "no padding, long lines",
    ),
    "the second run like the first": (
        "correlated",
        "min(s % in_line * RUN, OW - RUN)",
        "min(r % in_line * RUN, OW - RUN)",
        "a block of channels",
    ),
    "a line of the padded copy too few": ("correlated", "i0 * SH - PH", "i0 * SH", "channels left over, a stride"),
    "dilation forgotten": ("correlated", "q + DH * pitch", "q + pitch", "dilation and a stride"),
    "dilation along a row forgotten": (
        "correlated",
        "range(l * DW * pixel, l * DW * pixel + run)",
        "range(l * pixel, l * pixel + run)",
        "dilation",
    ),
    "all channels of the last block": ("correlated", "some == WIDTH and", "", "long lines at a stride"),
    "a phase in its neighbour's place": (
        "correlated",
        "column0 + v * each_column",
        "column0 + v",
        "long lines at a stride",
    ),
    "a phase that no window sees": ("blanked", "(h + PH) % SH", "h % SH", "a pixel that no window sees, and padding"),
    "weights: a kernel's row ends too early": (
        "weights_grown",
        "range(0, run, ROWS)",
        "range(0, run - ROWS + 1, ROWS)",
        "channels left over, a stride",
    ),
    "weights: sums counted twice": (
        "weights_grown",
        "range(r - e, min",
        "range(0, min",
        "channels left over, a stride",
    ),
    "weights: a line of the next image": (
        "weights_grown",
        "min(several, end - line, OH - i0)",
        "min(several, end - line)",
        "a batch of many lines",
    ),
    "weights: the stride forgotten": (
        "weights_grown",
        "p + step, at + O",
        "p + C, at + O",
        "channels left over, a stride",
    ),
}


def planted(function, old, new):
    """The same function from a text with one change."""
    text = textwrap.dedent(inspect.getsource(function))
    assert old in text, "there is no such text any more"
    names = dict(function.__globals__)
    body = text[text.index("def ") :].replace(old, new)
    exec(compile(body, direct.__file__, "exec"), names)
    return names[function.__name__]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mistake_in_a_loop_is_noticed(mistake, rng, monkeypatch):
    name, old, new, case = MISTAKES[mistake]
    monkeypatch.setattr(direct, "kernels_outweigh", lambda packed, x: False)
    for _, one in compiled._loops():
        monkeypatch.setattr(one, "run", one.function)
        monkeypatch.setattr(one, "shared", None)
    # What is not written is nan, and not the zeros that new memory often holds.
    monkeypatch.setattr(launch, "empty", lambda like, shape, dtype=np.float32: np.full(shape, np.nan, dtype))
    found = getattr(direct, name)
    changed = planted(getattr(found, "function", found), old, new)
    with monkeypatch.context() as patch:
        if name == "copied":  # a part of the others
            patch.setattr(direct, name, changed)
        else:
            patch.setattr(found, "run", changed)
        with pytest.raises((AssertionError, IndexError, ValueError)):
            check(case, rng)
    check(case, rng)
