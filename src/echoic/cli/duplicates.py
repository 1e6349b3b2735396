"""``echoic duplicates``: what the library holds twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from echoic.cli.options import Csv, Json, LibraryFolder, MinScore
from echoic.cli.output import as_clock, complain, csv_printer, print_json, progress_bar, say, shorten
from echoic.errors import UsageError
from echoic.recordings.result import Duplicate

_ALIKE = 1.5  # s by which the same part may differ from one copy to the next


def run(
    min_score: MinScore = None,
    json: Json = False,
    as_csv: Csv = False,
    library: LibraryFolder = None,
) -> None:
    """Find recordings that the library holds twice.

    They may be the same from end to end or in part; formats, levels and changes of speed up to 10 % do not
    matter. A line is a group of copies, or a part that files share; --json and --csv tell each pair, copies
    with their group's number. Nothing is decoded again and nothing deleted. Stopped and run again, it goes on
    where it was.
    """
    from echoic.library import Library

    if json and as_csv:
        raise UsageError("choose one of --json and --csv")
    lines = _Lines()
    print_rows = csv_printer(Duplicate) if as_csv else None
    anything = False
    with Library(library) as lib, progress_bar("comparing") as bar:
        try:
            for finding in lib.duplicates_as_found(min_score=min_score, progress=bar):
                anything = True
                with bar.wiped():  # and flushed: it is long until the next
                    if json:
                        for duplicate in finding:
                            print_json(asdict(duplicate))
                    elif print_rows:
                        print_rows(finding)
                    else:
                        for line in lines.of(finding):
                            say(line)
        finally:  # after Ctrl-C too
            with bar.wiped():
                for line in lines.rest():
                    say(line)
    if not anything:
        complain("no recording is in the library twice")


class _Lines:
    """Spells findings: each group of copies in one line, and what a group shares with others once.

    A part of a file that several others share waits until it is known which of those are copies.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] = {}  # of each group, by its members
        self._told: dict[frozenset[str], tuple[str, str]] = {}
        self._waiting: list[list[Duplicate]] = []  # the same part, shared with each of several files

    def of(self, finding: Sequence[Duplicate]) -> Iterator[str]:
        if finding[0].whole:
            yield self._group(finding)
            yield from self._settled()
            return
        same: list[list[Duplicate]] = []
        for part in finding:
            # The copies of either are told to be copies in a line of their own.
            ends = frozenset(self._first.get(path, path) for path in (part.path, part.other))
            if self._told.setdefault(ends, (part.path, part.other)) != (part.path, part.other):
                continue
            if part.path != finding[0].path:
                continue
            _put(part, same, _is_same_part)
        self._waiting += same
        yield from self._settled()

    def rest(self) -> Iterator[str]:
        """Spell what still waits, now that nothing more will be found."""
        waiting, self._waiting = self._waiting, []
        for parts in waiting:
            yield from self._spelt(parts)

    def _settled(self) -> Iterator[str]:
        waiting, self._waiting = self._waiting, []
        for parts in waiting:
            if len({part.other for part in parts} - self._first.keys()) > 1:
                self._waiting.append(parts)
            else:
                yield from self._spelt(parts)

    def _spelt(self, parts: Sequence[Duplicate]) -> Iterator[str]:
        """Spell a part with the file that has it and one of each group that shares it, at its place there."""
        one_of_each: dict[str, list[Duplicate]] = {}
        for each in parts:
            shown = one_of_each.setdefault(self._first.get(each.other, each.other), [])
            if not shown or shown[0].other == each.other:  # which may have it at several places
                shown.append(each)
        lines: list[list[Duplicate]] = []
        for shown in one_of_each.values():
            for each in shown:
                _put(each, lines, _is_alike)
        for line in lines:
            part = line[0]
            names = "  ".join(map(shorten, (part.path, *(each.other for each in line))))
            here = f"{as_clock(part.start)} – {as_clock(part.end)}"
            there = f"{as_clock(part.other_start)} – {as_clock(part.other_end)}"
            score = min(each.score for each in line)
            yield f"{names}    {here} = {there}    {score:.2f}{_change(part, '  {}')}"

    def _group(self, pairs: Sequence[Duplicate]) -> str:
        first = pairs[0].path
        members = list(dict.fromkeys(path for pair in pairs for path in (pair.path, pair.other)))
        self._first.update(dict.fromkeys(members, first))
        to_first = {pair.other: pair for pair in pairs if pair.path == first}
        score = min(pair.score for pair in to_first.values())
        if len(members) == 2:
            return (
                f"{shorten(first)}  {shorten(members[1])}    whole    {score:.2f}{_change(pairs[0], '  {}')}"
            )
        names = [
            shorten(path) + (_change(to_first[path], " ({})") if path in to_first else "") for path in members
        ]
        return f"{'  '.join(names)}    whole    {score:.2f}"


def _put(
    part: Duplicate, lists: list[list[Duplicate]], belong: Callable[[Duplicate, Duplicate], bool]
) -> None:
    """Put a part into the list to whose first it belongs, or into one of its own."""
    found = next((some for some in lists if belong(some[0], part)), None)
    if found is None:
        lists.append([part])
    else:
        found.append(part)


def _is_same_part(one: Duplicate, other: Duplicate) -> bool:
    return max(abs(one.start - other.start), abs(one.end - other.end)) <= _ALIKE


def _is_alike(one: Duplicate, other: Duplicate) -> bool:
    """Tell whether the same part lies at the same place in both others, and as fast."""
    there = abs(one.other_start - other.other_start), abs(one.other_end - other.other_end)
    return _is_same_part(one, other) and max(there) <= _ALIKE and _change(one, "{}") == _change(other, "{}")


def _change(duplicate: Duplicate, layout: str) -> str:
    """Spell by how much the first plays faster, if it does."""
    change = round(100 * (duplicate.tempo - 1), 1)
    return layout.format(f"{change:+.1f} %") if change else ""
