"""Hits as ``--json`` prints them, a line each: what is read back of them."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from echoic.errors import UsageError

__all__ = ["Span", "read_spans"]


class Span(NamedTuple):
    """A part of a file, in seconds, how sure it was told, and as what, where that was said."""

    path: str
    start: float
    end: float
    score: float | None = None
    label: str = ""


def read_spans(lines: Iterable[str]) -> Iterator[Span]:
    """Read what ``echoic search --json``, ``describe --json`` and others print, as it comes.

    Raises
    ------
    UsageError
        If a line is none, or names no part of a file.

    Examples
    --------
    >>> list(read_spans(['{"path": "a.wav", "start": 1, "end": 2.5, "score": 0.9}']))
    [Span(path='a.wav', start=1.0, end=2.5, score=0.9, label='')]
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            path = os.fsdecode(base64.b64decode(row["path_base64"])) if "path_base64" in row else row["path"]
            start, end = float(row["start"]), float(row["end"])
            score, label = row.get("score", row.get("probability")), row.get("label", "")
            score = None if score is None else float(score)
            is_span = isinstance(path, str) and path != "" and isinstance(label, str)
        except (KeyError, RecursionError, TypeError, ValueError):
            is_span = False
        if not is_span:
            raise UsageError(
                f"line {number} is no hit with path, start and end; give what echoic search --json prints"
            )
        if not (0 <= start < end and math.isfinite(end)):
            raise UsageError(
                f"line {number} names a part from {start:g} s to {end:g} s; a part begins at 0 or "
                "later, and ends behind its begin"
            )
        if score is not None and math.isnan(score):
            raise UsageError(f"line {number} has a score that is no number; leave it out, or give one")
        yield Span(path, start, end, score, label)
