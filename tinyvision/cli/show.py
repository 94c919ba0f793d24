"""`tinyvision show`: a picture, an array or a filter bank, in the terminal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, OptionError
from ..folders import user_path
from ..printable import printable
from .parser import add_max_pixels, whole
from .terminal import answer, answer_json

_EPILOG = """\
examples:
  tinyvision show photo.jpg
  tinyvision show runs/digits-1 conv1.weight          the filters of a run
  tinyvision show resnet18-f37072fd.pth               the first filters in a weight file
  tinyvision show maps.npy -o maps.png                and write the picture

The last two axes of an array are one map; one row or column of many numbers is
folded into lines. Without negative numbers 0 is black and the largest white;
else 0 is white, blue above it, orange below. Where the terminal has no colours,
or NO_COLOR is set, denser characters are brighter, and signs do not show."""

_OF_ARRAYS = (".npz", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".safetensors", ".json")


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "show",
        help="show a picture, an array or a filter bank in the terminal",
        epilog=_EPILOG,
        description="Show a picture, an array (.npy, .npz) or the tensors of a weight file, run or checkpoint.",
    )
    p.add_argument("file", metavar="FILE", help="a picture, an array, a weight file, or a run's folder")
    p.add_argument("name", nargs="?", metavar="NAME", help="which array of the file (default: the first filters)")
    p.add_argument("-o", "--output", metavar="PICTURE", help="write the picture as .png as well")
    p.add_argument("--overwrite", action="store_true", help="replace that picture if there is one")
    p.add_argument("--most", type=whole(1), default=64, metavar="N", help="maps of an array (default: 64)")
    p.add_argument("--width", type=whole(2), metavar="N", help="characters in a line (default: the terminal's)")
    p.add_argument("--colour", choices=("auto", "always", "never"), default="auto", help="(default: auto)")
    p.add_argument("--json", action="store_true", help="print what it is as JSON, without a picture")
    add_max_pixels(p)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from ..data.show import array_picture, show

    out = None if args.output is None else user_path(args.output)
    if out is not None and out.suffix.lower() != ".png":
        raise OptionError(f"-o {printable(out)}: the picture is a .png")
    if out is not None and out.exists() and not args.overwrite:
        raise OptionError(f"{printable(out)} exists already; --overwrite replaces it, -o PICTURE writes another")
    if out is not None and out.exists() and _path(args.file).exists() and out.samefile(_path(args.file)):
        raise OptionError(f"-o {printable(out)} is the picture itself; name another")
    name, array, names = _found(args)
    facts = _facts(array)
    pixels, shown, count = array_picture(array, args.most)
    if out is not None:
        show([pixels], out)
    if args.json:
        answer_json({"file": args.file, "name": name, **facts, "names": names, "picture": args.output})
        return 0
    head = f"{args.file}{'' if name is None else f': {name}'}"
    answer(f"{head}: {facts['dtype']} {tuple(facts['shape'])}, {_range(facts)}")
    if shown < count:
        answer(f"the first {shown} of {count:,} maps; --most N shows more")
    _draw(pixels, args)
    if len(names) > 1 and args.name is None:
        answer(f"{len(names)} arrays are in it: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}")
    return 0


def _found(args: argparse.Namespace) -> tuple[str | None, np.ndarray, list[str]]:
    """(the array's name, the array, the names of all in the file). Raises DataError, WeightsError, OptionError."""
    from ..data import read_image
    from ..train.settings import nearest

    path = _path(args.file)
    if path.suffix.lower() not in _OF_ARRAYS:
        if args.name is not None:
            raise OptionError(f"{printable(path)} is one picture or array; leave {args.name} out")
        return None, _npy(path) if path.suffix.lower() == ".npy" else read_image(path, args.max_pixels), []
    arrays = _arrays(path)
    names = list(arrays)
    if args.name is not None:
        if args.name not in arrays:
            raise OptionError(f"{printable(path)} holds no array {args.name}{nearest(args.name, names)}")
        return args.name, np.asarray(arrays[args.name]), names
    filters = [name for name in names if arrays[name].ndim == 4 and max(arrays[name].shape[2:]) > 1]
    chosen = (filters or sorted(names, key=lambda name: -arrays[name].size))[0]
    return chosen, np.asarray(arrays[chosen]), names


def names_in(file: str) -> list[str]:
    """The names that NAME can have, for the shell to complete. Raises WeightsError."""
    path = _path(file)
    return list(_arrays(path)) if path.suffix.lower() in _OF_ARRAYS else []


def _path(file: str) -> Path:
    """What is to be read: of a run's folder its best network."""
    from ..train.runs import best_of

    return best_of(user_path(file))


def _arrays(path: Path) -> dict[str, Any]:
    from ..weights import load_with_metadata

    return load_with_metadata(path)[0]


def _npy(path: Path) -> np.ndarray:
    """The array in a .npy file; one of Python objects, which could run anything, is refused."""
    from ..formats import npz
    from ..formats.refused import Refused
    from ..formats.source import read_bytes

    data, name = read_bytes(path)
    if data.startswith(b"PK"):
        raise DataError(f"{name}: is no .npy file but a zip archive; if numpy.savez wrote it, call it .npz")
    try:
        return npz.read_npy(data, path.name)
    except Refused as reason:
        raise DataError(f"{name}: is no .npy file that can be read: {reason}; numpy.save writes one") from None


def _facts(array: np.ndarray) -> dict[str, Any]:
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if array.dtype.kind not in "biuf" or not numbers.size:
        return {**facts, "min": None, "max": None, "mean": None, "not_finite": int(array.size - numbers.size)}
    return {
        **facts,
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "mean": float(numbers.mean(dtype=np.float64)),
        "not_finite": int(array.size - numbers.size),
    }


def _range(facts: dict[str, Any]) -> str:
    lost = f", {facts['not_finite']:,} not finite (pink)" if facts["not_finite"] else ""
    if facts["min"] is None:
        return f"no finite number{lost}"
    return f"from {facts['min']:.4g} to {facts['max']:.4g}, mean {facts['mean']:.4g}{lost}"


def _draw(pixels: np.ndarray, args: argparse.Namespace) -> None:
    """Print the picture, not by `answer`, which would escape its colours: nothing comes out of a file but numbers."""
    from ..data.show import ascii_preview, blocks_preview

    terminal = shutil.get_terminal_size((80, 24))
    width = args.width or terminal.columns
    speaks = (sys.stdout.encoding or "").lower().startswith("utf")
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty() or not speaks
    colours = args.colour == "always" or (args.colour == "auto" and not plain)
    pixels = _not_too_long(pixels)
    if colours:
        print(blocks_preview(pixels, width, terminal.lines), flush=True)
        return
    fits = min(width // (2 * pixels.shape[1]), terminal.lines // pixels.shape[0])  # two characters are as wide as high
    times = max(min(fits, 4), 1)
    print(ascii_preview(pixels.repeat(times, axis=0).repeat(times, axis=1), width), flush=True)


def _not_too_long(pixels: np.ndarray) -> np.ndarray:
    """A picture more than 8 times as long as broad, squeezed along its length to that: its short side stays whole."""
    from PIL import Image

    H, W = pixels.shape[:2]
    if max(H, W) <= 8 * min(H, W):
        return pixels
    answer(f"each {'line' if H > W else 'column'} stands for {max(H, W) / (8 * min(H, W)):.1f} of the array, averaged")
    size = (W, 8 * W) if H > W else (8 * H, H)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
