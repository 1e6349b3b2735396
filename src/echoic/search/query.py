"""What is asked for: an example, words, more of the like; and among which files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.addresses import held
from echoic.arguments import WORDS, check_part
from echoic.encoders.base import TextEncoder, encode_windows, mean_vector
from echoic.errors import NotAudioError, UsageError, quoted
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Note, Segments, StrPath
from echoic.untrusted import check_number, shown

__all__ = [
    "Examples",
    "Filters",
    "Part",
    "Query",
    "Scope",
    "check_k",
    "checked_limits",
    "ids_at",
    "read_examples",
]

_LONGEST_TEXT = 2_000  # characters
_NAMED = 8  # words that are not known, before the rest is counted


@dataclass(frozen=True, slots=True)
class Query:
    """What a search asks for.

    Parameters
    ----------
    path : Path, optional
        An audio file.
    text : str, optional
        Words. One of ``path``, ``text`` and ``like`` must be there.
    start, end : float, optional
        Seconds: only this part of ``path``.
    like, unlike : tuple of Path or str
        Further examples of what is wanted, and of what is not: files, or words.

    Raises
    ------
    UsageError
        If there is nothing to search by, or a part is none.
    """

    path: Path | None = None
    text: str | None = None
    start: float | None = None
    end: float | None = None
    like: tuple[Path | str, ...] = ()
    unlike: tuple[Path | str, ...] = ()

    def __post_init__(self) -> None:
        if self.path is None and self.text is None and not self.like:
            raise UsageError("give a file or words to search by, or examples that it should be like")
        if self.path is None and (self.start, self.end) != (None, None):
            raise UsageError("start and end choose a part of a query file, and there is none")
        for words in self.texts:
            if not words.strip():
                raise UsageError("the words to search by are empty")
            if len(words) > _LONGEST_TEXT:
                raise UsageError(
                    f"the words to search by are {len(words):,} characters; use {_LONGEST_TEXT:,} at most"
                )
        check_part(self.start, self.end)

    @property
    def examples(self) -> tuple[Path, ...]:
        """All files that are given."""
        return tuple(one for one in (self.path, *self.like, *self.unlike) if isinstance(one, Path))

    @property
    def texts(self) -> tuple[str, ...]:
        """All words that are given."""
        return tuple(one for one in (self.text, *self.like, *self.unlike) if isinstance(one, str))


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or the part of it from one time to another, in seconds."""

    path: Path
    start: float | None = None
    end: float | None = None

    def within_file(self) -> Part:
        """Return it with its end no later than the file's; AudioError if that cannot be read."""
        from echoic.analysis.excerpts import end_within

        return self if self.end is None else replace(self, end=end_within(self.path, self.start, self.end))


