"""One network in several engines: agreement before time, engines that are absent or wrong are said to be so."""

import importlib.util
import json
import os
import sys

import numpy as np
import pytest

from benchmarks import cli, interop

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

WITH_KERAS = interop._keras


def without_keras():
    raise interop.Missing("keras is not installed")


@pytest.fixture(autouse=True)
def a_small_field(monkeypatch):
    """Small pictures, and no Keras, which takes its time."""
    monkeypatch.setattr(interop, "NETWORKS", {"squeezenet1_1": (interop.OURS, 64)})
    monkeypatch.setattr(interop, "_keras", without_keras)


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
    shown = capsys.readouterr().out
    assert "absent: onnxruntime is not installed" in shown
    for engine in (interop.KERAS, interop.LITE):
        assert f"{engine}  " in shown
    assert shown.count("absent: keras is not installed") == 2


@pytest.mark.parametrize(("options", "message"), [(["--only", "resnet"], "there are"), (["--turns", "0"], "positive")])
def test_bad_options(options, message, capsys):
    assert run(*options) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def pretended_tensorflow(monkeypatch, tmp_path):
    """A Python that answers as tensorflow_worker.py does, with the engines' numbers that it was told."""

    def make(body):
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\nimport io, sys\nimport numpy as np\n{body}")
        script.chmod(0o755)
        monkeypatch.setenv("TINYVISION_TENSORFLOW_PYTHON", str(script))

    return make


ANSWERS = """
answer = np.array("2.0")
while True:
    np.save(file := io.BytesIO(), answer)
    sys.stdout.buffer.write(b"%d\\n" % file.tell() + file.getvalue())
    sys.stdout.flush()
    if not (line := sys.stdin.readline()):
        break
    answer = np.load(sys.argv[3]).mean((1, 2)) + ("Lite" in line)
"""


@pytest.fixture
def worker(tmp_path):
    """A worker for pictures of ones."""
    return lambda: interop.Worker(tmp_path / "net.keras", np.ones((2, 4, 4, 3), np.float32))


def test_another_process_answers_each_engine(pretended_tensorflow, worker):
    pretended_tensorflow(ANSWERS)
    with worker() as tensorflow:
        assert tensorflow.version == "2.0"
        assert np.array_equal(tensorflow.run(interop.KERAS_TF), np.ones((2, 3)))
        assert np.array_equal(tensorflow.run(interop.LITE), np.full((2, 3), 2))
        process = tensorflow._process
    assert process.returncode == 0


def test_a_process_that_ends_is_told_by_its_last_words(pretended_tensorflow, worker, monkeypatch, tmp_path):
    pretended_tensorflow("raise ModuleNotFoundError(\"No module named 'tensorflow'\")")
    with pytest.raises(interop.Missing, match=r"its process ended: .*No module named 'tensorflow'"), worker():
        pass
    pretended_tensorflow(ANSWERS.replace("np.load", "sys.exit('enough')"))
    with worker() as tensorflow:
        for _ in range(2):
            with pytest.raises(interop.Missing, match="its process ended: enough"):
                tensorflow.run(interop.LITE)
    monkeypatch.setenv("TINYVISION_TENSORFLOW_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(interop.Missing, match="nowhere cannot be run: No such file"):
        worker()


def test_tensorflow_lite_agrees(tmp_path, monkeypatch):
    if "TINYVISION_TENSORFLOW_PYTHON" not in os.environ and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed (TINYVISION_TENSORFLOW_PYTHON may name a Python that has it)")
    monkeypatch.setattr(interop, "_keras", WITH_KERAS)
    assert run("--json", str(tmp_path / "record.json")) == 0
    row = json.loads((tmp_path / "record.json").read_text())["rows"][0]
    for engine in (interop.KERAS_TF, interop.LITE):
        assert 0 < row["differences"][engine] < 1e-5
        assert row["times"][engine]["median"] > 0
    assert row["versions"].keys() >= {"TensorFlow", "Keras"}


def test_tensorflow_is_asked_for_by_name(monkeypatch, worker):
    monkeypatch.delenv("TINYVISION_TENSORFLOW_PYTHON", raising=False)
    monkeypatch.setattr(interop.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(interop.Missing, match="TINYVISION_TENSORFLOW_PYTHON may name a Python that has it"):
        worker()


def test_keras_on_pytorch_records_nothing():
    torch = pytest.importorskip("torch")

    class Keras:
        class ops:
            convert_to_numpy = staticmethod(lambda answer: answer)

    assert interop._keras_here(Keras, lambda pictures, training: torch.is_grad_enabled() or training, None) is False
