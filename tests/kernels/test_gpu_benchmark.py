"""The GPU's benchmark where there is no GPU: it says so; its measuring and its page work with the CPU in the GPU's
place."""

import subprocess
import sys

import pytest

from tinyvision.device import cuda_problem

gpu = pytest.importorskip("benchmarks.gpu")
from benchmarks import conv  # noqa: E402


@pytest.mark.skipif(cuda_problem() is None, reason="there is a GPU here")
def test_without_a_gpu_nothing_is_measured_and_the_remedy_is_named(capsys):
    assert gpu.main([]) == 2
    assert "Nothing was measured" in capsys.readouterr().err


def test_the_record_and_its_page(monkeypatch):
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    torch, versions = gpu.import_torch()
    layer = conv.layers(1)[3]
    cases = gpu.layer_cases(layer, "ieee", torch, "cpu")
    cases += gpu.network_cases(2, "ieee", torch, "cpu", wanted=["SimpleCNN, training step"])
    for case in cases:
        for name, entry in case["entries"].items():
            assert entry["status"] in ("timed", "left to stage 0"), (case["case"], name, entry)
    found = {"copy_gb_s": 10.0, "fp32_tflops": 0.1, "tf32_tflops": 0.1}
    record = {"device": {"name": "Stand-in"}, "created": "now", "batch": 2, "versions": versions, "ceilings": found,
              "cases": cases, "crossover": {"batches": [1, 2], "from": 2}}  # fmt: skip
    page = gpu.section(record, "x.json")
    assert "Stand-in" in page
    assert "from batch 2 on" in page
    assert "1×1" in page
    assert all(case["case"] in page for case in cases)


def test_a_wrong_result_is_not_timed():
    import numpy as np

    made = gpu.entry(lambda: [np.ones(3)], [np.zeros(3)], 1e-3, "cpu")
    assert made["status"] == "wrong"
    assert "ms" not in made
    nan = gpu.entry(lambda: [np.full(3, np.nan)], [np.ones(3)], 1e-3, "cpu")
    assert nan["status"] == "wrong"


def test_a_contestant_that_fails_costs_only_its_own_cell():
    def broken():
        raise RuntimeError("no such algorithm")

    assert gpu.entry(broken, [], 1, "cpu")["why"] == "RuntimeError: no such algorithm"


@pytest.mark.skipif(cuda_problem() is None, reason="there is a GPU here, which would be measured")
def test_it_runs_on_a_bare_machine():
    """It needs no module beyond NumPy, CuPy, PyTorch and the package, not even ours for the CPU's BLAS threads."""
    code = (
        "import sys\n"
        "for name in ('rich', 'matplotlib', 'threadpoolctl', 'safetensors', 'PIL'): sys.modules[name] = None\n"
        "from benchmarks import gpu; print(gpu.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
