"""Windows: the rule of :mod:`echoic.audio.windows` against an oracle that has the whole file at hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.windows import Windower, Windows, cut
from echoic.types import Float32

RATE = 1_000  # Hz: a frame of loudness has 25 samples, the tolerance at the end 100


def oracle(samples: Float32, window: int, hop: int, rate: int) -> list[tuple[int, int]]:
    """The spans in samples, found the slow and obvious way."""
    n = len(samples)
    spans = [(start, start + window) for start in range(0, n, hop) if start + window <= n]
    if 0 < n < window:
        spans = [(0, n)]
    elif spans and n - spans[-1][1] > 0.1 * rate:
        spans.append((n - window, n))
    frame = round(0.025 * rate)

    def loudest(span: tuple[int, int]) -> float:
        inside = np.zeros(window)
        inside[: span[1] - span[0]] = samples[slice(*span)]
        return max(float(np.mean(inside[at : at + frame] ** 2)) for at in range(0, window, frame))

    audible = [span for span in spans if loudest(span) >= 1e-8]
    return audible or [max(spans, key=loudest)] if spans else []


def in_blocks(samples: Float32, cuts: list[int], window: int, hop: int, rate: int) -> Windows:
    windower = Windower(window, hop, rate)
    places = sorted({min(place, len(samples)) for place in cuts})
    parts = [windower.push(block) for block in np.split(samples, places)]
    parts.append(windower.finish())
    return Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def noise(n: int, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


LOUDNESS = st.sampled_from([0.0, 1e-6, 0.9e-4, 1.1e-4, 0.5])  # amplitudes around the floor of 1e-4


@settings(max_examples=300)
@given(
    stretches=st.lists(st.tuples(st.integers(0, 900), LOUDNESS), max_size=6),
    cuts=st.lists(st.integers(0, 4_000), max_size=10),
    window=st.integers(1, 1_200),
    hop=st.integers(1, 1_500),
    seed=st.integers(0, 99),
)
def test_the_rule_whatever_the_blocks(
    stretches: list[tuple[int, float]], cuts: list[int], window: int, hop: int, seed: int
) -> None:
    parts = [amplitude * np.sign(noise(n, seed)) for n, amplitude in stretches]
    samples = np.concatenate([*parts, np.empty(0)]).astype(np.float32)
    if len(samples) // hop > 500:
        hop += 50
    spans = oracle(samples, window, hop, RATE)
    whole = cut(samples, window, hop, RATE)
    np.testing.assert_array_equal(whole.starts, [start / RATE for start, _ in spans])
    np.testing.assert_array_equal(whole.ends, [end / RATE for _, end in spans])
    for found, (start, end) in zip(whole.samples, spans, strict=True):
        np.testing.assert_array_equal(found[: end - start], samples[start:end])
        assert not found[end - start :].any()
    pieces = in_blocks(samples, cuts, window, hop, RATE)
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("n", "starts", "ends"),
    [
        (0, [], []),
        (1, [0], [0.001]),
        (999, [0], [0.999]),
        (1_000, [0], [1]),
        (1_100, [0], [1]),  # 0.1 s is left uncovered …
        (1_101, [0, 0.101], [1, 1.101]),  # … more is not
        (1_500, [0, 0.5], [1, 1.5]),
        (2_300, [0, 0.5, 1, 1.3], [1, 1.5, 2, 2.3]),
    ],
)
def test_where_windows_lie(n: int, starts: list[float], ends: list[float]) -> None:
    found = cut(noise(n), 1_000, 500, RATE)
    np.testing.assert_array_equal(found.starts, starts)
    np.testing.assert_array_equal(found.ends, ends)
    assert found.samples.shape == (len(starts), 1_000)
    assert (found.samples.dtype, found.starts.dtype, found.ends.dtype) == ("f4", "f8", "f8")
    assert found.samples.flags.c_contiguous


def test_silence_is_left_out_but_never_all() -> None:
    samples = noise(10_000)
    samples[2_000:7_000] = 0
    np.testing.assert_array_equal(cut(samples, 1_000, 1_000, RATE).starts, [0, 1, 7, 8, 9])
    np.testing.assert_array_equal(cut(np.zeros(5_000, np.float32), 1_000, 1_000, RATE).starts, [0])
    faint = np.zeros(5_000, np.float32)
    faint[3_200] = 1e-5
    np.testing.assert_array_equal(cut(faint, 1_000, 1_000, RATE).starts, [3])


def test_a_click_in_silence_is_heard() -> None:
    samples = np.zeros(5_000, np.float32)
    samples[3_210:3_220] = 0.01  # -43 dB for ten milliseconds
    np.testing.assert_array_equal(cut(samples, 1_000, 1_000, RATE).starts, [3])


def test_memory_does_not_grow_with_the_file() -> None:
    windower = Windower(16_000, 4_000, 16_000)
    block = noise(16_000)
    tracemalloc.start()
    try:
        n = sum(len(windower.push(block).starts) for _ in range(1_200))  # 20 minutes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n == 4 * 1_199 + 1
    assert peak < 3e6


def test_what_cannot_be_a_window() -> None:
    for window, hop, rate in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            Windower(window, hop, rate)
