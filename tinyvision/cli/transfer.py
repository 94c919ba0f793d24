"""`tinyvision transfer`: fine-tune a pretrained network on folders of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..folders import typed, user_path
from ..printable import printable
from .parser import add_device, add_max_pixels, add_pixels, number, use_device, whole, workers
from .processes import check_alone
from .stopping import stopping
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision transfer PHOTOS     PHOTOS/cat/*.jpg, PHOTOS/dog/*.jpg, ...
  tinyvision transfer PHOTOS --freeze none --epochs 5
  tinyvision transfer PHOTOS --model emotions.h5 --pixels signed
  tinyvision transfer --resume runs/transfer-1

PHOTOS may hold train/, val/ and test/ with such folders each; otherwise a share (--val) of the images is held
back. The run's folder gets report.html (accuracy per class, confusion matrix, the worst mistakes, learning
curves) and best.safetensors, which `tinyvision predict IMAGE --model RUN` uses. What the frozen layers
compute of an image is kept in the cache folder, so a second run with other settings starts at once."""

_OPTIONS = ("model", "weights", "pixels", "freeze", "epochs", "head_epochs", "lr", "views", "val", "batch_size", "seed")


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "transfer",
        help="fine-tune a pretrained network on your folders of images",
        epilog=_EPILOG,
        description="Teach a network that knows ImageNet to tell your own classes apart.",
    )
    p.add_argument("folder", nargs="?", metavar="FOLDER", help="one folder of images for each class")
    p.add_argument(
        "--model",
        metavar="NAME",
        help="efficientnet_lite0 (default), resnet18, mobilenet_v2, ...; or a file: .onnx, .keras, .h5, .tflite, or "
        "timm's .safetensors",
    )
    add_pixels(p)
    p.add_argument("--weights", metavar="FILE", help="weights to start from, in place of the published ones")
    p.add_argument(
        "--freeze",
        choices=("all", "stem", "none"),
        help="what stays as it is: all but the new last layer (default), the first layers, or nothing",
    )
    p.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help="epochs of the whole network (default: 5), or of the last layer with --freeze all (default: 40)",
    )
    p.add_argument("--head-epochs", type=whole(1), metavar="N", help="epochs of the last layer alone (default: 40)")
    p.add_argument("--lr", type=number, metavar="X", help="learning rate of the whole network's stage (default: 0.01)")
    p.add_argument(
        "--views",
        type=whole(0),
        metavar="N",
        help="augmented views of each image for the last layer (default: 3)",
    )
    p.add_argument("--val", type=number, metavar="SHARE", help="share of the images to hold back (default: 0.2)")
    p.add_argument("--batch-size", type=whole(1), metavar="N", help="images in a step (default: 32)")
    p.add_argument("--seed", type=whole(0), metavar="N", help="of split, order and augmentation (default: 0)")
    add_device(p)
    add_max_pixels(p)
    p.add_argument(
        "--workers", type=workers(), default=1, metavar="N", help="threads that read images ahead (default: 1)"
    )
    p.add_argument(
        "--run",
        dest="run_folder",
        metavar="FOLDER",
        help="the run's folder (default: the next free runs/transfer-N)",
    )
    p.add_argument("--overwrite", action="store_true", help="replace the run that is in that folder")
    p.add_argument("--resume", metavar="FOLDER", help="go on with the run in FOLDER")
    p.add_argument("--json", action="store_true", help="print the result as JSON on stdout (progress stays on stderr)")
    p.add_argument("--quiet", action="store_true", help="no progress, only the result")


