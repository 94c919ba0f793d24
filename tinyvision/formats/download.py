"""Fetching files so that they are the right ones.

Everything in tinyvision that comes from another machine goes through `download`: under its final name a file is
complete and verified, or it is not there.
"""

import errno
import hashlib
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from ..atomic import cannot_write, sync_folder
from ..errors import DownloadError, OptionError, TinyVisionError
from ..folders import user_path

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without (noticeable) progress before a connection counts as stalled
_TIME_LIMIT = 4 * 3600.0  # seconds for one file: 170 MB at 12 kB/s; the next call goes on where this one stopped
_LONGEST_NOTE = 1 << 16  # bytes of a failure that are handed on to those who waited


def download(
    urls: str | Sequence[str],
    path: str | PathLike[str],
    *,
    sha256: str | None = None,
    sha256_prefix: str | None = None,
    size: int | None = None,
    at_most: int | None = None,
    progress: bool = True,
    allow_http: bool = False,
    timeout: float = _TIMEOUT,
    time_limit: float = _TIME_LIMIT,
) -> Path:
    """Fetch a file into `path` unless it is there already; returns `path` as a Path.

    urls        one address or several, tried in turn; https, or http for this machine only
    sha256      64 hex digits. Nothing else ever appears under the final name; a file that is already there is
                checked too, and fetched anew if it differs
    sha256_prefix   in place of sha256 where only its beginning is known, 8 digits or more: an accident shows,
                but whoever wants to can make another file that begins alike, so plain http is not allowed then
    size        length in bytes, if known: then neither more nor less is accepted
    at_most     bytes that the file cannot exceed, where its length is known roughly (default: 8 GiB)
    progress    show a bar on stderr (only where that is a terminal)
    allow_http  accept plain http from any host, for a mirror that the user has named; a redirect from https
                to http is refused all the same
    timeout     seconds after which a silent connection is given up
    time_limit  seconds after which the whole is given up, all addresses and tries together

    The bytes are collected in `.NAME.part` beside `path`; a cut or interrupted download goes on from there,
    in this call or in a later one. Of several processes that ask at once, one fetches and the others wait for
    it; where it fails, they fail with its reason, and do not try the same addresses one after the other.
    Proxies are taken from the environment (`https_proxy`, `no_proxy`, ...).

    Raises DownloadError, which names the file, the addresses with what went wrong at each, and the folder."""
    urls = [urls] if isinstance(urls, str) else list(urls)
    path = user_path(path)
    wanted, digits = (sha256, "{64}") if sha256_prefix is None else (sha256_prefix, "{8,64}")
    if type(wanted) is not str or not re.fullmatch(f"[0-9a-fA-F]{digits}", wanted) or not urls:
        raise OptionError(
            "download: sha256 needs 64 hexadecimal digits, or sha256_prefix 8 and more, and urls at least one address"
        )
    sha256, allow_http = wanted.lower(), allow_http and sha256_prefix is None
    try:
        if _is_verified(path, sha256, size):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + time_limit
        with _lock(path.with_name(f".{path.name}.lock"), progress):
            if not _is_verified(path, sha256, size):  # another process may have been faster
                options = {"size": size, "at_most": at_most, "progress": progress, "allow_http": allow_http}
                _fetch_from_any(urls, path, sha256=sha256, **options, timeout=timeout, deadline=deadline)
    except TinyVisionError:
        raise
    except OSError as reason:
        raise DownloadError(cannot_write(path, reason)) from None
    except ValueError as reason:
        raise DownloadError(f"cannot fetch {path!s:.200}: {reason}") from None
    return path


def _fetch_from_any(urls, path, **options):
    from .fetch import Failed, Fetch, NotStored, shown_address  # urllib is slow to import

    part = path.with_name(f".{path.name}.part")
    failures = []
    for url in urls:
        # The part may be a link that someone planted: O_NOFOLLOW refuses to write through it.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(part, flags, 0o666), "r+b") as file:
            try:
                Fetch(url, file, path.name, **options).run()
                file.flush()
                os.fsync(file.fileno())
            except NotStored as reason:
                raise DownloadError(cannot_write(part, reason.args[0])) from None
            except Failed as reason:
                failures.append(f"    from  {shown_address(url)}: {reason}")
                continue
            finally:
                if not os.fstat(file.fileno()).st_size and not file.tell():
                    part.unlink()
        os.replace(part, path)
        sync_folder(path.parent)
        return
    raise DownloadError(
        f"could not fetch {path.name}\n" + "\n".join(failures) + f"\n    into  {path.parent}\n"
        f"    Fetch it in some other way and put it into that folder as {path.name} "
        f"(SHA-256 {options['sha256']}{'' if len(options['sha256']) == 64 else '...'})."
    )


def _is_verified(path, sha256, size):
    """Whether `path` is a file with this hash. The cache is checked each time: a disk forgets, and so do people."""
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        return False
    return sha256_of(path).startswith(sha256)


def sha256_of(path: Path) -> str:
    """The SHA-256 of what is in a file, as 64 hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _lock(path, progress):
    """Hold an advisory lock: it ends with the process that holds it, however that ends, so it cannot go stale.

    A DownloadError under the lock is left in its file for those who are waiting now, and is raised there, too."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        waited = not _try_lock(descriptor)
        if waited:
            if progress and sys.stderr is not None and sys.stderr.isatty():
                print(f"waiting for another process that is fetching {path.name[1:-5]}", file=sys.stderr)
            while not _try_lock(descriptor):
                time.sleep(0.1)
            if note := os.read(descriptor, _LONGEST_NOTE):
                os.close(descriptor)
                raise DownloadError(note.decode(errors="replace"))
        # The holder before us removed the file; a newcomer may meanwhile hold a new one of that name.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)  # of a file that could not be removed
        yield
    except DownloadError as reason:
        with suppress(OSError):
            os.write(descriptor, str(reason).encode(errors="replace")[:_LONGEST_NOTE])
        raise
    finally:
        with suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def _try_lock(descriptor):
    try:
        import fcntl
    except ImportError:
        import msvcrt  # Windows

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as reason:
        # Some network disks know no locks. The hash still guards the final name, so go on without one.
        if reason.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True
