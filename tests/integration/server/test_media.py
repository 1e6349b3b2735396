"""How a file's sound is played, and drawn."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np
import pytest

from echoic import Library
from echoic.audio.decode import read_audio
from echoic.server import drawing
from echoic.types import FileRecord
from tests.integration.server.conftest import ODD, RATE, write


def sound_of(answer, path, rate=RATE):
    path.write_bytes(answer.body)
    return read_audio(path, rate)[0]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("drive.mp3", "audio/mpeg"),
        ("drive-copy.flac", "audio/flac"),
        ("bird.opus", "audio/ogg"),
        (ODD, "audio/wav"),
    ],
)
def test_what_browsers_play_is_sent_as_it_is(ask, place, ids, name, media_type):
    [path] = place.sounds.rglob(name) if name != ODD else [place.sounds / ODD]
    answer = ask(f"/v1/files/{ids[quote(os.fsencode(name))]}/audio")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body == path.read_bytes()


@pytest.mark.parametrize("name", ["rain.wav", "siren.wma"])  # as it is, and converted
def test_parts_are_sent_as_players_ask_for_them(ask, ids, name):
    route = f"/v1/files/{ids[name]}/audio"
    whole = ask(route)
    size, tag, date = len(whole.body), whole.headers["ETag"], whole.headers["Last-Modified"]

    def part(asked, **headers):
        return ask(route, headers={"Range": asked, **headers})

    head = ask(route, method="HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(size), b"")
    assert head.headers["Accept-Ranges"] == "bytes"
    for asked, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, size - 1),
        ("bytes=-7", size - 7, size - 1),
        (f"bytes=0-{10 * size}", 0, size - 1),
    ):
        answer = part(asked)
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert answer.body == whole.body[first : last + 1]
    beyond = part(f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    for ignored in ("bytes=5-1", "lines=0-1", "bytes=0-1,4-5", "bytes=-", "bytes=a-b"):
        assert part(ignored).body == whole.body
    assert part("bytes=0-9", **{"If-Range": tag}).status == 206
    assert part("bytes=0-9", **{"If-Range": date}).status == 206
    assert part("bytes=0-9", **{"If-Range": '"another"'}).body == whole.body
    assert ask(route, headers={"If-None-Match": f'"x", {tag}'}).status == 304
    assert ask(route, headers={"If-None-Match": '"x"', "If-Modified-Since": date}).status == 200
    assert ask(route, headers={"If-Modified-Since": date}).status == 304
    assert ask(route, headers={"If-Modified-Since": "yesterday"}).status == 200


def test_a_cut_holds_just_the_samples_of_the_part(ask, place, ids, tmp_path):
    answer = ask(f"/v1/files/{ids['drive.mp3']}/audio", {"start": 3.25, "end": 5})
    assert answer.headers["Content-Type"] == "audio/flac"
    got = sound_of(answer, tmp_path / "cut.flac")
    due, _ = read_audio(place.sounds / "pieces" / "drive.mp3", RATE, start=3.25, end=5)
    assert len(got) == round(1.75 * RATE)
    np.testing.assert_allclose(got, due, atol=2**-14)


def test_what_no_browser_plays_is_converted(ask, place, ids, tmp_path):
    answer = ask(f"/v1/files/{ids['siren.wma']}/audio")
    assert answer.headers["Content-Type"] == "audio/flac"
    due, _ = read_audio(place.sounds / "siren.wma", RATE)
    np.testing.assert_allclose(sound_of(answer, tmp_path / "siren.flac"), due, atol=2**-14)


def test_what_took_the_place_of_a_file_is_not_sent(serve, tmp_path):
    rng = np.random.default_rng(0)
    clip = write(tmp_path / "sounds" / "a.wav", rng.normal(0, 0.1, RATE))
    secret = tmp_path / "secret"
    secret.write_text("password")
    with Library(tmp_path / "library") as library:
        library.index([clip.parent], encoders=["spectral"], jobs=1)
    with serve(library=tmp_path / "library") as ask:
        route = "/v1/files/1/audio"
        assert ask(route).body == clip.read_bytes()
        clip.unlink()
        assert ask(route).status == 404
        clip.symlink_to(secret)
        answer = ask(route)
        assert answer.status == 422
        assert b"password" not in answer.body
        clip.unlink()
        os.mkfifo(clip)  # which nobody writes to
        assert ask(route).status == 404
        clip.unlink()
        other = write(clip, rng.normal(0, 0.1, 2 * RATE))
        answer = ask(route)
        assert answer.headers["Content-Type"] == "audio/flac"
        due, _ = read_audio(other, RATE)
        np.testing.assert_allclose(sound_of(answer, tmp_path / "b.flac"), due, atol=2**-14)


def test_peaks_are_those_of_the_samples_so_that_quiet_files_look_quiet(ask, place, ids):
    for name in ("rain.wav", "quiet.wav"):
        samples, _ = read_audio(place.sounds / name, RATE)
        told = ask(f"/v1/files/{ids[name]}/peaks", {"n": 50}).json
        parts = [samples[np.arange(len(samples)) * 50 // len(samples) == i] for i in range(50)]
        np.testing.assert_allclose(told["lows"], [part.min() for part in parts], atol=1e-5)
        np.testing.assert_allclose(told["highs"], [part.max() for part in parts], atol=1e-5)
        assert told["end"] == pytest.approx(len(samples) / RATE)
    part = ask(f"/v1/files/{ids['drive.mp3']}/peaks", {"start": 2, "end": 2.5, "n": 4}).json
    samples, _ = read_audio(place.sounds / "pieces" / "drive.mp3", RATE, start=2, end=2.5)
    np.testing.assert_allclose(part["highs"], samples.reshape(4, -1).max(1), atol=1e-5)


def test_no_more_peaks_than_samples(ask, ids):
    told = ask(f"/v1/files/{ids['rain.wav']}/peaks", {"start": 0.5, "end": 0.501, "n": 1000}).json
    assert len(told["lows"]) == len(told["highs"]) == 16


def picture_of(content):
    with av.open(content) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


@pytest.mark.parametrize("rate", [8_000, 44_100, 384_000])
def test_a_tone_lies_at_its_frequency_and_time_in_the_picture(tmp_path, rate):
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * rate / 8 * time) * (time >= 0.5)
    path = write(tmp_path / "tone.wav", tone, rate)
    record = FileRecord(1, str(path), 0, 0, "", 1.0, rate, 1, "pcm_s16le", "indexed", "")
    drawing.spectrogram(record, None, None, 100, 64, tmp_path / "tone.png")
    picture = picture_of(str(tmp_path / "tone.png")).sum(2)
    assert picture.shape == (64, 100)
    assert picture[:, :45].max() <= 4  # black
    assert abs(picture[:, 75].argmax() - 48) <= 1  # an eighth of the rate, from the top
    drawing.spectrogram(record, 0.4, 0.6, 700, 16, tmp_path / "part.png")
    part = picture_of(str(tmp_path / "part.png")).sum(2)
    lit = np.flatnonzero(part[12] > 300)
    assert lit[0] == pytest.approx(350, abs=120)
    assert np.array_equal(lit, np.arange(lit[0], 700))  # no column is left out


def test_a_picture_is_sent_over_http(ask, ids):
    answer = ask(f"/v1/files/{ids['siren.wma']}/spectrogram.png", {"width": 30, "height": 20})
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.body.startswith(b"\x89PNG")


def test_of_what_could_not_be_read_nothing_is_drawn(ask, ids):
    for what in ("audio", "peaks", "spectrogram.png"):
        answer = ask(f"/v1/files/{ids['no-sound.wav']}/{what}")
        assert answer.status == 422
        assert b"<script>" not in answer.body


def test_what_is_damaged_is_drawn_without_what_is_no_number(tmp_path, place):
    with Library(place.library) as library:
        [record] = library.files(place.sounds / "rain.wav")
    drawing.peaks(replace(record, duration=2 * record.duration), None, None, 10, tmp_path / "peaks")
    told = json.loads(Path(tmp_path / "peaks").read_text())
    assert told["highs"][5:] == [0.0] * 5
    assert min(told["highs"][:5]) > 0
