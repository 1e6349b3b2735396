"""What a Python user calls Echoic with: that each argument is of a kind that can be meant.

A name means the same in every function, so that it is looked at by its name, once, before anything is done.
How large a number may be is said where it is used, but for the times of a part, which many take.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from echoic.addresses import held, place
from echoic.errors import UsageError
from echoic.types import LiveSound
from echoic.untrusted import shown

__all__ = ["WORDS", "check_part", "checked"]

#: Stands before words where a file could be meant.
WORDS = "text:"

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Kind = tuple[Callable[[Any], bool], str, bool]


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Refuse arguments of a wrong kind with a UsageError, and take one for a list of one.

    What lies in a bucket is then a path as any other (:mod:`echoic.addresses`).
    What may be left out, as its default is None, may be None.
    """

    @cache  # at the first call: reading all signatures takes a command longer than the few that it calls
    def parameters() -> tuple[inspect.Signature, dict[str, _Kind], set[str]]:
        signature = inspect.signature(function)
        looked_at = {name: _KINDS[name] for name in signature.parameters if name in _KINDS}
        optional = {name for name in looked_at if signature.parameters[name].default is None}
        return signature, looked_at, optional

    @wraps(function)
    def checking(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        signature, looked_at, optional = parameters()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which says it with its name
        for name, value in bound.arguments.items():
            if name in looked_at and not (value is None and name in optional):
                fits, what, may_be_several = looked_at[name]
                each = _listed(value, fits) if may_be_several else [value]
                if not all(map(fits, each)):
                    raise UsageError(f"{name} is {shown(value)} and must be {what}")
                if fits in (_is_path, _is_span):
                    each = list(map(_as_held, each))
                    bound.arguments[name] = each if may_be_several else each[0]
                elif may_be_several:
                    bound.arguments[name] = each
        return function(*bound.args, **bound.kwargs)

    return checking


def check_part(start: float | None, end: float | None) -> None:
    """Refuse a part of a file that is none."""
    if start is not None and not 0 <= start < math.inf:
        raise UsageError(f"start must be a time in seconds from 0 on, and is {start:g}")
    if end is not None and not math.isfinite(end):
        raise UsageError(f"end must be a time in seconds, and is {end:g}; leave it out for the rest")
    if end is not None and end <= (start or 0):
        raise UsageError(f"the part from {start or 0:g} s to {end:g} s is empty; end must come after start")


def _listed(value: Any, fits: Callable[[Any], bool]) -> list[Any]:
    # What is no list is refused as if it were one of one.
    is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes) and not fits(value)
    return list(value) if is_list else [value]


def _is_path(value: Any) -> bool:
    # An empty one would be the folder that one is in.
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    return isinstance(path, str) and path != ""


def _as_held(path: Any) -> Any:
    """Make of the address of a bucket the path that it is held as."""
    if isinstance(path, tuple):
        return _as_held(path[0]), *path[1:]
    return path if held(os.fspath(path)) == os.fspath(path) else place(os.fspath(path))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_phrase(value: Any) -> bool:
    return _is_text(value) or _is_path(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, (*value.keys(), *value.values())))


def _is_source(value: Any) -> bool:
    return isinstance(value, LiveSound) or _is_path(value)


def _is_span(value: Any) -> bool:
    is_part = isinstance(value, tuple) and len(value) == 3 and _is_path(value[0])
    return _is_path(value) or (is_part and all(one is None or _is_number(one) for one in value[1:]))


def _is_track(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, str) and value in ("all", "mix"))


_PATH = _is_path, "the path of a file or folder", False
_PATHS = _is_path, "paths of files and folders", True
_NUMBER = _is_number, "a number", False
_SECONDS = _is_number, "a number of seconds", False
_WHOLE = _is_whole, "a whole number", False
_FLAG = _is_flag, "True or False", False
_TEXTS = _is_text, "text, or several", True
_SPANS = _is_span, "paths, or (path, start, end) in seconds", True
_CALLED = callable, "a function to call", False

#: By name: what tells whether a value fits, what it must be, and whether it may be several.
_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(("file", "folder", "query", "first", "second", "write", "under", "picture"), _PATH),
    **dict.fromkeys(("backup", "destination"), _PATH),
    **dict.fromkeys(("files", "paths", "like", "unlike", "sources"), _PATHS),
    **dict.fromkeys(
        ("start", "end", "min_duration", "max_duration", "pause", "min_length", "apart"), _SECONDS
    ),
    **dict.fromkeys(("k", "jobs", "max_files"), _WHOLE),
    **dict.fromkeys(("path", "tags", "add", "remove", "encoders"), _TEXTS),
    **dict.fromkeys(("progress", "noted", "failed", "told", "update"), _CALLED),
    **dict.fromkeys(("min_score", "min_probability", "hours", "memory"), _NUMBER),
    **dict.fromkeys(("yes", "no"), _SPANS),
    "latency": _SECONDS,
    **dict.fromkeys(("labels", "read_files", "transcripts"), _FLAG),
    "name": (_is_text, "a name", False),
    "columns": (_is_names, "names of columns by what they hold", False),
    "source": (_is_source, "a path, an address or a LiveSound", False),
    "text": (_is_text, "words", False),
    "phrase": (_is_phrase, "words, or the path of a recording", False),
    "encoder": (_is_text, "the name of an encoder", False),
    "ray": (_is_text, "the address of a Ray cluster", False),
    "store": (_is_text, "the URI of a store", False),
    "catalog": (_is_text, "the address of a catalog", False),
    "track": (_is_track, "a number, 'all' or 'mix'", False),
}
