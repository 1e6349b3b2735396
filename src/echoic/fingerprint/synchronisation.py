"""How two recordings of one event lie in time: the offset between them, and how their clocks drift apart.

Stretches of the second are laid against the first by their fingerprints, which works however different the
two microphones are. Most of them agree on one line; the waveforms then tell, at spots along it, where exactly
it runs, by generalised cross-correlation.

References
----------
Fischler and Bolles, "Random sample consensus", Communications of the ACM 24, 1981.
Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE TASSP 24, 1976.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.decode import Resampler, open_audio, read_audio
from echoic.audio.encode import write_blocks
from echoic.embedding import embed_densely, embed_file
from echoic.encoders.base import Encoder
from echoic.errors import UsageError, quoted
from echoic.fingerprint.alignment import align
from echoic.fingerprint.decision import Decision
from echoic.fingerprint.identification import QUERY_HOP, stretches
from echoic.stores.embedded import EmbeddedStore
from echoic.types import Float32

__all__ = ["Line", "delay_between", "fit_line", "synchronise", "write_shifted"]

Float64 = npt.NDArray[np.float64]

_NEAR = 0.25  # s that a stretch may lie from the line
_PAIRS = 500  # tried
_CLOCKS = 0.01  # what two devices' clocks differ by at most; then the speed was 1
_SPOTS = 24
_SPOT = 2.0  # s
_SEARCHED = 0.3  # s to either side
_AGREE = 0.02  # s that the delays at most spots must agree within
_RATE = 8_000  # Hz at which waveforms are compared
_LONG = 20.0  # s between the outermost spots from which on they tell the drift
_VERY_LONG = 600.0  # s from which on fingerprints, too, tell the drift of two clocks
_PLAUSIBLE = 0.5  # probability of a stretch that may speak for a line


@dataclass(frozen=True, slots=True)
class Line:
    """Where the second recording's time lies in the first: ``offset + speed × time``.

    Parameters
    ----------
    offset : float
        Seconds.
    speed : float
    deviation : float
        Median distance, in seconds, of what was measured from the line.
    score : float
        Probability that the two overlap at all, as the best stretch has it.
    start, end : float
        Seconds of the second over which they were found to agree.
    """

    offset: float
    speed: float
    deviation: float
    score: float
    start: float
    end: float


def synchronise(first: Path, second: Path, encoder: Encoder, decision: Decision) -> Line | None:
    """Lay the second file against the first; None if they have nothing in common.

    Raises
    ------
    AudioError
        If one of them cannot be read.
    """
    spec = encoder.spec
    info, segments = embed_file(first, {"": encoder})
    known = segments[""]
    times, places, scores, last = [], [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        store = EmbeddedStore(connection, spec.key, spec.dim, Path(folder))
        store.replace(0, known.vectors)
        for stretch, _ in stretches(embed_densely(second, encoder, QUERY_HOP)):
            found = align(
                stretch, store, lambda _: known.starts, decision.cohort, window=spec.window, hop=spec.hop
            )
            last = float(stretch.ends[-1])
            for alignment in found:
                middle = float(stretch.starts.mean() + spec.window / 2)
                times.append(middle)
                places.append(alignment.start + alignment.speed * middle)
                scores.append(decision.probability(alignment.evidence))
        connection.close()
    plausible = np.array(scores) >= _PLAUSIBLE
    if not plausible.any():
        return None
    time, place = np.array(times)[plausible], np.array(places)[plausible]
    offset, speed, near = fit_line(time, place)
    score = float(np.array(scores)[plausible][near].max())
    if score < decision.threshold and near.sum() < 2:
        return None
    half = 5.0  # s: a stretch reaches this far around its middle
    start, end = max(0.0, float(time[near].min()) - half), min(last, float(time[near].max()) + half)
    deviation = float(np.median(np.abs(place[near] - offset - speed * time[near])))
    coarse = Line(offset, speed, deviation, score, start, end)
    return _refined(coarse, first, info.duration, second)


def fit_line(times: Float64, places: Float64) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """Find the line ``offset + speed × time`` that most points lie near.

    Returns
    -------
    offset, speed : float
    near : ndarray of bool, shape (n,)
        Which points lie within a quarter of a second.
    """
    rng = np.random.default_rng(0)
    candidates = [(place - time, 1.0) for time, place in zip(times, places, strict=True)]
    for one, other in rng.integers(0, len(times), (_PAIRS, 2)):
        if abs(times[one] - times[other]) > 1:
            speed = (places[one] - places[other]) / (times[one] - times[other])
            if 0.9 <= speed <= 1.1:
                candidates.append((places[one] - speed * times[one], speed))
    offsets, speeds = (np.array(column) for column in zip(*candidates, strict=True))
    distances = np.abs(places[None] - offsets[:, None] - speeds[:, None] * times[None])
    # Of lines near equally many points the one with the smallest distances; the plain ones come first.
    value = (distances < _NEAR).sum(axis=1) - np.minimum(distances, _NEAR).mean(axis=1) / _NEAR
    best = int(np.argmax(value))
    offset, speed, near = float(offsets[best]), float(speeds[best]), distances[best] < _NEAR
    if abs(speed - 1) < _CLOCKS and np.ptp(times[near]) < _VERY_LONG:
        speed, offset = 1.0, float(np.median(places[near] - times[near]))
    elif near.sum() > 2:
        speed, offset = (float(value) for value in np.polyfit(times[near], places[near], 1))
    return offset, speed, near


def _refined(line: Line, first: Path, duration: float, second: Path) -> Line:
    """Compare the waveforms at spots along the line, and move it to where most of them agree."""
    spots = np.linspace(line.start, max(line.start, line.end - _SPOT), _SPOTS)
    at, delays = [], []
    for spot in np.unique(spots):
        place = line.offset + line.speed * spot
        until = place + line.speed * _SPOT + _SEARCHED
        if place < _SEARCHED or until > duration:
            continue
        there, _ = read_audio(first, _RATE, start=place - _SEARCHED, end=until)
        here, _ = read_audio(second, _RATE, start=spot, end=spot + _SPOT)
        delay = delay_between(there, here, round(2 * _SEARCHED * _RATE))
        if delay is not None:
            at.append(spot)
            delays.append(place - _SEARCHED + delay / _RATE)
    if len(at) < 3:
        return line
    time, place = np.array(at), np.array(delays)
    off = place - line.offset - line.speed * time
    near = np.abs(off - np.median(off)) < _AGREE
    if near.sum() < max(
        3, len(at) / 2
    ):  # other rooms, other microphones: the waveforms have little in common
        return line
    if np.ptp(time[near]) > _LONG:
        speed, offset = (float(value) for value in np.polyfit(time[near], place[near], 1))
    else:
        speed = line.speed
        offset = float(np.median(place[near] - speed * time[near]))
    deviation = float(np.median(np.abs(place[near] - offset - speed * time[near])))
    return Line(offset, speed, deviation, line.score, line.start, line.end)


def delay_between(there: Float32, here: Float32, most: int) -> float | None:
    """Find how many samples into ``there`` the shorter ``here`` begins, 0 … ``most``; None if it is silent.

    The spectrum is whitened, so that the peak is sharp whatever the microphones' frequency responses.
    """
    import scipy.fft

    if len(here) < 2 or min(np.abs(there).max(initial=0), np.abs(here).max(initial=0)) < 1e-5:
        return None
    size = scipy.fft.next_fast_len(len(there) + len(here), real=True)
    cross = scipy.fft.rfft(there, size) * np.conj(scipy.fft.rfft(here, size))
    correlation = scipy.fft.irfft(cross / np.maximum(np.abs(cross), 1e-12), size)[: most + 1]
    return float(np.argmax(correlation))


def write_shifted(second: Path, output: Path, offset: float, speed: float) -> None:
    """Write the sound of a file as it lies in another's time, of which the copy's second 0 is the start.

    All channels are kept. What lies before second 0 is left out; silence takes the place of what is missing.

    Parameters
    ----------
    second, output : Path
        The suffix of the output chooses its format, as in :func:`~echoic.audio.encode.write_audio`.
    offset, speed : float
        As :class:`Line` has them.

    Raises
    ------
    AudioError
        If the file cannot be read.
    UsageError
        If nothing of it is left, or it cannot be written. What was at ``output`` before stays.
    """
    with open_audio(second, mono=False) as stream:
        rate, channels = stream.sample_rate, stream.channels
        converter = Resampler(rate, rate * speed, channels)

        def shifted() -> Iterator[Float32]:
            shape = (0,) if channels == 1 else (0, channels)
            missing = max(0, round(offset * rate))
            for at in range(0, missing, rate):
                yield np.zeros((min(rate, missing - at), *shape[1:]), np.float32)
            skipped = max(0, -round(offset * rate))
            for block in stream:
                ready = converter.push(block)
                yield ready[skipped:]
                skipped = max(0, skipped - len(ready))
            yield converter.finish()[skipped:]

        blocks = (block for block in shifted() if len(block))
        first = next(blocks, None)
        if first is None:
            raise UsageError(f"{second} ends before the other begins: there is nothing to write")
        part = output.with_name(f".{output.stem}.part{output.suffix}")
        try:
            write_blocks(part, itertools.chain([first], blocks), rate, channels)
            part.replace(output)
        except OSError as error:
            raise UsageError(
                f"{quoted(output)} cannot be written ({error.strerror}); choose another place"
            ) from error
        finally:
            part.unlink(missing_ok=True)
