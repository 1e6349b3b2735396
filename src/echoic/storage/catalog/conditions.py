"""Which files are meant: by place, by glob, by tag."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Collection
from pathlib import Path

from echoic.audio.tags import folded, tag_values
from echoic.errors import UsageError
from echoic.untrusted import is_text

__all__ = ["HEARD", "Tag", "among", "encoded", "fits_glob", "parse_tag", "readings", "under"]

#: A name, folded, and values as they were written. Of a tag that was typed without a name, it is empty.
Tag = tuple[str, list[str]]

#: The name by which files are searched for what is heard in them, as if it were one of their tags.
HEARD = "heard"

_UNNAMED = "tag"  # what a tag is called that a person gives without a name


def encoded(path: Path) -> bytes:
    """Spell a path as the database does."""
    return os.fsencode(os.path.abspath(path))


def under(path: Path | None) -> tuple[str, tuple[bytes | str, ...]]:
    """Make the SQL condition for files at or under a path; bytes compare as prefixes by a range."""
    if path is None:
        return "true", ()
    exact = encoded(path)
    prefix = exact if exact.endswith(os.fsencode(os.sep)) else exact + os.fsencode(os.sep)
    past = prefix[:-1] + bytes([prefix[-1] + 1])
    return "(path = ? OR (path >= ? AND path < ?))", (exact, prefix, past)


def among(file_ids: Collection[int], listed: str) -> tuple[str, tuple[bytes | str, ...]]:
    """Make the SQL condition for files of some ids, of which there may be any number.

    Parameters
    ----------
    file_ids : collection of int
    listed : str
        SQL of the numbers in a parameter that is a JSON list.
    """
    return f"id IN ({listed})", (json.dumps(list(file_ids)),)


def fits_glob(path: str, glob: str) -> bool:
    """Tell whether a glob names a file, or a folder that it lies in.

    It is matched against the whole path, or, unless it starts at the root, against the end of it. ``*`` also
    spans folders.
    """
    tail = os.path.normpath(glob)
    pattern = tail if os.path.isabs(tail) else os.path.join("*", tail)
    inside = os.path.join(pattern, "*")
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, inside)


def parse_tag(text: str) -> Tag:
    """Read a tag to be given or taken away: ``VALUE`` or ``NAME=VALUE``.

    Raises
    ------
    UsageError
        If the name or the value is empty, or what is heard would be meant.
    """
    name, values = _split(text)
    if name == HEARD:
        raise UsageError(
            f"{text!r} cannot be given or taken away: {HEARD} is what Echoic hears; choose another name, as "
            f"in sound={values[0]}"
        )
    return name or _UNNAMED, values


def readings(text: str) -> list[Tag]:
    """List what a tag that is searched for may mean: all values of one of these, folded, must be a file's.

    A value without a name is looked for under any name, whole and as lists are parted, genres their own way.

    Raises
    ------
    UsageError
        If the name or the value is empty.
    """
    name, values = _split(text)
    tags: list[Tag] = [(name, values)]
    if not name:
        tags += [("", [text]), ("genre", tag_values("genre", text))]
    unlike = {(name, tuple(map(folded, values))) for name, values in tags}
    return [(name, list(values)) for name, values in sorted(unlike) if values]  # "/" only parts genres


def _split(text: str) -> Tag:
    if not is_text(text):
        raise UsageError(f"the tag {text!r} is no text in UTF-8; spell it anew")
    name, separator, value = text.partition("=")
    name = folded(name) if separator else ""
    values = tag_values(name or _UNNAMED, value if separator else text)
    if not values or (separator and not name):
        raise UsageError(f"{text!r} is no tag: one is VALUE or NAME=VALUE, and neither is empty")
    return name, values
