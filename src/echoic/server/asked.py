"""What is asked: the parameters of each request. They are in its address; a body is sound, or a picture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "MOST_HITS",
    "Asked",
    "ConceptName",
    "Describe",
    "Doubts",
    "Filtered",
    "Filters",
    "Format",
    "Identify",
    "Listed",
    "Listen",
    "Part",
    "Picture",
    "Reference",
    "Sound",
    "Teach",
    "Waveform",
]

MOST_HITS = 10_000
_LONGEST_URI = 16_384  # a path of 4,096 bytes, each of them percent-encoded, and more
_MOST_VALUES = 100


class _Parameters(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")  # a word that is mistyped is told


Seconds = Annotated[float, Field(ge=0, le=1e9)]
Reference = Annotated[str, Field(min_length=1, max_length=_LONGEST_URI)]
Spans = Annotated[list[Reference], Field(max_length=_MOST_VALUES)]
ConceptName = Annotated[str, Field(min_length=1, max_length=100)]
Texts = Annotated[list[Annotated[str, Field(min_length=1, max_length=2_000)]], Field(max_length=_MOST_VALUES)]

#: Files for other programs that hits are told in.
Format = Literal["csv", "m3u", "raven", "audacity"]


class Part(_Parameters):
    start: Seconds | None = Field(default=None, description="Seconds; only what comes from here on.")
    end: Seconds | None = Field(default=None, description="Seconds; only what comes up to here.")


class Waveform(Part):
    n: int = Field(default=1_000, ge=1, le=20_000, description="Into how many stretches it is divided.")


class Picture(Part):
    width: int = Field(default=800, ge=1, le=4_096, description="Columns, over all of the part.")
    height: int = Field(default=256, ge=1, le=1_024, description="Rows, from 0 Hz to half the sample rate.")


class Sound(Part):
    file: Reference | None = Field(
        default=None,
        description="A file of the library, by its id or its URI. A sound in the body takes its place.",
        examples=["12", "file:///sounds/door.wav"],
    )
    name: str = Field(
        default="upload",
        max_length=255,
        description="What a sound in the body is called; its suffix helps to read it.",
    )


class Filtered(_Parameters):
    path: Texts = Field(
        default=[], description="Only files whose path fits one of these globs.", examples=[["drums/*"]]
    )
    tag: Texts = Field(default=[], description="Only files with all of these tags: VALUE or NAME=VALUE.")


class Filters(Filtered):
    min_duration: Seconds | None = Field(
        default=None, description="Only files this long or longer, in seconds."
    )
    max_duration: Seconds | None = Field(
        default=None, description="Only files this long or shorter, in seconds."
    )


class Listed(Filters):
    under: Reference | None = Field(
        default=None, description="Only files at or under this URI, or fitting it as a glob."
    )
    uri: Reference | None = Field(default=None, description="Only the file of this URI.")
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="Go on after the file of this id.")
    limit: int = Field(default=100, ge=1, le=1_000, description="How many files at most.")


class Asked(Sound, Filters):
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=2_000,
        description="Words for what is wanted.",
        examples=["rain"],
    )
    like: list[Reference] = Field(
        default=[],
        max_length=_MOST_VALUES,
        description="Further examples: ids or URIs, or words as in text:rain.",
    )
    unlike: list[Reference] = Field(
        default=[], max_length=_MOST_VALUES, description="Examples of what is not wanted, likewise."
    )
    phrase: str | None = Field(
        default=None, min_length=1, max_length=1_000, description="Find where these words are said."
    )
    spoken: bool = Field(default=False, description="Find where it is said what is said in the sound.")
    voice: bool = Field(default=False, description="Find where the person speaks who speaks in the sound.")
    versions: bool = Field(default=False, description="Find other versions of the music in the sound.")
    concept: ConceptName | None = Field(
        default=None, description="Find what the library was taught by this name.", examples=["hoot"]
    )
    by: Literal["sound", "picture"] = Field(
        default="sound",
        description="Of a film: search by what is heard in it, or by what it shows. A body that is called "
        "image/… is searched by as a picture, without it.",
    )
    every: bool = Field(
        default=False, description="Find every place where it is heard, not only the best of each file."
    )
    min_score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of phrases, voices, concepts and every place: from this probability on.",
    )
    k: int | None = Field(
        default=None,
        ge=1,
        le=MOST_HITS,
        description=f"How many hits: 10, or with every, all, if they are {MOST_HITS:,} or fewer.",
    )
    encoder: str | None = Field(
        default=None, min_length=1, max_length=100, description="Compare by this encoder."
    )
    include_query: bool = Field(default=False, description="Let the examples themselves be found.")
    format: Literal["json", Format] = Field(
        default="json",
        description="As a file: rows, a playlist, a selection table of Raven, label tracks of Audacity.",
    )


class Identify(Sound, Filtered):
    min_score: float | None = Field(
        default=None, ge=0, le=1, description="Tell what is this probable or more."
    )
    include_query: bool = Field(default=False, description="Let the file itself be found.")


class Listen(Filtered):
    rate: int = Field(ge=4_000, le=384_000, description="Samples a second.")
    format: Literal["f32", "s16"] = Field(
        default="f32", description="What a sample is: a float of 32 bits, full scale ±1, or 16 bits."
    )
    k: int = Field(
        default=3, ge=0, le=20, description="How many files that are alike; 0: tell recordings alone."
    )
    min_score: float | None = Field(
        default=None, ge=0, le=1, description="Tell recordings that are this probable or more."
    )


class Describe(Sound):
    min_probability: float | None = Field(
        default=None, gt=0, le=1, description="Tell what is this likely or more; of a sound in the body."
    )


class Teach(_Parameters):
    name: ConceptName = Field(description="What is taught, new or known.", examples=["hoot"])
    yes: Spans = Field(
        default=[],
        description="What it is: files of the library, by id or URI, or parts of them, in seconds.",
        examples=[["12@3.5-4.25"]],
    )
    no: Spans = Field(default=[], description="What it is not, likewise.", examples=[["12@8-8.75", "7"]])


class Doubts(Filters):
    name: ConceptName = Field(description="A concept.", examples=["hoot"])
    k: int = Field(default=10, ge=1, le=100, description="About how many spans.")
