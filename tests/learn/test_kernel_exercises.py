"""Exercises in CUDA C: each mistake is told by what the emulated GPU saw, with its line; hostile texts are bounded."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinyvision.kernels import emulator
from tinyvision.learn import check_exercise, course, cuda, grade
from tinyvision.learn.judge import judge
from tinyvision.learn.process import ask

needs_compiler = pytest.mark.skipif(emulator.problem() is not None, reason=str(emulator.problem()))

# exercise, a part of its solution, what stands there instead, what is said
MISTAKES = [
    ("cuda_bias", "if (i >= N * C * P) return;", "", "Thread 30 of block 0 reads x[30]"),
    ("cuda_bias", "/ P % C", "/ P % N", "y differs from the right values"),
    ("cuda_relu_backward", "gridDim.x * blockDim.x", "blockDim.x", "blocks run in any order"),
    ("cuda_relu_backward", "i += step", "i += 0", "not ended"),
    ("cuda_bias", "int c =", "while (true);\n    int c =", "It has a loop with nothing in it that never ends"),
    ("cuda_columns", " && w >= 0", "", "reads x[-1]"),
    ("cuda_maxpool_backward", "dx[h * W + w] = sum", "if (sum) dx[h * W + w] = sum", "No thread has written dx[0, 1]"),
    ("cuda_channel_sums", "if (t < half) sums", "if (t < half) __syncthreads(), sums", "different barriers"),
    ("cuda_channel_sums", "    __syncthreads();\n    for", "    for", "writes only later in line"),
    ("cuda_product", "right[i][x];\n        __syncthreads();", "right[i][x];", "__syncthreads() is missing"),
]


def attempt(tmp_path, name, text):
    path = tmp_path / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return judge(name, path)


@needs_compiler
@pytest.mark.parametrize(("name", "old", "new", "said"), MISTAKES)
def test_a_mistake_is_told(tmp_path, name, old, new, said):
    solution = course.exercise(name).solution()
    assert old in solution
    report = attempt(tmp_path, name, solution.replace(old, new, 1))
    assert not report.passed
    (finding,) = report.findings
    assert said in finding.message
    if finding.line is not None:
        assert f"line {finding.line}" in finding.message  # the line of the learner's file
        assert (tmp_path / f"{name}.py").read_text(encoding="utf-8").split("\n")[finding.line - 1].strip()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("int i =", "int i = ...;  //", "Still missing"),
        ('extern "C"', '#include "/etc/passwd"\nextern "C"', "#include has no place here"),
        ('extern "C"', 'const char* a = "//"; void b() { asm("nop"); }\nextern "C"', "asm has no place here"),
        (course.exercise("cuda_bias").solution(), 'KERNEL = ""', "defines no kernel add_bias"),
        (course.exercise("cuda_bias").solution(), 'KERNEL = " \\n"', "defines no kernel add_bias"),
        ("// the number", "// \\ud800", "half a character"),
        ("add_bias", "bias_added", "defines no kernel add_bias"),
        ("int C, ", "", "must keep its parameters: float* x, float* bias, float* y, int N, int C, int P"),
        ("int c =", "int c = y +", "g++ cannot build it: invalid conversion"),
        (
            "int c =",
            "__shared__ float big[20000]; big[i] = 0; int c = big[N] +",
            "80,000 bytes of shared memory; a block has 49,152",
        ),
        ('extern "C"', 'extern "C" int getpid();\nextern "C"', None),
    ],
)
@needs_compiler
def test_what_is_no_kernel_of_the_exercise_is_refused(tmp_path, old, new, said):
    text = course.exercise("cuda_bias").solution().replace(old, new, 1).replace('= r"""', '= """')
    if said is None:
        text, said = text.replace("x[i] + bias[c]", "x[i] + bias[c] + getpid()"), "It calls getpid, which no GPU has"
    assert said in str(attempt(tmp_path, "cuda_bias", text).findings[0])


@needs_compiler
def test_an_empty_loop_without_an_end_is_stopped_with_its_process(tmp_path):
    path = tmp_path / "cuda_bias.py"
    text = course.exercise("cuda_bias").solution().replace("int c =", "for (volatile int z = 0; z < 1;); int c =")
    path.write_text(text, encoding="utf-8")
    answer = ask({"task": "judge", "name": "cuda_bias", "path": str(path)}, 60)
    said = answer.get("ended") or answer["findings"][0]["message"]
    assert "not ended" in said or "was stopped" in said


@needs_compiler
def test_a_notebook_hands_the_text_over():
    module = {}
    exec(course.exercise("cuda_bias").solution(), module)
    assert check_exercise("cuda_bias", module["KERNEL"]).passed
    assert "must be a string" in str(check_exercise("cuda_bias", 3).findings[0])


def test_without_a_compiler_nothing_is_judged_and_nothing_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(emulator, "problem", lambda: "there is no g++")
    report = attempt(tmp_path, "cuda_bias", course.exercise("cuda_bias").solution())
    assert not report.passed
    assert "Not judged: there is no g++" in str(report)
    answer = {**report.as_dict(), "kinds": [f.kind for f in report.findings]}
    worker = SimpleNamespace(ask=lambda *a: answer, close=lambda: None)
    monkeypatch.setattr(grade, "Worker", lambda source: worker)
    (given,) = grade.grade(tmp_path, [course.exercise("cuda_bias")])
    assert given.flags == ["could not be judged on this machine"]


@needs_compiler
@pytest.mark.parametrize("agrees", [True, False])
def test_where_there_is_a_gpu_the_kernel_runs_there_too(tmp_path, monkeypatch, agrees):
    def compiled(text, index):
        def launched(grid, threads, arguments):
            emulator.build(text).launch("relu_backward", grid, threads, *arguments)
            arguments[2][0] += not agrees

        return SimpleNamespace(get_function=lambda name: launched)

    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "to_device", lambda array, where: np.asarray(array))
    monkeypatch.setattr(cuda, "synchronize", lambda where: None)
    monkeypatch.setattr(cuda.machine_code, "compiled", compiled)
    name = "cuda_relu_backward"
    report = attempt(tmp_path, name, course.exercise(name).solution())
    assert report.passed == agrees
    if not agrees:
        assert "That is on the GPU; emulated, it was right." in report.findings[0].message
