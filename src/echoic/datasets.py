"""Data sets to train and to measure on: clips with what a folder or a manifest says of them.

A folder whose audio lies in sub-folders has a class per sub-folder, named like it; what lies beside two such
or more has no label and is left out. With audio directly in it and no sub-folders, or one, a folder is not
labelled. A manifest is a table with a header, in UTF-8, one clip a row: ``.csv`` with commas or
``.tsv`` with tabs, fields quoted as CSV has it. Its paths are relative to its own folder.

Clips of one group, a recording that was cut up or a speaker, are alike for reasons that have nothing to do
with their label. To learn from some and be measured on others would flatter, so a group is divided never.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from echoic.errors import DatasetError, UsageError, quoted
from echoic.scanning import SUFFIXES, Found, scan

__all__ = ["Clip", "Columns", "Dataset", "check_trainable", "divide", "read_dataset"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
# Further words name splits that are neither trained nor validated on; of these, "test" is one to keep clean.
_SPLITS = {
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
# Held-out groups of a label: a clip is a hit for one of its label in another group, which two make possible.
_PAIR = 2
_NAMED = 5  # labels or columns that a message names before it says "…"


@dataclass(frozen=True, slots=True)
class Clip:
    """One audio file of a data set.

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
    """

    path: Path
    label: str
    split: str
    group: str
    licence: str = ""
    weight: float = 1.0


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


def read_dataset(path: Path, columns: Columns = Columns()) -> Dataset:
    """Read a folder or a manifest.

    The files themselves are not opened, and some of those that a manifest lists may be missing: they are
    clips all the same, which whoever decodes them finds unreadable and says so, like any other bad file.
    Rows that repeat another in all that counts here are one clip.

    Parameters
    ----------
    path : Path
        A folder, or a manifest (.csv or .tsv).
    columns : Columns
        Of a manifest. One that differs from its default must be there.

    Raises
    ------
    DatasetError
        If it is not there, holds no audio, or a row of the manifest makes no sense.

    Examples
    --------
    >>> dataset = read_dataset(Path("animals"))  # doctest: +SKIP
    >>> dataset.labels  # doctest: +SKIP
    ('cat', 'dog')
    """
    path = Path(os.path.abspath(path))
    if os.path.isdir(path):  # noqa: PTH112 - the other raises where a folder above is closed
        return _folder(path)
    if path.suffix.lower() in _DELIMITERS:
        return Dataset(path.stem, tuple(_clips_listed(path, columns)))
    if not os.path.lexists(path):
        raise DatasetError(
            f"{quoted(path)} does not exist; name a folder of audio, or a manifest (.csv or .tsv)"
        )
    raise DatasetError(f"{quoted(path)} is neither a folder nor a manifest (.csv or .tsv); name one of them")


def divide(dataset: Dataset, *, validation: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Divide a data set into clips to learn from and clips to measure on.

    The ``split`` of the clips decides where it names any for validation: "validation", "valid", "val" or
    "dev"; "train", "training" and none at all mean to learn from them. Otherwise whole groups of those are
    held out, of each label about the share asked for: at least two groups where it has four or more, one
    where it has two or three, and none of a label that would be left with nothing to learn from. Clips of
    any other split, "test" say, are in neither part.

    The result depends on the seed and on what is in the data set: neither on the order of its clips, nor on
    the folder that they lie in.

    Parameters
    ----------
    dataset : Dataset
    validation : float
        Share of the clips to hold out, 0 … 1, where the data set does not say; at 0 none are.
    seed : int
        Chooses the groups.

    Returns
    -------
    train, validation : Dataset
        Clips in the order of the data set.

    Raises
    ------
    DatasetError
        If nothing is left to learn from or can be held out, or the splits of the data set put clips of one
        group on two sides, or only some of the labels of its validation split can be learnt from the other.
    UsageError
        If the share is not one.
    """
    if not 0 <= validation < 1:
        raise UsageError(f"the share to validate on must be at least 0 and less than 1, not {validation:g}")
    sides: dict[str, list[Clip]] = defaultdict(list)
    for clip in dataset.clips:
        sides[_side(clip)].append(clip)
    _check_groups(dataset)
    if not sides["training"]:
        splits = name_some({clip.split for clip in dataset.clips})
        raise DatasetError(
            f"{dataset.name} has no clips to learn from: its splits are {splits}; call one of them 'train'"
        )
    if sides["validation"]:
        _check_labels(dataset.name, sides["training"], sides["validation"])
        held = frozenset(clip.group for clip in sides["validation"])
    elif validation:
        held = _held_out(sides["training"], validation, seed)
        if not held:
            raise DatasetError(
                f"nothing of {dataset.name} can be held out to measure on: "
                + (
                    "each class has one clip or group only; give two or more of some, better four"
                    if dataset.labelled
                    else "without labels that takes at least three recordings or groups; add some"
                )
            )
    else:
        held = frozenset()
    used = [clip for clip in dataset.clips if _side(clip) in ("training", "validation")]
    return (
        Dataset(dataset.name, tuple(clip for clip in used if clip.group not in held)),
        Dataset(dataset.name, tuple(clip for clip in used if clip.group in held)),
    )


