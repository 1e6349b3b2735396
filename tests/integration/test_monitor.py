"""Streams listened to over real connections, and what is heard in them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library, UnreadableError
from echoic.audio import live
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app
from echoic.doctor import examine

RATE = 16_000
ONE, OTHER = (name for name in PIECES[2:4])


class Radio:
    """A web server whose every answer is the next of a list: bytes of a stream, or None for an error."""

    def __init__(self, answers: list[bytes | None], *, is_file: bool = False) -> None:
        rest = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = rest.pop(0) if not is_file and rest else answers[0] if is_file else None
                if body is None:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "audio/ogg")
                if is_file:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/radio.ogg"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Radio:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def pieces():
    return {name: make_piece(name, sample_rate=RATE).mean(axis=1) for name in (ONE, OTHER)}


@pytest.fixture(scope="module")
def library(pieces, tmp_path_factory):
    root = tmp_path_factory.mktemp("monitor")
    (root / "music").mkdir()
    for name, samples in pieces.items():
        write_audio(root / "music" / f"{name}.mp3", samples, RATE)
    with Library(root / "library") as opened:
        opened.index([root / "music"], encoders=["fingerprint"], jobs=1)
        yield opened


@pytest.fixture
def broadcast(tmp_path):
    def encoded(*parts):
        write_audio(tmp_path / "x.ogg", np.concatenate(parts).astype(np.float32), RATE)
        return (tmp_path / "x.ogg").read_bytes()

    return encoded


class Clock:
    """Time that passes only while someone waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def test_a_stream_that_breaks_off_is_connected_to_again(broadcast):
    clock, lengths, begun = Clock(), [], []
    airings = [broadcast(noise(2, RATE)), broadcast(noise(12, RATE, 2)), broadcast(noise(12, RATE, 3))]
    with Radio([airings[0], None, None, *airings[1:]]) as radio:
        listening = live.connections(radio.url, pause=clock.wait, clock=clock)
        for connection in listening:
            assert connection.sample_rate == RATE
            begun.append(connection.begun)
            lengths.append(sum(map(len, connection.blocks)) / RATE)
            if len(lengths) == 3:
                break
    assert lengths == pytest.approx([2, 12, 12], abs=0.1)
    assert clock.waits == [1, 2, 4, 1]
    # By the clock, but not before the end of what came faster, as a server sends what it has in store.
    assert begun == pytest.approx([0, 7, 19], abs=0.1)


def test_a_stream_that_does_not_come_back_is_given_up(broadcast):
    clock = Clock()
    with Radio([broadcast(noise(12, RATE))]) as radio:
        listening = live.connections(radio.url, pause=clock.wait, clock=clock)
        assert sum(map(len, next(listening).blocks)) > 11 * RATE
        with pytest.raises(UnreadableError, match="has not come back"):
            next(listening)
    assert 600 < clock.now < 700
    assert max(clock.waits) == 30


