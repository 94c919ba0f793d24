"""`tinyvision info`: what a network, a checkpoint or a weight file consists of."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..folders import user_path
from ..printable import printable
from .parser import whole
from .terminal import answer, answer_json

_EPILOG = """\
examples:
  tinyvision info resnet18               shapes, parameters, multiply-adds
  tinyvision info runs/digits-1          how the run was made and how it went
  tinyvision info resnet18-f37072fd.pth  the tensors in a weight file
  tinyvision info net.onnx               the network; also .keras, .h5, .tflite"""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "info",
        help="describe a network, a checkpoint or a weight file",
        epilog=_EPILOG,
        description="Describe a network by name, a run or checkpoint, any .pth, .safetensors or .npz file, or the "
        "network in a file .onnx, .keras, .h5 or .tflite.",
    )
    p.add_argument("what", metavar="MODEL|CHECKPOINT|FILE")
    p.add_argument("--image-size", type=whole(8), metavar="N", help="for a network's name: images of NxN pixels")
    p.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Describe it."""
    from ..interop import READERS
    from ..train import recipes
    from ..train.runs import BEST, LAST
    from ..train.settings import nearest

    path = user_path(args.what)
    if recipes.network_name(args.what) in recipes.NETWORKS:
        return _network(recipes.network_name(args.what), args)
    if not path.exists():
        hint = nearest(args.what, recipes.by_familiarity())
        raise OptionError(f"{args.what}: neither a file nor a network (known: {', '.join(recipes.NETWORKS)}){hint}")
    if args.image_size:
        raise OptionError("--image-size goes with the name of a network")
    if path.is_dir():
        path = next((path / name for name in (LAST, BEST) if (path / name).is_file()), path / LAST)
        if not path.is_file():
            raise CheckpointError(f"{args.what}: this folder holds no run (there is no {LAST})")
    return _foreign(path, args.json) if path.suffix.lower() in READERS else _file(path, args.json)


def _foreign(path: Path, as_json: bool) -> int:
    """What a network of another engine is made of, takes and gives, as far as its file says."""
    from collections import Counter

    from ..interop import READERS
    from ..nn.module import Module

    model: Any = READERS[path.suffix.lower()](path)
    layers = [m for m in model.modules() if isinstance(m, Module) and not any(True for _ in m.children())]
    kinds = Counter(str(getattr(m, "kind", type(m).__name__.lstrip("_"))) for m in layers if type(m) is not Module)
    inputs = dict(zip(model.input_names, model.input_shapes, strict=True))
    parameters = sum(p.numel() for p in model.parameters())
    notes = {printable(k): printable(v, 300) for k, v in getattr(model, "metadata", {}).items()}
    if as_json:
        found = {"file": str(path), "bytes": os.path.getsize(path), "parameters": parameters, "inputs": inputs}
        answer_json({**found, "outputs": model.output_names, "layers": kinds, "metadata": notes})
        return 0
    for name, shape in inputs.items():
        sizes = ", ".join("any" if n is None else str(n) for n in shape or ())
        answer(f"input:    {printable(name)} (N{', ' * bool(sizes)}{sizes})")
    answer(f"outputs:  {', '.join(printable(name) for name in model.output_names)}")
    answer(f"layers:   {', '.join(f'{count} {printable(kind)}' for kind, count in kinds.most_common())}")
    for name, text in notes.items():
        answer(f"it says:  {name}: {text}")
    answer(f"{path}: {kinds.total()} layers, {parameters:,} parameters, {os.path.getsize(path):,} bytes")
    return 0


def _network(name: str, args: argparse.Namespace) -> int:
    from ..nn import summary
    from ..train import recipes
    from ..weights.hub import weight_names

    preprocessing = recipes.NETWORKS[name][1]
    size = args.image_size or (preprocessing.size[0] if preprocessing else 24)
    options = {"image_size": size} if name == "simple-cnn" else {}
    table = summary(recipes.NETWORKS[name][0](**options), (3, size, size))
    if args.json:
        layers = [vars(row) for row in table.rows]
        answer_json(
            {
                "model": name,
                "input_shape": table.input_shape,
                "parameters": table.parameters,
                "multiply_adds": table.multiply_adds,
                "weights": weight_names(name),
                "layers": layers,
            }
        )
        return 0
    answer(*str(table).splitlines())
    names = weight_names(name)
    answer(f"published weights: {', '.join(names)}" if names else "no published weights; `tinyvision train` trains it")
    return 0


def _file(path: Path, as_json: bool) -> int:
    from ..train import load_checkpoint
    from ..weights import load_with_metadata

    arrays, metadata = load_with_metadata(path)
    checkpoint = load_checkpoint(path) if metadata.get("format", "").startswith("tinyvision checkpoint") else None
    tensors = arrays if checkpoint is None else checkpoint.weights
    numbers = sum(a.size for a in tensors.values())
    if as_json:
        result: dict[str, Any] = {"file": str(path), "bytes": os.path.getsize(path), "numbers": numbers}
        result["tensors"] = {name: {"shape": a.shape, "dtype": str(a.dtype)} for name, a in tensors.items()}
        if checkpoint is not None:
            result.update(
                settings=checkpoint.settings,
                description=checkpoint.description,
                history=checkpoint.progress.rows,
            )
        answer_json(result)
        return 0
    if checkpoint is not None:
        _print_checkpoint(checkpoint)
    shown = {printable(name): array for name, array in tensors.items()}
    wide = max(map(len, shown), default=0)
    for name, array in shown.items():
        answer(f"{name:{wide}}  {array.dtype!s:8}  {tuple(array.shape)}")
    answer(f"{path}: {len(tensors)} tensors, {numbers:,} numbers, {os.path.getsize(path):,} bytes")
    return 0


def _print_checkpoint(checkpoint: Any) -> None:
    from ..train import History
    from ..train.inspection import in_words

    notes, progress = checkpoint.description, checkpoint.progress
    if isinstance(notes.get("model"), dict):
        answer(f"network:  {notes['model'].get('name')}")
    if isinstance(notes.get("data"), dict):
        images, times = checkpoint.notes.get("images", 0), checkpoint.notes.get("times", 1)
        answer(f"data:     {notes['data'].get('name')}, {in_words(images, times, 'training images')}")
    if notes.get("classes"):
        names = [str(name) for name in notes["classes"]]
        answer(f"classes:  {len(names)}: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}")
    answer(
        "settings: " + ", ".join(f"{name} {value}" for name, value in checkpoint.settings.items() if value is not None)
    )
    answer(
        f"progress: {progress.epoch} of {checkpoint.settings.get('epochs')} epochs, {progress.total:,} steps"
        + (f" ({progress.step} in the unfinished epoch)" if progress.step else "")
    )
    if progress.rows:
        answer(*str(History(progress.rows)).splitlines())
    answer("")