def check_trainable(train: Dataset, validation: Dataset) -> None:
    """See that a space can be learnt from one part of a data set and measured on the other.

    Parameters
    ----------
    train, validation : Dataset
        As :func:`divide` gives them. Nothing is asked of an empty validation part.

    Raises
    ------
    DatasetError
        If there is nothing to tell apart, or no two clips that belong together.
    """
    if not (train.labelled and validation.labelled):
        if len(train.clips) < 2:
            raise DatasetError(
                f"{train.name} has {len(train.clips)} recording to learn from; without labels a space needs "
                "at least two to tell apart"
            )
        return
    for part, role in ((train, "to learn from"), (validation, "to measure on")):
        if len(part.labels) == 1:
            raise DatasetError(
                f"{part.name} has only one class, {part.labels[0]!r}, {role}; "
                "a space needs at least two to tell apart"
            )
    if len(train.clips) == len(train.labels):
        raise DatasetError(
            f"{train.name} has only one clip of each class to learn from; "
            "a space needs classes of at least two clips to bring together"
        )
    groups = Counter(label for label, _ in {(clip.label, clip.group) for clip in validation.clips})
    if groups and max(groups.values()) < _PAIR:
        raise DatasetError(
            f"{validation.name} cannot be measured on: no class has two clips or groups held out that could "
            "find each other; give some classes at least four"
        )


def _side(clip: Clip) -> str:
    return _SPLITS.get(clip.split.lower(), "")


def name_some(names: Iterable[str]) -> str:
    """Spell names for a message, the first of them."""
    ordered = sorted(names)
    return ", ".join(map(repr, ordered[:_NAMED])) + ", …" * (len(ordered) > _NAMED)


# Folders


def _folder(folder: Path) -> Dataset:
    found: list[tuple[Path, tuple[str, ...]]] = []
    for item in scan([folder]):
        path = Path(item.path)
        # A file that cannot be read is a clip that cannot be read; a folder may hide any number of them.
        if not isinstance(item, Found) and (path == folder or path.suffix.lower() not in SUFFIXES):
            raise DatasetError(item.message)
        found.append((path, path.relative_to(folder).parts))
    if not found:
        raise DatasetError(f"{quoted(folder)} holds no audio; name a folder that does, or a manifest")
    tops = {parts[0] for _, parts in found if len(parts) > 1}
    n_above = sum(len(parts) == 1 for _, parts in found)
    if len(tops) > 1 and all(_SPLITS.get(top.lower()) for top in tops):
        raise DatasetError(
            f"the sub-folders of {quoted(folder)} are splits, not classes ({name_some(tops)}); "
            "write a manifest with the columns path, label and split"
        )
    labelled = len(tops) > 1 or not n_above
    note = ""
    if n_above and tops:
        files = "1 file lies" if n_above == 1 else f"{n_above} files lie"
        note = f"{files} directly in {quoted(folder)}, beside " + (
            f"its {len(tops)} class folders: without a label, so left out"
            if labelled
            else f"its one folder, {name_some(tops)}: no names are taken for labels; "
            "move them into folders of their class for that"
        )
    clips = tuple(
        Clip(path, label=parts[0] if labelled else "", split="", group=str(path))
        for path, parts in found
        if len(parts) > 1 or not labelled
    )
    return Dataset(folder.name, clips, note)


# Manifests


