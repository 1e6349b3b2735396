"""A part of a file, encoded as it plays and as it sounds at its own speed."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece
from echoic.embedding import embed_part
from echoic.encoders.registry import load_encoder

RATE = 16_000


@pytest.mark.parametrize("speed", [0.95, 1.0, 1.06])
def test_a_part_brought_back_to_its_speed(tmp_path, speed):
    encoder = load_encoder("fingerprint")
    piece = make_piece(PIECES[0], sample_rate=RATE).mean(axis=1)[: 12 * RATE]
    write_audio(tmp_path / "plain.wav", piece, RATE)
    write_audio(tmp_path / "other.wav", soxr.resample(piece, speed * RATE, RATE), RATE)
    plain = embed_part(tmp_path / "plain.wav", encoder, 2.0, 10.0, hop=0.256)
    start, end = 2.0 / speed, 10.0 / speed
    back = embed_part(tmp_path / "other.wav", encoder, start, end, hop=0.256, speed=speed)
    n = min(len(plain), len(back)) - 1  # the last window is aligned to the end
    assert n > 20
    np.testing.assert_allclose(speed * back.starts[:n], plain.starts[:n], atol=1e-9)
    np.testing.assert_allclose(speed * (back.ends - back.starts), encoder.spec.window, atol=1e-9)
    cosines = (plain.vectors[:n] * back.vectors[:n]).sum(axis=1)
    assert cosines.mean() > 0.97
