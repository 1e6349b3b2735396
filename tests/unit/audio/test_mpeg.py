"""How long frames of MPEG audio are, as ffmpeg writes them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.audio.links import further_begin
from echoic.audio.mpeg import frame_size
from echoic.audio.source import Source
from echoic.audio.synthesis import make_sound
from tests.media import mux, sound


@pytest.mark.parametrize(
    ("codec", "container", "rate"),
    [("libmp3lame", "mp3", rate) for rate in (11_025, 16_000, 22_050, 44_100, 48_000)]
    + [("mp2", "mp2", 24_000), ("mp2", "mp2", 44_100), ("aac", "adts", 16_000), ("aac", "adts", 44_100)],
)
def test_the_size_is_that_of_each_packet(tmp_path: Path, codec: str, container: str, rate: int) -> None:
    path = mux(tmp_path / "a.bin", container, codec, sound(0.5, rate), sample_rate=rate)
    data = path.read_bytes()
    with av.open(str(path)) as opened:
        places = [packet.pos for packet in opened.demux(audio=0) if packet.size]
    assert len(places) > 5
    for at, behind in zip(places[1:], [*places[2:], len(data)], strict=True):
        assert frame_size(data[at : at + 6]) == behind - at


@pytest.mark.parametrize(
    "head", ["", "fffb90", "00fb90640000", "ffeb90640000", "fffbf0640000", "fffb9c640000"]
)
def test_what_is_no_frame_has_no_size(head: str) -> None:
    assert frame_size(bytes.fromhex(head)) == 0


def test_lengths_of_packets_in_an_ogg_are_no_recording_behind_it(tmp_path: Path) -> None:
    # Its last page tells of many long packets, with bytes as frames of MPEG begin, and ends with a short one.
    write_audio(tmp_path / "bird.ogg", make_sound("birds", 7, sample_rate=44_100), 44_100)
    assert read_audio(tmp_path / "bird.ogg", 16_000)[1].lost == ""


def test_a_frame_that_no_other_follows_is_no_recording(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(20_000)
    (tmp_path / "noise").write_bytes(bytes.fromhex("fffb90640000") + noise)
    write_audio(tmp_path / "a.mp3", sound(1.0, 44_100), 44_100)
    places = []
    for name in ("noise", "a.mp3"):
        source = Source(tmp_path / name)
        places.append(further_begin(source, 1, 0, of_frames=True))
        source.close()
    assert places == [None, 0]
