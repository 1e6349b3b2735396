"""What a library gathers over the years, and how it is rid of it; whether its files are what they were."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from echoic.analysis.workers import digest_of
from echoic.buckets import stamp_of
from echoic.errors import UnreadableError, quoted, shell_word
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import INDEX, Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import FileRecord, Progress

__all__ = ["check_files", "compact", "drop_strangers", "rebuild"]


def drop_strangers(catalog: Catalog, stores: Mapping[str, VectorStore]) -> None:
    """Drop vectors whose file the catalog does not know. Inside :meth:`Catalog.writing`."""
    for key, store in stores.items():
        due = np.fromiter((i for i, n in catalog.n_segments(key) if n), np.int64)
        strangers = np.setdiff1d(store.file_ids(), due)
        if len(strangers):
            store.delete(strangers.tolist())


def rebuild(catalog: Catalog, spaces: Spaces) -> None:
    """Make the cache of the index anew, of which nothing is believed. Inside :meth:`Catalog.writing`."""
    spaces.close()  # what is mapped frees its room
    folder = catalog.folder / INDEX
    if folder.exists():
        shutil.rmtree(folder)
    for store in spaces.stores().values():
        store.flush()


def compact(catalog: Catalog, spaces: Spaces) -> None:
    """Give back the room of what was deleted, and drop what belongs to no file. Inside `Catalog.writing`."""
    stores = spaces.stores()
    drop_strangers(catalog, stores)
    catalog.compact()
    for store in stores.values():
        store.flush()


def check_files(catalog: Catalog, progress: Callable[[Progress], None] | None = None) -> Iterator[str]:
    """Read the files of a library; yield one sentence for each that is not what was indexed."""
    begun = time.perf_counter()
    records = [record for record in catalog.files() if record.digest]
    done_bytes, total_bytes = 0, sum(record.size for record in records)
    for done, record in enumerate(records, start=1):
        if finding := _what_became_of(record):
            yield finding
        done_bytes += record.size
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(record.path, done, len(records), done_bytes, total_bytes, 0.0, elapsed))


def _what_became_of(record: FileRecord) -> str:
    name, word = quoted(record.path), shell_word(record.path)
    try:
        stamp = stamp_of(record.path)
        digest = digest_of(Path(record.path))
    except FileNotFoundError:
        return f"{name} is gone; bring it back, or have it forgotten with: echoic remove {word}"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error}); check the disk"
    except UnreadableError as error:
        return str(error)
    if digest == record.digest:
        return ""
    if stamp != (record.size, record.mtime_ns):
        return f"{name} has changed since it was indexed; have it read again with: echoic index {word}"
    return (
        f"{name} holds other bytes than when it was indexed, and has the time it had, as on a failing disk; "
        f"put a copy of it back, or take it as it is with: touch {word} && echoic index {word}"
    )
