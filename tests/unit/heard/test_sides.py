"""Whether the two channels of a file are two sides of a call."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.audio.encode import write_audio
from echoic.heard.sides import has_sides

RATE = 8_000


def turns(first, seconds=8):
    """Somebody who makes noise every other second, over a faint line."""
    rng = np.random.default_rng(first)
    sound = rng.normal(0, 1e-3, seconds * RATE)
    for second in range(first, seconds, 2):
        sound[second * RATE : (second + 1) * RATE] += rng.normal(0, 0.2, RATE)
    return sound


@pytest.mark.parametrize(
    ("left", "right", "is_call"),
    [
        (turns(0), turns(1), True),
        (turns(0), turns(1) * 0.05, True),  # 26 dB below
        (turns(0), turns(0), False),
        (turns(0), np.roll(turns(0), 40), False),  # another microphone in the room
        (turns(0), turns(1) * 0.05 + turns(0), False),
        (turns(0), np.zeros(8 * RATE), False),
    ],
)
def test_sides_are_told_from_one_room(tmp_path, left, right, is_call):
    write_audio(tmp_path / "a.wav", np.stack([left, right], axis=1).astype(np.float32), RATE)
    assert has_sides(tmp_path / "a.wav") is is_call


def test_one_channel_has_no_sides(tmp_path):
    write_audio(tmp_path / "a.wav", turns(0).astype(np.float32), RATE)
    assert not has_sides(tmp_path / "a.wav")
