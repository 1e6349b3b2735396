"""The line through what stretches say, and the delay between two waveforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.fingerprint.synchronisation import delay_between, fit_line


@settings(max_examples=30)
@given(st.floats(-500, 500), st.sampled_from([1.0, 0.96, 1.07]), st.integers(6, 40), st.integers(0, 2**16))
def test_the_line_is_found_among_stretches_that_went_wrong(
    offset: float, speed: float, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 300, n))
    places = offset + speed * times + rng.normal(0, 0.03, n)
    wrong = rng.random(n) < 0.3
    places[wrong] = rng.uniform(-800, 800, wrong.sum())
    if (~wrong).sum() < 4 or np.ptp(times[~wrong]) < 30:
        return
    found, pace, near = fit_line(times, places)
    middle = times[~wrong].mean()
    assert found + pace * middle == pytest.approx(offset + speed * middle, abs=0.15)
    assert pace == pytest.approx(speed, abs=0.01)
    assert near[~wrong].mean() > 0.9


def test_clocks_that_differ_little_are_left_to_the_waveforms() -> None:
    times = np.arange(0, 60, 5.0)
    assert fit_line(times, 3 + 1.001 * times)[1] == 1.0
    hours = np.arange(0, 7_200, 60.0)
    assert fit_line(hours, 3 + 1.0001 * hours)[1] == pytest.approx(1.0001, abs=1e-6)


@given(st.integers(0, 4_000), st.integers(0, 2**16))
@settings(max_examples=20)
def test_a_delay_is_found_to_the_sample(delay: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    there = rng.normal(0, 0.1, 20_000).astype(np.float32)
    here = there[delay : delay + 12_000] + rng.normal(0, 0.05, 12_000).astype(np.float32)
    assert delay_between(there, here, 4_000) == delay


def test_silence_has_no_delay() -> None:
    sound = np.ones(100, np.float32)
    assert delay_between(np.zeros(100, np.float32), sound, 10) is None
    assert delay_between(sound, np.zeros(50, np.float32), 10) is None
    assert delay_between(sound, sound[:1], 10) is None
