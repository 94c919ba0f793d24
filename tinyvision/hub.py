"""torch.hub, as far as it fetches weights or reads a folder of one's own: nothing that a server sends is ever run."""

from __future__ import annotations

import builtins
import importlib.util
import os
import re
import sys
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import DownloadError, OptionError
from .folders import cache_dir
from .formats.download import download
from .missing import missing
from .weights import load as load_file

_HUBCONF = "hubconf.py"  # the file whose functions make a folder's models


def get_dir() -> str:
    """The folder in which `load_state_dict_from_url` keeps its files."""
    return os.fspath(cache_dir() / "weights")


def load_state_dict_from_url(
    url: str,
    model_dir: str | PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What is in a weight file of the network's, which is fetched once and then kept.

    model_dir   the folder that keeps it, by default `get_dir()`;  file_name   its name there
    check_hash  is done in any case: the address must end in the first digits of the file's SHA-256, 8 or more, as in
                "resnet18-f37072fd.pth". Of other addresses nothing is fetched, but a file of that name which is in the
                folder already is read

    Raises DownloadError, WeightsError, OptionError."""
    name = Path(urlsplit(url).path).name if isinstance(url, str) else ""
    if not name:
        raise OptionError(f"load_state_dict_from_url: url is the address of a file, got {url!r}")
    path = Path(get_dir() if model_dir is None else model_dir) / (file_name or name)
    digits = re.findall(r"-([0-9a-f]{8,64})\.", name)
    if digits:
        download(url, path, sha256_prefix=digits[-1], progress=progress)
    elif not path.is_file():
        raise DownloadError(
            f"{name} cannot be verified here: its address does not carry the digits of its SHA-256\n"
            f"    Fetch {url} yourself and put it into {path.parent} as {path.name}, or give its name to load()."
        )
    return load_file(path, map_location, weights_only=weights_only)


def load(repo_or_dir: str | PathLike[str], model: str, *arguments: Any, source: str = "github", **options: Any) -> Any:
    """What the function `model` of a folder's hubconf.py returns for these arguments, with source="local".

    A repository's code that would have to be fetched first is not run. Raises OptionError."""
    if source != "local":
        raise OptionError(
            f"hub.load would run code that is fetched from {repo_or_dir!r}, which is not done here; there are "
            f"tinyvision.models.get_model({model!r}) for torchvision's networks, load_state_dict_from_url for weights, "
            f'and source="local" for a folder of your own'
        )
    functions = _functions(repo_or_dir)
    if model not in functions:
        raise OptionError(
            f"{Path(repo_or_dir) / _HUBCONF} has no {model!r}; it has {', '.join(functions) or 'nothing'}"
        )
    return functions[model](*arguments, **options)


def list(repo_or_dir: str | PathLike[str], *, source: str = "github") -> builtins.list[str]:
    """The names that `load` takes for a folder, with source="local". Raises OptionError."""
    if source != "local":
        raise OptionError(
            f'hub.list would run code that is fetched from {repo_or_dir!r}; source="local" takes a folder'
        )
    return [*_functions(repo_or_dir)]


def _functions(folder):
    """{name: function} of a folder's hubconf.py, which is run with the folder on Python's path."""
    path = Path(folder) / _HUBCONF
    if not path.is_file():
        raise OptionError(f"there is no {_HUBCONF} in {os.fspath(folder)}, which names the models of a folder")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.fspath(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(os.fspath(path.parent))
    return {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}


if not TYPE_CHECKING:
    __getattr__ = missing("torch.hub", ["get_dir", "list", "load", "load_state_dict_from_url"])
