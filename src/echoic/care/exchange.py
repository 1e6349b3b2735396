"""Vectors in Apache Parquet, as other programs read and write them: a row is a segment.

::

    path        string               of the file, absolute; what is no UTF-8 in it stands as U+FFFD
    path_bytes  binary, or null      the path's bytes, where that is so
    digest      string               SHA-256 of the file's content when it was encoded, in hexadecimal
    start, end  double               seconds
    encoder     string               its name
    revision    string               of the encoder: vectors of two never compare
    vector      list<float, dim>     of length 1

A file's rows follow each other. One table is of one encoder, as vectors of another have another length.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from echoic.addresses import place
from echoic.encoders.registry import checked_encoder
from echoic.errors import MissingDependencyError, StoreError, UsageError, quoted
from echoic.heard.library import Listener, listener_of
from echoic.interchange.places import check_free, new_file
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import Progress, Segments
from echoic.untrusted import is_text, shown

__all__ = ["export_vectors", "import_vectors"]

_COLUMNS = ("path", "path_bytes", "digest", "start", "end", "encoder", "revision", "vector")
_SLACK = 0.1  # s by which a last window may go beyond what a file says that it lasts
_AT_ONCE = 256  # files in a group of rows
_ROWS_AT_ONCE = 16_384

Report = Callable[[Progress], None] | None


def _parquet() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("what reads and writes Parquet", "parquet") from error
    return pyarrow, pyarrow.parquet


def export_vectors(
    catalog: Catalog, spaces: Spaces, file: Path, encoder: str | None, progress: Report = None
) -> int:
    """Write a table of all vectors of an encoder, and return how many rows it has.

    Files that failed since they were encoded are left out: their vectors are of no content that is known.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    MissingDependencyError
        If pyarrow is not installed.
    """
    arrow, parquet = _parquet()
    check_free(file)
    _, spec = spaces.chosen(encoder) if encoder is None else ("", spaces.named(encoder))
    store = spaces.store(spec)
    due = [file_id for file_id, n in catalog.n_segments(spec.key) if n]
    begun, n_rows = time.perf_counter(), 0
    with (
        new_file(file) as partial,
        partial.open("wb") as out,  # pyarrow itself opens no name that is no UTF-8
        parquet.ParquetWriter(out, _schema(arrow, spec.dim)) as writer,
    ):
        for at in range(0, len(due), _AT_ONCE):
            some = due[at : at + _AT_ONCE]
            found = store.fetch(some)
            tables = [
                _table(arrow, record.path, record.digest, spec, found[record.id])
                for record in catalog.files(file_ids=some)
                if record.digest and record.id in found
            ]
            if tables:
                writer.write_table(arrow.concat_tables(tables))
            n_rows += sum(map(len, tables))
            if progress is not None:
                done, elapsed = min(at + _AT_ONCE, len(due)), time.perf_counter() - begun
                progress(Progress(str(file), done, len(due), done, len(due), 0.0, elapsed))
    return n_rows


def _schema(arrow: Any, dim: int) -> Any:
    word = arrow.dictionary(arrow.int32(), arrow.string())
    kinds = (
        *(word, arrow.binary(), word, arrow.float64(), arrow.float64(), word, word),
        arrow.list_(arrow.float32(), dim),
    )
    return arrow.schema(list(zip(_COLUMNS, kinds, strict=True)))


def _table(arrow: Any, path: str, digest: str, spec: EncoderSpec, segments: Segments) -> Any:
    n = len(segments)
    schema = _schema(arrow, spec.dim)
    raw = os.fsencode(path)
    readable = raw.decode("utf-8", "replace")

    def same(word: str) -> Any:
        return arrow.DictionaryArray.from_arrays(np.zeros(n, np.int32), arrow.array([word], arrow.string()))

    numbers = arrow.array(np.ascontiguousarray(segments.vectors, np.float32).ravel())
    columns = [
        same(readable),
        arrow.array([None if is_text(path) else raw] * n, arrow.binary()),
        same(digest),
        arrow.array(segments.starts),
        arrow.array(segments.ends),
        same(spec.name),
        same(spec.revision),
        arrow.FixedSizeListArray.from_arrays(numbers, spec.dim),
    ]
    return arrow.Table.from_arrays(columns, schema=schema)


class _Piece(NamedTuple):
    """What a table says of one file, or the begin of that."""

    path: str
    digest: str
    segments: Segments


def import_vectors(
    catalog: Catalog, spaces: Spaces, file: Path, progress: Report = None
) -> tuple[int, list[str]]:
    """Give files that the library has the vectors of a table, in place of those that they have.

    Must run inside :meth:`Catalog.writing`.

    Returns
    -------
    n_files : int
        That were given vectors.
    left_out : list of str
        A sentence for each file of the table that was not.

    Raises
    ------
    UsageError
        If it is no such table, or of another revision of the encoder than is in use here.
    UnknownEncoderError, EncoderError
        If the library has no such encoder, and it cannot be loaded.
    MissingDependencyError
        If pyarrow is not installed.
    """
    arrow, parquet = _parquet()
    try:
        with file.open("rb") as opened, parquet.ParquetFile(opened) as table:
            spec = _settled(catalog, spaces, _spec_key(table, file))
            n_pieces = _n_pieces(table, file, spec)  # before anything is written
            store, listener = spaces.store(spec), listener_of(catalog)
            begun, n_rows, n_files = time.perf_counter(), 0, 0
            left_out = []
            for done, piece in enumerate(_pieces(table, file, spec), start=1):
                why = _given(catalog, store, spec, listener, piece)
                n_files += not why
                left_out += [why] * bool(why)
                n_rows += len(piece.segments)
                if progress is not None:
                    total, elapsed = table.metadata.num_rows, time.perf_counter() - begun
                    progress(Progress(piece.path, done, n_pieces, n_rows, total, 0.0, elapsed))
            store.flush()
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise UsageError(f"{quoted(file)} does not exist; check the path") from error
        said = " ".join(str(error).split())
        raise UsageError(
            f"{quoted(file)} cannot be read as Parquet ({said}); give what echoic library export writes"
        ) from error
    return n_files, left_out


def _spec_key(table: Any, file: Path) -> tuple[str, str, int]:
    """Read the encoder's name and revision, and its vectors' length, of the first row."""
    schema = table.schema_arrow
    lacking = [name for name in _COLUMNS if name not in schema.names and name != "path_bytes"]
    if lacking:
        raise UsageError(
            f"{quoted(file)} is no table of vectors: it has no column {', '.join(lacking)}; "
            "echoic library export writes one"
        )
    for batch in table.iter_batches(batch_size=1, columns=["encoder", "revision", "vector"]):
        row = batch.slice(0, 1).to_pylist()[0]
        if isinstance(row["vector"], list):
            return str(row["encoder"]), str(row["revision"]), len(row["vector"])
        break
    raise UsageError(f"{quoted(file)} holds no vectors")


def _settled(catalog: Catalog, spaces: Spaces, found: tuple[str, str, int]) -> EncoderSpec:
    """Have a space for the table's encoder, at the revision that the table has."""
    name, revision, dim = found
    known = {spec.name: spec for spec in catalog.encoders().values()}
    spec = known[name] if name in known else checked_encoder(name).spec
    if (spec.revision, spec.dim) != (revision, dim):
        raise UsageError(
            f"the vectors are of {shown(name)} revision {shown(revision)}, {dim} numbers each, and here it "
            f"has revision {spec.revision}, {spec.dim} numbers each; their cosines would mean nothing"
        )
    if name not in known:
        spaces.settle_encoders([name])
    return spec


