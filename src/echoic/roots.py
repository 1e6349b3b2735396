"""The paths of a run: what lies under them, and what is gone from there."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from echoic import buckets
from echoic.addresses import in_bucket
from echoic.errors import UnreadableError
from echoic.scanning import SUFFIXES, Found, Problem, is_hidden, suffix_of

__all__ = ["Listed", "Roots", "has", "is_empty", "look_again"]


class Roots:
    """The paths of a run, and whether a file lies at or under one of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        named = {Path(os.path.abspath(path)) for path in paths}
        self.outermost = sorted(path for path in named if named.isdisjoint(path.parents))
        self._themselves = set(map(str, self.outermost))
        self._hold: dict[str, bool] = {}  # files come folder by folder

    def hold(self, path: str) -> bool:
        """Tell whether a file lies at or under one of the paths."""
        folder = path.rpartition(os.sep)[0]
        if folder not in self._hold:
            self._hold[folder] = not self._themselves.isdisjoint(map(str, Path(path).parents))
        return self._hold[folder] or path in self._themselves


@dataclass(frozen=True, slots=True)
class Listed:
    """What was listed: the roots, the ids of what was found, in order, and what could not be looked into."""

    roots: Roots
    ids: array[int]
    unseen: Set[str]  # files and folders

    def may_lack(self, path: str) -> bool:
        """Tell whether what was not found at a path would have been found if it was there."""
        return self.unseen.isdisjoint(_places(path))

    def is_gone(self, path: str, file_id: int) -> bool:
        """Tell whether a file of a bucket is there no more."""
        if has(self.ids, file_id) or not (self.roots.hold(path) and self.may_lack(path)):
            return False
        # What the listing passes over may have been named by itself.
        is_listed = suffix_of(path) in SUFFIXES and not any(map(is_hidden, _places(path)))
        return is_listed or not _is_there(path)


def _places(path: str) -> list[str]:
    """List a file and the folders above it."""
    return [path, *map(str, Path(path).parents)]


def look_again(paths: Collection[str]) -> Iterator[Found | Problem]:
    """Look for known files of buckets, folder by folder; what is there no more does not come."""
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        folders[path.rpartition(os.sep)[0]].add(path)
    for folder, wanted in folders.items():
        try:
            listed = buckets.entries(folder)
        except UnreadableError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                yield Problem(folder, str(error))
            continue
        for one in listed:
            if one.path in wanted and not (one.is_folder or one.problem):
                yield Found(one.path, one.size, one.mtime_ns)


def _is_there(path: str) -> bool:
    try:
        buckets.entry_at(path)
    except UnreadableError as error:
        return not isinstance(error.__cause__, FileNotFoundError)  # else nobody knows
    return True


def has(ids: array[int], file_id: int) -> bool:
    """Tell whether an id is among some that ascend: of a million, sets would take 60 MB more."""
    at = bisect_left(ids, file_id)
    return at < len(ids) and ids[at] == file_id


def is_empty(root: Path) -> bool:
    """Tell whether a path is that of a folder with nothing in it."""
    if in_bucket(str(root)):
        return not buckets.entries(str(root))
    return root.is_dir() and all(is_hidden(entry.name) for entry in root.iterdir())
