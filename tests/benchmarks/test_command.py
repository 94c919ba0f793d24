"""The command line: usage, missing libraries, interruptions, and an environment that is clean before NumPy loads."""

import importlib
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from benchmarks import cli, contestants, imports, machine, suite
from benchmarks.contestants import Entry, pytorch


def _python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments], cwd=machine.ROOT, capture_output=True, text=True, env=os.environ | environment
    )


def test_the_kernel_is_free_before_numpy_loads():
    code = "import sys, benchmarks, os; print('numpy' in sys.modules, os.environ.get('OPENBLAS_CORETYPE'))"
    answer = _python("-c", code, OPENBLAS_CORETYPE="Prescott")
    assert answer.stdout.split() == ["False", "None"]


def test_a_numpy_that_loaded_too_early_is_started_anew(tmp_path):
    """What a process prints on its way out is its kernel: the one that is asked for would be Nehalem's."""
    show = "print('KERNEL', *[b['architecture'] for b in threadpool_info() if b['user_api'] == 'blas'])"
    early = f"import atexit, numpy\nfrom threadpoolctl import threadpool_info\natexit.register(lambda: {show})\n"
    (tmp_path / "sitecustomize.py").write_text(early, encoding="ascii")
    asked = {"OPENBLAS_CORETYPE": "Nehalem", "PYTHONPATH": str(tmp_path)}
    if _python("-c", "", **asked).stdout.split() != ["KERNEL", "Nehalem"]:
        pytest.skip("needs OpenBLAS for x86")
    # There are no records in this folder, so that the command ends at once.
    answer = _python("-m", "benchmarks", "report", "--results", str(tmp_path), **asked)
    assert "no records" in answer.stderr
    assert "KERNEL" in answer.stdout
    assert "Nehalem" not in answer.stdout


def test_help_and_bad_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in [*cli.MEASURES, *cli.OTHERS, "report", "all"])
    for wrong in (["nonsense"], ["cnn", "--repeats", "0"], ["cnn", "--threads", "x"], ["--device", "tpu"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(wrong)
        assert stopped.value.code == 2
        assert "error" in capsys.readouterr().err
    assert cli.main(["cnn", "--only", "numpy"]) == cli.FAILED
    assert "--only: expected some of dezero" in capsys.readouterr().err
    assert cli.main(["cnn", "--json", "/no/such/folder/r.json"]) == cli.FAILED
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["gpu", "--quick"], ["--device", "cuda", "--quick"], ["cnn", "--device=cuda", "--quick"]]
)
def test_the_gpu_has_a_module_of_its_own(words, monkeypatch):
    given = []
    module = types.SimpleNamespace(main=lambda argv: given.append(argv) or 3)
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(cli.importlib, "import_module", {"benchmarks.gpu": module}.get)
    assert cli.main(words) == 3
    assert given == [[w for w in words if w not in ("gpu", "--device", "cuda", "--device=cuda")]]


def test_a_module_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["transfer"]) == cli.FAILED
    assert "no benchmarks/transfer.py" in capsys.readouterr().err


def _with_one_case(monkeypatch, work):
    """Replace cnn's measurement, and keep the other libraries out."""
    module = importlib.import_module("benchmarks.cnn")
    monkeypatch.setattr(module, "run", work)


def _measure_one(run):
    entries = [Entry("tinyvision", lambda: None, lambda: {"y": [1.0]}, "tinyvision")]
    run.measure("cnn", "training step", "SimpleCNN", entries, suite.agreement.LOSS, run.turns(5, 3))


def test_without_pytorch_the_others_run(monkeypatch, capsys, tmp_path):
    def missing():
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(pytorch, "version", missing)
    _with_one_case(monkeypatch, _measure_one)
    code = cli.main(["cnn", "--only", "tinyvision,PyTorch", "--quick", "--json", str(tmp_path / "r.json")])
    captured = capsys.readouterr()
    assert code == cli.OK
    (line,) = [line for line in captured.err.splitlines() if "PyTorch" in line]
    assert line.endswith("install with: pip install '.[bench]'")
    assert "there are no ratios" in captured.out
    made = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert len(made["cases"][0]["entries"]["tinyvision"]["values"]) == 3
    assert "PyTorch" in made["missing"]


def test_a_broken_library_does_not_stop_the_others(monkeypatch):
    def broken():
        raise AttributeError("module 'numpy' has no attribute 'int'")

    monkeypatch.setattr(pytorch, "version", broken)
    found, missing = contestants.load(["tinyvision", "PyTorch"])
    assert list(found) == ["tinyvision"]
    assert "does not import (AttributeError: module 'numpy'" in missing["PyTorch"]


def test_our_own_wrong_result_fails_the_run(monkeypatch, capsys):
    def wrong(run):
        entries = [
            Entry(n, lambda: None, lambda y=y: {"y": [y]}, n) for n, y in (("PyTorch", 1.0), ("tinyvision", 2.0))
        ]
        run.measure("cnn", "training step", "SimpleCNN", entries, suite.agreement.LOSS, 1)

    _with_one_case(monkeypatch, wrong)
    assert cli.main(["cnn", "--only", "tinyvision"]) == cli.WRONG
    captured = capsys.readouterr()
    assert "wrong result, not timed" in captured.out
    assert "not timed in 1 cases" in captured.err


def test_a_part_that_ends_in_an_error_loses_none_of_the_others(monkeypatch, capsys, tmp_path):
    def broken(run):
        raise ValueError("too many values to unpack")

    _with_one_case(monkeypatch, _measure_one)
    monkeypatch.setattr(importlib.import_module("benchmarks.conv"), "run", broken)
    monkeypatch.setattr(cli, "DEFAULT", ("conv", "cnn"))
    assert cli.main(["--only", "tinyvision", "--quick", "--json", str(tmp_path / "r.json")]) == cli.WRONG
    told = capsys.readouterr().err
    assert "too many values" in told
    assert "conv ended in an error" in told
    (case,) = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["cases"]
    assert case["entries"]["tinyvision"]["status"] == "timed"


def test_an_interruption_leaves_nothing(monkeypatch, capsys, tmp_path):
    def interrupted(run):
        raise KeyboardInterrupt

    _with_one_case(monkeypatch, interrupted)
    assert cli.main(["cnn", "--only", "tinyvision", "--json", str(tmp_path / "r.json")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_contestant_has_an_import_to_be_measured():
    files = [path.stem for path in Path(contestants.__file__).parent.glob("*.py")]
    named = [importlib.import_module(f"benchmarks.contestants.{name}") for name in files if name != "__init__"]
    assert {module.NAME for module in named if hasattr(module, "NAME")} <= set(imports.STATEMENTS)


def test_imports_are_measured_with_compiled_modules(monkeypatch):
    """Where nothing keeps them, compiling took three times as long as importing, and only ours had to be compiled."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert imports.seconds("import sys; assert not sys.dont_write_bytecode") < 60
