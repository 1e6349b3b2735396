"""Two ways of recognising recordings without a network, to measure ours against.

Chromaprint's fingerprints come from its own ``fpcalc`` (Debian's ``libchromaprint-tools``); an excerpt is
laid against every recording at every offset, and the share of equal bits is its score. The other is a
constellation of spectral peaks, hashed in pairs, as Shazam published it.

References
----------
Lalinský, "How does Chromaprint work?", 2011; Haitsma and Kalker, "A highly robust audio fingerprinting
system", ISMIR 2002, for bit error rates.
Wang, "An industrial-strength audio search algorithm", ISMIR 2003; Ellis, "Robust landmark-based audio
fingerprinting", 2009.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from echoic.audio.decode import read_audio

__all__ = ["Chromaprint", "Constellation", "Peer"]

Ints = npt.NDArray[np.int64]


class Peer(Protocol):
    """A system that names the recording an excerpt is of, and how sure it is."""

    name: str

    def index(self, paths: Sequence[Path]) -> None: ...

    def ask(self, path: Path) -> tuple[str, float]:
        """Return the stem of the recording's name, empty if there is none, and a score."""
        ...


class Chromaprint:
    """Chromaprint, searched exhaustively."""

    name = "chromaprint"
    _least_items = 8  # a second of fingerprints; fewer agree by chance

    def index(self, paths: Sequence[Path]) -> None:
        self._tracks = [(path.stem, self._fingerprint(path)) for path in paths]

    def ask(self, path: Path) -> tuple[str, float]:
        query = self._fingerprint(path)
        best = ("", 0.0)
        if len(query) < self._least_items:
            return best
        for name, track in self._tracks:
            if len(track) < len(query):
                continue
            windows = np.lib.stride_tricks.sliding_window_view(track, len(query))
            errors = np.bitwise_count(windows ^ query).mean(axis=1) / 32
            best = max(best, (name, 1 - float(errors.min())), key=lambda found: found[1])
        return best

    def _fingerprint(self, path: Path) -> npt.NDArray[np.uint32]:
        command = ["fpcalc", "-raw", "-json", "-length", "0", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout.startswith("{"):
            if "Empty fingerprint" in done.stderr:  # the file is too short for one
                return np.empty(0, np.uint32)
            raise RuntimeError(f"fpcalc failed on {path}: {done.stderr.strip()}")
        return np.array(json.loads(done.stdout)["fingerprint"], np.uint32)


class Constellation:
    """Pairs of spectral peaks, looked up by frequencies and distance, voted for by offset."""

    name = "constellation of peaks"
    _rate, _n_fft, _hop = 11_025, 1024, 256
    _around = (15, 31)  # frames and bins in which a peak is the highest
    _fan_out = 8
    _reach = 63  # frames between the two of a pair
    _peaks_a_second = 30

    def index(self, paths: Sequence[Path]) -> None:
        self._names = [path.stem for path in paths]
        parts = [self._hashes(path) for path in paths]
        hashes = np.concatenate([hashes for hashes, _ in parts])
        tracks = np.repeat(np.arange(len(parts)), [len(hashes) for hashes, _ in parts])
        order = np.argsort(hashes, kind="stable")
        self._hashed = hashes[order]
        self._tracks = tracks[order]
        self._times = np.concatenate([times for _, times in parts])[order]

    def ask(self, path: Path) -> tuple[str, float]:
        hashes, times = self._hashes(path)
        first = np.searchsorted(self._hashed, hashes, side="left")
        counts = np.searchsorted(self._hashed, hashes, side="right") - first
        if not counts.sum():
            return "", 0.0
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        hits = np.repeat(first, counts) + within
        offsets = self._times[hits] - np.repeat(times, counts)
        votes, numbers = np.unique(self._tracks[hits] * 2**32 + offsets + 2**31, return_counts=True)
        # Peaks move by a frame; of as many votes the first recording wins.
        neighbours = np.searchsorted(votes, votes + 1)
        beside = np.where(votes[np.minimum(neighbours, len(votes) - 1)] == votes + 1, 1, 0)
        totals = numbers + beside * numbers[np.minimum(neighbours, len(votes) - 1)]
        best = int(np.argmax(totals))
        return self._names[int(votes[best] >> 32)], float(totals[best])

    def _hashes(self, path: Path) -> tuple[Ints, Ints]:
        """Return the hashes of a file and the frames that they begin at."""
        samples, _ = read_audio(path, self._rate)
        samples = np.pad(samples, (0, max(0, self._n_fft - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(samples, self._n_fft)[:: self._hop]
        power = np.abs(scipy.fft.rfft(frames * np.hanning(self._n_fft).astype(np.float32), axis=1))
        level = np.log(np.maximum(power, 1e-6))[:, 4:420]
        level -= scipy.ndimage.uniform_filter1d(level, 61, axis=0)  # as a high pass along time does
        highest = scipy.ndimage.maximum_filter(level, self._around)
        at, bins = np.nonzero((level == highest) & (level > 0))
        most = max(8, round(self._peaks_a_second * len(samples) / self._rate))
        kept = np.sort(np.argsort(-level[at, bins], kind="stable")[:most])
        at, bins = at[kept], bins[kept]
        hashes, starts = [], []
        for ahead in range(1, self._fan_out + 1):
            apart = at[ahead:] - at[:-ahead]
            near = (apart > 0) & (apart <= self._reach)
            hashes.append((bins[:-ahead] * 2**16 + bins[ahead:] * 2**6 + apart)[near])
            starts.append(at[:-ahead][near])
        return np.concatenate(hashes).astype(np.int64), np.concatenate(starts).astype(np.int64)
