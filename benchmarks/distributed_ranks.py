"""What the ranks of `python -m benchmarks distributed` do; rank 0 prints a line of JSON for each network.

In every round each way has one turn, so whatever else the machine does meets all of them. While rank 0 has a turn of
its own, the others sleep.
"""

import json
import os
import statistics
import sys
import time
from contextlib import nullcontext

import numpy as np

import tinyvision as tv
from tinyvision import distributed, models, nn, optim
from tinyvision.cores import available_cores
from tinyvision.distributed import group, shares
from tinyvision.errors import DistributedError
from tinyvision.kernels.cpu import compiled
from tinyvision.nn.parallel import DistributedDataParallel

from . import networks

# name -> (network, images in a step, pixels)
NETWORKS = {
    "SimpleCNN": (lambda: models.SimpleCNN(3, 10, 24), 64, 24),
    "ResNet-18": (lambda: models.resnet18(num_classes=10), 8, 224),
    "EfficientNet-Lite0": (lambda: models.efficientnet_lite0(num_classes=10), 8, 224),
}


class Way:
    """One way to take a training step: who takes part, with how many threads, on which images."""

    def __init__(self, make, x, y, threads, alone=False, shared=True, synchronised=False, overlaps=True):
        tv.manual_seed(networks.SEED)
        self.model, self.threads, self.alone, self.overlaps = make(), threads, alone, overlaps
        for module in self.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # so that all ways compute the same
        if synchronised:
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        if not alone:
            self.model = DistributedDataParallel(self.model)
        cut = shared and not alone
        rows = shares.share_of(len(x), distributed.rank(), distributed.world_size()) if cut else slice(None)
        self.x, self.y = tv.tensor(x[rows]), tv.tensor(y[rows])
        self.optimizer, self.loss = optim.SGD(self.model.parameters(), lr=0.001), nn.CrossEntropyLoss()
        self.backward = 0.0  # seconds of the last backward

    def step(self):
        """A training step -> the loss of this rank's rows."""
        with nullcontext() if self.overlaps else self.model.no_sync():
            loss = self.loss(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        begun = time.perf_counter()
        loss.backward()
        self.backward = time.perf_counter() - begun
        if not self.overlaps:
            self.exchange()
        self.optimizer.step()
        return loss.item()

    def exchange(self):
        """Add up the gradients that the last backward has left, and do nothing else meanwhile."""
        buckets = self.model._current_buckets()
        buckets.begin()
        buckets.finish()


def seconds(way, work):
    """Seconds of `work` on the slowest rank that takes part."""
    distributed.barrier()
    spent = 0.0
    if not way.alone or distributed.rank() == 0:
        tv.set_num_threads(way.threads)
        begun = time.perf_counter()
        work()
        spent = time.perf_counter() - begun
    asleep()
    return float(distributed.gather(np.array([spent])).max())


def asleep():
    """Wait for all ranks without using the cores meanwhile, as a barrier would."""
    request = group.joined().comm.Ibarrier()
    while not request.Test():
        time.sleep(0.005)


def agreed(whole, way, rows):
    """Raise unless the first loss of all ranks together is that of one process."""
    ours = way.step()
    parts = distributed.gather(np.array([ours * len(way.x), len(way.x)]))
    if distributed.rank() == 0:
        loss, one = parts[:, 0].sum() / parts[:, 1].sum(), whole.step()
        if parts[:, 1].sum() != rows or not np.isclose(loss, one, rtol=1e-4):
            raise DistributedError(f"a loss of {loss} on several processes, {one} on one: nothing is timed")
    asleep()


def measure(name, turns):
    """The record of one network: seconds of each turn of each way."""
    make, batch, size = NETWORKS[name]
    x, y = networks.images(batch, size)
    each = max(1, available_cores() // distributed.world_size())
    ways = {
        "one": Way(make, x, y, 1, alone=True),
        "threads": Way(make, x, y, each * distributed.world_size(), alone=True),
        "local": Way(make, x, y, each),
        "after": Way(make, x, y, each, overlaps=False),
        "exact": Way(make, x, y, each, synchronised=True),
        "weak": Way(make, x, y, each, shared=False),
    }
    agreed(ways["threads"], ways["exact"], batch)
    works = {key: (way, way.step) for key, way in ways.items()}
    times = {key: [] for key in (*works, "exchange", "backward")}
    for turn in range(turns + 1):
        for key in list(works) if turn % 2 else list(works)[::-1]:
            way, work = works[key]
            spent = seconds(way, work)
            if turn:  # the first is to warm up
                times[key].append(spent)
            if key == "one" and turn:
                times["backward"].append(way.backward)
            if key == "local" and turn:
                times["exchange"].append(seconds(way, way.exchange))
    numbers = sum(p.numel() for p in ways["one"].model.parameters())
    return {
        "network": name,
        "ranks": distributed.world_size(),
        "threads_each": each,
        "images": batch,
        "pixels": size,
        "compiled_loops": os.environ.get("TINYVISION_KERNELS") != "off" and compiled.ready(),
        "gradient_bytes": 4 * numbers,
        "seconds": times,
        "median": {key: statistics.median(values) for key, values in times.items()},
    }


def main(turns, names):
    """Measure networks; rank 0 prints."""
    distributed.init(timeout=300)
    for name in names:
        record = measure(name, int(turns))
        if distributed.rank() == 0:
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
