"""Reading data sets: folders of classes, manifests, and what other programs note of parts of recordings."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from echoic.datasets.annotated import Part, annotated, annotated_folder, tracks_of
from echoic.datasets.clips import SPLITS, Clip, Columns, Dataset, name_some
from echoic.errors import DatasetError, quoted
from echoic.scanning import SUFFIXES, Found, scan

__all__ = ["read_dataset"]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TRACK = ".txt"  # of label tracks and of selection tables
_USUAL = Columns()


def read_dataset(path: Path, columns: Columns = _USUAL) -> Dataset:
    """Read a folder, a manifest, or what Audacity or Raven noted of parts of recordings.

    The files themselves are not opened, and some of those that a manifest lists may be missing: they are
    clips all the same, which whoever decodes them finds unreadable and says so, like any other bad file.
    Rows that repeat another in all that counts here are one clip.

    Parameters
    ----------
    path : Path
        A folder; a manifest (.csv or .tsv); a selection table of Raven (.txt), whose files lie beside it or
        at their paths; or a label track of Audacity (.txt) beside its file: ``street.wav.txt`` or
        ``street.txt`` beside street.wav. Of a folder that is not labelled by its sub-folders, all label
        tracks are read.
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
    if path.suffix.lower() == _TRACK and os.path.isfile(path):  # noqa: PTH113 - as above
        return annotated(path)
    if not os.path.lexists(path):
        raise DatasetError(
            f"{quoted(path)} does not exist; name a folder of audio, or a manifest (.csv or .tsv)"
        )
    raise DatasetError(
        f"{quoted(path)} is neither a folder nor a manifest (.csv or .tsv), label track or selection table "
        "(.txt); name one of them"
    )


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
    if len(tops) > 1 and all(SPLITS.get(top.lower()) for top in tops):
        raise DatasetError(
            f"the sub-folders of {quoted(folder)} are splits, not classes ({name_some(tops)}); "
            "write a manifest with the columns path, label and split"
        )
    labelled = len(tops) > 1 or not n_above
    if not labelled and (tracked := tracks_of([path for path, _ in found])):
        return annotated_folder(folder, tracked, len(found))
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
    clips: dict[Part, Clip] = {}
    lines: dict[Part, int] = {}
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
            start=_time(told.get("start", ""), "start", f"line {line} of {name}"),
            end=_time(told.get("end", ""), "end", f"line {line} of {name}"),
        )
        _check_part(clip, f"line {line} of {name}")
        part = (path, clip.start, clip.end)
        if clips.setdefault(part, clip) != clip:
            raise DatasetError(
                f"lines {lines[part]} and {line} of {name} say different things of {told['path']!r}; "
                "keep the one that is right"
            )
        lines.setdefault(part, line)
    if not clips:
        raise DatasetError(f"{name} lists no files; add a row for each")
    bare = [part for part, clip in clips.items() if not clip.label]
    if 0 < len(bare) < len(clips):
        raise DatasetError(
            f"{name} leaves column {columns.label!r} empty in {len(bare)} rows, the first in line "
            f"{lines[bare[0]]}; fill it in for all clips or for none"
        )
    # Path.exists() raises for names that are too long.
    if not any(map(os.path.exists, [path for path, *_ in clips])):
        raise DatasetError(
            f"none of the files that {name} lists exists, such as {quoted(next(iter(clips))[0])}; "
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


def _time(text: str, column: str, where: str) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = math.nan
    if seconds is not None and not 0 <= seconds < math.inf:
        raise DatasetError(f"{where} has {text!r} for its {column}; give seconds from 0 on")
    return seconds


def _check_part(clip: Clip, where: str) -> None:
    if clip.end is not None and clip.end <= (clip.start or 0.0):
        raise DatasetError(
            f"{where} names a part from {clip.start or 0:g} s to {clip.end:g} s; a part ends behind its begin"
        )


def _weight(text: str, where: str) -> float:
    try:
        weight = float(text or 1)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DatasetError(f"{where} has {text!r} for a weight; give a number above 0")
    return weight
