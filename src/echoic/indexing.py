"""Brings a library up to date with the files under some paths.

Scan, compare with the catalog, then decode and encode in worker processes what is new or changed; each file
is committed in one transaction as its result arrives. Killed at any instant, a run has lost the files in
flight and nothing else: the next run finds them not done and does them.

A file is unchanged while its size and time stamp are, or else while its content is. A new path with the
content of a path that is gone is a rename: it keeps its vectors.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from echoic.catalog import Catalog
from echoic.embedding import why_nothing
from echoic.encoders.registry import load_encoder
from echoic.errors import AudioError, LibraryBusyError, UnreadableError, quoted
from echoic.scanning import SUFFIXES, Found, Problem, scan
from echoic.stores.base import VectorStore
from echoic.types import FileRecord, FileState, IndexReport, Progress, Segments
from echoic.workers import Analysis, Task, WorkerPool, digest_of

__all__ = ["bring_up_to_date", "embed_paths", "watch"]

# No file has this stamp: a failure that may pass by itself (permissions, a vanished file) is tried again.
_TRY_AGAIN = Found(Path(), -1, -1)


@dataclass
class _Plan:
    """What is to be done, and what has been settled without decoding."""

    work: list[tuple[Found, tuple[str, ...]]] = field(default_factory=list)
    known: dict[Path, FileRecord] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


def bring_up_to_date(
    paths: Sequence[Path],
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    sources: Mapping[str, str],
    required: Sequence[str],
    pool: WorkerPool,
    *,
    replaced: Mapping[str, str],
    leave: Collection[Path] = (),
    progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Index what is new under ``paths``, and forget what is gone.

    Must run inside :meth:`Catalog.writing`.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders.
    stores : mapping of str to VectorStore
        The store of every collection of the library, by collection key, of superseded revisions too.
    sources : mapping of str to str
        What a worker loads the encoder of each collection in use by: a name or the path of a model.
    required : sequence of str
        The collections that each file must be in after the run.
    replaced : mapping of str to str
        Collections of superseded revisions, and those that take their places: each file in the one, wherever
        it lies, must be in the other after the run.
    leave : collection of Path
        Files to leave as they are known, whatever has become of them.
    """
    begun = time.perf_counter()
    stored = _reconcile(catalog, stores)
    plan = _plan(paths, catalog, stores, sources, stored, required, replaced, frozenset(leave))
    added = changed = 0
    audio = 0.0
    partial: list[tuple[str, str]] = []
    notes: list[tuple[str, str]] = []
    done_bytes = 0
    total_bytes = sum(found.size for found, _ in plan.work)
    pending = {found.path: found for found, _ in plan.work}
    tasks = (Task(found.path, tuple((sources[key], key) for key in keys)) for found, keys in plan.work)
    for done, (task, result) in enumerate(pool.run(tasks), start=1):
        found = pending[task.path]
        if isinstance(result, AudioError):
            plan.failed.append((str(found.path), str(result)))
            _commit_failure(catalog, found, result)
        else:
            _commit(catalog, stores, found, result)
            audio += result.info.duration
            notes += [(str(found.path), note) for note in result.info.notes]
            if result.info.lost:
                partial.append((str(found.path), f"{quoted(found.path)}: {result.info.lost}"))
            elif found.path in plan.known:
                changed += 1
            else:
                added += 1
        done_bytes += found.size
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(str(found.path), done, len(plan.work), done_bytes, total_bytes, audio, elapsed))
    # Not after Ctrl-C: it may take a minute, and a search without it is slower but no less right.
    for store in stores.values():
        store.flush()
    return IndexReport(
        added=added,
        changed=changed,
        moved=plan.moved,
        removed=plan.removed,
        unchanged=plan.unchanged,
        skipped=plan.skipped,
        partial=tuple(partial),
        failed=tuple(plan.failed),
        notes=tuple(notes),
        passed_over=dict(plan.passed_over),
        audio=audio,
        elapsed=time.perf_counter() - begun,
    )


def _reconcile(catalog: Catalog, stores: Mapping[str, VectorStore]) -> dict[str, set[int]]:
    """Drop vectors whose file the catalog does not know, and say which files each store has all vectors of.

    A file without sound has none. The embedded store has no vectors of unknown files; one elsewhere may,
    after a kill between its write and the catalog's.
    """
    stored = {}
    for key, store in stores.items():
        stored[key] = set(store.file_ids().tolist())
        strangers = stored[key] - catalog.file_ids(key)
        if strangers:
            store.delete(sorted(strangers))
        stored[key] |= catalog.silent_ids(key)
    return stored


