"""The kernels for tensor cores, of both generations: against `ops.conv` in float64, and with mistakes planted."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from tinyvision import precision
from tinyvision.errors import DeviceError
from tinyvision.kernels import conv, launch, linear, machine_code, tensor_cores

from .compare import close, run_both
from .test_conv import SHAPES, TF32, reference, run_variant
from .test_planted_bugs import notices

# (of correlate, of the weight gradient)
PAIRS = {
    "mma, small": ("correlate_mma_64x64", "weight_gradient_mma_64x64"),
    "mma, in short shared memory": ("correlate_mma_64x64_short", "weight_gradient_mma_64x64"),
    "mma, narrow": ("correlate_mma_64x64", "weight_gradient_mma_64x128"),
    "mma, wide": ("correlate_mma_128x64", "weight_gradient_mma_128x128"),
    "wgmma, narrow": ("correlate_wgmma_128x64", "weight_gradient_wgmma_64x64"),
    "wgmma, wider": ("correlate_wgmma_128x256", "weight_gradient_wgmma_64x192"),
    "wgmma, stem": ("correlate_wgmma_128x64", "weight_gradient_wgmma_64x128"),
    "wgmma, deep": ("correlate_wgmma_128x128", "weight_gradient_wgmma_128x256"),
    "wgmma, wide": ("correlate_wgmma_128x128", "weight_gradient_wgmma_128x128"),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_kernel(emulation, rng, name, pair):
    x, w, dy, *expected, options = reference(SHAPES[name], rng)
    results = run_variant(emulation, x, w, dy, PAIRS[pair], options)
    for what, got, right in zip(("y", "dx", "dw"), results, expected, strict=True):
        close(got, right, TF32, f"{pair} {what}")


def test_every_kernel_is_in_a_pair():
    assert {kernel for pair in PAIRS.values() for kernel in pair} == set(tensor_cores.TILES)


def test_the_table_is_what_the_text_declares():
    text = launch.text("tensor_cores")
    declared = re.findall(r"^(CORRELATE|WEIGHT_GRADIENT)\((\w+), ([\d, ]+), \w+Product", text, re.M)
    assert len(declared) == len(tensor_cores.TILES)
    for primitive, kernel, numbers in declared:
        rows, columns, *rest, threads, resident = map(int, numbers.split(", "))
        stages = rest[0] if primitive == "CORRELATE" else rest[0] + 2
        assert tensor_cores.TILES[kernel] == tensor_cores.Tile(rows, columns, stages, threads, resident)


@pytest.mark.parametrize("kernel", tensor_cores.TILES)
def test_the_ring_fits_the_gpus_that_the_kernel_is_for(kernel):
    assert tensor_cores.TILES[kernel].shared <= (227 if "wgmma" in kernel else 99) * 1024


@pytest.mark.parametrize("choice", tensor_cores.CHOICES)
def test_every_size_has_a_kernel_and_every_kernel_a_size(choice):
    generation, primitive = choice
    chosen = {
        tensor_cores.choose(generation, primitive, rows, columns, depth)
        for rows in (1, 64, 65, 3136, 200704)
        for columns in (1, 64, 65, 128, 193, 512, 4608)
        for depth in (1, 64, 576, 4608)
    }
    assert chosen == {entry.kernel for entry in tensor_cores.CHOICES[choice]}
    assert all(("wgmma" in kernel) == (generation == "hopper") and kernel.startswith(primitive) for kernel in chosen)


@pytest.mark.parametrize(
    ("rows", "columns", "pixels", "splits"),
    [(64, 576, 200704, 88), (128, 1152, 50176, 29), (256, 2304, 12544, 7), (4, 36, 100, 1), (512, 4608, 3136, 3)],
)
def test_shares_of_the_pixels_fill_whole_rounds(rows, columns, pixels, splits):
    """Of 264 blocks: 3 · 88, 9 · 29, 36 · 7; and few of what is large, or adding the shares up would cost too much."""
    kernel = tensor_cores.choose("hopper", "weight_gradient", rows, columns, pixels)
    assert conv._splits(kernel, rows, columns, 1, pixels) == splits


@pytest.mark.parametrize("generation", ["ampere", "hopper"])
def test_the_drop_in_takes_them_in_tf32(emulate, rng, generation):
    emulation = emulate(generation=generation)
    arrays = [rng.standard_normal(s) for s in ((2, 5, 9, 8), (7, 5, 3, 3), (7,))]
    with precision("tf32"):
        run_both(emulation, conv.DROP_INS[0], arrays, {"stride": 2, "padding": 1}, rng, TF32)
    used = {kernel for kernel in emulation.launched if kernel not in ("arrange", "add_splits")}
    assert used <= set(tensor_cores.TILES)
    with precision("ieee"):
        conv.DROP_INS[0].forward(*(emulation.array(a.astype(np.float32)) for a in arrays))
    assert emulation.launched[-1] == "correlate_fp32_64"


@pytest.mark.parametrize("generation", ["ampere", "hopper"])
def test_inference_finishes_its_sums(emulate, rng, generation):
    emulation = emulate(generation=generation)
    for channels in (9, 10):  # 10: two sums are stored at once
        x, w = rng.standard_normal((2, 6, 7, 9)), rng.standard_normal((channels, 6, 3, 3))
        scale, shift, skip = (rng.standard_normal(s) for s in (channels, channels, (2, channels, 4, 5)))
        x = (np.float32(x).view(np.uint32) & 0xFFFFE000).view(np.float32)  # nothing to cut: ReLU6 leaves small numbers
        doubles = [a.astype(np.float32).astype(float) for a in (x, w, scale, shift, skip)]
        arrays = [emulation.array(a.astype(np.float32)) for a in doubles]
        for activation in (None, "relu", "relu6"):
            rest = (activation, (2, 2), (1, 1), (1, 1), 1)
            with precision("tf32"):
                got = conv.DROP_INS[1].forward(*arrays, *rest)
            close(got, conv.DROP_INS[1].op[0](*doubles, *rest), TF32)


@pytest.mark.parametrize("pair", ["mma, small", "wgmma, narrow"])
def test_cutting_does_not_pull_sums_to_0_by_more_than_said(emulation, rng, pair):
    """Of positive numbers, whose errors add up: 3.5e-4 for each factor that is cut, next to nothing for others."""
    x, w, dy, *expected, options = reference((2, 8, 9, 9, 8, (3, 3), (1, 1), (1, 1), (1, 1), 1), rng, positive=True)
    results = run_variant(emulation, x, w, dy, PAIRS[pair], options)
    y, dx, dw = (got / right - 1 for got, right in zip(results, expected, strict=True))
    assert -4.5e-4 < y.mean() < -2.5e-4
    assert -4.5e-4 < dx.mean() < -2.5e-4
    assert abs(dw.mean()) < 5e-5


def test_what_is_a_tf32_number_stays_exact(emulation):
    x = np.arange(-32, 32, dtype=np.float32).reshape(1, 4, 4, 4)
    w = np.linspace(-2, 2, 4 * 4 * 9, dtype=np.float32).reshape(4, 4, 3, 3).round(1) * 10
    y, cache = conv.DROP_INS[0].op[0](x.astype(float), w.astype(float), padding=1)
    dy = np.float32(y.round()) % 7
    right = (y, *conv.DROP_INS[0].op[1](dy.astype(float), cache))
    for pair in ("mma, small", "wgmma, narrow"):
        results = run_variant(emulation, x, w, dy, PAIRS[pair], ((1, 1), (1, 1), (1, 1), 1))
        for got, expected in zip(results, right, strict=True):
            assert np.array_equal(got, expected)


def test_a_nan_and_an_infinity_arrive(emulation):
    """Also the NaN that GPUs make, all of whose bits are set: rounding it as an integer would make it 0."""
    for bits, arrives in ((0x7FFFFFFF, np.isnan), (0xFFFFFFFF, np.isnan), (0x7F800000, np.isposinf)):
        x, w, dy = (np.ones(shape, np.float32) for shape in ((1, 4, 3, 3), (4, 4, 1, 1), (1, 4, 3, 3)))
        x[0, 1, 1, 1] = np.uint32(bits).view(np.float32)
        for pair in ("mma, small", "wgmma, narrow"):
            y, _, dw = run_variant(emulation, x, w, dy, PAIRS[pair], ((1, 1), (0, 0), (1, 1), 1))
            assert arrives(y[0, :, 1, 1]).all()
            assert arrives(dw[:, 1]).all()


def test_kernels_too_large_for_the_table_go_the_old_way(emulate, rng):
    emulation = emulate(generation="ampere")
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((1, 4, 3, 20), (4, 4, 1, 16)))
    with precision("tf32"):
        y, cache = conv.DROP_INS[0].forward(x, w)
        conv.DROP_INS[0].backward(y, cache)
    assert not any("mma" in kernel for kernel in emulation.launched)


def test_a_view_with_wide_gaps_is_copied_first(emulation, monkeypatch):
    """Its offsets would not fit the kernel's 32 bits."""
    x = emulation.array(np.arange(96, dtype=np.float32))[::8].reshape(2, 3, 2, 1)
    right = conv.arranged(x).copy()
    monkeypatch.setattr(launch, "LARGEST", 40)
    assert np.array_equal(conv.arranged(x), right)
    assert np.array_equal(right[0, :, 0, :3], [[0, 16, 32], [8, 24, 40]])


