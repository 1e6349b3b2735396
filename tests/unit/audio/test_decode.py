"""Decoding: every format gives the same sound at the same time, and damage costs what is damaged."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio import frames, source
from echoic.audio.decode import Resampler, open_audio, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.limit import at_most
from echoic.errors import AudioError, NotAudioError, UnreadableError, UsageError
from echoic.types import AudioInfo, Float32
from tests.hostile import EXPECTED, SECONDS, flip, wav_header
from tests.media import mux, sound

RATE = 44_100


def read_native(path: Path) -> tuple[Float32, AudioInfo]:
    with open_audio(path) as stream:
        blocks = list(stream)
        assert all(block.dtype == np.float32 and block.ndim == 1 for block in blocks)
        return np.concatenate(blocks), stream.info


def lag(heard: Float32, played: Float32, reach: int = 3_000) -> int:
    """By how many samples ``heard`` comes late."""
    middle = slice(len(played) // 2 - 5_000, len(played) // 2 + 5_000)
    around = heard[middle.start - reach : middle.stop + reach]
    energy = np.convolve(np.square(around, dtype=np.float64), np.ones(10_000), "valid")
    return int((np.correlate(around, played[middle], "valid") / np.sqrt(energy)).argmax()) - reach


def likeness(heard: Float32, played: Float32) -> float:
    n = min(len(heard), len(played))
    return float(np.corrcoef(heard[:n], played[:n])[0, 1])


def level(samples: Float32) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# Formats


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm"])
def test_each_format_gives_the_mean_of_its_channels_on_time(clips: dict[str, Path], suffix: str) -> None:
    played = sound(3.0, RATE, 2).mean(axis=1)
    heard, info = read_audio(clips[suffix], RATE)
    assert info.lost == ""
    assert info.channels == 2
    assert lag(heard, played) == 0
    assert likeness(heard, played) > 0.96
    assert level(heard) == pytest.approx(level(played), rel=0.1)  # a gain of √2 would be 1.41
    assert abs(len(heard) - len(played)) <= (2_048 if suffix == ".ogg" else 1)


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm"])
def test_the_channels_can_be_had(clips: dict[str, Path], suffix: str) -> None:
    played = sound(3.0, RATE, 2)
    with open_audio(clips[suffix], mono=False) as stream:
        heard = np.concatenate(list(stream))
        assert stream.channels == stream.info.channels == 2
        rate = stream.sample_rate
    mono, _ = read_audio(clips[suffix], rate)
    np.testing.assert_allclose(heard.mean(axis=1), mono, atol=1e-5)
    if rate == RATE:
        assert all(likeness(heard[:, i], played[:, i]) > 0.9 for i in range(2))


@settings(max_examples=25)
@given(st.sampled_from(["u8", "s16", "s32", "flt", "dbl"]), st.booleans(), st.integers(2, 5))
def test_the_mean_of_a_frames_channels_is_its_mixture(kind: str, planar: bool, channels: int) -> None:
    dtype = np.dtype({"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[kind])
    rng = np.random.default_rng(channels)
    full = np.iinfo(dtype).max if dtype.kind in "iu" else 1
    values = (rng.random((channels, 60)) * full).astype(dtype)
    layout = {2: "stereo", 3: "3.0", 4: "quad", 5: "5.0"}[channels]
    given_as = values if planar else values.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(given_as), kind + "p" * planar, layout)
    parts = frames.split(frame)
    assert parts.shape == (60, channels)
    np.testing.assert_allclose(parts.mean(axis=1), frames.mix_down(frame), atol=1e-6)


CODECS = {  # name of the file: container, codec
    "f32.wav": ("wav", "pcm_f32le"),
    "f64.wav": ("wav", "pcm_f64le"),
    "s24.wav": ("wav", "pcm_s24le"),
    "s32.wav": ("wav", "pcm_s32le"),
    "s64.wav": ("wav", "pcm_s64le"),
    "u8.wav": ("wav", "pcm_u8"),
    "mulaw.au": ("au", "pcm_mulaw"),
    "adpcm.wav": ("wav", "adpcm_ima_wav"),
    "long.w64": ("w64", "pcm_s16le"),
    "apple.caf": ("caf", "pcm_s16be"),
    "lossless.m4a": ("ipod", "alac"),
    "lossless.tta": ("tta", "tta"),
    "lossless.wv": ("wv", "wavpack"),
    "layer2.mp2": ("mp2", "mp2"),
    "surround.ac3": ("ac3", "ac3"),
    "stream.ts": ("mpegts", "mp2"),
    "stream.aac": ("adts", "aac"),
    "film.mkv": ("matroska", "ac3"),
    "film.avi": ("avi", "libmp3lame"),
    "film.mov": ("mov", "pcm_s16be"),
    "film.mp4": ("mp4", "aac"),
    "film.flv": ("flv", "aac"),
}


@pytest.mark.parametrize("name", CODECS)
def test_rarer_codecs_and_containers_are_whole(tmp_path: Path, name: str) -> None:
    container, codec = CODECS[name]
    samples = sound(3.0, RATE, 2)
    video = "mpeg4" if name.startswith("film") and container != "flv" else ""
    path = mux(tmp_path / name, container, codec, samples, sample_rate=RATE, video=video)
    heard, info = read_native(path)
    assert info.lost == ""
    assert info.sample_rate == RATE
    assert info.duration == pytest.approx(3.0, abs=0.1)
    delay = max(0, lag(heard, samples.mean(axis=1)))  # containers that keep no note of an encoder's delay
    assert delay <= 2_200
    assert likeness(heard[delay:], samples.mean(axis=1)) > 0.96


def test_wma_is_read(clips: dict[str, Path]) -> None:
    heard, info = read_native(clips[".wma"])
    assert (info.lost, info.codec) == ("", "wmav2")
    assert level(heard) == pytest.approx(level(sound(3.0, RATE, 2).mean(axis=1)), rel=0.05)


@pytest.mark.parametrize(
    "suffix", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm", ".wma"]
)
@pytest.mark.parametrize("sample_rate", [8_000, 48_000, 192_000])
def test_no_sound_file_is_called_damaged(tmp_path: Path, suffix: str, sample_rate: int) -> None:
    for n_channels, seconds in ((1, 0.2), (2, 2.71), (6, 1.3), (8, 0.4)):
        if n_channels > 2 and suffix in (".mp3", ".ogg", ".wma"):
            continue
        path = tmp_path / f"{n_channels}{suffix}"
        write_audio(path, sound(seconds, sample_rate, n_channels), sample_rate)
        _, info = read_native(path)
        assert (info.lost, info.channels) == ("", max(n_channels, 2 if suffix == ".ogg" else 1))
        assert info.duration == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("quality", [None, 4], ids=["constant", "variable"])
@pytest.mark.parametrize("xing", ["0", "1"])
def test_mp3_with_and_without_a_count_of_frames(tmp_path: Path, quality: int | None, xing: str) -> None:
    samples = sound(3.0, RATE, 2)
    options = {"write_xing": xing}
    path = tmp_path / "a.mp3"
    mux(path, "mp3", "libmp3lame", samples, sample_rate=RATE, quality=quality, container_options=options)
    heard, info = read_native(path)
    assert info.lost == ""
    # Only the header of the first frame tells the delay of the encoder, 1105 samples.
    assert lag(heard, samples.mean(axis=1)) == (0 if xing == "1" else 1105)


@pytest.mark.parametrize("n_channels", [1, 2, 6, 8])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
def test_channels_are_mixed_by_their_mean(tmp_path: Path, n_channels: int, suffix: str) -> None:
    samples = sound(1.0, 48_000, n_channels)
    path = tmp_path / f"a{suffix}"
    write_audio(path, samples, 48_000)
    heard, info = read_native(path)
    assert info.channels == n_channels
    np.testing.assert_allclose(heard, samples.mean(axis=1), atol=2**-15)


@pytest.mark.parametrize("name", ["u8", "s16", "s32", "flt", "dbl"])
@pytest.mark.parametrize("planar", [False, True])
def test_sample_formats_have_full_scale_at_one(name: str, planar: bool) -> None:
    wanted = np.array([[-1, -0.5, 0, 0.5], [-1, 0, 0.5, 0.5]])
    dtype, full_scale = frames._FORMATS[name]
    coded = (wanted * full_scale + (128 if name == "u8" else 0)).astype(dtype)
    array = coded if planar else np.ascontiguousarray(coded.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(array, name + "p" * planar, "stereo")
    np.testing.assert_allclose(frames.mix_down(frame), [-1, -0.25, 0.25, 0.5], atol=1e-7)


def test_damaged_floats_beyond_float32_are_counted_and_silenced(tmp_path: Path) -> None:
    samples = sound(1.0, 8_000).astype(np.float64)[:, 0]
    samples[100:103] = [1e300, -1e300, 1e12]
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(8_000, np.float32), 8_000, codec="pcm_f64le")
    data = bytearray(path.read_bytes())
    data[-samples.nbytes :] = samples.tobytes()
    path.write_bytes(data)
    heard, info = read_native(path)
    assert info.lost == "3 samples were not finite or beyond ±1e10 and became 0"
    assert not heard[100:103].any()
    assert likeness(heard[200:], samples[200:]) > 0.999


# Containers


def test_cover_art_does_not_confuse(tmp_path: Path) -> None:
    samples = sound(2.0, RATE, 2)
    for container, codec, suffix in (
        ("mp3", "libmp3lame", ".mp3"),
        ("mp4", "aac", ".m4a"),
        ("flac", "flac", ".flac"),
    ):
        path = mux(tmp_path / f"a{suffix}", container, codec, samples, sample_rate=RATE, cover=True)
        heard, info = read_native(path)
        assert info.lost == ""
        assert lag(heard, samples.mean(axis=1)) == 0


def test_the_sound_of_a_film_keeps_time_with_its_picture(tmp_path: Path) -> None:
    samples = sound(3.0, 48_000)
    for container, codec, suffix in (
        ("mp4", "aac", ".mp4"),
        ("matroska", "aac", ".mkv"),
        ("webm", "libopus", ".webm"),
    ):
        video = "libvpx" if container == "webm" else "mpeg4"
        path = mux(
            tmp_path / f"a{suffix}", container, codec, samples, sample_rate=48_000, video=video, start=0.5
        )
        heard, info = read_native(path)
        assert info.lost == ""
        assert np.abs(heard[:20_000]).max() < 0.01
        assert abs(lag(heard[24_000:], samples[:, 0])) <= 48  # Matroska rounds to milliseconds


def test_one_of_several_tracks_is_read(tmp_path: Path) -> None:
    first, second = sound(2.0, RATE, seed=1), sound(2.0, RATE, seed=2)
    path = mux(tmp_path / "a.mka", "matroska", "pcm_s16le", first, second, sample_rate=RATE)
    heard, info = read_native(path)
    assert info.duration == 2.0
    assert likeness(heard, first[:, 0]) > 0.99


def test_a_sample_rate_that_changes_midway(tmp_path: Path) -> None:
    first, second = sound(2.0, 44_100, 2, seed=1), sound(2.0, 22_050, 1, seed=2)
    options = {"write_xing": "0", "id3v2_version": "0"}
    a = mux(tmp_path / "a.mp3", "mp3", "libmp3lame", first, sample_rate=44_100, container_options=options)
    b = mux(tmp_path / "b.mp3", "mp3", "libmp3lame", second, sample_rate=22_050, container_options=options)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(a.read_bytes() + b.read_bytes())
    heard, info = read_native(joined)
    assert info.sample_rate == 44_100
    assert info.duration == pytest.approx(4.0, abs=0.2)
    again = Resampler(22_050, 44_100)
    later = np.concatenate([again.push(np.ascontiguousarray(second[:, 0])), again.finish()])
    best = np.correlate(heard[88_200:], later[20_000:30_000], "valid").max()
    assert best > 0.9 * np.square(later[20_000:30_000]).sum()


def test_tags(tmp_path: Path) -> None:
    for suffix in (".mp3", ".flac", ".ogg", ".opus", ".m4a"):
        path = tmp_path / f"a{suffix}"
        write_audio(
            path, sound(0.5, 48_000), 48_000, tags={"title": "Chouette à l'aube", "artist": "x" * 5_000}
        )
        _, info = read_native(path)
        assert info.tags["title"] == "Chouette à l'aube"
        assert info.tags["artist"] == "x" * 1_000


# Spans


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".wma"])
def test_a_span_equals_that_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_audio(path, sound(20.0, RATE), RATE)
    whole, _ = read_audio(path, 16_000)
    for start, end in ((0.0, 1.0), (0.333, 2.0), (4.0, 4.5), (9.1234, 11.0), (12.5, None), (19.5, 99.0)):
        samples, info = read_audio(path, 16_000, start=start, end=end)
        wanted = whole[round(start * 16_000) : None if end is None else round(end * 16_000)]
        assert samples.shape == wanted.shape
        # AAC has bands of noise that a decoder makes up, from where it began.
        np.testing.assert_allclose(samples, wanted, atol=2e-2 if suffix == ".m4a" else 1e-5)
        assert likeness(samples, wanted) > 0.9999
        assert info.duration == pytest.approx(len(wanted) / 16_000)
        assert info.lost == ""


@pytest.mark.parametrize("quality", [None, 4], ids=["constant", "variable"])
@pytest.mark.parametrize("xing", ["0", "1"])
def test_a_span_of_any_mp3(tmp_path: Path, quality: int | None, xing: str) -> None:
    path = tmp_path / "a.mp3"
    options = {"write_xing": xing}
    samples = sound(20.0, RATE)
    mux(path, "mp3", "libmp3lame", samples, sample_rate=RATE, quality=quality, container_options=options)
    whole, _ = read_audio(path, 16_000)
    span, _ = read_audio(path, 16_000, start=15.2)
    np.testing.assert_allclose(span, whole[round(15.2 * 16_000) :], atol=1e-5)


def test_of_a_single_sample_only_a_part_behind_its_begin_is_refused(tmp_path: Path) -> None:
    write_audio(tmp_path / "one.flac", np.ones((1, 1), np.float32), RATE)
    samples, info = read_audio(tmp_path / "one.flac", 8_000, end=5)  # of which nothing is left at this rate
    assert (len(samples), info.duration) == (0, 0)
    with pytest.raises(UsageError, match=r"one\.flac ends before 1 s"):
        read_audio(tmp_path / "one.flac", 8_000, start=1)


def test_a_span_of_matroska_is_on_time_within_a_millisecond(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    samples = sound(20.0, 48_000)
    write_audio(path, samples, 48_000)
    span, _ = read_audio(path, 48_000, start=15.0, end=17.0)
    assert abs(lag(span, samples[15 * 48_000 : 17 * 48_000, 0])) <= 48


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".opus", ".m4a"])
def test_a_late_span_is_not_reached_by_decoding_all(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_audio(path, np.tile(sound(20.0, 16_000), (5, 1)), 16_000)
    decoded = 0
    mono = frames.mix_down

    def counting(frame: av.AudioFrame) -> Float32:
        nonlocal decoded
        decoded += frame.samples
        return mono(frame)

    monkeypatch.setattr(frames, "mix_down", counting)
    samples, info = read_audio(path, 16_000, start=90.0, end=92.0)
    assert len(samples) == 32_000
    assert decoded < 12 * info.sample_rate


def test_spans_that_make_no_sense(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.flac", seconds=2.0)
    for start, end in ((-1.0, None), (1.0, 1.0), (2.0, 1.0), (2.5, None), (100.0, 101.0)):
        with pytest.raises(UsageError, match=r"s"):
            read_audio(path, 16_000, start=start, end=end)


# Streaming


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    write_audio(path, np.tile(sound(10.0, 16_000), (60, 1)), 16_000)  # ten minutes: 38 MB as float32
    tracemalloc.start()
    try:
        with open_audio(path) as stream:
            n = sum(len(block) for block in stream)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 10 * 60 * 16_000
    assert peak < 4e6


def test_info_is_known_at_the_end_and_blocks_are_read_once(make_clip: Callable[..., Path]) -> None:
    with open_audio(make_clip("a.wav")) as stream:
        with pytest.raises(RuntimeError, match="once all of its blocks"):
            _ = stream.info
        list(stream)
        assert stream.info.duration == 1.0
        with pytest.raises(RuntimeError, match="can be read once"):
            list(stream)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5_000), max_size=12), st.sampled_from([8_000, 16_000, 44_100, 48_000]))
def test_resampling_does_not_depend_on_the_blocks(cuts: list[int], rate_in: int) -> None:
    samples = sound(1.0, rate_in)[:, 0]
    resampler = Resampler(rate_in, 16_000)
    parts = [resampler.push(part) for part in np.split(samples, sorted({min(c, len(samples)) for c in cuts}))]
    whole = Resampler(rate_in, 16_000)
    wanted = np.concatenate([whole.push(samples), whole.finish()])
    np.testing.assert_allclose(np.concatenate([*parts, resampler.finish()]), wanted, atol=1e-6)
    assert len(wanted) == 16_000


def test_resampling_removes_what_would_alias() -> None:
    time = np.arange(48_000) / 48_000
    resampler = Resampler(48_000, 16_000)
    above = np.sin(2 * np.pi * 9_500 * time).astype(np.float32)
    kept = np.concatenate([resampler.push(above), resampler.finish()])
    assert np.abs(kept[1_000:-1_000]).max() < 1e-5  # -100 dB


# Damage


@pytest.mark.parametrize("name", EXPECTED)
def test_hostile_files(hostile_files: dict[str, Path], name: str) -> None:
    path = hostile_files[name]
    if EXPECTED[name] == "failed":
        with pytest.raises(AudioError) as caught:
            read_audio(path, 16_000)
        message = str(caught.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        return
    samples, info = read_audio(path, 16_000)
    assert np.isfinite(samples).all()
    assert len(samples) == pytest.approx(info.duration * 16_000, abs=1)
    assert level(samples) > 0.01
    assert bool(info.lost) == (EXPECTED[name] == "partial")


@pytest.mark.parametrize("name", ["truncated_wav", "truncated_mp3", "truncated_flac"])
def test_what_is_cut_off_is_measured(hostile_files: dict[str, Path], name: str) -> None:
    _, info = read_audio(hostile_files[name], 16_000)
    said = re.fullmatch(r"the last (\d+\.\d) s of 6\.0 s could not be decoded", info.lost)
    assert said
    assert float(said[1]) == pytest.approx(SECONDS - info.duration, abs=0.06)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus"])
def test_what_follows_damage_keeps_its_time(hostile_files: dict[str, Path], suffix: str) -> None:
    heard, info = read_audio(hostile_files[f"corrupt_{suffix}"], RATE)
    played = sound(SECONDS, RATE)[:, 0]
    assert re.fullmatch(r"\d\.\d\d s within could not be decoded and are silent", info.lost)
    assert lag(heard[: 2 * RATE], played[: 2 * RATE]) == 0
    assert lag(heard[4 * RATE : 6 * RATE], played[4 * RATE :]) == 0


def test_what_follows_a_damaged_beginning_keeps_its_time(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.flac", seconds=SECONDS, sample_rate=RATE)
    data = path.read_bytes()
    first_frame = data.index(b"\xff\xf8")
    path.write_bytes(flip(data, first_frame / len(data), 0.3))
    heard, info = read_native(path)
    played = sound(SECONDS, RATE)[:, 0]
    assert "within could not be decoded" in info.lost
    assert lag(heard[4 * RATE :], played[4 * RATE :]) == 0
    assert info.duration == pytest.approx(SECONDS, abs=0.001)


def test_ffmpeg_and_its_errors_stay_quiet(hostile_files: dict[str, Path]) -> None:
    program = """
