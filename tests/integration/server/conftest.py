"""A small library that is served at a free port, and how the tests ask it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_piece, make_sound
from echoic.server.running import Server
from echoic.server.service import Service
from echoic.server.settings import Settings
from echoic.types import Float32

RATE = 16_000
ODD = os.fsdecode(b"100%25 #1? a+b\n caf\xe9.wav")  # no text, and full of what has a meaning in an address


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.body.decode("utf-8"), parse_constant=refuse)


class Served:
    """A library that is served in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        begun = threading.Event()
        self.server = Server(settings, lambda _: begun.set())
        self.address = self.server.address
        self.place = urlsplit(self.address).netloc
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        assert begun.wait(30)

    @property
    def service(self) -> Service:
        return self.server.config.app.state.service

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def __call__(
        self,
        route: str,
        asked: dict[str, Any] | None = None,
        *,
        method: str = "GET",
        body: Any = None,
        headers: dict[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """Ask once, by a connection of its own."""
        target = route + ("" if asked is None else "?" + urlencode(asked, doseq=True))
        given = dict(headers or {})
        if body is not None:
            given.setdefault("Content-Type", "application/octet-stream")
        if key is not None:
            given["Authorization"] = f"Bearer {key}"
        with contextlib.closing(http.client.HTTPConnection(self.place, timeout=30)) as connection:
            connection.request(method, target, body, given)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())


class Place(NamedTuple):
    library: Path
    sounds: Path


def write(path: Path, samples: Float32, rate: int = RATE) -> Path:
    """Write a sound, also at a name that ffmpeg would not take."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(f"plain{path.suffix}")
    write_audio(plain, np.asarray(samples, np.float32), rate)
    return plain.rename(path)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A library of eight files, some of them at odd names and in formats that no browser plays."""
    home = tmp_path_factory.mktemp("served")
    sounds = home / "sounds"
    piece = make_piece("night-drive", sample_rate=RATE)[: 24 * RATE, 0]
    write(sounds / "pieces" / "drive.mp3", piece)
    write(sounds / "pieces" / "drive-copy.flac", piece)
    write(sounds / "rain.wav", make_sound("rain", 0, sample_rate=RATE))
    write(sounds / "quiet.wav", 0.01 * make_sound("rain", 1, sample_rate=RATE))
    write(sounds / ODD, make_sound("bells", 0, sample_rate=RATE))
    write(sounds / "siren.wma", make_sound("sirens", 0, sample_rate=RATE))
    write(sounds / "bird.opus", make_sound("birds", 0, sample_rate=RATE))
    (sounds / "no-sound.wav").write_bytes(b"<script>alert(1)</script>" * 100)
    with Library(home / "library") as library:
        report = library.index([sounds], encoders=["sound", "fingerprint"], jobs=1, tags=["all"])
        library.tag([sounds / "rain.wav"], add=["place=garden"])
    assert report.added == 7
    assert len(report.failed) == 1
    return Place(home / "library", sounds)


@pytest.fixture(scope="session")
def serve(place: Place) -> Iterator[Callable[..., Any]]:
    """Serve the library as an operator decides; ends with the block."""

    @contextlib.contextmanager
    def serving(**settings: Any) -> Iterator[Served]:
        served = Served(Settings(settings.pop("library", place.library), port=0, **settings))
        try:
            yield served
        finally:
            served.stop()

    return serving


@pytest.fixture(scope="module")  # so that it ends before the worker processes that all tests share
def ask(serve: Callable[..., Any]) -> Iterator[Served]:
    """The library, served as it is by default."""
    with serve() as served:
        yield served


@pytest.fixture(scope="module")
def ids(ask: Served) -> dict[str, int]:
    """The files' ids by their names."""
    files = ask("/v1/files", {"limit": 1000}).json["files"]
    return {record["uri"].rpartition("/")[2]: record["id"] for record in files}