class Scope(NamedTuple):
    """The files of a library to look into, by id: all if ``within`` is None, but for ``without``."""

    within: Set[int] | None = None
    without: Set[int] = frozenset()

    def holds(self, file_id: int) -> bool:
        """Tell whether a file is to be looked into."""
        return file_id not in self.without and (self.within is None or file_id in self.within)

    def among(self, file_ids: npt.NDArray[np.int64]) -> list[int]:
        """Choose those of some files that are to be looked into."""
        return [file_id for file_id in file_ids.tolist() if self.holds(file_id)]


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on the files to be found; see :meth:`echoic.storage.catalog.Catalog.matching`."""

    path: str | Sequence[str] | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    tags: Sequence[str] = ()

    def scope(self, catalog: Catalog, leave_out: Sequence[Path] = ()) -> Scope:
        """Find the files that fit, and leave some out.

        Raises
        ------
        UsageError
            If a tag is empty, or no kind of sound that is told, or no file could be so long.
        """
        without = {file_id for one in leave_out for file_id in ids_at(catalog, one)}
        if self.path is None and self.min_duration is None and self.max_duration is None and not self.tags:
            return Scope(None, without)
        from echoic.heard.library import check_kinds

        check_kinds(catalog, self.tags)
        globs = [self.path] if isinstance(self.path, str) else self.path
        within = catalog.matching(
            path=None if globs is None else [held(glob) for glob in globs],
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            tags=self.tags,
        )
        return Scope(within, without)


class Examples:
    """Gives the vectors of what is asked for in one space of a library.

    Parameters
    ----------
    spaces : Spaces
    source : str
        What the space's encoder is loaded by.
    spec : EncoderSpec
        Of the space.
    noted : callable
        Called with the path of an example, or its words, and a note of what a person should know of it.
    """

    def __init__(
        self, spaces: Spaces, source: str, spec: EncoderSpec, noted: Callable[[Path | str, Note], None]
    ) -> None:
        self._spaces = spaces
        self._source = source
        self._spec = spec
        self._noted = noted

    def sound(self, path: Path, start: float | None = None, end: float | None = None) -> Segments:
        """Encode an example or a part of it; look it up if all of it is indexed as it is now.

        Raises
        ------
        AudioError
            If it cannot be read, or nothing can be heard in it.
        """
        is_whole = start is None and end is None
        stored = self._spaces.stored(path, self._spec) if is_whole else None
        if stored is not None:
            return stored
        from echoic.analysis.excerpts import embed_part
        from echoic.analysis.pipeline import embed_file
        from echoic.audio.notes import of_query, why_nothing

        encoder = self._spaces.encoder(self._source, self._spec)
        notes: list[Note] = []
        if is_whole:
            info, found = embed_file(path, {self._source: encoder})
            segments, why = found[self._source], why_nothing(info, of_speech=self._spec.is_of_speech)
            notes += of_query(info)
        else:
            segments = embed_part(path, encoder, start, end, noted=notes.append)
            why = "no sound in this part of it"
        if not len(segments):
            raise NotAudioError(f"{quoted(path)} is nothing to search by: {why}; choose another example")
        for note in notes:
            self._noted(path, note)
        return segments

    def meant(
        self, path: Path, longest: float, start: float | None = None, end: float | None = None
    ) -> tuple[Float32, float]:
        """Encode what is loudest in an example, or in a part of it, as one event.

        Of an example at most ``longest`` seconds are listened to.

        Returns
        -------
        ndarray of float32, shape (dim,)
            Of unit length.
        float
            How long the loudest of it is, in seconds.

        Raises
        ------
        AudioError
            If it cannot be read, or nothing can be heard in it.
        """
        from echoic.audio.decode import read_audio
        from echoic.audio.events import sounding
        from echoic.audio.notes import of_query

        spec = self._spec
        until = (start or 0.0) + longest
        samples, info = read_audio(path, spec.sample_rate, start=start or 0.0, end=min(end or until, until))
        parts = sounding(samples, spec.sample_rate, spec.window_samples)
        if not parts:
            raise NotAudioError(
                f"{quoted(path)} is nothing to search by: no sound in what was chosen of it; choose another "
                "example"
            )
        for note in of_query(info):
            self._noted(path, note)
        windows = np.zeros((len(parts), spec.window_samples), np.float32)
        for row, part in zip(windows, parts, strict=True):
            row[: len(part)] = part
        encoder = self._spaces.encoder(self._source, spec)
        return mean_vector(encode_windows(encoder, windows)), len(parts[0]) / spec.sample_rate

    def words(self, text: str) -> Float32:
        """Encode words → (1, dim); the space's encoder must be one of texts, too."""
        from echoic.encoders.onnx import OnnxTextEncoder

        encoder = self._spaces.encoder(self._source, self._spec)
        if not isinstance(encoder, TextEncoder):
            raise UsageError(
                f"encoder {self._spec.name} knows sounds only; choose one whose inputs are texts, too"
            )
        vectors = encoder.encode_text([text])
        unknown = encoder.unknown_words(text) if isinstance(encoder, OnnxTextEncoder) else []
        if unknown:
            n_more = len(unknown) - _NAMED
            named = ", ".join(map(shown, unknown[:_NAMED])) + (f" and {n_more} more" if n_more > 0 else "")
            self._noted(text, Note("words", f"not known and passed over: {named}"))
        return vectors


def read_examples(given: Sequence[StrPath]) -> tuple[Path | str, ...]:
    """Tell words from files: ``text:`` stands before them, and ``./text:…`` is a file.

    Examples
    --------
    >>> read_examples(["text:rain on tin"])
    ('rain on tin',)
    """
    spelt = [os.fspath(one) for one in given]
    return tuple(one.removeprefix(WORDS) if one.startswith(WORDS) else Path(one) for one in spelt)


def ids_at(catalog: Catalog, path: Path) -> set[int]:
    """Find a file in the library: it may be indexed by its name, through a link, or as both."""
    names = {path, Path(os.path.realpath(path))}  # Path.resolve() raises for a link that leads to itself
    return {known.id for name in names if (known := catalog.known_at(name)) is not None}


def checked_limits(k: int | None, min_score: float | None, usual: float) -> float:
    """Check what limits the hits → the score from which on there are some."""
    if k is not None:
        check_k(k)
    if min_score is None:
        return usual
    try:
        check_number("min_score", min_score, 0, 1)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return min_score


def check_k(k: int) -> None:
    """Refuse to find no files at all."""
    if k < 1:
        raise UsageError(f"k is the number of hits wanted and must be at least 1, not {k}")
