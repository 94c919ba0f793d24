"""Runs of `train.fit` that several ranks make under mpiexec.   python fits.py FOLDER [WHAT]

What happens: "stop" asks rank 1 to stop in step 5, "kill" kills it there, "nan" gives it a loss that is not finite,
"gpu" trains on a pretended GPU,
"locked" lets rank 0 alone fail to open the folder; "sum" trains with a loss that cannot be shared. Only rank 0 prints.
"""

import importlib
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import tinyvision as tv
from tinyvision import data, distributed, nn, random, train
from tinyvision.data import transforms
from tinyvision.train import loop
from tinyvision.train.runs import FolderLock


def doubled(x):
    """The last step of a transform: pictures in float64, so that runs can be compared to the last bits but a few."""
    return tv.tensor(np.asarray(x, np.float64))


def pictures(training):
    """19 or 7 random pictures of 8x8 pixels in three classes, moved and mirrored at random in training."""
    rng = random.stream(5, "pictures", int(training))
    count = 19 if training else 7
    augment = [transforms.RandomCrop(8, padding=1), transforms.RandomHorizontalFlip()] if training else []
    transform = transforms.Compose([*augment, transforms.ToTensor(), doubled])
    images = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return data.ArrayDataset(images, rng.integers(0, 3, count), ["a", "b", "c"], transform)


def network():
    """Batch-norm, dropout: all that must know of the other ranks."""
    with random.use(random.stream(1, "network")):
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Dropout(0.3), nn.Linear(64, 3)).double()


class Events:
    """Cross-entropy to whose rank 1 something happens in step 5."""

    def __init__(self, what):
        self.what, self.step, self.loss = what, 0, nn.CrossEntropyLoss()

    def __call__(self, scores, labels):
        loss = self.loss(scores, labels)
        self.step += scores.requires_grad  # fit has asked it something before
        if self.step == 5 and distributed.rank() == min(1, distributed.world_size() - 1):
            if self.what in ("stop", "kill"):
                os.kill(os.getpid(), signal.SIGINT if self.what == "stop" else signal.SIGKILL)
            if self.what == "nan":
                return loss * float("nan")
        return loss


def main(folder, what=""):
    distributed.init(timeout=20)
    loop._Training.draw = lambda self: None  # takes longer than the training
    if what == "locked" and distributed.rank() == 0:
        os.makedirs(folder, exist_ok=True)
        FolderLock(Path(folder)).__enter__()
    held = ExitStack()
    if what == "gpu":  # the GPU that tests/pretended_gpu.py stands for: nothing becomes NumPy's by mistake
        sys.path.insert(0, str(Path(__file__).parents[1]))
        held.enter_context(importlib.import_module("pretended_gpu").pretending())
    model, before = network(), type(network()[1])
    losses = {"sum": nn.CrossEntropyLoss(reduction="sum"), "": None, "gpu": None}
    history = train.fit(
        model,
        pictures(True),
        pictures(False),
        run=folder,
        resume="auto",
        epochs=4,
        batch_size=6,
        lr=0.1,
        clip_norm=1.0,
        loss=losses.get(what, Events(what)),
        save_steps=2,
        save_every=1e9,
        log=print,
        device="cuda" if what == "gpu" else None,
    )
    distributed.check_equal(model)
    assert type(model[1]) is before
    assert model.training
    assert len(history.rows) == 4
    assert what != "gpu" or all(p.device.type == "cuda" and p.grad.device.type == "cuda" for p in model.parameters())


if __name__ == "__main__":
    main(*sys.argv[1:])