def test_machine_code_for_hopper_is_compiled_once(tmp_path, monkeypatch):
    """And where nothing can be kept, for one process."""
    made, error = [], type("NVRTCError", (Exception,), {})

    def compiled(program, options):
        if "broken" in program:
            raise error
        made.append((program, options))

    nvrtc = SimpleNamespace(
        NVRTCError=error, getVersion=lambda: (13, 0), createProgram=lambda text, *rest: text, compileProgram=compiled,
        getCUBIN=lambda program: program.encode(), destroyProgram=lambda program: None,
        getProgramLog=lambda program: "line 1: no such thing",
    )  # fmt: skip
    cupy = SimpleNamespace(cuda=SimpleNamespace(nvrtc=nvrtc))
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "kept"))
    first = machine_code._for_hopper(cupy, "text", 0)
    assert first.read_bytes() == b"text"
    assert machine_code._for_hopper(cupy, "text", 0) == first
    assert made == [("text", ("-arch=sm_90a", "-std=c++17"))]
    assert machine_code._for_hopper(cupy, "another", 0) != first
    (tmp_path / "file").touch()
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "file"))
    assert machine_code._for_hopper(cupy, "text", 0).read_bytes() == b"text"
    with pytest.raises(DeviceError, match=r"cuda:0: a kernel does not compile.*no such thing"):
        machine_code._for_hopper(cupy, "broken", 0)


