"""Parts of files, encoded as they play and as they sound at their own speed, and densely."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from echoic.analysis.excerpts import Excerpt, embed_densely
from echoic.analysis.parts import Parts
from echoic.analysis.pipeline import _Rates, embed_file, embed_samples
from echoic.audio.decode import Resampler, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece
from echoic.audio.windows import cut
from echoic.encoders.base import encode_windows
from echoic.encoders.registry import load_encoder
from echoic.types import Segments
from tests.doubles import echoic_doubles as doubles

RATE = 16_000


@pytest.mark.parametrize("speed", [0.95, 1.0, 1.06])
def test_a_part_brought_back_to_its_speed(tmp_path, speed):
    encoder = load_encoder("fingerprint")
    piece = make_piece(PIECES[0], sample_rate=RATE).mean(axis=1)[: 12 * RATE]
    write_audio(tmp_path / "plain.wav", piece, RATE)
    write_audio(tmp_path / "other.wav", soxr.resample(piece, speed * RATE, RATE), RATE)
    plain = Excerpt.read(tmp_path / "plain.wav", 2.0, 10.0).at_speed(encoder, 1.0, 0.256)
    start, end = 2.0 / speed, 10.0 / speed
    back = Excerpt.read(tmp_path / "other.wav", start, end).at_speed(encoder, speed, 0.256)
    n = min(len(plain), len(back)) - 1  # the last window is aligned to the end
    assert n > 20
    np.testing.assert_allclose(speed * back.starts[:n], plain.starts[:n], atol=1e-9)
    np.testing.assert_allclose(speed * (back.ends - back.starts), encoder.spec.window, atol=1e-9)
    cosines = (plain.vectors[:n] * back.vectors[:n]).sum(axis=1)
    assert cosines.mean() > 0.97


@pytest.mark.parametrize("rate_in", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_rate_that_is_made_of_another_moves_no_time(rate_in):
    for n in (1, 1_000, 3 * rate_in, 3 * rate_in + 4_321):
        times = np.arange(n) / rate_in
        tone = (0.3 * np.sin(2 * np.pi * 440 * times) + 0.2 * np.sin(2 * np.pi * 1_234 * times)).astype(
            np.float32
        )
        rates, direct = _Rates(rate_in, [8_000, 16_000]), Resampler(rate_in, 8_000)
        parts = [rates.push(block)[8_000] for block in np.array_split(tone, 5)]
        chained = np.concatenate([*parts, rates.finish()[8_000]])
        alone = np.concatenate([direct.push(tone), direct.finish()])
        assert abs(len(chained) - len(alone)) <= 1
        middle = slice(200, min(len(chained), len(alone)) - 200)
        np.testing.assert_allclose(chained[middle], alone[middle], atol=1e-4)


def test_a_file_gives_the_vectors_of_its_windows_alone(tmp_path):
    stereo = make_piece(PIECES[0], sample_rate=44_100)[: 21 * 44_100]
    write_audio(tmp_path / "piece.wav", stereo, 44_100)
    encoders = {name: load_encoder(name) for name in ("sound", "fingerprint", "harmony", "spectral")}
    _, found = embed_file(tmp_path / "piece.wav", encoders)
    for name, encoder in encoders.items():
        spec = encoder.spec
        samples, _ = read_audio(tmp_path / "piece.wav", spec.sample_rate)
        windows = cut(samples, spec.window_samples, spec.hop_samples, spec.sample_rate)
        np.testing.assert_allclose(found[name].starts, windows.starts, atol=1.01 / spec.sample_rate)
        alone = np.concatenate([encode_windows(encoder, window[None]) for window in windows.samples])
        cosines = (found[name].vectors * alone).sum(axis=1)
        assert cosines.min() > (1 - 1e-5 if spec.sample_rate == 16_000 else 1 - 1e-3), name


@pytest.mark.parametrize(("part", "told"), [((2.0, 5.5), 3.5), ((None, None), 12.0), ((1.0, None), 11.0)])
def test_how_densely_windows_are_cut_may_depend_on_the_length(tmp_path, part, told):
    encoder = load_encoder("fingerprint")
    piece = make_piece(PIECES[0], sample_rate=RATE).mean(axis=1)[: 12 * RATE]
    write_audio(tmp_path / "piece.wav", piece, RATE)
    lengths = []

    def hop_of(seconds: float) -> float:
        lengths.append(seconds)
        return 0.256

    start, end = part
    found = list(embed_densely(tmp_path / "piece.wav", encoder, hop_of, start=start, end=end))
    assert lengths == [pytest.approx(told, abs=0.01)]
    same = Excerpt.read(tmp_path / "piece.wav", start or 0.0, end or 12.0).at_speed(encoder, 1.0, 0.256)
    np.testing.assert_allclose(np.concatenate([one.starts for one in found]), same.starts, atol=1e-9)
    cosines = (np.concatenate([one.vectors for one in found]) * same.vectors).sum(axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


def test_of_long_sound_no_more_is_kept_than_tells_that_it_is(tmp_path):
    encoder = load_encoder("fingerprint")
    piece = np.tile(make_piece(PIECES[0], sample_rate=RATE).mean(axis=1), 3)[: 40 * RATE]
    write_audio(tmp_path / "piece.wav", piece, RATE)
    lengths = []
    found = embed_densely(tmp_path / "piece.wav", encoder, lambda seconds: lengths.append(seconds) or 0.256)
    assert sum(len(one) for one in found) > 140
    assert len(lengths) == 1
    assert 15 <= lengths[0] < 25


def test_sound_at_hand_is_encoded_as_a_file_is(tmp_path):
    piece = make_piece(PIECES[0], sample_rate=RATE).mean(axis=1)[: 12 * RATE]
    write_audio(tmp_path / "piece.wav", piece, RATE)
    encoders = {name: load_encoder(name) for name in ("sound", "harmony")}
    of_blocks = embed_samples(np.array_split(piece, 7), RATE, encoders)
    _, of_file = embed_file(tmp_path / "piece.wav", encoders)
    for name, encoder in encoders.items():
        np.testing.assert_allclose(of_blocks[name].starts, of_file[name].starts)
        # By numbers of 8 bits, what a file's 16 change of a sample may come to a step.
        np.testing.assert_allclose(of_blocks[name].vectors, of_file[name].vectors, atol=0.02)
        silent = embed_samples([np.zeros(RATE, np.float32)], RATE, {name: encoder})[name]
        assert silent.vectors.shape == (0, encoder.spec.dim)


@pytest.mark.parametrize("seconds", [3, 61.3])
def test_what_is_handed_on_is_what_would_be_returned(tmp_path, seconds):
    played = np.random.default_rng(0).choice(list("abcdef   "), round(seconds / 0.16))
    write_audio(tmp_path / "tune.wav", doubles.Tunes.play("".join(played)), doubles.RATE)
    encoders = {"tunes": doubles.Tunes(), "spectral": load_encoder("spectral")}
    _, due = embed_file(tmp_path / "tune.wav", encoders)
    handed: list[tuple[str, Segments]] = []
    _, last = embed_file(tmp_path / "tune.wav", encoders, hand_on=lambda *part: handed.append(part))
    assert {name for name, _ in handed} <= {"tunes"}
    parts = [*(one for _, one in handed), last["tunes"]]
    for column in ("starts", "ends", "vectors"):
        joined = np.concatenate([getattr(one, column) for one in parts])
        np.testing.assert_array_equal(joined, getattr(due["tunes"], column))
    assert max(map(len, parts)) <= 8 * 50  # the windows that are encoded at once
    np.testing.assert_array_equal(last["spectral"].vectors, due["spectral"].vectors)


def test_parts_lie_in_a_scratch_file_until_they_are_asked_for():
    parts, rng = Parts(), np.random.default_rng(0)
    given = [
        Segments(np.arange(n) / 5, np.arange(n) / 5 + 0.2, rng.random((n, 3), np.float32)) for n in (4, 0, 7)
    ]
    for one in given:
        parts.add(one)
    for _ in range(2):
        assert len(parts) == 11
        for one, other in zip(given, parts, strict=True):
            np.testing.assert_array_equal(one.vectors, other.vectors)
            np.testing.assert_array_equal(one.ends, other.ends)
