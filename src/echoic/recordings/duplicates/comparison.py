"""One file of a library against others: which hold the same sound, where, and how sure that is.

Some of the file's windows are looked for among all; files that several of them are similar to, one after the
other, are laid beside it (:mod:`echoic.recordings.duplicates.stretches`). What they seem to share is judged,
as in an identification, by a few stretches of it: by what the one has over every other recording of the
library.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from echoic.recordings.alignment import Alignment, align
from echoic.recordings.decision import Decision
from echoic.recordings.duplicates.stretches import (
    EDGE,
    FASTEST,
    SIMILAR,
    SLOWEST,
    Part,
    same_clip,
    shared_parts,
)
from echoic.spec import EncoderSpec
from echoic.storage.vectors.base import VectorStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32, Segments

__all__ = ["FileComparison", "Shared"]

Float64 = npt.NDArray[np.float64]

_NEIGHBOURS = 20
_JUDGES_BY = 60  # neighbours of a window of a stretch, at most what an alignment asks for
_AT_ONCE = 1024  # windows
# Windows of a file of which all are looked for; of a longer one every other: what is shared is then followed
# through all of them.
_FEW = 60
_STEP = 2
_CLIP = 3  # windows: what is so short is a copy from end to end, or none
_STRETCH, _LONGEST = (
    10.0,
    14.0,
)  # s that are judged as one, as in identification; from so many on it is parted
_STRETCHES = 4  # that are looked at, of a longer part
_SURE = 0.98  # probability from which one stretch of several is believed alone
_SHORT = 5.0  # s: of parts that are shorter so many are looked at that they must be as sure
_AGREE = 1.0  # s that a stretch and the part that it is of may differ by
_AS_GOOD = 0.03  # less similar than at the best place: music repeats itself
_SPEED_ERROR = 0.25  # s: half a hop, from end to end of a part; a change of speed that is less is none
_REPEATED = 1.0  # s; the same, where no stretch seems to be sped up: music that repeats a beat may look so
_LIMIT_ERROR = 0.005  # by which the limits of speed may be missed
# What two files must share of their sound to be the same from end to end. The rest may be quiet, or under
# noise; but neither begins or ends with more of it than the other.
_NEARLY_ALL = 0.85
_KEPT = 200_000  # windows of files that are kept in memory: 100 MB


@dataclass(frozen=True, slots=True)
class Shared:
    """What a file shares with another; see :class:`echoic.types.Duplicate`."""

    other: int
    start: float
    end: float
    other_start: float
    other_end: float
    score: float
    tempo: float
    whole: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a stretch said: the probability, its middle, and where and at what speed that is in the other."""

    score: float
    time: float
    place: float
    tempo: float


@dataclass
class _Claim:
    """A part that a file may share with another, and what its stretches said."""

    other: int
    part: Part
    stretches: list[slice]
    heard: list[_Heard] = field(default_factory=list)

    def is_believed(self, min_score: float) -> bool:
        """Among several stretches some go wrong: one alone must be sure, two that agree need not be."""
        scores = sorted((heard.score for heard in self.heard), reverse=True)
        if not scores or scores[0] < min_score:
            return False
        if len(self.stretches) == 1:
            return scores[0] >= _SURE or self.part.end - self.part.start >= _SHORT
        return scores[0] >= _SURE or (len(scores) > 1 and scores[1] >= min_score)


