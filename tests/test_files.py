"""Atomic writes cut at every step, and downloads from a local server that misbehaves in every way."""

import errno
import hashlib
import multiprocessing
import os
import re
import signal
import ssl
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tinyvision import atomic
from tinyvision.atomic import atomic_write
from tinyvision.cli import doctor
from tinyvision.data.picture_files import PictureFiles
from tinyvision.errors import DownloadError, FileError, OptionError
from tinyvision.folders import cache_dir, keep_newest, typed, user_path
from tinyvision.formats import download as download_file
from tinyvision.formats import fetch
from tinyvision.formats.download import download
from tinyvision.kernels.cpu import compiled

# ---------------------------------------------------------------------------------------------- writing


def test_new_file_has_the_bytes_and_ordinary_permissions(tmp_path):
    path = tmp_path / "a.bin"
    with atomic_write(path) as file:
        file.write(b"whole")
    ordinary = tmp_path / "ordinary"
    ordinary.write_bytes(b"")
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode == ordinary.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "ordinary"]


def test_text_is_utf8_with_plain_newlines(tmp_path):
    with atomic_write(tmp_path / "a.txt", "w") as file:
        file.write("für\n")
    assert (tmp_path / "a.txt").read_bytes() == "für\n".encode()


def test_existing_permissions_are_kept(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.bin"
    target.write_bytes(b"old")
    link = tmp_path / "link.bin"
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit, FileError])
def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise kind("mine")

    with pytest.raises(kind, match="mine"), atomic_write(path) as file:
        fail(file)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_an_oserror_about_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "a.bin"):
        os.stat(tmp_path / "elsewhere")


@pytest.mark.parametrize("what", ["missing folder", "folder", "pipe", "loop", "nul", "long"])
def test_places_that_cannot_be_written(tmp_path, what):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = {"missing folder": "no/a", "nul": "a\0b", "long": "x" * 300}.get(what, what)
    with pytest.raises(FileError, match="cannot write"), atomic_write(tmp_path / path) as file:
        file.write(b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "loop", "pipe"]


def test_another_mode_is_refused(tmp_path):
    with pytest.raises(OptionError, match="mode"), atomic_write(tmp_path / "a", "ab"):
        pass