def _plan(
    paths: Sequence[Path],
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    sources: Mapping[str, str],
    stored: Mapping[str, set[int]],
    required: Sequence[str],
    replaced: Mapping[str, str],
    leave: Set[Path],
) -> _Plan:
    plan = _Plan()
    records = {Path(record.path): record for record in catalog.files()}
    by_size: dict[int, list[FileRecord]] = defaultdict(list)
    for known in records.values():
        if known.digest:
            by_size[known.size].append(known)

    present = set(leave)
    unlisted: list[Path] = []
    moved_away: set[int] = set()
    roots = {Path(os.path.abspath(path)) for path in paths}
    outdated = [
        path for path, r in records.items() if replaced.keys() & set(r.encoders) and os.path.lexists(path)
    ]
    for item in scan([*paths, *outdated], passed_over=plan.passed_over):
        if item.path in leave:
            continue
        present.add(item.path)
        if isinstance(item, Problem):
            unlisted.append(item.path)
            plan.failed.append((str(item.path), item.message))
            if item.path.suffix.lower() in SUFFIXES and os.path.lexists(item.path):
                _commit_failure(catalog, Found(item.path, 0, 0), UnreadableError(item.message))
            continue
        asked = required if {item.path, *item.path.parents} & roots else ()
        record: FileRecord | None = records.get(item.path)
        if record is None:
            record = _renamed(item, by_size, moved_away)
            if record is None:
                plan.work.append((item, tuple(asked)))
                continue
            with catalog.transaction():
                catalog.move_file(record.id, item.path, item.mtime_ns)
            moved_away.add(record.id)
        due = dict.fromkeys([*asked, *(replaced[key] for key in record.encoders if key in replaced)])
        if record.id not in moved_away and not _is_same(catalog, record, item):
            # New content: every vector of the old is out of date, also those not asked for now.
            keys = due | dict.fromkeys(key for key in record.encoders if key in sources)
            plan.work.append((item, tuple(keys)))
            plan.known[item.path] = record
            continue
        if record.state == "failed":
            plan.skipped += 1
            continue
        missing = tuple(key for key in due if key not in record.encoders or record.id not in stored[key])
        if missing:
            plan.work.append((item, missing))
            plan.known[item.path] = record
        elif record.id in moved_away:
            plan.moved += 1
        else:
            plan.unchanged += 1
    _forget_gone(paths, catalog, stores, plan, records, present, unlisted, moved_away)
    return plan


def _is_same(catalog: Catalog, record: FileRecord, found: Found) -> bool:
    """Tell whether a file is as it is known, and note its new time stamp if only that has changed."""
    if (record.size, record.mtime_ns) == (found.size, found.mtime_ns):
        return True
    if not record.digest or record.size != found.size or _digest(found.path) != record.digest:
        return False
    with catalog.transaction():
        catalog.touch_file(record.id, found.size, found.mtime_ns)
    return True


def _digest(path: Path) -> str:
    try:
        return digest_of(path)
    except UnreadableError:
        return ""  # the worker will meet it too, and say so


def _renamed(
    found: Found, by_size: Mapping[int, list[FileRecord]], moved_away: set[int]
) -> FileRecord | None:
    """Find the record of a file that is gone from its path and has the content of ``found``."""
    gone = [r for r in by_size.get(found.size, ()) if r.id not in moved_away and not os.path.lexists(r.path)]
    if not gone:
        return None
    digest = _digest(found.path)
    return next((record for record in gone if record.digest == digest), None)


