"""What a library holds, in a form that two libraries can be compared by."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from echoic import Library
from echoic.types import Segments


class Content(NamedTuple):
    """A file's record but for its id, and its spans and vectors by collection."""

    record: tuple
    spans: dict[str, bytes]
    vectors: dict[str, np.ndarray]


def contents(library: Library, root: Path | None = None) -> dict[str, Content]:
    """Read everything that a library holds, by path, or by path relative to a root."""
    records = library.files()
    specs, ids = library.encoders().values(), [record.id for record in records]
    stored = {spec.key: library._open()[1].store(spec).fetch(ids) for spec in specs}
    found = {}
    for record in records:
        path = record.path if root is None else str(Path(record.path).relative_to(root))
        spans, vectors = {}, {}
        for spec in specs:
            segments = stored[spec.key].get(record.id, Segments.none(spec.dim))
            spans[spec.key] = segments.starts.tobytes() + segments.ends.tobytes()
            vectors[spec.key] = segments.vectors
        kept = (record.size, record.digest, record.duration, record.sample_rate, record.channels)
        kept += (record.codec, record.state, record.message, record.encoders, tuple(record.tags.items()))
        found[path] = Content(kept, spans, vectors)
    return found


def assert_whole(library: Library) -> None:
    """Each file has all its segments and vectors in each collection, and nothing else is there."""
    assert library.check() == []
    catalog, spaces = library._open()
    records = library.files()
    for spec in library.encoders().values():
        store, due = spaces.store(spec), dict(catalog.n_segments(spec.key))
        stored = store.fetch([record.id for record in records])
        n_segments = 0
        for record in records:
            segments = stored.get(record.id, ())
            assert due.get(record.id, 0) == len(segments)
            assert record.state == "failed" or len(segments) > 0
            n_segments += len(segments)
        assert len(store) == n_segments


def assert_same(one: dict[str, Content], other: dict[str, Content], tolerance: float = 0.0) -> None:
    """Two libraries hold the same files, with the same spans and vectors."""
    assert one.keys() == other.keys()
    for path, content in one.items():
        twin = other[path]
        assert content.record == twin.record, path
        assert content.spans == twin.spans, path
        assert content.vectors.keys() == twin.vectors.keys()
        for key, vectors in content.vectors.items():
            np.testing.assert_allclose(vectors, twin.vectors[key], rtol=0, atol=tolerance, err_msg=path)
