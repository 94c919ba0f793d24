"""torch.hub, as far as it fetches weights: nothing that a server sends is ever run."""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .errors import DownloadError, OptionError
from .folders import cache_dir
from .formats.files import download
from .weights import load as load_file


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


def load(repo_or_dir: str, model: str, *arguments: Any, **options: Any) -> NoReturn:
    """Refused: a repository's code would have to be run. Raises OptionError."""
    raise OptionError(
        f"hub.load runs the code in {repo_or_dir!r}, which is not done here; there are "
        f"tinyvision.models.get_model({model!r}) for torchvision's networks, and load_state_dict_from_url for weights"
    )
