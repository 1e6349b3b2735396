"""Concepts: a library is taught what to find by examples and answers, and asks about what it doubts.

What it was taught are its answers alone (:mod:`echoic.storage.concepts`). When it is asked for a concept, the
examples of it and of what it is not make a query (Rocchio), what that finds surely makes a better one, as in
any search for every occurrence, and a Gaussian process corrects what that expects where the answers say
otherwise.

To learn most from an answer, it is asked in turn about what is surest, which is a call in these very
recordings or shows where the search errs, and about what is most in doubt, at even odds. Where several are
asked at once, each is taken to be answered as it is expected before the next is chosen, so that they differ.

References
----------
Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994 (uncertainty sampling).
Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization", 2010 (the believer).
Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.arguments import check_part
from echoic.audio.tags import folded
from echoic.encoders.base import mean_vector, normalize
from echoic.errors import AudioError, PartError, UsageError
from echoic.search.classifier import GaussianProcess
from echoic.search.likeness import Background, chances_of, drawn, likeness_of, logits
from echoic.search.occurrences import (
    LIKELY,
    MOST_SECONDS,
    Judge,
    apart,
    best_of,
    spans_found,
    surest,
    unlike_in_length,
)
from echoic.search.query import Examples, Filters, Part, check_k, checked_limits, ids_at
from echoic.search.ranking import refine_query
from echoic.search.result import Concept, Taught
from echoic.storage.catalog import Catalog
from echoic.storage.concepts import SAME, Answer, Answers
from echoic.storage.events import Heard, read_heard
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Hit, Note
from echoic.untrusted import is_text, shown

__all__ = ["find_instances", "forget", "known", "propose", "share", "teach"]

_LONGEST_NAME = 100  # characters
_EXACT = 0.01  # s to which a span is an event's
_POOL = 250  # of the surest and of the most doubtful, what may be asked about
_FAINTEST = 0.02  # probability from which on something may be asked about
_ENOUGH, _ENOUGH_EACH = 10, 3  # answers, and answers of each kind, from which on shares are estimated
_PARTS = 10  # that answers are judged in, each by the others
_NORMAL = 1.96  # standard deviations that hold 95 %

Float64 = npt.NDArray[np.float64]
Noted = Callable[[Path | str, Note], None]


class _Space:
    """The space that concepts of a library are in: its events, or else its windows of sound."""

    def __init__(self, catalog: Catalog, spaces: Spaces, noted: Noted) -> None:
        has_events = any("occurrences" in spec.purposes for spec in catalog.encoders().values())
        self.source, self.spec = spaces.chosen(None, "occurrences" if has_events else "sounds")
        self.catalog = catalog
        self.store = spaces.store(self.spec)
        self.examples = Examples(spaces, self.source, self.spec, noted)
        self.ids = self.store.file_ids()

    def background(self) -> Background:
        return Background(drawn(self.store, self.ids))

    def answer(self, part: Part, is_it: bool) -> Answer:
        """Take a span's vector from the store where it is an event there, or else encode it."""
        path, found = os.path.abspath(part.path), self._stored(part)
        if found is None:
            part = part.within_file()
            found = self._encoded(part)
        return Answer(path, part.start, part.end, is_it, self.spec.key, found[1], found[0])

    def _stored(self, part: Part) -> tuple[Float32, float] | None:
        if part.start is None or part.end is None:
            return None
        for _, heard in read_heard(self.store, sorted(ids_at(self.catalog, part.path))):
            off = np.maximum(np.abs(heard.starts - part.start), np.abs(heard.ends - part.end))
            if len(off) and off.min() <= _EXACT:
                vector = normalize(heard.vectors[off.argmin()][None].astype(np.float32))[0]
                return vector, part.end - part.start
        return None

    def _encoded(self, part: Part) -> tuple[Float32, float]:
        if self.spec.by == "event":
            return self.examples.meant(part.path, MOST_SECONDS, part.start, part.end)
        found = self.examples.sound(part.path, part.start, part.end)
        return mean_vector(found.vectors), self.spec.window

    def as_now(self, answers: Sequence[Answer]) -> tuple[list[Answer], list[tuple[Answer, AudioError]]]:
        """Encode anew what an earlier revision did, where that can be read; return what cannot, too."""
        usable: list[Answer] = []
        lost: list[tuple[Answer, AudioError]] = []
        for one in answers:
            if one.collection == self.spec.key:
                usable.append(one)
                continue
            try:
                usable.append(self.answer(Part(Path(one.path), one.start, one.end), one.is_it))
            except AudioError as error:
                lost.append((one, error))
        return usable, lost


