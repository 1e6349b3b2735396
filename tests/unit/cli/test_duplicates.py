"""How what a library holds twice is spelt, line by line."""

from __future__ import annotations

from itertools import combinations

import pytest

from echoic.cli.duplicates import _Lines
from echoic.recordings.result import Duplicate

COPIES = [f"/{number}.mp3" for number in range(19)]


def part(path: str, other: str, start: float = 60.0) -> Duplicate:
    return Duplicate(path, other, start, start + 30, 0.0, 30.0, 0.9, 1.0, False, None)


def copies(*paths: str, group: int = 1) -> tuple[Duplicate, ...]:
    return tuple(
        Duplicate(one, other, 0.0, 30.0, 0.0, 30.0, 0.99, 1.0, True, group)
        for one, other in combinations(paths, 2)
    )


def lines_of(*findings: tuple[Duplicate, ...]) -> list[list[str]]:
    lines = _Lines()
    return [*(list(lines.of(finding)) for finding in findings), list(lines.rest())]


def test_of_copies_that_share_a_part_with_a_longer_file_one_is_shown_whichever_is_found_first():
    shared, group = tuple(part("/long.wav", copy) for copy in COPIES), copies(*COPIES)
    told = "/long.wav  /0.mp3    1:00.0 – 1:30.0 = 0:00.0 – 0:30.0    0.90"
    first, then, rest = lines_of(shared, group)
    assert (first, then[1:], rest) == ([], [told], [])
    assert all(copy in then[0] for copy in COPIES)
    assert lines_of(group, shared)[1:] == [[told], []]


def test_of_copies_that_have_a_part_at_other_places_one_is_shown():
    at_ten = Duplicate("/cut", "/whole", 0.0, 15.0, 10.0, 25.0, 0.9, 1.0, False, None)
    at_fifteen = Duplicate("/cut", "/lead", 0.0, 15.0, 15.0, 30.0, 0.9, 1.0, False, None)
    first, then, rest = lines_of((at_ten, at_fifteen), copies("/lead", "/whole"))
    assert (first, then[1:], rest) == ([], ["/cut  /whole    0:00.0 – 0:15.0 = 0:10.0 – 0:25.0    0.90"], [])


def test_files_that_have_a_part_at_other_places_are_lines_of_their_own():
    at_ten = Duplicate("/cut", "/one", 0.0, 15.0, 10.0, 25.0, 0.9, 1.0, False, None)
    at_fifteen = Duplicate("/cut", "/other", 0.0, 15.0, 15.0, 30.0, 0.9, 1.0, False, None)
    assert [len(told) for told in lines_of((at_ten, at_fifteen))] == [0, 2]


def test_what_one_file_shares_is_told_at_once():
    assert [len(told) for told in lines_of((part("/a", "/b"),), copies("/b", "/c"))] == [1, 1, 0]


def test_a_part_of_files_that_are_no_copies_is_one_line_at_the_end():
    episodes = tuple(part("/0", f"/{number}") for number in range(1, 4))
    *_, [told] = lines_of(episodes, copies("/8", "/9"))
    assert told.startswith("/0  /1  /2  /3    1:00.0")


@pytest.mark.parametrize("n_groups", [1, 2, 3])
def test_one_of_each_group_is_shown(n_groups):
    groups = [[f"/{group}-{number}" for number in range(3)] for group in range(n_groups)]
    shared = tuple(part("/long", path) for group in groups for path in group)
    findings = [copies(*group, group=number) for number, group in enumerate(groups, 1)]
    *_, last, rest = lines_of(shared, *findings)
    assert rest == []
    assert last[1].split("    ")[0].split() == ["/long", *(group[0] for group in groups)]
