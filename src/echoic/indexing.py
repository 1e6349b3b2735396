"""Brings a library up to date with the files under some paths.

Scan, compare with the catalog, then decode and encode in worker processes what is new or changed; each file
is committed in one transaction as its result arrives. Killed at any instant, a run has lost the files in
flight and nothing else: the next run finds them not done and does them.

A file is unchanged while its size and time stamp are, or else while its content is. A new path with the
content of a path that is gone is a rename: it keeps its vectors. In a bucket, to ask after one file takes as
long as to list a thousand: there is gone what lay under the paths of the run and is not listed.
"""

from __future__ import annotations

import os
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from echoic import buckets
from echoic.addresses import in_bucket, told
from echoic.analysis.workers import Analysis, Pool, Task, digest_of
from echoic.audio.notes import is_heard
from echoic.care.upkeep import drop_strangers
from echoic.encoders.registry import checked_encoder
from echoic.errors import AudioError, UnreadableError, UsageError, quoted
from echoic.heard.library import Listener, listen_again, listener_of
from echoic.roots import Listed, Roots, has, is_empty, look_again
from echoic.scanning import SUFFIXES, Found, Problem, scan, suffix_of
from echoic.storage.catalog import Catalog, Known, parse_tag
from echoic.storage.frames import FrameStore
from echoic.storage.spaces import Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import FileState, IndexReport, Note, Progress, TrackChoice, check_track

__all__ = ["bring_up_to_date", "check_request", "forget", "index"]

# No file has this stamp: a failure that may pass by itself (permissions, a vanished file) is tried again.
_TRY_AGAIN = -1, -1
#: The setting of a library that says whether its files are given transcripts.
_TRANSCRIPTS = "transcripts"
_AT_ONCE = 500  # files that are compared with one query of the catalog


@dataclass
class _Plan:
    """What is to be done, and what has been settled without decoding."""

    work: list[tuple[Found, tuple[str, ...]]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # those of them that are no new files
    same: set[str] = field(default_factory=set)  # those of the known that are as they were, but lack vectors
    failed: list[tuple[str, str]] = field(default_factory=list)
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)

    def leave_out(self, n_files: int, max_files: int, name: str) -> None:
        """Leave out new files beyond what a library may hold, which has so many, and say so."""
        new = [item for item in self.work if item[0].path not in self.known]
        beyond = new[max(0, max_files - n_files) :]
        if beyond:
            left = {found.path for found, _ in beyond}
            self.work = [item for item in self.work if item[0].path not in left]
            files = f"{max_files:,} file{'s' * (max_files != 1)}"
            why = (
                f"the library may hold {files}, and new ones of {quoted(name)} were left out "
                f"({len(beyond):,}); remove others, or allow more with --max-files"
            )
            self.failed.append((name, why))


def check_request(
    paths: Sequence[Path],
    encoders: Sequence[str],
    tags: Sequence[str],
    track: TrackChoice | None,
    *,
    is_new: bool,
) -> None:
    """Refuse to index what cannot be, before anything is made for it.

    Raises
    ------
    UsageError, UnreadableError, UnknownEncoderError, EncoderError
    """
    if not paths:
        raise UsageError("name at least one file or folder to index")
    check_track(track)
    for tag in tags:
        parse_tag(tag)
    if is_new:
        in_buckets = [path for path in paths if in_bucket(str(path))]
        for path in in_buckets:
            buckets.entry_at(path)
        if not in_buckets and not any(os.path.lexists(path) for path in paths):
            raise UnreadableError(f"{quoted(paths[0])} does not exist; name a file or folder to index")
        for name in encoders:
            checked_encoder(name)