class FileComparison:
    """Compares files of a library by their stored windows.

    Parameters
    ----------
    store : VectorStore
    spec : EncoderSpec
    decision : Decision
    min_score : float, optional
        Probability from which on something is told; by default the decision's own threshold.
    """

    def __init__(
        self,
        store: VectorStore,
        spec: EncoderSpec,
        decision: Decision,
        min_score: float | None,
    ) -> None:
        self._store, self._spec, self._decision = store, spec, decision
        self._min_score = decision.threshold if min_score is None else min_score
        self._kept: OrderedDict[int, Segments] = OrderedDict()

    def shared(
        self, file_id: int, others: Set[int], copies: Set[int], came: Callable[[float], None]
    ) -> list[Shared]:
        """Find what a file shares with others.

        Parameters
        ----------
        file_id : int
        others : set of int
            Files to compare it with.
        copies : set of int
            Files, not among these, that are known to hold the same sound as it does.
        came : callable
            Called with the share of the work that is done, 0 … 1.

        Returns
        -------
        list of Shared
            In order of time.
        """
        one = self._segments(file_id)
        if not len(one) or not others:
            return []
        told: list[Shared] = []
        claims: list[_Claim] = []
        for other_id, (times, places) in self._similar(one, others, came).items():
            other = self._segments(other_id)
            if (score := same_clip(one, other)) >= self._min_score:
                told.append(_as_one_clip(other_id, one, other, score))
            elif min(len(one), len(other)) > _CLIP:
                for part in shared_parts(one, other, times, places):
                    if SLOWEST - _LIMIT_ERROR <= part.tempo <= FASTEST + _LIMIT_ERROR:
                        claims.append(_Claim(other_id, part, _stretches(one, part)))
        for claim in self._believed(file_id, one, claims, copies | {shared.other for shared in told}, came):
            if (shared := self._as_shared(one, claim)) is not None:
                told.append(shared)
        return sorted(told, key=lambda shared: (shared.start, shared.other))

    def _segments(self, file_id: int) -> Segments:
        """Give a file's windows; none if it is gone since it was listed."""
        if file_id in self._kept:
            self._kept.move_to_end(file_id)
            return self._kept[file_id]
        found = self._store.fetch([file_id]).get(file_id) or Segments.none(self._spec.dim)
        self._kept[file_id] = found
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _KEPT:
            self._kept.popitem(last=False)
        return found

    def _similar(
        self, one: Segments, others: Set[int], came: Callable[[float], None]
    ) -> dict[int, tuple[Float64, Float64]]:
        """Find the windows of others that are similar to a file's: where both start, by file."""
        rows = np.arange(0, len(one), 1 if len(one) <= _FEW else _STEP)
        wanted = np.fromiter(others, np.int64, len(others))
        similar: list[tuple[npt.NDArray[np.int64], Float64, Float64]] = []
        for at in range(0, len(rows), _AT_ONCE):
            batch = rows[at : at + _AT_ONCE]
            near = self._store.search(one.vectors[batch], _NEIGHBOURS)
            # Where all of them are similar there may be more: a file may fill the places by its own refrain.
            crowded = (near.scores >= SIMILAR).sum(axis=1) == _NEIGHBOURS
            kinds = [(batch[~crowded], near[~crowded])]
            if crowded.any():
                again = self._store.search(one.vectors[batch[crowded]], _NEIGHBOURS, within=others)
                kinds.append((batch[crowded], again))
            for their_rows, found in kinds:
                row, among = np.nonzero((found.scores >= SIMILAR) & np.isin(found.file_ids, wanted))
                which = row, among
                similar.append((found.file_ids[which], one.starts[their_rows[row]], found.starts[which]))
            came(0.5 * (at + len(batch)) / len(rows))
        files, times, places = (np.concatenate(columns) for columns in zip(*similar, strict=True))
        order = np.lexsort((times, files))
        files, times, places = files[order], times[order], places[order]
        ids, firsts, sizes = np.unique(files, return_index=True, return_counts=True)
        rows_of = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
        return {i: (times[mine], places[mine]) for i, mine in zip(ids.tolist(), rows_of, strict=True)}

    def _believed(
        self,
        file_id: int,
        one: Segments,
        claims: Sequence[_Claim],
        copies: Set[int],
        came: Callable[[float], None],
    ) -> Iterator[_Claim]:
        """Judge claims, the likely ones first.

        What holds the same sound as a file that is told already has nothing over that one. So as long as
        something is told, what was not is looked at again without it.
        """
        hidden = {file_id} | copies
        pending = list(claims)
        # All at once: a store searches for many windows in hardly more time than for a few.
        near = self._neighbours(one, [rows for claim in claims for rows in claim.stretches[:2]])
        while pending:
            heard: dict[tuple[int, int, frozenset[int]], list[Alignment]] = {}
            told = []
            for number, claim in enumerate(pending, 1):
                without = frozenset(hidden - {claim.other})
                claim.heard.clear()
                for rows in claim.stretches:
                    key = rows.start, rows.stop, without
                    if key not in heard:
                        if any(row not in near for row in range(rows.start, rows.stop)):
                            near |= self._neighbours(one, [rows])
                        heard[key] = self._aligned(one, rows, without, near)
                    claim.heard += self._agreeing(one, rows, claim, heard[key])
                    if len(claim.heard) > 1 and claim.is_believed(self._min_score):
                        break
                if claim.is_believed(self._min_score):
                    told.append(claim)
                came(0.5 + 0.5 * number / len(pending))
            yield from told
            hidden |= {claim.other for claim in told}
            pending = [
                claim
                for claim in pending
                if claim not in told and any(_overlap(claim.part, other.part) for other in told)
            ]

    def _neighbours(self, one: Segments, stretches: Sequence[slice]) -> dict[int, Neighbours]:
        """Look for all windows of some stretches, by row."""
        rows = sorted({row for rows in stretches for row in range(rows.start, rows.stop)})
        near: dict[int, Neighbours] = {}
        for at in range(0, len(rows), _AT_ONCE):
            batch = rows[at : at + _AT_ONCE]
            found = self._store.search(one.vectors[batch], _JUDGES_BY)
            near |= {row: found[i : i + 1] for i, row in enumerate(batch)}
        return near

    def _aligned(
        self, one: Segments, rows: slice, without: frozenset[int], near: dict[int, Neighbours]
    ) -> list[Alignment]:
        stretch = Segments(one.starts[rows], one.ends[rows], one.vectors[rows])
        found = Neighbours.stacked([near[row] for row in range(rows.start, rows.stop)])
        return align(
            stretch,
            cast("VectorStore", _Without(self, self._store, without, found)),
            self._decision.cohort,
            window=self._spec.window,
            hop=self._spec.hop,
        )

    def _agreeing(
        self, one: Segments, rows: slice, claim: _Claim, alignments: list[Alignment]
    ) -> Iterator[_Heard]:
        """Give what was found where a claim says."""
        times = one.starts[rows]
        time = float(times.mean())
        expected = claim.part.place(time)
        for alignment in alignments:
            if alignment.file_id != claim.other:
                continue
            probability = self._decision.probability(alignment.evidence)
            centre = time + self._spec.window / 2
            place = alignment.start + alignment.speed * centre - self._spec.window / 2
            if abs(place - expected) <= _AGREE:
                yield _Heard(probability, time, place, alignment.speed)
            elif self._along(one, rows, claim) >= alignment.evidence[0] - _AS_GOOD:
                yield _Heard(probability, time, expected, alignment.speed)

    def _along(self, one: Segments, rows: slice, claim: _Claim) -> float:
        """Average how similar the other file is along a part."""
        other = self._segments(claim.other)
        after = np.searchsorted(other.starts, [claim.part.place(time) for time in one.starts[rows].tolist()])
        beside = np.clip(np.stack([after - 1, after], axis=1), 0, len(other) - 1)
        return float(np.einsum("nd,nkd->nk", one.vectors[rows], other.vectors[beside]).max(axis=1).mean())

    def _as_shared(self, one: Segments, claim: _Claim) -> Shared | None:
        """Spell out what was believed, at the place where its stretches were found; None if it is empty."""
        part, other = claim.part, self._segments(claim.other)
        tempo, drift = part.tempo, abs(part.tempo - 1) * (part.end - part.start)
        as_it_is = all(heard.tempo == 1 for heard in claim.heard)
        if drift <= (_REPEATED if as_it_is else _SPEED_ERROR):
            tempo = 1.0
        offset = float(np.mean([heard.place - tempo * heard.time for heard in claim.heard]))
        # Not before either begins, nor beyond the end of one.
        start = max(part.start, float(other.starts[0] - offset) / tempo)
        end = min(part.end, float(other.ends[-1] - offset) / tempo)
        if end <= start:
            return None
        spans = (start, end), (offset + tempo * start, offset + tempo * end)
        before = start - one.starts[0] - (spans[1][0] - other.starts[0]) / tempo
        after = one.ends[-1] - end - (other.ends[-1] - spans[1][1]) / tempo
        return Shared(
            other=claim.other,
            start=start,
            end=end,
            other_start=max(0.0, spans[1][0]),
            other_end=spans[1][1],
            score=max(heard.score for heard in claim.heard),
            tempo=tempo,
            whole=max(abs(before), abs(after)) <= EDGE
            and all(
                finish - begin >= _NEARLY_ALL * (file.ends[-1] - file.starts[0])
                for (begin, finish), file in zip(spans, (one, other), strict=True)
            ),
        )


