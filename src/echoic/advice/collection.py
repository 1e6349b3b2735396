"""What is in a folder or a manifest, and which of its files are listened to.

How long all files are, nobody knows before they are read. It is told by their sizes, which the file system
knows, and by how many seconds a byte has in the files of the sample, for each suffix by itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.datasets import Clip, Columns, read_dataset
from echoic.errors import DatasetError, UsageError
from echoic.scanning import Found, scan, suffix_of

__all__ = ["Collection", "draw", "durations", "read_collection"]

_A_CLASS = 2  # files of each class that is drawn, at least: many classes tell more than many files of a few
_SEED = 0


@dataclass(frozen=True, slots=True)
class Collection:
    """Files, their sizes, and what is known of them.

    Parameters
    ----------
    clips : tuple of Clip
        Without labels, where none are to be measured by.
    sizes : dict of Path to int
        Bytes of each file.
    labelled : bool
        Whether every clip has a label, and some find others of their own.
    notes : tuple of str
        Sentences on what was left out, or not taken for labels.
    """

    clips: tuple[Clip, ...]
    sizes: dict[Path, int]
    labelled: bool
    notes: tuple[str, ...] = ()


def read_collection(folder: Path, columns: Mapping[str, str], *, labels: bool) -> Collection:
    """Read a folder or a manifest as ``echoic evaluate`` does; without labels where they tell nothing.

    Parameters
    ----------
    columns : mapping of str to str
        What the columns of a manifest are called, by ``path``, ``label``, ``group``.
    labels : bool
        Whether to measure by labels, where there are any.

    Raises
    ------
    DatasetError
        If it is not there, holds no audio, or a row of the manifest makes no sense.
    UsageError
        If a column is none that counts.
    """
    known = {field.name for field in fields(Columns)}
    if strange := sorted(set(columns) - known):
        raise UsageError(f"columns names {strange[0]!r}, which is none of {', '.join(sorted(known))}")
    if not os.path.isdir(folder):  # noqa: PTH112 - the other raises where a folder above is closed
        clips = read_dataset(folder, Columns(**columns)).clips
        return _collection(clips, _sizes(clip.path for clip in clips), [], labels=labels)
    found = [item for item in scan([folder]) if isinstance(item, Found)]
    sizes = {Path(item.path): item.size for item in found}
    notes: list[str] = []
    try:
        dataset = read_dataset(folder)
    except DatasetError as error:
        if not sizes:
            raise
        if labels:
            notes.append(str(error))
        return _collection(_unlabelled(sizes), sizes, notes, labels=False)
    if dataset.note and labels:
        notes.append(dataset.note)
    chosen = labels and dataset.labelled
    return _collection(dataset.clips if chosen else _unlabelled(sizes), sizes, notes, labels=chosen)


def _collection(
    clips: Sequence[Clip], sizes: dict[Path, int], notes: list[str], *, labels: bool
) -> Collection:
    from echoic.evaluation.labelled import check_measurable

    if any(clip.is_part for clip in clips):
        raise DatasetError(
            "it names parts of files, and advice is on whole ones; give the folder that they lie in"
        )
    labelled = labels and any(clip.label for clip in clips)
    if labelled:
        try:
            check_measurable([clip.label for clip in clips], [clip.group for clip in clips])
        except DatasetError as error:
            notes, labelled = [*notes, f"not measured by labels: {error}"], False
    return Collection(tuple(clips), sizes, labelled, tuple(notes))


def _unlabelled(paths: Mapping[Path, int]) -> list[Clip]:
    return [Clip(path, label="", split="", group=str(path)) for path in paths]


def _sizes(paths: Iterator[Path]) -> dict[Path, int]:
    """Look up how large files are; what is not there has no size, and is told when it is read."""
    sizes = {}
    for path in paths:
        try:
            sizes[path] = path.stat().st_size
        except OSError:
            sizes[path] = 0
    return sizes


def draw(collection: Collection, n: int) -> Iterator[Clip]:
    """Yield clips in an order in which the first ``n`` are a fair sample, always the same one.

    With labels, classes take turns, of which there are at most half as many, and one whose clips are all of
    one group has none: as many as can be find each other. Whoever cannot read one takes the next.
    """
    rng = np.random.default_rng(_SEED)
    clips = sorted(collection.clips, key=lambda clip: clip.path)
    shuffled = [clips[place] for place in rng.permutation(len(clips))]
    if not collection.labelled:
        yield from shuffled
        return
    classes: dict[str, list[Clip]] = defaultdict(list)
    for clip in shuffled:
        classes[clip.label].append(clip)
    groups = {label: len({clip.group for clip in some}) for label, some in classes.items()}
    most = max(2, n // _A_CLASS)
    drawn = [_groups_in_turn(some) for label, some in classes.items() if groups[label] > 1][:most]
    for turn in range(max(map(len, drawn))):
        yield from (some[turn] for some in drawn if turn < len(some))


def _groups_in_turn(clips: Sequence[Clip]) -> list[Clip]:
    turns: dict[str, int] = defaultdict(int)
    order = []
    for place, clip in enumerate(clips):
        order.append((turns[clip.group], place))
        turns[clip.group] += 1
    return [clips[place] for _, place in sorted(order)]


def durations(collection: Collection, known: Mapping[Path, float]) -> npt.NDArray[np.float64]:
    """Tell about how many seconds each file has, shape (files,), by those that are known.

    Raises
    ------
    ValueError
        If none is known.
    """
    if not known:
        raise ValueError("durations are told by those of some files")
    seconds: dict[str, float] = defaultdict(float)
    n_bytes: dict[str, float] = defaultdict(float)
    for path, duration in known.items():
        for suffix in (suffix_of(str(path)), ""):
            seconds[suffix] += duration
            n_bytes[suffix] += collection.sizes[path]
    rates = {suffix: seconds[suffix] / max(1.0, n_bytes[suffix]) for suffix in seconds}
    told = [
        known[path] if path in known else size * rates.get(suffix_of(str(path)), rates[""])
        for path, size in collection.sizes.items()
    ]
    return np.array(told)
