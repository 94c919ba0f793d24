"""One file from one address over HTTP: resumed where it was cut, bounded in every way, verified before it counts.

`tinyvision.formats.download.download` is the door to this; see there for what it promises.
"""

import email.utils
import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1 << 18
_MAX_REDIRECTS = 5
_ATTEMPTS = 5  # connections per address; each goes on where the one before was cut
_MAX_UNSIZED = 1 << 33  # bytes accepted from a server when nobody said how long the file is
_STALL_BYTES = 1024  # fewer bytes than this in a whole timeout are a stall, too
_BACKOFF = 0.5  # seconds before the second connection, doubled each time
_LONGEST_WAIT = 60.0  # seconds that a busy server may ask for (Retry-After) before its address is given up


class Failed(Exception):
    """This address will not do: the reason, in words."""


class NotStored(Exception):
    """The disk would not take the bytes; the OSError that says why is the argument."""


class _Cut(Exception):
    """The connection broke, stalled, or the server is busy: worth another try, after `wait` seconds at least."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Fetch:
    """One file from one address, by as many connections as it takes."""

    def __init__(
        self,
        url: str,
        file: Any,
        name: str,
        *,
        sha256: str | None,
        size: int | None,
        at_most: int | None,
        progress: bool,
        allow_http: bool,
        timeout: float,
        deadline: float,
    ) -> None:
        """`file` is open for reading and writing; what it holds already is taken for the beginning. `sha256` may be
        the first digits only; `deadline` is a reading of `time.monotonic`."""
        self.url, self.file, self.sha256, self.size = url, file, sha256, size
        self.limit = size if size is not None else _MAX_UNSIZED if at_most is None else at_most
        self.allow_http, self.timeout, self.deadline = allow_http, timeout, deadline
        self.etag = None
        self.total = size
        self.bar = _Bar(name, size, progress)

    def run(self) -> Any:
        """Returns when `file` holds the bytes with the right hash; raises Failed or NotStored."""
        _check_address(self.url, self.allow_http)
        with self.bar:
            self._adopt_part()
            mismatches = 0
            while not self.hash.hexdigest().startswith(self.sha256):
                if self.done == self.total:
                    mismatches += 1
                    # Pieces may stem from two versions of the file: then once more, from the first byte.
                    give_up = mismatches == 2 or not self.pieced
                    self._restart()
                    if give_up:
                        raise Failed("what arrived has another SHA-256 than the file that was asked for")
                self._receive_with_retries()

    def _adopt_part(self):
        """Go on from what an earlier call left behind, if anything."""
        self.hash, self.done = hashlib.sha256(), 0
        while chunk := self.file.read(_CHUNK):
            self.hash.update(chunk)
            self.done += len(chunk)
        if self.done > self.limit:
            self._restart()
        self.pieced = self.done > 0

    def _restart(self):
        self.file.seek(0)
        self.file.truncate()
        self.hash, self.done, self.total, self.pieced = hashlib.sha256(), 0, self.size, False

    def _receive_with_retries(self):
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._receive()
            except _Cut as reason:
                if reason.wait > _LONGEST_WAIT:
                    raise Failed(f"{reason}, and asks to be left alone for {reason.wait:,.0f} s") from None
                wait = max(_BACKOFF * 2 ** (attempt - 1), reason.wait)
                if attempt == _ATTEMPTS or time.monotonic() + wait > self.deadline:
                    tries = f"{attempt} {'try' if attempt == 1 else 'tries'}"
                    raise Failed(f"{reason} ({tries}; {self.done:,} bytes are kept for the next one)") from None
            time.sleep(wait)

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
            if reason.code in (408, 429) or reason.code >= 500:
                raise _Cut(_status(reason), _retry_after(reason.headers)) from None
            raise Failed(_status(reason)) from None
        except urllib.error.URLError as reason:
            timed_out = isinstance(reason.reason, TimeoutError)
            raise (_Cut if timed_out else Failed)(f"no connection: {_plain(reason.reason)}") from None
        except TimeoutError:
            raise _Cut(f"the connection stalled for {self.timeout:g} s") from None
        except (OSError, http.client.IncompleteRead, http.client.BadStatusLine) as reason:
            raise _Cut(f"the connection was cut: {_plain(reason)}") from None
        except (http.client.HTTPException, ValueError) as reason:
            raise Failed(f"the address or the answer cannot be used: {_plain(reason)}") from None

    def _accept(self, response):
        """Check the head of an answer and place the file's end where the body belongs."""
        headers = response.headers
        if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise Failed("a web page came instead of the file (a login page, or a proxy's message?)")
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
            raise Failed(f"unexpected answer: HTTP {response.status}")
        if self.size is not None and total is not None and total != self.size:
            raise Failed(f"the server's file has {total:,} bytes instead of {self.size:,}")
        if total is not None and total > self.limit:
            raise Failed(f"the server's file has {total:,} bytes; at most {self.limit:,} were expected")
        self.total = self.size if self.size is not None else total
        self.etag = headers.get("ETag") if not headers.get("ETag", "W/").startswith("W/") else None
        self.bar.move(self.done, self.total)

    def _copy(self, response):
        limit = self.total if self.total is not None else self.limit
        self.file.seek(self.done)
        checked, at_check = time.monotonic(), self.done
        while chunk := response.read1(_CHUNK):
            if self.done + len(chunk) > limit:
                self._restart()
                raise Failed(f"the server sends more than {limit:,} bytes")
            self._store(chunk)
            self.bar.move(self.done, self.total)
            now = time.monotonic()
            if now > self.deadline:
                raise Failed(f"the time for it is over ({self.done:,} bytes are kept for the next try)")
            if now - checked > self.timeout:
                if self.done - at_check < _STALL_BYTES:
                    raise TimeoutError
                checked, at_check = now, self.done
        if self.total is not None and self.done < self.total:
            raise _Cut(f"the connection was cut after {self.done:,} of {self.total:,} bytes")
        self.total = self.done

    def _store(self, chunk):
        try:
            self.file.write(chunk)
        except OSError as reason:
            raise NotStored(reason) from None
        self.hash.update(chunk)
        self.done += len(chunk)


