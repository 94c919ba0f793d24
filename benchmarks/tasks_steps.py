"""A training step of each task's recipe beside PyTorch's: the same network, weights, pictures, loss and optimiser.

Both begin where a batch has been made of pictures, and end where AdamW has moved the weights. What detection wants of
its batch is worked out within the step on both sides; what generation draws at random has been drawn before it.
"""

import numpy as np

from tinyvision import Tensor, random, tasks
from tinyvision.data import DataLoader
from tinyvision.nn import functional
from tinyvision.tasks.detection import targets
from tinyvision.tasks.room import Opening, Options
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.settings import Settings

from . import agreement, networks, timing
from .suite import compared

TOLERANCES = {"loss": agreement.LOSS, "gradient": agreement.DEEPER_GRADIENT}


class Step:
    """A recipe's network, its first batch and what a step does with it.

    model, settings   as the recipe has them;  inputs  what the network takes;  loss  of its outputs, by ours
    theirs  (options of PyTorch's network, loss of its outputs), or None without PyTorch"""

    def __init__(self, task, data):
        room = tasks.room(task)
        notes, given = room.plan(Options(data=data))
        self.settings = Settings.from_options(given)
        with random.use(random.stream(networks.SEED, task)):
            parts = room.open(notes, Opening(None, 0, False, 10**9, _Silent()))
            self.room, self.notes, self.task, self.name = room, notes, room.task(notes), room.network
            loader = DataLoader(
                parts.train, batch_size=self.settings.batch_size, shuffle=True, collate_fn=self.task.collate
            )
            self.x, self.y = next(iter(loader))
            self.state = self.fresh().state_dict()
            self.state = {name: np.array(value.numpy(), order="C") for name, value in self.state.items()}
        self.drawn = self._noise(notes) if task == "generation" else None

    def fresh(self):
        """The network, with other weights each time."""
        model = self.room.build(self.notes)
        return (model.denoiser if self.room.name == "generation" else model).train()

    def _noise(self, notes):
        """(noisy pictures, times from 0 to 1, labels, noise) of the batch."""
        model, rng = self.room.build(notes), np.random.default_rng(networks.SEED)
        times = rng.integers(1, model.schedule.steps + 1, len(self.x))
        noise = rng.standard_normal(self.x.shape, np.float32)
        noisy = model.schedule.noised(self.x, Tensor.of(noise), times).numpy()
        return noisy, (times / model.schedule.steps).astype(np.float32), self.y.numpy(), noise

    def ours(self):
        """(run, results) of a step through the tape."""
        from .contestants import one_gradient

        model = self.fresh()
        model.load_state_dict(self.state)
        optimizer, loss = self.settings.make_optimizer(model.parameters()), self.task.loss_for(self.settings)
        if self.drawn:
            noisy, times, labels, noise = map(Tensor.of, self.drawn)

        def value():
            if self.drawn:
                return functional.mse_loss(model(noisy, times, labels), noise)
            return loss(self.task.outputs(model, self.x, self.y), self.y)

        def run():
            optimizer.zero_grad()
            found = value()
            found.backward()
            optimizer.step()
            return found.item()

        def results():
            found = {"loss": run()}
            found |= {f"gradient {n}": p.grad.numpy().copy() for n, p in model.named_parameters()}
            return one_gradient(found)

        return run, results

    def theirs(self):
        """PyTorch's entries. Raises ImportError where there is none."""
        import torch

        from .contestants import pytorch_tasks as twins

        options, inputs = dict(self.notes["model"]["options"]), [self.x.numpy()]
        if self.room.name == "segmentation":
            mask = torch.from_numpy(self.y.numpy())
            loss = lambda outputs: twins.segmentation_loss(outputs, mask)  # noqa: E731
        elif self.room.name == "detection":
            boxes, labels, count = self.y["boxes"].numpy(), self.y["labels"].numpy(), len(self.task.classes)

            def loss(outputs):
                return twins.detection_loss(outputs, targets(boxes, labels, count, outputs.shape[2:]), count)

        elif self.room.name == "recognition":
            labels = torch.from_numpy(self.y.numpy())
            loss = lambda outputs: twins.recognition_loss(outputs, labels)  # noqa: E731
        else:
            *inputs, noise = self.drawn
            options.pop("image_size")
            loss = lambda outputs: torch.nn.functional.mse_loss(outputs, torch.from_numpy(noise))  # noqa: E731
        settings = self.settings
        return twins.step(self.name, options, self.state, inputs, loss, settings.lr, settings.weight_decay)


class _Silent:
    def line(self, *text):
        """Nothing is said."""


def measured(task, data, turns):
    """The steps of one recipe, compared and then timed in turn: what a record keeps of them."""
    from .contestants import ours

    step = Step(task, data)
    entries = ours._ways(ours.NAME, step.ours)
    missing = None
    try:
        entries += step.theirs()
    except ImportError as error:
        missing = f"PyTorch does not take part: {error}"
    right, _, outcome = compared(entries, TOLERANCES)
    times = timing.alternate({entry.name: entry.run for entry in right}, turns)
    for name, values in times.items():
        outcome[name] |= {"status": "timed", **timing.summary(values)}
    H, W = Preprocessing.from_dict(step.notes["input"]).size
    return {
        "recipe": f"{task}/{data}",
        "network": step.name,
        "parameters": int(sum(p.numel() for p in step.fresh().parameters())),
        "batch": len(step.x),
        "pixels": [H, W],
        "entries": outcome,
        "missing": missing,
    }
