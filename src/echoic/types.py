"""The nouns that the parts of Echoic hand to each other.

Times are seconds as float unless a name ends in ``_samples`` or ``_frames``. Arrays are C-contiguous
float32 unless said otherwise. Everything here is frozen: a value, not a place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from echoic.addresses import told
from echoic.errors import UsageError
from echoic.untrusted import check_text, check_whole_number, shown

__all__ = [
    "AudioInfo",
    "Cue",
    "FileRecord",
    "FileState",
    "Float32",
    "Hit",
    "IndexReport",
    "LiveSound",
    "Note",
    "NoteKind",
    "PhraseHit",
    "Progress",
    "Segments",
    "Status",
    "StrPath",
    "Told",
    "TrackChoice",
    "Transcript",
    "Word",
    "check_track",
]

Float32 = npt.NDArray[np.float32]
#: Where a file or folder is.
StrPath = str | os.PathLike[str]
#: Of a file with several tracks of sound: one of them, from 1, each by itself, or their mean.
TrackChoice = int | Literal["all", "mix"]
FileState = Literal["indexed", "partial", "failed"]
#: What a note is about: several tracks, channels that cancel each other, sound above what is heard, or none;
#: of words that are searched by, those that are not known; too little speech, or none; of a query, what of it
#: could not be decoded; an answer on a concept that counts no more; subtitles that are not used.
NoteKind = Literal[
    "tracks", "phase", "ultrasound", "silence", "words", "speech", "damage", "answers", "subtitles"
]


def check_track(track: TrackChoice | None) -> None:
    """Refuse a number that no track has.

    Raises
    ------
    UsageError
    """
    if isinstance(track, int) and track < 1:
        raise UsageError(f"tracks are counted from 1, and track is {track}")


class Told:
    """What tells a person of files: those in buckets by their addresses, whatever they are held as."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        for name in _PATHS & self.__dataclass_fields__.keys():
            object.__setattr__(self, name, told(getattr(self, name)))


_PATHS = frozenset({"path", "other", "query"})


@dataclass(frozen=True, slots=True)
class Note:
    """What a person should know of a file or a query, or of words: what of it does not count.

    Parameters
    ----------
    kind : NoteKind
    sentence : str
        What is told, without the file's name.
    track : int, "all" or "mix", optional
        Of the kind ``tracks``: which of them is heard, from 1; each by itself; or their mean.

    Raises
    ------
    ValueError
        If a field cannot be meant.
    """

    kind: NoteKind
    sentence: str
    track: TrackChoice | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(NoteKind):
            raise ValueError(f"kind is {shown(self.kind)} and must be of {', '.join(get_args(NoteKind))}")
        check_text("sentence", self.sentence, 1_000)
        if self.track not in (None, "all", "mix"):
            check_whole_number("track", self.track, 1, 1 << 16)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What decoding a file to its end told about it.

    Parameters
    ----------
    duration : float
        Seconds of sound that were decoded.
    sample_rate, channels : int
        Of the file itself, before resampling (Hz) and mixing down.
    codec : str
        ffmpeg's name of the codec, e.g. ``"mp3float"``, ``"flac"``.
    lost : str
        Empty if all went well, else one sentence saying what could not be decoded.
    tags : dict of str to str
        Metadata of the container (title, artist, genre …), keys in lower case; several values of a key in one
        text, as the file parts them, or by ``;``.
    notes : tuple of Note
        What else a person should know of it.
    """

    duration: float
    sample_rate: int
    channels: int
    codec: str
    lost: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The vectors of one file in one encoder's space, in order of time.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        The span that each vector stands for, in seconds of the file.
    vectors : ndarray of float32, shape (n, dim)
        Unit length.
    """

    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    vectors: Float32

    @classmethod
    def none(cls, dim: int) -> Segments:
        """Make those of a file that has none."""
        return cls(np.empty(0), np.empty(0), np.empty((0, dim), np.float32))

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Hit(Told):
    """One file that a search found, and the span of it that matched best.

    Parameters
    ----------
    rank : int
        From 1.
    path : str
        Absolute path of the file.
    start, end : float
        Seconds.
    score : float
        Higher is closer. By example: cosine similarity in -1 … 1. Of versions: what the passage that both
        have adds up to over the shorter one's length, 0 … 1; about .6 and more are likely the same music.
        Of phrases: the probability that it is said. Of voices: that it is the same. Of
        occurrences: that it is the same kind of sound.
    encoder : str
        Name of the encoder in whose space the match was made.
    """

    rank: int
    path: str
    start: float
    end: float
    score: float
    encoder: str


