"""From a file that plays, of any length, to the recordings heard in it.

A long query is looked at in stretches that overlap by half. A stretch is of one recording, or divided where
one takes over from another. Stretches that agree on a recording and a place in it become one match; it begins
and ends where its windows fit it better than not. Memory does not grow with the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.recordings.alignment import Alignment, Comparison, Place, realign
from echoic.recordings.decision import Decision
from echoic.recordings.line import STRETCH, Line
from echoic.recordings.loops import Laid, common_start
from echoic.recordings.parts import Part, best_run, parts
from echoic.recordings.stretches import LONGEST, Gathering, weight
from echoic.spec import EncoderSpec
from echoic.storage.vectors.base import VectorStore
from echoic.types import Segments

__all__ = ["Heard", "Identifying", "identify", "in_order"]

Float64 = npt.NDArray[np.float64]

_AGREE = 0.6  # s that two stretches may differ by in where they lie in a recording
_SURE = 0.98  # probability from which one stretch among many, or a part of one, is believed alone
_FAR = 0.35  # the cosine of a window with a place where it does not lie
_MOSTLY = 0.75  # of a whole stretch's cosines as they rank: not all need be of what is heard in it
_FILLED = 1.0  # s at either end of a stretch that one recording may leave and still fill it
_LONGEST_PAUSE = 30.0  # s that a recording may be drowned and go on
_OVERLAP = 1.0  # s that two places may have in common
_PAUSE = 1.0  # s that a recording may be gone, and another heard, and still go on
_SPEED_ERROR = 0.005  # by which speeds of the same music that are told as one may seem to differ
_FEWEST = 8  # windows that are judged without those at a join
_TOGETHER = 0.3  # s
_ALL = 0.9  # of a query that lies at every place which is told


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording heard in a query; times are seconds, see :class:`echoic.types.Match`.

    ``fit`` is the mean cosine: of copies, the nearest has the highest.
    """

    file_id: int
    query_start: float
    query_end: float
    start: float
    end: float
    score: float
    tempo: float
    fit: float


@dataclass(slots=True, eq=False)
class _Detection:
    """What one stretch, or several that agree, say: ``begin`` and ``finish`` are seconds of the query.

    ``part`` says that it was less than a stretch; ``elsewhere`` marks a further place of what is heard, which
    is told only if all of the query lies there.
    """

    file_id: int
    begin: float
    finish: float
    score: float
    fit: float
    line: Line
    part: bool
    ending: float  # of the recording
    elsewhere: bool = False
    n_stretches: int = 1
    speed: float = 1.0  # that is told

    @property
    def over(self) -> float:
        """When it is over for good: what was heard for long may be drowned for a while."""
        return self.finish + min(_LONGEST_PAUSE, (self.finish - self.begin) / 8)

    def settle_speed(self, told: Iterable[_Detection]) -> None:
        """Choose the speed to tell: that of the same music as told already, where it may be the same."""
        length = self.finish - self.begin
        speed, error = self.line.measured(length)
        known = [d.speed for d in told if d.file_id == self.file_id or d.overlap(self) > 0]
        self.speed = next(
            (one for one in known if abs(one - speed) <= min(error, _SPEED_ERROR)), self.line.speed(length)
        )

    def heard(self) -> Heard:
        speed = self.speed
        return Heard(
            file_id=self.file_id,
            query_start=self.begin,
            query_end=self.finish,
            start=max(0.0, self.line.place(self.begin, speed)),
            end=self.line.place(self.finish, speed),
            score=self.score,
            tempo=speed,
            fit=self.fit,
        )

    def apart(self, other: _Detection) -> float:
        """Seconds between where in the recording the two have the middle of this one."""
        middle = (self.begin + self.finish) / 2
        return abs(self.line.place(middle) - other.line.place(middle))

    def take_over(self, other: _Detection) -> None:
        """Reach as far as one of the same recording at the same time that lies elsewhere in it."""
        speed = self.line.speed()
        first = self.begin - self.line.place(self.begin) / speed
        last = self.begin + (self.ending - self.line.place(self.begin)) / speed
        self.begin = max(min(self.begin, other.begin), min(self.begin, first))
        self.finish = min(max(self.finish, other.finish), max(self.finish, last))

    def extend(self, new: _Detection) -> None:
        """Go on with what one more stretch says."""
        self.line.go_on(new.line)
        self.begin, self.finish = min(self.begin, new.begin), max(self.finish, new.finish)
        self.score, self.fit = max(self.score, new.score), max(self.fit, new.fit)
        self.part = self.part and new.part
        self.n_stretches += 1

    def laid(self) -> Laid:
        speed = self.line.speed(self.finish - self.begin)
        return Laid(self.begin, self.finish, self.line.place(0.0, speed), speed)

    def overlap(self, other: _Detection) -> float:
        """Seconds of the query that both are heard in."""
        return min(self.finish, other.finish) - max(self.begin, other.begin)


