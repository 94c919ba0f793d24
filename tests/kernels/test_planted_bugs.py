"""The emulator's tests can fail: mistakes that people make in kernels, planted one at a time, are all noticed."""

import re

import numpy as np
import pytest

from tinyvision.kernels import conv, loss, norm, pool
from tinyvision.kernels.emulator import EmulatorError

from . import test_depthwise, test_winograd
from .test_conv import SHAPES, TF32, reference, run_variant

CONV = {
    "dropped barrier": ("        __syncthreads();  // tile `now`", "        // tile `now`"),
    "copies not waited for": ("copies_wait<STAGES - 2>();", "copies_wait<STAGES>();"),
    "no check of the left edge": ("ww >= 0 && ww < g.W;", "ww < g.W;"),
    "no check of the last kernel": ("bool inside = k < g.K && o < g.O;", "bool inside = k < g.K;"),
    "no check of k": ("bool inside = k < g.K && o < g.O;", "bool inside = o < g.O;"),
    "no check of the last column": ("if (at >= 0 && o < g.O) finish", "if (at >= 0) finish"),
    "no check of the last row": ("first_m + threadIdx.x, p = m", "min(first_m + (int)threadIdx.x, M - 1), p = m"),
    "fragments in the wrong order": ("a[i][1] = to_tf32(top[8 * BK + left]);", "a[i][1] = to_tf32(top[right]);"),
    "not rounded to TF32": ("a[i][2] = to_tf32(top[right]);", "a[i][2] = __float_as_int(top[right]);"),
    "bank swizzle on one side only": ("int key = group >> 1 & 3;", "int key = group & 3;"),
    "weight gradient skips a pixel": ("advance(8);", "advance(9);"),
    "splits overlap": ("end = begin + share < M ? begin + share : M;", "end = M;"),
    "a split is not added": ("for (int s = 0; s < splits; s++) sum", "for (int s = 1; s < splits; s++) sum"),
    "misaligned copies": ("k = threadIdx.x % 4 * 4;", "k = threadIdx.x % 4 * 4 + 1;"),
}


OTHER_VARIANTS = re.compile(r"^(CORRELATE|WEIGHT_GRADIENT)\((?!\w+_tf32_64,).*\n", re.M)  # not run here, so not built


def plant(pair):
    old, new = pair
    planted = []

    def change(text):
        planted.append(old in text)
        return text.replace(old, new)

    return change, planted


def notices(run, planted):
    """Whether `run` fails; and the mistake was really in the text."""
    try:
        run()
        failed = False
    except (EmulatorError, AssertionError):
        failed = True
    assert any(planted), "there is no such line in the text any more"
    return failed


@pytest.mark.parametrize("name", CONV)
def test_convolution(emulate, rng, name):
    change, planted = plant(CONV[name])
    emulation = emulate(change=lambda text: change(OTHER_VARIANTS.sub("", text)))
    # Images whose channels are no multiple of 4 are rounded already, while they are padded.
    shape = "left-over windows" if name == "not rounded to TF32" else "odd everything"
    x, w, dy, *expected, options = reference(SHAPES[shape], rng)

    def run():
        for got, right in zip(run_variant(emulation, x, w, dy, "tf32_64", options, splits=2), expected, strict=True):
            assert np.abs(got - right).max() <= TF32 * np.abs(right).max()

    assert notices(run, planted)


