"""Pipes, web servers and the microphone are listened to by the same rules as files."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from echoic import Library
from echoic.audio import container, live
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.cli import app
from echoic.errors import AudioError, NotAudioError, UnreadableError
from tests.hostile import EXPECTED, make_hostile, wav_header
from tests.media import mux, sound

RATE = 16_000
# What can be piped or served; the rest are no regular files.
FILES = [
    name
    for name in EXPECTED
    if name not in {"unreadable", "dangling_link", "link_loop", "fifo", "socket", "directory"}
]
NEEDS_SEARCHING = {"corrupt_m4a"}  # its table of contents is at the end


class Server:
    """A web server over some files by name; ``answer`` may give only a part of one, or something else.

    ``answer(handler, data, begin)`` sends what it likes; otherwise a whole file is sent, or from a place on.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        answer: Callable[[BaseHTTPRequestHandler, bytes, int | None], bool] = lambda *_: False,
    ) -> None:
        self.asked: list[tuple[str, int | None]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked_range = self.headers.get("Range")
                begin = int(asked_range[6:].split("-")[0]) if asked_range else None
                name = self.path.lstrip("/")
                asked.append((name, begin))
                if name not in files:
                    self.send_error(404)
                elif not answer(self, files[name], begin):
                    send(self, files[name], begin)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None, end: int | None = None) -> None:
    """Send a file from a place on, and break off at another."""
    handler.send_response(200 if begin is None else 206)
    if begin is not None:
        handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - (begin or 0)))
    handler.end_headers()
    with suppress(BrokenPipeError, ConnectionResetError):  # whoever listens has heard enough
        handler.wfile.write(data[begin or 0 : end])


def listened(url: str) -> tuple[np.ndarray, int]:
    """Listen to an address to its end, without waiting."""
    [heard] = [
        (np.concatenate([*connection.blocks, np.empty(0, np.float32)]), connection.sample_rate)
        for connection in live.connections(url, pause=lambda _: None)
    ]
    return heard


# Hostile files


def heard_of(blocks: Iterator[np.ndarray]) -> float:
    samples = np.concatenate([*blocks, np.empty(0, np.float32)])
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("name", FILES)
def test_hostile_files_through_a_pipe(hostile_files: dict[str, Path], name: str) -> None:
    with hostile_files[name].open("rb") as file:
        if EXPECTED[name] == "failed" or name in NEEDS_SEARCHING:
            with pytest.raises(NotAudioError, match="standard input holds no sound"), live.piped(file):
                pass
        else:
            with live.piped(file) as heard:
                assert heard_of(heard.blocks) > 0.01


@pytest.mark.parametrize("text", [b"#EXTM3U\nsong.mp3\n", b"[playlist]\nFile1=song.mp3\n", b"#EXTM3U"])
def test_a_playlist_through_a_pipe_is_told_as_one(text: bytes) -> None:
    with pytest.raises(NotAudioError, match="it is a playlist"), live.piped(io.BytesIO(text)):
        pass


@pytest.mark.parametrize("bytes_at_a_time", [1_000, 1 << 16])
@pytest.mark.parametrize("suffixes", [".aiff", ".wav", ".flac", ".mp3", ".mp4", ".flac .mp3"])
def test_files_behind_each_other_through_a_pipe(tmp_path: Path, suffixes: str, bytes_at_a_time: int) -> None:
    samples = sound(7.0, 44_100)
    whole = b""
    for number, part in enumerate((samples[: 4 * 44_100], samples[4 * 44_100 :])):
        path = tmp_path / f"{number}{suffixes.split()[number % len(suffixes.split())]}"
        if path.suffix == ".mp4":
            mux(path, "mp4", "aac", part, sample_rate=44_100, container_options={"movflags": "faststart"})
        else:
            write_audio(path, part, 44_100)
        whole += path.read_bytes()
    (tmp_path / "both").write_bytes(whole)
    from_file, _ = read_audio(tmp_path / "both", 44_100)

    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return super().read1(bytes_at_a_time)

    with live.piped(Slow(whole)) as heard:
        samples = np.concatenate(list(heard.blocks))
    assert len(samples) == pytest.approx(7 * 44_100, abs=4_096)
    np.testing.assert_allclose(samples[: 3 * 44_100], from_file[: 3 * 44_100], atol=0.05)
    assert np.sqrt(np.mean(np.square(samples[5 * 44_100 : 6 * 44_100]))) > 0.01


