"""From passages that are heard twice to groups of places, each place once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from echoic.recordings.repeats.passages import Passage

__all__ = ["Place", "grouped"]

_SAME = 0.5  # share of the longer of two spans that both have, if they are one place
_LOOP = 30.0  # s from one place of a group to the next, at least: sooner, it is a loop that is heard
_ERROR = 0.4  # s by which a length may seem to be less than it is
_COVERED = 0.5  # share of a place that others may have, if it is told besides


@dataclass(slots=True, eq=False)
class Place:
    """One airing: seconds of the timeline, how sure it is, and at which pace time goes there.

    ``pace`` is how many seconds of it one second of the group's first place takes.
    """

    begin: float
    end: float
    score: float
    pace: float = 1.0
    spans: list[tuple[float, float, float]] = field(default_factory=list)  # begin, end, weight

    @property
    def weight(self) -> float:
        return sum(weight for _, _, weight in self.spans)

    def settle(self) -> None:
        """Begin and end where most of the passages do that it was found by."""
        begins, ends, weights = (np.array(column) for column in zip(*self.spans, strict=True))
        self.begin, self.end = _median(begins, weights), _median(ends, weights)


def grouped(passages: Sequence[Passage], min_length: float, apart: float) -> list[list[Place]]:
    """Put the places of passages together, the surest place of each group first; in order of time.

    Parameters
    ----------
    passages : sequence of Passage
        The heaviest first.
    min_length : float
        Seconds.
    apart : float
        Seconds from the first place of a group to its last, at least.
    """
    places: list[Place] = []
    links: dict[int, list[tuple[int, float, float]]] = defaultdict(list)

    def place_of(begin: float, end: float, passage: Passage) -> int:
        same = (
            number
            for number, place in enumerate(places)
            if _overlap(place, begin, end) >= _SAME * max(end - begin, place.end - place.begin)
        )
        number = next(same, len(places))
        if number == len(places):
            places.append(Place(begin, end, 0.0))
        places[number].spans.append((begin, end, passage.weight))
        places[number].score = max(places[number].score, passage.score)
        return number

    for passage in passages:
        one = place_of(passage.begin, passage.end, passage)
        other = place_of(passage.there, passage.there_end, passage)
        if one != other:
            links[one].append((other, passage.pace, passage.weight))
            links[other].append((one, 1 / passage.pace, passage.weight))
    told: list[Place] = []
    groups = []
    for group in sorted(_joined(places, links), key=lambda group: -sum(place.weight for place in group)):
        for place in group:
            place.settle()
        kept: list[Place] = []
        for place in sorted(group, key=lambda place: -place.weight):
            if not _is_covered(place, told) and not any(_is_turn(place, other, apart) for other in kept):
                kept.append(place)
        lasting = bool(kept) and float(np.median([p.end - p.begin for p in kept])) >= min_length - _ERROR
        begins = [place.begin for place in kept]
        if len(kept) > 1 and lasting and max(begins) - min(begins) >= apart:
            base = kept[0].pace  # the one that paces were told by may be covered
            for place in kept:
                place.pace /= base
            told += kept
            groups.append(kept)
    return sorted(groups, key=lambda group: min(place.begin for place in group))


def _joined(
    places: Sequence[Place], links: dict[int, list[tuple[int, float, float]]]
) -> Iterator[list[Place]]:
    """Give the places that are linked, the one that weighs most first, with their paces beside it."""
    waiting = set(links)
    while waiting:
        first = max(waiting, key=lambda number: places[number].weight)
        waiting.remove(first)
        group = [first]
        for number in group:  # which grows
            for other, pace, _ in sorted(links[number], key=lambda link: -link[2]):
                if other in waiting:
                    waiting.remove(other)
                    places[other].pace = places[number].pace * pace
                    group.append(other)
        yield [places[number] for number in group]


def _overlap(place: Place, begin: float, end: float) -> float:
    return min(place.end, end) - max(place.begin, begin)


def _is_turn(place: Place, other: Place, apart: float) -> bool:
    """Tell whether a place lies so near another of its group that it is a further turn of a loop."""
    near = abs(place.begin - other.begin) < min(_LOOP, apart)
    return near or _overlap(place, other.begin, other.end) > 0


def _is_covered(place: Place, others: Iterable[Place]) -> bool:
    length = place.end - place.begin
    return any(_overlap(place, other.begin, other.end) > _COVERED * length for other in others)


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])
