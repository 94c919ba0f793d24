"""`tinyvision train`: train a network on a data set, from the first step to the test."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from .parser import add_debug, add_device, number, use_device, whole

_EPILOG = """\
examples:
  tinyvision train                                   SimpleCNN on the digits that come with tinyvision
  tinyvision train --data fashion-mnist --root DIR   on the four IDX files in DIR
  tinyvision train --data folder --root PHOTOS       on your own images, PHOTOS/class/*.jpg
  tinyvision train --resume                          go on with the newest run, wherever it was stopped
  tinyvision train --optimizer adam --lr 0.001 --epochs 10 --run runs/adam

A run keeps last.safetensors (to go on), best.safetensors (to use), history.csv and history.png in its folder, by default
runs/DATA-1, runs/DATA-2, ... Ctrl-C ends the step, saves, and says how to go on. Resuming computes bit for bit what the
run would have computed without a stop, given the same number of threads.

The best epoch is chosen by its accuracy on training images that are held back (--val); test images are used once, at the
end, so the test accuracy is that of pictures on which nothing was learned or chosen."""

_SETTINGS = ("epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "label_smoothing",
             "clip_norm", "seed")


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser("train", help="train a network (by default on handwritten digits)", epilog=_EPILOG,
                            description="Train a network on a data set, validate it, test it, keep it.")
    what = p.add_argument_group("what to train on what")
    what.add_argument("--data", metavar="NAME", help="digits (default), fashion-mnist, mnist, cifar10, cifar100, shapes "
                      "or folder; `tinyvision datasets` lists them")
    what.add_argument("--root", metavar="FOLDER", help="where the data set's files are")
    what.add_argument("--download", action="store_true", help="fetch missing files of the data set")
    what.add_argument("--model", metavar="NAME", help="simple-cnn (default), resnet18, resnet34, resnet50, efficientnet_lite0")
    what.add_argument("--image-size", type=whole(8), metavar="N", help="scale images to NxN pixels (default: the data set's)")
    what.add_argument("--val", type=number, metavar="SHARE", help="share of the training images to hold back (default: 0.1)")
    what.add_argument("--augment", choices=("on", "off"), help="move and mirror training images at random (default: on)")
    how = p.add_argument_group("how (the defaults suit the data set)")
    how.add_argument("--epochs", type=whole(1), metavar="N", help="how often to go through the training images")
    how.add_argument("--batch-size", type=whole(1), metavar="N", help="images in a step")
    how.add_argument("--optimizer", metavar="NAME", help="sgd (default), nesterov, adam or adamw")
    how.add_argument("--lr", type=number, metavar="X", help="learning rate, at its peak")
    how.add_argument("--momentum", type=number, metavar="X", help="of sgd and nesterov (default: 0.9)")
    how.add_argument("--weight-decay", type=number, metavar="X", help="(default: 0.0005; adam 0, adamw 0.01)")
    how.add_argument("--schedule", metavar="NAME", help="one-cycle (default), cosine, step or constant")
    how.add_argument("--label-smoothing", type=number, metavar="X", help="0 to 1 (default: 0)")
    how.add_argument("--clip-norm", type=number, metavar="X", help="largest norm of the gradients (default: no limit)")
    how.add_argument("--seed", type=whole(0), metavar="N", help="of weights, order, augmentation, dropout (default: 0)")
    where = p.add_argument_group("where, and what is kept")
    add_device(where)
    where.add_argument("--workers", type=whole(0), default=0, metavar="N", help="threads that prepare images ahead (default: 0)")
    where.add_argument("--run", dest="run_folder", metavar="FOLDER", help="the run's folder (default: the next free runs/DATA-N)")
    where.add_argument("--overwrite", action="store_true", help="replace the run that is in that folder")
    where.add_argument("--resume", nargs="?", const="", metavar="FOLDER",
                       help="go on with the run in FOLDER (default: that of --run, else the newest in runs/)")
    where.add_argument("--save-every", type=number, default=30.0, metavar="S",
                       help="seconds between checkpoints within an epoch (default: 30)")
    where.add_argument("--json", action="store_true", help="print the result as JSON on stdout (progress stays on stderr)")
    where.add_argument("--quiet", action="store_true", help="no progress, only the result")
    add_debug(where)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train as the options say, or go on with a run."""
    where = use_device(args)
    settings = {name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None}
    if args.resume is None:
        return _train(args, where, *_new(args, settings), resume=False)
    if args.overwrite:
        raise OptionError("--resume goes on with a run and --overwrite replaces it: give one of them")
    folder = _folder_to_resume(args)
    return _train(args, where, folder, _description_of(folder, args), settings, resume=True)


def _new(args: argparse.Namespace, given: dict[str, Any]) -> tuple[Path | None, dict[str, Any], dict[str, Any]]:
    """(folder or None for the next free one, description, settings) of a new run."""
    from ..train import recipes

    data = args.data or "digits"
    recipe = recipes.find_recipe(data)
    network = (args.model or "simple-cnn").lower()
    for name in (network, network.replace("-", "_")):
        network = name if name in recipes.NETWORKS else network
    recipes.network_description(network, recipes.feeding_for(recipe, "simple-cnn"), 1)  # is there such a network?
    feeding = recipes.feeding_for(recipe, network, args.image_size)
    description = {
        "data": {
            "name": data, "root": None if args.root is None else str(Path(args.root).expanduser().absolute()),
            "val": 0.1 if args.val is None else args.val, "augment": args.augment or "on",
        },
        "input": feeding.as_dict(),
        "model": {"name": network},
    }
    defaults = dict(recipe.settings)
    if given.get("optimizer", "sgd").startswith("adam"):
        defaults.pop("lr")  # tuned for SGD
    folder = None if args.run_folder is None else Path(args.run_folder)
    return folder, description, {**defaults, **given}


def _folder_to_resume(args: argparse.Namespace) -> Path:
    from ..train.runs import latest_run

    named = args.resume or args.run_folder
    if args.resume and args.run_folder and Path(args.resume) != Path(args.run_folder):
        raise OptionError(f"--resume {args.resume} and --run {args.run_folder} name different folders")
    folder = latest_run("runs") if not named else Path(named).expanduser()
    return folder.parent if folder.is_file() else folder


def _description_of(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """What the run in a folder was begun with, after the options given now have been found to agree."""
    from .. import parallel
    from ..train.checkpoint import load_checkpoint
    from ..train.runs import LAST

    path = folder / LAST
    if not path.is_file():
        raise CheckpointError(f"nothing to resume: there is no {path}")
    old = load_checkpoint(path)
    try:
        data, network, size = old.description["data"], old.description["model"]["name"], old.description["input"]["size"]
        saved = {"data": data["name"], "val": data["val"], "augment": data["augment"], "model": network, "image_size": size[0]}
    except (KeyError, TypeError, IndexError):
        raise CheckpointError(f"{path}: was not made by `tinyvision train`; go on with fit(..., resume=True)") from None
    for name, value in saved.items():
        now = getattr(args, name)
        if now is not None and now != value:
            raise CheckpointError(
                f"{folder}: --{name.replace('_', '-')} was {value} and is now {now}; leave it out, or start a new run"
            )
    if args.threads is None and type(old.notes["threads"]) is int:
        parallel.set_num_threads(min(max(old.notes["threads"], 1), 4 * (os.cpu_count() or 1)))
    return old.description


def _train(
    args: argparse.Namespace, where: Any, folder: Path | None, description: dict[str, Any], settings: dict[str, Any],
    resume: bool,
) -> int:
    from .. import random, train
    from ..train import recipes
    from ..train.feeding import Feeding
    from ..train.runs import BEST, LAST, new_run_folder, open_run

    if folder is not None and not resume:
        open_run(folder, False, args.overwrite, make=False)
    feeding = Feeding.from_dict(description["input"])
    data = description["data"]
    seed = settings.get("seed", train.load_checkpoint(folder / LAST).settings["seed"] if resume else 0)
    if not resume:
        train.Settings.from_options(settings)  # before data are read and folders made
    parts = recipes.open_parts(
        data["name"], feeding, root=args.root or data["root"], val=data["val"], augment=data["augment"] == "on", seed=seed,
        download=args.download,
    )
    description["model"] = recipes.network_description(description["model"]["name"], feeding, len(parts.classes))
    with random.use(random.stream(seed, "init")):
        model = recipes.build_network(description["model"])
    fresh = folder is None
    folder = folder if folder is not None else new_run_folder("runs", data["name"])
    say = (lambda text: None) if args.quiet else (lambda text: print(text, file=sys.stderr, flush=True))
    say(_headline(parts, model, description, where, folder, resume))
    try:
        history = train.fit(
            model, parts.train, parts.val, run=folder, resume=resume, overwrite=args.overwrite, device=where,
            workers=args.workers, save_every=args.save_every, log=None if args.quiet else "auto", description=description,
            **settings,
        )
    except train.Interrupted as stop:
        if stop.run is None:
            raise
        text = str(stop).partition(";")[0]
        raise train.Interrupted(f"{text}; go on with: tinyvision train --resume {folder}", stop.signal, folder) from None
    finally:
        if fresh and not any(folder.iterdir()):
            folder.rmdir()  # nothing began, so nothing is left
    best = train.load_weights(model, folder / BEST)
    test = None if parts.test is None else train.evaluate(model, parts.test, device=where, workers=args.workers)
    _show_result(args.json, history, best.progress.epoch, parts, test, folder, description)
    return 0


def _headline(parts: Any, model: Any, description: dict[str, Any], where: Any, folder: Path, resume: bool) -> str:
    from .. import get_num_threads

    place = f"{where} with {get_num_threads()} threads" if where.type == "cpu" else str(where)
    count = sum(p.numel() for p in model.parameters())
    held = f" ({len(parts.val):,} more for validation)" if parts.val is not None else ""
    return (
        f"{'going on with' if resume else 'training'} {description['model']['name']} ({count:,} parameters) on "
        f"{len(parts.train):,} images of {description['data']['name']}{held}, {place}, in {folder}"
    )


def _show_result(
    as_json: bool, history: Any, epoch: int, parts: Any, test: Any, folder: Path, description: dict[str, Any]
) -> None:
    from ..train.runs import BEST

    row = history.rows[epoch - 1]
    if as_json:
        result = {
            "run": str(folder), "checkpoint": str(folder / BEST), "data": description["data"]["name"],
            "model": description["model"]["name"], "best_epoch": epoch, "val_accuracy": row["val_accuracy"],
            "test_accuracy": None if test is None else test.accuracy,
            "test_images": None if test is None else len(test.labels), "history": history.rows,
        }
        print(json.dumps(result, indent=2))
        return
    if parts.val is not None:
        print(f"best epoch: {epoch}, by its validation accuracy of {row['val_accuracy']:.2%} "
              f"({len(parts.val):,} training images held back)")
    if test is not None:
        right = int((test.predictions == test.labels).sum())
        print(f"test accuracy: {test.accuracy:.2%} ({right:,} of {len(test.labels):,} images that nothing was learned "
              f"or chosen on)")
    elif parts.val is None:
        print(f"training accuracy: {row['train_accuracy']:.2%}; no images were held back, so nothing is known of others")
    print(f"kept: {folder / BEST}   (use it: tinyvision predict IMAGE --model {folder})")
