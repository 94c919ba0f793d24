"""`tinyvision export`: take a network to another engine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..folders import user_path
from .parser import whole
from .predict import find_network
from .terminal import answer

_EPILOG = """\
examples:
  tinyvision export runs/digits-1 digits.onnx
  tinyvision export efficientnet_lite0 lite0.onnx
  tinyvision export resnet18 net.onnx --weights resnet18-f37072fd.pth
  tinyvision export net.keras net.onnx        (Keras, also .h5 and TensorFlow.js)
  tinyvision export net.tflite net.onnx       (TensorFlow Lite)
  tinyvision export runs/digits-1 digits.keras
  tinyvision export runs/digits-1 digits.safetensors --card

Needs the package onnx: pip install "tinyvision[onnx]"; for .keras the package
keras and tensorflow, torch or jax. The file takes batches of any size. How
pictures are prepared, and the classes, are kept in an ONNX file as metadata;
a Keras file has no place for them, so the answer says how. Keras takes
pictures with their channels last, (N, H, W, C). A .safetensors file holds the
weights alone, under their names here, and needs no package. --card writes
OUT.md beside the file, a model card: what is known of the network, and what
only its author can say."""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "export",
        help="write a network as an ONNX, a Keras or a safetensors file",
        epilog=_EPILOG,
        description="Write a trained or a pretrained network as an ONNX or a Keras file, or its weights.",
    )
    p.add_argument(
        "what",
        metavar="MODEL|RUN",
        help="a run's folder, a checkpoint, a file of Keras's or TensorFlow Lite's, or a network's name",
    )
    p.add_argument("out", metavar="OUT", help="the file to write, .onnx, .keras or .safetensors")
    p.add_argument("--weights", metavar="FILE", help="with the name of a network: its weights")
    p.add_argument("--image-size", type=whole(8), metavar="N", help="pictures of NxN pixels")
    p.add_argument("--card", action="store_true", help="also write a model card, OUT.md")
    p.add_argument("--overwrite", action="store_true", help="replace the files if there are any")


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    from ..atomic import atomic_write
    from ..interop import READERS, export
    from ..interop.model_card import model_card
    from ..nn.module import numpy_state
    from ..train.runs import BEST
    from ..weights import save

    out = user_path(args.out)
    if out.suffix.lower() not in (".onnx", ".keras", ".safetensors"):
        raise OptionError(
            f"{args.out}: only .onnx, .keras and .safetensors files are written; name it {out.with_suffix('.onnx')}"
        )
    card = out.with_suffix(".md")
    for path in (out, card) if args.card else (out,):
        if path.exists() and not args.overwrite:
            raise OptionError(f"{path} exists already; --overwrite replaces it")
    read = [user_path(args.what), user_path(args.what) / BEST, user_path(args.weights or args.what)]
    if out.exists() and any(path.exists() and path.samefile(out) for path in read):
        raise OptionError(f"{args.out}: is what is read, which has notes that would be lost; write another file")
    if Path(args.what).suffix.lower() in READERS and Path(args.what).exists():
        return _from_file(args, out)
    network = find_network(args.what, args.weights, any_task=True, option="")
    prepared = network.preprocessing
    height, width = (args.image_size, args.image_size) if args.image_size else prepared.size
    notes = {"classes": json.dumps(network.classes), "preprocessing": json.dumps(prepared.as_dict())}
    kept = None if _is_keras(out) else notes
    if out.suffix.lower() == ".safetensors":
        save(numpy_state(network.model), out, metadata={"format": "pt", **notes})  # "pt": its names are PyTorch's
    else:
        export(network.model, np.zeros((1, prepared.channels, height, width), np.float32), out, metadata=kept)
    shape = _as_written(out, (prepared.channels, height, width))
    answer(f"{args.out}: {network.origin}, for pictures {shape}, {out.stat().st_size:,} bytes")
    if args.card:
        text = model_card(out, network.model, network.origin, prepared, network.classes, shape)
        with atomic_write(card, "w") as file:
            file.write(text)
        answer(f"{card}: what is known of it, and what only you can say")
    if _is_keras(out):
        means, deviations = ([round(v, 4) for v in values] for values in (prepared.mean, prepared.std))
        answer(f"pixels: (pixel / 255 - mean) / std, with mean {means} and std {deviations}")
    return 0


def _is_keras(out):
    return out.suffix.lower() == ".keras"


def _as_written(out, shape):
    """The inputs (C, H, W) as the written file takes them: Keras has the channels of pictures last."""
    return (*shape[1:], shape[0]) if _is_keras(out) and len(shape) == 3 else shape


def _from_file(args, out):
    """The same for a network that somebody else has written, whose file says for which inputs it is."""
    from ..interop import READERS, export

    if args.weights:
        raise OptionError(f"--weights goes with the name of a network; {args.what} has its own")
    if args.card or out.suffix.lower() == ".safetensors":
        raise OptionError(f"{args.what}: a network of another engine is written as .onnx or .keras, and has no card")
    model = READERS[Path(args.what).suffix.lower()](args.what).eval()
    if len(model.input_shapes) != 1:
        raise OptionError(f"{args.what}: a network with {len(model.input_shapes)} inputs; only one is written")
    shape = model.input_shapes[0] or ()
    if args.image_size and len(shape) != 3:
        raise OptionError(f"--image-size is for networks of pictures; {args.what} takes inputs {shape}")
    if args.image_size:
        shape = (shape[0], args.image_size, args.image_size)
    if not shape or not all(isinstance(n, int) and 0 < n < 1 << 16 for n in shape):
        raise OptionError(f"{args.what}: the file leaves open for which inputs it is, {shape}; give --image-size")
    words = getattr(model, "metadata", None)  # what an ONNX file says goes on into the next
    export(model, np.zeros((1, *shape), np.float32), out, metadata=None if _is_keras(out) else words)
    answer(f"{args.out}: {args.what}, for inputs {_as_written(out, shape)}, {out.stat().st_size:,} bytes")
    return 0
