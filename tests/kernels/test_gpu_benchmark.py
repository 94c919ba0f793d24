"""The GPU's benchmark where there is no GPU: it says so; its measuring and its page work with the CPU in the GPU's
place."""

import os
import signal
import subprocess
import sys

import pytest
from pretended_gpu import pretended_gpu  # noqa: F401  a fixture

from tinyvision.device import cuda_problem

gpu = pytest.importorskip("benchmarks.gpu")
from benchmarks import conv, gpu_goals, gpu_page, record  # noqa: E402
from tinyvision import kernels  # noqa: E402
from tinyvision.kernels import graph  # noqa: E402


@pytest.mark.skipif(cuda_problem() is None, reason="there is a GPU here")
def test_without_a_gpu_nothing_is_measured_and_the_remedy_is_named(capsys):
    assert gpu.main([]) == 2
    assert "Nothing was measured" in capsys.readouterr().err


def test_the_record_and_its_page(monkeypatch):
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    torch, versions = gpu.import_torch()
    layers = [conv.layers(1)[3]._replace(size=9), gpu.depthwise_layers(1)[3]._replace(outputs=6, size=9)]
    cases = [case for layer in layers for case in gpu.layer_cases(layer, gpu.MODES, torch, "cpu")]
    cases += gpu.network_cases(2, gpu.MODES, torch, "cpu", wanted=["SimpleCNN, training step"])
    assert len(cases) == 14
    for case in cases:
        for name, entry in case["entries"].items():
            assert entry["status"] in ("timed", "as stage 0"), (case["case"], name, entry)
    cross = gpu.crossover("SimpleCNN, training step", (1, 2), "cpu")
    assert len(cross["cpu_ms"]) == len(cross["gpu_ms"]) == 2
    found = {"copy_gb_s": 10.0, "fp32_tflops": 0.1, "tf32_tflops": 0.1}
    record = {"kind": "gpu", "schema": 1, "device": {"name": "Stand-in"}, "created": "now", "batch": 2, "cases": cases,
              "versions": versions, "ceilings": found, "crossover": {"SimpleCNN, training step": cross}}  # fmt: skip
    gpu_page.check(record, "x.json")
    page = gpu_page.section(record, "x.json")
    assert "Stand-in" in page
    assert "1×1" in page
    assert all(case["case"] in page for case in cases)


def test_the_gpu_is_ahead_from_where_it_stays_ahead(monkeypatch):
    times = iter([1, 2, 2, 1, 1, 3, 5, 3, 9, 4])  # CPU, GPU, CPU, GPU, ...
    monkeypatch.setattr(gpu, "timed", lambda *arguments, **options: next(times))
    monkeypatch.setattr(gpu, "our_work", lambda *arguments: None)
    assert gpu.crossover("SimpleCNN, training step", (1, 2, 4, 8, 16), "cpu")["from"] == 8
    monkeypatch.setattr(gpu, "timed", lambda *arguments, **options: 1)
    assert gpu.crossover("SimpleCNN, training step", (1, 2), "cpu")["from"] is None


@pytest.fixture
def goals(monkeypatch, tmp_path):
    """gpu_goals.measure with the CPU in the GPU's place and networks that are small, by minutes -> (record, file)."""
    small = {name: (*some[:2], 24 if "Simple" in name else 32, some[3]) for name, some in gpu.NETWORKS.items()}
    small = {name: some for name, some in small.items() if "step" not in name or "Simple" in name}
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    monkeypatch.setattr(gpu, "NETWORKS", small)
    sizes = [
        conv.layers(1)[3]._replace(channels=8, outputs=8, size=9),
        gpu.depthwise_layers(1)[3]._replace(outputs=6, size=9),
    ]
    path = tmp_path / "goals.json"
    return lambda minutes, where="cpu": (gpu_goals.measure(2, minutes, path, where, sizes), path)


def test_the_goals_alone(goals, capsys):
    made, path = goals(9)
    assert made["failed"] == {}
    assert made["left_out"] == []
    assert {case["precision"] for case in made["cases"]} == {"tf32", "bf16"}
    for case in made["cases"]:
        assert {e["status"] for e in case["entries"].values()} == {"timed"}, case
    assert all(ms > 0 for ms in made["host_ms"].values())
    assert record.read(path)["cases"] == record._rounded(made["cases"])
    told = gpu_goals.page(made)
    assert told.count("| ResNet-18 inference, eager |") == 2
    assert "autocast" in told
    assert capsys.readouterr().out.count("\n") == 8


