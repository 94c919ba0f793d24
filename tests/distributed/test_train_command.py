"""`tinyvision train` on several processes: started by itself or by mpiexec, and ended as one."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.distributed.mpiexec import environment, mpiexec
from tinyvision.train import load_checkpoint

TINYVISION = [sys.executable, "-m", "tinyvision"]


def tinyvision(folder, *arguments):
    return subprocess.run(
        [*TINYVISION, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=600
    )


def test_it_starts_processes_that_train_one_network(tmp_path):
    result = tinyvision(tmp_path, "train", "--processes", "2", "--epochs", "1", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)  # once
    assert answer["run"] == "runs/digits-1"
    assert answer["test_images"] == 359
    assert "2 processes, each cpu with 1 thread," in result.stderr
    assert result.stderr.count("epoch 1/1") == 1
    assert load_checkpoint(tmp_path / "runs/digits-1/last.safetensors").notes["processes"] == 2
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["digits-1"]


def iter_until(stream, start):
    """The lines of a stream up to the first that starts so, or to its end."""
    for line in stream:
        yield line
        if line.startswith(start):
            return


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has other signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_reaches_all_of_them_once(tmp_path, number):
    command = [*TINYVISION, "train", "--processes", "2", "--epochs", "9999", "--run", "run", "--save-every", "1"]
    job = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    lines = list(iter_until(job.stderr, "epoch "))
    assert lines[-1].startswith("epoch "), "".join(lines)
    os.killpg(job.pid, number)  # as a terminal does
    _, told = job.communicate(timeout=600)
    assert job.returncode == 128 + number
    last = told.strip().splitlines()[-1]
    assert last.startswith("stopped in epoch ")
    assert last.endswith("and saved; go on with: tinyvision train --resume run")
    assert told.count("stopped in") == 1
    assert load_checkpoint(tmp_path / "run/last.safetensors").progress.total > 0


def test_a_mistake_is_told_once_and_without_the_words_of_mpi(tmp_path):
    result = tinyvision(tmp_path, "train", "--processes", "2", "--data", "folder", "--root", "nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith("tinyvision: ")
    assert result.stderr.strip().count("\n") == 0, result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train"], "mpiexec has started 2 processes; add --distributed, so that they train one network together"),
        (
            ["train", "--processes", "2"],
            "--processes starts processes itself: leave out --distributed, mpirun and srun",
        ),
    ],
)
def test_processes_that_know_nothing_of_each_other_are_refused(tmp_path, arguments, told):
    result = mpiexec(2, ["-m", "tinyvision"], *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert told in result.stderr
    assert not list(tmp_path.iterdir())


def test_processes_of_torchrun_are_told_of_mpirun(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = tinyvision(tmp_path, "train")
    assert result.returncode == 2
    assert "torchrun has started 2 processes; use mpirun -n 2 and --distributed, so that" in result.stderr


@pytest.mark.parametrize("options", [["--distributed"], ["--processes", "2"]])
def test_downloads_are_for_one_process(tmp_path, options):
    result = tinyvision(tmp_path, "train", "--data", "mnist", "--download", *options)
    assert result.returncode == 2
    assert "--download is for one process" in result.stderr
