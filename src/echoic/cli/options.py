"""Options that several verbs share, each written once."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from echoic.addresses import in_bucket, place, without_login
from echoic.arguments import WORDS
from echoic.errors import MissingDependencyError, UnreadableError, UsageError, quoted
from echoic.scanning import SUFFIXES, suffix_of
from echoic.untrusted import shown

if TYPE_CHECKING:
    from echoic.datasets import Columns
    from echoic.library import Library
    from echoic.types import LiveSound, TrackChoice

__all__ = [
    "Csv",
    "EncoderName",
    "GroupColumn",
    "Jobs",
    "Json",
    "LabelColumn",
    "LibraryFolder",
    "MaxSeconds",
    "Microphone",
    "MicrophoneDevice",
    "MinScore",
    "PathColumn",
    "PathGlobs",
    "ServedFolder",
    "SplitColumn",
    "Tags",
    "Threads",
    "TrackOption",
    "columns",
    "expand",
    "expand_example",
    "expand_path",
    "expand_place",
    "files_in",
    "modules_of",
    "need_known",
    "need_source",
    "number",
    "one_of",
    "opened_source",
    "parted",
    "read_part",
    "refuse_address",
    "seconds",
    "time_option",
    "whole_number",
]


def expand(text: str) -> str:
    """Put the home folder for a leading ``~``, as the shell does only where it stands bare."""
    if text == "":  # as a path it would be the folder that one is in, with all that lies there
        raise UsageError(
            "an empty name stands for nothing; give one (or is a variable of the shell not set?)"
        )
    # Path.expanduser() raises for a file that is called ~old.wav; this leaves it.
    return os.path.expanduser(text)  # noqa: PTH111


def expand_path(text: str) -> Path:
    """Make a path of what was given, with the home folder for a leading ``~``; an address is none."""
    refuse_address(text)
    return Path(expand(text))


def expand_place(text: str) -> Path:
    """Make a path as :func:`expand_path` does, also of what lies in a bucket, which may then be opened."""
    if not in_bucket(os.fspath(text)):
        return expand_path(text)
    from echoic.buckets import choose

    choose(text)
    return place(text)


def expand_example(text: str) -> str:
    """Spell a file as :func:`expand_place` does; ``text:…``, which is no file, stays as it is."""
    return expand(text) if text.startswith(WORDS) else str(expand_place(text))


def refuse_address(text: str) -> None:
    """Refuse what is an address, which a path would spell differently and then not find.

    Raises
    ------
    UsageError
        If it begins with a scheme, as in ``ftp://``.
    """
    if _ADDRESS.match(os.fspath(text)):  # of an option, typer also has its default read
        raise UsageError(
            f"{without_login(text)} is an address; give a file or a folder (echoic monitor and embed "
            "--stream listen to http://, https:// and icy:// addresses; echoic index, and what is asked of "
            "files, take s3://, gs:// and az://)"
        )


def _track(text: str) -> TrackChoice:
    """Read which of several tracks is meant."""
    word = text.strip().lower()
    if word in ("all", "mix"):
        return "all" if word == "all" else "mix"
    if word.isdecimal() and int(word) > 0:
        return int(word)
    raise UsageError(f"--track is a number from 1 on, all or mix, and not {text!r}")


TrackOption = Annotated[
    Any,
    typer.Option(
        "--track",
        metavar="N|all|mix",
        parser=_track,
        help="Of a file with several tracks of sound, hear this one, each by itself, or their mix "
        "[default: the first with sound].",
    ),
]

_Word = TypeVar("_Word", bound=str)
_Number = TypeVar("_Number", int, float)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"(?:(\d+):)?(\d+):(\d\d?(?:\.\d*)?)", re.ASCII)
_NUMBER = r"(\d+\.?\d*|\.\d+)"
_PART = re.compile(r"(.+)@([^@]*)")
_UNITS = re.compile(rf"(?=.)(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?", re.ASCII | re.IGNORECASE)


def one_of(words: Iterable[_Word]) -> Callable[[Any], _Word]:
    """Make a parser of a few words, or of the members of an enumeration of them."""
    known = {str(word): word for word in words}

    def read(text: Any) -> _Word:
        if str(text) not in known:
            raise typer.BadParameter(f"{str(text)!r} is none of {', '.join(known)}")
        return known[str(text)]

    return read


def need_known(library: Library, paths: Sequence[Path]) -> None:
    """Raise UsageError unless the library has files at, under or fitting each of the paths."""
    for path in paths:
        if not library.files(path):
            raise UsageError(f"nothing in the library is at {quoted(path)}; see what is with: echoic list")


def need_source(named: Sequence[object] | None, mic: bool, device: str | None, kinds: str) -> None:
    """Raise UsageError unless there is either something named to listen to, or the microphone."""
    if bool(named) == mic:
        raise UsageError(f"give {kinds}, - for standard input, or --mic for the microphone")
    if device is not None and not mic:
        raise UsageError("--device chooses a microphone: give --mic as well")


def files_in(folder: str | Path) -> list[str]:
    """List the files with sound in a folder; what cannot be looked at is told when it is opened.

    Raises
    ------
    UnreadableError
        If there are none.
    """
    from echoic.scanning import scan

    inside = [entry.path for entry in scan([Path(folder)])]
    if not inside:
        raise UnreadableError(f"{quoted(folder)} holds no audio files; name a folder that does")
    return inside


def opened_source(source: str | None, device: str | None) -> AbstractContextManager[str | LiveSound]:
    """Open what is listened to and is not named by an address or a path: - and None, the microphone."""
    from echoic.audio.live import microphone, piped

    if source is None:
        return microphone(device=device)
    return piped(sys.stdin.buffer) if source == "-" else nullcontext(source)


def seconds(text: str) -> float:
    """Read a time: seconds; as results print it, ``1:15:29``, ``3:09`` or ``0:15.5``; or ``1h15m``."""
    clock = _TIME.fullmatch(text.strip())
    if clock is not None:
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if rest < 60 and (minutes < 60 or clock[1] is None):
            return 3600.0 * hours + 60 * minutes + rest
    elif units := _UNITS.fullmatch(text.strip()):
        return 3600 * float(units[1] or 0) + 60 * float(units[2] or 0) + float(units[3] or 0)
    else:
        with suppress(ValueError):
            number = float(text)
            if not math.isnan(number):
                return number
    raise typer.BadParameter(
        f"{text!r} is no time; give seconds, as in 75.5, or as in 1:15.5, 2:03:09, 90m or 1h15m"
    )


def read_part(text: str, option: str) -> tuple[Path, tuple[float | None, float | None]]:
    """Read ``FILE`` or ``FILE@START-END`` → the file, and the begin and end of the part that is meant."""
    name, part = parted(text, option)
    if not (in_bucket(name) or os.path.lexists(expand(name))):
        raise UnreadableError(f"{quoted(name)} does not exist; check the path")
    return expand_place(name), part


def parted(text: str, option: str) -> tuple[str, tuple[float | None, float | None]]:
    """Tell the name of a file from the part of it that is meant."""
    part = _PART.fullmatch(text)
    is_part = part is not None and (suffix_of(part[1]) in SUFFIXES or os.path.lexists(expand(part[1])))
    if part is None or not is_part or os.path.lexists(expand(text)):
        return text, (None, None)
    begin, dash, finish = part[2].partition("-")
    if not (begin and dash and finish):
        raise UsageError(f"{shown(part[2])} is no part of a file; say it as {option} FILE@START-END")
    return part[1], (seconds(begin), seconds(finish))


# Typer's own words for a wrong number are those of whatever it checks with, from version to version.


def number(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], float]:
    """Make what reads a number within bounds."""

    def read(text: Any) -> float:
        return _within(text, float, "number", low, high)

    return read


def whole_number(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], int]:
    """Make what reads a whole number within bounds."""

    def read(text: Any) -> int:
        return _within(text, int, "whole number", low, high)

    return read


def _within(text: Any, kind: Callable[[Any], _Number], what: str, low: float, high: float) -> _Number:
    with suppress(ValueError):
        value = kind(text)
        if low <= value <= high:
            return value
    below, above = math.isfinite(low), math.isfinite(high)
    bounds = f" from {low:g}" * below + f" to {high:g}" * above + " on" * (below and not above)
    raise typer.BadParameter(f"{str(text)!r} is no {what}{bounds}")


def time_option(says: str) -> Any:
    """Make an option that takes a time."""
    return typer.Option(metavar="TIME", parser=seconds, help=says)


LibraryFolder = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="ECHOIC_LIBRARY",
        metavar="DIR",
        parser=expand_path,
        help="The library's folder [default: the platform's folder for a user's data].",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON Lines.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")]
ServedFolder = Annotated[
    Path | None,
    typer.Argument(
        metavar="LIBRARY",
        parser=expand_path,
        help="The library's folder [default: $ECHOIC_LIBRARY, or the platform's for a user's data].",
    ),
]

MaxSeconds = Annotated[
    float,
    typer.Option(
        "--max-seconds", metavar="S", parser=number(1, 1e6), help="Listen to no more for one request."
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        parser=whole_number(1, 1_000),
        help="Work on so many requests at once [default: one for each core].",
    ),
]

Microphone = Annotated[bool, typer.Option("--mic", help="Listen to the microphone.")]
MicrophoneDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Listen to this microphone, by its name or a part of it; echoic doctor lists them "
        "[default: the system's].",
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="P",
        parser=number(0, 1),
        help="Tell what is of this probability or more "
        "[default: what one in fifty unknown recordings reaches].",
    ),
]
PathGlobs = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="GLOB",
        parser=expand,
        help="Only files at such a path, e.g. 'drums/*.wav'; of several, one must fit.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="T",
        help="Only files so tagged: VALUE, or NAME=VALUE as in genre=jazz; of several, all must fit.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(metavar="N", parser=whole_number(1), help="Worker processes [default: one for each core]."),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        parser=expand,
        help="Compare by this encoder [default: sound].",
    ),
]


def _column(name: str, holds: str) -> Any:
    return typer.Option(
        f"--{name}-column",
        metavar="NAME",
        help=f"Column of a manifest that holds {holds} [default: {name}].",
    )


PathColumn = Annotated[str | None, _column("path", "the files, relative to the manifest")]
LabelColumn = Annotated[str | None, _column("label", "the classes")]
SplitColumn = Annotated[str | None, _column("split", "the word train, validation or test")]
GroupColumn = Annotated[
    str | None, _column("group", "the recording or speaker, which never straddles a split")
]


def columns(path: str | None, label: str | None, split: str | None, group: str | None) -> Columns:
    """Name the columns of a manifest: those given, else the defaults."""
    from echoic.datasets import Columns

    given = {"path": path, "label": label, "split": split, "group": group}
    return Columns(**{role: name for role, name in given.items() if name is not None})


@contextmanager
def modules_of(extra: str, feature: str) -> Iterator[None]:
    """Say which extra a feature needs where an import within finds a module missing that is not Echoic's."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "echoic":
            raise
        raise MissingDependencyError(feature, extra) from error