class _Learnt:
    """What tells a concept from all else, of its answers.

    Parameters
    ----------
    background : Background
    answers : sequence of Answer
        One of them of the concept, at least.
    by_event : bool
        Whether lengths tell something.
    like : ndarray of float32, shape (n, dim), optional
        What is surely of the concept, too, as it is in the library.
    """

    def __init__(
        self,
        background: Background,
        answers: Sequence[Answer],
        *,
        by_event: bool,
        like: Float32 | None = None,
    ) -> None:
        self.background = background
        vectors = np.stack([one.vector for one in answers])
        self._seen, self._is_it = background.seen(vectors), np.array([one.is_it for one in answers])
        self._lengths = tuple(one.length for one in answers if one.is_it) if by_event else ()
        asked = refine_query(None, list(self._seen[self._is_it]), list(self._seen[~self._is_it]))
        if like is not None and len(like):
            asked = refine_query(asked, list(background.seen(like)), ())
        self._likeness_to = background.to(asked[0])
        self._expected = self._by_query(vectors, np.array([one.length for one in answers]))
        self.process = GaussianProcess(self._seen, self._expected, self._is_it)

    def _by_query(self, vectors: Float32, lengths: Float64) -> Float64:
        """Say the log-odds of sounds as the query alone has them."""
        return logits(self._likeness_to(vectors, -np.inf) - unlike_in_length(lengths, self._lengths))

    def odds(self, heard: Heard, least: float) -> Float64:
        """Say the log-odds of sounds, (n,): -inf of what is less likely than ``least``."""
        cut = likeness_of(least, less=self.process.most)
        alike = self._likeness_to(heard.vectors, cut)
        odds = np.full(len(alike), -np.inf)
        rows = np.flatnonzero(np.isfinite(alike))
        lengths = (heard.ends - heard.starts)[rows]
        seen = self.background.seen(normalize(heard.vectors[rows].astype(np.float32)))
        odds[rows] = logits(alike[rows] - unlike_in_length(lengths, self._lengths))
        odds[rows] += self.process.added(seen)
        return odds

    def believing(self, seen: Float32, expected: Float64, is_it: npt.NDArray[np.bool_]) -> GaussianProcess:
        """Learn once more, as if further sounds, as the background has them seen, were answered so."""
        return GaussianProcess(
            np.concatenate([self._seen, seen]),
            np.concatenate([self._expected, expected]),
            np.concatenate([self._is_it, is_it]),
        )


class _Said:
    """What was answered about spans of the library's files."""

    def __init__(self, catalog: Catalog, answers: Sequence[Answer]) -> None:
        self._by_file: dict[int, list[tuple[float, float, bool]]] = {}
        for one in answers:
            if one.start is not None and one.end is not None:
                for file_id in ids_at(catalog, Path(one.path)):
                    self._by_file.setdefault(file_id, []).append((one.start, one.end, one.is_it))

    def applied(self, file_id: int, heard: Heard, scores: Float64) -> Float64:
        """Be sure of what was answered."""
        for start, end, is_it in self._by_file.get(file_id, ()):
            shared = np.minimum(heard.ends, end) - np.maximum(heard.starts, start)
            share = shared / np.maximum(np.maximum(heard.ends - heard.starts, end - start), 1e-9)
            same = share > SAME
            # Of several the one that was meant is the surest.
            scores = np.where(same, 1 - (1 - np.minimum(share, 1)) * 1e-3 if is_it else 0.0, scores)
        return scores

    def is_open(self, file_id: int, heard: Heard) -> npt.NDArray[np.bool_]:
        """Tell which sounds nothing was said about, in whole or in part."""
        is_open = np.ones(len(heard.starts), bool)
        for start, end, _ in self._by_file.get(file_id, ()):
            is_open &= (heard.ends <= start) | (heard.starts >= end)
        return is_open


