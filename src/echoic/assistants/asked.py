"""What assistants may ask: the parameters of each tool.

They are as those of the service, but for files, which are named by path, too, and for pages.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from echoic.server.asked import MOST_HITS, Filtered, Filters, Part, Reference

__all__ = [
    "Describe",
    "Files",
    "Identify",
    "Nothing",
    "Occurrences",
    "Phrases",
    "Search",
    "Versions",
    "Voices",
]

File = Annotated[
    Reference,
    Field(
        description="A file of the library, by its id or path; or a sound file in a folder that examples may "
        "come from, by its absolute path.",
        examples=["12", "/sounds/door.wav"],
    ),
]
Examples = Annotated[list[Reference], Field(max_length=100)]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=MOST_HITS)]


class _Given(BaseModel):
    """Values as assistants spell them: numbers as text, and lists as JSON, or as the one thing in them."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _as_lists(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        lists = {name for name, field in cls.model_fields.items() if field.default == []}
        return {name: _as_list(value) if name in lists else value for name, value in given.items()}


def _as_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        told = json.loads(value)
    except (ValueError, RecursionError):
        return [value]
    return told if isinstance(told, list) else [value]


class _Page(_Given):
    skip: int = Field(default=0, ge=0, le=MOST_HITS, description="Leave out so many that were told before.")


class _Hits(_Page, Filters, Part):
    k: Count = Field(default=10, description="How many hits.")


class _Sounds(_Page, Filters, Part):
    file: File | None = None
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=2_000,
        description="English words for the sound that is wanted, alone or beside a file.",
        examples=["rain on a roof"],
    )
    like: Examples = Field(
        default=[],
        description="Further examples: files of the library, or words as in text:rain.",
    )
    unlike: Examples = Field(default=[], description="Examples of what is not wanted, likewise.")
    include_query: bool = Field(default=False, description="Let the examples themselves be found.")


class Search(_Sounds):
    k: Count = Field(default=10, description="How many files.")
    encoder: str | None = Field(
        default=None, min_length=1, max_length=100, description="Compare by this encoder; status lists them."
    )


class Occurrences(_Sounds):
    k: Count | None = Field(
        default=None,
        description="Only so many, the surest first; without it all, in order of time.",
    )
    min_score: Probability | None = Field(
        default=None, description="From this probability on; .5 by default."
    )


class _Judged(_Hits):
    every: bool = Field(default=False, description="Every place, not only the surest of each file.")
    min_score: Probability | None = Field(
        default=None, description="From this probability on; .5 by default."
    )


class Phrases(_Judged):
    phrase: str | None = Field(
        default=None, min_length=1, max_length=1_000, description="English words that are said."
    )
    file: File | None = Field(default=None, description="Instead: a recording in which the phrase is spoken.")


class Voices(_Judged):
    file: File


class Versions(_Hits):
    file: File


class Identify(_Page, Filtered, Part):
    file: File
    min_score: Probability | None = Field(default=None, description="From this probability on.")
    include_query: bool = Field(default=False, description="Let the file itself be found.")


class Describe(_Page, Part):
    file: File
    min_probability: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Tell what is this likely or more; .5 by default."
    )


class Files(_Given, Filters):
    under: File | None = Field(default=None, description="Only files at or in this path of the library.")
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="Go on after the file of this id.")
    limit: int = Field(default=50, ge=1, le=1_000, description="How many files at most.")


class Nothing(_Given):
    """No parameters."""
