"""`train.fit` on several ranks: the numbers of one process, and all of them stop, save and fail as one."""

import shutil

import numpy as np
import pytest

from tests.distributed.mpiexec import mpiexec
from tinyvision.train import load_checkpoint

CLOSE = 1e-11  # float64, sums in another order


def fit(ranks, folder, what="", **options):
    return mpiexec(ranks, "fits.py", folder, what, **options)


def apart(folder, other):
    """The largest difference between the last checkpoints of two runs: weights, the optimizer's memory, losses."""
    a, b = (load_checkpoint(f / "last.safetensors") for f in (folder, other))
    assert a.weights.keys() == b.weights.keys()
    gaps = [np.abs(a.weights[name] - b.weights[name]).max() for name in a.weights]
    for name, state in a.optimizer.items():
        gaps += [np.abs(np.asarray(value) - b.optimizer[name][what]).max() for what, value in state.items()]
    for row, theirs in zip(a.progress.rows, b.progress.rows, strict=True):
        assert row["train_accuracy"] == theirs["train_accuracy"]
        assert row["val_accuracy"] == theirs["val_accuracy"]
        gaps += [abs(row[name] - theirs[name]) for name in ("train_loss", "val_loss", "lr")]
    return max(gaps)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a whole run on so many ranks."""
    made = {}

    def run(ranks):
        if ranks not in made:
            made[ranks] = tmp_path_factory.mktemp(f"on{ranks}")
            result = fit(ranks, made[ranks])
            assert result.returncode == 0, result.stdout + result.stderr
            assert result.stdout.count("epoch 4/4") == 1, result.stdout  # one rank has the screen
        return made[ranks]

    return run


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_compute_what_one_process_does(runs, ranks):
    assert apart(runs(ranks), runs(1)) < CLOSE


def test_on_a_gpu_gradients_go_by_way_of_the_host(runs, tmp_path):
    result = fit(2, tmp_path, "gpu")
    assert result.returncode == 0, result.stdout + result.stderr
    assert apart(tmp_path, runs(1)) < 1e-9


@pytest.mark.parametrize("what", ["stop", "kill"])
def test_a_stopped_run_goes_on_with_the_same_bytes_and_with_fewer_ranks(runs, tmp_path, what):
    result = fit(3, tmp_path / "3", what)
    assert result.returncode != 0
    if what == "stop":
        assert result.stderr.count("stopped in epoch 2 after step 1 of 4 and saved") >= 1, result.stderr
    assert load_checkpoint(tmp_path / "3" / "last.safetensors").progress.total == (5 if what == "stop" else 4)
    for fewer in (2, 1):
        shutil.copytree(tmp_path / "3", tmp_path / str(fewer))
        gone_on = fit(fewer, tmp_path / str(fewer))
        assert "begun with 3 processes of 1 CPU thread and goes on with" in gone_on.stdout, gone_on.stderr
        assert apart(tmp_path / str(fewer), runs(1)) < CLOSE
    assert fit(3, tmp_path / "3").returncode == 0
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "3" / name).read_bytes() == (runs(3) / name).read_bytes(), name


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_before_the_step(tmp_path):
    result = fit(3, tmp_path, "nan")
    assert result.returncode != 0
    assert "TrainingError: the loss is nan" in result.stderr, result.stderr
    assert load_checkpoint(tmp_path / "last.safetensors").progress.total == 4


def test_what_rank_0_alone_cannot_do_all_hear_of(tmp_path):
    result = fit(3, tmp_path, "locked")
    assert result.returncode != 0
    assert "CheckpointError: another process is training in" in result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_the_mean_is_refused(tmp_path):
    result = fit(2, tmp_path, "sum")
    assert result.returncode != 0
    assert "several processes need a loss that is the mean over the images" in result.stderr, result.stderr
