"""`tinyvision compare` and what it shares with `search`: how alike are two pictures to a network?"""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import DataError, OptionError
from ..folders import user_path
from ..printable import printable
from .parser import add_device, add_max_pixels, use_device
from .predict import find_network
from .terminal import answer, answer_json

_EPILOG = """\
examples:
  tinyvision compare cat.jpg another.jpg
  tinyvision compare a.png b.png --model runs/digits-2     trained with --task recognition
  tinyvision compare a.jpg b.jpg --faces package/model     every face of A with every one of B

The answer is a cosine: 1 for pictures that look the same to the network, lower the less
they have in common. Which cosine means "the same" depends on network and pictures; a
recogniser says after training from which on 1% of wrong pairs are accepted. It tells
likeness of pictures, and is no proof of anybody's identity.

--faces names the folder "model" of face-api (npm pack @vladmandic/face-api@1.7.15, MIT). The
answer is then a distance, 0 for the same picture. On seven photographs with 23 faces, two
pictures of one woman were 0.44 apart and different people 0.53 or more. That is little: how
often it is wrong, and for which people more often, has not been counted here. It is not for
finding out who somebody is, nor for any decision about a person, and not without the consent
of those who are in the pictures."""

DEFAULT = "efficientnet_lite0"


def add_parser(commands: Any) -> None:
    """Add the command and its options."""
    p = commands.add_parser(
        "compare",
        help="say how alike two pictures are",
        epilog=_EPILOG,
        description="Compare two pictures by what a network sees in them.",
    )
    p.add_argument("first", metavar="A", help="a picture")
    p.add_argument("second", metavar="B", help="another")
    p.add_argument(
        "--faces", metavar="FOLDER", help="compare the faces in the pictures, by the network in this folder (see below)"
    )
    add_network(p)


def add_network(p: argparse.ArgumentParser) -> None:
    """Options of both commands."""
    p.add_argument("--model", default=DEFAULT, metavar="WHAT", help=f"a run, a checkpoint, or a name ({DEFAULT})")
    p.add_argument("--weights", metavar="FILE", help="with the name of a network: its weights")
    p.add_argument("--json", action="store_true", help="print JSON")
    add_device(p)
    add_max_pixels(p)


def find_features(args: argparse.Namespace) -> Any:
    """The Features that --model and --weights mean. Raises OptionError, CheckpointError."""
    from ..tasks.recognition.features import features_of

    where = use_device(args)
    features = features_of(find_network(args.model, args.weights, any_task=True))
    features.model.to(where)
    return features


def run(args: argparse.Namespace) -> int:
    """Compare them."""
    from ..data import read_image

    if args.faces is not None:
        return _compare_faces(args)
    names = (args.first, args.second)
    images = [read_image(user_path(name), args.max_pixels) for name in names]
    features = find_features(args)
    one, other = (features([image])[0] for image in images)
    cosine = min(max(float(one @ other), -1.0), 1.0)  # rounding may leave the range by a little
    if args.json:
        answer_json({"files": list(names), "cosine": cosine, "network": features.origin})
    else:
        answer(f"{cosine:.4f}  {names[0]}  {names[1]}")
    return 0


def _compare_faces(args: argparse.Namespace) -> int:
    """Every face of one picture with every one of the other, the nearest first."""
    import numpy as np

    from ..data import read_image
    from ..models import from_onnx
    from ..tasks.recognition.face_vectors import FaceVectors, load_embedder
    from ..tasks.recognition.faces import FaceFinder, face_weights

    if args.model != DEFAULT:
        raise OptionError("--faces brings its own network; leave --model out")
    names = (args.first, args.second)
    images = [read_image(user_path(name), args.max_pixels) for name in names]
    where = use_device(args)
    model = load_embedder(args.faces)
    look = FaceVectors(FaceFinder(from_onnx(face_weights(args.weights)).eval()), model.to(where))
    seen = [look(image) for image in images]
    for name, (faces, _) in zip(names, seen, strict=True):
        if not len(faces.boxes):
            raise DataError(f"{printable(name)}: no face was found in it; tinyvision faces --save FOLDER shows what is")
    (faces, vectors), (others, rows) = seen
    distances = np.linalg.norm(vectors[:, None] - rows[None], axis=2)
    pairs = [divmod(int(place), len(rows)) for place in np.argsort(distances, axis=None, kind="stable")]
    if args.json:
        found = [{"distance": float(distances[i, j]), "boxes": [faces.boxes[i].tolist(), others.boxes[j].tolist()]}
                 for i, j in pairs]  # fmt: skip
        answer_json({"files": list(names), "faces": [len(vectors), len(rows)], "pairs": found})
        return 0
    for i, j in pairs:
        places = [f"face at {box[0]:.0f}, {box[1]:.0f}" for box in (faces.boxes[i], others.boxes[j])]
        answer(f"{distances[i, j]:.4f}  {names[0]} ({places[0]})  {names[1]} ({places[1]})")
    return 0
