"""A mirror on the web that does not answer as a git host does: what is said, and that nothing is
taken for a broken history.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gitkv.testing.world import World

_PAGE = b"<html><head><title>Sign in</title></head><body>Please sign in</body></html>"


@contextmanager
def _web(code: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/store.git"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("scene")).create().start()
    try:
        made.person("alice").clone().kv("set", "k", "v")
        made.wait_for_mirror()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("code", "body", "retry", "words"),
    [
        (200, _PAGE, "never", "git repository"),
        (200, _PAGE.replace(b">", b">\n"), "never", "git repository"),
        (200, b"", "never", "git repository"),
        (401, _PAGE, "never", "could not read Username"),
        (403, _PAGE, "never", "403"),
        (404, _PAGE, "never", "not found"),
        (500, _PAGE, "later", "500"),
        (503, _PAGE, "later", "503"),
    ],
)
def test_a_web_page_is_no_mirror_and_no_broken_history(
    scene: World, code: int, body: bytes, retry: str, words: str
) -> None:
    alice = scene.person("alice")
    with _web(code, body) as url:
        alice.git("config", "kv.maxAge", "0")
        plain = alice.git("config", "remote.origin.url").out.decode().strip()
        alice.git("config", "remote.origin.url", url)
        try:
            read = alice.kv("get", "k", check=False)
            waited = alice.kv("wait", "--oid", "0" * 40, "--timeout", "1s", "--json", check=False)
        finally:
            alice.git("config", "remote.origin.url", plain)
    assert (read.code, read.out) == (0, b"v")  # as known here, with a warning
    assert words in read.err
    assert ("mirror cannot be reached" in read.err) == (retry == "later")
    told = json.loads(waited.err.splitlines()[-1])
    assert told["retry"] == retry
    assert waited.code == (5 if retry == "never" else 10)
    assert words in told["error"]
    assert "mirror.failed" not in told["hint"]  # that is for a mirror that answers, and is late
