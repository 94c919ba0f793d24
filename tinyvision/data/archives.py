"""What datasets of one's own take from `torchvision.datasets.utils`: files checked by their MD5, archives unpacked.

Nothing is fetched here by an MD5, which proves nothing about a file from the network; a file that is there is used."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import DataError, DownloadError, FileError, OptionError
from ..folders import user_path
from ..printable import printable

Place = str | os.PathLike[str]

# RuntimeError and NotImplementedError: a zip file with a password, or packed by a method that Python lacks.
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
)


def calculate_md5(fpath: Place, chunk_size: int = 1 << 20) -> str:
    """The MD5 of a file, 32 hexadecimal digits. Raises FileError if it cannot be read."""
    found = hashlib.md5(usedforsecurity=False)
    try:
        with open(user_path(fpath), "rb") as file:
            while block := file.read(chunk_size):
                found.update(block)
    except OSError as error:
        raise FileError(f"calculate_md5: {printable(fpath)}: {error.strerror}") from None
    return found.hexdigest()


def check_md5(fpath: Place, md5: str) -> bool:
    """Whether a file has this MD5. Raises FileError if it cannot be read."""
    return calculate_md5(fpath) == md5.lower()


def check_integrity(fpath: Place, md5: str | None = None) -> bool:
    """Whether there is a file of this name, with this MD5 if one is given."""
    return user_path(fpath).is_file() and (md5 is None or check_md5(fpath, md5))


def download_url(
    url: str, root: Place, filename: Place | None = None, md5: str | None = None, max_redirect_hops: int = 3
) -> None:
    """Look whether the file that `url` is of lies in `root`, as `filename` or by its own name, with this MD5.

    Raises DownloadError, which says where to put it, if it does not."""
    place = user_path(root) / (filename or os.path.basename(url))
    if check_integrity(place, md5):
        print(f"Using downloaded {'and verified ' if md5 else ''}file: {place}")
        return
    found = f"has another MD5 than {md5}" if place.is_file() else "is not there"
    raise DownloadError(f"download_url: {printable(place)} {found}, and nothing is fetched here without a SHA-256; "
                        f"fetch {printable(url)} into it yourself")  # fmt: skip


def extract_archive(from_path: Place, to_path: Place | None = None, remove_finished: bool = False) -> str:
    """Unpack a .zip, or a .tar, plain or compressed, into `to_path` (the archive's folder), or a file that is only
    compressed (.gz) beside itself; returns where.

    No member is written outside of that folder. Raises DataError for another or a broken archive, FileError."""
    path = user_path(from_path)
    into = path.parent if to_path is None else user_path(to_path)
    try:
        if path.suffix == ".gz" and not path.name.endswith(".tar.gz"):
            into = path.with_suffix("") if to_path is None else into
            with gzip.open(path, "rb") as source, atomic_write(into) as target:
                shutil.copyfileobj(source, target)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    archive.extract(name, into)
        elif not hasattr(tarfile, "data_filter"):
            raise DataError(
                f"extract_archive: this Python's tarfile cannot refuse members that lead out of a folder (3.10.12, "
                f"3.11.4 and later can); unpack {printable(path)} yourself, or take a later Python"
            )
        else:
            with tarfile.open(path) as archive:
                for member in archive:
                    archive.extract(member, into, filter="data")
        if remove_finished:
            path.unlink()
    except _BROKEN as error:
        raise DataError(f"extract_archive: {printable(path)} cannot be unpacked: {printable(error)}") from None
    except OSError as error:
        raise FileError(f"extract_archive: {printable(path)}: {error.strerror or error}") from None
    return str(into)


def download_and_extract_archive(
    url: str,
    download_root: Place,
    extract_root: Place | None = None,
    filename: Place | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Unpack the archive that `url` is of, as it lies in `download_root`: `download_url`, then `extract_archive`."""
    name = filename or os.path.basename(url)
    download_url(url, download_root, name, md5)
    extract_archive(user_path(download_root) / name, extract_root or download_root, remove_finished)


def list_dir(root: Place, prefix: bool = False) -> list[str]:
    """The names of the folders in a folder, with its own path before each if `prefix`."""
    return _listed(root, prefix, Path.is_dir, "")


def list_files(root: Place, suffix: str | tuple[str, ...], prefix: bool = False) -> list[str]:
    """The names of the files in a folder that end so, with its own path before each if `prefix`."""
    return _listed(root, prefix, Path.is_file, suffix)


def _listed(root: Place, prefix: bool, wanted: Any, suffix: str | tuple[str, ...]) -> list[str]:
    folder = user_path(root)
    try:
        names = [name for name in os.listdir(folder) if wanted(folder / name) and name.endswith(suffix)]
    except OSError as error:
        raise FileError(f"{printable(folder)}: {error.strerror}") from None
    return [os.path.join(folder, name) for name in names] if prefix else names


def verify_str_arg(
    value: Any, arg: str | None = None, valid_values: Iterable[str] | None = None, custom_msg: str | None = None
) -> str:
    """The value again, if it is a string, and one of `valid_values`. Raises OptionError."""
    named = f"argument {arg}" if arg is not None else "the argument"
    if not isinstance(value, str):
        raise OptionError(f"{named} must be a string, got {type(value).__name__}")
    known = None if valid_values is None else list(valid_values)
    if known is not None and value not in known:
        raise OptionError(custom_msg or f"{named} must be one of {iterable_to_str(known)}, got {value!r}")
    return value


def iterable_to_str(iterable: Iterable[Any]) -> str:
    """'a', 'b', 'c'"""
    return ", ".join(f"'{one}'" for one in iterable)
