"""Several ranks on this machine against one process, in float64, and what happens when one of them fails."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.mpiexec import command, environment, mpiexec

CLOSE = 1e-12  # float64, sums in another order; the controls are off by 1e-2 and more


@pytest.fixture(scope="session")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")

    @cache
    def run(program, ranks):
        out = folder / f"{program}{ranks}.npz"
        result = mpiexec(ranks, "ranks.py", program, out)
        assert result.returncode == 0, result.stdout + result.stderr
        with np.load(out) as arrays:
            return dict(arrays)

    return run


def apart(a, b):
    assert a.keys() == b.keys()
    return max(np.abs(a[name] - b[name]).max() for name in a)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_train_as_one_process_does(outcome, ranks):
    assert apart(outcome("plain", ranks), outcome("plain", 1)) < CLOSE


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_with_synchronised_batch_norm_too(outcome, ranks):
    assert apart(outcome("sync", ranks), outcome("local", 1)) < CLOSE


@pytest.mark.parametrize(("control", "of"), [("plain_mean", "plain"), ("local", "local"), ("one_stream", "plain")])
def test_without_what_is_done_for_it_they_do_not(outcome, control, of):
    assert apart(outcome(control, 3), outcome(of, 1)) > 1e-3


@pytest.mark.parametrize("way", ["window", "messages"])
def test_gradients_leave_while_the_backward_goes_on(outcome, way):
    assert apart(outcome(way, 3), outcome("plain", 1)) < CLOSE


@pytest.mark.parametrize(("way", "ranks"), [("nccl", 2), ("nccl", 3), ("one_gpu", 2)])
def test_between_gpus_they_do_so_too_where_each_rank_has_its_own(outcome, way, ranks):
    assert apart(outcome(way, ranks), outcome("local", 1)) < CLOSE


def test_a_model_may_be_moved_and_frozen_in_between(outcome):
    found = outcome("moved", 2)
    assert found["bias"].dtype == np.float64
    assert found["bias"].tolist() == [1.0]
    assert found["frozen"].all()


def test_gradients_gathered_without_exchange_are_exchanged_later(outcome):
    assert apart(outcome("accumulate", 3), outcome("accumulate", 1)) < CLOSE


def test_a_parameter_that_one_rank_uses_has_a_gradient_on_all(outcome):
    found = outcome("unused", 3)
    assert found["there"].tolist() == [True] * 3 + [False] * 3
    np.testing.assert_allclose(found["first"], np.full((1, 4), 1 / 3))


def test_collective_calls(outcome):
    found = outcome("collectives", 3)
    assert found["sum"].tolist() == [3, 3]
    assert found["max"].tolist() == [2]
    assert found["last"].tolist() == [20]
    assert found["table"].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert (found["drawn"] == found["drawn"][0]).all()


def test_collective_calls_in_pytorchs_words(outcome):
    found = outcome("pytorchs_words", 3)
    own = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]])
    np.testing.assert_array_equal(found["listed"], [own] * 3)
    np.testing.assert_array_equal(found["rows"], own)
    np.testing.assert_array_equal(found["flat"], own.ravel())
    np.testing.assert_array_equal(found["to_last"], [own[0], own[1], own.sum(axis=0)])
    np.testing.assert_array_equal(found["total"], own.sum(axis=0))
    np.testing.assert_array_equal(found["gathered"], own)
    assert found["lengths"].tolist() == [0, 2, 4]
    assert found["said"].tolist() == [[2, 2]] * 3


SCRIPT = """
import os
import sys
import tinyvision.distributed as dist
import tinyvision.multiprocessing as mp

def main(rank, world_size, word):
    os.environ["MASTER_ADDR"] = "localhost"
    os.environ["MASTER_PORT"] = "12355"
    dist.init_process_group("gloo", init_method="env://", rank=rank, world_size=world_size)
    numbers = [None] * world_size
    dist.all_gather_object(numbers, dist.get_rank())
    if rank == 0:
        print(word, numbers, dist.get_backend())
    dist.destroy_process_group()

