"""`tinyvision predict`: what is on these pictures?"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from ..errors import DataError, OptionError
from .inputs import read_each
from .parser import add_device, add_max_pixels, add_pixels, use_device, whole
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision predict photo.jpg --model efficientnet_lite0 --top 5
  tinyvision predict photos/ 'more/*.png'    with the newest run in runs/
  tinyvision predict photos/ --model runs/transfer-1 --json > labels.json
  tinyvision predict cells/ --model runs/nuclei-1 --save drawn/ --csv cells.csv
  tinyvision predict face.jpg --model emotions.h5 --pixels signed

A picture that cannot be read is reported, the others are done; the exit code is then 1."""

_BATCH = 16


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "predict",
        help="say what is on pictures",
        epilog=_EPILOG,
        description="Classify pictures with a trained or a pretrained network; or outline what is on them, with one "
        "that was trained for that.",
    )
    p.add_argument("inputs", nargs="+", metavar="IMAGE", help="files, folders (searched through), or 'patterns*'")
    p.add_argument(
        "--model",
        "--checkpoint",
        metavar="WHAT",
        help="a run's folder, a checkpoint, a file .onnx, .keras, .h5 or .tflite, or the name of a pretrained "
        "network, such as efficientnet_lite0 or mobilenet_v2 (default: the newest run in runs/)",
    )
    add_pixels(p)
    p.add_argument(
        "--weights",
        metavar="FILE",
        help="with the name of a network: its weights, in place of the published ones",
    )
    p.add_argument("--top", type=whole(1), metavar="N", help="how many classes to name (default: 1)")
    p.add_argument("--save", metavar="FOLDER", help="draw what was found on copies of the pictures (not classes)")
    p.add_argument("--csv", metavar="FILE", help="write a table of what was found: areas, places (not classes)")
    p.add_argument("--overwrite", action="store_true", help="replace the file of --csv, and pictures in that of --save")
    p.add_argument("--invert", action="store_true", help="turn dark on light into light on dark, as the digits are")
    p.add_argument("--json", action="store_true", help="print JSON")
    add_device(p)
    add_max_pixels(p)


def run(args: argparse.Namespace) -> int:
    """Look at all inputs."""
    from ..tasks.recognition import Features
    from ..train.recipes import Network
    from .drawn import run_drawn

    where = use_device(args)
    network = find_network(args.model, args.weights, any_task=True, files=True, pixels=args.pixels)
    network.model.to(where)
    if args.model is None:
        note(f"with {network.origin}")
    if isinstance(network, Features):
        raise OptionError(f"{network.origin} compares pictures: use tinyvision compare or tinyvision search --model")
    if not isinstance(network, Network):
        return run_drawn(network, args)
    for option in ("save", "csv"):
        if getattr(args, option) is not None:
            raise OptionError(f"--{option} is for networks that find places; {network.origin} names classes")
    args.top = args.top or 1
    results, failed = [], 0
    for path, found in _predictions(network, args):
        if isinstance(found, DataError):
            failed += 1
            note(f"tinyvision: {found}")
            results.append({"file": path, "error": str(found)})
            continue
        results.append({"file": path, "predictions": found})
        if not args.json:
            _print(path, found)
    if args.json:
        answer_json(results)
    if failed and len(results) > 1:
        note(f"tinyvision: {failed} of {len(results)} inputs could not be used")
    return 1 if failed else 0


def find_network(
    name: str | None,
    weights: str | None,
    any_task: bool = False,
    option: str = "--model ",
    files: bool = False,
    pixels: str | None = None,
) -> Any:
    """The network that a name and --weights mean: a Network, or with `any_task` also another task's Predictor, and with
    `files` one in a file of another engine, which sees `pixels`. `option` is what stands before the name on the command
    line: nothing, where it has a place of its own. Raises OptionError or CheckpointError."""
    from .. import tasks
    from ..train import recipes
    from ..train.file_networks import file_network, is_file_network
    from ..train.runs import BEST, newest_runs
    from ..train.settings import nearest

    load = tasks.load if any_task else recipes.load_network
    if pixels is not None and (name is None or not is_file_network(name)):
        raise OptionError("--pixels is for networks in files of other engines: .onnx, .keras, .h5, .tflite")
    if name is None:
        if weights:
            raise OptionError("--weights needs the name of the network: --model resnet18 --weights FILE")
        runs = newest_runs("runs", BEST)
        if not runs:
            raise OptionError(f"no run in runs/ has a {BEST} yet: train one, or give --model efficientnet_lite0")
        return _looking(load(runs[0]))
    if recipes.network_name(name) in recipes.NETWORKS:
        return recipes.pretrained_network(recipes.network_name(name), weights)
    if not os.path.exists(name):
        hint = nearest(name, recipes.by_familiarity())
        raise OptionError(
            f"{option}{name}: neither a file or folder nor a network (known: {', '.join(recipes.NETWORKS)}){hint}"
        )
    if weights:
        raise OptionError(f"--weights goes with the name of a network, but {option}{name} is a checkpoint")
    if is_file_network(name):
        if not files:
            raise OptionError(f"{name}: a network as another engine has it has no layers to look into or to go on from")
        return file_network(name, pixels)
    return _looking(load(name))


def _looking(network: Any) -> Any:
    """The network, unless it is one that makes pictures and looks at none. Raises OptionError."""
    from ..tasks.generation import Generator

    if isinstance(network, Generator):
        raise OptionError(
            f"{network.origin}: this network makes pictures and looks at none; use it: tinyvision generate --model; "
            f"predict, compare, search and export are for networks that are given pictures"
        )
    return network


def _predictions(network: Any, args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """(path, predictions or the DataError) for every input, in order."""
    from ..data import read_image

    waiting: list[tuple[str, Any]] = []  # pictures, and errors in their place
    for name, _, image in read_each(args.inputs, lambda path: read_image(path, args.max_pixels)):
        waiting.append((name, 255 - image if args.invert and not isinstance(image, DataError) else image))
        if len(waiting) == _BATCH:
            yield from _classified(network, waiting, args.top)
            waiting = []
    yield from _classified(network, waiting, args.top)


def _classified(network: Any, waiting: list[tuple[str, Any]], top: int) -> Iterator[tuple[str, Any]]:
    images = [image for _, image in waiting if not isinstance(image, DataError)]
    rows = iter(network.probabilities(images) if images else ())
    for path, image in waiting:
        if isinstance(image, DataError):
            yield path, image
            continue
        row = next(rows)
        best = row.argsort()[::-1][:top]
        yield (
            path,
            [{"class": network.class_name(int(k)), "index": int(k), "probability": float(row[k])} for k in best],
        )


def _print(path: str, found: list[dict[str, Any]]) -> None:
    if len(found) == 1:
        answer(f"{path}  {found[0]['class']}  {found[0]['probability']:.1%}")
        return
    answer(path)
    for one in found:
        answer(f"  {one['probability']:6.1%}  {one['class']}")
