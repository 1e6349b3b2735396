"""What assistants are told: rows of one shape, the same as text, and of a long result its begin."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import BaseModel, ConfigDict, Field

from echoic.errors import quoted
from echoic.server.media import CUT_TYPE
from echoic.server.shapes import FileShape, HitShape, MatchShape, NoteShape, SpanShape

__all__ = [
    "CLIP_TEMPLATE",
    "LARGEST",
    "LONGEST_CLIP",
    "Answer",
    "EncoderTold",
    "FileTold",
    "Found",
    "HitTold",
    "MatchTold",
    "Row",
    "SpanTold",
    "StatusTold",
    "refused",
    "span_of_clip",
]

#: Bytes of a result, text, values and links together.
LARGEST = 8_000
_ENVELOPE = 400  # bytes of them for what goes around it
_LONGEST_PATH = 300  # characters; longer ones are told by their ends, and by the file's id
_LONGEST_REFUSAL, _LONGEST_NOTE = 2_000, 300
_MOST_NOTES = 3
#: Seconds of a preview.
LONGEST_CLIP = 30.0
CLIP_TEMPLATE = "echoic://clips/{file}/{start}/{end}"
_CLIP = re.compile(r"echoic://clips/(\d{1,18})/(\d{1,9}(?:\.\d{1,6})?)/(\d{1,9}(?:\.\d{1,6})?)", re.ASCII)

_T = TypeVar("_T", bound=BaseModel)


class _Told(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Place(_Told):
    file: int | None = Field(description="The file's id; null once it has left the library.")
    path: str = Field(description=f"Its path, or the last {_LONGEST_PATH} characters of it.")

    @property
    def named(self) -> str:
        return self.path if self.file is None else f"{self.path} (file {self.file})"


class HitTold(_Place):
    rank: int
    start: float
    end: float
    score: float = Field(description="How alike it is, up to 1; of places, phrases and voices a probability.")

    @classmethod
    def row(cls, hit: HitShape) -> Row:
        values = _rounded(hit, "rank", "start", "end", "score")
        told = cls(file=hit.id, path=_short(hit.path), **values)
        text = f"{hit.rank}. {told.named}, {_span(hit.start, hit.end)}, score {hit.score:.2f}"
        return Row(told, text, _clip(told, hit.start, hit.end))


class MatchTold(_Place):
    query_start: float
    query_end: float
    start: float
    end: float
    score: float = Field(description="How probable it is.")
    tempo: float = Field(description="How much faster than the recording it is played.")

    @classmethod
    def row(cls, match: MatchShape) -> Row:
        values = _rounded(match, "query_start", "query_end", "start", "end", "score", "tempo")
        told = cls(file=match.id, path=_short(match.path), **values)
        heard, there = _span(match.query_start, match.query_end), _span(match.start, match.end)
        text = f"{heard}: {told.named}, {there}, probability {match.score:.3f}, tempo {match.tempo:.3f}"
        return Row(told, text, _clip(told, match.start, match.end))


class SpanTold(_Told):
    start: float
    end: float
    label: str
    probability: float

    @classmethod
    def row(cls, span: SpanShape) -> Row:
        text = f"{_span(span.start, span.end)}: {span.label}, probability {span.probability:.2f}"
        return Row(cls(**span.model_dump()), text)


class FileTold(_Place):
    duration: float
    state: str
    tags: list[str] = Field(description="The first ten, as NAME=VALUE.")

    @classmethod
    def row(cls, file: FileShape) -> Row:
        tags = [
            f"{name}={value}" if name else value for name, values in file.tags.items() for value in values
        ]
        told = cls(
            file=file.id,
            path=_short(file.path),
            duration=round(file.duration, 4),
            state=file.state,
            tags=[tag[:100] for tag in tags[:10]],
        )
        text = f"{file.id}: {told.path}, {file.duration:.1f} s" + (
            "" if file.state == "indexed" else f", {file.state}"
        )
        return Row(told, text, _clip(told, 0.0, file.duration) if file.duration else None)


class EncoderTold(_Told):
    name: str
    purposes: list[str]
    inputs: list[str]


class StatusTold(_Told):
    folder: str
    files: int
    failed: int = Field(description="Files that could not be read.")
    hours: float
    encoders: list[EncoderTold]
    examples_from: list[str] = Field(description="Folders whose sounds may be given as examples.")


class Found(_Told, Generic[_T]):
    found: list[_T]
    total: int = Field(description="How many were found, with those that were told before.")
    notes: list[str] = Field(description="What a person should know of what was asked.")
    rest: str = Field(description="How to get what does not fit in here; empty if all is told.")


@dataclass(frozen=True, slots=True)
class Row:
    """One of the things that are told.

    Parameters
    ----------
    told : BaseModel
    text : str
        The same as a line.
    clip : ResourceLink, optional
        Where it is to be heard.
    """

    told: BaseModel
    text: str
    clip: ResourceLink | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool has found.

    Parameters
    ----------
    title : str
        Says what the rows are.
    nothing : str
        Said instead if there are none.
    rows : sequence of Row
        Those that may be told.
    total : int
        Of all that were found.
    rest : callable
        Called with how many of the rows are told; says how to get what comes after them, if anything does.
    notes : sequence of str
    """

    title: str
    nothing: str
    rows: Sequence[Row]
    total: int
    rest: Callable[[int], str]
    notes: Sequence[str] = ()

    @classmethod
    def of_pages(
        cls, title: str, nothing: str, rows: Sequence[Row], skip: int, notes: Sequence[NoteShape]
    ) -> Answer:
        """Answer with those of all rows that come after the first ``skip``."""

        def rest(n: int) -> str:
            n_left = len(rows) - skip - n
            return f"{n_left} more were found; ask again with skip={skip + n} for them." if n_left > 0 else ""

        return cls(title, nothing, rows[skip:], len(rows), rest, [note.sentence for note in notes])

    def result(self) -> CallToolResult:
        """Make a result of it that has no more bytes than one may, with as many rows as fit."""
        fits, too_many = 0, len(self.rows) + 1
        while too_many - fits > 1:
            n = (fits + too_many) // 2 if too_many <= len(self.rows) else len(self.rows)
            size = len(self._of(n).model_dump_json(by_alias=True, exclude_none=True).encode())
            fits, too_many = (n, too_many) if size <= LARGEST - _ENVELOPE else (fits, n)
        return self._of(fits)

    def _of(self, n: int) -> CallToolResult:
        rows = self.rows[:n]
        notes = [_cut(note, _LONGEST_NOTE) for note in self.notes[:_MOST_NOTES]]
        rest = self.rest(n)
        told = Found[Any](found=[row.told for row in rows], total=self.total, notes=notes, rest=rest)
        title = f"{self.title}:" if rows else self.nothing
        text = "\n".join(line for line in (title, *(row.text for row in rows), *notes, rest) if line)
        content: list[ContentBlock] = [TextContent(type="text", text=text)]
        content += [row.clip for row in rows if row.clip is not None]
        return CallToolResult(content=content, structured_content=told.model_dump(mode="json"))


