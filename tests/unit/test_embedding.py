"""Parts of files, encoded as they play and as they sound at their own speed, and densely."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece
from echoic.embedding import Excerpt, embed_densely
from echoic.encoders.registry import load_encoder

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
