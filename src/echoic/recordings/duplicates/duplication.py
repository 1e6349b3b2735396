"""The walk over a library that tells what it holds twice.

Files of the same content are told by their digests. One of each content is then compared with those that had
no turn yet, so that each pair is looked at once. What is a copy of it from end to end has its turn next:
when no more are found, the group is complete, and told.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import combinations

from echoic.machine import one_thread_for_algebra
from echoic.progress import Reporter
from echoic.recordings.decision import Decision, check_probability
from echoic.recordings.duplicates.comparison import FileComparison, Shared
from echoic.recordings.duplicates.found import Found
from echoic.recordings.result import Duplicate
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import INDEX, Spaces
from echoic.types import FileRecord, Progress

__all__ = ["Duplication"]

_METHOD = 3  # goes up when other results are due for the same library
_LONG = 600.0  # s from which on progress is told within a file


class Duplication:
    """The files of a library, compared with each other.

    Parameters
    ----------
    catalog : Catalog
    spaces : Spaces
    min_score : float, optional
        Probability from which on something is told; by default one that unknown recordings rarely reach.

    Raises
    ------
    LibraryError
        If the library is empty, or its fingerprints are of another revision.
    UnknownEncoderError
        If the library was made without fingerprints.
    UsageError
        If ``min_score`` is no probability.
    """

    def __init__(self, catalog: Catalog, spaces: Spaces, min_score: float | None) -> None:
        check_probability(min_score)
        source, self._spec = spaces.chosen(None, "recordings")
        encoder = spaces.encoder(source, self._spec)  # says so if what is installed is another revision
        self._catalog = catalog
        self._store = spaces.store(self._spec)
        self._decision = Decision.load(encoder)
        self._min_score = self._decision.threshold if min_score is None else min_score

    def findings(self, progress: Callable[[Progress], None] | None) -> Iterator[tuple[Duplicate, ...]]:
        """Tell what belongs together, as it is found: a group of copies, or what one file shares."""
        records = {record.id: record for record in self._catalog.files()}
        stored = set(self._store.file_ids().tolist())
        same = _same_content(records.values(), stored)
        reporter = Reporter([records[i] for i in same], progress)
        comparison = FileComparison(self._store, self._spec, self._decision, self._min_score)
        path = self._catalog.folder / INDEX / "duplicates.sqlite"
        with closing(Found(path, self._state(records.values(), stored))) as found:

            def shared_of(file_id: int, others: set[int], copies: set[int]) -> list[Shared]:
                known = found.get(file_id)
                if known is None:
                    record = records[file_id]
                    came = reporter.inside(record) if record.duration >= _LONG else _nowhere
                    with one_thread_for_algebra():
                        known = comparison.shared(file_id, others & stored, copies, came)
                    found.put(file_id, known)
                return [part for part in known if part.other in others]

            yield from _grouped(records, same, shared_of, reporter)

    def _state(self, records: Iterable[FileRecord], stored: set[int]) -> str:
        """Name the state of the library that results are valid for."""
        facts = [_METHOD, self._spec.key, self._decision.revision, self._min_score]
        facts += [(r.id, r.digest, r.duration, r.id in stored) for r in sorted(records, key=lambda r: r.id)]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _nowhere(_: float) -> None:
    """Say nothing of how far the work on a short file has come."""


def _same_content(records: Iterable[FileRecord], stored: set[int]) -> dict[int, list[int]]:
    """Give the files of each content, the first by path standing for all.

    One that has vectors stands for those that have none, as files do that were indexed without fingerprints.
    """
    by_content: dict[object, list[FileRecord]] = defaultdict(list)
    for record in records:
        if record.digest or record.id in stored:
            by_content[record.digest or record.id].append(record)
    found = {}
    for files in by_content.values():
        ids = [record.id for record in sorted(files, key=lambda record: record.id not in stored)]
        found[ids[0]] = ids
    return found


def _grouped(
    records: dict[int, FileRecord],
    same: dict[int, list[int]],
    shared_of: Callable[[int, set[int], set[int]], list[Shared]],
    reporter: Reporter,
) -> Iterator[tuple[Duplicate, ...]]:
    """Go from each file to its copies, and on to theirs, before the next has its turn."""
    waiting = dict.fromkeys(same)
    copies: dict[int, set[int]] = defaultdict(
        set
    )  # of a file that waits: which hold the same, from end to end
    group = 0
    while waiting:
        turn = deque([next(iter(waiting))])
        is_first = True
        whole: list[Duplicate] = []
        later: list[tuple[Duplicate, ...]] = []  # of its further members, told once it is known what they are
        while turn:
            file_id = turn.popleft()
            if file_id not in waiting:
                continue
            del waiting[file_id]
            whole += _identical(records, same[file_id], group + 1)
            parts: list[Duplicate] = []
            for part in shared_of(file_id, set(waiting), copies.pop(file_id, set())):
                if part.whole:
                    turn.append(part.other)
                    copies[part.other].add(file_id)
                told = whole if part.whole else parts
                number = group + 1 if part.whole else None
                for one in same[file_id]:
                    told += [
                        _duplicate(records[one], records[other], part, number) for other in same[part.other]
                    ]
            if parts and not is_first:
                later.append(tuple(parts))
            elif parts:
                yield tuple(parts)
            reporter.done(records[file_id])
            is_first = False
        if whole:
            group += 1
            yield tuple(whole)
        yield from later


def _identical(records: dict[int, FileRecord], ids: list[int], group: int) -> list[Duplicate]:
    return [
        Duplicate(
            path=records[one].path,
            other=records[other].path,
            start=0.0,
            end=records[one].duration,
            other_start=0.0,
            other_end=records[other].duration,
            score=1.0,
            tempo=1.0,
            whole=True,
            group=group,
        )
        for one, other in combinations(ids, 2)
    ]


def _duplicate(one: FileRecord, other: FileRecord, shared: Shared, group: int | None) -> Duplicate:
    return Duplicate(
        path=one.path,
        other=other.path,
        start=shared.start,
        end=min(shared.end, one.duration),
        other_start=shared.other_start,
        other_end=min(shared.other_end, other.duration),
        score=shared.score,
        tempo=shared.tempo,
        whole=shared.whole,
        group=group,
    )
