"""Who speaks when in a file: windows are grouped by voice, and the groups named by who speaks first.

Pieces of two seconds are joined, the most alike first, for as long as it is likely that one voice speaks in
both (agglomerative clustering by mean cosines). Then each window goes to the group that fits, along the path
through all that changes least (Viterbi), and groups that come out alike, or too short, join others.

References
----------
Sell et al., "Diarization is hard: some experiences and lessons learned for the JHU team in the inaugural
DIHARD challenge", Interspeech 2018.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from echoic.arguments import check_part, checked
from echoic.encoders.registry import load_encoder
from echoic.heard.result import VoiceSpan
from echoic.heard.voices import LEAST_SPEECH, LIKELY, Speech, level
from echoic.types import Float32, Note, Segments, StrPath

if TYPE_CHECKING:
    Ints = npt.NDArray[np.int64]

__all__ = ["group", "named", "who_speaks"]

_ENCODER = "voice"
_HOP = 0.4  # s
_PIECE = 2.0  # s
_AT_ONCE = 1_500  # pieces that are compared with each other: 50 minutes of speech
_AROUND = 0.45  # s around the middle of a window that are looked at together
_SCALE, _SWITCH = 20.0, 2.5  # of cosines, and what it costs that another goes on
_PAUSE = 1.0  # s after which it costs nothing
_ROUNDS = 3


@checked
def who_speaks(
    file: StrPath,
    *,
    start: float | None = None,
    end: float | None = None,
    noted: Callable[[Note], None] = lambda _: None,
) -> list[VoiceSpan]:
    """Tell who speaks when in a file, by voices that are called A, B, C and so on.

    Parameters
    ----------
    file : str or path
    start, end : float, optional
        Seconds; only this part is listened to, and times count from the file's begin all the same.
    noted : callable, optional
        Called with what a person should know of the file.

    Returns
    -------
    list of VoiceSpan
        In order of time; A is who speaks first. In another file A may be somebody else. Nothing where nobody
        speaks for a second.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or ends before ``start``.
    UsageError
        If an argument makes no sense.
    """
    from echoic.analysis.excerpts import embed_densely

    check_part(start, end)
    encoder = load_encoder(_ENCODER)
    parts = embed_densely(Path(file), encoder, lambda _: _HOP, start=start, end=end, noted=noted)
    kept = [Segments.none(encoder.spec.dim), *parts]
    columns = [np.concatenate([getattr(one, name) for one in kept]) for name in ("starts", "ends", "vectors")]
    speech = Speech.of(Segments(*columns), encoder.spec.window)
    if speech.seconds < LEAST_SPEECH:
        if len(speech):
            noted(Note("speech", f"{speech.seconds:.1f} s of speech is too short to tell voices apart"))
        elif len(columns[0]):  # else it was said that there is no sound
            noted(Note("speech", "nobody speaks in it"))
        return []
    groups = group(speech)
    spans = [
        VoiceSpan(os.fspath(file), round(span.start, 2), round(span.end, 2), named(number))
        for number in range(int(groups.max()) + 1)
        for span in speech.spans(groups == number)
    ]
    return sorted(spans, key=lambda span: (span.start, span.end, span.voice))


def named(number: int) -> str:
    """Name a voice: A to Z, then AA, AB and so on.

    Examples
    --------
    >>> [named(number) for number in (0, 25, 26, 701, 702)]
    ['A', 'Z', 'AA', 'ZZ', 'AAA']
    """
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def group(speech: Speech) -> Ints:
    """Group windows by who speaks → (n,), numbers from 0 in the order in which voices are heard first."""
    voices = _joined(speech, _first_groups(speech))
    for _ in range(_ROUNDS):
        groups = _laid(speech, voices)
        before, voices = len(voices), _joined(speech, groups)
        if len(voices) == before:
            break
    groups = _laid(speech, voices)
    _, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    return ranks[numbers]


def _first_groups(speech: Speech) -> Ints:
    """Group pieces of speech: some minutes at a time, and then what was found in each."""
    pieces = np.floor(speech.starts / _PIECE).astype(np.int64)
    _, pieces = np.unique(pieces, return_inverse=True)
    groups = np.empty(int(pieces.max()) + 1, np.int64)
    n = 0
    for at in range(0, len(groups), _AT_ONCE):
        here = slice(at, at + _AT_ONCE)
        is_here = (pieces >= at) & (pieces < at + _AT_ONCE)
        sums = np.zeros((len(groups[here]), speech.voices.shape[1]), np.float32)
        np.add.at(sums, pieces[is_here] - at, speech.voices[is_here])
        groups[here] = n + _clusters(sums, _PIECE)
        n = int(groups[here].max()) + 1
    return groups[pieces]


def _clusters(sums: Float32, seconds: float) -> Ints:
    """Join what is alike, the most alike first → the number of each one's group."""
    if len(sums) == 1:
        return np.zeros(1, np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    units = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    tree = linkage(units.astype(np.float64), "average", "cosine")
    groups: Ints = (
        fcluster(np.maximum(tree, 0), 1 - float(level(LIKELY, seconds)), "distance").astype(np.int64) - 1
    )
    return groups


def _joined(speech: Speech, groups: Ints) -> Float32:
    """Say whose voice each group is, (groups, dim): alike ones are one, those of little speech none."""
    numbers = np.unique(groups)
    sums = np.stack([speech.voices[groups == number].sum(axis=0) for number in numbers])
    seconds = np.array([speech[groups == number].seconds for number in numbers])
    while len(sums) > 1:
        units = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        cosines = units @ units.T
        fewer = np.minimum(seconds[:, None], seconds[None])
        margins = cosines - level(LIKELY, fewer)
        np.fill_diagonal(margins, -np.inf)
        first, second = divmod(int(margins.argmax()), len(sums))
        if margins[first, second] < 0:
            break
        sums[first] += sums[second]
        seconds[first] += seconds[second]
        sums, seconds = np.delete(sums, second, 0), np.delete(seconds, second)
    enough = seconds >= min(LEAST_SPEECH, seconds.max())
    kept = sums[enough]
    told: Float32 = (kept / np.linalg.norm(kept, axis=1, keepdims=True)).astype(np.float32)
    return told


def _laid(speech: Speech, voices: Float32) -> Ints:
    """Say, for each window, which voice speaks, along the path that fits best and changes least."""
    fit = _SCALE * (speech.around(_AROUND) @ voices.T).astype(np.float64)
    gaps = speech.starts[1:] - speech.ends[:-1]
    total = fit[0]
    came = np.empty(fit.shape, np.int64)
    for at in range(1, len(fit)):
        best = int(total.argmax())
        switched = total[best] - (_SWITCH if gaps[at - 1] <= _PAUSE else 0.0)
        stays = total >= switched
        came[at] = np.where(stays, np.arange(len(total)), best)
        total = np.where(stays, total, switched) + fit[at]
    path = np.empty(len(fit), np.int64)
    path[-1] = int(total.argmax())
    for at in range(len(fit) - 1, 0, -1):
        path[at - 1] = came[at, path[at]]
    return path
