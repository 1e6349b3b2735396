"""An S3 server for tests, in a thread of theirs."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from echoic import buckets

__all__ = ["Server", "running"]

_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "who",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "2",
}


class Server:
    """Counts what it is asked and what is fetched from it, and fails as often as it is told to.

    Attributes
    ----------
    address : str
    failures : int
        Reads of files that are still to be refused, as by a server that has too much to do.
    fetched : Counter of str
        Bytes, by path.
    asked : int
        Requests.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._app = DomainDispatcherApplication(create_backend_app)
        self.failures = 0
        self.fetched: Counter[str] = Counter()
        self.asked = 0
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.port}"

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked += 1
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", environ.get("HTTP_RANGE", ""))
        if environ["REQUEST_METHOD"] == "GET" and part:
            if self.failures:
                self.failures -= 1
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            self.fetched[environ["PATH_INFO"]] += int(part[2]) - int(part[1]) + 1
        return self._app(environ, start_response)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running() -> Iterator[Server]:
    """Start one, and have the environment lead to it."""
    with pytest.MonkeyPatch.context() as patch:
        server = Server()
        forget()
        for name, value in {**_ENVIRONMENT, "AWS_ENDPOINT_URL": server.address}.items():
            patch.setenv(name, value)
        yield server
        server.close()
        forget()


def forget() -> None:
    """Have fsspec connect anew: what it connected to is not there any more."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    buckets._filesystem.cache_clear()