def test_linear_layers_of_a_capture(emulate, rng, monkeypatch):
    monkeypatch.setattr(launch, "capturing", lambda: True)
    arrays = [rng.standard_normal(s) for s in ((70, 37), (11, 37), (11,))]
    for generation in ("ampere", "hopper"):
        with precision("tf32"):
            run_both(emulate(generation=generation), linear.DROP_INS[0], arrays, {}, rng, TF32)


@pytest.mark.parametrize("rounded", [True, False])
def test_kernels_are_arranged_from_any_order_of_memory(emulation, rng, rounded):
    weight = rng.standard_normal((6, 3, 5, 2)).astype(np.float32)
    last = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    with precision("tf32" if rounded else "ieee"):
        for source in (weight, last):
            kernels = emulation.array(weight) if source is weight else last
            got = conv.arranged(kernels, 2)
            turned = conv.arranged(kernels[:, :, 3::-2], 2, turned=True)
            assert got.shape == (6, 5, 2, 4)
            assert not got[..., 3].any()
            close(got[..., :3], weight.transpose(0, 2, 3, 1), 5e-4 if rounded else 0)
            assert (np.ascontiguousarray(got).view(np.uint32) & 0x1FFF).any() != rounded
            right = weight.reshape(2, 3, 3, 5, 2).transpose(0, 2, 3, 4, 1)[:, :, 3::-2].reshape(6, 2, 2, 3)
            close(turned[..., :3], right, 5e-4 if rounded else 0)


