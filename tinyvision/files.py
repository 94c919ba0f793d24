"""Writing files so that they are whole, and fetching files so that they are the right ones.

Everything in tinyvision that writes a file goes through `atomic_write`, and everything that comes from
another machine goes through `download`: under its final name a file is complete and verified, or it is not
there.
"""

import errno
import hashlib
import http.client
import os
import secrets
import stat
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from .errors import DownloadError, FileError, OptionError, TinyVisionError

_CHUNK = 1 << 18
_MAX_REDIRECTS = 5
_ATTEMPTS = 5  # connections per address; each goes on where the one before was cut
_MAX_UNSIZED = 1 << 33  # bytes accepted from a server when nobody said how long the file is
_TIMEOUT = 30.0  # seconds without (noticeable) progress before a connection counts as stalled
_STALL_BYTES = 1024  # fewer bytes than this in a whole timeout is a stall too
_BACKOFF = 0.5  # seconds before the second connection, doubled each time


# ---------------------------------------------------------------------------------------------- writing


@contextmanager
def atomic_write(path, mode="wb", *, error=FileError):
    """Open `path` for writing such that readers only ever see the old file or the whole new one.

    Use as `with atomic_write(path) as file: file.write(...)`, with mode "wb" or "w" (UTF-8). The bytes go to
    a temporary file in the same folder, are flushed to the disk, and are renamed over `path` when the block
    ends; if the block raises, `path` is untouched and the temporary file is removed. An existing file's
    permissions are kept, and a symbolic link stays a link: the file that it points to is replaced.

    Raises `error` (default FileError) when the folder is missing or not writable, the disk is full, or `path`
    is not a regular file; OptionError for another mode."""
    if mode not in ("wb", "w"):
        raise OptionError(f"atomic_write: mode is 'wb' or 'w', got {mode!r}")
    target = _write_target(path, error)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")
    try:
        # Unlike tempfile's 0600, 0666 is narrowed by the umask: a new file gets the permissions of any other.
        descriptor = os.open(
            temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
    except OSError as reason:
        raise error(_cannot_write(path, reason)) from None
    try:
        text = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
        with os.fdopen(descriptor, mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException as reason:
        with suppress(OSError):
            os.unlink(temporary)
        # An OSError that names a file comes from the caller's block (some other file that it opened there).
        from_us = isinstance(reason, OSError) and not isinstance(reason, TinyVisionError)
        if from_us and reason.filename in (None, str(temporary)):
            raise error(_cannot_write(path, reason)) from None
        raise


def _write_target(path, error):
    """The file that writing to `path` replaces (links followed), or `error` saying why that cannot be."""
    try:
        target = Path(os.path.realpath(os.fspath(path)))
        kind = os.stat(target).st_mode if os.path.lexists(target) else None
        folder_is_there = target.parent.is_dir()
    except (TypeError, ValueError, OSError) as reason:
        raise error(f"cannot write {path!r}: {reason}") from None
    if kind is not None and not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
        raise error(f"cannot write {path}: it is {what}; name a file")
    if not folder_is_there:
        raise error(f"cannot write {path}: there is no folder {target.parent}; create it first")
    if kind is not None and not os.access(target, os.W_OK):
        raise error(f"cannot write {path}: the file is read-only")
    return target


def _cannot_write(path, reason):
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


def _sync_folder(folder):
    """Make a rename durable. Some systems cannot open or sync a folder; there the rename is as durable as it
    gets."""
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


def cache_dir():
    """The folder for downloaded files (a Path; it need not exist yet).

    `TINYVISION_HOME` if set, else `tinyvision` in `XDG_CACHE_HOME` (which counts only if absolute, as the XDG
    Base Directory Specification says), else `~/.cache/tinyvision`."""
    if home := os.environ.get("TINYVISION_HOME"):
        return Path(home).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(xdg) if os.path.isabs(xdg) else Path("~/.cache").expanduser()
    return base / "tinyvision"


# ------------------------------------------------------------------------------------------ downloading


def download(urls, path, *, sha256, size=None, progress=True, allow_http=False, timeout=_TIMEOUT):
    """Fetch a file into `path` unless it is there already; returns `path` as a Path.

    urls        one address or several, tried in turn; https, or http for this machine only
    sha256      64 hex digits. Nothing else ever appears under the final name; a file that is already there is
                checked too, and fetched anew if it differs
    size        length in bytes, if known: then neither more nor less is accepted
    progress    show a bar on stderr (only where that is a terminal)
    allow_http  accept plain http from any host, for a mirror that the user has named; a redirect from https
                to http is refused all the same
    timeout     seconds after which a silent connection is given up

    The bytes are collected in `.NAME.part` beside `path`; a cut or interrupted download goes on from there,
    in this call or in a later one. Of several processes that ask at once, one fetches and the others wait for
    it. Proxies are taken from the environment (`https_proxy`, `no_proxy`, ...).

    Raises DownloadError, which names the file, the addresses with what went wrong at each, and the folder."""
    urls = [urls] if isinstance(urls, str) else list(urls)
    path = Path(path).expanduser()
    if len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef") or not urls:
        raise OptionError("download: sha256 needs 64 hexadecimal digits, and urls at least one address")
    sha256 = sha256.lower()
    try:
        if _is_verified(path, sha256, size):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path.with_name(f".{path.name}.lock"), progress):
            if not _is_verified(path, sha256, size):  # another process may have been faster
                _fetch_from_any(urls, path, sha256, size, progress, allow_http, timeout)
    except TinyVisionError:
        raise
    except OSError as reason:
        raise DownloadError(_cannot_write(path, reason)) from None
    except ValueError as reason:
        raise DownloadError(f"cannot fetch {path!s:.200}: {reason}") from None
    return path


def _fetch_from_any(urls, path, sha256, size, progress, allow_http, timeout):
    failures = []
    for url in urls:
        try:
            with _Fetch(url, path, sha256, size, progress, allow_http, timeout) as fetch:
                fetch.run()
            return
        except _Failed as reason:
            failures.append(f"    from  {_shown(url)}: {reason}")
    raise DownloadError(
        f"could not fetch {path.name}\n" + "\n".join(failures) + f"\n    into  {path.parent}\n"
        f"Fetch it in some other way and put it into that folder as {path.name} (SHA-256 {sha256})."
    )


class _Failed(Exception):
    """This address will not do: the reason, in words."""


class _Cut(Exception):
    """The connection broke, stalled, or the server is busy: worth another try."""


class _Fetch:
    """One file from one address, by as many connections as it takes."""

    def __init__(self, url, path, sha256, size, progress, allow_http, timeout):
        self.url, self.path, self.sha256, self.size = url, path, sha256, size
        self.allow_http, self.timeout = allow_http, timeout
        self.part = path.with_name(f".{path.name}.part")
        self.etag = None
        self.total = size
        self.bar = _Bar(path.name, size, progress)

    def __enter__(self):
        _check_address(self.url, self.allow_http)
        # An old part may be a link that someone planted: O_NOFOLLOW refuses to write through it.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self.file = os.fdopen(os.open(self.part, flags, 0o666), "r+b")
        self.bar.start()
        return self

    def __exit__(self, *_):
        self.bar.stop()
        self.file.close()
        if self.done == 0:
            self.part.unlink(missing_ok=True)

    def run(self):
        self._adopt_part()
        mismatches = 0
        while self.hash.hexdigest() != self.sha256:
            if self.done and self.done == self.total:
                mismatches += 1
                # Pieces may stem from two versions of the file: then once more, from the first byte.
                give_up = mismatches == 2 or not self.pieced
                self._restart()
                if give_up:
                    raise _Failed("what arrived has another SHA-256 than the file that was asked for")
            self._receive_with_retries()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.part, self.path)
        _sync_folder(self.path.parent)

    def _adopt_part(self):
        """Go on from what an earlier call left behind, if anything."""
        self.hash, self.done = hashlib.sha256(), 0
        while chunk := self.file.read(_CHUNK):
            self.hash.update(chunk)
            self.done += len(chunk)
        if self.size is not None and self.done > self.size:
            self._restart()
        self.pieced = self.done > 0

    def _restart(self):
        self.file.seek(0)
        self.file.truncate()
        self.hash, self.done, self.total, self.pieced = hashlib.sha256(), 0, self.size, False

    def _receive_with_retries(self):
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_BACKOFF * 2 ** (attempt - 1))
            try:
                return self._receive()
            except _Cut as reason:
                last = reason
        raise _Failed(f"{last} ({_ATTEMPTS} tries; {self.done:,} bytes are kept for the next one)")

    def _receive(self):
        """One connection: append what it brings. Returns when the body is complete."""
        headers = {"User-Agent": "tinyvision", "Accept-Encoding": "identity"}
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if self.etag:
                headers["If-Range"] = self.etag
        try:
            request = urllib.request.Request(self.url, headers=headers)
            with _opener(self.allow_http).open(request, timeout=self.timeout) as response:
                self._accept(response)
                self._copy(response)
        except urllib.error.HTTPError as reason:
            reason.close()
            if reason.code == 416 and self.done:
                self._restart()
                raise _Cut("the server no longer has the rest of the file") from None
            again = reason.code in (408, 429) or reason.code >= 500
            raise (_Cut if again else _Failed)(_status(reason)) from None
        except urllib.error.URLError as reason:
            timed_out = isinstance(reason.reason, TimeoutError)
            raise (_Cut if timed_out else _Failed)(f"no connection: {reason.reason}") from None
        except TimeoutError:
            raise _Cut(f"the connection stalled for {self.timeout:g} s") from None
        except DownloadError:
            raise
        except (OSError, http.client.IncompleteRead, http.client.BadStatusLine) as reason:
            raise _Cut(f"the connection was cut: {ascii(str(reason))[1:100]}") from None
        except (http.client.HTTPException, ValueError) as reason:
            raise _Failed(f"the address or the answer cannot be used: {ascii(str(reason))[1:100]}") from None

    def _accept(self, response):
        """Check the head of an answer and place the file's end where the body belongs."""
        headers = response.headers
        if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise _Failed("a web page came instead of the file (a login page, or a proxy's message?)")
        length = headers.get("Content-Length", "")
        length = int(length) if length.isascii() and length.isdigit() else None
        if response.status == 206:
            start, total = _content_range(headers.get("Content-Range", ""))
            if start != self.done:
                self._restart()
                raise _Cut("the server sent another part than the one asked for")
            self.pieced = True
        elif response.status == 200:
            if self.done:  # it ignores ranges, or the file has changed since
                self._restart()
            total = length
        else:
            raise _Failed(f"unexpected answer: HTTP {response.status}")
        if self.size is not None and total is not None and total != self.size:
            raise _Failed(f"the server's file has {total:,} bytes instead of {self.size:,}")
        self.total = self.size if self.size is not None else total
        self.etag = headers.get("ETag") if not headers.get("ETag", "W/").startswith("W/") else None
        self.bar.move(self.done, self.total)

    def _copy(self, response):
        limit = self.total if self.total is not None else _MAX_UNSIZED
        self.file.seek(self.done)
        checked, at_check = time.monotonic(), self.done
        while chunk := response.read1(_CHUNK):
            if self.done + len(chunk) > limit:
                self._restart()
                raise _Failed(f"the server sends more than {limit:,} bytes")
            self._store(chunk)
            self.bar.move(self.done, self.total)
            if time.monotonic() - checked > self.timeout:
                if self.done - at_check < _STALL_BYTES:
                    raise TimeoutError
                checked, at_check = time.monotonic(), self.done
        if self.total is not None and self.done < self.total:
            raise _Cut(f"the connection was cut after {self.done:,} of {self.total:,} bytes")
        self.total = self.done

    def _store(self, chunk):
        try:
            self.file.write(chunk)
        except OSError as reason:
            raise DownloadError(_cannot_write(self.part, reason)) from None
        self.hash.update(chunk)
        self.done += len(chunk)


