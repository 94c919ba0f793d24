"""What a process does that is alone, and what can be said of shares without other processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import distributed, errors, multiprocessing, nn, ops, random, tape
from tinyvision.data import DataLoader, IterableDataset
from tinyvision.distributed import run, shares
from tinyvision.distributed.group import local_rank
from tinyvision.distributed.watching import Patience
from tinyvision.launcher import launched_as, understands
from tinyvision.nn.parallel import DistributedDataParallel
from tinyvision.utils.data.distributed import DistributedSampler
from tinyvision.walks import at_the_end


def test_alone_every_call_does_nothing(rng):
    values = rng.standard_normal((2, 3))
    before = values.copy()
    assert (distributed.rank(), distributed.world_size(), distributed.is_initialized()) == (0, 1, False)
    assert local_rank() == 0
    assert distributed.all_reduce(values) is values
    assert distributed.broadcast(values) is values
    assert distributed.gather(values).shape == (1, 2, 3)
    assert distributed.barrier() is None
    table, listed, objects, calls = np.zeros((1, 2, 3)), [tv.zeros(2, 3).double()], [0], []
    distributed.all_gather_into_tensor(table, values)
    distributed.all_gather(listed, values)
    distributed.all_gather_object(objects, "own")
    distributed.broadcast_object_list(objects)
    distributed.reduce(values)
    multiprocessing.spawn(lambda *a: calls.append(a), args=(7,), nprocs=1)
    assert (objects, calls) == (["own"], [(0, 7)])
    np.testing.assert_array_equal(table[0], before)
    np.testing.assert_array_equal(listed[0].numpy(), before)
    np.testing.assert_array_equal(values, before)
    assert distributed.check_equal(values) == distributed.check_equal(before)


def test_a_wrapped_model_alone_is_the_model(rng):
    model = nn.Linear(3, 2)
    x = tv.tensor(rng.standard_normal((4, 3)).astype(np.float32))
    wrapped = DistributedDataParallel(model)
    np.testing.assert_array_equal(wrapped(x).detach().numpy(), model(x).detach().numpy())
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]


@pytest.mark.parametrize("call", [
    lambda: distributed.init(timeout=0),
    lambda: distributed.init(timeout=True),
    lambda: distributed.broadcast(np.ones(1), src=1),
    lambda: distributed.all_reduce(np.ones(1), "median"),
    lambda: distributed.all_reduce(np.ones(1, int), "mean"),
    lambda: distributed.all_reduce([1.0]),
    lambda: distributed.all_reduce(np.ones(1, np.float16)),
    lambda: distributed.init_process_group("ucc"),
    lambda: distributed.init_process_group("cpu:gloo,cuda:ucc"),
    lambda: distributed.init_process_group("gloo", init_method="here"),
    lambda: distributed.init_process_group("gloo", store=object()),
    lambda: distributed.all_reduce(np.ones(1), group=3),
    lambda: distributed.gather(np.ones(1), dst=1),
    lambda: distributed.reduce(np.ones(1), dst=-1),
    lambda: distributed.all_gather([], np.ones(1)),
    lambda: distributed.all_gather([np.ones(2)], np.ones(1)),
    lambda: distributed.all_gather([np.ones(1, np.float32)], np.ones(1)),
    lambda: distributed.all_gather_into_tensor(np.ones(3), np.ones((2, 2))),
    lambda: distributed.all_gather_object([], 1),
    lambda: distributed.broadcast_object_list([1], src=1),
    lambda: multiprocessing.spawn(print, nprocs=0),
    lambda: multiprocessing.spawn(print, join=False),
    lambda: DistributedDataParallel(nn.Linear(2, 2), device_ids=[0, 1]),
    lambda: DistributedDataParallel(3),
    lambda: DataLoader(range(4), shard=(2, 2)),
    lambda: DataLoader(range(4), shard=3),
    lambda: DataLoader(range(4), batch_size=None, shard=(0, 2)),
    lambda: DistributedSampler(range(4), num_replicas=2, rank=2),
    lambda: DataLoader(range(4), sampler=DistributedSampler(range(4), 2, 0), shard=(0, 2)),
])  # fmt: skip
def test_options_without_meaning_are_refused(call):
    with pytest.raises(errors.OptionError):
        call()


@pytest.mark.skipif(tv.cuda.is_available(), reason="a GPU is here")
def test_nccl_wants_a_gpu():
    with pytest.raises(errors.DeviceError, match="cuda:0 cannot be used"):
        distributed.init_process_group("nccl")
    assert not distributed.is_initialized()


@pytest.mark.parametrize(("rows", "world"), [(7, 3), (2, 5), (8, 4), (1, 1), (0, 2)])
def test_shares_are_neighbours_and_as_equal_as_can_be(rows, world):
    cut = [list(range(rows))[shares.share_of(rows, r, world)] for r in range(world)]
    assert list(chain(*cut)) == list(range(rows))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world", [2, 3, 5])
def test_the_shares_of_all_loaders_are_the_batches_of_one(world, workers):
    whole = [batch.tolist() for batch in DataLoader(range(17), 7, shuffle=True, seed=4)]
    parts = [
        DataLoader(range(17), 7, shuffle=True, seed=4, shard=(r, world), num_workers=workers) for r in range(world)
    ]
    assert all(len(part) == 3 for part in parts)
    together = [[] for _ in whole]
    for part in parts:
        for step, batch in enumerate(part):
            assert len(batch) >= 1
            together[step] += [] if shares.is_stand_in() else batch.tolist()
    assert together == whole
    assert not shares.is_stand_in()


def test_batches_of_a_batch_sampler_are_shared_out_as_well():
    parts = [DataLoader(range(6), batch_sampler=[[5, 0, 3], [1, 4]], shard=(r, 2)) for r in range(2)]
    assert [[batch.tolist() for batch in part] for part in parts] == [[[5, 0], [1]], [[3], [4]]]
    with pytest.raises(errors.OptionError, match="shard cuts batches of a dataset with indices"):
        DataLoader(Endless(), shard=(0, 2))


class Endless(IterableDataset):
    def __iter__(self):
        return iter(range(4))


@pytest.mark.parametrize("count", [8, 9, 11])
def test_a_distributed_sampler_gives_everything_once_in_as_many_batches_on_every_rank(count):
    samplers = [DistributedSampler(range(count), 2, r, seed=1) for r in range(2)]
    assert sorted(chain(*samplers)) == list(range(count))
    assert [len(s) for s in samplers] == [len(list(s)) for s in samplers]
    loaders = [DataLoader(range(count), batch_size=4, sampler=s) for s in samplers]
    batches = [[([] if shares.is_stand_in() else b.tolist()) for b in loader] for loader in loaders]
    assert len(batches[0]) == len(batches[1]) == len(loaders[0])
    assert sorted(chain(*chain(*batches))) == list(range(count))
    first = samplers[0].of_all()
    samplers[0].set_epoch(1)
    assert samplers[0].of_all() != first


def test_what_is_drawn_for_rows_does_not_depend_on_the_rank():
    def drawn(rows=None):
        with random.use(random.stream(3)):
            if rows is None:
                return [random.generator().random((5, 4), dtype=np.float32), random.generator().standard_normal(3)]
            with shares.rows_of_all(rows.start, rows.stop - rows.start, 5):
                return [random.generator().random((2, 4), dtype=np.float32), random.generator().standard_normal(3)]

    whole, part = drawn(), drawn(slice(2, 4))
    np.testing.assert_array_equal(part[0], whole[0][2:4])
    np.testing.assert_array_equal(part[1], whole[1])


@pytest.mark.parametrize("cut", [(0, 3, 8), (0, 0, 8), (0, 1, 8)], ids=["uneven", "none", "one row"])
def test_synchronised_batch_norm_of_two_processes_is_that_of_one(cut, rng):
    x, dy = 1000 + rng.standard_normal((8, 3, 2, 2)), rng.standard_normal((8, 3, 2, 2))
    weight, bias = rng.standard_normal(3), rng.standard_normal(3)
    y, cache = ops.batchnorm_train_forward(x, weight, bias)
    wanted = ops.batchnorm_train_backward(dy, cache)
    table, meet = [None, None], threading.Barrier(2, timeout=600)

    def process(number):
        def gather(array):
            table[number] = array
            meet.wait()
            together = np.stack(table)
            meet.wait()
            return together

        rows = slice(cut[number], cut[number + 1])
        y, cache = ops.sync_batchnorm_forward(x[rows], weight, bias, gather=gather)
        return y, *ops.sync_batchnorm_backward(dy[rows], cache)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(process, range(2))
    np.testing.assert_allclose(np.concatenate([one[0], other[0]]), y, atol=1e-10)
    np.testing.assert_allclose(np.concatenate([one[1], other[1]]), wanted[0], atol=1e-10)
    np.testing.assert_allclose(one[2] + other[2], wanted[1], atol=1e-10)
    np.testing.assert_allclose(one[3] + other[3], wanted[2], atol=1e-10)


def test_rows_that_do_not_count_are_normalised_and_no_more(rng):
    x, weight, bias = rng.standard_normal((4, 3)), np.ones(3), np.zeros(3)
    _, mean, squares = 4, x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).sum(axis=0)
    others = np.concatenate([[4.0], mean, squares])
    y, cache = ops.sync_batchnorm_forward(
        x[:1] + 9, weight, bias, gather=lambda own: np.stack([others, own]), counted=False
    )
    np.testing.assert_allclose(y, (x[:1] + 9 - mean) / np.sqrt(squares / 4 + 1e-5))
    cache = (*cache[:6], lambda own: own[None], False)
    assert not ops.sync_batchnorm_backward(np.zeros_like(y), cache)[0].any()


def test_conversion_keeps_parameters_and_finds_every_batch_norm():
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), norm, nn.Sequential(norm, nn.BatchNorm1d(2)), nn.GroupNorm(1, 3))
    names = list(model.state_dict())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    assert list(model.state_dict()) == names
    assert model[1] is model[2][0]
    assert model[1].weight is norm.weight
    assert [type(m).__name__ for m in model.modules()].count("SyncBatchNorm") == 2
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(norm)) is nn.SyncBatchNorm


def test_what_a_launcher_leaves_in_the_environment():
    assert launched_as({}) is None
    assert launched_as({"PMI_RANK": "0", "PMI_SIZE": "1"}) is None
    assert launched_as({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) is None  # in a batch script, nothing is started yet
    assert launched_as({"RANK": "1", "WORLD_SIZE": "2"}) == ("torchrun", 1, 2)


@pytest.mark.parametrize(("found", "told"), [
    ({}, ("0", "1", "0", "1")),
    ({"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}, ("3", "4", "1", "2")),
    ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "2(x3)"},
     ("5", "6", "1", "6")),
    ({"PMI_RANK": "1", "PMI_SIZE": "2", "LOCAL_RANK": "7"}, ("1", "2", "7", "2")),
])  # fmt: skip
def test_what_a_script_is_told_in_torchruns_words(found, told):
    environment = dict(found)
    run.tell(environment)
    assert tuple(environment[n] for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")) == told


def test_processes_are_not_started_twice(monkeypatch, capsys):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.raises(SystemExit):
        run.main(["--nproc_per_node=4", "train.py"])
    assert "mpiexec has started 2 processes already; leave out --nproc_per_node" in capsys.readouterr().err
    monkeypatch.setenv("PMI_RANK", "1")
    assert run.main(["--nproc_per_node=4", "train.py"]) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("library", "launcher", "environment", "whether"),
    [
        ("Open MPI v5.0.11, package", "Open MPI's mpirun", {}, True),
        ("MPICH Version:      5.0.2", "Open MPI's mpirun", {}, False),
        ("MPICH Version:      5.0.2", "MPICH's or Intel's mpiexec", {}, True),
        ("Intel(R) MPI Library 2021.18", "MPICH's or Intel's mpiexec", {}, True),
        ("Open MPI v5.0.11, package", "MPICH's or Intel's mpiexec", {}, False),
        ("Open MPI v5.0.11, package", "MPICH's or Intel's mpiexec", {"SLURM_PROCID": "1"}, True),
        ("MPICH Version:      5.0.2", "srun", {}, True),
    ],
)
def test_which_mpi_understands_which_launcher(library, launcher, environment, whether):
    assert understands(library, launcher, environment) is whether


def test_an_ending_comes_after_all_gradients_once():
    seen = []

    def forward(x):
        return x + 0.0, None

    def backward(dy, cache, needs):
        at_the_end(look)
        return (dy,)

    x = tv.ones(2, requires_grad=True)

    def look():
        seen.append(x.grad.tolist())

    op = tape.differentiable(forward, backward)
    (op(x) * 2 + op(x)).sum().backward()
    assert seen == [[3.0, 3.0]]


def test_time_in_which_nobody_looked_is_not_waited():
    """As after Ctrl-Z and fg, or a lid that was closed: the others have had none of that time either."""
    times = iter([100.0, 100.05, 4000.0, 4000.02])
    waited = Patience(lambda: next(times))
    assert [waited.passed() for _ in range(3)] == pytest.approx([0.05, 0.15, 0.17])
