"""Every kernel compiles with NVRTC, without any header, for every generation of GPUs, and keeps its numbers in
registers."""

import re
from importlib.resources import files

import pytest

from tinyvision.kernels import launch, tensor_cores
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


# Of 16 bits, one of each kind that differs: bf16 and fp16 are one instruction apart, mma.sync is the same since Ampere.
HALVES = [("tensor_cores fp16", "sm_75"), *(("tensor_cores bf16", a) for a in ("sm_80", "sm_90a"))]


@pytest.mark.parametrize(("name", "architecture"), [(n, a) for n in TEXTS for a in ARCHITECTURES] + HALVES)
def test_no_kernel_spills(compiler, name, architecture):
    code, log = nvrtc.compile_text(compiler, launch.text(name), architecture)
    assert code[:4] == b"\x7fELF"
    found = nvrtc.resources(log)
    assert set(found) == compiled_for(architecture, launch.text(name))
    assert {kernel: spilled for kernel, (_, spilled) in found.items() if spilled} == {}
    if name.startswith("tensor_cores"):  # says itself how many of its blocks share a multiprocessor
        return
    # Two blocks of 256 threads share the 65,536 registers of a multiprocessor; this one is alone there (see conv.cu).
    alone = {"correlate_fp32_128": 255}
    assert {k: n for k, (n, _) in found.items() if n > alone.get(k, 128)} == {}


def compiled_for(architecture, text):
    """The kernels that a text has for a GPU: mma.sync's begin with Ampere, Hopper has wgmma's in their place; and of
    fp16, Turing has those whose ring fits its shared memory."""
    names = set(kernel_names(text))
    own = {name for name in names if "mma_" in name}
    if architecture == "sm_75":
        turing = {choice.kernel for key, some in tensor_cores.CHOICES.items() if key[0] == "turing" for choice in some}
        return names - own | (turing if "#define FP16" in text.splitlines() else set())
    wanted = "_wgmma_" if architecture == "sm_90a" else "_mma_"
    return names - own | {name for name in own if wanted in name and not name.endswith("_short")}


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
