"""Which channel is heard of sound that comes once."""

import numpy as np

from echoic.audio.choice import Following

RATE = 8_000


def frames(seconds: float, opposite: bool) -> list[np.ndarray]:
    one = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    both = np.stack([one, -one if opposite else one], axis=1)
    return np.split(both, range(RATE // 50, len(both), RATE // 50))


def test_a_moment_of_opposite_phase_is_mixed_whenever_it_comes() -> None:
    for seconds in np.arange(2.9, 3.1, 0.02):  # what was listened to is forgotten after a while
        following = Following()
        for part in (*frames(seconds, opposite=False), *frames(0.02, opposite=True)):
            assert following.push(part, RATE) is None


def test_channels_that_go_on_to_cancel_each_other_leave_one() -> None:
    following = Following()
    told = [following.push(part, RATE) for part in (*frames(2, opposite=False), *frames(8, opposite=True))]
    assert told[:100] == [None] * 100
    assert told[-150:] == [0] * 150
