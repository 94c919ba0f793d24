"""`tinyvision evaluate`: how often is a network right on labelled pictures?"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..folders import typed, user_path
from ..printable import printable
from .drawn import check_table
from .parser import add_device, add_max_pixels, add_pixels, use_device, whole, workers
from .predict import find_network
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision evaluate runs/transfer-1 PHOTOS/test      PHOTOS/test/cat/*.jpg, ...
  tinyvision evaluate efficientnet_lite0 PHOTOS --labels labels.csv --limit 500
  tinyvision evaluate resnet18 ILSVRC2012/val --as-stored
  tinyvision evaluate --resume runs/evaluate-1 --report

The folder has one folder for each class; or it is any folder of pictures, and
--labels names a file with a line for each: "photo.jpg,cat". Classes are the
network's own names, or of networks that know ImageNet's 1,000 classes WordNet
ids (n01440764), or numbers from 0. With --as-stored pictures are decoded as
torchvision decodes them, and ImageNet's 50,000 validation pictures give the
figures that are published.

Behind a share stands where it lies with 95% confidence (Wilson's interval), if
the pictures are a random sample of what the network will meet. A picture that
cannot be read is named and left out, and the exit code is then 1.

--report writes report.html into the run's folder: what confidence is worth,
before and after temperature scaling; noise, blur, JPEG and contrast at five
strengths; pictures of none of the classes; the mistakes, each with Grad-CAM
and the same map of a network that knows nothing."""

_SHOWN_CLASSES = 5
_PUBLISHED_PICTURES = 50_000


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "evaluate",
        help="count how often a network is right on labelled pictures",
        epilog=_EPILOG,
        description="Judge a network on labelled pictures: top-1, top-5, every class, each with its interval.",
    )
    p.add_argument(
        "model", nargs="?", metavar="MODEL", help="a run's folder, a checkpoint, a network's name, or its file"
    )
    p.add_argument("folder", nargs="?", metavar="FOLDER", help="one folder for each class, or pictures with --labels")
    p.add_argument("--weights", metavar="FILE", help="with the name of a network: its weights")
    add_pixels(p)
    p.add_argument("--labels", metavar="FILE", help="a line for each picture: its name and its class")
    p.add_argument("--limit", type=whole(1), metavar="N", help="only N pictures, drawn at random")
    p.add_argument("--seed", type=whole(0), metavar="N", help="of that draw (default: 0)")
    p.add_argument("--as-stored", action="store_true", help="decode as torchvision does: neither turned nor on white")
    p.add_argument("--csv", metavar="FILE", help="write a line for each picture: class, answer, probability, rank")
    p.add_argument("--overwrite", action="store_true", help="replace the file of --csv if there is one")
    p.add_argument(
        "--report", action="store_true", help="write report.html: confidence, spoilt pictures, mistakes, maps"
    )
    p.add_argument("--unknown", metavar="FOLDER", help="with --report: pictures that show none of the classes")
    p.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    p.add_argument("--quiet", action="store_true", help="no progress, only the result")
    where = p.add_argument_group("where, and what is kept")
    add_device(where)
    add_max_pixels(where)
    where.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="pictures at once (default: 32)")
    where.add_argument("--workers", type=workers(), default=1, metavar="N", help="threads that read ahead (default: 1)")
    where.add_argument(
        "--run", dest="run_folder", metavar="FOLDER", help="the run's folder (default: the next free runs/evaluate-N)"
    )
    where.add_argument("--resume", metavar="RUN", help="go on with the evaluation in this folder")


