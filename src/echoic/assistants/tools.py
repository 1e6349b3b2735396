"""The tools: what each is called, is asked and tells, and how it finds that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations
from pydantic import BaseModel

from echoic.addresses import uri_of
from echoic.arguments import WORDS
from echoic.assistants import asked as given
from echoic.assistants.examples import Examples, absolute
from echoic.assistants.told import (
    Answer,
    EncoderTold,
    FileTold,
    Found,
    HitTold,
    MatchTold,
    SpanTold,
    StatusTold,
)
from echoic.server import asked as parameters
from echoic.server import shapes
from echoic.server.service import Service
from echoic.server.shapes import text_of

__all__ = ["TOOLS", "Desk", "ToolOfLibrary"]

_LONGEST_NAME = 255


class Desk:
    """Answers what tools are asked, in any thread.

    Each method raises EchoicError, or HTTPException, with a sentence if it cannot.

    Parameters
    ----------
    service : Service
    examples : Examples
    """

    def __init__(self, service: Service, examples: Examples) -> None:
        self.service = service
        self.examples = examples

    def search(self, asked: given.Search) -> Answer:
        found = self._search(asked, k=asked.k + asked.skip, encoder=asked.encoder, **self._liked(asked))
        return _hits(found, asked.skip, "Most alike", "Nothing was found: no file fits.")

    def occurrences(self, asked: given.Occurrences) -> Answer:
        found = self._search(
            asked,
            every=True,
            k=None if asked.k is None else asked.k + asked.skip,
            min_score=asked.min_score,
            **self._liked(asked),
        )
        return _hits(found, asked.skip, "Heard here", "Nothing was found: it is heard nowhere.")

    def phrases(self, asked: given.Phrases) -> Answer:
        found = self._search(asked, phrase=asked.phrase, spoken=asked.file is not None, **_judged(asked))
        return _hits(found, asked.skip, "Said here", "Nothing was found: nobody says it.")

    def voices(self, asked: given.Voices) -> Answer:
        found = self._search(asked, voice=True, **_judged(asked))
        return _hits(found, asked.skip, "Speaking here", "Nothing was found: this voice speaks nowhere.")

    def versions(self, asked: given.Versions) -> Answer:
        found = self._search(asked, versions=True, k=asked.k + asked.skip)
        return _hits(found, asked.skip, "Most alike in harmony", "Nothing was found: no other music.")

    def identify(self, asked: given.Identify) -> Answer:
        which, sound = self._which(asked.file)
        values = asked.model_dump(exclude={"file", "skip"})
        identified = self.service.identify(parameters.Identify(**which, **values), sound)
        rows = [MatchTold.row(match) for match in identified.matches]
        nothing = "Nothing was found: no recording of the library is heard in it."
        return Answer.of_pages("Recordings in it", nothing, rows, asked.skip, identified.notes)

    def describe(self, asked: given.Describe) -> Answer:
        which, sound = self._which(asked.file)
        values = asked.model_dump(exclude={"file", "skip"})
        if sound is None and any(value is not None for value in values.values()):
            record = self.examples.of_library(asked.file)  # a part, which is listened to anew
            which, sound = _named(record.path), Path(record.path)
        described = self.service.describe(parameters.Describe(**which, **values), sound)
        rows = [SpanTold.row(span) for span in described.spans]
        nothing = "Nothing was found: no kind of sound is told surely enough."
        return Answer.of_pages("Heard in it", nothing, rows, asked.skip, described.notes)

    def files(self, asked: given.Files) -> Answer:
        under = None if asked.under is None else uri_of(absolute(asked.under))
        page = self.service.holdings.page(
            parameters.Listed(under=under, **asked.model_dump(exclude={"under"}))
        )

        def rest(n: int) -> str:
            is_last = n == len(page.files) and page.next is None
            last = page.files[n - 1].id if n else asked.after
            return "" if is_last else f"More of them fit; ask again with after={last} for those."

        rows = [FileTold.row(file) for file in page.files]
        title = f"{page.total} files in all, by their ids"
        return Answer(title, "Nothing was found: the library has no such file.", rows, page.total, rest)

    def status(self, _: given.Nothing) -> CallToolResult:
        """Sum up the library."""
        library = self.service.library
        status = library.status()
        encoders = [
            EncoderTold(name=spec.name, purposes=sorted(spec.purposes), inputs=sorted(spec.inputs))
            for spec in list(library.encoders().values())[:20]
        ]
        told = StatusTold(
            folder=text_of(status.folder),
            files=status.files,
            failed=status.failed,
            hours=round(status.duration / 3600, 2),
            encoders=encoders,
            examples_from=[text_of(str(folder)) for folder in self.examples.folders[:20]],
        )
        text = "\n".join(
            (
                f"A library of {told.files} files, {told.hours:g} hours, in {told.folder}; "
                f"{told.failed} could not be read.",
                *(f"Encoder {one.name}: {', '.join(one.purposes)}" for one in encoders),
                f"Examples may come from: {', '.join(told.examples_from) or 'the library alone'}.",
            )
        )
        content = [TextContent(type="text", text=text)]
        return CallToolResult(content=[*content], structured_content=told.model_dump(mode="json"))

    def _search(self, asked: Any, **values: Any) -> shapes.Found:
        which: dict[str, Any] = {}
        sound = None
        if asked.file is not None:
            which, sound = self._which(asked.file)
        common = asked.model_dump(include={"start", "end", "path", "tag", "min_duration", "max_duration"})
        return self.service.find(parameters.Asked(**which, **common, **values), sound)

    def _liked(self, asked: given.Search | given.Occurrences) -> dict[str, Any]:
        return {
            "text": asked.text,
            "like": self._examples(asked.like),
            "unlike": self._examples(asked.unlike),
            "include_query": asked.include_query,
        }

    def _examples(self, named: list[str]) -> list[str]:
        return [one if one.startswith(WORDS) else str(self.examples.of_library(one).id) for one in named]

    def _which(self, reference: str) -> tuple[dict[str, Any], Path | None]:
        """Return what tells the service which file is meant, and the path of one that the library lacks."""
        found = self.examples.find(reference)
        return (_named(str(found)), found) if isinstance(found, Path) else ({"file": str(found.id)}, None)


def _hits(found: shapes.Found, skip: int, title: str, nothing: str) -> Answer:
    return Answer.of_pages(title, nothing, [HitTold.row(hit) for hit in found.hits], skip, found.notes)


def _judged(asked: given.Phrases | given.Voices) -> dict[str, Any]:
    return {"every": asked.every, "min_score": asked.min_score, "k": asked.k + asked.skip}


def _named(path: str) -> dict[str, Any]:
    return {"name": text_of(path)[-_LONGEST_NAME:]}


@dataclass(frozen=True, slots=True)
class ToolOfLibrary:
    """A tool.

    Parameters
    ----------
    description : str
    asked : type of BaseModel
        The shape of its parameters.
    told : type of BaseModel
        That of what it answers.
    answer : callable
        Called with a desk and the parameters.
    is_quick : bool
        Whether it looks something up and neither decodes nor encodes.
    """

    description: str
    asked: type[BaseModel]
    told: type[BaseModel]
    answer: Callable[[Desk, Any], Answer | CallToolResult]
    is_quick: bool = False

    def result(self, desk: Desk, asked: BaseModel) -> CallToolResult:
        """Answer what is asked, in no more bytes than a result may have."""
        answer = self.answer(desk, asked)
        return answer.result() if isinstance(answer, Answer) else answer

    def described(self, name: str) -> Tool:
        """Describe it for the protocol."""
        return Tool(
            name=name,
            description=self.description,
            input_schema=self.asked.model_json_schema(),
            output_schema=self.told.model_json_schema(),
            annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
        )


TOOLS = {
    "search": ToolOfLibrary(
        "Find the files that sound most like an example, or like a part of it (start, end), or that fit "
        "words for a sound. One hit a file, the best first, with the span that fits best.",
        given.Search,
        Found[HitTold],
        Desk.search,
    ),
    "occurrences": ToolOfLibrary(
        "Find every place where a sound is heard that is like an example or fits words, in files of any "
        "length, with begin and end. The library needs the encoder events.",
        given.Occurrences,
        Found[HitTold],
        Desk.occurrences,
    ),
    "phrases": ToolOfLibrary(
        "Find where English words are said that are typed (phrase; needs the encoder phonemes), or where it "
        "is said what somebody says in a recording (file; needs speech).",
        given.Phrases,
        Found[HitTold],
        Desk.phrases,
    ),
    "voices": ToolOfLibrary(
        "Find where the person speaks who speaks in a recording, whatever is said. The library needs the "
        "encoder voice.",
        given.Voices,
        Found[HitTold],
        Desk.voices,
    ),
    "versions": ToolOfLibrary(
        "Find other takes, arrangements and keys of the music in a file. The library needs the encoder "
        "harmony.",
        given.Versions,
        Found[HitTold],
        Desk.versions,
    ),
    "identify": ToolOfLibrary(
        "Tell which recordings of the library are heard in a file, from when to when, even through noise or "
        "at another speed. The library needs the encoder fingerprint.",
        given.Identify,
        Found[MatchTold],
        Desk.identify,
    ),
    "describe": ToolOfLibrary(
        "Tell which kinds of sound (AudioSet's) are heard in a file, and when.",
        given.Describe,
        Found[SpanTold],
        Desk.describe,
    ),
    "files": ToolOfLibrary(
        "List files of the library, in order of id, by path, length and tags (heard=Dog: in which a dog is "
        "heard).",
        given.Files,
        Found[FileTold],
        Desk.files,
        is_quick=True,
    ),
    "status": ToolOfLibrary(
        "Sum up the library: how many files and hours, which encoders, and where examples may come from.",
        given.Nothing,
        StatusTold,
        Desk.status,
        is_quick=True,
    ),
}