def test_hostile_files_from_a_server(hostile_files: dict[str, Path]) -> None:
    served = {name: hostile_files[name].read_bytes() for name in FILES}
    with Server(served) as server:
        for name in FILES:
            url = server.url + name
            if EXPECTED[name] == "failed":
                with pytest.raises(AudioError) as caught:
                    listened(url)
                assert str(caught.value).startswith(url)
                assert "\n" not in str(caught.value)
            else:
                assert heard_of(iter([listened(url)[0]])) > 0.01, name
        assert {asked for asked, _ in server.asked} <= set(FILES)


def test_hostile_files_are_monitored(tmp_path: Path) -> None:
    paths = make_hostile(tmp_path / "audio")
    write_audio(tmp_path / "known.wav", sound(6.0, RATE), RATE)
    with Library(tmp_path / "library") as library:
        library.index([tmp_path / "known.wav"], encoders=["fingerprint"], jobs=1)
    run = subprocess.run(
        [sys.executable, "-m", "echoic", "monitor", str(tmp_path / "audio"), "--json"],
        env=os.environ | {"ECHOIC_LIBRARY": str(tmp_path / "library")},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=300,
        check=False,
    )
    assert run.returncode == 1
    complaints = run.stderr.splitlines()
    noted = [line for line in complaints if line.startswith("note: ")]
    for name in (name for name, state in EXPECTED.items() if state == "partial"):
        assert any(paths[name].name in line for line in noted), name
    complaints = [line for line in complaints if line not in noted]
    assert all(line.startswith("error: ") for line in complaints)
    failed = [name for name, state in EXPECTED.items() if state == "failed" and name != "directory"]
    assert len(complaints) == len(failed)
    for name in failed:
        assert any(paths[name].name in line for line in complaints), name
    for line in run.stdout.splitlines():
        assert json.loads(line)["path"].endswith("known.wav")


# Playlists and redirections


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    write_audio(tmp_path / "secret.wav", sound(6.0, RATE), RATE)
    return tmp_path / "secret.wav"


def playlist(*names: str) -> bytes:
    entries = "".join(f"#EXTINF:6,\n{name}\n" for name in names)
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{entries}#EXT-X-ENDLIST\n".encode()


@pytest.mark.parametrize(
    "scheme", ["file://{}", "{}", "concat:{}", "subfile,,start,0,end,0,,:{}", "data:audio/wav;base64,AAAA"]
)
@pytest.mark.parametrize("name", ["list.m3u8", "radio.mp3"])
def test_a_playlist_names_nothing_outside_the_web(secret: Path, scheme: str, name: str) -> None:
    with Server({name: playlist(scheme.format(secret))}) as server, pytest.raises(AudioError):
        listened(server.url + name)