def run(args: argparse.Namespace) -> int:
    """Judge the network, or go on with that."""
    from ..train import Interrupted
    from ..train.evaluate_folder import evaluate_folder
    from ..train.runs import EVALUATION, discard_if_empty

    where = use_device(args)
    settings = _settings(args)
    check_table(args.csv, args.overwrite)
    _check_unknown(args)
    network = find_network(settings.model, settings.weights, option="", files=True, pixels=settings.pixels)
    network.model.to(where)
    run_folder, fresh = _run_folder(args)
    try:
        if not args.quiet:
            pictures = f"the pictures in {printable(settings.folder)}"
            note(f"judging {network.origin} by {pictures}; run: {printable(run_folder)}")
        result = evaluate_folder(
            network,
            settings,
            run_folder,
            resume=args.resume is not None,
            batch_size=args.batch_size,
            workers=args.workers,
            log=None if args.quiet else "auto",
        )
    except KeyboardInterrupt as stop:
        text = "stopped before the first picture; nothing is in the run's folder yet"
        if (run_folder / EVALUATION).is_file():
            text = f"{stop}; go on with: tinyvision evaluate --resume {typed(run_folder)}"
        raise Interrupted(text, getattr(stop, "signal", 2)) from None
    finally:
        if fresh:
            discard_if_empty(run_folder)
    for text in result.unreadable:
        note(f"tinyvision: {text}")
    if args.csv:
        _write_csv(args.csv, result, network)
    found = _summary(result, network, settings, run_folder)
    if args.report:
        try:
            found |= _examined(result, network, settings, run_folder, args)
        except KeyboardInterrupt as stop:
            again = f"tinyvision evaluate --resume {typed(run_folder)} --report"
            text = f"stopped before the report was written; the scores are kept: {again}"
            raise Interrupted(text, getattr(stop, "signal", 2)) from None
    if args.json:
        answer_json(found)
    else:
        _show(found, result)
    return 1 if result.unreadable else 0


def _settings(args: argparse.Namespace) -> Any:
    from ..train.evaluate_folder import EvaluationSettings, saved_evaluation

    if args.resume is None:
        if args.model is None or args.folder is None:
            raise OptionError("give the MODEL and the FOLDER of labelled pictures, or --resume RUN")
        if args.seed is not None and args.limit is None:
            raise OptionError("--seed is of the draw that --limit makes: give --limit N too, or leave it out")
        return EvaluationSettings(
            folder=str(user_path(args.folder).absolute()),
            labels=_absolute(args.labels),
            model=_absolute(args.model) if os.path.exists(args.model) else args.model,
            weights=_absolute(args.weights),
            pixels=args.pixels,
            limit=args.limit,
            seed=args.seed or 0,
            as_stored=args.as_stored,
            max_pixels=args.max_pixels,
        )
    given = [
        name for name in ("model", "folder", "weights", "pixels", "labels", "limit", "seed") if getattr(args, name)
    ]
    given += ["--as-stored"] * args.as_stored + ["--run"] * (args.run_folder is not None)
    if given:
        raise OptionError(f"--resume goes on with what the run was begun with; leave {', '.join(given)} out")
    saved = saved_evaluation(user_path(args.resume))
    if saved.model is None:
        raise OptionError(f"{args.resume}: was begun in Python, and does not say with which network")
    return saved


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(user_path(path).absolute())


def _check_unknown(args: argparse.Namespace) -> None:
    if args.unknown is not None and not args.report:
        raise OptionError("--unknown goes into the report: give --report too")
    if args.unknown is not None and not user_path(args.unknown).is_dir():
        raise OptionError(f"--unknown {args.unknown}: no such folder")


def _run_folder(args: argparse.Namespace) -> tuple[Path, bool]:
    from ..train.runs import new_run_folder

    named = args.resume or args.run_folder
    return (user_path(named), False) if named is not None else (new_run_folder("runs", "evaluate"), True)


def _summary(result: Any, network: Any, settings: Any, run_folder: Path) -> dict[str, Any]:
    """Everything that is told, as JSON takes it."""
    import numpy as np

    evaluation = result.evaluation
    ranks, labels, classes = evaluation.label_ranks, evaluation.labels, evaluation.scores.shape[1]
    found: dict[str, Any] = {
        "run": str(run_folder),
        "network": network.origin,
        "folder": settings.folder,
        "pictures": len(labels),
        "unreadable": result.unreadable,
        "notes": result.notes,
        "classes_named_by": result.named_by,
        "top1": _share(int((ranks < 1).sum()), len(ranks)),
        "top5": _share(int((ranks < 5).sum()), len(ranks)) if classes > 5 else None,
        "balanced_accuracy": evaluation.balanced_accuracy,
        "loss": evaluation.loss if np.isfinite(evaluation.loss) else None,
        "pictures_per_second": result.computed / result.seconds if result.computed else None,
        "published_top1": _published(settings, len(labels), result.named_by),
        "classes": [],
    }
    for k in np.unique(labels):
        own = ranks[labels == k]
        one = {"class": network.class_name(int(k)), "index": int(k), **_share(int((own < 1).sum()), len(own))}
        found["classes"].append(one)
    return found


