"""`tinyvision train`: train a network on a data set, from the first step to the test."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..folders import typed, user_path
from .parser import add_device, add_max_pixels, number, use_device, whole, workers
from .processes import add_processes, check_launch, start, together
from .stopping import Kept, stopping
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision train                                  on the digits inside
  tinyvision train --data fashion-mnist --root DIR  the four IDX files in DIR
  tinyvision train --data folder --root PHOTOS      PHOTOS/class/*.jpg
  tinyvision train --task segmentation --data folder --root CELLS
  tinyvision train --resume                         go on with the newest run
  tinyvision train --optimizer adam --lr 0.001 --epochs 10 --run runs/adam
  tinyvision train --processes 2                    on two processes here
  mpirun -n 4 tinyvision train --distributed        on processes of MPI

A run keeps last.safetensors (to go on), best.safetensors (to use), report.html (to read), history.csv and history.png,
by default runs/DATA-1, runs/DATA-2, ... Ctrl-C ends the step, saves, and says how to go on. Resuming computes
bit for bit what the run would have computed without a stop, given the same number of threads and processes, and
compiled loops (pip install "tinyvision[fast]") or none, as it was begun; any number of processes goes on with any
other's run, and a line says what differs.

The best epoch is chosen by its score (accuracy, or the task's own metric) on training images that are held back
(--val); test images are used once, at the end, so the test score is that of pictures on which nothing was
learned or chosen."""

_SETTINGS = (
    "epochs",
    "batch_size",
    "optimizer",
    "lr",
    "momentum",
    "weight_decay",
    "schedule",
    "label_smoothing",
    "clip_norm",
    "patience",
    "seed",
)


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "train",
        help="train a network (by default on handwritten digits)",
        epilog=_EPILOG,
        description="Train a network on a data set, validate it, test it, keep it.",
    )
    what = p.add_argument_group("what to train on what")
    what.add_argument(
        "--task", metavar="NAME", help="classification (default), segmentation, detection, recognition or generation"
    )
    what.add_argument(
        "--data",
        metavar="NAME",
        help="digits (default), fashion-mnist, mnist, cifar10, cifar100, shapes "
        "or folder; `tinyvision datasets` lists them, and those of other tasks",
    )
    what.add_argument("--root", metavar="FOLDER", help="where the data set's files are")
    what.add_argument("--download", action="store_true", help="fetch missing files of the data set")
    what.add_argument(
        "--model",
        metavar="NAME",
        help="simple-cnn (default), resnet18, mobilenet_v2, ...",
    )
    what.add_argument(
        "--backbone",
        metavar="NAME",
        help="a pretrained network to build on, such as resnet18 (tasks other than classification)",
    )
    what.add_argument(
        "--instances",
        action="store_const",
        const=True,
        help="the numbers in masks count things, such as cells, and are no classes (segmentation)",
    )
    what.add_argument(
        "--image-size",
        type=whole(8),
        metavar="N",
        help="scale images to NxN pixels (default: the data set's)",
    )
    what.add_argument(
        "--val", type=number, metavar="SHARE", help="share of the training images to hold back (default: 0.1)"
    )
    what.add_argument(
        "--augment", choices=("on", "off"), help="move and mirror training images at random (default: on)"
    )
    _add_settings(p.add_argument_group("how (the defaults suit the data set)"))
    where = p.add_argument_group("where, and what is kept")
    _add_places(where)
    add_processes(p.add_argument_group("on several processes"))


# A range test sets the rate of every step itself, and ends by itself.
_NOT_SEARCHED_WITH = ("epochs", "schedule", "patience")