def test_the_goals_on_a_pretended_gpu(goals, monkeypatch, pretended_gpu):  # noqa: F811
    """What only a GPU's run does: everything there and back, graphs, the host's own time; by the readable ops."""

    def capture(work, where):
        found = work()
        return found, lambda: None

    for module in (gpu, graph):
        monkeypatch.setattr(module, "capture", capture)
    monkeypatch.setattr(gpu, "import_torch", lambda: (None, {"PyTorch": None}))
    monkeypatch.setattr(gpu_goals, "STAGES", {gpu_page.EAGER: ()})
    monkeypatch.setattr(gpu_goals, "PRECISIONS", ("bf16",))
    monkeypatch.setattr(gpu, "report", lambda: {"devices": [{"name": "Pretended"}], "cupy": None})
    monkeypatch.setattr(kernels, "names", list)
    monkeypatch.setattr(sys.modules["tinyvision.device"], "_apply_precision", lambda mode: None)
    monkeypatch.setattr(gpu, "ceilings", lambda where: {"copy_gb_s": 1.0})
    made, _ = goals(9, where="cuda")
    assert made["failed"] == {}
    statuses = [(case["case"], who, e["status"]) for case in made["cases"] for who, e in case["entries"].items()]
    assert {status for *_, status in statuses} == {"timed"}, statuses
    assert {who for _, who, _ in statuses} == {gpu_page.EAGER, gpu_page.GRAPH, gpu_page.FOLDED}
    assert "—" in gpu_goals.page(made), "no ratios without PyTorch"


def test_what_fails_or_comes_too_late_costs_its_own_line(goals, monkeypatch):
    monkeypatch.setattr(gpu, "layer_cases", lambda *given, **options: 1 / 0)
    monkeypatch.setattr(gpu_goals, "PRECISIONS", ("tf32",))
    made, _ = goals(9)
    assert len(made["cases"]) == 2
    assert list(made["failed"].values()) == ["ZeroDivisionError: division by zero"] * 2
    assert "failed: 1×1" in gpu_goals.page(made).replace(conv.layers(1)[3].name, "1×1")
    made, _ = goals(-1)
    assert made["cases"] == []
    assert len(made["left_out"]) == 6
    assert "no time was left for: ResNet-18, inference, tf32" in gpu_goals.page(made)
    assert "not measured" in gpu_goals.page(made)


def test_the_most_telling_comes_first(goals):
    made, _ = goals(-1)
    names = made["left_out"]
    assert names[:2] == ["ceilings", "SimpleCNN, training step, tf32"]
    assert names.index(gpu_goals.HOST) < names.index(conv.layers(1)[3].name) < names.index("ResNet-18, inference, bf16")


@pytest.mark.parametrize("how", ["by a scheduler", "by the clock", "by hand"])
def test_what_is_cut_off_keeps_every_entry(goals, monkeypatch, capsys, how):
    """In the middle of a network, between two of its contestants."""
    own, seen, waits = gpu.entry, [], []
    numbers = {"by a scheduler": signal.SIGTERM, "by the clock": signal.SIGALRM}

    def entry(*given):
        seen.append(given)
        if len(seen) == 5:  # the second network's second
            if how == "by hand":
                raise KeyboardInterrupt
            os.kill(os.getpid(), numbers[how])
        return own(*given)

    monkeypatch.setattr(gpu, "entry", entry)
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: waits.append(seconds))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)
    made, path = goals(9)
    assert 540 < waits[0] <= 600
    assert waits[1:] == [0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)) == before
    kept = record.read(path)
    assert [len(case["entries"]) for case in kept["cases"]] == [3, 1]
    assert all(e["status"] == "timed" for case in kept["cases"] for e in case["entries"].values())
    assert kept["left_out"] == made["left_out"]
    assert kept["left_out"][0] == "ResNet-18, inference, tf32"
    assert "cut off in: ResNet-18, inference, tf32" in capsys.readouterr().out
    assert gpu_goals.main(["--show", str(path)]) == 0
    assert "no time was left for: ResNet-18, inference, tf32" in capsys.readouterr().out


def test_without_a_gpu_there_are_no_goals(capsys, monkeypatch):
    monkeypatch.setattr(gpu_goals, "cuda_problem", lambda: "none here")
    assert gpu_goals.main([]) == 2
    assert "Nothing was measured" in capsys.readouterr().err


def test_stages_name_drop_ins_that_are_there():
    loops_alone = {"direct", "group_norm", "layer_norm", "loss", "pad", "pointwise", "resize"}
    assert {name for names in gpu.STAGES.values() for name in names} == set(kernels.names()) - loops_alone


def test_a_wrong_result_is_not_timed():
    import numpy as np

    made = gpu.entry(lambda: lambda: [np.ones(3)], [np.zeros(3)], 1e-3, "cpu")
    assert made["status"] == "wrong"
    assert "ms" not in made
    nan = gpu.entry(lambda: lambda: [np.full(3, np.nan)], [np.ones(3)], 1e-3, "cpu")
    assert nan["status"] == "wrong"


def test_a_contestant_that_fails_costs_only_its_own_cell():
    def broken():
        raise RuntimeError("no such algorithm")

    for prepare in (broken, lambda: broken):
        assert gpu.entry(prepare, [], 1, "cpu")["why"] == "RuntimeError: no such algorithm"


@pytest.mark.skipif(cuda_problem() is None, reason="there is a GPU here, which would be measured")
def test_it_runs_on_a_bare_machine():
    """It needs no module beyond NumPy, CuPy, PyTorch and the package, not even ours for the CPU's BLAS threads."""
    code = (
        "import sys\n"
        "for name in ('rich', 'matplotlib', 'threadpoolctl', 'safetensors', 'PIL'): sys.modules[name] = None\n"
        "from benchmarks import gpu; print(gpu.main([]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