def _content_range(value):
    """'bytes 100-199/200' -> (100, 200); the total is None where the server does not say."""
    unit, _, rest = value.partition(" ")
    extent, _, total = rest.partition("/")
    start = extent.partition("-")[0]
    if unit.strip().lower() != "bytes" or not (start.isascii() and start.isdigit()):
        raise Failed(f"the server sent a part of the file without saying which: {ascii(value)[:60]}")
    return int(start), int(total) if total.isascii() and total.isdigit() else None


def _retry_after(headers):
    """The seconds that a busy server asks for: `Retry-After` is a number of them, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _plain(reason):
    """What another program, or another machine, said: in ASCII, and not at length."""
    return ascii(str(reason))[1:-1][:100]


def _status(reason):
    known = {
        304: "it says that the file has not changed, which nobody asked",
        401: "a login is required",
        403: "access is forbidden",
        404: "there is no such file",
        503: "the server is busy",
    }
    if reason.code in (301, 302, 303, 307, 308):
        if not (reason.headers.get("Location") or reason.headers.get("URI")):
            return f"HTTP {reason.code}: it redirects without saying where to"
        return f"HTTP {reason.code}: it redirects too often, or to an address that is not https"
    return f"HTTP {reason.code}: {known.get(reason.code) or _plain(reason.reason)}"


def _check_address(url, allow_http):
    try:
        parts = urlsplit(url)
    except ValueError as reason:
        raise Failed(f"not an address: {reason}") from None
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if any(c <= " " or c == "\x7f" for c in url):
        raise Failed("the address contains blanks or control characters")
    if parts.scheme not in (("https", "http") if allow_http or local else ("https",)) or not parts.hostname:
        raise Failed("only https is fetched (http from this machine, or from a mirror that you name)")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a few redirects, never from https to http and never to another kind of address."""

    max_redirections = _MAX_REDIRECTS
    max_repeats = 2

    def __init__(self, allow_http):
        self.allow_http = allow_http

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise Failed("it redirects from https to an address that is not https")
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


def shown_address(url: str) -> str:
    """The address without a user's password, and without anything that could upset a terminal."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    shown = scheme + separator + host.rpartition("@")[2] + slash + path.partition("?")[0]
    return ascii(shown)[1:-1][:200]


class _Bar:
    """A progress bar on stderr, or nothing where stderr is not a terminal."""

    def __init__(self, name, total, wanted):
        self.name, self.total = name, total
        self.progress = None
        self.wanted = wanted and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self):
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

    def __exit__(self, *_):
        if self.progress:
            self.progress.stop()