def _add_settings(how: Any) -> None:
    how.add_argument("--epochs", type=whole(1), metavar="N", help="how often to go through the training images")
    how.add_argument("--batch-size", type=whole(1), metavar="N", help="images in a step")
    how.add_argument("--optimizer", metavar="NAME", help="sgd (default), nesterov, adam or adamw")
    how.add_argument("--lr", type=number, metavar="X", help="learning rate, at its peak")
    how.add_argument("--momentum", type=number, metavar="X", help="of sgd and nesterov (default: 0.9)")
    how.add_argument("--weight-decay", type=number, metavar="X", help="(default: 0.0005; adam 0, adamw 0.01)")
    how.add_argument("--schedule", metavar="NAME", help="one-cycle (default), cosine, step or constant")
    how.add_argument("--label-smoothing", type=number, metavar="X", help="0 to 1 (default: 0)")
    how.add_argument("--clip-norm", type=number, metavar="X", help="largest norm of the gradients (default: no limit)")
    how.add_argument(
        "--find-lr",
        nargs="?",
        const="",
        metavar="PICTURE",
        help="look for a learning rate, draw the loss over it (default: the next free find-lr.png), and train nothing",
    )
    how.add_argument(
        "--patience",
        type=whole(1),
        metavar="N",
        help="end after N epochs without a better one (default: go through all)",
    )
    how.add_argument("--seed", type=whole(0), metavar="N", help="of weights, order, augmentation, dropout (default: 0)")


def _add_places(where: Any) -> None:
    add_device(where)
    add_max_pixels(where)
    where.add_argument(
        "--graph", choices=("on", "off"), default="on", help="on a GPU, replay steps as CUDA graphs (default: on)"
    )
    where.add_argument(
        "--workers",
        type=workers(),
        default=0,
        metavar="N",
        help="threads that prepare images ahead (default: 0)",
    )
    where.add_argument(
        "--run",
        dest="run_folder",
        metavar="FOLDER",
        help="the run's folder (default: the next free runs/DATA-N)",
    )
    where.add_argument("--overwrite", action="store_true", help="replace the run that is in that folder")
    where.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="go on with the run in FOLDER (default: that of --run, else the newest of `train` in runs/)",
    )
    where.add_argument(
        "--save-every",
        type=number,
        default=30.0,
        metavar="S",
        help="seconds between checkpoints within an epoch (default: 30)",
    )
    where.add_argument(
        "--tensorboard", action="store_true", help="write the curves for TensorBoard as well, into RUN/tensorboard"
    )
    where.add_argument(
        "--json", action="store_true", help="print the result as JSON on stdout (progress stays on stderr)"
    )
    where.add_argument("--quiet", action="store_true", help="no progress, only the result")


def run(args: argparse.Namespace) -> int:
    """Train as the options say, or go on with a run."""
    if args.run_folder == "":
        raise OptionError("--run is empty; name a folder, or leave it out for the next free runs/DATA-N")
    check_launch(args)
    if args.find_lr is not None and (args.distributed or (args.processes or 1) > 1):
        raise OptionError("--find-lr runs in one process; leave out --processes and --distributed")
    if args.download and (args.distributed or (args.processes or 1) > 1):
        raise OptionError("--download is for one process; fetch the files once without --processes or --distributed")
    if args.processes is not None and args.processes > 1:
        return start(args.argv, args.processes)
    with together(args) if args.distributed else nullcontext():
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from ..kernels.cpu import compiled
    from ..train.runs import LAST

    where = use_device(args)
    settings = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    if args.find_lr is not None:
        return _find_lr(args, where, settings)
    if args.resume is not None and args.overwrite:
        raise OptionError("--resume goes on with a run and --overwrite replaces it: give one of them")
    resumed = None if args.resume is None else _folder_to_resume(args)
    with stopping("train", LAST, resumed or _run_folder(args), resumed is not None) as kept:
        plan = _new(args, settings) if resumed is None else _resumed(resumed, args, settings)
        if where.type == "cpu" and not args.distributed and compiled.compile_beside() and not args.quiet:
            note("numba is here: a process beside this run, which does not wait for it, compiles loops for the next")
        return _train(args, where, plan, kept)


