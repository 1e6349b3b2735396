"""The sounds of the demo on disk, and recordings of any length for benchmarks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from echoic.audio.encode import write_audio
from echoic.audio.synthesis.pieces import PIECES, make_piece
from echoic.audio.synthesis.signals import Float64, filtered, lowpass, wander
from echoic.audio.synthesis.sounds import FAMILIES, make_sound
from echoic.errors import UsageError
from echoic.types import Float32

__all__ = ["long_recording", "write_demo"]

_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a")
_PIECE_SUFFIXES = (".mp3", ".m4a", ".flac")

_SCENE = 10.0  # seconds of a block of a long recording
_POOL_TAKES = 4  # of each family, synthesised once for a long recording
_FOREGROUND = ("bells", "birds", "bubbles", "drums", "plucks", "sirens", "voices")


def write_demo(
    folder: str | os.PathLike[str],
    *,
    takes: int = 10,
    sample_rate: int = 44_100,
    seed: int = 0,
    on_file: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Synthesise the sounds of the demo and write them, one folder a family and one of pieces.

    Formats are mixed: wav, flac, ogg, opus, mp3 and m4a. Files that exist are overwritten.

    Parameters
    ----------
    folder : path
        Created if absent.
    takes : int
        Of each family.
    sample_rate, seed
        As for ``make_sound``.
    on_file : callable, optional
        Called with each path once it is written.

    Returns
    -------
    list of Path
        In the order written, e.g. ``bells/bell-03.ogg``, ``pieces/night-drive.mp3``.
    """
    root = Path(folder)
    written: list[Path] = []

    def write(path: Path, samples: Float32) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, samples, sample_rate)
        written.append(path)
        if on_file is not None:
            on_file(path)

    for number, family in enumerate(FAMILIES):
        for take in range(takes):
            suffix = _SUFFIXES[(number + take) % len(_SUFFIXES)]
            name = f"{family.removesuffix('s')}-{take + 1:02d}{suffix}"
            write(root / family / name, make_sound(family, take, sample_rate=sample_rate, seed=seed))
    for number, piece in enumerate(PIECES):
        suffix = _PIECE_SUFFIXES[number % len(_PIECE_SUFFIXES)]
        write(root / "pieces" / f"{piece}{suffix}", make_piece(piece, sample_rate=sample_rate, seed=seed))
    return written


def long_recording(seconds: float, sample_rate: int = 44_100, seed: int = 0) -> Iterator[Float32]:
    """Make a varied recording of any length, block by block, in constant memory.

    Scene follows scene without a break: a bed of wind, rain or an engine under sounds of the other
    families, each at a speed and level of its own, so that no two minutes are alike.

    Parameters
    ----------
    seconds : float
        Length of the whole.
    sample_rate : int
        Hz, at least 8000.
    seed : int
        The same arguments give the same blocks.

    Yields
    ------
    ndarray of float32, shape (n,)
        Ten seconds each, the last one shorter; peak at most 0.9.

    Raises
    ------
    UsageError
        If ``seconds`` is not above zero.
    """
    if not seconds > 0:
        raise UsageError(f"a recording needs a length above zero, not {seconds} s")
    return _scenes(round(seconds * sample_rate), sample_rate, seed)


def _scenes(remaining: int, sample_rate: int, seed: int) -> Iterator[Float32]:
    pool = [
        make_sound(family, take, sample_rate=sample_rate, seed=seed)
        for family in _FOREGROUND
        for take in range(_POOL_TAKES)
    ]
    beds = [
        _bed(make_sound(family, take, sample_rate=sample_rate, seed=seed), sample_rate)
        for family in ("wind", "rain", "engines")
        for take in range(2)
    ]
    rng = np.random.default_rng([seed, 5])
    block = round(_SCENE * sample_rate)
    # What starts in one block may end in the next.
    ahead = np.zeros(2 * block)
    while remaining > 0:
        bed = beds[int(rng.integers(len(beds)))]
        start = int(rng.integers(len(bed)))
        under = np.take(bed, np.arange(start, start + block), mode="wrap")
        ahead[:block] += rng.uniform(0.02, 0.2) * under * (0.4 + 0.6 * wander(rng, block, sample_rate, 0.5))
        for _ in range(int(rng.integers(4, 11))):
            sound = pool[int(rng.integers(len(pool)))]
            speed = rng.uniform(0.75, 1.3)
            played = np.interp(np.arange(0, len(sound) - 1, speed), np.arange(len(sound)), sound)
            at = int(rng.integers(block))
            ahead[at : at + len(played)] += 10 ** rng.uniform(-1.2, -0.2) * played
        out = 0.9 * np.tanh(ahead[:block] / 0.9)
        yield out[:remaining].astype(np.float32)
        remaining -= block
        ahead[:block] = ahead[block:]
        ahead[block:] = 0


def _bed(sound: Float32, sample_rate: int) -> Float64:
    """Make a loop without a seam: the end fades into the beginning."""
    n = len(sound) // 4
    fade = np.linspace(0, 1, n)
    x = filtered(sound.astype(np.float64), sample_rate, lambda f: lowpass(f, 6000, 1))
    loop = x[n:].copy()
    loop[-n:] = loop[-n:] * np.sqrt(1 - fade) + x[:n] * np.sqrt(fade)
    return np.asarray(loop / (np.abs(loop).max() + 1e-12))