import sys
from echoic.audio.decode import read_audio
from echoic.errors import AudioError
for path in sys.argv[1:]:
    try:
        read_audio(path, 16000)
    except AudioError:
        pass
"""
    names = [str(hostile_files[name]) for name in EXPECTED if name.startswith(("corrupt", "trunc", "text"))]
    run = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, check=True)
    assert (run.stdout, run.stderr) == (b"", b"")


def test_sizes_in_headers_are_not_believed(hostile_files: dict[str, Path]) -> None:
    program = """
import resource, sys
from echoic.audio.decode import read_audio
from echoic.errors import NotAudioError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_audio(sys.argv[1], 16000)
except NotAudioError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", program, str(hostile_files["absurd_memory"])]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(run.stdout) < 300_000  # KiB on Linux; the header asks for 1.5 GiB


class FailingDisk:
    """A file whose disk fails after so many bytes."""

    def __init__(self, path: Path, n_sound: int) -> None:
        self._file = path.open("rb")
        self._n_sound = n_sound

    def read(self, size: int) -> bytes:
        if self._file.tell() + size > self._n_sound:
            raise OSError(errno.EIO, "Input/output error")
        return self._file.read(size)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_failing_disk(make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip("a.flac", seconds=30.0)
    monkeypatch.setattr(source, "_open_regular", lambda path: FailingDisk(Path(path), 0))
    with pytest.raises(UnreadableError, match=r"cannot be read \(Input/output error\); check the disk"):
        open_audio(path)
    monkeypatch.setattr(source, "_open_regular", lambda path: FailingDisk(Path(path), 400_000))
    heard, info = read_native(path)
    assert "the disk failed while it was read (Input/output error)" in info.lost
    assert 1.0 < len(heard) / 16_000 < 29.0


def test_errors_tell_what_might_work_another_time(hostile_files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("dangling_link", "link_loop", "fifo", "socket", "directory", "unreadable"):
        with pytest.raises(UnreadableError):
            open_audio(hostile_files[name])
    with pytest.raises(UnreadableError, match="does not exist"):
        open_audio(tmp_path / "nothing.wav")
    with pytest.raises(UnreadableError, match="cannot be opened"):
        open_audio("nul\0byte.wav")
    with pytest.raises(NotAudioError, match="it is empty"):
        open_audio(hostile_files["empty"])
    with pytest.raises(NotAudioError, match="in a format that is not read"):
        open_audio(hostile_files["picture"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u", "#EXTM3U\n#EXTINF:3,A song\nsong.mp3\n"),
        ("a.m3u", "song.mp3\r\nother.flac\r\n"),
        ("a.m3u8", "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:6\n0.ts\n"),
        ("a.pls", "[playlist]\nFile1=song.mp3\n"),
        ("a.xspf", '<?xml version="1.0"?>\n<playlist version="1" xmlns="http://xspf.org/ns/0/"/>'),
        ("a.asx", '<asx version="3.0"><entry><ref href="song.mp3"/></entry></asx>'),
        (
            "a.cue",
            'REM GENRE x\nPERFORMER "z"\nFILE "song.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        ),
        ("called.mp3", "#EXTM3U\nsong.mp3\n"),
        ("called.wav", 'FILE "song.wav" WAVE\n  TRACK 01 AUDIO\n'),
        ("called.ogg", "ffconcat version 1.0\nfile song.wav\n"),
    ],
)
def test_a_playlist_is_told_as_one(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    with pytest.raises(NotAudioError, match="it is a playlist or CUE sheet; give the files that it names"):
        open_audio(path)


def test_what_is_no_playlist_is_not_told_as_one(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    sound = make_clip("a.wav", seconds=1.0)
    assert read_audio(sound.rename(sound.with_suffix(".m3u")), 16_000)[1].duration == pytest.approx(1.0)
    for name, data in (("a.mp3", b"File under jazz; title unknown. " * 40), ("b.pls", bytes(5_000))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(NotAudioError) as caught:
            open_audio(tmp_path / name)
        assert "it is a playlist" not in str(caught.value)


@pytest.mark.parametrize("n_channels", [65, 128, 255, 512])
def test_many_channels(tmp_path: Path, n_channels: int) -> None:
    one = (np.sin(np.arange(4_000) * 0.2) * 9_000).astype("<i2")
    samples = np.repeat(one, n_channels).tobytes()
    path = tmp_path / "many.wav"
    path.write_bytes(wav_header(8_000, len(samples), n_channels=n_channels) + samples)
    heard, info = read_audio(path, 8_000)
    assert info.channels == n_channels
    np.testing.assert_allclose(heard, one / 2**15, atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "n_channels", "what"),
    [
        (8_000, 0, "has no channels by its header, or more than the 512 that are read"),
        (8_000, 513, "has no channels by its header, or more than the 512 that are read"),
        (8_000, 600, "has no channels by its header, or more than the 512 that are read"),
        (99, 1, "its sample rate, 99 Hz, is none of sound"),
        (4_000_000, 1, "its sample rate, 4000000 Hz, is none of sound"),
    ],
)
def test_headers_beyond_what_is_read_are_told(tmp_path: Path, rate: int, n_channels: int, what: str) -> None:
    samples = bytes(2 * 1_200 * max(1, n_channels))
    path = tmp_path / "odd.wav"
    path.write_bytes(wav_header(rate, len(samples), n_channels=n_channels) + samples)
    with pytest.raises(NotAudioError, match=what):
        open_audio(path)


def test_names_that_do_not_print_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.wav")
    path.write_bytes(b"")
    with pytest.raises(NotAudioError) as caught:
        open_audio(path)
    assert r"caf\udce9\n.wav" in str(caught.value)
    str(caught.value).encode("utf-8")


def test_bytes_as_a_path(make_clip: Callable[..., Path]) -> None:
    assert read_audio(os.fsencode(make_clip("a.wav")), 16_000)[1].duration == 1.0


def test_a_relative_name_that_looks_like_a_protocol(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_clip("a.wav").read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in (
        "file:x.wav",
        "concat:a.wav|b.wav",
        "pipe:0",
        "-",
        "-i.wav",
        "%03d.wav",
        "subfile,,start,0:x.wav",
    ):
        Path(name).write_bytes(data)
        assert read_audio(name, 16_000)[1].duration == 1.0


@pytest.mark.parametrize("suffix", [".m3u8", ".mp3", ".ffconcat", ".sdp", ".mpd", ".txt"])
def test_playlists_do_not_open_other_files(
    make_clip: Callable[..., Path], tmp_path: Path, suffix: str
) -> None:
    secret = make_clip("secret.wav")
    playlists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
        f"ffconcat version 1.0\nfile file:{secret}\n",
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{secret}</BaseURL></MPD>',
    )
    for text in playlists:
        path = tmp_path / f"list{suffix}"
        path.write_text(text)
        with pytest.raises(NotAudioError):
            open_audio(path)


# Fuzzing

_FUZZED = (".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm", ".wma")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    whole = []
    for suffix in _FUZZED:
        path = folder / f"a{suffix}"
        write_audio(path, sound(0.6, 16_000, 2), 16_000, bit_rate=48_000, tags={"title": "t"})
        whole.append(path.read_bytes())
    for container, codec in (("mp4", "aac"), ("mov", "pcm_s16be"), ("matroska", "ac3"), ("caf", "pcm_s16le")):
        video = "mpeg4" if container != "caf" else ""
        path = folder / f"b.{container}"
        mux(path, container, codec, sound(0.6, 44_100, 2), sample_rate=44_100, video=video)
        whole.append(path.read_bytes())
    return whole


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, float, int]]:
    kinds = st.sampled_from(["flip", "flip", "overwrite", "cut", "drop", "repeat", "splice", "header"])
    places = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(kinds, places, places, st.integers(0, 2**32 - 1)), min_size=1, max_size=6))


def mutate(seeds: list[bytes], which: int, steps: list[tuple[str, float, float, int]]) -> bytes:
    data = bytearray(seeds[which])
    for kind, a, b, value in steps:
        start, length = int(a * len(data)), 1 + int(b * b * len(data) / 4)
        if kind == "flip" and data:
            data[start] ^= 1 << value % 8
        elif kind == "overwrite":
            data[start : start + 4] = value.to_bytes(4, "little")
        elif kind == "header":  # the first bytes decide on more than the rest
            at = int(a * min(len(data), 200))
            data[at : at + 1 + value % 4] = value.to_bytes(4, "big")[: 1 + value % 4]
        elif kind == "cut":
            del data[start + length :]
        elif kind == "drop":
            del data[start : start + length]
        elif kind == "repeat":
            data[start:start] = data[start : start + length]
        elif kind == "splice":
            other = seeds[value % len(seeds)]
            at = int(b * len(other))
            data[start : start + length] = other[at : at + length]
    return bytes(data)


@settings(max_examples=800, derandomize=True)
@given(
    which=st.integers(0, len(_FUZZED) + 3), steps=mutations(), suffix=st.sampled_from((*_FUZZED, ".mp4", ""))
)
def test_mutated_files_give_finite_sound_or_one_clear_error(
    seeds: list[bytes],
    tmp_path_factory: pytest.TempPathFactory,
    which: int,
    steps: list[tuple[str, float, float, int]],
    suffix: str,
) -> None:
    data = mutate(seeds, which, steps)
    path = tmp_path_factory.getbasetemp() / f"mutated{suffix}"
    path.write_bytes(data)
    try:
        with open_audio(path) as stream:
            n = 0
            for block in stream:
                assert block.dtype == np.float32
                assert np.isfinite(block).all()
                n += len(block)
                # No codec here makes more than 5760 samples of a byte; silence in gaps is limited.
                assert n <= 6_000 * len(data) + 130 * stream.sample_rate
            assert stream.info.duration == pytest.approx(n / stream.sample_rate)
            assert n > 0
    except AudioError:
        return


@pytest.mark.parametrize("suffix", [".mp3", ".aac"])
def test_what_is_hardly_sound_at_all_is_refused_and_what_is_damaged_is_not(tmp_path, suffix):
    """A few bits look like the begin of a frame, so that ffmpeg finds sound in programs."""
    clip = tmp_path / f"clip{suffix}"
    if suffix == ".aac":
        mux(clip, "adts", "aac", sound(1, 44_100), sample_rate=44_100)
    else:
        write_audio(clip, sound(1, 44_100), 44_100)
    data = clip.read_bytes()

    def within(n_bytes, *, before=b""):
        clip.write_bytes(before + data + bytes(n_bytes - len(data)))
        return read_audio(clip, 16_000)

    assert within(len(data))[1].lost == ""
    assert len(within(4 * len(data))[0]) > 15_000
    with pytest.raises(NotAudioError, match="could be taken for"):
        within(40 * len(data))
    size = 40 * len(data)
    tag = b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(size)
    assert len(within(len(data), before=tag)[0]) > 15_000  # a picture is no damage


# Frames that are dealt with together


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".m4a", ".webm"])
def test_gathered_frames_are_the_same_sound_at_the_same_times(clips: dict[str, Path], suffix: str) -> None:
    sounds = []
    for gather in (0.0, 0.5):
        with (
            closing(source.Source(clips[suffix])) as opened,
            closing(frames.Frames(opened, "it", gather=gather)) as decoded,
        ):
            pieces = list(decoded.pieces())
        begin = pieces[0].time or 0.0
        at = np.cumsum([0, *(len(piece.samples) for piece in pieces)]) / pieces[0].sample_rate
        for piece, due in zip(pieces, at, strict=False):
            assert piece.time is None or piece.time - begin == pytest.approx(due, abs=2e-3)
        sounds.append(np.concatenate([piece.samples for piece in pieces]))
    assert len(pieces) <= 8
    np.testing.assert_array_equal(*sounds)


def test_no_more_is_decoded_than_may_be(tmp_path):
    write_audio(tmp_path / "two.wav", np.full(2 * RATE, 0.1, np.float32), RATE)
    refusal = UsageError("too long")
    for part in ({}, {"end": 0.5}, {"start": 1.5}):
        with at_most(2.0, refusal):
            assert len(read_audio(tmp_path / "two.wav", RATE, **part)[0])
    for part in ({}, {"start": 1.5}, {"end": 2.0}):
        with pytest.raises(UsageError, match="too long"), at_most(1.0, refusal):
            read_audio(tmp_path / "two.wav", RATE, **part)
    assert len(read_audio(tmp_path / "two.wav", RATE)[0]) == 2 * RATE