def _find_lr(args: argparse.Namespace, where: Any, settings: dict[str, Any]) -> int:
    """A range test on the data and the network that the options name."""
    from .. import random
    from ..train.find_lr import find_lr, picture_file

    given = {"resume": args.resume, "run": args.run_folder, "tensorboard": args.tensorboard or None}
    given |= {name: getattr(args, name) for name in _NOT_SEARCHED_WITH}
    for name, value in given.items():
        if value is not None:
            raise OptionError(f"--find-lr trains nothing and keeps nothing; leave --{name} out")
    picture = picture_file(args.find_lr, args.overwrite)
    if args.lr is not None:
        raise OptionError("--find-lr looks for the learning rate; leave --lr out")
    plan = _new(args, settings)
    parts = _open_parts(args, plan)
    with random.use(random.stream(plan.seed, "init")):
        model = plan.room.begin(plan.description, parts)
    chosen = {k: v for k, v in plan.settings.items() if k not in ("lr", *_NOT_SEARCHED_WITH)}
    task = plan.room.task(plan.description)
    log = None if args.quiet else "auto"
    found = find_lr(model, parts.train, device=where, workers=args.workers, task=task, log=log, **chosen)
    found.plot(picture)
    if args.json:
        answer_json({"suggestion": found.suggestion, "picture": picture, "rates": found.rates.tolist(),
                     "losses": found.losses.tolist()})  # fmt: skip
        return 0
    answer(f"the loss falls fastest at a learning rate of {found.suggestion:.2g}, after {len(found.rates)} steps")
    answer(f"picture: {picture}   (a peak for one-cycle lies up to ten times higher, before the curve turns up)")
    return 0


@dataclass
class _Plan:
    """What is to be trained: the run's folder (None for the next free one), its task's room, what its checkpoints say,
    the settings."""

    folder: Path | None
    room: Any
    description: dict[str, Any]
    settings: dict[str, Any]
    seed: int
    resume: bool


def _new(args: argparse.Namespace, given: dict[str, Any]) -> _Plan:
    from .. import tasks

    room = tasks.room("classification" if args.task is None else args.task)
    options = {field.name: getattr(args, field.name) for field in fields(tasks.Options)}
    description, defaults = room.plan(tasks.Options(**options))
    if _is_adam({**defaults, **given}) != _is_adam(defaults):
        defaults = {name: value for name, value in defaults.items() if name != "lr"}  # tuned for the other
    return _Plan(_run_folder(args), room, description, {**defaults, **given}, given.get("seed", 0), resume=False)


def _run_folder(args: argparse.Namespace) -> Path | None:
    return None if args.run_folder is None else user_path(args.run_folder)


def _is_adam(settings: dict[str, Any]) -> bool:
    return settings.get("optimizer", "sgd").startswith("adam")


def _folder_to_resume(args: argparse.Namespace) -> Path:
    named = args.resume or args.run_folder
    if args.resume and args.run_folder and Path(args.resume) != Path(args.run_folder):
        raise OptionError(f"--resume {args.resume} and --run {args.run_folder} name different folders")
    folder = _newest_run() if not named else user_path(named)
    return folder.parent if folder.is_file() else folder


def _newest_run() -> Path:
    """The newest run in runs/ that `tinyvision train` made; runs of `transfer` and of `fit` are passed over."""
    from ..train.checkpoint import load_checkpoint
    from ..train.runs import LAST, TRANSFER, newest_runs

    runs = newest_runs("runs", LAST)
    for folder in runs:
        if _choices(load_checkpoint(folder / LAST)) is not None:
            return folder
    transfers = newest_runs("runs", TRANSFER)
    hint = "; name the run's folder"
    if transfers:
        hint = f"; for the newest transfer: {_transfer_command(transfers[0])}"
    elif runs:
        hint = f"; {runs[0]} was made by fit(): go on with fit(..., resume=True)"
    raise CheckpointError(f"nothing to resume: there is no run of `tinyvision train` in runs/{hint}")


