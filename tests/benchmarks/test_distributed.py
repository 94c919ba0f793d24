"""The model of `python -m benchmarks distributed`, its tables and its picture, from numbers that are known."""

import pytest

from benchmarks import distributed
from benchmarks.tables import as_text

RECORD = {
    "network": "Small", "ranks": 2, "threads_each": 1, "images": 8, "pixels": 24, "gradient_bytes": 50_000_000,
    "compiled_loops": True,
    "seconds": {key: [0.1, 0.2, 0.3] for key in ("one", "threads", "local", "exact", "weak", "exchange")}
    | {"after": [0.104, 0.206, 0.305]},
    "median": {
        "one": 0.2, "threads": 0.1, "local": 0.1, "after": 0.11, "exact": 0.125, "weak": 0.2, "exchange": 0.01,
        "backward": 0.1,
    },
}  # fmt: skip


def test_a_ring_sends_less_than_twice_the_array():
    assert distributed.ring_seconds(50e6, 2, 100, latency=0) == pytest.approx(0.004)
    assert distributed.ring_seconds(50e6, 1024, 100, latency=0) == pytest.approx(0.008, rel=1e-3)
    assert distributed.ring_seconds(0, 3, 10, latency=1e-6) == pytest.approx(4e-6)


def test_an_exchange_hides_behind_the_backward_and_no_further():
    assert distributed.efficiency(0.1, 0.05, 0.1, overlap=False) == pytest.approx(0.5)
    assert distributed.efficiency(0.1, 0.05, 0.1, overlap=True) == pytest.approx(2 / 3)
    assert distributed.efficiency(0.1, 0.05, 0.01, overlap=True) == 1


def test_tables_and_picture(tmp_path):
    measured = as_text(distributed.measured_table(RECORD))
    assert "2 processes of 1 thread, batch-norm of all (exact)       125.0" in measured
    assert "80.0   2.00" in measured  # images a second with two threads, over one
    assert (
        "The exchange of 50.0 MB alone: 10.0 ms; begun beside the backward and not after it, a step is 5.0 ms"
        in measured
    )
    assert "backward: 50% of a step" in measured
    assert "4.01" in as_text(distributed.exchange_table(RECORD))
    assert "96%" in as_text(distributed.paper_table(RECORD, 0.1, overlap=False))
    distributed.draw([RECORD], tmp_path / "paper.svg", given=5.0)
    assert (tmp_path / "paper.svg").stat().st_size > 1000


def test_a_record_has_a_section_of_its_own(tmp_path):
    machine = {
        "cpu": "Some CPU", "cores": 2, "system": "Linux", "python": "3.11", "versions": {"NumPy": "2.4"}, "blas": [],
        "commit": "abc",
    }  # fmt: skip
    made = {
        "kind": "distributed", "created": "today", "command": "python -m benchmarks distributed", "machine": machine,
        "load": [9.0, 1.0], "step_ms": None, "records": [RECORD, {**RECORD, "ranks": 3}],
    }  # fmt: skip
    text = distributed.section(made, tmp_path / "two.json", "results")
    assert "Some CPU, 2 cores" in text
    assert "The machine was busy" in text
    assert (text.count("a training step on 8 images"), text.count("ring all-reduce")) == (2, 1)  # paper: of 2 ranks
    drawn = (tmp_path / "two.svg").read_bytes()
    distributed.section(made, tmp_path / "two.json", "results")
    assert (tmp_path / "two.svg").read_bytes() == drawn


def test_mistakes_are_refused():
    with pytest.raises(SystemExit):
        distributed.main(["--ranks", "1"])
