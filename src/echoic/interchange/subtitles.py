"""Subtitles: transcripts as SubRip (.srt) and WebVTT (.vtt) hold them, read and written.

What is read was written by all kinds of programs: cues without a number or with blank lines inside, lines
that roll and so come twice, voices, marks of style, times of words, the clocks of HLS, old encodings.

References
----------
W3C, "WebVTT: The Web Video Text Tracks Format", 2019. RFC 8216, section 3.5 (X-TIMESTAMP-MAP).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from echoic.types import Cue, Word

__all__ = [
    "SUFFIXES",
    "UNSPACED",
    "cue_of",
    "read_subtitles",
    "spell_srt",
    "spell_text",
    "spell_vtt",
    "without_repeats",
]

#: Of files of subtitles that are read.
SUFFIXES = (".srt", ".vtt", ".webvtt")

#: Characters of scripts without spaces, as part of a regular expression: Thai, Lao, Burmese, Khmer, Tai Tham,
#: Chinese and Japanese.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1a20-\u1aaf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,:](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
_STAMP = re.compile(rf"<{_CLOCK}>")
_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=\s*(.*)", re.IGNORECASE)
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^\s<>][^<>]{0,199})>", re.IGNORECASE)
_LONG_REFERENCE = re.compile(r"&#\d{8,};?")  # to no character; Python refuses to read so long a number
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal would obey
_MARK = re.compile(r"</?[A-Za-z][^<>]*>|</?>|\{\\[^{}]*\}")
_SOUND = re.compile(r"\[[^\[\]]*\]|^[ -]{0,9}\([^()]*\)[ ]{0,9}$|[♪♫]", re.MULTILINE)
_WORD = re.compile(rf" ?(?:[{UNSPACED}]|[^\s{UNSPACED}]+)")
_LAST = "0:00 --> 0:00"
_CLOCK_OF_MPEG = 90_000  # Hz
_LONGEST_WORD = 2.0  # s
_NEXT = 0.5  # s between two lines of which one may go on with what the other has
_FEWEST_ROLLING, _ROLLING = 2, 0.3  # lines, and their share, that repeat what is before
_MOST_ROLLING = 40  # words


class _Raw(NamedTuple):
    start: float
    end: float
    text: str
    offset: float  # s that are added to the times in the text


def read_subtitles(content: bytes) -> list[Cue]:
    """Read subtitles, in order of time; of what is none, nothing.

    Parameters
    ----------
    content : bytes
        In UTF-8, UTF-16 with its mark, or else Windows-1252.
    """
    raw = sorted(_cues(_decoded(content)), key=lambda cue: (cue.start, cue.end))
    return without_repeats([cue_of(*one) for one in dict.fromkeys(raw)])


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    return text.replace("\0", "")


def _cues(text: str) -> Iterator[_Raw]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    is_vtt = lines[0].startswith("WEBVTT")
    offset, origin = 0.0, None
    span: tuple[float, float] | None = None
    said: list[str] = []
    before = ""
    for line in [*lines, _LAST]:
        timing = _TIMING.fullmatch(line)
        if timing:
            if said and said[-1] is before and before.strip().isdecimal():
                said.pop()  # the number of this cue
            if span is not None:
                yield _Raw(*span, "\n".join(said), offset)
            times = timing.groups()
            span, said = (_seconds(times[:4]) + offset, _seconds(times[4:]) + offset), []
        elif clock := _MAP.match(line):
            place = _mapped(clock[1])
            origin = place if origin is None else origin
            offset = place - origin
        elif line and is_vtt and not before:  # a cue's name, or what is no cue
            if span is not None:
                yield _Raw(*span, "\n".join(said), offset)
            span, said = None, []
        elif line:
            said.append(line)
        before = line


def _mapped(text: str) -> float:
    """Say how far the clock of HLS, in seconds, is before that of the cues."""
    local = re.search(rf"LOCAL:{_CLOCK}", text)
    mpeg = re.search(r"MPEGTS:(\d{1,12})", text)
    return (int(mpeg[1]) / _CLOCK_OF_MPEG if mpeg else 0.0) - (_seconds(local.groups()) if local else 0.0)


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, part = clock
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f".{part or 0}")


def cue_of(start: float, end: float, text: str, offset: float = 0.0) -> Cue:
    """Make a cue of a line of subtitles and its times, in seconds; it may have no words.

    To times that stand in the text, ``offset`` is added.

    Examples
    --------
    >>> cue = cue_of(1, 3, "<v Ann>Fish &amp; <i>chips</i>, please")
    >>> cue.voice, cue.text, cue.words[0]
    ('Ann', 'Fish & chips, please', Word(start=1.0, end=1.4, text='Fish', probability=1.0))
    """
    end = max(start, end)
    voice = _VOICE.search(text)
    parts = _STAMP.split(text)  # text, and four parts of each time between
    times = [_seconds(parts[at : at + 4]) + offset for at in range(1, len(parts), 5)]
    stamps = [start, *(min(max(time, start), end) for time in times), end]
    words: list[Word] = []
    space = ""
    for (begin, finish), part in zip(pairwise(stamps), parts[::5], strict=True):
        plain = space + _SOUND.sub(" ", _unescaped(_MARK.sub("", part)))
        words += _spread(plain, begin, max(begin, finish), is_first=not words)
        space = " " if plain[-1:].isspace() else ""
    return Cue(start, end, tuple(words), "", _unescaped(voice[1]).strip() if voice else "")


def _unescaped(text: str) -> str:
    return _CONTROL.sub("", html.unescape(_LONG_REFERENCE.sub("\N{REPLACEMENT CHARACTER}", text)))


def _spread(text: str, start: float, end: float, *, is_first: bool) -> Iterator[Word]:
    """Give the words of a text their times in a span, by their letters."""
    words = _WORD.findall(" " * text[:1].isspace() + " ".join(text.split()))
    if is_first and words:
        words[0] = words[0].strip()
    letters = sum(map(len, words))
    at = 0
    for word in words:
        begin = start + (end - start) * at / letters
        at += len(word)
        finish = min(start + (end - start) * at / letters, begin + _LONGEST_WORD)
        yield Word(round(begin, 3), round(finish, 3), word)


def without_repeats(cues: Sequence[Cue]) -> list[Cue]:
    """Leave out, of lines in order of time, those without words, and what rolling ones have said before."""
    cues = [cue for cue in cues if cue.words]
    told: list[Cue] = []
    rolled = 0
    tail: list[str] = []
    last = -1.0
    for cue in cues:
        texts = [word.text.strip() for word in cue.words]
        n = _repeated(tail, texts) if cue.start <= last + _NEXT else 0
        rolled += n > 0
        if n < len(texts):
            first = replace(cue.words[n], text=texts[n])
            start = first.start if n else cue.start
            told.append(replace(cue, start=start, words=(first, *cue.words[n + 1 :])))
        tail = (tail + texts[n:])[-_MOST_ROLLING:]
        last = max(last, cue.end)
    # A person may say "No." twice, in two lines; who rolls does it all the time.
    is_rolling = rolled >= _FEWEST_ROLLING and rolled >= _ROLLING * (len(cues) - 1)
    return told if is_rolling else cues


def _repeated(tail: Sequence[str], texts: Sequence[str]) -> int:
    """Count the first words of a line that are the last of what was said."""
    longest = min(len(tail), len(texts))
    return next((n for n in range(longest, 0, -1) if list(tail[-n:]) == list(texts[:n])), 0)


def spell_text(cues: Iterable[Cue]) -> str:
    """Write what is said, a line each, and who says it, where that is known."""
    return "".join(f"{cue.voice}: {cue.text}\n" if cue.voice else f"{cue.text}\n" for cue in cues)


def spell_srt(cues: Iterable[Cue]) -> str:
    """Write subtitles as SubRip.

    Examples
    --------
    >>> print(spell_srt([cue_of(1, 2.5, "Hello")]), end="")
    1
    00:00:01,000 --> 00:00:02,500
    Hello
    <BLANKLINE>
    """
    return "".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text.replace('-->', '->')}\n\n"
        for number, cue in enumerate(cues, start=1)
    )


def spell_vtt(cues: Iterable[Cue]) -> str:
    """Write subtitles as WebVTT, with voices."""
    lines = ["WEBVTT\n"]
    for cue in cues:
        voice = f"<v {html.escape(cue.voice, quote=False)}>" if cue.voice else ""
        text = html.escape(cue.text, quote=False)
        lines.append(f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{voice}{text}\n")
    return "".join(lines)


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{point}{thousandths:03d}"