if __name__ == "__main__":
    if sys.argv[1] == "spawn":
        mp.spawn(main, args=(int(sys.argv[2]), "spawned"), nprocs=int(sys.argv[2]))
    else:
        main(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "launched " + os.environ["LOCAL_RANK"])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("scripts") / "train.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_that_spawns_runs_in_the_processes_of_mpi(script):
    run = {"capture_output": True, "text": True, "timeout": 600, "env": environment()}
    found = subprocess.run(command(2, [str(script)], "spawn", 2), **run)
    assert (found.stdout, found.returncode) == ("spawned [0, 1] gloo\n", 0), found.stderr
    found = subprocess.run([sys.executable, str(script), "spawn", "2"], **run)
    assert "spawn: 2 processes are wanted and this one is alone; MPI starts them: mpirun -n 2 python" in found.stderr
    found = subprocess.run(command(2, [str(script)], "spawn", 3), **run)
    assert "spawn: 3 processes are wanted and MPICH's or Intel's mpiexec has started 2; MPI starts" in found.stderr


def test_a_script_finds_what_torchrun_would_have_told_it(script):
    run = {"capture_output": True, "text": True, "timeout": 600, "env": environment()}
    words = [sys.executable, "-m", "tinyvision.distributed.run", "--standalone", "--nproc_per_node=2"]
    found = subprocess.run([*words, str(script), "launch"], **run)
    assert (found.stdout, found.returncode) == ("launched 0 [0, 1] gloo\n", 0), found.stderr
    found = subprocess.run([*words, str(script), "spawn", "none"], **run)
    assert found.returncode == 1
    assert "invalid literal for int" in found.stderr
    found = subprocess.run([*words, str(script.with_name("no.py"))], **run)
    assert found.returncode == 1
    assert "there is no script" in found.stderr
    found = subprocess.run([*words, "--nnodes=2", str(script)], **run)
    assert found.returncode == 2
    assert "2 machines: start the processes with their own launcher" in found.stderr


FAILURES = {
    "frozen": r"rank 1 did not come to the second barrier within 10 s: it is frozen",
    "raising": r"ValueError: of its own\ntinyvision: rank 1 ended the job with ValueError: of its own",
    "leaving": r"rank 1 ended while rank \d waited for it in the second barrier",
    "asleep_at_the_end": r"rank 1 did not end within 10 s of rank",
    "other_model": r"the names or shapes of the weights on rank 2 differ from those on rank 0",
    "different_calls": r"the sum of losses",
    "backward_frozen": r"rank 1 did not come to the exchange of gradients, bucket (1 of 3 \(1\.bias\)"
    r"|2 of 3 \(1\.weight to 0\.bias\)|3 of 3 \(0\.weight\))",
    "nccl_fails": r"between GPUs: NCCL says NCCL_ERROR_SYSTEM_ERROR: remote process exited, on rank \d; NCCL_DEBUG",
    "broken_off": r"rank 1 .* the exchange of gradients|broke off on rank 1",
    "killed": r"(?i)killed|exit code: 9",  # it is MPI's launcher that sees this, and ends the others
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_rank_ends_the_job_in_time(failure):
    told = failure in (
        "raising",
        "leaving",
        "other_model",
        "killed",
        "nccl_fails",
    )  # where the others need not wait to know it
    result = mpiexec(3, "ranks.py", failure, timeout=3600 if told else 10)  # the first would be killed sooner
    assert result.returncode != 0
    assert re.search(FAILURES[failure], result.stdout + result.stderr), result.stdout + result.stderr


def test_the_launcher_of_another_mpi_is_recognised():
    told = {**environment(), "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}
    program = [sys.executable, str(Path(__file__).with_name("ranks.py")), "collectives"]
    result = subprocess.run(program, capture_output=True, text=True, timeout=600, env=told)
    assert result.returncode == 1
    assert "Open MPI's mpirun started this process as number 2 of 4, but its MPI (MPICH Version" in result.stderr
    assert "is of another kind" in result.stderr
    assert len(re.findall("Abort|MPI_Init", result.stderr)) == 0


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"RANK": "1", "WORLD_SIZE": "2"},
            r"torchrun started this process as number 1 of 2, but its MPI \(.*\) sees 1; torchrun tells MPI nothing; "
            r"start the processes with mpirun -n 2 in its place",
        ),
        (
            {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "3"},
            r"srun started this process as number 0 of 3, but its MPI \(.*\) sees 1; srun --mpi=list names .* pmi2 for",
        ),
    ],
)
def test_a_launcher_that_tells_mpi_nothing_is_recognised(told, sentence):
    program = [sys.executable, str(Path(__file__).with_name("ranks.py")), "collectives"]
    told = {**environment(), **told}
    result = subprocess.run(program, capture_output=True, text=True, timeout=600, env=told)
    assert result.returncode == 1
    assert re.search(sentence, result.stderr), result.stderr