def _forget_gone(
    paths: Sequence[Path],
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    plan: _Plan,
    records: Mapping[Path, FileRecord],
    present: Set[Path],
    unlisted: Sequence[Path],
    moved_away: Set[int],
) -> None:
    roots = {Path(os.path.abspath(path)) for path in paths}
    closed = frozenset(unlisted)
    n_known: Counter[Path] = Counter()
    lost: dict[Path, list[int]] = defaultdict(list)
    for path, record in records.items():
        lineage = {path, *path.parents}
        if record.id in moved_away or not lineage & roots:
            continue
        root = min(lineage & roots, key=lambda folder: len(folder.parts))
        n_known[root] += 1
        if path not in present and not lineage & closed and not os.path.lexists(path):
            lost[root].append(record.id)
    gone: list[int] = []
    for root, ids in lost.items():
        if len(ids) == n_known[root] and root.is_dir() and _is_empty(root):
            # An unmounted disk looks like this, and its index is worth hours.
            plan.failed.append(
                (
                    str(root),
                    f"{quoted(root)} is empty, yet {len(ids)} files of it are indexed; connect its disk, "
                    f"or, if they are gone for good, run: echoic remove {quoted(root)}",
                )
            )
        else:
            gone += ids
    if gone:
        with catalog.transaction():
            for store in stores.values():
                store.delete(gone)
            catalog.delete_files(gone)
    plan.removed = len(gone)


def _is_empty(folder: Path) -> bool:
    return all(entry.name.startswith(".") for entry in folder.iterdir())


def _commit(
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    found: Found,
    analysis: Analysis,
) -> None:
    state: FileState = "partial" if analysis.info.lost else "indexed"
    with catalog.transaction():
        file_id = catalog.put_file(
            found.path, found.size, found.mtime_ns, analysis.digest, analysis.info, state
        )
        for key, segments in analysis.segments.items():
            catalog.put_segments(file_id, key, segments.starts, segments.ends)
            stores[key].replace(file_id, segments.vectors)


def _commit_failure(catalog: Catalog, found: Found, error: AudioError) -> None:
    stamp = replace(_TRY_AGAIN, path=found.path) if isinstance(error, UnreadableError) else found
    with catalog.transaction():
        catalog.put_failure(found.path, stamp.size, stamp.mtime_ns, str(error))


def embed_paths(
    paths: Sequence[Path], encoder: str, pool: WorkerPool, progress: Callable[[Progress], None] | None = None
) -> tuple[dict[str, Segments], dict[str, str]]:
    """Encode files without a catalog; see :meth:`echoic.library.Library.embed`."""
    begun = time.perf_counter()
    key = load_encoder(encoder).spec.key
    spelt: dict[Path, str] = {}  # as the paths were given: what is computed here may be read elsewhere
    sizes: dict[Path, int] = {}
    failed: dict[str, str] = {}
    for path in paths:
        root = Path(os.path.abspath(path))
        for item in scan([path]):
            name = str(path / item.path.relative_to(root))
            if isinstance(item, Problem):
                failed[name] = item.message
            else:
                spelt.setdefault(item.path, name)
                sizes[item.path] = item.size
    results: dict[Path, Segments] = {}
    audio = 0.0
    done_bytes = 0
    for done, (task, result) in enumerate(pool.run(Task(p, ((encoder, key),)) for p in spelt), start=1):
        done_bytes += sizes[task.path]
        if isinstance(result, AudioError):
            failed[spelt[task.path]] = str(result)
        elif not len(result.segments[key]):
            failed[spelt[task.path]] = f"{quoted(task.path)} has no vector: {why_nothing(result.info)}"
        else:
            results[task.path] = result.segments[key]
            audio += result.info.duration
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(
                Progress(spelt[task.path], done, len(spelt), done_bytes, sum(sizes.values()), audio, elapsed)
            )
    return {spelt[path]: results[path] for path in spelt if path in results}, failed


def watch(paths: Sequence[Path], update: Callable[..., IndexReport], pause: float) -> Iterator[IndexReport]:
    """Run ``update`` whenever something under ``paths`` has changed and come to rest; never ends.

    A file that is still being copied or recorded changes from one look to the next. It is left, by
    ``update(leave=…)``, until two looks, a pause apart, agree on it; so is one that is gone, which may turn
    up under another name.
    """
    done: set[Found | Problem] | None = None
    before: set[Found | Problem] | None = None
    while True:
        begun = time.perf_counter()
        now = set(scan(paths))
        looked = time.perf_counter() - begun
        if before is not None:
            resting = now & before
            if done is None or resting - done or done - now - before:
                with suppress(LibraryBusyError):  # another process is at it: the next look tries again
                    yield update(leave={item.path for item in now ^ before})
                    done = resting | ((done or set()) & before - now)
        before = now
        # Looking at a huge folder takes long itself; spend at most a tenth of the time on it.
        time.sleep(max(pause, 9 * looked))
