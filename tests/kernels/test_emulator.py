"""What the emulator sees of a kernel that is watched: each mistake by its kind, its thread, its number and its line."""

import numpy as np
import pytest

from tinyvision.kernels.emulator import EmulatorError, Memory, build, problem, refused
from tinyvision.kernels.emulator.memory import never_written

if problem() is not None:
    pytest.skip(problem(), allow_module_level=True)

# y[block] = the sum of 64 numbers of x, added in pairs.
SUMS = """extern "C" __global__ void sums(const float* x, float* y, int n) {
    __shared__ float tile[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? x[i] : 0.f;
    __syncthreads();  // all are there
    for (int s = 32; s > 0; s /= 2) {
        if (threadIdx.x < s) tile[threadIdx.x] += tile[threadIdx.x + s];
        __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x] = tile[0];
}
"""
HERE = "__syncthreads();  // all are there"


def launched(built, old="", new="", text=SUMS):
    assert old in text
    memory = Memory()
    x, y = memory.array(np.arange(150, dtype=np.float32)), memory.empty((3,))
    kernels = build(text.replace(old, new, 1) if old else text, built, watched=True)
    kernels.launch("sums", (3, 1, 1), 64, x, y, np.int32(150), given=[True, False, False])
    return x, y


def test_a_right_kernel_has_nothing_to_be_seen(built):
    x, y = launched(built)
    assert np.array_equal(y, [x[:64].sum(), x[64:128].sum(), x[128:].sum()])


@pytest.mark.parametrize(
    ("old", "new", "kind", "line", "message"),
    [
        ("i < n ? x[i] : 0.f", "x[i]", "outside", 4, r"thread 22 of block 2 reads x\[150\] in line 4; x has 150"),
        ("x[i] :", "x[i - 1] :", "outside", 4, r"thread 0 of block 0 reads x\[-1\] in line 4"),
        ("y[blockIdx.x] = ", "y[3] = ", "outside", 10, r"thread 0 of block 0 writes y\[3\] in line 10; y has 3"),
        ("int s = 32", "int s = 64", "declared", 7, "thread 0 of block 0 uses number 64 of an array that has fewer"),
        (HERE, "*(float*)0 = 1;", "outside", 5, "writes through a null pointer"),
        (HERE, "", "unwritten", 7, "thread 0 of block 0 reads number 32 of tile in line 7, which nobody has written"),
        (
            "        __syncthreads();\n", "", "race", 7,
            r"number \d+ of tile in line 7, which thread \d+ of block 0 (wrote|read) in line 7; .*\(\) is missing",
        ),
        ("if (threadIdx.x == 0) ", "", "race", 10, r"thread 1 of block 0 writes y\[0\] .* thread 0 of block 0 wrote"),
        ("y[blockIdx.x]", "y[0]", "race", 10, r"thread 0 of block 1 writes y\[0\] .* blocks run in any order"),
        ("y[blockIdx.x] =", "y[blockIdx.x] +=", "unwritten", 10, r"reads y\[0\] in line 10, which nobody has written"),
        (HERE, "if (i < 40) __syncthreads();", "barriers", None, "different barriers: some in line 5, some in line 8"),
        (HERE, "if (i > 40) return;", "unwritten", 7, "which nobody has written"),
        ("s /= 2", "", "endless", None, "has taken 50,000 steps and not ended"),
        (HERE, "float z; y[0] = z;", "text", 5, "used uninitialized"),
        (HERE, "y[0] = 5 / (n - 150);", "division", 5, "divides an integer by zero in line 5"),
        (HERE, "float big[100000]; big[i] = 1; y[0] = big[n];", "text", None, "frame size of 4000"),
        (HERE, "tile[0] = nothing;", "text", 5, "was not declared"),
        (HERE, "extern int none; y[0] = none;", "text", None, "nothing defines none"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_kind_thread_number_and_line(built, old, new, kind, line, message):
    with pytest.raises(EmulatorError, match=message) as caught:
        launched(built, old, new)
    assert (caught.value.kind, caught.value.line if line else None) == (kind, line)


def test_lanes_that_meet_are_in_order_and_an_atomic_sum_is_no_race(built):
    memory = Memory()
    text = """extern "C" __global__ void both(float* y, float* sum) {
        y[threadIdx.x] = threadIdx.x;
        __syncwarp();
        float next = y[threadIdx.x ^ 1];
        for (int by = 16; by > 0; by /= 2) next += __shfl_down_sync(~0u, next, by);
        if (threadIdx.x == 0) atomicAdd(sum, next);
    }"""
    y, total = memory.empty((32,)), memory.array(np.zeros(1, np.float32))
    build(text, built, watched=True).launch("both", (1, 1, 1), 32, y, total, given=[False, True])
    assert total == np.arange(32).sum()
    with pytest.raises(EmulatorError, match=r"writes y\[1\] in line 2, which thread 0 of block 0 read in line 4"):
        build(text.replace("__syncwarp();", ""), built, watched=True).launch("both", (1, 1, 1), 32, y, total)


def test_numbers_that_nobody_wrote_are_known_from_those_that_are_nan():
    array = Memory().empty((4,))
    array[:2] = np.nan, 1
    assert never_written(array).tolist() == [False, False, True, True]


def test_functions_that_no_gpu_has_are_found(built):
    text = 'extern "C" int system(const char*);\n' + SUMS.replace(HERE, "__syncthreads(); if (n < 0) system(0);")
    assert build(text, built, watched=True).foreign() == ["system"]
    assert build(SUMS, built, watched=True).foreign() == []


@pytest.mark.parametrize(
    "text",
    ['#include "/etc/passwd"', "%:include <stdio.h>", "#inc\\\nlude <a>", "# pragma GCC x", "/* a */ #include <a>",
     'asm("nop");', "float x __attribute__((section(0)));"],
)  # fmt: skip
def test_files_and_machine_code_have_no_place_in_a_text(text):
    assert "has no place here" in refused(text)


def test_definitions_have(built):
    assert refused("#define T 16\n#if T > 3\n#endif\n// #include\n#pragma unroll\n" + SUMS) is None
