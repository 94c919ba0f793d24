"""Weights from an address: verified by the digits that it carries, or not fetched at all."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import tinyvision as tv
from tinyvision import hub
from tinyvision.errors import DownloadError, OptionError, WeightsError
from tinyvision.formats import download as fetch


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
    ):
        with pytest.raises(OptionError):
            call()
