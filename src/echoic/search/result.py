"""What is told of concepts that a library was taught."""

from __future__ import annotations

from dataclasses import dataclass

from echoic.addresses import told

__all__ = ["Concept", "Taught"]


@dataclass(frozen=True, slots=True)
class Concept:
    """What a library was taught to find.

    Parameters
    ----------
    name : str
    yes, no : int
        How many spans were said to be of it, and not to be.
    precision, recall : tuple of (float, float, float), optional
        Which share of the spans that would be told is of it, and which share of those of it would be told,
        each span judged by the answers on others; with the ends of the 95 % interval. None of too few
        answers.
    """

    name: str
    yes: int
    no: int
    precision: tuple[float, float, float] | None = None
    recall: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """What came of teaching.

    Parameters
    ----------
    concept : Concept
        As it is now.
    changed : tuple of (str, float or None, float or None)
        Path, start and end of the spans that were said to be the contrary before, which counts no more.
    failed : tuple of (str, str)
        Files that cannot be used, with one sentence each.
    """

    concept: Concept
    changed: tuple[tuple[str, float | None, float | None], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Spell files in buckets by their addresses."""
        object.__setattr__(self, "changed", tuple((told(path), *span) for path, *span in self.changed))
        object.__setattr__(self, "failed", tuple((told(path), why) for path, why in self.failed))
