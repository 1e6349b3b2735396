"""What pydantic finds wrong, in sentences of Echoic's own: what, in which parameter, and what to do.

What was given is not repeated, as it may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from echoic.untrusted import shown

__all__ = ["spelt_out"]

# By pydantic's name of what is wrong; the values that a limit has are in what it tells beside it.
_SENTENCES = MappingProxyType(
    {
        "missing": "{name} is missing; give it",
        "extra_forbidden": "there is no parameter {name}; look at how it is spelt, or leave it out",
        **dict.fromkeys(
            ("int_parsing", "int_type", "int_from_float", "int_parsing_size"),
            "{name} is no whole number; give one in digits",
        ),
        **dict.fromkeys(("float_parsing", "float_type"), "{name} is no number; give one in digits, as 2.5"),
        "finite_number": "{name} is not finite; give a finite number, or leave it out",
        **dict.fromkeys(("bool_parsing", "bool_type"), "{name} is neither true nor false; choose one"),
        "greater_than_equal": "{name} is less than {ge:,}; give that or more",
        "greater_than": "{name} is not more than {gt:,}; give more",
        "less_than_equal": "{name} is more than {le:,}; give that or less",
        "string_type": "{name} is no text; give some",
        "string_too_short": "{name} is empty; give some text, or leave it out",
        "string_too_long": "{name} has more than {max_length:,} characters; shorten it",
        "too_long": "{name} has more than {max_length:,} values; give fewer",
        "list_type": "{name} is no list; give one",
        "literal_error": "{name} is none of what may be chosen; choose one of {expected}",
    }
)
_OTHER = "{name} makes no sense; correct it, or leave it out"


def spelt_out(errors: Iterable[Mapping[str, Any]]) -> str:
    """Say what pydantic found, each parameter once, in one line."""
    return "; ".join(dict.fromkeys(map(_sentence, errors)))


def _sentence(error: Mapping[str, Any]) -> str:
    name = ".".join(part for part in error["loc"] if isinstance(part, str)) or "what is asked"
    if error["type"] == "extra_forbidden":
        name = shown(name)  # which whoever asks has made up
    values = {**error.get("ctx", {}), "name": name}
    return _SENTENCES.get(error["type"], _OTHER).format(**values)
