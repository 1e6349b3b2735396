"""What of two recordings is enough to say that they share it."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.recordings.timing.clocks import Line, Piece
from echoic.recordings.timing.synchronisation import is_enough


@pytest.mark.parametrize(
    ("start", "end", "offset", "enough"),
    [
        (98, 109, -57.4, False),  # a piece beside its own reverse, of 150 s
        (17, 44, -105, False),  # less than two thirds of the 45 s beside each other
        (107, 150, -105, True),
        (28, 59, 10, True),
        (0, 4, 147, False),  # all that lies beside each other
        (0, 10, 139, False),
    ],
)
def test_fingerprints_alone_must_tell_most_of_what_lies_beside_each_other(
    start: float, end: float, offset: float, enough: bool
) -> None:
    piece = Piece(Line(offset, 1.0), start, end, 0.25)
    assert is_enough(piece, False, 150, 150) is enough
    assert is_enough(piece, True, 150, 150) is (end - start >= 3)
    assert is_enough(piece, False, 150, 2 * (end - start))  # most of a short recording


def test_a_tone_that_two_pieces_have_is_not_enough_though_its_waveforms_agree() -> None:
    spots = np.linspace(32, 33, 6)
    tone = Piece(Line(-10.6, 1.0), 32.4, 34.2, 0.001, spots, spots - 10.6)
    assert not is_enough(tone, True, 56, 56)
    assert is_enough(tone, True, 56, 3)