def test_a_file_on_a_server_ends_with_its_end(broadcast):
    with Radio([broadcast(noise(3, RATE))], is_file=True) as radio:
        lengths = [sum(map(len, c.blocks)) / RATE for c in live.connections(radio.url)]
    assert lengths == pytest.approx([3], abs=0.1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/nobody", "http://127.0.0.1:9"])
def test_an_address_where_nothing_is_is_one_sentence(url):
    with pytest.raises(UnreadableError, match=r"cannot be listened to \(.*\); check the address"):
        next(live.connections(url))


def test_what_a_radio_plays(library, pieces, broadcast):
    show = broadcast(noise(12, RATE), pieces[ONE][2 * RATE :], noise(15, RATE, 2), pieces[OTHER])
    with Radio([show], is_file=True) as radio:
        first, second = library.monitor(radio.url)
        length = len(pieces[ONE]) / RATE - 2
        assert first.path.endswith(f"{ONE}.mp3")
        assert (first.query_start, first.query_end) == pytest.approx((12, 12 + length), abs=3)
        assert second.path.endswith(f"{OTHER}.mp3")
        assert second.query_start == pytest.approx(27 + length, abs=3)
        words = ["monitor", radio.url, "--library", str(library.folder)]
        result = CliRunner().invoke(app, [*words, "--json"])
        assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [first.path, second.path]
        lines = CliRunner().invoke(app, words).stdout.splitlines()
        assert [line.partition("  ")[0] for line in lines] == [radio.url, radio.url]


def monitored(library, path, way):
    """Monitor a file as it lies there, through a pipe, or from a web server."""
    if way == "file":
        return list(library.monitor(path))
    if way == "pipe":
        with path.open("rb") as file, live.piped(file) as heard:
            return list(library.monitor(heard))
    with Radio([path.read_bytes()], is_file=True) as radio:
        return list(library.monitor(radio.url))


@pytest.mark.parametrize("way", ["file", "pipe", "server"])
def test_short_pieces_at_other_speeds(library, pieces, tmp_path, way):
    speeds = {ONE: 1.03, OTHER: 0.96}
    parts = [
        soxr.resample(pieces[name][4 * RATE :][: round(6 * speed * RATE)], speed * RATE, RATE)
        for name, speed in speeds.items()
    ]
    write_audio(tmp_path / "fast.wav", np.concatenate(parts).astype(np.float32), RATE)
    told = monitored(library, tmp_path / "fast.wav", way)
    assert [match.path.rpartition("/")[2] for match in told] == [f"{name}.mp3" for name in speeds]
    assert [match.tempo for match in told] == pytest.approx(list(speeds.values()), abs=0.005)


@pytest.mark.parametrize(("level", "tolerance"), [(0.0, 1e-3), (1e-6, 0.03)])  # noise takes place
def test_a_short_piece_before_a_long_silence(library, pieces, tmp_path, level, tolerance):
    piece = soxr.resample(pieces[ONE][4 * RATE :][: 6 * RATE], 1.03 * RATE, RATE)
    silence = level * np.random.default_rng(0).standard_normal(100 * RATE)
    show = np.concatenate([piece, silence, pieces[OTHER][: 8 * RATE]]).astype(np.float32)
    write_audio(tmp_path / "gap.wav", show, RATE, codec="pcm_f32le")
    one, other = monitored(library, tmp_path / "gap.wav", "pipe")
    identified = library.identify(tmp_path / "gap.wav")
    assert [one.tempo, other.tempo] == pytest.approx([match.tempo for match in identified], abs=tolerance)
    assert one.query_start == 0
    assert other.query_start == pytest.approx(len(piece) / RATE + 100, abs=1)


def test_a_folder_of_recordings_with_a_bad_one(library, pieces, tmp_path):
    write_audio(tmp_path / "a.wav", pieces[ONE].astype(np.float32), RATE)
    (tmp_path / "b.wav").write_text("not audio")
    write_audio(tmp_path / "c.wav", pieces[OTHER].astype(np.float32), RATE)
    result = CliRunner().invoke(app, ["monitor", str(tmp_path), "--library", str(library.folder)])
    assert result.exit_code == 1
    assert [line.partition("  ")[0].rpartition("/")[2] for line in result.stdout.splitlines()] == [
        "a.wav",
        "c.wav",
    ]
    assert "b.wav" in result.stderr


@pytest.fixture
def microphone(pieces, monkeypatch):
    """A package like sounddevice, whose microphone hears a piece."""

    class InputStream:
        def __init__(self, **options) -> None:
            assert options == {"samplerate": RATE, "channels": 1, "dtype": "float32"}

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, n):
            samples = self.rest[:n]
            InputStream.rest = self.rest[n:]
            return samples[:, None], False

        rest = pieces[ONE].astype(np.float32)

    module = types.ModuleType("sounddevice")
    module.InputStream = InputStream
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.query_devices = lambda kind: {"default_samplerate": float(RATE)}
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_the_microphone_is_listened_to_for_ten_seconds(library, microphone):
    words = ["identify", "--mic", "--json", "--library", str(library.folder)]
    result = CliRunner().invoke(app, words)
    match = json.loads(result.stdout)
    assert match["query"] == "microphone"
    assert match["path"].endswith(f"{ONE}.mp3")
    assert match["query_end"] <= 10.1
    assert CliRunner().invoke(app, [*words, "--start", "3"]).exit_code == 2