@pytest.mark.parametrize("scheme", ["file://{}", "concat:{}", "{}"])
def test_a_redirection_leads_nowhere_outside_the_web(secret: Path, scheme: str) -> None:
    def redirect(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        handler.send_response(302)
        handler.send_header("Location", scheme.format(secret))
        handler.end_headers()
        return True

    with Server({"radio.wav": b""}, redirect) as server, pytest.raises(AudioError):
        listened(server.url + "radio.wav")


def test_a_redirection_on_the_web_is_followed(secret: Path) -> None:
    def redirect(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        if data:
            return False
        handler.send_response(302)
        handler.send_header("Location", "/there.wav")
        handler.end_headers()
        return True

    with Server({"here.wav": b"", "there.wav": secret.read_bytes()}, redirect) as server:
        samples, rate = listened(server.url + "here.wav")
    assert len(samples) == 6 * rate


def test_a_playlist_is_heard_to_its_end(tmp_path: Path) -> None:
    samples = sound(8.0, 48_000, 2)
    served = {"list.m3u8": playlist("0.ts", "1.ts")}
    for i in range(2):
        path = tmp_path / f"{i}.ts"
        part = samples[i * 4 * 48_000 : (i + 1) * 4 * 48_000]
        mux(path, "mpegts", "mp2", part, sample_rate=48_000, start=4.0 * i)
        served[path.name] = path.read_bytes()
    with Server(served) as server:
        heard, rate = listened(server.url + "list.m3u8")
    assert len(heard) / rate == pytest.approx(8.0, abs=0.3)


def test_a_table_of_contents_at_the_end_is_searched_for(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    write_audio(path, sound(4.0, 44_100), 44_100)
    assert path.read_bytes().find(b"moov") > path.stat().st_size / 2
    with Server({"a.m4a": path.read_bytes()}) as server:
        heard, rate = listened(server.url + "a.m4a")
    assert len(heard) / rate == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:-1,A radio\nfile://{secret}\n{url}song.wav\n{url}gone.wav\n",
        "\ufeff{url}song.wav\r\n",
        "[playlist]\nNumberOfEntries=2\nFile1={secret}\nFile2={url}song.wav\nTitle2=A radio\n",
    ],
)
def test_a_playlist_that_names_an_address_is_followed(secret: Path, text: str) -> None:
    files = {"song.wav": secret.read_bytes()}
    with Server(files) as server:
        files["list"] = text.format(secret=secret, url=server.url).encode()
        heard, rate = listened(server.url + "list")
        assert [name for name, _ in server.asked] == ["list", "song.wav"]
    assert len(heard) == 6 * rate


def test_radio_that_a_playlist_names_is_heard_once_where_it_is_a_file(secret: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send_without_length(handler, data, "closed")
        return True

    files = {"radio": secret.read_bytes()}
    with Server(files, answer) as server:
        files["list"] = f"{server.url}radio\n".encode()
        heard, rate = listened(server.url + "list")
    assert len(heard) == 6 * rate


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("#EXTM3U\nfile://{secret}\n", "a playlist that names none on the web"),
        ("#EXTM3U\n{secret}\nconcat:{url}song.wav\nftp://x/a.mp3\n", "a playlist that names none on the web"),
        ("[playlist]\nFile1=data:audio/wav;base64,AAAA\n", "a playlist that names none on the web"),
        ("#EXTM3U\n{url}list\n", "which names http.*list, holds no sound: it is a playlist again"),
        ("{url}gone.wav", "which names http.*gone.wav, cannot be listened to .Server returned 404"),
        ("\n<!DOCTYPE html>\n<html><a href='{url}song.wav'>", "a web page"),
        ("<?xml version='1.0'?><playlist><location>{url}song.wav", "a web page, or XML"),
    ],
)
def test_text_that_comes_instead_of_sound_is_told(secret: Path, text: str, what: str) -> None:
    files = {"song.wav": secret.read_bytes()}
    with Server(files) as server:
        files["list"] = text.format(secret=secret, url=server.url).encode()
        with pytest.raises(AudioError, match=what) as caught:
            listened(server.url + "list")
        assert "song.wav" not in {name for name, _ in server.asked}
    assert str(caught.value).startswith(server.url + "list")


# Addresses


def test_schemes_of_the_web_in_any_spelling(secret: Path) -> None:
    with Server({"Song.wav": secret.read_bytes()}) as server:
        for scheme in ("HTTP", "icy", "ICY"):
            heard, rate = listened(f"{scheme}{server.url.removeprefix('http')}Song.wav")
            assert len(heard) == 6 * rate


