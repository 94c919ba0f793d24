"""The files that others' datasets are published as: fetched, and unpacked where torchvision puts them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError, DownloadError
from ..folders import user_path
from ..printable import printable
from .archives import extract_archive

Place = str | os.PathLike[str]


class Published(NamedTuple):
    """A file that is published at an address, or at several.

    urls    the addresses, the best one first
    sha256  its SHA-256, or None where none is known here, and nothing is fetched
    size    its bytes, if known"""

    urls: tuple[str, ...]
    sha256: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """What it is called on the disk: the end of its address."""
        return self.urls[0].rpartition("/")[2]

    def fetch(self, folder: Place) -> Path:
        """Its path in `folder`, where it is put unless it is there with this SHA-256. Raises DownloadError."""
        path = user_path(folder) / self.name
        if self.sha256 is None:
            raise DownloadError(
                f"{self.name} is not downloaded: no SHA-256 of it is known here; fetch {self.urls[0]} yourself into "
                f"{printable(path.parent)} and unpack it there"
            )
        from ..formats.download import download

        # Some of the addresses have no https; the SHA-256 tells whether it is the right file all the same.
        return download(self.urls, path, sha256=self.sha256, size=self.size, allow_http=True)

    def unpack(self, folder: Place) -> None:
        """Fetch it into `folder` and unpack it there. Raises DownloadError, DataError, FileError."""
        extract_archive(self.fetch(folder), folder)


def must_be_there(path: Place, dataset: Any, remedy: str = "or pass download=True") -> Path:
    """The path, if it is a file or a folder. Raises DataError, which names the dataset and the remedy."""
    found = user_path(path)
    if not found.exists():
        name = type(dataset).__name__
        raise DataError(f"{name}: {found.name} is not in {printable(found.parent)}; put it there, {remedy}")
    return found


def read_mat(path: Place, *names: str) -> list[Any]:
    """The arrays of these names in a file of MATLAB's, which the package scipy reads. Raises DataError."""
    try:
        import scipy.io
    except ImportError:
        raise DataError(f"{printable(path)}: files of MATLAB's are read by the package scipy, which is not installed: "
                        "pip install scipy") from None  # fmt: skip
    try:
        with open(path, "rb") as file:  # a path would be searched for with .mat behind it
            found = scipy.io.loadmat(file, variable_names=names)
        return [found[name] for name in names]
    except Exception as error:  # a damaged file: scipy raises almost any type
        raise DataError(f"{printable(path)}: cannot be read as a file of MATLAB's with {' and '.join(names)}: "
                        f"{type(error).__name__}") from error  # fmt: skip
