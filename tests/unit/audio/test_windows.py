"""Windows: the rule of :mod:`echoic.audio.windows` against an oracle that has the whole file at hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.timeline import Resampler
from echoic.audio.windows import Windower, Windows, cut
from echoic.types import Float32

RATE = 1_000  # Hz: a frame of loudness has 25 samples, the tolerance at the end 100


def swing(samples: np.ndarray, degree: int) -> np.ndarray:
    """The polynomial that comes nearest to some samples."""
    polynomials = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(samples)), degree)
    return polynomials @ np.linalg.lstsq(polynomials, samples)[0]


def oracle(samples: Float32, window: int, hop: int, rate: int) -> list[tuple[int, int]]:
    """The spans in samples, found the slow and obvious way."""
    n = len(samples)
    spans = [(start, start + window) for start in range(0, n, hop) if start + window <= n]
    if 0 < n < window:
        spans = [(0, n)]
    elif spans and n - spans[-1][1] > 0.1 * rate:
        spans.append((n - window, n))
    frame = min(window, round(0.025 * rate))

    def sound(span: tuple[int, int]) -> tuple[int, int] | None:
        """Where the first audible frame begins and the last ends."""
        start, end = span
        audible = []
        low = np.zeros(end - start)  # what is too low to be heard
        within = samples[start:end].astype(np.float64)
        for at in range(0, end - start, 6 * frame):
            part = slice(max(0, min(at, end - start - 6 * frame)), at + 6 * frame)
            degree = 17 * len(within[part]) / (6 * frame) if len(within[part]) > frame else 1
            low[at : part.stop] = swing(within[part], round(degree))[at - part.start :]
        n_frames = -(-(end - start) // frame)

        def means(part: np.ndarray) -> list[float]:
            each = min(len(part), frame)
            return [part[at : at + each].mean() for at in range(0, len(part) - each + 1, each)]

        def click(place: int) -> float:
            """What may be made of an offset where a file begins or ends."""
            offsets = [0.0]
            if place // frame < 6:
                offsets += means(within[: 6 * frame])
            if place // frame >= n_frames - 6:
                offsets += means(within[-6 * frame :])
                offsets += means(samples[slice(*spans[0])][: 6 * frame].astype(np.float64))
            return 10**-1.35 * max(np.square(offsets))

        for at in range(start, end, frame):
            begin, length = at, min(frame, window, start + window - at)
            if at + frame > end and end - start == window >= 6 * frame:  # the last one ends with the window
                begin, length = end - frame, frame
                low[-frame:] = swing(within[-6 * frame :], 17)[-frame:]
            inside = samples[begin : min(begin + frame, end)].astype(np.float64)
            place = np.arange(len(inside)) - (len(inside) - 1) / 2
            left = inside - inside.mean()
            left -= place * (place @ left / max(1e-9, place @ place))
            heard = (within - low)[begin - start : begin - start + len(inside)]
            if min(np.sum(left**2), np.sum(heard**2)) / length >= max(1e-8, click(at - start)):
                audible.append(at)
        return (audible[0], min(audible[-1] + frame, end)) if audible else None

    def is_elsewhere(place: int) -> bool:
        here = sound(spans[place])
        if here is None or here[1] - here[0] - frame >= window / 2:
            return here is None
        following = spans[place + 1] if place + 1 < len(spans) and sound(spans[place + 1]) else None
        return any(
            other is not None and other[0] <= here[0] and here[1] <= other[1]
            for other in (kept[-1] if kept else None, following)
        )

    kept: list[tuple[int, int]] = []
    for place, span in enumerate(spans):
        if not is_elsewhere(place):
            kept.append(span)
    return kept


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
        (2, [], []),  # two samples are a straight line
        (3, [0], [0.003]),
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


def test_silence_is_left_out_whatever_constant_lies_under_it() -> None:
    for constant in (0, 0.3, -1):
        samples = noise(10_000) + np.float32(constant)
        samples[2_000:7_000] = constant
        np.testing.assert_array_equal(cut(samples, 1_000, 1_000, RATE).starts, [0, 1, 7, 8, 9])


@pytest.mark.parametrize("n", [1, 40, 999, 5_000])
@pytest.mark.parametrize("constant", [0, 1e-3, -0.7])
def test_a_file_without_sound_has_no_window(n: int, constant: float) -> None:
    faint = noise(n) * np.float32(5e-4) + np.float32(constant)  # 86 dB under full scale
    found = cut(faint, 1_000, 500, RATE)
    assert found.samples.shape == (0, 1_000)
    assert len(found.starts) == len(found.ends) == 0


def test_what_moves_is_heard_above_an_offset() -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(3_000) / RATE)
    for samples in (0.1 + 0.05 * tone, 0.9 + 0.4 * tone):
        starts = cut(samples.astype(np.float32), 1_000, 1_000, RATE).starts
        np.testing.assert_array_equal(starts, [0, 1, 2])
    middle = np.where(np.abs(np.arange(3_000) - 1_500) < 200, 1e-3 * tone, 0)
    np.testing.assert_array_equal(cut((0.1 + middle).astype(np.float32), 1_000, 1_000, RATE).starts, [1])


def test_a_click_in_silence_is_heard() -> None:
    samples = np.zeros(5_000, np.float32)
    samples[3_210:3_220] = 0.01  # -43 dB for ten milliseconds
    np.testing.assert_array_equal(cut(samples, 1_000, 1_000, RATE).starts, [3])
    np.testing.assert_array_equal(cut(samples[3_215:], 1_000, 1_000, RATE).starts, [0])


@pytest.mark.parametrize(
    ("sounding", "starts"),
    [
        ([(0, 3_400)], [0, 0.5, 1, 1.5, 2, 2.5]),  # the window from 3 on has 0.4 s, which that before has too
        ([(600, 5_000)], [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]),  # that from 0 on has what the next has
        ([(2_600, 2_700)], [2.5]),  # a short sound alone is in one window
        ([(2_450, 2_550)], [2]),  # that from 1.5 on waits for it, that from 2.5 on has but a part
        ([(1_000, 1_200), (1_900, 2_000)], [1]),  # two short ones: those from 0.5 and 1.5 on have one of them
        ([(0, 100), (4_900, 5_000)], [0, 4]),
    ],
)
def test_a_window_that_is_mostly_silent_stands_where_no_other_has_its_sound(
    sounding: list[tuple[int, int]], starts: list[float]
) -> None:
    samples = np.zeros(5_000, np.float32)
    for start, end in sounding:
        samples[start:end] = noise(end - start)
    np.testing.assert_array_equal(cut(samples, 1_000, 500, RATE).starts, starts)


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


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_an_offset_has_no_window_where_a_file_begins_or_ends_and_what_moves_there_has(rate: int) -> None:
    def starts(samples: np.ndarray) -> list[float]:
        resampler = Resampler(rate, 16_000)
        heard = [resampler.push(samples.astype(np.float32)), resampler.finish()]
        return list(cut(np.concatenate(heard), 16_000, 8_000, 16_000).starts)

    offset = np.full(4 * rate, 0.4)
    assert starts(offset) == []
    click = np.zeros(4 * rate)
    click[2 * rate + rate // 4] = 0.5
    assert starts(offset + click) in ([1.5], [2.0])
    tone = 0.2 * np.sin(2 * np.pi * 500 * np.arange(rate // 100) / rate)
    assert starts(offset + np.concatenate([tone, np.zeros(4 * rate - len(tone))])) == [0.0]
    assert starts(offset + np.concatenate([np.zeros(4 * rate - len(tone)), tone])) == [3.0]


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_an_offset_that_padding_follows_or_a_codec_takes_away_has_no_window(rate: int) -> None:
    def starts(samples: np.ndarray) -> list[float]:
        resampler = Resampler(rate, 16_000)
        heard = [resampler.push(samples.astype(np.float32)), resampler.finish()]
        return list(cut(np.concatenate(heard), 16_000, 8_000, 16_000).starts)

    offset = np.full(4 * rate, -0.3)
    for milliseconds in (10, 20, 30, 50):  # as ADPCM in blocks and WMA have it
        assert starts(np.concatenate([offset, np.zeros(milliseconds * rate // 1000)])) == []
    taken_away = offset * np.exp(-np.arange(4 * rate) / (0.05 * rate))  # as Opus does
    click = np.zeros(4 * rate)
    click[-rate // 50 :] = 0.02 * np.hanning(rate // 50)
    assert starts(taken_away + click) == []
    louder = np.roll(30 * click, -rate)
    assert starts(taken_away + louder) in ([2.0, 2.5], [2.5])
