"""``echoic transcript``: what is said in a file, word for word."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from echoic.addresses import held
from echoic.buckets import stamp_of
from echoic.cli.options import LibraryFolder, expand_path, expand_place, one_of
from echoic.cli.output import complain, note_teller, say, shorten
from echoic.errors import UsageError, quoted
from echoic.interchange.places import check_free, new_file
from echoic.interchange.subtitles import spell_srt, spell_text, spell_vtt
from echoic.types import FileRecord, Transcript


class Format(StrEnum):
    """How a transcript is written."""

    txt = "txt"
    srt = "srt"
    vtt = "vtt"
    json = "json"


_SPELT = {Format.txt: spell_text, Format.srt: spell_srt, Format.vtt: spell_vtt}


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", parser=expand_place, help="What is said in it.")],
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="|".join(Format),
            parser=one_of(Format),
            help="How it is written: plain lines, subtitles, or JSON with the times of all words "
            "[default: as OUT is named, or else txt].",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="OUT", parser=expand_path, help="Write it into this file."),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Tell what is said in a file, word for word, and when.

    Where the library has a transcript of the file (echoic index --transcripts), it is that; else it is read
    from subtitles beside the file or in it, or made by listening (echoic models add transcripts).
    """
    written = _format(form, out)
    if out is not None:
        check_free(out)
    told = _of_library(file, library)
    if told is None:
        from echoic.heard.transcription import transcribe

        tell = note_teller()
        told = transcribe(file, noted=lambda note: tell(str(file), note))
    if not told.cues:
        complain(f"{shorten(str(file))}: nothing is said in it, or not clearly enough")
    if out is None:
        if told.cues:
            say(_spelt(told, written).removesuffix("\n"))
    else:
        with new_file(out) as partial:
            partial.write_text(_spelt(told, written), "utf-8")


def _format(form: Format | None, out: Path | None) -> Format:
    if form is not None or out is None:
        return form or Format.txt
    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in list(Format):
        raise UsageError(f"{quoted(out)} does not say how it is to be written; say it by --format")
    return Format(suffix)


def _of_library(file: Path, library: Path | None) -> Transcript | None:
    """Look a transcript up; None where there is no library, or it has none of the file as it is now."""
    from echoic.library import Library

    with Library(library) as lib:
        for record in lib.files(file) if lib.exists() else ():
            if held(record.path) == os.path.abspath(file) and _is_as_known(record):
                return lib.transcript(file)
    return None


def _is_as_known(record: FileRecord) -> bool:
    try:
        return stamp_of(record.path) == (record.size, record.mtime_ns)
    except OSError:  # it is gone, and what it said is still known
        return True


def _spelt(told: Transcript, form: Format) -> str:
    if form is Format.json:
        lines = (json.dumps(asdict(cue) | {"text": cue.text}) for cue in told.cues)
        return "".join(f"{line}\n" for line in lines)
    return _SPELT[form](told.cues)