def _examined(result: Any, network: Any, settings: Any, run_folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Look beyond the accuracy, and write the report."""
    from ..train.report import report_path
    from ..train.trust import examine
    from ..train.trust_report import write_trust_report

    unknown = None if args.unknown is None else user_path(args.unknown)
    log = None if args.quiet else "auto"
    trust = examine(network, result, unknown=unknown, seed=settings.seed, batch_size=args.batch_size, log=log)
    write_trust_report(network, result, trust, settings.folder, report_path(run_folder))
    calibration = trust.calibration and {
        "error": trust.calibration.before.error,
        "temperature": trust.calibration.temperature,
        "error_with_temperature": trust.calibration.after.error,
        "pictures": trust.calibration.judged_on,
    }
    return {
        "report": str(report_path(run_folder)),
        "calibration": calibration,
        "spoilt": {"pictures": trust.sampled, "right": trust.right, "right_by_strength": trust.spoilt},
        "told_apart_from_unknown": trust.auc,
    }


def _share(right: int, count: int) -> dict[str, Any]:
    from ..train.metrics import wilson_interval

    low, high = wilson_interval(right, count)
    return {"right": right, "count": count, "share": right / count, "low": low, "high": high}


def _published(settings: Any, pictures: int, named_by: str) -> float | None:
    """The publisher's own top-1 figure, where what was judged may be the pictures that it is of."""
    from ..train.recipes import network_name
    from ..weights.published import default_name, published

    name = network_name(settings.model) if settings.model else ""
    if settings.weights or pictures != _PUBLISHED_PICTURES or named_by == "name" or not published(name):
        return None
    accuracy = published(name)[default_name(name)].accuracy
    return None if accuracy is None else accuracy / 100


def _show(found: dict[str, Any], result: Any) -> None:
    from ..train.classification import balanced

    answer(f"top-1: {_told(found['top1'])}")
    if found["top5"] is not None:
        answer(f"top-5: {_told(found['top5'])}")
    if result.evaluation.is_uneven:
        answer(balanced(result.evaluation))
    if found["published_top1"] is not None:
        answer(f"published top-1 on ImageNet's {_PUBLISHED_PICTURES:,} validation pictures: "
               f"{found['published_top1']:.2%}")  # fmt: skip
    classes = sorted(found["classes"], key=lambda one: (one["share"], -one["count"]))
    answer(f"by class, {'all' if len(classes) <= _SHOWN_CLASSES else f'the worst {_SHOWN_CLASSES}'} of {len(classes)}:")
    for one in classes[:_SHOWN_CLASSES]:
        answer(f"  {one['class'][:30]:30} {_told(one)}")
    if found["pictures_per_second"] is not None:
        answer(f"{found['pictures_per_second']:,.1f} pictures/s")
    if calibration := found.get("calibration"):
        answer(f"calibration error: {calibration['error']:.1%}, {calibration['error_with_temperature']:.1%} at the "
               f"temperature {calibration['temperature']:.2f}")  # fmt: skip
    if "report" in found:
        answer(f"report: {found['report']}")
    answer(f"kept: {found['run']}")


def _told(one: dict[str, Any]) -> str:
    return f"{one['share']:7.2%}  ({one['right']:,} of {one['count']:,}; 95%: {one['low']:.1%} to {one['high']:.1%})"


def _write_csv(path: str, result: Any, network: Any) -> None:
    """A line for each picture that was judged."""
    import numpy as np

    from ..atomic import atomic_write

    evaluation = result.evaluation
    probabilities = np.exp(evaluation.log_probabilities)
    with atomic_write(user_path(path), "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "class", "answer", "probability", "probability_of_class", "rank"])
        for i, (label, said, rank) in enumerate(
            zip(
                evaluation.labels.tolist(),
                evaluation.predictions.tolist(),
                evaluation.label_ranks.tolist(),
                strict=True,
            )
        ):
            name = printable(result.name(i), None)
            row = [name, network.class_name(label), network.class_name(said)]
            writer.writerow([*row, f"{probabilities[i, said]:.6f}", f"{probabilities[i, label]:.6f}", rank + 1])