class _Without:
    """A store as one sees it who knows some files already; no more of it than an alignment asks for.

    Parameters
    ----------
    near : Neighbours
        Those of the windows that will be searched for.
    """

    def __init__(
        self, comparison: FileComparison, store: VectorStore, without: frozenset[int], near: Neighbours
    ) -> None:
        self._comparison, self._store, self._without, self._near = comparison, store, without, near

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        known = {file_id: self._comparison._segments(file_id) for file_id in file_ids}
        return {file_id: segments for file_id, segments in known.items() if len(segments)}

    def search(self, queries: Float32, k: int, *, within: None = None) -> Neighbours:
        found = self._near.without(self._without)
        if found.found.sum(axis=1).min() >= k // 2:
            return found.first(k)
        others = set(self._store.file_ids().tolist()) - self._without
        return self._store.search(queries, k, within=others)


def _stretches(one: Segments, part: Part) -> list[slice]:
    """Choose the windows by which a part is judged: all, or stretches, the outermost first.

    They begin at multiples of half a stretch, so that those of several copies are the same.
    """

    def rows(begin: float, end: float) -> slice:
        first = int(np.searchsorted(one.starts, begin - 1e-6))
        return slice(first, max(first + 1, int(np.searchsorted(one.ends, end + 1e-6, side="right"))))

    if part.end - part.start <= _LONGEST:
        return [rows(part.start, part.end)]
    step = _STRETCH / 2
    first, last = np.ceil(part.start / step), np.floor((part.end - _STRETCH) / step)
    chosen = np.unique(np.round(np.linspace(first, max(first, last), _STRETCHES)) * step)
    begins = [chosen[0], chosen[-1], *chosen[1:-1]] if len(chosen) > 1 else [chosen[0]]
    found = [rows(float(begin), float(begin) + _STRETCH) for begin in begins]
    return [r for r in found if r.stop - r.start >= _STRETCH / 4] or [rows(part.start, part.end)]


def _overlap(one: Part, other: Part) -> bool:
    return min(one.end, other.end) > max(one.start, other.start)


def _as_one_clip(other_id: int, one: Segments, other: Segments, score: float) -> Shared:
    begin, end = float(max(one.starts[0], other.starts[0])), (float(one.ends[-1]), float(other.ends[-1]))
    return Shared(other_id, begin, end[0], begin, end[1], score, 1.0, whole=True)
