"""The page and pictures of a GPU's record, drawn from made-up numbers that live here only."""

import copy
import math
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import conv, gpu_page, record, report
from tinyvision.errors import DataError, FileError

STAGES = ("CuPy 0: im2col + cuBLAS", "CuPy 1: fused", "CuPy 2: implicit GEMM", "CuPy 3: Winograd")


def timed(ms):
    return {"status": "timed", "difference": 1e-6, "ms": ms}


@pytest.fixture
def made():
    """A record of a device that does not exist."""
    cases = []
    for mode in gpu_page.MODES:
        for i, layer in enumerate(conv.layers(64)):
            for group in gpu_page.DIRECTIONS:
                entries = {
                    "NumPy": timed(500.0), STAGES[0]: timed(4.0), STAGES[2]: timed(2.0 + i),
                    STAGES[3]: {"status": "as stage 2"},
                    "PyTorch NCHW": timed(3.0), "PyTorch channels-last": timed(2.0),
                }  # fmt: skip
                cases.append({"case": layer.name, "group": group, "precision": mode, "count": layer.count,
                              "flops": 1e9, "bytes": 1e6, "entries": entries})  # fmt: skip
        entries = {"NumPy": timed(9000.0), **{stage: timed(8.0 - i) for i, stage in enumerate(STAGES)}}
        entries |= {"PyTorch NCHW": timed(5.0), "PyTorch channels-last": {"status": "failed", "why": "a test"}}
        cases.append({"case": "ResNet-18, inference", "group": "network", "precision": mode, "entries": entries})
    cross = {"batches": [1, 4, 16], "cpu_ms": [1.0, 4.0, 16.0], "gpu_ms": [2.0, 2.0, 2.0], "from": 4}
    return {
        "kind": "gpu", "schema": 1, "created": "never", "command": "a test", "device": {"name": "Made-up device"},
        "cpu": {"name": "none", "threads": 1}, "versions": {"CuPy": "0"}, "batch": 64, "cases": cases,
        "ceilings": {"copy_gb_s": 1000.0, "fp32_tflops": 1.0, "tf32_tflops": 4.0},
        "crossover": {"SimpleCNN, training step": cross},
    }  # fmt: skip


def written(tmp_path, made):
    folder = tmp_path / "results"
    folder.mkdir(exist_ok=True)
    record.write(folder / "made-up.json", made)
    return report.write(folder)[0].read_text(encoding="utf-8")


def test_the_page_shows_every_picture_and_number(made, tmp_path):
    text = written(tmp_path, made)
    assert "Not yet measured" not in text
    pictures = sorted(path.name for path in (tmp_path / "results").glob("*.svg"))
    assert pictures == [f"made-up-{name}.svg" for name in ("crossover", "layers", "networks", "roofline")]
    for name in pictures:
        assert text.count(f"results/{name}") == 1
    assert "SimpleCNN, training step: faster on the GPU than on the CPU from batch 4 on (tried: 1, 4, 16)" in text
    row = next(line for line in text.splitlines() if line.startswith("| stem"))
    assert row.endswith("| 500 | 4 | 2 | as stage 2 | 3 | 2 | 1.00 | 12% |")  # 1e9 / 4e12 s of 2 ms
    assert "| ResNet-18, inference | 9000 | 8 | 7 | 6 | 5 | 5 | failed | 1.00 | — |" in text


def test_the_page_says_why_something_was_not_timed(made):
    made["cases"][0]["entries"]["CuPy 0: im2col + cuBLAS"] = {"status": "wrong", "difference": 0.5, "tolerance": 1e-4}
    text = gpu_page.section(made, "x.json")
    assert "* PyTorch channels-last failed: a test (ResNet-18, inference)" in text
    assert "im2col + cuBLAS was off by more than 1e-04 of the largest result (stem 7×7/2, 3→64 at 224²: 5.0e-01" in text


