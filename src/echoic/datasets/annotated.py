"""Parts of recordings that other programs noted: label tracks of Audacity, selection tables of Raven."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from echoic.datasets.clips import Clip, Dataset
from echoic.errors import DatasetError, UsageError, quoted
from echoic.interchange.labels import read_labels
from echoic.interchange.raven import Selection, is_raven, read_raven
from echoic.scanning import SUFFIXES

__all__ = ["Part", "annotated", "annotated_folder", "tracks_of"]

#: A file, and the begin and end of a part of it.
Part = tuple[Path, float | None, float | None]
_TRACK = ".txt"
_LARGEST = 1 << 26  # bytes of a label track


def annotated(table: Path) -> Dataset:
    """Read a selection table, or a label track beside its file.

    Raises
    ------
    DatasetError
        If it is none, or no file is there that it is of.
    """
    parts, n_moments = _parts(table)
    return _dataset(table.stem, parts, _note_of(n_moments), quoted(table))


def annotated_folder(folder: Path, tracks: Sequence[Path], n_files: int) -> Dataset:
    """Read all label tracks of a folder."""
    parts: list[tuple[Path, Selection]] = []
    n_moments = 0
    for track in tracks:
        some, moments = _parts(track)
        parts += some
        n_moments += moments
    n_bare = n_files - len({path for path, _ in parts})
    bare = f"{n_bare} files without labels are left out" if n_bare else ""
    return _dataset(folder.name, parts, "; ".join(filter(None, (bare, _note_of(n_moments)))), quoted(folder))


def tracks_of(files: Sequence[Path]) -> list[Path]:
    """Find the label tracks that lie beside files, as they are named after them."""
    beside = (track for file in files for track in (Path(f"{file}{_TRACK}"), file.with_suffix(_TRACK)))
    return [track for track in dict.fromkeys(beside) if os.path.isfile(track)]  # noqa: PTH113 - names too long


def _parts(table: Path) -> tuple[list[tuple[Path, Selection]], int]:
    """Read files and their parts, but for labels at a moment, which are counted."""
    try:
        if table.stat().st_size > _LARGEST:
            raise DatasetError(f"{quoted(table)} is larger than {_LARGEST >> 20} MiB; no labels are")
        if is_raven(table):
            rows = read_raven(table)
            folder = table.parent
            bare = next((row for row in rows if not row.path), None)
            sound = _sound_of(table) if bare is not None else None
            found = [(_there(folder, row.path) if row.path else _need(sound, table), row) for row in rows]
        else:
            labels = read_labels(table.read_text("utf-8-sig"))
            sound = _need(_sound_of(table), table)
            found = [(sound, Selection("", one.start, one.end, one.text.strip())) for one in labels]
    except UnicodeDecodeError as error:
        raise DatasetError(f"{quoted(table)} is no text in UTF-8; export the labels anew") from error
    except OSError as error:
        raise DatasetError(f"{quoted(table)} cannot be read ({error.strerror}); check the path") from error
    except UsageError as error:
        raise DatasetError(f"{quoted(table)}: {error}") from error
    for _, row in found:
        if not 0 <= row.start <= row.end < float("inf"):
            raise DatasetError(
                f"{quoted(table)} names a part from {row.start:g} s to {row.end:g} s; a part begins at 0 or "
                "later, and ends behind its begin"
            )
    spans = [(path, row) for path, row in found if row.end > row.start]
    return spans, len(found) - len(spans)


def _dataset(name: str, parts: Sequence[tuple[Path, Selection]], note: str, where: str) -> Dataset:
    clips = tuple(dict.fromkeys(_clips(parts)))
    if not clips:
        raise DatasetError(f"{where} notes no part of a recording; label some, with begin and end")
    n_bare = sum(not clip.label for clip in clips)
    if 0 < n_bare < len(clips):
        raise DatasetError(f"{where} has {n_bare} labels without text; write it for all or for none")
    return Dataset(name, clips, note)


def _clips(parts: Sequence[tuple[Path, Selection]]) -> Iterator[Clip]:
    for path, row in parts:
        yield Clip(path, row.label, "", group=str(path), start=row.start, end=row.end)


def _note_of(n_moments: int) -> str:
    return f"{n_moments} labels at a moment, not over a while, are left out" if n_moments else ""


def _there(folder: Path, name: str) -> Path:
    """Find a file by the path in a table, which may be another computer's: else beside the table."""
    path = Path(os.path.abspath(folder / name))
    beside = folder / name.replace("\\", "/").rpartition("/")[2]
    # lexists() does not raise for names that are too long
    return beside if not os.path.lexists(path) and os.path.lexists(beside) else path


def _sound_of(track: Path) -> Path | None:
    """Find the file that a label track lies beside."""
    named = track.with_suffix("")
    if named.suffix.lower() in SUFFIXES and named.exists():
        return named
    beside = (path for path in sorted(track.parent.iterdir()) if path.suffix.lower() in SUFFIXES)
    return next((path for path in beside if path.stem == track.stem), None)


def _need(sound: Path | None, table: Path) -> Path:
    if sound is None:
        raise DatasetError(
            f"no file of sound lies beside {quoted(table)} that it is of; put it there, called as in "
            "street.wav and street.wav.txt"
        )
    return sound
