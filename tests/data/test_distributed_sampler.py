"""Shares of a dataset for several processes."""

import pytest

import tinyvision
from tinyvision.errors import OptionError
from tinyvision.utils.data import DataLoader, DistributedSampler

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("count", "replicas"), [(10, 3), (12, 4), (2, 5), (7, 1)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shares_are_those_of_pytorch(count, replicas, drop_last):
    for rank in range(replicas):
        options = {"num_replicas": replicas, "rank": rank, "shuffle": False, "drop_last": drop_last}
        ours = DistributedSampler(range(count), **options)
        theirs = torch.utils.data.distributed.DistributedSampler(range(count), **options)
        if drop_last and count < replicas:
            assert list(ours) == []
            assert len(ours) == 0
            continue
        assert list(ours) == list(theirs)
        assert len(ours) == len(theirs)


def test_processes_shuffle_alike_and_anew_in_each_epoch():
    shares = [DistributedSampler(range(100), 4, rank) for rank in range(4)]
    orders = []
    for epoch in range(2):
        for share in shares:
            share.set_epoch(epoch)
        assert sorted(i for share in shares for i in share) == list(range(100))
        assert list(shares[0]) == list(shares[0])
        orders.append(list(shares[0]))
    assert orders[0] != orders[1]


def test_a_loader_takes_its_share():
    data = tinyvision.utils.data.TensorDataset(tinyvision.arange(9))
    loader = DataLoader(data, batch_size=2, sampler=DistributedSampler(data, 3, 1, shuffle=False))
    assert [x.tolist() for (x,) in loader] == [[1, 4], [7]]


@pytest.mark.parametrize("arguments", [(), (2,), (2, 2), (0, 0), (2, -1)])
def test_processes_must_be_named(arguments):
    with pytest.raises(OptionError, match="num_replicas"):
        DistributedSampler(range(4), *arguments)
