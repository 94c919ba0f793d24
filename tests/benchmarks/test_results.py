"""Goals are computed rightly, tables render, the page is the same each time, and every picture is a picture."""

import copy
import json
import re
import shutil
import types
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from benchmarks import breakdown, conv, goals, plots, record, report, tables, timing
from benchmarks.breakdown import kind, sample, shares
from tinyvision.errors import DataError, FileError
from tinyvision.kernels.cpu import compiled

CNN = "SimpleCNN, batch 64, 3×24×24"


def _entry(family, *values):
    return {
        "family": family, "status": "timed", "error": 1e-7, "share_of_tolerance": 0.1, **timing.summary(list(values))
    }  # fmt: skip


def _case(benchmark, group, name, unit="s", facts=(), **entries):
    return {
        "benchmark": benchmark, "group": group, "case": name, "unit": unit, "reference": "PyTorch",
        "tolerance": {"": {"share": 1e-6, "norm": "largest", "why": "a test"}},
        "entries": {n.replace("_", " "): e for n, e in entries.items()}, **dict(facts),
    }  # fmt: skip


@pytest.fixture
def made():
    """A record with every benchmark in it, with round numbers."""
    torch = {
        "PyTorch": _entry("PyTorch", 10.0, 10.0, 10.0),
        "PyTorch_channels-last": _entry("PyTorch", 8.0, 8.0, 8.0),
    }
    frozen = {"PyTorch_frozen": _entry("PyTorch frozen", 4.0, 4.0, 4.0)}
    folded = {"tinyvision_folded": _entry("tinyvision folded", 6.0, 6.0, 6.0)}
    cases = [_case("cnn", "training step", CNN, tinyvision=_entry("tinyvision", 3.0, 4.0, 8.0), **torch)]
    for batch in (1, 8):
        name, ours = f"ResNet-18, batch {batch}", _entry("tinyvision", 7.0, 7.0, 7.0)
        cases.append(_case("resnet18", "inference", name, tinyvision=ours, **folded, **torch, **frozen))
    cases.append(
        _case("resnet18", "training step", "ResNet-18", tinyvision=_entry("tinyvision", 9.0, 9.0, 9.0), **torch)
    )
    for i, layer in enumerate(conv.layers()):
        for j, group in enumerate(conv.PASSES):
            ours = _entry("tinyvision", *[(2.0 if i % 2 else 0.5) * (1 + j)] * 3)
            facts = {"flops": layer.flops, "least_bytes": layer.least_bytes, "batch": 8, "count": layer.count}
            theirs = _entry("PyTorch", 1.0, 1.0, 1.0)
            cases.append(_case("conv", group, layer.name, facts=facts, tinyvision=ours, PyTorch=theirs))
    memory = {n: _entry(n, size) | {"before": timing.summary([1e8]), "peak": timing.summary([1e8 + size])}
              for n, size in (("tinyvision", 3e8), ("PyTorch", 4e8))}  # fmt: skip
    cases.append(_case("memory", "training step", "ResNet-18, batch 8", "B", {"steps": 3}, **memory))
    times = {"tinyvision": _entry("tinyvision", 0.1), "PyTorch": _entry("PyTorch", 2.0)}
    cases.append(_case("import", "import", "import in a new process", **times))
    for value in (1, 2, 4, 8):
        cases.append(_case("scaling", "ResNet-18 inference, batch", str(value), facts={"value": value}, **{
            "tinyvision": _entry("tinyvision", value / 100), "PyTorch": _entry("PyTorch", value / 90)
        }))  # fmt: skip
    machine = {
        "cpu": "A processor", "cores": 2, "threads": 2, "memory_bytes": 2**34, "system": "Linux", "python": "3.12.0",
        "versions": {"NumPy": "2.0.0", "PyTorch": "2.13.0"}, "commit": "abc", "pytorch_cpu_capability": "AVX2",
        "blas": [{"library": "openblas", "version": "0.3", "kernel": "Haswell", "threads": 2}],
    }  # fmt: skip
    part = {
        "work": "ResNet-18 training step, batch 8", "way": "with fast", "threads": 1, "seconds": 0.5, "samples": 10,
        "kinds": {
            "product": 0.5, "columns and transforms": 0.2, "elementwise": 0.1, "compiled loops": 0.1, "Python": 0.1
        },
        "places": {"ops/conv.py: work (product)": 0.5},
    }  # fmt: skip
    return {
        "schema": 1, "kind": "cpu", "created": "2024-01-01T00:00:00+00:00", "command": "python -m benchmarks all",
        "quick": False, "seconds": 100.0, "machine": machine, "load_average": {"start": 0.1, "end": 1.5}, "missing": {},
        "ceilings": {"1": {"product": 1e11, "copy": 1e10}, "2": {"product": 2e11, "copy": 2e10}}, "cases": cases,
        "breakdown": [part],
    }  # fmt: skip


