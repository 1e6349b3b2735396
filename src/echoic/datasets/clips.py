"""What a data set is: clips, each a file or a part of one, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SPLITS", "Clip", "Columns", "Dataset", "name_some", "side_of"]

# Further words name splits that are neither trained nor validated on; of these, "test" is one to keep clean.
SPLITS = {
    "": "training",
    "train": "training",
    "training": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_NAMED = 5  # labels or columns that a message names before it says "…"


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file of a data set, or a part of one.

    Parameters
    ----------
    path : Path
        Absolute.
    label : str
        Its class; empty where nothing says.
    split : str
        As the manifest says; empty where it does not.
    group : str
        What else its like sounds come from, a recording or a speaker; the path where nothing says.
    licence : str
        Of the clip, as the manifest says.
    weight : float
        How often its class is drawn, relative to other classes: the mean over the clips of the class.
    start, end : float, optional
        Seconds; None where all of the file is meant from its begin, or to its end.
    """

    path: Path
    label: str
    split: str
    group: str
    licence: str = ""
    weight: float = 1.0
    start: float | None = None
    end: float | None = None

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a file only."""
        return (self.start, self.end) != (None, None)

    @property
    def name(self) -> str:
        """What no other clip is called."""
        end = "" if self.end is None else f"{self.end:g}"
        return f"{self.path}@{self.start or 0:g}-{end}" if self.is_part else str(self.path)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Clips, and the name of the folder or manifest that they come from.

    Parameters
    ----------
    name : str
    clips : tuple of Clip
    note : str
        A sentence on what of the folder was left out or not taken for a label; mostly empty.
    """

    name: str
    clips: tuple[Clip, ...]
    note: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({clip.label for clip in self.clips} - {""}))

    @property
    def labelled(self) -> bool:
        """Whether every clip has a label."""
        return all(clip.label for clip in self.clips)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a manifest are called. Only that of the paths must be there."""

    path: str = "path"
    label: str = "label"
    split: str = "split"
    group: str = "group"
    licence: str = "licence"
    weight: str = "weight"
    start: str = "start"
    end: str = "end"


def side_of(clip: Clip) -> str:
    """Say whether a clip is to learn from, to measure on, or neither, by its split."""
    return SPLITS.get(clip.split.lower(), "")


def name_some(names: Iterable[str]) -> str:
    """Spell names for a message, the first of them."""
    ordered = sorted(names)
    return ", ".join(map(repr, ordered[:_NAMED])) + ", …" * (len(ordered) > _NAMED)