@dataclass(frozen=True, slots=True)
class PhraseHit(Hit):
    """A hit of a phrase, which may be found in what was transcribed, too.

    Parameters
    ----------
    encoder : str
        What found it: an encoder, ``"transcripts"``, or both, joined by ``+``.
    words : str
        What is said there, with some words around it; empty where the file has no transcript.
    """

    words: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a transcript.

    Parameters
    ----------
    start, end : float
        Seconds of the file. Of subtitles that time whole lines alone, in between by the letters.
    text : str
        As it stands in the line, with the space before it, if there is one, and the signs about it.
    probability : float
        How sure whoever wrote it down was of it; 1 of subtitles.
    """

    start: float
    end: float
    text: str
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    """A line of a transcript.

    Parameters
    ----------
    start, end : float
        Seconds of the file.
    words : tuple of Word
        In order of time; never none.
    language : str
        Code of ISO 639, such as ``"en"``; empty where it is not known.
    voice : str
        Who speaks, where subtitles say so.
    """

    start: float
    end: float
    words: tuple[Word, ...]
    language: str = ""
    voice: str = ""

    @property
    def text(self) -> str:
        """The whole line."""
        return "".join(word.text for word in self.words).strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said in a file, word for word.

    Parameters
    ----------
    cues : tuple of Cue
        In order of time; none where nothing is said.
    source : str
        What it is by: a recogniser, or subtitles, with the first digits of their digest.
    """

    cues: tuple[Cue, ...]
    source: str

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that are spoken, as far as they are known, what is spoken longest first."""
        seconds: dict[str, float] = {}
        for cue in self.cues:
            if cue.language:
                seconds[cue.language] = seconds.get(cue.language, 0.0) + cue.end - cue.start
        return tuple(sorted(seconds, key=lambda language: (-seconds[language], language)))


@dataclass(frozen=True, slots=True, eq=False)
class LiveSound:
    """Sound that comes: one connection to a stream, a pipe, or the microphone.

    Parameters
    ----------
    name : str
        What it is told by: the stream's address, ``-`` or ``microphone``.
    begun : float
        Seconds since the first connection to this stream; 0 for others.
    sample_rate : int
        Hz.
    blocks : iterator of ndarray of float32, shape (n,)
        Mono, half a second each; ends where the connection does.
    notes : callable
        Tells what a person should know of it, once the blocks have ended.
    """

    name: str
    begun: float
    sample_rate: int
    blocks: Iterator[Float32]
    notes: Callable[[], tuple[Note, ...]] = tuple


@dataclass(frozen=True, slots=True)
class FileRecord(Told):
    """One file as the catalog knows it.

    Parameters
    ----------
    state : {"indexed", "partial", "failed"}
        ``partial``: the file is damaged and what could be decoded is searchable. ``failed``: nothing was
        read; vectors of an earlier, sound version of the file stay searchable.
    message : str
        What was lost or why it failed, one sentence; empty for ``indexed``.
    encoders : tuple of str
        The collections that it has vectors in, ``encoder@revision``.
    tags : dict of str to tuple of str
        The values of each name, in order; ``tag`` are those that were given without one.
    notes : tuple of Note
        What else a person should know of it.
    heard : dict of str to float
        Kinds of sound that are heard in it, and how likely, the likeliest first;
        :meth:`echoic.library.Library.describe` says when.
    """

    id: int
    path: str
    size: int
    mtime_ns: int
    digest: str
    duration: float
    sample_rate: int
    channels: int
    codec: str
    state: FileState
    message: str
    encoders: tuple[str, ...] = ()
    tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    heard: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress(Told):
    """How far a run is; handed to the ``progress`` callback after each file, and by some within long ones.

    Parameters
    ----------
    path : str
        The file just done.
    done, total : int
        Files.
    done_bytes, total_bytes : int
    audio : float
        Seconds of sound handled so far.
    elapsed : float
        Seconds since the first file was started.
    """

    path: str
    done: int
    total: int
    done_bytes: int
    total_bytes: int
    audio: float
    elapsed: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an indexing run did; every path is in one place only.

    Parameters
    ----------
    added, changed, encoded, moved, removed, unchanged : int
        Files. ``changed`` counts new content, ``encoded`` known content, of moved files too, that got the
        vectors it lacked: of an encoder added since, of a new revision, or lost ones.
    partial, failed : tuple of (path, message)
        Files of which a part, or nothing, could be read, with one sentence each.
    skipped : int
        Files that failed in an earlier run and have not been touched since.
    notes : tuple of (path, note)
        What a person should know of the files read in this run.
    passed_over : dict of str to int
        How many files were not taken for audio, by suffix.
    audio, elapsed : float
        Seconds of sound encoded, and seconds that took.
    tagged : int
        Files that the run's tags were given to, unchanged ones included.
    transcribed : int
        Files that were given a transcript.
    untranscribed : tuple of (path, message)
        Files that should have been, with one sentence each.
    """

    added: int = 0
    changed: int = 0
    encoded: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    partial: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, Note], ...] = ()
    passed_over: dict[str, int] = field(default_factory=dict)
    audio: float = 0.0
    elapsed: float = 0.0
    tagged: int = 0
    transcribed: int = 0
    untranscribed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """A library in figures.

    Parameters
    ----------
    folder : str
    catalog : str
        Path of its database, or the address of a server.
    store : str
        ``"embedded"`` or a Milvus URI.
    files, partial, failed : int
        All files, and those of which a part, or nothing, could be read.
    duration : float
        Seconds of sound in all files.
    segments : dict of str to int
        Vectors in each collection, by ``encoder@revision``.
    bytes_on_disk : int
        Of the library's folder.
    """

    folder: str
    catalog: str
    store: str
    files: int
    partial: int
    failed: int
    duration: float
    segments: dict[str, int]
    bytes_on_disk: int