def _by_work(made):
    return {o.goal.work: o for o in goals.outcomes(made["cases"]) if o.goal.against != "ONNX Runtime"}


def test_goals_are_ratios_to_the_faster_layout(made):
    found = _by_work(made)
    step = found["SimpleCNN training step, batch 64"]
    assert step.ratio == pytest.approx(4 / 8)
    assert step.paired == pytest.approx(0.5)
    assert step.spread == pytest.approx((3.5 / 8, 6 / 8))
    assert step.verdict == "aim met"
    assert found["ResNet-18 inference, batch 8, as loaded"].verdict == "must met"  # 7 / 8
    assert found["ResNet-18 inference, batch 8, folded"].ratio == pytest.approx(6 / 4)
    assert found["ResNet-18 inference, batch 8, folded"].verdict == "missed by 58 %"
    assert found["ResNet-18 inference, batch 1, folded"].verdict == "missed by 50 %"
    assert found["ResNet-18 training step, batch 8"].ratio == pytest.approx(9 / 8)
    assert found["peak memory of a ResNet-18 training step, batch 8"].ratio == pytest.approx(0.75)
    assert found["import tinyvision / import torch"].ratio == pytest.approx(0.05)


def test_goals_are_for_the_compiled_loops_where_they_took_part(made):
    assert "NumPy alone" not in tables.goals_table(made).columns
    step = made["cases"][0]["entries"]
    step["tinyvision fast"] = _entry("tinyvision fast", 2.0, 2.0, 2.0)
    found, alone = _by_work(made), {o.goal.work: o for o in goals.outcomes(made["cases"], fast=False)}
    assert found["SimpleCNN training step, batch 64"].ratio == pytest.approx(2 / 8)
    assert alone["SimpleCNN training step, batch 64"].ratio == pytest.approx(4 / 8)
    assert found["ResNet-18 training step, batch 8"].ratio == pytest.approx(9 / 8)  # there they did not
    table = tables.goals_table(made)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["its ratio"], row["with fast"], row["ratio"]) == ("0.50×", "2 s", "0.25×")


def test_goals_of_layers_are_geometric_means(made):
    found = _by_work(made)
    forward = [2.0 if i % 2 else 0.5 for i in range(11)]
    mean = timing.geometric_mean(forward)
    assert found["convolution layers, forward (geometric mean)"].ratio == pytest.approx(mean)
    # Both gradients of a layer are added up; the stem has no image gradient: 3·f for one, else (2 + 3)·f for two.
    backward = [3 * forward[0] / 1, *(5 * f / 2 for f in forward[1:])]
    expected = timing.geometric_mean(backward)
    assert found["convolution layers, backward (geometric mean)"].ratio == pytest.approx(expected)


def test_a_goal_with_a_wrong_result_is_not_measured(made):
    step = made["cases"][0]
    step["entries"]["tinyvision"] = {"family": "tinyvision", "status": "wrong", "reason": "off"}
    layer = next(c for c in made["cases"] if c["benchmark"] == "conv")
    layer["entries"]["tinyvision"] = {"family": "tinyvision", "status": "failed", "reason": "off"}
    found = _by_work(made)
    assert found["SimpleCNN training step, batch 64"].verdict == "not measured"
    assert found["convolution layers, forward (geometric mean)"].ratio is None
    text = tables.as_text(tables.case_table(step))
    assert "tinyvision: wrong result, not timed: off" in text
    assert "failed, not timed: off" in tables.as_text(tables.layers_table(made, "forward"))


def _tables(made):
    """All tables, as on a terminal."""
    names = dict.fromkeys([case["benchmark"] for case in made["cases"]] + ["profile"])
    return [table for name in names for table in tables.tables_of(made, name)] + tables.summary_tables(made)


@pytest.mark.parametrize("render", [tables.as_text, tables.as_markdown])
def test_tables_render(made, render):
    for table in _tables(made):
        text = render(table)
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert all(cell in text for row in table.rows for cell in row if cell)
        assert "nan" not in text
        assert "None" not in text


def test_tables_without_pytorch(made):
    for case in made["cases"]:
        case["entries"] = {n: e for n, e in case["entries"].items() if not e["family"].startswith("PyTorch")}
        case["reference"] = "tinyvision"
    text = "\n".join(map(tables.as_text, _tables(made)))
    assert "there are no ratios" in text
    assert "Goals" not in text