class Identifying:
    """Finds the recordings that are heard in a query, in order of time, as its windows come.

    Parameters
    ----------
    store : VectorStore
        Holds the recordings.
    spec : EncoderSpec
        Of the encoder that made both.
    decision : Decision
    at_speed : callable, optional
        Encodes the query between two times as :func:`~echoic.recordings.alignment.realign` asks for it at a
        speed, the third argument; no rows where it is not to be had any more.
    min_score : float, optional
        Probability from which on a match is told; by default the decision's own threshold.
    within : set of int, optional
        The only files to look into.
    without : set of int
        Files not to look into: the query's own.
    every_place : bool
        Tell each place of a recording at which all of the query lies, not only the nearest.
    """

    def __init__(
        self,
        store: VectorStore,
        spec: EncoderSpec,
        decision: Decision,
        *,
        at_speed: Callable[[float, float, float], Segments] | None = None,
        min_score: float | None = None,
        within: Set[int] | None = None,
        without: Set[int] = frozenset(),
        every_place: bool = False,
    ) -> None:
        self._store, self._spec, self._decision, self._at_speed = store, spec, decision, at_speed
        self._within, self._without = within, without
        self._gathering = Gathering()
        self._listener = _Listener(
            decision, decision.threshold if min_score is None else min_score, spec.window, every_place
        )

    def push(self, more: Segments) -> Iterator[Heard]:
        """Take further windows, ``QUERY_HOP`` seconds apart or twice that; tell what is over by now."""
        for stretch in self._gathering.push(more):
            yield from self._listen(stretch, False)

    def finish(self) -> Iterator[Heard]:
        """Tell what was heard last, the query being over."""
        if (last := self._gathering.last()) is not None:
            yield from self._listen(last, True)

    def _listen(self, stretch: Segments, is_last: bool) -> Iterator[Heard]:
        comparison = Comparison(
            stretch,
            self._store,
            self._decision.cohort,
            window=self._spec.window,
            hop=self._spec.hop,
            within=self._within,
            without=self._without,
            each=weight(stretch),
        )
        self._listener.listen(comparison, is_last, self._at_speed)
        yield from self._listener.over(np.inf if is_last else float(stretch.starts[0]))


def identify(
    segments: Iterable[Segments], store: VectorStore, spec: EncoderSpec, decision: Decision, **options: Any
) -> Iterator[Heard]:
    """Find the recordings that are heard in a query, in order of time, while it is read.

    Parameters
    ----------
    segments : iterable of Segments
        The query's windows, ``QUERY_HOP`` seconds apart or as :func:`query_hop` says, as they come.
    store, spec, decision, **options
        As of :class:`Identifying`.
    """
    identifying = Identifying(store, spec, decision, **options)
    for more in segments:
        yield from identifying.push(more)
    yield from identifying.finish()


def in_order(heard: Iterable[Heard]) -> list[Heard]:
    """Sort by time; of what begins together, as copies do, the nearest to the query comes first."""
    groups: list[list[Heard]] = []
    for one in sorted(heard, key=lambda one: one.query_start):
        if groups and one.query_start - groups[-1][0].query_start < _TOGETHER:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [one for group in groups for one in sorted(group, key=lambda one: -one.fit)]