def _n_pieces(table: Any, file: Path, spec: EncoderSpec) -> int:
    """Go through a table once, refuse what cannot be taken, and count its files."""
    seen: set[str] = set()
    for piece in _pieces(table, file, spec):
        if piece.path in seen:
            raise UsageError(f"in {quoted(file)} the rows of {quoted(piece.path)} are apart; sort it")
        seen.add(piece.path)
    return len(seen)


def _pieces(table: Any, file: Path, spec: EncoderSpec) -> Iterator[_Piece]:
    """Go through the files of a table, each whole."""
    parts: list[_Piece] = []
    for part in _parts(table, file, spec):
        if parts and part[:2] != parts[0][:2]:
            yield _joined(parts)
            parts = []
        parts.append(part)
    if parts:
        yield _joined(parts)


def _parts(table: Any, file: Path, spec: EncoderSpec) -> Iterator[_Piece]:
    names = [name for name in _COLUMNS if name in table.schema_arrow.names]
    for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
        if any(batch.column(name).null_count for name in names if name != "path_bytes"):
            raise UsageError(f"{quoted(file)} lacks values; each row has all but path_bytes")
        columns = {name: batch.column(name) for name in names}
        of = set(zip(columns["encoder"].to_pylist(), columns["revision"].to_pylist(), strict=True))
        if of - {(spec.name, spec.revision)}:
            raise UsageError(f"{quoted(file)} is of more than one encoder or revision; divide it")
        vectors = columns["vector"].flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        if any(columns["vector"].value_lengths().to_numpy(zero_copy_only=False) != spec.dim):
            raise UsageError(f"{quoted(file)} has vectors of several lengths")
        starts, ends = (columns[name].to_numpy(zero_copy_only=False) for name in ("start", "end"))
        paths = [str(path) for path in columns["path"].to_pylist()]
        if "path_bytes" in columns:
            raws = columns["path_bytes"].to_pylist()
            paths = [p if raw is None else os.fsdecode(raw) for p, raw in zip(paths, raws, strict=True)]
        digests = [str(digest) for digest in columns["digest"].to_pylist()]
        first = 0
        for at in range(1, len(paths) + 1):
            if at == len(paths) or (paths[at], digests[at]) != (paths[first], digests[first]):
                rows = slice(first, at)
                segments = Segments(starts[rows], ends[rows], vectors.reshape(-1, spec.dim)[rows])
                yield _Piece(paths[first], digests[first], segments)
                first = at


def _joined(parts: list[_Piece]) -> _Piece:
    if len(parts) == 1:
        return parts[0]
    fields = ("starts", "ends", "vectors")
    arrays = (np.concatenate([getattr(part.segments, name) for part in parts]) for name in fields)
    return parts[0]._replace(segments=Segments(*arrays))


def _given(
    catalog: Catalog, store: VectorStore, spec: EncoderSpec, listener: Listener | None, piece: _Piece
) -> str:
    """Write the vectors of one file, or say why not."""
    name = quoted(piece.path)
    record = catalog.known_at(place(piece.path)) if "\0" not in piece.path else None
    if record is None:
        return f"{name} is not in the library; add it with: echoic index PATH"
    if record.digest != piece.digest:
        return f"{name} is in the library with other content than the vectors are of"
    segments, [known] = piece.segments, catalog.files(file_ids=[record.id])
    if len(segments) and not (segments.starts.min() >= 0 and segments.ends.max() <= known.duration + _SLACK):
        return f"the vectors of {name} are of times that it does not have: it lasts {known.duration:.2f} s"
    try:
        with catalog.transaction():
            store.replace(record.id, segments)
            catalog.put_encoded(record.id, spec.key, len(segments))
            if listener is not None and listener.spec.key == spec.key:
                catalog.put_heard(record.id, listener.name, listener.heard_in(segments))
    except StoreError as error:
        return f"the vectors of {name} were refused: {error}"
    return ""