def run(args: argparse.Namespace) -> int:
    """Fine-tune as the options say, or go on with a run."""
    from ..train.report import report_path, write_report
    from ..train.runs import TRANSFER, discard_if_empty
    from ..train.transfer import TransferSettings, fine_tune

    check_alone("transfer")
    where = use_device(args)
    if args.resume is not None and args.overwrite:
        raise OptionError("--resume goes on with a run and --overwrite replaces it: give one of them")
    folder, options = _what(args)
    settings = TransferSettings(**options)
    run_folder, fresh = _run_folder(args, Path(folder))
    with stopping("transfer", TRANSFER, run_folder, args.resume is not None) as kept:
        try:
            if not args.quiet:
                note(f"fine-tuning {settings.model} on {printable(folder)}, in {printable(run_folder)}")
            result = fine_tune(
                folder,
                run_folder,
                settings,
                resume=args.resume is not None,
                overwrite=args.overwrite,
                device=where,
                workers=args.workers,
                max_pixels=args.max_pixels,
                log=None if args.quiet else "auto",
            )
        finally:
            if fresh:
                discard_if_empty(run_folder)  # nothing began, so nothing is left
        kept.trained = True
        write_report(result, settings, report_path(run_folder))
    _show(args.json, result, run_folder)
    return 0


def _what(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """(folder of images, settings) of a new or a resumed run. Raises OptionError for what contradicts itself."""
    from ..train.recipes import network_name
    from ..train.transfer import saved_settings

    given = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    if "model" in given:
        given["model"] = network_name(given["model"])
    if args.resume is not None:
        if args.run_folder is not None:
            raise OptionError("--resume names the run's folder already; leave --run out")
        saved = saved_settings(user_path(args.resume))
        folder = saved.pop("folder")
        if args.folder is not None and user_path(args.folder).absolute() != Path(folder):
            raise CheckpointError(f"{args.resume}: the images were in {folder} and are now said to be in {args.folder}")
        if given.get("freeze", saved["freeze"]) == "all" and "epochs" in given:
            given["head_epochs"] = given.pop("epochs")
        return folder, {**saved, **given}
    if args.folder is None:
        raise OptionError("give the FOLDER with one folder of images for each class, or --resume RUN")
    if given.get("freeze", "all") == "all":
        if "epochs" in given:
            if "head_epochs" in given:
                raise OptionError(
                    "with --freeze all there are only the last layer's epochs: give --epochs or --head-epochs"
                )
            given["head_epochs"] = given.pop("epochs")
        if "lr" in given:
            raise OptionError(
                "--lr is of the whole network's stage, which --freeze all leaves out; add --freeze none or stem"
            )
    else:
        given.setdefault("epochs", 5)
    return args.folder, given


def _run_folder(args: argparse.Namespace, folder: Path) -> tuple[Path, bool]:
    from ..train.image_folders import folder_parts
    from ..train.runs import new_run_folder

    named = args.resume or args.run_folder
    run = None if named is None else user_path(named)
    # Before a run is announced, or its folder made, for images that are not there.
    folder_parts(user_path(folder), args.max_pixels, ignore=[] if run is None else [run])
    return (run, False) if run is not None else (new_run_folder("runs", "transfer"), True)


def _show(as_json: bool, result: Any, run_folder: Path) -> None:
    from ..train.classification import balanced
    from ..train.report import report_path

    evaluation = result.evaluation
    right, count = int((evaluation.predictions == evaluation.labels).sum()), len(evaluation.labels)
    if as_json:
        answer_json(
            {
                "run": str(run_folder),
                "checkpoint": str(result.checkpoint),
                "report": str(report_path(run_folder)),
                "classes": result.classes,
                "judged_on": result.judged,
                "images": count,
                "accuracy": evaluation.accuracy,
                "balanced_accuracy": evaluation.balanced_accuracy,
                "history": {name: history.rows for name, history in result.histories.items()},
            }
        )
        return
    chosen = "" if result.judged == "test" else "; the best epoch was chosen by them"
    answer(f"{result.judged} accuracy: {evaluation.accuracy:.2%} ({right:,} of {count:,} images{chosen})")
    if evaluation.is_uneven:
        answer(balanced(evaluation))
    answer(f"report: {report_path(run_folder)}")
    answer(f"kept: {result.checkpoint}   (use it: tinyvision predict IMAGE --model {typed(run_folder)})")
