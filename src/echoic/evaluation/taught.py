"""Which clips an encoder was taught: noted when it is trained, looked up when it is measured.

A model that is asked about clips it has learnt from does better than it will on any others. A training
therefore notes the first digits of the SHA-256 of each file, one after the other in one string, for the clips
it learnt from and for those held out, which chose the model. A copy of a clip that was cut or coded anew is
another file, and is not known again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echoic.analysis.workers import digest_of
from echoic.errors import EchoicError

__all__ = ["Taught", "count_taught", "digest_clips", "note_clips", "read_taught"]

_N_DIGITS = 12  # by which two of a million clips are confused once in 600 times
_DEEPEST = 32  # trainings that went on from one another


@dataclass(frozen=True, slots=True)
class Taught:
    """What an encoder's history says of clips: digests of those learnt from, and of those held out."""

    learnt: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.learnt or self.held_out)


def digest_clips(paths: Iterable[Path]) -> list[str]:
    """Digest files; of one that cannot be read the digest is empty."""
    digests = []
    for path in paths:
        try:
            digests.append(digest_of(path)[:_N_DIGITS])
        except (OSError, EchoicError):
            digests.append("")
    return digests


def note_clips(paths: Iterable[Path]) -> str:
    """Note clips for a model's history: their digests in order, each once."""
    return "".join(sorted(set(digest_clips(paths))))


def read_taught(training: object) -> Taught:
    """Read what the history of a model says, and of the models that it went on from or was joined of.

    Parameters
    ----------
    training : object
        The entry of that name of a card or a checkpoint, which others may have written: what is not
        understood is passed over.
    """
    learnt: set[str] = set()
    held_out: set[str] = set()
    for history in _histories(training, _DEEPEST):
        data = history.get("data")
        if isinstance(data, dict):
            learnt.update(_digests(data.get("digests")))
            held_out.update(_digests(data.get("held_out")))
    return Taught(frozenset(learnt), frozenset(held_out - learnt))


def count_taught(taught: Taught, digests: Sequence[str]) -> tuple[int, int]:
    """Count the clips that an encoder learnt from, and those that were held out and chose it."""
    return sum(digest in taught.learnt for digest in digests), sum(
        digest in taught.held_out for digest in digests
    )


def _histories(training: object, deepest: int) -> Iterator[dict[str, Any]]:
    if not isinstance(training, dict) or not deepest:
        return
    yield training
    yield from _histories(training.get("started_from"), deepest - 1)
    members = training.get("members")
    for member in members if isinstance(members, list) else ():
        yield from _histories(member, deepest - 1)


def _digests(noted: object) -> list[str]:
    if not isinstance(noted, str) or not re.fullmatch(f"(?:[0-9a-f]{{{_N_DIGITS}}})*", noted):
        return []
    return [noted[at : at + _N_DIGITS] for at in range(0, len(noted), _N_DIGITS)]