STEPS = ["open", "write", "fsync", "chmod", "replace", "folder fsync"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_step_leaves_a_whole_file(tmp_path, monkeypatch, step, number):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    real_fsync, calls = os.fsync, []

    def second_fsync(descriptor):
        calls.append(descriptor)
        return fail() if len(calls) == 2 else real_fsync(descriptor)

    class Full:
        """A file whose disk is full."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        write = fail

    if step == "write":
        real_fdopen = os.fdopen
        monkeypatch.setattr(atomic.os, "fdopen", lambda *args, **kw: Full(real_fdopen(*args, **kw)))
    else:
        name = {"folder fsync": "fsync"}.get(step, step)
        monkeypatch.setattr(atomic.os, name, second_fsync if step == "folder fsync" else fail)
    with pytest.raises(FileError, match="cannot write"), atomic_write(path) as file:
        file.write(b"new")
    monkeypatch.undo()
    assert path.read_bytes() == (b"new" if step == "folder fsync" else b"old")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    child = os.fork()
    if child == 0:
        with atomic_write(path) as file:
            file.write(b"n" * 100_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.read_bytes() == b"old"


def homeless(monkeypatch):
    """A user of a container, of whom the system knows a number and nothing else."""
    for name in ("HOME", "TINYVISION_HOME", "XDG_CACHE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", str)  # it leaves alone what it cannot tell


def test_a_tilde_in_front_is_a_home_or_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x.png") == tmp_path / "x.png"
    assert user_path("~$x.png") == Path("~$x.png")
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    homeless(monkeypatch)
    assert user_path("a/~/x") == Path("a/~/x")
    with pytest.raises(FileError, match=r"~/x.png: no home folder is known; set HOME, or write the path out"):
        user_path("~/x.png")


@pytest.mark.parametrize(
    ("path", "words"), [("a/b", "a/b"), ("my run", "'my run'"), ("-x", "./-x"), ("-a b", "'./-a b'"), ("a-b", "a-b")]
)
def test_a_path_that_is_shown_to_be_typed(path, words):
    assert typed(Path(path)) == words


def test_without_a_home_what_needs_no_cache_works(monkeypatch, tmp_path):
    homeless(monkeypatch)
    with pytest.raises(FileError, match="no cache; set TINYVISION_HOME to a folder"):
        cache_dir()
    assert not compiled.is_complete()
    assert "no home folder is known" in str(doctor._folders())
    (tmp_path / "a").mkdir()
    assert PictureFiles(tmp_path).paths == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "tinyvision"


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home"
    monkeypatch.delenv("TINYVISION_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "tinyvision"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert cache_dir() == tmp_path / "user" / ".cache" / "tinyvision"


# ------------------------------------------------------------------------------------------ downloading

DATA = np.random.default_rng(3).bytes(300_000)
OTHER = np.random.default_rng(4).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


class Origin(BaseHTTPRequestHandler):
    """Serves `self.server.behave(handler, number of the request)`."""

    def do_GET(self):
        server = self.server
        with server.lock:
            server.requests.append((self.path, dict(self.headers)))
            number = len(server.requests)
        server.behave(self, number)

    def log_message(self, *_):
        pass

    def answer(self, data=DATA, *, ranges=True, cut=None, etag=None, length=None, kind="application/octet-stream"):
        """Send `data` (or the range asked for), but no more than `cut` bytes of it."""
        wanted = self.headers.get("Range") if ranges else None
        if wanted and self.headers.get("If-Range", etag) != etag:
            wanted = None
        start = int(wanted[6:-1]) if wanted else 0
        if wanted and start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        body = data[start:]
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.wfile.flush()

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients of these tests hang up in the middle


@pytest.fixture
def origin(monkeypatch):
    server = QuietServer(("127.0.0.1", 0), Origin)
    server.requests, server.lock = [], threading.Lock()
    server.behave = lambda handler, number: handler.answer()
    server.url = f"http://127.0.0.1:{server.server_port}/f.bin"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setattr(fetch, "_BACKOFF", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def refused(origin, tmp_path, match, **options):
    """The download fails with these words, and nothing has the final name."""
    path = tmp_path / "f.bin"
    options = {"sha256": SHA256, "timeout": 30} | options
    with pytest.raises(DownloadError, match=match) as error:
        download(options.pop("url", origin.url), path, **options)
    assert not path.exists()
    assert not (tmp_path / ".f.bin.lock").exists()
    return str(error.value)


def test_fetches_once_and_then_not_again(origin, tmp_path, capfd):
    path = tmp_path / "new" / "folder" / "f.bin"
    assert download(origin.url, path, sha256=SHA256, size=len(DATA)) == path
    assert path.read_bytes() == DATA
    assert download(origin.url, path, sha256=SHA256.upper()) == path
    assert len(origin.requests) == 1
    assert [p.name for p in path.parent.iterdir()] == ["f.bin"]
    assert capfd.readouterr() == ("", "")  # stderr is no terminal here


def test_a_spoilt_file_in_the_cache_is_fetched_anew(origin, tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(OTHER)
    assert download(origin.url, path, sha256=SHA256).read_bytes() == DATA


def test_a_cut_connection_is_resumed_where_it_broke(origin, tmp_path):
    origin.behave = lambda handler, number: handler.answer(cut=100_000, etag='"v1"')
    path = download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert path.read_bytes() == DATA
    ranges = [headers.get("Range") for _, headers in origin.requests]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert origin.requests[1][1]["If-Range"] == '"v1"'


def test_a_later_call_resumes_the_part(origin, tmp_path):
    (tmp_path / ".f.bin.part").write_bytes(DATA[:250_000])
    download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert origin.requests[0][1]["Range"] == "bytes=250000-"
    assert (tmp_path / "f.bin").read_bytes() == DATA


def test_a_complete_part_needs_no_connection(origin, tmp_path):
    (tmp_path / ".f.bin.part").write_bytes(DATA)
    download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert not origin.requests


@pytest.mark.parametrize("size", [None, len(DATA)])
@pytest.mark.parametrize("part", [OTHER[:1000], OTHER, OTHER + b"more"])
def test_a_part_of_another_version_is_thrown_away(origin, tmp_path, part, size):
    (tmp_path / ".f.bin.part").write_bytes(part)
    download(origin.url, tmp_path / "f.bin", sha256=SHA256, size=size)
    assert (tmp_path / "f.bin").read_bytes() == DATA


def test_a_server_without_ranges_starts_over(origin, tmp_path):
    (tmp_path / ".f.bin.part").write_bytes(DATA[:1000])
    origin.behave = lambda handler, number: handler.answer(ranges=False)
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


@pytest.mark.parametrize("etags", [(None, None), ('"old"', '"new"')])
def test_a_file_that_changes_while_it_is_fetched(origin, tmp_path, etags):
    def behave(handler, number):
        first = number == 1
        handler.answer(OTHER if first else DATA, cut=1000 if first else None, etag=etags[0 if first else 1])

    origin.behave = behave
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


def test_a_stalled_connection_is_given_up(origin, tmp_path, monkeypatch):
    done = threading.Event()

    def behave(handler, number):
        handler.answer(cut=1000, length=len(DATA))
        done.wait(600)

    origin.behave = behave
    monkeypatch.setattr(fetch, "_ATTEMPTS", 1)
    message = refused(origin, tmp_path, "stalled for 2 s", timeout=2)
    done.set()
    assert "bytes are kept" in message


def test_a_trickle_counts_as_stalled(origin, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_ATTEMPTS", 1)

    def behave(handler, number):
        handler.answer(cut=0)
        for byte in range(100):
            handler.wfile.write(DATA[byte : byte + 1])
            time.sleep(0.05)

    origin.behave = behave
    refused(origin, tmp_path, "stalled", timeout=0.3)


def test_wrong_hash_and_nothing_left_behind(origin, tmp_path):
    origin.behave = lambda handler, number: handler.answer(OTHER)
    message = refused(origin, tmp_path, "another SHA-256", size=len(DATA))
    assert list(tmp_path.iterdir()) == []
    assert origin.url in message
    assert str(tmp_path) in message
    assert SHA256 in message


def test_wrong_length(origin, tmp_path):
    refused(origin, tmp_path, "300,000 bytes instead of 299,999", size=299_999)
    origin.behave = lambda handler, number: handler.answer(length=200_000)
    refused(origin, tmp_path, "another SHA-256")


def test_an_empty_answer(origin, tmp_path):
    origin.behave = lambda handler, number: handler.answer(b"")
    refused(origin, tmp_path, "another SHA-256")


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_an_endless_body_is_bounded(origin, tmp_path, monkeypatch, size):
    monkeypatch.setattr(fetch, "_MAX_UNSIZED", 400_000)
    sent = []

    def behave(handler, number):
        handler.send_response(200)
        handler.end_headers()
        while len(sent) < 1000:
            handler.wfile.write(OTHER)
            sent.append(1)

    origin.behave = behave
    refused(origin, tmp_path, "more than [34]00,000 bytes", size=size)
    assert len(sent) < 1000
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_instead_of_the_file(origin, tmp_path):
    origin.behave = lambda handler, number: handler.answer(b"<html>log in</html>", kind="text/html")
    refused(origin, tmp_path, "web page")


@pytest.mark.parametrize(("code", "requests"), [(404, 1), (403, 1), (503, 5), (500, 5)])
def test_error_answers(origin, tmp_path, code, requests):
    origin.behave = lambda handler, number: handler.send_error(code)
    refused(origin, tmp_path, f"HTTP {code}")
    assert len(origin.requests) == requests  # busy servers are asked again, the others are believed


def test_a_server_that_recovers(origin, tmp_path):
    origin.behave = lambda handler, number: handler.send_error(503) if number < 3 else handler.answer()
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


def test_a_redirect_is_followed(origin, tmp_path):
    origin.behave = lambda handler, number: handler.redirect("/other") if number == 1 else handler.answer()
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


@pytest.mark.parametrize(
    "where",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1/f",
        "http://example.invalid/f",
        "data:,x",
        "//[",
        "gopher://x/",
    ],
)
def test_a_redirect_to_another_kind_of_address_is_refused(origin, tmp_path, where):
    origin.behave = lambda handler, number: handler.redirect(where)
    refused(origin, tmp_path, "could not fetch f.bin")
    assert len(origin.requests) == 1


def test_a_redirect_without_an_address_and_an_unasked_304_are_called_by_their_names(origin, tmp_path):
    origin.behave = lambda handler, number: handler.send_error(301)
    refused(origin, tmp_path, "HTTP 301: it redirects without saying where to")
    origin.behave = lambda handler, number: handler.send_error(304)
    refused(origin, tmp_path, "HTTP 304: it says that the file has not changed, which nobody asked")


def test_what_a_server_says_is_shown_without_quotes_of_ours(origin, tmp_path):
    origin.behave = lambda handler, number: handler.send_error(418, "I'm a teapot\x1b[2J")
    message = refused(origin, tmp_path, "HTTP 418: I'm a teapot")
    assert "\x1b" not in message
    assert not re.search(r"""["']$""", message.splitlines()[1])


def busy_until_the_third(seconds):
    def behave(handler, number):
        if number > 2:
            return handler.answer()
        handler.send_response(429)
        handler.send_header("Retry-After", seconds)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


@pytest.mark.parametrize(("asked", "least"), [("1", 1.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0), ("²", 0)])
def test_a_busy_server_says_when_to_come_again(origin, tmp_path, monkeypatch, asked, least):
    waits = []
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    origin.behave = busy_until_the_third(asked)
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA
    assert len(waits) == 2
    assert all(least <= wait < 1.1 for wait in waits)


def test_a_server_that_asks_for_an_hour_is_not_waited_for(origin, tmp_path):
    origin.behave = busy_until_the_third("3600")
    refused(origin, tmp_path, "asks to be left alone for 3,600 s")
    assert len(origin.requests) == 1


def test_the_whole_has_a_time_limit_and_goes_on_in_the_next_call(origin, tmp_path):
    def behave(handler, number):
        if number > 1:
            return handler.answer()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:20_000])
        for byte in DATA[20_000:-1]:  # one now and then: the connection is no silent one
            handler.wfile.write(bytes([byte]))
            if over.wait(0.05):
                return

    over = threading.Event()
    origin.behave = behave
    refused(origin, tmp_path, "the time for it is over", time_limit=2, timeout=60)
    over.set()
    assert 0 < (tmp_path / ".f.bin.part").stat().st_size < len(DATA)
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA
    assert origin.requests[1][1]["Range"].startswith("bytes=")