def _checked_name(name: str) -> str:
    """Take the spaces from around a concept's name.

    Raises
    ------
    UsageError
        If nothing is left, or it cannot be kept and shown.
    """
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or not is_text(name):
        raise UsageError(
            f"{shown(name)} is no name for a concept; give one of up to {_LONGEST_NAME} letters, as in hoot"
        )
    return name


def teach(
    catalog: Catalog,
    spaces: Spaces,
    name: str,
    yes: Sequence[Part],
    no: Sequence[Part],
    *,
    noted: Noted = lambda *_: None,
) -> Taught:
    """Keep what is and what is not of a concept; see :meth:`echoic.library.Library.teach`."""
    name = _checked_name(name)
    for part in (*yes, *no):
        check_part(part.start, part.end)
    kept = Answers(catalog)
    before = kept.of(name)
    if not yes and not any(one.is_it for one in before):
        raise UsageError(f"give an example of what {shown(name)} is, too: --yes FILE, or FILE@START-END")
    space = _Space(catalog, spaces, noted)
    answers: list[Answer] = []
    failed: list[tuple[str, str]] = []
    errors: list[AudioError] = []
    for part, is_it in [*((part, True) for part in yes), *((part, False) for part in no)]:
        try:
            answers.append(space.answer(part, is_it))
        except AudioError as error:
            if isinstance(error, PartError) or len(yes) + len(no) == 1:
                raise
            errors.append(error)
            failed.append((os.path.abspath(part.path), str(error)))
    if errors and not answers:
        raise errors[0]
    if not any(one.is_it for one in (*before, *answers)):
        raise errors[0]
    renewed, _ = space.as_now([one for one in before if one.collection != space.spec.key])
    with catalog.writing(), catalog.transaction():
        kept.add(name, renewed)
        contrary = kept.add(name, answers)
        if not any(one.is_it for one in kept.of(name)):
            raise UsageError(
                f"then nothing would be left that {shown(name)} is; give another example: --yes FILE"
            )
    spans = tuple((one.path, one.start, one.end) for one in contrary)
    concept = _described(space, name, kept.of(name))
    return Taught(concept, spans, tuple(failed))


def known(
    catalog: Catalog, spaces: Spaces, name: str | None = None, *, noted: Noted = lambda *_: None
) -> list[Concept]:
    """Return all concepts, or one; see :meth:`echoic.library.Library.concepts`."""
    kept = Answers(catalog)
    names = kept.names() if name is None else [name]
    if name is not None:
        _need(kept, name)
    if not names:
        return []
    space = _Space(catalog, spaces, noted)
    return [_described(space, name, kept.of(name)) for name in names]


def forget(catalog: Catalog, name: str) -> None:
    """Forget a concept; see :meth:`echoic.library.Library.forget_concept`."""
    _need(Answers(catalog), name)
    with catalog.writing(), catalog.transaction():
        Answers(catalog).forget(name)


def find_instances(
    catalog: Catalog,
    spaces: Spaces,
    name: str,
    k: int | None,
    filters: Filters,
    *,
    every: bool = False,
    min_score: float | None = None,
    noted: Noted = lambda *_: None,
) -> Iterator[Hit]:
    """Find where a concept is heard; see :meth:`echoic.library.Library.instances`."""
    least = checked_limits(k, min_score, LIKELY)
    answers = _need(Answers(catalog), name)
    space = _Space(catalog, spaces, noted)
    scope = filters.scope(catalog)
    within = [file_id for file_id in space.ids.tolist() if scope.holds(file_id)]
    learnt, said = _learn(space, name, answers, within, noted)
    found = spans_found(catalog, space.spec, space.store, within, _judge(learnt, said, least), least)
    return best_of(found if every else _one_a_file(found), k)


