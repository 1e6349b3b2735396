"""What is answered, as it goes over the wire; what may be asked is told in :mod:`echoic.server.asked`.

A file is told by its ``id``, by its ``uri``, which holds every byte of its name, and by its ``path`` for a
person to read, in which U+FFFD stands for bytes that are no characters. No number is NaN or infinite.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from echoic.addresses import uri_of
from echoic.heard.result import HeardSpan
from echoic.recordings.result import Match
from echoic.search.result import Concept, Taught
from echoic.server.keys import Role
from echoic.spec import By, EncoderSpec, Precision
from echoic.types import FileRecord, FileState, Hit, IndexReport, Note, NoteKind, Progress

__all__ = [
    "ConceptShape",
    "Described",
    "EncoderShape",
    "FilePage",
    "FileShape",
    "Found",
    "Health",
    "HitShape",
    "Identified",
    "IndexState",
    "Listened",
    "MapShape",
    "MatchShape",
    "NoteShape",
    "Peaks",
    "ReportShape",
    "SessionShape",
    "SpanShape",
    "TaughtShape",
    "text_of",
]


def text_of(path: str) -> str:
    """Spell a path so that a person can read it, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


class _Shape(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


_DOOR: dict[str, Any] = {
    "id": 12,
    "uri": "file:///sounds/door%20%231.wav",
    "path": "/sounds/door #1.wav",
}


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": values})


class Health(_Shape):
    status: Literal["ok"] = "ok"
    version: str


class SessionShape(_Shape):
    """What whoever asks may do, and what the service takes."""

    role: Role
    has_keys: bool = Field(description="Whether the service wants a key at all.")
    may_index: bool
    max_upload: int = Field(description="Bytes of a sound.")
    max_seconds: float = Field(description="Of sound that are listened to for one request.")


class EncoderShape(_Shape):
    source: str = Field(description="What the library loads it by: its name, or the path of a model.")
    name: str
    revision: str
    sample_rate: int
    window: float
    hop: float
    dim: int
    inputs: list[str]
    purposes: list[str]
    by: By
    frame_rate: float | None
    storage: Precision
    licence: str
    reference: str
    description: str

    @classmethod
    def of(cls, source: str, spec: EncoderSpec) -> Self:
        sets = {"inputs": sorted(spec.inputs), "purposes": sorted(spec.purposes)}
        return cls.model_validate(asdict(spec) | sets | {"source": source})


class NoteShape(_Shape):
    kind: NoteKind
    sentence: str
    track: int | Literal["all", "mix"] | None = None

    @classmethod
    def of(cls, note: Note) -> Self:
        return cls.model_validate(asdict(note))


class Place(_Shape):
    """A file, by each of its names; the id is that of a file of the library, and null once it has left it."""

    id: int | None
    uri: str
    path: str


class FileShape(Place):
    size: int
    mtime_ns: int
    digest: str
    duration: float
    sample_rate: int
    channels: int
    codec: str
    state: FileState
    message: str
    encoders: list[str]
    tags: dict[str, list[str]]
    notes: list[NoteShape]
    heard: dict[str, float]

    @classmethod
    def of(cls, record: FileRecord) -> Self:
        told = asdict(record) | {"uri": uri_of(record.path), "path": text_of(record.path)}
        return cls.model_validate(_readable(told))


class FilePage(_Shape):
    total: int = Field(description="Files that fit, on all pages.")
    files: list[FileShape] = Field(description="In order of id.")
    next: int | None = Field(description="What to give as after for the next page; null on the last.")


class HitShape(Place):
    model_config = _example(
        rank=1,
        **_DOOR,
        start=12.5,
        end=17.5,
        score=0.82,
        encoder="sound",
    )

    rank: int
    start: float
    end: float
    score: float
    encoder: str
    words: str = Field("", description="Of a phrase: what is said around it, where there is a transcript.")

    @classmethod
    def of(cls, hit: Hit, file_id: int | None) -> Self:
        return cls.model_validate(asdict(hit) | _place(hit.path, file_id))


class Found(_Shape):
    hits: list[HitShape]
    notes: list[NoteShape] = Field(description="What a person should know of what was asked.")


class MatchShape(Place):
    model_config = _example(
        **_DOOR,
        query_start=0.0,
        query_end=9.7,
        start=12.0,
        end=22.0,
        score=0.998,
        tempo=1.032,
    )

    query_start: float
    query_end: float
    start: float
    end: float
    score: float
    tempo: float

    @classmethod
    def of(cls, match: Match, file_id: int | None) -> Self:
        return cls.model_validate(asdict(match) | _place(match.path, file_id))


class Identified(_Shape):
    matches: list[MatchShape]
    notes: list[NoteShape]


class SpanShape(_Shape):
    model_config = _example(start=1.4, end=2.9, label="Knock", probability=0.94)

    start: float
    end: float
    label: str
    probability: float

    @classmethod
    def of(cls, span: HeardSpan) -> Self:
        return cls.model_validate(asdict(span))


class Described(_Shape):
    spans: list[SpanShape]
    notes: list[NoteShape]


class Listened(_Shape):
    """What is told while somebody listens: times are seconds since that began."""

    kind: Literal["heard", "match", "end"]
    start: float = 0.0
    end: float = 0.0
    spans: list[SpanShape] = Field(default=[], description="Of heard: kinds of sound.")
    hits: list[HitShape] = Field(default=[], description="Of heard: files that sound like it.")
    match: MatchShape | None = Field(default=None, description="Of match: the recording that was over.")
    message: str = Field(default="", description="Why some of it cannot be told.")
    error: str | None = Field(default=None, description="The name of the exception that says so in Python.")


class ConceptShape(_Shape):
    model_config = _example(name="hoot", yes=12, no=9, precision=[0.9, 0.7, 0.97], recall=[0.83, 0.55, 0.95])

    name: str
    yes: int = Field(description="How many spans were said to be of it.")
    no: int = Field(description="How many were said not to be.")
    precision: tuple[float, float, float] | None = Field(
        default=None,
        description="Which share of what would be told is of it, and the ends of the 95 % interval; null of "
        "too few answers.",
    )
    recall: tuple[float, float, float] | None = Field(
        default=None, description="Which share of what is of it would be told, likewise."
    )

    @classmethod
    def of(cls, concept: Concept) -> Self:
        return cls.model_validate(asdict(concept))


class Changed(Place):
    start: float | None
    end: float | None


class Untaught(Place):
    message: str


class TaughtShape(_Shape):
    """What came of teaching."""

    concept: ConceptShape
    changed: list[Changed] = Field(description="Spans that were answered the other way before.")
    failed: list[Untaught] = Field(description="Files that cannot be used, and why.")

    @classmethod
    def of(cls, taught: Taught, ids: Mapping[str, int]) -> Self:
        changed = [
            _place(path, ids.get(path)) | {"start": start, "end": end} for path, start, end in taught.changed
        ]
        failed = [_place(path, ids.get(path)) | {"message": why} for path, why in taught.failed]
        concept = asdict(taught.concept)
        return cls.model_validate({"concept": concept, "changed": changed, "failed": _readable(failed)})


class Peaks(_Shape):
    """The waveform in stretches of equal length: full scale is ±1, so that a quiet file looks quiet."""

    start: float
    end: float
    lows: list[float]
    highs: list[float]


class MapShape(_Shape):
    """The library in the plane: what sounds alike lies near to each other, −1 … 1 both ways."""

    encoder: str = Field(description="By which it is told what sounds alike.")
    total: int = Field(description="Files that the encoder has heard, of which the map has 20,000 at most.")
    ids: list[int]
    x: list[float]
    y: list[float]
    folders: list[str] = Field(description="Those that most files lie in.")
    folder: list[int] = Field(
        description="In which of them each file lies, from 0; in another, their number."
    )


class ProgressShape(_Shape):
    path: str
    done: int
    total: int
    done_bytes: int
    total_bytes: int
    audio: float
    elapsed: float

    @classmethod
    def of(cls, progress: Progress) -> Self:
        return cls.model_validate(asdict(progress) | {"path": text_of(progress.path)})


class Trouble(_Shape):
    path: str
    message: str


class ReportShape(_Shape):
    """What indexing did, in numbers of files; the first thousand that could not be read are named."""

    added: int
    changed: int
    encoded: int
    moved: int
    removed: int
    unchanged: int
    skipped: int
    transcribed: int
    n_partial: int
    n_failed: int
    n_untranscribed: int
    partial: list[Trouble]
    failed: list[Trouble]
    untranscribed: list[Trouble]
    audio: float
    elapsed: float

    @classmethod
    def of(cls, report: IndexReport) -> Self:
        told = {name: value for name, value in asdict(report).items() if name in cls.model_fields}
        for name in ("partial", "failed", "untranscribed"):
            troubles = getattr(report, name)
            told[f"n_{name}"] = len(troubles)
            told[name] = [
                {"path": text_of(path), "message": _readable(message)}
                for path, message in troubles[:_MOST_TROUBLES]
            ]
        return cls.model_validate(told)


_MOST_TROUBLES = 1_000


class IndexState(_Shape):
    """What becomes of indexing. What is found is searchable once it is ``finished``, and not before."""

    job: int = Field(description="Which run of this service it is, from 1; 0 before the first.")
    state: Literal["idle", "running", "finished", "cancelled", "failed"]
    progress: ProgressShape | None = None
    report: ReportShape | None = None
    message: str = Field(default="", description="Why it failed.")


def _place(path: str, file_id: int | None) -> dict[str, Any]:
    return {"id": file_id, "uri": uri_of(path), "path": text_of(path)}


def _readable(value: Any) -> Any:
    """Replace in all texts what is no character, as names of files may hold in messages."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {_readable(name): _readable(one) for name, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, (list, tuple)) else value