def test_the_microphone_is_monitored(library, microphone):
    with live.microphone(12) as sound:
        [match] = library.monitor(sound)
    assert match.path.endswith(f"{ONE}.mp3")
    assert match.query_end == pytest.approx(12, abs=1)


@pytest.fixture
def two_microphones(microphone, monkeypatch):
    """Two devices, and a loudspeaker; the second microphone hears the piece."""
    asked = []
    plain = microphone.InputStream

    def query(device=None, kind=None):
        if device is None and kind is None:
            inputs = {"Built-in": 1, "USB Audio": 2, "Loudspeaker": 0}
            return [{"name": name, "max_input_channels": n} for name, n in inputs.items()]
        if device not in (None, "USB"):
            raise ValueError(f"No input device matching {device!r}")
        return {"default_samplerate": float(RATE)}

    def stream(*, device, **options):
        asked.append(device)
        return plain(**options)

    monkeypatch.setattr(microphone, "query_devices", query)
    monkeypatch.setattr(microphone, "InputStream", stream)
    return asked


def test_a_microphone_is_chosen_by_its_name(library, two_microphones):
    assert live.microphones() == ["Built-in", "USB Audio"]
    words = ["identify", "--mic", "--json", "--library", str(library.folder), "--device"]
    result = CliRunner().invoke(app, [*words, "USB"])
    assert json.loads(result.stdout)["path"].endswith(f"{ONE}.mp3")
    assert two_microphones == ["USB"]
    result = CliRunner().invoke(app, [*words, "Radio"])
    assert result.exit_code == 1
    assert "No input device matching 'Radio'" in result.stderr
    assert "choose one of: Built-in, USB Audio" in result.stderr
    for verb in ("identify", "monitor"):
        result = CliRunner().invoke(app, [verb, "a.wav", "--device", "USB", "--library", str(library.folder)])
        assert result.exit_code == 2
        assert "--mic" in result.stderr


def test_the_doctor_lists_microphones(library, two_microphones):
    [found] = [finding for finding in examine(library) if finding.what == "microphone"]
    assert (found.state, found.detail) == ("ok", "Built-in; USB Audio")


def test_without_portaudio_the_package_of_the_system_is_named(library, tmp_path, monkeypatch):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    [found] = [finding for finding in examine(library) if finding.what == "microphone"]
    result = CliRunner().invoke(app, ["monitor", "--mic", "--library", str(library.folder)])
    assert result.exit_code == 1
    for said in (found.detail, result.stderr):
        assert "sudo apt install libportaudio2" in said
        assert "brew install portaudio" in said
        assert "pip install" not in said


def test_without_a_microphone(library, microphone, monkeypatch):
    words = ["monitor", "--mic", "--library", str(library.folder)]

    def none(kind):
        raise microphone.PortAudioError("no input device")

    monkeypatch.setattr(microphone, "query_devices", none)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "the microphone cannot be used (no input device)" in result.stderr
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "pip install 'echoic[mic]'" in result.stderr


@pytest.mark.parametrize("verb", ["identify", "monitor"])
def test_standard_input(library, pieces, tmp_path, verb):
    write_audio(tmp_path / "heard.ogg", pieces[OTHER].astype(np.float32)[: 9 * RATE], RATE)
    words = [verb, "-", "--library", str(library.folder)]
    result = CliRunner().invoke(app, [*words, "--json"], input=(tmp_path / "heard.ogg").read_bytes())
    match, *others = map(json.loads, result.stdout.splitlines())
    assert match["query"] == "-"
    assert match["path"].endswith(f"{OTHER}.mp3")
    assert {other["path"] for other in others} <= {match["path"]}  # where the piece repeats itself
    result = CliRunner().invoke(app, words, input=b"not audio")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "standard input" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["identify", "monitor"])
