"""Echoic: a search engine for sound.

>>> from echoic import Library
>>> with Library("my-library") as library:  # doctest: +SKIP
...     library.index(["recordings"])
...     for hit in library.search("door.wav", k=5):
...         print(hit.path, hit.start, hit.end, hit.score)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echoic.advice.recommending import recommend
    from echoic.advice.result import Advice, Candidate
    from echoic.analysis.files import embed
    from echoic.analysis.streams import embed_stream
    from echoic.audio.front_end import FrontEnd, Waveform
    from echoic.audio.spectrogram import LogMel
    from echoic.encoders.base import Encoder, TextEncoder
    from echoic.errors import (
        AudioError,
        EchoicError,
        EncoderError,
        LibraryBusyError,
        LibraryError,
        MissingDependencyError,
        NotAudioError,
        StoreError,
        UnknownEncoderError,
        UnreadableError,
        UsageError,
    )
    from echoic.heard.files import describe
    from echoic.heard.result import HeardSpan, VoiceSpan
    from echoic.heard.speakers import who_speaks
    from echoic.heard.transcription import transcribe
    from echoic.library import Library
    from echoic.recordings.repeats.find import find_repeats
    from echoic.recordings.result import Duplicate, Match, Repeat, SourceStatus
    from echoic.recordings.timing.align import align
    from echoic.recordings.timing.result import SharedStretch, TimeAlignment
    from echoic.search.result import Concept, Taught
    from echoic.spec import EncoderSpec
    from echoic.types import (
        AudioInfo,
        Cue,
        FileRecord,
        Hit,
        IndexReport,
        LiveSound,
        Note,
        PhraseHit,
        Progress,
        Segments,
        Status,
        Transcript,
        Word,
    )

__all__ = [
    "Advice",
    "AudioError",
    "AudioInfo",
    "Candidate",
    "Concept",
    "Cue",
    "Duplicate",
    "EchoicError",
    "Encoder",
    "EncoderError",
    "EncoderSpec",
    "FileRecord",
    "FrontEnd",
    "HeardSpan",
    "Hit",
    "IndexReport",
    "Library",
    "LibraryBusyError",
    "LibraryError",
    "LiveSound",
    "LogMel",
    "Match",
    "MissingDependencyError",
    "NotAudioError",
    "Note",
    "PhraseHit",
    "Progress",
    "Repeat",
    "Segments",
    "SharedStretch",
    "SourceStatus",
    "Status",
    "StoreError",
    "Taught",
    "TextEncoder",
    "TimeAlignment",
    "Transcript",
    "UnknownEncoderError",
    "UnreadableError",
    "UsageError",
    "VoiceSpan",
    "Waveform",
    "Word",
    "__version__",
    "align",
    "describe",
    "embed",
    "embed_stream",
    "find_repeats",
    "recommend",
    "transcribe",
    "who_speaks",
]

__version__ = "0.1.0"

# Where they lie, what is quickly imported first. They are imported when they are first asked for: until then
# nothing takes time, so that the command line can take care of Ctrl-C before it does.
_HOMES = (
    "errors",
    "spec",
    "types",
    "audio.front_end",
    "audio.spectrogram",
    "encoders.base",
    "heard.result",
    "recordings.result",
    "search.result",
    "recordings.timing.result",
    "recordings.timing.align",
    "recordings.repeats.find",
    "analysis.files",
    "analysis.streams",
    "library",
    "heard.files",
    "heard.speakers",
    "heard.transcription",
    "advice.result",
    "advice.recommending",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