def test_a_roughly_known_length_bounds_the_file(origin, tmp_path):
    refused(origin, tmp_path, "300,000 bytes; at most 200,000 were expected", at_most=200_000)
    assert list(tmp_path.iterdir()) == []
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256, at_most=300_000).exists()


def test_https_with_a_certificate_that_nobody_signed_is_refused(origin, tmp_path, monkeypatch):
    certificate = Path(__file__).with_name("localhost.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    origin.socket = context.wrap_socket(origin.socket, server_side=True)
    url = f"https://localhost:{origin.server_port}/f.bin"
    refused(origin, tmp_path, "(?i)no connection.*certificate", url=url)
    assert origin.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # whoever trusts it gets the file, by the same way
    assert download(url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


def test_a_redirect_loop_ends(origin, tmp_path):
    origin.behave = lambda handler, number: handler.redirect(f"/{number}")
    refused(origin, tmp_path, "redirects too often")
    assert len(origin.requests) <= 10


def test_no_redirect_from_https_to_http():
    request = fetch.urllib.request.Request("https://localhost/f")
    for allow_http in (False, True):
        handler = fetch._SafeRedirects(allow_http)
        with pytest.raises(fetch.Failed, match="https"):
            handler.redirect_request(request, None, 302, "", {}, "http://localhost/f")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.invalid/f",
        "file:///etc/hostname",
        "ftp://example.invalid/f",
        "https:///f",
        "f.bin",
        "",
        "https://[",
        "https://x/\r\nHost: y",
        "http://127.0.0.1:99999/f",
        "http://127.0.0.1:port/f",
    ],
)
def test_addresses_that_are_not_fetched(origin, tmp_path, url):
    message = refused(origin, tmp_path, "could not fetch f.bin", url=url)
    assert "\r" not in message