def test_the_pictures_are_pictures_of_these_numbers(made, tmp_path):
    drawn = gpu_page.draw(made, tmp_path / "r.json")
    assert list(drawn) == list(gpu_page.PICTURES)
    first = {}
    for name, (file, what) in drawn.items():
        first[name] = (tmp_path / file).read_bytes()
        assert ElementTree.fromstring(first[name]).tag.endswith("svg")
        assert what
    gpu_page.draw(made, tmp_path / "r.json")
    assert all((tmp_path / file).read_bytes() == first[name] for name, (file, _) in drawn.items())
    for case in made["cases"]:
        for entry in case["entries"].values():
            if "ms" in entry and entry["ms"] != 2.0:
                entry["ms"] *= 1.5
    made["crossover"]["SimpleCNN, training step"]["gpu_ms"][2] = 3.0
    changed = gpu_page.draw(made, tmp_path / "r.json")
    assert all((tmp_path / file).read_bytes() != first[name] for name, (file, _) in changed.items())


def bars(figure, panel=0):
    return [(round(p.get_y() + p.get_height() / 2, 2), p.get_width()) for p in figure.axes[panel].patches]


def test_bars_are_ratios_to_the_faster_layout_of_our_fastest_stage(made):
    figure = gpu_page.layers_picture(made)
    assert [axes.get_title() for axes in figure.axes] == ["TF32", "full FP32"]
    found = dict(bars(figure))
    assert found[-0.27] == pytest.approx(2.0 / 2.0)  # the first layer, forward
    assert found[2.27] == pytest.approx(4.0 / 2.0)  # the third, weight gradient: stage 0 is the fastest there


def test_shares_of_the_roofline_are_ours_and_pytorch_s(made):
    figure = gpu_page.roofline_picture(made)
    assert dict(bars(figure))[-0.27] == pytest.approx(0.25 / 2.0)
    assert dict(bars(figure, 1))[-0.27] == pytest.approx(1.0 / 2.0)  # the ceiling of FP32 is lower
    assert len(figure.axes[0].collections) == 3  # rings for every direction
    made["ceilings"] = {}
    assert gpu_page.roofline_picture(made) is None


def test_stages_stand_under_one_another(made):
    (axes,) = gpu_page.networks_picture(made).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == [*STAGES, "PyTorch NCHW", "PyTorch channels-last"]
    assert "NumPy: 9000 ms" in axes.get_title()
    assert sorted(p.get_width() for p in axes.patches) == [5, 5, 5, 5, 6, 6, 7, 7, 8, 8]


def test_the_crossing_is_marked(made):
    cross = made["crossover"]["SimpleCNN, training step"]
    assert gpu_page.crossing_point(cross) == pytest.approx((2.0, 2.0))  # the CPU takes 1 ms for each image
    (axes,) = gpu_page.crossover_picture(made).axes
    assert "from batch 4 on" in axes.get_title()
    assert [2.0] in [list(line.get_xdata()) for line in axes.lines]
    cross["gpu_ms"], cross["from"] = [20.0] * 3, None
    assert gpu_page.crossing_point(cross) is None
    (axes,) = gpu_page.crossover_picture(made).axes
    assert "the CPU is as fast at every batch size tried" in axes.get_title()
    cross["gpu_ms"], cross["from"] = [0.5] * 3, 1
    assert gpu_page.crossing_point(cross) is None  # ahead from the smallest on
    cross["gpu_ms"] = [2.0, 2.0, 20.0]
    assert gpu_page.crossing_point(cross) == pytest.approx((2.0, 2.0))


def test_part_of_a_record_renders(made, tmp_path):
    made["cases"], made["crossover"], made["ceilings"] = made["cases"][:1], {}, {}
    text = written(tmp_path, made)
    assert "made-up-layers.svg" in text
    assert "roofline.svg" not in text


def test_without_pytorch_there_are_no_ratios(made, tmp_path):
    for case in made["cases"]:
        case["entries"] = {n: e for n, e in case["entries"].items() if not n.startswith("PyTorch")}
    assert "made-up-layers.svg" not in written(tmp_path, made)