def _transfer_command(folder: Path) -> str:
    return f"tinyvision transfer --resume {typed(folder)}"


def _choices(checkpoint: Any) -> tuple[dict[str, Any], int, int, int] | None:
    """(options of data and model, seed, processes, threads) of a run that `tinyvision train` began; None of others."""
    from ..train.checkpoint import task_of

    notes = checkpoint.description
    try:
        saved = {name: notes["data"][name] for name in ("val", "augment", "root")}
        saved.update(data=notes["data"]["name"], model=notes["model"]["name"], image_size=notes["input"]["size"][0])
        saved.update(task=task_of(checkpoint), instances=notes["data"].get("instances"))
        saved.update(backbone=notes["model"].get("options", {}).get("backbone"))
        processes = int(checkpoint.notes.get("processes", 1))
        return saved, int(checkpoint.settings["seed"]), processes, int(checkpoint.notes["threads"])
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def _resumed(folder: Path, args: argparse.Namespace, given: dict[str, Any]) -> _Plan:
    """Going on with the run in a folder, after the options given now have been found to agree with it."""
    from .. import tasks
    from ..distributed import world_size
    from ..kernels.cpu import compiled
    from ..threads import set_num_threads
    from ..train.checkpoint import load_checkpoint
    from ..train.recipes import network_name
    from ..train.runs import LAST, TRANSFER

    path = folder / LAST
    old = load_checkpoint(path) if path.is_file() else None
    choices = None if old is None else _choices(old)
    if choices is None and (folder / TRANSFER).is_file():
        raise CheckpointError(f"{folder}: was made by `tinyvision transfer`; go on with: {_transfer_command(folder)}")
    if old is None:
        raise CheckpointError(f"nothing to resume: there is no {path}")
    if choices is None:
        raise CheckpointError(f"{path}: was not made by `tinyvision train`; go on with fit(..., resume=True)")
    saved, seed, processes, threads = choices
    if old.notes.get("loops") is False:  # they are there by now, and would round differently
        compiled.forgo()
    for name, value in saved.items():
        now = getattr(args, name)
        if name == "model" and now is not None:
            now = network_name(now)
        if now is not None and now != value and name != "root":  # the data may have moved
            raise CheckpointError(
                f"{folder}: --{name.replace('_', '-')} was {value} and is now {now}; leave it out, or start a new run"
            )
    if args.threads is None and processes == world_size():
        set_num_threads(min(max(threads, 1), 4 * (os.cpu_count() or 1)))
    return _Plan(folder, tasks.room(saved["task"]), old.description, given, given.get("seed", seed), resume=True)


def _train(args: argparse.Namespace, where: Any, plan: _Plan, kept: Kept) -> int:
    from .. import random, train
    from ..train import tensorboard
    from ..train.image_loader import ImageLoader
    from ..train.ranks import Ranks
    from ..train.runs import BEST, discard_if_empty, new_run_folder

    ranks = Ranks()
    if args.tensorboard:
        tensorboard.require()
    parts = _open_parts(args, plan)
    with random.use(random.stream(plan.seed, "init")):
        model = plan.room.build(plan.description) if plan.resume else plan.room.begin(plan.description, parts)
    task = plan.room.task(plan.description)
    fresh = plan.folder is None
    name = plan.description["data"]["name"]
    folder = kept.folder = Path(
        ranks.first(lambda: str(plan.folder or new_run_folder("runs", name)), "the making of a folder")
    )
    try:
        if not args.quiet:
            note(_headline(parts, model, plan, where, folder))
        events = _events(args, folder, plan) if ranks.rank == 0 else None
        with events or nullcontext():
            history = train.fit(
                model,
                parts.train,
                parts.val,
                run=folder,
                resume=plan.resume,
                overwrite=args.overwrite,
                device=where,
                workers=args.workers,
                task=task,
                save_every=args.save_every,
                log=None if args.quiet else "auto",
                description=plan.description,
                graph=args.graph == "on",
                on_epoch=events and events.add,
                **plan.settings,
            )
        kept.trained = True
    finally:
        if fresh and ranks.rank == 0:
            discard_if_empty(folder)  # nothing began, so nothing is left
    best = train.load_weights(model, folder / BEST)
    test = None
    if parts.test is not None:
        options = {"num_workers": args.workers, "seed": 0, "shard": ranks.shard, "collate_fn": task.collate}
        loader = ImageLoader(parts.test, task.evaluation_batch(1), **options)
        test = train.evaluate(model, loader, device=where, task=task)
    if ranks.rank == 0:
        _show_result(args.json, model, history, best, parts, test, folder, plan)
    return 0