def propose(
    catalog: Catalog,
    spaces: Spaces,
    name: str,
    k: int,
    filters: Filters,
    *,
    noted: Noted = lambda *_: None,
) -> list[Hit]:
    """Choose spans to ask about; see :meth:`echoic.library.Library.proposals`."""
    check_k(k)
    answers = _need(Answers(catalog), name)
    space = _Space(catalog, spaces, noted)
    scope = filters.scope(catalog)
    within = [file_id for file_id in space.ids.tolist() if scope.holds(file_id)]
    learnt, said = _learn(space, name, answers, within, noted)
    pool = _pool(space, within, learnt, said)
    chosen = _chosen(learnt, pool, k, first_is_sure=len(answers) % 2 == 0)
    paths = catalog.paths([one.file_id for one in chosen])
    told = [one for one in chosen if one.file_id in paths]
    chances = chances_of(np.array([one.odds for one in told])).tolist()
    return [
        Hit(rank, paths[one.file_id], one.start, one.end, chance, space.spec.name)
        for rank, (one, chance) in enumerate(zip(told, chances, strict=True), start=1)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A span that may be asked about, with its log-odds and its vector, as the background has it seen."""

    file_id: int
    start: float
    end: float
    odds: float
    seen: Float32


def _pool(space: _Space, within: Sequence[int], learnt: _Learnt, said: _Said) -> list[_Candidate]:
    """Gather what is surest and what is most in doubt, of spans that do not lie on each other."""
    best: list[_Candidate] = []
    doubtful: list[_Candidate] = []
    for file_id, heard in read_heard(space.store, within):
        odds = learnt.odds(heard, _FAINTEST)
        chances = np.where(said.is_open(file_id, heard), chances_of(odds), 0.0)
        rows = apart(heard.starts, heard.ends, chances, _FAINTEST)
        seen = learnt.background.seen(normalize(heard.vectors[rows].astype(np.float32)))
        here = [
            _Candidate(
                file_id,
                round(float(heard.starts[row]), 3),
                round(float(heard.ends[row]), 3),
                float(odds[row]),
                vector,
            )
            for row, vector in zip(rows.tolist(), seen, strict=True)
        ]
        best = heapq.nlargest(_POOL, best + here, key=lambda one: one.odds)
        doubtful = heapq.nsmallest(_POOL, doubtful + here, key=lambda one: abs(one.odds))
    spans = {(one.file_id, one.start, one.end): one for one in (*best, *doubtful)}
    return [spans[key] for key in sorted(spans)]


def _chosen(learnt: _Learnt, pool: Sequence[_Candidate], k: int, *, first_is_sure: bool) -> list[_Candidate]:
    """Choose in turn what is surest and what is most in doubt."""
    left = list(pool)
    asked: list[_Candidate] = []
    believed: list[bool] = []
    before = {id(one): float(learnt.process.added(one.seen[None])[0]) for one in left}
    process = learnt.process
    while left and len(asked) < k:
        seen = np.stack([one.seen for one in left])
        expected = np.array([one.odds - before[id(one)] for one in left])
        odds = expected + process.added(seen)
        is_sure = (len(asked) % 2 == 0) == first_is_sure
        # What is known less well is in more doubt at the same odds.
        doubt = np.abs(odds) / np.sqrt(1 + np.pi / 8 * process.variance(seen))
        row = int(odds.argmax() if is_sure else doubt.argmin())
        asked.append(left.pop(row))
        believed.append(bool(odds[row] > 0))
        process = learnt.believing(
            np.stack([one.seen for one in asked]),
            np.array([one.odds - before[id(one)] for one in asked]),
            np.array(believed),
        )
    return asked


def _learn(
    space: _Space, name: str, answers: Sequence[Answer], within: Sequence[int], noted: Noted
) -> tuple[_Learnt, _Said]:
    usable, lost = space.as_now(answers)
    for one, error in lost:
        noted(one.path, Note("answers", f"an answer on {shown(name)} is of an earlier encoder: {error}"))
    if not any(one.is_it for one in usable):
        raise UsageError(
            f"what {shown(name)} is was taught by an earlier encoder, and the files are gone; teach it "
            "again: echoic teach NAME --yes FILE"
        )
    background, by_event = space.background(), space.spec.by == "event"
    said = _Said(space.catalog, usable)
    learnt = _Learnt(background, usable, by_event=by_event)
    like = surest(space.store, within, _judge(learnt, said, LIKELY))
    return _Learnt(background, usable, by_event=by_event, like=like), said


def _judge(learnt: _Learnt, said: _Said, least: float) -> Judge:
    def judged(file_id: int, heard: Heard) -> Float64:
        odds = learnt.odds(heard, least)
        return said.applied(file_id, heard, chances_of(odds))

    return judged


def _one_a_file(found: Iterator[Hit]) -> Iterator[Hit]:
    """Keep the surest span of each file, the surest file first."""
    best: dict[str, Hit] = {}
    for hit in found:
        if hit.path not in best or hit.score > best[hit.path].score:
            best[hit.path] = hit
    ordered = sorted(best.values(), key=lambda hit: -hit.score)
    return (replace(hit, rank=rank) for rank, hit in enumerate(ordered, start=1))


def _need(kept: Answers, name: str) -> list[Answer]:
    answers = kept.of(_checked_name(name))
    if not answers:
        names = kept.names()
        there = f"only {', '.join(map(shown, names))}" if names else "and was taught none"
        raise UsageError(
            f"the library knows no concept {shown(name)}, {there}; teach it: echoic teach NAME --yes FILE"
        )
    return answers


def _described(space: _Space, name: str, answers: Sequence[Answer]) -> Concept:
    spelt = next((one for one in Answers(space.catalog).names() if folded(one) == folded(name)), name)
    n_yes = sum(one.is_it for one in answers)
    precision, recall = _estimated(space, answers)
    return Concept(spelt, n_yes, len(answers) - n_yes, precision, recall)


def _estimated(
    space: _Space, answers: Sequence[Answer]
) -> tuple[tuple[float, float, float] | None, tuple[float, float, float] | None]:
    """Judge answers by others: which share of what would be told is right, and what of it is told."""
    usable = [one for one in answers if one.collection == space.spec.key]
    is_it = np.array([one.is_it for one in usable], bool)
    if len(usable) < _ENOUGH or min(is_it.sum(), (~is_it).sum()) < _ENOUGH_EACH:
        return None, None
    background, by_event = space.background(), space.spec.by == "event"
    is_told = np.zeros(len(usable), bool)
    part = np.empty(len(usable), int)  # of ten, with as many of each kind
    part[np.argsort(is_it, kind="stable")] = np.arange(len(usable)) % _PARTS
    for number in range(_PARTS):
        rows = np.flatnonzero(part == number)
        others = [one for one, its in zip(usable, part, strict=True) if its != number]
        learnt = _Learnt(background, others, by_event=by_event)
        lengths = np.array([usable[row].length for row in rows])
        heard = Heard(np.zeros(len(rows)), lengths, np.stack([usable[row].vector for row in rows]))
        is_told[rows] = learnt.odds(heard, 0.0) >= 0
    n_right = int((is_told & is_it).sum())
    precision = share(n_right, int(is_told.sum())) if is_told.sum() else None
    return precision, share(n_right, int(is_it.sum()))


def share(n: int, of: int) -> tuple[float, float, float]:
    """Estimate a share by a count, with Wilson's 95 % interval.

    Examples
    --------
    >>> tuple(round(number, 2) for number in share(8, 10))
    (0.8, 0.49, 0.94)
    """
    value, z2 = n / of, _NORMAL**2
    middle = (value + z2 / (2 * of)) / (1 + z2 / of)
    half = _NORMAL * np.sqrt(value * (1 - value) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return value, float(max(0.0, middle - half)), float(min(1.0, middle + half))