def test_a_password_in_an_address_is_not_shown(origin, tmp_path):
    message = refused(origin, tmp_path, "could not", url="ftp://user:secret@example.invalid/f?token=secret")
    assert "secret" not in message


def test_nobody_listens(origin, tmp_path):
    refused(origin, tmp_path, "no connection", url="http://127.0.0.1:9/f.bin")


def test_the_second_address_is_tried(origin, tmp_path):
    urls = ["http://127.0.0.1:9/f.bin", origin.url]
    assert download(urls, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


def test_a_proxy_from_the_environment_is_used(origin, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", origin.url.rsplit("/", 1)[0])
    monkeypatch.setenv("no_proxy", "")
    url = "http://mirror.invalid/f.bin"
    download(url, tmp_path / "f.bin", sha256=SHA256, allow_http=True)
    assert origin.requests[0][0] == url


@pytest.mark.parametrize("sha256", [None, "", "f37072fd", "z" * 64])
def test_a_hash_is_required(origin, tmp_path, sha256):
    with pytest.raises(OptionError, match="sha256"):
        download(origin.url, tmp_path / "f.bin", sha256=sha256)


def test_a_full_disk(origin, tmp_path, monkeypatch):
    def full(self, chunk):
        raise fetch.NotStored(OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(fetch.Fetch, "_store", full)
    refused(origin, tmp_path, "is full")


def test_the_folder_cannot_be_made(origin, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot write"):
        download(origin.url, tmp_path / "file" / "f.bin", sha256=SHA256)


def test_a_planted_link_is_not_written_through(origin, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".f.bin.part").symlink_to(victim)
    with pytest.raises(DownloadError):
        download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert victim.read_bytes() == b"precious"


def test_ctrl_c_leaves_a_part_that_is_resumed(origin, tmp_path, monkeypatch):
    store = fetch.Fetch._store

    def interrupted(self, chunk):
        store(self, chunk[:50_000])
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch.Fetch, "_store", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    monkeypatch.setattr(fetch.Fetch, "_store", store)
    part = tmp_path / ".f.bin.part"
    assert DATA.startswith(part.read_bytes())
    done = part.stat().st_size
    assert done > 0
    download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert origin.requests[-1][1]["Range"] == f"bytes={done}-"


def test_the_progress_bar_is_shown_on_a_terminal(origin, tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    download(origin.url, tmp_path / "f.bin", sha256=SHA256)
    assert "f.bin" in capsys.readouterr().err
    download(origin.url, tmp_path / "g.bin", sha256=SHA256, progress=False)
    assert capsys.readouterr().err == ""


def _download_in_child(url, path, queue):
    queue.put(download(url, path, sha256=SHA256).read_bytes() == DATA)


def test_eight_processes_at_once_fetch_once(origin, tmp_path):
    def behave(handler, number):
        time.sleep(0.3)
        handler.answer()

    origin.behave = behave
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    arguments = (origin.url, tmp_path / "f.bin", queue)
    children = [context.Process(target=_download_in_child, args=arguments) for _ in range(8)]
    for child in children:
        child.start()
    results = [queue.get(timeout=600) for _ in children]
    for child in children:
        child.join(600)
    assert results == [True] * 8
    assert len(origin.requests) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["f.bin"]


def _fail_in_child(url, path, queue, waiting):
    locked = download_file._try_lock

    def try_lock(descriptor):
        got = locked(descriptor)
        if not got and not told:
            told.append(True)
            waiting.release()
        return got

    told, download_file._try_lock = [], try_lock
    try:
        download(url, path, sha256=SHA256)
    except DownloadError as reason:
        queue.put(str(reason))


def test_those_who_waited_fail_with_the_first_one_and_do_not_ask_again(origin, tmp_path):
    def behave(handler, number):
        for _ in range(7):  # until all others wait for the one who asks
            waiting.acquire(timeout=600)
        handler.send_error(404)

    origin.behave = behave
    context = multiprocessing.get_context("fork")
    queue, waiting = context.Queue(), context.Semaphore(0)
    arguments = (origin.url, tmp_path / "f.bin", queue, waiting)
    children = [context.Process(target=_fail_in_child, args=arguments) for _ in range(8)]
    for child in children:
        child.start()
    messages = [queue.get(timeout=600) for _ in children]
    for child in children:
        child.join(600)
    assert len(set(messages)) == 1
    assert "there is no such file" in messages[0]
    assert len(origin.requests) == 1
    assert list(tmp_path.iterdir()) == []
    origin.behave = lambda handler, number: handler.answer()  # a later call asks for itself
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).read_bytes() == DATA


def test_a_lock_of_a_dead_process_does_not_hold_anyone_up(origin, tmp_path):
    (tmp_path / ".f.bin.lock").write_bytes(b"")
    assert download(origin.url, tmp_path / "f.bin", sha256=SHA256).exists()


def test_what_is_kept_of_a_cache_folder(tmp_path):
    """The oldest go, and what was just written stays, even if the clock has been put back meanwhile."""
    for number in range(6):
        (tmp_path / f"{number}.safetensors").touch()
        os.utime(tmp_path / f"{number}.safetensors", (2e9 + number,) * 2)
    (tmp_path / "index.json").touch()
    written = tmp_path / "new.safetensors"
    written.touch()
    os.utime(written, (1e9, 1e9))
    keep_newest(written, 7)
    assert len(list(tmp_path.iterdir())) == 8
    keep_newest(written, 3)
    assert {path.stem for path in tmp_path.iterdir()} == {"index", "4", "5", "new"}
