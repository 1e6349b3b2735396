"""Files from where their publishers keep them: checked, fetched once; what goes wrong is one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from echoic.encoders.families import FAMILIES
from echoic.encoders.sources import WebFile
from echoic.encoders.weights import fetched
from echoic.errors import WeightsError

CONTENT = bytes(range(256)) * 64


@contextlib.contextmanager
def serving(answer):
    """Serve by a function that is given the request's handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def give(content, promised=None):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if promised is None else promised))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def is_empty(cache):
    return not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("digest", [None, hashlib.sha256(CONTENT).hexdigest()])
def test_a_file_is_fetched_once_and_has_its_name(digest):
    asked = []

    def answer(handler):
        asked.append(handler.path)
        give(CONTENT)(handler)

    with serving(answer) as url:
        file = WebFile(f"{url}/files/net_mAP%3D0.4.pth?download=1", digest)
        path = fetched(file, "net")
        assert fetched(file, "net") == path
    assert path.name == "net_mAP=0.4.pth"
    assert path.read_bytes() == CONTENT
    assert len(asked) == 1


def test_another_file_than_was_pinned_is_refused_and_not_kept(cache):
    with serving(give(CONTENT[::-1])) as url:
        file = WebFile(f"{url}/net.pth", hashlib.sha256(CONTENT).hexdigest())
        with pytest.raises(WeightsError, match=r"net\.pth of 127\.0\.0\.1 is not the file that was checked"):
            fetched(file, "net")
    assert is_empty(cache)


def test_what_was_damaged_in_the_cache_is_fetched_anew():
    with serving(give(CONTENT)) as url:
        file = WebFile(f"{url}/net.pth", hashlib.sha256(CONTENT).hexdigest())
        fetched(file, "net").write_bytes(b"cut short")
        assert fetched(file, "net").read_bytes() == CONTENT


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", "ftp://127.0.0.1/net.pth")
    handler.end_headers()


@pytest.mark.parametrize(
    "answer", [lambda handler: handler.send_error(404), give(CONTENT[:100], promised=len(CONTENT)), redirect]
)
def test_what_does_not_come_as_a_whole_is_one_sentence(cache, answer):
    with serving(answer) as url, pytest.raises(WeightsError) as caught:
        fetched(WebFile(f"{url}/net.pth"), "net")
    assert str(caught.value).startswith("net.pth of 127.0.0.1 cannot be fetched (")
    assert str(caught.value).endswith("echoic models add net --from FOLDER")
    assert "\n" not in str(caught.value)
    assert is_empty(cache)


def test_a_server_that_is_not_there_is_one_sentence(cache):
    with serving(give(CONTENT)) as url:
        pass
    with pytest.raises(WeightsError, match=r"cannot be fetched \(Connection refused\); connect to"):
        fetched(WebFile(f"{url}/net.pth"), "net")


def test_without_a_network_it_is_told_in_words(cache, monkeypatch):
    def nobody(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(WeightsError, match=r"\(there is no such host, or no network\); .* add net --from"):
        fetched(WebFile("https://nowhere.invalid/net.pth"), "net")


def test_addresses_of_weights_are_safe_on_their_way():
    files = [file for family in FAMILIES.values() for file in family.files if isinstance(file, WebFile)]
    assert files
    assert all(file.url.startswith("https://") and file.base for file in files)
