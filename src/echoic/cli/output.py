"""How the command line prints: results on stdout, all else on stderr."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any, TextIO

from echoic.addresses import in_bucket, is_url, told
from echoic.types import Hit, IndexReport, Note, Progress
from echoic.untrusted import is_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

__all__ = [
    "Bar",
    "as_clock",
    "as_size",
    "complain",
    "counted",
    "csv_printer",
    "hit_line",
    "leave",
    "note_teller",
    "print_json",
    "print_names_as_bytes",
    "print_report",
    "progress_bar",
    "say",
    "shorten",
]

# Seconds of audio below which a speed would only tell how long the workers took to start.
_TELLING = 60.0
_MOST_SUFFIXES = 6  # that are named of what was passed over


def say(text: str) -> None:
    """Print a line of results."""
    sys.stdout.write(f"{text}\n")


def complain(text: str) -> None:
    """Print a line for a person's eyes, beside the results."""
    sys.stdout.flush()
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:  # there is nowhere left to say that a disk is full
        leave(sys.stderr)


def leave(stream: TextIO) -> None:
    """Let nothing more be written to a stream, not what Python flushes at its end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(line: Mapping[str, Any]) -> None:
    """Print one line of JSON, in ASCII: file names may hold bytes that are no characters.

    Python reads such a name back as it is. Other programs put a mark in place of those bytes, or fail; for
    them a second field holds the name's bytes in Base64.
    """
    odd = {
        f"{name}_base64": base64.b64encode(os.fsencode(value)).decode("ascii")
        for name, value in line.items()
        if isinstance(value, str) and not is_text(value)
    }
    say(json.dumps({**line, **odd}))


def print_names_as_bytes() -> None:
    """Have file names written to stdout byte for byte from now on, whatever the encoding of the terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            encoding=sys.getfilesystemencoding(), errors=sys.getfilesystemencodeerrors(), newline="\n"
        )


def csv_printer(kind: type) -> Callable[[Iterable[Any]], None]:
    """Print the names of a dataclass's fields; return what prints a row for each of its values."""
    print_names_as_bytes()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(field.name for field in fields(kind))
    return lambda values: writer.writerows(astuple(value) for value in values)


def as_clock(seconds: float) -> str:
    """Spell a time as 1:02:03, 2:03 or 0:03.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}:{minutes:02d}:{int(rest):02d}"
    return f"{minutes}:{rest:04.1f}"


def as_size(n_bytes: float) -> str:
    """Spell a number of bytes as 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def counted(count: int, noun: str) -> str:
    """Spell a number of things: 1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shorten(path: str) -> str:
    """Spell a path, relative if below the current folder, or an address for a terminal, in one line."""
    try:
        relative = told(path) if is_url(path) or in_bucket(path) else os.path.relpath(path)
    except ValueError:  # another drive
        relative = path
    name = path if relative.startswith("..") else relative
    return name if name.isprintable() else repr(name)[1:-1]


def hit_line(hit: Hit) -> str:
    """Spell a hit: rank, score, the span that matched, the file."""
    span = f"{as_clock(hit.start):>8} – {as_clock(hit.end):<8}"
    return f"{hit.rank:>3}  {hit.score:6.3f}  {span}  {shorten(hit.path)}"


def print_report(report: IndexReport) -> None:
    """Print what an indexing run did, warnings of what could not be read, and a note of each kind."""
    for _, message in (*report.partial, *report.failed):
        complain(f"warning: {message}")
    noted = Counter(note.kind for _, note in report.notes)
    for path, note in report.notes:
        n_others = noted.pop(note.kind, 0) - 1
        where = "" if note.kind == "subtitles" else ": echoic list names them"
        others = f" ({n_others} more such{where})" if n_others > 0 else ""
        if n_others >= 0:
            complain(f"note: {shorten(path)}: {note.sentence}{others}")
    if report.untranscribed:
        _, message = report.untranscribed[0]
        n_others = len(report.untranscribed) - 1
        others = f" ({n_others} more without a transcript)" if n_others else ""
        complain(f"warning: {message}{others}")
    if report.passed_over:
        complain(f"note: passed over {_suffixes(report.passed_over)}")
    counts = {
        "added": report.added,
        "changed": report.changed,
        "given vectors that were missing": report.encoded,
        "moved": report.moved,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "partly read": len(report.partial),
        "failed": len(report.failed),
        "skipped (failed before)": report.skipped,
        "tagged": report.tagged,
        "given a transcript": report.transcribed,
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no audio files found"
    if report.audio:
        told += f"; {as_clock(report.audio)} of audio in {report.elapsed:.1f} s"
    if report.audio > _TELLING:
        told += f", {report.audio / report.elapsed:.0f}x realtime"
    say(told)
    sys.stdout.flush()  # while watching it is long until the next line, and a log file is read meanwhile


def _suffixes(counts: Mapping[str, int]) -> str:
    """Spell how many files there are of each suffix: 12 .txt, 3 .jpg and 4 others."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{count} {suffix or 'without a suffix'}" for suffix, count in ordered[:_MOST_SUFFIXES]]
    n_others = sum(count for _, count in ordered[_MOST_SUFFIXES:])
    return ", ".join(told) + (f" and {counted(n_others, 'other')}" if n_others else "")


def note_teller() -> Callable[[str, Note], None]:
    """Return what prints what a person should know of a query: once a kind; what is lost of it each time."""
    told: set[str] = set()

    def tell(path: str, note: Note) -> None:
        if note.kind == "words":
            complain(f"note: {note.sentence}")
        elif note.kind in ("silence", "damage") or note.kind not in told:
            complain(f"note: {shorten(path)}: {note.sentence}")
        told.add(note.kind)

    return tell


class Bar:
    """A bar on stderr with files, hours of audio, speed and the time left; call it with each Progress.

    Parameters
    ----------
    bar : rich.progress.Progress, optional
        What draws it; None draws nothing.
    verb : str
    """

    def __init__(self, bar: RichBar | None, verb: str) -> None:
        self._bar = bar
        self._task = (
            None if bar is None else bar.add_task(verb, total=None, files="starting", audio="", speed="")
        )

    def __call__(self, now: Progress) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                total=max(1, now.total_bytes),
                completed=now.done_bytes,
                files=f"{now.done}/{now.total} files",
                audio=f"{now.audio / 3600:.2f} h",
                speed=f"{now.audio / max(now.elapsed, 1e-9):.0f}x realtime",
            )

    def bytes_done(self, done: int, total: int) -> None:
        """Draw how much of something is copied, which is neither files nor sound."""
        if self._bar is not None and self._task is not None:
            copied = f"{as_size(done)} of {as_size(total)}"
            self._bar.update(self._task, total=max(1, total), completed=done, files=copied)

    @contextmanager
    def wiped(self) -> Iterator[None]:
        """Take the bar off the terminal while something else is printed."""
        if self._bar is not None:
            self._bar.stop()
        yield
        sys.stdout.flush()
        if self._bar is not None:
            self._bar.start()


@contextmanager
def progress_bar(verb: str) -> Iterator[Bar]:
    """Show a bar on stderr; where that is no terminal it draws nothing.

    Yields
    ------
    Bar
        To be called with each :class:`Progress`. Print nothing else before the end, unless within
        :meth:`Bar.wiped`: the bar is wiped at its end.
    """
    if not sys.stderr.isatty():
        yield Bar(None, verb)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichBar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]}  {task.fields[audio]}  {task.fields[speed]}  left"),
        TimeRemainingColumn(),
    )
    # Redirected, what goes to stdout would be wrapped at the terminal's width and written to stderr.
    with RichBar(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        yield Bar(bar, verb)