def test_shares_of_the_ceilings(made):
    layer = next(c for c in made["cases"] if c["benchmark"] == "conv")
    entry = layer["entries"]["tinyvision"]
    entry |= timing.summary([layer["flops"] / 1e11])  # half of the 2e11 FLOP/s of two threads
    row = tables.layers_table(made, "forward").rows[0]
    assert row[-3:] == ("100", "50 %", "50 %")


def test_amounts():
    assert [tables.amount(s, "s") for s in (2.5, 0.0123, 0.0000456)] == ["2.5 s", "12.3 ms", "45.6 µs"]
    assert tables.amount(3 * 2**20, "B") == "3 MiB"
    assert tables.amount(None, "s") == "–"


def _written(folder, made):
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder / "cpu.json", made)
    return report.write(folder)[0]


def test_the_report_is_the_same_each_time(made, tmp_path):
    page = _written(tmp_path / "results", made)
    first = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report.write(tmp_path / "results")
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    assert page == tmp_path / "RESULTS.md"
    text = page.read_text(encoding="utf-8")
    assert "ResNet-18 inference, batch 8, folded**: 1.50× where at most 0.95× is wanted, missed by 58 %" in text
    assert "Not yet measured" in text  # the GPU
    for name in first:
        if name.endswith(".svg"):
            assert f"results/{name}" in text
            assert ElementTree.fromstring(first[name]).tag.endswith("svg")
    assert sum(name.endswith(".svg") for name in first) == 7


def test_the_page_is_what_the_records_say(tmp_path):
    shutil.copytree(report.RESULTS, tmp_path / "results")
    page, _ = report.write(tmp_path / "results")
    committed = report.RESULTS.parent / "RESULTS.md"
    assert page.read_text(encoding="utf-8") == committed.read_text(encoding="utf-8")


def test_readme_has_the_goals_of_the_records():
    text = report.README.read_text(encoding="utf-8")
    records = [record.read(path) for path in sorted(report.RESULTS.glob("cpu*.json"))]
    assert len(records) >= 2
    assert report.with_the_goals(text, records) == text
    records[0]["cases"][0]["entries"] = {}
    assert report.with_the_goals(text, records) != text


def test_the_goals_of_several_machines_are_short(made):
    other = copy.deepcopy(made)
    other["machine"]["cpu"] = "Another(R) Processor (AVX2)"
    other["cases"] = other["cases"][:1]
    table = tables.machines_table([made, other])
    assert table.columns[1:] == ("A processor", "NumPy alone", "Another", "NumPy alone")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["SimpleCNN training step, batch 64"] == ("0.50 (4 s)", "0.50", "0.50 (4 s)", "0.50")
    assert rows["ResNet-18 inference, batch 8, folded (to PyTorch frozen)"] == ("1.50 (6 s)", "1.50", "", "")
    assert "SimpleCNN training step, batch 8" not in rows  # measured nowhere


def test_the_report_says_where_the_time_of_a_missed_goal_goes_and_what_was_tried(made, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda made, path: {})
    step = next(c for c in made["cases"] if (c["benchmark"], c["group"]) == ("resnet18", "training step"))
    step["entries"]["tinyvision"] |= timing.summary([16.0, 16.0, 16.0])
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "cpu.tried.md").write_text("Standing on one leg.\n", encoding="utf-8")
    text = _written(tmp_path / "results", made).read_text(encoding="utf-8")
    assert "missed by 100 %. Where its time goes on one thread: product 50 %, columns and transforms 20 %" in text
    assert "Standing on one leg." in text


def test_other_whole_runs_stand_beside_the_record(made, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda made, path: {})
    assert "other runs" not in _written(tmp_path / "results", made).read_text(encoding="utf-8")
    step, folder = made["cases"][0]["entries"], tmp_path / "results" / "cpu.runs"
    folder.mkdir()
    for i, ours in enumerate((12.0, 20.0)):
        other = copy.deepcopy(made)
        other["cases"][0]["entries"]["tinyvision"] = step["tinyvision"] | timing.summary([ours] * 3)
        record.write(folder / f"{i}.json", other)
    text = _written(tmp_path / "results", made).read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| SimpleCNN training step"))
    assert "| 1.50×, 2.50× | aim met |" in row
    assert "Other whole runs, before it, in order of time: 2" in text


def test_a_busy_machine_and_a_quick_run_are_told(made, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda made, path: {})
    made["load_average"]["start"], made["quick"] = 3.0, True
    text = _written(tmp_path / "results", made).read_text(encoding="utf-8")
    assert "The machine was busy" in text
    assert "A quick run" in text