def _open_parts(args: argparse.Namespace, plan: _Plan) -> Any:
    """The data of a plan; completes the plan's description of the network by the number of classes."""
    from .. import train
    from ..tasks.room import Opening
    from ..train.console import reporter
    from ..train.runs import open_run

    if not plan.resume:  # say what is wrong before data are read and folders made
        train.Settings.from_options(plan.settings)
        if plan.folder is not None:
            open_run(plan.folder, False, args.overwrite)
    console = reporter(None if args.quiet else "auto")
    return plan.room.open(plan.description, Opening(args.root, plan.seed, args.download, args.max_pixels, console))


def _events(args: argparse.Namespace, folder: Path, plan: _Plan) -> Any:
    """The file for TensorBoard, or None if nobody asked. Raises OptionError where its writer is not installed."""
    from ..train.checkpoint import load_checkpoint
    from ..train.runs import LAST
    from ..train.tensorboard import EventFile

    if not args.tensorboard:
        return None
    return EventFile(folder, load_checkpoint(folder / LAST).progress.rows if plan.resume else ())


def _headline(parts: Any, model: Any, plan: _Plan, where: Any, folder: Path) -> str:
    from .. import get_num_threads
    from ..distributed import world_size
    from ..train.inspection import images_of, in_words

    name, data = plan.description["model"]["name"], plan.description["data"]["name"]
    count = get_num_threads()
    place = f"{where} with {count} thread{'s' * (count != 1)}" if where.type == "cpu" else str(where)
    if world_size() > 1:
        place = f"{world_size()} processes, each {place}"
    count = sum(p.numel() for p in model.parameters())
    held = f" ({len(parts.val):,} more for validation)" if parts.val is not None else ""
    return (
        f"{'going on with' if plan.resume else 'training'} {name} ({count:,} parameters) on "
        f"{in_words(*images_of(parts.train), f'images of {data}')}{held}, {place}, in {folder}"
    )


def _show_result(
    as_json: bool, model: Any, history: Any, best: Any, parts: Any, test: Any, folder: Path, plan: _Plan
) -> None:
    from ..train.report import report_path, write_run_report
    from ..train.runs import BEST

    epoch = best.progress.epoch
    found, lines = plan.room.result(history.rows[epoch - 1], parts, test)
    sections, more, further = plan.room.report(model.eval(), plan.description, parts, test)
    if sections:
        title = f"{plan.description['model']['name']} on {plan.description['data']['name']}"
        settings = "settings: " + ", ".join(
            f"{name} {value}" for name, value in best.settings.items() if value is not None
        )
        write_run_report(report_path(folder), title, [*lines, *further, settings], sections, history)
        more, further = {**more, "report": str(report_path(folder))}, [*further, f"report: {report_path(folder)}"]

    if as_json:
        result = {
            "run": str(folder),
            "checkpoint": str(folder / BEST),
            "data": plan.description["data"]["name"],
            "model": plan.description["model"]["name"],
            "best_epoch": epoch,
            **found,
            **more,
            "history": history.rows,
        }
        answer_json(result)
        return
    answer(*lines, *further)
    answer(f"kept: {folder / BEST}   (use it: {plan.room.use} {typed(folder)})")
