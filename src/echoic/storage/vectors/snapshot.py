"""A collection as it was at one generation, laid out for searching, and its files in the cache folder.

::

    stamp.json              what the files are of; written last, put in place by a rename
    TOKEN.vectors.npy       (segments, dim) float32, mapped; not where vectors stay in the database
    TOKEN.files.npy         (2, files) int64: ids, ascending, and their numbers of segments
    TOKEN.spans.npy         the segments' times, as Spans.runs
    TOKEN.codes.faiss       the inverted file, where there are many segments and it is of use

Files are trusted when the stamp names this collection, and size and time of change are as stamped; where
only the time differs (a copied library), the checksum decides. Whatever fails is as if it were not there.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.storage.vectors.ann import InvertedFile, Mask, Matrix, Rows, nearest
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.rows import StoredMatrix
from echoic.storage.vectors.times import Spans
from echoic.types import Float32, Segments

__all__ = [
    "FLAT_LIMIT",
    "Draft",
    "InDatabase",
    "Snapshot",
    "discard",
    "is_sound",
    "lay_out",
    "load",
    "publish",
]

#: Makes a matrix of vectors that stay in the database, of files' ids and their offsets.
InDatabase = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], StoredMatrix]

# Up to here every segment is scored. Exact search of 150k x 256 takes 6 ms; it holds under a filter too.
FLAT_LIMIT = 150_000

_FORMAT = 2  # from 1: with spans
_STAMP = "stamp.json"
_VECTORS, _FILES, _SPANS, _CODES = "vectors.npy", "files.npy", "spans.npy", "codes.faiss"
# Copying selected rows together beats skipping the others in place up to about a tenth of all.
_FEW = 0.1
_ABANDONED = 3600  # s after which files without a stamp are those of a killed process
_ATTEMPTS = 3
_BLOCK = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The segments of files, in order of file and segment.

    Parameters
    ----------
    generation : int
        The write after which the collection was like this.
    file_ids : ndarray of int64, shape (files,)
        Ascending.
    offsets : ndarray of int64, shape (files + 1,)
        File ``i`` has rows ``offsets[i]:offsets[i + 1]``; none, if it was deleted.
    matrix : ndarray of float32 or StoredMatrix, shape (segments, dim)
    spans : Spans
        Of all segments.
    codes : InvertedFile, optional
    stored : bool
        Whether the cache folder holds it.
    """

    generation: int
    file_ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    matrix: Matrix
    spans: Spans
    codes: InvertedFile | None = None
    stored: bool = False

    @classmethod
    def of(cls, generation: int, counts: dict[int, int], matrix: Float32, spans: Spans) -> Snapshot:
        """Lay out vectors that are in memory: files, ascending by id, and their numbers of segments."""
        ids, sizes = np.array(list(counts), np.int64), np.array(list(counts.values()), np.int64)
        return cls(generation, ids, _offsets(sizes), matrix, spans)

    def __len__(self) -> int:
        return len(self.matrix)

    def file(self, index: int) -> Segments:
        """Segments of the file at ``index`` of ``file_ids``."""
        rows = np.arange(self.offsets[index], self.offsets[index + 1])
        return Segments(*self.spans.at(rows), self.matrix[rows])

    def search(self, queries: Float32, k: int, wanted: Mask | None = None) -> Neighbours:
        """Find neighbours among the files for which ``wanted``, shape (files,), is true.

        Returns
        -------
        Neighbours
            As many for each query: ``k``, or all segments of the files.
        """
        found, scores = self._rows(queries, k, wanted)
        files = np.searchsorted(self.offsets, found, side="right") - 1
        segments = found - self.offsets[files]
        return Neighbours(self.file_ids[files], segments, *self.spans.at(found), scores)

    def _rows(self, queries: Float32, k: int, wanted: Mask | None) -> tuple[Rows, Float32]:
        counts = np.diff(self.offsets)
        n_rows = len(self) if wanted is None else int(counts[wanted].sum())
        approximate = self.codes if n_rows > FLAT_LIMIT else None
        if wanted is None or n_rows == len(self):
            mask = None
        elif n_rows <= _FEW * len(self) and approximate is None:
            return nearest(self.matrix, queries, k, rows=self._rows_of(np.flatnonzero(wanted)))
        else:
            mask = np.repeat(wanted, counts)
        if approximate is None:
            return nearest(self.matrix, queries, k, mask=mask)
        return approximate.search(self.matrix, queries, k, mask=mask)

    def _rows_of(self, indices: Rows) -> Rows:
        spans = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in indices]
        return np.concatenate([np.empty(0, np.int64), *spans])


