"""``/v1/listen`` by a client of web sockets: what plays is told while it plays."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from socket import SHUT_RDWR

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from echoic import Library
from echoic.audio.decode import read_audio
from echoic.audio.synthesis import make_sound
from echoic.client import Client, Heard
from echoic.errors import NotAudioError, ServiceError, UnknownEncoderError, UsageError
from echoic.recordings.result import Match
from echoic.server.keys import Keys
from echoic.types import LiveSound
from tests.integration.server.conftest import RATE


def listening(served, asked=f"rate={RATE}", **headers):
    """Connect as no browser does, or with what one would send."""
    return connect(
        f"ws://{served.place}/v1/listen?{asked}", additional_headers=headers, compression=None, proxy=None
    )


def play(served, samples, kind="f32", block=RATE // 2):
    """Send sound to its end, and return all that is told."""
    spelt = samples.astype("<f4") if kind == "f32" else np.round(samples * 32_767).astype("<i2")
    with listening(served, f"rate={RATE}&format={kind}&k=2") as socket:
        for at in range(0, len(spelt), block):
            socket.send(spelt[at : at + block].tobytes())
        socket.send("end")
        told = [json.loads(message) for message in socket]
        assert socket.close_code == 1000
    assert told[-1]["kind"] == "end"
    assert told[-1]["end"] == len(samples) / RATE
    return told[:-1]


def test_what_plays_is_heard_and_recognised(ask, place):
    drive = read_audio(place.sounds / "pieces" / "drive-copy.flac", RATE)[0]
    rain = make_sound("rain", 0, sample_rate=RATE)
    told = play(ask, np.concatenate([drive[4 * RATE : 16 * RATE], np.zeros(2 * RATE, np.float32), rain]))
    matches = [one["match"] for one in told if one["kind"] == "match"]
    assert {match["path"].rpartition("/")[2] for match in matches} >= {"drive.mp3"}, told
    assert "drive" in matches[0]["path"]
    assert matches[0]["start"] - matches[0]["query_start"] == pytest.approx(4, abs=0.3)
    looks = [one for one in told if one["kind"] == "heard"]
    assert looks[-1]["end"] == pytest.approx(14 + len(rain) / RATE)
    assert looks[-1]["hits"][0]["path"].endswith("rain.wav")
    assert all(0 < len(one["hits"]) <= 2 for one in looks)
    assert all(look["start"] <= span["start"] <= span["end"] for look in looks for span in look["spans"])
    assert not list(ask.service.uploads.folder.iterdir())


def sounding(samples, rate=RATE):
    blocks = (samples[at : at + rate // 2] for at in range(0, len(samples), rate // 2))
    return LiveSound("radio", 100.0, rate, blocks)


def test_a_client_listens_as_the_library_does(ask, place):
    drive = read_audio(place.sounds / "pieces" / "drive-copy.flac", RATE)[0][4 * RATE : 16 * RATE]
    client = Client(ask.address)
    with Library(place.library) as library:
        for options in ({}, {"path": "pieces/*.mp3", "tags": "all", "min_score": 0.5}, {"path": "rain*"}):
            matches = list(library.monitor(sounding(drive), **options))
            assert list(client.monitor(sounding(drive), **options)) == matches, options
            assert bool(matches) == (options.get("path") != "rain*")
    told = list(client.listen(place.sounds / "pieces" / "drive.mp3", k=1))
    looks = [one for one in told if isinstance(one, Heard)]
    assert {Path(one.path).name for one in told if isinstance(one, Match)} >= {"drive.mp3"}
    assert looks[-1].end == pytest.approx(24, abs=0.1)
    assert all(len(one.hits) == 1 and not one.message for one in looks)
    assert all(0 <= span.start < span.end <= 24.1 for one in looks for span in one.spans)


def test_who_listens_is_told_what_goes_wrong(ask, serve, place, tmp_path):
    client, rain = Client(ask.address), make_sound("rain", 0, sample_rate=RATE)

    def broken():
        yield rain[:RATE]
        raise NotAudioError("it broke off")

    with pytest.raises(NotAudioError, match="broke off"):
        list(client.monitor(LiveSound("radio", 0.0, RATE, broken())))
    with pytest.raises(UsageError, match="rate is less than 4,000; give that or more"):
        list(client.listen(LiveSound("radio", 0.0, 1, iter(()))))
    with pytest.raises(UsageError, match="no kind of sound"):
        list(client.monitor(sounding(rain), tags="heard=nothing"))
    with pytest.raises(ServiceError, match="does not answer"):
        list(Client("http://127.0.0.1:9").monitor(sounding(rain)))
    with Library(tmp_path / "library") as library:
        library.index([place.sounds / "rain.wav"], encoders=["spectral"], jobs=1)
    with serve(library=tmp_path / "library") as served:
        client = Client(served.address)
        with pytest.raises(UnknownEncoderError, match="fingerprint"):
            list(client.monitor(sounding(rain)))
        assert any("fingerprint" in one.message for one in client.listen(sounding(rain)))
        told = client.listen(sounding(np.resize(rain, 60 * RATE)))
        next(told)
        told.close()  # who leaves is waited for by nobody
    assert not [thread for thread in threading.enumerate() if thread.name == "echoic-send"]


def test_a_look_that_the_end_cuts_short_is_made_up_for(ask, monkeypatch):
    describe, held = ask.service.describe, threading.Event()

    def slowly(*given):
        held.wait(1)  # till long after the end has come
        return describe(*given)

    monkeypatch.setattr(ask.service, "describe", slowly)
    told = play(ask, make_sound("rain", 0, sample_rate=RATE)[: round(2.6 * RATE)], block=round(2.6 * RATE))
    assert [one["kind"] for one in told].count("heard") >= 1


def test_a_thread_that_breaks_down_gives_its_place_back(ask, monkeypatch):
    def broken(source, **_):
        next(source.blocks)
        raise ValueError("not foreseen")

    monkeypatch.setattr(ask.service.library, "monitor", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    told = play(ask, np.zeros(40 * RATE, np.float32), block=5 * RATE)
    assert told
    assert all(one["kind"] == "heard" for one in told)


def test_silence_and_absurd_samples_are_no_sound(ask):
    samples = np.zeros(3 * RATE, np.float32)
    samples[::100] = np.nan
    told = play(ask, samples)
    assert told
    assert all(one["kind"] == "heard" and not one["hits"] and not one["spans"] for one in told), told


def test_what_a_library_cannot_tell_is_said(serve, place, tmp_path):
    with Library(tmp_path / "library") as library:
        library.index([place.sounds / "rain.wav"], encoders=["spectral"], jobs=1)
    with serve(library=tmp_path / "library") as served:
        told = play(served, make_sound("rain", 1, sample_rate=RATE))
    assert any("fingerprint" in one["message"] for one in told if one["kind"] == "match")
    assert any(one["hits"] for one in told if one["kind"] == "heard")


def test_who_may_not_ask_is_refused_before_the_connection_is_taken(serve, tmp_path):
    key = Keys.make(tmp_path / "keys", "read")
    may = {"Authorization": f"Bearer {key}"}
    with serve(keys=Keys(tmp_path / "keys"), n_listeners=1) as served:
        for status, asked, headers in (
            (401, f"rate={RATE}", {}),
            (401, f"rate={RATE}", {"Authorization": "Bearer none"}),
            (403, f"rate={RATE}", may | {"Origin": "http://evil.example"}),
            (403, f"rate={RATE}", may | {"Sec-Fetch-Site": "cross-site"}),
            (422, "rate=1", may),
            (422, f"rate={RATE}&format=mp3", may),
            (422, "", may),
        ):
            with pytest.raises(InvalidStatus) as refused, listening(served, asked, **headers):
                pass
            assert refused.value.response.status_code == status, (asked, headers)
            assert json.loads(refused.value.response.body)["status"] == status
        with listening(served, **may, Origin=f"http://{served.place}") as socket:
            with pytest.raises(InvalidStatus) as refused, listening(served, **may):
                pass
            assert refused.value.response.status_code == 429
            assert int(refused.value.response.headers["Retry-After"]) > 0
            socket.send("end")
            assert [json.loads(message)["kind"] for message in socket] == ["end"]
        assert served("/v1/files", key=key).status == 200


def test_what_is_no_sound_ends_the_connection(ask):
    for message, code in ((b"abc", 1003), (b"", 1003), ("stop", 1003), (bytes((1 << 20) + 4), 1009)):
        with listening(ask) as socket:
            socket.send(message)
            with pytest.raises(ConnectionClosed):
                [socket.recv() for _ in range(10)]
            assert socket.close_code == code, message[:10]


def test_who_leaves_and_a_service_that_ends_leave_nothing_behind(serve):
    block = np.full(RATE, 0.1, "<f4").tobytes()
    with serve() as served, listening(served) as staying:
        with listening(served) as leaving:
            leaving.send(block)
            leaving.socket.shutdown(SHUT_RDWR)
        staying.send(block)
        served.stop()
        with pytest.raises(ConnectionClosed):
            [staying.recv(timeout=10) for _ in range(10)]
        assert staying.close_code == 1012  # the service restarts, a client may try again
    assert not [thread for thread in threading.enumerate() if thread.name == "echoic-listen"]
