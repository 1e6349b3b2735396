"""The catalog's verbs: what is asked of a library's database, and what is written into it.

Paths are absolute and kept as bytes, since a file name need not be valid Unicode. Methods that write must
run inside :meth:`Catalog.transaction`; only one thread of all processes may hold :meth:`Catalog.writing`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from echoic.audio.tags import folded, tag_values
from echoic.errors import LibraryError, UsageError
from echoic.spec import EncoderSpec
from echoic.storage.catalog.conditions import HEARD, among, encoded, fits_glob, parse_tag, readings
from echoic.storage.catalog.conditions import under as at_or_under
from echoic.storage.catalog.database import Database
from echoic.storage.catalog.schema import EARLIER_SPANS
from echoic.types import AudioInfo, FileRecord, FileState, Note
from echoic.untrusted import shown

__all__ = ["Catalog", "HeardSpans", "Known"]

_FILE_COLUMNS = (
    "id, path, size, mtime_ns, digest, duration, sample_rate, channels, codec, state, message, notes"
)
_SHOWN = 0.1  # s to which durations are shown


#: Of a kind of sound: whether it is told, and its spans, (start, end, probability) each.
HeardSpans = tuple[bool, list[tuple[float, float, float]]]


class Known(NamedTuple):
    """What a file was like when it was indexed, and the collections that it is in."""

    id: int
    path: str
    size: int
    mtime_ns: int
    digest: str
    state: FileState
    notes: tuple[Note, ...]
    encoders: tuple[str, ...]


class Catalog(Database):
    """An open catalog, for any number of threads.

    Parameters
    ----------
    folder : Path
        The library's folder, made if it is not there.

    Raises
    ------
    LibraryError
        If the database is damaged, of a newer version, or the folder cannot be written.
    """

    # Settings and encoders

    def setting(self, name: str) -> str | None:
        """Return a setting of the library, or None."""
        row = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting with the library."""
        self.connection.execute(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def add_encoder(self, spec: EncoderSpec, source: str) -> None:
        """Use this revision of an encoder from now on; if it is known it keeps its files."""
        if self.encoders().get(source) == spec:
            return
        fields = asdict(spec) | {"inputs": sorted(spec.inputs), "purposes": sorted(spec.purposes)}
        self.connection.execute(
            "INSERT INTO encoders (key, spec, source, turn)"
            " SELECT ?, ?, ?, coalesce(max(turn), 0) + 1 FROM encoders WHERE true"
            " ON CONFLICT (key) DO UPDATE SET spec = excluded.spec, source = excluded.source,"
            " turn = excluded.turn",
            (spec.key, json.dumps(fields), source),
        )

    def encoders(self) -> dict[str, EncoderSpec]:
        """Return the encoders in use by their source, in the order they were added."""
        return dict(self._revisions())

    def superseded(self) -> dict[EncoderSpec, EncoderSpec]:
        """Return the revisions that another of the same source has taken the place of, and which one."""
        in_use = self.encoders()
        return {spec: in_use[source] for source, spec in self._revisions() if in_use[source] != spec}

    def _revisions(self) -> list[tuple[str, EncoderSpec]]:
        found = []
        for source, text in self.connection.execute("SELECT source, spec FROM encoders ORDER BY turn"):
            try:
                fields = json.loads(text)
                sets = {name: frozenset(fields[name]) for name in ("inputs", "purposes")}
                found.append((source, EncoderSpec(**fields | sets)))
            except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
                raise LibraryError(
                    f"what the library {self.folder} says of the encoder {shown(source)} cannot be used "
                    f"({error}); index into another with --library"
                ) from error
        return found

    def delete_encoder(self, key: str) -> None:
        """Forget an encoder's revision, which files are in its collection, and what is heard by it alone."""
        by_it = "SELECT file_id FROM listened WHERE substr(head, 1, length(?1) + 1) = ?1 || ' '"
        self.connection.execute(f"DELETE FROM heard WHERE file_id IN ({by_it})", (key,))
        self.connection.execute(f"DELETE FROM listened WHERE file_id IN ({by_it})", (key,))
        self.connection.execute("DELETE FROM encoders WHERE key = ?", (key,))

    # Files

    def files(
        self, under: Path | None = None, *, file_ids: Collection[int] | None = None
    ) -> list[FileRecord]:
        """Return all files, or those at or under a path, or those of some ids, in order of path."""
        listed = self.connection.WHOLES
        condition, values = at_or_under(under) if file_ids is None else among(file_ids, listed)
        encoders: dict[int, list[str]] = {}
        chosen = f"file_id IN (SELECT id FROM files WHERE {condition})"
        for file_id, key in self.connection.execute(
            "SELECT file_id, key FROM encoded JOIN encoders ON encoder_id = encoders.id"
            f" WHERE {chosen} ORDER BY encoder_id",
            values,
        ):
            encoders.setdefault(file_id, []).append(key)
        tags: dict[int, dict[str, tuple[str, ...]]] = {}
        for file_id, name, value in self.connection.execute(
            f"SELECT file_id, name, value FROM tags WHERE {chosen} ORDER BY name, value", values
        ):
            known = tags.setdefault(file_id, {})
            known[name] = (*known.get(name, ()), value)
        heard: dict[int, dict[str, float]] = {}
        for file_id, label, probability in self.connection.execute(
            f"SELECT file_id, label, probability FROM heard WHERE is_told AND {chosen}"
            " ORDER BY probability DESC, label",
            values,
        ):
            heard.setdefault(file_id, {})[label] = probability
        rows = self.connection.execute(
            f"SELECT {_FILE_COLUMNS} FROM files WHERE {condition} ORDER BY path", values
        )
        return [
            _record(row, tuple(encoders.get(row[0], ())), tags.get(row[0], {}), heard.get(row[0], {}))
            for row in rows
        ]

    def known_at(self, path: Path) -> Known | None:
        """Return what is needed to tell whether the file at a path has changed, or None."""
        rows = self.connection.execute(
            "SELECT files.id, path, size, mtime_ns, digest, state, notes, key FROM files"
            " LEFT JOIN encoded ON file_id = files.id LEFT JOIN encoders ON encoder_id = encoders.id"
            " WHERE path = ? ORDER BY encoder_id",
            (encoded(path),),
        ).fetchall()
        return _known(rows[0], [row[-1] for row in rows if row[-1] is not None]) if rows else None

    def paths_of_size(self, size: int) -> Iterator[str]:
        """Go through the paths of the files that had a size in bytes, in order."""
        query = "SELECT path FROM files WHERE size = ? ORDER BY path"
        for (path,) in self.connection.execute(query, (size,)):
            yield os.fsdecode(path)

    def stamps_between(self, first: str, last: str, most: int) -> dict[tuple[str, int, int], int]:
        """Return ids by path, size and time stamp, in order of path, but for files that failed.

        Parameters
        ----------
        first, last : str
            Absolute paths; the least and greatest that are wanted.
        most : int
            How many to return at most.
        """
        rows = self.connection.execute(
            "SELECT path, size, mtime_ns, id FROM files WHERE path BETWEEN ? AND ? AND state <> 'failed'"
            " ORDER BY path LIMIT ?",
            (os.fsencode(first), os.fsencode(last), most),
        )
        return {(os.fsdecode(path), size, mtime_ns): i for path, size, mtime_ns, i in rows}

    def paths_in(self, keys: Collection[str]) -> list[Path]:
        """Return the paths of the files that are in one of some collections, in order."""
        rows = self.connection.execute(
            "SELECT DISTINCT path FROM files JOIN encoded ON file_id = files.id"
            f" JOIN encoders ON encoder_id = encoders.id WHERE key IN ({self.connection.TEXTS})"
            " ORDER BY path",
            (json.dumps(list(keys)),),
        )
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def paths(self, file_ids: Sequence[int]) -> dict[int, str]:
        """Return the paths of files by id; ids without a file are left out."""
        found = {}
        for file_id in file_ids:  # a few dozen look-ups by primary key: microseconds each
            row = self.connection.execute("SELECT path FROM files WHERE id = ?", (file_id,)).fetchone()
            if row is not None:
                found[file_id] = os.fsdecode(row[0])
        return found

    def matching(
        self,
        *,
        path: str | Sequence[str] | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> set[int]:
        """Return the ids of the files that fit every condition.

        Parameters
        ----------
        path : str or sequence of str, optional
            A glob on the whole path, or, unless it starts at the root, on the end of it; of a file, or of a
            folder that it lies in. ``*`` also spans folders. Of several, one must fit.
        min_duration, max_duration : float, optional
            Seconds, inclusive.
        tags : sequence of str
            Each must be among the file's tags, in any case: ``VALUE`` of any name, or ``NAME=VALUE``.

        Raises
        ------
        UsageError
            If a tag or a glob is empty, or no file could be so long.
        """
        least, most = min_duration or 0.0, np.inf if max_duration is None else max_duration
        if not 0 <= least <= most:
            raise UsageError(f"no file lasts {least:g} s or longer, and {most:g} s or shorter")
        rows = self.connection.execute(
            "SELECT id, path FROM files WHERE duration > ? AND duration < ?",
            # A file of 5.0000625 s is shown as 5.0 s, and asked for so.
            (least - _SHOWN / 2, most + _SHOWN / 2),
        )
        found = {file_id: os.fsdecode(encoded) for file_id, encoded in rows}
        if path is not None:
            globs = [path] if isinstance(path, str) else path
            if "" in globs:
                raise UsageError("an empty glob fits no file; give one, as in 'drums/*.wav'")
            found = {i: p for i, p in found.items() if any(fits_glob(p, glob) for glob in globs)}
        for tag in [tags] if isinstance(tags, str) else tags:
            tagged = self._tagged(tag)
            found = {i: p for i, p in found.items() if i in tagged}
        return set(found)

    def _tagged(self, tag: str) -> set[int]:
        """Return the ids of all files that have a tag."""
        query = (  # a tag of a file's own may have the name; it is found by its value alone
            "SELECT file_id FROM tags WHERE folded = ?1 AND (?2 = '' OR (name = ?2 AND name != ?3))"
            " UNION SELECT file_id FROM heard WHERE folded = ?1 AND ?2 IN (?3, '')"
        )
        return set().union(
            *(
                set.intersection(
                    *(
                        {i for (i,) in self.connection.execute(query, (value, name, HEARD))}
                        for value in values
                    )
                )
                for name, values in readings(tag)
            )
        )

    def is_empty(self) -> bool:
        """Tell whether there is no file, without looking at all of them, as counting does."""
        return not self.connection.execute("SELECT EXISTS (SELECT 1 FROM files)").fetchone()[0]

    def count(self) -> dict[FileState, int]:
        """Count the files in each state."""
        return dict(self.connection.execute("SELECT state, count(*) FROM files GROUP BY state").fetchall())

    def total_duration(self) -> float:
        """Sum the durations of all files, in seconds."""
        return float(self.connection.execute("SELECT coalesce(sum(duration), 0) FROM files").fetchone()[0])

    def put_file(
        self, path: Path, size: int, mtime_ns: int, digest: str, info: AudioInfo, state: FileState
    ) -> int:
        """Write a file's row, new or changed, and return its id."""
        file_id = self.connection.execute(
            "INSERT INTO files (path, size, mtime_ns, digest, duration, sample_rate, channels, codec, state,"
            " message, notes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " digest = excluded.digest, duration = excluded.duration, sample_rate = excluded.sample_rate,"
            " channels = excluded.channels, codec = excluded.codec, state = excluded.state,"
            " message = excluded.message, notes = excluded.notes RETURNING id",
            (
                encoded(path),
                size,
                mtime_ns,
                digest,
                info.duration,
                info.sample_rate,
                info.channels,
                info.codec,
                state,
                info.lost,
                json.dumps([asdict(note) for note in info.notes]) if info.notes else "",
            ),
        ).fetchone()[0]
        self.connection.execute("DELETE FROM tags WHERE file_id = ? AND NOT given", (file_id,))
        for spelt, text in info.tags.items():
            name = folded(spelt)
            self.connection.executemany(
                "INSERT INTO tags (file_id, name, folded, value, given) VALUES (?, ?, ?, ?, false)"
                " ON CONFLICT DO NOTHING",
                [(file_id, name, folded(value), value) for value in tag_values(name, text)],
            )
        return int(file_id)

    def put_failure(self, path: Path, size: int, mtime_ns: int, message: str) -> None:
        """Record that a file cannot be used; an earlier version of it stays searchable."""
        self.connection.execute(
            "INSERT INTO files (path, size, mtime_ns, digest, duration, sample_rate, channels, codec, state,"
            " message) VALUES (?, ?, ?, '', 0, 0, 0, '', 'failed', ?)"
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " digest = '', state = 'failed', message = excluded.message",
            (encoded(path), size, mtime_ns, message),
        )

    def touch_file(self, file_id: int, size: int, mtime_ns: int) -> None:
        """Note a new time stamp of a file whose content is as it was."""
        self.connection.execute(
            "UPDATE files SET size = ?, mtime_ns = ? WHERE id = ?", (size, mtime_ns, file_id)
        )

    def move_file(self, file_id: int, path: Path, mtime_ns: int) -> None:
        """Give a renamed file its new path; its vectors stay."""
        self.connection.execute(
            "UPDATE files SET path = ?, mtime_ns = ? WHERE id = ?", (encoded(path), mtime_ns, file_id)
        )

    def delete_files(self, file_ids: Sequence[int]) -> None:
        """Forget files with their tags, and which collections they are in."""
        self.connection.executemany("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in file_ids])

    def ids_at(self, path: Path) -> Iterator[int]:
        """Go through the ids of the files at or under a path, in order of path."""
        condition, values = at_or_under(path)
        rows = self.connection.execute(f"SELECT id FROM files WHERE {condition} ORDER BY path", values)
        return (file_id for (file_id,) in rows)

    def ids_named(self, path: Path) -> list[int]:
        """Return the ids of the files at or under a path, or, where there are none, of those in a glob."""
        return list(self.ids_at(path)) or sorted(self.matching(path=os.fspath(path)))

    def tag_files(self, file_ids: Sequence[int], tags: Sequence[str]) -> None:
        """Add tags that a person gave, ``VALUE`` or ``NAME=VALUE``.

        Raises
        ------
        UsageError
            If a tag is empty, or what is heard.
        """
        for name, values in map(parse_tag, tags):
            self.connection.executemany(
                "INSERT INTO tags (file_id, name, folded, value, given) VALUES (?, ?, ?, ?, true)"
                " ON CONFLICT (file_id, name, folded) DO UPDATE SET value = excluded.value, given = true",
                [(file_id, name, folded(value), value) for file_id in file_ids for value in values],
            )

    def untag_files(self, file_ids: Sequence[int], tags: Sequence[str]) -> None:
        """Take tags away: ``VALUE`` under any name, or ``NAME=VALUE``.

        Raises
        ------
        UsageError
            If a tag is empty, or what is heard.
        """
        for tag in tags:
            parse_tag(tag)
        wanted = {(name, value) for tag in tags for name, values in readings(tag) for value in values}
        self.connection.executemany(
            "DELETE FROM tags WHERE file_id = ? AND folded = ? AND (name = ? OR ? = '')",
            [(file_id, value, name, name) for file_id in file_ids for name, value in wanted],
        )

    # What is heard

    def put_heard(self, file_id: int, head: str, heard: Mapping[str, HeardSpans]) -> None:
        """Write what is heard in a file, by label, and what told it, in place of what was heard before."""
        self.connection.execute("DELETE FROM heard WHERE file_id = ?", (file_id,))
        self.connection.executemany(
            "INSERT INTO heard (file_id, folded, label, probability, is_told, spans)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (file_id, folded(label), label, max(p for *_, p in spans), is_told, json.dumps(spans))
                for label, (is_told, spans) in heard.items()
            ],
        )
        self.connection.execute(
            "INSERT INTO listened VALUES (?, ?) ON CONFLICT (file_id) DO UPDATE SET head = excluded.head",
            (file_id, head),
        )

    def heard_in(self, file_id: int) -> list[tuple[str, float, float, float]]:
        """Return what is told of a file: label, start, end and probability, in order of time."""
        rows = self.connection.execute(
            "SELECT label, spans FROM heard WHERE file_id = ? AND is_told", (file_id,)
        )
        found = []
        for label, text in rows:
            try:
                found += [(label, *map(float, span)) for span in json.loads(text)]
            except (RecursionError, TypeError, ValueError) as error:
                raise sqlite3.DatabaseError(f"its spans are none: {error}") from error
        return sorted(found, key=lambda span: (*span[1:3], span[0]))

    def unheard(self, key: str, head: str) -> list[int]:
        """Return the ids of the files of a collection in which something else, or nothing, listened."""
        rows = self.connection.execute(
            "SELECT file_id FROM encoded JOIN encoders ON encoder_id = encoders.id"
            " LEFT JOIN listened USING (file_id) WHERE key = ?"
            " AND (head IS NULL OR head <> ?) ORDER BY file_id",
            (key, head),
        )
        return [file_id for (file_id,) in rows]

    # What is in the stores

    def put_encoded(self, file_id: int, key: str, n_segments: int) -> None:
        """Note that a file is in a collection, and with how many segments."""
        self.connection.execute(
            "INSERT INTO encoded SELECT ?, id, ? FROM encoders WHERE key = ?"
            " ON CONFLICT (file_id, encoder_id) DO UPDATE SET n_segments = excluded.n_segments",
            (file_id, n_segments, key),
        )

    def n_segments(self, key: str) -> Iterator[tuple[int, int]]:
        """Count the segments of each file that is in a collection: 0 where nothing can be heard."""
        return self.connection.stream(
            "SELECT file_id, n_segments FROM encoded JOIN encoders ON encoder_id = encoders.id"
            " WHERE key = ? ORDER BY file_id",
            (key,),
        )

    def earlier_spans(self, key: str) -> list[tuple[int, bytes, bytes, int]]:
        """Return (file, starts, ends, checksum) of what an older Echoic kept here and not in the store."""
        if not self.connection.has_table(EARLIER_SPANS):
            return []
        return self.connection.execute(
            f"SELECT file_id, starts, ends, checksum FROM {EARLIER_SPANS}"
            " JOIN encoders ON encoder_id = encoders.id WHERE key = ?",
            (key,),
        ).fetchall()

    def forget_earlier_spans(self, key: str) -> None:
        """Forget them, once the store has them."""
        self.connection.execute(
            f"DELETE FROM {EARLIER_SPANS} WHERE encoder_id IN (SELECT id FROM encoders WHERE key = ?)", (key,)
        )
        if not self.connection.execute(f"SELECT EXISTS (SELECT 1 FROM {EARLIER_SPANS})").fetchone()[0]:
            self.connection.execute(f"DROP TABLE {EARLIER_SPANS}")


def _known(row: tuple[Any, ...], keys: Sequence[str]) -> Known:
    fields = (*row[2:6], _notes(row[6]), tuple(keys))
    return Known(row[0], os.fsdecode(row[1]), *fields)


def _notes(text: str) -> tuple[Note, ...]:
    try:
        return tuple(map(_note, json.loads(text))) if text else ()
    except (RecursionError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"its notes are none: {error}") from error


def _note(kept: Any) -> Note:
    if isinstance(kept, str):  # earlier: kind and sentence in one, and no word on the track
        kind, _, sentence = kept.partition(": ")
        kept = {"kind": kind, "sentence": sentence}
    return Note(**kept)


def _record(
    row: tuple[Any, ...],
    encoders: tuple[str, ...],
    tags: dict[str, tuple[str, ...]],
    heard: dict[str, float],
) -> FileRecord:
    fields = (row[0], os.fsdecode(row[1]), *row[2:-1], encoders, tags, _notes(row[-1]), heard)
    return FileRecord(*fields)
