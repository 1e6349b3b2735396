"""Print how fast sound becomes log-mel spectrograms, on one core, beside librosa in the same run.

    python -m benchmarks.front_end [--seconds 300] [--repeats 5]

"x" is seconds of audio per second of processor time; the best of the repeats counts, as others may be using
the machine.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import scipy.fft
import soxr
from threadpoolctl import threadpool_limits

from benchmarks.tables import load, print_table, verdict, write_table
from echoic.audio.decode import Resampler, open_audio, read_audio
from echoic.audio.encode import write_audio
from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import cut

NATIVE_RATE, RATE = 44_100, 16_000
MOST_DIFFERENCE = 1e-4  # dB between the two spectrograms
LOG_MEL = LogMel(sample_rate=RATE, n_fft=1024, hop_length=320, n_mels=64, fmin=0, fmax=RATE / 2)


def speed(work: Callable[[], object], seconds: float, repeats: int) -> float:
    """Return seconds of audio per second of processor time."""
    work()  # what is loaded or built on first use does not count
    costs = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        costs.append(time.process_time() - start)
    return seconds / min(costs)


def music(seconds: float) -> np.ndarray:
    """Make stereo that gives a codec something to do: noise whose colour and loudness drift."""
    rng = np.random.default_rng(0)
    n = round(seconds * NATIVE_RATE)
    noise = rng.normal(0, 0.1, (n, 2))
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.7 * np.arange(n) / NATIVE_RATE)
    return (np.cumsum(noise, axis=0) % 0.5 * 0.2 + noise * swell[:, None]).astype(np.float32)


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """Compute the same spectrogram with librosa."""
    power = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=1024, hop_length=320, n_mels=64, center=False
    )
    decibels: np.ndarray = librosa.power_to_db(power, amin=1e-10, top_db=None)
    return decibels.T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the test file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="30 seconds, two repeats")
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    seconds, repeats = (30.0, 2) if options.quick else (options.seconds, options.repeats)

    stereo = music(seconds)
    mono = np.ascontiguousarray(stereo.mean(axis=1))
    samples = soxr.resample(mono, NATIVE_RATE, RATE, "HQ")

    def resample() -> None:
        resampler = Resampler(NATIVE_RATE, RATE)
        for at in range(0, len(mono), 1 << 16):
            resampler.push(mono[at : at + (1 << 16)])
        resampler.finish()

    def decode() -> None:
        with open_audio(path) as stream:
            for _ in stream:
                pass

    rows: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "music.mp3"
        write_audio(path, stereo, NATIVE_RATE, bit_rate=128_000)
        rows.append(("decode mp3 44.1 kHz stereo, mix to mono", speed(decode, seconds, repeats)))
        whole = speed(lambda: read_audio(path, RATE), seconds, repeats)
    rows.append(("resample 44.1 to 16 kHz, in blocks", speed(resample, seconds, repeats)))
    rows.append(("decode, mix and resample that mp3", whole))
    cutting = speed(lambda: cut(samples, RATE, RATE // 2, RATE), seconds, repeats)
    rows.append(("cut into windows of 1 s, hop 0.5 s", cutting))
    with scipy.fft.set_workers(1):
        theirs = speed(lambda: by_librosa(samples), seconds, repeats)
        ours = speed(lambda: LOG_MEL(samples[None]), seconds, repeats)
        difference = float(np.abs(LOG_MEL(samples[None])[0] - by_librosa(samples)).max())
    rows.append(("log-mel, 1024 / 320 / 64, librosa", theirs))
    rows.append(("log-mel, 1024 / 320 / 64, echoic", ours))

    print_table(
        f"{seconds:.0f} s of audio, one core, best of {repeats} ({load()})",
        ["step", "x real time"],
        [[name, f"{rate:,.0f}"] for name, rate in rows],
        f"The log-mel spectrogram is {ours / theirs:.2f} times as fast as librosa's; goal: at least 1: "
        f"{verdict(ours / theirs, 1)}.",
        f"The two differ by {difference:.1e} dB at most; goal: at most {MOST_DIFFERENCE:.0e}: "
        f"{verdict(difference, MOST_DIFFERENCE, at_most=True)}.",
    )
    if options.readme:
        figures = ["log-mel spectrogram", f"{ours:,.0f} × realtime", f"{ours / theirs:.1f} × librosa"]
        write_table("front end", ["the front end, one core", "", ""], [figures])


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