MMA, WGMMA, WITH_LEAD = PAIRS["mma, small"], PAIRS["wgmma, narrow"], PAIRS["wgmma, wider"]
MULTIPLY = "product.multiply(tile, tile + TM * ROW);\n            if"
MISTAKES = {  # the kernels to run, and what is changed in them
    "ldmatrix: another key": (MMA, ("int key = lane % 8;", "int key = lane % 4;")),
    "ldmatrix: no swizzle": (
        MMA, ("int key = lane % 8;", "int key = 0;"), ("((c ^ (r & 7)) << 4)", "(c << 4)"),
    ),
    "ldmatrix: fragments of a in the wrong order": (MMA, ("lane % 16) * ROW", "lane / 2) * ROW")),
    "ldmatrix: fragments of b in the wrong order": (MMA, ("lane / 8 % 2 ^ key", "lane / 16 ^ key")),
    "mma: dropped barrier": (MMA, ("__syncthreads();  // the same", ";")),
    "mma: copies not waited for": (MMA, ("copies_wait<AHEAD - 1>();", "copies_wait<AHEAD>();")),
    "mma: sums beyond the last row": (MMA, ("m = first_m + row, n", "m = min(unsigned(first_m + row), M - 1), n")),
    "mma: sums beyond the last kernel": (MMA, ("if (at < 0 || o >= g.O) return;", "if (at < 0) return;")),
    "mma: pairs where a row is odd": (MMA, ("bool pairs =", "bool pairs = true ||")),
    "mma: a window's taps above the image": (MMA, ("(inside[i] & tap) == tap", "(inside[i] & tap) != 0")),
    "mma: a window's first rows": (MMA, ("begin = first < 0 ? -first : 0", "begin = 0")),
    "mma: another tap of a phase": (MMA, ("(down.first + kh * down.step)", "(down.first - kh * down.step)")),
    "mma: a phase without its first tap": (MMA, ("first / apart + 1", "first / apart")),
    "mma: a phase's windows one further on": (MMA, (") / stride, 1", ") / stride + 1, 1")),
    "mma: a ring one stage short": (MMA, ("now = now + 1 == STAGES", "now = now + 2 >= STAGES")),
    "wgmma: dropped barrier": (WGMMA, ("__syncthreads();  // tile `now`", "// tile `now`")),
    "wgmma: no proxy fence": (WGMMA, ("            Product::publish();", "")),
    "wgmma: proxy fence after the barrier": (
        WGMMA, ("            Product::publish();", ""), (MULTIPLY, "Product::publish(); " + MULTIPLY),
    ),
    "wgmma: a tile refilled too early, with a lead": (WITH_LEAD, ("if (LEAD) Product::template wait<LEAD>();", "")),
    "wgmma: a tile refilled too early": (WGMMA, ("if (!LEAD) Product::template wait<0>();", "")),
    "wgmma: filled a stage too far ahead": (WGMMA, ("AHEAD = STAGES - 1 - LEAD;", "AHEAD = STAGES - LEAD;")),
    "wgmma: sums not waited for": (WGMMA, ("Product::template wait<0>();\n    unsigned", "unsigned")),
    "wgmma: no fence of the registers": (WGMMA, ("        wgmma_fence();\n", "")),
    "wgmma: a descriptor without swizzle": (WGMMA, ("(1u << 30 | 1024 >> 4)", "(1024 >> 4)")),
    "wgmma: a descriptor of denser rows": (WGMMA, ("1u << 30 | 1024 >> 4", "1u << 30 | 512 >> 4")),
    "wgmma: tiles that begin anywhere": (WGMMA, ("(shared_begin() + 1023) & ~1023u", "shared_begin()")),
    "wgmma: a step of another length": (WGMMA, ("first_n * ROW + step * 32", "first_n * ROW + step * 16")),
    "wgmma: less shared memory than the ring": (WGMMA, ("s * STAGE + TM * ROW", "s * STAGE + TM * ROW + 65536")),
    "weight gradient: lanes that meet in a bank": (
        MMA, ("threadIdx.x % 32 / 16 * 8 + threadIdx.x % 2 * 4", "threadIdx.x % 4 * 4"),
        ("threadIdx.x % 16 / 2", "threadIdx.x % 32 / 4"),
    ),
    "weight gradient: channels exchanged": (MMA, ("channel == 1 ? x.y", "channel == 1 ? x.z")),
    "weight gradient: dropped barrier": (MMA, ("__syncthreads();  // the tile", "// the tile")),
    "weight gradient: a pixel beyond the split": (MMA, ("bool inside = m + p < end;", "bool inside = true;")),
    "weight gradient: no proxy fence": (WGMMA, ("        Product::publish();\n        __sync", "        __sync")),
    "weight gradient: a tile overwritten": (WGMMA, ("Product::template wait<LEAD>();\n        Product", "Product")),
    "weight gradient: sums not waited for": (
        WGMMA, ("    Product::template wait<0>();\n    float* out", "    float* out"),
    ),
}  # fmt: skip
OTHER_KERNELS = r"^(CORRELATE|WEIGHT_GRADIENT)\((?!{0},|{1},).*\n"  # not run, so not built


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_noticed(emulate, rng, name):
    kernels, *changes = MISTAKES[name]
    others, planted = re.compile(OTHER_KERNELS.format(*kernels), re.M), []

    def change(text):
        if "WarpProduct" in text:
            text = others.sub("", text)
        for old, new in changes:
            planted.append(old in text)
            text = text.replace(old, new)
        return text

    def run(order):
        x, w, dy, *expected, options = reference(SHAPES["odd everything, several tiles"], rng)
        results = run_variant(emulate(change=change, order=order), x, w, dy, kernels, options, splits=2)
        for got, right in zip(results, expected, strict=True):
            assert np.abs(got - right).max() <= TF32 * np.abs(right).max()

    assert any(notices(lambda order=order: run(order), planted) for order in (0, 1, 2))
    assert sum(planted) >= len(changes)


@pytest.mark.parametrize("kernels", [MMA, WGMMA, WITH_LEAD])
def test_the_same_checks_pass_without_a_mistake(emulate, rng, kernels):
    x, w, dy, *expected, options = reference(SHAPES["odd everything, several tiles"], rng)
    for order in (0, 1, 2):
        results = run_variant(emulate(order=order), x, w, dy, kernels, options, splits=2)
        for got, right in zip(results, expected, strict=True):
            assert np.abs(got - right).max() <= TF32 * np.abs(right).max()
