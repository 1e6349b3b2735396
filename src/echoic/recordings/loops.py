"""Music whose bars are repeated as they are: one place for what was laid against several occurrences of them.

Which occurrence a few seconds are cannot be told, and the one chosen at first may leave the recording before
the music is over. Whether there is a place that holds all of it, the recording itself can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.recordings.overlay import STEP, Overlay

__all__ = ["SAME_PLACE", "Laid", "common_start"]

Float64 = npt.NDArray[np.float64]

#: What two places of a recording must have as a mean cosine to hold the very same sound. That has .83 at
#: least, as vectors are interpolated; bars played twice have .85 at most.
SAME_PLACE = 0.8
_WINDOWS = 64  # of each span that are compared at most
_TRIED = 24  # starts that are looked at closely
_LEAVES = 0.5  # s that a span, whose ends are known about so well, may reach out of the recording
_DIGITS = 2  # of a mean cosine that tell one place from another


class Laid(NamedTuple):
    """A span of a query in seconds, and where in the recording its time 0 lies at some speed."""

    begin: float
    finish: float
    start: float
    speed: float


def common_start(overlay: Overlay, laid: Sequence[Laid], speed: float) -> float | None:
    """Find one place in a recording that holds the sound of all places that a query was laid against.

    Parameters
    ----------
    overlay : Overlay
        Of the whole recording; only its own windows are looked at.
    laid : sequence of Laid
        Spans of the query.
    speed : float
        Of the query, with all of it at one place.

    Returns
    -------
    float or None
        Where the query's time 0 lies, in seconds: the earliest of those that fit alike. None if the recording
        has no such place.
    """
    half = (overlay.centres[1] - overlay.centres[0]) / 2 if len(overlay.centres) > 1 else 0.0
    earliest = overlay.centres[0] - half - speed * min(span.begin for span in laid) - _LEAVES
    latest = overlay.centres[-1] + half - speed * max(span.finish for span in laid) + _LEAVES
    if earliest > latest:
        return None
    beside = [_beside_itself(overlay, span) for span in laid]
    if any(one is None for one in beside):
        return None
    spans = [one for one in beside if one is not None]
    starts = np.arange(earliest, latest + overlay.hop / 2, overlay.hop / 2)
    worst = np.min([_coarse(span, starts, speed) for span in spans], axis=0)
    best = np.argsort(-worst, kind="stable")[:_TRIED]
    steps = STEP / 2 * np.arange(-5, 6)
    fine = np.unique(np.clip((starts[best, None] + steps).ravel(), earliest, latest))
    fits = np.array([span.fits(fine, np.full(len(fine), speed)) for span in spans])
    same = (fits >= SAME_PLACE).all(axis=0)
    if not same.any():
        return None
    together = np.where(same, np.round(fits.mean(axis=0), _DIGITS), -1.0)
    return float(fine[int(np.argmax(together))])


def _beside_itself(overlay: Overlay, span: Laid) -> Overlay | None:
    """Take the recording's windows at one place of a span for the query's; None if there are none."""
    first = int(np.searchsorted(overlay.centres, span.start + span.speed * span.begin))
    last = int(np.searchsorted(overlay.centres, span.start + span.speed * span.finish))
    if last <= first:
        return None
    rows = np.unique(np.linspace(first, last - 1, min(_WINDOWS, last - first)).astype(np.int64))
    times = (overlay.centres[rows] - span.start) / span.speed
    return Overlay(
        overlay.vectors[rows] @ overlay.vectors.T, times, overlay.vectors, overlay.centres, overlay.hop
    )


def _coarse(span: Overlay, starts: Float64, speed: float) -> Float64:
    return span.scores(starts, np.full(len(starts), speed))