def test_part_of_a_record_renders(made, tmp_path):
    made["cases"], made["ceilings"] = made["cases"][:1], None
    del made["breakdown"]
    text = _written(tmp_path / "results", made).read_text(encoding="utf-8")
    assert "Not measured: SimpleCNN training step, batch 8; SimpleCNN training step, batch 1; ResNet-18" in text


def test_records_survive_a_round(made, tmp_path):
    before = copy.deepcopy(made)
    record.write(tmp_path / "r.json", made)
    assert made == before
    back = record.read(tmp_path / "r.json")
    assert goals.outcomes(back["cases"])[0].ratio == goals.outcomes(made["cases"])[0].ratio
    record.write(tmp_path / "again.json", back)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "r.json").read_bytes()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "cpu"}', '{"schema": 0, "kind": "cpu", "cases": []}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"r\.json"):
        report.write(tmp_path)
    assert not (tmp_path.parent / "RESULTS.md").exists()


def test_no_records(tmp_path):
    with pytest.raises(DataError, match="no records"):
        report.write(tmp_path)
    with pytest.raises(DataError, match="no records"):
        report.write(tmp_path / "missing")


def test_a_path_that_cannot_be_written_is_found_before_measuring(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        record.check_writable(tmp_path / "no" / "r.json")
    with pytest.raises(FileError, match="folder"):
        record.check_writable(tmp_path)
    record.check_writable(tmp_path / "r.json")


def test_committed_records_can_be_read():
    for path in report.RESULTS.glob("*.json"):
        assert json.dumps(record.read(path))


def test_kinds_of_work_are_told_apart():
    import inspect

    from tinyvision import tape
    from tinyvision.kernels.cpu import columns, crew, depthwise
    from tinyvision.ops import activation, im2col, linear

    def kind_of(function, word):
        lines, first = inspect.getsourcelines(function)
        number = first + next(i for i, line in enumerate(lines) if word in line)
        return kind(inspect.getsourcefile(function), function.__name__, number)

    assert kind_of(linear.matmul_forward, "a @ b") == "product"
    assert kind_of(im2col.image_slab, "scratch") == "columns and transforms"
    assert kind_of(activation.relu_forward, "return") == "elementwise"
    assert kind_of(tape._walk, "heappop") == "Python"
    assert kind_of(compiled.Loop.__call__, "self.run") == "compiled loops"
    assert kind_of(crew.run, ".shared(") == "compiled loops"
    assert kind_of(columns._correlate, "np.matmul") == "product"
    assert kind_of(depthwise._window, "return") == "Python"
    assert kind(json.__file__, "loads", 1) == "Python"


def test_every_work_is_profiled_in_each_way_under_its_goals_name(monkeypatch):
    monkeypatch.setattr(breakdown, "sample", lambda work, seconds: (Counter({("product", "a.py: f"): 3}), 2, 1.0))
    loops = compiled.ready()
    seen = types.SimpleNamespace(extras={}, modules={}, threads=1, quick=True, say=lambda text: None)
    breakdown.run(seen)
    parts = [(part["work"], part["way"]) for part in seen.extras["breakdown"]]
    assert len(parts) == len(set(parts)) == (16 if loops else 8)
    assert {work for work, _ in parts} <= {goal.work for goal in goals.GOALS}
    assert {way for _, way in parts} == {"NumPy alone", "with fast"} if loops else {"NumPy alone"}


def test_a_frame_between_two_lines_of_source_has_a_place():
    code = types.SimpleNamespace(co_filename=str(breakdown.PACKAGE / "tape.py"), co_name="_walk", co_firstlineno=1)
    frame = types.SimpleNamespace(f_code=code, f_lineno=None, f_back=None)
    assert breakdown.place(frame) == ("Python", "tape.py: _walk")


def test_a_watcher_that_dies_is_no_profile(monkeypatch):
    def place(frame):
        raise ZeroDivisionError("no place")

    monkeypatch.setattr(breakdown, "place", place)
    with pytest.raises(ZeroDivisionError, match="no place"):
        sample(lambda: sum(range(1000)), 0.05)


def test_samples_fall_where_the_time_goes():
    import numpy as np

    from tinyvision import ops

    x, weight = np.ones((4, 64, 28, 28), np.float32), np.ones((64, 64, 3, 3), np.float32)
    counts, calls, elapsed = sample(lambda: ops.conv2d_forward(x, weight, stride=2), 0.3)
    kinds, places = shares(counts)
    assert calls >= 2
    assert elapsed >= 0.3
    assert sum(kinds.values()) == pytest.approx(1)
    assert kinds["product"] > 0
    assert all(re.search("conv|im2col|threads|blocks|checks|types", p) for p in places)