def test_a_password_is_used_and_not_shown(secret: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        if handler.headers.get("Authorization") == "Basic bWU6c2VjcmV0IQ==":
            return False
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="radio"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    with Server({"song.wav": secret.read_bytes()}, answer) as server:
        url = server.url.replace("//", "//me:secret%21@")
        [(name, n)] = [(c.name, sum(map(len, c.blocks))) for c in live.connections(url + "song.wav")]
        assert (name, n) == (server.url + "song.wav", 6 * RATE)
        with pytest.raises(AudioError) as caught:
            listened(url + "gone.wav")
    assert str(caught.value).startswith(f"{server.url}gone.wav cannot be listened to")
    for words in (["monitor", "ftp://me:secret@example.org/a"], ["list", "http://me:secret@example.org/a"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2
        assert "secret" not in result.output + str(result.exception)


def test_why_an_address_cannot_be_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableError, match=r"\(there is no such host, or no network\); check the address"):
        listened("http://nobody.invalid/radio.mp3")
    monkeypatch.setattr(container, "_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/radio.mp3"
        with pytest.raises(UnreadableError, match=r"\(the server does not answer\); check the address"):
            listened(url)


# Files that break off


@pytest.fixture(params=[".mp3", ".ogg", ".flac", ".wav"])
def song(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, bytes, np.ndarray]:
    path = tmp_path / f"song{request.param}"
    write_audio(path, sound(8.0, 44_100), 44_100)
    return path.name, path.read_bytes(), read_audio(path, 44_100)[0]


def test_a_file_that_breaks_off_is_gone_on_with(song: tuple[str, bytes, np.ndarray]) -> None:
    name, data, whole = song

    def cut(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send(handler, data, begin, (begin or 0) + len(data) // 3)
        return True

    with Server({name: data}, cut) as server:
        heard, _ = listened(server.url + name)
        assert len(server.asked) >= 3
    assert len(heard) == pytest.approx(len(whole), abs=2_000)
    np.testing.assert_allclose(heard[:300_000], whole[:300_000], atol=1e-4)


@pytest.mark.parametrize("at_front", [True, False])
def test_a_file_to_be_searched_that_breaks_off_is_gone_on_with(tmp_path: Path, at_front: bool) -> None:
    path = tmp_path / "song.m4a"
    options = {"movflags": "faststart"} if at_front else {}
    mux(path, "mp4", "aac", sound(12.0, 44_100), sample_rate=44_100, container_options=options)
    data = path.read_bytes()
    assert (data.find(b"moov") < len(data) / 2) == at_front
    whole = read_audio(path, 44_100)[0]

    def cut(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send(handler, data, begin, (begin or 0) + len(data) // 3)
        return True

    with Server({path.name: data}, cut) as server:
        heard, _ = listened(server.url + path.name)
        assert len(server.asked) >= 3
    assert len(heard) == pytest.approx(len(whole), abs=2_000)
    np.testing.assert_allclose(heard[:500_000], whole[:500_000], atol=1e-4)


def test_a_server_that_only_knows_the_begin(song: tuple[str, bytes, np.ndarray]) -> None:
    name, data, whole = song
    answers = iter([0.4, 0.7, 1.0])

    def cut(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        if begin:  # refused, as it sends the whole
            send(handler, data, None, 0)
        else:
            send(handler, data, None, int(next(answers) * len(data)))
        return True

    with Server({name: data}, cut) as server:
        heard, _ = listened(server.url + name)
    assert len(heard) == pytest.approx(len(whole), abs=2_000)
    np.testing.assert_allclose(heard[:300_000], whole[:300_000], atol=1e-4)


def test_a_film_with_its_index_behind_is_told_of_a_server_without_parts(
    tmp_path: Path,
) -> None:
    path = mux(tmp_path / "song.m4a", "mp4", "aac", sound(12.0, 44_100, 2), sample_rate=44_100)

    def whole(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send(handler, data, None)
        return True

    with (
        Server({path.name: path.read_bytes()}, whole) as server,
        pytest.raises(NotAudioError, match="gives no parts of a file; save it and give that"),
    ):
        listened(server.url + path.name)


def test_a_file_whose_rest_is_not_to_be_had_is_told(song: tuple[str, bytes, np.ndarray]) -> None:
    name, data, whole = song

    def cut(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send(handler, data, None, len(data) // 2)
        return True

    waits: list[float] = []
    with Server({name: data}, cut) as server:
        connections = live.connections(server.url + name, pause=waits.append)
        heard = np.concatenate(list(next(connections).blocks))
        with pytest.raises(UnreadableError, match=r"broke off after \d\.\d s .*; try again later"):
            next(connections)
    assert 0.3 * len(whole) < len(heard) < 0.7 * len(whole)
    assert waits == [1, 2, 4]


# Files whose length the server does not say


def send_without_length(
    handler: BaseHTTPRequestHandler, data: bytes, kind: str, end: int | None = None
) -> None:
    """Send a file whose length is not said, or not so that it could be right, and perhaps break off."""
    handler.protocol_version = "HTTP/1.1"
    handler.close_connection = True
    handler.send_response(200)
    headers = {
        "chunked": {"Transfer-Encoding": "chunked"},
        "closed": {},
        "negative": {"Content-Length": "-5"},
        "icy": {"icy-name": "x", "icy-metaint": "1000"},
    }
    for name, value in headers[kind].items():
        handler.send_header(name, value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    body = data[:end]
    if kind == "chunked":
        parts = [body[i : i + 7_001] for i in range(0, len(body), 7_001)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        body += b"0\r\n\r\n" if end is None else b""
    elif kind == "icy":
        said = b"\2" + b"StreamTitle='a';".ljust(32, b"\0")
        body = said.join(body[i : i + 1_000] for i in range(0, len(body), 1_000))
    with suppress(BrokenPipeError, ConnectionResetError):
        handler.wfile.write(body)


@pytest.mark.parametrize("kind", ["chunked", "closed", "negative", "icy"])
def test_a_file_without_a_length_is_heard_once(song: tuple[str, bytes, np.ndarray], kind: str) -> None:
    name, data, whole = song

    def answer(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send_without_length(handler, data, kind)
        return True

    with Server({name: data}, answer) as server:
        heard, _ = listened(server.url + name)
        assert len(server.asked) == 2  # the second time tells that there is no more
    assert len(heard) == pytest.approx(len(whole), abs=2_000)


def test_a_file_without_a_length_that_breaks_off_is_gone_on_with(song: tuple[str, bytes, np.ndarray]) -> None:
    name, data, whole = song
    ends = iter([len(data) // 2, len(data) // 4, None, None])

    def answer(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send_without_length(handler, data, "chunked", next(ends))
        return True

    parts = []
    with Server({name: data}, answer) as server:
        for connection in live.connections(server.url + name, pause=lambda _: None):
            samples = np.concatenate(list(connection.blocks))
            parts.append((connection.begun, len(samples) / connection.sample_rate))
    (begun, length), (begun_again, length_again) = parts
    assert begun == 0
    assert begun_again == pytest.approx(length)
    assert length + length_again == pytest.approx(len(whole) / 44_100, abs=0.05)


def test_radio_with_the_same_announcement_is_not_taken_for_a_file(tmp_path: Path) -> None:
    write_audio(tmp_path / "both.mp3", sound(24.0, RATE), RATE)
    write_audio(tmp_path / "other.mp3", sound(12.0, RATE)[::-1], RATE)
    data, other = (tmp_path / "both.mp3").read_bytes(), (tmp_path / "other.mp3").read_bytes()
    announced = data[: len(data) // 4]
    answers = iter([data, announced + other, announced + other])
    parts = []

    def answer(handler: BaseHTTPRequestHandler, data: bytes, begin: int | None) -> bool:
        send_without_length(handler, next(answers), "closed")
        return True

    with Server({"radio": data}, answer) as server:
        for connection in live.connections(server.url + "radio", pause=lambda _: None):
            parts.append((connection.begun, sum(map(len, connection.blocks)) / connection.sample_rate))
    assert len(parts) == 2
    assert parts[0] == (0, pytest.approx(24, abs=0.2))
    assert parts[1] == (pytest.approx(24, abs=0.2), pytest.approx(18, abs=0.3))


# Who listens


def test_what_a_listener_raises_is_no_fault_of_the_input(secret: Path) -> None:
    with pytest.raises(ValueError, match="of the listener"), live.piped(io.BytesIO(secret.read_bytes())):
        raise ValueError("a fault of the listener")


def test_a_pipe_is_heard_as_it_comes() -> None:
    samples = (sound(8.0, RATE)[:, 0] * 30_000).astype("<i2").tobytes()
    header = wav_header(RATE, 2**32 - 1)
    out, into = os.pipe()
    enough = threading.Event()

    def play() -> None:
        with suppress(BrokenPipeError), os.fdopen(into, "wb") as begin:
            begin.write(header + samples)
            begin.flush()
            enough.wait(60)

    with os.fdopen(out, "rb") as end:
        player = threading.Thread(target=play)
        player.start()
        with live.piped(end) as heard:  # which nobody has closed yet
            assert len(next(heard.blocks)) == pytest.approx(RATE / 2, abs=4_096)
    enough.set()
    player.join()
