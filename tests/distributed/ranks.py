"""Programs that several ranks run under mpiexec; rank 0 writes what came out to a .npz.   python ranks.py NAME [OUT]"""

import importlib
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np

import tinyvision as tv
from tinyvision import distributed, nn, optim, random
from tinyvision.data import DataLoader
from tinyvision.data.transforms.base import generator_for
from tinyvision.distributed import exchange, group, shares
from tinyvision.distributed.group import local_rank
from tinyvision.distributed.nccl import Nccl
from tinyvision.nn.parallel import DistributedDataParallel, buckets

ROWS, BATCH = 17, 7  # the last of three batches has three rows: of five ranks, two have none of it


class Pictures:
    """17 pictures of random brightness; what is drawn for one must not depend on who reads it."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.x, self.y = rng.standard_normal((ROWS, 3, 8, 8)), rng.integers(0, 4, ROWS)

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return self.x[index] * generator_for(None).uniform(0.5, 1.5), int(self.y[index])


class Network(nn.Module):
    def __init__(self, norm):
        random.manual_seed(1)
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3),
            nn.BatchNorm2d(8) if norm else nn.Identity(),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.head = nn.Linear(32, 4)
        self.never = nn.Linear(3, 3)  # no rank uses it
        self.double()

    def forward(self, x):
        return self.head(self.body(x))


def train(norm=None, wrap=DistributedDataParallel, device="cpu"):
    """Two epochs of SGD on what this process has of every batch -> all weights."""
    model = Network(norm).to(device)
    if norm == "sync":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model = wrap(model)
    shard = (distributed.rank(), distributed.world_size())
    loader = DataLoader(Pictures(), BATCH, shuffle=True, seed=5, shard=shard if shard[1] > 1 else None)
    optimizer, loss = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.CrossEntropyLoss()
    for epoch in range(2):
        for step, (x, y) in enumerate(loader):
            x, y = x.to(device), y.to(device)
            with random.use(random.stream(7, "dropout", epoch, step)):
                scores = model(x)
            optimizer.zero_grad()
            loss(scores, y).backward()
            optimizer.step()
    if norm == "local" and distributed.world_size() > 1:
        model.sync_buffers()
    distributed.check_equal(model)
    return {name.removeprefix("module."): v.cpu().numpy() for name, v in model.state_dict().items()}


class PlainMean(DistributedDataParallel):
    """The control: gradients averaged over ranks as if all had equally many rows."""

    def _rows(self, inputs, options):
        rows, start, _, total = super()._rows(inputs, options)
        return rows, start, total / distributed.world_size(), total


class SmallBuckets(DistributedDataParallel):
    """Buckets of a parameter or two; counts those that leave while the backward goes on."""

    early = 0

    def __init__(self, model):
        super().__init__(model, bucket_cap_mb=0.0005)

    def _current_buckets(self):
        buckets = super()._current_buckets()
        if not hasattr(buckets, "counted"):
            buckets.counted, finish = True, buckets.finish

            def count():
                SmallBuckets.early += buckets.started
                finish()

            buckets.finish = count
        return buckets


def in_buckets(kind):
    """Small buckets, through shared memory or through messages."""
    if kind is exchange.Messages:
        exchange._free_memory = lambda: 0.0
    weights = train(wrap=SmallBuckets)
    assert SmallBuckets.early >= 6, SmallBuckets.early  # of seven in each of six steps; never's have no gradient
    return weights


def on_gpus(way, gpus="own", fault=None):
    """Small buckets between pretended GPUs, which the stand-in for NCCL connects if each rank has one of its own."""
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    pretended_gpu, nccl = (importlib.import_module(name) for name in ("pretended_gpu", "pretended_nccl"))
    made, begin = [], exchange.make_exchange
    buckets.make_exchange = lambda *arguments: made.append(begin(*arguments)) or made[-1]
    with pretended_gpu.pretending(), nccl.connected(gpus):
        nccl.NcclCommunicator.fault = fault
        weights = train("sync", wrap=SmallBuckets, device="cuda")
    assert [type(one) for one in made] == [way], made
    assert SmallBuckets.early >= 6 or way is not Nccl, SmallBuckets.early
    return weights


def moved():
    """A model whose parameters are changed for others, and frozen in part, between two backwards."""
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    x = tv.tensor(np.array([[1.0, 2.0 + distributed.rank()]], np.float32))
    model(x).sum().backward()
    model.double()
    for p in model.module[0].parameters():
        p.requires_grad_(False)
    model.zero_grad()
    model(x.double()).sum().backward()
    grad = model.module[1].bias.grad.clone()
    memory = model._buckets.buckets[0].exchange
    model.give_back()
    other = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1)).double())
    other(x.double()).sum().mul(3.0).backward()
    assert other._buckets.buckets[0].exchange is memory
    assert other.module[1].bias.grad.numpy().tolist() == [3.0]
    assert model.module[1].bias.grad.numpy().tolist() == [1.0]  # a copy by now
    model(x.double()).sum().backward()
    assert model.module[1].bias.grad.numpy().tolist() == [2.0]
    return {"bias": grad.numpy(), "frozen": np.array([p.grad is None for p in model.module[0].parameters()])}


def broken_off():
    """A backward that ends in an error on rank 1 alone, who goes on as if nothing had happened."""
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)))
    for step in range(2):
        y = model(tv.ones(3, 2))
        hook = model.module[1].weight.register_hook(raising if distributed.rank() == 1 and not step else lambda g: g)
        with suppress(ValueError):
            y.sum().backward()
        hook.remove()


def one_stream(model):
    """The control: every rank draws the first numbers of the stream for its own rows."""
    shares.rows_of_all = lambda *rows: nullcontext()
    return DistributedDataParallel(model)


def accumulate():
    """Two batches into one gradient, the first under no_sync; then a third on top of what was exchanged."""
    model = DistributedDataParallel(Network(None).eval())
    model.train()
    model.module.body[6].p = 0.0
    pictures, grads = Pictures(), []
    loss = nn.CrossEntropyLoss()

    def backward(a, b):
        rows = shares.share_of(b - a, distributed.rank(), distributed.world_size())
        x, y = tv.tensor(pictures.x[a:b][rows]), tv.tensor(pictures.y[a:b][rows])
        loss(model(x), y).backward()

    with model.no_sync():
        backward(0, 7)
    backward(7, 12)
    grads.append(model.module.head.weight.grad.numpy().copy())
    backward(12, 17)
    grads.append(model.module.head.weight.grad.numpy().copy())
    return {"two": grads[0], "three": grads[1]}


class Branches(nn.Module):
    """Each rank uses another layer."""

    def __init__(self):
        random.manual_seed(2)
        self.layers = nn.ModuleList([nn.Linear(4, 1) for _ in range(6)]).double()

    def forward(self, x, which):
        return self.layers[which](x)


def unused():
    model = DistributedDataParallel(Branches())
    model(tv.ones(1, 4, dtype="float64"), distributed.rank()).sum().backward()
    grads = [layer.weight.grad for layer in model.module.layers]
    return {"there": np.array([g is not None for g in grads]), "first": grads[0].numpy()}


def collectives():
    me, world = distributed.rank(), distributed.world_size()
    a = distributed.all_reduce(tv.tensor([1.0, me]))
    b = distributed.all_reduce(np.array([me]), distributed.ReduceOp.MAX)
    c = distributed.broadcast(np.array([me * 10]), src=world - 1)
    table = distributed.gather(np.array([me, me]))
    drawn = distributed.gather(random.generator().random(3))
    distributed.barrier()
    threads = distributed.gather(np.array([tv.get_num_threads()]))
    assert local_rank() == me  # one machine
    return {"sum": a.numpy(), "max": b, "last": c, "table": table, "drawn": drawn, "threads": threads}


def pytorchs_words():
    """The calls that scripts written for PyTorch make, each with what it left on rank 0 or on all."""
    me, world = distributed.get_rank(), distributed.get_world_size(distributed.group.WORLD)
    own = tv.tensor([float(me), 10.0 * me])
    listed = [tv.zeros(2) for _ in range(world)]
    distributed.all_gather(listed, own)
    rows, flat = tv.zeros(world, 2), tv.zeros(2 * world)
    distributed.all_gather_into_tensor(rows, own)
    distributed.all_gather_into_tensor(flat, own)
    to_last = own.clone()
    distributed.reduce(to_last, dst=world - 1, op=distributed.ReduceOp.SUM)
    total = own.clone()
    assert distributed.all_reduce(total, distributed.ReduceOp.SUM, async_op=True).wait()
    gathered = [tv.zeros(2) for _ in range(world)] if me == 1 else None
    distributed.gather(own, gathered, dst=1)
    objects, said = [None] * world, ["of rank", me, {"x": np.arange(me)}]
    distributed.all_gather_object(objects, {"rank": me, "text": "a" * me})
    distributed.broadcast_object_list(said, src=2)
    distributed.barrier(device_ids=[0])
    return {
        "listed": distributed.gather(tv.stack(listed).numpy()),
        "rows": rows.numpy(),
        "flat": flat.numpy(),
        "to_last": distributed.gather(to_last.numpy()),
        "total": total.numpy(),
        "gathered": distributed.gather(tv.stack(gathered or listed).numpy())[1],
        "lengths": np.array([len(o["text"]) + o["rank"] for o in objects]),
        "said": distributed.gather(np.array([said[1], len(said[2]["x"])])),
    }


# -- failures


def late(what):
    """All ranks come to a barrier, but rank 1, to which `what` happens before the second."""
    distributed.barrier()
    if distributed.rank() == 1:
        what()
    group.barrier("the second barrier")


def other_model():
    DistributedDataParallel(nn.Linear(3, 2 + distributed.rank() // 2))


def different_calls():
    if distributed.rank():
        group.barrier("the end of the epoch")
    else:
        group.gather(np.zeros(1000000), "the sum of losses")


def backward_frozen():
    """Rank 1 stops for ever in the middle of a backward."""
    model = SmallBuckets(nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9)))
    if distributed.rank() == 1:
        model.module[0].weight.register_hook(lambda _: os.kill(os.getpid(), signal.SIGSTOP))
    model(tv.ones(3, 9)).sum().backward()


def raising(*_):
    raise ValueError("of its own")


PROGRAMS = {
    "plain": train,
    "sync": lambda: train("sync"),
    "local": lambda: train("local"),
    "plain_mean": lambda: train(wrap=PlainMean),
    "one_stream": lambda: train(wrap=one_stream),
    "accumulate": accumulate,
    "unused": unused,
    "collectives": collectives,
    "pytorchs_words": pytorchs_words,
    "killed": lambda: late(lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "frozen": lambda: late(lambda: os.kill(os.getpid(), signal.SIGSTOP)),
    "raising": lambda: late(raising),
    "leaving": lambda: late(sys.exit),
    "asleep_at_the_end": lambda: distributed.rank() == 1 and time.sleep(600),
    "window": lambda: in_buckets(exchange.Window),
    "messages": lambda: in_buckets(exchange.Messages),
    "nccl": lambda: on_gpus(Nccl),
    "one_gpu": lambda: on_gpus(exchange.Window, gpus="one"),
    "nccl_fails": lambda: on_gpus(Nccl, fault="remote process exited"),
    "moved": moved,
    "other_model": other_model,
    "backward_frozen": backward_frozen,
    "broken_off": broken_off,
    "different_calls": different_calls,
}

if __name__ == "__main__":
    distributed.init(timeout=600)  # they may start as slowly as they like
    distributed.barrier()
    group._watch.timeout = float(os.environ.get("RANKS_TIMEOUT", "600"))
    results = PROGRAMS[sys.argv[1]]()
    if results and len(sys.argv) > 2 and distributed.rank() == 0:
        np.savez(sys.argv[2], **results)