def _content_range(value):
    """'bytes 100-199/200' -> (100, 200); the total is None where the server does not say."""
    unit, _, rest = value.partition(" ")
    extent, _, total = rest.partition("/")
    start = extent.partition("-")[0]
    if unit.strip().lower() != "bytes" or not (start.isascii() and start.isdigit()):
        raise _Failed(f"the server sent a part of the file without saying which: {ascii(value)[:60]}")
    return int(start), int(total) if total.isascii() and total.isdigit() else None


def _status(reason):
    known = {
        401: "a login is required",
        403: "access is forbidden",
        404: "there is no such file",
        503: "the server is busy",
    }
    if 300 <= reason.code < 400:
        return f"HTTP {reason.code}: it redirects too often, or to an address that is not https"
    return f"HTTP {reason.code}: {known.get(reason.code, ascii(str(reason.reason))[1:60])}"


def _check_address(url, allow_http):
    try:
        parts = urlsplit(url)
    except ValueError as reason:
        raise _Failed(f"not an address: {reason}") from None
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if any(c <= " " or c == "\x7f" for c in url):
        raise _Failed("the address contains blanks or control characters")
    if parts.scheme not in (("https", "http") if allow_http or local else ("https",)) or not parts.hostname:
        raise _Failed("only https is fetched (http from this machine, or from a mirror that you name)")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a few redirects, never from https to http and never to another kind of address."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, allow_http):
        self.allow_http = allow_http

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise _Failed("it redirects from https to an address that is not https")
        _check_address(newurl, self.allow_http)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(allow_http):
    """http and https with the environment's proxies, and nothing else: no ftp:, file: or data: addresses."""
    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _SafeRedirects(allow_http),
    )
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _shown(url):
    """The address without a user's password, and without anything that could upset a terminal."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    shown = scheme + separator + host.rpartition("@")[2] + slash + path.partition("?")[0]
    return ascii(shown)[1:-1][:200]


def _is_verified(path, sha256, size):
    """Whether `path` is a file with this hash. The cache is checked each time: a disk forgets, and so do
    people."""
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == sha256


@contextmanager
def _lock(path, progress):
    """Hold an advisory lock: it ends with the process that holds it, however that ends, so it cannot go
    stale."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _try_lock(descriptor):
            if progress and sys.stderr.isatty():
                print(f"waiting for another process that is fetching {path.name[1:-5]}", file=sys.stderr)
            while not _try_lock(descriptor):
                time.sleep(0.1)
        # The holder before us removed the file; a newcomer may meanwhile hold a new one of that name.
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    try:
        yield
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


class _Bar:
    """A progress bar on stderr, or nothing where stderr is not a terminal."""

    def __init__(self, name, total, wanted):
        self.name, self.total = name, total
        self.progress = None
        self.wanted = wanted and sys.stderr.isatty()

    def start(self):
        if not self.wanted:
            return
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=Console(stderr=True))
        self.progress.start()
        self.task = self.progress.add_task(escape(self.name), total=self.total)

    def move(self, done, total):
        if self.progress:
            self.progress.update(self.task, completed=done, total=total)

    def stop(self):
        if self.progress:
            self.progress.stop()