def refused(sentence: str) -> CallToolResult:
    """Make a result that says why there is none."""
    text = TextContent(type="text", text=_cut(sentence, _LONGEST_REFUSAL))
    return CallToolResult(content=[text], is_error=True)


def span_of_clip(uri: str) -> tuple[int, float, float] | None:
    """Return the file, start and end that a clip's URI names; None if it is none.

    Examples
    --------
    >>> span_of_clip("echoic://clips/12/1.500/4.000")
    (12, 1.5, 4.0)
    """
    parts = _CLIP.fullmatch(uri)
    return None if parts is None else (int(parts[1]), float(parts[2]), float(parts[3]))


def _clip(place: _Place, start: float, end: float) -> ResourceLink | None:
    if place.file is None:
        return None
    end = min(end, start + LONGEST_CLIP)
    uri = CLIP_TEMPLATE.format(file=place.file, start=f"{start:.3f}", end=f"{end:.3f}")
    name = f"{_span(start, end)} of {place.path.rpartition('/')[2][-60:]}"
    return ResourceLink(type="resource_link", uri=uri, name=name, mime_type=CUT_TYPE)


def _rounded(told: BaseModel, *names: str) -> dict[str, Any]:
    return {name: round(getattr(told, name), 4) for name in names}


def _span(start: float, end: float) -> str:
    return f"{start:.2f}–{end:.2f} s"


def _short(path: str) -> str:
    # A name with line breaks, which may say anything, must not look like what is said here.
    name = quoted(path)
    return name if len(name) <= _LONGEST_PATH else f"…{name[-_LONGEST_PATH:]}"


def _cut(sentence: str, longest: int) -> str:
    return sentence if len(sentence) <= longest else f"{sentence[:longest]}…"
