"""Weights from an address: verified by the digits that it carries, or not fetched at all."""

import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import tinyvision as tv
from tinyvision import hub
from tinyvision.errors import DownloadError, OptionError, WeightsError
from tinyvision.formats import fetch


@pytest.fixture
def site(monkeypatch, tmp_path):
    """A server of one file, and a cache folder of our own."""
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "_BACKOFF", 0.01)
    tv.save({"w": tv.tensor([1.0, 2.0])}, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.count += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.count, server.digits = 0, hashlib.sha256(data).hexdigest()
    server.url = f"http://127.0.0.1:{server.server_port}/models"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_fetched_once_and_verified(site, tmp_path):
    url = f"{site.url}/net-{site.digits[:8]}.pth"
    for _ in range(2):
        state = hub.load_state_dict_from_url(url, progress=False, check_hash=True, map_location="cpu")
        assert state["w"].tolist() == [1, 2]
    assert site.count == 1
    assert (tmp_path / "home" / "weights" / f"net-{site.digits[:8]}.pth").is_file()
    assert tv.utils.model_zoo.load_url(url, tmp_path / "other", file_name="mine.pth")["w"].tolist() == [1, 2]
    assert (tmp_path / "other" / "mine.pth").is_file()
    with pytest.raises(DownloadError, match="SHA-256"):
        hub.load_state_dict_from_url(f"{site.url}/net-00000000.pth")


def test_what_cannot_be_verified_is_not_fetched(site, tmp_path):
    with pytest.raises(DownloadError, match=r"net.pth cannot be verified here(.|\n)*put it into"):
        hub.load_state_dict_from_url(f"{site.url}/net.pth", tmp_path)
    assert site.count == 0
    assert hub.load_state_dict_from_url(f"{site.url}/w.pth", tmp_path)["w"].tolist() == [1, 2]  # put there by hand
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(WeightsError):
        hub.load_state_dict_from_url(f"{site.url}/bad.pth", tmp_path)
    for call in (
        lambda: hub.load_state_dict_from_url("https://example.org/"),
        lambda: hub.load_state_dict_from_url(None),
        lambda: hub.load("pytorch/vision", "resnet18", weights="DEFAULT"),
        lambda: hub.list("pytorch/vision"),
    ):
        with pytest.raises(OptionError):
            call()


def test_a_folder_of_ones_own_names_its_models(tmp_path):
    (tmp_path / "parts.py").write_text("WIDTH = 5")
    (tmp_path / "hubconf.py").write_text(
        "from parts import WIDTH\n"
        "from tinyvision import nn\n"
        "def small(inputs=2, width=WIDTH):\n    return nn.Linear(inputs, width)\n"
        "def _hidden():\n    return None\n"
    )
    assert hub.load(tmp_path, "small", 3, source="local").weight.shape == (5, 3)
    assert hub.load(str(tmp_path), "small", width=1, source="local").weight.shape == (1, 2)
    assert hub.list(tmp_path, source="local") == ["small"]
    assert str(tmp_path) not in sys.path
    for folder, name, said in (
        (tmp_path, "large", "has no 'large'; it has small"),
        (tmp_path / "x", "small", "no hubconf"),
    ):
        with pytest.raises(OptionError, match=said):
            hub.load(folder, name, source="local")
    sys.modules.pop("parts", None)