OTHERS = {
    "norm: dropped barrier": (
        "    shared[threadIdx.x] = own;\n    __syncthreads();", "    shared[threadIdx.x] = own;",
    ),
    "norm: dropped barrier of the chunks": ("    __syncthreads();\n    int c = blockIdx.x * CHANNELS", "    int c = blockIdx.x * CHANNELS"),  # noqa: E501
    "norm: biased join": ("a.count * share}", "b.count * share}"),
    "norm: a chunk too many": ("chunk + 1 < chunks ? rows : M - chunk * rows", "rows"),
    "norm: ReLU's mask forgotten": ("if (!y) return g;", "return g;"),
    "norm: the top's mask forgotten": ("out != 0.f && out != top ?", "out != 0.f ?"),
    "norm: the top forgotten": ("sum > top ? top : sum", "sum"),
    "norm: columns not checked": ("if (work.c >= C) return;\n    Numbers<WIDE> centre = numbers<WIDE>(mean", "Numbers<WIDE> centre = numbers<WIDE>(mean"),  # noqa: E501
    "pool: a byte of another channel": ("four >> 8 & 255", "four >> 16 & 255"),
    "pool: four taps in the wrong order": ("(unsigned)tap[v] << 8 * v", "(unsigned)tap[v] << 24 - 8 * v"),
    "pool: first window": ("(below + stride - 1) / stride", "below / stride"),
    "pool: a tie to the last": ("value > best || value != value) {", "value >= best || value != value) {"),
    "pool: last window": ("if (last > count - 1) last = count - 1;", ""),
    "loss: dropped barrier": ("    __syncthreads();  // before", "    // before"),
    "loss: dy forgotten": ("dy[0] / divisor[0] * slope", "slope / divisor[0]"),
    "depthwise: no check of the right edge": ("left + p < g.W ?", "true ?"),
    "depthwise: a strip beyond the row": ("if (j + s < g.OW) finish", "finish"),
    "depthwise: a strip too few": ("g.pad_w % STRIP + STRIP - 1", "STRIP - 1"),
    "depthwise: the kernel not turned": ("below = h + g.pad_h - kh,", "below = h + g.pad_h - K + 1 + kh,"),
    "depthwise: a tap of the wrong phase": ("(s + K * S - kw) % S == 0", "(s + K * S - kw + 1) % S == 0"),
    "depthwise: windows between strides": ("below % S || i", "i"),
    "depthwise: the window not kept": ("window[kh][(kw + S) % K]", "window[kh][(kw + 1) % K]"),
    "depthwise: a row too many": ("begin + g.rows < g.N * g.OH ? begin + g.rows : g.N * g.OH", "begin + g.rows"),
    "depthwise: dropped barrier": ("shared[threadIdx.x] = sum;\n    __syncthreads();", "shared[threadIdx.x] = sum;"),
    "depthwise: barrier before reuse dropped": ("    __syncthreads();  // before", "    // before"),
    "winograd: no check of the left edge": ("inside = h >= 0 && h < g.H && w >= 0 &&", "inside = h >= 0 && h < g.H &&"),
    "winograd: no check of the last row": ("if (4 * i + k < g.OH && ", "if ("),
    "winograd: a wrong sign": ("d4 = even_q - odd_q;", "d4 = odd_q - even_q;"),
    "winograd: overwritten too early": ("(PP + QQ) * d3 + d5;", "(PP + QQ) * d3 + d5 + 0.001f * d0;"),
    "winograd: the kernel not turned": ("g.turned ? 8 - tap : tap", "tap"),
    "winograd: in and out exchanged": ("weight[o * g.out + c * g.in +", "weight[c * g.out + o * g.in +"),
    "winograd: rows and columns exchanged": ("V[((k * 6 + l) * T", "V[((l * 6 + k) * T"),
    "winograd: the point at infinity forgotten": ("QQ * Q * difference_q + m5;", "QQ * Q * difference_q;"),
    "depthwise: a part is not added": ("for (int part = 0;", "for (int part = 1;"),
}  # fmt: skip


def run_norm(emulation, rng):
    x, skip, dy = (rng.standard_normal((3, 37, 7, 9)).astype(np.float32) for _ in range(3))
    weight, bias = rng.standard_normal((2, 37)).astype(np.float32)
    op = norm.DROP_INS[3].op
    y, cache = op[0](*(a.astype(float) for a in (x, weight, bias, skip)), top=1.5)
    expected = (y, *op[1](dy.astype(float), cache))
    y, cache = norm.batchnorm_relu_forward(*map(emulation.array, (x, weight, bias, skip)), top=1.5)
    return (y, *norm.batchnorm_relu_backward(emulation.array(dy), cache)), expected


