"""Writing files so that they are whole: under its final name a file is complete, or it is not there.

Checkpoints, settings, tables, reports and exports are written by `atomic_write`; what is made anew at no cost (caches
of machine code, a page's figures, a pack in a folder that was empty) need not be.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

from .errors import FileError, OptionError, TinyVisionError
from .printable import printable


@contextmanager
def atomic_write(
    path: str | PathLike[str], mode: str = "wb", *, error: type[Exception] = FileError
) -> Iterator[IO[Any]]:
    """Open `path` for writing such that readers only ever see the old file or the whole new one.

    Use as `with atomic_write(path) as file: file.write(...)`, with mode "wb" or "w" (UTF-8; bytes in somebody's text
    that are none, lone surrogates, are escaped). The bytes go to a temporary file in the same folder, are flushed to
    the disk, and are renamed over `path` when the block ends; if the block raises, `path` is untouched and the
    temporary file is removed. An existing file's permissions are kept, and a symbolic link stays a link: the file that
    it points to is replaced.

    Raises `error` (default FileError) when the folder is missing or not writable, the disk is full, or `path`
    is not a regular file; OptionError for another mode."""
    if mode not in ("wb", "w"):
        raise OptionError(f"atomic_write: mode is 'wb' or 'w', got {mode!r}")
    target, old_mode = _write_target(path, error)
    temporary = target.with_name(f"{_temporary_prefix(target.name)}{secrets.token_hex(8)}.tmp")
    try:
        # Unlike tempfile's 0600, 0666 is narrowed by the umask: a new file gets the permissions of any other.
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as reason:
        raise error(cannot_write(path, reason)) from None
    try:
        text: dict[str, Any] = (
            {} if mode == "wb" else {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
        )
        with os.fdopen(descriptor, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if old_mode is not None:
            os.chmod(temporary, stat.S_IMODE(old_mode))
        os.replace(temporary, target)
        sync_folder(target.parent)
    except BaseException as reason:
        with suppress(OSError):
            os.unlink(temporary)
        # An OSError that names a file comes from the caller's block (some other file that it opened there).
        from_us = not isinstance(reason, TinyVisionError)
        if isinstance(reason, OSError) and from_us and reason.filename in (None, str(temporary)):
            raise error(cannot_write(path, reason)) from None
        raise


def remove_leftovers(folder: str | PathLike[str], names: Sequence[str]) -> None:
    """Delete what `atomic_write`s of these files in a folder left behind when their process was killed.

    Only for a caller who knows that nobody is writing them now. Raises FileError."""
    patterns = [re.compile(re.escape(_temporary_prefix(name)) + r"[0-9a-f]{16}\.tmp") for name in names]
    try:
        for path in Path(folder).iterdir():
            if any(pattern.fullmatch(path.name) for pattern in patterns):
                path.unlink(missing_ok=True)
    except FileNotFoundError:  # no folder, nothing in it
        return
    except OSError as reason:
        raise FileError(f"cannot tidy up in {printable(folder)}: {reason.strerror}") from None


def _temporary_prefix(name):
    return f".{name[:40]}."


def _write_target(path, error):
    """(file that writing to `path` replaces, its mode or None), links followed; else `error`."""
    try:
        target = Path(os.path.realpath(os.fspath(path)))
        kind = os.stat(target).st_mode if os.path.lexists(target) else None
        folder_is_there = target.parent.is_dir()
    except (TypeError, ValueError, OSError) as reason:
        told = getattr(reason, "strerror", None) or reason
        raise error(f"cannot write {printable(path)}: {told}") from None
    if kind is not None and not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
        raise error(f"cannot write {path}: it is {what}; name a file")
    if not folder_is_there:
        raise error(f"cannot write {path}: there is no folder {target.parent}; create it first")
    if kind is not None and not os.access(target, os.W_OK):
        raise error(f"cannot write {path}: the file is read-only")
    return target, kind


def cannot_write(path: str | PathLike[str], reason: Any) -> str:
    """What is said where a file cannot be written, with the remedy if there is one."""
    folder = Path(path).parent
    remedy = {
        errno.ENOSPC: f"the disk that holds {folder} is full; free some space",
        errno.EDQUOT: f"your quota on the disk that holds {folder} is used up",
        errno.EACCES: f"the folder {folder} is not writable for you",
        errno.EPERM: f"the folder {folder} is not writable for you",
        errno.EROFS: f"the disk that holds {folder} is mounted read-only",
        errno.ENAMETOOLONG: "the name is too long",
    }.get(reason.errno, reason.strerror or str(reason))
    return f"cannot write {path}: {remedy}"


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Some systems cannot open or sync a folder; there the rename is as durable as it gets."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as reason:
        if reason.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
