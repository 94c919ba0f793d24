"""A network in a file of another engine, ready for pictures: where the file says how they become its input."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import CheckpointError
from ..interop import READERS
from .preprocessing import Preprocessing
from .recipes import Network


def is_file_network(path: str | os.PathLike[str]) -> bool:
    """Whether a file, by its name, holds a whole network of another engine: .onnx, .keras, .h5, .tflite ..."""
    return Path(path).suffix.lower() in READERS and Path(path).expanduser().is_file()


def file_network(path: str | os.PathLike[str]) -> Network:
    """The network in such a file, with the classes and the preprocessing that `tinyvision export` keeps in ONNX files.

    Raises CheckpointError for a file that does not say how pictures become its input, and what the readers raise."""
    model = READERS[Path(path).suffix.lower()](path).eval()
    notes = getattr(model, "metadata", {})
    try:
        prepared, classes = json.loads(notes["preprocessing"]), json.loads(notes.get("classes", "[]"))
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise CheckpointError("the names of the classes are damaged")
        return Network(model, Preprocessing.from_dict(prepared), classes, str(path))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except KeyError:
        raise CheckpointError(
            f"{path}: the file does not say how pictures become its input (those of `tinyvision export` do, .onnx); in "
            f"Python: train.Network(tinyvision.interop.READERS[{Path(path).suffix.lower()!r}](path).eval(), "
            f"train.preprocessing.Preprocessing(...), classes, path)"
        ) from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: what it says of preprocessing and classes is damaged") from None
