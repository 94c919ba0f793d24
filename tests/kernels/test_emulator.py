"""What the emulator sees of a kernel that is watched: each mistake by its kind, its thread, its number and its line."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyvision.kernels.emulator import EmulatorError, Memory, build, building, problem, refused, without_comments
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
WRITTEN = SUMS[SUMS.index("    tile[threadIdx.x] =") : SUMS.index("  // all are there")]
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
        (
            HERE, "", "race", 7,
            "thread 0 of block 0 reads number 32 of tile in line 7, which thread 32 of block 0 writes only later in "
            r"line 4; nothing says which comes first: between the two, __syncthreads\(\) is missing",
        ),
        (
            "tile[threadIdx.x] =", "if (i < n) tile[threadIdx.x] =", "unwritten", 7,
            "thread 0 of block 2 reads number 32 of tile in line 7, which nobody has written",
        ),
        (
            "        __syncthreads();\n", "", "race", 7,
            r"number \d+ of tile in line 7, which thread \d+ of block 0 (wrote|read) in line 7; .*\(\) is missing",
        ),
        ("if (threadIdx.x == 0) ", "", "race", 10, r"thread 1 of block 0 writes y\[0\] .* thread 0 of block 0 wrote"),
        ("y[blockIdx.x]", "y[0]", "race", 10, r"thread 0 of block 1 writes y\[0\] .* blocks run in any order"),
        ("y[blockIdx.x] =", "y[blockIdx.x] +=", "unwritten", 10, r"reads y\[0\] in line 10, which nobody has written"),
        (HERE, "if (i < 40) __syncthreads();", "barriers", None, "different barriers: some in line 5, some in line 8"),
        (HERE, "if (i > 40) return;", "race", 7, "which thread 32 of block 0 writes only later in line 4"),
        (WRITTEN, "    while (i > 0);\n    tile[threadIdx.x] = 0;", "unwritten", 7, "which nobody has written"),
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


@pytest.mark.parametrize(
    "loop",
    ["while (true);", "for (;;) {}", "do ; while (n == n);", "if (i > 500) for (int k = 0;; k++);",
     "again: goto again;", "while (1) {\n  // waits\n  {}\n}", "for (;;) continue;"],
)  # fmt: skip
def test_a_loop_with_nothing_in_it_that_never_ends_is_not_even_begun(built, loop):
    with pytest.raises(EmulatorError, match="a loop with nothing in it that never ends") as caught:
        build(SUMS.replace(HERE, loop), built, watched=True)
    assert caught.value.kind == "endless"


@pytest.mark.parametrize("loop", ["while (n > 3);", "for (;;) if (n < 0) break;", "a: if (n > 3) goto a;"])
def test_other_loops_that_do_nothing_are_stopped_after_their_steps(built, loop):
    with pytest.raises(EmulatorError, match="50,000 steps") as caught:
        launched(built, HERE, loop)
    assert caught.value.kind == "endless"


def test_loops_that_do_nothing_and_end_are_none_of_them(built):
    assert np.array_equal(*(launched(built, HERE, HERE + loop)[1] for loop in ("", "for (int k = 0; k < n; k++);")))


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


@pytest.mark.parametrize(
    "text",
    [
        'const char* q = "//"; void f() { asm volatile("syscall"); }',
        'const char* a = "/*";\n#include "/etc/hostname"\nconst char* b = "*/";',
        "int q = '/*';\n#include \"/etc/hostname\"\nint r = '*/';",
        'const char* q = "\\"//"; void f() { asm("nop"); }',
        'const char* q = R"(")" "//"; void f() { asm("nop"); } // ")"',
        'const char* q = u8R"x(" /* )x";\n#include "a"\n// */',
        'int a = 1\'0; int b = \'"\'; const char* c = "/*";\n#include "a"\n// "*/',
        'void f() { a\\\nsm("nop"); }',
        'void f() { a\\ \t\nsm("nop"); }',
        'void f() { a\\\r\nsm("nop"); }',
        '// a comment that goes on \\\n "/*\n#include "a"\n// */',
        'const char* q = "a\\\n//"; void f() { asm("nop"); }',
        '%:\\\ninclude "a"',
        '%: include "a"',
        '??=include "a"',
        '/\\\n* */ #include "a"',
        '\f#include "a"',
        '\v#include "a"',
        '\0#include "a"',
        '// one line\r#include "a"',
        '#define J(a, b) a##b\nvoid f() { J(as, m)("nop"); }',
        '%:define J(a, b) a%:%:b\nvoid f() { J(as, m)("nop"); }',
        'void f() { \\u0061sm("nop"); }',
    ],
)
def test_what_hides_a_file_or_machine_code_has_no_place_either(text):
    assert "has no place here" in refused(text)


@pytest.mark.parametrize(
    "text",
    ['extern"C" int f();', 'static_assert(sizeof(int) == 4, "an int has 4 bytes");', "// it's \"odd\" ## ??= \\ asm\n",
     "/* #include 'a */ int i; // */", "#define TWICE(x) \\\n    (2 * (x))\r\n", "// für Übung\nint n;"],
)  # fmt: skip
def test_plain_strings_and_whatever_a_comment_says_have(text):
    assert refused(text) is None


def test_what_looks_like_a_comment_within_quotes_is_none():
    text = 'char a = \'"\'; char* b = "\\"//"; /* "c\n */ int d; // \'e'
    assert without_comments(text) == 'char a = \'"\'; char* b = "\\"//";  \n int d;  '


def test_three_threads_may_build_one_text_at_once(tmp_path):
    texts = [SUMS + f"// {n}" for n in range(2)]
    for text in texts:
        with ThreadPoolExecutor(3) as threads:
            all_three = [threads.submit(build, text, tmp_path) for _ in range(3)]
        assert len({one.result().path for one in all_three}) == 1
    assert len(list(tmp_path.iterdir())) == 3  # the machine, both texts, and nothing else


def test_three_threads_may_look_for_the_users_folder_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "cache_dir", lambda: tmp_path)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: building._users_folder.__wrapped__(), range(300)))
    assert set(found) == {tmp_path / "emulator"}
    assert list((tmp_path / "emulator").iterdir()) == []


def test_definitions_have(built):
    assert refused("#define T 16\n#if T > 3\n#endif\n// #include\n#pragma unroll\n" + SUMS) is None
