"""A model hub of a few lines: it serves files of one commit of each repository, as the real one does."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

LARGE = 4_096  # bytes from which a file is named by its SHA-256, as those in large file storage are


class Hub:
    """What a hub holds, by repository, commit and file, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.asked: list[str] = []
        self.endpoint = ""

    def put(self, repository: str, commit: str, files: Mapping[str, bytes]) -> None:
        self.files |= {(repository, commit, name): content for name, content in files.items()}


@contextlib.contextmanager
def serving(patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub and have this process take it for the hub that there is."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(whole=False)

        def do_GET(self) -> None:
            self.answer(whole=True)

        def answer(self, whole: bool) -> None:
            owner, name, _, commit, *rest = self.path.lstrip("/").split("/")
            content = hub.files.get((f"{owner}/{name}", commit, "/".join(rest)))
            hub.asked.append(f"{self.command} {'/'.join(rest)}")
            if content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self.send_response(200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{git}"')
            if len(content) >= LARGE:
                self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(content)))
            self.end_headers()
            if whole:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        use(hub.endpoint, patch)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def use(endpoint: str, patch: pytest.MonkeyPatch) -> None:
    """Have this process take what is at that address for the hub; the library read its own when imported."""
    from huggingface_hub import constants

    patch.setenv("NO_PROXY", "127.0.0.1")
    patch.setattr(constants, "ENDPOINT", endpoint)
    patch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
