"""One network in several engines: agreement before time, engines that are absent or wrong are said to be so."""

import json

import pytest

from benchmarks import cli, interop

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(interop, "NETWORKS", {"mobilenet_v3_small": (interop.OURS, 32)})


def run(*options):
    return cli.main(["interop", "--batch", "2", "--turns", "1", *options])


def test_engines_agree_and_are_recorded(tmp_path, capsys):
    assert run("--json", str(tmp_path / "record.json")) == 0
    shown = capsys.readouterr().out
    row = json.loads((tmp_path / "record.json").read_text())["rows"][0]
    for engine in (interop.ORT, interop.BACK):
        assert engine in shown
        assert 0 < row["differences"][engine] < 1e-5
        assert row["times"][engine]["median"] > 0


def test_an_engine_that_computes_something_else_is_not_timed(monkeypatch, capsys):
    monkeypatch.setattr(interop, "_onnx_runtime", lambda name, model, x, folder: lambda: interop._ours(model, x) * 1.01)
    assert run() == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if interop.ORT in line)
    assert "wrong" in line
    assert "ms" not in line


def test_what_is_not_installed_is_said(monkeypatch, capsys):
    def missing(*_):
        raise interop.Missing("onnxruntime is not installed")

    monkeypatch.setattr(interop, "_onnx_runtime", missing)
    assert run() == 0
    assert "absent: onnxruntime is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "message"), [(["--only", "resnet"], "there are"), (["--turns", "0"], "positive")])
def test_bad_options(options, message, capsys):
    assert run(*options) == 2
    assert message in capsys.readouterr().err