def index(
    paths: Sequence[Path],
    catalog: Catalog,
    spaces: Spaces,
    required: Sequence[str],
    pool: Pool,
    *,
    tags: Sequence[str] = (),
    track: TrackChoice | None = None,
    transcripts: bool | None = None,
    leave: Collection[Path] = (),
    max_files: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IndexReport:
    """Bring a library up to date with some paths; see :meth:`echoic.library.Library.index`.

    Must run inside :meth:`Catalog.writing`; ``required`` are the collections that each file must be in.
    """
    superseded = catalog.superseded()
    stores, listener = spaces.stores(), listener_of(catalog)
    report = bring_up_to_date(
        paths,
        catalog,
        stores,
        {spec.key: source for source, spec in catalog.encoders().items()},
        required,
        pool,
        replaced={old.key: new.key for old, new in superseded.items()},
        track=track,
        leave=leave,
        listener=listener,
        max_files=max_files,
        progress=progress,
    )
    for spec in superseded:
        spaces.drop(spec)
    if listener is not None:
        listen_again(catalog, stores[listener.spec.key], listener)
    tagged = {i for path in paths for i in catalog.ids_at(path)} if tags else set()
    with catalog.transaction():
        catalog.tag_files(sorted(tagged), tags)
        if transcripts is not None:
            catalog.set_setting(_TRANSCRIPTS, "yes" if transcripts else "no")
    report = replace(report, tagged=len(tagged))
    if catalog.setting(_TRANSCRIPTS) != "yes":
        return report
    from echoic.heard.transcripts import transcribe_files

    done = transcribe_files(catalog, paths, track=track, leave=leave, progress=progress)
    return replace(
        report,
        transcribed=done.n,
        untranscribed=tuple(done.missing),
        notes=(*report.notes, *done.notes),
        passed_over=dict(Counter(report.passed_over) - done.read),
    )


def forget(paths: Sequence[Path], catalog: Catalog, spaces: Spaces) -> int:
    """Forget files, all files under folders or in globs; return how many. Inside :meth:`Catalog.writing`."""
    ids = sorted({i for path in paths for i in catalog.ids_named(path)})
    stores = spaces.stores().values()
    with catalog.transaction():
        for store in stores:
            store.delete(ids)
        catalog.delete_files(ids)
    for store in stores:
        store.flush()
    return len(ids)


def bring_up_to_date(
    paths: Sequence[Path],
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    sources: Mapping[str, str],
    required: Sequence[str],
    pool: Pool,
    *,
    replaced: Mapping[str, str],
    track: TrackChoice | None = None,
    leave: Collection[Path] = (),
    listener: Listener | None = None,
    max_files: int | None = None,
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
    track : int, "all" or "mix", optional
        Which of several tracks of sound is heard; files heard otherwise before are read anew.
    leave : collection of Path
        Files to leave as they are known, whatever has become of them.
    listener : Listener, optional
        What tells what is heard in each file.
    max_files : int, optional
        That the library may hold; new ones beyond them are left out.
    """
    begun = time.perf_counter()
    # There may be strangers after a kill between a store's write and the catalog's, where these are two.
    drop_strangers(catalog, {key: store for key, store in stores.items() if not store.joins_transactions})
    planner = _Planner(catalog, stores, sources, required, replaced, track)
    plan = planner.plan(paths, frozenset(map(os.path.abspath, leave)))
    if max_files is not None:
        plan.leave_out(sum(catalog.count().values()), max_files, told(str(paths[0])))
    added = changed = encoded = 0
    audio = 0.0
    partial: list[tuple[str, str]] = []
    notes: list[tuple[str, Note]] = []
    done_bytes = 0
    total_bytes = sum(found.size for found, _ in plan.work)
    pending = {Path(found.path): found for found, _ in plan.work}
    tasks = (
        Task(Path(found.path), tuple((sources[key], key) for key in keys), track) for found, keys in plan.work
    )
    for done, (task, result) in enumerate(pool.run(tasks), start=1):
        found = pending[task.path]
        name = told(found.path)
        if isinstance(result, AudioError):
            plan.failed.append((name, str(result)))
            _commit_failure(catalog, found, result)
        else:
            _commit(catalog, stores, found, result, listener)
            audio += result.info.duration
            notes += [(name, note) for note in result.info.notes]
            if result.info.lost:
                partial.append((name, f"{quoted(name)}: {result.info.lost}"))
            elif found.path in plan.same:
                encoded += 1
            elif found.path in plan.known:
                changed += 1
            else:
                added += 1
        done_bytes += found.size
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(name, done, len(plan.work), done_bytes, total_bytes, audio, elapsed))
    # Not after Ctrl-C: it may take a minute, and a search without it is slower but no less right.
    for store in stores.values():
        store.flush()
    return IndexReport(
        added=added,
        changed=changed,
        encoded=encoded,
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


class _Planner:
    """Compares files with the catalog, one after the other.

    What the catalog has is looked up as it is needed: a library may hold far more than lies under the paths
    of one run. Most files of most runs are unchanged, and are told by a glance at a few hundred at a time.
    """

    def __init__(
        self,
        catalog: Catalog,
        stores: Mapping[str, VectorStore],
        sources: Mapping[str, str],
        required: Sequence[str],
        replaced: Mapping[str, str],
        track: TrackChoice | None,
    ) -> None:
        self._catalog = catalog
        self._stores = stores
        self._sources = sources
        self._required = required
        self._replaced = replaced
        self._track = track
        self._held: dict[str, array[int]] = {}  # by collection: the files that it has whole
        self._gone: dict[int, dict[str, deque[Known]]] = {}  # by size and digest: files gone from their paths
        self._plan = _Plan()
        self._seen = array("q")  # ids of files that are where they are known to be, or moved there
        self._listed: Listed | None = None  # once all is

    def plan(self, paths: Sequence[Path], leave: Set[str]) -> _Plan:
        """Settle what can be settled without decoding, and list the rest."""
        roots = Roots(paths)
        unlisted: list[str] = []
        new_in_buckets: list[Found] = []
        items = (item for item in self._met(paths) if item.path not in leave)
        while some := list(islice(items, _AT_ONCE)):
            unchanged = self._unchanged([item for item in some if isinstance(item, Found)])
            for item in some:
                if isinstance(item, Problem):
                    unlisted.append(item.path)
                    self._plan.failed.append((told(item.path), item.message))
                    if suffix_of(item.path) in SUFFIXES and os.path.lexists(item.path):
                        _commit_failure(self._catalog, Found(item.path, 0, 0), UnreadableError(item.message))
                elif item in unchanged:
                    self._seen.append(unchanged[item])
                    self._plan.unchanged += 1
                elif in_bucket(item.path) and self._catalog.known_at(Path(item.path)) is None:
                    new_in_buckets.append(item)
                else:
                    self._compare(item, self._required if roots.hold(item.path) else ())
        self._listed = Listed(roots, array("q", sorted(self._seen)), leave | frozenset(unlisted))
        self._gone.clear()
        for item in new_in_buckets:
            self._compare(item, self._required)
        self._forget_gone(self._listed)
        return self._plan

    def _met(self, paths: Sequence[Path]) -> Iterator[Found | Problem]:
        """Walk paths, and look for what else an encoder's earlier revision encoded."""
        outdated = list(map(str, self._catalog.paths_in(self._replaced)))
        apart = {path for path in outdated if in_bucket(path)}  # where one by one takes long
        here = [Path(path) for path in outdated if path not in apart and os.path.lexists(path)]
        for item in scan([*paths, *here], passed_over=self._plan.passed_over):
            apart.discard(item.path)
            yield item
        yield from look_again(apart)

    def _unchanged(self, items: Sequence[Found]) -> dict[Found, int]:
        """Return the ids of files that are certain to be as they are known and to need nothing.

        What is not among them is compared by itself, with the same end.
        """
        if not items or self._track is not None or self._replaced:  # or there is more to compare
            return {}
        paths = [item.path for item in items]
        # A walk comes in nearly the order of the catalog, so there is little else between its first and last.
        known = self._catalog.stamps_between(min(paths), max(paths), 2 * len(paths))
        same = {item: known[item] for item in items if item in known}
        held = [self._holds(key) for key in self._required] if same else []
        return {item: i for item, i in same.items() if all(has(ids, i) for ids in held)}

    def _compare(self, item: Found, asked: Sequence[str]) -> None:
        plan = self._plan
        record = self._catalog.known_at(Path(item.path))
        moved = False
        if record is None:
            record = self._renamed(item)
            if record is None:
                plan.work.append((item, tuple(asked)))
                return
            with self._catalog.transaction():
                self._catalog.move_file(record.id, Path(item.path), item.mtime_ns)
            moved = True
        self._seen.append(record.id)
        due = dict.fromkeys(
            [*asked, *(self._replaced[key] for key in record.encoders if key in self._replaced)]
        )
        track = self._track
        is_other_track = bool(asked) and track is not None and not is_heard(record.notes, track)
        if is_other_track or not (moved or _is_same(self._catalog, record, item)):
            # New content: every vector of the old is out of date, also those not asked for now.
            keys = due | dict.fromkeys(key for key in record.encoders if key in self._sources)
            plan.work.append((item, tuple(keys)))
            plan.known.add(item.path)
            return
        if record.state == "failed":
            plan.skipped += 1
            return
        missing = tuple(key for key in due if not has(self._holds(key), record.id))
        if missing:
            plan.work.append((item, missing))
            plan.same.add(item.path)
        elif moved:
            plan.moved += 1
        else:
            plan.unchanged += 1

    def _holds(self, key: str) -> array[int]:
        """Return the ids of the files that a collection has whole, in order."""
        if key not in self._held:
            stored = array("q", self._stores[key].file_ids().tobytes())
            counts = self._catalog.n_segments(key)
            self._held[key] = array("q", (i for i, n in counts if not n or has(stored, i)))
        return self._held[key]

    def _renamed(self, found: Found) -> Known | None:
        """Find a file that is gone from its path and has the content of ``found``."""
        if found.size not in self._gone:
            gone: dict[str, deque[Known]] = {}
            for path in self._catalog.paths_of_size(found.size):
                if not in_bucket(path) and os.path.lexists(path):
                    continue
                record = self._catalog.known_at(Path(path))
                if record is not None and record.digest and self._is_gone(path, record.id):
                    gone.setdefault(record.digest, deque()).append(record)
            self._gone[found.size] = gone
        by_digest = self._gone[found.size]
        if not by_digest:
            return None
        same = by_digest.get(_digest(found.path))
        return same.popleft() if same else None

    def _is_gone(self, path: str, file_id: int) -> bool:
        if in_bucket(path):
            return self._listed is not None and self._listed.is_gone(path, file_id)
        return not os.path.lexists(path)

    def _forget_gone(self, listed: Listed) -> None:
        """Forget the files under the roots that are there no more."""
        gone: list[int] = []
        for root in listed.roots.outermost:
            known = np.fromiter(self._catalog.ids_at(root), np.int64)
            lost = [
                file_id
                for file_id, path in self._catalog.paths(np.setdiff1d(known, self._seen).tolist()).items()
                if self._is_gone(path, file_id) and listed.may_lack(path)
            ]
            if lost and len(lost) == len(known) and is_empty(root):
                # An unmounted disk looks like this, and its index is worth hours.
                self._plan.failed.append(
                    (
                        told(str(root)),
                        f"{quoted(root)} is empty, yet {len(lost)} files of it are indexed; connect its "
                        f"disk, or, if they are gone for good, run: echoic remove {quoted(root)}",
                    )
                )
            else:
                gone += lost
        if gone:
            with self._catalog.transaction():
                for store in self._stores.values():
                    store.delete(gone)
                self._catalog.delete_files(gone)
        self._plan.removed = len(gone)


def _is_same(catalog: Catalog, record: Known, found: Found) -> bool:
    """Tell whether a file is as it is known, and note its new time stamp if only that has changed."""
    if (record.size, record.mtime_ns) == (found.size, found.mtime_ns):
        return True
    if not record.digest or record.size != found.size or _digest(found.path) != record.digest:
        return False
    with catalog.transaction():
        catalog.touch_file(record.id, found.size, found.mtime_ns)
    return True


def _digest(path: str) -> str:
    try:
        return digest_of(Path(path))
    except UnreadableError:
        return ""  # the worker will meet it too, and say so


def _commit(
    catalog: Catalog,
    stores: Mapping[str, VectorStore],
    found: Found,
    analysis: Analysis,
    listener: Listener | None,
) -> None:
    state: FileState = "partial" if analysis.info.lost else "indexed"
    with catalog.transaction():
        file_id = catalog.put_file(
            Path(found.path), found.size, found.mtime_ns, analysis.digest, analysis.info, state
        )
        for key, segments in analysis.segments.items():
            before = analysis.before.get(key, ())
            catalog.put_encoded(file_id, key, len(before) + len(segments))
            store = stores[key]
            if isinstance(store, FrameStore):
                store.write(file_id, chain(before, [segments]))
            else:
                store.replace(file_id, segments)
            if listener is not None and listener.spec.key == key:
                catalog.put_heard(file_id, listener.name, listener.heard_in(segments))


def _commit_failure(catalog: Catalog, found: Found, error: AudioError) -> None:
    stamp = _TRY_AGAIN if isinstance(error, UnreadableError) else (found.size, found.mtime_ns)
    with catalog.transaction():
        catalog.put_failure(Path(found.path), *stamp, str(error))
