"""What the tests of several datasets share."""

import http.server
import threading

import pytest


@pytest.fixture
def server(tmp_path):
    """(address of a web server that hands out tmp_path/served, that folder, list of the paths asked for)."""
    served, asked = tmp_path / "served", []
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", served, asked
        running.shutdown()
        thread.join()
