"""Writing sound files: what is written is what is read."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from echoic.audio.decode import open_audio, read_audio
from echoic.audio.encode import _FORMATS, write_audio, write_blocks
from echoic.errors import UsageError
from tests.conftest import CLIP_RATE, CLIP_SECONDS, CLIP_SUFFIXES
from tests.media import sound


def test_a_wav_of_floats_is_exact(tmp_path: Path) -> None:
    samples = (3 * sound(1.0, 16_000))[:, 0]
    write_audio(tmp_path / "a.wav", samples, 16_000, codec="pcm_f32le")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", 16_000)[0], samples)


@pytest.mark.parametrize("suffix", CLIP_SUFFIXES)
def test_the_same_sound_is_the_same_file(tmp_path: Path, clips: dict[str, Path], suffix: str) -> None:
    again = tmp_path / f"again{suffix}"
    write_audio(again, sound(CLIP_SECONDS, CLIP_RATE, 2), CLIP_RATE)
    assert again.read_bytes() == clips[suffix].read_bytes()


def test_16_bits_round_and_clip(tmp_path: Path) -> None:
    samples = np.array([0, 0.5, -0.5, 1.5, -1.5], np.float32)
    write_audio(tmp_path / "a.flac", samples, 16_000)
    heard, _ = read_audio(tmp_path / "a.flac", 16_000)
    np.testing.assert_allclose(heard, [0, 0.5, -0.5, 1, -1], atol=2**-14)


@pytest.mark.parametrize(
    ("suffix", "wanted", "stored"),
    [(".opus", 44_100, 48_000), (".mp3", 96_000, 48_000), (".m4a", 7_000, 8_000)],
)
def test_rates_that_a_codec_does_not_take(tmp_path: Path, suffix: str, wanted: int, stored: int) -> None:
    path = tmp_path / f"a{suffix}"
    write_audio(path, sound(1.0, wanted), wanted)
    with open_audio(path) as stream:
        n = sum(map(len, stream))
        assert stream.sample_rate == stored
    assert n / stored == pytest.approx(1.0, abs=0.05)


def test_the_bit_rate_is_kept(tmp_path: Path) -> None:
    write_audio(tmp_path / "low.mp3", sound(5.0, 44_100), 44_100, bit_rate=32_000)
    write_audio(tmp_path / "high.mp3", sound(5.0, 44_100), 44_100, bit_rate=192_000)
    low, high = ((tmp_path / name).stat().st_size * 8 / 5 for name in ("low.mp3", "high.mp3"))
    assert low == pytest.approx(32_000, rel=0.1)
    assert high == pytest.approx(192_000, rel=0.1)


def test_names_that_ffmpeg_would_read_in_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe:1.wav", "a%03d.flac", "-y.mp3"):
        write_audio(name, sound(0.2, 16_000), 16_000)
        assert Path(name).stat().st_size > 500


def test_what_cannot_be_written(tmp_path: Path) -> None:
    samples = sound(0.1, 16_000)
    with pytest.raises(UsageError, match=r"no suffix that can be written; use one of \.wav"):
        write_audio(tmp_path / "a.txt", samples, 16_000)
    with pytest.raises(UsageError, match="at most 2 channels"):
        write_audio(tmp_path / "a.mp3", sound(0.1, 16_000, 6), 16_000)
    with pytest.raises(UsageError, match="cannot be written as nonsense"):
        write_audio(tmp_path / "a.wav", samples, 16_000, codec="nonsense")
    for shape in ((0,), (0, 2), (5, 9), (5, 0), (2, 2, 2)):
        with pytest.raises(UsageError, match="cannot be written"):
            write_audio(tmp_path / "a.wav", np.zeros(shape, np.float32), 16_000)
    with pytest.raises(UsageError, match="at most 8 channels, not 9; mix them down"):
        write_blocks(tmp_path / "b.wav", [np.zeros((5, 9), np.float32)], 16_000, 9)
    assert not (tmp_path / "a.txt").exists()
    assert not (tmp_path / "b.wav").exists()


@pytest.mark.parametrize("suffix", list(_FORMATS))
def test_a_full_disk_is_one_error_and_what_was_there_stays(suffix, tmp_path, capfd):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")
    noise = np.random.default_rng(0).uniform(-1, 1, (480_000, 2)).astype(np.float32)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))  # of a file: fails as a full disk does
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_audio(path, noise, 48_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(path)
    assert capfd.readouterr().err == ""
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == [(path.name, b"before")]