def test_something_must_be_listened_to(verb):
    for words in ([verb], [verb, "a.wav", "--mic"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2
        assert "--mic for the microphone" in result.stderr


def test_many_sources_at_once(library, pieces, broadcast, tmp_path):
    """Two streams, one that is not there, and a file."""
    first = broadcast(noise(4, RATE), pieces[ONE])
    other = broadcast(pieces[OTHER], noise(4, RATE, 2))
    write_audio(tmp_path / "a.wav", pieces[ONE].astype(np.float32), RATE)
    listed = tmp_path / "stations.txt"
    words = ["monitor", "--sources", str(listed), "--json", "--library", str(library.folder)]
    with Radio([first], is_file=True) as one, Radio([other], is_file=True) as two:
        listed.write_text(
            f"# radios\n{one.url}\n{two.url}\n\nhttp://127.0.0.1:9/nobody\n{tmp_path / 'a.wav'}\n"
        )
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    found = {
        (m["query"], m["path"].rpartition("/")[2]): m for m in map(json.loads, result.stdout.splitlines())
    }
    assert set(found) == {
        (one.url, f"{ONE}.mp3"),
        (two.url, f"{OTHER}.mp3"),
        (str(tmp_path / "a.wav"), f"{ONE}.mp3"),
    }
    assert found[one.url, f"{ONE}.mp3"]["query_start"] == pytest.approx(4, abs=1)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "http://127.0.0.1:9/nobody" in errors[0]
    assert f"{one.url}: listening" in result.stderr


def test_one_of_many_streams_is_cut_and_comes_back(library, pieces, broadcast, monkeypatch):
    monkeypatch.setattr(live, "_FIRST_PAUSE", 0.1)
    told = []
    parts = [broadcast(noise(12, RATE, 3)), None, broadcast(pieces[ONE], noise(3, RATE))]
    with Radio(parts) as cut, Radio([broadcast(pieces[OTHER])], is_file=True) as steady:
        matches = library.monitor_all([cut.url, steady.url], told=told.append)
        heard = {match.query: match for match in (next(matches), next(matches))}
        matches.close()
    assert heard[cut.url].path.endswith(f"{ONE}.mp3")
    assert heard[cut.url].query_start >= 11.9
    assert heard[steady.url].path.endswith(f"{OTHER}.mp3")
    states = [status.state for status in told if status.source == cut.url]
    assert states[:3] == ["heard", "lost", "back"]


def test_a_list_of_sources_that_names_none(library, tmp_path):
    words = ["monitor", "--library", str(library.folder), "--sources", str(tmp_path / "stations.txt")]
    assert CliRunner().invoke(app, words).exit_code == 1
    (tmp_path / "stations.txt").write_text("# none yet\n")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "names no source" in result.stderr
    (tmp_path / "stations.txt").write_bytes(b"\xef\xbb\xbfgone-\xe9.mp3\n")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert r"'gone-\udce9.mp3' does not exist" in result.stderr
    (tmp_path / "stations.txt").write_bytes(b"a\0b")
    assert "is no text" in CliRunner().invoke(app, words).stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as a terminal does")
def test_ctrl_c_ends_a_pipe_among_several_sources(library, pieces, tmp_path):
    command = [sys.executable, "-m", "echoic", "monitor", "-", str(tmp_path / "gone.mp3")]
    told = tmp_path / "told"
    with (
        told.open("wb") as stderr,
        subprocess.Popen(
            [*command, "--library", str(library.folder)], stdin=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        deadline = time.monotonic() + 60
        while "does not exist" not in told.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert "Fatal Python error" not in told.read_text()
