"""Files that others have published: where an installed package keeps them, whose code is not run."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest


def packaged(package, name, distribution=None):
    """A file inside of an installed package, or a skip; `distribution` is what pip calls it, if otherwise."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"the package {distribution or package}, which brings {name}, is not installed")
    return Path(spec.submodule_search_locations[0]) / name


def unpacked(variable, package, name):
    """A file of npm's `package`, whose folder the environment names, or a skip."""
    folder = os.environ.get(variable)
    if folder is None:
        pytest.skip(f"{variable} does not name the folder of npm's {package}")
    return Path(folder) / name


def astronaut(rows, columns, size, mode):
    """A part of scikit-image's photograph of an astronaut, (*size, channels) of uint8, or a skip."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which brings the photograph, is not installed")
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    part = image.fromarray(data.astronaut()[rows, columns]).convert(mode).resize(size[::-1])
    return np.asarray(part).reshape(*size, -1)
