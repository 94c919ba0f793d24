"""The training loop. Read `_Training.step` first: those are the five lines that everything else serves.

All randomness of a step follows from (seed, purpose, epoch, step), so a run that is stopped anywhere and resumed
computes bit for bit what it would have computed without the stop, given the same number of CPU threads and, like
then, the compiled loops or none.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn, optim, random, threads
from ..data import DataLoader
from ..device import DeviceName, memory_errors_explained, to_numpy
from ..device import device as as_device
from ..errors import CheckpointError, OptionError, TrainingError
from ..folders import user_path
from ..kernels.cpu import compiled
from ..nn.module import Module
from .checkpoint import Checkpoint, Progress, capture, check_same_task, load_checkpoint, restore
from .classification import Classification
from .console import Reporter, reporter
from .evaluate import evaluate
from .graphs import StepGraph, not_recorded, reason_against
from .history import History
from .image_loader import ImageLoader
from .inspection import (
    check_batches_of_one,
    check_data,
    check_loss_of_shares,
    check_same_data,
    classes_of,
    data_notes,
    how_computed,
    task_notes,
)
from .interrupt import Interrupted, StopRequest
from .ranks import Ranks, Verdict
from .runs import BEST, CSV, LAST, PLOT, clear_run, open_run, taken_folder
from .settings import Settings, SettingsGiven, agreed_settings, checked_saving, shows_settings
from .task import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack


@shows_settings
def fit(
    model: Module,
    train_data: Any,
    val_data: Any = None,
    *,
    run: str | os.PathLike[str] | None = None,
    resume: bool | str = False,
    overwrite: bool | Callable[[], object] = False,
    device: DeviceName | None = None,
    workers: int = 0,
    parameters: Any = None,
    loss: Callable[[Any, Any], Any] | None = None,
    task: Task | None = None,
    save_every: float = 30.0,
    save_steps: int | None = None,
    log: Any = "auto",
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    description: dict[str, Any] | None = None,
    graph: bool = True,
    **settings: Unpack[SettingsGiven],
) -> History:
    """Train a model on a dataset of (image, class number), or of what another task takes; returns the History.

        history = train.fit(model, Digits(train=True), Digits(train=False), epochs=20, run="runs/mine")

    train_data   a dataset, or a DataLoader that brings its own batch size and seed
    val_data     a dataset or DataLoader that is evaluated after every epoch, or None
    settings     epochs, batch_size, optimizer, lr, momentum, weight_decay, schedule, label_smoothing,
                 clip_norm, patience, seed: see `Settings`. A resumed run takes those that are not given from the
                 checkpoint
    run          folder for last.safetensors, best.safetensors, history.csv and history.png; None keeps
                 nothing on disk
    resume       continue the run in that folder bit for bit, with the data of before (as many items, of the same names
                 and labels as far as they are known); "auto" begins a new one if there is none
    overwrite    replace the run in that folder once steps of the new one are done and kept: until then it is whole. A
                 function is called at that moment, for what else has to go
    device       "cpu", "cuda", ...; by default where the model is
    workers      threads that prepare batches ahead
    parameters   what to train, as an optimizer takes it (groups may have learning rates of their own); by
                 default all parameters that require a gradient
    loss         called with scores and labels; by default the task's, for Classification cross-entropy with the
                 label smoothing of the settings
    task         what is learned: how a batch becomes a loss, and what is measured (see `train.Task`); by default
                 Classification
    save_every   seconds between two checkpoints within an epoch; save_steps is the same in steps
    log          "auto", "live", "plain", None or a function, see `console.reporter`
    on_epoch     called with the history's row after every epoch
    description  JSON-like notes for the checkpoint: how to build and feed this network
    graph        on a GPU, record the step as a CUDA graph in every epoch and replay it, where it can be (else a line
                 says why not): what the model's Python does beside its ops, counting calls for instance, then
                 happens once an epoch; False runs every step as it is written

    After `distributed.init()`, all ranks call fit alike and train together: batches are cut between them, batch-norm is
    over whole batches, `loss` must be the mean over the images, rank 0 writes and shows, and any number of processes
    goes on with any other's run.

    Afterwards the model has the weights of the last epoch and is in training mode; `load_weights(model,
    "best.safetensors")` gives it the best. Ctrl-C finishes the step, saves and raises Interrupted (a
    KeyboardInterrupt); a second one stops at once. Raises OptionError, DataError, ShapeError before the first step;
    CheckpointError if a run cannot be continued; TrainingError if the loss is no longer a finite number."""
    training = _Training(model, train_data, val_data, device, workers, parameters, loss, task, dict(settings))
    training.prepare(run, resume, overwrite, description or {})
    training.save_every, training.save_steps, training.on_epoch = checked_saving(save_every, save_steps, on_epoch)
    training.graph = training.step_graph() if graph else None
    training.console = reporter(log if training.ranks.rank == 0 else None)
    with ExitStack() as held, StopRequest() as training.stop:
        training.take_folder(held)
        training.model_called = held.enter_context(training.ranks.trained(model))
        training.run()
    return training.history


class _Training:
    """One run: everything the loop needs at hand, and the loop."""

    save_every: float
    save_steps: int | None
    on_epoch: Callable[[dict[str, Any]], object] | None
    console: Reporter
    stop: StopRequest
    graph: StepGraph | None  # where steps are replayed
    model_called: Callable[[Any], Any]  # the model, or what stands for it where several processes train it

    def __init__(
        self,
        model: Module,
        train_data: Any,
        val_data: Any,
        device: Any,
        workers: int,
        parameters: Any,
        loss: Any,
        task: Any,
        settings: dict[str, Any],
    ) -> None:
        if not isinstance(task, (Task, type(None))):
            raise OptionError(f"fit: task must be a Task such as train.Classification(), got {task!r}")
        if not isinstance(model, Module):
            raise OptionError(f"fit: expected a model, got {type(model).__name__}")
        first = next(iter(model.parameters()), None)
        if first is None:
            raise OptionError("fit: the model has no parameters to train")
        self.ranks = Ranks()
        self.task: Task = task or Classification()
        if self.ranks.count > 1 and not self.task.over_processes:
            raise OptionError(f"fit: {self.task.name} is not trained over several processes; start one")
        self.model, self.loss, self.wanted = model, loss, dict(settings)
        self.train_data, self.val_data, self.workers = train_data, val_data, workers
        self.device = as_device(device) if device is not None else first.device
        self.parameters = parameters
        if isinstance(train_data, DataLoader):
            if workers:
                raise OptionError(f"fit: the DataLoader has its own num_workers; leave workers={workers} out")
            for name, own in (("batch_size", train_data.batch_size), ("seed", train_data.seed)):
                if self.wanted.setdefault(name, own) != own:
                    raise OptionError(f"fit: the DataLoader has {name}={own}; leave {name}={self.wanted[name]} out")

    # -- getting ready

    def prepare(self, run: Any, resume: bool | str, overwrite: Any, description: dict[str, Any]) -> None:
        """Check everything that can be checked, then open the run's folder and take up what it holds."""
        if resume not in (True, False, "auto"):
            raise OptionError(f'fit: resume must be True, False or "auto", got {resume!r}')
        if run is None and (resume or overwrite):
            raise OptionError("fit: resume and overwrite need the run's folder, run=...")
        settings = Settings.from_options(self.wanted) if not resume else None
        old = self._open_old(run, resume)
        self.settings = settings or (
            Settings.from_options(self.wanted)
            if old is None
            else agreed_settings(old.settings, self.wanted, os.fspath(run))
        )
        own_loss = self.task.checked_loss(self.settings)
        self.loader = self._loader()
        self.val_loader = self._val_loader()
        if self.settings.patience is not None and self.val_loader is None:
            raise OptionError("fit: patience counts epochs without a better validation; give val_data, too")
        self.model.to(device=self.device)
        check_data(self.model, self.task, self.loader, self.device, "training data")
        if self.val_loader is not None:
            check_data(self.model, self.task, self.val_loader, self.device, "validation data")
        check_batches_of_one(self.model, self.task, self.loader, self.device)
        if self.ranks.count > 1 and self.loss is not None:
            check_loss_of_shares(self.model, self.loader, self.device, self.loss)
        self.loss = self.loss or own_loss
        self.optimizer = self._make_optimizer()
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.notes = {**data_notes(self.loader), "threads": threads.get_num_threads(), "processes": self.ranks.count}
        self.notes["loops"] = self.device.type == "cpu" and compiled.ready()  # which round differently
        self.description = {"classes": classes_of(self.loader.dataset), **task_notes(self.task), **description}
        self.progress = Progress()
        self.messages: list[str] = []
        if old is not None:
            self._continue(old, os.fspath(run))
        self.folder = None if run is None else open_run(run, resume, bool(overwrite))
        self.replaces = overwrite if not resume else False  # until there is something to put in the old run's place
        self.history = History(self.progress.rows, None if self.folder is None else str(self.folder), self.task)
        self.steps = self.settings.epochs * len(self.loader)
        self.schedule = self.settings.make_schedule(self.optimizer, self.steps)
        for _ in range(self.progress.total):  # the same roundings as in an unbroken run
            self.schedule.step()
        self.ranks.check_same(
            {"settings": self.settings, "seed": self.loader.seed, **data_notes(self.loader), **vars(self.progress)}
        )

    def _open_old(self, run: Any, resume: bool | str) -> Checkpoint | None:
        path = None if run is None else user_path(run) / LAST
        if not resume or path is None or (resume == "auto" and not path.is_file()):
            return None
        if not path.is_file():
            raise CheckpointError(f"nothing to resume: there is no {path}")
        return load_checkpoint(path)

    def _continue(self, old: Checkpoint, where: str) -> None:
        check_same_task(old, self.task.name, where)
        check_same_data(old.notes, self.notes, where)
        for name in old.description.keys() & self.description.keys():
            if old.description[name] != self.description[name]:
                raise CheckpointError(
                    f"{where}: {name} was {old.description[name]!r} and is now {self.description[name]!r}; "
                    f"start a new run for something else"
                )
        self.description = {**old.description, **self.description}
        restore(old, self.model, self.optimizer, where)
        self.progress = old.progress
        before, now = how_computed(old.notes, self.notes), how_computed(self.notes, old.notes)
        if before != now:
            self.messages.append(
                f"note: this run was begun with {before} and goes on with {now}, which round differently: from here on "
                f"its numbers drift from those of an unbroken run, by the last digits at first"
            )

    def _loader(self) -> DataLoader:
        if isinstance(self.train_data, DataLoader):
            return self.ranks.shared(self.train_data)
        size, seed = self.settings.batch_size, self.settings.seed
        return self._image_loader(self.train_data, size, shuffle=True, seed=seed)

    def _val_loader(self) -> DataLoader | None:
        if self.val_data is None:
            return None
        if isinstance(self.val_data, DataLoader):
            return self.ranks.shared(self.val_data)
        return self._image_loader(self.val_data, self.task.evaluation_batch(self.settings.batch_size), seed=0)

    def _image_loader(self, dataset: Any, size: int, **options: Any) -> DataLoader:
        options |= {"num_workers": self.workers, "collate_fn": self.task.collate}
        return self.ranks.shared(ImageLoader(dataset, size, **options))

    def _make_optimizer(self) -> optim.Optimizer:
        chosen = self.parameters
        if chosen is None:
            chosen = [p for p in self.model.parameters() if p.requires_grad]
            if not chosen:
                raise OptionError("fit: every parameter is frozen; unfreeze what is to be trained")
        optimizer = self.settings.make_optimizer(chosen)  # the only reader: it may be given iterators
        self.trained = [p for group in optimizer.param_groups for p in group["params"]]
        own = {id(p) for p in self.model.parameters()}
        if not self.trained:
            raise OptionError("fit: parameters names none")
        if any(id(p) not in own for p in self.trained):
            raise OptionError("fit: parameters holds one that is not the model's")
        return optimizer

    def take_folder(self, held: ExitStack) -> None:
        """Make the run's folder and keep other runs out of it, as long as `held`."""
        if self.folder is not None:
            taken = taken_folder(self.folder)
            self.ranks.first(lambda: held.enter_context(taken), "the opening of the run's folder")

    # -- the loop

    def run(self) -> None:
        """The loop, whose errors are said in our words; whatever happens, the console is left in order."""
        try:
            with warnings.catch_warnings(), memory_errors_explained(self.device):
                # A diverging loss is reported by us; NumPy's warnings about it would only come first.
                warnings.filterwarnings("ignore", ".*encountered in.*", RuntimeWarning)
                self.train_epochs()
        finally:
            self.console.end()

    def train_epochs(self) -> None:
        """All epochs that are still to be done."""
        self.console.task = self.task
        self.console.begin(self.steps, self.progress.total, self.settings.epochs)
        for message in self.messages:
            self.console.line(message)
        self.saved_at, self.saved_step = time.monotonic(), self.progress.total
        if not self.progress.total and not self.replaces:
            self.save()  # from here on, whatever happens, there is something to resume
        self.keep_history()  # a kill may have come between the last checkpoint and this
        for epoch in range(self.progress.epoch, self.settings.epochs):
            if self.is_out_of_patience():
                break
            self.train_epoch(epoch)
            self.finish_epoch()
        self.draw()

    def is_out_of_patience(self) -> bool:
        """Whether the settings ask to end here: too many epochs have brought nothing better."""
        best, patience = self.history.best, self.settings.patience
        if patience is None or best is None or self.progress.epoch - best["epoch"] < patience:
            return False
        self.console.line(f"ended early: nothing better in the {patience} epochs since epoch {best['epoch']}")
        return True

    def train_epoch(self, epoch: int) -> None:
        """The steps of one epoch that are still to be done."""
        self.model.train()
        self.loader.set_epoch(epoch)
        if self.graph:
            self.graph.forget()
        for x, y in self.ranks.batches(self.loader, self.progress.step, self.device):
            with random.use(random.stream(self.settings.seed, "dropout", epoch, self.progress.step)):
                verdict = self.step(x, y)
            self.progress.add(verdict.loss, verdict.correct, verdict.images, self.rate)
            self.console.step(self.progress, verdict.images)
            if verdict.save:
                self.save()
            self.stop_if_asked(verdict.stop)

    def step(self, x: Any, y: Any) -> Verdict:
        """One step of training on images x (N, C, H, W) and what is true of them, such as labels y (N,) -> what the
        whole batch has shown."""
        loss, outputs = self.graph.look(x, y) if self.graph else self.look(x, y)
        # Looked at now, while a GPU is being waited for anyway: after the update, it would have to finish that first.
        verdict = self.verdict(loss.item(), self.task.score(outputs, y), x)
        self.graph.learn(loss) if self.graph else self.learn(loss)
        self.rate = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        return verdict

    def look(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(loss, what the model said): the half of a step that changes no parameter."""
        outputs = self.task.outputs(self.model_called, x, y)
        return self.loss(outputs, y), outputs

    def learn(self, loss: Any) -> None:
        """The other half: back from the loss, and one step of the optimizer."""
        self.model.zero_grad()  # all of it: what the optimizer leaves alone may have gradients too
        loss.backward()
        if self.settings.clip_norm is not None:
            nn.clip_grad_norm_(self.trained, self.settings.clip_norm)
        self.optimizer.step()
        self.task.after_step(self.model)

    def step_graph(self) -> StepGraph | None:
        """What records and replays the steps, where they are to run on a GPU and can be replayed."""
        if self.device.type != "cuda":
            return None
        clips = self.settings.clip_norm is not None
        against = reason_against(self.model, self.optimizer, clips, self.ranks.count)
        if against:
            self.messages.append(not_recorded(against))
            return None
        say = lambda line: self.console.line(line)  # noqa: E731  the console is there once the run begins
        return StepGraph(self.look, self.learn, self.model, self.optimizer, self.device, say)

    def finish_epoch(self) -> None:
        """Validate, add a row to the history, keep the best and the last weights."""
        progress, validation = self.progress, None
        if self.val_loader is not None:
            validation = evaluate(
                self.model, self.val_loader, device=self.device, each_batch=self.look_up, task=self.task
            )
        row = self.history.row(progress, validation)
        progress.finish_epoch(row)
        self.console.epoch(row)
        if self.history.best is row:
            self.save(BEST)
        self.save()
        self.keep_history()
        if self.on_epoch is not None:
            self.on_epoch(dict(row))
        self.look_up()

    # -- keeping and stopping

    def save(self, name: str = LAST) -> None:
        """Write a checkpoint; best.safetensors holds the weights without the optimizer's arrays."""
        self.saved_at, self.saved_step = time.monotonic(), self.progress.total
        if self.folder is None:
            return
        weights, state, groups = capture(self.model, self.optimizer, self.rates)
        for key, array in weights.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                self.fail(f"{key} holds numbers that are not finite after step {self.progress.total}")
        checkpoint = Checkpoint(
            weights,
            self.settings.as_dict(),
            self.progress,
            self.description,
            self.notes,
            state if name == LAST else None,
            groups if name == LAST else [],
        )

        def keep():
            checkpoint.save(self.folder / name)
            if self.replaces:
                clear_run(self.folder, but=name)
                if callable(self.replaces):
                    self.replaces()

        self.ranks.first(keep, f"the saving of {name}")
        self.replaces = False

    def keep_history(self) -> None:
        """The rows as a file that other programs read."""
        if self.folder and self.progress.rows:
            path = self.folder / CSV
            self.ranks.first(lambda: self.history.to_csv(path), f"the saving of {CSV}")

    def look_up(self) -> None:
        """Between steps: stop if that is wished."""
        self.stop_if_asked(self.ranks.most(self.stop.requested or 0, "the question whether to stop"))

    def stop_if_asked(self, asked: int) -> None:
        """After a Ctrl-C or SIGTERM, whose number is `asked`: save, and raise Interrupted, which says how to go on."""
        if not asked or self.progress.epoch == self.settings.epochs:
            return
        self.save()
        where = f"stopped in epoch {self.progress.epoch + 1} after step {self.progress.step} of {len(self.loader)}"
        if self.folder is None:
            raise Interrupted(f"{where}; nothing was saved, as no run folder was given", asked)
        raise Interrupted(
            f"{where} and saved; fit(..., run={str(self.folder)!r}, resume=True) goes on from there",
            asked,
            self.folder,
        )

    def verdict(self, loss: float, correct: float, x: Any) -> Verdict:
        """What all ranks think of this step. Raises TrainingError, before anything is changed, if the loss of the whole
        batch is not finite."""
        # A checkpoint within the epoch, so that a crash loses seconds and not an epoch.
        late = time.monotonic() - self.saved_at >= self.save_every
        due = self.folder is not None and (late or self.progress.total + 1 - self.saved_step == self.save_steps)
        found = self.ranks.decide(loss, correct, len(x), self.stop.requested or 0, due)
        if not math.isfinite(found.loss):
            indices = self.loader.batch_indices(self.progress.epoch)[self.progress.step]
            own = self.ranks.rows_of(indices)
            pixels = np.isfinite(to_numpy(x)).reshape(len(x), -1).all(axis=1)
            bad = self.ranks.most(-1 if pixels.all() else int(own[~pixels][0]), "the search for a picture")
            if bad >= 0:
                self.fail(f"image {bad} of the training data holds numbers that are not finite")
            images = ", ".join(map(str, indices[:8])) + (", ..." if len(indices) > 8 else "")
            self.fail(f"the loss is {found.loss} (batch: images {images})")
        return found

    def fail(self, what: str) -> None:
        """Raise TrainingError: where it happened, what is left, what to try."""
        lr = self.schedule.get_last_lr()[0]
        lines = [
            f"{what}, in epoch {self.progress.epoch + 1}, step {self.progress.step + 1} "
            f"(step {self.progress.total + 1} in all), with learning rate {lr:.3g}",
            f"    try a smaller learning rate, say lr={self.rates[0] / 10:.2g}, or clip_norm=1.0, "
            f"and look at these images and their labels",
        ]
        if self.folder is not None:
            lines.append(
                f"    {self.folder / LAST} is from before{', of the old run,' if self.replaces else ''} and still good"
            )
        raise TrainingError("\n".join(lines))

    def draw(self) -> None:
        """The curves of the whole run."""

        def plot(path):
            try:
                self.history.plot(path)
            except OptionError as error:
                self.console.line(f"note: no {PLOT}: {error}")

        if self.folder is not None:
            path = self.folder / PLOT
            self.ranks.first(lambda: plot(path), f"the drawing of {PLOT}")
