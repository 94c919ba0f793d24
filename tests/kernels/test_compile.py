"""Every kernel compiles with NVRTC, without any header, for three generations of GPUs, and keeps its numbers in
registers."""

import re
from importlib.resources import files

import pytest

from tinyvision.kernels import launch

from . import nvrtc
from .emulator import kernel_names

TEXTS = sorted(f.name.removesuffix(".cu") for f in files("tinyvision.kernels").iterdir() if f.name.endswith(".cu"))
ARCHITECTURES = ("sm_80", "sm_90", "sm_120")  # Ampere, Hopper, the consumer cards of Blackwell


@pytest.fixture(scope="session")
def compiler():
    """The NVRTC library."""
    found = nvrtc.library()
    if found is None:
        pytest.skip("needs NVRTC: pip install nvidia-cuda-nvrtc")
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", TEXTS)
def test_no_kernel_spills(compiler, name, architecture):
    code, log = nvrtc.compile_text(compiler, launch.text(name), architecture)
    assert code[:4] == b"\x7fELF"
    found = nvrtc.resources(log)
    assert set(found) == set(kernel_names(launch.text(name)))
    assert {kernel: spilled for kernel, (_, spilled) in found.items() if spilled} == {}
    # Two blocks of 256 threads share the 65,536 registers of a multiprocessor; this one is alone there (see conv.cu).
    alone = {"correlate_fp32_128": 255}
    assert {k: n for k, (n, _) in found.items() if n > alone.get(k, 128)} == {}


@pytest.mark.parametrize("name", TEXTS)
def test_turing_has_everything_but_tensor_cores_for_tf32(compiler, name):
    """Nothing in a text may need a newer GPU than the oldest that CUDA 13 knows, if only to be compiled."""
    _, log = nvrtc.compile_text(compiler, launch.text(name), "sm_75")
    assert {kernel: spilled for kernel, (_, spilled) in nvrtc.resources(log).items() if spilled} == {}


def test_the_check_notices_a_spill(compiler):
    text = """extern "C" __global__ void __launch_bounds__(1024, 2) greedy(const float* x, float* y) {
        float kept[64]; for (int i = 0; i < 64; i++) kept[i] = x[i * 1024 + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < 64; i++) for (int j = 0; j < 64; j++) y[i * 64 + j] = kept[i] * kept[j]; }"""
    _, log = nvrtc.compile_text(compiler, text, "sm_90")
    assert nvrtc.resources(log)["greedy"][1] > 0


@pytest.mark.parametrize("name", TEXTS)
def test_texts_need_no_header(name):
    assert not re.search(r"^\s*#\s*include", launch.text(name), re.M)