def run_pool(emulation, rng):
    got, expected = [], []
    for channels in (3, 4):  # one by one, and by fours
        x = rng.integers(-2, 3, (2, channels, 10, 12)).astype(np.float32)
        options = {"kernel_size": 3, "stride": 2}
        op = pool.DROP_INS[0].op
        y, cache = op[0](x, **options)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        expected += [y, *op[1](dy, cache)]
        y, cache = pool.max_pool2d_forward(emulation.array(x), **options)
        got += [y, *pool.max_pool2d_backward(emulation.array(dy), cache)]
    return got, expected


def run_loss(emulation, rng):
    x, labels = 3 * rng.standard_normal((4, 300)).astype(np.float32), rng.integers(0, 300, 4)
    op = loss.DROP_INS[0].op
    y, cache = op[0](x.astype(float), labels)
    dy = np.array(-2.5)
    expected = (y, op[1](dy, cache)[0])
    y, cache = loss.cross_entropy_forward(emulation.array(x), labels)
    return (y, loss.cross_entropy_backward(emulation.array(dy.reshape(1).astype(np.float32)), cache)[0]), expected


def run_depthwise(emulation, rng):
    # Stride 2 and an odd padding: strips begin inside of a phase. 15 output rows: two parts, the last is short.
    x, w, dy, *expected, pairs = test_depthwise.reference((3, 3, 9, 7, (3, 3), (2, 2), (1, 3), (1, 1)), rng)
    return test_depthwise.run_version(emulation, x, w, dy, pairs), expected


def run_winograd(emulation, rng):
    x, w, dy, *expected, padding = test_winograd.reference((2, 3, 9, 6, 5, (1, 0)), rng)
    return test_winograd.run_version(emulation, x, w, dy, padding), expected


RUNS = {"norm": run_norm, "pool": run_pool, "loss": run_loss, "depthwise": run_depthwise,
        "winograd": run_winograd}  # fmt: skip


def agree(results):
    for got, right in zip(*results, strict=True):
        assert np.abs(got - right).max() <= 1e-5 * np.abs(right).max()


@pytest.mark.parametrize("name", OTHERS)
def test_other_kernels(emulate, rng, name):
    change, planted = plant(OTHERS[name])
    run = RUNS[name.partition(":")[0]]
    # A dropped barrier shows where a reader runs before a writer, or a writer of the next round before a reader.
    assert any(
        notices(lambda order=order: agree(run(emulate(change=change, order=order), rng)), planted)
        for order in (0, 1, 2)
    )


@pytest.mark.parametrize("name", RUNS)
def test_the_same_checks_pass_without_a_mistake(emulate, rng, name):
    for order in (0, 1, 2):
        agree(RUNS[name](emulate(order=order), rng))


def test_the_emulator_sees_a_barrier_that_not_all_threads_reach(emulate, rng):
    change, _ = plant(
        ("    shared[threadIdx.x] = own;\n    __syncthreads();", "    if (threadIdx.x < 99) __syncthreads();")
    )
    with pytest.raises(EmulatorError, match="wait for others that do not come"):
        norm.batch_moments(emulate(change=change).array(np.ones((4, 3), np.float32)))


def test_the_emulator_sees_writes_beyond_the_end(emulate, rng):
    change, _ = plant(("if (threadIdx.x < JOINED && c < C) {", "if (threadIdx.x < JOINED) {"))
    with pytest.raises(EmulatorError, match="wrote outside of an array of 3 numbers"):
        norm.batch_moments(emulate(change=change).array(np.ones((4, 3), np.float32)))


def test_there_is_a_guarded_array_for_every_result(emulate, rng):
    x = emulate().array(np.ones((1, 4, 5, 5), np.float32))
    y = conv.gpu.empty(x, (2, 2))
    assert np.isnan(y).all()
