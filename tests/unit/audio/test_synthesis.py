"""Synthetic sounds: the same every time, fit to be written, and as different as their families."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import soxr

from echoic.audio.spectrogram import LogMel
from echoic.audio.synthesis import (
    ARRANGEMENTS,
    FAMILIES,
    PIECES,
    demo,
    long_recording,
    make_piece,
    make_sound,
    make_version,
    noise,
    talk,
    tone,
    write_demo,
)
from echoic.errors import UsageError

_RATE = 16_000
_TAKES = 5


@pytest.fixture(scope="module")
def sounds():
    return {(f, t): make_sound(f, t, sample_rate=_RATE) for f in FAMILIES for t in range(_TAKES)}


@pytest.fixture(scope="module")
def pieces():
    return {name: make_piece(name, sample_rate=_RATE) for name in PIECES}


def _summary(samples):
    mel = LogMel(_RATE, 1024, 320, 64, 50, 8_000)(samples[None])[0]
    return np.concatenate([mel.mean(axis=0), mel.std(axis=0)])


def test_ten_families():
    assert len(FAMILIES) == len(set(FAMILIES)) == 10


@pytest.mark.parametrize("family", FAMILIES)
def test_sounds_are_fit_to_be_written(sounds, family):
    for take in range(_TAKES):
        samples = sounds[family, take]
        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert samples.flags.c_contiguous
        assert 0.4 <= len(samples) / _RATE <= 6.0
        assert np.isfinite(samples).all()
        assert 0.35 < np.abs(samples).max() <= 0.9 + 1e-6
        assert abs(samples.mean(dtype=np.float64)) < 1e-5
        assert abs(samples[0]) < 1e-3
        assert abs(samples[-1]) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_depends_on_its_arguments_only(sounds, family):
    make_sound("wind", 7, sample_rate=8_000)
    np.random.default_rng().normal()
    assert np.array_equal(make_sound(family, 3, sample_rate=_RATE), sounds[family, 3])
    assert not np.array_equal(make_sound(family, 3, sample_rate=_RATE, seed=1), sounds[family, 3])


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_are_not_copies(sounds, family):
    # Whatever their length and level: no take is another one shifted or scaled.
    for first in range(_TAKES):
        for second in range(first):
            a, b = sounds[family, first], sounds[family, second]
            size = 1 << (len(a) + len(b)).bit_length()
            overlap = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size).conj(), size)
            assert np.abs(overlap).max() / (np.linalg.norm(a) * np.linalg.norm(b)) < 0.8


def test_takes_spread_over_lengths_and_levels(sounds):
    lengths = np.array([[len(sounds[f, t]) / _RATE for t in range(_TAKES)] for f in FAMILIES])
    assert (lengths.std(axis=1) > 0.2).all()
    assert lengths.min() < 1.5
    assert lengths.max() > 4.5


def test_families_are_told_apart_by_their_spectra(sounds):
    names = [family for family, _ in sounds]
    features = np.stack([_summary(samples) for samples in sounds.values()])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -np.inf)
    found = [names[i] for i in similarity.argmax(axis=1)]
    # Chance is one in ten; five takes are few neighbours, so this asks less than ten takes reach.
    assert np.mean([a == b for a, b in zip(found, names, strict=True)]) >= 0.7
    # Yet the takes of a family vary: none is all but the same as its neighbour in every band.
    assert np.median(similarity.max(axis=1)) < 0.97


def test_the_sound_does_not_hang_on_the_sample_rate():
    low = make_sound("sirens", 2, sample_rate=_RATE)
    high = soxr.resample(make_sound("sirens", 2, sample_rate=44_100), 44_100, _RATE)
    assert len(low) == pytest.approx(len(high), abs=2)
    assert np.corrcoef(_summary(low)[:48], _summary(high)[:48])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_sound("cats", 0), "cats"),
        (lambda: make_sound("bells", -1), "-1"),
        (lambda: make_sound("bells", 0, seed=-2), "-2"),
        (lambda: make_sound("bells", 0, sample_rate=4_000), "4000"),
        (lambda: make_piece("opus-1"), "opus-1"),
        (lambda: make_piece(PIECES[0], seed=-2), "-2"),
        (lambda: make_piece(PIECES[0], sample_rate=4_000), "4000"),
        (lambda: make_version(PIECES[0], ARRANGEMENTS), str(ARRANGEMENTS)),
        (lambda: make_version("opus-1", 0), "opus-1"),
        (lambda: long_recording(0), "0"),
        (lambda: long_recording(float("nan")), "nan"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()


@pytest.mark.parametrize("name", PIECES)
def test_pieces_are_stereo_and_of_length(pieces, name):
    samples = pieces[name]
    assert samples.dtype == np.float32
    assert samples.shape[1:] == (2,)
    assert 20 <= len(samples) / _RATE <= 45
    assert np.isfinite(samples).all()
    assert 0.85 < np.abs(samples).max() <= 0.9 + 1e-6
    assert np.abs(samples.mean(axis=0, dtype=np.float64)).max() < 1e-5
    assert 0.2 < np.corrcoef(samples.T)[0, 1] < 0.99
    # It plays from the first second to the last but three.
    seconds = samples[: len(samples) // _RATE * _RATE].reshape(-1, 2 * _RATE).std(axis=1)
    assert seconds[:-3].min() > 0.01


def test_a_piece_is_the_same_every_time(pieces):
    assert np.array_equal(make_piece(PIECES[2], sample_rate=_RATE), pieces[PIECES[2]])
    other = make_piece(PIECES[2], sample_rate=_RATE, seed=1)
    assert not np.array_equal(other, pieces[PIECES[2]])


def _chroma(samples, bins):
    """Share of each pitch class in ``bins`` equal parts of a piece."""
    mono = samples.mean(axis=1)
    size = 4096
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[:: size // 2] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / _RATE)
    heard = (hertz > 180) & (hertz < 2_000)
    classes = np.round(12 * np.log2(hertz[heard] / 440)).astype(int) % 12
    chroma = np.stack([power[:, heard][:, classes == c].sum(axis=1) for c in range(12)], axis=1)
    chroma /= chroma.sum(axis=1, keepdims=True) + 1e-12
    parts = np.stack([part.mean(axis=0) for part in np.array_split(chroma, bins)])
    parts -= parts.mean(axis=0)
    return parts.ravel() / np.linalg.norm(parts)


def test_the_live_take_has_the_harmony_of_its_piece(pieces):
    # 17 bars each, at whatever tempo: bar by bar the pitch classes agree with no other piece as well.
    live = _chroma(pieces["night-drive-live"], 34)
    scores = {name: float(live @ _chroma(pieces[name], 34)) for name in PIECES if name != "night-drive-live"}
    assert max(scores, key=scores.__getitem__) == "night-drive"
    assert len(pieces["night-drive-live"]) > 1.05 * len(pieces["night-drive"])


def test_the_demo_is_laid_out_by_family_in_mixed_formats(tmp_path, monkeypatch, pieces):
    # Pieces take a second each; these are the same ones, made once for the whole file.
    monkeypatch.setattr(demo, "make_piece", lambda name, **_: pieces[name])
    seen = []
    paths = write_demo(tmp_path / "demo", takes=1, sample_rate=_RATE, on_file=seen.append)
    assert paths == seen
    assert sorted(paths) == sorted(p for p in (tmp_path / "demo").rglob("*") if p.is_file())
    assert all(path.stat().st_size > 1_000 for path in paths)
    assert {p.parent.name for p in paths} == {*FAMILIES, "pieces"}
    assert {p.suffix for p in paths} == {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"}
    assert (tmp_path / "demo" / "bells" / "bell-01.wav").is_file()
    assert {p.stem for p in paths if p.parent.name == "pieces"} == set(PIECES)


def test_tone_and_noise():
    sine = tone(1_000, 0.5, _RATE)
    assert sine.dtype == np.float32
    assert sine.shape == (8_000,)
    assert np.abs(np.fft.rfft(sine)).argmax() == 500
    assert np.abs(sine).max() == pytest.approx(0.5, abs=1e-3)
    hiss = noise(0.5, _RATE, seed=3)
    assert hiss.dtype == np.float32
    assert hiss.shape == (8_000,)
    assert np.array_equal(hiss, noise(0.5, _RATE, seed=3))
    assert not np.array_equal(hiss, noise(0.5, _RATE, seed=4))
    assert 0.49 < np.abs(hiss).max() <= 0.5


def test_long_recording_is_exact_varied_and_repeatable():
    blocks = list(long_recording(25.5, _RATE, seed=2))
    assert [len(block) for block in blocks] == [160_000, 160_000, 88_000]
    assert all(block.dtype == np.float32 for block in blocks)
    whole = np.concatenate(blocks)
    assert np.isfinite(whole).all()
    assert np.abs(whole).max() <= 0.9
    assert all(block.std() > 0.003 for block in blocks)
    longer = list(islice(long_recording(7_200, _RATE, seed=2), 3))
    assert np.array_equal(np.concatenate(longer)[: len(whole)], whole)


def test_talk_has_syllables_and_pauses():
    speech = talk(6, _RATE, seed=1)
    assert speech.dtype == np.float32
    assert speech.shape == (6 * _RATE,)
    assert np.abs(speech).max() == pytest.approx(0.7, abs=1e-3)
    assert np.array_equal(speech, talk(6, _RATE, seed=1))
    assert not np.array_equal(speech, talk(6, _RATE, seed=2))
    level = speech.reshape(-1, _RATE // 50).std(axis=1)  # each 20 ms
    silent = level < 0.02 * level.max()
    assert 0.05 < silent.mean() < 0.6
    # Syllables: the voice starts or swells some two to eight times a second.
    loud = level > 0.25 * level.max()
    assert 1 < np.count_nonzero(loud[1:] & ~loud[:-1]) / 6 < 8


@pytest.mark.parametrize("seconds", [0.1, 0.35])
def test_talk_may_be_shorter_than_a_syllable(seconds):
    assert np.abs(talk(seconds, _RATE)).max() == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("arrangement", range(ARRANGEMENTS))
def test_a_version_is_the_same_music_by_others(arrangement):
    version = make_version(PIECES[2], arrangement, sample_rate=_RATE)
    assert version.shape[1] == 2
    assert version.dtype == np.float32
    assert 10 < len(version) / _RATE < 60
    assert np.abs(version).max() == pytest.approx(0.9, abs=0.01)
    assert np.array_equal(version, make_version(PIECES[2], arrangement, sample_rate=_RATE))
    assert len(version) != len(make_piece(PIECES[2], sample_rate=_RATE))  # another tempo