def _offsets(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


@dataclass(frozen=True, slots=True)
class Draft:
    """Vectors in the cache folder that no stamp names yet."""

    folder: Path
    token: str
    generation: int
    shape: tuple[int, int]

    def path(self, end: str) -> Path:
        return self.folder / f"{self.token}.{end}"

    @contextmanager
    def whole_or_gone(self) -> Iterator[None]:
        """Remove its files if they are not finished: half of a cache must not keep a full disk full."""
        try:
            yield
        except BaseException:
            for end in (_VECTORS, _FILES, _SPANS, _CODES, _STAMP):
                _remove(self.path(end))
            raise


def lay_out(
    folder: Path,
    generation: int,
    counts: dict[int, int],
    dim: int,
    vectors: Iterable[Float32] | None,
    spans: Spans,
) -> Draft:
    """Write vectors to new files in the cache folder, which nobody sees before :func:`publish`.

    Parameters
    ----------
    counts : dict of int to int
        Number of segments of each file, in ascending order of id; at least one segment in all.
    vectors : iterable of ndarray of float32, shape (segments, dim)
        Those of each file, in this order; None if they stay in the database.
    spans : Spans
        Of all segments, in this order.

    Raises
    ------
    OSError
        If the disk refuses. Nothing is left behind then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draft = Draft(folder, uuid.uuid4().hex, generation, (sum(counts.values()), dim))
    with draft.whole_or_gone():
        if vectors is not None:
            # Not by a mapping: where the disk is full, a page that cannot be written kills the process.
            with draft.path(_VECTORS).open("wb") as file:
                descr = np.lib.format.dtype_to_descr(np.dtype(np.float32))
                header = {"descr": descr, "fortran_order": False, "shape": draft.shape}
                np.lib.format.write_array_header_1_0(file, header)
                for block in vectors:
                    file.write(np.ascontiguousarray(block, np.float32).data)
        np.save(draft.path(_FILES), np.array([list(counts), list(counts.values())], np.int64))
        np.save(draft.path(_SPANS), spans.runs)
    return draft


def publish(draft: Draft, identity: str, stored: InDatabase | None = None) -> Snapshot:
    """Train the codes, if there is enough to search, put the snapshot in place, and return it, mapped.

    Parameters
    ----------
    identity : str
        Which collection it is of.
    stored : callable, optional
        Makes the matrix, if the vectors stay in the database.

    Raises
    ------
    OSError
        If the disk refuses. Nothing is left behind then, and what was there before stays.
    """
    folder = draft.folder
    previous = _token_of(folder)
    with draft.whole_or_gone():
        stamp = _stamp(draft, identity, stored)
        written = draft.path(_STAMP)
        written.write_text(json.dumps(stamp))
        written.replace(folder / _STAMP)
    _tidy(folder, keep=draft.token, previous=previous)
    return _open(folder, stamp, stored)


def _stamp(draft: Draft, identity: str, stored: InDatabase | None) -> dict[str, Any]:
    """Write the codes that a draft still lacks and describe all of it."""
    parts = [_FILES, _SPANS] if stored else [_VECTORS, _FILES, _SPANS]
    n_segments, dim = draft.shape
    if n_segments > FLAT_LIMIT:
        ids, counts = np.load(draft.path(_FILES))
        matrix = stored(ids, _offsets(counts)) if stored else _mapped(draft)
        codes = InvertedFile.build(matrix)
        if codes.is_worthwhile:
            codes.write(draft.path(_CODES))
            parts.append(_CODES)
    return {
        "format": _FORMAT,
        "identity": identity,
        "generation": draft.generation,
        "dim": dim,
        "segments": n_segments,
        "token": draft.token,
        "parts": {end: _measure(draft.path(end)) for end in parts},
    }


def _mapped(draft: Draft) -> Float32:
    # asarray: FAISS takes plain arrays, and this one stays backed by the file all the same.
    return np.asarray(np.load(draft.path(_VECTORS), mmap_mode="r"))


def load(
    folder: Path, identity: str, dim: int, generation: int, stored: InDatabase | None = None
) -> Snapshot | None:
    """Map the snapshot in the cache folder; None if there is none of this collection to be trusted.

    Parameters
    ----------
    generation : int
        What the collection is at; a snapshot of a later one belongs to a history that was undone.
    stored : callable, optional
        As in :func:`publish`.
    """
    for _ in range(_ATTEMPTS):
        try:
            stamp = json.loads((folder / _STAMP).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.info("the cache in %s is passed over: %s", folder, error)
            return None
        try:
            theirs = (stamp["format"], stamp["identity"], stamp["dim"])
            if theirs != (_FORMAT, identity, dim) or stamp["generation"] > generation:
                return None
            return _open(folder, stamp, stored)
        except FileNotFoundError as error:
            # Another process may have put a new snapshot in place since the stamp was read.
            _log.info("the cache in %s is incomplete: %s", folder, error)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            _log.info("the cache in %s is passed over: %s", folder, error)
            return None
    return None


def is_sound(folder: Path) -> bool:
    """Tell whether the snapshot in the cache folder, if there is one, is byte for byte what was written.

    :func:`load` goes by size and time, which a disk that loses bits does not change.
    """
    is_as_written = True
    for _ in range(_ATTEMPTS):
        try:
            stamp = json.loads((folder / _STAMP).read_bytes())
            parts = stamp["parts"].items()
            is_as_written = all(
                _checksum(folder / f"{stamp['token']}.{end}") == part["crc32"] for end, part in parts
            )
        except (FileNotFoundError, NotADirectoryError):  # of the folder, too
            if not (folder / _STAMP).exists():
                return True
            is_as_written = False
        except (AttributeError, LookupError, TypeError, ValueError):
            is_as_written = False
        if is_as_written:
            return True  # else another process may have put a new snapshot in place meanwhile
    return is_as_written


def discard(folder: Path) -> None:
    """Remove the snapshot from the cache folder, if there is one."""
    if not folder.exists():
        return
    token = _token_of(folder)
    (folder / _STAMP).unlink(missing_ok=True)
    _tidy(folder, keep=None, previous=token)


def _open(folder: Path, stamp: dict[str, Any], stored: InDatabase | None) -> Snapshot:
    shape, parts = (stamp["segments"], stamp["dim"]), stamp["parts"]
    draft = Draft(folder, stamp["token"], stamp["generation"], shape)
    for end in parts:
        _check(draft.path(end), parts[end])
    ids, counts = np.load(draft.path(_FILES))
    matrix = stored(ids, _offsets(counts)) if stored else _mapped(draft)
    if matrix.shape != shape or (isinstance(matrix, np.ndarray) and matrix.dtype != np.float32):
        raise ValueError(f"{draft.path(_VECTORS).name} does not fit its stamp")
    if counts.sum() != len(matrix):
        raise ValueError(f"{draft.path(_FILES).name} does not fit its stamp")
    if (np.diff(ids) <= 0).any() or (counts < 1).any():
        raise ValueError(f"{draft.path(_FILES).name} is not in order")
    spans = _spans(draft.path(_SPANS), len(matrix))
    codes = InvertedFile.read(draft.path(_CODES)) if _CODES in parts else None
    if codes is not None and codes.shape != shape:
        raise ValueError(f"{draft.path(_CODES).name} does not fit its stamp")
    return Snapshot(draft.generation, ids, _offsets(counts), matrix, spans, codes, stored=True)


def _spans(path: Path, n_segments: int) -> Spans:
    runs = np.asarray(np.load(path, mmap_mode="r"))
    firsts = runs[0] if runs.ndim == 2 and len(runs) == 4 and runs.dtype == np.int64 else np.empty(0)
    if not len(firsts) or firsts[0] != 0 or (np.diff(firsts) <= 0).any() or firsts[-1] >= n_segments:
        raise ValueError(f"{path.name} does not fit its stamp")
    return Spans(runs)


def _measure(path: Path) -> dict[str, int]:
    """Force a finished file to the disk and describe it."""
    checksum = _checksum(path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    stat = path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "crc32": checksum}


def _check(path: Path, stamped: dict[str, int]) -> None:
    stat = path.stat()
    if stat.st_size != stamped["bytes"]:
        raise ValueError(f"{path.name} has {stat.st_size} bytes, not {stamped['bytes']}")
    if stat.st_mtime_ns != stamped["mtime_ns"] and _checksum(path) != stamped["crc32"]:
        raise ValueError(f"{path.name} was changed")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _token_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / _STAMP).read_bytes())["token"])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # no stamp, or a damaged one: its files go when they have aged


def _tidy(folder: Path, keep: str | None, previous: str | None) -> None:
    """Remove the files of the previous snapshot, and what killed processes left."""
    for path in folder.iterdir():
        token = path.name.split(".")[0]
        if token == keep or path.name == _STAMP:
            continue
        try:
            due = token == previous or time.time() - path.stat().st_mtime > _ABANDONED
        except FileNotFoundError:
            continue  # another process tidies too
        if due:
            _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError as error:
        # Windows: a reader still maps it. The next save tries again.
        _log.info("%s stays: %s", path, error)