def _clips_listed(manifest: Path, columns: Columns) -> Iterator[Clip]:
    header, rows = _table(manifest)
    places = _places(manifest, header, columns)
    name = quoted(manifest)
    clips: dict[Path, Clip] = {}
    lines: dict[Path, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise DatasetError(
                f"line {line} of {name} has {len(row)} fields and its header {len(header)}; "
                "quote a field that holds a delimiter"
            )
        told = {field: row[place].strip() for field, place in places.items()}
        if not told["path"]:
            raise DatasetError(f"line {line} of {name} names no file in column {columns.path!r}; fill it in")
        path = Path(os.path.abspath(manifest.parent / told["path"]))
        clip = Clip(
            path,
            label=told.get("label", ""),
            split=told.get("split", ""),
            group=told.get("group", "") or str(path),
            licence=told.get("licence", ""),
            weight=_weight(told.get("weight", ""), f"line {line} of {name}"),
        )
        if clips.setdefault(path, clip) != clip:
            raise DatasetError(
                f"lines {lines[path]} and {line} of {name} say different things of {told['path']!r}; "
                "keep the one that is right"
            )
        lines.setdefault(path, line)
    if not clips:
        raise DatasetError(f"{name} lists no files; add a row for each")
    bare = [path for path, clip in clips.items() if not clip.label]
    if 0 < len(bare) < len(clips):
        raise DatasetError(
            f"{name} leaves column {columns.label!r} empty in {len(bare)} rows, the first in line "
            f"{lines[bare[0]]}; fill it in for all clips or for none"
        )
    if not any(map(os.path.exists, clips)):  # Path.exists() raises for names that are too long
        raise DatasetError(
            f"none of the files that {name} lists exists, such as {quoted(next(iter(clips)))}; "
            "its paths must be absolute, or relative to its own folder"
        )
    yield from clips.values()


def _table(manifest: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a manifest: its header, and its rows with the line in which each ends."""
    name = quoted(manifest)
    try:
        data = manifest.read_bytes()
    except OSError as error:
        raise DatasetError(f"{name} cannot be read ({error.strerror}); check the path") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"line {line} of {name} is not UTF-8 text; save the table as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DatasetError(f"line {line} of {name} holds a NUL, so it is no text; save the table as UTF-8")
    delimiter = _DELIMITERS[manifest.suffix.lower()]
    # Strict: a quote that is never closed would swallow the rows that follow.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise DatasetError(
            f"line {reader.line_num} of {name} is not as CSV has it ({error}); mend it"
        ) from error
    if not rows:
        raise DatasetError(f"{name} is empty; it needs a header, and a row for each file")
    return [column.strip() for column in rows[0][1]], rows[1:]


def _places(manifest: Path, header: Sequence[str], columns: Columns) -> Mapping[str, int]:
    """Find the columns: the place of each that is there, by the field of :class:`Columns`."""
    usual = Columns()
    places = {}
    for field in (field.name for field in fields(Columns)):
        column = getattr(columns, field)
        if header.count(column) > 1:
            raise DatasetError(f"{quoted(manifest)} has {header.count(column)} columns {column!r}; keep one")
        if column in header:
            places[field] = header.index(column)
        elif field == "path" or column != getattr(usual, field):
            raise DatasetError(
                f"the manifest {quoted(manifest)} has no column {column!r}; its columns are "
                f"{', '.join(map(repr, header))}; say --{field}-column NAME"
            )
    return places


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DatasetError(f"{where} has {text!r} for a weight; give a number above 0")
    return weight


# Dividing


def _check_groups(dataset: Dataset) -> None:
    sides: dict[str, str] = {}
    for clip in dataset.clips:
        side = _side(clip)
        if side and sides.setdefault(clip.group, side) != side:
            raise DatasetError(
                f"the group {clip.group!r} of {dataset.name} has clips in the {sides[clip.group]} split and "
                f"in the {side} split; put all clips of a group into one"
            )


def _check_labels(name: str, train: Sequence[Clip], validation: Sequence[Clip]) -> None:
    learnt = {clip.label for clip in train}
    measured = {clip.label for clip in validation}
    # With none in common it is meant: how well the space holds for classes that it never saw.
    if learnt & measured and measured - learnt:
        strange = measured - learnt
        noun, verb = ("label", "is") if len(strange) == 1 else ("labels", "are")
        raise DatasetError(
            f"{noun} {name_some(strange)} {verb} only in the validation split of {name}: "
            "learn from some of their clips too, or validate on classes that are all new"
        )


def _held_out(clips: Sequence[Clip], share: float, seed: int) -> frozenset[str]:
    """Choose the groups to hold out: a share of each label, and something of each left to learn from."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)  # of each group, its clips by label
    for clip in clips:
        sizes[clip.group][clip.label] += 1
    n_clips = Counter(clip.label for clip in clips)
    n_groups = Counter(label for group in sizes.values() for label in group)
    target = {label: max(1, round(share * n)) for label, n in n_clips.items()}
    held_clips: Counter[str] = Counter()
    held_groups: Counter[str] = Counter()
    held: set[str] = set()

    def may_go(group: str) -> bool:
        # Without a label it is recordings that are told apart, and one alone cannot be.
        return group not in held and all(
            n_groups[label] - held_groups[label] > (1 if label else 2) for label in sizes[group]
        )

    def hold(group: str) -> None:
        held.add(group)
        held_clips.update(sizes[group])
        held_groups.update(sizes[group].keys())

    def gain(group: str) -> float:
        """How much nearer to the targets the group brings its labels, by squared distance."""
        return sum(
            n * (2 * (target[label] - held_clips[label]) - n) / n_clips[label]
            for label, n in sizes[group].items()
        )

    ordered = sorted(sizes)
    shuffled = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    for group in shuffled:
        if may_go(group) and gain(group) > 0:
            hold(group)
    # Groups larger than the share asked for, and labels of which it is less than a pair.
    smallest_first = sorted(shuffled, key=lambda group: sizes[group].total())
    for label in sorted(n_groups):
        wanted = _PAIR if n_groups[label] >= 2 * _PAIR else 1
        for group in smallest_first:
            if held_groups[label] >= wanted:
                break
            if label in sizes[group] and may_go(group):
                hold(group)
    return frozenset(held)