@pytest.mark.parametrize("key", ["crossover", "schema", "ceilings"])
def test_a_record_of_another_version_is_refused(made, tmp_path, key):
    broken = copy.deepcopy(made)
    del broken[key]
    with pytest.raises(DataError, match=r"made-up\.json: a GPU's record of another version"):
        written(tmp_path, broken)
    assert not (tmp_path / "RESULTS.md").exists()


def test_nothing_made_up_is_committed():
    for path in report.RESULTS.glob("*.json"):
        assert "Made-up" not in path.read_text(encoding="utf-8")


@pytest.fixture
def stand_in(made, monkeypatch):
    """benchmarks.gpu on a machine that claims to have the made-up device, and measures nothing."""
    gpu = pytest.importorskip("benchmarks.gpu")
    measured = []
    monkeypatch.setattr(gpu, "cuda_problem", lambda: None)
    monkeypatch.setattr(gpu, "report", lambda: {"devices": [made["device"]]})
    monkeypatch.setattr(gpu, "measure", lambda *arguments: measured.append(arguments) or made)
    return gpu, measured


def test_the_command_writes_record_and_pictures(stand_in, made, tmp_path, capsys):
    gpu, measured = stand_in
    assert gpu.main(["--json", str(tmp_path / "r.json"), "--batch", "3", "--quick"]) == 0
    assert measured[0][:2] == (3, ("tf32",))
    assert {path.name for path in tmp_path.iterdir()} == {"r.json", *(f"r-{name}.svg" for name in gpu_page.PICTURES)}
    told = capsys.readouterr().out
    assert "Made-up device" in told
    assert f"picture: {tmp_path / 'r-crossover.svg'}" in told
    assert record.read(tmp_path / "r.json")["batch"] == 64
    made["cases"][0]["entries"]["NumPy"] = {"status": "wrong", "difference": 1.0, "tolerance": 0.1}
    assert gpu.main(["--json", str(tmp_path / "r.json")]) == 1


def test_without_matplotlib_the_record_is_written_all_the_same(stand_in, tmp_path, monkeypatch, capsys):
    gpu, _ = stand_in
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    assert gpu.main(["--json", str(tmp_path / "r.json")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert "pip install matplotlib" in capsys.readouterr().out


def test_where_no_record_can_be_written_nothing_is_measured(stand_in, tmp_path):
    gpu, measured = stand_in
    with pytest.raises(FileError, match="does not exist"):
        gpu.main(["--json", str(tmp_path / "no" / "r.json")])
    assert measured == []


def test_goals_are_ratios_of_what_was_measured(made):
    rows = {what: (found, must) for what, found, must, _ in gpu_page.goals(made)}
    assert rows["ResNet-18 inference, eager"] == (
        pytest.approx(6.0 / 5.0),
        0.95,
    )
    assert rows["SimpleCNN training step, eager"][0] is None
    layers = [min(4.0, 2.0 + i) / 2.0 for i in range(len(conv.layers(64)))]
    (mean,) = (found for what, (found, _) in rows.items() if what.startswith("convolutions, image gradient"))
    assert mean == pytest.approx(math.prod(layers) ** (1 / len(layers)))
    page = gpu_page.section(made, "x.json")
    assert "| ResNet-18 inference, eager | 1.20 | 0.95 | 0.8 | missed |" in page
    assert "| SimpleCNN training step, eager | — | 1.3 | 1.0 | not measured |" in page


def test_launches_and_copies_are_told(made):
    made["small"] = {"launch_us": {"tinyvision": 9.04, "PyTorch": 4.0},
                     "copies": [{"bytes": 1 << 25, "to_ms": 2.0, "back_ms": 4.0}]}  # fmt: skip
    page = gpu_page.section(made, "x.json")
    assert "tinyvision 9.0 µs, PyTorch 4.0 µs" in page
    assert "| 32 MiB | 2 ms (16.8 GB/s) | 4 ms (8.39 GB/s) |" in page