class _Listener:
    """What has been heard so far and is not over yet."""

    def __init__(self, decision: Decision, min_score: float, window: float, every_place: bool) -> None:
        self._decision, self._min_score, self._window = decision, min_score, window
        self._every_place = every_place
        self._current: list[_Detection] = []
        self._told: list[_Detection] = []  # lately
        self._begin: float | None = None  # of the query
        self._end = 0.0
        self._several = False

    def listen(
        self,
        comparison: Comparison,
        is_last: bool,
        at_speed: Callable[[float, float, float], Segments] | None,
    ) -> None:
        """Take a further stretch in."""
        query, n = comparison.query, len(comparison.query)
        is_first = self._begin is None
        if self._begin is None:
            self._begin = float(query.starts[0])
        self._end = float(query.ends[-1])
        self._several = self._several or not is_last
        known = self._going_on()
        everything = slice(0, n)
        whole = self._likely(comparison, everything, known)
        found = []
        if not (whole and _fills(comparison, whole[0])):
            found = self._parts(comparison, known)
        if whole and not any(one.probability >= _SURE for one in found):
            found = whole
        for one in found:
            begin, end = float(query.starts[one.rows][0]), float(query.ends[one.rows][-1])
            if (
                at_speed is not None and end - begin <= LONGEST
            ):  # else it is silent in between, for hours maybe
                one = replace(
                    one, alignment=realign(one.alignment, partial(at_speed, begin, end), self._window)
                )
            self._add(comparison, one, is_first, is_last)
            if self._every_place and len(range(*one.rows.indices(n))) >= _ALL * n:
                for other in comparison.places(one.alignment, one.rows):
                    self._add(comparison, replace(one, alignment=other), is_first, is_last, elsewhere=True)

    def over(self, until: float) -> Iterator[Heard]:
        """Tell what was believed to be heard, and was over before a time of the query."""
        believed = [d for d in self._current if self._is_believed(d)]
        # Music repeats itself: of what is heard at two places of one recording at once, one is right.
        believed.sort(key=lambda d: (-d.n_stretches, -d.fit * (d.finish - d.begin)))
        kept: list[_Detection] = []
        for detection in believed:
            other = next((other for other in (*self._told, *kept) if _is_repeat(detection, other)), None)
            if other is None:
                kept.append(detection)
            else:
                other.take_over(detection)
                self._current.remove(detection)
        over = [d for d in self._current if d.over < until]
        self._current = [d for d in self._current if d.over >= until]
        over = [d for d in over if d in kept]
        # The surest first: what the others say of the same music's speed is within their error.
        for detection in sorted(over, key=lambda d: d.begin - d.finish):
            detection.settle_speed(self._told)
            self._told.append(detection)
        yield from (detection.heard() for detection in over)
        self._told = [d for d in self._told if d.finish >= until - LONGEST]

    def _likely(self, comparison: Comparison, rows: slice, known: list[Place]) -> list[_Found]:
        """Align some windows, and keep what is as probable as was asked."""
        found = []
        for alignment in comparison.align(rows, known):
            probability = self._decision.probability(alignment.evidence)
            if probability >= self._min_score:
                found.append(_Found(alignment, probability, rows, slice(0, len(comparison.query))))
        return found

    def _parts(self, comparison: Comparison, known: list[Place]) -> list[_Found]:
        """Judge each part of a stretch by itself, away from where others touch it."""
        divided = parts(comparison, known)
        found: list[_Found] = []
        for number, part in enumerate(divided):
            begun = divided[number - 1].last if number else 0
            over = divided[number + 1].first if number + 1 < len(divided) else len(comparison.query)
            joins = number > 0 and part.first == begun, over < len(comparison.query) and part.last == over
            rows = _pure(comparison, part, self._window / 2, joins)
            likely = self._likely(comparison, rows, known)
            found += [replace(one, reach=slice(begun, over), joins=joins) for one in likely]
        return found

    def _going_on(self) -> list[Place]:
        """Where the query lies in what is being heard."""
        return [
            Place(d.file_id, d.line.place(0.0), d.line.speed())
            for d in self._current
            if not d.elsewhere and (d.n_stretches > 1 or d.score >= _SURE)
        ]

    def _add(
        self, comparison: Comparison, one: _Found, is_first: bool, is_last: bool, *, elsewhere: bool = False
    ) -> None:
        """Note a detection, or extend the one that it goes on from."""
        alignment, query = one.alignment, comparison.query
        begin, finish = _span(comparison, one, self._window, is_first, is_last)
        line = Line()
        middle = float(comparison.centres[one.rows].mean())
        line.add(middle, alignment.start + alignment.speed * middle, alignment.speed)
        part = len(range(*one.rows.indices(len(query)))) < len(query)
        new = _Detection(
            alignment.file_id,
            begin,
            finish,
            one.probability,
            alignment.fit,
            line,
            part,
            comparison.edges(alignment.file_id)[1],
            elsewhere,
        )
        for old in self._current:
            if (
                old.file_id == new.file_id
                and old.elsewhere == elsewhere
                and abs(old.line.place(middle) - line.place(middle)) <= _AGREE
                and not self._is_join(old, new)
            ):
                old.extend(new)
                return
        if not elsewhere and self._is_repeated(comparison, new):
            return
        if not elsewhere or (self._begin is not None and begin <= self._begin + STRETCH / 2):
            self._current.append(new)

    def _is_repeated(self, comparison: Comparison, new: _Detection) -> bool:
        """Lay what goes on at another occurrence of the same bars, and what was before, at one place."""
        for old in self._current:
            if old.file_id != new.file_id or old.elsewhere or self._is_join(old, new):
                continue
            if old.n_stretches == 1 and max(old.score, new.score) < _SURE:
                continue  # two that lie apart do not bear each other out: in a loop, chance would do
            laid = old.laid(), new.laid()
            speed = laid[old.finish - old.begin < new.finish - new.begin].speed
            overlay = comparison.overlay(new.file_id)
            start = None if overlay is None else common_start(overlay, laid, speed)
            if start is not None:
                for one, other in zip((old, new), laid, strict=True):
                    middle = (other.begin + other.finish) / 2
                    one.line.shift(start + speed * middle - one.line.place(middle, other.speed))
                old.extend(new)
                return True
        return False

    def _is_join(self, old: _Detection, new: _Detection) -> bool:
        """Tell whether another recording was heard between two detections."""
        pause = new.begin - old.finish
        return pause > _PAUSE and any(
            min(other.finish, new.begin) - max(other.begin, old.finish) > pause / 2
            for other in self._current
            if other.file_id != old.file_id and other.score >= _SURE
        )

    def _is_believed(self, detection: _Detection) -> bool:
        """Among many stretches some go wrong: one alone must be sure, two that agree need not be."""
        if detection.elsewhere:
            begin = 0.0 if self._begin is None else self._begin
            if detection.finish - detection.begin < _ALL * (self._end - begin):
                return False
        # Parts of two stretches may be the same few seconds, judged twice; whole ones are half as long again.
        length = detection.finish - detection.begin
        alone = detection.n_stretches == 1 or (detection.part and length < 1.5 * STRETCH)
        return detection.score >= _SURE or not (alone and (self._several or detection.part))


