"""What a network makes of data it does not learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import nn
from ..data import DataLoader
from ..device import DeviceName, memory_errors_explained
from ..device import device as as_device
from ..grad_mode import no_grad
from ..nn.module import Module
from .classification import Classification, Evaluation
from .image_loader import ImageLoader
from .ranks import Ranks
from .task import Task


def evaluate(
    model: Module,
    data: Any,
    *,
    batch_size: int | None = None,
    device: DeviceName | None = None,
    workers: int = 0,
    forward: Callable[[Any], Any] | None = None,
    each_batch: Callable[[], None] | None = None,
    task: Task | None = None,
) -> Any:
    """Run a model over a dataset (or DataLoader) in evaluation mode -> an Evaluation, or what another task judges by;
    the mode of every layer is restored afterwards.

    batch_size  images at a time, by default what suits the task (256)
    device      where the model lives, by default the device of its first parameter
    forward     called in place of the model, for instance `model.features`
    each_batch  called after every batch; it may raise to stop
    task        by default Classification

    A DataLoader with a `shard` is evaluated by all ranks together: all call it, and all get the whole Evaluation.

    Raises DataError and ShapeError for data that cannot be read or does not fit, OptionError for a shard of another
    number of ranks."""
    task = Classification() if task is None else task
    size = batch_size or task.evaluation_batch(1)
    loader = (
        data
        if isinstance(data, DataLoader)
        else ImageLoader(data, size, num_workers=workers, seed=0, collate_fn=task.collate)
    )
    ranks = Ranks(alone=loader.shard is None)
    loader = ranks.shared(loader)
    loader.set_epoch(0)
    where = as_device(device) if device is not None else next(iter(model.parameters())).device
    judge = task.judge()
    with evaluation_mode(model), no_grad(), memory_errors_explained(where):
        for x, y in ranks.batches(loader, 0, where):
            judge.add(task.outputs(forward or model, x, y), y)
            if each_batch is not None:
                each_batch()
    return judge.judgement(lambda parts: ranks.together(parts, loader))


class evaluation_mode:
    """`with evaluation_mode(model):` — dropout and batch-norm as in use; afterwards each layer is as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()

    def __exit__(self, *error: object) -> None:
        for module, mode in self.modes:
            module.training = mode


__all__ = ["Evaluation", "evaluate", "evaluation_mode"]
