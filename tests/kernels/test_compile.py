"""Every kernel compiles with NVRTC, without any header, for every generation of GPUs, and keeps its numbers in
registers."""

import re
from importlib.resources import files

import pytest

from tinyvision.kernels import launch
from tinyvision.kernels.emulator import kernel_names

from . import nvrtc

TEXTS = sorted(f.name.removesuffix(".cu") for f in files("tinyvision.kernels").iterdir() if f.name.endswith(".cu"))
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120")  # Turing to Blackwell's two


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
    assert set(found) == compiled_for(architecture, launch.text(name))
    assert {kernel: spilled for kernel, (_, spilled) in found.items() if spilled} == {}
    if name == "tensor_cores":  # says itself how many of its blocks share a multiprocessor
        return
    # Two blocks of 256 threads share the 65,536 registers of a multiprocessor; this one is alone there (see conv.cu).
    alone = {"correlate_fp32_128": 255}
    assert {k: n for k, (n, _) in found.items() if n > alone.get(k, 128)} == {}


def compiled_for(architecture, text):
    """The kernels that a text has for a GPU: mma.sync's begin with Ampere, Hopper has wgmma's in their place."""
    names = set(kernel_names(text))
    own = {name for name in names if "mma_" in name}
    wanted = {"sm_75": "none", "sm_90a": "_wgmma_"}.get(architecture, "_mma_")
    return names - own | {name for name in own if wanted in name}


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