@dataclass(frozen=True, slots=True)
class _Found:
    """An alignment of some windows of a stretch, and the windows that its recording may be heard in.

    ``joins`` says whether it joins on to what is before those windows, and after.
    """

    alignment: Alignment
    probability: float
    rows: slice
    reach: slice
    joins: tuple[bool, bool] = (False, False)


def _pure(comparison: Comparison, part: Part, margin: float, joins: tuple[bool, bool]) -> slice:
    """Leave out the windows of a part that what comes right before it, or after, is heard in as well."""
    centres = comparison.centres
    first, last = part.first, part.last
    if joins[0]:
        first = int(np.searchsorted(centres, centres[first] + margin))
    if joins[1]:
        last = int(np.searchsorted(centres, centres[last - 1] - margin, side="right"))
    return slice(first, last) if last - first >= _FEWEST else slice(part.first, part.last)


def _run(comparison: Comparison, one: _Found, usual: float = 0.5) -> tuple[int, int]:
    """Find the first and last window that a recording is heard in more than not.

    Half way between a cosine that is ``usual`` among its windows, a quantile, and that of a stranger.
    """
    alignment = one.alignment
    similarities, inside = comparison.along(Place(alignment.file_id, alignment.start, alignment.speed))
    within = np.zeros(len(similarities), np.bool_)
    within[one.rows] = True
    mine = similarities[within & inside]
    level = (float(np.quantile(mine, usual)) + _FAR) / 2 if len(mine) else 1.0
    first, last = best_run(np.where(inside, similarities - level, -1.0)[one.reach])
    offset = one.reach.indices(len(similarities))[0]
    return first + offset, last + offset


def _fills(comparison: Comparison, one: _Found) -> bool:
    """Tell whether one recording is heard nearly from end to end of a stretch."""
    first, last = _run(comparison, one, _MOSTLY)
    centres = comparison.centres
    return bool(centres[first] - centres[0] <= _FILLED and centres[-1] - centres[last] <= _FILLED)


def _span(
    comparison: Comparison, one: _Found, window: float, is_first: bool, is_last: bool
) -> tuple[float, float]:
    """Tell from when to when a recording is heard, in seconds of the query.

    Where it ends amid the query, half of a window is it and half is not. What lies less than that from the
    query's own ends is taken for drowned there, not for another sound.
    """
    alignment, query, centres = one.alignment, comparison.query, comparison.centres
    first, last = _run(comparison, one)
    half = float(np.median(np.diff(centres))) / 2 if len(centres) > 1 else 0.0

    def edges(first: int, last: int) -> tuple[float, float]:
        return (
            float(query.starts[0])
            if is_first and centres[first] - centres[0] < window / 2
            else float(centres[first]) - half,
            float(query.ends[-1])
            if is_last and centres[-1] - centres[last] < window / 2
            else float(centres[last]) + half,
        )

    begin, finish = edges(first, last)
    # At a recording's own begin and end its windows fit only while they lie in it.
    opening, ending = comparison.edges(alignment.file_id)
    earliest, latest = (
        (opening - alignment.start) / alignment.speed,
        (ending - alignment.start) / alignment.speed,
    )
    begin = earliest if begin - earliest < window / 2 else begin
    finish = latest if latest - finish < window / 2 else finish
    reach = one.reach.indices(len(query))
    start, stop = edges(reach[0], reach[1] - 1)
    return start if one.joins[0] else max(begin, start), stop if one.joins[1] else min(finish, stop)


def _is_repeat(detection: _Detection, other: _Detection) -> bool:
    """Tell a passage that was laid against another occurrence of it in the same recording."""
    if detection.file_id != other.file_id or other.elsewhere:
        return False
    if detection.elsewhere:
        return detection.apart(other) < detection.finish - detection.begin - _OVERLAP
    return detection.overlap(other) > min(d.finish - d.begin for d in (detection, other)) / 3
